"""Sets of characters by name, such as "level1", "traditional" or "digits+latin".

What the codecs of Python know is computed. Two lists are packaged, made by ``dev/pack_charsets.py``; NOTICE names their
origin and licences.
"""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from importlib.resources import files

from hanmo.charset.charset import Charset, list_characters, rows_of_gb2312
from hanmo.errors import ArgumentError, CharsetError, InstallationError

JOINER = "+"
"""Between two names; the result is the union of their sets."""

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{2,}")
"""The form of a name: an ASCII word of at least three characters."""

_PUNCTUATION = "，。、；：？！“”‘’（）《》〈〉「」『』【】〔〕〖〗—…·～"
_SYMBOLS = "〇々ー℃℉°‰№§※×÷±−√≠≤≥≈≡∽∝∞∑∏∫∮∧∨∩∪∈∵∴⊥∥⊙○◎□△▽◇☆←↑→↓↖↗↘↙①②③④⑤⑥⑦⑧⑨⑩￥¥￡£€–㎎㎏㎜㎝㎞㎡"
_COMMON, _CASIA_BEYOND = 8105, 610
"""Characters in the two packaged lists."""

SETS: dict[str, str] = {
    "level1": "the 3,755 characters of GB2312 level 1, in code order",
    "level2": "the 3,008 characters of GB2312 level 2, in code order",
    "gb2312": "both levels of GB2312, 6,763 characters",
    "common": "the 8,105 of 通用规范汉字表, the Table of General Standard Chinese Characters (2013), in its order",
    "traditional": "the 5,401 characters of Big5 level 1, the frequent traditional characters, in code order",
    "casia": "a list of the 7,373 classes of CASIA-HWDB: 7,194 Chinese characters and 179 letters, digits and symbols",
    "digits": "0 to 9",
    "latin": "the 52 letters A to Z and a to z",
    "punctuation": "the 31 signs of Chinese punctuation",
    "ascii-punctuation": "the 32 signs of ASCII that are neither letter nor digit",
    "symbols": "〇 々 ℃ √ and other common symbols: units, mathematics, shapes, arrows, circled numbers, currencies",
    "wide": "the union of all these sets",
}
"""The name of every set and what it holds. The order of a set never changes, because classes of nets depend on it."""


@lru_cache(maxsize=32)  # a caller may pass any text, so the memory must be bounded; there are twelve sets
def named_charset(names: str) -> Charset:
    """The set of that name, or the union of several, joined by "+": the first set's characters come first.

    ``wide`` is in this order: level 1 of GB2312 (so that its first 3,755 characters are those of ``level1``), level 2,
    the other characters of ``common``, those of ``traditional``, the other Chinese characters of ``casia``, digits,
    Latin letters, ASCII punctuation, Chinese punctuation, symbols, and the other signs of ``casia``.
    Raises :class:`CharsetError` for an unknown name; the message lists the names.
    """
    parts = names.split(JOINER)
    unknown = next((part for part in parts if part not in SETS), None)
    if unknown is not None:
        raise CharsetError(f"{unknown!r} is no set of characters{_hint(unknown)}; there are: {list_sets()}")
    return _union(*(_MAKERS[part]() for part in parts))


def all_named(text: str) -> bool:
    """Whether ``text`` is the name of a set, or several joined by "+"."""
    return all(part in SETS for part in text.split(JOINER))


def expand(text: str) -> str | Charset:
    """The characters that ``text`` means: the union of the sets it names, or else its own characters.

    For recipes, where characters may be broken into lines; line breaks are left out.
    """
    return named_charset(text) if all_named(text) else "".join(text.split("\n"))


def list_sets() -> str:
    """The names of all sets, for a message or a help text."""
    return ", ".join(SETS)


def sets_within(known: Charset) -> list[str]:
    """The names of the sets that are worth choosing for a reader of ``known``.

    It knows at least three quarters of the characters of such a set, and also characters outside of it.
    """
    # Of a set with large gaps, the choice would promise what the reader cannot keep: GB2312 has half of "traditional".
    shared = {name: sum(c in known for c in named_charset(name)) for name in SETS}
    return [name for name, count in shared.items() if 4 * count >= 3 * len(named_charset(name)) and count < len(known)]


def select(among: str | Collection[str], known: Charset) -> list[str]:
    """The characters that ``among`` means to a reader that knows the characters of ``known``; repeats may occur.

    A text is read in this order: names of sets joined by "+" mean these sets; other texts mean their characters. An
    ASCII word of at least three letters or digits that is no name counts as characters only when the reader knows each
    of them and the word is not close to a name, as "digts" is to "digits". In any other collection, single characters
    mean themselves, and longer texts are names.

    Characters of a set that the reader does not know are left out. Raises :class:`CharsetError` when none is left, for
    a single character that the reader does not know, and for an unknown name; :class:`ArgumentError` when ``among`` is
    empty.
    """
    if not among:
        raise ArgumentError("among is empty; name at least one character, or leave it out")
    if isinstance(among, str):
        return _of_names(among, known) if _is_meant_as_names(among, known) else _checked(among, known)
    single = [part for part in among if len(part) == 1]
    named = [c for part in among if len(part) != 1 for c in _of_names(part, known)]
    return _checked(single, known) + named


def _is_meant_as_names(text: str, known: Charset) -> bool:
    parts = text.split(JOINER)
    if any(part in SETS for part in parts):
        return True
    if not all(_WORD.fullmatch(part) for part in parts):
        return False
    # Neither a name nor certainly characters: a mistyped name must not become a search among its letters.
    return any(c not in known for c in text) or any(_hint(part) for part in parts)


def _of_names(names: str, known: Charset) -> list[str]:
    left = [c for c in named_charset(names) if c in known]
    if not left:
        raise CharsetError(f"{names}: no character of this set is among the {len(known):,} that the reader knows")
    return left


def _checked(characters: Iterable[str], known: Charset) -> list[str]:
    asked = list(characters)
    known.encode(asked)  # raises for unknown characters
    return asked


def _hint(word: str) -> str:
    # 0.7 accepts one wrong, missing or additional letter in a name of five letters, but not two.
    near = difflib.get_close_matches(word, SETS, n=1, cutoff=0.7)
    return f" (did you mean {near[0]}?)" if near else ""


def _union(*sets: Iterable[str]) -> Charset:
    # A dict keeps the order in which the characters come first.
    return Charset(dict.fromkeys(c for characters in sets for c in characters))


def _big5_level1() -> Iterator[str]:
    # 0xA440 to 0xC67E; the second byte has two ranges, with 157 codes in all.
    for first in range(0xA4, 0xC7):
        for second in (*range(0x40, 0x7F), *range(0xA1, 0xFF)):
            if (first, second) <= (0xC6, 0x7E):
                yield bytes([first, second]).decode("big5")


def _wide() -> Charset:
    casia = list(_casia())
    return _union(
        named_charset("gb2312+common+traditional"),
        (c for c in casia if is_chinese(c)),
        named_charset("digits+latin+ascii-punctuation+punctuation+symbols"),
        casia,
    )


def _casia() -> Charset:
    return _union(named_charset("gb2312"), _packaged("casia.txt", _CASIA_BEYOND))


def is_chinese(character: str) -> bool:
    """Whether ``character`` is an ideograph, of the blocks from U+3400 to U+9FFF or of the planes from U+20000 on."""
    # 々, 〇 and punctuation lie below both ranges, symbols like ￥ between them.
    return "\u3400" <= character <= "\u9fff" or character >= "\U00020000"


def _packaged(name: str, count: int) -> str:
    """The characters of a packaged list: lines of a notice, an empty line, lines of characters."""
    try:
        text = files("hanmo.charset").joinpath(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InstallationError(f"the packaged list {name} cannot be read ({error}); reinstall hanmo") from error
    characters = "".join(text.partition("\n\n")[2].split())
    if len(characters) != count or len(set(characters)) != count:
        raise InstallationError(
            f"the packaged list {name} is damaged: {list_characters(characters, shown=5) or 'empty'}, "
            f"{len(characters):,} characters in place of {count:,}; reinstall hanmo"
        )
    return characters


_MAKERS: dict[str, Callable[[], Iterable[str]]] = {
    "level1": Charset.level1,
    "level2": lambda: rows_of_gb2312(56, 87),
    "gb2312": lambda: named_charset("level1+level2"),
    "common": lambda: _packaged("common.txt", _COMMON),
    "traditional": _big5_level1,
    "casia": _casia,
    "digits": lambda: string.digits,
    "latin": lambda: string.ascii_uppercase + string.ascii_lowercase,
    "punctuation": lambda: _PUNCTUATION,
    "ascii-punctuation": lambda: string.punctuation,
    "symbols": lambda: _SYMBOLS,
    "wide": _wide,
}
