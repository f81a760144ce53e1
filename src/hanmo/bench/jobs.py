"""The job runner of all experiments: runs ``hanmo`` commands side by side, skips finished ones, and can be resumed.

A job is one command line, run with ``--json``; every line that it prints is one record, kept in ``results.jsonl``. Jobs
of kind ``gpu`` share the GPUs; each is started on the GPU with the fewest. Several on one GPU save time, because one
net trains while another compiles. Jobs of kind ``cpu`` share the cores. Without a GPU all jobs run on the CPU.
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

from hanmo.atomic import sole_writer
from hanmo.bench.dry_run import Cost
from hanmo.errors import CheckpointError

Record = dict[str, Any]
"""One line of results.jsonl: ``job``, ``key``, ``seed``, and the figures that the command printed."""
RunId = tuple[str, int]
"""A job's name and a seed: the run that one record is about."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One command, which gives one record for each of its seeds.

    ``arguments``: the command line of hanmo, without ``hanmo`` and ``--json``.
    ``key``: a digest of the settings; records with another key do not count as this job's.
    ``after``: runs that must be finished before this job starts.
    ``cost``: of all seeds together, for dry runs; None when it is not known.
    """

    name: str
    arguments: tuple[str, ...]
    seeds: tuple[int, ...]
    key: str
    kind: Literal["gpu", "cpu"] = "gpu"
    after: tuple[RunId, ...] = ()
    cost: Cost | None = None

    @property
    def runs(self) -> set[RunId]:
        """The runs that it makes."""
        return {(self.name, seed) for seed in self.seeds}


class Results:
    """The file ``results.jsonl``: one record a line. Of two records about the same run the later counts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[RunId, Record]:
        """The records by run. A last line that was cut off is ignored; other damage raises :class:`CheckpointError`."""
        if not self.path.exists():
            return {}
        records = {}
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(keepends=True), 1):
            # A last line without its end was cut off when the process was killed.
            if not line.endswith("\n"):
                break
            try:
                record = json.loads(line)
                records[record["job"], record["seed"]] = {"key": "", **record}  # old records have no key
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise CheckpointError(f"{self.path}: line {number} is no record; remove it to go on") from error
        return records

    def keys(self) -> dict[RunId, str]:
        """The finished runs and the keys of their settings."""
        return {run: record["key"] for run, record in self.load().items()}

    def add(self, records: Collection[Record]) -> None:
        """Append records; the file is created where it is missing."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            whole = self.path.read_bytes()
            os.truncate(self.path, whole.rfind(b"\n") + 1)  # a line that was cut off would spoil the next
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


class _Running:
    """A started job and the records read from it so far."""

    def __init__(self, job: Job, folder: Path, device: int, *, on_gpu: bool) -> None:
        self.job, self.device = job, device
        # The first seed keeps the files apart where an experiment has a job for each seed.
        stem = f"{job.name}-{job.seeds[0]}"
        self.out, self.log = folder / f"{stem}.out", folder / f"{stem}.log"
        # On a GPU the CPU only feeds it. On CPUs two threads a job leave cores for the jobs beside it, unless the user
        # has chosen another number.
        threads = "1" if on_gpu else os.environ.get("OMP_NUM_THREADS", "2")
        environment = os.environ | {"OMP_NUM_THREADS": threads}
        environment["CUDA_VISIBLE_DEVICES"] = _visible(device) if on_gpu else ""
        with self.out.open("w") as out, self.log.open("a") as log:
            command = [sys.executable, "-m", "hanmo", *job.arguments, "--json"]
            # In a session of its own, so that Ctrl-C reaches it once, from run_jobs, and not from the terminal as well.
            self.process = subprocess.Popen(command, stdout=out, stderr=log, env=environment, start_new_session=True)
        self.read = 0

    def error_message(self) -> str:
        """The last line that it wrote to stderr, which names the error."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"

    def new_records(self) -> list[Record]:
        """The records printed since the last call, without the paths of this machine."""
        lines = [line for line in self.out.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
        new_lines, self.read = lines[self.read :], len(lines)
        about = {"job": self.job.name, "key": self.job.key, "seed": self.job.seeds[0]}  # a record may name its own seed
        printed = [json.loads(line) for line in new_lines]
        return [about | {k: v for k, v in record.items() if k not in ("run", "bundle")} for record in printed]


def _visible(device: int) -> str:
    """The name of the ``device``-th GPU that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[device] if visible else str(device)


_GRACE = 30.0
"""Seconds that a training has to write its checkpoint after Ctrl-C, before it is killed."""
_POLL = 0.2
"""Seconds between two looks at the running jobs; short against any training."""


def _interrupt(running: Sequence[_Running]) -> None:
    """Stop jobs as Ctrl-C does, so that trainings write checkpoints."""
    for started in running:
        started.process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _GRACE
    for started in running:
        try:
            started.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:  # still compiling, so there is nothing to save
            started.process.kill()


def run_jobs(
    jobs: Sequence[Job],
    folder: Path,
    *,
    slots: dict[str, int],
    minutes: float,
    devices: int = 1,
    rerun: Collection[RunId] = (),
    on_change: Callable[[Collection[RunId], Sequence[str]], None] = lambda finished, running: None,
) -> bool:
    """Run the jobs that are not in ``folder/results.jsonl`` yet; False when time ran out or a job failed.

    ``slots``: how many jobs of each kind run at the same time; of kind ``gpu`` on each of the ``devices``.
    ``minutes``: then running jobs are stopped as by Ctrl-C. Trainings write a checkpoint; the same call resumes them.
    ``rerun``: finished runs to run again nevertheless.
    ``on_change``: called with the finished runs and the names of the running jobs whenever one of them changes.
    """
    with sole_writer(folder):  # two processes would run the same jobs
        return _run_jobs(jobs, folder, slots, minutes, devices, rerun, on_change)


def _run_jobs(
    jobs: Sequence[Job],
    folder: Path,
    slots: dict[str, int],
    minutes: float,
    devices: int,
    rerun: Collection[RunId],
    on_change: Callable[[Collection[RunId], Sequence[str]], None],
) -> bool:
    results = Results(folder / "results.jsonl")
    # Writes nothing, but makes the folder, and cuts off a broken last line before anything is appended.
    results.add(())
    keys = {job.name: job.key for job in jobs}
    # Records of other settings (another key) do not count: those runs are trained again.
    finished = {run for run, key in results.keys().items() if key == keys.get(run[0])} - set(rerun)
    waiting = [job for job in jobs if not job.runs <= finished]
    running: list[_Running] = []
    deadline = time.monotonic() + 60 * minutes
    try:
        # Start what can start, wait a moment, collect new records; until nothing is left or time is up.
        while (waiting or running) and time.monotonic() < deadline:
            any_started = _start(waiting, running, finished, folder, slots, devices)
            if not running:  # the others wait for runs that failed or are no jobs of ours
                break
            if any_started:
                on_change(finished, [started.job.name for started in running])
            time.sleep(_POLL)
            for started in list(running):
                ended = started.process.poll() is not None  # before reading, so that its last lines are not missed
                if _collect(started, results, finished):
                    on_change(finished, [other.job.name for other in running])
                if ended:
                    running.remove(started)
                    if code := started.process.returncode:
                        print(f"{started.job.name}: exit {code}: {started.error_message()}", flush=True)
    finally:
        _interrupt(running)
        for started in running:
            _collect(started, results, finished)
    left = [job.name for job in jobs if not job.runs <= finished]
    if left:
        print(f"left: {' '.join(left)}", flush=True)
    return not left


def _start(
    waiting: list[Job],
    running: list[_Running],
    finished: set[RunId],
    folder: Path,
    slots: dict[str, int],
    devices: int,
) -> bool:
    """Start every job that has a free slot and whose ``after`` is finished; whether any was started."""
    before = len(running)
    for job in list(waiting):
        busy = [sum((r.job.kind, r.device) == (job.kind, d) for r in running) for d in range(max(devices, 1))]
        # GPU jobs have slots on each GPU; CPU jobs share one set of slots.
        free = min(busy) < slots[job.kind] if job.kind == "gpu" else sum(busy) < slots[job.kind]
        if free and finished.issuperset(job.after):
            waiting.remove(job)
            running.append(_Running(job, folder, busy.index(min(busy)), on_gpu=job.kind == "gpu" and devices > 0))
    return len(running) > before


def _collect(started: _Running, results: Results, finished: set[RunId]) -> bool:
    """Store and print the new records of a job; whether there were any."""
    records = started.new_records()
    if not records:  # most of the time: jobs are asked several times a second
        return False
    results.add(records)
    finished.update((record["job"], record["seed"]) for record in records)
    for record in records:
        print(json.dumps(record, ensure_ascii=False), flush=True)
    return True
