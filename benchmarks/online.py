"""Path-signature planes beside the picture alone, on pen strokes of 100 characters: row 18 of docs/cited.md, online.

    python benchmarks/online.py                                                       # six trainings, for a GPU
    python benchmarks/online.py --writers 8 --test-writers 4 --epochs 4 --seeds 0     # a CPU: a try
    python benchmarks/online.py --train casia/Pot1.1Train*.zip --test casia/Pot1.1Test.zip

The writer model draws the strokes: every writer writes the 100 characters of hwdb100 once, and no writer is in both
parts. With --train and --test the strokes are those of .pot files. Each row is the same ResNet-18, a quarter as wide,
trained without augmentation on the planes of :mod:`hanmo.data.signature` up to a level; level 0 is the picture alone.
Prints a record a line, then the table in Markdown. Nothing is read but the package, unless files are named.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hanmo.charset import Charset
from hanmo.config import load_toml
from hanmo.data.pot import Strokes, read_pot
from hanmo.data.sample import OnlineSample
from hanmo.data.signature import plane_count, signature_planes
from hanmo.errors import DataError
from hanmo.evaluate.metrics import topk_accuracy
from hanmo.nets.registry import NetConfig, build_net, count_parameters
from hanmo.synth.online import draw_online
from hanmo.synth.recipe import SynthRecipe
from hanmo.train.batches import shuffled
from hanmo.train.config import OptimConfig, Recipe
from hanmo.train.optim import AveragedWeights, build_optimizer, learning_rate
from hanmo.train.parallel import Processes, channels_last

DRAWN, RECIPE = "@synth-hwdb100-strokes", "@student"
SIDE, WIDTH = 64, 16  # pixels; channels of the first stage, a quarter of a ResNet-18's
TITLES = {
    0: "the picture alone (level 0)",
    1: "with the direction (level 1)",
    2: "with the direction and its change (levels 1 and 2)",
    3: "with levels 1 to 3",
}
FULL = 127  # planes are kept as int8, 1 as 127: a quarter of the memory, and finer than the strokes are


class Part:
    """Samples of one part as planes, int8 (N, C, S, S), with classes, int64 (N,), on a device."""

    def __init__(self, planes: NDArray[np.int8], classes: NDArray[np.int64], device: torch.device) -> None:
        self.planes, self.classes = torch.from_numpy(planes).to(device), torch.from_numpy(classes).to(device)

    def inputs(self, indices: Tensor, level: int) -> Tensor:
        """The planes up to a level, float (n, c, S, S)."""
        return self.planes[indices, : plane_count(level)].float() / FULL


def drawn(writers: int, test_writers: int) -> tuple[list[OnlineSample], list[OnlineSample]]:
    """The strokes of the first writers, to train with, and of the others."""
    recipe = replace(load_toml(DRAWN, SynthRecipe), per_character=writers + test_writers)
    cut = writers * len(recipe.charset())
    return list(draw_online(recipe, 0, cut)), list(draw_online(recipe, cut))


def from_files(train: Sequence[Path], test: Sequence[Path], charset: Charset) -> list[list[OnlineSample]]:
    """The strokes of .pot files, of characters of ``charset``. Raises :class:`DataError` for writers in both parts."""
    parts = [[s for path in paths for s in read_pot(path) if s.label in charset] for paths in (train, test)]
    writers = [{sample.writer for sample in part} - {""} for part in parts]
    if both := writers[0] & writers[1]:
        raise DataError(
            f"writers are in both parts, such as {min(both)} ({len(both)} in all); name files of other writers"
        )
    return parts


def planes_of(samples: Sequence[OnlineSample], level: int, window: int, workers: int) -> NDArray[np.int8]:
    """The planes of samples, int8 (N, C, S, S), computed by several processes."""
    planes = np.empty((len(samples), plane_count(level), SIDE, SIDE), np.int8)
    strokes = [sample.strokes for sample in samples]
    compute = partial(_planes, level=level, window=window)
    if workers == 1:
        for number, one in enumerate(map(compute, strokes)):
            planes[number] = one
        return planes
    # Not forked: a copy of a process that has used a GPU may not go on.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for number, one in enumerate(pool.map(compute, strokes, chunksize=128)):
            planes[number] = one
    return planes


def _planes(strokes: Strokes, level: int, window: int) -> NDArray[np.int8]:
    return np.rint(signature_planes(strokes, SIDE, level=level, window=window) * FULL).astype(np.int8)


def build(inputs: int, classes: int) -> nn.Module:
    """The net, with a first convolution of ``inputs`` planes; it starts as :class:`hanmo.nets.resnet.ResNet` starts."""
    net = build_net(NetConfig(name="resnet18", width=WIDTH), classes, SIDE)
    net.conv1 = nn.Conv2d(inputs, WIDTH, 3, 2, 1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    return net


def train(part: Part, level: int, classes: int, seed: int, epochs: int, batch: int, processes: Processes) -> nn.Module:
    """A net trained on the planes up to a level, with its averaged weights."""
    optim: OptimConfig = load_toml(RECIPE, Recipe).optim
    torch.manual_seed(seed)
    net = channels_last(build(plane_count(level), classes), processes.device)
    optimizer, average = build_optimizer([net], optim), AveragedWeights(net, optim.ema)
    batch = min(batch, len(part.classes))
    steps, step = epochs * (len(part.classes) // batch), 0
    for epoch in range(epochs):
        for indices in shuffled(len(part.classes), epoch, batch, seed, processes, device=processes.device):
            optimizer.zero_grad(set_to_none=True)
            logits = answer(net, part.inputs(indices, level))
            F.cross_entropy(logits, part.classes[indices], label_smoothing=optim.label_smoothing).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), optim.clip)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(optim, step, steps)
            optimizer.step()
            average.update(step)
            step += 1
    net.load_state_dict(average.state_dict(net))
    return net


def answer(net: nn.Module, inputs: Tensor) -> Tensor:
    """The logits, float (n, classes), computed in bf16 on a GPU."""
    x = inputs.to(memory_format=torch.channels_last)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=x.is_cuda):
        return net(x).float()  # type: ignore[no-any-return]


@torch.no_grad()
def measured(net: nn.Module, part: Part, level: int) -> float:
    """Top-1 in per cent."""
    net.eval()
    numbers = torch.arange(len(part.classes), device=part.classes.device)
    logits = torch.cat([answer(net, part.inputs(some, level)) for some in torch.split(numbers, 1024)])
    return topk_accuracy(logits.cpu().numpy(), part.classes.cpu().numpy(), (1,))[1]


def table(records: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: a line a level, the mean and the standard deviation over seeds, and the gain over the first level."""
    lines = ["| planes | number | seeds | top-1 % | gain |", "|---|---|---|---|---|"]
    first: float | None = None
    for level in dict.fromkeys(record["level"] for record in records):
        found = [record["top1"] for record in records if record["level"] == level]
        mean = statistics.mean(found)
        spread = f" ± {statistics.stdev(found):.2f}" if len(found) > 1 else ""
        gain = "" if first is None else f"{mean - first:+.2f}"
        first = mean if first is None else first
        lines.append(f"| {TITLES[level]} | {plane_count(level)} | {len(found)} | {mean:.2f}{spread} | {gain} |")
    return lines


def machine(device: torch.device) -> str:
    """What the figures were measured on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()})"
    return f"{name}, torch {torch.__version__}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=240, help="drawn writers to train with")
    parser.add_argument("--test-writers", type=int, default=60)
    parser.add_argument("--train", type=Path, nargs="+", metavar="FILE", help=".pot files or zip archives of them")
    parser.add_argument("--test", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--levels", type=int, nargs="+", choices=list(TITLES), default=[0, 2])
    parser.add_argument("--window", type=int, default=4, help="points of the path on either side, about a pixel apart")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--device", help="cpu, cuda or cuda:N; a GPU where there is one")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 16), help="processes that make planes")
    args = parser.parse_args(arguments)
    if bool(args.train) != bool(args.test):
        parser.error("--train and --test need each other")
    torch.backends.cudnn.benchmark = True  # shapes hardly change, so a search for the fastest convolutions pays
    begun = time.perf_counter()
    processes = Processes.join(args.device)
    charset = load_toml(DRAWN, SynthRecipe).charset()
    files = from_files(args.train, args.test, charset) if args.train else None
    parts = []
    for samples in files or drawn(args.writers, args.test_writers):
        planes = planes_of(samples, max(args.levels), args.window, args.workers)
        parts.append(Part(planes, charset.encode([sample.label for sample in samples]), processes.device))
    made = time.perf_counter()
    records = []
    for level in args.levels:
        for seed in args.seeds:
            net = train(parts[0], level, len(charset), seed, args.epochs, args.batch, processes)
            records.append({"level": level, "seed": seed, "top1": round(measured(net, parts[1], level), 3)})
            print(json.dumps(records[-1] | {"parameters": count_parameters(net)}), flush=True)
    end = time.perf_counter()
    print("\n".join(["", *table(records), ""]))
    counts = [f"{len(part.classes):,}" for part in parts]
    print(f"{counts[0]} samples to train with, {counts[1]} to test; {machine(processes.device)}")
    print(f"{made - begun:.0f} s for strokes and planes, {end - made:.0f} s for {len(records)} trainings")
    print("python " + shlex.join(sys.argv if arguments is None else ["benchmarks/online.py", *arguments]))


if __name__ == "__main__":
    main()
