"""Damaged files, made from the good files of the doors."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from attacks.doors import DOORS, good


def prefixes(data: bytes, most: int) -> Iterator[bytes]:
    """At most ``most`` beginnings of the data: all of a short file, and evenly spread ones of a long one."""
    for length in sorted({int(at) for at in np.linspace(0, len(data) - 1, min(most, len(data)))}):
        yield data[:length]


def flips(data: bytes, number: int, seed: int = 0) -> Iterator[bytes]:
    """The data with one bit changed, at random places."""
    rng = random.Random(seed)
    for _ in range(number):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield bytes(damaged)


def mixtures(door: str, number: int, seed: int = 0) -> Iterator[bytes]:
    """The beginning of a good file of this door, and the end of one of another: polyglots of all kinds."""
    rng = random.Random(seed)
    names = sorted(DOORS)
    for _ in range(number):
        own, other = good(door), good(rng.choice(names))
        yield own[: rng.randrange(len(own) + 1)] + other[rng.randrange(len(other)) :]


def lying_sizes(data: bytes, number: int, seed: int = 0) -> Iterator[bytes]:
    """The data with four bytes replaced by a number at the edge of its range: where sizes are, these lie."""
    rng = random.Random(seed)
    edges: list[Any] = [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 0x10000]
    for _ in range(number):
        at = rng.randrange(max(len(data) - 3, 1))
        yield data[:at] + struct.pack(rng.choice("<>") + "I", rng.choice(edges)) + data[at + 4 :]
