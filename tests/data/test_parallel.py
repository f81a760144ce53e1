"""Files that worker processes read themselves, beside the same files read here."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from typer.testing import CliRunner

from hanmo.charset import Charset
from hanmo.cli.main import app
from hanmo.data.folder import write_folder
from hanmo.data.gnt import write_gnt
from hanmo.data.parallel import MAX_WORKERS, can_be_read_by_each, squares_of_files
from hanmo.data.read import count_bytes, read_samples
from hanmo.data.squares import normalized
from hanmo.errors import DataError, GntError, WorkerError
from hanmo.normalize import Normalization

SQUARE = Normalization(side=16, margin=1)


@pytest.fixture
def home(tmp_path: Path, draw) -> Path:
    """Two files, an archive of the second one, and others that are not cheap to read."""
    write_gnt(tmp_path / "1001-c.gnt", draw("一丁七" * 100, blank=(5, 299)))
    write_gnt(tmp_path / "1002-c.gnt", draw("丁万" * 200, seed=1))
    with zipfile.ZipFile(tmp_path / "1002.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "1002-c.gnt", "1002-c.gnt")
    write_gnt(tmp_path / "1003-c.gnt.xz", draw("一"))
    write_folder(tmp_path / "pictures", draw("万"))
    return tmp_path


def test_samples_are_those_of_reading_here(home: Path) -> None:
    inputs = [home / "1001-c.gnt", home / "1002.zip"]
    moved: list[int] = []
    squares = list(squares_of_files(inputs, SQUARE, Charset("一丁七"), 2, moved.append))
    samples = list(read_samples(inputs))
    assert [(s.label, s.source, s.writer) for s in squares] == [(s.label, s.source, s.writer) for s in samples]
    assert len(squares) == 700
    for number, (square, sample) in enumerate(zip(squares, samples, strict=True)):
        if number in (5, 299) or sample.label == "万":
            assert not square.image.size  # blank, or outside the charset
        else:
            np.testing.assert_array_equal(square.image, SQUARE(sample.image))
    assert sum(moved) == count_bytes(inputs)


def test_damage_is_an_error_where_it_is_reached(home: Path) -> None:
    file = home / "1002-c.gnt"
    file.write_bytes(file.read_bytes()[:-1])
    squares = squares_of_files([home / "1001-c.gnt", file], SQUARE, None, 1)
    assert "".join(next(squares).label for _ in range(300)) == "一丁七" * 100
    with pytest.raises(GntError, match=r"1002-c.gnt.*truncated") as caught:
        list(squares)
    assert caught.value.offset > 0


def test_a_file_that_changes_is_an_error(home: Path, draw) -> None:
    inputs = [home / "1001-c.gnt", home / "1002-c.gnt"]
    squares = squares_of_files(inputs, SQUARE, None, 1)
    write_gnt(home / "other.gnt", draw("丁万" * 200, seed=2))
    next(squares)
    (home / "other.gnt").replace(inputs[1])
    with pytest.raises(DataError, match=r"1002-c\.gnt: changed while it was read; pack again"):
        list(squares)


def test_a_worker_that_ends_by_itself_is_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hanmo.data.parallel._answer", os._exit)
    with pytest.raises(WorkerError, match=r"a worker process ended by itself, .* fewer --workers"):
        list(squares_of_files([home / "1001-c.gnt"], SQUARE, None, 1))
    with pytest.raises(WorkerError, match="a worker process ended by itself"):
        list(normalized(read_samples([home / "1001-c.gnt"]), _ending, 1))


def _ending(image: object) -> NoReturn:
    os._exit(1)


def test_a_mapping_is_read_whatever_the_number_of_workers(home: Path) -> None:
    arguments = ["data", "pack", str(home / "1001-c.gnt"), "--out", str(home / "pack"), "--workers", "1"]
    result = CliRunner().invoke(app, [*arguments, "--mapping", str(home / "nothing.csv")])
    assert result.exit_code != 0
    assert "nothing.csv: cannot be read" in result.output


def test_only_what_is_cheap_is_read_by_every_worker(home: Path) -> None:
    cheap = [home / "1001-c.gnt", home / "1002.zip"]
    assert can_be_read_by_each(cheap, MAX_WORKERS)
    assert not can_be_read_by_each(cheap, MAX_WORKERS + 1)
    assert not can_be_read_by_each([*cheap, home / "1003-c.gnt.xz"], 2)
    assert not can_be_read_by_each([home / "pictures"], 2)
