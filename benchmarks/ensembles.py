"""Accuracy of ensembles of trained nets and of test-time augmentation: how much of the error is variance?

    python benchmarks/ensembles.py runs/a runs/b --test packs/test [packs/test-b ...] --views 16 [--fixed]

Each run is measured on the pack of its own normalisation; all packs hold the same samples in the same order. Prints
top-1 of every net, of the mean of their log-probabilities, and of both with the mean over lightly changed copies of
each picture (with --fixed over the 1, 3 or 5 views that teachers use); then how many of the joint errors
are shared by all nets, and how many get the same wrong answer from all.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from hanmo.nets.ensemble import Ensemble
from hanmo.normalize import VERSION, standardise
from hanmo.train.augment import apply, sample_augmentation, unchanged
from hanmo.train.batches import DeviceData
from hanmo.train.config import AugmentConfig
from hanmo.train.run import load_trained

LIGHT = AugmentConfig(
    rotate=5.0,
    shear=0.08,
    scale=0.08,
    translate=0.02,
    perspective=0.04,
    elastic=0.01,
    stroke=0.4,
    blur=0.3,
    contrast=0.2,
    noise=0.02,
)


@torch.no_grad()
def log_probabilities(net: nn.Module, data: DeviceData, views: int) -> Tensor:
    """(N, C), the mean over ``views`` changed copies of each picture; 0: the pictures as they are."""
    generator = torch.Generator(data.device).manual_seed(0)
    total = torch.zeros(())
    for _ in range(max(views, 1)):
        batches = []
        for images, _labels in data.in_order(512):
            x = unchanged(images)
            if views:
                x = apply(images, sample_augmentation(LIGHT, len(images), data.side, generator), LIGHT)
            batches.append(net(standardise(x)).float().log_softmax(-1).cpu())
        total = total + torch.cat(batches)
    return total / max(views, 1)


@torch.no_grad()
def fixed_views(net: nn.Module, data: DeviceData, views: int) -> Tensor:
    """(N, C), the mean over the views of :data:`hanmo.nets.tta.VIEWS`."""
    viewed = Ensemble([net], views=views)
    return torch.cat([viewed(standardise(unchanged(images))).cpu() for images, _labels in data.in_order(512)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--test", nargs="+", required=True)
    parser.add_argument("--views", type=int, default=16)
    parser.add_argument("--fixed", action="store_true")
    args = parser.parse_args()
    predict = fixed_views if args.fixed else log_probabilities
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    packs = {
        str(pack.normalization): (data, pack) for data, pack in (DeviceData.open(p, None, device) for p in args.test)
    }
    labels = next(iter(packs.values()))[0].labels.cpu()
    plain, viewed = [], []
    print("| net | top-1 % | with views |\n|---|---|---|")
    for run in args.runs:
        trained = load_trained(run)
        # Packs are always of the newest version; clean squares are nearly alike in all versions.
        data, pack = packs[str(replace(trained.normalization, version=VERSION))]
        pack.require(charset=trained.charset)
        net = trained.net.to(device)
        plain.append(log_probabilities(net, data, 0))
        viewed.append(predict(net, data, args.views))
        print(f"| {run} | {top1(plain[-1], labels):.2f} | {top1(viewed[-1], labels):.2f} |", flush=True)
    joint = torch.stack(plain).mean(0)
    print(f"| together | {top1(joint, labels):.2f} | {top1(torch.stack(viewed).mean(0), labels):.2f} |")
    answers = torch.stack([one.argmax(1) for one in plain])
    by_all = (answers != labels).all(0)
    alike = by_all & (answers == answers[0]).all(0)
    print(
        f"{int((joint.argmax(1) != labels).sum())} joint errors; {int(by_all.sum())} samples wrong in every net, ",
        end="",
    )
    print(f"{int(alike.sum())} with the same answer")


def top1(scores: Tensor, labels: Tensor) -> float:
    return 100 * float((scores.argmax(1) == labels).float().mean())


if __name__ == "__main__":
    main()
