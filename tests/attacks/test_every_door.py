"""Every door, given damaged files: each is taken, or refused in one line, in little time and memory."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from pathlib import Path

import pytest

from attacks.budget import budget
from attacks.damage import flips, lying_sizes, mixtures, prefixes
from attacks.doors import DOORS, enter, good

SEEDS = Path(__file__).parent / "seeds"
KINDS = {
    "prefixes": lambda door, number: prefixes(good(door), number),
    "flips": lambda door, number: flips(good(door), number),
    "mixtures": lambda door, number: mixtures(door, number),
    "lying sizes": lambda door, number: lying_sizes(good(door), number),
}
CHECKED = ("extension", "net", "safetensors")
"""Formats of which no beginning is a whole file, so that every prefix must be refused."""


def attack(door: str, files: Iterator[bytes]) -> list[bool]:
    enter(door, good(door))  # what is imported at the first file is no cost of the damaged one
    taken = []
    for data in files:
        with budget():
            taken.append(enter(door, data))
    return taken


@pytest.mark.parametrize("door", DOORS)
def test_the_good_file_is_taken(door: str) -> None:
    assert enter(door, good(door))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("door", DOORS)
def test_some_of_each_kind_of_damage(door: str, kind: str) -> None:
    taken = attack(door, KINDS[kind](door, 60))
    assert len(taken) >= min(60, len(good(door)))
    if kind == "prefixes" and door in CHECKED:
        assert not any(taken)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("door", DOORS)
def test_all_of_each_kind_of_damage(door: str, kind: str) -> None:
    """Every prefix, and 2,000 of each other kind."""
    attack(door, KINDS[kind](door, len(good(door)) if kind == "prefixes" else 2000))


@pytest.mark.parametrize("door", DOORS)
def test_what_the_fuzzer_found_stays_mended(door: str) -> None:
    """The seeds are inputs by which the fuzzer reached new code, and those by which it found defects."""
    attack(door, (file.read_bytes() for file in sorted((SEEDS / door).glob("*"))))


def test_the_seeds_are_no_part_of_the_package() -> None:
    assert not importlib.resources.files("hanmo").joinpath("seeds").is_dir()
