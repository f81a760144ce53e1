from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hanmo import image
from hanmo.errors import ImageError, ImageTooLargeError
from hanmo.image import load, load_colours, pictures_in

Grey = NDArray[np.uint8]


def glyph(width: int = 40, height: int = 30) -> Grey:
    """A slanted stroke and a bar on white, with grey edges, different in every direction."""
    picture = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(picture)
    pen.line((5, 4, width - 9, height - 8), fill=20, width=4)
    pen.line((6, height - 5, width // 2, height - 5), fill=90, width=3)
    return np.array(picture)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["png", "bmp", "gif", "tiff", "ppm"])
def test_lossless_files_load_exactly_from_path_text_and_bytes(kind: str, tmp_path: Path) -> None:
    data = encoded(Image.fromarray(glyph()), kind)
    path = tmp_path / "翰"  # the content decides, not the suffix
    path.write_bytes(data)
    for source in (path, str(path), data, bytearray(data), memoryview(data)):
        np.testing.assert_array_equal(load(source), glyph())


@pytest.mark.parametrize(("kind", "options"), [("jpeg", {"quality": 95}), ("webp", {"quality": 95})])
def test_lossy_files_load_nearly(kind: str, options: dict[str, int]) -> None:
    loaded = load(encoded(Image.fromarray(glyph()), kind, **options))
    assert np.abs(loaded.astype(int) - glyph()).mean() < 3


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "CMYK", "YCbCr", "I", "F", "I;16"])
def test_every_mode_gives_the_same_grey(mode: str) -> None:
    grey = glyph()
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
        assert picture.mode == "I;16"
    else:
        picture = Image.fromarray(grey).convert(mode)
    loaded = load(picture)
    assert loaded.dtype == np.uint8
    assert np.abs(loaded.astype(int) - grey).max() <= 1


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "jpeg"), ("CMYK", "tiff"), ("I;16", "png"), ("I;16", "tiff")])
def test_modes_survive_their_files(mode: str, kind: str) -> None:
    grey = glyph()
    wide = Image.fromarray(grey.astype(np.uint16) * 257)
    picture = wide if mode == "I;16" else Image.fromarray(grey).convert(mode)
    assert np.abs(load(encoded(picture, kind)).astype(int) - grey).mean() < 4


def test_one_bit() -> None:
    ink = glyph() < 128
    np.testing.assert_array_equal(load(encoded(Image.fromarray(~ink), "png")) < 128, ink)


@given(npst.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_arrays_of_every_type_load_alike(pixels: Grey) -> None:
    grey = load(pixels)
    assert grey.shape == pixels.shape
    assert np.array_equal(grey, pixels) or np.array_equal(grey, 255 - pixels)
    for same in (
        pixels.astype(np.uint16) * 257,
        (pixels.astype(np.uint16) * 257).astype(">u2"),
        pixels / 255,
        (pixels / 255).astype(np.float32),
        np.stack([pixels] * 3, axis=2),
        np.dstack([pixels, pixels, pixels, np.full_like(pixels, 255)]),
        np.asfortranarray(pixels),
    ):
        np.testing.assert_array_equal(load(same), grey)


def test_loading_never_aliases_the_users_array() -> None:
    pixels = glyph()
    load(pixels)[:] = 0
    np.testing.assert_array_equal(pixels, glyph())


@given(st.integers(0, 8), st.integers(20, 90), st.integers(150, 255), st.integers(0, 2**32 - 1))
def test_bright_ink_on_a_dark_ground_is_turned_over(frame: int, dark: int, bright: int, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 4, (30 + 2 * frame, 40 + 2 * frame))
    levels = dark + (bright - dark) * (np.pad(glyph(), frame, constant_values=255) / 255)
    paper_bright = np.clip(levels + noise, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(load(paper_bright), paper_bright)
    np.testing.assert_array_equal(load(255 - paper_bright), paper_bright)


def framed(thick: int) -> Grey:
    """A glyph on white inside a printed black frame that is the picture's rim."""
    picture = np.pad(glyph(), 12, constant_values=255)
    for edge in (picture[:thick], picture[-thick:], picture[:, :thick], picture[:, -thick:]):
        edge[:] = 25
    return picture


@pytest.mark.parametrize("thick", [1, 2, 3])
def test_a_dark_frame_is_no_dark_ground(thick: int) -> None:
    np.testing.assert_array_equal(load(framed(thick)), framed(thick))


def test_a_shadow_over_the_border_is_no_dark_ground() -> None:
    rows, columns = np.indices((64, 64))
    shade = np.clip(np.hypot(rows - 31.5, columns - 31.5) / 32, 0.4, 1.3)  # bright in the middle, dark around it
    picture = np.pad(glyph(), ((17, 17), (12, 12)), constant_values=255)
    shadowed = (picture * (1.25 - 0.6 * shade)).clip(0, 255).astype(np.uint8)
    assert np.median(shadowed[0]) < 150
    np.testing.assert_array_equal(load(shadowed), shadowed)
    half = picture.copy()
    half[:, :38] = half[:, :38] * 0.5
    np.testing.assert_array_equal(load(half), half)


@pytest.mark.parametrize("margin", [0, 3, 30])
def test_negatives_in_uneven_light_are_turned_over(margin: int) -> None:
    picture = np.pad(glyph(), margin, constant_values=255)
    lamp = np.linspace(0, 30, picture.shape[1])
    board = (255 - picture * 0.8 - lamp).clip(0, 255).astype(np.uint8)  # chalk on a board
    np.testing.assert_array_equal(load(board), 255 - board)


@pytest.mark.parametrize("level", [0, 90, 255])
def test_one_tone_is_left_as_it_is(level: int) -> None:
    blank = np.full((20, 30), level, np.uint8)
    np.testing.assert_array_equal(load(blank), blank)


def test_a_tightly_cut_bar_is_not_taken_for_its_negative() -> None:
    bar = np.full((12, 60), 255, np.uint8)
    for column in range(60):  # a slanted 一 that fills two thirds of its box
        top = 4 - column // 15
        bar[top : top + 8, column] = 10
    assert (bar < 128).mean() > 0.6
    np.testing.assert_array_equal(load(bar), bar)
    np.testing.assert_array_equal(load(255 - bar), bar)


def test_transparency_is_paper() -> None:
    ink = 255 - glyph()
    black_on_nothing = np.dstack([np.zeros_like(ink)] * 3 + [ink])
    np.testing.assert_array_equal(load(black_on_nothing), glyph())
    np.testing.assert_array_equal(load(encoded(Image.fromarray(black_on_nothing), "png")), glyph())


def test_white_ink_on_nothing_is_found_in_the_alpha() -> None:
    ink = 255 - glyph()
    white_on_nothing = np.dstack([np.full_like(ink, 255)] * 3 + [ink])
    np.testing.assert_array_equal(load(white_on_nothing), glyph())


def test_palette_with_a_transparent_colour() -> None:
    picture = Image.fromarray(glyph()).convert("P")
    paper = picture.getpixel((0, 0))
    np.testing.assert_array_equal(load(encoded(picture, "png", transparency=paper)), glyph())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    turn_back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = Image.fromarray(glyph())
    if orientation > 1:
        stored = stored.transpose(turn_back[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(load(encoded(stored, "png", exif=exif)), glyph())


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tiff"])
def test_the_first_frame_of_an_animation_counts(kind: str) -> None:
    first, second = Image.fromarray(glyph()), Image.fromarray(np.full_like(glyph(), 255))
    options = {"lossless": True} if kind == "webp" else {}
    data = encoded(first, kind, save_all=True, append_images=[second], **options)
    np.testing.assert_array_equal(load(data), glyph())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 5), np.uint8), "no pixels"),
        (np.zeros((5, 0, 3), np.uint8), "no pixels"),
        (np.zeros(9, np.uint8), "must be"),
        (np.zeros((2, 3, 4, 5), np.uint8), "must be"),
        (np.zeros((3, 4, 2), np.uint8), "must be"),
        (np.zeros((3, 4), np.int64), "convert it to uint8"),
        (np.zeros((3, 4), np.complex128), "convert it to uint8"),
        (np.array([["a"]]), "convert it to uint8"),
        (np.full((3, 4), 2.0), "between 0 and 1"),
        (np.full((3, 4), -0.1), "between 0 and 1"),
        (np.full((3, 4), np.nan), "between 0 and 1"),
    ],
)
def test_unusable_arrays(array: NDArray[np.generic], message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        load(array)
    assert str(array.shape) in str(caught.value)


def test_too_many_pixels() -> None:
    with pytest.raises(ImageTooLargeError, match="5000x5000"):
        load(np.broadcast_to(np.uint8(255), (5000, 5000)))
    with pytest.raises(ImageTooLargeError, match="5000x5000"):
        load(Image.new("1", (5000, 5000)))


@pytest.mark.parametrize("source", [None, 5, {"a": 1}, object()])
def test_what_is_no_source(source: object) -> None:
    with pytest.raises(ImageError, match=f"{type(source).__name__}: not a picture; give a path"):
        load(source)  # type: ignore[arg-type]


def test_files_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.png: no such file"):
        load(tmp_path / "none.png")
    with pytest.raises(ImageError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(ImageError, match="cannot be opened"):
        load("a\0b")
    with pytest.raises(ImageError, match="cannot be opened") as caught:
        load("x" * 5000)
    assert len(str(caught.value)) < 400


def test_too_many_bytes(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(image.MAX_BYTES + 1)
    with pytest.raises(ImageTooLargeError, match=r"large\.png: the file is larger than 16 MiB"):
        load(path)


def test_names_are_printable_on_one_line() -> None:
    assert image.describe("a\nb\x1b[31m\udcff") == "a\ufffdb\ufffd[31m\ufffd"


def test_the_limits_hold_below_pillows_own_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageTooLargeError):
            load(encoded(Image.new("1", (10_000, 10_000)), "png"))


def test_a_pil_image_that_fails_to_decode() -> None:
    lazy = Image.open(BytesIO(encoded(Image.fromarray(glyph()), "png")[:60]))
    with pytest.raises(ImageError, match="PIL image L 40x30: cannot be decoded"):
        load(lazy)


def test_open_files_are_read_from_where_they_are(tmp_path: Path) -> None:
    Image.new("L", (5, 4), 7).save(tmp_path / "a.png")
    expected = load(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        assert np.array_equal(load(file), expected)
    with pytest.raises(ImageError, match=r"a\.png: cannot be read \(.*closed.*\); open it again"):
        load(file)
    with (tmp_path / "a.png").open(encoding="latin-1") as text, pytest.raises(ImageError, match="with mode 'rb'"):
        load(text)  # type: ignore[arg-type]
    with (tmp_path / "a.png").open(encoding="utf-8") as text, pytest.raises(ImageError, match="with mode 'rb'"):
        load(text)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="BytesIO: the file is empty"):
        load(BytesIO())


def test_sources_that_give_a_little_at_a_time_are_read_to_the_end() -> None:
    class Dripping(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 1, 50))

    picture = encoded(Image.fromarray(glyph()), "png")
    assert np.array_equal(load(Dripping(picture)), load(picture))


def test_one_channel_is_grey() -> None:
    grey = np.full((6, 5), 200, np.uint8)
    grey[2:4, 1:4] = 30
    assert np.array_equal(load(grey[..., None]), load(grey))
    with pytest.raises(ImageError, match="use recognize_batch"):
        load(np.zeros((2, 6, 5), np.uint8))


def test_pictures_of_a_folder_come_by_name(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in pictures_in(tmp_path)] == ["a.jpg", "b.PNG"]


@pytest.mark.parametrize("kind", ["png", "tiff", "bmp"])
def test_colours_of_a_page_stay_as_they_are(kind: str, tmp_path: Path) -> None:
    red = np.full((30, 40, 3), (250, 246, 240), np.uint8)
    red[10:12] = (220, 40, 40)
    red[15:25, 18:21] = 20
    path = tmp_path / "page"
    path.write_bytes(encoded(Image.fromarray(red), kind))
    for source in (path, path.read_bytes(), BytesIO(path.read_bytes()), Image.fromarray(red), red):
        assert np.array_equal(load_colours(source), red)
    assert load(red)[10, 0] > 230, "but for a single character the red rule is hidden"


def test_colours_of_grey_transparent_dark_and_turned_pictures() -> None:
    grey = glyph()
    for source in (grey, grey.astype(np.uint16) * 257, grey / 255, Image.fromarray(grey)):
        assert np.array_equal(load_colours(source), np.repeat(grey[..., None], 3, axis=2))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    assert np.array_equal(load_colours(deep)[..., 1], grey)
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[:, :2, 0], clear[:, :2, 3] = 200, 255
    assert load_colours(clear)[0].tolist() == [[200, 0, 0]] * 2 + [[255] * 3] * 2
    assert np.array_equal(load_colours(255 - grey)[..., 0], 255 - grey), "a dark page is not inverted"
    picture = Image.fromarray(grey)
    exif = picture.getexif()
    exif[0x0112] = 6  # stored turned by a quarter
    assert np.array_equal(load_colours(encoded(picture, "png", exif=exif))[..., 0], np.rot90(grey, -1))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([[(0, 0), (1, 1)]], "strokes are no picture of a page"),
        (b"%PDF-1.4", "a PDF; save it as PNG"),
        (np.zeros((5000, 5000), np.uint8), "5000x5000 is more than"),
        (3, "not a picture"),
    ],
)
def test_what_is_no_page_is_named(source: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        load_colours(source)  # type: ignore[arg-type]
