"""Pack the strokes of characters outside GB2312 level 1 into src/hanmo/medians-wide.bin.

    python dev/pack_wide_medians.py animcjk ids_lv1.txt --out src/hanmo/medians-wide.bin

``animcjk`` is an unpacked copy of animCJK (https://github.com/parsimonhi/animCJK), ``ids_lv1.txt`` the table of
"Yet another IDS lists with MIT license" by Yi Bai. The wanted characters are those of the named sets gb2312,
traditional, common and casia, and a few others.

The file has the format that ``pack_medians.py`` describes. It holds the characters of animCJK that medians.bin lacks,
in Unicode order, and then, also in Unicode order, those that ``compose_strokes.py`` composed. Its header gives their
number. The tool prints the table of coverage and, with --check N, how far N compositions are from the real strokes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from animcjk import Strokes, read_strokes
from compose_strokes import Composer
from ids import read_sequences
from numpy.typing import NDArray
from pack_medians import pack_strokes

from hanmo.charset import named_charset
from hanmo.medians import even_out, load_medians

GRID = 1024
HEADER = """\
hanmo medians 1
Stroke medians of {count} characters outside GB2312 level 1.
Composed from components: the last COMPOSED.
Source: AnimCJK, Copyright 2016-2026 FM&SH, https://github.com/parsimonhi/animCJK, its files under this licence only;
derived from Make Me a Hanzi, Copyright (C) 2016 Shaunak Kishore, and from the fonts Arphic PL KaitiM GB and
Arphic PL KaitiM Big5, Copyright (C) 1999 Arphic Technology Co., Ltd. Components also from medians.bin (see there).
Changed for hanmo on 2026-11-29 by dev/pack_wide_medians.py: kept the medians only, stored as steps in one compressed
file; drew 〇; composed the last COMPOSED characters of components of the others, placed by ideographic description
sequences (Yet another IDS lists with MIT license, by Yi Bai).
Licence: Arphic Public License, this file included; see licenses/ARPHICPL.txt. No warranty.

"""
SETS = ("gb2312", "traditional", "common", "casia")
"""The named sets of :mod:`hanmo.charset` with Chinese characters, of which ``wide`` is made."""
ALSO = frozenset("〇々龘靐鱻麤")
"""Characters that no set has: the zero and the repetition sign of Chinese text, and some that are full of strokes."""
REJECTED = frozenset("亹奡羋")
"""Characters whose composition is wrong to the eye; they stay without strokes."""


def is_ideograph(character: str) -> bool:
    """Whether it is a unified ideograph, 々 or 〇; radicals and compatibility forms are none."""
    code = ord(character)
    return 0x3400 <= code < 0xA000 or 0x20000 <= code < 0x2F800 or code >= 0x30000 or character in "々〇"


def wanted_sets() -> dict[str, set[str]]:
    """The named character sets, and ``all`` together."""
    sets = {name: set(named_charset(name)) for name in SETS} | {"others": set(ALSO)}
    return sets | {"all": set().union(*sets.values())}


def circle() -> NDArray[np.float64]:
    """〇, from its top against the clock; animCJK has it under another licence."""
    turn = np.linspace(0, 2 * np.pi, 25)
    return np.rint(GRID / 2 + 0.36 * GRID * np.stack([-np.sin(turn), -np.cos(turn)], 1))


def compose_all(composer: Composer, wanted: list[str]) -> dict[str, Strokes]:
    """Compositions of the characters that can be composed."""
    done = {c: composer.compose(c) for c in wanted if c not in REJECTED}
    return {c: _on_grid(composed) for c, composed in done.items() if composed is not None}


def _on_grid(strokes: Strokes) -> Strokes:
    """Whole numbers within the square, without points that coincide with the one before them."""
    whole = [np.clip(np.rint(stroke), 0, GRID - 1) for stroke in strokes]
    return [stroke[np.r_[True, np.any(np.diff(stroke, axis=0) != 0, axis=1)]] for stroke in whole]


def print_coverage(sets: dict[str, set[str]], tables: list[set[str]]) -> None:
    """One line a set: its ideographs, those of each table that the tables before lack, those without strokes."""
    print("| set | ideographs | in medians.bin | from animCJK, and 〇 | composed | without strokes | other signs |")
    print("|---|---|---|---|---|---|---|")
    for name, characters in sets.items():
        left = {c for c in characters if is_ideograph(c)}
        numbers = [len(left)]
        for table in tables:
            numbers.append(len(left & table))
            left = left - table
        numbers += [len(left), sum(not is_ideograph(c) for c in characters)]
        print(f"| {name} | " + " | ".join(f"{n:,}" for n in numbers) + " |")
    print("Without strokes:", "".join(sorted(left)))


def print_check(composer: Composer, candidates: list[str], count: int) -> None:
    """Compose characters that have real strokes, each without its own, and compare."""
    chosen = np.random.default_rng(0).permutation(candidates)[:count]
    distances, other, none = [], 0, 0
    for character in map(str, chosen):
        composed, real = composer.compose(character, without=character), composer.known[character]
        if composed is None:
            none += 1
        elif len(composed) != len(real):
            other += 1
        else:
            distances.append(distance(composed, real) / GRID)
    mean, median, high = np.mean(distances), np.median(distances), np.quantile(distances, 0.9)
    print(f"{len(chosen)} characters: {none} cannot be composed, {other} get another number of strokes; of the others,")
    print(f"mean distance {mean:.3f} of the square's side, median {median:.3f}, 90 % within {high:.3f}")


def distance(one: Strokes, other: Strokes) -> float:
    """Mean distance of corresponding points after the best shift and scale of the first."""
    a, b = (even_out([s.astype(np.float32) for s in strokes], 16).reshape(-1, 2) for strokes in (one, other))
    a, b = a - a.mean(0), b - b.mean(0)
    return float(np.hypot(*(a * (a * b).sum() / np.square(a).sum() - b).T).mean())


def main() -> None:
    arguments = _parser().parse_args()
    packed, anim = load_medians(), read_strokes(arguments.animcjk)
    sets = wanted_sets()
    known = anim | {c: [s.astype(np.float64) * GRID for s in packed.of(c)] for c in packed.characters}
    composer = Composer(known, read_sequences(arguments.ids))
    wanted = sorted(c for c in sets["all"] if is_ideograph(c) and c not in known and c != "〇")
    composed = compose_all(composer, wanted)
    further = {c: anim[c] for c in anim if c not in packed and is_ideograph(c)} | {"〇": [circle()]}
    further = {c: further[c] for c in sorted(further)}
    print_coverage(sets, [set(packed.characters), set(further), set(composed)])
    if arguments.check:
        print_check(composer, sorted(sets["all"] & set(further)), arguments.check)
    if arguments.out:
        arguments.out.write_bytes(pack_wide(further, composed))
        print(
            f"{arguments.out}: {arguments.out.stat().st_size:,} bytes, {len(further):,} + {len(composed):,} characters"
        )


def pack_wide(further: dict[str, Strokes], composed: dict[str, Strokes]) -> bytes:
    return pack_strokes(HEADER.replace("COMPOSED", str(len(composed))), further | composed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Pack the strokes of characters outside GB2312 level 1.")
    parser.add_argument("animcjk", type=Path, help="the unpacked animCJK")
    parser.add_argument("ids", type=Path, help="the table of sequences, ids_lv1.txt")
    parser.add_argument("--check", type=int, default=0, help="compare so many compositions with real strokes")
    parser.add_argument("--out", type=Path, help="where to write the packed file")
    return parser


if __name__ == "__main__":
    main()
