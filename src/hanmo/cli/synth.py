"""``hanmo synth``: draw a data set of handwriting, or one sheet to look at."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hanmo.cli.ray_option import RayOption, cluster
from hanmo.errors import ArgumentError

if TYPE_CHECKING:
    from hanmo.synth.packs import PackParts
    from hanmo.synth.recipe import SynthRecipe

_SHEET_WRITERS = 12


def synth(
    recipe: Annotated[
        Path | None,
        typer.Argument(
            metavar="RECIPE",
            help="What to draw: a TOML file, or @NAME (see below). Optional with --show.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The pack to make; with --show the PNG file.")] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Another seed than the recipe's: other writers, other samples.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a key of the recipe: --set per_character=20 --set style.links=0.2."),
    ] = None,
    show: Annotated[
        str | None,
        typer.Option("--show", help=f"Draw these characters on one sheet, each by {_SHEET_WRITERS} writers."),
    ] = None,
    sheet: Annotated[
        bool,
        typer.Option(
            "--sheet", help="Draw photographs of whole sheets, with the truth of their cells, into --out FOLDER."
        ),
    ] = False,
    online: Annotated[
        bool,
        typer.Option("--online", help="Draw pen strokes into --out FOLDER: a .pot file of CASIA for each writer."),
    ] = False,
    count: Annotated[int, typer.Option("--count", min=1, max=100_000, help="With --sheet: how many.")] = 1,
    paper: Annotated[
        str | None, typer.Option("--paper", help="With --sheet: the paper (see below). Without it: each in turn.")
    ] = None,
    pages: Annotated[
        bool, typer.Option("--pages", help="With --show: on pages that look photographed or scanned.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the finished parts that a stopped run left in OUT.parts.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the pack, or the .pot files, at --out; OUT.parts stays.")
    ] = False,
    ray: RayOption = None,
) -> None:
    """Draw handwriting from stroke data and from glyphs of fonts: a pack, pen strokes, a picture, or sheets of cells.

    Examples: hanmo synth @synth-demo --out packs/demo
              hanmo synth --show 宪容客 --out sheet.png
              hanmo synth --show 宪容客 --pages --out pages.png
              hanmo synth --sheet --count 20 --paper tianzige --out sheets
              hanmo synth @synth-hwdb100-strokes --online --out strokes

    Papers: tianzige, mizige, squares, composition, red-squares, dashed, huigongge, exam, form, free, columns, light.
    """
    from hanmo.config import load_toml
    from hanmo.synth.recipe import SynthRecipe

    if out is None:
        raise ArgumentError(
            "synth: no output named; add --out PACK, --out sheet.png with --show, or --out FOLDER with --sheet or "
            "--online"
        )
    if sheet:
        if recipe or settings or show or pages or online or resume or overwrite or ray is not None:
            raise ArgumentError("synth: --sheet takes --count, --paper, --seed and --out alone; leave the rest out")
        _draw_sheets(out, count, seed or 0, paper)
        return
    if paper or count != 1:
        raise ArgumentError("synth: --paper and --count need --sheet; add it")
    if pages and not show:
        raise ArgumentError("synth: --pages needs --show; add --show with some characters")
    if online and (show or resume):
        raise ArgumentError("synth: --online draws a recipe's samples in one go; leave --show and --resume out")
    if ray is not None and (show or online):
        raise ArgumentError("synth: --ray draws packs; leave it out with --show and --online")
    if recipe:
        wanted = load_toml(recipe, SynthRecipe, settings or (), kind="synth")
    elif settings or not show:
        raise ArgumentError("synth: no recipe named; try @synth-demo, or --show with some characters")
    else:
        wanted = SynthRecipe(characters=show)
    if seed is not None:
        wanted = replace(wanted, seed=seed)
    if show:
        # Each character once, in the order given.
        _draw_sheet(replace(wanted, characters="".join(dict.fromkeys(show))), out, pages)
    elif online:
        _draw_online(wanted, out, overwrite)
    else:
        _draw_pack(wanted, out, overwrite, resume, ray)


def _draw_pack(recipe: SynthRecipe, out: Path, overwrite: bool, resume: bool, ray: str | None) -> None:
    from hanmo.cli.progress import reading
    from hanmo.cli.stopping import tidy_kill
    from hanmo.synth.over_ray import drawn_over_ray
    from hanmo.synth.packs import PackParts, synthesize

    parts = PackParts(recipe, out)
    before = at = parts.kept() if resume else 0
    try:
        with tidy_kill(), cluster(ray) as cores, reading("drawing", len(recipe)) as (advance, on_samples):
            # A resumed drawing begins where the kept parts end.
            advance(before)

            def report(done: int) -> None:
                nonlocal at
                # Parts kept from before are reported, too; the bar must not go back.
                if done > at:
                    advance(done - at)
                    on_samples(done - before)  # the rate is that of this run, without what an earlier one drew
                    at = done

            pack = synthesize(
                recipe,
                out,
                on_progress=report,
                overwrite=overwrite,
                resume=resume,
                elsewhere=partial(drawn_over_ray, recipe, actors=cores) if cores else None,
            )
    except KeyboardInterrupt:
        typer.echo(f"hanmo: stopped; {_describe_kept(parts)}", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{out}: {len(pack):,} samples of {len(pack.charset):,} characters by {len(pack.writers):,} writers")


def _draw_online(recipe: SynthRecipe, out: Path, overwrite: bool) -> None:
    from hanmo.cli.progress import reading
    from hanmo.cli.stopping import tidy_kill
    from hanmo.synth.online import write_online

    with tidy_kill(), reading("drawing", len(recipe), by_samples=True) as (_, on_samples):
        writers = write_online(recipe, out, on_progress=on_samples, overwrite=overwrite)
    samples, characters = len(recipe), len(recipe.charset())
    typer.echo(f"{out}: {samples:,} samples of {characters:,} characters, {writers:,} files, one for each writer")


def _draw_sheets(out: Path, count: int, seed: int, paper: str | None) -> None:
    from hanmo.cli.progress import reading
    from hanmo.synth.sheets.draw import write_sheet

    with reading("drawing", count, by_samples=True) as (_, on_samples):
        for number in range(count):
            write_sheet(out, seed, number, paper)
            on_samples(number + 1)
    typer.echo(f"{out}: {count:,} sheets, each a JPEG file with its truth in a JSON file beside it")


def _describe_kept(parts: PackParts) -> str:
    kept, total = parts.kept(), len(parts.recipe)
    if not kept:
        return f"nothing was kept: none of the {total:,} samples were in a finished part"
    return f"{kept:,} of {total:,} samples were kept in {parts.folder}; continue with the same command and --resume"


def _draw_sheet(recipe: SynthRecipe, out: Path, pages: bool) -> None:
    """A row for each character, a column for each writer; without pages the first column shows it without variation."""
    from PIL import Image

    from hanmo.data.sheet import save_png
    from hanmo.synth.samples import draw_pages, draw_sheet

    draw, how = (draw_pages, "on pages") if pages else (draw_sheet, "after a first column without variation")
    save_png(Image.fromarray(draw(recipe, _SHEET_WRITERS)), out)
    typer.echo(f"{out}: {len(recipe.charset())} characters by {_SHEET_WRITERS} writers, {how}")
