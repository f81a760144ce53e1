"""Does the exported model answer as the trained net? Nothing is shipped that was not asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hanmo.errors import ExportError
from hanmo.export.quantize import run_onnx
from hanmo.normalize import standardise

MIN_AGREEMENT = 99.9
"""Per cent of samples on which fp32 ONNX and torch must name the same character."""
MAX_LOSS = 0.2
"""Points of top-1 that int8 may lose against fp32."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """``agreement`` of fp32 ONNX with torch and top-1 of both precisions, in per cent of ``samples``."""

    samples: int
    agreement: float
    top1_fp32: float
    top1_int8: float | None

    def problems(self) -> list[str]:
        """What is wrong, one sentence each; empty when the export may be used."""
        found = []
        if self.agreement < MIN_AGREEMENT:
            found.append(f"ONNX and torch agree on {self.agreement:.2f} % of samples only, {MIN_AGREEMENT} % needed")
        if self.top1_int8 is not None and self.top1_fp32 - self.top1_int8 > MAX_LOSS:
            lost = self.top1_fp32 - self.top1_int8
            found.append(f"int8 loses {lost:.2f} points of top-1, {MAX_LOSS} allowed")
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
    """Compare on squares uint8 (N, S, S) with their classes (N,)."""
    plain = run_onnx(fp32, squares).argmax(1)
    small = run_onnx(int8, squares).argmax(1) if int8 else None
    return Check(
        samples=len(squares),
        agreement=_per_cent(plain == _torch_logits(net, squares).argmax(1)),
        top1_fp32=_per_cent(plain == labels),
        top1_int8=None if small is None else _per_cent(small == labels),
    )


@torch.no_grad()
def _torch_logits(net: nn.Module, squares: NDArray[np.uint8], batch: int = 256) -> NDArray[np.float32]:
    net = net.cpu().eval()
    x = torch.from_numpy(np.array(squares))
    parts = [net(standardise(chunk.unsqueeze(1).float() / 255)) for chunk in torch.split(x, batch)]
    logits: NDArray[np.float32] = torch.cat(parts).numpy()
    return logits


def _per_cent(hits: NDArray[np.bool_]) -> float:
    return 100 * float(hits.mean())
