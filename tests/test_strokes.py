from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanmo import strokes
from hanmo.errors import ImageError, ImageTooLargeError
from hanmo.image import load


def test_strokes_are_drawn_with_a_round_pen_in_their_box() -> None:
    grey = load([[(0, 0), (200, 0)], [(100, -50), (100, 50)]])
    assert grey.shape == (48 + 3 * strokes.WIDTH, strokes.SIDE + 3 * strokes.WIDTH)
    ink = grey < 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert abs(np.ptp(columns) + 1 - strokes.SIDE - strokes.WIDTH) <= 1
    assert abs(np.ptp(rows) + 1 - 48 - strokes.WIDTH) <= 1
    assert set(np.unique(grey)) - {0, 255}, "the edges are antialiased"
    middle = ink[:, 15]
    assert abs(int(middle.sum()) - strokes.WIDTH) <= 1


@given(st.floats(1e-6, 1e6), st.floats(-1e6, 1e6), st.sampled_from([tuple, list, np.array]))
def test_strokes_do_not_depend_on_unit_place_or_container(unit: float, shift: float, container: type) -> None:
    written = np.array([[0.0, 0], [3, 4], [8, 1]]), np.array([[2.0, 7], [6, 7]])
    moved = [container([list(map(float, point)) for point in stroke * unit + shift * unit]) for stroke in written]
    assert np.abs(load(moved).astype(int) - load(written)).mean() < 2


def test_a_dot_is_a_dot() -> None:
    grey = load([[(5, 5)]])
    assert grey.shape == (15, 15)
    assert 12 <= (grey < 128).sum() <= 30


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([], "no strokes"),
        ([[]], "stroke 0 has shape"),
        ([[(0, 0), (1, 1)], [(1, 2, 0.5, 4)]], "stroke 1 has shape"),
        ([[(0, 0), (1, 1)], [(1, 2, 3)]], "stroke 1 has a pressure outside 0 to 1"),
        ([[(1, 2, float("nan"))]], "stroke 0 holds NaN"),
        ([[(0, 0), (float("nan"), 1)]], "stroke 0 holds NaN"),
        ([[(0, 0), (float("inf"), 1)]], "NaN or infinity"),
        ([[(-1.7e308, 0), (1.7e308, 1)]], "more than a number can hold"),
        ([[("a", "b")]], "not strokes"),
        ([1, 2], "not strokes"),
        ([[(0, 0), (1,)]], "not strokes"),
    ],
)
def test_unusable_strokes(written: list[object], message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        load(written)  # type: ignore[arg-type]
    assert f"{len(written)} strokes: " in str(caught.value)


def test_too_many_points_or_strokes() -> None:
    with pytest.raises(ImageTooLargeError, match="5001 points"):
        load([np.zeros((2500, 2)), np.zeros((2501, 2))])
    assert load([np.arange(10000.0).reshape(-1, 2)]).size  # exactly the limit
    with pytest.raises(ImageTooLargeError, match="257 strokes"):
        load([[]] * 257)


def test_a_pen_pressed_harder_draws_wider() -> None:
    def ink(*pressures: float) -> int:
        return int((load([[(i, 0, pressure) for i, pressure in enumerate(pressures)]]) < 128).sum())

    usual = load([[(0, 0), (1, 0)]])
    np.testing.assert_array_equal(load([[(0, 0, 0.5), (1, 0, 0.5)]]), usual)
    assert ink(0, 0) < ink(0, 1) < ink(1, 1)
    assert ink(0, 0) < (usual < 128).sum() < ink(1, 1)
