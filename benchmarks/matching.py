"""Reading characters that were never trained: the deep matching network beside a classifier.

    python benchmarks/matching.py --bank fonts.glyphs --data DATA --save runs/matching/net
    python benchmarks/matching.py --smoke            # one minute on a CPU: does everything run?

1,000 characters of level 1 are left out: all of hwdb100 and radicals32, and others by a seed. For each m, two nets are
trained on drawn handwriting of m other characters: the matching net, and a classifier with the same branch. Both then
read the 1,000 by their templates: plain strokes and glyphs of two printed fonts. Neither these fonts nor their kin are
in the handwriting. The nets choose among the 1,000, and among all of level 1. The tests are handwriting drawn with
other seeds and from fonts held out, and the real samples in DATA (hwdb100-test, radicals32-test and hcl-address,
.gnt.xz), which nothing is trained on.

Each net trains for a time, not for a number of steps. A JSON record a line is printed and written to --out; a Markdown
table comes last. --save keeps the matching net of the largest m, whatever its figures.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from matching_data import Data, gather, note
from torch import Tensor, nn

from hanmo.charset import Charset
from hanmo.errors import ConfigError
from hanmo.nets.matching import (
    DIRECTIONS,
    MatchingConfig,
    MatchingNet,
    TemplateMemory,
    TemplateReader,
    matching_loss,
    prototypes_of,
    turned,
)
from hanmo.nets.registry import NetConfig, count_parameters
from hanmo.normalize import Normalization, standardise
from hanmo.train.augment import apply, sample_augmentation, unchanged
from hanmo.train.checkpoint import save_tensors
from hanmo.train.config import AugmentConfig, OptimConfig
from hanmo.train.optim import build_optimizer, learning_rate

LARGEST = 14_000_000  # bytes of the saved file
TEMPLATES_VARY = AugmentConfig(
    rotate=3, shear=0.06, scale=0.1, translate=0.03, perspective=0.04, elastic=0.01, blur=0.4, contrast=0.2, noise=0.03
)
"""Print varies less than handwriting, but m pictures alone would be learnt by heart."""


def train(
    modules: list[nn.Module],
    loss_of: Callable[[torch.Generator], Tensor],
    args: argparse.Namespace,
    device: torch.device,
) -> dict[str, float]:
    """Train for half of ``args.seconds``; the learning rate follows the clock. Returns steps and seconds."""
    config, seconds = OptimConfig(learning_rate=args.rate), args.seconds / 2
    optimizer = build_optimizer(modules, config)
    generator = torch.Generator(device).manual_seed(args.seed)
    parameters = [p for module in modules for p in module.parameters()]
    # cuDNN tries its algorithms out before the clock runs. It must not in reading, where last batches differ in shape.
    torch.backends.cudnn.benchmark = True
    loss_of(generator).backward()  # type: ignore[no-untyped-call]
    start, step, losses = time.monotonic(), 0, torch.zeros((), device=device)
    while (spent := time.monotonic() - start) < seconds:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, int(spent * 1000), int(seconds * 1000))
        loss = loss_of(generator)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, config.clip)
        optimizer.step()
        losses = torch.lerp(loss.detach(), losses, 0.95)  # shown at the end only: reading it would wait for the GPU
        step += 1
        if step % 16 == 0 and device.type == "cuda":
            torch.cuda.synchronize()  # so that the clock is that of the work done, not of the work queued
    torch.backends.cudnn.benchmark = False
    note(f"  {step} steps, loss {float(losses):.3f}")
    return {"steps": step, "seconds": round(time.monotonic() - start, 1)}


def matching(
    net: MatchingNet, proxies: nn.Linear, data: Data, m: int, args: argparse.Namespace
) -> Callable[[torch.Generator], Tensor]:
    """The loss of one step: handwriting of some classes, their templates, and the remembered ones of all others."""
    device = data.pool.device
    memory = TemplateMemory(len(proxies.weight), args.features).to(device)
    fresh = min(m, args.fresh)
    mirrored = round(fresh * args.mirrored)

    def loss(generator: torch.Generator) -> Tensor:
        def among(count: int, many: int) -> Tensor:
            return torch.randint(count, (many,), generator=generator, device=device)

        # Distinct classes, so that each has one template here: some as they are, some mirrored.
        base = torch.randperm(m, generator=generator, device=device)[:fresh]
        direction = torch.zeros_like(base)
        if mirrored:
            direction[:mirrored] = 1 + among(DIRECTIONS - 1, mirrored)
        pick = torch.arange(args.batch, device=device) % fresh  # the place of each picture's class in ``base``
        squares = data.pool[among(len(data.pool), args.batch), base[pick]]
        shown = data.templates[among(len(data.templates), fresh), data.unseen + base]
        x = augmented(squares, AugmentConfig(), generator)
        t = augmented(shown, TEMPLATES_VARY, generator)
        x, labels = turned(x, base[pick], direction[pick], m)
        t, classes = turned(t, base, direction, m)
        with autocast(device):
            handwriting, templates = net.embed_both(ready(x), ready(t))
        every = memory.refreshed(classes, templates)
        found = matching_loss(handwriting, every, labels, net.scale, margin=args.margin)
        if args.proxies:
            # Learnt class weights as a classifier has them: both kinds of pictures find them sooner than each other.
            weights = F.normalize(proxies.weight, dim=1)
            of_proxies = [(handwriting, labels), (templates, classes)]
            found = found + args.proxies * sum(matching_loss(x, weights, y, net.scale) for x, y in of_proxies)
        return found

    return loss


def classifying(
    net: MatchingNet, fc: nn.Linear, data: Data, m: int, args: argparse.Namespace
) -> Callable[[torch.Generator], Tensor]:
    """The loss of one step of the classifier: the same branch, and learnt weights for its m classes."""
    device = data.pool.device

    def loss(generator: torch.Generator) -> Tensor:
        labels = torch.randint(m, (args.batch,), generator=generator, device=device)
        which = torch.randint(len(data.pool), (args.batch,), generator=generator, device=device)
        x = augmented(data.pool[which, labels], AugmentConfig(), generator)
        with autocast(device):
            logits = fc(net.handwriting_norm(net.handwriting(ready(x))))
        return F.cross_entropy(logits.float(), labels)

    return loss


def augmented(squares: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    return apply(squares, sample_augmentation(config, len(squares), squares.shape[-1], generator), config)


def ready(x: Tensor) -> Tensor:
    return standardise(x).contiguous(memory_format=torch.channels_last)


def autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


@torch.no_grad()
def reader_of(net: MatchingNet, data: Data) -> TemplateReader:
    """A reader of all characters by their templates, the mean of all forms."""
    net.eval()
    with autocast(data.pool.device):
        parts = [net.embed_templates(ready(unchanged(p))) for p in torch.split(data.templates.flatten(0, 1), 1024)]
    classes = torch.arange(len(data.charset), device=data.pool.device).repeat(len(data.templates))
    return net.reader(prototypes_of(torch.cat(parts), classes, len(data.charset))).eval()


@torch.no_grad()
def figures(reader: TemplateReader, data: Data) -> list[dict[str, Any]]:
    """Top-1 in per cent on each test, among the unseen characters and among all."""
    found = []
    for name, (squares, labels) in data.tests.items():
        right = torch.zeros(2, device=labels.device)
        for x, y in zip(torch.split(squares, 1024), torch.split(labels, 1024), strict=True):
            with autocast(x.device):
                logits = reader(ready(unchanged(x)))
            best = torch.stack([logits[:, : data.unseen].argmax(1), logits.argmax(1)])
            right += (best == y).sum(1)
        shares = (100 * right / max(len(labels), 1)).tolist()
        characters = len(set(labels.tolist()))
        for among, share in zip((data.unseen, len(data.charset)), shares, strict=True):
            found.append(
                {"test": name, "among": among, "top1": round(share, 2), "n": len(labels), "characters": characters}
            )
    return found


def compare(
    m: int, data: Data, args: argparse.Namespace, device: torch.device
) -> tuple[MatchingNet, list[dict[str, Any]]]:
    """Train both nets on m characters; returns the matching net and a record for each figure."""
    config = config_of(args)
    records, kept = [], None
    for kind in ("matching", "classifier"):
        note(f"m = {m}: {kind}")
        torch.manual_seed(args.seed)
        net = MatchingNet(config, args.side).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        if kind == "matching":
            proxies = nn.Linear(args.features, m * (DIRECTIONS if args.mirrored else 1), bias=False).to(device)
            run = train([net, proxies], matching(net, proxies, data, m, args), args, device)
            kept = net
        else:
            # Read by the branch that it trained, as plain features: a classifier knows no templates.
            net.templates, net.template_norm = None, net.handwriting_norm
            fc = nn.Linear(args.features, m).to(device)
            run = train([net.handwriting, net.handwriting_norm, fc], classifying(net, fc, data, m, args), args, device)
        for figure in figures(reader_of(net, data), data):
            records.append({"m": m, "net": kind, **figure, **run, "seed": args.seed, "machine": machine(device)})
            print(json.dumps(records[-1]), flush=True)
    assert kept is not None
    return kept, records


def config_of(args: argparse.Namespace) -> MatchingConfig:
    branch = NetConfig(name=args.net, width=args.width, attention=args.attention, pool=args.pool)
    return MatchingConfig(branch=branch, features=args.features, shared=not args.apart)


def machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
    return f"{name}, torch {torch.__version__}"


def table(records: list[dict[str, Any]]) -> list[str]:
    """Markdown: a line for each m, net and number of candidates; a column for each test."""
    tests = list(dict.fromkeys(r["test"] for r in records))
    lines = [f"| m | net | among | {' | '.join(tests)} |", "|---|---|---|" + "---|" * len(tests)]
    rows = dict.fromkeys((r["m"], r["net"], r["among"]) for r in records)
    for row in sorted(rows, key=lambda row: (row[2], row[0], row[1])):
        cells = [r["top1"] for r in records if (r["m"], r["net"], r["among"]) == row]
        lines.append(f"| {row[0]:,} | {row[1]} | {row[2]:,} | {' | '.join(f'{c:.1f}' for c in cells)} |")
    return lines


def save(net: MatchingNet, m: int, records: list[dict[str, Any]], data: Data, folder: Path, side: int) -> None:
    """Write the weights in 16 bits, with what is needed to use them."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    header = {
        "matching": asdict(net.config),
        "normalization": Normalization(side=side).as_dict(),
        "trained": "".join(data.charset.characters[data.unseen : data.unseen + m]),
        "unseen": "".join(data.charset.characters[: data.unseen]),
        "figures": [r for r in records if r["m"] == m and r["net"] == "matching"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / "matching.safetensors", tensors, header)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", help="the glyph bank of @fonts; without one, all is drawn from strokes")
    parser.add_argument("--data", type=Path, help="folder of the real test files")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/matching"), help="packs of the real samples are kept here"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/matching.jsonl"))
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the Markdown table here, too")
    parser.add_argument("--save", type=Path, metavar="FOLDER")
    parser.add_argument("--m", type=int, nargs="+", default=[500, 1000, 2755], help="characters to train on")
    parser.add_argument("--unseen", type=int, default=1000, help="characters left out")
    parser.add_argument("--each", type=int, default=10, help="drawn test samples of each unseen character")
    parser.add_argument("--seconds", type=float, default=60, help="training for each m, half of it for either net")
    parser.add_argument("--draw-seconds", type=float, default=40, help="drawing handwriting, once for all nets")
    parser.add_argument("--net", default="resnet18")
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--attention", default="se")
    parser.add_argument("--pool", choices=("average", "weighted"), default="weighted")
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--apart", action="store_true", help="templates get a branch of their own")
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--fresh", type=int, default=512, help="templates computed anew in a step")
    parser.add_argument("--mirrored", type=float, default=0.0, help="share of a step's classes that are mirrored ones")
    parser.add_argument("--proxies", type=float, default=0.5, help="weight of the loss beside learnt class weights")
    parser.add_argument("--margin", type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=8, help="processes that normalise real samples")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--smoke", action="store_true", help="tiny nets, few characters, some seconds")
    args = parser.parse_args()
    if args.smoke:
        args.m, args.unseen, args.each, args.seconds, args.draw_seconds = [20, 40], 100, 2, 10.0, 5.0
        args.width, args.side, args.batch, args.fresh, args.workers = 8, 32, 64, 32, 0
        args.out = args.work / "smoke.jsonl"  # not among the records of real runs
    if args.unseen + max(args.m) > len(Charset.level1()):
        parser.error(f"--unseen {args.unseen} and --m {max(args.m)} are more than the 3,755 characters of level 1")
    return args


def main() -> None:
    args = parsed()
    device = torch.device(args.device)
    # Known before any training: 16 bits a number.
    size = 2 * count_parameters(MatchingNet(config_of(args), args.side))
    if args.save and size > LARGEST:
        raise ConfigError(f"the net has {size:,} bytes, over {LARGEST:,}; take a smaller --width")
    data = gather(args, device)
    records: list[dict[str, Any]] = []
    for m in sorted(args.m):
        net, found = compare(m, data, args, device)
        records += found
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
        if args.save and m == max(args.m):
            save(net, m, records, data, args.save, args.side)
    print(f"\n`python {shlex.join(sys.argv)}`, {machine(device)}, seed {args.seed}, top-1 in %:\n")
    lines = "\n".join(table(records))
    print(lines)
    if args.table:
        args.table.write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
