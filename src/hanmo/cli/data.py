"""``hanmo data``: pack samples, look at a pack, describe it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanmo.charset import list_sets
from hanmo.cli.ray_option import RayOption, cluster
from hanmo.errors import ArgumentError
from hanmo.files import read_limited

if TYPE_CHECKING:
    from collections.abc import Generator

    from hanmo.charset import Charset
    from hanmo.data.pack import Pack
    from hanmo.data.sample import Sample
    from hanmo.resampling import Method

_MAX_CHARSET = 4 * 2**20  # bytes of a file of characters; Unicode has some 100,000 Chinese ones

app = typer.Typer(help="Pack samples of handwriting, and look at packs.", no_args_is_help=True)

PackPath = Annotated[Path, typer.Argument(metavar="PACK", help="A pack made by `hanmo data pack`.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


@app.command()
def pack(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IN...", help=".gnt and .gnt.xz files, folders and .zip archives of them, folders of pictures."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The pack to make, a folder.")],
    normalize: Annotated[str, typer.Option(help="fit, moment or line-density.")] = "fit",
    side: Annotated[int, typer.Option(help="Side of the squares in pixels.")] = 64,
    margin: Annotated[int, typer.Option(help="Paper left on every side in pixels.")] = 2,
    charset: Annotated[
        str,
        typer.Option(
            metavar="NAMES|FILE",
            help="Named sets and characters of your own joined by +, as in level1+龘, or a text file of characters; "
            "the labels found, if not given. "
            f"Sets: {list_sets()}.",
        ),
    ] = "",
    mapping: Annotated[
        Path | None, typer.Option(help="Table folder,character (.csv, .tsv) or JSON object, for folders of pictures.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that normalise; 0: this one alone.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the pack at --out.")] = False,
    skip_unknown: Annotated[bool, typer.Option("--skip-unknown", help="Skip labels outside the charset.")] = False,
    ray: RayOption = None,
    as_json: Json = False,
) -> None:
    """Normalise samples into a pack that training and evaluation read.

    Example: hanmo data pack HWDB1.1trn_gnt.zip --out packs/train --charset level1 --skip-unknown --workers 4
    """
    from contextlib import ExitStack, closing
    from typing import cast

    from hanmo.bulk.squares import normalized_over_ray
    from hanmo.cli.progress import reading
    from hanmo.cli.stopping import tidy_kill
    from hanmo.data.pack import write_pack
    from hanmo.data.parallel import can_be_read_by_each, squares_of_files
    from hanmo.data.read import count_bytes, read_samples, split_reading
    from hanmo.normalize import Normalization

    normalization = Normalization(method=cast("Method", normalize), side=side, margin=margin)
    if ray is not None and workers:
        raise ArgumentError("data pack: --workers are processes of this machine; leave it out, or --ray")
    named = read_charset(charset) if charset else None
    start = time.perf_counter()
    with ExitStack() as opened:
        opened.enter_context(tidy_kill())
        cores = opened.enter_context(cluster(ray))
        # Ray's machines report no bytes: the bar then counts samples alone.
        size = count_bytes(inputs) if ray is None else None
        on_bytes, on_samples = opened.enter_context(reading("packing", size))
        squares: Generator[Sample, None, None] | None = None
        if ray is not None:
            squares = normalized_over_ray(split_reading(inputs, mapping), normalization, named, cores)
        elif workers and mapping is None and can_be_read_by_each(inputs, workers):
            squares = squares_of_files(inputs, normalization, named, workers, on_bytes)
        if squares is not None:
            opened.enter_context(closing(squares))  # before the connection is, also when the packing is stopped
        made = write_pack(
            out,
            read_samples(inputs, mapping, on_bytes) if squares is None else squares,
            normalization=normalization,
            charset=named,
            workers=workers if squares is None else 0,
            are_squares=squares is not None,
            on_progress=on_samples,
            on_unknown="skip" if skip_unknown else "error",
            overwrite=overwrite,
        )
    seconds = time.perf_counter() - start
    # Rounded: digits beyond these differ from one run to the next.
    facts = describe(made) | {"seconds": round(seconds, 1), "samples_per_second": round(len(made) / seconds)}
    _print(facts, as_json)


@app.command()
def show(
    path: PackPath,
    out: Annotated[Path, typer.Option("--out", help="The picture to write.")] = Path("sheet.png"),
    characters: Annotated[str, typer.Option(help="Only these, --columns samples of each.")] = "",
    rows: Annotated[int, typer.Option(min=1, max=200)] = 8,
    columns: Annotated[int, typer.Option(min=1, max=100)] = 12,
    seed: Annotated[int, typer.Option(help="Another seed draws other samples.")] = 0,
) -> None:
    """Draw a labelled contact sheet of random samples.

    Example: hanmo data show packs/train --characters 一丁七 --out sheet.png
    """
    from hanmo.data.pack import Pack
    from hanmo.data.sheet import check_png, contact_sheet, save_png

    check_png(out)
    opened = Pack.open(path)
    facts = describe(opened)
    chosen = choose(opened, characters, rows, columns, seed)
    captions = [opened.charset[int(opened.labels[i])] for i in chosen]
    # The writer below the character, as samples of one hand are best recognised by eye.
    if any(opened.writers):
        captions = [f"{caption}\n{opened.writer_of(i) or '?'}" for caption, i in zip(captions, chosen, strict=True)]
    title = f"{path.resolve().name} · {facts['samples']:,} samples · {facts['characters']:,} characters"
    sheet = contact_sheet(opened.images[chosen], captions, columns=columns, title=title)
    save_png(sheet, out)
    typer.echo(out)


@app.command()
def info(path: PackPath, as_json: Json = False) -> None:
    """Describe a pack, after comparing every byte with its hashes.

    Example: hanmo data info packs/train --json
    """
    from hanmo.data.pack import Pack

    _print(describe(Pack.open(path, verify=True)), as_json)


def read_charset(name: str) -> Charset:
    """Named sets and further characters joined by "+", or the characters of a UTF-8 text file without white space."""
    from hanmo.charset import JOINER, SETS, Charset, all_named, named_charset
    from hanmo.errors import CharsetError

    parts = name.split(JOINER)
    named = [part for part in parts if part in SETS]
    # A file of the same name is not read: a command must mean the same in every folder.
    if all_named(name):
        return named_charset(name)
    # ASCII is a misspelt name. The set comes first, so that its classes keep their numbers.
    if named and all(part in SETS or not part.isascii() for part in parts):
        own = dict.fromkeys("".join(part for part in parts if part not in SETS))
        known = named_charset(JOINER.join(named))
        return Charset([*known, *(character for character in own if character not in known)])
    try:
        text = read_limited(Path(name), _MAX_CHARSET).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CharsetError(
            f"{name}: not a charset ({error}); give a UTF-8 file of characters, or names of sets joined by +: "
            f"{list_sets()}"
        ) from error
    return Charset("".join(text.split()))


def choose(pack: Pack, characters: str, rows: int, columns: int, seed: int) -> list[int]:
    """Sample indices for a sheet: ``columns`` of each of ``characters``, or ``rows * columns`` of any, by class."""
    import numpy as np

    from hanmo.charset import list_characters
    from hanmo.errors import DataError

    rng = np.random.default_rng(seed)
    if not characters:
        some = rng.choice(len(pack), min(len(pack), rows * columns), replace=False)
        return [int(i) for i in some[np.argsort(pack.labels[some], kind="stable")]]
    chosen: list[int] = []
    for label in pack.charset.encode(list(dict.fromkeys(characters))):
        # Without replacement, so no sample is there twice; rare characters have fewer than --columns.
        of_class = np.flatnonzero(pack.labels == label)
        chosen += map(int, rng.choice(of_class, min(columns, len(of_class)), replace=False))
    if not chosen:
        raise DataError(f"{pack.path}: no sample of {list_characters(characters)}; name characters that occur in it")
    return chosen


def describe(pack: Pack) -> dict[str, Any]:
    """Facts about a pack, ready for JSON: ``classes`` are those of the charset, ``characters`` those that occur."""
    import numpy as np

    return {
        "pack": str(pack.path),
        "samples": len(pack),
        "classes": len(pack.charset),
        "characters": len(np.unique(pack.labels)),
        "writers": sum(map(bool, pack.writers)),
        "sources": len(pack.sources),
        "normalization": str(pack.normalization),
        "skipped_blank": pack.skipped.get("blank", 0),
        "skipped_unknown": pack.skipped.get("unknown", 0),
        "bytes": sum(file.stat().st_size for file in pack.path.iterdir()),
        "digest": pack.digest,
    }


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # a string would be read as markup: a pack may be called "[old] train"

    table = Table(show_header=False, box=None, pad_edge=False)
    # 16 digits tell packs apart on a terminal; --json has the whole digest.
    for key, value in (facts | {"digest": facts["digest"][:16]}).items():
        table.add_row(key.replace("_", " "), Text(f"{value:,}" if isinstance(value, int | float) else value))
    Console().print(table)
