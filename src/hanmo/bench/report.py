"""The results of a bench as Markdown tables: nets trained on labels alone, then methods against their student."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hanmo.atomic import write_whole
from hanmo.bench.comparison import Comparison, Row
from hanmo.bench.jobs import Record, RunId
from hanmo.errors import DataError
from hanmo.nets.registry import net_size

BEGIN, END = "<!-- hanmo bench: begin -->", "<!-- hanmo bench: end -->"


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Top-1 and top-5 in per cent of the finished seeds of a row."""

    top1: tuple[float, ...]
    top5: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.mean(self.top1)

    @property
    def spread(self) -> float:
        """Standard deviation over seeds; 0 of one."""
        return statistics.stdev(self.top1) if len(self.top1) > 1 else 0.0


def accuracies(comparison: Comparison, records: Mapping[RunId, Record]) -> dict[str, Accuracy]:
    """The accuracy of every row that has records; records of other settings do not count."""
    measured = {}
    for row in comparison.rows.values():
        key = comparison.key(row)
        mine = [records[run] for seed in comparison.config.seeds if (run := (row.name, seed)) in records]
        # Records of older settings are in the file as well.
        mine = [record for record in mine if record["key"] == key and "top1" in record]
        if mine:
            measured[row.name] = Accuracy(top1=tuple(r["top1"] for r in mine), top5=tuple(r["top5"] for r in mine))
    return measured


def tables(
    comparison: Comparison, measured: Mapping[str, Accuracy], steps: Mapping[str, Record], reading: Mapping[str, Record]
) -> str:
    """Markdown. ``steps`` and ``reading`` are costs by row (:mod:`hanmo.bench.costs`); what is unknown stays empty."""
    # A dict, unlike a set, keeps the bench's order.
    students = dict.fromkeys(row.student for row in comparison.rows.values() if not row.is_alone)
    parts = [
        _nets(comparison, measured, reading),
        *(_methods(comparison, student, measured, steps) for student in students),
    ]
    return "\n\n".join(part for part in parts if part)


def _nets(comparison: Comparison, measured: Mapping[str, Accuracy], reading: Mapping[str, Record]) -> str:
    lines = [
        "| net | parameters | M MACs | CPU ms | seeds | top-1 % | top-5 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in comparison.rows.values():
        if row.is_alone and row.name in measured:
            accuracy = measured[row.name]
            parameters, macs = net_size(row.recipe.net, len(comparison.pack.charset), comparison.side)
            cells = [
                row.title,
                f"{parameters / 1e6:.2f} M",
                f"{macs / 1e6:.0f}",
                f"{reading[row.name]['ms']:.2f}" if row.name in reading else "",
                str(len(accuracy.top1)),
                plus_minus(accuracy.top1),
                plus_minus(accuracy.top5),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    # Two lines are the head of the table: without a row there is no table.
    return "\n".join(lines) if len(lines) > 2 else ""


def _methods(
    comparison: Comparison, student: str, measured: Mapping[str, Accuracy], steps: Mapping[str, Record]
) -> str:
    rows = [row for row in comparison.rows.values() if row.student == student and row.name in measured]
    if not any(not row.is_alone for row in rows):
        return ""
    baseline = measured.get(student)
    lines = [
        f"Student: **{comparison.rows[student].title}**",
        "",
        "| distilled by | seeds | top-1 % | top-5 % | gain | verdict | ms a step, extra | MB, extra |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        accuracy = measured[row.name]
        # The student trained on labels alone is what gains are measured against; it has no gain itself.
        compared = None if row.is_alone else baseline
        cells = [
            "labels alone" if row.is_alone else row.title,
            str(len(accuracy.top1)),
            plus_minus(accuracy.top1),
            plus_minus(accuracy.top5),
            f"{accuracy.mean - compared.mean:+.2f}" if compared else "",
            verdict(accuracy, compared) if compared else "",
            *_extra(row, steps),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def verdict(accuracy: Accuracy, baseline: Accuracy) -> str:
    """``better`` or ``worse`` when the means differ by more than both spreads together, else ``within spread``."""
    # A plain rule for few seeds: a gain within the sum of both standard deviations may be chance.
    gain, spread = accuracy.mean - baseline.mean, accuracy.spread + baseline.spread
    if len(accuracy.top1) < 2 or len(baseline.top1) < 2:
        return "one seed"
    return "better" if gain > spread else "worse" if gain < -spread else "within spread"


def _extra(row: Row, steps: Mapping[str, Record]) -> tuple[str, str]:
    """Time and memory of a step: of a method, what it adds to the student's own; of a net alone, all of it."""
    if row.name not in steps:
        return "", ""
    cost, baseline = steps[row.name], steps.get(row.student, {})
    if row.is_alone or not baseline:
        return f"{cost['ms']:.1f}", f"{cost['mb']:,.0f}" if "mb" in cost else ""
    memory = f"{cost['mb'] - baseline['mb']:+,.0f}" if "mb" in cost and "mb" in baseline else ""
    return f"{cost['ms'] - baseline['ms']:+.1f}", memory


def plus_minus(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    if len(values) < 2:
        return f"{values[0]:.2f}"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"


def write_report(path: Path, text: str) -> None:
    """Write ``text`` between :data:`BEGIN` and :data:`END` of the file; a missing file is created.

    The text around these two lines stays. Raises :class:`DataError` for a file without them.
    """
    if not path.exists():
        write_whole(path, f"{BEGIN}\n\n{text}\n\n{END}\n".encode())
        return
    whole = path.read_text(encoding="utf-8")
    # Only what stands between the two marks is replaced; the page around it is written by hand.
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError(f"{path}: has no lines {BEGIN} and {END} to write between; add them or name another file")
    write_whole(path, f"{before}{BEGIN}\n\n{text}\n\n{END}{after}".encode())
