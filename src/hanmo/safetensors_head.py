"""A check of the beginning of a safetensors file, before the library reads it."""

from __future__ import annotations

import errno
import json
from pathlib import Path

from hanmo.files import open_file

MAX_HEAD = 2 * 2**20
"""Bytes of the head; hanmo's own have names of some hundred tensors and at most 30,000 characters. The library takes
100 MB, and uses several times as much memory to read them."""


def check_head(path: Path) -> None:
    """Raise :class:`OSError` for anything but a file, and for a head that is too large or has a key twice."""
    with open_file(path) as file:
        size = int.from_bytes(file.read(8), "little")
        if size > MAX_HEAD:
            raise OSError(errno.EFBIG, f"its head has {size} bytes; at most {MAX_HEAD} are read")
        head = file.read(size)
    try:
        json.loads(head, object_pairs_hook=_unique)
    except KeyError as error:
        raise OSError(errno.EINVAL, f"its head has the key {error.args[0]!r:.60} twice") from error
    except (ValueError, RecursionError):  # damage is left for the library to name
        return


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # Of a key that is there twice, the library would take one tensor and another reader the other.
    table: dict[str, object] = {}
    for name, value in pairs:
        if name in table:
            raise KeyError(name)
        table[name] = value
    return table
