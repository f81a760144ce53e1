"""hanmo export: a run folder -> a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from hanmo.bundle import Bundle
    from hanmo.export.verify import Check


def export(
    run: Annotated[Path, typer.Argument(help="A finished run folder.", metavar="RUN")],
    out: Annotated[Path, typer.Option(help="The bundle folder to make.", metavar="BUNDLE")],
    calibration: Annotated[Path | None, typer.Option(help="Pack for int8 ranges; by default the run's own.")] = None,
    test: Annotated[
        Path | None, typer.Option(help="Pack to compare model and net on; by default the run's own.")
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Pack not trained on, to fit probabilities and refusal.")
    ] = None,
    refusal: Annotated[
        Path | None, typer.Option(help="Pack of clean samples, to fit refusal instead of on --held-out.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Temperature of the probabilities, instead of fitting it.", min=1e-3, max=1e3)
    ] = None,
    licence: Annotated[str, typer.Option(help="What the weights may be used for.")] = "as the training data",
    groups: Annotated[
        bool | None,
        typer.Option(
            "--groups/--no-groups",
            help="Name the characters that look the same as a class, such as O o for 0. By default those that the run "
            "was trained with.",
            show_default=False,
        ),
    ] = None,
    fp32: Annotated[bool, typer.Option("--fp32", help="Keep 32-bit floats instead of int8.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write the bundle even if the comparison fails.")] = False,
    shards: Annotated[
        bool, typer.Option("--shards", help="No bundle: the weights as small safetensors of at most 15 MB each.")
    ] = False,
    eight_bits: Annotated[bool, typer.Option("--eight-bits", help="Shards of 8 bits a weight, not 16.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Turn a trained net into a bundle: an int8 ONNX model, compared with the net before it is written.

    A bundle is refused if int8 loses more than 0.2 points of top-1, beyond one standard error of the difference.

    Example: hanmo export runs/student --out bundles/student
    """
    from hanmo.errors import ArgumentError
    from hanmo.train.run import weights_of

    if eight_bits and not shards:
        raise ArgumentError("--eight-bits is for --shards; a bundle has them already, unless --fp32")
    weights = weights_of(run)
    if shards:
        _export_shards(weights, out, bits=8 if eight_bits else 16, as_json=as_json)
        return
    _export_bundle(
        run,
        weights,
        out,
        packs=_Packs(calibration=calibration, test=test, held_out=held_out, refusal=refusal),
        temperature=temperature,
        licence=licence,
        groups=groups,
        int8=not fp32,
        force=force,
        as_json=as_json,
    )


class _Packs(NamedTuple):
    """The packs named on the command line."""

    calibration: Path | None
    test: Path | None
    held_out: Path | None
    refusal: Path | None


def _export_shards(weights: Path, out: Path, *, bits: Literal[8, 16], as_json: bool) -> None:
    from hanmo.train.shards import save_shards

    paths = save_shards(weights, out, bits=bits)
    facts = {"shards": [str(path) for path in paths], "bytes": sum(path.stat().st_size for path in paths)}
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else f"{out}: {len(paths)} shards")


def _export_bundle(
    run: Path,
    weights: Path,
    out: Path,
    *,
    packs: _Packs,
    temperature: float | None,
    licence: str,
    groups: bool | None,
    int8: bool,
    force: bool,
    as_json: bool,
) -> None:
    from rich.console import Console

    from hanmo.export.bundle import export_bundle
    from hanmo.export.packs import packs_of_run

    calibration, test = packs_of_run(run, weights, packs.calibration, packs.test, int8=int8)
    console = Console(stderr=True)
    with console.status("exporting, quantising, comparing with torch"):
        bundle, check = export_bundle(
            weights,
            out,
            calibration=calibration,
            test=test,
            held_out=packs.held_out,
            refusal=packs.refusal,
            temperature=temperature,
            licence=licence,
            groups=groups,
            int8=int8,
            force=force,
        )
    if as_json:
        typer.echo(json.dumps(_facts(out, bundle, check), ensure_ascii=False))
    else:
        _print_summary(console, out, bundle, check)


def _facts(out: Path, bundle: Bundle, check: Check) -> dict[str, Any]:
    """The object that --json prints."""
    return {
        "bundle": str(out),
        "precision": bundle.precision,
        "bytes": len(bundle.model),
        "temperature": round(bundle.temperature, 4),
        "least_evidence": round(bundle.least_evidence, 4),
        "samples": check.samples,
        "agreement": round(check.agreement, 3),
        "top1_fp32": round(check.top1_fp32, 3),
        "top1_int8": None if check.top1_int8 is None else round(check.top1_int8, 3),
    }


def _print_summary(console: Console, out: Path, bundle: Bundle, check: Check) -> None:
    from rich.markup import escape

    for problem in check.problems():  # there are none, unless --force was given
        console.print(f"[yellow]warning:[/] {escape(problem)}", soft_wrap=True)
    int8 = "" if check.top1_int8 is None else f", int8 top-1 {check.top1_int8:.2f} %"
    console.print(
        f"[bold]{escape(str(out))}[/]: {bundle.precision}, {len(bundle.model) / 1e6:.1f} MB; ONNX agrees with torch on "
        f"{check.agreement:.2f} % of {check.samples:,} samples; fp32 top-1 {check.top1_fp32:.2f} %{int8}; "
        f"temperature {bundle.temperature:.2f}",
        highlight=False,
        soft_wrap=True,
    )
