from __future__ import annotations

import pytest

from drawn_boxes import draw_boxes
from hanmo.colour import to_grey
from hanmo.sheets.cells import cut
from hanmo.sheets.crossed import is_crossed
from hanmo.sheets.written import find_writing

TEXT = "春眠不觉晓处闻啼鸟夜来风雨声花落知多少一二三口田国又文大木米义"


@pytest.mark.parametrize("struck", [True, False])
def test_a_cross_over_a_character_is_seen(struck: bool) -> None:
    pixels, grid = draw_boxes([TEXT], struck={(0, n) for n in range(len(TEXT))} if struck else ())
    pictures = cut(to_grey(pixels), grid)[0]
    # One cell at a time: what all cells have in common would count as print.
    found = [character for character, p in zip(TEXT, pictures, strict=True) if is_crossed(find_writing(p[None]).ink[0])]
    assert "".join(found) == (TEXT if struck else "")


def test_no_ink_is_no_cross() -> None:
    pixels, grid = draw_boxes([" "])
    assert not is_crossed(find_writing(cut(to_grey(pixels), grid)[0]).ink[0])
