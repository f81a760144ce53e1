"""Files of many pictures that are hostile, damaged or odd."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hanmo.bulk import Source, containers
from hanmo.bulk.containers import count_gnt, count_parquet, gnt_items, parquet_items
from hanmo.errors import DataError, ImageError, InstallationError
from hanmo.image import MAX_BYTES


def stored(tmp_path: Path, columns: dict[str, Any], **options: Any) -> str:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table(columns), path, **({"compression": "zstd"} | options))
    return str(path)


def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of every batch that is decoded from now on."""
    found: list[int] = []
    plain = pq.ParquetFile.iter_batches

    def noting(file: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        for batch in plain(file, *args, **kwargs):
            found.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noting)
    return found


def test_a_row_group_that_unpacks_to_much_more_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = sizes(monkeypatch)
    bomb = pa.table({"picture": [bytes(6 << 20)] * 12})
    path = tmp_path / "in.parquet"
    with pq.ParquetWriter(path, bomb.schema, compression="zstd", use_dictionary=False) as writer:
        writer.write_table(pa.table({"picture": [b"a", b"b"]}))
        writer.write_table(bomb)
        writer.write_table(pa.table({"picture": [b"c"]}))
    first, second, refused, last = parquet_items(str(path), None)
    assert (first.picture, second.picture, last.sample, last.picture) == (b"a", b"b", 15, b"c")
    assert refused.sample == 3
    assert "that unpack to 72 MiB; 12 rows from here on are not read" in str(refused.picture)
    assert decoded == [2, 1]


def test_a_row_group_of_pictures_that_are_too_large_is_one_row(tmp_path: Path) -> None:
    path = stored(tmp_path, {"picture": [bytes(MAX_BYTES + 1)]}, use_dictionary=False)
    (refused,) = parquet_items(path, None)
    assert str(refused.picture).startswith("rows of 16 MiB; at most 16 are read")


def test_large_pictures_are_decoded_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = sizes(monkeypatch)
    path = stored(tmp_path, {"picture": [bytes([n]) * (3 << 20) for n in range(5)]}, use_dictionary=False)
    assert [item.picture for item in parquet_items(path, None)] == [bytes([n]) * (3 << 20) for n in range(5)]
    assert decoded == [2, 2, 1]


@pytest.mark.parametrize("nested", [False, True])
def test_rows_that_copy_a_large_word_of_a_dictionary_are_decoded_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    """The dictionary is stored once, but decoded into every row."""
    decoded = sizes(monkeypatch)
    picture = bytes(6 << 20)
    path = stored(tmp_path, {"picture": [{"bytes": picture} if nested else picture] * 20})
    tracemalloc.start()
    assert all(item.picture == picture for item in parquet_items(path, None))
    assert tracemalloc.get_traced_memory()[1] < 4 * len(picture)
    tracemalloc.stop()
    assert decoded == [1] * 20


def test_small_pictures_are_decoded_many_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = sizes(monkeypatch)
    path = stored(tmp_path, {"picture": [bytes([n]) * 1000 for n in range(100)], "label": ["一"] * 100})
    assert len(list(parquet_items(path, None))) == 100
    assert decoded == [64, 36]


def test_a_picture_that_is_too_large_costs_its_row_alone(tmp_path: Path) -> None:
    path = stored(tmp_path, {"picture": [b"a", bytes(MAX_BYTES + 1), b"c"]})
    first, large, last = parquet_items(path, None)
    assert (first.picture, last.picture) == (b"a", b"c")
    assert str(large.picture) == "the picture is larger than 16 MiB; save a smaller one"


def test_a_label_that_is_not_utf8_costs_the_label_alone(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff\xfe", "一".encode()], pa.binary()).buffers())
    path = stored(tmp_path, {"picture": [b"a", b"b"], "label": bad})
    assert [(item.label, item.picture) for item in parquet_items(path, None)] == [(None, b"a"), ("一", b"b")]


@pytest.mark.parametrize(
    "labels",
    [
        pa.array(["一", None, "丨"], pa.large_string()),
        pa.array(["一", None, "丨"]).dictionary_encode(),
        pa.array(["一", None, "丨"], pa.large_string()).dictionary_encode(),
    ],
)
def test_labels_of_every_kind_of_text(tmp_path: Path, labels: pa.Array) -> None:
    path = stored(tmp_path, {"picture": [b"a"] * 3, "label": labels})
    assert [item.label for item in parquet_items(path, None)] == ["一", None, "丨"]


@pytest.mark.parametrize("name", ["picture", "label"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    columns = {"picture": pa.array([b"a"]), "label": pa.array(["一"])}
    names = [*columns, name]
    path = tmp_path / "in.parquet"
    pq.write_table(pa.Table.from_arrays([*columns.values(), columns[name]], names=names), path)
    with pytest.raises(DataError, match=f"several columns are called '{name}'"):
        count_parquet(path, "picture")
    (item,) = parquet_items(str(path), "picture")
    assert "several columns" in str(item.picture)


@pytest.mark.parametrize("error", [ValueError("bad"), KeyError("bad"), pa.ArrowInvalid("bad")])
def test_errors_while_rows_are_read_are_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*args: object, **kwargs: object) -> bytes:
        raise error

    path = stored(tmp_path, {"picture": [b"a", b"b"]})
    with monkeypatch.context() as patched:
        patched.setattr(containers, "_picture", fail)
        items = list(parquet_items(path, None))
    assert [item.sample for item in items] == [1, 2]
    assert all("this row cannot be read" in str(item.picture) for item in items)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", fail)
    (item,) = parquet_items(path, None)
    assert isinstance(item.picture, ImageError)
    assert "the rest of this file is not read" in str(item.picture)


@pytest.mark.parametrize("error", [pa.ArrowMemoryError("malloc failed"), InstallationError("fsspec")])
def test_faults_of_the_machine_are_no_damage_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    path = stored(tmp_path, {"picture": [b"a"]})
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", fail)
    with pytest.raises(type(error)):
        list(parquet_items(path, None))
    monkeypatch.setattr(pq, "ParquetFile", fail)
    with pytest.raises(type(error)):
        count_parquet(path, None)


def test_a_gnt_file_that_cannot_be_opened_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "gone-c.gnt").symlink_to(tmp_path / "nowhere")
    assert count_gnt(tmp_path / "gone-c.gnt") is None
    (item,) = gnt_items(str(tmp_path / "gone-c.gnt"))
    assert "cannot be read" in str(item.picture) or "no such file" in str(item.picture)
    (tmp_path / "one.gnt").write_bytes(struct.pack("<I", 20) + bytes(16))
    assert count_gnt(tmp_path / "one.gnt") == 1


def test_zip_archives_of_gnt_files(gnt: Path, folder: Path) -> None:
    data = gnt.read_bytes()
    size = struct.unpack("<I", data[:4])[0]
    with zipfile.ZipFile(folder / "hwdb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("hwdb/1001-c.gnt", data[: 2 * size])
        archive.writestr("hwdb/1002-c.gnt", data[:size] + b"damaged")
    for name in (f"{folder}/hwdb.zip", f"{folder}/*.zip", f"{folder.as_uri()}/*.zip"):
        source = Source([name])
        assert source.count is None
        *good, damaged = source.items()
        assert [(item.file.removeprefix("file://"), item.sample, item.label) for item in good] == [
            (f"{folder}/hwdb.zip", number, label) for number, label in enumerate("一丨一", start=1)
        ]
        assert str(damaged.picture).startswith("hwdb/1002-c.gnt: byte ")
        assert damaged.sample == 4
    assert Source([folder]).count == 6, "archives are not looked for in folders"
