"""Sources at addresses, over fsspec; ``file://`` stands for an object store."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hanmo.bulk import Options, Source, read_in_bulk
from hanmo.bulk.sources import items_of
from hanmo.errors import DataError, InstallationError, RunError


def rows(tmp_path: Path, options: Options, *inputs: str | Path) -> list[dict[str, Any]]:
    out = tmp_path / "rows.jsonl"
    read_in_bulk(Source(inputs), out, options, processes=1)
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    out.unlink()
    return [row | {"file": Path(row["file"].removeprefix("file://")).name} for row in found]


@pytest.fixture
def mixed(folder: Path, gnt: Path) -> Path:
    """The pictures of ``folder``, a ``.gnt`` file and a damaged one."""
    data = gnt.read_bytes()
    (folder / "b" / "0-c.gnt").write_bytes(data[:20_000])
    (folder / "f-c.gnt").write_bytes(data[:200_000])
    return folder


def test_a_folder_at_an_address_gives_the_same_rows(mixed: Path, options: Options, tmp_path: Path) -> None:
    here, there = rows(tmp_path, options, mixed), rows(tmp_path, options, mixed.as_uri())
    assert len(here) > 100
    assert [row for row in there if row["error"] is None] == [row for row in here if row["error"] is None]
    assert [row["file"] for row in there] == [row["file"] for row in here]
    assert [bool(row["error"]) for row in there] == [bool(row["error"]) for row in here]


def test_globs_and_files_at_addresses(folder: Path, options: Options, tmp_path: Path) -> None:
    address = folder.as_uri()
    assert [row["file"] for row in rows(tmp_path, options, f"{address}/b/*.png", f"{address}/a.png")] == [
        "1.png",
        "2.png",
        "a.png",
    ]
    picture = (folder / "a.png").read_bytes()
    pq.write_table(pa.table({"picture": [picture, b"no picture"]}), folder / "in.parquet")
    found = rows(tmp_path, options, f"{address}/in.parquet")
    assert [(row["sample"], row["character"]) for row in found] == [(1, "一"), (2, None)]


def test_a_file_that_goes_away_is_a_row_with_its_error(folder: Path, options: Options, tmp_path: Path) -> None:
    source = Source([folder.as_uri()])
    (folder / "a.png").unlink()
    out = tmp_path / "rows.jsonl"
    read_in_bulk(source, out, options, processes=1)
    errors = [json.loads(line)["error"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert errors[0] == "no such file; check the address"
    assert len(errors) == 6


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("file:///nowhere/at/all", "no such file or folder; check the address"),
        ("nostore://bucket/scans", "not a usable address"),
        ("file:///nowhere/*.png", "a folder without pictures"),
    ],
)
def test_addresses_that_name_nothing_are_one_line(address: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        Source([address])
    assert address in str(error.value)


def test_a_store_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(address: str, **options: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(InstallationError, match=r"s3://bucket/scans.*Install s3fs.*hanmo\[ray\]"):
        Source(["s3://bucket/scans"])


def test_a_changed_file_at_an_address_is_noticed(folder: Path, options: Options, tmp_path: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "rows.csv"
    with pytest.raises(KeyboardInterrupt):
        read_in_bulk(Source([folder.as_uri()]), out, options, processes=1, report=stop)
    (folder / "a.png").write_bytes(b"another")
    with pytest.raises(RunError, match="the pictures"):
        read_in_bulk(Source([folder.as_uri()]), out, options, processes=1)


@pytest.mark.parametrize("as_address", [False, True])
def test_pieces_are_the_items_from_any_one_on(mixed: Path, as_address: bool) -> None:
    source = Source([mixed.as_uri() if as_address else mixed])
    names = [(item.file, item.sample) for item in source.items()]
    assert len(names) > 100
    for before in (0, 1, 2, 3, 20, len(names) - 1, len(names)):
        for size in (1, 3, 100):
            pieces = list(source.pieces(before, size))
            assert max(map(len, pieces), default=0) <= size
            found = chain.from_iterable(items_of(piece, None) for piece in pieces)
            assert [(item.file, item.sample) for item in found] == names[before:]
