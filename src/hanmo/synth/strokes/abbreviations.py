"""Components that hurried hands abbreviate, such as 讠 or 口, and the characters and strokes in which they occur.

A component occurs where successive strokes of a character look like it. The shape decides, not a table of how
characters are composed: such tables do not say which strokes a component has, nor whether it is printed in that form.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.errors import InstallationError
from hanmo.medians import Medians, Stroke, even_out, straighten_heads

Floats = NDArray[np.float32]

_POINTS = 8  # points at which strokes are compared
_ALIKE = 0.08  # mean distance up to which strokes are the same, in units of the component's box; the table may override
_UNLIKE = 0.3  # a single stroke further away than this is another one, however alike the rest is
_SQUEEZE = 2.2  # the proportions of both boxes may differ by this factor
_FLATTEST = 0.2  # a box counts as no flatter than this, so that the jitter of a single line does not fill it


class Component(NamedTuple):
    """One entry of the table.

    ``like`` are examples of the printed component, float32 (n, P, 2) each; ``forms`` are abbreviated forms, each a list
    of strokes in the unit box. A run of strokes is the component if its mean distance to an example is below ``alike``,
    in units of the box.
    """

    name: str
    like: tuple[Floats, ...]
    forms: tuple[tuple[Stroke, ...], ...]
    alike: float = _ALIKE
    but: str = ""
    """Characters that do not have the component, although strokes of them look like it."""


class Site(NamedTuple):
    """An occurrence: in a character (number) the strokes ``first`` to ``stop`` are a component (number)."""

    character: int
    first: int
    stop: int
    component: int


@cache
def load_components(medians: Medians) -> tuple[Component, ...]:
    """The packaged table ``data/abbreviations.toml``. Raises :class:`InstallationError` for a damaged entry."""
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
        raise InstallationError(
            f"abbreviations.toml: component {name!r} is damaged ({error}); reinstall hanmo"
        ) from error


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
    """Resample strokes to what :func:`find_sites` compares: float32 (S, 8, 2), without slanted heads."""
    return straighten_heads(even_out(list(strokes), _POINTS))


def find_sites(strokes: Floats, count: NDArray[np.int64], components: Sequence[Component]) -> list[Site]:
    """Find every occurrence of every component, in the order of characters and strokes, without overlaps.

    ``strokes`` float32 (S, P, 2) are :func:`comparable` ones of all characters, ``count`` int64 (C,) says how many each
    character has. Of overlapping occurrences the one with more strokes wins, then the nearer one.
    """
    first = count.cumsum() - count
    owner = np.repeat(np.arange(len(count)), count)
    found: list[tuple[int, float, Site]] = []
    # All runs of one length are compared at once; a run must not cross into the next character.
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
    taken = np.zeros(len(strokes), bool)  # strokes that belong to an occurrence already
    sites = []
    for _, _, site in sorted(found):
        run = slice(first[site.character] + site.first, first[site.character] + site.stop)
        if not taken[run].any():
            taken[run] = True
            sites.append(site)
    return sorted(sites)


def boxed(runs: Floats) -> tuple[Floats, Floats]:
    """Runs (R, n, P, 2), centred and scaled to unit boxes, and the logarithm of each box's width over height, (R,)."""
    low, high = runs.min((1, 2)), runs.max((1, 2))
    size = high - low
    size = np.maximum(size, _FLATTEST * size.max(1, keepdims=True))
    return (runs - ((low + high) / 2)[:, None, None]) / size[:, None, None], np.log(size[:, 0] / size[:, 1])


def _distance(runs: Floats, proportions: Floats, model: Floats) -> Floats:
    """Mean distance of the strokes of runs (R, n, P, 2) from an example (n, P, 2); infinite where one is too unlike."""
    (inside,), (proportion,) = boxed(model[None])
    each = np.sqrt(np.square(runs - inside).sum(3)).mean(2)
    alike = (each.max(1) < _UNLIKE) & (np.abs(proportions - proportion) < np.log(_SQUEEZE))
    distance: Floats = np.where(alike, each.mean(1), np.inf).astype(np.float32)
    return distance
