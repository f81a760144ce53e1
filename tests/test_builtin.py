"""What comes with hanmo is found by name, from any folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanmo.builtin import (
    WEIGHTS_OF_BUNDLES,
    list_recipes,
    recipe_names,
    recipe_path,
    run_path,
    start_path,
    with_current_names,
    with_former_names,
)
from hanmo.bundle import EMBEDDED
from hanmo.errors import ConfigError


def test_names_and_what_they_were_called_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert recipe_path("@student").name == "student.toml"
    assert recipe_path("recipes/student.toml") == recipe_path("@student")
    assert recipe_path("student.toml") == Path("student.toml")
    assert (run_path("@flagship") / "weights-1-of-1.safetensors").is_file()
    assert run_path("benchmarks/runs/flagship") == run_path("@flagship")
    assert run_path("runs/mine") == Path("runs/mine")


def test_a_file_of_ones_own_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("recipes", "student.toml")
    own.parent.mkdir()
    own.touch()
    assert recipe_path(own) == own


def test_unknown_names_are_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean @student"):
        recipe_path("@studnet")
    with pytest.raises(ConfigError, match="there are: @flagship, @nano"):
        run_path("@zzz")


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("train", "teacher", "paper"),
        ("distill", "paper", "teacher"),
        ("bench", "bench", "search"),
        ("search", "search", "bench"),
        ("synth", "synth-demo", "fonts"),
        ("fonts", "fonts", "synth-demo"),
        ("teacher", "ppocr-teacher", "teacher"),
    ],
)
def test_only_recipes_of_the_kind_are_suggested(kind: str, one: str, other: str) -> None:
    names = recipe_names(kind)
    assert one in names
    assert other not in names
    listed = ", ".join(f"@{name}" for name in names)
    assert list_recipes(kind) == f"Recipes that come with hanmo: {listed}"
    with pytest.raises(ConfigError, match=f"there are: {listed}$"):
        recipe_path("@zzz", kind)


def test_every_recipe_is_of_one_kind() -> None:
    kinds = ("train", "distill", "bench", "search", "synth", "fonts", "teacher")
    assert sorted(name for kind in kinds for name in recipe_names(kind)) == recipe_names()


def test_a_folder_of_metrics_alone_stands_for_the_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = Path("benchmarks", "runs", "flagship", "metrics-1.jsonl")
    metrics.parent.mkdir(parents=True)
    metrics.touch()
    assert run_path(metrics.parent) == run_path("@flagship")
    (metrics.parent / "weights-1-of-1.safetensors").touch()
    assert run_path(metrics.parent) == metrics.parent


def test_names_of_now_and_of_before_lead_to_each_other() -> None:
    now = 'train = "synth:@synth-1000"\nstart = "@flagship"\nteachers = ["@nano", "onnx:@ppocr-teacher", "runs/a"]\n'
    before = with_former_names(now)
    assert before == (
        'train = "synth:recipes/synth-1000.toml"\nstart = "benchmarks/runs/flagship"\n'
        'teachers = ["benchmarks/runs/nano", "onnx:recipes/ppocr-teacher.toml", "runs/a"]\n'
    )
    assert with_current_names(before) == now


def test_a_training_can_start_from_the_readers_of_level1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(WEIGHTS_OF_BUNDLES) < set(EMBEDDED)  # weights of the wide readers would be too large
    Path("free").mkdir()  # a folder of the name of a bundle changes nothing
    assert start_path("free") == "@pages-free"
    for name in WEIGHTS_OF_BUNDLES:
        assert any(run_path(start_path(name)).glob("weights-*.safetensors"))
    Path("runs", "mine").mkdir(parents=True)
    assert start_path("runs/mine") == "runs/mine"
    assert start_path("@flagship") == "@flagship"


def test_what_no_training_can_start_from_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^fre: no run folder .*; there are: free, nano, .*@flagship"):
        start_path("fre")
    with pytest.raises(ConfigError, match="@fre: no weights"):
        start_path("@fre")
    Path("mine").mkdir()
    Path("mine", "bundle.json").touch()
    with pytest.raises(ConfigError, match="mine: a bundle cannot be trained on; name the run"):
        start_path("mine")
