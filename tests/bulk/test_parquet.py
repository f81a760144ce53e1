"""Parquet files as sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hanmo.bulk import Options, Source
from hanmo.errors import DataError

from .conftest import read


def table_of(folder: Path) -> dict[str, list[Any]]:
    pictures = [(folder / name).read_bytes() for name in ("a.png", "b/1.png", "d.png")]
    return {"label": ["一", "丨", None, "十"], "picture": [*pictures, None]}


@pytest.mark.parametrize("nested", [False, True])
def test_parquet_as_a_source(folder: Path, options: Options, tmp_path: Path, nested: bool) -> None:
    columns = table_of(folder)
    if nested:  # as the library datasets writes pictures
        columns["picture"] = [{"bytes": picture, "path": None} for picture in columns["picture"]]
        columns["path"] = ["a", "b", "c", "d"]
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=3)
    assert Source([path]).count == 4
    rows = read(tmp_path, options, path)
    assert [row["sample"] for row in rows] == [1, 2, 3, 4]
    assert [row["label"] for row in rows] == ["一", "丨", None, "十"]
    assert [row["character"] for row in rows] == ["一", "丨", None, None]
    assert rows[2]["error"].startswith("damaged PNG")
    assert rows[3]["error"] == "this row has no picture"


def test_the_column_of_pictures_is_named_where_there_are_several(
    folder: Path, options: Options, tmp_path: Path
) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table(table_of(folder) | {"small": [b"1"] * 4}), path)
    with pytest.raises(DataError, match=r"2 columns of bytes \(picture, small\).*--column"):
        Source([path])
    with pytest.raises(DataError, match="no column 'label' of bytes; columns of bytes: picture, small"):
        Source([path], column="label")
    assert [row["character"] for row in read(tmp_path, options, path, column="picture")][:2] == ["一", "丨"]
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        Source([path])


def test_a_damaged_parquet_gives_what_comes_before_the_damage(folder: Path, options: Options, tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    picture = (folder / "a.png").read_bytes()
    table = pa.table({"picture": [picture + bytes([n]) for n in range(200)]})
    pq.write_table(table, path, row_group_size=100, compression="zstd", use_dictionary=False)
    start = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 64] = bytes(64)
    path.write_bytes(data)
    rows = read(tmp_path, options, path)
    assert [row["character"] for row in rows] == ["一"] * 100 + [None]
    assert rows[-1]["error"].endswith("the rest of this file is not read")
