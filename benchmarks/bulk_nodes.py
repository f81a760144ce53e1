"""The rate of ``hanmo recognize --ray`` against the number of nodes, and that of as many processes without Ray.

    python benchmarks/bulk_nodes.py --nodes 1 2 4 --out table.md

The nodes are processes of Ray on this machine, with ``--cores`` readers each, on one thread each. What a network would
cost is thus left out; what Ray costs is in it. Drawn characters of 96 x 96 pixels are read from ``.gnt`` files of 512
into one Parquet file. The rate leaves out the first half of the rows and the last tenth: Ray starts its actors one
after another, and at the end some have no work left. The last column counts all seconds but those in which the cluster
itself starts. With few pictures a reader (``--files``) the start is longer than the work, and both rates are too low.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

from bulk import DRAWN, draw
from hanmo.bulk import Options, Source, read_in_bulk
from hanmo.bulk.cluster import SETTINGS
from hanmo.data.gnt import read_gnt, write_gnt

IN_FILE = 512
STORE = 200 * 2**20
"""Bytes of shared memory of a node."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--cores", type=int, default=1, help="readers of a node")
    parser.add_argument("--files", type=int, default=24, help="files of 512 pictures a reader")
    parser.add_argument("--bundle", default="free")
    parser.add_argument("--out", type=Path, help="the table as Markdown; without it, it is printed only")
    args = parser.parse_args()
    if args.files < 4:
        parser.error(f"--files is {args.files}; at least 4 are needed, as the first half of the rows is left out")
    os.environ.update(SETTINGS | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    import ray

    lines = [
        f"`{args.bundle}`, {args.files * IN_FILE:,} pictures a reader, {len(os.sched_getaffinity(0))} cores, "
        f"Ray {ray.__version__}.",
        "",
        "| nodes | readers | without Ray /s | Ray /s | Ray, with its start /s |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        for nodes in args.nodes:
            lines.append(row(nodes, args, Path(folder)))
            print(lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def row(nodes: int, args: argparse.Namespace, folder: Path) -> str:
    readers = nodes * args.cores
    pictures = grown(folder, args.files * readers)
    plain, _ = rates(pictures, folder, args.bundle, readers, None)
    with cluster_of(nodes, args.cores) as address:
        over_ray, in_all = rates(pictures, folder, args.bundle, readers, address)
    return f"| {nodes} | {readers} | {plain:,.0f} | {over_ray:,.0f} | {in_all:,.0f} |"


def rates(pictures: Path, folder: Path, bundle: str, readers: int, ray: str | None) -> tuple[float, float]:
    """Pictures a second in the second half of the rows, without the last tenth, and in all."""
    out = folder / "rows.parquet"
    marks: list[tuple[int, float]] = []
    totals = read_in_bulk(
        Source([pictures]),
        out,
        Options(bundle=bundle),
        processes=readers,
        ray=ray,
        report=lambda done, _: marks.append((done, time.perf_counter())),
    )
    out.unlink()
    every = totals.counts.all
    (first, begin), *_, (last, end) = [mark for mark in marks if 0.5 * every <= mark[0] <= 0.9 * every]
    return (last - first) / (end - begin), every / totals.seconds


def grown(folder: Path, files: int) -> Path:
    """A folder of so many ``.gnt`` files, which hold the drawn samples again and again."""
    place = folder / f"{files}-files"
    place.mkdir(exist_ok=True)
    samples = cycle(read_gnt(folder / "drawn.gnt"))
    distinct = DRAWN // IN_FILE
    for number in range(files):
        path = place / f"{number:05d}.gnt"
        if path.exists():
            continue
        if number < distinct:
            write_gnt(path, islice(samples, IN_FILE))
        else:
            path.hardlink_to(place / f"{number % distinct:05d}.gnt")
    return place


@contextmanager
def cluster_of(nodes: int, cores: int) -> Iterator[str]:
    """The address of a cluster of so many nodes on this machine."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=cores, object_store_memory=STORE, include_dashboard=False)
        yield cluster.address
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
