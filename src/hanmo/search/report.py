"""The results of a search: one row for every trial, and the best of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

State = Literal["complete", "repeated", "pruned", "diverged", "refused", "interrupted", "failed", "running"]
TRAINED: tuple[State, ...] = ("complete", "pruned", "diverged")
"""States of trials that were trained; only these count against ``trials``."""


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A trial.

    ``top1``: in per cent; None if the training did not end.
    ``images``: training images used.
    ``settings``: the values of the space, by key.
    ``why``: the reason why it did not end, else empty.
    """

    trial: int
    state: State
    top1: float | None = None
    images: int = 0
    parameters: int | None = None
    macs: int | None = None
    seconds: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)
    why: str = ""

    def __str__(self) -> str:
        result = f"{self.top1:.2f} %" if self.top1 is not None else self.state
        size = "" if self.parameters is None else f"  {self.parameters / 1e6:.2f} M"
        reason = f"  ({self.why})" if self.why else ""
        return f"trial {self.trial}: {result}{size}  {format_settings(self.settings)}{reason}"


def format_settings(settings: dict[str, Any]) -> str:
    """Settings on one line, written as for ``--set``."""
    return " ".join(f"{key}={_short(value)}" for key, value in settings.items())


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    # Four digits are enough to recognise a sampled number; trials.jsonl has all of them.
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def best_of(rows: Sequence[TrialRow], most: int = 10) -> list[TrialRow]:
    """The ``most`` best complete trials by top-1; among equals the smaller net, then the earlier trial comes first."""
    complete = [row for row in rows if row.state == "complete"]
    # Fixed rules for ties, so that the same journal always gives the same winner.
    return sorted(complete, key=lambda row: (-(row.top1 or 0.0), row.parameters or 0, row.trial))[:most]


def lines(rows: Sequence[TrialRow]) -> str:
    """All trials as JSON lines."""
    return "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)


def summary(rows: Sequence[TrialRow], *, finished: bool) -> dict[str, Any]:
    """For ``--json``: counts of trials by state, training images used, and the best trial."""
    counts = {state: sum(row.state == state for row in rows) for state in dict.fromkeys(row.state for row in rows)}
    best = best_of(rows, 1)
    return {
        "finished": finished,
        "trials": sum(row.state in TRAINED for row in rows),
        "states": counts,
        "images": sum(row.images for row in rows),
        "best": {k: v for k, v in asdict(best[0]).items() if k not in ("state", "why")} if best else None,
    }
