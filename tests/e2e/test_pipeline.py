"""The whole job by the command line, as a person does it: draw, train, distil, export, evaluate, recognise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hanmo.cli.main import app
from hanmo.data.pack import Pack

CALM = """[style]  # even lines of a calm hand: a tiny net learns them in seconds, with room to spare
haste = 0.1
warp = 0.08
shift = 0.01
scale = 0.05
tilt = 0.04
merge = 0.0
abbreviations = 0.0
pressure = 0.0
grain = 0.0
ragged = 0.0
soft = 0.3
binary = 0.0
"""
SYNTH = 'characters = "永山水火"\nper_character = {count}\nseed = {seed}\nside = 48\n' + CALM
SYNTH += "[normalization]\nside = 24\n"
TEACHER = """
name = "teacher"
[data]
train = "train"
test = "test"
[net]
width = 8
depths = [1, 1, 1, 1]
attention = "se"
[augment]
rotate = 3.0
[optim]
learning_rate = 5e-3
ema = 0.95
[train]
epochs = 14
batch = 32
evaluate_every = 0
checkpoint_every = 0
"""
STUDENT = """
[distill]
teachers = ["runs/teacher"]
label_weight = 0.5
[[distill.methods]]
name = "kd"
[[distill.methods]]
name = "at"
weight = 10
"""


def hanmo(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_from_strokes_to_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.toml").write_text(SYNTH.format(count=200, seed=1), encoding="utf-8")
    Path("test.toml").write_text(SYNTH.format(count=15, seed=2), encoding="utf-8")
    Path("teacher.toml").write_text(TEACHER, encoding="utf-8")
    student = TEACHER.replace('"teacher"', '"student"').replace('"se"', '"none"')
    Path("student.toml").write_text(student + STUDENT, encoding="utf-8")

    hanmo("synth", "train.toml", "--out", "train")
    hanmo("synth", "test.toml", "--out", "test")
    taught = json.loads(hanmo("train", "teacher.toml", "--device", "cpu", "--json"))
    learnt = json.loads(hanmo("distill", "student.toml", "--device", "cpu", "--json"))
    assert taught["top1"] > 90
    assert learnt["top1"] > 80
    facts = json.loads(hanmo("export", "runs/student", "--out", "reader", "--force", "--json"))
    assert facts["agreement"] == 100
    assert facts["bytes"] < 200_000

    evaluated = json.loads(hanmo("evaluate", "test", "--bundle", "reader", "--json"))
    assert evaluated["n"] == 60
    assert evaluated["top1"] == pytest.approx(facts["top1_int8"], abs=0.01)

    pack = Pack.open("test")
    for number in range(8):
        Image.fromarray(255 - np.pad(pack.images[number], 10)).save(f"{number}.png")
    read = hanmo("recognize", *(f"{n}.png" for n in range(8)), "--bundle", "reader", "--sheet", "sheet.png", "--json")
    said = [json.loads(line)["candidates"][0]["character"] for line in read.splitlines()]
    true = [pack.charset[c] for c in pack.labels[:8]]
    assert sum(s == t for s, t in zip(said, true, strict=True)) >= 6
    with Image.open("sheet.png") as sheet:
        assert min(sheet.size) > 100
