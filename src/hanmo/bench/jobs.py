"""Runs ``hanmo`` commands side by side, skips those already done, and stops in time to go on later.

A job is one command line ending in ``--json``; every line it prints is one record, kept in ``results.jsonl``. Jobs of
the kind ``gpu`` share a device (compiling one net hides behind training another) and go to the one with the fewest,
jobs of the kind ``cpu`` share the cores. Without a GPU all are of that kind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hanmo.errors import CheckpointError

Record = dict[str, Any]
Done = tuple[str, int]
"""A job's name and a seed: what one record is about."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """``arguments`` of hanmo, one record for each of ``seeds``; started when what is named in ``after`` is done.

    ``key`` says by which settings: records of other settings do not count.
    """

    name: str
    arguments: tuple[str, ...]
    seeds: tuple[int, ...]
    key: str
    kind: Literal["gpu", "cpu"] = "gpu"
    after: tuple[Done, ...] = ()

    @property
    def goals(self) -> set[Done]:
        return {(self.name, seed) for seed in self.seeds}


class Results:
    """``results.jsonl``: a record a line; of two about the same the later counts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[Done, Record]:
        """The records; a last line that was cut off is passed over, :class:`CheckpointError` names any other damage."""
        if not self.path.exists():
            return {}
        found = {}
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(keepends=True), 1):
            if not line.endswith("\n"):
                break
            try:
                record = json.loads(line)
                found[record["job"], record["seed"]] = {"key": "", **record}
            except (ValueError, KeyError, TypeError) as error:
                raise CheckpointError(f"{self.path}: line {number} is no record; remove it to go on") from error
        return found

    def add(self, records: Collection[Record]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            whole = self.path.read_bytes()
            os.truncate(self.path, whole.rfind(b"\n") + 1)  # a line that was cut off would spoil the next
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


class _Running:
    """A started job and what it has said so far."""

    def __init__(self, job: Job, folder: Path, device: int, *, on_gpu: bool) -> None:
        self.job, self.device = job, device
        stem = f"{job.name}-{job.seeds[0]}"
        self.out, self.log = folder / f"{stem}.out", folder / f"{stem}.log"
        environment = os.environ | {"OMP_NUM_THREADS": "1" if on_gpu else "2"}
        environment["CUDA_VISIBLE_DEVICES"] = _visible(device) if on_gpu else ""
        with self.out.open("w") as out, self.log.open("a") as log:
            command = [sys.executable, "-m", "hanmo", *job.arguments, "--json"]
            # In a session of its own: Ctrl-C reaches it once, from us.
            self.process = subprocess.Popen(command, stdout=out, stderr=log, env=environment, start_new_session=True)
        self.read = 0

    def last_words(self) -> str:
        """The end of what it wrote to stderr: of an error the line that says what it was."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"

    def new_records(self) -> list[Record]:
        lines = [line for line in self.out.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
        fresh, self.read = lines[self.read :], len(lines)
        told = [{k: v for k, v in json.loads(line).items() if k not in ("run", "bundle")} for line in fresh]
        return [{"job": self.job.name, "key": self.job.key, "seed": self.job.seeds[0], **record} for record in told]


def _visible(device: int) -> str:
    """The name of the ``device``-th GPU that this process may use."""
    ours = os.environ.get("CUDA_VISIBLE_DEVICES")
    return ours.split(",")[device] if ours else str(device)


_GRACE = 30.0
"""Seconds a training has to save what there is after Ctrl-C."""


def _interrupt(running: Sequence[_Running]) -> None:
    for one in running:
        one.process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _GRACE
    for one in running:
        try:
            one.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:  # still compiling: nothing to save
            one.process.kill()


def run_jobs(
    jobs: Sequence[Job],
    folder: Path,
    *,
    slots: dict[str, int],
    minutes: float,
    devices: int = 1,
    again: Collection[Done] = (),
    on_change: Callable[[Collection[Done], Sequence[str]], None] = lambda done, running: None,
) -> bool:
    """Run what is not in ``folder/results.jsonl`` yet; False when time ran out or a job failed.

    ``slots`` says how many jobs of each kind run at a time, those of the kind ``gpu`` on each of the ``devices``.
    A training interrupted by the end of time, or by Ctrl-C, has checkpointed and goes on when the same call is made
    again. What is named in ``again`` is run although it is done. ``on_change`` is told what is done and what runs.
    """
    results = Results(folder / "results.jsonl")
    results.add(())
    keys = {job.name: job.key for job in jobs}
    done = {goal for goal, record in results.load().items() if record["key"] == keys.get(goal[0])} - set(again)
    waiting = [job for job in jobs if not job.goals <= done]
    running: list[_Running] = []
    deadline = time.monotonic() + 60 * minutes
    try:
        while (waiting or running) and time.monotonic() < deadline:
            started = _start(waiting, running, done, folder, slots, devices)
            if not running:
                break
            if started:
                on_change(done, [one.job.name for one in running])
            time.sleep(0.2)
            for one in list(running):
                ended = one.process.poll() is not None
                if _collect(one, results, done):
                    on_change(done, [one.job.name for one in running])
                if ended:
                    running.remove(one)
                    if one.process.returncode:
                        print(f"{one.job.name}: exit {one.process.returncode}: {one.last_words()}", flush=True)
    finally:
        _interrupt(running)
        for one in running:
            _collect(one, results, done)
    left = [job.name for job in jobs if not job.goals <= done]
    if left:
        print(f"left: {' '.join(left)}", flush=True)
    return not left


def _start(
    waiting: list[Job], running: list[_Running], done: set[Done], folder: Path, slots: dict[str, int], devices: int
) -> bool:
    """Start what has a slot and waits for nothing; whether anything was."""
    before = len(running)
    for job in list(waiting):
        busy = [sum((r.job.kind, r.device) == (job.kind, d) for r in running) for d in range(max(devices, 1))]
        free = min(busy) < slots[job.kind] if job.kind == "gpu" else sum(busy) < slots[job.kind]
        if free and done.issuperset(job.after):
            waiting.remove(job)
            running.append(_Running(job, folder, busy.index(min(busy)), on_gpu=job.kind == "gpu" and devices > 0))
    return len(running) > before


def _collect(one: _Running, results: Results, done: set[Done]) -> bool:
    """Keep what a job has said since it was last asked; whether there was anything."""
    records = one.new_records()
    results.add(records)
    done.update((record["job"], record["seed"]) for record in records)
    for record in records:
        print(json.dumps(record, ensure_ascii=False), flush=True)
    return bool(records)
