"""Readings over a Ray on this machine that was started in another folder; run by test_ray.py.

    python one_ray.py FACTS BUNDLE FOLDER

FOLDER holds ``scans``, a folder of pictures, and ``1001-c.gnt``. Writes what happened into the JSON file FACTS.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import pyarrow as pa
import ray
import ray.data

from hanmo.bulk import Options, Source, read_in_bulk, spread
from hanmo.bulk.items import Item
from hanmo.errors import HanmoError

spread._RETRIES = 1  # each takes some seconds


def settings() -> list[Any]:
    context = ray.data.DataContext.get_current()
    levels = [logging.getLogger(name).level for name in ("ray", "ray.data")]
    return [
        context.enable_progress_bars,
        context.target_max_block_size,
        context.execution_options.preserve_order,
        levels,
    ]


def named(numbers: list[int]) -> Iterator[Item]:
    return (Item(str(number), None, None, b"") for number in numbers)


def end(items: Sequence[Item]) -> int:
    os._exit(3)


def table_of(number: int) -> Any:
    return pa.table({"number": [number]})


def read_badly() -> None:
    """As a picture that ends the process that reads it."""
    with spread.configured():
        list(spread.answers(spread.spread([[1]], named, end, size=2, actors=1, encode=table_of)))


def error_of(call: Any, *args: Any, **more: Any) -> str:
    start = time.monotonic()
    try:
        call(*args, **more)
    except HanmoError as error:
        return f"{type(error).__name__}: {error} ({time.monotonic() - start:.0f} s)"
    return "none"


def main(facts: str, bundle: str, folder: str) -> None:
    ray.init(num_cpus=2, object_store_memory=80 * 2**20, include_dashboard=False, log_to_driver=False)
    options, over_ray = Options(bundle=bundle, top=2), {"ray": "auto", "processes": 2}
    os.chdir(folder)
    before = settings()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        read_in_bulk(Source(["scans", "1001-c.gnt"]), "rows.jsonl", options, **over_ray)
        read_in_bulk(Source(["1001-c.gnt"]), "one.jsonl", options, **over_ray)
    found = {
        "before": before,
        "after": settings(),
        "warnings": [str(warning.message) for warning in warned if "ray" in str(warning.filename)],
        "unwritable": error_of(
            read_in_bulk, Source(["scans"]), "file:///proc/nowhere/rows.parquet", options, **over_ray
        ),
        "killed": error_of(read_badly),
    }
    Path(facts).write_text(json.dumps(found))
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
