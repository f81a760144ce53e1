"""Runs ``hanmo`` commands side by side, skips those already done, and stops in time to go on later.

A job is one command line ending in ``--json``; its last line of output is kept in ``results.jsonl``. Jobs of the kind
``gpu`` share the device (compiling one net hides behind training another), jobs of the kind ``cpu`` the cores.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Job:
    """``arguments`` of hanmo, started when all jobs named in ``after`` are done."""

    name: str
    arguments: tuple[str, ...]
    kind: Literal["gpu", "cpu"] = "gpu"
    after: tuple[str, ...] = ()


class Results:
    """``results.jsonl``: one record a finished job."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, dict[str, Any]]:
        if not self.path.exists():
            return {}
        records = map(json.loads, self.path.read_text(encoding="utf-8").splitlines())
        return {record["job"]: record for record in records}

    def add(self, record: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def run_jobs(jobs: Sequence[Job], folder: Path, *, slots: dict[str, int], minutes: float) -> bool:
    """Run what is not in ``folder/results.jsonl`` yet; False when time ran out or a job failed.

    A training interrupted by the end of time has checkpointed and goes on when the same call is made again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(folder / "results.jsonl")
    done = set(results.load())
    waiting = [job for job in jobs if job.name not in done]
    running: dict[str, tuple[Job, subprocess.Popen[str], float]] = {}
    deadline = time.monotonic() + 60 * minutes
    failed: set[str] = set()
    while waiting or running:
        for job in list(waiting):
            busy = sum(1 for other, _, _ in running.values() if other.kind == job.kind)
            if busy < slots[job.kind] and done.issuperset(job.after) and time.monotonic() < deadline - 5:
                waiting.remove(job)
                running[job.name] = job, _start(job, folder), time.monotonic()
        if not running:
            break
        time.sleep(0.2)
        for name, (_, process, began) in list(running.items()):
            if process.poll() is None:
                continue
            del running[name]
            output = (folder / f"{name}.out").read_text(encoding="utf-8").strip()
            if process.returncode == 0 and output:
                done.add(name)
                told = _without_paths(json.loads(output.splitlines()[-1]))
                record = {"job": name, "wall": round(time.monotonic() - began, 1), **told}
                results.add(record)
                print(json.dumps(record, ensure_ascii=False), flush=True)
            else:
                failed.add(name)
                log = (folder / f"{name}.log").read_text(encoding="utf-8")
                print(f"{name}: exit {process.returncode}: {log[-600:]}", flush=True)
        if time.monotonic() > deadline:
            _interrupt([process for _, process, _ in running.values()])
            break
    left = [job.name for job in jobs if job.name not in done]
    if left:
        print(f"left: {' '.join(left)}" + (f"; failed: {' '.join(sorted(failed))}" if failed else ""), flush=True)
    return not left


def _interrupt(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Ctrl-C for each, and half a minute to save what it has."""
    for process in processes:
        process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:  # still compiling: nothing to save
            process.kill()


def _without_paths(record: dict[str, Any]) -> dict[str, Any]:
    """Records are published; where a run lay on this machine is of no use to others."""
    plain = {k: v for k, v in record.items() if k not in ("run", "bundle")}
    return {k: [_without_paths(r) for r in v] if k == "seeds" else v for k, v in plain.items()}


def _start(job: Job, folder: Path) -> subprocess.Popen[str]:
    threads = "2" if job.kind == "cpu" else "1"
    environment = os.environ | {"OMP_NUM_THREADS": threads}
    if job.kind == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    with (folder / f"{job.name}.out").open("w") as out, (folder / f"{job.name}.log").open("a") as log:
        command = [sys.executable, "-m", "hanmo", *job.arguments, "--json"]
        return subprocess.Popen(command, stdout=out, stderr=log, text=True, env=environment)
