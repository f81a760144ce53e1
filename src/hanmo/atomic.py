"""Results appear whole or not at all: they are written beside their place and renamed into it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hanmo.errors import ArgumentError, StorageError
from hanmo.files import is_special


@contextmanager
def storing(target: Path) -> Iterator[None]:
    """Turn every :class:`OSError` of the block into a :class:`StorageError` that names ``target``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{target}: cannot be written ({reason}); free space or choose another place") from error


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A free path beside ``target``; what the block leaves there becomes ``target``, or vanishes if the block fails.

    For files and folders. A folder already at ``target`` is replaced as a whole; the caller decides beforehand whether
    that is right. Raises :class:`StorageError`.
    """
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    if is_special(target):  # it would be replaced by a file
        raise StorageError(f"{target}: is a pipe or a device; name a file")
    with storing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove(partial)  # a process of the same number may have been killed here
    try:
        yield partial
        with storing(target):
            _move(partial, target)
    finally:
        _remove(partial)


@contextmanager
def writing(path: Path, target: Path) -> Iterator[Callable[[bytes | memoryview], None]]:
    """A function that appends bytes to the new file ``path``, part of ``target``; on the disk when the block ends.

    Raises :class:`StorageError` naming ``target``; errors of the block itself pass as they are.
    """
    with storing(target):
        file = path.open("wb")

    def write(data: bytes | memoryview) -> None:
        with storing(target):
            file.write(data)

    try:
        yield write
        with storing(target):  # a full disk must be noticed before the rename, not after it
            file.flush()
            os.fsync(file.fileno())
    finally:
        with suppress(OSError):  # after a failure the buffer is lost anyway; after success it is empty
            file.close()


def write_whole(target: Path, data: bytes | memoryview) -> None:
    """Make ``data`` the content of the file ``target``: temporary file, fsync, rename. Raises :class:`StorageError`."""
    with replacing(target) as partial, writing(partial, target) as write:
        write(data)


def require_suffix(target: str | Path, *suffixes: str) -> Path:
    """``target`` as a path if a result may be written there: it ends in one of ``suffixes`` and is not a folder.

    Without this check a slip such as ``--report test.gnt`` would overwrite the samples. Raises :class:`ArgumentError`.
    """
    target = Path(target)
    if target.suffix.lower() not in suffixes or target.is_dir():
        raise ArgumentError(f"{target}: cannot be the result's name; name a file that ends in {suffixes[0]}")
    return target


def _move(partial: Path, target: Path) -> None:
    if not (partial.is_dir() and target.is_dir()):
        partial.replace(target)
        return
    # A folder cannot be renamed onto a filled one: the old one steps aside and goes only when the new one stands.
    aside = target.with_name(f"{target.name}.old-{os.getpid()}")
    target.replace(aside)
    try:
        partial.replace(target)
    except OSError:
        aside.replace(target)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # it is usually not there: renamed, or never made
            path.unlink()
