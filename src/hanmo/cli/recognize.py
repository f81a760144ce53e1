"""``hanmo recognize``: read pictures of single characters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hanmo.errors import HanmoError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.text import Text

    from hanmo.recognizer import Candidate, Prediction, Recognizer

_BATCH = 64
_BAR_CELLS = 8
_NAME_SHOWN = 16  # characters of a file's name on a sheet: a column is as wide as its widest caption
_SHEET_SIDE = 160  # pixels kept of a picture for the sheet, which draws it smaller


def recognize(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE...", help="Pictures, one character in each.")],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Folder of a bundle, or nano; the embedded one else.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many candidates to show.")] = 5,
    among: Annotated[str, typer.Option("--among", metavar="文字…", help="Answer with one of these only.")] = "",
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="PNG", help="Draw what was read here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each picture.")] = False,
) -> None:
    """Read characters from pictures: PNG, JPEG, WebP, BMP, GIF, TIFF or PPM.

    A picture that shows no ink or no known character is refused, and the reason is told. A file that cannot be read is
    reported in its place, and the exit status is 2.

    Example: hanmo recognize a.png b.jpg --top 3 --sheet read.png
    """
    from hanmo.recognizer import Recognizer

    if sheet:
        _check_sheet(sheet, pictures)
    reader = Recognizer(bundle)
    outcomes: list[Prediction | HanmoError] = []
    for picture, outcome in zip(pictures, _read(reader, pictures, top, among or None), strict=True):
        outcomes.append(outcome)
        if as_json:
            typer.echo(json.dumps(_as_dict(picture, outcome), ensure_ascii=False))
    if not as_json:
        _print_table(pictures, outcomes)
    if sheet:
        read = [(p, o) for p, o in zip(pictures, outcomes, strict=True) if not isinstance(o, HanmoError)]
        if read:
            _draw_sheet(sheet, read, f"read by {reader.bundle.name}")
    if failed := sum(isinstance(outcome, HanmoError) for outcome in outcomes):
        typer.echo(f"hanmo: {failed} of {len(pictures)} pictures could not be read", err=True)
        raise typer.Exit(2)


def _check_sheet(sheet: Path, pictures: list[Path]) -> None:
    """Before anything is read: a sheet must not cost the user a picture."""
    from hanmo.atomic import require_suffix
    from hanmo.errors import ConfigError

    require_suffix(sheet, ".png")
    if sheet.resolve() in {picture.resolve() for picture in pictures}:
        raise ConfigError(f"{sheet}: is one of the pictures to read; name another file for the sheet")


def _read(reader: Recognizer, pictures: list[Path], top: int, among: str | None) -> Iterator[Prediction | HanmoError]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    hidden = len(pictures) <= 2 * _BATCH or not console.is_terminal
    with Progress(console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("reading", total=len(pictures))
        for start in range(0, len(pictures), _BATCH):
            batch = pictures[start : start + _BATCH]
            yield from reader.recognize_batch(batch, top, among=among, errors="collect")
            progress.advance(task, len(batch))


def _as_dict(picture: Path, outcome: Prediction | HanmoError) -> dict[str, object]:
    if isinstance(outcome, HanmoError):
        return {"file": str(picture), "error": _reason(picture, outcome)}
    candidates = [{"character": c.character, "probability": round(c.probability, 6)} for c in outcome.candidates]
    return {
        "file": str(picture),
        "character": outcome.character,
        "refused": outcome.refused,
        "reason": outcome.reason,
        "candidates": candidates,
    }


def _reason(picture: Path, error: HanmoError) -> str:
    """The message without the file's name, which stands beside it."""
    from hanmo.image import describe

    return str(error).removeprefix(f"{describe(picture)}: ")


def _print_table(pictures: list[Path], outcomes: list[Prediction | HanmoError]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from hanmo.image import describe

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("picture", overflow="fold")
    table.add_column("reads", justify="center", no_wrap=True)
    table.add_column("probability", no_wrap=True)
    table.add_column("or else", overflow="fold")
    for picture, outcome in zip(pictures, outcomes, strict=True):
        name = Text(describe(picture))
        if isinstance(outcome, HanmoError):
            table.add_row(name, Text("✗", "bold red"), "", Text(_reason(picture, outcome), "red"))
            continue
        if outcome.reason:
            table.add_row(name, Text("？", "bold yellow"), Text(outcome.reason, "yellow"), _others(outcome.candidates))
        else:
            best, *others = outcome.candidates
            table.add_row(name, Text(best.character, "bold"), _bar(best.probability), _others(others))
    Console().print(table)


def _bar(probability: float) -> Text:
    from rich.text import Text

    eighths = round(probability * _BAR_CELLS * 8)
    bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
    colour = "green" if probability >= 0.9 else "yellow" if probability >= 0.5 else "red"
    return Text.assemble((f"{bar:<{_BAR_CELLS}}", colour), f" {probability:6.1%}")


def _others(candidates: list[Candidate] | tuple[Candidate, ...]) -> Text:
    """Each candidate with a bar one cell wide."""
    from rich.text import Text

    cells = []
    for candidate in candidates:
        bar = "▁▂▃▄▅▆▇█"[min(7, int(candidate.probability * 8))]
        cells.append(Text.assemble(candidate.character, (bar, "cyan"), (f"{candidate.probability:.1%}", "dim")))
    return Text("  ").join(cells)


def _draw_sheet(out: Path, read: list[tuple[Path, Prediction]], title: str) -> None:
    from hanmo.data.sheet import contact_sheet, save_png

    captions = []
    for picture, prediction in read:
        rows = [f"{c.character} {c.probability:.1%}" for c in prediction.candidates[:3]]
        name = picture.name if len(picture.name) <= _NAME_SHOWN else f"…{picture.name[1 - _NAME_SHOWN :]}"
        why = [prediction.reason] if prediction.reason else []
        captions.append("\n".join([prediction.character or "?", *why, *rows, name]))
    drawn = contact_sheet([_small(picture) for picture, _ in read], captions, columns=8, title=title, ink="dark")
    save_png(drawn, out)
    typer.echo(f"drawn: {out}", err=True)


def _small(picture: Path) -> NDArray[np.uint8]:
    """The picture again, no larger than a sheet needs it, so that thousands fit in memory."""
    import numpy as np
    from PIL import Image

    from hanmo.image import load

    image = Image.fromarray(load(picture))
    image.thumbnail((_SHEET_SIDE, _SHEET_SIDE))
    return np.array(image)
