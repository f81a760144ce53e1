from __future__ import annotations

from hanmo.serve.glyphs import model_glyph


def test_all_packaged_strokes_are_shown_not_only_those_of_level_1() -> None:
    assert [len(model_glyph(character)) for character in "永國龘"] == [5, 11, 48]
    assert model_glyph("A") == []


def test_points_lie_in_the_unit_square() -> None:
    points = [point for stroke in model_glyph("國") for point in stroke]
    assert all(len(point) == 2 and min(point) >= 0 and max(point) <= 1 for point in points)
