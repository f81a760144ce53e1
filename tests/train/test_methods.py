"""Every distillation method in the training loop: a few steps, compiled, stopped, begun anew."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hanmo.distill import METHODS, Distillation, build_method
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.nets.resnet import AveragePooling
from hanmo.train import speed
from hanmo.train.augment import sample_augmentation
from hanmo.train.config import AugmentConfig, DistillConfig, MethodConfig, Recipe
from hanmo.train.loop import Trainer
from hanmo.train.methods import connect
from hanmo.train.objective import Objective
from hanmo.train.parallel import Processes
from hanmo.train.run import RunFolder, load_trained
from stopped_runs import start, stop_at

ALONE = ("tf-kd", "self", "mutual", "lwf", "distral", "mce", "radicals")


@pytest.fixture(scope="module")
def teacher(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a wider net; ``narrow`` beside it is one of the student's width."""
    folder = tmp_path_factory.mktemp("teachers")
    Trainer(small(train={"epochs": 1}, net={"width": 12}), folder / "wide", Processes.join("cpu")).run()
    Trainer(small(train={"epochs": 1}), folder / "narrow", Processes.join("cpu")).run()
    return folder / "wide"


def taught(small: Any, teacher: Path, *names: str, epochs: int = 1, **changes: Any) -> Recipe:
    run = teacher.with_name("narrow") if "simkd" in names else teacher
    methods = tuple(MethodConfig(name=name) for name in names)
    alone = set(names) <= set(ALONE)
    teaching = DistillConfig(teachers=() if alone else (str(run),), methods=methods, label_weight=0.5)
    changes.setdefault("optim", {"mixup": 0.0 if "distral" in names else 0.2})
    if "distral" in names:  # the same pack twice: what it holds makes no difference here
        changes["data"] = {"domains": (small().data.train,)}
    recipe: Recipe = small(train={"epochs": epochs, "checkpoint_every": 0}, **changes, distill=teaching)
    return recipe


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_trains(name: str, small: Any, teacher: Path, tmp_path: Path) -> None:
    """Five steps in mixed precision on mixed pictures, and the finished net is one of the recipe."""
    recipe = taught(small, teacher, name)
    recipe = small(
        data=recipe.data, distill=recipe.distill, optim=recipe.optim, train={"epochs": 1, "precision": "bf16"}
    )
    trainer = start(recipe, tmp_path / "run")
    before = {k: v.clone() for k, v in trainer.state.net.state_dict().items()}
    trainer.run()
    parts = RunFolder(tmp_path / "run").records()[0]["parts"]
    assert set(parts) == {"label", name}
    assert not torch.equal(trainer.state.net.conv1.weight, before["conv1.weight"])  # type: ignore[union-attr, arg-type]
    kept = load_trained(tmp_path / "run").net
    assert kept.state_dict().keys() == before.keys()
    if name == "simkd":
        assert torch.equal(kept.fc.weight, load_trained(teacher.with_name("narrow")).net.fc.weight)  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("names", [("fitnet", "mutual"), ("simkd", "adversarial")])
def test_stopped_runs_go_on_bit_for_bit(
    names: tuple[str, ...], small: Any, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "LOG_SECONDS", -1.0)
    recipe = taught(small, teacher, *names)
    start(recipe, tmp_path / "straight").run()

    with pytest.raises(KeyboardInterrupt):
        start(recipe, tmp_path / "stopped", stop_at(3)).run()
    start(recipe, tmp_path / "stopped").run(resume=True)
    one, other = (tmp_path / name / "weights.safetensors" for name in ("straight", "stopped"))
    assert one.read_bytes() == other.read_bytes()


def test_the_next_seed_begins_as_a_new_trainer_would(small: Any, teacher: Path, tmp_path: Path) -> None:
    recipe = taught(small, teacher, "simkd", "review", "mutual")
    trainer = start(recipe, tmp_path / "first")
    trainer.run()
    other = small(distill=recipe.distill, optim=recipe.optim, train={"epochs": 1, "seed": 8, "checkpoint_every": 0})
    trainer.restart(other, tmp_path / "again")
    fresh = start(other, tmp_path / "fresh")
    for old, new in zip(trainer.state.learners, fresh.state.learners, strict=True):
        states = old.state_dict(), new.state_dict()
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    peer = fresh.state.learners[1].methods[2].peer  # type: ignore[index, union-attr]
    assert not torch.equal(peer.conv1.weight, fresh.state.net.conv1.weight)  # type: ignore[union-attr, arg-type]


def test_all_methods_compile_to_one_graph() -> None:
    """Nothing in a loss depends on values in Python, so torch.compile needs to leave the graph nowhere."""
    torch.manual_seed(0)
    methods = Distillation([(name, 1.0, build_method(name, {})) for name in METHODS], 1.0)

    def net() -> nn.Module:
        layers = {f"layer{i}": nn.Conv2d(8 if i > 1 else 1, 8, 3, 2, 1) for i in range(1, 5)}
        return nn.Sequential(OrderedDict(**layers, pool=AveragePooling(), fc=nn.Linear(8, 5)))

    student, teacher = FeatureHooks(net(), methods.student_layers), FeatureHooks(net().eval(), methods.teacher_layers)
    methods.name_classes("湖话树语村")
    connect(student, teacher, methods, 16, net)
    goal = Objective(
        student,
        teacher,
        methods,
        augment=AugmentConfig(),
        classes=5,
        label_smoothing=0.1,
        mixup=True,
        precision=torch.bfloat16,
    )
    images = torch.randint(0, 256, (6, 16, 16), dtype=torch.uint8)
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    randomness = sample_augmentation(AugmentConfig(), 6, 16, torch.Generator().manual_seed(0))
    inputs = images, labels, randomness, torch.tensor(0.7)
    state = {k: v.clone() for k, v in goal.state_dict().items()}
    expected, parts = goal(*inputs)
    goal.load_state_dict(state)
    loss, compiled = torch.compile(goal, backend="eager", fullgraph=True)(*inputs)
    loss.backward()
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0.02)
    assert compiled.keys() == parts.keys()
    assert all(p.grad is not None for m in (student, methods) for p in m.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("teachers", "names", "message"),
    [
        (
            (),
            ("kd",),
            r"method 'kd' needs teachers; name at least one \(without work: tf-kd, self, mutual, distral, lwf, mce",
        ),
        ((), ("mutual", "at"), "method 'at' needs teachers"),
        (("run",), ("mutual",), "method 'mutual' asks no teacher; leave teachers empty"),
        (("run",), (), "methods need at least one entry"),
    ],
)
def test_teachers_and_methods_belong_together(teachers: Any, names: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DistillConfig(teachers=teachers, methods=tuple(MethodConfig(name=name) for name in names))


def test_unfit_heads_and_unknown_names_stop_before_training(small: Any, teacher: Path, tmp_path: Path) -> None:
    wide = DistillConfig(teachers=(str(teacher),), methods=(MethodConfig(name="simkd"),))
    with pytest.raises(ConfigError, match="simkd: the student's 'fc' has"):
        start(small(distill=wide), tmp_path / "run")
    unknown = DistillConfig(methods=(MethodConfig(name="mutal"),))
    with pytest.raises(ConfigError, match="'mutal' is unknown; did you mean 'mutual'"):
        start(small(distill=unknown), tmp_path / "run")
