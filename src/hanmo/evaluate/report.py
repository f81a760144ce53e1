"""An evaluation as one HTML file without scripts or external files, in light and dark mode."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from hanmo.atomic import require_suffix, write_whole
from hanmo.charset import list_characters
from hanmo.evaluate.figures import class_curve, picture, reliability_diagram
from hanmo.evaluate.result import ClassScore, ConfusedPair, Evaluation, Mistake

SUFFIXES = (".html", ".htm")
WORST_CLASSES = 24
LABELS_SHOWN = 20
"""Labels named of those that could not be answered."""

# All styles and pictures are inside the page, so that it can be mailed and archived as one file.
_STYLE = """
:root { color-scheme: light dark; --paper: #faf8f3; --card: #fff; --ink: #23262c; --soft: #6a6e76; --line: #e4dfd4;
  --red: #b5382a; --blue: #3a5a98; --shade: #3a5a9826; --kai: "LXGW WenKai", "Kaiti SC", STKaiti, KaiTi,
  "Noto Serif CJK SC", "Songti SC", SimSun, serif; }
@media (prefers-color-scheme: dark) { :root { --paper: #17181b; --card: #1f2125; --ink: #e7e4dc; --soft: #989ca4;
  --line: #33363c; --red: #ee7b6b; --blue: #8fabe6; --shade: #8fabe633; } img { filter: invert(0.9); } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1040px; padding: 48px 24px 96px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 22px; margin: 64px 0 16px; padding-top: 16px; border-top: 2px solid var(--ink);
  overflow-wrap: anywhere; }
h3 { font-size: 17px; margin: 40px 0 8px; }
p { margin: 0 0 16px; max-width: 68ch; } .soft, small, th, dt { color: var(--soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; margin: 20px 0; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.figures b { display: block; font-size: 26px; font-weight: 600; line-height: 1.2; font-variant-numeric: tabular-nums; }
.figures div:first-child b { color: var(--red); } .figures span { font-size: 13px; color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 24px; margin: 16px 0; font-size: 14px; }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th { text-align: left; font-weight: 500; } td, th { padding: 6px 16px 6px 0; border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; white-space: nowrap; } .glyph { font: 26px/1.2 var(--kai); white-space: nowrap; }
.glyph i { font: 16px/1 sans-serif; color: var(--soft); padding: 0 6px; } .predicted { color: var(--red); }
img { width: 52px; height: 52px; border: 1px solid var(--line); border-radius: 4px; margin: 1px 3px 1px 0;
  vertical-align: middle; background: #fff; }
@media (max-width: 700px) { td, th { padding-right: 8px; } td img { width: 32px; height: 32px; } }
@media (prefers-color-scheme: dark) { img { border-color: #d8d5cd; } }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(86px, 1fr)); gap: 12px; }
.gallery figure { margin: 0; padding: 8px; text-align: center; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; } .gallery img { width: 64px; height: 64px; margin: 0; } .gallery .glyph { font-size: 20px; }
.worst { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 0 32px; }
.worst div { display: grid; grid-template-columns: 36px 1fr 56px 70px; align-items: center; gap: 10px;
  font-size: 14px; }
.worst u { display: block; height: 8px; border-radius: 4px; background: var(--shade); overflow: hidden; }
.worst small .predicted { font: 18px/1 var(--kai); }
.worst u s { display: block; height: 8px; background: var(--blue); } .worst span { font-variant-numeric: tabular-nums; }
svg { max-width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--soft); } .grid { stroke: var(--line); }
.bar, .count { fill: var(--blue); } .count { opacity: 0.6; } .gap { fill: var(--red); opacity: 0.4; }
.right { fill: var(--ink); } .ideal { stroke: var(--ink); stroke-dasharray: 3 4; }
.area { fill: var(--shade); stroke: var(--blue); stroke-width: 1.5; }
summary { cursor: pointer; margin: 24px 0 8px; font-weight: 600; } @media print { body { padding: 0; } }
"""

# The Content-Security-Policy forbids scripts and any load from the network: the page shows test samples.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p class="soft">{made}</p>
{body}
</body>
</html>
"""


def write_report(
    evaluations: Evaluation | Sequence[Evaluation],
    path: str | Path,
    *,
    title: str = "Evaluation",
    conditions: Mapping[str, str] | None = None,
    made: datetime | None = None,
    per_writer: bool = False,
) -> Path:
    """Write one page about one or several evaluated files; returns ``path``.

    ``conditions`` are facts to print (the bundle, its net, threads); ``made`` defaults to now; ``per_writer`` adds a
    table of the writers. The page contains pictures of the mistakes, so it may not be shown to people who may not see
    the samples. Raises :class:`ArgumentError` for a name that does not end in .html, :class:`StorageError` when it
    cannot be written.
    """
    target = require_suffix(path, *SUFFIXES)
    several = [evaluations] if isinstance(evaluations, Evaluation) else list(evaluations)
    body = _facts(conditions or {}) + (_overview(several) if len(several) > 1 else "")
    page = _PAGE.format(
        title=escape(title),
        style=_STYLE,
        made=f"{(made or datetime.now(UTC)).astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        body=body + "".join(_section(evaluation, per_writer) for evaluation in several),
    )
    # A file name may hold bytes that are not text; they show as question marks.
    write_whole(target, page.encode(errors="replace"))
    return target


def _overview(evaluations: Sequence[Evaluation]) -> str:
    rows = [
        [escape(e.file), f"{e.n:,}", *(_percent(v) for v in (e.top1, e.top5, e.top10)), _ece(e.ece), _ms(e.ms_per_char)]
        for e in evaluations
    ]
    return _table(["file", "pictures", "top-1", "top-5", "top-10", "ECE", "ms a character"], rows, numbers=6)


def _section(e: Evaluation, per_writer: bool) -> str:
    facts = {
        "Answers": _choice(e),
        "Pictures": f"{e.n:,} scored, of {len(e.per_class):,} characters; {e.blank:,} blank ones count as wrong",
        "Refused": f"{e.refused:,} of the scored; the others are {_percent(e.top1_answered)} right",
        "Time": f"inference{'' if e.packed else ' and normalisation'}, {e.batch_size} pictures at a time",
    }
    if e.outside:
        facts["Not scored"] = (
            f"{e.outside:,} with a label outside the charset; {e.outside_refused:,} of them refused; the labels: "
            f"{tell_labels(e.outside_labels)}"
        )
    if e.left_out:
        facts["Left out"] = f"{e.left_out:,} by the pack: blank, or of a label unknown to its charset"
    return (
        f"<section><h2>{escape(e.file)}</h2>{_headline(e)}{_facts(facts)}"
        f"{_writers(e) if per_writer else ''}"
        f"{_confusions(e.confusions)}{_confident(e.confident_mistakes)}{_calibration(e)}{_classes(e.per_class)}</section>"
    )


def tell_spread(e: Evaluation) -> str:
    """The spread over the writers: "2 writers: mean 92.10 %, standard deviation 2.31, worst 80.00 % (1241)"."""
    spread = e.writer_spread
    if spread is None:
        return "no writer is known; names of .gnt files such as 1241-c.gnt name them"
    deviation = "" if math.isnan(spread.std) else f", standard deviation {spread.std:.2f}"
    writers = "1 writer" if spread.n == 1 else f"{spread.n:,} writers"
    return f"{writers}: mean {spread.mean:.2f} %{deviation}, worst {spread.worst.top1:.2f} % ({spread.worst.writer})"


def _writers(e: Evaluation) -> str:
    worst_first = sorted(e.per_writer, key=lambda score: score.top1)
    rows = [[escape(s.writer) or "unknown", f"{s.n:,}", _percent(s.top1)] for s in worst_first]
    return f"<h3>Accuracy by writer</h3><p>Top-1; each writer counts the same: {escape(tell_spread(e))}.</p>" + _table(
        ["writer", "samples", "top-1"], rows, numbers=2
    )


def tell_labels(counts: Mapping[str, int]) -> str:
    """Labels and how often each occurs, at most twenty: "龘 ×3, 靐"."""
    shown = [f"{list_characters([label])}{f' ×{n:,}' if n > 1 else ''}" for label, n in counts.items()][:LABELS_SHOWN]
    more = f" and {len(counts) - LABELS_SHOWN:,} more" if len(counts) > LABELS_SHOWN else ""
    return ", ".join(shown) + more


def _choice(e: Evaluation) -> str:
    """What the reader could answer with. Characters that look the same share a class."""
    if e.among:
        return f"closed to {e.among}: {e.answers:,} classes"
    return (
        f"closed: only the {e.answers:,} characters present"
        if e.closed
        else (f"open: all {e.answers:,} characters of the bundle")
    )


def _headline(e: Evaluation) -> str:
    figures = {
        "top-1": _percent(e.top1),
        "top-5": _percent(e.top5),
        "top-10": _percent(e.top10),
        "calibration error (ECE)": _ece(e.ece),
        "a character": _ms(e.ms_per_char),
        "pictures": f"{e.n:,}",
    }
    return f'<div class="figures">{"".join(f"<div><b>{v}</b><span>{k}</span></div>" for k, v in figures.items())}</div>'


def _confusions(pairs: Iterable[ConfusedPair]) -> str:
    rows = [
        [
            f'<span class="glyph">{_arrow(p.true, p.predicted)}</span>',
            "".join(_image(m) for m in p.mistakes),
            f"{p.count:,}",
            f"{p.both:,}",
        ]
        for p in pairs
    ]
    if not rows:
        return "<h3>Most confused pairs</h3><p>None: every answer is right.</p>"
    return (
        "<h3>Most confused pairs</h3><p>Written → read, with the net's input pictures, the most confident mistakes "
        "first.</p>" + _table(["written → read", "pictures", "times", "both ways"], rows, numbers=2)
    )


def _confident(mistakes: Iterable[Mistake]) -> str:
    figures = [
        f'<figure>{_image(m)}<div class="glyph">{_arrow(m.true, m.predicted)}</div>'
        f"<small>{m.probability:.1%}</small></figure>"
        for m in mistakes
    ]
    if not figures:
        return ""
    return (
        "<h3>Most confident mistakes</h3><p>Where the net is sure and the label disagrees, the label is sometimes the "
        f'one that is wrong. Point at a picture for its source.</p><div class="gallery">{"".join(figures)}</div>'
    )


def _calibration(e: Evaluation) -> str:
    if not e.reliability.count.any():
        return ""
    return (
        "<h3>Calibration</h3><p>Each bar stands for the answers of one range of probability; its mark shows how "
        "many were right. On the dashed line accuracy equals probability. Red is the gap: above the mark the net is "
        f"too confident, below it not confident enough. The mean gap (ECE) is {_ece(e.ece)}, the "
        f"mean negative log-likelihood {e.nll:.3f} nats.</p>{reliability_diagram(e.reliability)}"
    )


def _classes(scores: Sequence[ClassScore]) -> str:
    if not scores:
        return ""
    # Among classes of equal accuracy the one with more pictures comes first: its figure is better founded.
    worst_first = sorted(scores, key=lambda score: (score.top1, -score.n, score.character))
    worst = "".join(
        f'<div><b class="glyph">{escape(s.character)}</b><u><s style="width:{s.top1:.1f}%"></s></u>'
        f'<span class="n">{s.top1:.1f}%</span><small>{_taken_for(s)}</small></div>'
        for s in worst_first[:WORST_CLASSES]
        # Classes without a mistake do not belong among the worst, even where fewer than 24 have one.
        if s.top1 < 100
    )
    rows = [
        [
            f'<span class="glyph">{escape(s.character)}</span>',
            _code(s.character),
            _taken_for(s),
            f"{s.n:,}",
            f"{s.top1:.2f}%",
        ]
        for s in worst_first
    ]
    table = _table(["character", "code", "taken for", "pictures", "top-1"], rows, numbers=2)
    return (
        f"<h3>Accuracy by class</h3>{class_curve([s.top1 for s in scores])}"
        f'<h3>Worst classes</h3><div class="worst">{worst or "None: every answer is right."}</div>'
        f"<details><summary>All {len(scores):,} classes, worst first</summary>{table}</details>"
    )


def _facts(facts: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(v)}</dd>' for k, v in facts.items())}</dl>" if facts else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int) -> str:
    """A table of cells that are HTML already; the last ``numbers`` columns are right-aligned numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        kinds = [""] * (len(cells) - numbers) + [' class="n"'] * numbers
        return "<tr>" + "".join(f"<{tag}{k}>{c}</{tag}>" for k, c in zip(kinds, cells, strict=True)) + "</tr>"

    return f"<table><thead>{line(head, 'th')}</thead><tbody>{''.join(line(row, 'td') for row in rows)}</tbody></table>"


def _image(m: Mistake) -> str:
    text = escape(f"{m.true} → {m.predicted}, {m.probability:.1%}{', ' if m.source else ''}{m.source}")
    return f'<img src="{picture(m.square)}" alt="{text}" title="{text}">'


def _arrow(true: str, predicted: str) -> str:
    return f'{escape(true)}<i>→</i><span class="predicted">{escape(predicted)}</span>'


def _taken_for(score: ClassScore) -> str:
    return f'→ <span class="predicted">{escape(score.taken_for)}</span>' if score.taken_for else ""


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}%"


def _ece(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.2f}%"


def _ms(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f} ms"
