"""The roofline of a training step: how fast each convolution can be, and how fast the parts of the step were.

    python benchmarks/training_roofline.py --out benchmarks/training_roofline.png

A kernel cannot be faster than the arithmetic units, nor than the memory delivers its numbers (Williams, Waterman and
Patterson, "Roofline", 2009). Intensities are those of ResNet-18 with 100 classes, squares of 64 pixels and numbers of
16 bits, if each map and each weight is read or written once; forward pass, gradient of inputs and gradient of weights
have the same. The measured times are those of training_speed.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from torch import Tensor, nn

from hanmo.nets.registry import NetConfig, build_net
from hanmo.train.plots import BRUSH, CINNABAR, INK

BATCH, CLASSES, SIDE = 2048, 100, 64
PEAK, MEMORY = 790.0, 4.3
"""Measured limits of an H200: TFLOP/s of a large product of bf16 matrices, and TB/s of a copy."""
CONVOLUTIONS, STEP = 11.1, 21.2
"""Measured milliseconds: convolutions of a step; the whole step, of which norms, ReLU and augmentation are the rest."""
NORMS_AT_MEMORY = 6.6
"""Measured milliseconds of the norms by kernels at the speed of the memory."""
BYTES = 2
PASSES = 3  # forward, gradient of inputs, gradient of weights


class Layer(NamedTuple):
    name: str
    tera: float
    """Floating-point operations of the three passes, in 10^12."""
    terabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("training_roofline.png"))
    out = parser.parse_args().out
    layers = convolutions()
    work, moved = sum(layer.tera for layer in layers), sum(layer.terabytes for layer in layers)
    least = sum(1000 * max(layer.tera / PEAK, layer.terabytes / MEMORY) for layer in layers)
    print(f"a step: {work:.2f} TFLOP in convolutions, {1e3 * work / BATCH:.2f} GFLOP an image")
    for name, milliseconds in {
        "convolutions, at the roof": least,
        "convolutions, measured": CONVOLUTIONS,
        "convolutions at the roof, norms at the speed of memory": least + NORMS_AT_MEMORY,
        "the step, measured": STEP,
    }.items():
        rate = 1000 * BATCH / milliseconds
        print(f"{name}: {milliseconds:.1f} ms, {1000 * work / milliseconds:.0f} TFLOP/s, {rate:,.0f} images/s")
    draw(layers, work / moved, work, out)


def convolutions() -> list[Layer]:
    """What the convolutions of a step do and move, by their inputs and outputs."""
    net = build_net(NetConfig(name="resnet18"), CLASSES, SIDE).eval()
    found: dict[str, Layer] = {}

    def note(name: str) -> Any:
        def hook(layer: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> None:
            macs = output[0].numel() * layer.weight[0].numel()
            numbers = BATCH * (inputs[0][0].numel() + output[0].numel()) + layer.weight.numel()
            found[name] = Layer(title(name, layer), PASSES * 2 * BATCH * macs / 1e12, PASSES * BYTES * numbers / 1e12)

        return hook

    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note(name))
    with torch.inference_mode():
        net(torch.zeros(1, 1, SIDE, SIDE))
    return list(found.values())


def title(name: str, layer: nn.Conv2d) -> str:
    """What layers of equal shapes have in common."""
    kind = ", shortcut" if "downsample" in name else ", stride 2" if layer.stride == (2, 2) else ""
    return name.split(".")[0] + kind


def draw(layers: list[Layer], intensity: float, work: float, out: Path) -> None:
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([1, PEAK / MEMORY, 30_000], [MEMORY, PEAK, PEAK], color=INK, lw=1.5)
    axes.annotate(f"memory: {MEMORY} TB/s", (22, 22 * MEMORY), (-8, 6), textcoords="offset points", ha="right")
    axes.annotate(f"arithmetic: {PEAK:.0f} TFLOP/s", (27_000, PEAK), (0, 6), textcoords="offset points", ha="right")
    for place, name in sorted({(round(layer.tera / layer.terabytes), layer.name) for layer in layers}):
        roof = min(PEAK, MEMORY * place)
        axes.plot(place, roof, "o", mfc="white", mec=BRUSH, ms=7)
        if roof == PEAK:
            axes.annotate(name, (place, roof), (0, 8), textcoords="offset points", rotation=45, fontsize=8)
        else:
            axes.annotate(name, (place, roof), (9, -4), textcoords="offset points", fontsize=8)
    for milliseconds, name in ((CONVOLUTIONS, "all convolutions"), (STEP, "the whole step")):
        rate = 1000 * work / milliseconds
        axes.plot(intensity, rate, "o", color=CINNABAR, ms=8)
        label = f"{name}, measured: {rate:.0f} TFLOP/s"
        axes.annotate(label, (intensity, rate), (9, -4), textcoords="offset points", color=CINNABAR)
    axes.set(xscale="log", yscale="log", xlim=(4, 30_000), ylim=(20, 2200))
    axes.set_xlabel("floating-point operations for each byte of memory")
    axes.set_ylabel("TFLOP/s")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.grid(visible=True, which="major", lw=0.4, alpha=0.5)
    figure.savefig(out, dpi=130)


if __name__ == "__main__":
    main()
