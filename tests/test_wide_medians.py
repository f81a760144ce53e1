"""The packaged strokes of characters outside GB2312 level 1."""

from __future__ import annotations

import hashlib
import unicodedata
from importlib.resources import files

import numpy as np
import pytest
import torch

from hanmo.charset import Charset, named_charset
from hanmo.errors import CharsetError
from hanmo.medians import Medians, load_medians, medians_for, parse_medians
from hanmo.synth.mix import Mix, MixConfig
from hanmo.synth.noise import keys_of
from hanmo.synth.strokes.hand import StyleConfig
from hanmo.synth.strokes.writer import StrokeBank

LEVEL1 = 3_755
WITH_STROKES = 6_656
"""Characters that were not composed: 6,655 of AnimCJK, and 〇, which is drawn as a circle."""
COMPOSED = 1_557
SHA256 = "e383929a7dca0e8fe73786d0bb19ada68d5bc10fed7946d2dc7aa962bfa7e665"


@pytest.fixture(scope="module")
def packed() -> bytes:
    return files("hanmo").joinpath("medians-wide.bin").read_bytes()


@pytest.fixture(scope="module")
def full() -> Medians:
    return load_medians(everything=True)


def test_the_file_is_the_recorded_one_small_and_tells_its_licence(packed: bytes) -> None:
    assert hashlib.sha256(packed).hexdigest() == SHA256
    assert len(packed) < 1_500_000
    header = packed.partition(b"\n\n")[0].decode()
    for named in ("Arphic Public License", "AnimCJK", "Changed for hanmo on"):
        assert named in header


def test_counts(packed: bytes, full: Medians) -> None:
    further = parse_medians(packed)
    assert len(further.characters) == WITH_STROKES + COMPOSED
    assert len(full.composed) == COMPOSED
    assert len(full.characters) == len(set(full.characters)) == LEVEL1 + WITH_STROKES + COMPOSED


def test_begins_with_the_table_of_level_1(full: Medians) -> None:
    first = load_medians()
    assert full.characters[:LEVEL1] == first.characters
    for character in first.characters[::50]:
        for one, other in zip(first.of(character), full.of(character), strict=True):
            np.testing.assert_array_equal(one, other)
    assert not first.composed


def test_has_every_character_of_gb2312_and_nearly_all_of_big5_level_1(full: Medians) -> None:
    assert [c for c in named_charset("gb2312") if c not in full] == []
    assert {c for c in named_charset("traditional") if c not in full} <= set("囪嬝羋裊陝齋")


@pytest.mark.parametrize(
    ("character", "strokes", "composed"),
    [("臺", 14, False), ("國", 11, False), ("々", 3, False), ("〇", 1, False), ("龘", 48, True), ("淼", 12, True)],
)
def test_known_characters(full: Medians, character: str, strokes: int, composed: bool) -> None:
    assert len(full.of(character)) == strokes
    assert (character in full.composed) == composed


def test_strokes_lie_in_the_square_and_all_of_them_move(full: Medians) -> None:
    assert full.points.min() >= 0
    assert full.points.max() < 1
    length = np.hypot(*np.diff(full.points, axis=0, append=full.points[-1:]).T)
    length[full.point_start[1:] - 1] = 0  # from the end of one stroke to the next one's beginning
    assert np.add.reduceat(length, full.point_start[:-1]).min() > 0.02
    with pytest.raises(ValueError, match="read-only"):
        full.points[0] = 0


def test_only_ideographs_and_signs_of_chinese_text(full: Medians) -> None:
    named = [unicodedata.name(c, "CJK UNIFIED IDEOGRAPH") for c in full.characters if c not in "々〇"]
    assert all(name.startswith("CJK UNIFIED IDEOGRAPH") for name in named)


def test_parts_of_a_composition_stand_where_they_belong(full: Medians) -> None:
    # 㳇 is 氵 and 付, side by side; 淼 is a 水 above two others.
    water, rest = full.of("㳇")[:3], full.of("㳇")[3:]
    assert max(s[:, 0].max() for s in water) < np.mean([s[:, 0].mean() for s in rest])
    above, below = full.of("淼")[:4], full.of("淼")[4:]
    assert np.mean([s[:, 1].mean() for s in above]) < np.mean([s[:, 1].mean() for s in below]) - 0.2


def test_the_smaller_table_is_taken_where_it_is_enough() -> None:
    assert medians_for("永翰") is load_medians()
    assert medians_for("永臺") is load_medians(everything=True)
    with pytest.raises(CharsetError, match=r"1 character\(s\): A; the 11,968 characters of this table can be drawn"):
        medians_for("臺A").of("A")


def test_level_1_is_drawn_alike_beside_other_characters() -> None:
    keys, style = keys_of(torch.tensor(0), torch.arange(6)), StyleConfig()
    alone = StrokeBank(Charset("永翰")).write(torch.tensor([0, 1] * 3), keys, style, 48)
    beside = StrokeBank(Charset("永翰臺淼")).write(torch.tensor([0, 1] * 3), keys, style, 48)
    assert torch.equal(alone, beside)


def test_packs_of_level_1_keep_their_digest_and_others_name_their_source() -> None:
    config, style = MixConfig(), StyleConfig(layouts=0)
    level1, further = Mix(config, Charset("永翰"), style), Mix(config, Charset("永臺"), style)
    assert level1.digest != further.digest
    assert not any("AnimCJK" in source for source in level1.sources)
    assert any("AnimCJK" in source for source in further.sources)
