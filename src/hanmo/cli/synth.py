"""``hanmo synth``: draw a data set of handwriting, or a sheet to look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hanmo.errors import ConfigError

if TYPE_CHECKING:
    from hanmo.synth.recipe import SynthRecipe

_SHEET_WRITERS = 12


def synth(
    recipe: Annotated[Path | None, typer.Argument(help="TOML file that says what to draw.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The new pack, or with --show the PNG file.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Other handwriting of the same recipe.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change a key: per_character=20.")] = None,
    show: Annotated[str | None, typer.Option("--show", help="Draw these characters by many writers as a PNG.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the pack at --out.")] = False,
) -> None:
    """Draw handwriting from packaged stroke medians.

    Examples: hanmo synth recipes/synth-demo.toml --out packs/demo
              hanmo synth --show 宪容客 --out sheet.png
    """
    from hanmo.config import load_toml
    from hanmo.synth.recipe import SynthRecipe

    if out is None:
        raise ConfigError("synth: nowhere to draw to; add --out PACK, or --out sheet.png with --show")
    if recipe:
        plan = load_toml(recipe, SynthRecipe, settings or ())
    elif settings or not show:
        raise ConfigError("synth: no recipe named; try recipes/synth-demo.toml, or --show with some characters")
    else:
        plan = SynthRecipe(characters=show)
    if seed is not None:
        plan = replace(plan, seed=seed)
    if show:
        _draw_sheet(replace(plan, characters="".join(dict.fromkeys(show))), out)
    else:
        _draw_pack(plan, out, overwrite)


def _draw_pack(recipe: SynthRecipe, out: Path, overwrite: bool) -> None:
    from hanmo.cli.progress import reading
    from hanmo.cli.stopping import tidy_kill
    from hanmo.synth.recipe import synthesize

    with tidy_kill(), reading("drawing", len(recipe), by_samples=True) as (_, on_samples):
        pack = synthesize(recipe, out, on_progress=on_samples, overwrite=overwrite)
    typer.echo(f"{out}: {len(pack):,} samples of {len(pack.charset):,} characters by {len(pack.writers):,} writers")


def _draw_sheet(recipe: SynthRecipe, out: Path) -> None:
    """A row a character, a column a writer, the first of them perfectly neat."""
    from PIL import Image

    from hanmo.data.sheet import save_png
    from hanmo.synth.recipe import draw_sheet

    save_png(Image.fromarray(draw_sheet(recipe, _SHEET_WRITERS)), out)
    typer.echo(f"{out}: {len(recipe.charset())} characters by {_SHEET_WRITERS} writers, the first column neat")
