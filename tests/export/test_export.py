"""From a trained net to ONNX and int8, and the verdict whether they answer alike."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from hanmo.bundle import FEATURES, Bundle
from hanmo.charset import GROUPS
from hanmo.data.pack import Pack, write_pack
from hanmo.data.sample import Sample
from hanmo.errors import BundleError, CharsetError, CheckpointError, ExportError, PackError, StorageError
from hanmo.export import bundle as export_room
from hanmo.export.bundle import export_bundle
from hanmo.export.onnx import INPUT, OPSET, OUTPUT, export_onnx
from hanmo.export.quantize import calibration_indices, quantize, run_onnx
from hanmo.export.verify import Check, verify
from hanmo.nets.attention import ATTENTION
from hanmo.nets.registry import count_parameters
from hanmo.nets.resnet import WeightedPooling
from hanmo.normalize import MEAN, STD, Normalization
from hanmo.recognizer import Recognizer
from hanmo.train.run import TrainedNet, load_trained

Squares = NDArray[np.uint8]


def torch_logits(net: nn.Module, squares: Squares) -> NDArray[np.float32]:
    with torch.no_grad():
        x = torch.from_numpy(np.array(squares))[:, None].float() / 255
        logits: NDArray[np.float32] = net((x - MEAN) / STD).numpy()
    return logits


@pytest.fixture(scope="module")
def fp32(tiny_run: Path) -> bytes:
    trained = load_trained(tiny_run)
    return export_onnx(trained.net, trained.normalization.side)


@pytest.fixture(scope="module")
def test_pack(drawn: Path) -> Pack:
    return Pack.open(drawn / "test")


def test_onnx_gives_torchs_numbers(fp32: bytes, tiny_run: Path, test_pack: Pack) -> None:
    net = load_trained(tiny_run).net
    expected = torch_logits(net, test_pack.images)
    for count in (1, 2, 130):  # the number of pictures is free
        np.testing.assert_allclose(run_onnx(fp32, test_pack.images[:count]), expected[:count], rtol=1e-3, atol=1e-3)
    assert verify(net, fp32, None, test_pack.images, test_pack.labels).agreement == 100


def test_the_model_is_current_self_contained_and_tells_nothing_of_its_maker(fp32: bytes, tiny_bundle: Path) -> None:
    for model_bytes in (fp32, (tiny_bundle / "model.onnx").read_bytes()):
        model = onnx.load_from_string(model_bytes)
        onnx.checker.check_model(model)
        assert {o.domain: o.version for o in model.opset_import}[""] == OPSET == 20
        (entry,), (answer, features) = model.graph.input, model.graph.output
        assert (entry.name, answer.name, features.name) == (INPUT, OUTPUT, FEATURES)
        assert entry.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert answer.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        first, *others = entry.type.tensor_type.shape.dim
        assert first.dim_param
        assert [d.dim_value for d in others] == [1, 32, 32]
        assert answer.type.tensor_type.shape.dim[0].dim_param == first.dim_param
        assert not model.graph.doc_string
        assert not model.doc_string
        assert all(not n.doc_string and not n.metadata_props for n in model.graph.node)
        assert all(t.data_location == onnx.TensorProto.DEFAULT for t in model.graph.initializer)
        here = re.escape(str(Path.cwd())).encode()
        for trace in (rb"\.py\b", b"site-packages", b"/tmp", b"/home", here, b"Traceback"):
            assert not re.search(trace, model_bytes), trace


def test_every_attention_and_pool_can_be_exported() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3, 2, 1), *(ATTENTION[name](8) for name in ATTENTION), WeightedPooling(8, 8, 8)]
    net = nn.Sequential(*layers, nn.Dropout(0.1), nn.Linear(8, 3)).eval()
    squares = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    np.testing.assert_allclose(
        run_onnx(export_onnx(net, 16), squares), torch_logits(net, squares), rtol=1e-3, atol=1e-4
    )


def test_means_over_a_map_are_computed_in_int8(fp32: bytes, tiny_bundle: Path, tmp_path: Path) -> None:
    means = [n for n in onnx.load_from_string(fp32).graph.node if n.op_type == "GlobalAveragePool"]
    assert len(means) == 9, "eight of squeeze-excitation, one before the classifier"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(tiny_bundle / "model.onnx", options, providers=["CPUExecutionProvider"])
    run = [n.op_type for n in onnx.load(tmp_path / "run.onnx").graph.node]
    assert run.count("QLinearGlobalAveragePool") == 9
    assert "ReduceMean" not in run


class _Means(nn.Module):
    """Means over places, over rows alone and over channels, which are no pooling."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat((x, x.square()), 1)
        parts = (x.mean((-1, -2)), x.mean((2, 3), keepdim=True).flatten(1), x.mean(2)[:, :, 0], x.mean(1)[:, 0])
        return torch.cat(parts, 1)


def test_only_means_over_all_places_become_pooling() -> None:
    model = export_onnx(_Means(), 8)
    assert [n.op_type for n in onnx.load_from_string(model).graph.node].count("ReduceMean") == 2
    squares = np.random.default_rng(1).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    np.testing.assert_allclose(run_onnx(model, squares), torch_logits(_Means(), squares), rtol=1e-4, atol=1e-5)


def test_int8_loses_little_and_is_smaller(fp32: bytes, tiny_run: Path, tiny_bundle: Path, test_pack: Pack) -> None:
    small = (tiny_bundle / "model.onnx").read_bytes()
    check = verify(load_trained(tiny_run).net, fp32, small, test_pack.images, test_pack.labels)
    assert check.samples == 300
    assert check.agreement == 100
    assert check.top1_int8 is not None
    assert check.problems() == []
    nodes = {n.op_type for n in onnx.load_from_string(small).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= nodes
    weights = [t for t in onnx.load_from_string(small).graph.initializer if t.data_type == onnx.TensorProto.INT8]
    assert sum(np.prod(t.dims) for t in weights) > 0.95 * 175_000


def test_the_bundle_says_where_it_comes_from(tiny_run: Path, tiny_bundle: Path) -> None:
    bundle, trained = Bundle.load(tiny_bundle), load_trained(tiny_run)
    assert (bundle.charset, bundle.normalization) == (trained.charset, trained.normalization)
    assert (bundle.net, bundle.precision) == ("resnet18+x0.125+se", "int8")
    assert bundle.parameters == count_parameters(trained.net)
    assert bundle.trained_on == ({"name": "synth", "licence": "Arphic-1999"},)
    assert bundle.licence == "Arphic-1999"
    assert bundle.accuracy["top1"] > 90


def test_the_recognizer_reads_as_torch_does(tiny_run: Path, tiny_bundle: Path, test_pack: Pack) -> None:
    reader, net = Recognizer(tiny_bundle), load_trained(tiny_run).net
    expected = torch_logits(net, test_pack.images).argmax(1)
    assert (reader.logits(test_pack.images).argmax(1) == expected).mean() >= 0.99
    pictures = [255 - np.pad(square, 9) for square in test_pack.images[:40]]
    squares = np.stack([test_pack.normalization(picture) for picture in pictures])
    read = [prediction.character for prediction in reader.recognize_batch(pictures)]
    said = [test_pack.charset[c] for c in torch_logits(net, squares).argmax(1)]
    assert sum(r == s for r, s in zip(read, said, strict=True)) >= 39
    right = [test_pack.charset[c] for c in test_pack.labels[:40]]
    assert sum(r == s for r, s in zip(read, right, strict=True)) >= 34


def spoil(model: bytes, squares: Squares) -> bytes:
    """A "quantised" model whose answers are those of other classes."""
    damaged = onnx.load_from_string(model)
    (last,) = (n for n in damaged.graph.node if OUTPUT in n.output)
    last.output[0] = "right"
    damaged.graph.node.append(onnx.helper.make_node("Neg", ["right"], [OUTPUT]))
    return bytes(damaged.SerializeToString())


def test_an_int8_that_loses_too_much_is_refused_unless_forced(
    drawn: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fp32: bytes
) -> None:
    monkeypatch.setattr(export_room, "quantize", spoil)
    monkeypatch.setattr(export_room, "export_onnx", lambda net, side: fp32)
    packs = {"calibration": drawn / "train", "test": drawn / "test", "licence": "none"}
    with pytest.raises(
        ExportError, match=r"int8 loses \d+\.\d\d points of top-1, 0\.2 allowed \(beyond one standard error"
    ):
        export_bundle(tiny_run, tmp_path / "bundle", **packs)
    assert not (tmp_path / "bundle").exists()
    bundle, check = export_bundle(tiny_run, tmp_path / "bundle", force=True, **packs)
    assert bundle.precision == "int8"
    assert bundle.accuracy["top1"] == check.top1_int8
    assert check.top1_int8 is not None
    assert check.top1_int8 < 10
    bundle, check = export_bundle(tiny_run, tmp_path / "bundle", int8=False, **packs)
    assert (bundle.precision, check.top1_int8, check.problems()) == ("fp32", None, [])
    with pytest.raises(ExportError):
        export_bundle(tiny_run, tmp_path / "bundle", **packs)
    assert Bundle.load(tmp_path / "bundle").precision == "fp32", "the earlier bundle stays"


def test_a_disagreeing_export_is_refused(
    drawn: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fp32: bytes
) -> None:
    monkeypatch.setattr(export_room, "export_onnx", lambda net, side: spoil(fp32, np.zeros(0, np.uint8)))
    with pytest.raises(ExportError, match=r"ONNX and torch agree on \d+\.\d\d % of samples only, 99\.9 % needed"):
        export_bundle(
            tiny_run, tmp_path / "b", calibration=drawn / "train", test=drawn / "test", licence="none", int8=False
        )


def test_the_limits() -> None:
    def check(agreement: float, int8: float | None) -> int:
        return len(Check(samples=1, agreement=agreement, top1_fp32=98.0, top1_int8=int8).problems())

    assert check(99.9, 97.81) == check(100, 99.0) == check(100, None) == 0
    assert check(99.89, None) == check(100, 97.79) == 1
    assert check(0, 0) == 2


def test_packs_that_do_not_fit(
    drawn: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fp32: bytes
) -> None:
    monkeypatch.setattr(export_room, "export_onnx", lambda net, side: fp32)
    test_pack = Pack.open(drawn / "test")
    samples = [Sample(c, 255 - test_pack.images[0]) for c in "龟"]
    write_pack(tmp_path / "strangers", samples, normalization=Normalization(side=32))
    out, train = tmp_path / "bundle", drawn / "train"
    for calibration, test, error, message in (
        (train, drawn / "small-test", PackError, r"small-test: packed as fit-16\+2\.v3, but fit-32\+2\.v3 is needed"),
        (drawn / "small-train", drawn / "test", PackError, "small-train: packed as"),
        (train, tmp_path / "strangers", CharsetError, r"strangers: holds 1 character\(s\) .* not know, '龟' first"),
        (train, tmp_path / "none", PackError, "none: not a pack"),
    ):
        with pytest.raises(error, match=message):
            export_bundle(tiny_run, out, calibration=calibration, test=test, licence="none")
        assert not out.exists()
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: no such file"):
        export_bundle(tmp_path, out, calibration=train, test=train, licence="none")
    with pytest.raises(BundleError, match="strangers"):
        export_bundle(
            tiny_run, tmp_path / "strangers", calibration=train, test=drawn / "test", licence="none", int8=False
        )


def test_a_full_folder_for_temporary_files(
    fp32: bytes, test_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StorageError, match=f"{tmp_path}: cannot be written \\(No space left on device\\)"):
        quantize(fp32, test_pack.images[:2])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [33, 40])
def test_any_number_of_squares_calibrates(fp32: bytes, test_pack: Pack, number: int) -> None:
    small = run_onnx(quantize(fp32, test_pack.images[:number]), test_pack.images[:8])
    exact = run_onnx(fp32, test_pack.images[:8])
    assert (small.argmax(1) == exact.argmax(1)).mean() >= 0.8


def test_calibration_takes_from_every_class() -> None:
    labels = np.repeat(np.arange(6), [1, 2, 50, 0, 50, 50]).astype(np.int64)
    chosen = calibration_indices(labels, 33)
    assert len(chosen) == len(set(chosen.tolist())) == 33
    assert np.bincount(labels[chosen], minlength=6).tolist() == [1, 2, 10, 0, 10, 10]
    assert len(calibration_indices(labels, 1000)) == len(labels)
    np.testing.assert_array_equal(chosen, calibration_indices(labels, 33))


@dataclass(frozen=True, kw_only=True)
class _Grouped(TrainedNet):
    """A run that recorded the groups that it was trained with."""

    groups: dict[str, str]


def test_groups_come_from_the_run_or_from_the_option(
    drawn: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fp32: bytes, test_pack: Pack
) -> None:
    monkeypatch.setattr(export_room, "export_onnx", lambda net, side: fp32)
    trained = load_trained(tiny_run)
    first = trained.charset[0]
    facts = {field.name: getattr(trained, field.name) for field in fields(TrainedNet) if field.name != "groups"}
    run = _Grouped(**facts, groups={first: f"{first}Ω"})

    def export(pack: Path = drawn / "test", **options: Any) -> Bundle:
        return export_bundle(
            tiny_run, tmp_path / "b", calibration=pack, test=pack, licence="none", int8=False, **options
        )[0]

    assert export().groups == {}
    expected = {c: group.members for group in GROUPS if (c := group.representative) in trained.charset}
    assert expected
    assert export(groups=True).groups == expected
    monkeypatch.setattr(export_room, "load_trained", lambda path: run)
    assert export().groups == {first: f"{first}Ω"}
    assert export(groups=False).groups == {}
    square = test_pack.images[test_pack.labels == list(test_pack.charset).index(first)][0]
    member = write_pack(tmp_path / "member", [Sample("Ω", 255 - square)], normalization=Normalization(side=32))
    assert export(member.path, force=True).accuracy["top1"] in (0.0, 100.0), "a member counts as its class"
    with pytest.raises(CharsetError, match="'Ω' first"):
        export(member.path, groups=False)
