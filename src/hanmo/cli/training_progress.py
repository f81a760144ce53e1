"""The progress display of ``hanmo train`` and ``hanmo distill``: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from hanmo.train.loop import Trainer

LINE_SECONDS = 10.0
"""Seconds between two log lines where there is no terminal: about 360 lines an hour."""


def progress_display(name: str, console: Console) -> ProgressDisplay:
    """The display for a console; use it as a context manager."""
    return BarDisplay(name, console) if console.is_terminal else ProgressDisplay(console)


class ProgressDisplay:
    """Logs a line every :data:`LINE_SECONDS`: step, loss, images/s and the time left."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.steps = self.batch = 0
        self.last_line = time.monotonic()

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to close."""

    def describe(self, trainer: Trainer) -> None:
        """One line about the net and the data."""
        from rich.markup import escape

        from hanmo.nets.registry import count_macs, count_parameters

        net, data = trainer.state.net, trainer.setup.data
        self._print(
            f"[bold]{escape(str(trainer.recipe.net))}[/]: {count_parameters(net) / 1e6:.2f} M parameters, "
            f"{count_macs(net, data.train.side) / 1e6:.0f} M MACs a character, "
            f"{len(data.info.charset)} classes, {len(data.train):,} samples on {trainer.processes.device}"
        )
        self._describe_start(trainer)

    def _describe_start(self, trainer: Trainer) -> None:
        """One line about the classes that the net has of the weights it starts from; a warning where it loses some."""
        from rich.markup import escape

        start, path = trainer.setup.start, trainer.recipe.train.start
        if start is None:
            return
        self._print(f"starts from {escape(str(path))}: {start.kept:,} known classes, {len(start.new):,} new")
        if start.dropped:
            # Nearly always an oversight: a pack without --charset has only the characters of its pictures.
            self._print(
                f"[yellow]warning:[/] {start.dropped:,} characters that these weights know are not in the training "
                "data's charset, so the net will not read them; to keep them, name them by `hanmo data pack --charset`"
            )

    def start_run(self, trainer: Trainer, title: str) -> None:
        """Show the run ``title`` from now on; a resumed one starts at its checkpoint."""
        self.steps, self.batch = trainer.setup.steps, trainer.recipe.train.batch
        self.last_line = time.monotonic()

    def show(self, record: dict[str, Any]) -> None:
        """Show a record of the run; see :mod:`hanmo.train.run` for its keys."""
        if record["kind"] == "train":
            self._show_step(record)
        elif "top1" in record:
            self._print(f"  epoch {record['epoch']:.0f}: top-1 {record['top1']:.2f} %")

    def _show_step(self, record: dict[str, Any]) -> None:
        # The last step is shown however short the run was, so that no log is empty.
        if record["step"] < self.steps and time.monotonic() - self.last_line < LINE_SECONDS:
            return
        self.last_line = time.monotonic()
        # At the present speed; 1e-9 keeps a first record without a speed from dividing by 0.
        left = (self.steps - record["step"]) * self.batch / max(record["images_per_s"], 1e-9)
        self._print(f"step {record['step']:,} of {self.steps:,}: {_figures(record)}, {_duration(left)} left")

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)


class BarDisplay(ProgressDisplay):
    """A progress bar, with the lines about the net and the evaluations above it."""

    def __init__(self, name: str, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__(console)
        self.progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),  # a recipe may be called "[old] train"
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            disable=console.quiet,
        )
        self.task = self.progress.add_task(name, total=None, figures="preparing")

    def __enter__(self) -> BarDisplay:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def start_run(self, trainer: Trainer, title: str) -> None:
        total, done = trainer.setup.steps, trainer.state.step
        self.progress.reset(self.task, description=title, total=total, completed=done, figures="")

    def _show_step(self, record: dict[str, Any]) -> None:
        self.progress.update(self.task, completed=record["step"], figures=_figures(record))


def _figures(record: dict[str, Any]) -> str:
    return f"loss {record['loss']:.3f}, {record['images_per_s']:,.0f} images/s"


def _duration(seconds: float) -> str:
    """``3 h 05 min``, ``12 min 30 s`` or ``8 s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"
