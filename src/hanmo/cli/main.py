"""The command line: one verb a file, errors in one line, exit status 0, 1 (ours) or 2 (the user's input)."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

import hanmo
from hanmo.cli import data, evaluate, export, recognize, synth, train
from hanmo.errors import HanmoError

app = typer.Typer(
    name="hanmo",
    help="翰墨 hanmo: train, distil and run compact recognisers of handwritten Chinese characters.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(recognize.recognize)
app.command()(evaluate.evaluate)
app.add_typer(data.app, name="data")
app.command()(synth.synth)
app.command()(train.train)
app.command()(train.distill)
app.command()(export.export)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(hanmo.__version__)
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    if debug:
        os.environ["HANMO_DEBUG"] = "1"


def main() -> None:
    """Run the command line; the process exits with the status."""
    try:
        app()
    except HanmoError as error:
        _fail(f"hanmo: {error}", 2)
    except KeyboardInterrupt:
        _fail("hanmo: stopped; what was complete is kept", 130)
    except ImportError as error:
        if error.name not in {"torch", "safetensors", "onnx", "onnxscript", "matplotlib"}:
            raise
        _fail(f"hanmo: this verb needs {error.name}; install it with: pip install 'hanmo[train]'", 2)


def _fail(message: str, status: int) -> None:
    if os.environ.get("HANMO_DEBUG"):
        raise
    print(message, file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
