"""Compares an exported model with the trained net; a model that answers differently is not shipped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hanmo.errors import ExportError
from hanmo.export.quantize import run_onnx
from hanmo.normalize import standardise
from hanmo.train.augment import unchanged

MIN_AGREEMENT = 99.9
"""Per cent of samples on which fp32 ONNX and torch must name the same character.

Both compute the same in 32 bits; only near ties may fall differently, because sums are added in another order.
"""
MAX_LOSS = 0.2
"""Points of top-1 accuracy that int8 may lose against fp32: less than two seeds of one training differ by."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """How an exported model compares with the trained net on ``samples`` samples, in per cent of these.

    ``agreement`` is that of fp32 ONNX with torch; ``top1_fp32`` and ``top1_int8`` (None without int8) are accuracies.
    ``agreement_error`` is the standard error of the agreement and ``loss_error`` that of the difference between the two
    accuracies. Both limits are relaxed by one standard error, so that a small test pack does not refuse an export for
    a single sample.
    """

    samples: int
    agreement: float
    top1_fp32: float
    top1_int8: float | None
    agreement_error: float = 0.0
    loss_error: float = 0.0

    def problems(self) -> list[str]:
        """Why the export should not be used, one clause each; empty when it is good."""
        found = []
        if self.agreement + self.agreement_error < MIN_AGREEMENT:
            found.append(
                f"ONNX and torch agree on {self.agreement:.2f} % of samples only, {MIN_AGREEMENT} % needed "
                f"(within one standard error, {self.agreement_error:.2f})"
            )
        if self.top1_int8 is not None and self.top1_fp32 - self.top1_int8 - self.loss_error > MAX_LOSS:
            lost = self.top1_fp32 - self.top1_int8
            found.append(
                f"int8 loses {lost:.2f} points of top-1, {MAX_LOSS} allowed "
                f"(beyond one standard error of the difference, {self.loss_error:.2f})"
            )
        return found

    def require(self, *, force: bool = False) -> None:
        """Raise :class:`ExportError` when there is a problem, unless ``force``."""
        if self.problems() and not force:
            raise ExportError(
                f"{'; '.join(self.problems())} (on {self.samples:,} samples); "
                "calibrate on a pack like the training data, or export --fp32, or --force"
            )


def verify(
    net: nn.Module, fp32: bytes, int8: bytes | None, squares: NDArray[np.uint8], labels: NDArray[np.int64]
) -> Check:
    """Compare the exported models with ``net`` on squares, uint8 (N, S, S), of the classes ``labels``, (N,).

    Raises :class:`ExportError` for answers that are not finite.
    """
    # fp32 is compared with torch answer by answer. int8 is rounded, so only its accuracy is compared with fp32's.
    logits, expected = run_onnx(fp32, squares), _torch_logits(net, squares)
    # argmax() gives the first NaN, so two nets of NaN would agree on every sample.
    if not (np.isfinite(logits).all() and np.isfinite(expected).all()):
        raise ExportError("the net answers NaN or infinity; train it again, at a lower optim.learning_rate")
    answers = logits.argmax(1)
    agrees = answers == expected.argmax(1)
    right = answers == labels
    right_int8 = run_onnx(int8, squares).argmax(1) == labels if int8 else None
    return Check(
        samples=len(squares),
        agreement=_per_cent(agrees),
        top1_fp32=_per_cent(right),
        top1_int8=None if right_int8 is None else _per_cent(right_int8),
        agreement_error=_standard_error(agrees),
        # Both models read the same samples, so the error is that of the difference sample by sample. It is far smaller
        # than the accuracies' own errors, because the models are right and wrong on nearly the same samples.
        loss_error=0.0 if right_int8 is None else _standard_error(right.astype(np.int8) - right_int8.astype(np.int8)),
    )


@torch.no_grad()
def _torch_logits(net: nn.Module, squares: NDArray[np.uint8], batch: int = 256) -> NDArray[np.float32]:
    net = net.cpu().eval()
    # A copy, because torch warns of read-only arrays, such as the memory map of a pack.
    x = torch.from_numpy(np.array(squares))
    parts = [net(standardise(unchanged(chunk))) for chunk in torch.split(x, batch)]
    logits: NDArray[np.float32] = torch.cat(parts).numpy()
    return logits


def _per_cent(hits: NDArray[np.bool_]) -> float:
    return 100 * float(hits.mean())


def _standard_error(values: NDArray[np.bool_] | NDArray[np.int8]) -> float:
    """The standard error of the mean of ``values`` (N,), in per cent; 0 for a single value, which tells of none."""
    if len(values) < 2:
        return 0.0
    # ddof=1, the unbiased variance: a single differing sample then has a standard error of exactly one sample.
    return float(100 * values.astype(np.float64).std(ddof=1) / np.sqrt(len(values)))
