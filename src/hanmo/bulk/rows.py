"""A row of the results, and rows as bytes of JSON lines, CSV or Arrow."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from hanmo.bulk.items import Item
from hanmo.errors import HanmoError
from hanmo.prediction import Candidate, Prediction

_DIGITS = 6  # of a probability, as `hanmo recognize --json` prints it


class Row(NamedTuple):
    """The answer to one picture. ``refused`` is None, and there are no candidates, where ``error`` says why."""

    file: str
    sample: int | None
    label: str | None
    character: str | None
    refused: bool | None
    reason: str | None
    error: str | None
    candidates: tuple[Candidate, ...]

    @classmethod
    def of(cls, item: Item, outcome: Prediction | HanmoError) -> Row:
        name = (item.file, item.sample, item.label)
        if isinstance(outcome, HanmoError):
            return cls(*name, None, None, None, str(outcome), ())
        return cls(*name, outcome.character, outcome.refused, outcome.reason, None, outcome.candidates)


FACTS = Row._fields[:-1]
"""The columns before those of the candidates."""


class Encoder(Protocol):
    """Rows as bytes. Joining the bytes of several calls gives those of all rows."""

    def __call__(self, rows: Sequence[Row]) -> bytes: ...


@dataclass(frozen=True)
class JsonLines:
    """One JSON object a line, in UTF-8; every object has the same keys."""

    def __call__(self, rows: Sequence[Row]) -> bytes:
        lines = []
        for row in rows:
            candidates = [
                {"character": c.character, "probability": round(c.probability, _DIGITS), "alike": c.alike}
                for c in row.candidates
            ]
            lines.append(json.dumps(row._asdict() | {"candidates": candidates}, ensure_ascii=False) + "\n")
        return "".join(lines).encode()


@dataclass(frozen=True)
class Csv:
    """A line a row, in UTF-8, with columns for ``top`` candidates. No value holds a line end."""

    top: int

    def header(self) -> bytes:
        numbered = [f"{name}_{n}" for n in range(1, self.top + 1) for name in ("character", "probability", "alike")]
        return _csv([[*FACTS, *numbered]])

    def __call__(self, rows: Sequence[Row]) -> bytes:
        return _csv([self._cells(row) for row in rows])

    def _cells(self, row: Row) -> list[Any]:
        cells: list[Any] = list(row[:-1])
        # As JSON has it; Python's own True would be one more spelling for other programs.
        cells[FACTS.index("refused")] = None if row.refused is None else str(row.refused).lower()
        for c in row.candidates:
            cells += [c.character, round(c.probability, _DIGITS), c.alike]
        return cells + [None] * (3 * (self.top - len(row.candidates)))


@dataclass(frozen=True)
class Arrow:
    """An Arrow stream of one record batch, with lists for the candidates."""

    def __call__(self, rows: Sequence[Row]) -> bytes:
        import pyarrow as pa

        columns: dict[str, list[Any]] = {name: [row[n] for row in rows] for n, name in enumerate(FACTS)}
        columns["characters"] = [[c.character for c in row.candidates] for row in rows]
        columns["probabilities"] = [[c.probability for c in row.candidates] for row in rows]
        columns["alike"] = [[c.alike for c in row.candidates] for row in rows]
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, arrow_schema()) as stream:
            stream.write_batch(pa.RecordBatch.from_pydict(columns, schema=arrow_schema()))
        return sink.getvalue()


def arrow_schema() -> Any:
    """The columns of the Parquet results."""
    import pyarrow as pa

    text = pa.string()
    types = {"sample": pa.int64(), "refused": pa.bool_()}
    facts = [(name, types.get(name, text)) for name in FACTS]
    lists = [("characters", pa.list_(text)), ("probabilities", pa.list_(pa.float32())), ("alike", pa.list_(text))]
    return pa.schema(facts + lists)


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
