"""Packs made over a Ray cluster of two nodes on this machine, of which one is killed; run by test_packs_over_ray.py.

    python packs_over_ray.py FACTS FOLDER

Packs and draws into FOLDER: ``packed`` from the inputs there while a node is killed, ``drawn`` after it. Writes into
the JSON file FACTS how many samples were packed at the kill, and the errors of inputs that cannot be packed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from hanmo.bulk.cluster import SETTINGS

# As hanmo does where it connects itself; shorter, because a dead node is noticed sooner here (QUICKLY).
os.environ.update(SETTINGS | {"RAY_task_actor_unavailable_retry_delay_base_ms": "1000"})
sys.path.insert(0, str(Path(__file__).parent))

import ray
from killed_node import QUICKLY, STORE, NodeKiller, waiting_for_both
from ray.cluster_utils import Cluster

from hanmo.bulk import squares
from hanmo.bulk.cluster import connected
from hanmo.data.pack import write_pack
from hanmo.data.read import split_reading
from hanmo.errors import HanmoError
from hanmo.normalize import Normalization
from hanmo.synth import packs
from hanmo.synth.over_ray import drawn_over_ray
from hanmo.synth.packs import synthesize
from hanmo.synth.recipe import SynthRecipe

SQUARE = Normalization(side=32)
RECIPE = SynthRecipe(characters="永人山", per_character=20, seed=2, side=48)
PART = 16  # samples; the recipe has four parts. The test has the same three
squares._BATCH = 64


def pack(inputs: list[Path], out: Path, report: Callable[[int], None] | None = None) -> None:
    with connected("auto", None) as cores:
        over = squares.normalized_over_ray(split_reading(inputs), SQUARE, None, max(2, cores))
        with closing(over) as samples:
            write_pack(out, samples, normalization=SQUARE, are_squares=True, on_progress=report)


def error_of(function: Callable[..., None], *arguments: object) -> str:
    try:
        function(*arguments)
    except HanmoError as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def draw(recipe: SynthRecipe, out: Path) -> None:
    packs.PART = PART
    with connected("auto", None) as cores:
        synthesize(recipe, out, elsewhere=partial(drawn_over_ray, recipe, actors=cores))


def main(facts: str, folder: str) -> None:
    head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False, "_system_config": QUICKLY}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    root, done = Path(folder), 0

    def report(samples: int) -> None:
        nonlocal done
        done = samples

    try:
        marks = Path(facts).with_name("marks")
        squares.Normalizer = waiting_for_both(squares.Normalizer, marks, 0.4)  # type: ignore[misc]
        killer = NodeKiller(cluster, lambda: done, 200, marks)
        pack([root / "in.zip", root / "gnt", root / "pictures"], root / "packed", report)
        found = {"killed_at": killer.end()}
        draw(RECIPE, root / "drawn")
        found["damaged"] = error_of(pack, [root / "damaged"], root / "none")
        Path(facts).write_text(json.dumps(found))
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
