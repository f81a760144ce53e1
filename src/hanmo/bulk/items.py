"""One picture of a source, and batches of pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import ImageError, printable

Picture: TypeAlias = str | bytes | NDArray[np.uint8] | ImageError
"""A path, the bytes of a picture file, grey levels (H, W), or the reason why there is no picture."""

BATCH_BYTES = 8 * 2**20
"""Bytes of pictures after which a batch ends, so that batches of huge pictures stay small, too."""

_LONGEST_NAME = 1 << 16  # characters; longer than any path
_PASSWORD = re.compile(r"(://[^/@:]*):[^/@]*@")


class Item(NamedTuple):
    """A picture and its name: ``file``, and within a file of many the number ``sample``, from 1.

    ``label`` is the character that the source gives for it, if any.
    """

    file: str
    sample: int | None
    label: str | None
    picture: Picture


def name_of(path: str | Path) -> str:
    """A path as text of one line that can be encoded: line ends and bytes that are not UTF-8 become escapes.

    Of an address, the password is left out.
    """
    return printable(without_password(str(path)), _LONGEST_NAME)


def without_password(address: str) -> str:
    """An address without the password that it may hold for a server, as in ``sftp://user:password@host/scans``."""
    return _PASSWORD.sub(r"\1@", address, count=1)


class HasPicture(Protocol):
    """An :class:`Item`, or something else that goes through a run in batches."""

    @property
    def picture(self) -> Any: ...


Thing = TypeVar("Thing", bound=HasPicture)


def batches(items: Iterable[Thing], size: int) -> Iterator[list[Thing]]:
    """Lists of ``size`` items in their order; fewer where they hold more than :data:`BATCH_BYTES`."""
    batch: list[Thing] = []
    held = 0
    for item in items:
        batch.append(item)
        held += _bytes_of(item.picture)
        if len(batch) == size or held >= BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _bytes_of(picture: Any) -> int:
    if isinstance(picture, np.ndarray):
        return picture.nbytes
    return len(picture) if isinstance(picture, bytes) else 0
