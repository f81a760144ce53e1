"""The loss of one step."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
import torch.nn.functional as F

from hanmo.distill import Distillation, build_method
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.nets.registry import NetConfig, build_net
from hanmo.normalize import MEAN, STD
from hanmo.train.augment import Randomness, sample_augmentation
from hanmo.train.config import AugmentConfig
from hanmo.train.objective import Objective, standardise

SIDE, CLASSES = 16, 5
IMAGES = torch.randint(0, 256, (6, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])
STILL = AugmentConfig(**{f.name: 0 for f in fields(AugmentConfig) if f.name != "elastic_cells"})


def objective(
    *,
    mixup: bool = False,
    smoothing: float = 0.0,
    teacher: FeatureHooks | None = None,
    methods: Distillation | None = None,
) -> Objective:
    torch.manual_seed(1)
    student = FeatureHooks(
        build_net(NetConfig(width=8), CLASSES, SIDE).eval(), methods.student_layers if methods else ()
    )
    return Objective(
        student,
        teacher,
        methods,
        augment=STILL,
        classes=CLASSES,
        label_smoothing=smoothing,
        mixup=mixup,
        precision=torch.float32,
    )


def randomness() -> Randomness:
    return sample_augmentation(STILL, 6, SIDE, torch.Generator().manual_seed(0))


def logits_of(goal: Objective) -> torch.Tensor:
    return goal.student(standardise(IMAGES.unsqueeze(1) / 255)).logits


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_share_of_one_is_no_mixing(smoothing: float) -> None:
    plain, _ = objective(smoothing=smoothing)(IMAGES, LABELS, randomness(), torch.tensor(1.0))
    mixed, _ = objective(mixup=True, smoothing=smoothing)(IMAGES, LABELS, randomness(), torch.tensor(1.0))
    torch.testing.assert_close(mixed, plain)


def test_mixing_is_symmetric_and_mixes_pictures_and_labels() -> None:
    goal = objective(mixup=True)
    one, _ = goal(IMAGES, LABELS, randomness(), torch.tensor(0.3))
    other, _ = goal(IMAGES, LABELS, randomness(), torch.tensor(0.7))
    torch.testing.assert_close(one, other)  # the batch and its mirror change places
    x = standardise(IMAGES.unsqueeze(1) / 255)
    logs = goal.student(0.3 * x + 0.7 * x.flip(0)).logits.log_softmax(-1)
    picked = logs.gather(1, LABELS[:, None]) * 0.3 + logs.gather(1, LABELS.flip(0)[:, None]) * 0.7
    torch.testing.assert_close(one, -picked.mean(), rtol=1e-3, atol=1e-4)


def test_smoothing_mixes_in_the_even_distribution() -> None:
    goal = objective(smoothing=0.2)
    loss, parts = goal(IMAGES, LABELS, randomness(), torch.tensor(1.0))
    logs = logits_of(goal).log_softmax(-1)
    expected = -(0.8 * logs.gather(1, LABELS[:, None])[:, 0] + 0.2 * logs.mean(1)).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-4)
    assert list(parts) == ["label"]
    assert not parts["label"].requires_grad


@pytest.mark.parametrize("mixup", [False, True])
def test_the_teacher_sees_what_the_student_sees_and_learns_nothing(mixup: bool) -> None:
    torch.manual_seed(2)
    teacher_net = build_net(NetConfig(width=8), CLASSES, SIDE).eval()
    methods = Distillation([("kd", 2.0, build_method("kd", {})), ("at", 1.0, build_method("at", {}))], 0.5)
    seen: list[torch.Tensor] = []
    teacher_net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    goal = objective(mixup=mixup, teacher=FeatureHooks(teacher_net, methods.teacher_layers), methods=methods)
    goal.student.net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    loss, parts = goal(IMAGES, LABELS, randomness(), torch.tensor(0.4))
    assert torch.equal(seen[0], seen[1])
    torch.testing.assert_close(loss.detach(), 0.5 * parts["label"] + 2 * parts["kd"] + parts["at"])
    loss.backward()
    assert all(p.grad is None for p in teacher_net.parameters())
    assert all(p.grad is not None for p in goal.student.parameters())


def test_an_evaluation_between_steps_compiles_nothing_anew() -> None:
    """The features seen outside of the step, by an evaluation or by other code, are no part of what was compiled."""
    methods = Distillation([("at", 1.0, build_method("at", {}))], 0.5)
    teacher = FeatureHooks(build_net(NetConfig(width=8), CLASSES, SIDE).eval(), methods.teacher_layers)
    goal = objective(teacher=teacher, methods=methods)
    goal.student.net.train()
    outputs: list[int] = []

    def count(graph: torch.fx.GraphModule, example: list[torch.Tensor]) -> torch.fx.GraphModule:
        outputs.append(len(graph.graph.output_node().args[0]))  # type: ignore[arg-type]
        return graph

    step = torch.compile(goal, backend=count)
    for _ in range(2):
        for _ in range(2):
            step(IMAGES, LABELS, randomness(), torch.tensor(1.0))
        own = {k: v.clone() for k, v in goal.student.net.state_dict().items()}
        goal.student.net.eval()(standardise(IMAGES.unsqueeze(1) / 255))
        goal.student.net.load_state_dict(own)
        goal.student.net.train()
    assert outputs == [3], "one graph, which gives the loss and its two parts and no features"


def test_nets_see_zero_mean_and_unit_variance() -> None:
    torch.testing.assert_close(standardise(torch.tensor([MEAN, MEAN + STD])), torch.tensor([0.0, 1.0]))
    assert F.mse_loss(standardise(torch.zeros(1)), torch.tensor([-MEAN / STD])).item() == pytest.approx(0)


def test_samples_of_untaught_classes_learn_from_their_labels_alone() -> None:
    methods = Distillation([("kd", 1.0, build_method("kd", {}))], 0.1)
    torch.manual_seed(2)
    goal = objective(teacher=FeatureHooks(build_net(NetConfig(width=8), CLASSES, SIDE).eval()), methods=methods)

    def kd(untaught: torch.Tensor | None) -> torch.Tensor:
        goal.untaught = untaught
        return goal(IMAGES, LABELS, randomness(), torch.tensor(1.0))[1]["kd"]

    parts = [kd(torch.arange(CLASSES) != number) for number in range(CLASSES)]  # one class after the other is taught
    assert all(part > 0 for part in parts)
    torch.testing.assert_close(torch.stack(parts).sum(), kd(None))
    torch.testing.assert_close(kd(torch.ones(CLASSES, dtype=torch.bool)), torch.tensor(0.0), atol=1e-6, rtol=0)
