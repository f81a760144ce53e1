"""Temporary files of reading in bulk: the list of a source, and copies of remote files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from hanmo.errors import StorageError


@contextmanager
def storing_temporarily() -> Iterator[None]:
    """Turn every :class:`OSError` of the block into a :class:`StorageError` that names the temporary folder."""
    folder = "the temporary folder"
    try:
        folder = tempfile.gettempdir()
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{folder}: cannot be written ({reason}); free space, or name another folder by the variable TMPDIR"
        ) from error
