"""Write docs/dependencies.md: the packages that hanmo uses at run time, with their licences.

    python dev/list_dependencies.py    in the environment of make test RAY=1; a test checks that it is up to date

Names and versions come from the metadata of the installed packages, from the requirements in pyproject.toml on. A
package whose metadata names its licence in words that this script does not know is an error: somebody must look at it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "dependencies.md"
PINNED = ROOT / "constraints" / "pinned.txt"
BASE = "base"
EXTRAS = ("serve", "train", "fonts", "search", "parquet", "ray")
"""The extras that users install. `gpu` is left out: it replaces ONNX Runtime and needs NVIDIA's own libraries, which
NVIDIA licenses; the extras for developers are left out, too."""

SPDX = {
    "MIT": "MIT",
    "MIT License": "MIT",
    "Apache 2.0": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD": "BSD",  # the metadata does not say which of the BSD licences
    "BSD License": "BSD",
    "ISC License": "ISC",
    "MPL-2.0": "MPL-2.0",
    "MPL-2.0 AND MIT": "MPL-2.0 AND MIT",
    "Python Software Foundation License": "PSF-2.0",
}
"""Words of older metadata, which do not use SPDX expressions -> the expression."""

HEAD = """# Run-time dependencies

<!-- Written by dev/list_dependencies.py; do not edit. -->

The packages that hanmo installs, those of its extras, and the packages that these need in turn: with the versions of
`constraints/pinned.txt`, on Linux with a CPU. The licences are those that the packages' metadata name, as SPDX
expressions; `BSD` stands where the metadata do not say which of the BSD licences. Wheels such as those of NumPy,
Pillow, ONNX Runtime and PyTorch hold further libraries, whose notices lie in the wheels.

`make sbom` writes the list of an installation in the CycloneDX format.

| package | version | licence | used by |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """One package: its name, version, licence, and which installations use it (``base`` or the names of extras)."""

    name: str
    version: str
    licence: str
    used_by: tuple[str, ...]

    def __str__(self) -> str:
        return f"| {self.name} | {self.version} | {self.licence} | {', '.join(self.used_by)} |"


def requirements() -> dict[str, list[str]]:
    """The requirements in pyproject.toml of the base installation and of each extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {BASE: project["dependencies"]} | {extra: project["optional-dependencies"][extra] for extra in EXTRAS}


def closure(wanted: list[str]) -> Iterator[Distribution]:
    """The installed packages that ``wanted`` lead to, each once. Packages that are not installed are left out."""
    todo, seen = [(line, "") for line in wanted], set()
    while todo:
        line, extra = todo.pop()
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        key = name, frozenset(requirement.extras)
        if key in seen or (requirement.marker and not requirement.marker.evaluate({"extra": extra})):
            continue
        seen.add(key)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        yield found
        todo += [(inner, of) for inner in found.requires or [] for of in ("", *requirement.extras)]


def licence_of(package: Distribution) -> str:
    """The licence as an SPDX expression. Raises :class:`SystemExit` for words that are not in :data:`SPDX`."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    # Some packages have the whole text in this field; then the classifiers count.
    if short := SPDX.get(metadata.get("License", "")):
        return short
    prefix = "License :: OSI Approved :: "
    named = [line.removeprefix(prefix) for line in metadata.get_all("Classifier") or [] if line.startswith(prefix)]
    if not named or not set(named) <= set(SPDX):
        raise SystemExit(f"{metadata['Name']}: licence {metadata.get('License', '')[:60]!r} {named}; add it to SPDX")
    return " OR ".join(SPDX[name] for name in named)


def rows() -> list[Row]:
    """The rows of all packages that are installed here, by name."""
    users: dict[str, list[str]] = {}
    packages: dict[str, Distribution] = {}
    for group, wanted in requirements().items():
        for package in closure(wanted):
            name = canonicalize_name(package.metadata["Name"])
            packages[name] = package
            if group not in users.setdefault(name, []):
                users[name].append(group)
    return [
        # The local part, as in 2.13.0+cpu, names the build and not the version.
        Row(name, packages[name].version.partition("+")[0], licence_of(packages[name]), tuple(users[name]))
        for name in sorted(packages)
    ]


def listed() -> list[Row]:
    """The rows of the written table."""
    cells = [line.strip("| ").split(" | ") for line in TARGET.read_text(encoding="utf-8").splitlines()]
    return [Row(*row[:3], tuple(row[3].split(", "))) for row in cells if len(row) == 4 and row[0] != "package"]


def pinned() -> dict[str, str]:
    """The versions in constraints/pinned.txt, by name."""
    lines = re.findall(r"^([\w.-]+)==(\S+)", PINNED.read_text(encoding="utf-8"), re.M)
    return {canonicalize_name(name): version for name, version in lines}


def main() -> None:
    TARGET.write_text(HEAD + "".join(f"{row}\n" for row in rows()), encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {len(listed())} packages")


if __name__ == "__main__":
    main()
