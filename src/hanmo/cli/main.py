"""The command line: one verb a file, errors in one line.

Exit status: 0, 1 (a bug of hanmo, or ``hanmo bench`` stopped before it was complete), 2 (any :class:`HanmoError`, and
options that cannot be used), 130 (Ctrl-C).
"""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

import hanmo
from hanmo.cli import average, bench, data, evaluate, export, glyphs, own, read, recognize, search, serve, synth, train
from hanmo.cli.recipe_help import listing_recipes
from hanmo.errors import DamageWarning, HanmoError, InstallationError, one_line

_EXTRAS = (
    dict.fromkeys(("torch", "safetensors", "onnx", "onnxscript", "matplotlib"), "train")
    | dict.fromkeys(("fontTools", "brotli"), "fonts")
    | dict.fromkeys(("optuna", "cmaes"), "search")
    | dict.fromkeys(("fastapi", "starlette", "pydantic", "uvicorn", "python_multipart", "prometheus_client"), "serve")
    | {"pyarrow": "parquet"}
)
"""Packages that only some verbs need, and the extra that installs them."""


class _Verbs(TyperGroup):
    """All verbs; an error that the user can mend is printed as one line."""

    def invoke(self, ctx: Any) -> Any:  # a click context, but typer has a click of its own whose name is private
        try:
            with _naming_extras():
                return super().invoke(ctx)
        except (HanmoError, OSError, KeyboardInterrupt) as error:
            if isinstance(error, BrokenPipeError):  # the reader of the output has left; typer ends quietly
                raise
            message, status = _explain(error)
            if ctx.params["debug"]:
                traceback.print_exc()
            typer.echo(f"hanmo: {message}", err=True)
            raise typer.Exit(status) from None


@contextmanager
def _naming_extras() -> Iterator[None]:
    """Turn the ImportError of a package in :data:`_EXTRAS` into an :class:`InstallationError` that names its extra."""
    try:
        yield
    except ImportError as error:
        if error.name not in _EXTRAS:
            raise
        command = f"pip install '.[{_EXTRAS[error.name]}]'"
        raise InstallationError(
            f"this verb needs {error.name}; in the folder of the repository run: {command}"
        ) from error


def _explain(error: HanmoError | OSError | KeyboardInterrupt) -> tuple[str, int]:
    """One line for the user, and the exit status."""
    if isinstance(error, OSError):  # of the output, or of a path that no door of hanmo checks
        _drop_output()
        where = f"{error.filename!r:.200}" if error.filename else "the output"
        return f"{where}: {error.strerror or one_line(error)}; choose another place", 2
    if isinstance(error, KeyboardInterrupt):  # by itself typer would end without a message
        return "stopped; what was complete is kept", 130
    return str(error), 2


def _drop_output() -> None:
    """Send what is left in the buffer of the output nowhere: at its end, Python would try to write it once more."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


app = typer.Typer(
    name="hanmo",
    cls=_Verbs,
    help="翰墨 hanmo: train, distil and run compact recognisers of handwritten Chinese characters.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # so that the lines of a paragraph are joined and broken anew at the terminal's width
    context_settings={"help_option_names": ["-h", "--help"]},  # the verbs inherit it
)
app.command()(recognize.recognize)
app.command()(read.read)
app.command()(evaluate.evaluate)
app.add_typer(data.app, name="data")
app.command(cls=listing_recipes("synth"))(synth.synth)
app.command(cls=listing_recipes("fonts"))(glyphs.glyphs)
app.command(cls=listing_recipes("train"))(train.train)
app.command(cls=listing_recipes("distill"))(train.distill)
app.command()(average.average)
app.command()(export.export)
app.command()(own.extend)
app.command()(own.adapt)
app.command(cls=listing_recipes("search"))(search.search)
app.command()(serve.serve)
app.add_typer(bench.app, name="bench")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(hanmo.__version__)
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """The options before the verb; :class:`_Verbs` reads them."""


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """hanmo's own warnings as one line, others as Python shows them."""
    own = issubclass(category, DamageWarning)
    text = f"hanmo: warning: {message}\n" if own else warnings.formatwarning(message, category, filename, lineno, line)
    typer.echo(text, nl=False, err=True)


def main() -> None:
    """Run the command line; the process exits with the status."""
    # numpy's threads only wait for each other over matrices as small as a character's, and with another number of them
    # the last bit of a pack may differ. Read when numpy is loaded, here and in worker processes.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Pillow warns about damaged metadata, which changes no pixel. Only a program may silence it.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.showwarning = _show_warning
    # A pipe or a terminal whose encoding has no 翰 gets \u7ff0 rather than a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="hanmo")


if __name__ == "__main__":
    main()
