"""``hanmo recognize``: read pictures of single characters."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, cast

import typer

from hanmo.cli import recognize_bulk as bulk
from hanmo.cli.reading_options import AmongOption, BundleOption, DeviceOption
from hanmo.errors import ArgumentError, HanmoError, ImageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console
    from rich.text import Text

    from hanmo.image import Source
    from hanmo.onnxfile import Device
    from hanmo.prediction import Candidate, Prediction
    from hanmo.recognizer import Recognizer

STDIN = Path("-")
_BATCH = 64
_BAR_CELLS = 8
_NAME_SHOWN = 16
"""Cells of a file's name in the narrowest table and on a sheet, whose columns are as wide as their widest caption."""
_BESIDE_NAME, _CANDIDATES = 29, 20
"""Widths in cells of the table's other columns: 29 for the second and third (5 for the character, 18 for the longest
reason, three gaps of 2), and up to 20 for the last, which shows two further candidates."""
_NARROW = 80
"""Cells of the terminal below which the table leaves out the bars."""
_PIPED = 200
"""Cells of a line where no terminal sets them, so that file names stay whole for the next program."""
_SHEET_SIDE = 160  # pixels kept of a picture for the sheet, which draws it smaller


class Picture(NamedTuple):
    """A picture to read and the name to show for it."""

    name: Path
    source: Source


def recognize(
    pictures: Annotated[
        list[str],  # not Path, which makes one slash of the two in an address
        typer.Argument(
            metavar="PICTURE...",
            help="Pictures with one character in each, folders of such pictures, or - for the standard input. "
            "With --out also globs, .gnt and .parquet files, .zip archives of .gnt files, and addresses of object "
            "stores (s3://...).",
        ),
    ],
    bundle: BundleOption = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many candidates to show.")] = 5,
    among: AmongOption = "",
    device: DeviceOption = "cpu",
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="PNG", help="Draw the pictures and their answers into this file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each picture.")] = False,
    out: bulk.OutOption = None,
    processes: bulk.ProcessesOption = None,
    column: bulk.ColumnOption = None,
    ray: bulk.RayOption = None,
) -> None:
    """Read characters from pictures: PNG, JPEG, WebP, BMP, GIF, TIFF or PPM.

    A picture that shows no ink or no known character is refused with the reason. A file that cannot be read is
    reported in its place, and the exit status is 2. Characters that look the same alone, such as 0 O o, are named
    together, unless --among leaves one of them. A folder stands for the pictures in it, by name, without
    sub-folders. The table shows the best candidate and others of at least 0.1 %.

    With --out, pictures are read in bulk: by all cores, in constant memory, one row a picture. A folder then stands
    for the pictures and .gnt files in it and its sub-folders. A picture that cannot be read is a row with its error,
    and the exit status is 0. After a stop, the same command goes on where it was. With --ray, the machines of a
    cluster read.

    Examples: hanmo recognize a.png b.jpg --top 3 --sheet read.png; hanmo recognize scans/ --json;
    cat a.png | hanmo recognize -; hanmo recognize archive/ --out results.parquet
    """
    from hanmo.recognizer import Recognizer

    if out is not None:
        if sheet or as_json:
            raise ArgumentError("--out writes a file instead of --json and --sheet; leave these out")
        from hanmo.bulk.work import Options

        options = Options(bundle=bundle, top=top, among=among or None, device=cast("Device", device))
        bulk.read_into_file(pictures, out, options, processes, column, ray)
        return
    bulk.refuse_bulk_options(processes, column, ray)

    named = find_pictures([Path(picture) for picture in pictures])
    if sheet:
        _check_sheet(sheet, named)
    reader = Recognizer(bundle, device=cast("Device", device))
    outcomes: list[Prediction | HanmoError] = []
    # _read() yields while it reads, so that --json prints each answer as soon as it is there.
    for picture, outcome in zip(named, _read(reader, named, top, among or None), strict=True):
        outcomes.append(outcome)
        if as_json:
            typer.echo(json.dumps(_as_dict(picture, outcome), ensure_ascii=False))
    if not as_json:
        _print_table(named, outcomes)
    if sheet:
        # Pictures with an error cannot be drawn.
        read = [(p, o) for p, o in zip(named, outcomes, strict=True) if not isinstance(o, HanmoError)]
        if read:
            _draw_sheet(sheet, read, f"read by {reader.bundle.name}")
    if failed := sum(isinstance(outcome, HanmoError) for outcome in outcomes):
        typer.echo(f"hanmo: {failed} of {len(named)} pictures could not be read", err=True)
        raise typer.Exit(2)


def find_pictures(given: list[Path]) -> list[Picture]:
    """The pictures given by name, those in the folders given, and the one on the standard input for ``-``."""
    from hanmo.image import MAX_BYTES, pictures_in

    found = []
    for path in given:
        if path == STDIN:
            if sys.stdin is None:
                raise ImageError("the standard input is closed; name a picture, or pipe one into this command")
            # One byte more than the limit, so that too large a picture is noticed.
            found.append(Picture(path, typer.get_binary_stream("stdin").read(MAX_BYTES + 1)))
        elif os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir, it takes names of any length
            inside = pictures_in(path)
            if not inside:
                raise ImageError(f"{path}: a folder without pictures; name one that holds them itself")
            found += [Picture(picture, picture) for picture in inside]
        else:
            found.append(Picture(path, path))
    return found


def _check_sheet(sheet: Path, pictures: list[Picture]) -> None:
    """Before anything is read: :class:`ArgumentError` for a sheet that would overwrite a picture or be too large."""
    from hanmo.data.sheet import MAX_PICTURES, check_png

    check_png(sheet)
    if sheet.resolve() in {picture.name.resolve() for picture in pictures}:
        raise ArgumentError(f"{sheet}: is one of the pictures to read; name another file for the sheet")
    if len(pictures) > MAX_PICTURES:
        raise ArgumentError(
            f"{sheet}: a sheet shows at most {MAX_PICTURES:,} pictures, not {len(pictures):,}; read fewer at a time, "
            "or leave out --sheet"
        )


def _read(
    reader: Recognizer, pictures: list[Picture], top: int, among: str | None
) -> Iterator[Prediction | HanmoError]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    # So few pictures are read before a bar could be seen.
    hidden = len(pictures) <= 2 * _BATCH or not console.is_terminal
    with Progress(console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("reading", total=len(pictures))
        for start in range(0, len(pictures), _BATCH):
            batch = pictures[start : start + _BATCH]
            yield from reader.recognize_batch([p.source for p in batch], top, among=among, errors="collect")
            progress.advance(task, len(batch))


def _as_dict(picture: Picture, outcome: Prediction | HanmoError) -> dict[str, object]:
    if isinstance(outcome, HanmoError):
        return {"file": str(picture.name), "error": message_of(picture, outcome)}
    candidates = [
        {"character": c.character, "probability": round(c.probability, 6), "alike": c.alike} for c in outcome.candidates
    ]
    return {
        "file": str(picture.name),
        "character": outcome.character,
        "refused": outcome.refused,
        "reason": outcome.reason,
        "candidates": candidates,
    }


def message_of(picture: Picture, error: HanmoError) -> str:
    """The message without the picture's name, which is shown beside it."""
    from hanmo.image import describe

    return str(error).removeprefix(f"{describe(picture.source)}: ")


def _print_table(pictures: list[Picture], outcomes: list[Prediction | HanmoError]) -> None:
    from rich.table import Table
    from rich.text import Text

    from hanmo.image import describe

    console = _console()
    bars = console.width >= _NARROW
    cells = [_columns(picture, outcome, bars) for picture, outcome in zip(pictures, outcomes, strict=True)]
    # The last column is as wide as its contents need; file names get what is left.
    last = min(_CANDIDATES, max(others.cell_len for *_, others in cells))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("picture", no_wrap=True)
    table.add_column("reads", justify="center", no_wrap=True)
    table.add_column("probability")
    table.add_column("or else", overflow="fold")
    for picture, row in zip(pictures, cells, strict=True):
        name = shorten(describe(picture.name), max(_NAME_SHOWN, console.width - _BESIDE_NAME - last))
        table.add_row(Text(name), *row)
    console.print(table)


def _console() -> Console:
    from rich.console import Console

    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPED
    return console


def _columns(picture: Picture, outcome: Prediction | HanmoError, bars: bool) -> tuple[Text, Text, Text]:
    """The last three columns of a picture's row."""
    from rich.text import Text

    if isinstance(outcome, HanmoError):
        return Text("✗", "bold red"), Text(), Text(message_of(picture, outcome), "red")
    if outcome.reason:
        return Text("？", "bold yellow"), Text(outcome.reason, "yellow"), Text("  ").join(_others(outcome.shown))
    best, *others = outcome.shown
    alike = [Text(f"or {' '.join(best.alike)}")] if best.alike else []
    told = Text("  ").join([*alike, *_others(others)])
    return Text(best.character, "bold"), _bar(best.probability, _BAR_CELLS if bars else 0), told


def shorten(path: str, cells: int) -> str:
    """``path`` in at most ``cells`` cells of a terminal, of which a Chinese character takes two; its middle is cut.

    The file's name is kept whole where it fits.
    """
    from rich.cells import cell_len, set_cell_size

    if cell_len(path) <= cells:
        return path
    name = cell_len(path[path.rfind("/") :])
    tail = max(cells // 2, name) if name < cells else cells // 2
    # Reversed, cut and reversed again: set_cell_size() only cuts at the end.
    end = set_cell_size(path[::-1], tail)[::-1]
    # Where the cut would halve a Chinese character, a space stands for its half.
    return f"{set_cell_size(path, cells - 1 - tail).rstrip()}…{end.lstrip()}"


def _bar(probability: float, cells: int) -> Text:
    from rich.text import Text

    # Whole cells first, then one of Unicode's blocks of one to seven eighths.
    eighths = round(probability * cells * 8)
    bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
    colour = "green" if probability >= 0.9 else "yellow" if probability >= 0.5 else "red"
    return Text.assemble((f"{bar:<{cells}}", colour), f" {probability:6.1%}")


def _others(candidates: Sequence[Candidate]) -> list[Text]:
    """Each candidate with a bar one cell wide; characters that look the same follow in brackets."""
    from rich.text import Text

    cells = []
    for candidate in candidates:
        bar = "▁▂▃▄▅▆▇█"[min(7, int(candidate.probability * 8))]
        alike = f"({' '.join(candidate.alike)})" if candidate.alike else ""
        share = (f"{candidate.probability:.1%}", "dim")
        cells.append(Text.assemble(candidate.character, (alike, "dim"), (bar, "cyan"), share))
    return cells


def _draw_sheet(out: Path, read: list[tuple[Picture, Prediction]], title: str) -> None:
    from hanmo.data.sheet import contact_sheet, save_png

    captions = []
    for picture, prediction in read:
        rows = [f"{c.character} {c.probability:.1%}" for c in prediction.shown[:3]]
        why = [prediction.reason] if prediction.reason else []
        name = shorten(picture.name.name, _NAME_SHOWN)
        captions.append("\n".join([prediction.character or "?", *why, *rows, name]))
    drawn = contact_sheet([_small(picture.source) for picture, _ in read], captions, columns=8, title=title, ink="dark")
    save_png(drawn, out)
    typer.echo(f"drawn: {out}", err=True)


def _small(picture: Source) -> NDArray[np.uint8]:
    """The picture again, no larger than a sheet needs it, so that thousands fit in memory."""
    import numpy as np
    from PIL import Image

    from hanmo.image import load

    image = Image.fromarray(load(picture))
    image.thumbnail((_SHEET_SIDE, _SHEET_SIDE))
    return np.array(image)
