"""What reading over Ray does before and after Ray, which is replaced here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from hanmo.bulk import Options, Source, read_in_bulk, run
from hanmo.bulk.items import batches
from hanmo.bulk.results import publish
from hanmo.errors import StorageError

pytestmark = pytest.mark.usefixtures("small_batches")


@contextmanager
def nothing(*args: object) -> Iterator[int]:
    """In place of a connection with two cores, and of Ray's settings."""
    yield 2


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """In place of Ray: this process, which works in another folder. The tasks that it gets."""
    tasks: list[Any] = []
    (tmp_path / "elsewhere").mkdir()

    def spread(
        given: Iterable[Any], items_of: Callable[..., Any], work: Any, *, size: int, actors: int, encode: Any
    ) -> list[Any]:
        with monkeypatch.context() as other:
            tasks.extend(given)
            other.chdir(tmp_path / "elsewhere")
            return [encode(work(batch)) for task in tasks for batch in batches(items_of(task), size)]

    def write(tables: list[Any], fs: Any, path: str, out: str) -> None:
        fs.makedirs(path)
        with fs.open(f"{path}/0.parquet", "wb") as file:
            pq.write_table(pa.concat_tables(tables), file)

    monkeypatch.setattr(run, "check_ray", nothing)
    monkeypatch.setattr(run, "connected", nothing)
    monkeypatch.setattr(run, "configured", nothing)
    monkeypatch.setattr(run, "spread", spread)
    monkeypatch.setattr(run, "answers", lambda tables: (row for table in tables for row in table.to_pylist()))
    monkeypatch.setattr(run, "write_parquet", write)
    return tasks


def test_relative_paths_start_from_the_folder_of_the_command(
    elsewhere: list[Any], gnt: Path, folder: Path, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "1001-c.gnt").write_bytes(gnt.read_bytes()[:20_000])
    inputs = ["b", "1001-c.gnt", "./a.png", folder / "c.png"]
    read_in_bulk(Source(inputs), "there.jsonl", options, ray="auto")
    read_in_bulk(Source(inputs), "here.jsonl", options, processes=1)
    assert Path("there.jsonl").read_text() == Path("here.jsonl").read_text()
    files = [json.loads(line)["file"] for line in Path("there.jsonl").read_text().splitlines()]
    assert [files[0], files[2], *files[-2:]] == ["b/1.png", "1001-c.gnt", "./a.png", str(folder / "c.png")]


def test_without_pictures_left_ray_gets_no_task(
    elsewhere: list[Any], gnt: Path, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a run that was stopped between its last row and its end."""

    def stop(results: object, target: Path) -> None:
        raise KeyboardInterrupt

    source, out = Source([gnt]), tmp_path / "rows.csv"
    monkeypatch.setattr(run, "publish", stop)
    with pytest.raises(KeyboardInterrupt):
        read_in_bulk(source, out, options, processes=1)
    monkeypatch.setattr(run, "publish", publish)
    monkeypatch.setattr(run, "spread", None)
    assert read_in_bulk(source, out, options, ray="auto").before == source.count


@pytest.mark.parametrize("method", ["pipe_file", "find"])
def test_a_folder_that_cannot_be_completed_is_one_line(
    elsewhere: list[Any],
    memory: MemoryFileSystem,
    folder: Path,
    options: Options,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    """The mark that it is complete cannot be written, or its files cannot be counted."""

    def fail(*args: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(MemoryFileSystem, method, fail)
    message = r"^memory://x/r.parquet: cannot be completed \(.*denied\); .*remove this folder"
    with pytest.raises(StorageError, match=message):
        read_in_bulk(Source([folder]), "memory://x/r.parquet", options, ray="auto")


def test_a_complete_folder_at_an_address_has_its_mark(
    elsewhere: list[Any], memory: MemoryFileSystem, folder: Path, options: Options
) -> None:
    totals = read_in_bulk(Source([folder]), "memory://x/r.parquet", options, ray="auto")
    assert totals.counts == (4, 1, 1)
    assert memory.exists("/x/r.parquet/_SUCCESS")
