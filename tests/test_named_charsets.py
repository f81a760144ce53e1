"""Sets of characters by name."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files

import pytest

from hanmo.charset import SETS, Charset, all_named, list_sets, named_charset, select
from hanmo.charset import named as module
from hanmo.errors import ArgumentError, CharsetError, InstallationError

COUNTS = {
    "level1": 3755,
    "level2": 3008,
    "gb2312": 6763,
    "common": 8105,
    "traditional": 5401,
    "casia": 7373,
    "digits": 10,
    "latin": 52,
    "punctuation": 31,
    "ascii-punctuation": 32,
    "symbols": 74,
    "wide": 10468,
}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_sizes(name: str, count: int) -> None:
    charset = named_charset(name)
    assert len(charset) == count
    assert not any(c.isspace() for c in charset)
    for number in re.findall(r"[\d,]{3,}", SETS[name].replace("GB2312", "").replace("2013", "")):
        assert int(number.replace(",", "")) in (count, 7194, 179), "the description tells the size"


def test_every_set_is_tested() -> None:
    assert list(COUNTS) == list(SETS)
    assert list_sets() == ", ".join(SETS)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]{2,}", name) for name in SETS)


def test_the_order_never_changes() -> None:
    # Recorded: the classes of nets depend on it.
    assert named_charset("level1") == Charset.level1()
    assert named_charset("wide").digest == "540f68da564249be8096849936d9451d5addcefbab2f8dd4dfea73be537292db"
    assert named_charset("common").digest == "7a74be6ba0e31be97d5ccc3c93acc6a1329a8b97d99f3f476c18c93ca66dba9f"
    assert named_charset("casia").digest == "41af9f60be86c84e6e05dcbe5c4cc8eb13c091d7a36a5fb57443e1bd172c1be9"
    assert named_charset("traditional").digest == "badc197918e692cc93f61b2136f02f39066d511655137b2e33544298c1bfd82f"


def test_what_each_set_holds() -> None:
    def both(name: str) -> tuple[str, str]:
        charset = named_charset(name)
        return charset[0], charset[len(charset) - 1]

    assert both("level2") == ("亍", "齄")
    assert both("common") == ("一", "蠼")
    assert both("traditional") == ("一", "籲")
    assert both("digits") == ("0", "9")
    assert both("latin") == ("A", "z")
    for name, some in {
        "common": "翰㑇𠳐",
        "traditional": "臺體龍",
        "casia": "啊卻①Aa0",
        "punctuation": "，。、“”《》—…",
        "ascii-punctuation": ",.'\"<>|+",
        "symbols": "〇々℃√",
    }.items():
        assert set(some) <= set(named_charset(name)), name


def test_wide_is_the_union_and_begins_with_level_1() -> None:
    wide = named_charset("wide")
    assert wide.characters[:3755] == Charset.level1().characters
    assert wide.characters[:6763] == named_charset("gb2312").characters
    assert set(wide) == {c for name in SETS for c in named_charset(name)}
    assert wide.index("0") > max(wide.index(c) for c in named_charset("common+traditional"))


def test_joined_sets_keep_the_order_of_their_names() -> None:
    assert str(named_charset("digits+latin")).startswith("0123456789ABC")
    assert str(named_charset("latin+digits")).startswith("ABC")
    assert named_charset("level1+gb2312") == named_charset("gb2312")
    assert all_named("digits+latin")
    assert not all_named("digits+")
    assert not all_named("")


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(CharsetError, match=r"'greek' is no set of characters; there are: level1, level2, .*, wide"):
        named_charset("digits+greek")
    with pytest.raises(CharsetError, match=r"'digts' is no set of characters \(did you mean digits\?\); there are"):
        named_charset("digts")
    with pytest.raises(CharsetError, match="'' is no set"):
        named_charset("digits+")


def test_a_damaged_list_is_a_matter_of_the_installation() -> None:
    with pytest.raises(InstallationError, match=r"common\.txt is damaged: 一 乙 .* 8,105 characters in place of 8,000"):
        module._packaged("common.txt", 8000)
    with pytest.raises(InstallationError, match=r"none\.txt cannot be read .*reinstall hanmo"):
        module._packaged("none.txt", 1)


def test_packaged_lists_name_their_origin() -> None:
    for name, licence in (("common.txt", "MIT"), ("casia.txt", "Apache-2.0")):
        head = files("hanmo.charset").joinpath(name).read_text(encoding="utf-8").partition("\n\n")[0]
        assert licence in head
        assert "Source:" in head


def test_names_need_no_numpy() -> None:
    """The help of the command line lists them, and it must come at once."""
    code = "import sys, hanmo.charset as c; c.named_charset('wide'); print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


KNOWN = Charset("abc+-levi未末012")


@pytest.mark.parametrize(
    ("among", "selected"),
    [
        ("未末", "未末"),
        ("digits", "012"),
        ("digits+latin", "012abcelvi"),
        ("latin+digits", "abcelvi012"),
        (["digits", "未"], "未012"),
        (["digits+latin"], "012abcelvi"),
        ("abc", "abc"),  # a word, but each letter is known
        ("a+b", "a+b"),  # too short for names
        ("+", "+"),
        (("a", "+"), "a+"),
        (list("level"), "lev"),  # a list of characters never is a name
        (Charset("未a"), "未a"),
        ({"未"}, "未"),
    ],
)
def test_select(among: str | list[str], selected: str) -> None:
    assert set(select(among, KNOWN)) == set(selected)


@pytest.mark.parametrize(
    ("among", "message"),
    [
        ("未A", "outside the charset of 14 characters: A"),
        ("greek", "'greek' is no set of characters; there are: level1"),
        (
            "levl1",
            r"'levl1' is no set of characters \(did you mean level1\?\); there are",
        ),  # although each of its letters is known
        ("digits+greek", "'greek' is no set"),
        ("digits+未", "'未' is no set"),
        ("digits+", "'' is no set"),
        ("level2", "level2: no character of this set is among the 14 that the reader knows"),
        (["未", "greek"], "'greek' is no set"),
        (["未", ""], "'' is no set"),
        (["未", "A"], "outside the charset of 14 characters: A"),
    ],
)
def test_select_refuses(among: str | list[str], message: str) -> None:
    with pytest.raises(CharsetError, match=message):
        select(among, KNOWN)


@pytest.mark.parametrize("among", ["", [], ()])
def test_select_needs_something(among: str | list[str]) -> None:
    with pytest.raises(ArgumentError, match="among is empty"):
        select(among, KNOWN)
