"""The benchmark of path-signature planes, at toy size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hanmo.config import load_toml
from hanmo.data.pot import write_pot
from hanmo.data.signature import signature_planes
from hanmo.errors import DataError
from hanmo.synth.online import draw_online
from hanmo.synth.recipe import SynthRecipe
from scripts import load_script

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
online = load_script(BENCHMARKS / "online.py")
TOY = ["--epochs", "1", "--workers", "1", "--device", "cpu"]


def test_a_row_for_each_level_and_a_record_for_each_seed(capsys: pytest.CaptureFixture[str]) -> None:
    online.main(["--writers", "1", "--test-writers", "1", "--seeds", "0", "1", *TOY])
    lines = capsys.readouterr().out.splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    assert [(r["level"], r["seed"]) for r in records] == [(0, 0), (0, 1), (2, 0), (2, 1)]
    assert all(0 <= r["top1"] <= 100 for r in records)
    # The first convolution has 3 x 3 weights for each of 16 channels and each plane.
    assert records[2]["parameters"] - records[0]["parameters"] == 9 * 16 * 6
    assert [line.split(" | ")[1] for line in lines if line.startswith("| with") or line.startswith("| the")] == [
        "1",
        "7",
    ]
    assert any(line.startswith("100 samples to train with, 100 to test; CPU") for line in lines)
    assert lines[-1].startswith("python benchmarks/online.py --writers 1")


def test_train_and_test_have_other_writers() -> None:
    train, test = online.drawn(3, 2)
    assert ([len(train), len(test)], len({s.label for s in train})) == ([300, 200], 100)
    assert {s.writer for s in train} == {"w0001", "w0002", "w0003"}
    assert {s.writer for s in test} == {"w0004", "w0005"}


def test_planes_are_those_of_the_strokes_for_any_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)  # the processes import the script by its name
    samples = online.drawn(1, 1)[0][:5]
    alone, shared = (online.planes_of(samples, 2, 4, workers) for workers in (1, 2))
    assert np.array_equal(alone, shared)
    assert alone[3] / 127 == pytest.approx(signature_planes(samples[3].strokes, 64), abs=0.5 / 127)
    part = online.Part(alone, np.arange(5), torch.device("cpu"))
    assert part.inputs(torch.tensor([3, 1]), 1).shape == (2, 3, 64, 64)
    assert set(part.inputs(torch.tensor([0]), 0).unique().tolist()) == {0, 1}


def test_a_net_learns_from_signatures() -> None:
    train = [sample for sample in online.drawn(12, 1)[0] if sample.label in "一丁七"]
    planes, classes = online.planes_of(train, 2, 4, 1), np.array(["一丁七".index(s.label) for s in train])
    part = online.Part(planes, classes, torch.device("cpu"))
    net = online.train(part, 2, 3, 0, 30, 12, online.Processes(device=torch.device("cpu")))
    assert online.measured(net, part, 2) > 90


def test_strokes_of_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = replace(load_toml(online.DRAWN, SynthRecipe), per_character=1)
    samples = list(draw_online(recipe))
    for name in ("1001-c.pot", "1002-c.pot"):
        write_pot(tmp_path / name, [*samples, samples[0]._replace(label="翰")])
    paths = [str(tmp_path / name) for name in ("1001-c.pot", "1002-c.pot")]
    online.main(["--train", paths[0], "--test", paths[1], "--seeds", "0", "--levels", "1", *TOY])
    assert "100 samples to train with, 100 to test" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"writers are in both parts, such as 1001 \(1 in all\)"):
        online.main(["--train", paths[0], "--test", *paths, "--seeds", "0", *TOY])
    with pytest.raises(SystemExit):
        online.main(["--train", paths[0]])


def test_the_table_has_the_gain_over_the_first_level() -> None:
    records = [{"level": level, "top1": top1} for level, top1 in [(0, 90.0), (0, 92.0), (2, 93.0), (2, 94.0)]]
    assert online.table(records)[2:] == [
        "| the picture alone (level 0) | 1 | 2 | 91.00 ± 1.41 |  |",
        "| with the direction and its change (levels 1 and 2) | 7 | 2 | 93.50 ± 0.71 | +2.50 |",
    ]
