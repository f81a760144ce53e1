"""docs/dependencies.md lists the run-time dependencies with their licences, as the installed packages name them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import load_script

SCRIPT = Path(__file__).parents[2] / "dev" / "list_dependencies.py"
PERMISSIVE = {"MIT", "MIT-CMU", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Zlib", "CC0-1.0"}
PERMISSIVE |= {"PSF-2.0", "BSL-1.0", "Apache-2.0 WITH LLVM-exception"}
KNOWN_OTHERS = {"tqdm": "MPL-2.0 AND MIT", "certifi": "MPL-2.0"}
"""Packages of extras that are not under permissive licences alone."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script(SCRIPT)


def test_the_table_has_what_is_installed(script: ModuleType) -> None:
    """Other systems and versions of Python need a part of the packages, and some a package less for an extra."""
    listed = {row.name: row for row in script.listed()}
    pinned = script.pinned()
    for row in script.rows():
        if pinned.get(row.name) != row.version:  # an environment that was not made by make
            continue
        there = listed.get(row.name)
        assert there is not None, f"{row.name} is missing; run: python dev/list_dependencies.py"
        assert (row.version, row.licence) == (there.version, there.licence), "run: python dev/list_dependencies.py"
        assert set(row.used_by) <= set(there.used_by), f"{row.name}; run: python dev/list_dependencies.py"


def test_every_direct_dependency_is_listed(script: ModuleType) -> None:
    names = {row.name for row in script.listed()}
    for group, wanted in script.requirements().items():
        for line in wanted:
            name = canonicalize_name(Requirement(line).name)
            assert name in names, f"{name} of {group} is missing; run: python dev/list_dependencies.py"


def test_every_listed_package_is_pinned_to_the_listed_version(script: ModuleType) -> None:
    pinned = script.pinned()
    assert {row.name: row.version for row in script.listed()} == {row.name: pinned[row.name] for row in script.listed()}


def test_licences_are_permissive(script: ModuleType) -> None:
    others = {}
    for row in script.listed():
        parts = row.licence.replace(" AND ", " OR ").split(" OR ")
        if not set(parts) <= PERMISSIVE:
            others[row.name] = row.licence
            assert "base" not in row.used_by
    assert others == KNOWN_OTHERS


def test_unknown_words_for_a_licence_are_an_error(script: ModuleType) -> None:
    class Metadata(dict[str, str]):
        def get_all(self, key: str) -> list[str]:
            return ["License :: OSI Approved :: Some New License"]

    class Package:
        metadata = Metadata(Name="strange", License="Some words")

    with pytest.raises(SystemExit, match="strange: licence 'Some words'"):
        script.licence_of(Package())
