from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hanmo.atomic import replacing, write_whole, writing
from hanmo.errors import StorageError


def refuse(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_written_with_the_folders_above_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b" / "file", b"one")
    write_whole(tmp_path / "a" / "b" / "file", b"two")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"two"
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["file"]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_full_disk_is_named_and_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    write_whole(tmp_path / "file", b"old")
    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[moment], refuse)
    with pytest.raises(StorageError, match=r"file: cannot be written \(No space left on device\); free space or"):
        write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_bytes_are_on_the_disk_before_they_have_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append((tmp_path / "file").exists()))
    write_whole(tmp_path / "file", b"x")
    assert synced == [False]


def test_a_folder_replaces_a_folder_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").touch()
    with replacing(tmp_path / "set") as partial:
        partial.mkdir()
        (partial / "new").touch()
        assert (tmp_path / "set" / "old").exists()
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["set", "set/new"]


def test_a_folder_that_cannot_take_its_place_gives_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").touch()
    move = Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, to: refuse() if "partial" in path.name else move(path, to))
    with pytest.raises(StorageError, match="set: cannot be written"), replacing(tmp_path / "set") as partial:
        partial.mkdir()
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["set", "set/old"]


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "the source cannot be read"), KeyboardInterrupt()])
def test_a_failure_of_the_block_passes_as_it_is(tmp_path: Path, failure: BaseException) -> None:
    def write_half(target: Path) -> None:
        with replacing(target) as partial, writing(partial, target) as write:
            write(b"half")
            raise failure

    with pytest.raises(type(failure)) as caught:
        write_half(tmp_path / "file")
    assert caught.value is failure
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    with replacing(tmp_path / "file") as partial:
        partial.touch()
    partial.mkdir()
    (partial / "half").touch()
    write_whole(tmp_path / "file", b"whole")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_place_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        write_whole(tmp_path / "file" / "below", b"")
