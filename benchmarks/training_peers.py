"""The same training by hanmo, plain PyTorch with torchvision, and timm: images a second side by side.

    pip install timm torchvision
    python benchmarks/training_peers.py PACK --out benchmarks/training_peers.md

All train hanmo's ResNet-18 on the pack in bf16, channels-last, with AdamW and averaged weights, at the same batch
size, and distort every picture anew: hanmo on the GPU, the others in worker processes, one a core, as their users do.
timm is run by the functions of its train script with that script's usual augmentation (random crops, RandAugment,
erasing). timm reads the first pictures of the pack, four batches of them, from files. Each line is the median of five
intervals after warm-up, and half their range.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from hanmo.data.pack import Pack
from hanmo.nets.registry import NetConfig, build_net
from hanmo.train.config import DataConfig, Recipe, TrainConfig
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes, channels_last
from hanmo.train.speed import wait_for

INTERVALS = 5
TOOLS = ["hanmo", "PyTorch and torchvision", "PyTorch and torchvision, compiled", "timm"]
NET = NetConfig(name="resnet18")


def main() -> None:
    options = _options()
    device = Processes.join(None).device
    pack = Pack.open(options.pack)
    steps: list[Callable[[], Iterator[None]]] = [
        lambda: hanmo_steps(options.pack, options.batch),
        lambda: torch_steps(pack, options, device, compiled=False),
        lambda: torch_steps(pack, options, device, compiled=True),
        lambda: timm_steps(pack, options, device),
    ]
    ways = dict(zip(TOOLS, steps, strict=True))
    name = torch.cuda.get_device_name() if device.type == "cuda" else "the CPU"
    lines = [
        "# Training beside other tools",
        "",
        f"`python benchmarks/training_peers.py PACK --batch {options.batch}` on {name} and {options.workers} cores, "
        f"torch {torch.__version__}.",
        "",
        "| tool | images/s | ± | hanmo is faster by |",
        "|---|---|---|---|",
    ]
    ours = 0.0
    for way in [way for way in ways if way in (options.only or ways)]:
        rate, spread = measure(ways[way](), options.batch, options.seconds, device)
        if way == "hanmo":
            ours = rate
        lines.append(f"| {way} | {rate:,.0f} | {spread:,.0f} | {f'{ours / rate:.1f}' if ours else '-'} |")
        print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--seconds", type=float, default=2, help="of each of the five intervals")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--only", nargs="+", choices=TOOLS, help="some of the tools")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def measure(steps: Iterator[None], batch: int, seconds: float, device: torch.device) -> tuple[float, float]:
    """Images a second of ``steps``, each of which trains on one batch: the median, and half the range."""
    for _ in range(5):  # compiling, and the start of the workers
        next(steps)
    rates = []
    for _ in range(INTERVALS):
        wait_for(device)
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            next(steps)
            count += 1
            if count % 4 == 0:
                wait_for(device)
        wait_for(device)
        rates.append(count * batch / (time.perf_counter() - start))
    return statistics.median(rates), (max(rates) - min(rates)) / 2


def hanmo_steps(pack: Path, batch: int) -> Iterator[None]:
    processes = Processes.join(None)
    train = TrainConfig(epochs=10_000, batch=batch)
    recipe = Recipe(name="speed", data=DataConfig(train=str(pack)), net=NET, train=train)
    trainer = Trainer(recipe, Path(), processes)  # writes nothing, because it is not run
    for epoch in range(train.epochs):
        for squares, labels in trainer.setup.data.train.epoch(epoch, batch, 0, processes):
            trainer.advance(squares, labels, 1e-3)
            yield


class TransformedPictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Pictures of a pack, float32 (1, S, S), each distorted anew by torchvision's transforms."""

    def __init__(self, pack: Pack) -> None:
        from torchvision.transforms import v2  # type: ignore[import-not-found]

        self.pack = pack
        self.transform = v2.Compose(
            [
                v2.ToDtype(torch.float32, scale=True),
                v2.RandomAffine(10, (0.1, 0.1), (0.85, 1.15), 8),
                v2.RandomPerspective(0.15, p=1),
                v2.ElasticTransform(20.0),
                v2.GaussianBlur(5, (0.1, 1.0)),
                v2.RandomErasing(0.5, (0.02, 0.1)),
            ]
        )

    def __len__(self) -> int:
        return len(self.pack)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        square = torch.from_numpy(self.pack.images[number].copy())[None]
        return self.transform(square), int(self.pack.labels[number])


def torch_steps(pack: Pack, options: argparse.Namespace, device: torch.device, *, compiled: bool) -> Iterator[None]:
    loader = torch.utils.data.DataLoader(
        TransformedPictures(pack), options.batch, shuffle=True, drop_last=True, num_workers=options.workers,
        pin_memory=device.type == "cuda", persistent_workers=options.workers > 0,
    )  # fmt: skip
    return _steps(loader, len(pack.charset), device, compiled=compiled)


def timm_steps(pack: Pack, options: argparse.Namespace, device: torch.device) -> Iterator[None]:
    from timm.data import create_dataset, create_loader  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as folder:
        _write_pictures(pack, Path(folder), 4 * options.batch)
        side = pack.images.shape[1]
        loader = create_loader(
            create_dataset("", folder, is_training=True, input_img_mode="L"),
            (1, side, side), options.batch, is_training=True, use_prefetcher=device.type == "cuda",
            mean=(0.5,), std=(0.5,), auto_augment="rand-m9-mstd0.5", re_prob=0.25, num_workers=options.workers,
            pin_memory=device.type == "cuda", persistent_workers=options.workers > 0, device=device,
        )  # fmt: skip
        yield from _steps(loader, len(pack.charset), device, compiled=False)


def _write_pictures(pack: Pack, folder: Path, count: int) -> None:
    """Pictures as timm's train script reads them: a folder a class."""
    for number in range(min(count, len(pack))):
        place = folder / f"{pack.labels[number]:05d}"
        place.mkdir(exist_ok=True)
        Image.fromarray(pack.images[number]).save(place / f"{number}.png")


def _steps(loader: Any, classes: int, device: torch.device, *, compiled: bool) -> Iterator[None]:
    """Training steps as in PyTorch's tutorials."""
    net = channels_last(build_net(NET, classes, 64), device)
    mean = torch.optim.swa_utils.get_ema_multi_avg_fn(0.999)  # type: ignore[no-untyped-call]
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=mean)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=device.type == "cuda")
    forward = torch.compile(net) if compiled else net
    while True:
        for pictures, labels in loader:
            x = pictures.to(device, non_blocking=True).to(memory_format=torch.channels_last)
            y = labels.to(device, non_blocking=True)
            with torch.autocast(device.type, torch.bfloat16):
                loss = nn.functional.cross_entropy(forward(x), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            average.update_parameters(net)
            yield


if __name__ == "__main__":
    main()
