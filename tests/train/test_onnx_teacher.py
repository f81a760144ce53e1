"""A teacher from elsewhere sees what it expects and answers for our characters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from hanmo.charset import Charset
from hanmo.errors import CharsetError, ConfigError, ModelError
from hanmo.nets.ensemble import Ensemble
from hanmo.normalize import MEAN, STD, Normalization
from hanmo.train.config import DistillConfig
from hanmo.train.loop import Trainer
from hanmo.train.onnx_teacher import load_onnx_teacher
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained
from hanmo.train.teachers import combine_teachers

CHARSET = Charset("山水火")
SQUARES = Normalization(side=32, margin=2)


def write(folder: Path, weight: np.ndarray, *, places: bool = False, labels: str = "火\n木\n山", **table: Any) -> Path:
    """A model whose scores are ``weight`` (16 * 16, labels) times its picture, and the TOML file about it."""
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=len(weight.shape) - (0 if places else 1)),
    ]
    shape = np.array([-1, 1, 256] if places else [-1, 256])
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight.astype(np.float32), "w"), numpy_helper.from_array(shape, "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    helper.set_model_props(model, {"names": labels})
    onnx.save(model, folder / "model.onnx")
    values = {"model": "model.onnx", "labels": "metadata:names", "source": "a test", "licence": "CC0-1.0"}
    values |= {"side": 16, "channels": 1, "before": [""], **table}
    lines = [
        f"{key} = {value if isinstance(value, float | int | list) else repr(value)}" for key, value in values.items()
    ]
    (folder / "teacher.toml").write_text("\n".join(lines).replace("''", '""'), encoding="utf-8")
    return folder / "teacher.toml"


def test_it_sees_its_side_and_ink_and_answers_for_our_characters(tmp_path: Path) -> None:
    weight = np.zeros((256, 4))
    weight[:, 1] = 0.02  # dark pixels are -1 for it: ink speaks against 火, label 1 after the blank
    path = write(tmp_path, weight, labels="火\n水\n山")
    teacher, source = load_onnx_teacher(str(path), CHARSET, SQUARES)
    assert source == "a test (CC0-1.0)"
    paper, ink = ((torch.full((1, 1, 32, 32), level) - MEAN) / STD for level in (0.0, 1.0))
    white, black = teacher(paper).exp()[0], teacher(ink).exp()[0]
    torch.testing.assert_close(white.sum(), torch.tensor(1.0))
    score = np.exp(0.02 * 256)
    assert white.tolist() == pytest.approx([1 / (2 + score), 1 / (2 + score), score / (2 + score)], rel=1e-4)
    assert black[2] < 0.01
    assert black[0] == pytest.approx(black[1])


def test_margins_are_made_alike(tmp_path: Path) -> None:
    rim = np.zeros((16, 16, 4))
    rim[0, :, 1] = -1.0
    path = write(tmp_path, rim.reshape(256, 4), labels="火\n水\n山")
    teacher, _ = load_onnx_teacher(str(path), CHARSET, SQUARES)
    character = torch.zeros(1, 1, 32, 32)
    character[:, :, 2:30, 2:30] = 1.0  # to our margin, so to its edge
    assert teacher((character - MEAN) / STD).argmax() == 2
    wide = write(tmp_path, rim.reshape(256, 4), labels="火\n水\n山", margin=0.2)
    teacher, _ = load_onnx_teacher(str(wide), CHARSET, SQUARES)
    assert teacher((character - MEAN) / STD).argmax() != 2


def test_a_reader_of_lines_answers_by_its_best_place(tmp_path: Path) -> None:
    weight = np.zeros((256, 4))
    path = write(tmp_path, weight, places=True, labels="火\n水\n山")
    teacher, _ = load_onnx_teacher(str(path), CHARSET, SQUARES)
    assert teacher(torch.zeros(2, 1, 32, 32)).shape == (2, 3)


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    weight = np.zeros((256, 4))
    with pytest.raises(CharsetError, match="lacks 1 of our characters, '水' first"):
        load_onnx_teacher(str(write(tmp_path, weight)), CHARSET, SQUARES)
    for change, error, message in (
        ({"after": [" "]}, ConfigError, r"gives \(2, 4\), but there are 5 labels"),
        ({"labels": "metadata:other"}, ConfigError, "no metadata 'other'; it has: names"),
        (
            {"labels": "labels.txt"},
            ModelError,
            "labels.txt: cannot be found beside .*teacher.toml, in the current folder",
        ),
        ({"side": 24}, ModelError, "cannot read 1 channels of 24 pixels"),
        ({"model": "none.onnx"}, ModelError, "none.onnx: cannot be found beside .*; put it there, as models/none.onnx"),
        ({"std": 0.0}, ConfigError, "std above 0"),
        ({"licence": "OFL (a kind of)"}, ConfigError, "without parentheses"),
    ):
        made = write(tmp_path, weight, labels="火\n水\n山")
        text = made.read_text(encoding="utf-8").splitlines()
        key, value = next(iter(change.items()))
        kept = [line for line in text if not line.startswith(f"{key} ")]
        made.write_text("\n".join([*kept, f"{key} = {value!r}"]), encoding="utf-8")
        with pytest.raises(error, match=message):
            load_onnx_teacher(str(made), CHARSET, SQUARES)
    made = write(tmp_path, weight, labels="火\n水\n山")
    (tmp_path / "model.onnx").write_bytes(b"\xff\xff no model")
    with pytest.raises(ModelError, match=r"model\.onnx: not an ONNX model"):
        load_onnx_teacher(str(made), CHARSET, SQUARES)


def test_of_the_few_it_lacks_it_says_nothing(small: Any, tmp_path: Path) -> None:
    characters = Charset.level1()
    labels = "\n".join(characters.characters[1:])
    weight = np.zeros((256, len(characters)))
    weight[:, 5] = 0.1
    path = write(tmp_path, weight, labels=labels)
    teacher, _ = load_onnx_teacher(str(path), characters, SQUARES)
    said = teacher((torch.zeros(1, 1, 32, 32) - MEAN) / STD)[0]
    assert said.argmax() == 5
    assert said.argmin() == 0
    other = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, len(said)))
    x = torch.zeros(1, 1, 32, 32)
    together, alone = Ensemble([teacher, other], (1.0, 1.0))(x)[0], other(x).log_softmax(-1)[0]
    torch.testing.assert_close(together[0], alone[0], msg="of the lacked one the other decides")
    torch.testing.assert_close(together[1:], (alone + teacher(x)[0])[1:] / 2)
    with pytest.raises(CharsetError, match="no teacher knows 1 of the data's characters"):
        combine_teachers([teacher, teacher], DistillConfig(teachers=("a", "b")))


@pytest.mark.parametrize("places", [False, True])
def test_a_model_for_one_picture_at_a_time_is_refused(tmp_path: Path, places: bool) -> None:
    path = write(tmp_path, np.zeros((256, 4)), places=places, labels="火\n水\n山")
    model = onnx.load(tmp_path / "model.onnx")
    fixed = np.array([1, -1, 256] if places else [1, 256])
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(fixed, "shape"))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"one picture at a time only|cannot read 1 channels"):
        load_onnx_teacher(str(path), CHARSET, SQUARES)


def test_logits_taken_for_probabilities_are_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, np.zeros((256, 4)), labels="火\n水\n山")
    model = onnx.load(tmp_path / "model.onnx")
    del model.graph.node[2]
    model.graph.node[1].output[0] = "y"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match='gives no probabilities; set scores = "logits"'):
        load_onnx_teacher(str(path), CHARSET, SQUARES)
    path.write_text(path.read_text(encoding="utf-8") + '\nscores = "logits"', encoding="utf-8")
    teacher, _ = load_onnx_teacher(str(path), CHARSET, SQUARES)
    torch.testing.assert_close(teacher(torch.zeros(1, 1, 32, 32)).exp(), torch.full((1, 3), 1 / 3))


def test_a_damaged_graph_is_said_in_words(tmp_path: Path) -> None:
    path = write(tmp_path, np.zeros((256, 4)), labels="火\n水\n山")
    for change in ("input", "output"):
        model = onnx.load(tmp_path / "model.onnx")
        if change == "input":
            model.graph.node[1].input[0] = "nowhere"
        else:
            model.graph.output[0].name = "nowhere"
        (tmp_path / change).mkdir()
        onnx.save(model, tmp_path / change / "model.onnx")
        (tmp_path / change / "teacher.toml").write_bytes(path.read_bytes())
        with pytest.raises(ModelError, match=r"model\.onnx: cannot read .*nowhere"):
            load_onnx_teacher(str(tmp_path / change / "teacher.toml"), CHARSET, SQUARES)


def test_a_student_learns_from_it_and_records_it(small: Any, drawn: Path, tmp_path: Path) -> None:
    recipe = small()
    labels = "\n".join(Trainer(recipe, tmp_path / "x", Processes.join("cpu")).setup.data.info.charset.characters)
    count = labels.count("\n") + 2
    path = write(tmp_path, np.random.default_rng(0).normal(size=(256, count)) / 16, labels=labels)
    Trainer(small(train={"epochs": 1}), tmp_path / "first", Processes.join("cpu")).run()
    teachers = (f"onnx:{path}", str(tmp_path / "first"))
    taught = small(train={"epochs": 1}, distill=DistillConfig(teachers=teachers, teacher_weights=(0.5, 1.0)))
    Trainer(taught, tmp_path / "student", Processes.join("cpu")).run()
    trained_on = load_trained(tmp_path / "student").trained_on
    assert trained_on == (*load_trained(tmp_path / "first").trained_on, "taught by: a test (CC0-1.0)")


def test_the_model_is_looked_for_beside_the_file_then_here_then_in_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "described").mkdir()
    path = write(tmp_path / "described", np.zeros((256, 4)), labels="火\n水\n山")
    model = (tmp_path / "described" / "model.onnx").read_bytes()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    places = [tmp_path / "models", tmp_path, tmp_path / "described"]  # the first choice last
    for place in places:
        (place / "model.onnx").unlink(missing_ok=True)
    for place, other in zip(places, [*places[1:], None], strict=True):
        (place / "model.onnx").write_bytes(model)
        load_onnx_teacher(str(path), CHARSET, SQUARES)
        if other is not None:
            (place / "model.onnx").write_bytes(b"not taken while there is one in the place before")
    (tmp_path / "labels.txt").write_text("火\n水\n山", encoding="utf-8")
    text = path.read_text(encoding="utf-8").replace("'metadata:names'", "'labels.txt'")
    path.write_text(text, encoding="utf-8")
    load_onnx_teacher(str(path), CHARSET, SQUARES)


def test_the_teacher_that_comes_with_hanmo_says_where_its_model_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"as models/PP-OCRv6_rec_small\.onnx \(.*ppocr-teacher\.toml says"):
        load_onnx_teacher("@ppocr-teacher", CHARSET, SQUARES)
