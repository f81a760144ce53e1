"""Packs drawn from recipes, in parts: a stopped run loses about a minute of work, not hours.

A pack of more than :data:`PART` samples is drawn part by part into a folder beside it, and the parts are joined at the
end. :func:`synthesize` does it all; :class:`PackParts` is the folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hanmo import __version__
from hanmo.atomic import storing, write_whole
from hanmo.config import to_table
from hanmo.data.join import join_packs
from hanmo.data.pack import Pack, check_free, is_pack, write_pack
from hanmo.data.sample import Sample
from hanmo.errors import PackError, RunError
from hanmo.synth.mix import Mix
from hanmo.synth.recipe import SynthRecipe
from hanmo.synth.samples import BATCH, draw_samples, open_mix

PART = 64 * BATCH
"""Samples of a part: about a minute on one core, 256 MB at 64 pixels a side. A multiple of the batch, so that pages
have the same neighbours as in a pack drawn in one go."""


Range = tuple[int, int]
"""The samples from a number to before another."""
Drawing = Callable[[Sequence[Range]], Generator[Sample, None, None]]
"""Gives the samples of ranges, one range after the other; see :func:`synthesize`."""


def synthesize(
    recipe: SynthRecipe,
    out: str | Path,
    *,
    on_progress: Callable[[int], None] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    elsewhere: Drawing | None = None,
) -> Pack:
    """Draw a recipe into a new pack at ``out``, whose classes are in the recipe's order.

    When an exception or a power cut stops it, finished parts are kept. ``resume`` continues from them, or starts anew
    where there are none; the pack's bytes are the same as without the stop. ``on_progress`` is called with the number
    of samples done so far. ``elsewhere`` draws on other machines: its samples have squares of the recipe's
    normalisation as images, and blank ones have no pixels (:func:`hanmo.synth.over_ray.drawn_over_ray`).

    Raises :class:`CharsetError` naming every character that cannot be drawn; :class:`PackError` when ``out`` is taken;
    :class:`RunError` when there are parts but ``resume`` is False, or parts of another recipe, bank of glyphs or
    version of hanmo; :class:`StorageError`.
    """
    parts, report = PackParts(recipe, out), on_progress or (lambda _: None)
    check_free(parts.out, overwrite)
    parts.check(resume=resume)
    mix = open_mix(recipe)
    drawing = _Drawing(recipe, mix, elsewhere)
    if len(parts.ranges) == 1 and not parts.folder.exists():
        with closing(drawing.samples(parts.ranges)) as samples:
            return drawing.write(parts.out, samples, 0, report, overwrite)
    parts.begin(mix)
    pack = join_packs(parts.out, parts.draw(drawing, report), overwrite=overwrite)
    parts.remove()
    return pack


class PackParts:
    """The finished parts of the pack at ``out``, in a folder beside it that exists until they are joined::

        OUT.parts/
          begun.json        the recipe, the digest of the mix, and the version of hanmo
          0-65536/          a pack of the samples 0 to 65535, and so on

    While they are joined the disk holds the pack twice. Call, in this order, :meth:`check`, :meth:`begin`, :meth:`draw`
    and :meth:`remove`.
    """

    def __init__(self, recipe: SynthRecipe, out: str | Path) -> None:
        self.recipe, self.out = recipe, Path(out)
        self.folder = self.out.parent / f"{self.out.name}.parts"
        total = len(recipe)
        self.ranges = [(start, min(start + PART, total)) for start in range(0, total, PART)]

    def place(self, start: int, stop: int) -> Path:
        """The path of the part with the samples ``start`` to ``stop``."""
        return self.folder / f"{start}-{stop}"

    def kept(self) -> int:
        """The number of samples in finished parts; their content is not verified."""
        return sum(stop - start for start, stop in self.ranges if is_pack(self.place(start, stop)))

    def check(self, *, resume: bool) -> None:
        """Raise :class:`RunError` when the folder was not made by this class, or has parts and not ``resume``."""
        with storing(self.folder):
            entries = list(self.folder.iterdir()) if self.folder.exists() else []
        if entries and not (self.folder / "begun.json").is_file():
            raise self._refusal("not a folder of parts: begun.json is missing")
        if not resume and any(map(is_pack, entries)):
            raise RunError(f"{self.folder}: left by a stopped run; continue it with --resume, or remove the folder")

    def begin(self, mix: Mix) -> None:
        """Record what is drawn; raises :class:`RunError` when finished parts were drawn from something else."""
        file = self.folder / "begun.json"
        now = {"hanmo": __version__, "drawing": mix.digest, **to_table(self.recipe)}
        if not any(map(is_pack, self.folder.glob("*"))):
            write_whole(file, (json.dumps(now, ensure_ascii=False, indent=1) + "\n").encode())
            return
        try:
            before = dict(json.loads(file.read_bytes()))
            if "bank" in before:  # the key's former name
                before["drawing"] = before.pop("bank")
        except (OSError, TypeError, ValueError, RecursionError) as error:
            raise self._refusal(f"begun.json is damaged ({error})") from error
        if other := [key for key in now | before if now.get(key) != before.get(key)]:
            raise self._refusal(f"begun with a different {', '.join(map(str, other))}")

    def draw(self, drawing: _Drawing, on_progress: Callable[[int], None]) -> list[Path]:
        """Draw the parts that are missing or damaged and return the paths of all; finished parts survive any error."""
        try:
            missing = [(a, b) for a, b in self.ranges if not _is_sound(self.place(a, b), b - a)]
            # All of them in one go: other machines go on with the next part while one is written.
            with closing(drawing.samples(missing)) as samples:
                for start, stop in self.ranges:
                    if (start, stop) in missing:
                        place = self.place(start, stop)
                        shutil.rmtree(place, ignore_errors=True)
                        drawing.write(place, islice(samples, stop - start), start, on_progress)
                    on_progress(stop)
        except BaseException:
            # A folder without a finished part is of no use to --resume.
            if not self.kept():
                self.remove()
            raise
        return [self.place(*numbers) for numbers in self.ranges]

    def remove(self) -> None:
        """Remove the folder with all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _refusal(self, reason: str) -> RunError:
        return RunError(f"{self.folder}: {reason}; remove the folder, or choose another --out")


@dataclass(frozen=True)
class _Drawing:
    """Draws samples of a recipe, here from ``mix`` or ``elsewhere``, and writes them into packs."""

    recipe: SynthRecipe
    mix: Mix
    elsewhere: Drawing | None

    def samples(self, ranges: Sequence[Range]) -> Generator[Sample, None, None]:
        if self.elsewhere is None:
            for start, stop in ranges:
                yield from draw_samples(self.recipe, start, stop, self.mix)
        elif ranges:
            yield from self.elsewhere(ranges)

    def write(
        self,
        out: Path,
        samples: Iterable[Sample],
        start: int,
        on_progress: Callable[[int], None],
        overwrite: bool = False,
    ) -> Pack:
        """Write ``samples``, of which the first has the number ``start``, into a pack at ``out``."""
        return write_pack(
            out,
            samples,
            normalization=self.recipe.normalization,
            charset=self.recipe.charset(),
            are_squares=self.elsewhere is not None,
            # On some pages the ink is too faint to be found.
            on_blank="skip" if self.recipe.page else "error",
            on_progress=lambda done: on_progress(start + done),
            overwrite=overwrite,
        )


def _is_sound(place: Path, count: int) -> bool:
    """Whether a part covers ``count`` drawn samples, skipped ones included, and its bytes match their hashes."""
    try:
        pack = Pack.open(place, verify=True)
        # Pages whose ink is too faint to be found were skipped; they were drawn all the same.
        return len(pack) + sum(pack.skipped.values()) == count
    except PackError:
        return False
