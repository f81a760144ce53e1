"""What is in the results, in each format, and that they are the answers of ``Recognizer``."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from hanmo.bulk import Options, Source, read_in_bulk
from hanmo.data.gnt import read_gnt
from hanmo.errors import ArgumentError, DeviceError, InstallationError
from hanmo.prediction import Prediction
from hanmo.recognizer import Recognizer

from .conftest import BATCH, COUNT, read, rows_of

pytestmark = pytest.mark.usefixtures("small_batches")


def test_answers_are_those_of_the_recognizer(gnt: Path, options: Options, tmp_path: Path) -> None:
    """Also with several processes, for which the samples are enough."""
    totals = read_in_bulk(Source([gnt]), tmp_path / "rows.jsonl", options, processes=2)
    rows = rows_of(tmp_path / "rows.jsonl")
    given = list(read_gnt(gnt))
    answers = Recognizer(options.bundle).recognize_batch([s.image for s in given], top=2)
    assert [row["sample"] for row in rows] == list(range(1, COUNT + 1))
    assert {row["file"] for row in rows} == {str(gnt)}
    assert [row["label"] for row in rows] == [s.label for s in given]
    assert [row["character"] for row in rows] == [a.character for a in answers]
    assert [row["reason"] for row in rows] == [a.reason for a in answers]
    for row, answer in zip(rows, answers, strict=True):
        assert [(c["character"], c["alike"]) for c in row["candidates"]] == [
            (c.character, c.alike) for c in answer.candidates
        ]
        assert [c["probability"] for c in row["candidates"]] == pytest.approx(
            [c.probability for c in answer.candidates], abs=1e-6
        )
    assert totals.counts == (COUNT - COUNT // 7, COUNT // 7, 0)
    assert totals.before == 0
    assert not list(tmp_path.glob(".*")), "the parts are removed"


def test_every_format_has_the_same_rows(gnt: Path, folder: Path, options: Options, tmp_path: Path) -> None:
    for suffix in ("jsonl", "csv", "parquet"):
        read_in_bulk(Source([folder, gnt]), tmp_path / f"rows.{suffix}", options, processes=1)
    lines = rows_of(tmp_path / "rows.jsonl")
    facts = ["file", "sample", "label", "character", "refused", "reason", "error"]
    assert all(list(row) == [*facts, "candidates"] for row in lines)
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.schema.names == [*facts, "characters", "probabilities", "alike"]
    for row, line in zip(table.to_pylist(), lines, strict=True):
        assert [row[name] for name in facts] == [line[name] for name in facts]
        assert row["characters"] == [c["character"] for c in line["candidates"]]
        assert row["alike"] == [c["alike"] for c in line["candidates"]]
        assert row["probabilities"] == pytest.approx([c["probability"] for c in line["candidates"]], abs=1e-5)
    cells = list(csv.DictReader(io.StringIO((tmp_path / "rows.csv").read_text(encoding="utf-8"))))
    assert list(cells[0])[7:] == ["character_1", "probability_1", "alike_1", "character_2", "probability_2", "alike_2"]
    for row, line in zip(cells, lines, strict=True):
        words = {None: "", True: "true", False: "false"}
        assert [row[n] for n in facts] == [
            words[v] if v is None or isinstance(v, bool) else str(v) for v in (line[n] for n in facts)
        ]
        shown = [row[f"character_{n}"] for n in (1, 2) if row[f"character_{n}"]]
        assert shown == [c["character"] for c in line["candidates"]]


def test_a_bad_picture_is_a_row_with_its_error(folder: Path, options: Options, tmp_path: Path) -> None:
    rows = read(tmp_path, options, folder)
    assert [Path(row["file"]).relative_to(folder).as_posix() for row in rows] == [
        "a.png",
        "b/1.png",
        "b/2.png",
        "c.png",
        "d.png",
        "e.png",
    ]
    assert [row["character"] for row in rows] == ["一", "丨", "十", None, None, "一"]
    blank, damaged = rows[3:5]
    assert (blank["refused"], blank["reason"], blank["error"]) == (True, "blank", None)
    assert (damaged["refused"], damaged["reason"], damaged["candidates"]) == (None, None, [])
    assert damaged["error"].startswith("damaged PNG")


def test_a_fault_of_hanmo_is_a_row_with_its_error(
    folder: Path, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(picture: object) -> None:
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr("hanmo.bulk.work.load", fail)
    rows = read(tmp_path, options, folder)
    assert {row["error"] for row in rows} == {"hanmo failed on this picture (ZeroDivisionError: by chance); report it"}


@pytest.mark.parametrize(("kept", "read_before"), [(0.5, COUNT // 2 - 1), (0.0, 0)])
def test_a_damaged_gnt_gives_what_comes_before_the_damage(
    gnt: Path, folder: Path, options: Options, tmp_path: Path, kept: float, read_before: int
) -> None:
    data = gnt.read_bytes()
    cut = tmp_path / "cut.gnt"
    cut.write_bytes(data[: int(len(data) * kept) - 1 if kept else 0])
    rows = read(tmp_path, options, cut, folder) if kept else read(tmp_path, options, folder, cut)
    own = [row for row in rows if row["file"] == str(cut)]
    assert len(rows) == len(own) + 6, "the other files are read"
    assert [row["sample"] for row in own] == list(range(1, read_before + 2))
    assert [row["error"] for row in own[:-1]] == [None] * read_before
    assert own[-1]["error"].endswith("the rest of this file is not read")
    assert str(cut) not in own[-1]["error"]


def test_gnt_files_of_a_folder_and_compressed_ones(gnt: Path, options: Options, tmp_path: Path) -> None:
    from hanmo.data.gnt import write_gnt

    (tmp_path / "in").mkdir()
    few = list(read_gnt(gnt))[:5]
    write_gnt(tmp_path / "in" / "1001-c.gnt.xz", few)
    write_gnt(tmp_path / "in" / "1002-c.gnt", few)
    assert Source([tmp_path / "in" / "1002-c.gnt"]).count == 5
    assert Source([tmp_path / "in"]).count is None
    rows = read(tmp_path, options, tmp_path / "in")
    assert [(Path(row["file"]).name, row["sample"]) for row in rows] == [
        (name, n) for name in ("1001-c.gnt.xz", "1002-c.gnt") for n in range(1, 6)
    ]


def test_without_pyarrow_only_parquet_is_refused(
    folder: Path, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "in.parquet").touch()
    with pytest.raises(InstallationError, match=r"hanmo\[parquet\]"):
        read_in_bulk(Source([folder]), tmp_path / "rows.parquet", options)
    with pytest.raises(InstallationError, match=r"hanmo\[parquet\]"):
        Source([tmp_path / "in.parquet"])
    assert len(read(tmp_path, options, folder)) == 6


@pytest.mark.parametrize("name", ["rows.txt", "rows", "."])
def test_other_names_of_results_are_refused(name: str, folder: Path, options: Options, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"name a file that ends in \.parquet"):
        read_in_bulk(Source([folder]), tmp_path / name, options)


def test_among(folder: Path, options: Options, tmp_path: Path) -> None:
    rows = read(tmp_path, Options(bundle=options.bundle, top=5, among="丨一"), folder)
    assert {c["character"] for row in rows for c in row["candidates"]} == {"丨", "一"}


def test_a_gpu_that_is_not_there_is_refused(folder: Path, options: Options, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="not CUDAExecutionProvider; it needs an NVIDIA GPU"):
        read_in_bulk(Source([folder]), tmp_path / "rows.csv", Options(bundle=options.bundle, device="cuda"))
    assert not list(tmp_path.glob(".*"))


def test_the_way_over_a_gpu_gives_the_same_rows(
    gnt: Path, folder: Path, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes normalise and one net reads; here this net is on the CPU."""
    expected = read(tmp_path, options, folder, gnt)
    batches: list[int] = []
    predict = Recognizer.predict

    def noting(self: Recognizer, squares: Any, *args: Any, **more: Any) -> list[Prediction]:
        batches.append(len(squares))
        return predict(self, squares, *args, **more)

    monkeypatch.setattr(Options, "open", lambda self: Recognizer(self.bundle))
    monkeypatch.setattr(Recognizer, "predict", noting)
    on_gpu = Options(bundle=options.bundle, top=2, device="cuda")
    read_in_bulk(Source([folder, gnt]), tmp_path / "gpu.jsonl", on_gpu, processes=2)
    assert rows_of(tmp_path / "gpu.jsonl") == expected
    assert max(batches) > 3 * BATCH, "batches for a GPU are large"


def test_a_picture_with_damaged_metadata_warns_nobody(
    options: Options, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    Image.new("L", (40, 40), 255).save(tmp_path / "a.tif")
    assert read(tmp_path, options, tmp_path / "a.tif")[0]["reason"] == "blank"
    assert not recwarn.list
