"""Bundles, recipes and weights that come with hanmo, by name.

``@NAME`` is a recipe where a recipe is wanted, and weights where a run is wanted; some names are both. Recipes lie in
``hanmo/recipes``, a folder a kind; no two of them share a name. Weights lie in ``hanmo/weights``.
"""

from __future__ import annotations

import difflib
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from hanmo.errors import ConfigError
from hanmo.files import exists

EMBEDDED = ("free", "nano", "wide", "wide-nano")
"""Bundles that come with the package: the default reader of level 1 and one of a sixth of its size; then two readers of
the 10,468 characters of the set "wide"."""
EMBEDDED_TEXT = "free (the default), nano, wide or wide-nano"
"""The same for help texts."""

MARK = "@"
"""The first character of the names of what comes with hanmo; the user's own files must not begin with it."""


def recipe_path(name: str | Path, kind: str | None = None) -> Path:
    """The file of a recipe: of ``@NAME`` the one that comes with hanmo, else the path as it is given.

    Files of older runs name recipes ``recipes/NAME.toml``; where there is no such file, it means ``@NAME``.
    Raises :class:`ConfigError` for an unknown ``@NAME``; it suggests recipes of ``kind`` (:func:`recipe_names`) only.
    """
    path = Path(name)
    known = _recipes()
    if str(name).startswith(MARK):
        return _chosen(str(name), known, "recipe", recipe_names(kind))
    if path.parent == Path("recipes") and not exists(path):
        return known.get(path.stem, path)
    return path


def run_path(name: str | Path) -> Path:
    """The folder of weights: of ``@NAME`` the one that comes with hanmo, else the path as it is given.

    Raises as :func:`recipe_path`. Older runs name weights ``benchmarks/runs/NAME``; where there are none, it means
    ``@NAME``.
    """
    path, known = Path(name), _weights()
    if str(name).startswith(MARK):
        return _chosen(str(name), known, "weights", sorted(known))
    # The folder itself may be there: it keeps the metrics of these trainings.
    if path.parent == Path("benchmarks/runs") and not any(path.glob("*.safetensors")):
        return known.get(path.name, path)
    return path


WEIGHTS_OF_BUNDLES = {"free": "pages-free", "nano": "pages-nano"}
"""The name of an embedded bundle -> that of the weights it was exported from, which a training can start from."""


def start_path(name: str) -> str:
    """The ``train.start`` of a recipe that ``--start NAME`` means.

    ``NAME`` is an embedded bundle (``free`` means ``@pages-free``), ``@NAME``, a run folder or a weights file. Raises
    :class:`ConfigError` for anything else; the message lists what comes with hanmo.
    """
    if name in WEIGHTS_OF_BUNDLES:  # before folders of the same name, as hanmo.Recognizer takes it
        return MARK + WEIGHTS_OF_BUNDLES[name]
    if name.startswith(MARK):
        run_path(name)
        return name
    if exists(Path(name, "bundle.json")):
        raise ConfigError(f"{name}: a bundle cannot be trained on; name the run that it was exported from")
    if not exists(Path(name)):
        listed = ", ".join([*WEIGHTS_OF_BUNDLES, *(MARK + key for key in sorted(_weights()))])
        raise ConfigError(f"{name}: no run folder and no weights that come with hanmo; there are: {listed}")
    return name


def with_current_names(text: str) -> str:
    """A recipe's text with ``@NAME`` in place of the paths of older runs, to compare an old recipe with a new one."""
    text = re.sub(r"\brecipes/([\w-]+)\.toml", rf"{MARK}\1", text)
    return re.sub(r"\bbenchmarks/runs/([\w-]+)", rf"{MARK}\1", text)


def with_former_names(text: str) -> str:
    """The text of a recipe for training, as it was before ``@NAME``: digests of finished results stay the same."""
    text = re.sub(rf"(?<!\"){MARK}([\w-]+)", r"recipes/\1.toml", text)  # "synth:@NAME" and comments
    return re.sub(rf"\"{MARK}([\w-]+)\"", r'"benchmarks/runs/\1"', text)  # train.start and teachers


def recipe_names(kind: str | None = None) -> list[str]:
    """The names, without ``@``, of the recipes of one kind that come with hanmo, or of all; sorted.

    Kinds are ``train``, ``distill``, ``bench``, ``search``, ``synth``, ``fonts``, and ``teacher`` for ONNX models.
    """
    return sorted(name for name, file in _recipes().items() if kind in (None, _kind(file)))


def list_recipes(kind: str) -> str:
    """One sentence for a help text: the recipes of one kind that come with hanmo."""
    return f"Recipes that come with hanmo: {', '.join(MARK + name for name in recipe_names(kind))}"


def _recipes() -> dict[str, Path]:
    return {file.stem: file for file in _folder("recipes").glob("*/*.toml")}


def _weights() -> dict[str, Path]:
    """The folders of weights that come with hanmo; an installation for serving alone may come without any."""
    weights = _folder("weights")
    return {folder.name: folder for folder in weights.iterdir() if folder.is_dir()} if weights.is_dir() else {}


@cache
def _kind(file: Path) -> str:
    """The kind of a recipe: its folder, but ``train`` also holds recipes of distillation and ONNX teachers."""
    if file.parent.name != "train":
        return file.parent.name
    lines = file.read_text(encoding="utf-8").splitlines()
    return "distill" if "[distill]" in lines else "train" if "[data]" in lines else "teacher"


def _folder(name: str) -> Path:
    return Path(str(files("hanmo").joinpath(name)))


def _chosen(name: str, known: dict[str, Path], what: str, suggested: list[str]) -> Path:
    bare = name.removeprefix(MARK)
    if bare in known:
        return known[bare]
    near = difflib.get_close_matches(bare, suggested, n=1, cutoff=0.5)
    hint = f"did you mean {MARK}{near[0]}?" if near else f"there are: {', '.join(MARK + key for key in suggested)}"
    raise ConfigError(f"{name}: no {what} of that name comes with hanmo; {hint}")
