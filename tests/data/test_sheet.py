from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

from hanmo.data import fonts
from hanmo.data.fonts import Anchor, CaptionFont
from hanmo.data.sheet import contact_sheet, save_png
from hanmo.errors import ArgumentError, DataError

BAR = np.zeros((64, 64), np.uint8)
BAR[30:34, 4:60] = 255


@pytest.fixture
def no_chinese_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hanmo.data.fonts.find_chinese_font", lambda: None)


@pytest.mark.usefixtures("no_chinese_font")
def test_what_neither_font_nor_strokes_have_is_written_as_code_points() -> None:
    font = CaptionFont(20)
    assert font.drawable("99.1 % A") == "99.1 % A"
    assert font.drawable("翰 99 %") == "翰 99 %"
    assert font.drawable("臺 99 %") == "臺 99 %"
    assert font.drawable("亹 99 %") == "U+4EB9 99 %"
    assert font.drawable("亹翰羋") == "U+4EB9 翰 U+7F8B"


@pytest.mark.usefixtures("no_chinese_font")
def test_characters_that_the_font_lacks_are_drawn_from_their_strokes() -> None:
    font = CaptionFont(40)
    assert not font.has("十")
    assert font.width("十A") == 40 + font.width("A")

    def ink(text: str, anchor: Anchor) -> tuple[int, int, int, int]:
        picture = Image.new("L", (200, 120), 255)
        font.write(ImageDraw.Draw(picture), (100, 60), text, "#000000", anchor)
        box = ImageOps.invert(picture).getbbox()
        assert box
        return box

    left, top, right, bottom = ink("十", "ls")
    assert 100 <= left < right <= 140
    assert 60 - 36 < top < bottom <= 66, "it stands on the baseline as a Chinese font's does"
    assert ink("十", "ms")[0] == left - 20
    assert ink("十", "rs")[0] == left - 40
    assert abs(sum(ink("十", "lm")[1::2]) / 2 - 60) < 5
    assert ink("十", "lt")[1] >= 60
    assert ink("臺", "ls") != ink("十", "ls")
    assert ink("A十", "ls")[2] > right
    assert ink("AB", "ls") != ink("A十", "ls")


def test_a_found_font_is_one_that_draws_chinese() -> None:
    found = fonts.find_chinese_font()
    assert found is None or CaptionFont(20, found).has("翰")


def test_a_damaged_font_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "simsun.ttc").write_bytes(b"no font")
    monkeypatch.setattr(fonts, "_UNIX_FOLDERS", [str(tmp_path)])
    monkeypatch.setattr(fonts, "_FOLDERS", {})
    assert fonts.find_chinese_font.__wrapped__() is None


@pytest.mark.usefixtures("no_chinese_font")
def test_ink_is_dark_whichever_way_it_came() -> None:
    bright = np.asarray(contact_sheet([BAR], ["一"]))
    dark = np.asarray(contact_sheet([255 - BAR], ["一"], ink="dark"))
    assert np.array_equal(bright, dark)
    assert bright[0, 0].tolist() == [255, 255, 255]
    assert bright.min() < 40
    assert bright.mean() > 200


@pytest.mark.usefixtures("no_chinese_font")
def test_the_sheet_grows_with_its_contents() -> None:
    def size(count: int, caption: str = "A", **look: int) -> tuple[int, int]:
        return contact_sheet([BAR] * count, [caption] * count, **look).size

    assert size(3, columns=3)[1] == size(1, columns=3)[1] < size(4, columns=3)[1]
    assert size(2, columns=9) == size(2, columns=2)
    assert size(4, scale=4)[0] == 2 * size(4, scale=2)[0]
    assert size(1, caption="A\nB\nC")[1] > size(1)[1]
    assert size(1, caption="a caption far wider than its picture")[0] > size(1)[0]


@pytest.mark.usefixtures("no_chinese_font")
def test_pictures_of_any_shape_fit_their_cell() -> None:
    shapes = [(1, 300), (300, 1), (7, 9), (200, 200)]
    sheet = contact_sheet([np.zeros(shape, np.uint8) for shape in shapes], ["a", "", "c\n", "\nd"], ink="dark")
    assert sheet.width < 2000


def test_captions_must_match_the_pictures() -> None:
    with pytest.raises(DataError, match="1 and 2 given"):
        contact_sheet([BAR], ["a", "b"])
    with pytest.raises(DataError, match="0 and 0 given"):
        contact_sheet([], [])


def test_a_sheet_nobody_could_look_at_is_refused() -> None:
    with pytest.raises(DataError, match="2501 pictures is too large: at most 2500; show fewer"):
        contact_sheet([BAR] * 2_501, ["一"] * 2_501)


def test_a_sheet_replaces_pngs_only(tmp_path: Path) -> None:
    (tmp_path / "test.gnt").write_bytes(b"samples")
    with pytest.raises(ArgumentError, match=r"test\.gnt: .* ends in \.png"):
        save_png(contact_sheet([BAR], ["a"]), tmp_path / "test.gnt")
    assert (tmp_path / "test.gnt").read_bytes() == b"samples"


def test_no_folder_is_made_for_a_sheet(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"a\.png: there is no folder .*none; make it first"):
        save_png(contact_sheet([BAR], ["a"]), tmp_path / "none" / "a.png")
    assert not (tmp_path / "none").exists()
    save_png(contact_sheet([BAR], ["a"]), tmp_path / "none" / "a.png", make_folder=True)
    assert (tmp_path / "none" / "a.png").exists()


def test_pillow_has_a_scalable_font_of_its_own() -> None:
    assert isinstance(ImageFont.load_default(20), ImageFont.FreeTypeFont)
