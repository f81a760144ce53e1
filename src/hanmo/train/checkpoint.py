"""Checkpoint files in safetensors, written whole or not at all. No pickle is written or read.

The header holds a SHA-256 of itself and of all tensors, as safetensors has none: a changed bit would train on.

A checkpoint is one file ``step-00001234.safetensors``: tensors under ``net.``, ``average.``, ``method.`` and
``optimizer.`` (:class:`hanmo.train.state.TrainState`), and a JSON header with the step and the name of the net.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hanmo.atomic import write_whole
from hanmo.errors import CheckpointError, one_line
from hanmo.safetensors_head import check_head

KEPT = 2
"""Checkpoints that are kept: the last, and the one before in case the disk damages the last."""
_PATTERN = "step-*.safetensors"
_DIGEST = "sha256"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header to ``path``: temporary file, fsync, rename. Raises :class:`StorageError`."""
    plain = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
    # All are contiguous copies: safetensors refuses other layouts, and tensors that share memory. The digest is in the
    # same entry as the header, because the order of several entries is left to chance.
    write_whole(path, save(plain, {"hanmo": json.dumps({**header, _DIGEST: _digest(plain, header)})}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a file :func:`save_tensors` wrote.

    Raises :class:`CheckpointError` for damage, and for numbers that are not finite. Files of before have no digest.
    """
    try:
        check_head(path)
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["hanmo"])
            if not isinstance(header, dict):
                raise KeyError("header")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged or not written by hanmo ({one_line(error)})") from error
    if (digest := header.pop(_DIGEST, None)) is not None and digest != _digest(tensors, header):
        raise CheckpointError(f"{path}: damaged: its SHA-256 is not the one it names; copy or make it again")
    if strange := [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]:
        raise CheckpointError(f"{path}: {strange[0]!r:.60} holds NaN or infinity; train it again")
    return tensors, header


def _digest(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """The SHA-256 of the header and of every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(header).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Path:
    """Save as ``folder/step-N.safetensors`` and keep only the last :data:`KEPT`."""
    path = folder / f"step-{step:08d}.safetensors"
    save_tensors(path, tensors, {**header, "step": step})
    # Only after the new one is complete, so that there is always one to go on from. Steps have leading zeros, so the
    # order of names is that of steps.
    for old in sorted(folder.glob(_PATTERN))[:-KEPT]:
        old.unlink()
    return path


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the one with the most steps first."""
    return sorted(folder.glob(_PATTERN), reverse=True)


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the most steps, or None."""
    return next(iter(checkpoints_in(folder)), None)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as flat names ``INDEX.KEY``; plain numbers become 0-d tensors."""
    # A file of tensors has no nested tables and no numbers, hence flat names and 0-d tensors.
    state = optimizer.state_dict()["state"]
    return {f"{index}.{key}": torch.as_tensor(value) for index, slot in state.items() for key, value in slot.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of :func:`optimizer_tensors`, into an optimiser built over the same parameters.

    Devices may differ from those it was saved on. Moments are laid out in memory as their parameters are, channels
    last where these are: torch's fused optimisers refuse others, or misread them.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    # Rates and decays come from the recipe, not the file, so the optimiser's own groups are kept.
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, slot in optimizer.state.items():
        for key, value in slot.items():
            if value.shape == parameter.shape:
                slot[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def load_into(net: torch.nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load a state dict; :class:`CheckpointError` says how the file's net differs."""
    require_fit(net, tensors, where)
    net.load_state_dict(dict(tensors))


def require_fit(net: torch.nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise :class:`CheckpointError` unless the tensors have the names and shapes of the net's."""
    own = net.state_dict()
    missing = [k for k in own if k not in tensors]
    extra = [k for k in tensors if k not in own]
    shapes = [k for k in own if k in tensors and own[k].shape != tensors[k].shape]
    if missing or extra or shapes:
        first = (missing or extra or shapes)[0]
        kind = "lacks" if missing else "has the unknown" if extra else "has another shape of"
        raise CheckpointError(
            f"{where}: of another net: it {kind} {first!r} "
            f"({len(missing)} missing, {len(extra)} unknown, {len(shapes)} of other shape); use the recipe it came from"
        )
