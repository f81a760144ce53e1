"""``hanmo synth``: draw a data set of handwriting, or a sheet to look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hanmo.errors import ConfigError

if TYPE_CHECKING:
    from hanmo.synth.recipe import PackParts, SynthRecipe

_SHEET_WRITERS = 12


def synth(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="RECIPE", help="TOML file that says what to draw; --show needs none.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The new pack, or with --show the PNG file.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Other handwriting of the same recipe.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a key of the recipe, as in --set per_character=20.")
    ] = None,
    show: Annotated[
        str | None,
        typer.Option("--show", help=f"Draw these characters, neatly and by {_SHEET_WRITERS} writers, as a PNG."),
    ] = None,
    pages: Annotated[bool, typer.Option("--pages", help="With --show: on pages, as photographed and scanned.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from what a stopped drawing left in OUT.parts, if there is any.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the pack (not the parts) at --out.")] = False,
) -> None:
    """Draw handwriting, from strokes and from the glyphs of fonts, into a pack or onto a sheet.

    Examples: hanmo synth @synth-demo --out packs/demo
              hanmo synth --show 宪容客 --out sheet.png
              hanmo synth --show 宪容客 --pages --out pages.png
    """
    from hanmo.config import load_toml
    from hanmo.synth.recipe import SynthRecipe

    if out is None:
        raise ConfigError("synth: nowhere to draw to; add --out PACK, or --out sheet.png with --show")
    if pages and not show:
        raise ConfigError("synth: --pages shows pages; add --show with some characters")
    if recipe:
        plan = load_toml(recipe, SynthRecipe, settings or ())
    elif settings or not show:
        raise ConfigError("synth: no recipe named; try @synth-demo, or --show with some characters")
    else:
        plan = SynthRecipe(characters=show)
    if seed is not None:
        plan = replace(plan, seed=seed)
    if show:
        _draw_sheet(replace(plan, characters="".join(dict.fromkeys(show))), out, pages)
    else:
        _draw_pack(plan, out, overwrite, resume)


def _draw_pack(recipe: SynthRecipe, out: Path, overwrite: bool, resume: bool) -> None:
    from hanmo.cli.progress import reading
    from hanmo.cli.stopping import tidy_kill
    from hanmo.synth.recipe import PackParts, synthesize

    parts = PackParts(recipe, out)
    before = at = parts.kept() if resume else 0
    try:
        with tidy_kill(), reading("drawing", len(recipe)) as (advance, on_samples):
            advance(before)

            def tell(done: int) -> None:
                nonlocal at
                if done > at:
                    advance(done - at)
                    on_samples(done - before)  # a rate of what was drawn long ago would be none
                    at = done

            pack = synthesize(recipe, out, on_progress=tell, overwrite=overwrite, resume=resume)
    except KeyboardInterrupt:
        typer.echo(f"hanmo: stopped; {_left(parts)}", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{out}: {len(pack):,} samples of {len(pack.charset):,} characters by {len(pack.writers):,} writers")


def _left(parts: PackParts) -> str:
    kept, total = parts.kept(), len(parts.recipe)
    if not kept:
        return f"nothing is kept, as no part of the {total:,} samples was complete"
    return f"{kept:,} of {total:,} samples are kept in {parts.folder}; go on with the same command and --resume"


def _draw_sheet(recipe: SynthRecipe, out: Path, pages: bool) -> None:
    """A row a character, a column a writer; without pages the first column is perfectly neat."""
    from PIL import Image

    from hanmo.data.sheet import save_png
    from hanmo.synth.recipe import draw_pages, draw_sheet

    draw, how = (draw_pages, "on pages") if pages else (draw_sheet, "the first column neat")
    save_png(Image.fromarray(draw(recipe, _SHEET_WRITERS)), out)
    typer.echo(f"{out}: {len(recipe.charset())} characters by {_SHEET_WRITERS} writers, {how}")
