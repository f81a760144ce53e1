"""Distillation methods: what their losses promise, and how recipes name them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hanmo.distill import METHODS, Distillation, Method, build_method, register
from hanmo.distill.features import at_loss, attention_map
from hanmo.distill.logits import kd_loss, standardise_logits
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output

LABELS = torch.tensor([0, 1, 2])
LAYERS = ("layer2", "layer3", "layer4")


def output(seed: int, *, channels: int = 4, grad: bool = False) -> Output:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 6, generator=generator, requires_grad=grad)
    maps = {
        layer: torch.randn(3, channels, 8 >> i, 8 >> i, generator=generator, requires_grad=grad)
        for i, layer in enumerate(LAYERS)
    }
    return Output(logits, maps)


def test_kd_is_hintons() -> None:
    student, teacher = output(1).logits, output(2).logits
    p, q = (teacher / 4).softmax(-1), (student / 4).softmax(-1)
    expected = 16 * (p * (p / q).log()).sum(-1).mean()
    torch.testing.assert_close(kd_loss(student, teacher, 4.0), expected)
    assert kd_loss(student.bfloat16(), teacher.bfloat16(), 4.0).dtype == torch.float32


@given(st.floats(0.1, 50), st.floats(-100, 100), st.integers(0, 2))
def test_standardised_kd_forgets_each_rows_scale_and_offset(scale: float, offset: float, row: int) -> None:
    student, teacher = output(1), output(2)
    moved = student.logits.clone()
    moved[row] = moved[row] * scale + offset
    kd = build_method("kd-standardised", {})
    expected = kd(student, teacher, LABELS)
    torch.testing.assert_close(kd(Output(moved, {}), teacher, LABELS), expected, rtol=1e-3, atol=1e-4)
    moved = teacher.logits.clone()
    moved[row] = moved[row] * scale + offset
    torch.testing.assert_close(kd(student, Output(moved, {}), LABELS), expected, rtol=1e-3, atol=1e-4)


def test_standardise() -> None:
    z = standardise_logits(torch.randn(5, 9) * 7 + 3)
    torch.testing.assert_close(z.mean(-1), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(-1), torch.ones(5))
    assert torch.isfinite(standardise_logits(torch.zeros(1, 4))).all()


@given(st.floats(0.01, 100))
def test_at_forgets_the_scale_and_the_number_of_channels(scale: float) -> None:
    student, teacher = output(1).features["layer2"], output(2, channels=16).features["layer2"]
    expected = at_loss(student, teacher)
    torch.testing.assert_close(at_loss(student * scale, teacher), expected)
    torch.testing.assert_close(at_loss(student, teacher * scale), expected)
    torch.testing.assert_close(at_loss(student.repeat(1, 3, 1, 1), teacher), expected)


def test_at_averages_the_larger_map() -> None:
    small, large = torch.rand(2, 3, 4, 4), torch.rand(2, 5, 8, 8)
    averaged = large.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
    torch.testing.assert_close(at_loss(small, large), at_loss(small, averaged))
    torch.testing.assert_close(attention_map(small).square().sum(1), torch.ones(2))


def test_at_pairs_layers_of_other_names() -> None:
    options = {"layers": ["layer2", "layer3"], "teacher_layers": ["members.0.layer2", "members.0.layer3"]}
    at = build_method("at", options)
    assert at.student_layers == ("layer2", "layer3")
    teacher = output(1)
    renamed = Output(teacher.logits, {f"members.0.{k}": v for k, v in teacher.features.items()})
    assert at(teacher, renamed, LABELS).item() == pytest.approx(0, abs=1e-7)
    with pytest.raises(ConfigError, match="at: 1 student layers but 2 teacher layers"):
        build_method("at", {"layers": ["layer2"], "teacher_layers": ["a", "b"]})


def test_at_needs_maps() -> None:
    at = build_method("at", {"layers": ["pool"]})
    flat = Output(torch.zeros(2, 3), {"pool": torch.zeros(2, 8)})
    with pytest.raises(ConfigError, match=r"at: student layer 'pool' gives \(2, 8\), no map"):
        at.connect(flat, flat)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("kd-standardized", {}, "'kd-standardized' is unknown; did you mean 'kd-standardised'"),
        ("zzz", {}, "'zzz' is unknown; known: .*kd-standardised"),
        ("kd", {"temprature": 4}, "'kd' has no option 'temprature'; did you mean 'temperature'"),
        ("at", {"zzz": 4}, "'at' has no option 'zzz'; known: layers, teacher_layers"),
        ("kd", {"temperature": "4"}, "'kd': temperature = '4': a finite number is needed"),
        ("kd", {"temperature": True}, "'kd': temperature = True: a finite number is needed"),
        ("kd", {"temperature": math.nan}, "'kd': temperature = nan: a finite number is needed"),
        ("kd", {"temperature": 0}, "temperature 0.0 must be above 0"),
        ("kd-standardised", {"temperature": -1.0}, "temperature -1.0 must be above 0"),
        ("at", {"layers": "layer2"}, "'at': layers = 'layer2': a list, each entry a value of type str, is needed"),
        ("at", {"layers": [2]}, "'at': layers = 2: a value of type str is needed"),
    ],
)
def test_unknown_or_impossible_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_method(name, options)


class Constant(Method):
    """Always loses the same."""

    def __init__(self, *, value: float = 1.0) -> None:
        super().__init__()
        self.connector = torch.nn.Linear(2, 2)
        self.value = value

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return torch.tensor(self.value)


def test_a_method_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "constant", Method)  # so that the name is forgotten afterwards
    register("constant")(Constant)
    assert build_method("constant", {"value": 3})(output(1), output(2), LABELS).item() == 3.0
    with pytest.raises(TypeError, match="Method defines no loss"):
        Method()(output(1), output(2), LABELS)


def test_the_sum_and_its_parts() -> None:
    methods = [("a", 2.0, Constant(value=3.0)), ("b", 0.5, Constant(value=4.0)), ("at", 1.0, build_method("at", {}))]
    total = Distillation(methods, label_weight=0.1)
    same = output(1)
    loss, parts = total(same, same, LABELS, torch.tensor(10.0))
    assert loss.item() == pytest.approx(0.1 * 10 + 2 * 3 + 0.5 * 4)
    assert {name: round(part.item(), 5) for name, part in parts.items()} == {"label": 10, "a": 3, "b": 4, "at": 0}
    assert total.student_layers == total.teacher_layers == LAYERS
    assert len(list(total.parameters())) == 4, "connectors are trained and saved"
    assert Distillation(methods[:1], label_weight=0)(same, same, LABELS, torch.tensor(10.0))[0].item() == 6
