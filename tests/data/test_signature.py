"""Path signatures: known cases, invariances, and planes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hanmo.data.signature import plane_count, signature, signature_planes
from hanmo.errors import ArgumentError, ImageError
from hanmo.medians import load_medians

PATHS = st.integers(2, 8).flatmap(lambda n: arrays(np.float64, (n, 2), elements=st.integers(-9, 9)))
X, Y, XX, XY, YX, YY = 1, 2, 3, 4, 5, 6
"""Numbers of the planes."""


def iterated(path: np.ndarray, indices: tuple[int, ...]) -> float:
    """One iterated integral by its definition, summed over the pieces of a path cut very fine."""
    fine = np.stack([np.interp(np.linspace(0, len(path) - 1, 20_001), np.arange(len(path)), p) for p in path.T], 1)
    steps = np.diff(fine, axis=0)
    inner = np.ones(len(fine))
    for index in indices:
        middle = (inner[1:] + inner[:-1]) / 2
        inner = np.concatenate([[0], np.cumsum(middle * steps[:, index])])
    return float(inner[-1])


def test_of_a_line_level_2_is_half_its_square() -> None:
    assert signature([[5, 5], [8, 9]]).tolist() == [1, 3, 4, 4.5, 6, 6, 8]
    assert signature([[5, 5], [8, 9]], 3)[7:].tolist() == pytest.approx(
        [27 / 6, 36 / 6, 36 / 6, 48 / 6, 36 / 6, 48 / 6, 48 / 6, 64 / 6]
    )


@pytest.mark.parametrize("side", [1, 3])
def test_of_a_loop_only_its_area_is_left(side: int) -> None:
    square = side * np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    area = side**2
    assert signature(square).tolist() == [1, 0, 0, 0, area, -area, 0]
    assert signature(square[::-1]).tolist() == [1, 0, 0, 0, -area, area, 0]


def test_a_corner_has_the_area_between_path_and_chord() -> None:
    one, x, y, xx, xy, yx, yy = signature([[0, 0], [2, 0], [2, 3]])
    assert (one, x, y, xx, yy) == (1, 2, 3, 2, 4.5)
    assert (xy - yx) / 2 == 3  # the triangle
    assert xy + yx == x * y  # what level 1 knows already


def test_every_level_is_what_its_definition_says() -> None:
    path = np.array([[0, 0], [2, 1], [1, 3], [-1, 2], [0, -1]], float)
    words = [(), (0,), (1,)] + [(i, j) for i in (0, 1) for j in (0, 1)]
    words += [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    assert signature(path, 3) == pytest.approx([iterated(path, word) for word in words], abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(path=PATHS, data=st.data())
def test_neither_the_place_nor_the_speed_matters(path: np.ndarray, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(path) - 1))
    share = data.draw(st.floats(0, 1))
    between = path[cut - 1] + share * (path[cut] - path[cut - 1])
    slower = np.concatenate([path[:cut], [between, between], path[cut:]])
    assert signature(slower + np.array([30, -7]), 3) == pytest.approx(signature(path, 3), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(path=PATHS, data=st.data())
def test_chens_identity(path: np.ndarray, data: st.DataObject) -> None:
    """Two pieces make the whole: level 2 is that of both, and the product of their displacements."""
    cut = data.draw(st.integers(0, len(path) - 1))
    a, b, whole = signature(path[: cut + 1]), signature(path[cut:]), signature(path)
    assert whole[1:3] == pytest.approx(a[1:3] + b[1:3])
    assert whole[3:] == pytest.approx(a[3:] + b[3:] + np.outer(a[1:3], b[1:3]).ravel())


def test_planes_of_a_straight_stroke_are_its_direction() -> None:
    planes = signature_planes([[(0, 0), (90, 0)], [(90, 90), (0, 90)], [(45, 10), (45, 80)]], 64)
    assert planes.shape == (7, 64, 64)
    assert planes.dtype == np.float32
    assert set(np.unique(planes[0])) == {0, 1}
    top, bottom, upright = planes[:, 2, 30], planes[:, 61, 30], planes[:, 20, 32]
    assert top == pytest.approx([1, 1, 0, 1, 0, 0, 0], abs=0.02)
    assert bottom == pytest.approx([1, -1, 0, 1, 0, 0, 0], abs=0.02)
    assert upright == pytest.approx([1, 0, 1, 0, 0, 0, 1], abs=0.02)
    # At its end a stroke has half of the window left.
    assert planes[X, 2, 2] == pytest.approx(0.5, abs=0.01)
    # Nothing beside the pen's path.
    assert not planes[:, planes[0] == 0].any()
    assert planes[0].sum() == 60 + 60 + np.count_nonzero(planes[0, :, 32]) - 2


def test_a_left_bend_differs_from_a_right_one_in_the_area() -> None:
    right = signature_planes([[(0, 0), (50, 0), (50, 50)]], 64)
    left = signature_planes([[(0, 50), (50, 50), (50, 0)]], 64)
    at_right, at_left = right[:, 2, 61], left[:, 61, 61]
    assert at_right[XY] - at_right[YX] > 0.3
    assert at_left[XY] - at_left[YX] < -0.3


def test_a_wider_window_sees_the_corner_from_further_away() -> None:
    strokes = [[(0, 0), (50, 0), (50, 50)]]
    near, far = (signature_planes(strokes, 64, window=w)[Y, 2] for w in (2, 8))
    assert np.count_nonzero(near) < np.count_nonzero(far)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_levels_add_planes_and_change_none(level: int) -> None:
    strokes = load_medians().of("翰")
    planes = signature_planes(strokes, 48, level=level)
    assert planes.shape == (plane_count(level), 48, 48)
    assert np.array_equal(planes, signature_planes(strokes, 48, level=3)[: plane_count(level)])
    assert np.abs(planes).max() == 1
    frame = np.ones((48, 48), bool)
    frame[2:-2, 2:-2] = False
    assert not planes[:, frame].any()


@settings(max_examples=40, deadline=None)
@given(strokes=st.lists(PATHS, min_size=1, max_size=4), data=st.data())
def test_values_stay_in_their_range_and_place_size_and_speed_do_not_matter(
    strokes: list[np.ndarray], data: st.DataObject
) -> None:
    planes = signature_planes(strokes, 32, level=3)
    assert np.abs(planes).max() <= 1
    assert planes[0].any()
    # Powers of two change no digit, so that no point falls into the next pixel.
    moved = [4 * np.repeat(stroke, 2, 0) for stroke in strokes]
    assert signature_planes(moved, 32, level=3) == pytest.approx(planes, abs=1e-5)


def test_a_dot_is_a_pixel_in_the_middle() -> None:
    planes = signature_planes([[(7, 7)]], 32)
    assert planes[0].sum() == planes.sum() == 1
    assert planes[0, 16, 16] == 1


def test_pressure_and_extreme_numbers_are_no_obstacle() -> None:
    plain = signature_planes([[(0, 0), (1, 1)]], 32)
    assert np.array_equal(signature_planes([[(0, 0, 0.3), (1, 1, 0.9)]], 32), plain)
    for size in (1e-300, 1e308):
        assert np.array_equal(signature_planes([[(-size, -size), (size, size)]], 32), plain)


def test_impossible_requests_are_refused() -> None:
    for wrong in ({"level": 4}, {"level": -1}, {"window": 0}, {"margin": 31}, {"side": 2}):
        with pytest.raises(ArgumentError, match="level 0 to 3, window 1 or more, margin under half"):
            signature_planes([[(0, 0), (1, 1)]], **wrong)
    with pytest.raises(ImageError, match="no strokes"):
        signature_planes([])
