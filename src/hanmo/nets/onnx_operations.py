"""The operations of ONNX that image classifiers consist of, in torch; the package ``onnx`` is not needed here.

An operation is a function of a node's attributes that returns a function of its inputs. An input is a tensor, or a list
of whole numbers that is a shape, axes or the like: these stay in Python, because on a GPU every look at one would wait
for the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hanmo.errors import ModelError

Attributes = Mapping[str, Any]
Operation = Callable[..., Any]


_FLOATS = (1, 10, 11, 16)
"""FLOAT, FLOAT16, DOUBLE and BFLOAT16 of TensorProto.DataType."""
_SAME = (b"SAME_UPPER", b"SAME_LOWER")


def _refuse_uneven_steps(attributes: Attributes) -> None:
    """Raise :class:`ModelError` for SAME padding with a stride or dilation: its size would depend on the input's."""
    steps = (*attributes.get("strides", ()), *attributes.get("dilations", ()))
    if attributes.get("auto_pad", b"NOTSET") in _SAME and any(step != 1 for step in steps):
        raise ModelError("auto_pad with strides or dilations; export the net with explicit pads")


def _pads(attributes: Attributes, kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    """Padding as ([top, left], [bottom, right])."""
    automatic = attributes.get("auto_pad", b"NOTSET")
    if automatic in _SAME:
        # With stride 1 the size stays if k - 1 is padded in all. For an even k one side gets one more: the end for
        # SAME_UPPER, the beginning for SAME_LOWER.
        small, large = [(k - 1) // 2 for k in kernel], [k // 2 for k in kernel]
        return (small, large) if automatic == b"SAME_UPPER" else (large, small)
    pads = list(attributes.get("pads", [0, 0, 0, 0]))
    return pads[:2], pads[2:]


def _convolution(attributes: Attributes) -> Operation:
    strides, dilations = tuple(attributes.get("strides", (1, 1))), tuple(attributes.get("dilations", (1, 1)))
    groups = attributes.get("group", 1)
    _refuse_uneven_steps(attributes)

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        before, after = _pads(attributes, weight.shape[2:])
        # torch's convolution pads both sides alike; uneven padding is a separate step.
        if before == after:
            return F.conv2d(x, weight, bias, strides, before, dilations, groups)
        # F.pad wants the last axis first: left, right, top, bottom.
        x = F.pad(x, (before[1], after[1], before[0], after[0]))
        return F.conv2d(x, weight, bias, strides, 0, dilations, groups)

    return run


def _pooling(attributes: Attributes, pool: Callable[..., Tensor], filling: float) -> Operation:
    """Pooling after padding with ``filling``: minus infinity, which never is a maximum, or 0 for averages.

    The padding is a step of its own, because torch's pooling pads both sides alike.
    """
    kernel, strides = tuple(attributes["kernel_shape"]), tuple(attributes.get("strides", (1, 1)))
    _refuse_uneven_steps(attributes)
    before, after = _pads(attributes, kernel)
    if attributes.get("ceil_mode", 0) or any(step != 1 for step in attributes.get("dilations", ())):
        raise ModelError("pooling that rounds up or skips (ceil_mode, dilations); export the net without it")
    if filling == 0 and any(before + after) and not attributes.get("count_include_pad", 0):
        raise ModelError("average pooling that leaves out its padding; export the net with count_include_pad")
    padding = (before[1], after[1], before[0], after[0])
    return lambda x: pool(F.pad(x, padding, value=filling) if any(padding) else x, kernel, strides)


def _batch_norm(attributes: Attributes) -> Operation:
    epsilon = attributes.get("epsilon", 1e-5)
    # False: a teacher uses its stored statistics, never those of the batch.
    return lambda x, weight, bias, mean, variance: F.batch_norm(x, mean, variance, weight, bias, False, 0.0, epsilon)


def _softmax(attributes: Attributes) -> Operation:
    if attributes["opset"] >= 13:
        return lambda x: x.softmax(attributes.get("axis", -1))
    axis = attributes.get("axis", 1)  # before opset 13, all axes from this one on count as one

    def run(x: Tensor) -> Tensor:
        return x.flatten(axis).softmax(-1).reshape(x.shape)

    return run


def _mean(attributes: Attributes) -> Operation:
    keep = bool(attributes.get("keepdims", 1))
    return lambda x, axes=None: x.mean(attributes.get("axes", axes), keepdim=keep)


def _hard_sigmoid(attributes: Attributes) -> Operation:
    alpha, beta = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    return lambda x: (alpha * x + beta).clamp(0, 1)


def _clip(attributes: Attributes) -> Operation:
    def run(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
        least = attributes.get("min", float("-inf")) if low is None else low
        most = attributes.get("max", float("inf")) if high is None else high
        return x.clamp(min=least).clamp(max=most)  # torch takes two numbers or two tensors at once, not one of each

    return run


def _gemm(attributes: Attributes) -> Operation:
    def run(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        a = a.T if attributes.get("transA", 0) else a
        b = b.T if attributes.get("transB", 0) else b
        product: Tensor = attributes.get("alpha", 1.0) * (a @ b)
        return product if c is None else product + attributes.get("beta", 1.0) * c

    return run


def _cast(attributes: Attributes) -> Operation:
    whole = attributes["to"] not in _FLOATS

    def run(x: Any) -> Any:
        if not isinstance(x, Tensor):  # a list holds whole numbers already
            return x
        return x.long() if whole else x.float()

    return run


def _slice(attributes: Attributes) -> Operation:
    def run(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
        axes = axes if axes is not None else list(range(len(starts)))
        parts = {a: slice(s, e, t) for a, s, e, t in zip(axes, starts, ends, steps or [1] * len(axes), strict=True)}
        if isinstance(x, list):
            return x[parts[0]]
        # Every axis, in order, with its slice; an axis may be named from the end, as axis - ndim, or not at all.
        return x[tuple(parts.get(axis, parts.get(axis - x.ndim, slice(None))) for axis in range(x.ndim))]

    return run


def _concat(attributes: Attributes) -> Operation:
    axis = attributes["axis"]

    def run(*parts: Any) -> Any:
        if isinstance(parts[0], Tensor):
            return torch.cat(parts, axis)
        # A shape that was put together from several lists.
        return [number for part in parts for number in part]

    return run


def _reshape(attributes: Attributes) -> Operation:
    def run(x: Any, shape: list[int]) -> Any:
        if not isinstance(x, Tensor):  # one number, as itself or as a list of one
            numbers = x if isinstance(x, list) else [x]
            return numbers if shape else numbers[0]
        # In ONNX a size of 0 means "as in the input"; -1 is the size that is left, as in torch.
        return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(shape)])

    return run


def _squeeze(attributes: Attributes) -> Operation:
    def run(x: Any, axes: Any = None) -> Any:
        axes = attributes.get("axes", axes)
        return x.squeeze(tuple(axes)) if isinstance(x, Tensor) else x[0]

    return run


def _unsqueeze(attributes: Attributes) -> Operation:
    def run(x: Any, axes: Any = None) -> Any:
        if not isinstance(x, Tensor):
            return [x]
        # Axes are those of the result, so the lower ones must exist before the higher ones are added.
        for axis in sorted(attributes.get("axes", axes)):
            x = x.unsqueeze(axis)
        return x

    return run


def _plain(function: Operation) -> Callable[[Attributes], Operation]:
    """An operation that has no attributes."""
    return lambda attributes: function


OPERATIONS: dict[str, Callable[[Attributes], Operation]] = {
    "Add": _plain(lambda a, b: a + b),
    "Sub": _plain(lambda a, b: a - b),
    "Mul": _plain(lambda a, b: a * b),
    "Div": _plain(lambda a, b: a / b),
    "Pow": _plain(lambda a, b: a**b),
    "Sqrt": _plain(torch.sqrt),
    "Erf": _plain(torch.erf),
    "Relu": _plain(torch.relu),
    "Sigmoid": _plain(torch.sigmoid),
    "Identity": _plain(lambda x: x),
    "MatMul": _plain(torch.matmul),
    "Shape": _plain(lambda x: list(x.shape)),
    "GlobalAveragePool": _plain(lambda x: x.mean((2, 3), keepdim=True)),
    "Conv": _convolution,
    "MaxPool": lambda attributes: _pooling(attributes, F.max_pool2d, float("-inf")),
    "AveragePool": lambda attributes: _pooling(attributes, F.avg_pool2d, 0.0),
    "BatchNormalization": _batch_norm,
    "HardSigmoid": _hard_sigmoid,
    "Softmax": _softmax,
    "ReduceMean": _mean,
    "Gemm": _gemm,
    "Clip": _clip,
    "HardSwish": _plain(F.hardswish),
    "Flatten": lambda attributes: lambda x: x.reshape(math.prod(x.shape[: attributes.get("axis", 1)]), -1),
    "Transpose": lambda attributes: lambda x: x.permute(*attributes.get("perm", range(x.ndim - 1, -1, -1))),
    "Cast": _cast,
    "Slice": _slice,
    "Concat": _concat,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}
"""Name in ONNX -> function of the node's attributes -> function of the node's inputs."""
