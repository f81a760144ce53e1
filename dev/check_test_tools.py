"""``make test`` runs this first: it says which tests will be skipped on this machine, why, and what to install.

Tests skip where a program is missing that pip cannot install. A reader of the log should know that before the tests
run, not after.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # in the order in which tests/e2e looks for them


def missing() -> dict[str, str]:
    """What will be skipped -> why, with the remedy. Empty where every test runs."""
    skipped = {}
    named = os.environ.get("HANMO_CHROMIUM")
    has_browser = any(map(shutil.which, [named] if named else BROWSERS))
    if not has_browser:
        skipped["the tests of the web page (tests/e2e)"] = (
            "there is no Chromium; install it (apt-get install chromium) or name one by HANMO_CHROMIUM=/path"
        )
    runtime = os.environ.get("HANMO_ORT_WEB", "")
    if not Path(runtime).is_file():
        skipped["the tests of the static page (tests/e2e/site)"] = (
            "there is no onnxruntime-web; install npm, then make test fetches it, or name a file by HANMO_ORT_WEB=/path"
        )
    if not shutil.which("node"):
        skipped["the comparison of Python and JavaScript without a browser (tests/serve/test_local.py)"] = (
            "there is no Node.js; install it (apt-get install nodejs)"
        )
    return skipped


def main() -> None:
    skipped = missing()
    if not skipped:
        print("All tests will run; none is skipped.")
    for what, why in skipped.items():
        print(f"Will be skipped: {what}: {why}.")


if __name__ == "__main__":
    main()
