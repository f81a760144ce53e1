"""The run folder: the files that a training writes.

recipe.toml          the recipe with all changes by --set
environment.json     versions, device, digests of the data
metrics.jsonl        one JSON object a line: {"kind": "train" | "eval" | "end", "step": ...}
checkpoints/         the last two, for --resume
weights.safetensors  the (averaged) weights; the header names the net, its characters and its normalisation
plots/               loss, accuracy and learning rate as PNG

With --seeds there is one such folder for each seed, ``seed-0`` and so on, beside ``seeds.json`` with all seeds.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hanmo import __version__
from hanmo.atomic import storing, write_whole
from hanmo.builtin import run_path, with_current_names
from hanmo.charset import Charset
from hanmo.config import dump_toml, from_table, load_toml, to_table
from hanmo.errors import CheckpointError, DivergedError, RunError
from hanmo.files import exists, is_folder
from hanmo.nets.registry import NetConfig, build_net, build_shapes
from hanmo.normalize import Normalization
from hanmo.train.batches import DataInfo
from hanmo.train.checkpoint import load_into, require_fit, save_tensors
from hanmo.train.config import Recipe
from hanmo.train.shards import first_shard, load_weights

WEIGHTS, RECIPE, SEEDS = "weights.safetensors", "recipe.toml", "seeds.json"


@dataclass(frozen=True, kw_only=True)
class TrainedNet:
    """A net with its weights, the characters it knows and the normalisation of the squares it reads."""

    net: nn.Module
    config: NetConfig
    charset: Charset
    normalization: Normalization
    trained_on: tuple[str, ...]
    accuracy: dict[str, float]
    groups: dict[str, str] = field(default_factory=dict)
    """The characters of each class that stands for several, its own character first."""


class RunFolder:
    """Creates, resumes and reads a run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / RECIPE
        self.checkpoints = path / "checkpoints"
        self.metrics = path / "metrics.jsonl"
        self.weights = path / WEIGHTS

    def check(self, recipe: Recipe, *, resume: bool) -> None:
        """Raise :class:`RunError` when the folder holds a run that may not be resumed, or one of another recipe."""
        if not self.recipe.exists():
            return
        if not resume:
            raise RunError(f"{self.path}: already holds a run; continue it with --resume or choose another --out")
        before = load_toml(self.recipe, Recipe)
        if before != recipe and with_current_names(dump_toml(before)) != with_current_names(dump_toml(recipe)):
            raise RunError(f"{self.path}: holds another recipe ({_difference(before, recipe)}); take a new name")

    def start(self, recipe: Recipe, *, resume: bool) -> None:
        """Make the folder for ``recipe``, or check that an existing folder belongs to it."""
        self.check(recipe, resume=resume)
        if not self.recipe.exists():
            write_whole(self.recipe, dump_toml(recipe).encode())

    def describe(self, device: torch.device, packs: dict[str, DataInfo]) -> None:
        """Record versions and digests of the data; :class:`RunError` when the run was begun on other data."""
        # The recipe names packs by their paths; the digests tell whether the contents are still the same.
        data = {role: {"digest": p.digest, "samples": len(p)} for role, p in packs.items()}
        recorded = self.path / "environment.json"
        if recorded.exists() and _read_json(recorded).get("data") != data:
            raise RunError(f"{self.path}: was begun on other data (its packs have changed since); take a new --out")
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
        """Append a record to ``metrics.jsonl``; raises :class:`StorageError`."""
        with storing(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """All records that were logged; raises :class:`CheckpointError` when the file is damaged."""
        if not self.metrics.exists():
            return []
        try:
            # keepends tells a whole last line from one that was cut off.
            lines = self.metrics.read_text(encoding="utf-8").splitlines(keepends=True)
            # A last line without its end was cut off when the program was killed.
            records = [json.loads(line) for line in lines if line.endswith("\n")]
        except (ValueError, RecursionError) as error:  # lists in lists without end are too deep for json
            raise CheckpointError(f"{self.metrics}: damaged ({error}); remove it to go on without it") from error
        for number, record in enumerate(records, 1):
            if not (isinstance(record, dict) and "kind" in record and isinstance(record.get("step"), int)):
                raise CheckpointError(
                    f"{self.metrics}: line {number} is no record; remove the file to go on without it"
                )
        return records

    def final_record(self) -> dict[str, Any] | None:
        """The ``end`` record of a finished run; None while the run is unfinished."""
        records = self.records()
        # Weights are written before the last record; both must be there for the run to be finished.
        return records[-1] if records and records[-1]["kind"] == "end" and self.weights.exists() else None

    def rewind(self, step: int) -> None:
        """Drop the records after ``step``, and evaluations at ``step`` itself: all of these will be logged again."""
        # The evaluation of an epoch is made at the start of the next one, so the resumed run repeats it.
        kept = [r for r in self.records() if r["step"] < step or (r["step"] == step and r["kind"] == "train")]
        write_whole(self.metrics, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in kept).encode())

    def save_weights(
        self,
        tensors: dict[str, Tensor],
        recipe: Recipe,
        info: DataInfo,
        sources: Sequence[str],
        accuracy: dict[str, float],
    ) -> None:
        """Write ``weights.safetensors``; raises :class:`StorageError`."""
        write_weights(
            self.weights,
            tensors,
            config=recipe.net,
            charset=info.charset,
            groups=info.members,
            normalization=info.normalization,
            trained_on=sources,
            accuracy=accuracy,
        )


def write_weights(
    file: Path,
    tensors: Mapping[str, Tensor],
    *,
    config: NetConfig,
    charset: Charset,
    groups: Mapping[str, str],
    normalization: Normalization,
    trained_on: Sequence[str],
    accuracy: Mapping[str, float],
) -> None:
    """Write a weights file that :func:`load_trained` reads.

    Raises :class:`DivergedError` for weights that are not finite, :class:`StorageError`.
    """
    if strange := [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]:
        raise DivergedError(
            f"{file}: not written: {strange[0]!r} holds NaN or infinity; lower optim.learning_rate and train anew"
        )
    header = {
        "net": to_table(config),
        # A reader needs these two beside the net: which character a class is, and how its squares are made.
        "charset": str(charset),
        "groups": dict(groups),
        "normalization": normalization.as_dict(),
        "trained_on": list(trained_on),
        "accuracy": dict(accuracy),
    }
    save_tensors(file, tensors, header)


def note_seeds(folder: Path, seeds: Iterable[int]) -> None:
    """Note in ``folder/seeds.json`` which seeds are trained below it, so that resuming needs only the folder."""
    # Seeds noted before stay, so that a second call can add some.
    every = list(dict.fromkeys((*planned_seeds(folder), *seeds)))
    write_whole(folder / SEEDS, (json.dumps({"seeds": every}) + "\n").encode())


def planned_seeds(folder: Path) -> list[int]:
    """The seeds that :func:`note_seeds` noted, begun or not; none for a folder of an earlier version."""
    file = folder / SEEDS
    if not file.exists():
        return []
    seeds = _read_json(file).get("seeds")
    if not (isinstance(seeds, list) and all(isinstance(seed, int) for seed in seeds)):
        raise CheckpointError(f"{file}: damaged (no list of seeds); remove it to go on without it")
    return seeds


def begun_seeds(folder: Path) -> list[int]:
    """The seeds of the runs ``folder/seed-N``, in order of their numbers."""
    # Only folders with a recipe: those have begun.
    names = [file.parent.name.removeprefix("seed-") for file in folder.glob(f"seed-*/{RECIPE}")]
    return sorted(int(name) for name in names if name.isdecimal())


def weights_of(run: str | Path) -> Path:
    """The weights file of a run folder or of ``@NAME``; for a folder of shards the first of them.

    A weights file may be named as well. Raises :class:`CheckpointError` that says why there are no weights.
    """
    run = run_path(run)
    # Tried in this order: weights, shards, then the reason why there are none.
    file = run / WEIGHTS if is_folder(run) else run
    if not exists(run):
        raise CheckpointError(f"{file}: no such file; name the folder of a finished run")
    if exists(file):
        return file
    if shard := first_shard(run):
        return shard
    if exists(run / RECIPE):
        raise CheckpointError(f"{file}: no such file, the run is not finished; go on with it by --resume")
    if seeds := sorted(run.glob(f"*/{WEIGHTS}")):
        raise CheckpointError(f"{file}: no such file, but there are runs inside; name one, as {seeds[0].parent}")
    raise CheckpointError(f"{file}: no such file; name the folder of a finished run")


def load_trained(path: str | Path) -> TrainedNet:
    """The net of a run folder (or of its weights file), in eval mode on the CPU; raises :class:`CheckpointError`."""
    file = weights_of(path)
    tensors, header = load_weights(file)
    try:
        # The header alone says how to build the net, so weights can be moved without their recipe.
        config = from_table(header["net"], NetConfig, where=str(file))
        charset = Charset(header["charset"])
        normalization = Normalization.from_dict(header["normalization"], where=str(file))
        trained_on, accuracy = tuple(header["trained_on"]), dict(header["accuracy"])
        groups = dict(header.get("groups", {}))  # runs of before have none
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file}: not the weights of a finished run ({error!r})") from error
    # Shapes alone first: a header that does not fit its tensors could ask for any amount of memory.
    require_fit(build_shapes(config, len(charset), normalization.side), tensors, str(file))
    net = build_net(config, len(charset), normalization.side)
    load_into(net, tensors, str(file))
    return TrainedNet(
        net=net.eval(),
        config=config,
        charset=charset,
        normalization=normalization,
        trained_on=trained_on,
        accuracy=accuracy,
        groups=groups,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged ({error}); remove it to go on without it") from error
    if not isinstance(table, dict):
        raise CheckpointError(f"{path}: damaged (no JSON object); remove it to go on without it")
    return table


def _difference(before: Recipe, now: Recipe) -> str:
    """The first key, in the order of the alphabet, whose value has changed, with both values."""

    def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        for key, value in table.items():
            pairs |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        return pairs

    old, new = flat(to_table(before)), flat(to_table(now))
    # .get: a key may be in one of the two only (an option that is unset is left out of the table).
    key = next(k for k in sorted(old.keys() | new.keys()) if old.get(k) != new.get(k))
    return f"{key} was {old.get(key)!r}, now {new.get(key)!r}"
