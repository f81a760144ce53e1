"""The characters behind the classes of a reader: the members of a group of look-alikes share one class."""

from __future__ import annotations

from collections.abc import Mapping

from hanmo.charset.charset import Charset
from hanmo.errors import CharsetError


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
