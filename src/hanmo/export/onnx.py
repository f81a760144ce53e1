"""A trained net -> one self-contained ONNX model that takes uint8 squares."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch
from torch import Tensor, nn

from hanmo.normalize import MEAN, STD

OPSET = 20
INPUT, OUTPUT = "squares", "logits"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns about its own internals; its result is verified against torch, number by number."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class _Reader(nn.Module):
    """uint8 (N, 1, S, S) -> logits (N, C): the scaling of the input is part of the model."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, squares: Tensor) -> Tensor:
        # (x / 255 - MEAN) / STD as one multiplication and one addition.
        logits: Tensor = self.net(squares.float() * (1 / (255 * STD)) - MEAN / STD)
        return logits


def export_onnx(net: nn.Module, side: int) -> bytes:
    """An fp32 ONNX model: ``squares`` uint8 (N, 1, side, side) -> ``logits`` float32 (N, C), N free."""
    reader = _Reader(net.cpu().eval())
    example = torch.zeros(2, 1, side, side, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            reader,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"squares": {0: torch.export.Dim("N", min=1, max=1 << 20)}},
            optimize=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:  # source paths and stack traces of the machine that exported
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
