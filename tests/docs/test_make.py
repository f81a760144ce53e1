"""``make test`` says before it starts what will be skipped on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "dev" / "check_test_tools.py"


def said(path: Path, **environment: str) -> list[str]:
    """The lines that the script prints where ``path`` holds all programs there are."""
    base = {k: v for k, v in os.environ.items() if not k.startswith("HANMO_")} | {"PATH": str(path)}
    command = [sys.executable, str(SCRIPT)]
    result = subprocess.run(command, env=base | environment, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()


def test_what_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    page, static, node = said(tmp_path)
    assert "tests/e2e)" in page
    assert "HANMO_CHROMIUM" in page
    assert "onnxruntime-web" in static
    assert "npm" in static
    assert "Node.js" in node


def test_nothing_is_skipped_where_all_is_there(tmp_path: Path) -> None:
    for name in ("chromium", "node"):
        program = tmp_path / name
        program.touch()
        program.chmod(0o755)
    runtime = tmp_path / "runtime.tgz"
    runtime.touch()
    assert said(tmp_path, HANMO_ORT_WEB=str(runtime)) == ["All tests will run; none is skipped."]
