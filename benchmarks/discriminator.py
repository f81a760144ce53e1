"""How well a small net can tell drawn characters from real ones, and by which features.

    python benchmarks/discriminator.py DATA [--bank fonts.glyphs] [--style pressure=0]

DATA holds hwdb100-train.gnt.xz. Half of its writers (in the order of the samples of each class) and as many drawn
characters of the same classes train a net to tell one from the other; the other half and fresh drawings test it. Three
times: it sees the picture; only its shape (black and white, after a blur that hides edges); only a small piece of it
at full detail. 50 % is guessing: the further above, the easier a drawn character is to tell. Nothing is learned here
that a reader is trained with. Prints a Markdown table, and with --show a sheet of the drawn characters that give
themselves away most.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from hanmo.charset import Charset
from hanmo.config import load_toml
from hanmo.data.read import read_samples
from hanmo.nets.registry import NetConfig, build_net
from hanmo.normalize import Normalization, standardise
from hanmo.synth.mix import Mix, MixConfig
from hanmo.synth.noise import keys_of
from hanmo.synth.recipe import SynthRecipe
from hanmo.train.augment import unchanged

DRAWN = "@synth-level1"
PIECE = 20  # pixels
BATCH = 64
WRITERS = 240


def real(data: Path, each: int) -> tuple[list[Tensor], Tensor, Charset]:
    """Pictures of the first and the second half of the writers, ``each`` a class, and the classes of either."""
    square, samples_of = Normalization(), Counter[str]()
    halves: list[list[tuple[str, Tensor]]] = [[], []]
    room = [Counter[str](), Counter[str]()]
    for sample in read_samples([data / "hwdb100-train.gnt.xz"]):
        number = int(samples_of[sample.label] >= WRITERS // 2)
        samples_of[sample.label] += 1
        if room[number][sample.label] < each:
            room[number][sample.label] += 1
            halves[number].append((sample.label, torch.from_numpy(square(sample.image))))
    charset = Charset(sorted(samples_of))
    for half in halves:
        half.sort(key=lambda entry: entry[0])
    classes = torch.from_numpy(charset.encode([label for label, _ in halves[0]]))
    return [torch.stack([picture for _, picture in half]) for half in halves], classes, charset


def shape_of(x: Tensor) -> Tensor:
    """(N, 1, S, S) -> black and white, without the edges that pens and scanners leave."""
    blurred = F.avg_pool2d(F.avg_pool2d(x, 3, 1, 1), 3, 1, 1)
    return (blurred > 0.3).float()


def piece_of(x: Tensor) -> Tensor:
    """(N, 1, S, S) -> the piece around the middle of the ink, (N, 1, PIECE, PIECE): it hardly shows what is written."""
    side = x.shape[2]
    place = torch.arange(side, dtype=x.dtype)
    ink = x.sum((1, 2, 3)).clamp(min=1)
    across = ((x.sum((1, 2)) * place).sum(1) / ink).long().clamp(PIECE // 2, side - PIECE // 2)
    down = ((x.sum((1, 3)) * place).sum(1) / ink).long().clamp(PIECE // 2, side - PIECE // 2)
    return torch.stack(
        [
            p[:, r - PIECE // 2 : r + PIECE // 2, c - PIECE // 2 : c + PIECE // 2]
            for p, r, c in zip(x, down, across, strict=True)
        ]
    )


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {"picture": lambda x: x, "shape": shape_of, "piece": piece_of}


def separation(view: Callable[[Tensor], Tensor], parts: list[Tensor], epochs: int, seed: int) -> tuple[float, Tensor]:
    """Train on the first two of four parts (real, drawn; real, drawn) and test on the others.

    Returns the accuracy in per cent, and for every drawn test picture the logit of "drawn".
    """
    torch.manual_seed(seed)
    net = build_net(NetConfig(width=8), 2)
    x, y = torch.cat(parts[:2]), torch.arange(2).repeat_interleave(len(parts[0]))
    steps = epochs * (len(x) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    orders = (torch.split(torch.randperm(len(x)), BATCH) for _ in range(epochs))
    for rows in itertools.chain.from_iterable(order[: len(x) // BATCH] for order in orders):
        loss = F.cross_entropy(net(standardise(view(unchanged(x[rows])))), y[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    net.eval()
    with torch.no_grad():
        logits_of = [torch.cat([net(standardise(view(unchanged(b)))) for b in torch.split(p, 500)]) for p in parts[2:]]
    drawn = [(logits[:, 1] - logits[:, 0]) for logits in logits_of]
    return 50 * float((drawn[0] < 0).float().mean() + (drawn[1] > 0).float().mean()), drawn[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bank")
    parser.add_argument("--fonts", type=float, default=0.5, help="share of glyphs where there is a bank")
    parser.add_argument("--style", nargs="*", default=[], metavar="KEY=VALUE", help="changes of the recipe's style")
    parser.add_argument("--each", type=int, default=60, help="samples a class in each half")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--show", type=Path)
    args = parser.parse_args()
    halves, classes, charset = real(args.data, args.each)
    changes = {key: float(value) for key, _, value in (s.partition("=") for s in args.style)}
    if not args.bank:
        changes.setdefault("layouts", 0.0)  # layouts come from the fonts of a bank
    style = replace(load_toml(DRAWN, SynthRecipe).style, **changes)
    share = args.fonts if args.bank else 0.0
    mix = Mix(MixConfig(strokes=1 - share, fonts=share, bank=args.bank), charset, style)
    numbers = torch.arange(len(classes))
    drawn = [mix.write(classes, keys_of(torch.tensor(seed), numbers), 64) for seed in (1, 2)]
    parts = [halves[0], drawn[0], halves[1], drawn[1]]
    print("| input | accuracy % |\n|---|---|")
    for name, view in VIEWS.items():
        found = [separation(view, parts, args.epochs, seed) for seed in range(args.seeds)]
        print(f"| {name} | {', '.join(f'{right:.1f}' for right, _ in found)} |", flush=True)
        if args.show and name == "picture":
            worst = drawn[1][found[0][1].argsort(descending=True)[:120]]
            sheet = 255 - worst.view(10, 12, 64, 64).permute(0, 2, 1, 3).reshape(640, 768).numpy()
            Image.fromarray(sheet).save(args.show)


if __name__ == "__main__":
    main()
