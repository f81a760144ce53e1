"""The curves of a run: what is drawn, and what a damaged log says."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hanmo.errors import DataError, StorageError
from hanmo.train.plots import plot_run, read_run, smooth


def train_record(step: int, **more: object) -> dict[str, object]:
    loss = 0.3 + 4 * math.exp(-step / 200)
    return {"kind": "train", "step": step, "epoch": step / 100, "loss": loss, "lr": 1e-3, "images_per_s": 900.0, **more}


def eval_record(step: int, top1: float) -> dict[str, object]:
    return {"kind": "eval", "step": step, "epoch": step / 100, "top1": top1, "top5": min(100.0, top1 + 5), "loss": 0.5}


def write(path: Path, *records: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_a_run_gives_three_pictures_with_something_drawn(tmp_path: Path) -> None:
    steps = [train_record(s, parts={"kd": 1.0, "ce": 2.0}) for s in range(0, 1000, 10)]
    log = write(tmp_path / "metrics.jsonl", *steps, eval_record(500, 91.0), eval_record(990, 93.5))
    pictures = plot_run(log, tmp_path / "plots")
    assert [p.name for p in pictures] == ["loss.png", "accuracy.png", "learning_rate.png"]
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.size == (1200, 675)
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 20


def test_only_what_was_logged_is_drawn(tmp_path: Path) -> None:
    log = write(tmp_path / "m.jsonl", eval_record(1, 50.0))
    assert [p.name for p in plot_run(log, tmp_path)] == ["accuracy.png"]
    log = write(tmp_path / "m.jsonl", train_record(1), {"kind": "note", "text": "anything"})
    assert [p.name for p in plot_run(log, tmp_path)] == ["loss.png", "learning_rate.png"]


def test_a_diverged_run_can_still_be_drawn(tmp_path: Path) -> None:
    records = [train_record(s, loss=math.nan if s > 3 else 1.0, lr=0.0, images_per_s=0.0) for s in range(6)]
    log = write(tmp_path / "m.jsonl", *records, train_record(6, loss=math.inf), eval_record(3, math.nan))
    assert len(plot_run(log, tmp_path)) == 3


def test_a_repeated_step_counts_as_logged_last_and_steps_are_sorted(tmp_path: Path) -> None:
    log = write(
        tmp_path / "m.jsonl", train_record(1), train_record(3, loss=9.0), train_record(2), train_record(3, loss=7.0)
    )
    run = read_run(log)
    assert [record["step"] for record in run.train] == [1, 2, 3]
    assert run.column("train", "loss")[-1] == 7.0
    assert np.isnan(run.column("train", "no such value")).all()


def test_a_cut_off_last_line_is_passed_over_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    log = write(tmp_path / "m.jsonl", train_record(1))
    whole = log.read_text()
    log.write_text(whole + whole[: len(whole) // 2])
    assert len(read_run(log).train) == 1
    for damaged in ('{"kind": "train", "st\n', "[1]\n", '{"kind": "train"}\n', '{"kind": "eval", "step": []}\n'):
        log.write_text(damaged + whole)
        with pytest.raises(DataError, match=r"m\.jsonl: line 1 "):
            read_run(log)


def test_nothing_to_draw_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        plot_run(tmp_path / "none.jsonl", tmp_path)
    with pytest.raises(DataError, match="nothing to draw"):
        plot_run(write(tmp_path / "empty.jsonl"), tmp_path)


def test_an_unwritable_place_is_a_storage_error(tmp_path: Path) -> None:
    log = write(tmp_path / "m.jsonl", train_record(1))
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(StorageError):
        plot_run(log, tmp_path / "taken")


def test_smooth_keeps_a_constant_and_passes_over_gaps() -> None:
    values = np.array([np.nan, 2.0, 2.0, np.inf, np.nan, 2.0])
    np.testing.assert_allclose(smooth(values, 2), 2.0)
    assert np.isnan(smooth(np.full(5, np.nan), 2)).all()
    noisy = np.random.default_rng(0).normal(size=2000)
    assert smooth(noisy, 20).std() < 0.2
    np.testing.assert_array_equal(smooth(noisy, 0.1), noisy)
    slope = np.arange(200.0)
    np.testing.assert_allclose(smooth(slope, 10)[30:-30], slope[30:-30])  # no lag


def test_pyplot_is_left_alone(tmp_path: Path) -> None:
    before = "matplotlib.pyplot" in sys.modules
    plot_run(write(tmp_path / "m.jsonl", train_record(1), eval_record(1, 10.0)), tmp_path)
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_the_final_evaluation_is_drawn(tmp_path: Path) -> None:
    end = {**eval_record(1000, 95.0), "kind": "end", "images_per_s": 900.0, "seconds": 3.0}
    run = read_run(write(tmp_path / "m.jsonl", train_record(1000), eval_record(500, 90.0), end))
    assert run.column("eval", "top1").tolist() == [90.0, 95.0]
    assert [p.name for p in plot_run(write(tmp_path / "m.jsonl", train_record(1000), end), tmp_path)] == [
        "loss.png",
        "accuracy.png",
        "learning_rate.png",
    ]
    without_test_pack = {"kind": "end", "step": 1000, "epoch": 10.0, "seconds": 3.0}
    assert not read_run(write(tmp_path / "m.jsonl", train_record(1000), without_test_pack)).evaluated
