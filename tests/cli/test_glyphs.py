"""``hanmo glyphs`` from the outside."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image
from typer.testing import CliRunner

from hanmo.cli.main import app
from hanmo.synth.fonts.bank import GlyphBank

RECIPE = """
characters = "✓✗"

[[font]]
name = "tiny"
files = "*.ttf"
package = "deb:tiny"
version = "1"
licence = "OFL-1.1"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe and its font, which has ✓ (an upright bar) but not ✗."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 800), (300, 800), (300, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "bar"])
    builder.setupCharacterMap({ord("✓"): "bar"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "bar": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "bar": (1000, 100)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Tiny", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "tiny.ttf")
    (tmp_path / "fonts.toml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["glyphs", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_makes_a_bank_and_shows_it(folder: Path) -> None:
    bank = folder / "a.glyphs"
    status, out, err = run(folder / "fonts.toml", "--fonts", folder, "--out", bank, "--set", "side=96")
    assert status == 0, err
    assert out.split()[:9] == ["font", "glyphs", "variants", "dropped", "missing", "licence", "tiny", "1", "0"]
    assert GlyphBank.open(bank).side == 96

    status, out, _ = run(bank, "--show", "✗✓", "--out", folder / "s.png", "--json")
    facts = json.loads(out)
    assert (status, facts["glyphs"], facts["classes"], facts["bytes"]) == (0, 1, 2, bank.stat().st_size)
    assert facts["fonts"][0] | {"note": ""} == {
        "name": "tiny", "licence": "OFL-1.1", "package": "deb:tiny", "version": "1", "glyphs": 1, "variants": 0,
        "missing": 1, "weight": 1.0, "note": "",
    }  # fmt: skip
    with Image.open(folder / "s.png") as sheet:
        assert np.asarray(sheet).min() < 64


def test_a_sheet_of_a_new_bank_lies_beside_it(folder: Path) -> None:
    status, _, err = run(folder / "fonts.toml", "--fonts", folder, "--out", folder / "a.glyphs", "--show", "✓")
    assert status == 0, err
    assert (folder / "a.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fonts.toml"], "glyphs: add --fonts FOLDER"),
        (["fonts.toml", "--fonts", ".", "--out", "tiny.ttf"], "tiny.ttf: cannot be the result's name"),
        (["fonts.toml", "--fonts", "none", "--out", "a.glyphs"], "none: 1 of 1 fonts are not there: *.ttf"),
        (
            ["fonts.toml", "--fonts", ".", "--out", "a.glyphs", "--set", "sid=96"],
            "unknown key 'sid'; did you mean 'side'",
        ),
        (["none.glyphs"], "none.glyphs: no bank of glyphs"),
        (["none.glyphs", "--fonts", "."], "a bank needs neither --fonts nor --set"),
        (["none.glyphs", "--out", "sheet.png"], "--out sheet.png needs --show; add --show CHARACTERS"),
    ],
)
def test_unusable_requests(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(folder)
    status, _, err = run(*arguments)
    assert status == 2
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize("absent", ["fontTools", "brotli"])
def test_without_the_extra_one_line_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    if absent == "brotli":
        monkeypatch.setattr("fontTools.ttLib.woff2.haveBrotli", False)
        (folder / "tiny.ttf").write_bytes(b"wOF2" + bytes(60))
    else:
        monkeypatch.setitem(sys.modules, "fontTools", None)
    status, _, err = run(folder / "fonts.toml", "--fonts", folder, "--out", folder / "a.glyphs")
    assert (status, err) == (
        2,
        f"hanmo: this verb needs {absent}; in the folder of the repository run: pip install '.[fonts]'\n",
    )
