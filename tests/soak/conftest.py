"""Each soak exists twice: small in every test run, and full, marked ``soak``, where its figures go into a table."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

TABLE = Path(__file__).parents[2] / "benchmarks" / "reliability.md"
Record = Callable[[str, str], None]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """``record(what, figures)``: a line of the table, for full runs only."""

    def add(what: str, figures: str) -> None:
        print(f"{what}: {figures}")
        if request.node.get_closest_marker("soak"):
            # Appended in one write, as several processes of pytest-xdist may end at the same time.
            with TABLE.open("a", encoding="utf-8") as table:
                table.write(f"| {datetime.now(UTC):%Y-%m-%d} | {what} | {figures} | {os.cpu_count()} |\n")

    return add
