"""How fast handwriting is drawn: fresh 64x64 characters a second, on a GPU or on one CPU core.

    python benchmarks/drawing_speed.py --bank fonts.glyphs          # the bank is optional
    python benchmarks/drawing_speed.py --device cpu --threads 1

Level 1 of GB2312, classes at random, every character by another hand, with a bank in layouts between those of its
fonts; median and range of ``--repeats`` timed runs after a warm-up. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from hanmo.charset import Charset
from hanmo.synth.mix import Mix, MixConfig
from hanmo.synth.noise import keys_of
from hanmo.synth.strokes.hand import StyleConfig
from hanmo.train.speed import wait_for


def rate(mix: Mix, count: int, device: torch.device, repeats: int) -> list[float]:
    """Characters a second, of each repeat."""
    found = []
    for seed in range(repeats + 1):
        numbers = torch.arange(count, device=device)
        classes = torch.randint(3755, (count,), device=device, generator=torch.Generator(device).manual_seed(seed))
        keys = keys_of(torch.tensor(seed, device=device), numbers)
        wait_for(device)
        start = time.perf_counter()
        mix.write(classes, keys, 64)
        wait_for(device)
        found.append(count / (time.perf_counter() - start))
    return found[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, help="characters a call; 16,384 on a GPU, 1,024 on a CPU")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--bank", help="measure glyphs of fonts, too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    count = args.count or (16_384 if device.type == "cuda" else 1_024)
    print(f"{args.device}, {args.threads} thread(s), torch {torch.__version__}, {count:,} characters a call")
    print("| drawn from | characters/s | range |\n|---|---|---|")
    for title, share in (("strokes", 0.0), ("fonts", 1.0), ("half and half", 0.5)):
        if share and not args.bank:
            continue
        config = MixConfig(strokes=1 - share, fonts=share, bank=args.bank)
        found = rate(
            Mix(config, Charset.level1(), StyleConfig(layouts=1.0 if args.bank else 0.0), device),
            count,
            device,
            args.repeats,
        )
        print(f"| {title} | {statistics.median(found):,.0f} | {min(found):,.0f} to {max(found):,.0f} |", flush=True)


if __name__ == "__main__":
    main()
