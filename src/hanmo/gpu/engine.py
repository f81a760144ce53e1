"""Reading whole batches by torch on a GPU: unpack, normalise, run the net, find the best classes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hanmo.bulk.packing import Answers, Packed
from hanmo.bulk.work import fingerprint
from hanmo.bundle import MODEL_NAME
from hanmo.errors import BundleError, DeviceError, DeviceMemoryError, one_line
from hanmo.gpu.net import BundleNet
from hanmo.gpu.normalize import Normalized, can_normalize, normalize
from hanmo.gpu.pictures import Sizes, unpacked
from hanmo.probability import FEW_CANDIDATES
from hanmo.recognizer import Recognizer

BATCH_BY_MEMORY = {0: 2048, 32: 8192, 64: 32_768}
"""Pictures at once, for GPUs of at least so many GiB: the steps of the normalisation are many, and with few pictures a
GPU is done with one before the host has started the next. 32,768 pictures take 8 to 10 GiB."""
NET_BATCH = 4096
"""Squares at once in the net, whose layers need some 100 times their memory."""


class TorchEngine:
    """An :class:`hanmo.bulk.packing.Engine`: ``reader``'s bundle on a ``device`` of torch, such as "cuda" or "cuda:1".

    Answers hold ``top`` candidates ``among`` some characters, as :meth:`Recognizer.recognize` has them. ``batch`` is
    the number of pictures of a call at most, rounded down to whole chunks of 512; never less than one chunk. If not
    given, it is as many as fit the GPU (:data:`BATCH_BY_MEMORY`). ``lanes`` calls run at a time, so that one prepares
    its steps while another computes.

    On the device "cpu" it gives the same answers, but slower than a :class:`Recognizer`; tests use that.

    Raises :class:`BundleError` for a net that torch cannot run, :class:`DeviceError` for a device that does not work.
    """

    def __init__(
        self,
        reader: Recognizer,
        top: int = 5,
        among: str | None = None,
        *,
        device: str = "cuda",
        batch: int | None = None,
        lanes: int = 2,
    ) -> None:
        self.lanes, self.device = lanes, torch.device(device)
        self.top, self.among = top, among
        self._reader, self._bundle = reader, reader.bundle
        self.fingerprint = fingerprint(self._bundle)
        self._streams = threading.local()
        classes = reader.choice(top, among)
        net = BundleNet(reader.bundle, feeds_floats=reader.feeds_floats).eval()
        # A torch without CUDA says so by an AssertionError. Later on, one would be a fault of hanmo.
        with _NamingFailures(self.device, RuntimeError, AssertionError):
            self.batch = batch or _batch_of(self.device)
            self._net = net.to(self.device)
            self._classes = None if classes is None else torch.from_numpy(np.array(classes)).to(self.device)

    @property
    def normalizes(self) -> bool:
        return can_normalize(self._bundle.normalization)

    def __call__(self, packs: Sequence[Packed], copied: Callable[[], None]) -> Answers:
        """Raises :class:`BundleError` where the net gives no numbers, :class:`DeviceMemoryError` for a full memory."""
        with self._naming_failures(), torch.inference_mode(), self._stream():
            normalized = self._normalized(packs, copied)
            parts = [self._best(self.logits(part)) for part in _in_parts(normalized.squares, NET_BATCH)]
            best, probabilities, known = (
                [torch.cat(tensors).cpu().numpy() for tensors in zip(*parts, strict=True)] if parts else self._nothing()
            )
            if not np.isfinite(probabilities).all():  # looked at here, where nothing has to wait for the device
                where = self._bundle.path / MODEL_NAME
                remedy = "export it again, or read with --device cpu"
                raise BundleError(f"{where}: the net's answers are no logits; {remedy}")
            remarks = normalized.remarks.to(torch.uint8).cpu().numpy()
            return Answers(best, probabilities, known, remarks, normalized.unread.cpu().numpy())

    def normalized(self, packs: Sequence[Packed]) -> Normalized:
        """The squares of pictures, without reading them. They are complete, so that any stream may use them."""
        with self._naming_failures(), torch.inference_mode(), self._stream():
            normalized = self._normalized(packs, lambda: None)
            if self.device.type == "cuda":
                torch.cuda.current_stream(self.device).synchronize()
            return normalized

    def logits(self, squares: Tensor) -> Tensor:
        """The logits float32 (N, C) of squares uint8 (N, S, S) on the device, as :meth:`Recognizer.logits`."""
        with torch.inference_mode():
            logits: Tensor
            logits, features = self._net(squares)
            if (layer := self._reader.extended) is not None:
                # NumPy code: extended bundles are rare, and their own layer is small.
                logits = torch.from_numpy(layer(logits.cpu().numpy(), features.cpu().numpy())).to(self.device)
            return logits

    def _normalized(self, packs: Sequence[Packed], copied: Callable[[], None]) -> Normalized:
        heights, widths, reduced, remarks = (
            np.concatenate([pack[field] for pack in packs]) for field in range(1, len(Packed._fields))
        )
        flat = torch.empty(sum(len(pack.pixels) for pack in packs), dtype=torch.uint8, device=self.device)
        start = 0
        for pack in packs:
            flat[start : start + len(pack.pixels)].copy_(torch.from_numpy(pack.pixels))
            start += len(pack.pixels)
        copied()
        settings = self._bundle.normalization
        if not self.normalizes:
            none = torch.zeros(len(heights), dtype=torch.bool, device=self.device)
            return Normalized(flat.view(-1, settings.side, settings.side), self._sent(remarks), none)
        if not len(heights):
            empty = torch.zeros(0, settings.side, settings.side, dtype=torch.uint8, device=self.device)
            return Normalized(empty, self._sent(remarks), self._sent(reduced))
        area = heights.astype(np.int64) * widths
        sizes = Sizes(self._sent(heights).long(), self._sent(widths).long())
        side = int(max(heights.max(), widths.max()))
        pictures = unpacked(flat, self._sent(area.cumsum() - area), sizes, side)
        return normalize(pictures, sizes, self._sent(reduced), settings)

    def _sent(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _best(self, answers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The columns, probabilities and evidence that :meth:`Recognizer.named` takes, of logits (N, C)."""
        logits = answers.double()
        above = logits.amax(1) - logits.sum(1) / logits.shape[1]
        probabilities = (logits if self._classes is None else logits[:, self._classes]) / self._bundle.temperature
        probabilities = probabilities.softmax(1)
        top = min(self.top, probabilities.shape[1])
        if top > FEW_CANDIDATES:
            # Of equal scores the lower class comes first.
            values, best = probabilities.sort(dim=1, descending=True, stable=True)
            return best[:, :top].int(), values[:, :top], above >= self._bundle.least_evidence
        columns: list[Tensor] = []
        scores: list[Tensor] = []
        for _ in range(top):
            column = probabilities.argmax(1, keepdim=True)  # the first of equal ones
            columns.append(column)
            scores.append(probabilities.gather(1, column))
            probabilities = probabilities.scatter(1, column, -1.0)
        return torch.cat(columns, 1).int(), torch.cat(scores, 1), above >= self._bundle.least_evidence

    def _nothing(self) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.bool_]]:
        return np.zeros((0, 1), np.int32), np.zeros((0, 1)), np.zeros(0, bool)

    def _stream(self) -> AbstractContextManager[Any]:
        """Each thread has a stream of its own, so that their work overlaps on the GPU."""
        if self.device.type != "cuda":
            return nullcontext()
        if not hasattr(self._streams, "own"):
            self._streams.own = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        return torch.cuda.stream(self._streams.own)

    def _naming_failures(self) -> _NamingFailures:
        return _NamingFailures(self.device, RuntimeError)


def _in_parts(squares: Tensor, size: int) -> list[Tensor]:
    return [squares[start : start + size] for start in range(0, len(squares), size)]


def _batch_of(device: torch.device) -> int:
    memory = torch.cuda.get_device_properties(device).total_memory / 2**30 if device.type == "cuda" else 0
    return max(count for least, count in BATCH_BY_MEMORY.items() if memory >= least)


class _NamingFailures:
    """Errors of ``kinds``, which torch raises, become one line."""

    def __init__(self, device: torch.device, *kinds: type[Exception]) -> None:
        self.device, self.kinds = device, kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, torch.OutOfMemoryError):
            raise DeviceMemoryError(
                f"the memory of {self.device} is full; end other programs that use it, or read with --device cpu"
            ) from error
        if isinstance(error, self.kinds):  # torch's own errors have no other base than RuntimeError
            raise DeviceError(
                f"torch cannot use {self.device} ({one_line(error)}); check the driver, or read with --device cpu"
            ) from error
