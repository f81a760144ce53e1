"""Methods that see the training samples first, and teachers that answer for several views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hanmo.data.pack import Pack
from hanmo.distill.hints import ClassSums, fisher_scores
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.nets.tta import VIEWS, transform
from hanmo.normalize import standardise
from hanmo.train import speed
from hanmo.train.augment import sample_augmentation, unchanged
from hanmo.train.checkpoint import latest_checkpoint, load_tensors
from hanmo.train.config import DataConfig, DistillConfig, MethodConfig, Recipe
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained
from stopped_runs import start, stop_at

NAMES = ("neurons", "weighted-kd", "trusted-hint")


@pytest.fixture(scope="module")
def teacher(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    Trainer(small(train={"epochs": 1}, net={"width": 12}), folder, Processes.join("cpu")).run()
    return folder


@pytest.fixture
def recipe(small: Any, teacher: Path) -> Recipe:
    methods = tuple(MethodConfig(name=name) for name in NAMES)
    teaching = DistillConfig(teachers=(str(teacher),), methods=methods, label_weight=1.0)
    return small(distill=teaching, train={"epochs": 1, "checkpoint_every": 0})  # type: ignore[no-any-return]


def test_the_chosen_neurons_are_those_of_the_training_pack(recipe: Recipe, teacher: Path, tmp_path: Path) -> None:
    pack = Pack.open(Path(recipe.data.train))
    net = FeatureHooks(load_trained(teacher).net, ["layer4"])
    sums = ClassSums(len(pack.charset))
    with torch.no_grad():
        squares = torch.from_numpy(pack.images.copy())
        features = net(standardise(unchanged(squares))).features["layer4"].mean((2, 3))
    sums.add(features, torch.from_numpy(pack.labels.astype("int64")))
    method: Any = start(recipe, tmp_path / "run").state.learners[1].methods[0]  # type: ignore[index, union-attr]
    expected = fisher_scores(sums).topk(len(method.chosen_0)).indices.sort().values
    assert method.chosen_0.tolist() == expected.tolist()
    assert len(method.chosen_0) == features.shape[1] // 2
    assert method.chosen_0.tolist() != list(range(len(method.chosen_0)))


def test_the_teacher_answers_for_the_views_without_augmentation(recipe: Recipe, tmp_path: Path) -> None:
    trainer = start(recipe, tmp_path / "run")
    goal, seen = trainer.setup.objective, []
    method: Any = trainer.state.learners[1].methods[2]  # type: ignore[index, union-attr]
    loss = method.loss

    def listening(student: Any, answer: Any, labels: Tensor) -> Tensor:
        seen.append(answer)
        result: Tensor = loss(student, answer, labels)
        return result

    method.loss = listening
    squares, labels = next(iter(trainer.setup.data.train.epoch(0, 16, 0, trainer.processes)))
    randomness = sample_augmentation(recipe.augment, 16, squares.shape[-1], torch.Generator().manual_seed(0))
    goal(squares, labels, randomness, torch.tensor(1.0))
    (answer,) = seen
    assert set(answer.features) == {f"{layer}{view}" for layer in ("layer2", "layer4") for view in ("", "@0", "@1")}
    assert trainer.setup.teacher is not None
    with torch.no_grad():
        for number, view in enumerate(VIEWS[3][:-1]):
            expected = trainer.setup.teacher(transform(answer.pictures, view)).features["layer4"]
            torch.testing.assert_close(answer.features[f"layer4@{number}"], expected, rtol=1e-4, atol=1e-5)
            assert not torch.equal(answer.features[f"layer4@{number}"], answer.features["layer4"])


def test_a_resumed_run_predicts_the_same_neurons(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "LOG_SECONDS", -1.0)
    start(recipe, tmp_path / "straight").run()

    with pytest.raises(KeyboardInterrupt):
        start(recipe, tmp_path / "stopped", stop_at(3)).run()
    checkpoint = latest_checkpoint(tmp_path / "stopped" / "checkpoints")
    assert checkpoint is not None
    tensors = load_tensors(checkpoint)[0]
    assert any(name.endswith("chosen_0") for name in tensors)
    assert any(name.endswith("class_weights") for name in tensors)
    start(recipe, tmp_path / "stopped").run(resume=True)
    one, other = (tmp_path / name / "weights.safetensors" for name in ("straight", "stopped"))
    assert one.read_bytes() == other.read_bytes()


def test_squares_for_pages_are_shown_to_the_teacher_at_its_own_side(small: Any, tmp_path: Path) -> None:
    drawn = tmp_path / "pages.toml"
    drawn.write_text(
        'characters = "永人山水"\nper_character = 8\n[normalization]\nside = 32\n[style]\nbinary = 0.0\n[page]\n',
        encoding="utf-8",
    )
    data = DataConfig(train=f"synth:{drawn}")
    Trainer(small(data=data, train={"epochs": 1}), tmp_path / "teacher", Processes.join("cpu")).run()
    teaching = DistillConfig(teachers=(str(tmp_path / "teacher"),), methods=(MethodConfig(name="neurons"),))
    Trainer(small(data=data, distill=teaching, train={"epochs": 1}), tmp_path / "run", Processes.join("cpu")).run()
    assert load_trained(tmp_path / "run").normalization.side == 32
