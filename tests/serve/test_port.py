"""The page's scripts beside the Python files that they repeat: what each says it is, and the constants of both."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "src" / "hanmo" / "serve" / "static" / "js"
PORTS = sorted((SCRIPTS / "local").glob("*.js"))


@pytest.fixture
def constants() -> dict[str, Any]:
    """What ``dev/page_constants.py`` defines."""
    return runpy.run_path(str(ROOT / "dev" / "page_constants.py"))


@pytest.mark.parametrize("script", PORTS, ids=lambda script: script.name)
def test_every_script_of_the_reader_names_the_python_files_that_it_mirrors(script: Path) -> None:
    head = script.read_text(encoding="utf-8").partition("*/")[0]
    if "No port:" in head:
        return
    named = set(re.findall(r"src/hanmo/[\w/]+\.py", head)) - {"src/hanmo/serve/site.py"}
    assert named
    assert all((ROOT / name).is_file() for name in named)


def test_the_constants_are_those_of_python(constants: dict[str, Any]) -> None:
    assert not constants["is_stale"](), "run: python dev/page_constants.py"


def test_a_changed_value_is_noticed_and_a_changed_comment_is_not(
    constants: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = constants["main"]
    copy = tmp_path / "constants.js"
    main.__globals__["TARGET"] = copy
    assert main([]) == 0
    text = copy.read_text(encoding="utf-8")
    copy.write_text(re.sub(r"// .*", "// other words", text), encoding="utf-8")
    assert main(["--check"]) == 0
    copy.write_text(text.replace("VISIBLE: 77", "VISIBLE: 78"), encoding="utf-8")
    assert main(["--check"]) == 1
    assert "run: python dev/page_constants.py" in capsys.readouterr().err


def test_without_npm_the_check_of_the_scripts_says_what_it_skips(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "dev" / "lint_page.py")]
    checked = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PATH": str(tmp_path)})
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.startswith("npm is not installed, so types and style of the page's scripts are not checked")
    assert checked.stdout.count("\n") == 1
