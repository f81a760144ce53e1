"""Batches that threads gather: the same rows as by indexing, errors where they belong, no thread left over."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from hanmo.train.streaming import AHEAD, streamed

CPU = torch.device("cpu")


def arrays(count: int = 1000) -> tuple[torch.Tensor, torch.Tensor]:
    pictures = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 8, 8), np.uint8))
    return pictures, torch.arange(count)


def threads_of_streaming() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("streamed")]


@pytest.mark.parametrize("batch", [1, 7, 64, 300, 1000])
def test_batches_hold_the_rows_asked_for_in_order(batch: int) -> None:
    pictures, labels = arrays()
    numbers = list(torch.split(torch.randperm(1000, generator=torch.Generator().manual_seed(1)), batch))
    # Kept until the end: a batch must not change when its slot is filled again.
    batches = list(streamed(pictures, labels, iter(numbers), CPU))
    assert len(batches) == len(numbers)
    for (squares, classes), rows in zip(batches, numbers, strict=True):
        assert torch.equal(squares, pictures[rows])
        assert torch.equal(classes, rows)


def test_only_a_few_batches_are_prepared_ahead() -> None:
    asked: list[int] = []

    def numbers():
        for first in range(0, 1000, 10):
            asked.append(first)
            yield torch.arange(first, first + 10)

    batches = streamed(*arrays(), numbers(), CPU)
    for done in range(1, 20):
        next(batches)
        assert len(asked) <= done + AHEAD
    batches.close()


def test_threads_end_with_the_iterator() -> None:
    batches = streamed(*arrays(), iter(torch.split(torch.arange(1000), 10)), CPU)
    next(batches)
    assert threads_of_streaming()
    batches.close()
    assert not threads_of_streaming()


def test_an_error_while_gathering_is_raised_where_batches_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    batches = streamed(*arrays(), iter(torch.split(torch.arange(1000), 10)), CPU)
    next(batches)
    monkeypatch.setattr(np, "take", fails)
    with pytest.raises(OSError, match="Input/output"):
        list(batches)
    assert not threads_of_streaming()


def test_no_batches_at_all() -> None:
    assert list(streamed(*arrays(), iter(()), CPU)) == []
