"""hanmo export: a run folder -> a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="A finished run folder.", metavar="RUN")],
    out: Annotated[Path, typer.Option(help="The bundle folder to make.", metavar="BUNDLE")],
    calibration: Annotated[Path | None, typer.Option(help="Pack for int8 ranges; by default the run's own.")] = None,
    test: Annotated[Path | None, typer.Option(help="Pack for the verdict; by default the run's own.")] = None,
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
    fp32: Annotated[bool, typer.Option("--fp32", help="Keep 32-bit floats instead of int8.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write the bundle even if it answers otherwise.")] = False,
    shards: Annotated[
        bool, typer.Option("--shards", help="No bundle: the weights as small safetensors of at most 15 MB each.")
    ] = False,
    eight_bits: Annotated[bool, typer.Option("--eight-bits", help="Shards of 8 bits a weight, not 16.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Turn a trained net into a bundle: ONNX, int8, verified against torch.

    Example: hanmo export runs/student --out bundles/student
    """
    from rich.console import Console

    from hanmo.config import load_toml
    from hanmo.errors import ConfigError
    from hanmo.export.bundle import export_bundle
    from hanmo.train.config import Recipe
    from hanmo.train.drawn import SYNTH_PREFIX
    from hanmo.train.run import RECIPE, weights_of
    from hanmo.train.shards import save_shards

    if eight_bits and not shards:
        raise ConfigError("--eight-bits is for --shards; a bundle has them already, unless --fp32")
    weights = weights_of(run)
    if shards:
        paths = save_shards(weights, out, bits=8 if eight_bits else 16)
        facts = {"shards": [str(path) for path in paths], "bytes": sum(path.stat().st_size for path in paths)}
        typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else f"{out}: {len(paths)} shards")
        return
    if calibration is None or test is None:
        if not (weights.parent / RECIPE).exists():
            raise ConfigError(f"{run}: weights alone know no packs; name --calibration and --test")
        data = load_toml(weights.parent / RECIPE, Recipe).data
        if calibration is None and data.train.startswith(SYNTH_PREFIX) and not fp32:
            recipe = data.train.removeprefix(SYNTH_PREFIX)
            raise ConfigError(
                f"{run}: was trained on what was drawn as it went; draw a pack, hanmo synth {recipe} --set "
                "per_character=2 --seed 99 --out PACK, and name it with --calibration"
            )
        calibration = calibration or Path(data.train)
        if test is None and data.test is None:
            raise ConfigError(f"{run}: was trained without a test pack; name one with --test")
        test = test or Path(str(data.test))
    console = Console(stderr=True)
    with console.status("exporting, quantising, comparing with torch"):
        bundle, check = export_bundle(
            weights,
            out,
            calibration=calibration,
            test=test,
            held_out=held_out,
            refusal=refusal,
            temperature=temperature,
            licence=licence,
            int8=not fp32,
            force=force,
        )
    facts = {
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
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    for problem in check.problems():
        console.print(f"[yellow]warning:[/] {problem}")
    small = "" if check.top1_int8 is None else f", int8 top-1 {check.top1_int8:.2f} %"
    console.print(
        f"[bold]{out}[/]: {bundle.precision}, {len(bundle.model) / 1e6:.1f} MB; ONNX agrees with torch on "
        f"{check.agreement:.2f} % of {check.samples:,} samples; fp32 top-1 {check.top1_fp32:.2f} %{small}; "
        f"temperature {bundle.temperature:.2f}",
        highlight=False,
    )
