"""Options that `hanmo recognize` and `hanmo read` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hanmo.builtin import EMBEDDED_TEXT
from hanmo.charset import list_sets

BundleOption = Annotated[
    Path | None,
    typer.Option("--bundle", help=f"Folder of a bundle, or {EMBEDDED_TEXT}."),
]
AmongOption = Annotated[
    str,
    typer.Option(
        "--among",
        metavar="文字…|NAMES",
        # Without Chinese characters: rich counts their cells wrongly where it breaks a line, and cuts the line.
        help="Choose among these characters only, or among named sets joined by +, as in --among digits+latin. "
        f"Sets: {list_sets()}.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(help="cpu, or cuda, which needs hanmo's extra gpu; recognize --out can use the extra train instead."),
]
