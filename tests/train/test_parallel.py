"""Two processes that share every batch do what one does."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from hanmo.nets.registry import NETS
from hanmo.train.checkpoint import load_tensors
from hanmo.train.parallel import Processes

WORKER = Path(__file__).with_name("ddp_worker.py")


def run_processes(world: int, *arguments: Path | str) -> list[list[str]]:
    """Run the worker in ``world`` processes, as torchrun would; the lines each printed."""
    finished = start_processes(world, *arguments)
    for code, _, errors in finished:
        assert code == 0, errors
    return [told.splitlines() for _, told, _ in finished]


def start_processes(world: int, *arguments: Path | str) -> list[tuple[int, str, str]]:
    """The exit status of each process, and what it wrote to both streams."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, str(WORKER), *map(str, arguments)],
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        finished = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *streams) for process, streams in zip(started, finished, strict=True)]


class Runs(NamedTuple):
    """Folders of the runs of one process and of two, and what each of the two printed."""

    one: Path
    two: Path
    told: list[list[str]]


@pytest.fixture(scope="module")
def runs(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("parallel")
    spec = importlib.util.spec_from_file_location("ddp_worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    worker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)  # registers its net
    alone, teacher = Processes.join("cpu"), folder / "one" / "plain"
    worker.train(worker.recipe(str(drawn), "no-norms"), teacher, alone)
    worker.train(worker.recipe(str(drawn), "no-norms", str(teacher)), folder / "one" / "distilled", alone)
    yield Runs(folder / "one", folder / "two", run_processes(2, drawn, teacher, folder / "two"))
    del NETS["no-norms"]


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ["plain", "distilled"])
def test_two_processes_equal_one(runs: Runs, name: str) -> None:
    one, _ = load_tensors(runs.one / name / "weights.safetensors")
    two, header = load_tensors(runs.two / name / "weights.safetensors")
    assert header["net"]["name"] == "no-norms"
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor, rtol=1e-3, atol=1e-5)
    alone, shared = records(runs.one / name), records(runs.two / name)
    assert len(shared) == len(alone), "one process writes"
    assert shared[-1]["loss"] == pytest.approx(alone[-1]["loss"], rel=1e-3)


def test_all_processes_hold_the_same_weights_and_norm_statistics(runs: Runs) -> None:
    assert [line.split()[0] for line in runs.told[0]] == ["plain", "distilled", "norms"]
    assert runs.told[0] == runs.told[1]


def test_alone_there_is_nothing_to_average() -> None:
    processes = Processes.join("cpu")
    assert (processes.rank, processes.world, processes.is_first) == (0, 1, True)
    tensor = torch.ones(2)
    processes.average_([tensor])
    processes.barrier()
    processes.leave()
    assert torch.equal(tensor, torch.ones(2))


def test_when_one_process_dies_the_others_stop_with_the_reason(drawn: Path, tmp_path: Path) -> None:
    (code, _, errors), (killed, *_) = start_processes(2, drawn, "die", tmp_path)
    assert killed == -signal.SIGKILL
    assert code == 1
    last = errors.strip().splitlines()[-1]
    assert re.search(r"WorkerError: process 0 of 2 cannot reach the others \(.*by peer.*\); see why", last)
