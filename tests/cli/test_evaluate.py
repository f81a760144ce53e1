"""``hanmo evaluate`` with a real bundle: a net of one matrix that compares with templates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

from hanmo.bundle import write_bundle
from hanmo.charset import Charset
from hanmo.cli.evaluate import evaluate
from hanmo.data.gnt import write_gnt
from hanmo.data.pack import write_pack
from hanmo.data.sample import Sample
from hanmo.errors import ConfigError, DataError, PackError
from hanmo.normalize import Normalization

CHARACTERS = "永山水火木人"
NORMALIZATION = Normalization(side=32)


def glyph(number: int) -> NDArray[np.uint8]:
    picture = np.full((40, 40), 255, np.uint8)
    picture[[4, 35], 4:36] = picture[4:36, [4, 35]] = 0
    for block in np.random.default_rng(number).choice(16, 6, replace=False):
        row, column = divmod(int(block), 4)
        picture[7 + 7 * row : 12 + 7 * row, 7 + 7 * column : 12 + 7 * column] = 0
    return picture


def templates() -> NDArray[np.float32]:
    """(1024, 6): the signs' squares, less their mean."""
    flat = np.stack([NORMALIZATION(glyph(i)).ravel() / 255.0 for i in range(len(CHARACTERS))])
    return ((flat - flat.mean(axis=0)).T / 255).astype(np.float32)


@pytest.fixture
def home(linear_net: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a bundle, a test file whose last of 13 labels is wrong, and its pack."""
    monkeypatch.chdir(tmp_path)
    write_bundle(
        "bundle",
        linear_net(templates()).SerializeToString(),
        name="templates",
        charset=Charset(CHARACTERS),
        normalization=NORMALIZATION,
        mean=0.0,
        std=1.0,
        net="one matrix",
        parameters=6 * 32 * 32,
        precision="fp32",
        trained_on=[{"name": "drawn signs", "licence": "CC0-1.0"}],
        licence="CC0-1.0",
        accuracy={},
    )
    samples = [Sample(c, glyph(i)) for i, c in enumerate(CHARACTERS) for _ in range(2)] + [Sample("永", glyph(1))]
    write_gnt(tmp_path / "test.gnt", samples)
    write_pack(tmp_path / "pack", samples, normalization=NORMALIZATION)
    write_gnt(tmp_path / "strangers.gnt.xz", [Sample("龟", glyph(0))])
    return tmp_path


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(evaluate)
    result = CliRunner().invoke(app, [*arguments, "--bundle", "bundle"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_is_one_line_a_file(home: Path) -> None:
    lines = run("test.gnt", "pack", "strangers.gnt.xz", "--json").splitlines()
    direct, packed, strangers = (json.loads(line) for line in lines)
    assert {"file", "n", "top1", "top5", "ece", "ms_per_char"} <= set(direct)
    assert (direct["file"], direct["n"], direct["top1"]) == ("test.gnt", 13, 92.3077)
    assert (packed["file"], packed["n"], packed["top1"]) == ("pack", 13, 92.3077)
    assert packed["ece"] == direct["ece"]
    assert (strangers["n"], strangers["outside"], strangers["top1"]) == (0, 1, None)


def test_the_table_names_files_and_strangers(home: Path) -> None:
    told = run("test.gnt", "strangers.gnt.xz")
    assert "test.gnt" in told
    assert "92.31" in told
    assert "1 label lies outside the charset" in " ".join(told.split())


@pytest.mark.parametrize("file", ["test.gnt", "pack"])
def test_limit_and_closed(home: Path, file: str) -> None:
    figures = json.loads(run(file, "--limit", "4", "--closed", "--json"))
    assert (figures["n"], figures["top1"], figures["answers"], figures["closed"]) == (4, 100.0, 2, True)


def test_the_report_states_the_conditions(home: Path) -> None:
    run("test.gnt", "--report", "out/report.html", "--limit", "13", "--threads", "2")
    page = (home / "out" / "report.html").read_text(encoding="utf-8")
    for told in (
        "templates",
        "one matrix, 6,144 parameters, fp32",
        "drawn signs (CC0-1.0)",
        "fit-32+2",
        "first 13",
        "92.31%",
    ):
        assert told in page


def test_a_report_that_would_replace_samples_is_refused_at_once(home: Path) -> None:
    before = (home / "test.gnt").read_bytes()
    with pytest.raises(ConfigError, match=r"ends in \.html"):
        run("pack", "--report", "test.gnt")
    assert (home / "test.gnt").read_bytes() == before


def test_a_missing_file_is_named(home: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.gnt"):
        run("nowhere.gnt")


@pytest.mark.parametrize(("last", "error"), [("nowhere.gnt", DataError), ("other", PackError), ("n" * 300, DataError)])
def test_every_file_is_looked_at_before_the_first_is_read(
    home: Path, monkeypatch: pytest.MonkeyPatch, last: str, error: type[Exception]
) -> None:
    sample = Sample("永", glyph(0))
    write_pack(home / "other", [sample], normalization=Normalization(side=48))
    monkeypatch.setattr("hanmo.evaluate.evaluate.evaluate_recognizer", lambda *_, **__: pytest.fail("read already"))
    with pytest.raises(error, match=last):
        run("test.gnt", last)
