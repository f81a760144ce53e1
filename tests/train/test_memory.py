"""A GPU whose memory is full, simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hanmo.atomic import sole_writer
from hanmo.errors import DeviceMemoryError, RunError
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes


def trainer(recipe: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> Trainer:
    """A trainer on a device with memory for ``room`` squares."""
    made = Trainer(recipe, folder, Processes.join("cpu"))
    loss = made._loss

    def limited(squares: torch.Tensor, labels: torch.Tensor) -> Any:
        if len(squares) > room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return loss(squares, labels)

    monkeypatch.setattr(made, "_loss", limited)
    return made


def test_a_full_gpu_names_the_batch_that_fits(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceMemoryError, match=r"memory for a batch of 16; 4 fits: --set train\.batch=4"):
        trainer(small(), tmp_path, monkeypatch, 5).run()
    assert not (tmp_path / "checkpoints").exists(), "the state after the attempts is not saved"
    assert trainer(small(train={"batch": 4}), tmp_path / "again", monkeypatch, 5).run()["kind"] == "end"


def test_where_nothing_fits(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceMemoryError, match=r"a batch of 16; lower train\.batch or net\.width"):
        trainer(small(), tmp_path, monkeypatch, 0).run()


def test_a_second_training_into_one_folder_is_refused(small: Any, tmp_path: Path) -> None:
    made = Trainer(small(), tmp_path / "run", Processes.join("cpu"))
    with sole_writer(tmp_path / "run"), pytest.raises(RunError, match="another process is writing there"):
        made.run(resume=True)
    assert not list((tmp_path / "run").iterdir())
