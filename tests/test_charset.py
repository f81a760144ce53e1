"""The meaning of a net's outputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanmo.charset import Charset, list_characters
from hanmo.errors import CharsetError


def test_level1_is_gb2312s() -> None:
    level1 = Charset.level1()
    assert len(level1) == 3755
    assert (level1[0], level1[3754]) == ("啊", "座")
    assert list(level1) == sorted(level1, key=lambda c: c.encode("gb2312"))
    assert "翰" in level1
    assert "翱" in level1
    assert "亍" not in level1  # the first of level 2


@given(st.lists(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30, unique=True))
def test_encoding_is_the_inverse_of_indexing(characters: list[str]) -> None:
    charset = Charset(characters)
    assert charset.encode(characters).tolist() == list(range(len(characters)))
    assert [charset[i] for i in charset.encode(characters)] == characters
    assert Charset(str(charset)) == charset
    assert Charset(str(charset)).digest == charset.digest
    assert hash(Charset(str(charset))) == hash(charset)


def test_order_is_part_of_the_meaning() -> None:
    assert Charset("一丁") != Charset("丁一")
    assert Charset("一丁").digest != Charset("丁一").digest
    assert Charset("一丁") != "一丁"
    assert Charset.of_labels("丁一丁七") == Charset("一丁七")


def test_the_digest_never_changes() -> None:
    # Recorded: packs, bundles and weights of other versions are matched by it.
    assert Charset.level1().digest == "b2f00100fcb2230953e9c251e6741b3a7e8fd4e9cd4964bd7a67941fed7566db"
    assert Charset("一").digest == "51a75f4634dfa8598a0a1436da0b7764830edd1f3a97661222387da2fe2b38d1"


def test_labels_outside_are_all_named() -> None:
    charset = Charset("一丁")
    with pytest.raises(CharsetError, match=r"2 label\(s\) outside the charset of 2 characters: 万 三"):
        charset.encode(["一", "三", "万", "三"])
    with pytest.raises(CharsetError, match="'三' is not among the 2 characters"):
        charset.index("三")
    assert charset.index("丁") == 1
    assert charset.encode([]).dtype == np.int64


@pytest.mark.parametrize(
    ("characters", "message"),
    [
        ("", "empty"),
        (["一", "丁一"], "'丁一' is not one"),
        (["一", ""], "'' is not one"),
        ("\ud800", "is not one"),
        ("一丁一七丁", "twice: 一 丁"),
    ],
)
def test_no_charset(characters: str | list[str], message: str) -> None:
    with pytest.raises(CharsetError, match=message):
        Charset(characters)


def test_long_lists_are_cut() -> None:
    assert list_characters("一丁七") == "一 丁 七"
    assert list_characters("一丁七", shown=2) == "一 丁 … and 1 more"
    assert repr(Charset("一丁")) == "Charset(2: 一 丁)"


def test_a_message_shows_what_cannot_be_seen() -> None:
    with pytest.raises(CharsetError, match=r"characters: '\\n' ' ' 三$"):
        Charset("一丁").encode("三\n 一")
