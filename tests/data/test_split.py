from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hanmo.data.pack import Pack, write_pack
from hanmo.data.split import split_by_writer
from hanmo.errors import ArgumentError
from hanmo.normalize import Normalization


@pytest.fixture
def pack_of(tmp_path: Path, draw):
    def pack_of(labels: str, writers: int) -> Pack:
        return write_pack(tmp_path / "p", draw(labels, writers=writers), normalization=Normalization(side=16, margin=1))

    return pack_of


def test_no_writer_is_in_both_halves(pack_of) -> None:
    pack = pack_of("一丁七" * 40, 10)
    train, test = split_by_writer(pack, 0.2, seed=3)
    assert len(test) == 24
    assert not {pack.writer_of(i) for i in train} & {pack.writer_of(i) for i in test}
    assert np.array_equal(np.sort(np.concatenate((train, test))), np.arange(120))


def test_without_writers_every_class_is_split(pack_of) -> None:
    pack = pack_of("一" * 50 + "丁" * 10, 0)
    train, test = split_by_writer(pack, 0.2, seed=3)
    assert np.bincount(pack.labels[test]).tolist() == [10, 2]
    assert np.array_equal(np.sort(np.concatenate((train, test))), np.arange(60))


def test_samples_of_unknown_writers_train(tmp_path: Path, draw) -> None:
    samples = draw("一" * 20, writers=4) + draw("一" * 5)
    pack = write_pack(tmp_path / "p", samples, normalization=Normalization(side=16, margin=1))
    train, _ = split_by_writer(pack, 0.5, seed=0)
    assert set(range(20, 25)) <= set(train.tolist())


@pytest.mark.parametrize("writers", [0, 10])
def test_the_seed_decides(pack_of, writers: int) -> None:
    pack = pack_of("一丁七" * 40, writers)
    halves = [split_by_writer(pack, 0.3, seed)[1].tolist() for seed in (0, 0, 1)]
    assert halves[0] == halves[1] != halves[2]


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_neither_half_of_the_writers_is_empty(pack_of, fraction: float) -> None:
    assert all(len(half) for half in split_by_writer(pack_of("一" * 30, 3), fraction, 0))


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_an_impossible_fraction_is_refused(pack_of, fraction: float) -> None:
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        split_by_writer(pack_of("一丁", 0), fraction, 0)
