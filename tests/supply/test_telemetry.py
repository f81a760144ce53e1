"""ONNX Runtime, whose official builds send usage events to Microsoft, is told not to before it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

READ = "import hanmo; hanmo.Recognizer('nano')"
SHOW = "import hanmo, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"


def run(code: str, home: Path, **variables: str) -> str:
    """What a new process of Python prints that has ``home`` as its home folder."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    }
    environment = kept | {"HOME": str(home)} | variables
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.strip()


def test_opening_a_reader_leaves_no_file_in_the_home_folder(tmp_path: Path) -> None:
    """With its events on, ONNX Runtime 1.32 keeps an identifier of the device and a queue of events there."""
    run(READ, tmp_path)
    assert list(tmp_path.rglob("*")) == []


def test_the_users_own_setting_stays(tmp_path: Path) -> None:
    assert run(SHOW, tmp_path) == "1"
    assert run(SHOW, tmp_path, ORT_DISABLE_TELEMETRY="0") == "0"
