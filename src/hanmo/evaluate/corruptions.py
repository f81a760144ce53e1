"""The 20 corruptions of HWDB-C: what pictures of handwriting suffer on real paper and in real cameras.

After Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR
2019: fixed corruptions, five severities each, only for measuring. A reader that is trained on these very functions is
not measured by them any more. ``docs/corruptions.md`` describes them one by one.

Every corruption is a pure function ``(page, severity, generator, neighbours) -> page``: uint8 (112, 112) in and out,
severity 1 to 5, and other samples for those that show some. The pixels are part of the benchmark: whoever changes them
raises :data:`VERSION`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from types import MappingProxyType

import numpy as np
from PIL import Image

from hanmo.errors import ArgumentError
from hanmo.evaluate.corrupt_page import (
    CELL,
    EDGE,
    INK,
    PAPER,
    SIDE,
    Floats,
    Grey,
    Point,
    blob,
    blur,
    character,
    clean_page,
    darken,
    eroded,
    grid,
    hand_circle,
    homography,
    ink_of,
    lines,
    placed,
    put,
    smooth_noise,
    to_page,
)

VERSION = 1
"""Raised whenever a corruption gives other pixels: results of different versions must not be compared."""
SEVERITIES = (1, 2, 3, 4, 5)

Neighbours = Sequence[Grey]
Corruption = Callable[[Grey, int, np.random.Generator, Neighbours], Grey]


def corrupt(name: str, severity: int, sample: Grey, index: int, neighbours: Neighbours = ()) -> Grey:
    """Put a sample on a page and spoil it: uint8 (112, 112), 255 = white.

    ``sample`` is uint8 (H, W), 255 = paper; ``index`` is its number in its file. Name, severity and index seed the
    random generator, so that each page can be made again on its own. ``neighbours`` are other samples, of which
    ``show-through`` takes the first and ``neighbours`` the first four; without any, the sample stands in for them.
    Raises :class:`ArgumentError` for an unknown name, a severity other than 1 to 5 and a negative index.
    """
    if name not in CORRUPTIONS:
        raise ArgumentError(f"corruption {name!r} is unknown; one of {', '.join(CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise ArgumentError(f"severity is {severity}; a whole number from 1 to 5")
    if index < 0:
        raise ArgumentError(f"index is {index}; samples are numbered from 0")
    # crc32, as Python's own hash of a text changes with every start.
    rng = np.random.default_rng([zlib.crc32(name.encode()), severity, index])
    return CORRUPTIONS[name](clean_page(sample), severity, rng, neighbours or (sample,))


def gaussian_noise(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """Sensor noise of a picture taken in the dark, standard deviation in grey levels."""
    sigma = (8, 16, 28, 42, 60)[severity - 1]
    return to_page(page + sigma * rng.standard_normal(page.shape, np.float32))


def salt_and_pepper(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """A share of the pixels is black or white, half each: dead pixels, dust and toner."""
    share = (0.01, 0.03, 0.06, 0.11, 0.18)[severity - 1]
    chance = rng.random(page.shape)
    return np.where(chance < share / 2, 0, np.where(chance > 1 - share / 2, 255, page)).astype(np.uint8)


def speckle(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """Noise in proportion to the light, as its share of the level, grains about a pixel wide."""
    share = (0.06, 0.12, 0.19, 0.28, 0.4)[severity - 1]
    return to_page(page * (1 + share * smooth_noise(rng, 0.6)))


def uneven_light(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """A lamp at one side: from one border to the opposite one the light falls to this share of itself."""
    least = (0.8, 0.68, 0.56, 0.45, 0.35)[severity - 1]
    along = _across(rng.uniform(0, 2 * np.pi))
    # 0 at the lit border, 1 at the dark one. The exponent below bends the fall of light a little, as real lamps do.
    way = (along - along.min()) / (along.max() - along.min())
    return to_page(page * (1 - (1 - least) * way ** np.float32(rng.uniform(0.8, 1.25))))


def hard_shadow(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """The edge of a hand's or a phone's shadow crosses the character; in it, this share of the light is left."""
    left = (0.82, 0.7, 0.58, 0.46, 0.35)[severity - 1]
    angle = rng.uniform(0, 2 * np.pi)
    # The edge is a slightly wavy line, up to a fifth of the character's side off the middle: it always crosses ink.
    edge = _across(angle) - rng.uniform(-0.2, 0.2) * CELL + 4 * np.sin(_across(angle + np.pi / 2) / rng.uniform(12, 30))
    # tanh makes the step soft: 1 to 3 pixels, as the half-shadow of a near hand.
    shade = 0.5 + 0.5 * np.tanh(edge / rng.uniform(1, 3))
    return to_page(page * (1 - (1 - left) * shade))


def paper_texture(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """Coarse paper: grain of two sizes, 1.2 and 4 pixels, standard deviation in grey levels."""
    sigma = (4, 8, 13, 19, 26)[severity - 1]
    # 0.8 and 0.6, because the variances add up: 0.64 + 0.36 = 1 keeps the standard deviation at sigma.
    grain = 0.8 * smooth_noise(rng, 1.2) + 0.6 * smooth_noise(rng, 4.0)
    # The paper gets darker, too, or the bright half of the grain would be cut off at 255.
    return to_page(page - 1.2 * sigma + sigma * grain)


def show_through(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """The writing on the back of thin paper: another sample, mirrored, a little blurred, with this share of ink."""
    ink = (0.1, 0.18, 0.27, 0.37, 0.48)[severity - 1]
    left, top = (EDGE + rng.integers(-14, 15, 2)).tolist()
    # The back of a sheet is seen from behind, therefore mirrored, and not exactly behind the front's character.
    back = placed(character(others[0])[:, ::-1], left, top)
    return darken(page, blur(back, 1.0), ink)


def low_contrast(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """A dull exposure: paper gets darker and lies this many grey levels above the ink; noise of 1.5 levels."""
    contrast = (120, 80, 52, 34, 22)[severity - 1]
    paper = (225, 208, 192, 176, 160)[severity - 1]
    return to_page(paper - contrast * ink_of(page) + 1.5 * rng.standard_normal(page.shape, np.float32))


def faint_ink(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """A hard pencil or a dry pen: thinner strokes, less ink, gaps where it did not touch the paper."""
    strength = (0.85, 0.72, 0.6, 0.47, 0.35)[severity - 1]
    gaps = (0.02, 0.05, 0.09, 0.14, 0.2)[severity - 1]
    thinner = (0.15, 0.25, 0.37, 0.5, 0.65)[severity - 1]
    ink = ink_of(page)
    ink = (1 - thinner) * ink + thinner * eroded(ink)
    pressure = smooth_noise(rng, 2.0)
    # The quantile makes exactly this share of the page untouched; from there the ink grows in softly.
    touching = ((pressure - np.quantile(pressure, gaps)) / 0.35).clip(0, 1)
    grain = (1 + 0.3 * smooth_noise(rng, 0.7)).clip(0, 1.3)
    levels = PAPER - (PAPER - INK) * strength * ink * touching * grain
    return to_page(levels + 1.5 * rng.standard_normal(page.shape, np.float32))


def gaussian_blur(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """A picture out of focus, standard deviation in pixels."""
    return to_page(blur(page, (0.8, 1.2, 1.6, 2.2, 3.0)[severity - 1]))


def motion_blur(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """The camera moved along a straight line of this length in pixels, in any direction."""
    length = (2.5, 4, 6, 8.5, 12)[severity - 1]
    angle = rng.uniform(0, np.pi)
    down, right = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    # Averaging along a line multiplies the spectrum by a sinc. The page repeats at its borders, which are paper.
    response = np.sinc(length * (right * np.cos(angle) + down * np.sin(angle)))
    return to_page(np.fft.irfft2(np.fft.rfft2(page) * response, page.shape))


def low_resolution(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """A picture of a whole sheet: the character is only this many pixels large, then enlarged again."""
    pixels = (36, 28, 22, 17, 13)[severity - 1]
    # BOX averages the pixels as a coarse sensor does; BICUBIC is a usual way to enlarge.
    small = round(SIDE * pixels / CELL)
    picture = Image.fromarray(page).resize((small, small), Image.Resampling.BOX)
    return np.array(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def jpeg(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """Saved once as JPEG of this quality; the grid of 8 x 8 blocks starts anywhere."""
    # Of near qualities those whose steps also shift the paper more with every severity.
    quality = (34, 26, 16, 11, 5)[severity - 1]
    down, right = rng.integers(0, 8, 2).tolist()
    # JPEG works in blocks of 8 x 8 from the top left corner: padding shifts where they begin on the page.
    padded = np.pad(page, ((down, 8 - down), (right, 8 - right)), "edge")
    file = BytesIO()
    Image.fromarray(padded).save(file, "jpeg", quality=quality)
    with Image.open(file, formats=["jpeg"]) as picture:
        return np.array(picture)[down : down + SIDE, right : right + SIDE]


def tianzige(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """A printed practice cell, 田字格: a frame and a dashed cross behind the character."""
    return _practice_cell(page, severity, rng, diagonals=False)


def mizige(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """A printed practice cell, 米字格: a frame, a dashed cross and dashed diagonals behind the character."""
    return _practice_cell(page, severity, rng, diagonals=True)


def ruled_lines(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """Ruled paper: lines under the character, at higher severities also through it; never quite level."""
    apart = (84, 62, 46, 36, 28)[severity - 1]
    ink, width = _PRINT[severity - 1]
    slope, first = rng.uniform(-0.03, 0.03), rng.uniform(0, apart)
    # One line more above and below, as slanted lines may enter the page from there.
    heights = np.arange(first - apart, SIDE + apart, apart).tolist()
    return darken(page, lines([[(0, y), (SIDE, y + slope * SIDE)] for y in heights], width), ink)


def neighbours(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """Cut out too generously: the next characters reach in from one to four sides, with this gap in pixels."""
    sides, gap = ((1, 10), (2, 7), (2, 3), (3, 0), (4, -3))[severity - 1]
    ink = ink_of(page)
    for number, side in enumerate(rng.permutation(4)[:sides].tolist()):
        other = character(others[number % len(others)])
        height, width = other.shape
        shift = int(rng.integers(-8, 9))
        left, top = EDGE + (CELL - width) // 2 + shift, EDGE + (CELL - height) // 2 + shift
        # A neighbour on the left or above ends at `before`, one on the right or below begins at `after`. A negative gap
        # lets them reach into the character's square.
        before, after = EDGE - gap, EDGE + CELL + gap
        corner = ((before - width, top), (after, top), (left, before - height), (left, after))[side]
        ink = np.maximum(ink, put(other, *corner))
    return to_page(PAPER - (PAPER - INK) * ink)


def perspective(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """Taken from the side: turned by this angle in degrees, each corner moved by this share of the character."""
    degrees, share = ((4, 0.04), (8, 0.08), (12, 0.12), (17, 0.17), (22, 0.22))[severity - 1]
    turn = np.deg2rad(degrees) * rng.choice((-1, 1))
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (CELL / 2)
    # Corners of the character's square around (0, 0), turned, and then each moved by itself.
    corners = square @ np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
    corners += rng.uniform(-1, 1, (4, 2)) * share * CELL
    corners *= min(1, (SIDE / 2 - 2) / np.abs(corners).max())  # the whole character stays on the page
    middle = SIDE / 2
    # Pillow asks for every target pixel where it comes from, so the map goes from the new corners to the old ones.
    back = homography(corners + middle, square + middle)
    picture = Image.fromarray(page)
    turned = picture.transform(
        (SIDE, SIDE), Image.Transform.PERSPECTIVE, back, Image.Resampling.BICUBIC, fillcolor=PAPER
    )
    return np.array(turned)


def moire(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """Photographed from a screen: two crossing wavy gratings take up to this share of the light."""
    share = (0.1, 0.18, 0.28, 0.4, 0.55)[severity - 1]
    angle, bend = rng.uniform(0, np.pi), 2 * smooth_noise(rng, 16.0)
    pattern = np.zeros(page.shape, np.float32)
    # A screen has rows and columns of dots, which gives two gratings at an angle; one of them is stronger.
    for turn, weight in ((angle, 0.65), (angle + rng.uniform(0.9, 1.6), 0.35)):
        period = rng.uniform(3.5, 8)
        pattern += weight * (0.5 + 0.5 * np.sin(2 * np.pi * (_across(turn) + bend) / period))
    return to_page(page * (1 - share * pattern))


def occlusion(page: Grey, severity: int, rng: np.random.Generator, others: Neighbours) -> Grey:
    """One of three, at random: a stain, a dab of correction fluid, or the circle of a teacher's pen."""
    kind = rng.integers(3)
    offset = rng.uniform(-0.3, 0.3, 2) * CELL
    centre = (float(SIDE / 2 + offset[0]), float(SIDE / 2 + offset[1]))
    if kind == 0:
        radius, ink = ((12, 0.25), (16, 0.35), (20, 0.45), (24, 0.55), (29, 0.65))[severity - 1]
        spot = blob(centre, radius, rng)
        rim = (spot - blur(spot, 2.0)).clip(0, 1) * spot  # a stain dries darkest at its edge
        return darken(page, blur(spot, 0.8) * 0.8 + rim * 0.4, ink)
    if kind == 1:
        dab = blob(centre, (4, 6, 8, 10.5, 13.5)[severity - 1], rng)
        # 252: correction fluid is a little whiter than the paper (245).
        return to_page(page * (1 - dab) + 252 * dab)
    radius, width, ink = ((46, 1.2, 0.4), (43, 1.6, 0.5), (40, 2, 0.6), (36, 2.5, 0.7), (32, 3, 0.8))[severity - 1]
    return darken(page, lines([hand_circle(radius, rng)], width), ink)


_PRINT = ((0.18, 1.0), (0.28, 1.2), (0.4, 1.5), (0.55, 1.9), (0.72, 2.4))
"""Share of ink and width in pixels of printed lines at each severity."""


def _practice_cell(page: Grey, severity: int, rng: np.random.Generator, *, diagonals: bool) -> Grey:
    ink, width = _PRINT[severity - 1]
    # The cell is larger than the character (half of 72 is 36) and fits the page (half of 112 is 56).
    half = rng.uniform(42, 50)
    x, y = (SIDE / 2 + rng.uniform(-5, 5, 2)).tolist()
    left, right, top, bottom = x - half, x + half, y - half, y + half
    frame = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    inner: list[list[Point]] = [[(left, y), (right, y)], [(x, top), (x, bottom)]]
    if diagonals:
        inner += [[(left, top), (right, bottom)], [(left, bottom), (right, top)]]
    mask = np.maximum(lines([frame], 1.4 * width), lines(inner, width, dash=(5, 3)))
    return darken(page, mask, ink)


def _across(angle: float) -> Floats:
    """The distance of every pixel from a line through the middle of the page, in pixels, with its sign."""
    x, y = grid()
    return np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y


CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {
        function.__name__.replace("_", "-"): function
        for function in (
            gaussian_noise,
            salt_and_pepper,
            speckle,
            uneven_light,
            hard_shadow,
            paper_texture,
            show_through,
            low_contrast,
            faint_ink,
            gaussian_blur,
            motion_blur,
            low_resolution,
            jpeg,
            tianzige,
            mizige,
            ruled_lines,
            neighbours,
            perspective,
            moire,
            occlusion,
        )
    }
)
"""Name -> corruption, in the order of the report."""
