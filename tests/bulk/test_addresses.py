"""Sources at addresses, over fsspec; ``file://`` stands for an object store."""

from __future__ import annotations

import json
import os
import tempfile
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from hanmo.bulk import Options, Source, read_in_bulk
from hanmo.bulk.addresses import Remote, fetch, find, local_copy, shown
from hanmo.bulk.items import name_of
from hanmo.bulk.sources import Piece, items_of
from hanmo.errors import DataError, InstallationError, RunError, StorageError

from .conftest import ending_at


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
        ("file:///nowhere/*.png", "no such file or folder, and no glob that matches pictures"),
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
    with pytest.raises(
        InstallationError, match=r"s3://bucket/scans.*Install s3fs.*; pip install fsspec, and the package"
    ):
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


def test_the_same_path_in_two_stores_is_two_pictures(memory: MemoryFileSystem, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"here")
    memory.pipe_file(str(path), b"there")
    addresses = [path.as_uri(), f"memory://{path}", path.as_uri(), "memory://nowhere.png"]
    *pictures, missing = fetch(addresses)
    assert pictures == [b"here", b"there", b"here"]
    assert "no such file" in str(missing)
    assert [item.picture for item in Source(addresses[:2]).items()] == [b"here", b"there"]


class Servers(MemoryFileSystem):
    """A store whose addresses name a server, as those of sftp do; its paths do not."""

    protocol = "servers"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def __init__(self, host: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.host = host

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        inside = "/" + path.removeprefix("servers://").partition("/")[2] if "://" in path else path
        return inside.rstrip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        return {"host": path.removeprefix("servers://").partition("/")[0]}

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        return f"{self.host}{path}".encode()


def test_the_same_path_on_two_servers_is_two_pictures() -> None:
    fsspec.register_implementation("servers", Servers, clobber=True)
    fsspec.filesystem("servers", host="").pipe_file("/scans/a.png", b"a")
    for inputs in (
        ["servers://one/scans/a.png", "servers://two/scans/a.png"],
        ["servers://one/scans/", "servers://two/scans/*"],
    ):
        items = list(Source(inputs).items())
        assert [item.file for item in items] == ["servers://one/scans/a.png", "servers://two/scans/a.png"]
        assert [item.picture for item in items] == [b"one/scans/a.png", b"two/scans/a.png"]


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("sftp://me:secret@host/scans/a.png", "sftp://me@host/scans/a.png"),
        ("sftp://me@host:22/scans/a@b.png", "sftp://me@host:22/scans/a@b.png"),
        ("s3://bucket/a:b@c.png", "s3://bucket/a:b@c.png"),
        ("scans/a:b@c.png", "scans/a:b@c.png"),
    ],
)
def test_names_of_files_hold_no_password(address: str, named: str) -> None:
    assert name_of(address) == shown(address) == named


def found(address: str) -> list[Remote]:
    return list(find(address, lambda name: name.endswith(".png"), lambda name: False))


def test_a_file_that_changes_and_keeps_its_size_is_noticed(memory: MemoryFileSystem, tmp_path: Path) -> None:
    """Also in a store that names the time as few do."""
    (tmp_path / "a.png").write_bytes(b"a")
    for address, write in (
        ("memory://a.png", lambda: memory.pipe_file("/a.png", b"b")),
        ((tmp_path / "a.png").as_uri(), lambda: os.utime(tmp_path / "a.png", (1, 1))),
    ):
        memory.pipe_file("/a.png", b"a")
        before = found(address)
        assert found(address) == before
        write()
        assert found(address) != before


def test_an_address_may_hold_the_signs_of_a_glob(folder: Path) -> None:
    (folder / "[old]").mkdir()
    picture = (folder / "a.png").rename(folder / "[old]" / "a.png")
    address = f"file://{picture}"
    assert [item.picture for item in Source([address]).items()] == [picture.read_bytes()]
    assert len(list(Source([f"file://{folder}/[old]"]).items())) == 1
    assert len(list(Source([f"file://{folder}/[ab]/1.png"]).items())) == 1, "a glob all the same"


def test_the_signature_of_a_web_address_is_no_suffix(gnt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Web(MemoryFileSystem):
        """As fsspec's file system of the web: its paths are whole addresses."""

        protocol = ("http", "https")

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return path

        def isdir(self, path: str) -> bool:
            return False

        def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
            return {"name": path, "size": None, "type": "file"}

    monkeypatch.setattr("fsspec.core.url_to_fs", lambda address, **options: (Web(), address))
    address = "https://host/1001-c.gnt?signature=a*b/c.d"
    Web().store[address] = fsspec.implementations.memory.MemoryFile(None, address, gnt.read_bytes()[:20_000])
    try:
        items = list(Source([address]).items())
        assert {item.file for item in items} == {address}
        assert [item.sample for item in items][:3] == [1, 2, 3]
        with local_copy(address) as copy:
            assert Path(copy).name == "copy.gnt"
    finally:
        del Web().store[address]


def test_a_full_disk_is_no_damage_of_a_file(gnt: Path, tmp_path: Path) -> None:
    with (
        ending_at(1000),
        pytest.raises(StorageError, match=r"cannot be written \(File too large\); free space, or name another"),
    ):
        list(items_of([Piece(gnt.as_uri())], None))
    with pytest.raises(DataError, match="cannot be fetched"), local_copy((tmp_path / "nowhere.gnt").as_uri()):
        pass


def test_a_temporary_folder_that_is_missing_is_one_line(
    gnt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    for run in (lambda: Source([gnt]), lambda: list(items_of([Piece(gnt.as_uri())], None))):
        with pytest.raises(StorageError, match=r"nowhere: cannot be written \(No such file .*TMPDIR"):
            run()


def test_a_list_that_does_not_fit_on_the_disk_is_one_line(folder: Path) -> None:
    source = Source([folder])
    with ending_at(1), pytest.raises(StorageError, match="cannot be written"):
        next(source.items())
