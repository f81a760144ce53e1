"""A Ray cluster of two nodes on this machine, of which one is killed while it reads; run by test_ray.py.

    python killed_node.py FACTS BUNDLE FOLDER OUT

Reads the folder into OUT, a file or an address, and kills the second node in the middle. Writes into the JSON file
FACTS how many rows were stored at the kill, and the counts.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hanmo.bulk.cluster import SETTINGS

# As hanmo does where it connects itself; shorter, because a dead node is noticed sooner here (QUICKLY).
os.environ.update(SETTINGS | {"RAY_task_actor_unavailable_retry_delay_base_ms": "1000"})

import ray
from ray.cluster_utils import Cluster

from hanmo.bulk import Options, Source, read_in_bulk, run, spread

STORE = 80 * 2**20  # bytes of shared memory a node; Ray refuses less than 75 MiB
# A node that is dead is noticed within some seconds, not after half a minute as by default.
QUICKLY = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 4}
spread._FILE_ROWS = 500


class NodeKiller:
    """Adds a node to the cluster, and kills it when both nodes read and ``least`` rows are stored, as ``stored`` tells.

    ``marks`` is the folder of :func:`waiting_for_both`.
    """

    def __init__(self, cluster: Cluster, stored: Callable[[], int], least: int, marks: Path) -> None:
        self._cluster, self._stored, self._least, self._marks = cluster, stored, least, marks
        self._node = cluster.add_node(num_cpus=1, object_store_memory=STORE, include_dashboard=False)
        self._ended = threading.Event()
        self._at: int | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not (self._marks / self._node.node_id).exists() or self._stored() < self._least:
            if self._ended.wait(0.02):  # a run that ended before shows nothing, and end() says so
                return
        self._at = self._stored()
        self._cluster.remove_node(self._node, allow_graceful=False)

    def end(self) -> int:
        """After the run: how many rows were stored at the kill."""
        self._ended.set()
        self._thread.join()
        if self._at is None:
            raise RuntimeError("the run ended before the node was killed")
        return self._at


def waiting_for_both(work: type[Any], marks: Path, pause: float = 0.0) -> type[Any]:
    """``work`` whose batches wait until both nodes have one, and for ``pause`` seconds.

    A node with a batch leaves a file with its number in ``marks``.
    """
    marks.mkdir()

    class Waiting(work):  # type: ignore[misc]
        def __call__(self, batch: Sequence[Any]) -> Any:
            (marks / ray.get_runtime_context().get_node_id()).touch()
            deadline = time.monotonic() + 120
            while len(list(marks.iterdir())) < 2:
                if time.monotonic() > deadline:
                    raise RuntimeError("the second node had no batch within 120 s")
                time.sleep(0.05)
            time.sleep(pause)
            return super().__call__(batch)

    return Waiting


def main(facts: str, bundle: str, folder: str, out: str) -> None:
    head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False, "_system_config": QUICKLY}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    done = 0

    def report(rows: int, total: int | None) -> None:
        nonlocal done
        done = rows

    def stored() -> int:
        if "://" in out:  # the nodes write; nothing is reported
            return 500 * len(list(Path(out.removeprefix("file://")).glob("*.parquet")))
        return done

    try:
        marks = Path(facts).with_name("marks")
        run.Worker = waiting_for_both(run.Worker, marks)  # type: ignore[misc]
        killer = NodeKiller(cluster, stored, 500, marks)
        options = Options(bundle=bundle, top=2)
        totals = read_in_bulk(Source([folder]), out, options, ray="auto", processes=2, report=report)
        found = {"killed_at": killer.end(), "counts": totals.counts, "seconds": totals.seconds}
        Path(facts).write_text(json.dumps(found))
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
