"""The random numbers behind pages: which effects a page has, how strong they are, and noise for every pixel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hanmo.synth.noise import derive, uniform
from hanmo.synth.paper.config import COUNTED, FREE, PageConfig

_NAMES = (*FREE, *COUNTED)
_COUNT = 12  # numbers of each effect: the first decides whether a page has it, the others how it looks
_CLEAN = 0.1  # on clean pages the shares are multiplied by this ...
_KEPT = ("place", "turned", "pen")  # ... except these, which make no page dirty


def sample_numbers(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Sample the numbers of N pages from their keys, int64 (N,).

    Returns uniform numbers (N, K, 12) for :class:`Effects`, and seeds, int32 (N,), for :meth:`Grain.sample`.
    """
    keys = derive(keys, -30)  # the hand that wrote may have the same keys; its numbers are to be others
    table = uniform(keys, _COUNT * (len(_NAMES) + 1)).view(len(keys), -1, _COUNT)
    return table, (derive(keys, -31) >> 32).to(torch.int32)


class Effects:
    """Which effects N pages have, and the random numbers of each.

    ``table`` is what :func:`sample_numbers` returned.
    """

    def __init__(self, table: Tensor, config: PageConfig) -> None:
        self._table = table
        chance, shares = self._table[:, :-1, 0], _shares(config, table.device)
        clean = self._table[:, -1, :1] < config.clean
        lowered = torch.tensor([1.0 if n in _KEPT else _CLEAN for n in _NAMES], device=table.device)
        # A page has an effect if its number is below the share, ratio < 1. Of more than ``most`` counted effects those
        # with the smallest ratios stay: a fair choice, whatever the shares are.
        ratio = chance / torch.where(clean, shares * lowered, shares).clamp(min=1e-9)
        counted = ratio[:, len(FREE) :]
        last = counted.sort(1).values[:, config.most - 1 : config.most] if config.most else -1
        has = (ratio < 1) & (shares > 0)
        self._has = torch.cat([has[:, : len(FREE)], has[:, len(FREE) :] & (counted <= last)], 1).float()

    def has(self, name: str) -> Tensor:
        """(N, 1, 1): 1 where a page has the effect, else 0."""
        return self._has[:, _NAMES.index(name), None, None]

    def numbers(self, name: str) -> tuple[Tensor, ...]:
        """The eleven uniform numbers in [0, 1) of the effect, each (N, 1, 1)."""
        return self._table[:, _NAMES.index(name), 1:, None, None].unbind(1)

    def count(self) -> Tensor:
        """(N,): how many of the counted effects each page has."""
        return self._has[:, len(FREE) :].sum(1)


def _shares(config: PageConfig, device: torch.device) -> Tensor:
    return torch.tensor([float(getattr(config, name)) for name in _NAMES], device=device)


class Grain(NamedTuple):
    """Two independent fields of white noise, (N, side, side) each: mean 0, deviation 1, no value beyond 2.45."""

    a: Tensor
    b: Tensor

    @classmethod
    def sample(cls, seeds: Tensor, side: int) -> Grain:
        """Sample both fields: for every pixel a 32-bit hash, whose four bytes are two sums of two bytes each.

        The hash is "lowbias32" (Wellons, "Prospecting for hash functions", 2018). Its right shifts are masked, since
        those of int32 copy the sign.
        """
        x = seeds[:, None] + torch.arange(side * side, dtype=torch.int32, device=seeds.device) * 0x1E3779B1
        x = x ^ ((x >> 16) & 0xFFFF)
        x = x * 0x7FEB352D
        x = x ^ ((x >> 15) & 0x1FFFF)
        x = (x * -0x7B935975).view(-1, side, side)
        x = x ^ ((x >> 16) & 0xFFFF)
        a = ((x & 0xFF) + ((x >> 8) & 0xFF) - 255).float() * (6**0.5 / 256)
        b = (((x >> 16) & 0xFF) + ((x >> 24) & 0xFF) - 255).float() * (6**0.5 / 256)
        return cls(a, b)

    def smooth(self, knots: int, start: int = 0) -> Tensor:
        """Smooth noise (N, side, side) of about unit deviation: cubic B-splines through ``knots`` x ``knots`` values.

        The values are those of ``a`` from row ``start`` on, so that different rows give independent fields.
        """
        side = self.a.shape[1]
        knots = min(knots, side - start)
        coarse = self.a[:, start : start + knots, :knots]
        spline = splines(side, knots, self.a.device)
        return spline @ coarse @ spline.T


def splines(side: int, knots: int, device: torch.device) -> Tensor:
    """(side, knots): a cubic B-spline's weights at each pixel, scaled so that noise keeps its deviation."""
    place = torch.linspace(0, knots - 1, side, device=device)
    t = (place[:, None] - torch.arange(knots, device=device)).abs()
    near = 2 / 3 - t.square() + t**3 / 2
    far = (2 - t).clamp(min=0) ** 3 / 6
    weights = torch.where(t < 1, near, far)
    return weights / weights.square().sum(1, keepdim=True).mean().sqrt()
