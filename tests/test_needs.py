"""What tests need besides Python: said before they start, and a failure where all tests must run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from needs import NODE

SCRIPT = Path(__file__).parent / "needs.py"


def said(path: Path, **environment: str) -> list[str]:
    """The lines that the script prints where ``path`` holds all programs there are."""
    base = {k: v for k, v in os.environ.items() if not k.startswith("HANMO_")} | {"PATH": str(path)}
    command = [sys.executable, str(SCRIPT)]
    result = subprocess.run(command, env=base | environment, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()


def test_what_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    page, static, node, *more = said(tmp_path)
    assert "tests/e2e)" in page
    assert "HANMO_CHROMIUM" in page
    assert "onnxruntime-web" in static
    assert "npm" in static
    assert "Node.js" in node
    if importlib.util.find_spec("ray") is None:  # it is a package, and no program of the path
        (ray,) = more
        assert "make test RAY=1 installs it" in ray


def test_nothing_is_skipped_where_all_is_there(tmp_path: Path) -> None:
    for name in ("chromium", "node"):
        program = tmp_path / name
        program.touch()
        program.chmod(0o755)
    runtime = tmp_path / "runtime.tgz"
    runtime.touch()
    (tmp_path / "ray.py").touch()
    there = {"HANMO_ORT_WEB": str(runtime), "PYTHONPATH": str(tmp_path)}
    assert said(tmp_path, **there) == ["All tests will run; none is skipped."]


def test_without_a_need_the_test_is_skipped_or_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("HANMO_ALL_TESTS", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"apt-get install nodejs"):
        NODE.get()
    monkeypatch.setenv("HANMO_ALL_TESTS", "1")
    with pytest.raises(pytest.fail.Exception, match=r"apt-get install nodejs"):
        NODE.get()
