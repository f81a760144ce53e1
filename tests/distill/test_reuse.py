"""SimKD: the student's head is the teacher's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hanmo.distill import build_method
from hanmo.errors import ConfigError
from hanmo.nets.ensemble import Ensemble
from hanmo.nets.quantization import train_quantized
from hanmo.nets.registry import NetConfig, build_net


def net(**changes: Any) -> Any:
    return build_net(NetConfig(**{"width": 8, **changes}), 6, 16)


def unused() -> Any:
    raise AssertionError


def test_the_head_is_copied_and_frozen() -> None:
    student, teacher = net(pool="weighted"), net(pool="weighted", name="resnet34")
    torch.nn.init.uniform_(teacher.pool.weight)
    build_method("simkd", {}).attach(student, teacher, unused)
    for name in ("fc.weight", "fc.bias", "pool.weight"):
        assert torch.equal(student.get_parameter(name), teacher.get_parameter(name))
        assert not student.get_parameter(name).requires_grad
        assert student.get_parameter(name) is not teacher.get_parameter(name)
    assert student.conv1.weight.requires_grad
    assert teacher.fc.weight.requires_grad, "what becomes of the teacher is not the method's business"


def test_one_of_several_teachers_and_weights_of_few_bits() -> None:
    student, teacher = net(width=128), Ensemble([net(width=8), net(width=128)])
    train_quantized(student, 4)
    method = build_method("simkd", {"head": ["fc"], "teacher_head": ["members.1.fc"]})
    method.attach(student, teacher, unused)
    assert torch.equal(student.fc.parametrizations.weight.original, teacher.members[1].fc.weight)
    assert torch.equal(student.fc.bias, teacher.members[1].fc.bias)


@pytest.mark.parametrize(
    ("student", "teacher", "options", "message"),
    [
        (
            {},
            {"width": 12},
            {},
            r"simkd: the student's 'fc' has .*\(6, 64\).*the teacher's 'fc' .*\(6, 96\).*net.width",
        ),
        ({}, {"pool": "weighted"}, {}, r"simkd: the student's 'pool' has \{\}, the teacher's 'pool' .*net.pool"),
        ({}, {}, {"head": ["classifier"]}, r"the student has no layer 'classifier' to reuse; it has: conv1, .*fc"),
        ({}, {}, {"teacher_head": ["pool", "head"]}, r"the teacher has no layer 'head' .*name others in teacher_head"),
    ],
)
def test_heads_that_do_not_fit(student: Any, teacher: Any, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_method("simkd", options).attach(net(**student), net(**teacher), unused)


def test_maps_of_other_channels_are_refused(output: Any) -> None:
    with pytest.raises(ConfigError, match=r"'layer4' gives \(4, 7, 1, 1\), teacher layer 'layer4' \(4, 12, 1, 1\)"):
        build_method("simkd", {}).connect(output(1), output(2, channels=9))
