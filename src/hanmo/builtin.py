"""Recipes and weights that come with hanmo, by name: ``@student`` is a recipe, ``@flagship`` are weights.

Recipes lie in ``hanmo/recipes``, a folder a kind; no two of them share a name. Weights lie in ``hanmo/weights``.
"""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path

from hanmo.errors import ConfigError

MARK = "@"
"""The first character of the names of what comes with hanmo; the user's own files must not begin with it."""


def recipe_path(name: str | Path) -> Path:
    """The file of a recipe: of ``@NAME`` the one that comes with hanmo, else the path as it is given.

    Files of older runs name recipes ``recipes/NAME.toml``; where there is no such file, it means ``@NAME``.
    Raises :class:`ConfigError` that names the nearest one for an unknown ``@NAME``.
    """
    path = Path(name)
    known = {file.stem: file for file in _folder("recipes").glob("*/*.toml")}
    if str(name).startswith(MARK):
        return _chosen(str(name), known, "recipe")
    if path.parent == Path("recipes") and not path.exists():
        return known.get(path.stem, path)
    return path


def run_path(name: str | Path) -> Path:
    """The folder of weights: of ``@NAME`` the one that comes with hanmo, else the path as it is given.

    Raises as :func:`recipe_path`; ``benchmarks/runs/NAME`` that is not there means ``@NAME``.
    """
    path = Path(name)
    known = {folder.name: folder for folder in _folder("weights").iterdir() if folder.is_dir()}
    if str(name).startswith(MARK):
        return _chosen(str(name), known, "weights")
    if path.parent == Path("benchmarks/runs") and not path.exists():
        return known.get(path.name, path)
    return path


def _folder(name: str) -> Path:
    return Path(str(files("hanmo").joinpath(name)))


def _chosen(name: str, known: dict[str, Path], what: str) -> Path:
    bare = name.removeprefix(MARK)
    if bare in known:
        return known[bare]
    near = difflib.get_close_matches(bare, known, n=1, cutoff=0.5)
    hint = f"did you mean {MARK}{near[0]}?" if near else f"there are: {', '.join(MARK + key for key in sorted(known))}"
    raise ConfigError(f"{name}: no {what} of that name comes with hanmo; {hint}")
