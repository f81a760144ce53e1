"""Results appear whole or not at all: they are written beside their place and renamed into it.

A killed process leaves its half-written file or folder behind; the next one that writes the same result removes it. To
tell what was left from what is being written, writers hold a lock (``flock``) on the folder around their results. The
system frees it when a process ends, however it ends. Windows has no such lock: there nothing is removed.
"""

from __future__ import annotations

import errno
import glob
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hanmo.errors import ArgumentError, RunError, StorageError
from hanmo.files import is_special

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


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
    partial = _beside(target, os.getpid(), "partial")
    if is_special(target):  # it would be replaced by a file
        raise StorageError(f"{target}: is a pipe or a device; name a file")
    with storing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _writing_beside(target):
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


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Refuse a second process that would write into ``folder``: :class:`RunError`. The folder is made.

    The lock is on the file ``.lock``, which is removed at the end. A killed process leaves the file, but no lock.
    """
    file = folder / ".lock"
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(file)
    if descriptor is None:
        raise RunError(f"{folder}: another process is writing there; wait for its end, or take another folder")
    try:
        yield
    finally:
        # Removed while it is locked, see _locked(). Windows removes no open file: there it stays.
        if fcntl is not None:
            file.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(file: Path) -> int | None:
    """A descriptor of ``file`` that holds its lock; None if another process holds it."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(descriptor):
                os.close(descriptor)
                return None
            # Its last holder may have removed the file after it was opened here; then the lock is one on nothing.
            if file.exists() and os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file for this process alone; False if another process holds it."""
    try:
        if fcntl is None:
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return True
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What file systems without locks answer: results can be written there all the same."""


def _beside(target: Path, process: int | str, kind: str) -> Path:
    # No name that a user would choose, because what a killed process left under such names is removed.
    return target.with_name(f".{target.name}.hanmo-{process}.{kind}")


@contextmanager
def _writing_beside(target: Path) -> Iterator[None]:
    """Show other processes that something is being written in ``target``'s folder; first tidy up if nothing is."""
    if fcntl is None:
        yield
        return
    with storing(target):
        folder = os.open(target.parent, os.O_RDONLY)
    try:
        with storing(target):
            # For this process alone: then no other is writing here, and whatever is half-written was left by a kill.
            if _lock_folder(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
                _tidy(target)
            _lock_folder(folder, fcntl.LOCK_SH)  # waits only while another one tidies up
        yield
    finally:
        os.close(folder)


def _lock_folder(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except OSError as error:
        # EBADF: network file systems that lock only what is open for writing, which a folder cannot be.
        if error.errno in (errno.EWOULDBLOCK, errno.EBADF, *_NO_LOCKS):
            return False
        raise
    return True


def _tidy(target: Path) -> None:
    """Finish or undo what killed processes left of ``target``."""
    for aside in _left(target, "old"):
        # The old folder steps aside only for a complete new one, so the new one may take the place.
        complete = aside.with_suffix(".partial")
        if not target.exists():
            (complete if complete.exists() else aside).replace(target)
        _remove(aside)
    for partial in _left(target, "partial"):
        _remove(partial)


def _left(target: Path, kind: str) -> list[Path]:
    pattern = _beside(Path(glob.escape(target.name)), "[0-9]*", kind).name
    return sorted(target.parent.glob(pattern))


def _move(partial: Path, target: Path) -> None:
    if partial.is_dir():
        for folder, _, _ in os.walk(partial):
            _sync(Path(folder))
    if partial.is_dir() and target.is_dir():
        # A folder cannot be renamed onto a filled one: the old one steps aside and goes only when the new one stands.
        aside = _beside(target, os.getpid(), "old")
        _remove(aside)  # as target stands, this was left by a killed process of the same number
        target.replace(aside)
        try:
            partial.replace(target)
        except OSError:
            aside.replace(target)
            raise
        _sync(target.parent)
        _remove(aside)
    else:
        partial.replace(target)
        _sync(target.parent)


def _sync(folder: Path) -> None:
    """Put a folder's list of names on the disk: without this a power cut may undo a rename, or lose a new file."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that cannot do it for folders say so by this number
            raise
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # it is usually not there: renamed, or never made
            path.unlink()
