"""A method with weights of its own: made, moved, trained, saved and begun anew with the student."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill import METHODS, Distillation, Method, register
from hanmo.nets.feature_hooks import FeatureHooks, Output
from hanmo.nets.registry import NetConfig, build_net
from hanmo.train.checkpoint import latest_checkpoint, load_tensors
from hanmo.train.config import DistillConfig, MethodConfig, Recipe
from hanmo.train.loop import Trainer
from hanmo.train.methods import connect
from hanmo.train.parallel import Processes


class Hint(Method):
    """FitNets. Romero et al., ICLR 2015: a learned 1x1 convolution lets the student's map imitate the teacher's."""

    def __init__(self, *, layer: str = "layer3") -> None:
        super().__init__()
        self.student_layers = self.teacher_layers = (layer,)

    def connect(self, student: Output, teacher: Output) -> None:
        (layer,) = self.student_layers
        inputs, outputs = student.features[layer].shape[1], teacher.features[layer].shape[1]
        self.connector = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))
        self.scale = nn.Parameter(torch.rand(1))  # bare, and drawn at random: no reset_parameters brings it back

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        (layer,) = self.student_layers
        guess = self.connector(student.features[layer]) * self.scale
        return F.mse_loss(guess.float(), teacher.features[layer].float())


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    register("hint")(Hint)
    yield
    del METHODS["hint"]


@pytest.fixture
def recipe(small: Any, tmp_path: Path) -> Recipe:
    Trainer(small(train={"epochs": 1}, net={"width": 12}), tmp_path / "teacher", Processes.join("cpu")).run()
    teaching = DistillConfig(teachers=(str(tmp_path / "teacher"),), methods=(MethodConfig(name="hint"),))
    return small(distill=teaching, train={"epochs": 2, "checkpoint_every": 1})  # type: ignore[no-any-return]


def saved(folder: Path) -> dict[str, Tensor]:
    """The method's own tensors in the last checkpoint."""
    path = latest_checkpoint(folder / "checkpoints")
    assert path is not None
    return {k: v for k, v in load_tensors(path)[0].items() if k.startswith("method.")}


def test_connectors_learn_and_are_saved(recipe: Recipe, tmp_path: Path) -> None:
    trainer = Trainer(recipe, tmp_path / "run", Processes.join("cpu"))
    untrained = {f"method.{k}": v.clone() for k, v in trainer.state.learners[1].state_dict().items()}
    trainer.run()
    learnt = saved(tmp_path / "run")
    assert learnt.keys() == untrained.keys()
    assert sum("connector" in name for name in learnt) == 7
    assert all(not torch.equal(learnt[name], untrained[name]) for name in learnt)


def test_a_stopped_run_goes_on_with_its_connectors(recipe: Recipe, tmp_path: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    Trainer(recipe, straight, Processes.join("cpu")).run()

    def stop(record: dict[str, Any]) -> None:
        if record["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(recipe, stopped, Processes.join("cpu"), stop).run()
    assert (stopped / "checkpoints" / "step-00000005.safetensors").exists()
    Trainer(recipe, stopped, Processes.join("cpu")).run(resume=True)
    assert (stopped / "weights.safetensors").read_bytes() == (straight / "weights.safetensors").read_bytes()


def test_the_next_seed_begins_with_connectors_of_its_own(recipe: Recipe, tmp_path: Path) -> None:
    """As a new trainer would, whatever the seed before has taught them."""
    first = Trainer(recipe, tmp_path / "first", Processes.join("cpu"))
    before = {k: v.clone() for k, v in first.state.learners[1].state_dict().items()}
    first.run()
    first.restart(replace(recipe, train=replace(recipe.train, seed=8)), tmp_path / "again")
    assert not torch.equal(first.state.learners[1].get_parameter("_registered.0.scale"), before["_registered.0.scale"])
    first.restart(recipe, tmp_path / "again")
    for name, tensor in first.state.learners[1].state_dict().items():
        assert torch.equal(tensor, before[name]), name
    first.run()
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == (
        tmp_path / "first" / "weights.safetensors"
    ).read_bytes()


def test_connectors_move_to_the_device_of_the_nets() -> None:
    hint = Hint()
    nets = [build_net(NetConfig(width=width), 5, 16).to("meta").eval() for width in (8, 16)]
    student, teacher = (FeatureHooks(net, ["layer3"]) for net in nets)
    connect(student, teacher, Distillation([("hint", 1.0, hint)], 1.0), 16, lambda: nets[0])
    assert {p.device.type for p in hint.parameters()} == {"meta"}
    assert student.net.training
