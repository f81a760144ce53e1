"""Weights to pass on: 16-bit floats in several small safetensors files, for places that take no large ones.

``weights-1-of-3.safetensors`` and so on stand in a folder, each with the header of the whole and its own number. A
folder of shards may be named wherever a run folder is asked for its weights.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hanmo.errors import CheckpointError
from hanmo.train.checkpoint import load_tensors, save_tensors

LARGEST = 15_000_000
"""Bytes of a shard, at most, unless a single tensor is larger."""

_HEAD = 200_000  # bytes kept free for names, shapes and the header with its charset
_NAME = re.compile(r"weights-(\d+)-of-(\d+)\.safetensors")


def save_shards(weights: Path, out: Path, largest: int = LARGEST) -> list[Path]:
    """Write the weights file of a run into the folder ``out``, floats as 16 bits; returns the shards' paths.

    Raises :class:`CheckpointError` for damaged weights and where ``out`` has shards already, :class:`StorageError`.
    """
    if first_shard(out):
        raise CheckpointError(f"{out}: has shards already; remove them or take another folder")
    tensors, header = load_weights(weights)
    groups: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        small = tensor.to(torch.float16) if tensor.is_floating_point() else tensor
        if groups[-1] and size + small.nbytes > largest - _HEAD:
            groups.append({})
            size = 0
        groups[-1][name] = small
        size += small.nbytes
    paths = [out / f"weights-{i}-of-{len(groups)}.safetensors" for i in range(1, len(groups) + 1)]
    # The first shard, by which a folder is known, comes last: stopped before it, this can be done again.
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
        tensors |= {name: t.float() if t.is_floating_point() else t for name, t in part.items()}
    return tensors, headers[0]
