"""The characters behind the classes of a reader: the members of a group of look-alikes share one class."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from hanmo.charset.charset import Charset
from hanmo.charset.named import select
from hanmo.errors import CharsetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def check_groups(charset: Charset, groups: Mapping[str, str]) -> Charset:
    """The characters of ``charset``, then all other members of ``groups``: what a reader with these classes can name.

    ``groups`` maps the character of a class to the members of its group, the class's own character first. Raises
    :class:`CharsetError` for a group of no class, for members that do not start with the class's character, and for a
    character that occurs twice, as a class or as a member.
    """
    for character, members in groups.items():
        if character not in charset:
            raise CharsetError(f"groups: {character!r} is no class of this charset of {len(charset)} characters")
        if members[:1] != character:
            raise CharsetError(f"groups: the members of {character!r} must start with it, not {members!r:.60}")
    try:
        return Charset((*charset, *(member for members in groups.values() for member in members[1:])))
    except CharsetError as error:
        raise CharsetError(f"groups: {error}") from error


class Choice:
    """The classes that an answer may come from, and their names.

    ``classes`` are int64 (K,), ascending; None means all.
    """

    classes: NDArray[np.int64] | None = None

    def __init__(self, charset: Charset, groups: Mapping[str, str]) -> None:
        self._charset, self._groups = charset, groups

    def name(self, position: int) -> tuple[str, str]:
        """The character of ``classes[position]``, and the other members of its class that may be answered."""
        character = self._charset[position]
        return character, self._groups.get(character, "")[1:]


class _ChoiceAmong(Choice):
    """A choice among some characters: a class is named by the first of its members that is one of them."""

    def __init__(self, known: Charset, classes: NDArray[np.int64], asked: NDArray[np.int64]) -> None:
        import numpy as np

        asked = np.unique(asked)
        # Sorted by class. The sort is stable, so the members of a class stay in the order of their group.
        self._asked = asked[np.argsort(classes[asked], kind="stable")]
        self.classes, starts = np.unique(classes[self._asked], return_index=True)
        # Choices are cached and shared.
        self.classes.setflags(write=False)
        self._known, self._bounds = known, [*starts.tolist(), len(asked)]

    def name(self, position: int) -> tuple[str, str]:
        first, end = self._bounds[position : position + 2]
        character, *others = (self._known[i] for i in self._asked[first:end].tolist())
        return character, "".join(others)


class Members:
    """The characters that a reader can name, and how a choice among some of them restricts its classes.

    ``groups`` is as for :func:`check_groups`.
    """

    def __init__(self, charset: Charset, groups: Mapping[str, str]) -> None:
        import numpy as np

        self.known = check_groups(charset, groups)
        self.all = Choice(charset, groups)
        # The class of each character of ``known``: the charset's own come first, then the members group by group.
        of_members = [charset.index(character) for character, members in groups.items() for _ in members[1:]]
        self._classes = np.concatenate([np.arange(len(charset)), np.array(of_members, np.int64)])

    def among(self, among: Collection[str]) -> Choice:
        """The choice among the characters that ``among`` means (:func:`hanmo.charset.select`, with its errors)."""
        return _ChoiceAmong(self.known, self._classes, self.known.encode(select(among, self.known)))

    def class_of(self, character: str) -> int:
        """The class of a character or member; raises :class:`CharsetError` for one that the reader does not know."""
        return int(self._classes[self.known.index(character)])

    def encode(self, labels: Collection[str]) -> NDArray[np.int64]:
        """The classes of many labels, int64 (N,), as :meth:`class_of`; every unknown label is in one error."""
        encoded: NDArray[np.int64] = self._classes[self.known.encode(list(labels))]
        return encoded
