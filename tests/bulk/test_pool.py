"""Worker processes. Where it can be, their work is a function of Python's own: for these they import nothing more."""

from __future__ import annotations

import operator
import os

import pytest

from hanmo.bulk.cluster import check_address
from hanmo.bulk.pool import mapped
from hanmo.errors import ArgumentError, WorkerError


def test_few_tasks_are_under_way_at_a_time() -> None:
    taken = 0

    def taking(task: int) -> int:
        nonlocal taken
        taken = task
        return task

    for number, answer in enumerate(mapped(operator.neg, map(taking, range(1, 101)), 2), start=1):
        assert answer == -number, "answers come in the order of the tasks"
        assert taken <= number + 6


def test_a_worker_that_ends_stops_the_run_with_one_line() -> None:
    with pytest.raises(WorkerError, match="a worker process ended by itself"):
        list(mapped(os._exit, range(10), 1))


def test_an_error_of_a_worker_is_raised_as_it_is() -> None:
    with pytest.raises(ArgumentError, match="--ray is 'no address'; give local"):
        list(mapped(check_address, ["no address"] * 10, 1))


def test_memory_that_runs_out_in_this_process_is_one_line() -> None:
    def full(number: int) -> int:
        raise MemoryError

    with pytest.raises(WorkerError, match="the memory was full"):
        list(mapped(full, range(10), 1, here=True))
