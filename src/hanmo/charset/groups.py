"""Groups of characters that no reader can tell apart on a picture of one character.

Normalisation scales the ink to the square and centres it, so the size of a character and its place on the line are
lost: on a square, the full stop 。 is as large as the letter O. Only the text around such characters could tell them
apart.

A reader uses a group in this way: the whole group is one class of the net, named by its representative, and all samples
of its members are samples of that class (:func:`merge_groups` makes such a charset). When the class is read, the
members are its candidates; a caller who restricts the answer to digits gets the member that is a digit.

A group holds characters whose usual handwritten forms are the same shape. Characters that are only similar are no
group, because a net can learn the difference: 日 曰 (the width), 土 士 (the longer line), 二 = and 三 ≡ (the shorter
top), 丁 T (the hook), 人 ∧ (where the second stroke begins), 工 I (I mostly has no serifs in handwriting), 井 # (the
curved left stroke), 匚 [ (the width), M m, Y y, 9 q, 5 S, 2 Z.

EMNIST (Cohen et al., "EMNIST: Extending MNIST to handwritten letters", 2017) merges 15 pairs of letters. The pairs C,
K, O, P, S, U, V, W, X and Z are merged here. J, L, M and Y differ by more than size; I and l are vertical strokes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from hanmo.charset.charset import Charset


@dataclass(frozen=True)
class Group:
    """Characters that look the same alone: ``members``, the ``representative`` among them, and a ``name``."""

    name: str
    representative: str
    members: str


# The representative is the first member. It is the character of GB2312 level 1 where there is one, so that the 3,755
# classes of level 1 stay as they are; no group holds two of them.
GROUPS: tuple[Group, ...] = tuple(
    Group(name, members[0], members)
    for name, members in (
        ("horizontal stroke", "一-—–―−_ー"),
        ("vertical stroke", "1lI|丨"),
        # A handwritten 、 is a short line, whose thickness depends on the pen, so \ has no other shape.
        ("falling stroke", "、丶`\\"),
        ("rising stroke", "/丿"),
        ("circle", "0Oo〇○。°"),
        ("square", "口囗□"),
        ("dot", ".·"),
        # A straight ' is included: in handwriting it is mostly the same short curved stroke as ’.
        ("comma", "，,‘’'"),
        ("double quotation mark", '“”"'),
        ("colon", "：:"),
        ("semicolon", "；;"),
        ("question mark", "？?"),
        ("exclamation mark", "！!"),
        ("opening parenthesis", "（("),
        ("closing parenthesis", "）)"),
        ("opening angle", "〈<"),
        ("closing angle", "〉>"),
        ("tilde", "～~"),
        ("caret", "^∧"),
        ("plus", "十+"),
        ("cross", "Xx×乂"),
        ("fork", "丫Y"),
        ("letter C", "Cc"),
        # k and K differ by how high the left stroke stands above the rest, which varies between writers.
        ("letter K", "Kk"),
        # p and P differ by where they stand on the line; how far the bowl reaches down varies between writers.
        ("letter P", "Pp"),
        ("letter S", "Ss"),
        ("letter U", "Uu∪"),
        ("letter V", "Vv∨"),
        ("letter W", "Ww"),
        ("letter Z", "Zz"),
        ("yuan", "￥¥"),  # the same sign twice in Unicode, by its width
        ("pound", "￡£"),  # as above
    )
)


def group_of(character: str) -> Group | None:
    """The group that holds ``character``; None for a character that a reader can tell from all others."""
    return _groups().get(character)


def merge_groups(characters: Iterable[str]) -> Charset:
    """The classes of a reader of ``characters``: one for each group, and one for every other character, in their order.

    A group's class is named by its representative, or by the first of its members in ``characters`` where these lack
    the representative; it stands where that member stands.
    """
    charset = Charset(characters)
    kept: dict[str, str] = {}
    for character in charset:
        group = group_of(character)
        if group and group.name not in kept:
            kept[group.name] = group.representative if group.representative in charset else character
    return Charset(c for c in charset if not (group := group_of(c)) or kept[group.name] == c)


def groups_within(charset: Charset, known: Iterable[str] | None = None) -> dict[str, str]:
    """The groups of the classes of a reader: a class's character -> it and the other members of its group.

    With ``known``, only members among these characters count. A group with several classes of their own is left out:
    such a reader was trained to tell its members apart.
    """
    wanted, groups = None if known is None else set(known), {}
    for group in GROUPS:
        classes = [member for member in group.members if member in charset]
        others = "".join(m for m in group.members if m not in charset and (wanted is None or m in wanted))
        if len(classes) == 1 and others:
            groups[classes[0]] = classes[0] + others
    return groups


@cache
def _groups() -> dict[str, Group]:
    return {member: group for group in GROUPS for member in group.members}
