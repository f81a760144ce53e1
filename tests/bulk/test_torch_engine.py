"""The engine of torch, on its device "cpu", gives the rows of a reader on the CPU."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from hanmo.bulk import Options, Source, read_in_bulk
from hanmo.bulk.packing import Packed
from hanmo.bundle import Bundle
from hanmo.data.gnt import write_gnt
from hanmo.data.sample import Sample
from hanmo.errors import ArgumentError, BundleError, DeviceError, DeviceMemoryError
from hanmo.gpu import open_engine, with_engine
from hanmo.gpu.engine import TorchEngine
from hanmo.gpu.net import BundleNet
from hanmo.recognizer import Recognizer
from hanmo.synth.fonts.variants import draw_medians

from .conftest import HAND, read, rows_of

TEXT = "永切田口国日川小心三州一憨浴瞳竭墨翰雁果丨二"


def rows_by_engine(tmp_path: Path, engine: Any, options: Options, *inputs: Path) -> list[dict[str, Any]]:
    out = tmp_path / "engine.jsonl"
    out.unlink(missing_ok=True)
    read_in_bulk(Source(inputs), out, options, processes=1, engine=engine)
    return rows_of(out)


def assert_alike(found: list[dict[str, Any]], expected: list[dict[str, Any]], tolerance: float = 1e-4) -> None:
    """All but the probabilities is equal; these are within ``tolerance``."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        candidates = [one["candidates"], other["candidates"]]
        assert {**one, "candidates": None} == {**other, "candidates": None}
        names = [[(c["character"], c["alike"]) for c in row] for row in candidates]
        assert names[0][:1] == names[1][:1]
        for a, b in zip(*candidates, strict=True):
            assert abs(a["probability"] - b["probability"]) <= tolerance, (one, other)


def pictures() -> list[np.ndarray]:
    """Drawn characters of many sizes, and what the front end leaves to the worker or remarks on."""
    rng = np.random.default_rng(2)
    drawn = [255 - np.asarray(square) for _, square in draw_medians(TEXT, 64)]
    made = [np.pad(image, rng.integers(0, 20, (2, 2)), constant_values=255) for image in drawn]
    made += [np.asarray(Image.fromarray(image).resize((150, 180))) for image in drawn[:5]]  # larger than 96 pixels
    far = np.full((500, 400), 255, np.uint8)
    far[100:164, 200:264] = drawn[0]
    made += [np.full((40, 40), level, np.uint8) for level in (0, 60, 255)]
    made += [far, rng.integers(0, 255, (50, 50), dtype=np.uint8)]
    made += [255 - drawn[3], np.concatenate((drawn[1][::2, ::2], drawn[2][::2, ::2] // 255 * 255), 1)]
    gap = np.full((32, 96), 255, np.uint8)
    gap[4:28, 4:28], gap[4:28, 66:90] = drawn[4][::2, ::2][4:28, 4:28], drawn[5][::2, ::2][4:28, 4:28]
    return [*made, gap, drawn[7][20:50, 20:50]]


@pytest.fixture(scope="module")
def drawn_gnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawn") / "1001-c.gnt"
    write_gnt(path, (Sample("一", np.ascontiguousarray(picture)) for picture in pictures()))
    return path


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hanmo.bulk.run.CHUNK", 9)
    monkeypatch.setattr("hanmo.bulk.pipeline.CHUNK", 9)


@pytest.mark.parametrize("top", [1, 2, 30])
def test_rows_of_a_float_net(
    folder: Path, drawn_gnt: Path, gnt: Path, options: Options, tmp_path: Path, small_chunks: None, top: int
) -> None:
    options = Options(bundle=options.bundle, top=top)
    engine = open_engine(options, device="cpu")
    inputs = (folder, drawn_gnt, gnt)
    assert_alike(rows_by_engine(tmp_path, engine, options, *inputs), read(tmp_path, options, *inputs))


@pytest.mark.parametrize("bundle", ["nano", "wide-nano"])
def test_rows_of_an_int8_net(drawn_gnt: Path, tmp_path: Path, bundle: str) -> None:
    options = Options(bundle=bundle, top=3)
    found = rows_by_engine(tmp_path, open_engine(options, device="cpu"), options, drawn_gnt)
    # A level of these nets' logits is 0.4, which changes a probability of 0.5 by 0.1.
    assert_alike(found, read(tmp_path, options, drawn_gnt), tolerance=0.15)
    assert {row["reason"] for row in found} >= {None, "blank"}


def test_rows_of_a_parquet_file_among_some_characters(options: Options, tmp_path: Path) -> None:
    def png(picture: np.ndarray) -> bytes:
        Image.fromarray(picture).save(file := io.BytesIO(), "PNG")
        return file.getvalue()

    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"picture": [png(picture) for picture in pictures()] + [b"", None, b"no"]}), path)
    options = Options(bundle=options.bundle, top=5, among="丨一")
    found = rows_by_engine(tmp_path, open_engine(options, device="cpu"), options, path)
    assert_alike(found, read(tmp_path, options, path))
    assert {c["character"] for row in found for c in row["candidates"]} == {"丨", "一"}


def test_an_engine_knows_what_it_was_made_for(drawn_gnt: Path, options: Options, tmp_path: Path) -> None:
    engine = open_engine(Options(bundle=options.bundle, top=2, among="丨一"), device="cpu")
    with pytest.raises(ArgumentError, match="made for other options"):
        rows_by_engine(tmp_path, engine, Options(bundle=options.bundle, top=2), drawn_gnt)


@pytest.mark.parametrize("method", ["moment", "line-density"])
def test_other_methods_of_normalisation_stay_on_the_cpu(
    linear_bundle: Callable[..., Bundle], drawn_gnt: Path, tmp_path: Path, method: str
) -> None:
    from hanmo.normalize import Normalization

    weights = np.random.default_rng(4).normal(0, 0.01, (256, 3)).astype(np.float32)
    settings = Normalization(method=method, side=16, margin=1)  # type: ignore[arg-type]
    bundle = linear_bundle(tmp_path / "bundle", weights, HAND, normalization=settings)
    options = Options(bundle=bundle.path)
    engine = open_engine(options, device="cpu")
    assert not engine.normalizes
    assert_alike(rows_by_engine(tmp_path, engine, options, drawn_gnt), read(tmp_path, options, drawn_gnt))


def test_an_extended_bundle(drawn_gnt: Path, tmp_path: Path) -> None:
    squares = pictures()
    extended = Recognizer("nano").with_characters({"☃": squares[:2]})
    extended.bundle.save(tmp_path / "own")
    options = Options(bundle=tmp_path / "own", top=5)
    found = rows_by_engine(tmp_path, open_engine(options, device="cpu"), options, drawn_gnt)
    assert_alike(found, read(tmp_path, options, drawn_gnt), tolerance=0.15)
    assert "☃" in [c["character"] for row in found for c in row["candidates"]]


@pytest.mark.parametrize("name", ["nano", "free"])
def test_logits_differ_by_few_levels(name: str) -> None:
    reader = Recognizer(name)
    squares = np.stack([reader.square(picture) for picture in pictures()[:12]])
    expected, features = reader.answers(squares)
    net = BundleNet(reader.bundle, feeds_floats=reader.feeds_floats)
    with torch.inference_mode():
        logits, own_features = net(torch.from_numpy(squares))
    assert own_features is not None
    assert features is not None
    assert own_features.shape == features.shape
    # Logits are levels; a difference is a level or two.
    assert np.abs(logits.numpy() - expected).max() < 1
    assert (np.abs(logits.numpy() - expected) < 1e-4).mean() > 0.7


def test_a_net_that_torch_cannot_run_is_refused(options: Options) -> None:
    onnx = pytest.importorskip("onnx")
    reader = options.open()
    model = onnx.load_model_from_string(reader.bundle.model)
    model.graph.node[0].op_type = "LRN"
    changed = reader.bundle.__class__.load(reader.bundle.path)
    object.__setattr__(changed, "model", model.SerializeToString())
    with pytest.raises(BundleError, match=r"torch cannot run it \(unknown operations: LRN\); read with --device cpu"):
        BundleNet(changed, feeds_floats=True)


def test_nothing_to_read(options: Options) -> None:
    engine = TorchEngine(options.open(), device="cpu")
    none = np.zeros(0, np.uint8)
    called = []
    answers = engine(
        [Packed(none, none.astype(np.int32), none.astype(np.int32), none > 0, none)], lambda: called.append(1)
    )
    assert called == [1]
    assert [len(field) for field in answers] == [0] * 5


def test_errors_of_torch_are_one_line(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TorchEngine(options.open(), device="cpu")
    pack = Packed(
        np.full(4, 200, np.uint8), *(np.full(1, 2, np.int32) for _ in (0, 1)), np.ones(1, bool), np.zeros(1, np.uint8)
    )
    for error, kind, text in (
        (torch.OutOfMemoryError("CUDA"), DeviceMemoryError, "the memory of cpu is full"),
        (RuntimeError("CUDA error:\n gone"), DeviceError, "torch cannot use cpu"),
        (AssertionError("a fault of hanmo"), AssertionError, "a fault of hanmo"),
    ):

        def fail(*args: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("hanmo.gpu.engine.normalize", fail)
        with pytest.raises(kind, match=text):
            engine([pack], lambda: None)


def test_a_torch_without_cuda_is_named(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(device: torch.device) -> None:
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr("hanmo.gpu.engine._batch_of", missing)
    with pytest.raises(DeviceError, match=r"torch cannot use cuda \(Torch not compiled with CUDA enabled\)"):
        TorchEngine(options.open(), device="cuda")


def test_which_way_a_device_is_read(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_engine(options) == (options, None)
    on_gpu = Options(bundle=options.bundle, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"'\.\[gpu\]'.* or have PyTorch with CUDA: .* finds no GPU") as raised:
        with_engine(on_gpu)
    assert "\n" not in str(raised.value)
    with monkeypatch.context() as patched:
        patched.setattr(
            "onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
        )
        assert with_engine(on_gpu) == (on_gpu, None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("hanmo.gpu.engine.TorchEngine", lambda reader, *more, device: (reader.providers, *more, device))
    assert with_engine(on_gpu) == (
        options.__class__(bundle=options.bundle),
        (("CPUExecutionProvider",), 5, None, "cuda"),
    )


def test_answers_that_are_no_numbers_are_refused(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TorchEngine(options.open(), device="cpu")
    monkeypatch.setattr(engine, "logits", lambda squares: torch.full((len(squares), 3), float("nan")))
    drawn = pictures()[0]
    sizes = [np.full(1, length, np.int32) for length in drawn.shape]
    pack = Packed(drawn.reshape(-1).copy(), *sizes, np.zeros(1, bool), np.zeros(1, np.uint8))
    with pytest.raises(BundleError, match="no logits"):
        engine([pack], lambda: None)
