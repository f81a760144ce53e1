"""Reading by an engine; here a reader on the CPU is one, with and without normalised squares, and no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pytest

from hanmo.bulk import Options, Source, read_in_bulk
from hanmo.bulk.packing import REMARKS, Answers, Packed, Packer
from hanmo.bulk.results import parts_of
from hanmo.bulk.rows import Encoder
from hanmo.bulk.work import fingerprint
from hanmo.data.gnt import write_gnt
from hanmo.errors import ArgumentError, BlankImageError, DataError, DeviceError, WorkerError
from hanmo.probability import evidence, softmax
from hanmo.recognizer import Recognizer

from .conftest import COUNT, read, rows_of, samples

CHUNK = 30


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch, small_batches: None) -> None:
    monkeypatch.setattr("hanmo.bulk.run.CHUNK", CHUNK)
    monkeypatch.setattr("hanmo.bulk.pipeline.CHUNK", CHUNK)


class OnCpu:
    """An engine of a :class:`Recognizer`; it leaves every ``tenth`` picture unread."""

    def __init__(self, options: Options, *, normalizes: bool, lanes: int = 2, tenth: int = 10) -> None:
        self.reader, self.options = options.open(), options
        self.normalizes, self.batch, self.lanes, self.tenth = normalizes, 3 * CHUNK, lanes, tenth
        self.top, self.among = options.top, options.among
        self.fingerprint = fingerprint(self.reader.bundle)
        self.calls, self.lock, self.fails_at = 0, Lock(), 1000

    def __call__(self, packs: Sequence[Packed], copied: Callable[[], None]) -> Answers:
        with self.lock:
            self.calls += 1
            if self.calls == self.fails_at:
                raise DeviceError("cuda is gone")
        pictures = [picture.copy() for pack in packs for picture in unpacked(pack)]
        remarks = np.concatenate([pack.remarks for pack in packs])
        copied()
        for pack in packs:
            pack.pixels[:] = 7  # nothing may look at them any more
        unread = np.arange(len(pictures)) % self.tenth == 0
        if self.normalizes:
            side = self.reader.bundle.normalization.side
            squares = np.zeros((len(pictures), side, side), np.uint8)
            for number, picture in enumerate(pictures):
                try:
                    seen = self.reader.bundle.normalization.inspect(picture)
                except BlankImageError:
                    unread[number] = True
                else:
                    squares[number], remarks[number] = seen.square, REMARKS.index(seen.remark)
        else:
            squares = np.stack(pictures)
        logits = self.reader.logits(squares)
        probabilities = softmax(logits, self.reader.bundle.temperature)
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, : self.options.top]
        known = evidence(logits) >= self.reader.bundle.least_evidence
        best[unread] = 0
        return Answers(best.astype(np.int32), np.take_along_axis(probabilities, best, 1), known, remarks, unread)


def unpacked(pack: Packed) -> list[np.ndarray]:
    ends = np.cumsum(pack.heights * pack.widths)
    parts = np.split(pack.pixels, ends)[:-1]
    return [part.reshape(size) for part, size in zip(parts, zip(pack.heights, pack.widths, strict=True), strict=True)]


@pytest.mark.parametrize("normalizes", [True, False])
@pytest.mark.parametrize("processes", [1, 2])
def test_rows_are_those_of_a_reader(
    gnt: Path, folder: Path, options: Options, tmp_path: Path, normalizes: bool, processes: int
) -> None:
    expected = read(tmp_path, options, folder, gnt)
    engine = OnCpu(options, normalizes=normalizes)
    out, reports = tmp_path / "engine.jsonl", []
    totals = read_in_bulk(
        Source([folder, gnt]),
        out,
        options,
        processes=processes,
        engine=engine,
        report=lambda done, total: reports.append((done, total)),
    )
    assert rows_of(out) == expected
    assert totals.counts.all == len(expected) == reports[-1][0] == reports[-1][1]
    assert totals.counts.unreadable == 1
    assert totals.waits is not None
    waits = totals.waits
    assert min(waits.pictures, waits.engine, waits.rows, waits.storing) > 0
    assert waits.pictures + waits.engine + waits.rows + waits.storing <= totals.seconds
    assert engine.calls >= COUNT // engine.batch


def test_a_run_that_failed_goes_on(gnt: Path, options: Options, tmp_path: Path) -> None:
    engine = OnCpu(options, normalizes=True)
    engine.fails_at = 3
    out = tmp_path / "rows.jsonl"
    with pytest.raises(DeviceError, match="cuda is gone"):
        read_in_bulk(Source([gnt]), out, options, processes=2, engine=engine)
    stored = len((parts_of(out) / "rows").read_text(encoding="utf-8").splitlines())
    assert 0 < stored < COUNT
    engine.fails_at = 1000
    totals = read_in_bulk(Source([gnt]), out, options, processes=1, engine=engine)
    assert totals.before == stored
    assert [row["sample"] for row in rows_of(out)] == list(range(1, COUNT + 1))


def test_a_run_on_the_cpu_goes_on_with_an_engine(gnt: Path, options: Options, tmp_path: Path) -> None:
    expected = read(tmp_path, options, gnt)

    def stop(done: int, total: int | None) -> None:
        if done > 100:
            raise KeyboardInterrupt

    out = tmp_path / "again.jsonl"
    with pytest.raises(KeyboardInterrupt):
        read_in_bulk(Source([gnt]), out, options, processes=1, report=stop)
    with pytest.raises(KeyboardInterrupt):
        read_in_bulk(
            Source([gnt]),
            out,
            options,
            processes=2,
            report=lambda done, _: stop(done - 100, None),
            engine=OnCpu(options, normalizes=True),
        )
    totals = read_in_bulk(Source([gnt]), out, options, processes=2, engine=OnCpu(options, normalizes=True))
    assert totals.before > 200
    assert rows_of(out) == expected


def test_memory_is_no_larger_than_needed(
    gnt: Path, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def packer(options: Options, encoder: Encoder, memory: Any, *more: Any) -> Packer:
        sizes.append(len(memory))
        return Packer(options, encoder, memory, *more)

    monkeypatch.setattr("hanmo.bulk.pipeline.Packer", packer)
    few = tmp_path / "1002-c.gnt"
    write_gnt(few, samples(CHUNK + 1))
    for name, path, normalizes in (("many", gnt, True), ("few", few, True), ("squares", few, False)):
        engine = OnCpu(options, normalizes=normalizes)
        read_in_bulk(Source([path]), tmp_path / f"{name}.jsonl", options, processes=1, engine=engine)
    # Two chunks for each process, and some groups for the engine: of three chunks, or of two where there are no more.
    side = options.open().bundle.normalization.side
    assert sizes == [(2 + 4 * 3) * CHUNK * 96**2, (2 + 4 * 2) * CHUNK * 96**2, (2 + 4 * 2) * CHUNK * side**2]


def test_an_error_of_a_worker_is_one_line(
    gnt: Path, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **more: object) -> None:
        raise MemoryError

    engine = OnCpu(options, normalizes=True)
    monkeypatch.setattr("hanmo.bulk.packing.decoded", full)
    with pytest.raises(WorkerError, match="the memory was full"):
        read_in_bulk(Source([gnt]), tmp_path / "rows.jsonl", options, processes=1, engine=engine)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_changes_between_its_two_readings_ends_the_run(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    path = tmp_path / "1001-c.gnt"
    write_gnt(path, samples(100))
    whole = path.read_bytes()
    record = len(whole) // 100
    call = OnCpu.__call__

    def changing(engine: OnCpu, packs: Sequence[Packed], copied: Callable[[], None]) -> Answers:
        # Of the same length, but each label is that of the next picture; or cut in the middle.
        path.write_bytes(whole[record:] + whole[:record] if replaced else whole[: 50 * record])
        return call(engine, packs, copied)

    monkeypatch.setattr(OnCpu, "__call__", changing)
    with pytest.raises(DataError, match=r"1001-c\.gnt: changed while it was read; give the command again"):
        read_in_bulk(
            Source([path]), tmp_path / "rows.jsonl", options, processes=1, engine=OnCpu(options, normalizes=True)
        )


@pytest.mark.parametrize("other", [{"top": 1}, {"among": "一丨"}, {"bundle": "nano"}])
def test_an_engine_of_other_options_is_refused(
    gnt: Path, options: Options, tmp_path: Path, other: dict[str, Any]
) -> None:
    engine = OnCpu(replace(options, **other), normalizes=True)
    with pytest.raises(ArgumentError, match=r"other options; make it by open_engine\(options\)"):
        read_in_bulk(Source([gnt]), tmp_path / "rows.jsonl", options, engine=engine)
    assert list(tmp_path.iterdir()) == []


def test_an_engine_and_ray_do_not_go_together(gnt: Path, options: Options, tmp_path: Path) -> None:
    engine = OnCpu(options, normalizes=True)
    with pytest.raises(ArgumentError, match="leave out the engine"):
        read_in_bulk(Source([gnt]), tmp_path / "rows.jsonl", options, ray="local", engine=engine)


def test_classes_found_elsewhere_are_named_alike(options: Options) -> None:
    reader = Recognizer(options.bundle)
    squares = np.random.default_rng(1).integers(0, 256, (5, 16, 16), dtype=np.uint8)
    for among in (None, "丨一"):
        logits = reader.logits(squares)
        columns = reader.choice(2, among)
        probabilities = softmax(logits if columns is None else logits[:, columns], reader.bundle.temperature)
        best = np.argsort(-probabilities, axis=1)[:, :2]
        known = evidence(logits) >= reader.bundle.least_evidence
        named = reader.named(best, np.take_along_axis(probabilities, best, 1), known, among=among)
        assert named == reader.predict(squares, 2, among=among)
