"""``hanmo evaluate --corruptions`` with a real bundle: a net of one matrix that compares with templates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from drawn_signs import glyph
from hanmo.bundle import write_bundle
from hanmo.charset import Charset
from hanmo.cli.evaluate import evaluate
from hanmo.data.gnt import write_gnt
from hanmo.data.pack import write_pack
from hanmo.data.sample import Sample
from hanmo.errors import ConfigError, DataError
from hanmo.evaluate.corruptions import CORRUPTIONS
from hanmo.normalize import Normalization

CHARACTERS = "永山水火"
NORMALIZATION = Normalization(side=32)


@pytest.fixture
def home(linear_net: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a bundle, two small files and a pack."""
    monkeypatch.chdir(tmp_path)
    flat = np.stack([NORMALIZATION(glyph(i)).ravel() / 255.0 for i in range(len(CHARACTERS))])
    write_bundle(
        "bundle",
        linear_net(((flat - flat.mean(axis=0)).T / 255).astype(np.float32)).SerializeToString(),
        name="templates",
        charset=Charset(CHARACTERS),
        normalization=NORMALIZATION,
        mean=0.0,
        std=1.0,
        net="one matrix",
        parameters=4 * 32 * 32,
        precision="fp32",
        trained_on=[{"name": "drawn signs", "licence": "CC0-1.0"}],
        licence="CC0-1.0",
        accuracy={},
    )
    samples = [Sample(c, glyph(i)) for i, c in enumerate(CHARACTERS)]
    write_gnt(tmp_path / "test.gnt", [*samples, Sample("龟", glyph(9))])
    write_gnt(tmp_path / "two.gnt", samples[:2])
    write_pack(tmp_path / "pack", samples, normalization=NORMALIZATION)
    return tmp_path


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(evaluate)
    result = CliRunner().invoke(app, [*arguments, "--bundle", "bundle"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_is_one_line_a_file(home: Path) -> None:
    first, second = (json.loads(line) for line in run("test.gnt", "two.gnt", "--corruptions", "--json").splitlines())
    assert (first["file"], first["benchmark"], first["reader"]) == ("test.gnt", "HWDB-C", "templates")
    assert (first["n"], first["total"], first["outside"]) == (4, 5, 1)
    assert (second["n"], second["file"]) == (2, "two.gnt")
    assert first["clean"]["accuracy"] == 100.0
    assert list(first["corruptions"]) == list(CORRUPTIONS)
    assert all(len(cell["accuracy"]) == 5 for cell in first["corruptions"].values())
    assert 0 < first["mca"] <= 100


def test_the_table_the_limit_and_the_heat_map(home: Path) -> None:
    told = " ".join(run("test.gnt", "--corruptions", "--limit", "2", "--heat-map", "out/heat.png").split())
    assert all(name in told for name in CORRUPTIONS)
    for words in ("2 of 5 samples, seed 0", "mean corruption accuracy", "ECE %", "1 label lies outside the charset"):
        assert words in told
    with Image.open(home / "out" / "heat.png") as picture:
        assert picture.width > 500


def test_closed_answers_with_characters_of_the_file(home: Path) -> None:
    figures = json.loads(run("two.gnt", "--corruptions", "--closed", "--json"))
    assert figures["closed"] is True
    assert figures["clean"]["accuracy"] == 100.0


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        (["test.gnt", "--heat-map", "heat.png"], ConfigError, "add --corruptions"),
        (["test.gnt", "--corruptions", "--report", "r.html"], ConfigError, "--heat-map"),
        (["test.gnt", "--corruptions", "--heat-map", "test.gnt"], ConfigError, r"ends in \.png"),
        (["test.gnt", "pack", "--corruptions"], ConfigError, "pack: a pack holds finished squares"),
        (["test.gnt", "nowhere.gnt", "--corruptions"], DataError, r"nowhere\.gnt"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_read(
    home: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: type[Exception], told: str
) -> None:
    monkeypatch.setattr("hanmo.evaluate.corrupt_measure.measure", lambda *_, **__: pytest.fail("read already"))
    with pytest.raises(error, match=told):
        run(*arguments)
