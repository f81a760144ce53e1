"""Workers that normalise: what becomes of them."""

from __future__ import annotations

import subprocess
import sys

PARENT = """
import os
import sys
from multiprocessing import active_children

import numpy as np

from hanmo.data.sample import Sample
from hanmo.data.squares import normalized
from hanmo.normalize import Normalization

if __name__ == "__main__":
    image = np.full((20, 20), 255, np.uint8)
    image[8:12, 2:18] = 0
    endless = (Sample("一", image) for _ in iter(int, 1))
    squares = normalized(endless, Normalization(side=16, margin=1), workers=1)
    next(squares)
    print(active_children()[0].pid, flush=True)
    os._exit(9)  # as if killed: nothing is tidied up
"""


def test_a_worker_ends_with_its_parent(tmp_path) -> None:
    (tmp_path / "parent.py").write_text(PARENT, encoding="utf-8")
    # Workers inherit the pipe of the output: it ends when the last of them has ended, or never.
    ended = subprocess.run([sys.executable, tmp_path / "parent.py"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 9, ended.stderr
    assert int(ended.stdout) > 0
