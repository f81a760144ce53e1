"""``hanmo read``: read photographs of sheets with one character in each box."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, cast, get_args

import typer

from hanmo.cli.reading_options import AmongOption, BundleOption, DeviceOption
from hanmo.cli.recognize import STDIN, Picture, find_pictures, message_of
from hanmo.errors import ArgumentError, ImageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hanmo.onnxfile import Device
    from hanmo.recognizer import Recognizer
    from hanmo.sheets.against import Difference, Kind
    from hanmo.sheets.order import Direction
    from hanmo.sheets.sheet import Sheet

_DIRECTIONS = "rows, columns or columns-right-to-left"
_TOP = 10
"""Candidates of a cell: what the table and JSON hold, and what context chooses among."""
_TURNED = {90: "lies on its left side", 180: "is upside down", 270: "lies on its right side"}


def read(
    sheets: Annotated[
        list[Path],
        typer.Argument(
            metavar="SHEET...",
            help="Photographs or scans of sheets with a character in each box, folders of them, or - for the standard "
            "input.",
        ),
    ],
    direction: Annotated[
        str, typer.Option("--direction", metavar="DIRECTION", help=f"The order of reading: {_DIRECTIONS}.")
    ] = "rows",
    context: Annotated[
        bool,
        typer.Option("--context", help="Choose among a cell's candidates what makes words with its neighbours."),
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            "--against", metavar="TEXT", help="Show where the sheet differs from this text, or @FILE with it."
        ),
    ] = None,
    bundle: BundleOption = None,
    among: AmongOption = "",
    device: DeviceOption = "cpu",
    overlay: Annotated[
        Path | None,
        typer.Option(
            "--overlay", metavar="PNG", help="Draw the cells and characters over the photograph; a folder for several."
        ),
    ] = None,
    as_text: Annotated[bool, typer.Option("--text", help="Print the text. This is the default.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a table with a row for each cell.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each sheet.")] = False,
) -> None:
    """Read sheets with one character in each box: practice sheets, composition paper, exam cards, forms.

    The boxes are found, also where the sheet is photographed aslant, bent or upside down. In the text a box with ink
    that is not read, or was crossed out, is □. What the reader sees is printed unchanged; --context lets neighbours
    decide among its candidates. A file that cannot be read is reported in its place, and the exit status is 2.

    Examples: hanmo read page.jpg --overlay seen.png; hanmo read scans/ --csv; hanmo read page.jpg --against @poem.txt
    """
    from hanmo.recognizer import Recognizer
    from hanmo.sheets.against import characters_of

    if as_text + as_csv + as_json > 1:
        raise ArgumentError("read: --text, --csv and --json exclude each other; give one of them")
    asked = _Asked(
        _direction(direction), context, among or None, None if against is None else characters_of(_text_of(against))
    )
    named = find_pictures(sheets)
    targets = _targets(overlay, named)
    reader = Recognizer(bundle, device=cast("Device", device))
    if asked.among:
        reader.check_among(asked.among)
    failed = 0
    for number, picture in enumerate(named):
        try:
            outcome = _read(reader, picture, asked)
        except ImageError as error:
            if len(named) == 1 and not as_json:
                raise
            failed += 1
            _print_error(picture, error, as_json=as_json)
            continue
        if as_json:
            _print_json(picture, outcome)
        elif as_csv:
            _print_csv(picture, outcome.sheet, head=not number)
        else:
            _print_text(picture, outcome, several=len(named) > 1)
        _print_remarks(picture, outcome.sheet)
        if targets:
            _draw(outcome, targets[number])
    if failed:
        typer.echo(f"hanmo: {failed} of {len(named)} sheets could not be read", err=True)
        raise typer.Exit(2)


class _Asked(NamedTuple):
    """How all sheets are read, and the text that they are compared with."""

    direction: Direction
    context: bool
    among: str | None
    expected: str | None


class _Outcome(NamedTuple):
    """A sheet that was read, its picture uint8 (H, W, 3), and where it differs from the given text."""

    sheet: Sheet
    pixels: NDArray[np.uint8]
    differences: list[Difference] | None


def _direction(given: str) -> Direction:
    from hanmo.sheets.order import Direction

    if given not in get_args(Direction):
        raise ArgumentError(f"read: --direction {given} is unknown; one of {_DIRECTIONS}")
    return cast("Direction", given)


def _text_of(given: str) -> str:
    """The text of ``--against``: itself, or that of a file @FILE."""
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a zero byte in the path
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise ArgumentError(f"read: --against {given}: cannot be read ({reason}); name a text file in UTF-8") from error


def _targets(overlay: Path | None, pictures: list[Picture]) -> list[Path]:
    """Where the overlay of each sheet goes; raises :class:`ArgumentError` before anything is read."""
    from hanmo.data.sheet import check_png

    if overlay is None:
        return []
    if overlay.is_dir():
        targets = [overlay / f"{'stdin' if p.name == STDIN else p.name.stem}-read.png" for p in pictures]
        twice = [target for target, count in Counter(targets).items() if count > 1]
        if twice:
            raise ArgumentError(f"{twice[0]}: two sheets have this name; read them one after the other")
        sheets = {p.name.resolve() for p in pictures if p.name != STDIN}
        if own := [target for target in targets if target.resolve() in sheets]:
            raise ArgumentError(f"{own[0]}: is a sheet to read; name another folder for the overlays")
        return targets
    if len(pictures) > 1:
        raise ArgumentError(f"{overlay}: one picture cannot show {len(pictures)} sheets; name a folder that exists")
    check_png(overlay)
    if overlay.resolve() == pictures[0].name.resolve():
        raise ArgumentError(f"{overlay}: is the sheet to read; name another file for the overlay")
    return [overlay]


def _read(reader: Recognizer, picture: Picture, asked: _Asked) -> _Outcome:
    from hanmo.image import load_colours
    from hanmo.sheets.against import compare
    from hanmo.sheets.sheet import read_sheet

    pixels = load_colours(picture.source)
    try:
        sheet = read_sheet(
            pixels, reader, direction=asked.direction, context=asked.context, among=asked.among, top=_TOP
        )
    except ImageError as error:  # it names the array
        raise type(error)(f"{picture.name}: {message_of(Picture(picture.name, pixels), error)}") from error
    return _Outcome(sheet, pixels, None if asked.expected is None else compare(sheet, asked.expected))


def _print_error(picture: Picture, error: ImageError, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"file": str(picture.name), "error": message_of(picture, error)}, ensure_ascii=False))
    else:
        typer.echo(f"hanmo: {error}", err=True)


def _print_json(picture: Picture, outcome: _Outcome) -> None:
    from hanmo.sheets.write import as_dict

    typer.echo(
        json.dumps({"file": str(picture.name), **as_dict(outcome.sheet, outcome.differences)}, ensure_ascii=False)
    )


def _print_csv(picture: Picture, sheet: Sheet, *, head: bool) -> None:
    from hanmo.sheets.write import COLUMNS, as_csv, as_rows

    rows = [[str(picture.name), *row] for row in as_rows(sheet)]
    typer.echo(as_csv(rows, ("file", *COLUMNS) if head else ()), nl=False)


def _print_text(picture: Picture, outcome: _Outcome, *, several: bool) -> None:
    if several:
        typer.echo(f"{picture.name}:")
    typer.echo(outcome.sheet.text())
    if outcome.differences is not None:
        typer.echo("")
        for line in _differences(outcome.differences, len(outcome.sheet.grids)):
            typer.echo(line)
    if several:
        typer.echo("")


def _differences(differences: list[Difference], grids: int) -> list[str]:
    """A line for each difference on a sheet of so many grids, and one that counts them."""
    count = Counter(d.kind for d in differences)
    if not differences:
        return ["no difference"]
    total = ", ".join(f"{count[kind]} {name}" for kind, name in _KINDS if count[kind])
    return [*(_difference(difference, grids > 1) for difference in differences), total]


_KINDS: tuple[tuple[Kind, str], ...] = (
    ("other", "different"),
    ("missing", "missing"),
    ("extra", "extra"),
    ("unread", "not read"),
)


def _difference(difference: Difference, several: bool) -> str:
    cell, expected = difference.cell, difference.expected
    place = f"row {cell.row + 1}, column {cell.column + 1}" if cell else "at the beginning"
    if cell and several:
        place = f"grid {cell.grid + 1}, {place}"
    if difference.kind == "missing":
        return f"{'after ' if cell else ''}{place}: {expected} is missing"
    instead = f"not {expected}" if expected else "nothing is expected here"
    seen = f"{cell.character} ({cell.probability:.0%})" if cell and cell.character else "not read"
    if difference.kind == "unread":
        return f"{place}: not read, {expected} is expected" if expected else f"{place}: not read"
    return f"{place}: {seen}, {instead}"


def _print_remarks(picture: Picture, sheet: Sheet) -> None:
    """What a person should know: how the sheet lies, and how many cells were not read."""
    if sheet.rotation:
        lies = _TURNED[sheet.rotation]
        typer.echo(f"{picture.name}: the sheet {lies}; it was read turned by {sheet.rotation} degrees", err=True)
    written = [cell for cell in sheet.cells if not cell.empty]
    if not written:
        typer.echo(f"{picture.name}: all {len(sheet.cells)} cells are empty", err=True)
    elif unread := sum(cell.character is None for cell in written):
        typer.echo(f"{picture.name}: {unread} of {len(written)} characters were not read", err=True)


def _draw(outcome: _Outcome, target: Path) -> None:
    from hanmo.data.sheet import save_png
    from hanmo.sheets.overlay import draw_overlay

    different = [d.cell for d in outcome.differences or () if d.cell and d.kind in ("other", "extra")]
    save_png(draw_overlay(outcome.pixels, outcome.sheet, different), target)
    typer.echo(f"drawn: {target}", err=True)
