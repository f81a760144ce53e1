"""Batches of a pack that is too large for the memory of the GPU, ready before the training asks for them.

Threads gather the rows of the coming batches from the memory map into pinned memory, and a separate CUDA stream copies
them to the GPU while the step before is still at work. benchmarks/streaming.md has what this costs against a pack that
lies on the GPU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Batch = tuple[Tensor, Tensor]
Array = NDArray[Any]

AHEAD = 4
"""Batches that are prepared at once. More would only help where a disk is now and then slow for longer than that."""
THREADS = 8
"""Threads that gather. A thread mostly waits for memory or for the disk, so there may be more of them than cores."""


def streamed(squares: Tensor, labels: Tensor, numbers: Iterator[Tensor], device: torch.device) -> Iterator[Batch]:
    """Squares (n, S, S) and labels (n,) on ``device`` for each batch of row numbers, int64 (n,) on the CPU.

    ``squares`` uint8 (N, S, S) and ``labels`` int64 (N,) lie on the CPU. No batch may be larger than the first. An
    error of reading is raised here. The threads end with the iterator.
    """
    arrays = (squares, labels)
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
    sources = [array.numpy() for array in arrays]
    waiting: deque[_Slot] = deque()
    # Threads begin on the first GPU; one that waits for a copy must not open a context there.
    on_gpu = partial(torch.cuda.set_device, device) if stream is not None else None
    with ThreadPoolExecutor(THREADS, thread_name_prefix="streamed", initializer=on_gpu) as threads:
        try:
            for rows in numbers:
                if len(waiting) < AHEAD:
                    slot = _Slot(arrays, len(rows), pinned=stream is not None)
                else:
                    slot = waiting.popleft()
                    yield slot.moved(device, stream)
                slot.fill(threads, sources, rows.numpy())
                waiting.append(slot)
            while waiting:
                yield waiting.popleft().moved(device, stream)
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


class _Slot:
    """Pinned memory for one batch: filled by threads, copied to the GPU, filled again."""

    def __init__(self, arrays: Sequence[Tensor], count: int, *, pinned: bool) -> None:
        self.buffers = [torch.empty((count, *a.shape[1:]), dtype=a.dtype, pin_memory=pinned) for a in arrays]
        self.count = 0
        self.filling: list[Future[None]] = []
        self.copied: torch.cuda.Event | None = None

    def fill(self, threads: ThreadPoolExecutor, sources: Sequence[Array], rows: NDArray[np.int64]) -> None:
        """Begin to gather ``rows``, a part of them in each thread."""
        self.count = len(rows)
        edges = np.linspace(0, self.count, THREADS + 1).astype(int)
        parts = [slice(first, last) for first, last in pairwise(edges)]
        self.filling = [threads.submit(self._gather, sources, rows, part) for part in parts]

    def _gather(self, sources: Sequence[Array], rows: NDArray[np.int64], part: slice) -> None:
        if self.copied is not None:
            self.copied.synchronize()  # the GPU may still be reading the batch before
        for source, buffer in zip(sources, self.buffers, strict=True):
            # "clip", because NumPy would gather into memory of its own first to check the numbers. They are valid here.
            np.take(source, rows[part], axis=0, out=buffer.numpy()[part], mode="clip")

    def moved(self, device: torch.device, stream: torch.cuda.Stream | None) -> Batch:
        """Wait until the slot is filled, and copy it to ``device``; the current stream waits for the copy."""
        for future in self.filling:
            future.result()
        batch = [buffer[: self.count] for buffer in self.buffers]
        if stream is None:
            return batch[0].to(device, copy=True), batch[1].to(device, copy=True)
        current = torch.cuda.current_stream(device)
        with torch.cuda.stream(stream):
            copies = batch[0].to(device, non_blocking=True), batch[1].to(device, non_blocking=True)
            self.copied = stream.record_event()
        current.wait_event(self.copied)
        for copy in copies:
            copy.record_stream(current)  # its memory may be given away only after the current stream has read it
        return copies
