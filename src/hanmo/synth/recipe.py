"""What to draw, as a small TOML file, and the pack made from it::

    characters = "level1"     # GB2312 level 1; or the characters themselves; or a number: so many common ones
    per_character = 200       # and so many writers, each of whom writes every character once
    seed = 1

    [style]                   # optional: how much hands differ, see StyleConfig
    links = 0.2

    [mix]                     # optional: glyphs of fonts beside strokes, see MixConfig
    fonts = 0.3
    strokes = 0.7
    bank = "fonts.glyphs"

    [normalization]           # optional: the squares of the pack
    side = 64

    [page]                    # optional: trainings that draw as they go see pages, see PageConfig
    cell = 0.5

Every key of the tables has a default.

A long recipe is drawn in parts, so that a stop costs a minute's work and not hours': see :class:`PackParts`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hanmo import __version__
from hanmo.atomic import storing, write_whole
from hanmo.charset import Charset
from hanmo.config import to_table
from hanmo.data.join import join_packs
from hanmo.data.pack import Pack, check_free, is_pack, write_pack
from hanmo.data.sample import Sample
from hanmo.errors import ConfigError, PackError
from hanmo.normalize import Normalization
from hanmo.synth.mix import Mix, MixConfig
from hanmo.synth.noise import keys_of
from hanmo.synth.paper.page import PageConfig, write_page
from hanmo.synth.strokes.hand import StyleConfig

_MOST_WRITERS = 65_535  # a pack numbers its writers with 16 bits
_BATCH = 1024
_SQUARE = 64  # pixels of the squares that are put on pages
PART = 64 * _BATCH
"""Samples drawn in one go, in about a minute: 256 MB of squares of 64 pixels."""


@dataclass(frozen=True, kw_only=True)
class SynthRecipe:
    """A drawn data set; loaded by :func:`hanmo.config.load_toml`. Raises :class:`ConfigError` for impossible values."""

    characters: str | int
    """``"level1"``, the characters themselves, or a number N: the N most common ones (then level 1 in code order)."""
    per_character: int = 200
    """Samples of every character, which is the number of writers."""
    seed: int = 0
    side: int = 96
    """Pixels of the pictures drawn; the pack's squares are normalised from them as from real ones."""
    style: StyleConfig = field(default_factory=StyleConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    normalization: Normalization = field(default_factory=Normalization)
    page: PageConfig | None = None
    """How characters are put on pages of ``side`` pixels by trainings that draw as they go; None: they are not."""

    def __post_init__(self) -> None:
        if not 1 <= self.per_character <= _MOST_WRITERS:
            raise ConfigError(f"per_character = {self.per_character} is impossible; 1 to {_MOST_WRITERS:,}")
        if not 16 <= self.side <= 512:
            raise ConfigError(f"side = {self.side} is impossible; 16 to 512 pixels")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed = {self.seed} is impossible; 0 to 2^63 - 1")
        if isinstance(self.characters, int) and not 1 <= self.characters <= len(by_use()):
            raise ConfigError(f"characters = {self.characters} is impossible; 1 to {len(by_use()):,}")

    def charset(self) -> Charset:
        """The characters to draw, in the order of the recipe; raises :class:`CharsetError` for a repeated one."""
        if isinstance(self.characters, int):
            return Charset(by_use()[: self.characters])
        return Charset.level1() if self.characters == "level1" else Charset(self.characters)

    def __len__(self) -> int:
        """The number of samples."""
        return self.per_character * len(self.charset())


@cache
def by_use() -> str:
    """All of GB2312 level 1: 320 common ones, roughly by use (a list of our own), then the others in code order."""
    common = files("hanmo.synth").joinpath("data", "common.txt").read_text(encoding="utf-8").strip()
    return common + "".join(c for c in Charset.level1() if c not in common)


def draw_samples(
    recipe: SynthRecipe, start: int = 0, stop: int | None = None, mix: Mix | None = None
) -> Iterator[Sample]:
    """Samples ``start`` to ``stop`` (or the last), writer by writer, dark on white paper like a scan, or on pages.

    Sample n depends on the recipe and on n alone; on a page its
    neighbours are those of its batch of ``_BATCH``. ``mix`` is the recipe's own, for those who have it open already.
    """
    charset = recipe.charset()
    mix, seed = mix or _mix(recipe), torch.tensor(recipe.seed)
    for numbers in torch.split(torch.arange(start, len(recipe) if stop is None else stop), _BATCH):
        classes, writers = numbers % len(charset), numbers // len(charset)
        keys = keys_of(seed, numbers, writers)
        if recipe.page:
            drawn = write_page(mix.write(classes, keys, _SQUARE), keys.sample, recipe.page, recipe.side)
        else:
            drawn = 255 - mix.write(classes, keys, recipe.side)
        pictures = drawn.numpy()
        for label, writer, picture in zip(classes.tolist(), writers.tolist(), pictures, strict=True):
            yield Sample(charset[label], picture, source="synth", writer=f"w{writer + 1:04d}")


def draw_sheet(recipe: SynthRecipe, writers: int) -> NDArray[np.uint8]:
    """One grey picture, ink dark: a row a character, a neat drawing first, then one by each of ``writers``."""
    charset, side = recipe.charset(), recipe.side
    mix, seed = _mix(recipe), torch.tensor(recipe.seed)
    numbers = torch.arange(len(charset) * writers)
    classes = torch.arange(len(charset))
    neat = mix.strokes.write(classes, keys_of(seed, classes), StyleConfig.neat(), side)
    drawn = mix.write(numbers % len(charset), keys_of(seed, numbers, numbers // len(charset)), side)
    rows = torch.cat([neat, drawn]).view(writers + 1, len(charset), side, side).permute(1, 2, 0, 3)
    return 255 - rows.reshape(len(charset) * side, -1).numpy()


def draw_pages(recipe: SynthRecipe, writers: int) -> NDArray[np.uint8]:
    """One grey picture: a row a character, on a page by each of ``writers``; usual pages where the recipe has none."""
    charset, side = recipe.charset(), recipe.side
    # In the order of the writers, so that a page's neighbours are other characters.
    numbers = torch.arange(len(charset) * writers)
    keys = keys_of(torch.tensor(recipe.seed), numbers, numbers // len(charset))
    squares = _mix(recipe).write(numbers % len(charset), keys, _SQUARE)
    pages = write_page(squares, keys.sample, recipe.page or PageConfig(), side)
    rows = pages.view(writers, len(charset), side, side).permute(1, 2, 0, 3)
    return rows.reshape(len(charset) * side, -1).numpy()


class PackParts:
    """The finished parts of the pack at ``out``, in a folder beside it that is there only until they are joined::

        OUT.parts/
          begun.json        the recipe, the digest of its bank of glyphs, and the version of hanmo
          0-65536/          a pack of the samples of these numbers, and so on

    While they are joined the disk holds the pack twice. Whoever draws calls, in this order, :meth:`check`,
    :meth:`begin`, :meth:`draw` and :meth:`remove`.
    """

    def __init__(self, recipe: SynthRecipe, out: str | Path) -> None:
        self.recipe, self.out = recipe, Path(out)
        self.folder = self.out.parent / f"{self.out.name}.parts"
        total = len(recipe)
        self.ranges = [(start, min(start + PART, total)) for start in range(0, total, PART)]

    def place(self, start: int, stop: int) -> Path:
        """Where the pack of samples ``start`` to ``stop`` is, once it is finished."""
        return self.folder / f"{start}-{stop}"

    def kept(self) -> int:
        """The number of samples that need not be drawn again, as far as names tell."""
        return sum(stop - start for start, stop in self.ranges if is_pack(self.place(start, stop)))

    def check(self, *, resume: bool) -> None:
        """Raise :class:`ConfigError` when the folder holds what is not ours, or parts that are not to be used."""
        with storing(self.folder):
            there = list(self.folder.iterdir()) if self.folder.exists() else []
        if there and not (self.folder / "begun.json").is_file():
            raise self._refusal("is not what a stopped drawing leaves")
        if not resume and any(map(is_pack, there)):
            raise ConfigError(f"{self.folder}: left by a drawing that was stopped; go on with --resume, or remove it")

    def begin(self, mix: Mix) -> None:
        """Note what is drawn; :class:`ConfigError` when the finished parts were drawn from something else."""
        file = self.folder / "begun.json"
        now = {"hanmo": __version__, "bank": mix.digest, **to_table(self.recipe)}
        if not any(map(is_pack, self.folder.glob("*"))):
            write_whole(file, (json.dumps(now, ensure_ascii=False, indent=1) + "\n").encode())
            return
        try:
            before = dict(json.loads(file.read_bytes()))
        except (OSError, TypeError, ValueError, RecursionError) as error:
            raise self._refusal(f"begun.json is damaged ({error})") from error
        if other := [key for key in now | before if now.get(key) != before.get(key)]:
            raise self._refusal(f"begun with another {', '.join(map(str, other))}")

    def draw(self, mix: Mix, on_progress: Callable[[int], None]) -> list[Path]:
        """Draw the parts that are missing or damaged; the packs of all. What is finished stays whatever happens."""
        try:
            for start, stop in self.ranges:
                place = self.place(start, stop)
                if not _sound(place, stop - start):
                    shutil.rmtree(place, ignore_errors=True)
                    _write(place, self.recipe, (start, stop), mix, on_progress)
                on_progress(stop)
        except BaseException:
            if not self.kept():
                self.remove()
            raise
        return [self.place(*numbers) for numbers in self.ranges]

    def remove(self) -> None:
        """Remove the folder with all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _refusal(self, reason: str) -> ConfigError:
        return ConfigError(f"{self.folder}: {reason}; remove it, or take another --out")


def synthesize(
    recipe: SynthRecipe,
    out: str | Path,
    *,
    on_progress: Callable[[int], None] | None = None,
    overwrite: bool = False,
    resume: bool = False,
) -> Pack:
    """Draw a recipe into a new pack at ``out``, whose classes are in the recipe's order.

    More than :data:`PART` samples are drawn in :class:`PackParts`. Stopped by whatever exception or a power cut, the
    finished ones are kept, and ``resume`` goes on from them (or begins, where there are none): the bytes are the same.
    ``on_progress`` is told the number of samples done so far.

    Raises :class:`CharsetError` naming every character that cannot be drawn, :class:`PackError` when ``out`` is taken,
    :class:`ConfigError` when parts are there without ``resume``, or of another
    recipe, bank or version of hanmo, :class:`StorageError`.
    """
    parts, tell = PackParts(recipe, out), on_progress or (lambda _: None)
    check_free(parts.out, overwrite)
    parts.check(resume=resume)
    mix = _mix(recipe)
    if len(parts.ranges) == 1 and not parts.folder.exists():
        return _write(parts.out, recipe, parts.ranges[0], mix, tell, overwrite)
    parts.begin(mix)
    pack = join_packs(parts.out, parts.draw(mix, tell), overwrite=overwrite)
    parts.remove()
    return pack


def _mix(recipe: SynthRecipe) -> Mix:
    return Mix(recipe.mix, recipe.charset(), recipe.style)


def _write(
    out: Path,
    recipe: SynthRecipe,
    numbers: tuple[int, int],
    mix: Mix,
    on_progress: Callable[[int], None],
    overwrite: bool = False,
) -> Pack:
    start, stop = numbers
    return write_pack(
        out,
        draw_samples(recipe, start, stop, mix),
        normalization=recipe.normalization,
        charset=recipe.charset(),
        on_blank="skip" if recipe.page else "error",  # on some pages the character is too faint to be found
        on_progress=lambda done: on_progress(start + done),
        overwrite=overwrite,
    )


def _sound(place: Path, count: int) -> bool:
    """Whether a part is there, of the right length, and every byte of it as it was written."""
    try:
        return len(Pack.open(place, verify=True)) == count
    except PackError:
        return False
