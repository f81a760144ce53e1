"""Check the page's scripts: their types (tsc), their style (biome), and that their constants are Python's.

    python dev/lint_page.py

Types and style need npm, which fetches both tools in the versions of package-lock.json into node_modules. Without npm
only the constants are checked, and a line says so.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    constants = subprocess.run([sys.executable, "dev/page_constants.py", "--check"], cwd=ROOT, check=False).returncode
    npm = shutil.which("npm")
    if npm is None:
        print("npm is not installed, so types and style of the page's scripts are not checked: apt-get install npm")
        return constants
    if _is_stale():
        # "ci" installs what the lock file says, and nothing newer.
        subprocess.run([npm, "ci", "--silent"], cwd=ROOT, check=True)
    return constants or subprocess.run([npm, "run", "--silent", "lint"], cwd=ROOT, check=False).returncode


def _is_stale() -> bool:
    """Whether the tools are missing, or older than the list of them."""
    installed = ROOT / "node_modules" / ".package-lock.json"
    return not installed.is_file() or installed.stat().st_mtime < (ROOT / "package-lock.json").stat().st_mtime


if __name__ == "__main__":
    sys.exit(main())
