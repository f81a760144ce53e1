"""Chunks give the pictures of a source, in any part."""

from __future__ import annotations

import errno
import lzma
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hanmo.bulk import Source
from hanmo.bulk.chunks import OfGnt, OfParquet
from hanmo.bulk.items import Item

from .conftest import COUNT


def as_text(item: Item) -> str:
    picture = item.picture
    content = picture.tobytes() if isinstance(picture, np.ndarray) else picture
    return repr((*item[:3], str(content)))


@pytest.fixture
def mixed(folder: Path, gnt: Path, tmp_path: Path) -> list[Path]:
    packed = tmp_path / "1002-c.gnt.xz"
    packed.write_bytes(lzma.compress(gnt.read_bytes()))
    table = pa.table({"picture": [b"%d" % n for n in range(200)], "label": ["一"] * 200})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=90)
    return [folder, gnt, packed, tmp_path / "in.parquet", folder / "a.png"]


@pytest.mark.parametrize("before", [0, 1, 6, 100, 415, 417, 827, 1000, 1027])
def test_chunks_are_the_pictures_of_the_source(mixed: list[Path], before: int) -> None:
    source = Source(mixed)
    chunks = [pickle.loads(pickle.dumps(chunk)) for chunk in source.chunks(before, 70)]
    for chunk in chunks:
        assert len(chunk.items()) == chunk.count <= 70
    found = [as_text(item) for chunk in chunks for item in chunk.items()]
    assert found == [as_text(item) for item in source.items()][before:]
    kinds = {type(chunk) for chunk in chunks}
    assert before > 100 or {OfGnt, OfParquet} < kinds


@pytest.mark.parametrize(
    "damage",
    ["whole", "half a header", "half a picture", "a size", "a tag", "too large", "more behind", "no pixels"],
)
def test_damage_is_a_row_with_the_place(gnt: Path, tmp_path: Path, damage: str) -> None:
    data = bytearray(gnt.read_bytes())
    record = len(data) // COUNT
    at = 100 * record
    match damage:
        case "half a header":
            del data[at + 5 :]
        case "half a picture":
            del data[at + record // 2 :]
        case "a size":
            data[at] ^= 1
        case "a tag":
            data[at + 4 : at + 6] = b"\xff\xff"
        case "too large":
            data[at : at + 10] = (2**32 - 1).to_bytes(4, "little") + b"\xb0\xa1\xff\xff\xff\xff"
        case "more behind":
            data += b"\0\0\0"
        case "no pixels":
            data[at : at + 10] = (10).to_bytes(4, "little") + b"\xb0\xa1\0\0\0\0"
    path = tmp_path / "damaged.gnt"
    path.write_bytes(data)
    source = Source([path])
    chunks = list(source.chunks(0, 64))
    items = [as_text(item) for chunk in chunks for item in chunk.items()]
    assert items == [as_text(item) for item in source.items()]
    assert len(items) == sum(chunk.count for chunk in chunks)
    assert ("not read" in items[-1]) == (damage != "whole")


def test_a_file_that_cannot_be_opened_is_a_row(gnt: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.gnt"
    path.write_bytes(gnt.read_bytes())
    source = Source([path])
    path.unlink()
    (item,) = [item for chunk in source.chunks(0, 64) for item in chunk.items()]
    assert "cannot be read" in str(item.picture)


class BadDisk:
    """A file of which only the first ``good`` bytes can be read."""

    def __init__(self, file: Any, good: int) -> None:
        self.file, self.good = file, good

    def __enter__(self) -> BadDisk:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def read(self, size: int) -> bytes:
        if self.file.tell() + size > self.good:
            raise OSError(errno.EIO, "Input/output error")
        return bytes(self.file.read(size))


def test_a_disk_that_fails_in_this_process_alone_is_a_row(gnt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A worker that opens the file later reads it without an error.
    source = Source([gnt])
    expected = [as_text(item) for item in source.items()]
    record = gnt.stat().st_size // COUNT
    monkeypatch.setattr("hanmo.data.gnt._BLOCK", 100 * record)
    with monkeypatch.context() as patched:
        patched.setattr("hanmo.data.gnt.open_file", lambda path: BadDisk(path.open("rb"), 100 * record))
        chunks = list(source.chunks(0, 64))
    items = [item for chunk in chunks for item in chunk.items()]
    assert [as_text(item) for item in items[:100]] == expected[:100]
    (rest,) = items[100:]
    assert rest.sample == 101
    reason = "cannot be read (Input/output error); check the disk; the rest of this file is not read"
    assert str(rest.picture) == reason


def test_a_file_that_this_process_alone_cannot_open_is_a_row(gnt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    source = Source([gnt])
    with monkeypatch.context() as patched:
        patched.setattr("hanmo.data.gnt.open_file", full)
        chunks = list(source.chunks(0, 64))
    (item,) = [item for chunk in chunks for item in chunk.items()]
    assert item.sample == 1
    assert str(item.picture).startswith("cannot be read (Too many open files)")


def test_a_file_whose_pictures_cannot_be_counted_has_no_count(gnt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hanmo.bulk.containers.open_file", lambda path: BadDisk(path.open("rb"), 100))
    assert Source([gnt]).count is None


def test_damaged_parquet(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"picture": [bytes([n]) * 3000 for n in range(200)]}), path, row_group_size=50)
    facts = pq.read_metadata(path).row_group(2).column(0)
    data = bytearray(path.read_bytes())
    start = facts.dictionary_page_offset or facts.data_page_offset
    data[start : start + facts.total_compressed_size] = bytes(facts.total_compressed_size)
    path.write_bytes(data)
    source = Source([path])
    items = [as_text(item) for chunk in source.chunks(0, 64) for item in chunk.items()]
    assert items == [as_text(item) for item in source.items()]
    assert len(items) == 101
    assert "not read" in items[-1]
