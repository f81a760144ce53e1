"""Pictures to squares: what the three methods promise, and squares recorded for good in tests/golden/normalize.txt.

``python tests/test_normalize.py`` writes that file anew; do so only together with a new ``normalize.VERSION``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from hanmo.errors import BlankImageError, ConfigError
from hanmo.image import load
from hanmo.normalize import (
    MEAN,
    MIN_CONTRAST,
    STD,
    VERSION,
    Method,
    Normalization,
    Version,
    normalize,
    standardise,
    stretch,
)

Grey = NDArray[np.uint8]
METHODS: tuple[Method, ...] = ("fit", "moment", "line-density")
GOLDEN = Path(__file__).parent / "golden" / "normalize.txt"

every_method = pytest.mark.parametrize("method", METHODS)


def tree() -> Grey:
    """木 in straight lines, (30, 24), on a paper that darkens to the right."""
    picture = np.repeat(np.linspace(250, 225, 24).astype(np.uint8)[None], 30, 0)
    picture[9:11, 2:22] = 30
    picture[3:28, 11:13] = 50
    for i in range(9):
        picture[11 + i, 10 - i : 12 - i] = picture[11 + i, 12 + i : 14 + i] = 70
    return picture


def dash() -> Grey:
    """A soft horizontal stroke, (9, 31)."""
    picture = np.full((9, 31), 255, np.uint8)
    picture[3:6, 2:29] = 120
    picture[4, 3:28] = 0
    return picture


PICTURES = {"tree": tree, "dash": dash}


def cases() -> Iterator[tuple[str, Grey]]:
    for version in get_args(Version):
        for method in METHODS:
            for name, draw in PICTURES.items():
                normalization = Normalization(method=method, side=16, margin=1, version=version)
                yield f"{method} {name} version {version}", normalization(draw())


def write_golden() -> None:
    blocks = [f"{title}\n" + "\n".join(bytes(row).hex(" ") for row in square) for title, square in cases()]
    GOLDEN.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def test_recorded_squares() -> None:
    blocks = GOLDEN.read_text(encoding="utf-8").strip().split("\n\n")
    recorded = {}
    for block in blocks:
        title, *rows = block.splitlines()
        recorded[title] = np.array([list(bytes.fromhex(row)) for row in rows])
    assert recorded.keys() == {title for title, _ in cases()}, "new version or case: write the golden file anew"
    for title, square in cases():
        # A level of difference is rounding: matrix products add in another order on another processor.
        np.testing.assert_allclose(square.astype(int), recorded[title], rtol=0, atol=1, err_msg=title)


@st.composite
def two_tone(draw: st.DrawFn) -> Grey:
    """A picture of any shape with paper and ink of one level each."""
    shape = draw(st.tuples(st.integers(1, 24), st.integers(2, 24)))
    mask = draw(npst.arrays(np.bool_, shape, fill=st.just(False)))
    mask[draw(st.integers(0, shape[0] - 1)), 0] = True
    mask[draw(st.integers(0, shape[0] - 1)), -1] = False
    paper = draw(st.integers(100, 255))
    ink = draw(st.integers(0, paper - MIN_CONTRAST))
    return np.where(mask, ink, paper).astype(np.uint8)


normalizations = st.builds(
    Normalization,
    method=st.sampled_from(METHODS),
    side=st.integers(12, 40),
    margin=st.integers(0, 2),
    version=st.sampled_from(get_args(Version)),
)
taking_all_ink = st.builds(
    Normalization,
    method=st.sampled_from(METHODS),
    side=st.integers(12, 40),
    margin=st.integers(0, 2),
    version=st.just(1),
)
"""Version 2 takes scattered pixels for noise or specks, so random pictures do not keep theirs."""
shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(npst.arrays(np.uint8, shapes), normalizations)
def test_any_picture_is_a_square_or_blank(picture: Grey, normalization: Normalization) -> None:
    try:
        square = normalization(picture)
    except BlankImageError:
        return
    assert square.shape == (normalization.side, normalization.side)
    assert square.dtype == np.uint8
    assert square.max() > 0
    if normalization.margin:
        inside = square[normalization.margin : -normalization.margin, normalization.margin : -normalization.margin]
        assert int(inside.sum()) == int(square.sum()), "the margin stays paper"


@given(two_tone(), taking_all_ink, st.tuples(*[st.integers(0, 9)] * 4))
def test_a_wider_margin_of_paper_changes_nothing(
    picture: Grey, normalization: Normalization, margins: tuple[int, int, int, int]
) -> None:
    top, bottom, left, right = margins
    wider = np.pad(picture, ((top, bottom), (left, right)), constant_values=picture.max())
    np.testing.assert_array_equal(normalization(wider), normalization(picture))


@given(two_tone(), taking_all_ink, st.integers(-255, 255))
def test_brighter_or_darker_changes_nothing(picture: Grey, normalization: Normalization, shift: int) -> None:
    shift = int(np.clip(shift, -int(picture.min()), 255 - int(picture.max())))
    np.testing.assert_array_equal(normalization((picture.astype(int) + shift).astype(np.uint8)), normalization(picture))


def test_grey_scans_bear_margins_and_lamps_too() -> None:
    rng = np.random.default_rng(3)
    picture = np.where(tree() < 100, tree() + 20, 235)
    picture = np.clip(picture + rng.integers(-6, 7, picture.shape), 0, 255).astype(np.uint8)
    wider = np.pad(picture, 12, constant_values=235)
    for method in METHODS:
        normalization = Normalization(method=method, side=32)
        square = normalization(picture).astype(int)
        assert np.abs(normalization(picture - 20) - square).max() <= 1
        assert np.abs(normalization(wider) - square).mean() < 4


@pytest.mark.parametrize("method", ["fit", "moment"])
@given(picture=two_tone(), side=st.integers(12, 40))
def test_turning_over_the_diagonal_commutes(method: Method, picture: Grey, side: int) -> None:
    normalization = Normalization(method=method, side=side, version=1)
    difference = normalization(picture.T).astype(int) - normalization(picture).T
    assert np.abs(difference).max() <= 1  # rounding


@every_method
def test_aspect_and_place(method: Method) -> None:
    square = Normalization(method=method, side=32, margin=2)(dash())
    rows, columns = np.flatnonzero(square.max(1) > 60), np.flatnonzero(square.max(0) > 60)
    assert len(columns) >= 24
    assert len(rows) < len(columns)
    assert abs(rows.mean() - 15.5) <= 1
    assert abs(columns.mean() - 15.5) <= 1


@every_method
@pytest.mark.parametrize("version", get_args(Version))
def test_margins_levels_and_the_diagonal_change_nothing_of_a_character(method: Method, version: Version) -> None:
    normalization = Normalization(method=method, side=32, version=version)
    picture = np.where(tree() < 100, tree(), 235).astype(np.uint8)
    square = normalization(picture)
    for margins in ((9, 0), (3, 7)):
        np.testing.assert_array_equal(normalization(np.pad(picture, (margins, margins), constant_values=235)), square)
    for shift in (-30, 20):
        np.testing.assert_array_equal(normalization((picture.astype(int) + shift).astype(np.uint8)), square)
    assert method == "line-density" or np.abs(normalization(picture.T).astype(int) - square.T).max() <= 1


@every_method
@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (40, 40), (1, 2000), (2000, 1)])
def test_a_single_pixel_of_ink(method: Method, shape: tuple[int, int]) -> None:
    picture = np.full(shape, 255, np.uint8)
    picture[shape[0] // 2, shape[1] // 2] = 0
    with pytest.raises(BlankImageError):  # noise or a speck
        Normalization(method=method)(picture)
    square = Normalization(method=method, version=1)(picture)
    assert square.max() > 100
    assert abs(float(np.average(np.arange(64), weights=square.sum(0))) - 31.5) < 1


@every_method
@pytest.mark.parametrize("turned", [False, True])
def test_extreme_aspects(method: Method, turned: bool) -> None:
    line = np.full((5, 3000), 255, np.uint8)
    line[2, 10:-10] = 0
    line = line.T if turned else line
    with pytest.raises(BlankImageError, match="printed lines"):
        Normalization(method=method)(line)
    square = Normalization(method=method, version=1)(line)
    if turned:
        square = square.T
    assert (square.max(0) > 0).sum() >= 40, "as long as the square"
    assert (square.max(1) > 0).sum() <= 40, "and not as high"


@every_method
@pytest.mark.parametrize(
    "picture",
    [
        np.full((20, 20), 255, np.uint8),
        np.zeros((20, 20), np.uint8),
        np.zeros((0, 5), np.uint8),
        np.zeros((5, 0), np.uint8),
        np.full((1, 1), 7, np.uint8),
        (200 + np.arange(400).reshape(20, 20) % MIN_CONTRAST // 2).astype(np.uint8),
    ],
)
def test_blank_pictures(method: Method, picture: Grey) -> None:
    with pytest.raises(BlankImageError, match="the picture is blank"):
        Normalization(method=method)(picture)


def test_the_least_contrast_that_is_read() -> None:
    picture = np.full((9, 9), 200, np.uint8)
    picture[4] = 200 - MIN_CONTRAST
    assert Normalization()(picture).max() > 200
    picture[4] += 1
    with pytest.raises(BlankImageError, match="differ by 11 grey levels of 255, 12 needed"):
        Normalization()(picture)


def test_neither_a_speck_nor_a_shadow_sets_the_scale() -> None:
    picture = np.full((40, 40), 220, np.uint8)
    picture[10:30, 18:22] = 100
    clean = stretch(picture)
    picture[0, 0] = 0  # a speck
    picture[:, 38:] = 205  # a shadow
    stretched = stretch(picture)
    assert stretched[20, 20] == clean[20, 20] == 1
    assert stretched[0, 20] == 0
    assert stretched[20, 39] < 0.2


@pytest.mark.parametrize("side", [7, 513])
def test_impossible_sides(side: int) -> None:
    with pytest.raises(ConfigError, match=f"side {side}"):
        Normalization(side=side)


def test_impossible_margins_and_methods() -> None:
    for margin in (-1, 16):
        with pytest.raises(ConfigError, match="margin under a quarter"):
            Normalization(side=64, margin=margin)
    for side in ("64", 64.0, None, True, [64]):  # a bundle's or a pack's file may say anything
        with pytest.raises(ConfigError, match=r"side .* with margin 2: side 8 to 512"):
            Normalization.from_dict({"method": "fit", "side": side, "margin": 2, "version": VERSION})
    with pytest.raises(ConfigError, match="normalisation 'fill' is unknown; one of fit, moment, line-density"):
        Normalization(method="fill")  # type: ignore[arg-type]


def test_it_is_recorded_and_read_back() -> None:
    normalization = Normalization(method="moment", side=96, margin=3)
    assert Normalization.from_dict(normalization.as_dict()) == normalization
    assert str(normalization) == f"moment-96+3.v{VERSION}"
    other = {**normalization.as_dict(), "version": VERSION + 1}
    with pytest.raises(
        ConfigError, match=f"x: normalised by version {VERSION + 1}, this program has 1 to {VERSION}; make"
    ):
        Normalization.from_dict(other, where="x")


def test_normalize_is_a_call_of_the_settings() -> None:
    grey = load([[(0, 5), (10, 5)], [(5, 0), (5, 10)]])
    settings = Normalization(method="moment", side=32)
    assert np.array_equal(normalize(grey, settings), settings(grey))
    assert np.array_equal(settings.inspect(grey).square, settings(grey))


def test_standardise_takes_arrays_of_any_kind() -> None:
    squares = np.array([[MEAN, MEAN + STD]], np.float32)
    assert standardise(squares).dtype == np.float32
    np.testing.assert_allclose(standardise(squares), [[0, 1]], atol=1e-6)
    np.testing.assert_allclose(standardise(squares, 0.0, 2.0), squares / 2)


if __name__ == "__main__":
    write_golden()
