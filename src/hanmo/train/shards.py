"""Weights as several small safetensors files of few bits, for places that take no large files.

A folder holds ``weights-1-of-3.safetensors`` and so on, each with the header of the whole and its own number. A folder
of shards may be named wherever the weights of a run folder are wanted. Floats have 16 bits. In shards of eight bits
large matrices are int8, and ``NAME.scale`` (out,) holds the step between two values for each output channel.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from hanmo.errors import CheckpointError, RunError
from hanmo.nets.quantization import MIN_QUANTIZED_WEIGHTS
from hanmo.train.checkpoint import load_tensors, save_tensors

LARGEST = 15_000_000
"""Bytes of a shard, at most, unless a single tensor is larger."""

_HEAD = 200_000  # bytes of each shard kept free for names, shapes and the header, whose charset may be large
_SCALE = ".scale"
_NAME = re.compile(r"weights-(\d+)-of-(\d+)\.safetensors")


def save_shards(weights: Path, out: Path, largest: int = LARGEST, bits: Literal[8, 16] = 16) -> list[Path]:
    """Write the weights file of a run into the folder ``out``, in ``bits`` bits; returns the shards' paths.

    Raises :class:`CheckpointError` for damaged weights, :class:`RunError` where ``out`` has shards already,
    :class:`StorageError`.
    """
    if first_shard(out):
        raise RunError(f"{out}: has shards already; remove them or take another folder")
    tensors, header = load_weights(weights)
    groups: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        parts = _in_eight_bits(name, tensor) if bits == 8 else _in_sixteen_bits(name, tensor)
        needed = sum(part.nbytes for part in parts.values())
        # A new shard when this one is full; a tensor is never split, so that each shard can be read by itself.
        if groups[-1] and size + needed > largest - _HEAD:
            groups.append({})
            size = 0
        groups[-1] |= parts
        size += needed
    paths = [out / f"weights-{i}-of-{len(groups)}.safetensors" for i in range(1, len(groups) + 1)]
    # The first shard comes last: a folder counts as shards by it, so an interrupted export can simply be repeated.
    for number in range(len(groups), 0, -1):
        save_tensors(paths[number - 1], groups[number - 1], {**header, "shard": [number, len(groups)]})
    return paths


def first_shard(folder: Path) -> Path | None:
    """The first shard in a folder, or None."""
    return next(
        (path for path in sorted(folder.glob("weights-1-of-*.safetensors")) if _NAME.fullmatch(path.name)), None
    )


def load_weights(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a weights file, or of all shards when it is one of them, as 32-bit floats.

    Raises :class:`CheckpointError` naming what is damaged or missing.
    """
    found = _NAME.fullmatch(file.name)
    if not found:
        return load_tensors(file)
    tensors: dict[str, Tensor] = {}
    headers: list[dict[str, Any]] = []
    for number in range(1, int(found[2]) + 1):
        part, header = load_tensors(file.with_name(f"weights-{number}-of-{found[2]}.safetensors"))
        if header.pop("shard", None) != [number, int(found[2])] or (headers and header != headers[0]):
            raise CheckpointError(
                f"{file.parent}: shard {number} of {found[2]} belongs to other weights; fetch all again"
            )
        headers.append(header)
        tensors |= _whole(part, file.parent)
    return tensors, headers[0]


def _in_sixteen_bits(name: str, tensor: Tensor) -> dict[str, Tensor]:
    return {name: tensor.to(torch.float16) if tensor.is_floating_point() else tensor}


def _in_eight_bits(name: str, tensor: Tensor) -> dict[str, Tensor]:
    if not tensor.is_floating_point() or tensor.ndim < 2 or tensor.numel() < MIN_QUANTIZED_WEIGHTS:
        return _in_sixteen_bits(name, tensor)
    rows = tensor.float().flatten(1)
    # One scale for each output channel: the largest weight becomes 127. The floor is for channels of zeros.
    scale = rows.abs().amax(1).clamp(min=1e-12) / 127
    return {name: (rows / scale[:, None]).round().to(torch.int8).view(tensor.shape), name + _SCALE: scale}


def _whole(part: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """The tensors of a shard as 32-bit floats; raises :class:`CheckpointError` for a scale that does not fit."""
    scales = {name: part.pop(name + _SCALE) for name in list(part) if name + _SCALE in part}
    for name, tensor in part.items():
        if tensor.dtype == torch.int8 and (name not in scales or scales[name].shape != tensor.shape[:1]):
            raise CheckpointError(f"{folder}: {name!r} has no scale that fits; fetch the shards again")
    found = {name: t.float() if t.is_floating_point() or name in scales else t for name, t in part.items()}
    for name, scale in scales.items():
        # (out,) -> (out, 1, ...), to multiply each output channel by its scale.
        found[name] *= scale.view(-1, *[1] * (found[name].ndim - 1))
    return found
