"""Tables that people read, and where they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanmo.bench.plot import Point, draw, pareto
from hanmo.bench.report import BEGIN, END, Accuracy, plus_minus, verdict, write_report
from hanmo.errors import DataError


def found(*top1: float) -> Accuracy:
    return Accuracy(top1=top1, top5=top1)


@pytest.mark.parametrize(
    ("taught", "alone", "said"),
    [
        (found(97, 97.2, 97.4), found(96, 96.1, 96.2), "better"),
        (found(96, 96.1, 96.2), found(97, 97.2, 97.4), "worse"),
        (found(97, 97.2, 97.4), found(97, 97.1, 97.2), "within spread"),
        (found(99), found(90, 91), "one seed"),
    ],
)
def test_a_gain_counts_when_it_is_larger_than_both_spreads(taught: Accuracy, alone: Accuracy, said: str) -> None:
    assert verdict(taught, alone) == said


def test_mean_and_standard_deviation() -> None:
    assert plus_minus([1.0, 2.0, 3.0]) == "2.00 ± 1.00"
    assert plus_minus([1.0]) == "1.00"
    assert found(5.0).spread == 0


def test_the_front_is_what_nothing_beats() -> None:
    points = [(3.0, 90.0), (1.0, 80.0), (2.0, 95.0), (1.0, 70.0), (4.0, 95.0)]
    assert [points[i] for i in pareto(points)] == [(1.0, 80.0), (2.0, 95.0)]
    assert pareto([]) == []


def test_a_report_is_written_between_its_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    write_report(path, "one")
    assert path.read_text(encoding="utf-8") == f"{BEGIN}\n\none\n\n{END}\n"
    path.write_text(f"# By hand\n\n{BEGIN}\nold\n{END}\n\nmore by hand\n", encoding="utf-8")
    write_report(path, "new")
    assert path.read_text(encoding="utf-8") == f"# By hand\n\n{BEGIN}\n\nnew\n\n{END}\n\nmore by hand\n"
    path.write_text("# Somebody's notes\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"report\.md: has no lines <!-- hanmo bench: begin -->"):
        write_report(path, "new")
    assert path.read_text(encoding="utf-8") == "# Somebody's notes\n", "nothing is lost"


@pytest.mark.parametrize("ms", [None, 1.5])
def test_the_plot_shows_nets_with_and_without_times(tmp_path: Path, ms: float | None) -> None:
    points = [
        Point(title="alone", top1=96.0, spread=0.1, parameters=0.7, ms=ms),
        Point(title="distilled", top1=97.0, spread=0.1, parameters=0.7, ms=ms, distilled=True),
    ]
    draw(points, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
