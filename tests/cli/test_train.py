"""``hanmo train`` and ``hanmo distill`` from the outside."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw
from rich.console import Console

from hanmo.cli.train import _Plan
from hanmo.cli.training_progress import BarDisplay, _duration, progress_display
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import RunFolder, load_trained

RECIPE = """
name = "cli"
[data]
train = "{packs}/small-train"
test = "{packs}/small-test"
[net]
width = 8
[train]
epochs = 2
batch = 16
evaluate_every = 1
checkpoint_every = 1
"""
DISTILL = """
[distill]
teachers = ["{teacher}"]
[[distill.methods]]
name = "kd"
options = {{ temperature = 3 }}
[[distill.methods]]
name = "at"
weight = 10
"""
EXAMPLES = Path(__file__).parents[2] / "examples"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def recipe(tmp_path: Path, drawn: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(packs=drawn), encoding="utf-8")
    return path


def test_train_then_distil(run: Run, recipe: Path, drawn: Path, tmp_path: Path) -> None:
    status, out, err = run("train", str(recipe), "--device", "cpu", "--json")
    assert status == 0, err
    record = json.loads(out)
    assert record["run"] == str(Path("runs", "cli"))
    assert {"top1", "top5", "loss", "seconds", "images_per_s"} <= set(record)
    assert "resnet18+x0.125: 0.18 M parameters, " in err
    assert "5 classes, 80 samples on cpu" in err
    assert "epoch 1: top-1 " in err
    teacher = tmp_path / "runs" / "cli"
    assert sorted(p.name for p in (teacher / "plots").iterdir()) == ["accuracy.png", "learning_rate.png", "loss.png"]

    student = tmp_path / "student.toml"
    student.write_text(RECIPE.format(packs=drawn) + DISTILL.format(teacher=teacher), encoding="utf-8")
    assert run("distill", str(student), "--set", "train.epochs=1", "--out", "out/student", "--device", "cpu")[0] == 0
    records = [json.loads(line) for line in (tmp_path / "out/student/metrics.jsonl").read_text().splitlines()]
    assert set(records[0]["parts"]) == {"label", "kd", "at"}
    assert records[-1]["epoch"] == 1


def test_resume_continues_and_a_new_start_is_refused(run: Run, recipe: Path, tmp_path: Path) -> None:
    assert run("train", str(recipe), "--device", "cpu")[0] == 0
    status, out, err = run("train", str(recipe), "--device", "cpu")
    assert (status, out) == (2, "")
    assert "already holds a run; continue it with --resume" in err
    weights = tmp_path / "runs" / "cli" / "weights.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    assert run("train", str(recipe), "--device", "cpu", "--resume")[0] == 0
    assert weights.read_bytes() == before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train none.toml", "none.toml: cannot be read: No such file or directory"),
        ("train recipe.toml --set train.epoch=3", "unknown key 'train.epoch'; did you mean 'train.epochs'?"),
        ("train recipe.toml --set train.epochs=many", "train.epochs = 'many': a value of type int is needed"),
        ("train recipe.toml --set augment.rotate=-3", "augment: rotate is negative; 0 switches it off"),
        ("train recipe.toml --set net.name=resnet81", "net: net 'resnet81' is unknown; did you mean 'resnet18'"),
        ("train recipe.toml --set data.train=nowhere", "nowhere: not a pack"),
        ("train recipe.toml --set train.batch=1000", "train.batch 1000 is larger than the 80 training samples"),
        ("train recipe.toml --device quantum", "device 'quantum' cannot be used (Expected one of cpu, "),
        ("train recipe.toml --device cuda:99", "device 'cuda:99' cannot be used ("),
        ("train recipe.toml --device meta", "device 'meta' is not one hanmo trains on; take cpu, cuda or"),
        ("train recipe.toml --start fre", "fre: no run folder and no weights that come with hanmo; there are: free, "),
        ("train recipe.toml --set train.fine_tune=true", "train: fine_tune needs weights to start from; set"),
        ("train recipe.toml --set train.frozen=convolutions", "train: frozen needs weights to start from; set"),
        ("distill recipe.toml", "recipe.toml: has no [distill] section"),
        ("distill", "packs/hwdb100-48-train: not a pack"),
        ('train recipe.toml --set distill.teachers=["x"]', "recipe.toml: has a [distill] section; use: hanmo"),
        ('distill recipe.toml --set distill.teachers=["x"]', "x: no such file"),
        ("distill recipe.toml --set distill.teachers=x", "distill.teachers = 'x': a list"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    run: Run, recipe: Path, tmp_path: Path, command: str, message: str
) -> None:
    status, out, err = run(*command.split())
    assert (status, out) == (2, "")
    line = err.strip().splitlines()[-1]
    assert message in line
    assert line.startswith("hanmo: ")
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def _records(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_several_seeds_stopped_in_the_second_go_on(
    run: Run, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train", str(recipe), "--device", "cpu", "--seeds", "3,1", "--json")
    status, out, _ = run(*command, "--out", "straight")
    assert status == 0
    assert [(r["seed"], r["run"]) for r in _records(out)] == [(3, "straight/seed-3"), (1, "straight/seed-1")]

    with monkeypatch.context() as patch:
        interrupt_at(patch, "seed-1")
        assert run(*command, "--out", "stopped")[0] == 130
    assert not (tmp_path / "stopped" / "seed-1" / "weights.safetensors").exists()
    status, out, _ = run(*command, "--out", "stopped", "--resume")
    assert status == 0
    assert [r["step"] for r in _records(out)] == [10, 10]
    for seed in (3, 1):
        one, other = (tmp_path / name / f"seed-{seed}" / "weights.safetensors" for name in ("straight", "stopped"))
        assert one.read_bytes() == other.read_bytes()


def test_no_seed_is_trained_when_another_cannot_be(run: Run, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "runs" / "cli" / "seed-1").mkdir(parents=True)
    (tmp_path / "runs" / "cli" / "seed-1" / "recipe.toml").write_text(recipe.read_text(), encoding="utf-8")
    for seeds, more, message in (
        ("0,-1", [], "seed -1: 0 to 2^31 - 1"),
        ("0,one", [], "--seeds 0,one: write whole numbers with commas"),
        ("0,1", [], "seed-1: already holds a run; continue it with --resume"),
        ("0,1", ["--resume"], "seed-1: holds another recipe (train.seed was 0, now 1); take a new name"),
    ):
        status, _, err = run("train", str(recipe), "--device", "cpu", "--seeds", seeds, *more)
        assert status == 2
        assert message in err
        assert not (tmp_path / "runs" / "cli" / "seed-0").exists()


def test_torchrun_starts_the_command_line(recipe: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["-m", "hanmo", "train", str(recipe), "--device", "cpu", "--seeds", "0,1", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*torchrun, *command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [record["step"] for record in _records(done.stdout)] == [10, 10], "one process reports"
    first, second = (tmp_path / "runs" / "cli" / f"seed-{seed}" / "weights.safetensors" for seed in (0, 1))
    assert first.read_bytes() != second.read_bytes()
    kept = second.read_bytes()
    second.unlink()  # as if stopped in the second seed, after its checkpoint
    done = subprocess.run(
        [*torchrun, *command, "--resume"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert second.read_bytes() == kept


def interrupt_at(monkeypatch: pytest.MonkeyPatch, folder: str, kind: str = "eval") -> None:
    """Let the next record of ``kind`` in a run folder of this name be followed by a Ctrl-C."""
    log = RunFolder.log

    def stop(run_folder: RunFolder, record: dict[str, Any]) -> None:
        log(run_folder, record)
        if run_folder.path.name == folder and record["kind"] == kind:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "log", stop)


def command_that_goes_on(err: str) -> list[str]:
    """The arguments of the command that a stopped training named."""
    line = next(line for line in err.splitlines() if line.startswith("go on with: "))
    program, *arguments = shlex.split(line.removeprefix("go on with: "))
    assert program == "hanmo"
    return arguments


def test_a_stopped_run_names_the_command_that_goes_on(
    run: Run, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("train", str(recipe), "--device", "cpu", "--out", "straight")[0] == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, "a run")
        status, _, err = run("train", str(recipe), "--set", "train.seed=0", "--device", "cpu", "--out", "a run")
    assert status == 130
    arguments = command_that_goes_on(err)
    assert arguments == ["train", "--resume", "a run", "--device", "cpu"]
    recipe.unlink()  # the run folder has all that is needed
    assert run(*arguments)[0] == 0
    one, other = (tmp_path / name / "weights.safetensors" for name in ("straight", "a run"))
    assert one.read_bytes() == other.read_bytes()


def test_several_seeds_go_on_by_their_folder_alone(
    run: Run, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds that were not begun are trained as well."""
    command = ("train", str(recipe), "--device", "cpu", "--seeds", "3,1,2", "--json")
    assert run(*command, "--out", "straight")[0] == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, "seed-1")
        status, _, err = run(*command, "--out", "stopped")
    assert status == 130
    assert not (tmp_path / "stopped" / "seed-2").exists()
    status, out, err = run(*command_that_goes_on(err), "--json")
    assert status == 0, err
    assert [record["seed"] for record in _records(out)] == [3, 1, 2]
    for seed in (3, 1, 2):
        one, other = (tmp_path / name / f"seed-{seed}" / "weights.safetensors" for name in ("straight", "stopped"))
        assert one.read_bytes() == other.read_bytes()
    (tmp_path / "stopped" / "seeds.json").unlink()  # as in runs of before
    status, out, err = run("train", "--resume", "stopped", "--device", "cpu", "--json")
    assert [record["seed"] for record in _records(out)] == [1, 2, 3], err


def test_a_run_folder_in_place_of_a_recipe_needs_resume_alone(run: Run, recipe: Path, tmp_path: Path) -> None:
    assert run("train", str(recipe), "--device", "cpu", "--out", "done")[0] == 0
    (tmp_path / "empty").mkdir()
    for command, message in (
        ("train done", "done: is a run folder, not a recipe; go on with it by: hanmo train --resume done"),
        ("train --resume empty", "empty: holds no run (no recipe.toml); name a run folder, or a recipe"),
        ("train --resume done --seeds 0,1", "done: a run folder knows its place and its seeds; leave out"),
        ("train --resume done --out other", "done: a run folder knows its place and its seeds; leave out"),
        (
            "distill --resume done",
            "done: has no [distill] section; add one with teachers, or use: hanmo train --resume",
        ),
        ("train --resume done --set train.epochs=3", "done: holds another recipe (train.epochs was 2, now 3)"),
    ):
        status, out, err = run(*command.split())
        assert (status, out) == (2, "")
        assert message in err
    assert run("train", "--resume", "done", "--device", "cpu")[0] == 0, "a finished run has nothing left to do"


def test_a_student_goes_on_by_its_folder(
    run: Run, recipe: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("train", str(recipe), "--device", "cpu", "--out", "teacher")[0] == 0
    student = tmp_path / "student.toml"
    student.write_text(RECIPE.format(packs=drawn) + DISTILL.format(teacher="elsewhere"), encoding="utf-8")
    with monkeypatch.context() as patch:
        interrupt_at(patch, "student")
        command = ("distill", str(student), "--teacher", "teacher", "--device", "cpu", "--out", "student")
        status, _, err = run(*command)
    assert status == 130
    assert command_that_goes_on(err) == ["distill", "--resume", "student", "--device", "cpu"]
    status, _, err = run("train", "--resume", "student")
    assert status == 2
    assert "student: has a [distill] section; use: hanmo distill --resume student" in err
    assert run("distill", "--resume", "student", "--device", "cpu")[0] == 0


def test_stopped_before_anything_was_written_there_is_nothing_to_go_on_with(
    run: Run, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hanmo.train.setup.open_data", interrupt)
    status, _, err = run("train", str(recipe), "--device", "cpu")
    assert status == 130
    assert "go on with" not in err
    assert not (tmp_path / "runs").exists()


def test_under_torchrun_the_command_names_torchrun(monkeypatch: pytest.MonkeyPatch, small: Any) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    plan = _Plan(verb="train", folder=Path("runs/x"), runs={Path("runs/x"): small()}, resume=False)
    command = plan.resuming_command(None, Processes(world=4, device=torch.device("cpu")))
    assert command == "torchrun --nproc-per-node 2 -m hanmo train --resume runs/x"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_off_a_terminal_a_line_is_logged_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, small: Any, tmp_path: Path
) -> None:
    clock = Clock()
    monkeypatch.setattr("hanmo.cli.training_progress.time", clock)
    log = io.StringIO()
    display = progress_display("x", Console(file=log))
    trainer = Trainer(small(), tmp_path / "run", Processes.join("cpu"))
    display.start_run(trainer, "x")
    for step in range(1, 21):
        clock.now += 4
        display.show({"kind": "train", "step": step, "loss": 1.25, "images_per_s": 1.0})
    lines = log.getvalue().splitlines()
    assert lines[0] == "step 3 of 20: loss 1.250, 1 images/s, 4 min 32 s left"  # 17 steps of 16 images
    assert [line.split()[1] for line in lines] == ["3", "6", "9", "12", "15", "18", "20"]
    assert lines[-1].endswith(", 0 s left")
    assert isinstance(progress_display("x", Console(file=log, force_terminal=True)), BarDisplay)


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s")])
def test_durations(seconds: float, text: str) -> None:
    assert _duration(seconds) == text
    assert _duration(11100) == "3 h 05 min"


def test_names_with_markup_are_shown_as_they_are(run: Run, recipe: Path) -> None:
    folder = "runs/[old] a train with quite a long name, longer than a line of a terminal usually is/[/b]"
    status, _, err = run("train", str(recipe), "--device", "cpu", "--set", "train.epochs=1", "--out", folder)
    assert status == 0, err
    assert f"weights, metrics and plots in {folder}\n" in err
    log = io.StringIO()
    with progress_display("[old] [/b]", Console(file=log, force_terminal=True)):
        pass
    assert "[old] [/b]" in log.getvalue()


def test_a_short_run_logs_its_last_step(run: Run, recipe: Path) -> None:
    _, _, err = run("train", str(recipe), "--device", "cpu")
    assert "step 10 of 10: loss " in err


@pytest.mark.parametrize(
    ("override", "suggestion"),
    [("epochs=3", "train.epochs"), ("optim.batch=3", "train.batch"), ("epoch=3", "train.epochs"), ("nam=x", "name")],
)
def test_a_key_in_the_wrong_section_is_suggested_where_it_belongs(
    run: Run, recipe: Path, override: str, suggestion: str
) -> None:
    status, _, err = run("train", str(recipe), "--set", override)
    assert status == 2
    assert f"unknown key '{override.split('=')[0]}'; did you mean '{suggestion}'?" in err


@pytest.fixture
def own_packs(run: Run, tmp_path: Path) -> Path:
    """Packs ``known``, of 永 and 山, and ``grown``, whose charset has 龘 as well; both know all of level 1."""
    for character, file in {"永": "01-yong", "山": "02-shan"}.items():
        (tmp_path / "mine" / character).mkdir(parents=True)
        for number in range(2):
            shutil.copy(EXAMPLES / f"{file}.png", tmp_path / "mine" / character / f"{number}.png")
    (tmp_path / "mine" / "龘").mkdir()
    for number in range(2):
        picture = Image.new("L", (100, 100), 255)
        for radius in (10, 25, 40):  # rings, which are no character of level 1
            ImageDraw.Draw(picture).ellipse((50 - radius, 50 - radius, 50 + radius, 50 + radius + number), None, 0, 4)
        picture.save(tmp_path / "mine" / "龘" / f"{number}.png")
    size = ("--side", "48")
    assert run("data", "pack", "mine", "--out", "grown", "--charset", "level1+龘", *size)[0] == 0
    assert run("data", "pack", "mine", "--out", "few", *size)[0] == 0
    (tmp_path / "mine" / "龘" / "0.png").rename(tmp_path / "ring.png")
    shutil.rmtree(tmp_path / "mine" / "龘")
    assert run("data", "pack", "mine", "--out", "known", "--charset", "level1", *size)[0] == 0
    return tmp_path


def test_the_shipped_reader_is_trained_on_and_learns_a_new_character(run: Run, own_packs: Path) -> None:
    """One step at a rate of nearly nothing, so that old rows can be compared."""
    little = ("--set", "train.epochs=1", "--set", "train.batch=2", "--set", "optim.learning_rate=1e-9")
    data = ("--set", "data.train=grown", "--set", "data.test=known")
    status, _, err = run("distill", "@own-data", "--start", "free", *data, *little, "--device", "cpu")
    assert status == 0, err
    assert "starts from @pages-free: 3,755 known classes, 1 new" in err
    assert "warning" not in err
    trained, free = load_trained("runs/own-data"), load_trained("@pages-free")
    assert str(trained.charset) == f"{free.charset}龘"
    assert trained.config == free.config
    own, old = trained.net.state_dict(), free.net.state_dict()
    torch.testing.assert_close(own["fc.weight"][:-1], old["fc.weight"], rtol=0, atol=1e-6)
    for name in ("bn1.running_mean", "layer4.0.bn1.running_var"):
        assert torch.equal(own[name], old[name]), "the statistics are those of free"
    assert set(free.trained_on) < set(trained.trained_on)
    status, _, err = run("export", "runs/own-data", "--out", "reader", "--test", "grown", "--force")
    assert status == 0, err
    status, out, _ = run("recognize", "ring.png", "--bundle", "reader", "--json")
    assert json.loads(out)["character"] == "龘", "imprinted: read before anything was learnt"


def test_a_start_brings_its_net_and_single_changes_still_count(run: Run, own_packs: Path) -> None:
    options = ("--set", "data.train=few", "--set", "train.epochs=1", "--set", "train.batch=2", "--device", "cpu")
    without_test = ("--set", "data.test=few")
    status, _, err = run("distill", "@own-data", "--start", "nano", *options, *without_test, "--set", "net.dropout=0.1")
    assert status == 0, err
    trained = load_trained("runs/own-data")
    assert trained.config == replace(load_trained("@pages-nano").config, dropout=0.1)
    assert "warning: 3,753 characters that these weights know are not in the training data's charset" in err
