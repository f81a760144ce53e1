"""Training images a second, by batch size and compile mode, and where the time goes.

    python benchmarks/training_speed.py PACK --out benchmarks/training_speed.md

Each line times whole training steps (augmentation, forward, backward, clipping, AdamW, averaged weights) of ResNet-18
with as many classes as the pack has, after warm-up: the median of five intervals, and their spread. Compiling is not
counted. Under torchrun a batch is that of all processes together, and so is the rate:

    torchrun --nproc-per-node 2 benchmarks/training_speed.py PACK --batches 4096
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import torch

from hanmo.nets.registry import NetConfig
from hanmo.train.config import DataConfig, Recipe, TrainConfig
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.speed import wait_for

PROFILED = 10
KINDS = {
    "fprop": "convolution, forward",
    "dgrad": "convolution, gradient of inputs",
    "wgrad": "convolution, gradient of weights",
    "convolve": "convolution, other",
    "cudnn": "convolution, other",
    "triton_red": "norm statistics and other reductions",
    "triton_per": "norm statistics and other reductions",
    "triton_poi": "pointwise: norms, ReLU, augmentation",
    "multi_tensor_apply": "optimiser, clipping, averaged weights",
    "distribution": "random numbers",
    "Memcpy": "copies",
}
"""Part of a kernel's name -> what it does; the first that fits counts."""


def measure(
    pack: str, net: NetConfig, batch: int, mode: str, seconds: float, profile: bool, processes: Processes
) -> tuple[float, float, Counter[str]]:
    torch._dynamo.reset()
    recipe = Recipe(
        name="speed",
        data=DataConfig(train=pack),
        net=net,
        train=TrainConfig(epochs=10_000, batch=batch, compile=mode),  # type: ignore[arg-type]
    )
    trainer = Trainer(recipe, Path(), processes)  # writes nothing into its folder, because it is not run
    batches = (b for epoch in range(10_000) for b in trainer.setup.data.train.epoch(epoch, batch, 0, processes))

    def steps(count: int) -> float:
        wait_for(processes.device)
        start = time.perf_counter()
        for _ in range(count):
            trainer.advance(*next(batches), 1e-3)
        wait_for(processes.device)
        return time.perf_counter() - start

    steps(5)
    # The mean of all processes: each waits for the gradients of the others, so all must make as many steps.
    step = torch.tensor(steps(5) / 5, device=processes.device)
    processes.average_([step])
    count = max(2, int(seconds / 5 / float(step)))
    rates = [count * batch / steps(count) for _ in range(5)]
    kernels: Counter[str] = Counter()
    if profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            steps(PROFILED)
        for event in profiler.key_averages():
            kernels[kind(event.key)] += event.self_device_time_total / 1000 / PROFILED
    return statistics.median(rates), (max(rates) - min(rates)) / 2, kernels


def kind(kernel: str) -> str:
    """What a kernel of a compiled step does, by its name."""
    for part, name in KINDS.items():
        if part in kernel:
            return name
    return "other"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack")
    parser.add_argument("--batches", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--modes", nargs="+", default=["yes"])
    parser.add_argument(
        "--nets", nargs="+", default=["resnet18"], help="NAME or NAME:ATTENTION or NAME:ATTENTION:WIDTH"
    )
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--profile", action="store_true", help="also profile the last configuration")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    options = [o for o in sys.argv[1:] if o != args.pack and not (args.out and o in ("--out", str(args.out)))]
    processes = Processes.join()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    lines = [
        "# Training speed",
        "",
        f"`python benchmarks/training_speed.py PACK {' '.join(options)}` on {processes.world} x {device}, "
        f"torch {torch.__version__}.",
        "",
        "| net | batch | compile | images/s | ± |",
        "|---|---|---|---|---|",
    ]
    configurations = [(n, b, m) for n in args.nets for m in args.modes for b in args.batches]
    kernels: Counter[str] = Counter()
    for name, batch, mode in configurations:
        net, attention, width = f"{name}::".split(":")[:3]
        config = NetConfig(name=net, attention=attention or "none", width=int(width or 64))
        last = (name, batch, mode) == configurations[-1]
        rate, spread, kernels = measure(args.pack, config, batch, mode, args.seconds, args.profile and last, processes)
        lines.append(f"| {config} | {batch} | {mode} | {rate:,.0f} | {spread:,.0f} |")
        if processes.is_first:
            print(lines[-1], flush=True)
    if not processes.is_first:
        return
    if kernels:
        lines += [
            "",
            f"Where a step of the last line goes (batch {batch}):",
            "",
            "| kernels | ms | % |",
            "|---|---|---|",
        ]
        total = kernels.total()
        lines += [f"| {name} | {ms:.2f} | {100 * ms / total:.0f} |" for name, ms in kernels.most_common() if ms > 0]
        print("\n".join(lines[-len(kernels) - 2 :]))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
