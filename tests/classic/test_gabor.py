"""Gabor features of bars and of drawn characters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open

from hanmo.classic.baseline import run_classic
from hanmo.classic.gabor import GaborFeatures
from hanmo.classic.reader import ClassicConfig
from hanmo.classic.store import load_reader, save_reader
from hanmo.data.pack import Pack
from hanmo.errors import ArgumentError, DataError
from hanmo.safetensors_head import check_head


def bar(*, upright: bool, side: int = 64) -> NDArray[np.uint8]:
    """A bar of full ink through the middle, 4 pixels thick, (1, side, side)."""
    square = np.zeros((1, side, side), np.uint8)
    square[0, :, 30:34] = 255
    return square if upright else square.transpose(0, 2, 1).copy()


def test_the_answer_is_that_of_the_filter_in_two_dimensions() -> None:
    kind, side = GaborFeatures(), 24
    squares = np.random.default_rng(0).integers(0, 256, (2, side, side)).astype(np.uint8)
    y, x = np.mgrid[-side : side + 1, -side : side + 1].astype(float)
    sigma, frequency = 0.5 * 3, 2 * np.pi / 3
    for k in range(4):
        angle = np.pi * k / 4
        window = np.exp(-0.5 * (x**2 + y**2) / sigma**2) / (2 * np.pi * sigma**2)
        wave = np.cos(frequency * (x * np.cos(angle) + y * np.sin(angle))) - np.exp(-0.5 * (frequency * sigma) ** 2)
        filter_ = window * wave
        expected = [
            (squares[0] / 255 * filter_[side - i : 2 * side - i, side - j : 2 * side - j]).sum()
            for i, j in ((3, 5), (12, 12), (20, 0))
        ]
        answer = kind.planes(squares)[2 * k] - kind.planes(squares)[2 * k + 1]
        np.testing.assert_allclose([answer[0, i, j] for i, j in ((3, 5), (12, 12), (20, 0))], expected, atol=1e-5)


@pytest.mark.parametrize(("upright", "orientation"), [(True, 0), (False, 2)])
def test_a_bar_is_answered_by_the_filter_of_its_direction(upright: bool, orientation: int) -> None:
    planes = GaborFeatures().planes(bar(upright=upright))
    middle = [plane[0, 32, 32] for plane in planes[::2]]
    assert int(np.argmax(middle)) == orientation
    assert middle[orientation] > 4 * sorted(middle)[-2]


def test_paper_and_even_ink_have_no_answer() -> None:
    blank = np.zeros((1, 64, 64), np.uint8)
    assert GaborFeatures()(blank).max() == 0
    planes = np.stack(GaborFeatures().planes(blank + np.uint8(255)))
    assert planes[:, 0, 24:40, 24:40].max() < 1e-4, "only its border is answered"


def test_shape_and_refusals() -> None:
    kind = GaborFeatures(orientations=6, grid=4)
    features = kind(np.random.default_rng(0).integers(0, 256, (130, 32, 32)).astype(np.uint8))
    assert features.shape == (130, kind.size) == (130, 6 * 2 * 16)
    assert features.min() >= 0
    with pytest.raises(DataError, match="expected uint8"):
        kind(np.zeros((1, 8, 9), np.uint8))
    for wrong in (
        {"orientations": 1},
        {"grid": 65},
        {"wavelength": 0.0},
        {"width": 3.0},
        {"blur": 0.0},
        {"power": 2.0},
    ):
        with pytest.raises(ArgumentError, match=r"are possible|neither 0"):
            GaborFeatures(**wrong)  # type: ignore[arg-type]


def test_a_reader_of_gabor_features_reads_is_saved_and_loads(drawn: Path, tmp_path: Path) -> None:
    train, test = Pack.open(drawn / "train"), Pack.open(drawn / "test")
    config = ClassicConfig(features=GaborFeatures(grid=4), dimensions=40, axes=10)
    result = run_classic(train, test, config)
    assert result.top1 > 85
    save_reader(result.reader, tmp_path / "gabor.safetensors")
    again = load_reader(tmp_path / "gabor.safetensors")
    assert again.features == config.features
    np.testing.assert_array_equal(again.scores(test.images), result.scores)


def test_files_of_gradient_features_have_the_format_of_before(drawn: Path, tmp_path: Path) -> None:
    pack = Pack.open(drawn / "small-train")
    formats = {}
    for name, config in (("gradient", ClassicConfig()), ("gabor", ClassicConfig(features=GaborFeatures()))):
        small = ClassicConfig(features=type(config.features)(grid=4), dimensions=8, axes=4)
        save_reader(run_classic(pack, pack, small).reader, tmp_path / name)
        check_head(tmp_path / name)
        with safe_open(tmp_path / name, framework="np") as file:
            formats[name] = json.loads(file.metadata()["hanmo-classic"])["format"]
    assert formats == {"gradient": 1, "gabor": 2}
