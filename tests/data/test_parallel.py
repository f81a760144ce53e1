"""Files that worker processes read themselves, beside the same files read here."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from hanmo.charset import Charset
from hanmo.data.folder import write_folder
from hanmo.data.gnt import write_gnt
from hanmo.data.parallel import MOST, are_cheap, squares_of_files
from hanmo.data.read import count_bytes, read_samples
from hanmo.errors import GntError
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


def test_only_what_is_cheap_is_read_by_every_worker(home: Path) -> None:
    cheap = [home / "1001-c.gnt", home / "1002.zip"]
    assert are_cheap(cheap, MOST)
    assert not are_cheap(cheap, MOST + 1)
    assert not are_cheap([*cheap, home / "1003-c.gnt.xz"], 2)
    assert not are_cheap([home / "pictures"], 2)
