"""A reader of three drawn characters, and samples of them."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from hanmo.bulk import Options, Source, read_in_bulk
from hanmo.bundle import Bundle
from hanmo.data.gnt import write_gnt
from hanmo.data.sample import Sample
from hanmo.image import load

BATCH, COUNT = 80, 410
"""Pictures of a batch in these tests: more than go through the net at once. And of ``gnt``: some batches and a rest."""
HAND: dict[str, Any] = {
    "一": [[(0, 5), (10, 5)]],
    "丨": [[(5, 0), (5, 10)]],
    "十": [[(0, 5), (10, 5)], [(5, 0), (5, 10)]],
}


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some hundred pictures are then many: several batches, and enough to start processes."""
    monkeypatch.setattr("hanmo.bulk.run._BATCH", BATCH)
    monkeypatch.setattr("hanmo.bulk.run._GPU_BATCH", 4 * BATCH)
    monkeypatch.setattr("hanmo.bulk.run._FEW", 2 * BATCH)


@pytest.fixture(scope="session")
def bundle(comparing_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return comparing_bundle(tmp_path_factory.mktemp("bulk-bundle") / "tiny", HAND, 16).path


@pytest.fixture(scope="session")
def options(bundle: Path) -> Options:
    return Options(bundle=bundle, top=2)


def samples(count: int) -> Iterator[Sample]:
    """Drawn characters in turn on paper of 40 x 40 pixels; every seventh is blank."""
    drawn = {}
    for label, strokes in HAND.items():
        picture = Image.fromarray(load(strokes)).resize((32, 32))
        drawn[label] = np.pad(np.asarray(picture), 4, constant_values=255)
    blank = np.full((40, 40), 255, np.uint8)
    for number in range(count):
        label = "一丨十"[number % 3]
        yield Sample(label, blank if number % 7 == 6 else drawn[label])


@pytest.fixture(scope="session")
def gnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``COUNT`` samples."""
    path = tmp_path_factory.mktemp("bulk-samples") / "1001-c.gnt"
    write_gnt(path, samples(COUNT))
    return path


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    """An empty store in memory."""
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read(tmp_path: Path, options: Options, *inputs: Path | str, **more: Any) -> list[dict[str, Any]]:
    read_in_bulk(Source(inputs, **more), tmp_path / "rows.jsonl", options, processes=1)
    return rows_of(tmp_path / "rows.jsonl")


@contextmanager
def ending_at(size: int) -> Iterator[None]:
    """A limit on the size of files, which stands for a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures in a folder and a sub-folder, one of them damaged, one blank, and files to be left alone."""
    root = tmp_path / "scans"
    (root / "b").mkdir(parents=True)
    drawn = list(samples(7))
    for name, number in (("a.png", 0), ("b/1.png", 1), ("b/2.png", 2), ("c.png", 6), ("e.png", 3)):
        Image.fromarray(drawn[number].image).save(root / name)
    (root / "d.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (root / "notes.txt").write_text("no picture")
    (root / ".hidden.png").write_text("no picture")
    return root
