"""Fonts, and the bank of glyphs made from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hanmo.charset import Charset
from hanmo.config import from_table, load_toml
from hanmo.errors import ConfigError, FontError
from hanmo.synth.fonts.bank import FontRecord, GlyphBank, pack_levels, unpack_levels, write_bank
from hanmo.synth.fonts.build import build_bank
from hanmo.synth.fonts.files import FontFile
from hanmo.synth.fonts.recipe import FontSource, FontsRecipe
from hanmo.synth.fonts.variants import draw_medians, features, find_variants

MakeFont = Callable[..., None]

CHARACTERS = "永宪容客中国人学书明心风雨骨门天地山水火木花鸟鱼马牛羊石金竹"


def source(name: str, files: str = "", **more: object) -> FontSource:
    table = {"name": name, "files": files or f"{name}.ttf", "package": "p", "version": "1", "licence": "OFL-1.1"}
    return from_table(table | more, FontSource)


@pytest.fixture
def recipe(tmp_path: Path, make_font: MakeFont) -> FontsRecipe:
    """Two fonts below ``tmp_path``: ``good`` has all characters, ``bad`` shows 中 for 容, a box for 客, nothing for 书
    and lacks 门."""
    shown = {c: c for c in CHARACTERS}
    make_font(tmp_path / "good.ttf", shown, thick=14)
    make_font(
        tmp_path / "bad.ttf", {c: s for c, s in (shown | {"容": "中", "客": "tofu", "书": ""}).items() if c != "门"}
    )
    return FontsRecipe(characters=CHARACTERS, font=(source("good"), source("bad", weight=2.0)))


def test_only_honest_glyphs_enter(recipe: FontsRecipe, tmp_path: Path) -> None:
    told: list[int] = []
    bank = build_bank(recipe, tmp_path, tmp_path / "a.glyphs", on_progress=told.append)
    good, bad = bank.fonts
    assert (good.glyphs, good.variants, good.missing) == (30, 0, 0)
    assert (bad.glyphs, bad.variants, bad.missing, bad.weight) == (26, 1, 3, 2.0)
    entered = "".join(bank.charset[i] for i in bank.label[bank.font == 1])
    assert entered == "".join(c for c in CHARACTERS if c not in "容客书门")
    assert told == [30, 60, 120]  # fonts, then fitted glyphs
    assert len(recipe) == 60


def test_pictures_are_fitted_squares(recipe: FontsRecipe, tmp_path: Path) -> None:
    bank = build_bank(recipe, tmp_path, tmp_path / "a.glyphs")
    pictures = bank.pictures(np.arange(len(bank)))
    assert pictures.shape == (56, 64, 64)
    assert set(np.unique(pictures)) == {0, 85, 170, 255}
    ink = pictures > 0
    assert ink[:, 2:-2, 2:-2].sum() == ink.sum()
    extent = np.maximum(ink.any(1).sum(1), ink.any(2).sum(1))
    assert (extent >= 54).all()
    assert np.array_equal(bank.pictures(slice(3, 5)), pictures[3:5])
    neat = np.stack([picture for _, picture in draw_medians(CHARACTERS, 64)])
    assert ((features(pictures[:30]) @ features(neat).T).argmax(1) == np.arange(30)).all()


def test_a_bank_is_the_same_every_time_and_opens_as_it_was(recipe: FontsRecipe, tmp_path: Path) -> None:
    one = build_bank(recipe, tmp_path, tmp_path / "a.glyphs")
    two = build_bank(recipe, tmp_path, tmp_path / "b.glyphs")
    again = GlyphBank.open(tmp_path / "a.glyphs")
    assert one.digest == two.digest == again.digest
    assert again.fonts == one.fonts
    assert again.charset == Charset(CHARACTERS)
    assert np.array_equal(again.packed, one.packed)
    assert again.packed.shape == (56, 1024)
    assert np.array_equal(again.label, one.label)
    assert not again.packed.flags.writeable
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.glyphs", "b.glyphs", "bad.ttf", "good.ttf"]


def test_web_fonts_come_in_parts(tmp_path: Path, make_font: MakeFont) -> None:
    make_font(tmp_path / "web" / "1.woff2", {c: c for c in CHARACTERS[:20]}, flavor="woff2")
    make_font(tmp_path / "web" / "2.woff2", {c: c for c in CHARACTERS[15:]}, flavor="woff2")
    web = FontsRecipe(characters=CHARACTERS, side=96, font=(source("web", "web/*.woff2", reference=True),))
    bank = build_bank(web, tmp_path, tmp_path / "a.glyphs")
    assert bank.fonts[0].glyphs == 30
    assert bank.pictures([0]).shape == (1, 96, 96)


def test_a_font_knows_its_characters(tmp_path: Path, make_font: MakeFont) -> None:
    make_font(tmp_path / "f.ttf", {"永": "永", "客": "tofu", "书": ""})
    font = FontFile(tmp_path / "f.ttf", 0, 128)
    assert font.characters == frozenset("永客书")
    ink = font.draw("永")
    assert ink is not None
    assert ink.max() == 255
    assert [font.draw(c) for c in "客书"] == [None, None]


def test_missing_fonts_are_named_all_at_once(recipe: FontsRecipe, tmp_path: Path) -> None:
    more = FontsRecipe(characters="永", font=(*recipe.font, source("gone"), source("lost", "x/*.woff2")))
    with pytest.raises(FontError, match=r"2 of 4 fonts are not there: gone.ttf \(p 1\), x/\*.woff2 \(p 1\)"):
        build_bank(more, tmp_path, tmp_path / "a.glyphs")
    assert not (tmp_path / "a.glyphs").exists()


@pytest.mark.parametrize("content", [b"", b"no font at all", b"wOF2" + bytes(60), b"\0\1\0\0\0\x09" + bytes(300)])
def test_an_unreadable_font_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f.ttf").write_bytes(content)
    with pytest.raises(FontError, match=r"f\.ttf: not a font that can be read") as caught:
        build_bank(FontsRecipe(characters="永", font=(source("f"),)), tmp_path, tmp_path / "a.glyphs")
    assert "\n" not in str(caught.value)


def test_damage_anywhere_is_noticed(recipe: FontsRecipe, tmp_path: Path) -> None:
    path = tmp_path / "a.glyphs"
    build_bank(recipe, tmp_path, path)
    whole = path.read_bytes()
    for place in (0, 5, 20, 100, 300, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(FontError, match=r"a\.glyphs: (damaged|not a bank)"):
            GlyphBank.open(path)
    for content in (b"", whole[:40], whole[:-1], b"hanmo glyphs x\n"):
        path.write_bytes(content)
        with pytest.raises(FontError, match=r"a\.glyphs: (damaged|not a bank).*hanmo glyphs"):
            GlyphBank.open(path)
    with pytest.raises(FontError, match="no bank of glyphs"):
        GlyphBank.open(tmp_path / "none.glyphs")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"glyphs": 26', b'"glyphs": 27'),
        (b'"glyphs": 26', b'"glyphs": -6'),
        (b'"side": 64', b'"side": 63'),
        (b'"bytes": [', b'"bytes": [1, '),
        (b'"charset": "', b'"charset": "\xe4\xb8\x80'),
        (b'"licence"', b'"license"'),
        (b'{"charset"', b'["charset"'),
    ],
)
def test_a_lying_header_is_refused(recipe: FontsRecipe, tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "a.glyphs"
    build_bank(recipe, tmp_path, path)
    magic, _, body = path.read_bytes().split(b"\n", 2)
    body = body.replace(old, new, 1)
    path.write_bytes(b"\n".join([magic, hashlib.sha256(body).hexdigest().encode(), body]))
    with pytest.raises(FontError, match=r"a\.glyphs: damaged") as caught:
        GlyphBank.open(path)
    assert "\n" not in str(caught.value)


def test_a_newer_bank(recipe: FontsRecipe, tmp_path: Path) -> None:
    path = tmp_path / "a.glyphs"
    build_bank(recipe, tmp_path, path)
    path.write_bytes(path.read_bytes().replace(b"glyphs 2", b"glyphs 3", 1))
    with pytest.raises(FontError, match="newer than this hanmo"):
        GlyphBank.open(path)


def test_a_bank_of_nothing(tmp_path: Path) -> None:
    nothing = FontRecord(name="n", licence="MIT", package="p", version="1", glyphs=0, variants=0, missing=1)
    glyphs = [(np.zeros(0, np.int64), np.zeros((0, 1024), np.uint8))]
    bank = write_bank(tmp_path / "a.glyphs", Charset("永"), [nothing], glyphs, side=64, margin=2)
    assert len(bank) == 0
    assert bank.pictures([]).shape == (0, 64, 64)


def test_levels_keep_their_places() -> None:
    squares = np.zeros((2, 64, 64), np.uint8)
    squares[1, 0, :5] = [255, 0, 84, 170, 255]
    packed = pack_levels(squares)
    assert packed[1, :2].tolist() == [0b11000110, 0b11000000]
    assert unpack_levels(packed, 64)[1, 0, :5].tolist() == [3, 0, 1, 2, 3]


def test_without_a_reference_nothing_is_judged() -> None:
    vectors = features(np.stack([picture for _, picture in draw_medians("永中", 64)]))
    labels, fonts = np.array([1, 0]), np.zeros(2, np.int64)
    assert not find_variants(vectors, labels, fonts, vectors[:0], labels[:0]).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "key 'font' is missing"),
        ("font = []", "no font is named"),
        ('[[font]]\nname = "a"\nfile = "b"', "unknown key 'font.file'; did you mean 'font.files'"),
        ('[[font]]\nname = "a"\nfiles = "/etc/*"\npackage = ""\nversion = ""\nlicence = ""', "below the folder"),
        ('[[font]]\nname = "a"\nfiles = "../a"\npackage = ""\nversion = ""\nlicence = ""', "below the folder"),
        ("side = 32\nfont = []", "side = 32 is impossible; one of 64, 96"),
    ],
)
def test_mistakes_in_a_recipe_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_toml(tmp_path / "recipe.toml", FontsRecipe)


def test_the_recipe_of_the_repository_loads() -> None:
    recipe = load_toml("@fonts", FontsRecipe)
    assert len(recipe.font) >= 28  # each named once, with a licence that is free
    free = {"OFL-1.1", "Arphic-1999", "BSD-3-Clause", "LicenseRef-public-domain", "OGDL-Taiwan-1.0"}
    assert {font.licence for font in recipe.font} <= free
