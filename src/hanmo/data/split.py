"""Training and test halves of a pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import ArgumentError

if TYPE_CHECKING:
    from hanmo.data.pack import Pack

Indices = NDArray[np.int64]


def split_by_writer(pack: Pack, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """``(train, test)``: ascending sample indices, ``fraction`` of the samples in test as nearly as can be.

    No writer is in both halves where at least two are known; samples of unknown writers then all train. Otherwise
    every class is split by itself. The same pack, fraction and seed give the same halves. Raises
    :class:`ArgumentError` for a fraction outside (0, 1).
    """
    if not 0 < fraction < 1:
        raise ArgumentError(f"a test fraction of {fraction} leaves one half empty; choose one between 0 and 1")
    rng = np.random.default_rng(seed)
    # Unknown writers have the empty name. A split by writer needs two known ones, one for each half.
    known = np.array([bool(name) for name in pack.writers])
    if known.sum() >= 2:
        test = _some_writers(pack.writer_ids, known, fraction, rng)
    else:
        test = _some_of_each_class(pack.labels, fraction, rng)
    return np.flatnonzero(~test), np.flatnonzero(test)


def _some_writers(
    writer_ids: NDArray[np.uint16], known: NDArray[np.bool_], fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """bool (N,): the samples of the shuffled writers whose number of samples comes nearest to ``fraction``."""
    sizes = np.bincount(writer_ids, minlength=len(known))
    order = rng.permutation(np.flatnonzero(known))
    # Samples of the first 1, 2, 3 ... writers in random order; the number that comes nearest to the share is taken.
    reached = np.cumsum(sizes[order])
    chosen = 1 + int(np.abs(reached[:-1] - fraction * reached[-1]).argmin())  # never all of them
    return np.isin(writer_ids, order[:chosen])


def _some_of_each_class(labels: NDArray[np.int64], fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """bool (N,): in every class a random ``fraction`` of its samples, rounded."""
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # by class, random within it
    sizes = np.bincount(labels)
    # The place of each sample within its class: its place in all, less the place where its class begins.
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    test = np.zeros(len(labels), np.bool_)
    test[order] = rank < np.rint(fraction * sizes)[labels[order]]
    return test
