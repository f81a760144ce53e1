"""A GPU whose memory is full: the error names the batch that fits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hanmo.errors import DeviceMemoryError

if TYPE_CHECKING:
    from hanmo.train.loop import Trainer


@contextmanager
def batch_that_fits(trainer: Trainer, squares: Tensor, labels: Tensor, rate: float) -> Iterator[None]:
    """Turn a full GPU within the block into a :class:`DeviceMemoryError` with the largest half, quarter, ... that fits.

    It is found by steps on the first squares of the batch, so the trainer's state is of no use afterwards.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        failure = error.with_traceback(None)  # its frames hold the tensors that fill the memory
    else:
        return
    batch = trainer.recipe.train.batch
    share = 2
    # Several processes would wait for each other's gradients, and the memory of one may be full alone.
    while trainer.processes.world == 1 and len(squares) // share and not _fits(trainer, squares, labels, rate, share):
        share *= 2
    fitting = batch // share if trainer.processes.world == 1 and len(squares) // share else 0
    remedy = f"{fitting} fits: --set train.batch={fitting}" if fitting else "lower train.batch or net.width"
    raise DeviceMemoryError(f"the device has not enough memory for a batch of {batch}; {remedy}") from failure


def _fits(trainer: Trainer, squares: Tensor, labels: Tensor, rate: float, share: int) -> bool:
    count = len(squares) // share
    trainer.state.optimizer.zero_grad(set_to_none=True)
    if squares.is_cuda:
        torch.cuda.empty_cache()
    try:
        # A whole step: the optimiser takes memory of its own in its first one.
        trainer.advance(squares[:count], labels[:count], rate)
    except torch.OutOfMemoryError:
        return False
    return True
