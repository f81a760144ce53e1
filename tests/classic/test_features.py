"""Direction features of bars and of drawn characters."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hanmo.classic.features import GradientFeatures, direction_planes, sampling, sobel
from hanmo.errors import ArgumentError, DataError
from hanmo.normalize import Normalization
from hanmo.resampling import Method

RIGHT, DOWN, LEFT, UP = 0, 2, 4, 6


def bar(*, across: bool, side: int = 32) -> NDArray[np.uint8]:
    """A bar of full ink through the middle, 6 pixels thick and 20 long, (1, side, side)."""
    square = np.zeros((1, side, side), np.uint8)
    square[0, 13:19, 6:26] = 255
    return square if across else square.transpose(0, 2, 1).copy()


@pytest.mark.parametrize(("across", "sides"), [(True, (DOWN, UP)), (False, (RIGHT, LEFT))])
def test_a_bar_lies_in_the_two_directions_across_it(across: bool, sides: tuple[int, int]) -> None:
    features = GradientFeatures(power=1)(bar(across=across)).reshape(8, -1).sum(axis=1)
    assert features[list(sides)].sum() > 0.7 * features.sum()
    assert features[sides[0]] == pytest.approx(features[sides[1]], rel=1e-5)


def test_ink_begins_where_the_picture_says() -> None:
    plane = dict(enumerate(direction_planes(bar(across=True), 8)))
    assert plane[DOWN][0, 12:14, 16].tolist() == plane[UP][0, 18:20, 16].tolist() == [0.5, 0.5]  # entering from above
    assert plane[DOWN][0, 16:, 16].max() == plane[UP][0, :16, 16].max() == 0


@pytest.mark.parametrize("directions", [5, 8, 12, 16])
def test_planes_add_up_to_the_gradient(directions: int) -> None:
    squares = np.random.default_rng(0).integers(0, 256, (3, 12, 12)).astype(np.uint8)
    planes = np.stack(direction_planes(squares, directions))
    angles = 2 * np.pi * np.arange(directions) / directions
    across, down = sobel(squares)
    np.testing.assert_allclose(np.tensordot(np.cos(angles), planes, 1), across, atol=1e-5)
    np.testing.assert_allclose(np.tensordot(np.sin(angles), planes, 1), down, atol=1e-5)
    assert (np.count_nonzero(planes > 1e-6, axis=0) <= 2).all()  # a parallelogram has two sides


def test_a_sample_point_weighs_the_pixels_around_it() -> None:
    window = sampling(64, 8, 1.0)
    np.testing.assert_allclose(window[2:6].sum(axis=1), 1, atol=1e-3)
    np.testing.assert_allclose((window @ (np.arange(64) + 0.5))[2:6], [20, 28, 36, 44], rtol=1e-3)


@pytest.mark.parametrize(("directions", "grid", "power"), [(8, 8, 0.5), (12, 9, 0.35), (4, 2, 1.0)])
def test_shape_type_and_range(directions: int, grid: int, power: float) -> None:
    squares = np.random.default_rng(0).integers(0, 256, (130, 32, 32)).astype(np.uint8)  # more than two batches
    kind = GradientFeatures(directions=directions, grid=grid, power=power)
    features = kind(squares)
    assert features.shape == (130, kind.size) == (130, directions * grid**2)
    assert features.dtype == np.float32
    assert features.min() >= 0
    assert features.max() <= 1
    np.testing.assert_allclose(kind(squares[100:101])[0], features[100], rtol=1e-4, atol=1e-6)
    assert not kind(np.zeros((1, 32, 32), np.uint8)).any()


@pytest.mark.parametrize("method", ["fit", "moment", "line-density"])
def test_place_and_size_of_the_writing_do_not_matter(method: Method) -> None:
    def cross(left: int, top: int, scale: int) -> NDArray[np.uint8]:
        picture = np.full((160, 160), 255, np.uint8)
        for height, width, y, x in ((3, 24, 10, 0), (24, 3, 0, 10), (3, 12, 20, 12)):
            picture[top + y * scale : top + (y + height) * scale, left + x * scale : left + (x + width) * scale] = 0
        return picture

    normalization = Normalization(method=method, version=1)  # as of clean squares: features alone are compared
    pictures = [cross(5, 9, 2), cross(40, 61, 2), cross(20, 10, 4)]
    here, there, larger = GradientFeatures()(np.stack([normalization(p) for p in pictures]))
    np.testing.assert_allclose(here, there, atol=1e-6)
    # Densities are smoothed over whole pixels, which are not the same share of a smaller picture.
    assert np.linalg.norm(here - larger) < (0.1 if method == "line-density" else 0.05) * np.linalg.norm(here)


@pytest.mark.parametrize(
    "values", [{"directions": 3}, {"grid": 1}, {"blur": 0.0}, {"power": 0.0}, {"power": 2.0}, {"blur": float("nan")}]
)
def test_impossible_settings_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ArgumentError, match=r"directions on a grid|blur"):
        GradientFeatures(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "squares",
    [np.zeros((2, 32, 32), np.float32), np.zeros((32, 32), np.uint8), np.zeros((1, 32, 30), np.uint8)],
)
def test_other_arrays_are_refused(squares: NDArray[np.uint8]) -> None:
    with pytest.raises(DataError, match=r"expected uint8 \(N, S, S\)"):
        GradientFeatures()(squares)


def test_a_square_must_hold_the_grid() -> None:
    with pytest.raises(DataError, match="grid of 9 points"):
        GradientFeatures(grid=9)(np.zeros((1, 8, 8), np.uint8))
