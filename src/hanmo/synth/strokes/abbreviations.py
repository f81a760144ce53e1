"""Components that hurried hands write in another way, and the places where they really stand.

A place is a run of strokes that looks like the component as printed; its shape decides, not a table of compositions.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import DataError
from hanmo.medians import Medians, Stroke, even_out, straighten_heads

Floats = NDArray[np.float32]

_POINTS = 8  # a stroke is compared at so many points
_ALIKE = 0.08  # mean distance of strokes that are the same, in units of the component's box, unless the table says
_UNLIKE = 0.3  # no single stroke may differ by more
_SQUEEZE = 2.2  # by how much the proportions of the box may differ
_FLATTEST = 0.2  # a box is not taken for flatter: the jitter of a single line must not fill it


class Component(NamedTuple):
    """``like`` are runs of a character's strokes, float32 (n, P, 2); ``forms`` are lists of strokes in the unit box.

    A run is the component when its strokes are on average nearer than ``alike`` to one of ``like``, in boxes.
    """

    name: str
    like: tuple[Floats, ...]
    forms: tuple[tuple[Stroke, ...], ...]
    alike: float = _ALIKE
    but: str = ""
    """Characters in which nothing is the component, whatever looks like it."""


class Site(NamedTuple):
    """In character number ``character`` the strokes ``first`` to ``stop`` are ``component`` (an index)."""

    character: int
    first: int
    stop: int
    component: int


@cache
def load_components(medians: Medians) -> tuple[Component, ...]:
    """The packaged table; raises :class:`DataError` when a line of it cannot be used."""
    text = files("hanmo.synth").joinpath("data", "abbreviations.toml").read_text(encoding="utf-8")
    return tuple(_component(entry, medians) for entry in tomllib.loads(text)["component"])


def _component(entry: Mapping[str, Any], medians: Medians) -> Component:
    name = entry["name"]
    try:
        return Component(
            name,
            tuple(_run(like, medians) for like in entry["like"]),
            tuple(tuple(_line(line) for line in form.split("|")) for form in entry["forms"]),
            float(entry.get("alike", _ALIKE)),
            str(entry.get("but", "")),
        )
    except (ValueError, IndexError, KeyError) as error:
        raise DataError(f"abbreviations.toml: component {name!r} is damaged ({error}); reinstall hanmo") from error


def _run(like: str, medians: Medians) -> Floats:
    character, run = like.split()
    first, stop = map(int, run.split(":"))
    strokes = medians.of(character)[first:stop]
    if len(strokes) != stop - first:
        raise ValueError(f"{character} has no strokes {run}")
    return comparable(strokes)


def _line(text: str) -> Stroke:
    line = np.array([[float(number) for number in point.split(",")] for point in text.split()], np.float32)
    if line.ndim != 2 or line.shape[1] != 2 or len(line) < 2:
        raise ValueError(f"{text.strip()!r} is no line")
    return line


def comparable(strokes: Sequence[Stroke]) -> Floats:
    """Strokes at :data:`_POINTS` points each, as :func:`find_sites` compares them."""
    return straighten_heads(even_out(list(strokes), _POINTS))


def find_sites(strokes: Floats, count: NDArray[np.int64], components: Sequence[Component]) -> list[Site]:
    """Every place of every component, in order of character and stroke, none overlapping another.

    ``strokes`` float32 (S, P, 2) from :func:`comparable`, ``count`` (C,) strokes a character. Of overlapping places
    the one with more strokes wins, then the more alike.
    """
    first = count.cumsum() - count
    owner = np.repeat(np.arange(len(count)), count)
    found: list[tuple[int, float, Site]] = []
    for length in sorted({len(run) for c in components for run in c.like}):
        begins = np.arange(len(strokes) - length + 1)
        begins = begins[owner[begins] == owner[begins + length - 1]]
        runs, proportions = boxed(strokes[begins[:, None] + np.arange(length)])
        for number, component in enumerate(components):
            distance = np.full(len(begins), np.inf, np.float32)
            for model in component.like:
                if len(model) == length:
                    distance = np.minimum(distance, _distance(runs, proportions, model))
            for at in np.flatnonzero(distance < component.alike):
                character = int(owner[begins[at]])
                start = int(begins[at] - first[character])
                found.append((-length, float(distance[at]), Site(character, start, start + length, number)))
    taken = np.zeros(len(strokes), bool)
    sites = []
    for _, _, site in sorted(found):
        run = slice(first[site.character] + site.first, first[site.character] + site.stop)
        if not taken[run].any():
            taken[run] = True
            sites.append(site)
    return sorted(sites)


def boxed(runs: Floats) -> tuple[Floats, Floats]:
    """Runs (R, n, P, 2) in units of their boxes about the boxes' middle, and log(width / height), (R,)."""
    low, high = runs.min((1, 2)), runs.max((1, 2))
    size = high - low
    size = np.maximum(size, _FLATTEST * size.max(1, keepdims=True))
    return (runs - ((low + high) / 2)[:, None, None]) / size[:, None, None], np.log(size[:, 0] / size[:, 1])


def _distance(runs: Floats, proportions: Floats, model: Floats) -> Floats:
    """How far runs (R, n, P, 2) are from a model (n, P, 2): the mean of strokes, infinite where one is quite other."""
    (inside,), (proportion,) = boxed(model[None])
    each = np.sqrt(np.square(runs - inside).sum(3)).mean(2)
    alike = (each.max(1) < _UNLIKE) & (np.abs(proportions - proportion) < np.log(_SQUEEZE))
    distance: Floats = np.where(alike, each.mean(1), np.inf).astype(np.float32)
    return distance
