"""Packs drawn from recipes: the same bytes every time, also when drawing was stopped and continued."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hanmo.charset import Charset
from hanmo.data.pack import Pack
from hanmo.data.sample import Sample
from hanmo.errors import CharsetError, PackError, RunError
from hanmo.normalize import Normalization
from hanmo.synth.fonts.bank import FontRecord, pack_levels, write_bank
from hanmo.synth.fonts.variants import draw_medians
from hanmo.synth.mix import Mix, MixConfig
from hanmo.synth.packs import synthesize
from hanmo.synth.paper.page import PageConfig
from hanmo.synth.recipe import SynthRecipe
from hanmo.synth.samples import draw_samples

SMALL = SynthRecipe(characters="永人山", per_character=5, seed=2, side=48)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """PackParts of 4 samples: SMALL has four, the last of 3."""
    monkeypatch.setattr("hanmo.synth.packs.PART", 4)


def stop_after(samples: int) -> Callable[[int], None]:
    def on_progress(done: int) -> None:
        if done > samples:
            raise KeyboardInterrupt

    return on_progress


def stopped(out: Path, samples: int, recipe: SynthRecipe = SMALL) -> Path:
    """The folder of parts that a drawing leaves which is stopped after ``samples``."""
    with pytest.raises(KeyboardInterrupt):
        synthesize(recipe, out, on_progress=stop_after(samples))
    return out.with_name(f"{out.name}.parts")


def contents(pack: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in pack.iterdir()}


def bank(path: Path, characters: str = "永人山") -> MixConfig:
    """A mix of a bank with one font."""
    squares = np.stack([square for _, square in draw_medians(characters, 64)])
    count = len(characters)
    font = FontRecord(name="f", licence="OFL-1.1", package="p", version="1", glyphs=count, variants=0, missing=0)
    write_bank(path, Charset(characters), [font], [(np.arange(count), pack_levels(squares))], side=64, margin=2)
    return MixConfig(fonts=0.5, strokes=0.5, bank=str(path))


def test_a_stopped_drawing_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = replace(SMALL, mix=bank(tmp_path / "fonts.glyphs"))
    straight = synthesize(mixed, tmp_path / "straight")
    monkeypatch.setattr("hanmo.synth.packs.PART", 4)
    parts = stopped(tmp_path / "pack", 8, mixed)
    assert sorted(p.name for p in parts.iterdir()) == ["0-4", "4-8", "begun.json"]
    assert not (tmp_path / "pack").exists()
    kept = {p: (p / "images.u8").stat().st_mtime_ns for p in parts.glob("*-*")}
    with pytest.raises(KeyboardInterrupt):
        synthesize(mixed, tmp_path / "pack", on_progress=stop_after(12), resume=True)
    assert all((p / "images.u8").stat().st_mtime_ns == before for p, before in kept.items())

    told: list[int] = []
    pack = synthesize(mixed, tmp_path / "pack", on_progress=told.append, resume=True)
    assert told == sorted(told)
    assert (told[0], told[-1]) == (4, 15)
    assert pack.digest == straight.digest
    assert contents(tmp_path / "pack") == contents(tmp_path / "straight")
    assert not parts.exists()


@pytest.mark.usefixtures("small_parts")
def test_parts_with_skipped_pages_are_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []

    def with_a_blank_page(recipe: SynthRecipe, start: int, stop: int, mix: Mix) -> Iterator[Sample]:
        drawn.append((start, stop))
        for number, sample in enumerate(draw_samples(recipe, start, stop, mix), start):
            yield sample._replace(image=np.full_like(sample.image, 255)) if number == 1 else sample

    monkeypatch.setattr("hanmo.synth.packs.draw_samples", with_a_blank_page)
    recipe = replace(SMALL, page=PageConfig())
    stopped(tmp_path / "pack", 8, recipe)
    drawn.clear()
    pack = synthesize(recipe, tmp_path / "pack", resume=True)
    assert drawn == [(8, 12), (12, 15)]
    assert (len(pack), pack.skipped["blank"]) == (14, 1)


@pytest.mark.usefixtures("small_parts")
def test_resume_begins_where_there_is_nothing(tmp_path: Path) -> None:
    assert len(synthesize(SMALL, tmp_path / "pack", resume=True)) == 15
    assert [p.name for p in tmp_path.iterdir()] == ["pack"]


@pytest.mark.usefixtures("small_parts")
def test_stopped_in_the_first_part_nothing_is_left(tmp_path: Path) -> None:
    stopped(tmp_path / "pack", 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_parts")
def test_parts_are_never_thrown_away_unasked(tmp_path: Path) -> None:
    synthesize(SMALL, tmp_path / "pack")
    with pytest.raises(PackError, match="--overwrite"):
        synthesize(SMALL, tmp_path / "pack", resume=True)
    with pytest.raises(KeyboardInterrupt):
        synthesize(SMALL, tmp_path / "pack", on_progress=stop_after(4), overwrite=True)
    for recipe in (SMALL, replace(SMALL, per_character=1)):
        with pytest.raises(RunError, match=r"pack\.parts: left by a stopped run; continue it with --resume, or"):
            synthesize(recipe, tmp_path / "pack", overwrite=True)
    synthesize(SMALL, tmp_path / "pack", overwrite=True, resume=True)
    assert [p.name for p in tmp_path.iterdir()] == ["pack"]


@pytest.mark.usefixtures("small_parts")
def test_parts_of_another_recipe_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = stopped(tmp_path / "pack", 4)
    other = replace(SMALL, seed=3, style=replace(SMALL.style, links=0.9))
    for recipe, what in ((other, "seed, style"), (replace(SMALL, per_character=1), "per_character")):
        with pytest.raises(
            RunError, match=rf"pack\.parts: begun with a different {what}; remove the folder, or choose another"
        ):
            synthesize(recipe, tmp_path / "pack", resume=True)
    monkeypatch.setattr("hanmo.synth.packs.__version__", "99")
    with pytest.raises(RunError, match="begun with a different hanmo;"):
        synthesize(SMALL, tmp_path / "pack", resume=True)
    assert (parts / "0-4").exists()


@pytest.mark.usefixtures("small_parts")
def test_parts_of_another_bank_are_refused(tmp_path: Path) -> None:
    mixed = replace(SMALL, mix=bank(tmp_path / "fonts.glyphs"))
    stopped(tmp_path / "pack", 4, mixed)
    bank(tmp_path / "fonts.glyphs", "永人山中")
    with pytest.raises(RunError, match="begun with a different drawing;"):
        synthesize(mixed, tmp_path / "pack", resume=True)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("damage", ["cut", "flipped", "no images", "no head", "another's"])
def test_a_damaged_part_is_drawn_again(tmp_path: Path, damage: str) -> None:
    parts = stopped(tmp_path / "pack", 8)
    images = parts / "0-4" / "images.u8"
    data = images.read_bytes()
    if damage == "cut":
        images.write_bytes(data[:-100])
    elif damage == "flipped":
        images.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "no images":
        images.unlink()
    elif damage == "no head":
        (parts / "0-4" / "pack.json").unlink()
    else:
        synthesize(replace(SMALL, per_character=1), parts / "0-4", overwrite=True)
    pack = synthesize(SMALL, tmp_path / "pack", resume=True)
    assert pack.digest == synthesize(SMALL, tmp_path / "whole").digest
    assert len(Pack.open(tmp_path / "pack", verify=True)) == 15


@pytest.mark.usefixtures("small_parts")
def test_parts_that_an_older_version_began_are_resumed(tmp_path: Path) -> None:
    """It named the digest of all that is drawn from "bank"."""
    note = stopped(tmp_path / "pack", 4) / "begun.json"
    note.write_text(note.read_text(encoding="utf-8").replace('"drawing"', '"bank"'), encoding="utf-8")
    assert '"bank"' in note.read_text(encoding="utf-8")
    assert synthesize(SMALL, tmp_path / "pack", resume=True).digest == synthesize(SMALL, tmp_path / "whole").digest


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("text", ["", "[]", "[[1, 2]]", "7", "[" * 100_000])
def test_a_damaged_note_is_named(tmp_path: Path, text: str) -> None:
    parts = stopped(tmp_path / "pack", 4)
    recipe = json.loads((parts / "begun.json").read_text(encoding="utf-8"))
    assert (recipe["characters"], recipe["style"]["links"]) == ("永人山", SMALL.style.links)
    (parts / "begun.json").write_text(text)
    with pytest.raises(RunError, match=r"pack\.parts: begun.* remove the folder, or choose another --out"):
        synthesize(SMALL, tmp_path / "pack", resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "pack.parts").mkdir()
    (tmp_path / "pack.parts" / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match=r"pack\.parts: not a folder of parts: begun.json is missing; remove the folder"):
        synthesize(SMALL, tmp_path / "pack", resume=resume)
    assert (tmp_path / "pack.parts" / "letter.txt").read_text() == "dear"


def test_a_pack_is_the_same_every_time(tmp_path: Path) -> None:
    told: list[int] = []
    one = synthesize(SMALL, tmp_path / "one", on_progress=told.append)
    two = synthesize(SMALL, tmp_path / "two")
    assert one.digest == two.digest
    assert told[-1] == len(one) == 15
    assert one.charset.characters == ("永", "人", "山")
    assert one.normalization == Normalization()
    assert one.labels.tolist() == [0, 1, 2] * 5
    assert [one.writer_of(i) for i in (0, 14)] == ["w0001", "w0005"]


def test_unknown_characters_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(CharsetError, match=r"2 character\(s\): A 𪚥;"):
        synthesize(SynthRecipe(characters="永𪚥A"), tmp_path / "pack")
    assert list(tmp_path.iterdir()) == []
