"""Models of bundles that hide something or cost too much: refused before ONNX Runtime gets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from attacks.budget import budget
from hanmo.builtin import EMBEDDED
from hanmo.bundle import Bundle
from hanmo.errors import ModelError
from hanmo.net_rules import MAX_NODES, OPERATORS, check_net
from hanmo.onnxfile import needs_other_files

Change = Callable[[Any], None]


@pytest.fixture(scope="module")
def model(linear_net: Callable[..., Any]) -> Callable[[], Any]:
    return lambda: linear_net(np.ones((256, 3), np.float32))


def varint(number: int, length: int = 1) -> bytes:
    """A number in seven bits a byte, padded to ``length`` bytes."""
    data = []
    while number > 0x7F or len(data) < length - 1:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


@pytest.mark.parametrize("number", [2**29 + 13, 2**29 * 3 + 13, 2**61 + 13])
@pytest.mark.parametrize("whole", [True, False])
def test_a_tag_of_more_than_32_bits_hides_nothing(number: int, whole: bool) -> None:
    """Other readers drop the upper bits, and see external data (field 13) that was not seen here."""
    entry = field(1, b"location") + field(2, b"/etc/passwd")
    tensor = varint(2 << 3) + varint(1) + varint(number << 3 | 2) + varint(len(entry)) + entry
    data = field(7, field(5, tensor)) if whole else field(5, tensor)
    with pytest.raises(ValueError, match="number cannot be"):
        needs_other_files(field(7, field(5, tensor)))
    with pytest.raises(ModelError, match="not an ONNX model"):
        check_net(data if whole else field(7, data))


def test_a_tag_padded_to_more_bytes_is_read_as_what_it_is() -> None:
    entry = field(1, b"location") + field(2, b"/etc/passwd")
    tensor = varint(13 << 3 | 2, length=5) + varint(len(entry)) + entry
    assert needs_other_files(field(7, field(5, tensor)))


def node(kind: str, inputs: list[str] | None = None, **changes: Any) -> Change:
    def add(model: Any) -> None:
        model.graph.node.append(helper.make_node(kind, inputs or ["flat"], ["extra"], **changes))

    return add


def loop(model: Any) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", [], ["extra"], body=body))


def hidden_loop(model: Any) -> None:
    """A branch in an attribute of an operator that is allowed."""
    model.graph.node[0].attribute.append(helper.make_attribute("body", helper.make_graph([], "body", [], [])))


def function(model: Any) -> None:
    inner = [helper.make_node("f", ["x"], ["y"], domain="own")]
    model.functions.append(helper.make_function("own", "f", ["x"], ["y"], inner, [helper.make_opsetid("own", 1)]))


def training(model: Any) -> None:
    model.training_info.add().algorithm.CopyFrom(model.graph)


def sparse(model: Any) -> None:
    model.graph.sparse_initializer.add().dims.append(3)


def nodes(model: Any) -> None:
    model.graph.node.extend([helper.make_node("Identity", ["flat"], ["extra"])] * MAX_NODES)


def weights(value: float, kind: type[np.floating[Any]], inside: bool = True) -> Change:
    def change(model: Any) -> None:
        array = np.ones(5, kind)
        array[3] = value
        tensor = numpy_helper.from_array(array, "extra")
        if not inside:
            tensor = helper.make_tensor("extra", TensorProto.FLOAT, [5], array.tolist())
        model.graph.initializer.append(tensor)

    return change


def in_a_constant(model: Any) -> None:
    tensor = numpy_helper.from_array(np.array([np.nan], np.float32))
    model.graph.node.append(helper.make_node("Constant", [], ["extra"], value=tensor))


REFUSED: dict[str, tuple[Change, str]] = {
    "a loop": (loop, "loops or branches"),
    "a branch in another operator": (hidden_loop, "loops or branches"),
    "functions": (function, "functions"),
    "a training": (training, "functions or a training"),
    "sparse tensors": (sparse, "sparse tensors"),
    "a tensor of any size": (node("ConstantOfShape"), "the operator 'ConstantOfShape'"),
    "numbers without end": (node("Range"), "the operator 'Range'"),
    "random numbers": (node("RandomNormal", shape=[2**31]), "the operator 'RandomNormal'"),
    "tiles": (node("Tile"), "the operator 'Tile'"),
    "an operator of a library": (node("Gemm", domain="com.microsoft"), r"the operator 'com\.microsoft\.Gemm'"),
    "a name of controls": (node("Gemm\n\x1b[31m" * 30), r"the operator 'Gemm\\n"),
    "operations": (nodes, "operations; at most"),
    "NaN": (weights(np.nan, np.float32), "no finite numbers"),
    "infinity": (weights(np.inf, np.float32), "no finite numbers"),
    "NaN of 16 bits": (weights(np.nan, np.float16), "no finite numbers"),
    "NaN of 64 bits": (weights(np.nan, np.float64), "no finite numbers"),
    "NaN in a list": (weights(np.nan, np.float32, inside=False), "no finite numbers"),
    "NaN in a constant": (in_a_constant, "no finite numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_net_of_hanmo_needs_is_refused(name: str, model: Callable[[], Any]) -> None:
    change, message = REFUSED[name]
    net = model()
    change(net)
    data = net.SerializeToString()
    with budget(), pytest.raises(ModelError, match=message) as caught:
        check_net(data)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_a_graph_in_two_parts_is_checked_in_both(model: Callable[[], Any]) -> None:
    """Protobuf joins a message that is there twice."""
    net = onnx.ModelProto()
    loop(net)
    with pytest.raises(ModelError, match="loops or branches"):
        check_net(model().SerializeToString() + net.SerializeToString())


def test_millions_of_small_fields_are_refused_soon() -> None:
    for data in (b"\x08\x01" * 8_000_000, field(7, b"\x0a\x00" * 8_000_000), field(7, b"\x2a\x00" * 8_000_000)):
        with budget(seconds=0.4), pytest.raises(ModelError, match="not an ONNX model"):
            check_net(data)


def test_hanmos_own_nets_keep_to_the_rules(model: Callable[[], Any]) -> None:
    check_net(model().SerializeToString())
    for name in EMBEDDED:
        check_net(Bundle.embedded(name).model)


def test_every_operator_is_one_of_onnx() -> None:
    assert {name for name in OPERATORS if not onnx.defs.has(name)} == set()
