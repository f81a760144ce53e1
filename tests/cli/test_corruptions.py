"""``hanmo evaluate --corruptions`` with a real bundle: a net of one matrix that compares with templates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from drawn_signs import glyph
from hanmo.data.gnt import write_gnt
from hanmo.data.pack import write_pack
from hanmo.data.sample import Sample
from hanmo.errors import ArgumentError, DataError
from hanmo.evaluate.corruptions import CORRUPTIONS
from hanmo.normalize import Normalization

Evaluate = Callable[..., str]
NORMALIZATION = Normalization(side=32)


@pytest.fixture
def home(sign_bundle: Path) -> Path:
    """A working folder with a bundle, two small files and a pack."""
    samples = [Sample(c, glyph(i)) for i, c in enumerate("永山水火")]
    write_gnt(sign_bundle / "test.gnt", [*samples, Sample("龟", glyph(9))])
    write_gnt(sign_bundle / "two.gnt", samples[:2])
    write_pack(sign_bundle / "pack", samples, normalization=NORMALIZATION)
    return sign_bundle


def test_json_is_one_line_a_file(home: Path, run_evaluate: Evaluate) -> None:
    first, second = (
        json.loads(line) for line in run_evaluate("test.gnt", "two.gnt", "--corruptions", "--json").splitlines()
    )
    assert (first["file"], first["benchmark"], first["reader"]) == ("test.gnt", "HWDB-C", "templates")
    assert (first["n"], first["total"], first["outside"]) == (4, 5, 1)
    assert (second["n"], second["file"]) == (2, "two.gnt")
    assert first["clean"]["accuracy"] == 100.0
    assert list(first["corruptions"]) == list(CORRUPTIONS)
    assert all(len(cell["accuracy"]) == 5 for cell in first["corruptions"].values())
    assert 0 < first["mca"] <= 100


def test_the_table_the_limit_and_the_heat_map(home: Path, run_evaluate: Evaluate) -> None:
    told = " ".join(run_evaluate("test.gnt", "--corruptions", "--limit", "2", "--heat-map", "out/heat.png").split())
    assert all(name in told for name in CORRUPTIONS)
    for words in ("2 of 5 samples, seed 0", "mean corruption accuracy", "ECE %", "1 label lies outside the charset"):
        assert words in told
    with Image.open(home / "out" / "heat.png") as picture:
        assert picture.width > 500


def test_closed_answers_with_characters_of_the_file(home: Path, run_evaluate: Evaluate) -> None:
    figures = json.loads(run_evaluate("two.gnt", "--corruptions", "--closed", "--json"))
    assert figures["closed"] is True
    assert figures["clean"]["accuracy"] == 100.0


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        (["test.gnt", "--heat-map", "heat.png"], ArgumentError, "add --corruptions"),
        (["test.gnt", "--corruptions", "--report", "r.html"], ArgumentError, "--heat-map"),
        (["test.gnt", "--corruptions", "--heat-map", "test.gnt"], ArgumentError, r"ends in \.png"),
        (["test.gnt", "pack", "--corruptions"], ArgumentError, "pack: a pack holds finished squares"),
        (["test.gnt", "nowhere.gnt", "--corruptions"], DataError, r"nowhere\.gnt"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_read(
    home: Path,
    run_evaluate: Evaluate,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    error: type[Exception],
    told: str,
) -> None:
    monkeypatch.setattr("hanmo.evaluate.corrupt_measure.measure", lambda *_, **__: pytest.fail("read already"))
    with pytest.raises(error, match=told):
        run_evaluate(*arguments)
