from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from hanmo import bundle as bundle_module
from hanmo import bundle_json
from hanmo.bundle import JSON_NAME, MODEL_NAME, Bundle, write_bundle
from hanmo.charset import Charset
from hanmo.errors import BundleError, StorageError
from hanmo.normalize import VERSION, Normalization


@pytest.fixture(scope="module")
def model(linear_net: Callable[..., Any]) -> bytes:
    """A net over 16x16 squares with three classes."""
    data: bytes = linear_net(np.ones((256, 3), np.float32)).SerializeToString()
    return data


def facts(**changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "name": "tiny",
        "charset": Charset("一丨十"),
        "normalization": Normalization(method="moment", side=16, margin=1),
        "mean": 0.25,
        "std": 0.3,
        "net": "linear",
        "parameters": 768,
        "precision": "fp32",
        "trained_on": [{"name": "drawn by hand", "licence": "CC0-1.0"}],
        "licence": "Apache-2.0",
        "accuracy": {"top1": 98.5},
        "temperature": 1.5,
        "refusal_threshold": 0.4,
        "least_evidence": 2.5,
    }
    return known | changes


def test_a_bundle_comes_back_as_it_was_written(tmp_path: Path, model: bytes) -> None:
    written = write_bundle(tmp_path / "made" / "tiny", model, **facts())
    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == ["tiny"]
    assert sorted(p.name for p in written.path.iterdir()) == [JSON_NAME, MODEL_NAME]
    loaded = Bundle.load(tmp_path / "made" / "tiny")
    assert loaded == written
    for name, value in facts(trained_on=({"name": "drawn by hand", "licence": "CC0-1.0"},)).items():
        assert getattr(loaded, name) == value
    assert loaded.model == model
    assert "model" not in repr(loaded)


def test_the_json_is_readable(tmp_path: Path, model: bytes) -> None:
    path = write_bundle(tmp_path / "tiny", model, **facts()).path / JSON_NAME
    text = path.read_text(encoding="utf-8")
    assert '\n  "charset": "一丨十",\n' in text
    table = json.loads(text)
    assert table["format"] == bundle_json.FORMAT_VERSION
    assert table["input"]["normalization"] == {"method": "moment", "side": 16, "margin": 1, "version": VERSION}
    assert set(table["files"]) == {MODEL_NAME}


def test_groups_of_lookalikes_come_back(tmp_path: Path, model: bytes) -> None:
    assert write_bundle(tmp_path / "none", model, **facts()).groups == {}
    groups = {"一": "一-—", "十": "十+"}
    written = write_bundle(tmp_path / "tiny", model, **facts(groups=groups))
    loaded = Bundle.load(tmp_path / "tiny")
    assert loaded == written
    assert loaded.groups == groups
    assert '\n    "一": "一-—",\n' in (written.path / JSON_NAME).read_text(encoding="utf-8")


def test_a_bundle_of_format_2_has_no_groups(tmp_path: Path, model: bytes) -> None:
    path = write_bundle(tmp_path / "tiny", model, **facts()).path / JSON_NAME
    table = json.loads(path.read_bytes()) | {"format": 2}
    del table["groups"], table["sha256"]
    path.write_bytes(bundle_json.serialise(table | {"sha256": bundle_json.digest(table)}))
    assert Bundle.load(tmp_path / "tiny").groups == {}


def test_numbers_from_numpy_are_taken(tmp_path: Path, model: bytes) -> None:
    numbers = {"mean": np.float32(0.25), "std": np.float64(0.5), "parameters": np.int64(7), "accuracy": {"top1": 99}}
    loaded = Bundle.load(write_bundle(tmp_path / "tiny", model, **facts(**numbers)).path)
    assert (loaded.mean, loaded.std, loaded.parameters, loaded.accuracy) == (0.25, 0.5, 7, {"top1": 99.0})


def test_a_bundle_is_replaced_whole(tmp_path: Path, model: bytes) -> None:
    write_bundle(tmp_path / "tiny", model, **facts())
    (tmp_path / "tiny" / JSON_NAME).write_bytes(b"damaged")
    write_bundle(tmp_path / "tiny", model, **facts(name="second"))
    assert Bundle.load(tmp_path / "tiny").name == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]


def test_an_empty_folder_becomes_a_bundle(tmp_path: Path, model: bytes) -> None:
    assert write_bundle(tmp_path, model, **facts()) == Bundle.load(tmp_path)


@pytest.mark.parametrize("content", [{"notes.txt": "mine"}, {MODEL_NAME: "mine"}, {JSON_NAME: "", "notes.txt": "mine"}])
def test_other_folders_are_never_overwritten(content: dict[str, str], tmp_path: Path, model: bytes) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(BundleError, match="is not \\(only\\) a bundle"):
        write_bundle(tmp_path, model, **facts())
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == content


def test_a_file_is_never_overwritten(tmp_path: Path, model: bytes) -> None:
    (tmp_path / "tiny").write_text("mine")
    with pytest.raises(BundleError, match="is not"):
        write_bundle(tmp_path / "tiny", model, **facts())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"refusal_threshold": 1.0}, "refusal_threshold"),
        ({"least_evidence": -1.0}, "least_evidence"),
        ({"std": 0}, "std"),
        ({"mean": float("inf")}, "mean"),
        ({"precision": "int4"}, "int4"),
        ({"parameters": -1}, "parameters"),
        ({"name": 5}, "name"),
        ({"trained_on": [{"name": "x"}]}, "licence"),
        ({"groups": {"-": "-一"}}, "'-' is no class of this charset of 3 characters"),
        ({"groups": {"一": "-一"}}, "the members of '一' must start with it, not '-一'"),
        ({"groups": {"一": "一-", "十": "十-"}}, "twice: -"),
        ({"groups": {"一": "一丨"}}, "twice: 丨"),
    ],
)
def test_values_that_could_not_be_loaded_are_not_written(
    changes: dict[str, Any], message: str, tmp_path: Path, model: bytes
) -> None:
    with pytest.raises(BundleError, match=message):
        write_bundle(tmp_path / "tiny", model, **facts(**changes))
    assert not any(tmp_path.iterdir())


def test_a_model_with_weights_elsewhere_is_not_written(tmp_path: Path, model: bytes) -> None:
    other = onnx.load_from_string(model)
    onnx.external_data_helper.set_external_data(other.graph.initializer[0], "weights.bin")
    with pytest.raises(BundleError, match=r"model\.onnx: keeps weights in other files"):
        write_bundle(tmp_path / "tiny", other.SerializeToString(), **facts())


def test_a_full_disk_leaves_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: bytes) -> None:
    write_bundle(tmp_path / "tiny", model, **facts())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"tiny: cannot be written \(No space left"):
        write_bundle(tmp_path / "tiny", model, **facts(name="second"))
    assert Bundle.load(tmp_path / "tiny").name == "tiny"
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]


def test_a_failed_rename_puts_the_old_bundle_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: bytes
) -> None:
    write_bundle(tmp_path / "tiny", model, **facts())
    replace = Path.replace

    def fails_for_the_new_one(self: Path, target: Path) -> Path:
        if "partial" in self.name:
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fails_for_the_new_one)
    with pytest.raises(StorageError, match="Input/output error"):
        write_bundle(tmp_path / "tiny", model, **facts(name="second"))
    assert Bundle.load(tmp_path / "tiny").name == "tiny"


def test_missing_things_are_named(tmp_path: Path, model: bytes) -> None:
    with pytest.raises(BundleError, match="nowhere: no such bundle folder"):
        Bundle.load(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"bundle\.json: no such file"):
        Bundle.load(tmp_path)
    folder = write_bundle(tmp_path / "tiny", model, **facts()).path
    (folder / MODEL_NAME).unlink()
    with pytest.raises(BundleError, match=r"model\.onnx: no such file"):
        Bundle.load(str(folder))


def test_without_an_embedded_bundle_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: bytes
) -> None:
    monkeypatch.setattr(bundle_module.resources, "files", lambda package: tmp_path)
    with pytest.raises(BundleError, match=r"pass one \(--bundle\)"):
        Bundle.embedded()
    write_bundle(tmp_path / "bundles" / "free", model, **facts())
    assert Bundle.embedded().name == "tiny"
    with pytest.raises(BundleError, match="no bundle 'tiny' comes with hanmo; one of free, nano"):
        Bundle.embedded("tiny")


@pytest.mark.parametrize(("name", "most"), [("free", 14e6), ("nano", 2.3e6)])
def test_embedded_bundles_are_small_and_say_where_they_learnt(name: str, most: float) -> None:
    bundle = Bundle.embedded(name)
    assert bundle.charset == Charset.level1()
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) <= most
    assert bundle.precision == "int8"
    assert len(bundle.trained_on) > 25
    assert {"name": "taught by: PP-OCRv6 small, of rapidocr 3.10.0", "licence": "Apache-2.0"} in bundle.trained_on
    assert all(source["licence"] for source in bundle.trained_on)
