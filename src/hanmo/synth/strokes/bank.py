"""The strokes of a charset and their abbreviated forms, as flat tables on a device.

A character is a sequence of *runs* of strokes. A run that is a known component has several *forms*: the printed one
first, then abbreviated ones (:mod:`hanmo.synth.strokes.abbreviations`); any other run has the printed form alone. So
characters, runs, forms and strokes are four tables, and each row of one owns successive rows of the next
(:class:`Ragged`). Flat tables can be indexed for thousands of characters at once, which lists cannot.

Shapes: C characters, R runs, F forms, S strokes of all forms, P points a stroke, L levels of parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hanmo.charset import Charset
from hanmo.medians import even_out, medians_for, straighten_heads
from hanmo.synth.strokes.abbreviations import Site, comparable, find_sites, load_components
from hanmo.synth.strokes.structure import StrokeGroups, group_strokes, shape_of

Floats = NDArray[np.float32]

POINTS = 16
"""Points of a stroke."""


class Ragged(NamedTuple):
    """Rows of different lengths: row i owns ``size[i]`` entries of the next table, from ``first[i]`` on."""

    first: Tensor
    size: Tensor

    @classmethod
    def of(cls, counts: Sequence[int], device: torch.device | str) -> Ragged:
        size = torch.tensor(counts, dtype=torch.int64, device=device)
        return cls(size.cumsum(0) - size, size)

    def entries(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The entries of the rows (n,), one row after another, and the index into ``rows`` that each belongs to."""
        size = self.size[rows]
        owner = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), size)
        nth = torch.arange(len(owner), device=rows.device) - (size.cumsum(0) - size)[owner]
        return self.first[rows][owner] + nth, owner


class Bank:
    """The tables of a charset. Raises :class:`CharsetError` naming every character without packaged strokes."""

    def __init__(self, charset: Charset, *, points: int = POINTS, device: torch.device | str = "cpu") -> None:
        characters = _characters(list(charset), points)
        runs = [run for character in characters for run in character]
        forms = [form for run in runs for form in run.forms]
        strokes = np.concatenate([form.strokes for form in forms])
        parts = [np.concatenate(column) for column in zip(*(form.parts for form in forms), strict=True)]
        shape = shape_of(strokes)

        def put(array: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        self.charset = charset
        self.runs = Ragged.of([len(character) for character in characters], device)
        self.forms = Ragged.of([len(run.forms) for run in runs], device)
        self.strokes = Ragged.of([len(form.strokes) for form in forms], device)
        self.component = put(np.array([run.component for run in runs]))
        """int64 (R,): the number of the component that a run is, -1 for none."""
        self.points, self.along, self.length = put(strokes), put(shape.along), put(shape.length)
        self.corners, self.hook = put(shape.corners), put(shape.hook)
        self.part, self.centre, self.size = map(put, parts)
        self.printed = put(np.concatenate([form.printed for form in forms]))
        """int64 (S,): the printed stroke, counted within its character, that a stroke is or abbreviates."""
        self.plain = put(np.concatenate([np.full(len(form.strokes), form.plain) for form in forms]))
        """bool (S,): whether it is a printed stroke, not one of an abbreviation."""


class _Form(NamedTuple):
    strokes: Floats
    parts: StrokeGroups
    printed: NDArray[np.int64]
    plain: bool


class _Run(NamedTuple):
    component: int
    forms: list[_Form]


def _characters(characters: list[str], points: int) -> list[list[_Run]]:
    """Cut each character into runs."""
    medians = medians_for(characters)
    strokes = medians.of_all(characters)
    every = [stroke for character in strokes for stroke in character]
    count = np.array([len(s) for s in strokes])
    components = load_components(medians)
    sites: dict[int, list[Site]] = {}
    for site in find_sites(comparable(every), count, components):
        if characters[site.character] not in components[site.component].but:
            sites.setdefault(site.character, []).append(site)
    shorter = [[even_out(list(form), points) for form in component.forms] for component in components]
    even = np.split(straighten_heads(even_out(every, points)), count.cumsum()[:-1])
    return [_runs(strokes, sites.get(i, []), shorter) for i, strokes in enumerate(even)]


def _runs(strokes: Floats, sites: list[Site], shorter: list[list[Floats]]) -> list[_Run]:
    """The runs of one character, strokes (S, P, 2)."""
    parts = group_strokes(strokes)
    runs, done = [], 0
    for site in [*sites, Site(0, len(strokes), len(strokes), -1)]:
        if done < site.first:
            runs.append(_Run(-1, [_plain(strokes, parts, slice(done, site.first))]))
        if site.component >= 0:
            plain = _plain(strokes, parts, slice(site.first, site.stop))
            forms = [_shorter(plain, form) for form in shorter[site.component]]
            runs.append(_Run(site.component, [plain, *forms]))
        done = site.stop
    return runs


def _shorter(plain: _Form, form: Floats) -> _Form:
    """A component's abbreviated form (n, P, 2), scaled from the unit square to the box of the printed strokes."""
    low, high = plain.strokes.min((0, 1)), plain.strokes.max((0, 1))
    nearest = plain.printed[np.arange(len(form)) * len(plain.strokes) // len(form)]
    return _Form(low + form * (high - low), _shared(plain.parts, len(form)), nearest, False)


def _plain(strokes: Floats, parts: StrokeGroups, run: slice) -> _Form:
    here = StrokeGroups(parts.number[run], parts.centre[run], parts.size[run])
    return _Form(strokes[run], here, np.arange(run.start, run.stop), True)


def _shared(parts: StrokeGroups, count: int) -> StrokeGroups:
    """The parts that all strokes of a run belong to, for the ``count`` strokes that are written instead."""
    number = np.where((parts.number == parts.number[:1]).all(0), parts.number[0], -1)
    return StrokeGroups(*(np.repeat(one[None], count, 0) for one in (number, parts.centre[0], parts.size[0])))
