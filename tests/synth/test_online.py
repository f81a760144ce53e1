"""Pen strokes of drawn characters, and files of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hanmo.charset import Charset
from hanmo.data.pot import read_pot
from hanmo.data.signature import signature_planes
from hanmo.errors import ConfigError, RunError
from hanmo.medians import load_medians
from hanmo.synth.mix import MixConfig
from hanmo.synth.noise import keys_of
from hanmo.synth.online import SIDE, draw_online, write_online
from hanmo.synth.paper.page import PageConfig
from hanmo.synth.recipe import SynthRecipe
from hanmo.synth.samples import draw_samples
from hanmo.synth.strokes.hand import StyleConfig
from hanmo.synth.strokes.writer import StrokeBank

SMALL = SynthRecipe(characters="永人翰", per_character=4, seed=2, side=64)


def test_strokes_are_those_of_the_pictures() -> None:
    """The pen's path lies in the ink of the picture of the same number, and reaches nearly all of it."""
    for online, picture in zip(draw_online(SMALL), draw_samples(SMALL), strict=True):
        assert (online.label, online.source, online.writer) == (picture.label, picture.source, picture.writer)
        path = signature_planes(online.strokes, 64, level=0, margin=4)[0] > 0
        ink = picture.image < 160
        near = np.zeros_like(path)  # up to 4 pixels away: the widest pens, and the margins differ a little
        for down in range(-4, 5):
            for right in range(-4, 5):
                near |= np.roll(path, (down, right), (0, 1))
        assert np.count_nonzero(ink & ~near) < 0.03 * np.count_nonzero(ink)
        assert np.count_nonzero(path & (picture.image < 230)) > 0.75 * np.count_nonzero(path)


def test_a_neat_hand_makes_the_strokes_of_the_print_in_their_order() -> None:
    bank, one = StrokeBank(Charset("翰")), torch.zeros(1, dtype=torch.int64)
    (strokes,) = bank.trace(one, keys_of(torch.tensor(1), one), StyleConfig.neat(), SIDE)
    printed = load_medians().of("翰")
    assert len(strokes) == len(printed)
    for drawn, model in zip(strokes, printed, strict=True):
        assert drawn.dtype == np.float32
        # In the units of the print: both first and last points lie nearly where they should.
        ends = drawn[[0, -1]] - np.concatenate(strokes).min(0)
        wanted = (model[[0, -1]] - np.concatenate(printed).min(0)) * SIDE / np.ptp(np.concatenate(printed), 0).max()
        assert np.abs(ends - wanted).max() < 0.12 * SIDE


def test_a_hasty_hand_lifts_the_pen_less_often() -> None:
    def count(style: StyleConfig) -> int:
        return sum(len(s.strokes) for s in draw_online(replace(SMALL, style=style, per_character=20)))

    assert count(StyleConfig(haste=1.0)) < 0.9 * count(StyleConfig.neat())


def test_any_part_can_be_drawn_alone() -> None:
    whole, part = list(draw_online(SMALL)), list(draw_online(SMALL, 5, 9))
    for a, b in zip(whole[5:9], part, strict=True):
        assert (a.label, a.writer) == (b.label, b.writer)
        assert all(np.array_equal(x, y) for x, y in zip(a.strokes, b.strokes, strict=True))
    everything = np.concatenate([stroke for sample in whole for stroke in sample.strokes])
    assert everything.min() >= 0
    assert everything.max() <= SIDE


def test_a_file_for_each_writer(tmp_path: Path) -> None:
    done: list[int] = []
    assert write_online(SMALL, tmp_path / "strokes", on_progress=done.append) == 4
    assert done == [3, 6, 9, 12]
    files = sorted((tmp_path / "strokes").iterdir())
    assert [file.name for file in files] == [f"w000{n}-s.pot" for n in (1, 2, 3, 4)]
    read = [sample for file in files for sample in read_pot(file)]
    for a, b in zip(read, draw_online(SMALL), strict=True):
        assert (a.label, a.writer) == (b.label, b.writer)
        assert all(np.abs(x - y).max() <= 0.5 for x, y in zip(a.strokes, b.strokes, strict=True))


def test_only_files_of_strokes_are_replaced_and_only_when_asked(tmp_path: Path) -> None:
    out = tmp_path / "strokes"
    out.mkdir()
    write_online(SMALL, out)
    with pytest.raises(RunError, match=r"holds \.pot files already; --overwrite replaces them"):
        write_online(SMALL, out)
    write_online(replace(SMALL, per_character=1), out, overwrite=True)
    assert [file.name for file in out.iterdir()] == ["w0001-s.pot"]
    (out / "letter.txt").write_text("dear")
    for taken in (out, out / "letter.txt"):
        with pytest.raises(RunError, match=r"exists and is not a folder of \.pot files"):
            write_online(SMALL, taken, overwrite=True)


def test_a_stopped_drawing_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_online(SMALL, tmp_path / "strokes", on_progress=stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes", [{"page": PageConfig()}, {"mix": MixConfig(fonts=0.5, bank="fonts.glyphs")}], ids=["pages", "fonts"]
)
def test_what_has_no_strokes_is_refused(changes: dict[str, object], tmp_path: Path) -> None:
    recipe = replace(SMALL, **changes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="pages and glyphs of fonts have no strokes"):
        next(draw_online(recipe))
