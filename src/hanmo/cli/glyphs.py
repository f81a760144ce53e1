"""``hanmo glyphs``: make a bank of glyphs from fonts, or show what is in one."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hanmo.errors import ArgumentError

if TYPE_CHECKING:
    from hanmo.synth.fonts.bank import GlyphBank

_SUFFIX = ".glyphs"


def glyphs(
    source: Annotated[
        Path,
        typer.Argument(help="The fonts: a TOML file, or @NAME (see below); or a bank, to show what is in it."),
    ],
    fonts: Annotated[Path | None, typer.Option("--fonts", help="The folder with the fonts' unpacked packages.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The bank to make; for a bank, the PNG file of --show.")
    ] = None,
    add: Annotated[
        Path | None, typer.Option("--add", help="Add the glyphs of this bank to the new one, or to the one named.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a key of the TOML file: --set side=96.")
    ] = None,
    show: Annotated[str, typer.Option("--show", help="Draw these characters in every font on one sheet.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Draw the characters of many fonts into one small file, a bank of glyphs, for the [mix] of `hanmo synth`.

    Examples: hanmo glyphs @fonts --fonts FOLDER --out fonts.glyphs
              hanmo glyphs @fonts-wide --fonts FOLDER --add fonts.glyphs --out wide.glyphs
              hanmo glyphs fonts.glyphs --show 宪容客 --out sheet.png
    """
    from hanmo.synth.fonts.bank import GlyphBank

    if source.suffix.lower() == _SUFFIX:
        if fonts or settings:
            raise ArgumentError(
                f"{source}: a bank needs neither --fonts nor --set; to make one, name the TOML file of its fonts"
            )
        if out and not show and not add:
            raise ArgumentError(f"{source}: --out {out} needs --show; add --show CHARACTERS")
        bank, sheet = GlyphBank.open(source), out
    else:
        bank, sheet = _build(source, fonts, out, settings or [])
    if add:
        bank, sheet = _join(add, bank, out)
    if show:
        _draw_sheet(bank, show, sheet)
    _report(bank, as_json)


def _build(source: Path, fonts: Path | None, out: Path | None, settings: list[str]) -> tuple[GlyphBank, Path]:
    """Make a bank; returns it and the path of its sheet, which lies beside it."""
    from hanmo.atomic import require_suffix
    from hanmo.cli.progress import reading
    from hanmo.cli.stopping import tidy_kill
    from hanmo.config import load_toml
    from hanmo.synth.fonts.build import build_bank
    from hanmo.synth.fonts.recipe import FontsRecipe

    if fonts is None or out is None:
        raise ArgumentError(f"glyphs: add --fonts FOLDER, which has the fonts, and --out FILE{_SUFFIX}")
    target = require_suffix(out, _SUFFIX)
    recipe = load_toml(source, FontsRecipe, settings, kind="fonts")
    with tidy_kill(), reading("drawing", recipe.steps, by_samples=True) as (_, on_samples):
        bank = build_bank(recipe, fonts, target, on_progress=on_samples)
    # A sheet goes beside the new bank, as --out names the bank itself.
    return bank, target.with_suffix(".png")


def _join(first: Path, second: GlyphBank, out: Path | None) -> tuple[GlyphBank, Path]:
    """Write the glyphs of both banks to ``out``; returns the new bank and the path of its sheet."""
    from hanmo.atomic import require_suffix
    from hanmo.synth.fonts.bank import GlyphBank
    from hanmo.synth.fonts.join import join_banks

    if out is None:
        raise ArgumentError(f"glyphs: add --out FILE{_SUFFIX}, where the glyphs of both banks go")
    target = require_suffix(out, _SUFFIX)
    return join_banks(GlyphBank.open(first), second, target), target.with_suffix(".png")


def _draw_sheet(bank: GlyphBank, characters: str, out: Path | None) -> None:
    """A row for each font, a column for each character; an empty square where the font lacks it."""
    import numpy as np

    from hanmo.data.sheet import contact_sheet, save_png

    if out is None:
        raise ArgumentError("glyphs: no output named for --show; add --out sheet.png")
    chosen = list(dict.fromkeys(characters))
    rows = {(int(f), int(c)): i for i, (f, c) in enumerate(zip(bank.font, bank.label, strict=True))}
    # Row by row as the sheet shows them; -1 where a font lacks the character.
    wanted = [rows.get((f, int(c)), -1) for f in range(len(bank.fonts)) for c in bank.charset.encode(chosen)]
    pictures = np.zeros((len(wanted), bank.side, bank.side), np.uint8)
    there = np.array(wanted) >= 0
    pictures[there] = bank.pictures(np.array(wanted)[there])
    captions = [f"{character}\n{font.name}" for font in bank.fonts for character in chosen]
    save_png(contact_sheet(pictures, captions, columns=len(chosen), cell=bank.side, scale=1), out)
    typer.echo(out, err=True)


def _report(bank: GlyphBank, as_json: bool) -> None:
    size = bank.path.stat().st_size
    facts = {
        "bank": str(bank.path),
        "glyphs": len(bank),
        "classes": len(bank.charset),
        "side": bank.side,
        "bytes": size,
        "digest": bank.digest,
    }
    if as_json:
        sys.stdout.write(json.dumps(facts | {"fonts": [asdict(f) for f in bank.fonts]}, ensure_ascii=False) + "\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # a string would be read as markup

    table = Table(box=None, pad_edge=False)
    for heading in ("font", "glyphs", "variants dropped", "missing", "licence"):
        table.add_column(heading, justify="left" if heading in ("font", "licence") else "right")
    for font in bank.fonts:
        counts = (f"{n:,}" for n in (font.glyphs, font.variants, font.missing))
        table.add_row(Text(font.name), *counts, Text(font.licence))
    Console().print(table)
    typer.echo(f"{bank.path}: {len(bank):,} glyphs of {len(bank.fonts)} fonts, {size / 1e6:.1f} MB")
