"""The pictures of ``matching.py``: handwriting to train on, templates, and tests on characters that are left out."""

from __future__ import annotations

import argparse
import random
import sys
import time
from typing import NamedTuple

import torch
from torch import Tensor

from hanmo.charset import Charset
from hanmo.config import load_toml
from hanmo.data.pack import Pack, write_pack
from hanmo.data.read import read_samples
from hanmo.normalize import Normalization
from hanmo.synth.fonts.bank import GlyphBank
from hanmo.synth.fonts.glyphs import Glyphs
from hanmo.synth.mix import Mix, MixConfig
from hanmo.synth.noise import Keys, keys_of
from hanmo.synth.recipe import SynthRecipe
from hanmo.synth.strokes.hand import StyleConfig
from hanmo.synth.templates import draw_templates
from hanmo.train.squares import as_bytes, refit

DRAWN = "@synth-level1-48"
REAL = ("hwdb100-test", "radicals32-test", "hcl-address")
RADICALS32 = "垂垃垄垒垛垢垮宁守宋宏宗实宠审宣室宽宿寂密富寒寝对寺寿峰峻庐庞废"
PRINTED = ("lxgw-wenkai-regular", "arphic-gkai")  # the templates' fonts
KIN = ("lxgw-wenkai-light", "lxgw-wenkai-bold", "tw-kai")  # the same designs, or the same print: never handwriting
HELD_OUT = ("jason-handwriting-8", "yozai")  # a real hand and a ballpoint, for tests alone


class Data(NamedTuple):
    """All pictures, on the device; classes are of ``charset``, whose first ``unseen`` are never trained."""

    charset: Charset
    unseen: int
    pool: Tensor
    """Handwriting to train on, uint8 (K, M, S, S): K samples of each of the M classes after the unseen ones."""
    templates: Tensor
    """uint8 (forms, C, S, S); a font that lacks a character repeats the strokes."""
    tests: dict[str, tuple[Tensor, Tensor]]
    """Name -> squares uint8 (n, S, S) and their classes, all unseen."""


def ordered(unseen: int, seed: int) -> Charset:
    """Level 1 with the ``unseen`` characters first; those of hwdb100 and radicals32 are among them as room allows."""
    level1 = Charset.level1()
    real = [*sorted(level1)[:100], *RADICALS32]  # hwdb100: the first hundred in Unicode order
    others = [c for c in level1 if c not in real]
    random.Random(seed).shuffle(others)
    return Charset([*real[:unseen], *others, *real[unseen:]])


def gather(args: argparse.Namespace, device: torch.device) -> Data:
    """Draw and read all pictures."""
    charset, square = ordered(args.unseen, args.seed), Normalization(side=args.side)
    bank = GlyphBank.open(args.bank) if args.bank else None
    style = load_toml(DRAWN, SynthRecipe).style if bank else StyleConfig()
    if bank:
        names = tuple(f.name for f in bank.fonts if f.name not in (*PRINTED, *KIN, *HELD_OUT))
        mix = Mix(MixConfig(strokes=0.5, fonts=0.5, bank=args.bank, names=names), charset, style, device)
    else:
        mix = Mix(MixConfig(), charset, style, device)
    assert mix.strokes is not None  # all of level 1 has strokes
    forms = draw_templates(mix.strokes, charset, bank, PRINTED if bank else ())
    squares = as_bytes(refit(forms.squares / 255, forms.normalization, square)).to(device)
    templates = squares[: len(charset)].repeat(int(forms.forms.max()) + 1, 1, 1, 1)
    templates[forms.forms, forms.labels] = squares
    tests = drawn_tests(mix, bank, charset, style, args, device) | real_tests(args, charset, square, device)
    return Data(charset, args.unseen, draw_pool(mix, args, square, device), templates, tests)


def draw_pool(mix: Mix, args: argparse.Namespace, square: Normalization, device: torch.device) -> Tensor:
    """Draw handwriting of the trained classes for ``args.draw_seconds``, every class equally often."""
    count, rounds = max(args.m), 3 if device.type == "cuda" else 1  # a GPU needs some thousands at once to be busy
    classes = (args.unseen + torch.arange(count, device=device)).repeat(rounds)
    seed, numbers = torch.tensor(args.seed + 1, device=device), torch.arange(len(classes), device=device)
    parts: list[Tensor] = []
    start = time.monotonic()
    while not parts or time.monotonic() - start < args.draw_seconds:
        keys = keys_of(seed, numbers + len(parts) * len(classes))
        drawn = mix.write(classes, keys, square.side, square.margin)
        parts.append(drawn.view(rounds, count, square.side, square.side))
    pool = torch.cat(parts)
    rate = pool.shape[0] * count / (time.monotonic() - start)
    note(f"drawn: {pool.shape[0]} samples of each of {count} characters, {rate:,.0f} a second")
    return pool


def drawn_tests(
    mix: Mix,
    bank: GlyphBank | None,
    charset: Charset,
    style: StyleConfig,
    args: argparse.Namespace,
    device: torch.device,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Unseen characters by strokes, by the fonts of the training and by fonts held out, in hands of another seed."""
    glyphs = {"drawn, fonts": mix.glyphs} if mix.glyphs else {}
    if bank:
        glyphs["drawn, fonts held out"] = Glyphs(bank, charset, HELD_OUT, device)
    classes = torch.arange(args.unseen, device=device).repeat_interleave(args.each)

    def keys(count: int) -> Keys:
        return keys_of(torch.tensor(args.seed + 1_000_003, device=device), torch.arange(count, device=device))

    assert mix.strokes is not None
    strokes = mix.strokes.write(classes, keys(len(classes)), style, args.side, layouts=mix.layouts)
    found = {"drawn, strokes": (strokes, classes)}
    for name, source in glyphs.items():
        covered = classes[source.covers(classes)]
        found[name] = (source.write(covered, keys(len(covered)), style, args.side), covered)
    return found


def real_tests(
    args: argparse.Namespace, charset: Charset, square: Normalization, device: torch.device
) -> dict[str, tuple[Tensor, Tensor]]:
    """The real samples of unseen characters in ``args.data``; packs of them are kept in ``args.work``."""
    found = {}
    known = Charset(charset.characters[: args.unseen])
    for name in REAL if args.data else ():
        path = args.work / f"{name}-{args.side}-{args.unseen}-{args.seed}"
        if not path.exists():
            samples = [s for s in read_samples([args.data / f"{name}.gnt.xz"]) if s.label in known]
            if not samples:  # few unseen characters, as of --smoke, need not be in every file
                continue
            write_pack(path, samples, normalization=square, charset=known, workers=args.workers)
        pack = Pack.open(path)
        labels = torch.from_numpy(charset.encode(pack.charset.characters))[torch.tensor(pack.labels.tolist())]
        found[name] = (torch.tensor(pack.images[:]).to(device), labels.to(device))
    return found


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
