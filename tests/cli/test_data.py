from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hanmo.charset import named_charset
from hanmo.cli.data import app
from hanmo.data.gnt import write_gnt
from hanmo.data.pack import Pack
from hanmo.data.sample import Sample
from hanmo.errors import ArgumentError, CharsetError, ConfigError, DataError, PackError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files of two writers."""
    monkeypatch.chdir(tmp_path)
    bar = np.full((30, 30), 255, np.uint8)
    bar[10:14, 4:26] = 20
    blank = np.full((30, 30), 255, np.uint8)
    for writer in ("1001", "1002"):
        write_gnt(tmp_path / f"{writer}-f.gnt", [Sample(c, bar) for c in "一丁七"] + [Sample("一", blank)])
    return tmp_path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_pack_then_info(home: Path) -> None:
    facts = json.loads(run("pack", "*.gnt", "--out", "p", "--side", "32", "--json"))
    assert facts["samples"] == 6
    assert (facts["classes"], facts["characters"], facts["writers"], facts["skipped_blank"]) == (3, 3, 2, 2)
    assert facts["bytes"] == sum(f.stat().st_size for f in (home / "p").iterdir())
    told = json.loads(run("info", "p", "--json"))
    assert told["digest"] == facts["digest"] == Pack.open("p").digest
    assert facts["digest"][:16] in run("info", "p")


def test_pack_takes_a_charset_file_and_skips_what_it_lacks(home: Path) -> None:
    (home / "three.txt").write_text("丁 万\n一\n", encoding="utf-8")
    with pytest.raises(CharsetError, match="--skip-unknown"):
        run("pack", "1001-f.gnt", "--out", "p", "--charset", "three.txt")
    facts = json.loads(
        run("pack", "1001-f.gnt", "--out", "p", "--charset", "three.txt", "--skip-unknown", "--workers", "1", "--json")
    )
    assert (facts["samples"], facts["classes"], facts["skipped_unknown"]) == (2, 3, 1)
    assert str(Pack.open("p").charset) == "丁万一"
    run("pack", "1001-f.gnt", "--out", "p", "--charset", "level1", "--overwrite", "--normalize", "moment")
    assert len(Pack.open("p").charset) == 3755
    facts = json.loads(run("info", "p", "--json"))
    assert (facts["classes"], facts["characters"]) == (3755, 3)
    run("pack", "1001-f.gnt", "--out", "p2", "--charset", "digits+level1+latin")
    assert Pack.open("p2").charset == named_charset("digits+level1+latin")
    run("pack", "1001-f.gnt", "--out", "p3", "--charset", "龘丁+level1+龘靐")
    assert Pack.open("p3").charset.characters == (*named_charset("level1"), "龘", "靐")
    with pytest.raises(CharsetError, match=r"level1\+gb2313: not a charset"):
        run("pack", "1001-f.gnt", "--out", "p4", "--charset", "level1+gb2313")
    with pytest.raises(DataError, match="p: no sample of 翰 墨"):
        run("show", "p", "--characters", "翰墨")


def test_a_name_with_markup_is_shown_as_it_is(home: Path) -> None:
    run("pack", "1001-f.gnt", "--out", "p[red][")
    assert "p[red][" in run("info", "p[red][")


def test_wrong_options_are_named(home: Path) -> None:
    with pytest.raises(ConfigError, match="'magic' is unknown"):
        run("pack", "1001-f.gnt", "--out", "p", "--normalize", "magic")
    with pytest.raises(CharsetError, match=r"none\.txt: not a charset .* names of sets joined by \+: level1, .*wide"):
        run("pack", "1001-f.gnt", "--out", "p", "--charset", "none.txt")
    with pytest.raises(PackError, match="not a pack"):
        run("info", "p")
    assert not (home / "p").exists()


def test_show_draws_a_sheet(home: Path) -> None:
    run("pack", "*.gnt", "--out", "p")
    run("show", "p", "--out", "all.png")
    run("show", "p", "--out", "some.png", "--characters", "丁一", "--columns", "2")
    with Image.open(home / "all.png") as everything, Image.open(home / "some.png") as some:
        assert everything.format == some.format == "PNG"
        assert everything.width > some.width
        assert everything.height < some.height
    with pytest.raises(CharsetError, match="万"):
        run("show", "p", "--out", "none.png", "--characters", "万")
    assert not (home / "none.png").exists()
    with pytest.raises(ArgumentError, match="there is no folder none; make it first"):
        run("show", "p", "--out", "none/all.png")
    assert not (home / "none").exists()


def test_a_seed_draws_the_same_sheet(home: Path) -> None:
    run("pack", "*.gnt", "--out", "p")
    for name, seed in (("a.png", "1"), ("b.png", "1")):
        run("show", "p", "--out", name, "--rows", "1", "--columns", "2", "--seed", seed)
    assert (home / "a.png").read_bytes() == (home / "b.png").read_bytes()


@pytest.mark.parametrize("verb", ["pack", "show", "info"])
def test_help_gives_an_example(verb: str) -> None:
    assert f"Example: hanmo data {verb}" in run(verb, "--help")
