"""Reading files whose names and contents come from others.

A pipe blocks until somebody writes, ``/dev/zero`` never ends, and a file may be larger than memory. A name may be too
long for the file system, or hold a zero byte, for which Python raises a ValueError. Here all of these become an
:class:`OSError` with a ``strerror`` for the caller's message.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_file(path: Path) -> BinaryIO:
    """``path`` opened for reading bytes; :class:`OSError` for anything but a file."""
    require_file(path)
    return path.open("rb")


def require_file(path: Path) -> None:
    """Raise :class:`OSError` for a path that is missing or no plain file."""
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "a pipe or a device, not a file")


def read_limited(path: Path, limit: int) -> bytes:
    """The bytes of a file; :class:`OSError` if it is larger than ``limit`` bytes, missing or no plain file."""
    with open_file(path) as file:
        # One byte more than there should be: the file may grow meanwhile. Python sets aside as much as is asked for.
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1) if size <= limit else b""
    if max(size, len(data)) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit / 2**20:.0f} MiB")
    return data


def exists(path: Path) -> bool:
    """Whether there is anything at ``path``; a name that cannot be one is that of nothing."""
    try:
        _mode(path)
    except OSError:
        return False
    return True


def is_folder(path: Path) -> bool:
    """Whether ``path`` is a folder; a name that cannot be one is that of nothing."""
    try:
        return stat.S_ISDIR(_mode(path))
    except OSError:
        return False


def is_special(path: Path) -> bool:
    """Whether ``path`` is a pipe, a socket or a device; writing a result there would replace it."""
    try:
        mode = _mode(path)
    except OSError:
        return False
    return not (stat.S_ISDIR(mode) or stat.S_ISREG(mode))


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except ValueError as error:  # a zero byte in the path
        raise OSError(errno.EINVAL, str(error)) from error
