"""What some tests need and `make test` does not install: a browser, Node.js, ONNX Runtime for browsers, Ray, Linux.

Without them these tests are skipped. ``make test`` runs this file first, so that a reader of the log knows before the
tests run what will be skipped, and what to install. Where HANMO_ALL_TESTS is set, as in the public CI, the tests fail
instead: a skip there would look like success.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Need:
    """``find`` gives the path of what is needed, or None; ``why`` says what is missing, and the remedy."""

    tests: str
    find: Callable[[], str | None]
    why: str

    def get(self) -> str:
        """The path; where there is none, the test that asks is skipped (or fails, see the module)."""
        found = self.find()
        if found is None:
            if os.environ.get("HANMO_ALL_TESTS"):
                pytest.fail(self.why)
            pytest.skip(self.why)
        return found


def _browser() -> str | None:
    named = os.environ.get("HANMO_CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else _BROWSERS)), None)


def _runtime() -> str | None:
    path = os.environ.get("HANMO_ORT_WEB", "")
    return path if Path(path).is_file() else None


BROWSER = Need(
    "the tests of the web page (tests/e2e)",
    _browser,
    "there is no Chromium; install it (apt-get install chromium) or name one by HANMO_CHROMIUM=/path",
)
RUNTIME = Need(
    "the tests of the static page (tests/e2e/site)",
    _runtime,
    "there is no onnxruntime-web; install npm, then make test fetches it, or name a file by HANMO_ORT_WEB=/path",
)
NODE = Need(
    "the comparison of Python and JavaScript without a browser (tests/serve/test_local.py, tests/test_colour.py)",
    lambda: shutil.which("node"),
    "there is no Node.js; install it (apt-get install nodejs)",
)


def _existing(path: str) -> str | None:
    return path if Path(path).exists() else None


FULL_DEVICE = Need(
    "the test of an output that takes nothing (tests/attacks/test_untyped.py)",
    lambda: _existing("/dev/full"),
    "there is no /dev/full; run this test on Linux",
)
RAY = Need(
    "the tests of a Ray cluster (tests/bulk/test_ray.py, tests/bulk/test_packs_over_ray.py)",
    lambda: importlib.util.find_spec("ray") and "ray",
    "there is no Ray; make test RAY=1 installs it (80 MB), or pip install 'ray[data]'",
)
PROC = Need(
    "the tests of memory in tests/soak",
    lambda: _existing("/proc/self/status"),
    "there is no /proc, from which memory is read; run these tests on Linux",
)


def main() -> None:
    missing = [need for need in (BROWSER, RUNTIME, NODE, RAY, FULL_DEVICE, PROC) if need.find() is None]
    if not missing:
        print("All tests will run; none is skipped.")
    for need in missing:
        print(f"Will be skipped: {need.tests}: {need.why}.")


if __name__ == "__main__":
    main()
