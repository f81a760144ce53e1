"""Random numbers that depend on a key alone: the n-th character is the same however many are drawn at a time.

A generator hands its numbers out in order, so what a sample gets depends on what was drawn before it. Here each
number is a hash of (key, lane), with the finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable
pseudorandom number generators", 2014). Integer arithmetic only: the same on every device.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_GOLDEN = -0x61C8864680B583EB  # 2^64 / golden ratio, as a signed 64-bit number
_MIX = (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
_IRWIN_HALL = (2 * 65_535, math.sqrt(3) / 65_535)  # mean and 1 / deviation of a sum of four 16-bit numbers


class Keys(NamedTuple):
    """Where the randomness of N pictures comes from, both int64 (N,)."""

    sample: Tensor
    """Distinct for each picture."""
    habit: Tensor
    """The same for all pictures by one writer."""


def keys_of(seed: Tensor, numbers: Tensor, writers: Tensor | None = None) -> Keys:
    """Keys of the pictures ``numbers`` (N,) under a seed (); without ``writers`` (N,) each is by another hand."""
    sample = derive(seed, numbers)
    names = sample if writers is None else writers.to(sample.device)
    return Keys(sample, derive(derive(seed, -1), names))


def derive(keys: Tensor, lanes: Tensor | int) -> Tensor:
    """New keys, int64, one for every (broadcast) pair of key and lane."""
    x = keys + (torch.as_tensor(lanes, dtype=torch.int64, device=keys.device) + 1) * _GOLDEN
    x = (x ^ _shift(x, 30)) * _MIX[0]
    x = (x ^ _shift(x, 27)) * _MIX[1]
    return x ^ _shift(x, 31)


def uniform(keys: Tensor, lanes: int) -> Tensor:
    """(N,) keys -> float32 (N, lanes) in [0, 1)."""
    return (_shift(_table(keys, lanes), 40)).float() * 2.0**-24


def normal(keys: Tensor, lanes: int) -> Tensor:
    """(N,) keys -> float32 (N, lanes) of mean 0 and deviation 1, near normal and never beyond 3.47.

    The sum of four 16-bit uniforms: a hand never slips by seven deviations, and no logarithm differs by a device.
    """
    bits = _table(keys, lanes)
    total = sum((_shift(bits, s) & 0xFFFF for s in (16, 32, 48)), bits & 0xFFFF)
    mean, scale = _IRWIN_HALL
    return (total - mean).float() * scale


def _table(keys: Tensor, lanes: int) -> Tensor:
    return derive(keys[:, None], torch.arange(lanes, device=keys.device))


def _shift(x: Tensor, bits: int) -> Tensor:
    """Shift right filling with zeros (torch's own shift copies the sign)."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
