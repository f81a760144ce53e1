from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hanmo.atomic import replacing, sole_writer, write_whole, writing
from hanmo.errors import RunError, StorageError


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
    assert synced == [False, True], "the file before, the folder after"


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


KILLED = """
import os, sys
from pathlib import Path
from hanmo import atomic

def die(*_):
    os.kill(os.getpid(), 9)

target, moment = Path(sys.argv[1]), sys.argv[2]
with atomic.replacing(target) as partial:
    partial.mkdir()
    (partial / "new").write_bytes(bytes(1000))
    if moment == "writing":
        die()
    if moment == "between":
        move = Path.replace
        Path.replace = lambda path, to: die() if path == partial else move(path, to)
    if moment == "after":
        remove = atomic._remove
        atomic._remove = lambda path: die() if path.suffix == ".old" and path.exists() else remove(path)
"""


def killed(target: Path, moment: str) -> None:
    """A process that replaces ``target`` and is killed at ``moment``."""
    ran = subprocess.run([sys.executable, "-c", KILLED, str(target), moment], timeout=60)
    assert ran.returncode == -9


def replaced(target: Path) -> list[str]:
    """Everything beside ``target`` and in it after another replacement that fails."""
    with pytest.raises(KeyboardInterrupt), replacing(target):
        raise KeyboardInterrupt
    return sorted(p.relative_to(target.parent).as_posix() for p in target.parent.rglob("*"))


def test_partial_folders_of_killed_processes_are_removed_by_the_next(tmp_path: Path) -> None:
    for _ in range(3):
        killed(tmp_path / "set", "writing")
        assert len(list(tmp_path.iterdir())) == 1, "each removes what the one before has left"
    killed(tmp_path / "other", "writing")
    (tmp_path / "set.partial-1").touch()  # a user's own, whatever it is
    left = replaced(tmp_path / "set")
    assert len(left) == 3
    assert left[-1] == "set.partial-1"
    assert all(name.startswith(".other.") for name in left[:-1])


def test_a_kill_between_two_renames_is_mended(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").touch()
    killed(tmp_path / "set", "between")
    assert not (tmp_path / "set").exists()
    assert replaced(tmp_path / "set") == ["set", "set/new"], "the new one was complete"


def test_a_kill_after_both_renames_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").touch()
    killed(tmp_path / "set", "after")
    assert replaced(tmp_path / "set") == ["set", "set/new"]


def test_an_old_folder_without_a_new_one_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".set.hanmo-1.old").mkdir()
    (tmp_path / ".set.hanmo-1.old" / "old").touch()
    assert replaced(tmp_path / "set") == ["set", "set/old"]


@contextmanager
def another_process(block: str, path: Path, inside: str = "pass") -> Iterator[subprocess.Popen[bytes]]:
    """A process that does ``inside`` within ``with BLOCK:`` and stays there until its standard input is closed."""
    code = (
        "import sys; from pathlib import Path; from hanmo.atomic import replacing, sole_writer\n"
        f"path = Path(sys.argv[1])\nwith {block}: {inside}; print('there', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield other


def test_what_others_are_writing_is_left_alone(tmp_path: Path) -> None:
    with another_process("replacing(path) as partial", tmp_path / "set", "partial.touch()") as other:
        assert other.stdin is not None
        write_whole(tmp_path / "set", b"mine")
        assert len(list(tmp_path.iterdir())) == 2
        other.stdin.close()
    assert [p.name for p in tmp_path.iterdir()] == ["set"]
    assert (tmp_path / "set").read_bytes() == b""


def test_the_folder_is_synced_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        os,
        "fsync",
        lambda d: synced.append((Path(f"/proc/self/fd/{d}").readlink().name, (tmp_path / "set").exists())),
    )
    with replacing(tmp_path / "set") as partial:
        partial.mkdir()
    assert synced == [(partial.name, False), (tmp_path.name, True)]


def test_a_second_writer_is_refused_and_a_crash_leaves_no_lock(tmp_path: Path) -> None:
    with another_process("sole_writer(path)", tmp_path / "run") as other:
        with pytest.raises(RunError, match="run: another process is writing there"), sole_writer(tmp_path / "run"):
            pass
        other.kill()
    assert (tmp_path / "run" / ".lock").exists()
    with sole_writer(tmp_path / "run"), pytest.raises(RunError), sole_writer(tmp_path / "run"):
        pass
    assert not list((tmp_path / "run").iterdir())
