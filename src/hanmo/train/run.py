"""The run folder: everything one training leaves behind.

recipe.toml          the configuration as run
environment.json     versions, device, digests of the data
metrics.jsonl        one JSON object a line: {"kind": "train" | "eval" | "end", "step": ...}
checkpoints/         the last two, for --resume
weights.safetensors  the (averaged) weights, with what the net is and reads in the header
plots/               loss, accuracy and learning rate as PNG
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hanmo import __version__
from hanmo.atomic import storing, write_whole
from hanmo.charset import Charset
from hanmo.config import dump_toml, from_table, load_toml, to_table
from hanmo.data.pack import Pack
from hanmo.errors import CheckpointError, ConfigError
from hanmo.nets.registry import NetConfig, build_net
from hanmo.normalize import Normalization
from hanmo.train.checkpoint import load_into, load_tensors, save_tensors
from hanmo.train.config import Recipe

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, kw_only=True)
class TrainedNet:
    """A net with its weights and what it reads."""

    net: nn.Module
    config: NetConfig
    charset: Charset
    normalization: Normalization
    trained_on: tuple[str, ...]
    accuracy: dict[str, float]


class RunFolder:
    """Creates, continues and reads a run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.metrics = path / "metrics.jsonl"
        self.weights = path / WEIGHTS

    def start(self, recipe: Recipe, *, resume: bool) -> None:
        """Make the folder for ``recipe``, or check that the one there belongs to it."""
        recorded = self.path / "recipe.toml"
        if resume and recorded.exists():
            before = load_toml(recorded, Recipe)
            if before != recipe:
                raise ConfigError(f"{self.path}: holds another recipe ({_difference(before, recipe)}); take a new name")
            return
        if recorded.exists():
            raise ConfigError(f"{self.path}: already holds a run; continue it with --resume or choose another --out")
        write_whole(recorded, dump_toml(recipe).encode())

    def describe(self, device: torch.device, packs: dict[str, Pack]) -> None:
        """Record versions and data digests; :class:`ConfigError` when the run was begun on other data."""
        data = {role: {"digest": p.digest, "samples": len(p)} for role, p in packs.items()}
        recorded = self.path / "environment.json"
        if recorded.exists() and json.loads(recorded.read_text(encoding="utf-8"))["data"] != data:
            raise ConfigError(f"{self.path}: was begun on other data (its packs have changed since); take a new --out")
        environment = {
            "hanmo": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})",
            "data": data,
        }
        text = json.dumps(environment, indent=2, ensure_ascii=False) + "\n"
        write_whole(recorded, text.encode())

    def log(self, record: dict[str, Any]) -> None:
        with storing(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def records(self) -> list[dict[str, Any]]:
        if not self.metrics.exists():
            return []
        lines = self.metrics.read_text(encoding="utf-8").splitlines(keepends=True)
        try:  # a last line without its end was cut off when the program was killed
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except json.JSONDecodeError as error:
            raise CheckpointError(f"{self.metrics}: damaged ({error}); remove it to go on without it") from error

    def final_record(self) -> dict[str, Any] | None:
        """The ``end`` record of a finished run, None while there is something left to train."""
        records = self.records()
        return records[-1] if records and records[-1]["kind"] == "end" and self.weights.exists() else None

    def rewind(self, step: int) -> None:
        """Forget what was logged after ``step`` and how the net stood at it: both will be logged again."""
        kept = [r for r in self.records() if r["step"] < step or (r["step"] == step and r["kind"] == "train")]
        write_whole(self.metrics, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in kept).encode())

    def save_weights(self, tensors: dict[str, Tensor], recipe: Recipe, pack: Pack, accuracy: dict[str, float]) -> None:
        header = {
            "net": to_table(recipe.net),
            "charset": str(pack.charset),
            "normalization": pack.normalization.as_dict(),
            "trained_on": list(pack.sources),
            "accuracy": accuracy,
        }
        save_tensors(self.weights, tensors, header)


def load_trained(path: str | Path) -> TrainedNet:
    """The net of a run folder (or of its weights file), in eval mode on the CPU; raises :class:`CheckpointError`."""
    path = Path(path)
    file = path / WEIGHTS if path.is_dir() else path
    tensors, header = load_tensors(file)
    try:
        config = from_table(header["net"], NetConfig, where=str(file))
        charset = Charset(header["charset"])
        normalization = Normalization.from_dict(header["normalization"], where=str(file))
        trained_on, accuracy = tuple(header["trained_on"]), dict(header["accuracy"])
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file}: not the weights of a finished run ({error!r})") from error
    net = build_net(config, len(charset), normalization.side)
    load_into(net, tensors, str(file))
    return TrainedNet(
        net=net.eval(),
        config=config,
        charset=charset,
        normalization=normalization,
        trained_on=trained_on,
        accuracy=accuracy,
    )


def _difference(before: Recipe, now: Recipe) -> str:
    def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        for key, value in table.items():
            pairs |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        return pairs

    old, new = flat(to_table(before)), flat(to_table(now))
    key = next(k for k in sorted(old.keys() | new.keys()) if old.get(k) != new.get(k))
    return f"{key} was {old.get(key)!r}, now {new.get(key)!r}"
