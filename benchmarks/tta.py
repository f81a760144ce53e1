"""Test-time augmentation and other input sizes: accuracy of the flagship with several views, and at other sides.

    python benchmarks/tta.py DATA [--run @flagship] [--limit 1500]

DATA holds hwdb100-test, radicals32-test and hcl-address (.gnt.xz). Top-1 in % of the fp32 net: one view; the mean of
the log-probabilities of three and of five (the square sheared and scaled a little); and one view at other sides. The
cost of a view is the cost of the net; that of a side grows with its square.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hanmo.data.read import read_samples
from hanmo.nets.ensemble import Ensemble
from hanmo.nets.tta import VIEWS
from hanmo.normalize import Normalization, standardise
from hanmo.train.augment import unchanged
from hanmo.train.run import load_trained

FILES = ("hwdb100-test", "radicals32-test", "hcl-address")
SIDES = (40, 48, 56, 64)


@torch.inference_mode()
def accuracy(net: nn.Module, squares: Tensor, labels: Tensor) -> float:
    hits = 0
    for pictures, classes in zip(torch.split(squares, 250), torch.split(labels, 250), strict=True):
        hits += int((net(standardise(unchanged(pictures))).argmax(1) == classes).sum())
    return 100 * hits / len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", default="@flagship")
    parser.add_argument("--limit", type=int, default=1_500, help="samples a file, evenly spread")
    args = parser.parse_args()
    trained = load_trained(args.run)
    net = trained.net
    print("| file | n | " + " | ".join([f"{n} view{'s' * (n > 1)}" for n in VIEWS] + [f"{s} px" for s in SIDES]) + " |")
    print("|---" * (2 + len(VIEWS) + len(SIDES)) + "|")
    for name in FILES:
        samples = [s for s in read_samples([args.data / f"{name}.gnt.xz"]) if s.label in trained.charset]
        samples = [samples[i] for i in np.linspace(0, len(samples) - 1, min(args.limit, len(samples))).astype(int)]
        labels = torch.from_numpy(trained.charset.encode([s.label for s in samples]))

        def squares(normalization: Normalization, samples: list = samples) -> Tensor:  # type: ignore[type-arg]
            return torch.from_numpy(np.stack([normalization(s.image) for s in samples]))

        own = squares(trained.normalization)
        cells = [accuracy(Ensemble([net], views=views), own, labels) for views in VIEWS]
        cells += [accuracy(net, squares(replace(trained.normalization, side=side)), labels) for side in SIDES]
        print(f"| {name} | {len(samples):,} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
