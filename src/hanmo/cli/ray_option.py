"""``--ray ADDRESS`` of the verbs that make packs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Work on the machines of a Ray cluster (needs hanmo's extra ray): auto for the cluster that this machine "
        "belongs to, host:port of its head, or local to start Ray on this machine alone. The pack is the same, and is "
        "written by this machine.",
    ),
]


@contextmanager
def cluster(address: str | None) -> Iterator[int]:
    """A connection to Ray at ``address``; gives the number of its cores, 0 without an address."""
    if address is None:
        yield 0
        return
    from hanmo.bulk.cluster import connected

    with connected(address, None) as cores:
        yield cores
