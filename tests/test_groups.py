"""Groups of characters that look the same alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hanmo.charset import GROUPS, Charset, group_of, groups_within, merge_groups, named_charset

WIDE = named_charset("wide")


def test_every_character_is_in_one_group_at_most() -> None:
    members = [member for group in GROUPS for member in group.members]
    assert len(members) == len(set(members))
    assert len({group.name for group in GROUPS}) == len(GROUPS)
    for group in GROUPS:
        assert len(group.members) >= 2
        assert group.representative in group.members
        assert set(group.members) <= set(WIDE), f"{group.name}: a reader of wide can offer each member"
        assert all(group_of(member) is group for member in group.members)


def test_level_1_stays_as_it_is() -> None:
    level1 = Charset.level1()
    assert merge_groups(level1) == level1
    for group in GROUPS:
        inside = [member for member in group.members if member in level1]
        assert inside in ([], [group.representative]), group.name


def test_known_pairs() -> None:
    def same(characters: str) -> bool:
        return len({group_of(c) for c in characters}) == 1 and group_of(characters[0]) is not None

    for alike in (
        "0Oo〇○。",
        "Kk",
        "l1I|",
        "一-—–_ー",
        "×xX",
        ".·",
        ",，‘’'",
        ";；",
        ":：",
        "(（",
        "口囗□",
        "十+",
        '"“”',
    ):
        assert same(alike), alike
    for apart in ("日曰", "土士", "未末", "二=", "三≡", "丁T", "人∧", "9q", "Mm", "。.", "(〈", "已己"):
        assert not same(apart), apart
    assert group_of("翰") is None
    assert group_of("") is None


def test_merged_classes() -> None:
    merged = merge_groups(WIDE)
    assert len(merged) == 10411
    assert merged.characters[:3755] == Charset.level1().characters
    assert str(merge_groups("0O一-xX啊")) == "0一X啊"
    assert str(merge_groups("oO")) == "o", "without the representative, the first member stands for the group"
    assert str(merge_groups("o0")) == "0"


@given(
    st.lists(st.sampled_from(sorted({m for g in GROUPS for m in g.members} | set("啊阿日曰"))), min_size=1, unique=True)
)
def test_merging_keeps_one_of_each_group(characters: list[str]) -> None:
    merged = merge_groups(characters)
    assert [c for c in characters if c in merged] == list(merged)
    assert merge_groups(merged) == merged
    classes = {group_of(c) or c for c in characters}
    assert {group_of(c) or c for c in merged} == classes
    assert len(merged) == len(classes)


def test_the_groups_of_a_readers_classes() -> None:
    assert groups_within(merge_groups(WIDE)) == {group.representative: group.members for group in GROUPS}
    assert groups_within(Charset("o十啊")) == {"o": "o0O〇○。°", "十": "十+"}
    assert groups_within(Charset("oO啊")) == {}, "classes of their own are told apart"
    assert groups_within(Charset.level1())["一"] == "一-—–―−_ー"
