"""Damaged, forged and hostile bundles: each must end in a BundleError before the runtime sees the model.

A forger can make every digest right, so the tests here sign what they change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hanmo.bundle import JSON_NAME, MODEL_NAME, Bundle, write_bundle
from hanmo.charset import Charset
from hanmo.errors import BundleError
from hanmo.normalize import Normalization
from hanmo.onnxfile import needs_other_files
from hanmo.recognizer import Recognizer

Linear = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def linear(linear_net: Callable[..., Any]) -> Linear:
    """``linear(kind=…, shape=…, classes=…)``: an ONNX model of one matrix, its ports as asked for."""

    def make(classes: int = 3, shape: tuple[int | str, ...] = ("N", 1, 16, 16), **changes: Any) -> Any:
        size = int(np.prod([n for n in shape[1:] if isinstance(n, int)]))
        return linear_net(np.ones((size, classes), np.float32), shape=shape, **changes)

    return make


@pytest.fixture(scope="module")
def write(linear: Linear) -> Write:
    """``write(folder, model)``: a bundle of a net of 16x16 squares and three classes, this or another."""

    def make(folder: Path, model: bytes | None = None) -> Path:
        return write_bundle(
            folder,
            linear().SerializeToString() if model is None else model,
            name="tiny",
            charset=Charset("一丨十"),
            normalization=Normalization(side=16, margin=1),
            mean=0.25,
            std=0.3,
            net="linear",
            parameters=768,
            precision="fp32",
            trained_on=[{"name": "nothing", "licence": "CC0-1.0"}],
            licence="Apache-2.0",
            accuracy={"top1": 98.5},
        ).path

    return make


def forge(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change ``bundle.json`` and make its own digest right again."""

    def text(table: dict[str, Any]) -> bytes:
        return (json.dumps(table, ensure_ascii=False, indent=2) + "\n").encode()

    table = json.loads((folder / JSON_NAME).read_bytes())
    change(table)
    table.pop("sha256", None)
    table["sha256"] = hashlib.sha256(text(table)).hexdigest()
    (folder / JSON_NAME).write_bytes(text(table))


def test_the_forger_can_sign(tmp_path: Path, write: Write) -> None:
    folder = write(tmp_path / "tiny")
    forge(folder, lambda table: table.update(name="forged"))
    assert Bundle.load(folder).name == "forged"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(name=st.sampled_from([JSON_NAME, MODEL_NAME]), place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_one_changed_byte_anywhere(name: str, place: float, flip: int, tmp_path: Path, write: Write) -> None:
    folder = tmp_path / "tiny"
    if not folder.exists():
        write(folder)
    whole = (folder / name).read_bytes()
    damaged = bytearray(whole)
    damaged[int(place * len(whole))] ^= flip
    try:
        (folder / name).write_bytes(damaged)
        with pytest.raises(BundleError, match=name):
            Bundle.load(folder)
    finally:
        (folder / name).write_bytes(whole)


@pytest.mark.parametrize("name", [JSON_NAME, MODEL_NAME])
@pytest.mark.parametrize("content", [b"", b"\0", b"[]", b"5", b"{", b'{"format": 1}', b"[" * 100_000, b"\xff\xfe{}"])
def test_foreign_content(name: str, content: bytes, tmp_path: Path, write: Write) -> None:
    folder = write(tmp_path / "tiny")
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        Bundle.load(folder)


@pytest.mark.parametrize("extra", [b" ", b"\n", b"\0", b"{}"])
def test_appended_bytes(extra: bytes, tmp_path: Path, write: Write) -> None:
    for name in (JSON_NAME, MODEL_NAME):
        folder = write(tmp_path / f"{name}-tiny")
        with (folder / name).open("ab") as file:
            file.write(extra)
        with pytest.raises(BundleError, match=name):
            Bundle.load(folder)


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path, write: Write) -> None:
    folder = write(tmp_path / "tiny")
    forge(folder, lambda table: table.update(format=4, unheard_of=True))
    with pytest.raises(BundleError, match="format 4 is newer than this program's 3; upgrade hanmo"):
        Bundle.load(folder)


def test_another_normalisation_version(tmp_path: Path, write: Write) -> None:
    folder = write(tmp_path / "tiny")
    forge(folder, lambda table: table["input"]["normalization"].update(version=99))
    with pytest.raises(BundleError, match=r"made for version 99.*upgrade hanmo"):
        Bundle.load(folder)


def test_an_older_format_asks_for_another_export(tmp_path: Path, write: Write) -> None:
    folder = write(tmp_path / "tiny")
    forge(folder, lambda table: table.update(format=1))
    with pytest.raises(BundleError, match="format 1 is of an older hanmo, this one reads 2 and 3; export it again"):
        Bundle.load(folder)


KEYS = ["name", "charset", "charset_sha256", "input", "net", "parameters", "precision", "temperature"]
KEYS += ["refusal_threshold", "least_evidence", "trained_on", "licence", "accuracy", "files", "groups"]


@pytest.mark.parametrize("key", ["format", *KEYS])
def test_every_key_is_required(key: str, tmp_path: Path, write: Write) -> None:
    folder = write(tmp_path / "tiny")
    forge(folder, lambda table: table.pop(key))
    with pytest.raises(BundleError, match=f"'{key}' is missing"):
        Bundle.load(folder)


@pytest.mark.parametrize("key", ["format", *KEYS])
@pytest.mark.parametrize("value", [None, True, -1, [[]], {"": None}, "\ud800", 10**30])
def test_every_type_is_checked(key: str, value: object, tmp_path: Path, write: Write) -> None:
    folder = write(tmp_path / "tiny")
    table = json.loads((folder / JSON_NAME).read_bytes()) | {key: value}
    (folder / JSON_NAME).write_text(json.dumps(table, indent=2) + "\n")  # unsigned: half a surrogate pair has no UTF-8
    with pytest.raises(BundleError):
        Bundle.load(folder)
    if value != "\ud800":
        forge(folder, lambda table: table.update({key: value}))
        with pytest.raises(BundleError):
            Bundle.load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.update(charset=""),
        lambda table: table.update(charset="一一十"),
        lambda table: table.update(charset="一十丨"),
        lambda table: table["input"].update(std=0),
        lambda table: table["input"].update(mean=float("nan")),
        lambda table: table["input"]["normalization"].update(side=10**9),
        lambda table: table["input"]["normalization"].update(side=16.0),
        lambda table: table["input"]["normalization"].update(method="stretch"),
        lambda table: table.update(temperature=float("inf")),
        lambda table: table.update(temperature=1e-300),
        lambda table: table.update(trained_on=["CASIA"]),
        lambda table: table.update(accuracy={"top1": "99 %"}),
        lambda table: table.update(groups={"一": ["一-"]}),
        lambda table: table.update(groups={"一": ""}),
        lambda table: table.update(groups={"一": "-一"}),
        lambda table: table.update(groups={"-": "-一"}),
        lambda table: table.update(groups={"一": "一--"}),
        lambda table: table.update(groups={"一": "一-", "十": "十-"}),
        lambda table: table.update(groups={"一": "一丨"}),
    ],
)
def test_impossible_values(change: Callable[[dict[str, Any]], object], tmp_path: Path, write: Write) -> None:
    folder = write(tmp_path / "tiny")
    forge(folder, change)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "..\\secret", "C:secret", "sub/model.onnx", "", "other.onnx"]
)
@pytest.mark.parametrize("beside", [True, False])
def test_files_outside_the_folder_are_never_opened(name: str, beside: bool, tmp_path: Path, write: Write) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    folder = write(tmp_path / "tiny")
    digest = hashlib.sha256(b"secret").hexdigest()
    model = {MODEL_NAME: json.loads((folder / JSON_NAME).read_bytes())["files"][MODEL_NAME]} if beside else {}
    forge(folder, lambda table: table.update(files=model | {name: digest}))
    with pytest.raises(BundleError, match=r"must name model\.onnx and nothing else"):
        Bundle.load(folder)


def in_an_attribute(model: Any, tensor: Any) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def in_a_subgraph(model: Any, tensor: Any) -> None:
    branch = helper.make_graph([], "branch", [], [], [tensor])
    model.graph.node.append(helper.make_node("If", ["condition"], ["c"], then_branch=branch, else_branch=branch))


def in_a_function(model: Any, tensor: Any) -> None:
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    model.functions.append(helper.make_function("own", "f", [], ["c"], [node], [helper.make_opsetid("", 17)]))


def in_a_sparse_tensor(model: Any, tensor: Any) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(tensor)


def as_initializer(model: Any, tensor: Any) -> None:
    model.graph.initializer.append(tensor)


@pytest.mark.parametrize("hide", [as_initializer, in_an_attribute, in_a_subgraph, in_a_function, in_a_sparse_tensor])
@pytest.mark.parametrize("half", ["both", "location", "entries"])
def test_external_data_is_found_wherever_it_hides(
    hide: Callable[[Any, Any], None], half: str, tmp_path: Path, write: Write, linear: Linear
) -> None:
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "stolen")
    tensor.ClearField("raw_data")
    if half != "entries":
        tensor.data_location = TensorProto.EXTERNAL
    if half != "location":
        tensor.external_data.add(key="location", value="/etc/passwd")
    model = linear()
    hide(model, tensor)
    with pytest.raises(BundleError, match="keeps weights in other files"):
        write(tmp_path / "tiny", model.SerializeToString())


def test_a_tensor_that_says_its_data_is_inside_is_fine(tmp_path: Path, write: Write, linear: Linear) -> None:
    model = linear()
    model.graph.initializer[0].data_location = TensorProto.DEFAULT
    assert Bundle.load(write(tmp_path / "tiny", model.SerializeToString())).name == "tiny"


@settings(max_examples=300)
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=3))
def test_no_damage_hides_external_data_that_onnx_would_see(changes: list[tuple[float, int]], linear: Linear) -> None:
    model = linear()
    onnx.external_data_helper.set_external_data(model.graph.initializer[1], "elsewhere")
    model.graph.initializer[0].CopyFrom(model.graph.initializer[1])  # small, so that most damage hits the structure
    data = bytearray(model.SerializeToString())
    for place, value in changes:
        data[int(place * len(data))] = value
    try:
        tensors = onnx.load_from_string(bytes(data)).graph.initializer
    except DecodeError:
        return
    with suppress(ValueError):  # no protobuf to hanmo: refused as well
        found = needs_other_files(bytes(data))
        assert found or not any(t.external_data or t.data_location == TensorProto.EXTERNAL for t in tensors)


def test_a_graph_nested_without_end(tmp_path: Path, write: Write) -> None:
    def field(number: int, content: bytes) -> bytes:
        length, size = len(content), b""
        while length > 0x7F:
            size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + content

    nested = b""
    for _ in range(2000):
        nested = field(1, field(5, field(6, nested)))  # graph.node.attribute.g
    with pytest.raises(BundleError, match="not an ONNX model"):
        write(tmp_path / "tiny", field(7, nested))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 4}, r"logits is tensor\(float\) \['N', 4\], not tensor\(float\) \[N, 3\]"),
        ({"shape": ("N", 1, 32, 32)}, r"not tensor\(uint8\) or tensor\(float\) \[N, 1, 16, 16\]"),
        ({"shape": ("N", 3, 16, 16)}, "N, 3, 16, 16|'N', 3, 16, 16"),
        ({"shape": (1, 1, 16, 16)}, r"\[1, 1, 16, 16\]"),
        ({"kind": TensorProto.INT64}, "int64"),
    ],
)
def test_a_net_that_does_not_fit_its_bundle(
    changes: dict[str, Any], message: str, tmp_path: Path, write: Write, linear: Linear
) -> None:
    with pytest.raises(BundleError, match=message):
        Recognizer(write(tmp_path / "tiny", linear(**changes).SerializeToString()))


def test_a_net_with_two_outputs(tmp_path: Path, write: Write, linear: Linear) -> None:
    model = linear()
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["N", 256]))
    with pytest.raises(BundleError, match=r"1 inputs and the outputs logits, flat; .* a second output 'features'"):
        Recognizer(write(tmp_path / "tiny", model.SerializeToString()))


@pytest.mark.parametrize(
    ("operator", "inputs", "kind", "shape"),
    [
        ("Identity", ["floats"], TensorProto.FLOAT, ["N", 1, 16, 16]),
        ("Identity", ["weights"], TensorProto.FLOAT, [256, 3]),
        ("Shape", ["flat"], TensorProto.INT64, [2]),
        ("NonZero", ["flat"], TensorProto.INT64, [2, "M"]),
        ("Compress", ["flat"], TensorProto.FLOAT, ["M"]),
    ],
)
def test_features_of_another_shape(
    operator: str, inputs: list[str], kind: int, shape: list[Any], tmp_path: Path, write: Write, linear: Linear
) -> None:
    model = linear()
    if operator == "Compress":
        model.graph.initializer.append(numpy_helper.from_array(np.ones(256, bool), "all"))
        inputs = [*inputs, "all"]
    model.graph.node.append(helper.make_node(operator, inputs, ["features"]))
    model.graph.output.append(helper.make_tensor_value_info("features", kind, shape))
    with pytest.raises(BundleError, match=r"features is tensor\(.*, not tensor\(float\) \[N, (F|3)\]"):
        Recognizer(write(tmp_path / "tiny", model.SerializeToString()))


def test_what_the_runtime_refuses(tmp_path: Path, write: Write, linear: Linear) -> None:
    model = linear()
    model.graph.node[0].input[0] = "nobody made this"
    with pytest.raises(BundleError, match=r"model\.onnx: ONNX Runtime refuses it") as caught:
        Recognizer(write(tmp_path / "tiny", model.SerializeToString()))
    assert "\n" not in str(caught.value)


def test_an_unknown_operator_is_refused_before_the_runtime(tmp_path: Path, write: Write, linear: Linear) -> None:
    model = linear()
    model.graph.node[0].op_type = "OpenTheFile"
    with pytest.raises(BundleError, match=r"model\.onnx: has the operator 'OpenTheFile', which no net of hanmo uses"):
        write(tmp_path / "tiny", model.SerializeToString())
