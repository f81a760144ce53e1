"""The random numbers behind pages: which ingredients a page has, and noise for every pixel of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hanmo.synth.noise import derive, uniform
from hanmo.synth.paper.config import COUNTED, FREE, PageConfig

_NAMES = (*FREE, *COUNTED)
_LANES = 12  # numbers of each ingredient: one decides whether a page has it, the others how
_CLEAN = 0.1  # what is left of the shares on clean pages ...
_KEPT = ("place", "turned", "pen")  # ... but of these


def page_numbers(keys: Tensor) -> tuple[Tensor, Tensor]:
    """What :class:`Draws` and :class:`Grain` are made from: uniform numbers (N, K, L), and int32 seeds (N,)."""
    keys = derive(keys, -30)  # other numbers than those of the hand that wrote, should it have the same keys
    table = uniform(keys, _LANES * (len(_NAMES) + 1)).view(len(keys), -1, _LANES)
    return table, (derive(keys, -31) >> 32).to(torch.int32)


class Draws:
    """Which ingredients N pages have, and the numbers that say how."""

    def __init__(self, table: Tensor, config: PageConfig) -> None:
        self._table = table
        chance, shares = self._table[:, :-1, 0], _shares(config, table.device)
        clean = self._table[:, -1, :1] < config.clean
        lowered = torch.tensor([1.0 if n in _KEPT else _CLEAN for n in _NAMES], device=table.device)
        ratio = chance / torch.where(clean, shares * lowered, shares).clamp(min=1e-9)
        counted = ratio[:, len(FREE) :]
        last = counted.sort(1).values[:, config.most - 1 : config.most] if config.most else -1
        has = (ratio < 1) & (shares > 0)
        self._has = torch.cat([has[:, : len(FREE)], has[:, len(FREE) :] & (counted <= last)], 1).float()

    def has(self, name: str) -> Tensor:
        """(N, 1, 1): 1 where a page has the ingredient, else 0."""
        return self._has[:, _NAMES.index(name), None, None]

    def numbers(self, name: str) -> tuple[Tensor, ...]:
        """Eleven numbers in [0, 1), each (N, 1, 1), that belong to the ingredient."""
        return self._table[:, _NAMES.index(name), 1:, None, None].unbind(1)

    def count(self) -> Tensor:
        """(N,): how many ingredients that count each page has."""
        return self._has[:, len(FREE) :].sum(1)


def _shares(config: PageConfig, device: torch.device) -> Tensor:
    return torch.tensor([float(getattr(config, name)) for name in _NAMES], device=device)


class Grain(NamedTuple):
    """Two independent fields of noise (N, side, side), each of mean 0, deviation 1 and within 2.45."""

    a: Tensor
    b: Tensor

    @classmethod
    def draw(cls, seeds: Tensor, side: int) -> Grain:
        """A hash of 32 bits for every pixel; each field is the sum of two bytes of it.

        The hash is "lowbias32" of C. Wellons, "Prospecting for hash functions", 2018.
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
        """Smooth noise (N, side, side) of about unit deviation: ``knots`` squared values of ``a`` from row ``start``
        on, and cubic B-splines between them."""
        side = self.a.shape[1]
        knots = min(knots, side - start)
        coarse = self.a[:, start : start + knots, :knots]
        spline = splines(side, knots, self.a.device)
        return spline @ coarse @ spline.T


def splines(side: int, knots: int, device: torch.device) -> Tensor:
    """(side, knots): the weight of each knot at each pixel, scaled so that noise keeps about its deviation."""
    place = torch.linspace(0, knots - 1, side, device=device)
    t = (place[:, None] - torch.arange(knots, device=device)).abs()
    near = 2 / 3 - t.square() + t**3 / 2
    far = (2 - t).clamp(min=0) ** 3 / 6
    weights = torch.where(t < 1, near, far)
    return weights / weights.square().sum(1, keepdim=True).mean().sqrt()
