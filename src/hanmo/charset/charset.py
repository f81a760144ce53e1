"""Characters in a fixed order: the meaning of a net's outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from hanmo.errors import CharsetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NAMES_SHOWN = 20


class Charset:
    """An ordered set of characters; class ``i`` of a net is ``charset[i]``.

    Raises :class:`CharsetError` when it is empty or a character occurs twice.
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters: tuple[str, ...] = tuple(characters)
        if not self.characters:
            raise CharsetError("a charset needs at least one character; this one is empty")
        wrong = next((c for c in self.characters if len(c) != 1 or "\ud800" <= c <= "\udfff"), None)
        if wrong is not None:  # half of a surrogate pair cannot be written to a file
            raise CharsetError(f"a charset holds single characters; {wrong!r} is not one")
        if len(self._index) != len(self.characters):
            seen: set[str] = set()
            twice = sorted({c for c in self.characters if c in seen or seen.add(c)})  # type: ignore[func-returns-value]
            raise CharsetError(f"a charset names every character once; twice: {list_characters(twice)}")

    @classmethod
    def level1(cls) -> Charset:
        """The 3,755 characters of GB2312 level 1 in code order (rows 16 to 55), the field's standard classes."""
        return cls(rows_of_gb2312(16, 55))

    @classmethod
    def of_labels(cls, labels: Iterable[str]) -> Charset:
        """The distinct characters of ``labels`` in Unicode order."""
        return cls(sorted(set(labels)))

    @cached_property
    def _index(self) -> dict[str, int]:
        return {c: i for i, c in enumerate(self.characters)}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the characters as UTF-8, hexadecimal: equal digests mean equal classes."""
        return hashlib.sha256(str(self).encode()).hexdigest()

    def index(self, character: str) -> int:
        """The class of ``character``; raises :class:`CharsetError` when it has none."""
        try:
            return self._index[character]
        except KeyError:
            raise CharsetError(f"{character!r} is not among the {len(self)} characters of this charset") from None

    def encode(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """Classes of many labels, int64 (N,); every unknown label is named in one :class:`CharsetError`."""
        import numpy as np  # here, so that the command line can name the sets in its help without loading numpy

        missing = sorted({c for c in labels if c not in self._index})
        if missing:
            raise CharsetError(
                f"{len(missing)} label(s) outside the charset of {len(self)} characters: {list_characters(missing)}"
            )
        return np.fromiter((self._index[c] for c in labels), np.int64, len(labels))

    def __contains__(self, character: object) -> bool:
        return character in self._index

    def __getitem__(self, index: int) -> str:
        return self.characters[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.characters)

    def __len__(self) -> int:
        return len(self.characters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Charset) and self.characters == other.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def __str__(self) -> str:
        return "".join(self.characters)

    def __repr__(self) -> str:
        return f"Charset({len(self)}: {list_characters(self.characters, shown=5)})"


def rows_of_gb2312(first: int, last: int) -> Iterator[str]:
    """The characters of the rows ``first`` to ``last`` of GB2312, in code order; a row has at most 94 cells."""
    for row in range(first, last + 1):
        for cell in range(1, 95):
            # A code is row + 0xA0 and cell + 0xA0. Some cells are empty, such as the last five of level 1 in row 55.
            yield from bytes([row + 0xA0, cell + 0xA0]).decode("gb2312", "ignore")


def list_characters(characters: Sequence[str], shown: int = _NAMES_SHOWN) -> str:
    """The first ``shown`` characters (or names) for a message, with a count of the rest; invisible ones are quoted."""
    head = " ".join(c if c.isprintable() and c.strip() else repr(c) for c in characters[:shown])
    return head if len(characters) <= shown else f"{head} … and {len(characters) - shown} more"
