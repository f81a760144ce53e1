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
from collections.abc import Callable
from pathlib import Path

from hanmo.bulk.cluster import SETTINGS

# As hanmo does where it connects itself; shorter, because a dead node is noticed sooner here (QUICKLY).
os.environ.update(SETTINGS | {"RAY_task_actor_unavailable_retry_delay_base_ms": "1000"})

import ray
from ray.cluster_utils import Cluster

from hanmo.bulk import Options, Source, read_in_bulk, spread

STORE = 80 * 2**20  # bytes of shared memory a node; Ray refuses less than 75 MiB
# A node that is dead is noticed within some seconds, not after half a minute as by default.
QUICKLY = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 4}
spread._FILE_ROWS = 500


def busy(node: object) -> bool:
    """Whether an actor has the node's only core."""
    free = ray._private.state.available_resources_per_node()
    return free.get(node.node_id, {"CPU": 1.0}).get("CPU", 0.0) < 1.0


def killing(cluster: Cluster, stored: Callable[[], int], least: int) -> tuple[threading.Thread, list[int]]:
    """A thread that adds a node and kills it when it reads and ``least`` rows are stored; and how many there were."""
    node = cluster.add_node(num_cpus=1, object_store_memory=STORE, include_dashboard=False)
    at: list[int] = []

    def watch() -> None:
        while stored() < least or not busy(node):
            time.sleep(0.02)
        at.append(stored())
        cluster.remove_node(node, allow_graceful=False)

    return threading.Thread(target=watch, daemon=True), at


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
        thread, at = killing(cluster, stored, 500)
        thread.start()
        options = Options(bundle=bundle, top=2)
        totals = read_in_bulk(Source([folder]), out, options, ray="auto", processes=2, report=report)
        thread.join()
        Path(facts).write_text(json.dumps({"killed_at": at[0], "counts": totals.counts, "seconds": totals.seconds}))
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
