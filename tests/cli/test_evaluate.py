"""``hanmo evaluate`` with a real bundle: a net of one matrix that compares with templates."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from drawn_signs import glyph
from hanmo.data.gnt import write_gnt
from hanmo.data.pack import write_pack
from hanmo.data.read import read_samples
from hanmo.data.sample import Sample
from hanmo.errors import ArgumentError, DataError, PackError
from hanmo.normalize import Normalization

Evaluate = Callable[..., str]
NORMALIZATION = Normalization(side=32)


@pytest.fixture
def home(sign_bundle: Path) -> Path:
    """A working folder with a bundle, a test file whose last of 13 labels is wrong, and its pack."""
    samples = [Sample(c, glyph(i)) for i, c in enumerate("永山水火木人") for _ in range(2)] + [Sample("永", glyph(1))]
    write_gnt(sign_bundle / "test.gnt", samples)
    write_pack(sign_bundle / "pack", samples, normalization=NORMALIZATION)
    write_gnt(sign_bundle / "strangers.gnt.xz", [Sample("龟", glyph(0))])
    return sign_bundle


def test_json_is_one_line_a_file(home: Path, run_evaluate: Evaluate) -> None:
    lines = run_evaluate("test.gnt", "pack", "strangers.gnt.xz", "--json").splitlines()
    direct, packed, strangers = (json.loads(line) for line in lines)
    assert {"file", "n", "top1", "top5", "ece", "ms_per_char"} <= set(direct)
    assert (direct["file"], direct["n"], direct["top1"]) == ("test.gnt", 13, 92.3077)
    assert (packed["file"], packed["n"], packed["top1"]) == ("pack", 13, 92.3077)
    assert packed["ece"] == direct["ece"]
    assert (strangers["n"], strangers["outside"], strangers["top1"]) == (0, 1, None)


def test_the_table_names_files_and_strangers(home: Path, run_evaluate: Evaluate) -> None:
    told = run_evaluate("test.gnt", "strangers.gnt.xz")
    assert "test.gnt" in told
    assert "92.31" in told
    assert "1 label lies outside the charset" in " ".join(told.split())


@pytest.mark.parametrize("file", ["test.gnt", "pack"])
def test_limit_and_closed(home: Path, run_evaluate: Evaluate, file: str) -> None:
    figures = json.loads(run_evaluate(file, "--limit", "4", "--closed", "--json"))
    assert (figures["n"], figures["top1"], figures["answers"], figures["closed"]) == (4, 100.0, 2, True)


def test_the_report_states_the_conditions(home: Path, run_evaluate: Evaluate) -> None:
    run_evaluate("test.gnt", "--report", "out/report.html", "--limit", "13", "--threads", "2")
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


def test_a_report_that_would_replace_samples_is_refused_at_once(home: Path, run_evaluate: Evaluate) -> None:
    before = (home / "test.gnt").read_bytes()
    with pytest.raises(ArgumentError, match=r"ends in \.html"):
        run_evaluate("pack", "--report", "test.gnt")
    assert (home / "test.gnt").read_bytes() == before


def test_a_missing_file_is_named(home: Path, run_evaluate: Evaluate) -> None:
    with pytest.raises(DataError, match=r"nowhere\.gnt"):
        run_evaluate("nowhere.gnt")


@pytest.mark.parametrize(("last", "error"), [("nowhere.gnt", DataError), ("other", PackError), ("n" * 300, DataError)])
def test_every_file_is_looked_at_before_the_first_is_read(
    home: Path, run_evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch, last: str, error: type[Exception]
) -> None:
    sample = Sample("永", glyph(0))
    write_pack(home / "other", [sample], normalization=Normalization(side=48))
    monkeypatch.setattr("hanmo.evaluate.evaluate.evaluate_recognizer", lambda *_, **__: pytest.fail("read already"))
    with pytest.raises(error, match=last):
        run_evaluate("test.gnt", last)


def test_among_and_unknown(home: Path, run_evaluate: Evaluate) -> None:
    (home / "report").mkdir()
    told = run_evaluate("test.gnt", "--among", "永山", "--report", "report/a.html")
    assert "closed to 永 山: 2 classes" in told
    assert "8 labels lie outside the charset, not scored" in " ".join(told.split())
    assert "水 ×2, 火 ×2" in " ".join(told.split())
    page = (home / "report" / "a.html").read_text(encoding="utf-8")
    assert "closed to 永 山: 2 classes" in page
    assert "the labels: 水 ×2" in page
    figures = json.loads(run_evaluate("test.gnt", "--among", "level1", "--json"))
    assert (figures["among"], figures["n"], figures["outside"]) == ("level1", 13, 0)
    with pytest.raises(DataError, match="龟: labels that the reader cannot answer with"):
        run_evaluate("strangers.gnt.xz", "--unknown", "error")
    with pytest.raises(ArgumentError, match="closed and among both"):
        run_evaluate("test.gnt", "--among", "level1", "--closed")


@pytest.fixture
def writers(home: Path) -> Path:
    """An archive of two writers; of the second's four samples one has a wrong label, and one is blank."""
    blank = Sample("永", np.full((30, 30), 255, np.uint8))
    by_writer = {
        "1241": [Sample(c, glyph(i)) for i, c in enumerate("永山")],
        "1242": [Sample("永", glyph(0)), Sample("山", glyph(1)), Sample("水", glyph(0)), blank],
    }
    with zipfile.ZipFile("tst.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for writer, samples in by_writer.items():
            write_gnt(home / f"{writer}-c.gnt", samples)
            archive.write(f"{writer}-c.gnt", f"tst_gnt/{writer}-c.gnt")
    return home


def test_an_archive_is_evaluated_by_writer(writers: Path, run_evaluate: Evaluate) -> None:
    figures = json.loads(run_evaluate("tst.zip", "--per-writer", "--json", "--report", "w.html"))
    assert figures["n"] == 6
    assert figures["per_writer"] == [
        {"writer": "1241", "n": 2, "top1": 100.0},
        {"writer": "1242", "n": 4, "top1": 50.0},
    ]
    assert figures["writers"] == {"n": 2, "mean": 75.0, "std": 35.3553, "worst_writer": "1242", "worst": 50.0}
    page = (writers / "w.html").read_text(encoding="utf-8")
    assert "2 writers: mean 75.00 %, standard deviation 35.36, worst 50.00 % (1242)" in page
    assert page.index(">1242<") < page.index(">1241<")  # the worst first


def test_the_table_of_writers_is_printed_where_asked(writers: Path, run_evaluate: Evaluate) -> None:
    told = " ".join(run_evaluate("tst.zip", "test.gnt", "--per-writer").split())
    assert "│ 1242 │ 4 │ 50.00 │" in told
    assert "tst.zip: 2 writers: mean 75.00 %, standard deviation 35.36, worst 50.00 % (1242)" in told
    assert "│ unknown │ 13 │ 92.31 │" in told
    assert "no writer is known" in told
    assert "per_writer" not in json.loads(run_evaluate("tst.zip", "--json"))
    assert "writers" not in run_evaluate("tst.zip")


def test_writers_of_a_pack_are_known_too(writers: Path, run_evaluate: Evaluate) -> None:
    write_pack(writers / "w", read_samples(["tst.zip"]), normalization=NORMALIZATION)
    figures = json.loads(run_evaluate("w", "--per-writer", "--json"))
    assert [s["n"] for s in figures["per_writer"]] == [2, 3]  # a pack leaves blank pictures out
    one = json.loads(run_evaluate("1241-c.gnt", "--per-writer", "--json"))
    assert one["writers"] == {"n": 1, "mean": 100.0, "std": None, "worst_writer": "1241", "worst": 100.0}


def test_writers_and_corruptions_do_not_go_together(writers: Path, run_evaluate: Evaluate) -> None:
    with pytest.raises(ArgumentError, match="--per-writer and --corruptions"):
        run_evaluate("tst.zip", "--per-writer", "--corruptions")
