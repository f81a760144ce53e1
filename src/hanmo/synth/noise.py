"""Counter-based random numbers: the n-th character is the same however many are drawn at a time, on any device.

A usual generator returns its numbers in order, so the numbers of a sample depend on how many were taken before it. Here
each number is a hash of a key and a counter (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). The
hash is the finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). It
uses integer arithmetic only, which is exact everywhere.

Each use of a key first derives a key of its own: ``derive(keys.sample, -5)``. Uses of one key differ in the counter:
strokes count from 1 on, all other uses have negative numbers. Changing a counter changes the pictures.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

# The increment and the two multipliers of SplitMix64, as signed 64-bit numbers; the first is 2^64 / golden ratio.
_GOLDEN = -0x61C8864680B583EB
_MIX = (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
_IRWIN_HALL = (2 * 65_535, math.sqrt(3) / 65_535)  # mean and 1 / deviation of a sum of four uniform 16-bit numbers


class Keys(NamedTuple):
    """The two keys of each of N pictures, from which all its random numbers are hashed; both int64 (N,)."""

    sample: Tensor
    """Different for each picture: what varies from one picture to the next."""
    habit: Tensor
    """The same for all pictures by one writer: what a writer always does in the same way."""


def keys_of(seed: Tensor, numbers: Tensor, writers: Tensor | None = None) -> Keys:
    """Keys of the pictures ``numbers``, int64 (N,), for a seed, int64 ().

    ``writers``, int64 (N,), numbers their writers; None: each picture has its own.
    """
    sample = derive(seed, numbers)
    who = sample if writers is None else writers.to(sample.device)
    return Keys(sample, derive(derive(seed, -1), who))


def derive(keys: Tensor, counter: Tensor | int) -> Tensor:
    """New keys, int64: the hash of each pair of key and counter, broadcast against each other."""
    x = keys + (torch.as_tensor(counter, dtype=torch.int64, device=keys.device) + 1) * _GOLDEN
    x = (x ^ _shift(x, 30)) * _MIX[0]
    x = (x ^ _shift(x, 27)) * _MIX[1]
    return x ^ _shift(x, 31)


def uniform(keys: Tensor, count: int) -> Tensor:
    """``count`` numbers in [0, 1) for each of (N,) keys: float32 (N, count), from the upper 24 bits of each hash."""
    return (_shift(_hashes(keys, count), 40)).float() * 2.0**-24


def normal(keys: Tensor, count: int) -> Tensor:
    """``count`` nearly normal numbers of mean 0 and deviation 1 for each of (N,) keys: float32 (N, count).

    Each is the sum of four uniform 16-bit numbers (Irwin-Hall), so that none lies beyond 3.47 deviations: no stroke
    is ever thrown off the picture. A logarithm, as in Box-Muller, would differ from device to device.
    """
    bits = _hashes(keys, count)
    total = sum((_shift(bits, s) & 0xFFFF for s in (16, 32, 48)), bits & 0xFFFF)
    mean, scale = _IRWIN_HALL
    return (total - mean).float() * scale


def _hashes(keys: Tensor, count: int) -> Tensor:
    return derive(keys[:, None], torch.arange(count, device=keys.device))


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical shift right: zeros move in from the left, where torch's own shift copies the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
