"""The drawn archives of benchmarks/rehearsal.py: named as CASIA's, with as many writers."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.data.gnt import write_gnt
from hanmo.data.sample import Sample

CHARACTERS = 3755
SIDE = 80  # of the drawn square; cropped to the ink a picture has some 5 KB, as in CASIA (21.5 MB for 3,926 samples)
BATCH = 1024  # characters drawn at once
SEED = 20


class Archive(NamedTuple):
    """An archive as CASIA names it, with its writers: numbers of ``digits`` digits from ``first`` on."""

    name: str
    first: int
    writers: int
    digits: int
    letter: str

    def files(self) -> list[str]:
        return [f"{n:0{self.digits}}-{self.letter}.gnt" for n in range(self.first, self.first + self.writers)]


TRAIN = (Archive("HWDB1.0trn_gnt", 1, 336, 3, "f"), Archive("HWDB1.1trn_gnt", 1001, 240, 4, "c"))
TEST = (Archive("HWDB1.0tst_gnt", 337, 84, 3, "f"), Archive("HWDB1.1tst_gnt", 1241, 60, 4, "c"))
WRITERS = sum(archive.writers for archive in TRAIN + TEST)


def draw(place: Path, count: int, repeat: int, device: str) -> None:
    """Write a .gnt file of ``count`` samples for each writer into the folders of the four archives.

    A writer's distinct pictures are written ``repeat`` times each.
    """
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    distinct = -(-count // repeat)
    pictures = drawn(distinct, device)
    for archive in (*TRAIN, *TEST):
        (place / archive.name).mkdir(exist_ok=True)
        for name in archive.files():
            write_gnt(place / archive.name / name, islice(cycle(list(islice(pictures, distinct))), count))


def drawn(distinct: int, device: str) -> Iterator[Sample]:
    """``distinct`` samples of each writer, writer after writer: different characters, so that all classes occur."""
    import torch

    from hanmo.charset import Charset
    from hanmo.synth.mix import Mix, MixConfig
    from hanmo.synth.noise import keys_of
    from hanmo.synth.strokes.hand import StyleConfig

    charset = Charset.level1()
    mix, seed = Mix(MixConfig(), charset, StyleConfig(), device), torch.tensor(SEED, device=device)
    for numbers in torch.split(torch.arange(WRITERS * distinct, device=device), BATCH):
        classes = numbers % CHARACTERS
        # The habits of a hand depend on the writer alone.
        pictures = mix.write(classes, keys_of(seed, numbers, numbers // distinct), SIDE).cpu().numpy()
        for label, picture in zip(classes.tolist(), pictures, strict=True):
            yield Sample(charset[label], cropped(255 - picture))


def cropped(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The box of the ink."""
    rows, columns = (np.flatnonzero((image < 255).any(axis)) for axis in (1, 0))
    return np.ascontiguousarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def zip_archives(place: Path, workers: int) -> None:
    """Zip the folder of each archive and remove it; ``workers`` archives at a time."""
    with ThreadPoolExecutor(workers) as pool:  # compressing does not hold Python's lock
        list(pool.map(partial(_zip, place), (*TRAIN, *TEST)))


def _zip(place: Path, archive: Archive) -> None:
    folder = place / archive.name
    unfinished = place / f"{archive.name}.partial"
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as file:
        for name in archive.files():
            file.write(folder / name, f"{archive.name}/{name}")
    unfinished.replace(place / f"{archive.name}.zip")
    shutil.rmtree(folder)
