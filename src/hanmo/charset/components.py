"""The components (radicals) of Chinese characters, from a packaged table; NOTICE names its origin and licence.

``dev/pack_components.py`` makes the table and says where a character is no longer taken apart.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from hanmo.errors import InstallationError, one_line

_CHARACTERS = 7_838
"""Characters in the table."""


def components_of(character: str) -> tuple[str, ...]:
    """The components of a character, each once: ``("氵", "十", "口", "月")`` of 湖.

    A character that the table lacks is its own only component: 十, and every sign that is no Chinese character. Raises
    :class:`InstallationError` for a damaged table.
    """
    return tuple(_table().get(character, character))


@cache
def _table() -> dict[str, str]:
    path = files("hanmo.charset") / "components.txt"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InstallationError(f"{path}: cannot be read ({one_line(error)}); install hanmo again") from error
    # The lines about the origin end with an empty line.
    rows = text.partition("\n\n")[2].splitlines()
    if len(rows) != _CHARACTERS or any(len(row) < 2 for row in rows):
        raise InstallationError(f"{path}: {len(rows)} characters instead of {_CHARACTERS:,}; install hanmo again")
    return {row[0]: row[1:] for row in rows}
