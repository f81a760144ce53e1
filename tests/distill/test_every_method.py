"""What holds of every method that recipes can name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hanmo.distill import METHODS, build_method
from hanmo.distill.layers import Layered
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output

LABELS = torch.tensor([0, 1, 2, 5])
SHARES = torch.tensor([[0.7, 0.3, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 0.5, 0, 0, 0.5], [0.2, 0, 0, 0, 0.8, 0]])
NAMES = list(METHODS)
LAYERED = [name for name in NAMES if issubclass(METHODS[name], Layered)]

# Where the student has learnt all there is to learn the loss of these is zero; connectors, a judge or labels forbid it
# to the others, and to pkd and fsp where channels differ.
ZERO = ["kd", "kd-standardised", "dkd", "dist", "label-refinery", "at", "nst", "fsp", "pkd", "rkd", "sp", "cc", "simkd"]
ZERO += ["logit-regression", "model-compression"]
OTHERS = ["fitnet", "review", "adversarial", "tf-kd", "self", "mutual", "lwf", "neurons", "trusted-hint", "weighted-kd"]
OTHERS += ["distral", "radicals", "mce"]
ALONE = ["tf-kd", "self", "mutual", "lwf", "distral", "radicals", "mce"]
SAME_CHANNELS = ["simkd"]


def value(both: Any, student: Output, teacher: Output, labels: torch.Tensor = LABELS) -> torch.Tensor:
    loss: torch.Tensor = both(student, teacher, labels, torch.zeros(()))[0]
    return loss


def test_all_are_tested() -> None:
    assert sorted(NAMES) == sorted(ZERO + OTHERS)
    assert {name for name in NAMES if not METHODS[name].needs_teacher} == set(ALONE)


@pytest.mark.parametrize("name", ZERO)
def test_nothing_to_learn_from_oneself(name: str, output: Any, connected: Any) -> None:
    same, other = output(1), output(2)
    both = connected(name, same, same)
    assert value(both, same, same).item() == pytest.approx(0, abs=1e-5)
    assert value(both, other, same).item() > 1e-4


@pytest.mark.parametrize("labels", [LABELS, SHARES], ids=["classes", "shares"])
@pytest.mark.parametrize("name", NAMES)
def test_only_the_student_learns(name: str, labels: torch.Tensor, output: Any, connected: Any) -> None:
    channels = 4 if name in SAME_CHANNELS else 7
    student, teacher = output(1, grad=True), output(2, channels=channels, size=16, grad=True)
    both = connected(name, student, teacher)
    loss = value(both, student, teacher, labels)
    assert loss.ndim == 0
    assert torch.isfinite(loss)
    loss.backward()
    learnt = [t.grad for t in (student.logits, *student.features.values()) if t.grad is not None]
    assert any(grad.abs().sum() > 0 for grad in learnt)
    assert all(torch.isfinite(grad).all() for grad in learnt)
    assert all(t.grad is None for t in (teacher.logits, *teacher.features.values()))
    learning = [p.grad for p in both.parameters() if p.requires_grad]
    assert all(grad is not None and torch.isfinite(grad).all() for grad in learning), "connectors learn"


@pytest.mark.parametrize("name", NAMES)
def test_mixed_precision_is_close_to_full(name: str, output: Any, connected: Any) -> None:
    """What a method makes of bfloat16 outputs is float32, and near what it makes of the same numbers in float32."""
    student, teacher = (output(seed, dtype=torch.bfloat16) for seed in (1, 2))
    full = [
        Output(o.logits.float(), {k: v.float() for k, v in o.features.items()}, o.pictures) for o in (student, teacher)
    ]
    both = connected(name, *full)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = value(both, student, teacher)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, value(both, *full), rtol=0.03, atol=0.01)


@pytest.mark.parametrize("name", [n for n in ZERO if not {"fsp", "pkd"} & {n}])
def test_losses_without_connectors_do_without_autocast(name: str, output: Any, connected: Any) -> None:
    student, teacher = output(1), output(2)
    both = connected(name, student, teacher)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = value(both, student, teacher)
    torch.testing.assert_close(mixed, value(both, student, teacher))


@pytest.mark.parametrize("name", LAYERED)
def test_layers_that_cannot_be_compared_are_named(name: str, output: Any, connected: Any) -> None:
    same = output(1)
    strange = Output(same.logits, {layer: torch.zeros(4, 2, 2, 2, 2) for layer in same.features})
    with pytest.raises(ConfigError, match=rf"{name}: student layer 'layer.' gives \(4, 2, 2, 2, 2\)"):
        connected(name, strange, strange)
    tokens = Output(same.logits, {layer: torch.randn(4, 9, 2) for layer in same.features})
    if name in ("pkd", "rkd", "sp", "cc", "neurons", "trusted-hint"):
        assert torch.isfinite(value(connected(name, tokens, same), tokens, same))
    else:
        with pytest.raises(ConfigError, match=rf"{name}: student layer 'layer.' gives \(4, 9, 2\)"):
            connected(name, tokens, same)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dkd", {"alpha": -1.0}, "dkd: alpha -1.0 must not be negative"),
        ("dkd", {"beta": -1}, "dkd: beta -1.0 must not be negative"),
        ("dkd", {"temperature": 0}, "temperature 0.0 must be above 0"),
        ("dist", {"inter": -2.0}, "dist: inter -2.0 must not be negative"),
        ("label-refinery", {"temperature": 1.0}, "'label-refinery' has no option 'temperature'"),
        ("at", {"layers": []}, "at: layers is empty; name at least one layer"),
        ("fitnet", {"layers": ["a"], "teacher_layers": ["a", "b"]}, "fitnet: 1 student layers but 2 teacher layers"),
        ("fsp", {"layers": ["layer4"]}, "fsp: one layer has no flow to another"),
        ("self", {"layers": ["layer4"]}, "self: layers needs at least two"),
        ("self", {"alpha": 1.5}, "self: alpha 1.5 is not a share"),
        ("self", {"teacher_layers": ["layer4"]}, "'self' has no option 'teacher_layers'"),
        ("rkd", {"pictures": 2}, "rkd: pictures 2: an angle needs at least 3"),
        ("rkd", {"angle": -1.0}, "rkd: angle -1.0 must not be negative"),
        ("cc", {"gamma": 0.0}, "cc: gamma 0.0 must be above 0"),
        ("adversarial", {"hidden": 0}, "adversarial: hidden 0: at least 1"),
        ("simkd", {"head": []}, "simkd: 0 layers of head but 0 of teacher_head"),
        ("simkd", {"teacher_head": ["fc"]}, "simkd: 2 layers of head but 1 of teacher_head"),
        ("neurons", {"share": 0.0}, "neurons: share 0.0 is none of the neurons, or more than all"),
        ("trusted-hint", {"views": 2}, "'trusted-hint': views = 2"),
        ("weighted-kd", {"balance": -1.0}, "weighted-kd: balance -1.0 must not be negative"),
        ("distral", {"domains": 1}, "distral: domains 1: a centre needs at least 2"),
        ("mce", {"slope": 0.0}, "mce: slope 0.0 must be above 0"),
        ("mce", {"eta": -1.0}, "mce: eta -1.0 must be above 0"),
        ("tf-kd", {"sure": 1.0}, "tf-kd: sure 1.0 is no probability between 0 and 1"),
        ("mutual", {"temperature": -1.0}, "mutual: temperature -1.0 must be above 0"),
    ],
)
def test_impossible_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_method(name, options)
