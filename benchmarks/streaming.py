"""Training on a pack that lies on the GPU and on one that is streamed from the disk: images a second, side by side.

    python benchmarks/streaming.py PACK --gigabytes 11 --work FOLDER

One ResNet-18 of 100 classes, compiled once, takes its steps from both in turn: an interval from the pack on the GPU, an
interval from the streamed one. Each line is the median of seven intervals after warm-up, and half their range. With
--gigabytes the streamed pack is PACK repeated into a file of that size in FOLDER, removed afterwards; its pages are
still in memory where there is room for them, as those of a pack that was just made.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hanmo.data.pack import Pack
from hanmo.nets.registry import NetConfig
from hanmo.train.batches import DeviceData
from hanmo.train.config import DataConfig, Recipe, TrainConfig
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.speed import wait_for

INTERVALS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack")
    parser.add_argument("--gigabytes", type=float, default=0, help="size of the streamed pack; that of PACK by default")
    parser.add_argument("--work", type=Path, help="folder for the large pack; one for temporary files by default")
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2, help="of an interval")
    parser.add_argument("--device", help="cpu or cuda; a GPU by default if there is one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        measure(args, Path(folder))


def measure(args: argparse.Namespace, folder: Path) -> None:
    """Print the table."""
    processes = Processes.join(args.device)
    recipe = Recipe(
        name="streaming",
        data=DataConfig(train=args.pack),
        net=NetConfig(name="resnet18", width=args.width),
        train=TrainConfig(batch=args.batch),
    )
    trainer = Trainer(recipe, folder, processes)
    pack = Pack.open(args.pack)
    large = repeated(pack, args.gigabytes, folder) if args.gigabytes else pack
    sources = {
        "on the GPU": batches(trainer.setup.data.train, args.batch, processes),  # type: ignore[arg-type]
        "streamed": batches(DeviceData(large, pack.charset, processes.device, stream=True), args.batch, processes),
    }

    def rate(name: str, count: int) -> float:
        wait_for(processes.device)
        start = time.perf_counter()
        for _ in range(count):
            trainer.advance(*next(sources[name]), 1e-3)
        wait_for(processes.device)
        seconds = time.perf_counter() - start
        return float(count * args.batch / seconds)

    for name in sources:
        rate(name, 5)
    count = max(2, round(args.seconds * rate("on the GPU", 5) / args.batch))
    rates: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(INTERVALS):
        for name in sources:
            rates[name].append(rate(name, count))
    for source in sources.values():
        source.close()  # type: ignore[attr-defined]
    machine = torch.cuda.get_device_name() if processes.device.type == "cuda" else "the CPU"
    sizes = {"on the GPU": pack.images.nbytes, "streamed": large.images.nbytes}
    before = statistics.median(rates["on the GPU"])
    print(
        f"Batch {args.batch}, {pack.normalization.side} px, width {args.width}, {machine}, torch {torch.__version__}.\n"
    )
    print("| pack | GB | images/s | ± | slower by % |\n|---|---|---|---|---|")
    for name, values in rates.items():
        median, spread = statistics.median(values), (max(values) - min(values)) / 2
        slower = 100 * (1 - median / before)
        print(f"| {name} | {sizes[name] / 1e9:.1f} | {median:,.0f} | {spread:,.0f} | {slower:.1f} |")


def batches(data: DeviceData, batch: int, processes: Processes) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of epoch after epoch."""
    for epoch in range(10_000):
        yield from data.epoch(epoch, batch, 0, processes)


def repeated(pack: Pack, gigabytes: float, folder: Path) -> Pack:
    """``pack`` with its samples repeated, in a file of so many GB in ``folder``."""
    times = max(1, round(gigabytes * 1e9 / pack.images.nbytes))
    path = folder / "images.u8"
    with path.open("wb") as file:
        for _ in range(times):
            pack.images.tofile(file)
    count = times * len(pack)
    images = np.memmap(path, np.uint8, "r", shape=(count, *pack.images.shape[1:]))
    return replace(pack, images=images, labels=np.tile(pack.labels, times))


if __name__ == "__main__":
    main()
