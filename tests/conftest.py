"""Fixtures for tests of several packages: drawn packs, one tiny trained net and its bundle, made once a test run."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A busy machine is slow, not wrong: how long an example takes decides nothing here.
settings.register_profile("hanmo", deadline=None)
settings.load_profile("hanmo")

# Tests may run in as many processes as there are cores; more threads than cores spin instead of working.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if sys.dont_write_bytecode:
    # PYTHONDONTWRITEBYTECODE keeps byte code out of the source folders, so it goes to the build folder. Without any,
    # each of the many processes that tests start would compile the 2,000 modules of PyTorch again, which takes longer
    # than most tests.
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(Path(__file__).parents[1] / "build" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a folder by name once a test run, even when pytest-xdist runs several processes."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def get(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = root / f"shared-{name}", root / f"shared-{name}.done"
        with (root / f"shared-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return get


@pytest.fixture(scope="session")
def examples() -> list[Path]:
    """The pictures of the folder ``examples``, by name."""
    return sorted((Path(__file__).parents[1] / "examples").iterdir())


@pytest.fixture(scope="session")
def drawn(once: Once) -> Path:
    """A folder of packs of drawn characters at 32 and 16 pixels, no writer in two of them.

    ``train`` (20 characters x 60 writers) and ``test`` (x 15) at 32 pixels; ``small-train`` (5 x 16) and
    ``small-test`` (5 x 4) at 16.
    """

    def make(folder: Path) -> None:
        from hanmo.data.pack import write_pack
        from hanmo.normalize import Normalization
        from hanmo.synth.recipe import SynthRecipe
        from hanmo.synth.samples import draw_samples
        from hanmo.synth.strokes.hand import StyleConfig

        for prefix, characters, side, training, writers in (("", 20, 32, 60, 75), ("small-", 5, 16, 16, 20)):
            square = Normalization(side=side)
            # Even lines of calm hands: a tiny net reads nearly all of them, so no verdict hangs on a single picture.
            alike = {"haste_spread": 0.2, "slant": 0.05, "aspect": 0.06, "warp": 0.06, "part_scale": 0.05}
            even = {"abbreviations": 0.0, "pressure": 0.0, "grain": 0.0, "ragged": 0.0, "soft": 0.3, "binary": 0.0}
            steady = {"shift": 0.01, "scale": 0.05, "tilt": 0.04, "bend": 0.02, "merge": 0.0}
            calm = StyleConfig(haste=0.1, **alike, **even, **steady)
            recipe = SynthRecipe(
                characters=characters, per_character=writers, seed=1, side=48, style=calm, normalization=square
            )
            samples = list(draw_samples(recipe))
            first_test = training * characters  # samples come writer by writer
            for name, part in (("train", samples[:first_test]), ("test", samples[first_test:])):
                write_pack(folder / f"{prefix}{name}", part, normalization=square, charset=recipe.charset())

    return once("drawn", make)


@pytest.fixture(scope="session")
def small(drawn: Path) -> Callable[..., Any]:
    """A recipe of four epochs of five steps; ``optim=...`` and the like replace single values of a section."""
    from hanmo.nets.registry import NetConfig
    from hanmo.train.config import AugmentConfig, DataConfig, OptimConfig, Recipe, TrainConfig

    def make(**changes: Any) -> Recipe:
        recipe = Recipe(
            name="small",
            data=DataConfig(train=str(drawn / "small-train"), test=str(drawn / "small-test")),
            net=NetConfig(width=8),
            augment=AugmentConfig(cutout=0.1),
            optim=OptimConfig(learning_rate=5e-3, ema=0.9),
            train=TrainConfig(epochs=4, batch=16, seed=7, evaluate_every=1, checkpoint_every=2),
        )
        for section, values in changes.items():
            now = getattr(recipe, section)
            recipe = replace(recipe, **{section: replace(now, **values) if isinstance(values, dict) else values})
        return recipe

    return make


@pytest.fixture(scope="session")
def tiny_run(once: Once, drawn: Path) -> Path:
    """The run folder of a ResNet-18 an eighth as wide as usual, trained on ``drawn/train``."""

    def make(folder: Path) -> None:
        from hanmo.nets.registry import NetConfig
        from hanmo.train.config import AugmentConfig, DataConfig, OptimConfig, Recipe, TrainConfig
        from hanmo.train.loop import Trainer
        from hanmo.train.parallel import Processes

        recipe = Recipe(
            name="tiny",
            data=DataConfig(train=str(drawn / "train"), test=str(drawn / "test")),
            net=NetConfig(width=8, attention="se"),
            augment=AugmentConfig(rotate=4, elastic=0.01),
            optim=OptimConfig(learning_rate=5e-3, ema=0.97),
            train=TrainConfig(epochs=16, batch=48, evaluate_every=8, checkpoint_every=8),
        )
        Trainer(recipe, folder, Processes.join("cpu")).run()

    return once("tiny-run", make)


@pytest.fixture(scope="session")
def tiny_bundle(once: Once, drawn: Path, tiny_run: Path) -> Path:
    """The int8 bundle of ``tiny_run``."""

    def make(folder: Path) -> None:
        from hanmo.export.bundle import export_bundle

        export_bundle(tiny_run, folder, calibration=drawn / "train", test=drawn / "test", licence="Arphic-1999")

    return once("tiny-bundle", make)


@pytest.fixture(scope="session")
def linear_net() -> Callable[..., Any]:
    """``linear_net(weights, kind=…, shape=…)``: an ONNX model of one matrix, ``weights`` float32 (S·S, C).

    Its logits are the product of a picture's numbers with the matrix. ``kind`` is the element type of its input, uint8
    if not given, and ``shape`` the input's shape, ("N", 1, S, S) if not given; "N" is any number of pictures.
    """
    import numpy as np
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    def make(
        weights: np.typing.NDArray[np.float32],
        *,
        kind: int = TensorProto.UINT8,
        shape: tuple[int | str, ...] | None = None,
    ) -> ModelProto:
        size, classes = weights.shape
        shape = shape or ("N", 1, isqrt(size), isqrt(size))
        nodes = [
            helper.make_node("Cast", ["square"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["floats", "shape"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ]
        ports = (
            [helper.make_tensor_value_info("square", kind, shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [shape[0], classes])],
        )
        tensors = [
            numpy_helper.from_array(np.ascontiguousarray(weights, np.float32), "weights"),
            numpy_helper.from_array(np.array([-1, size]), "shape"),
        ]
        graph = helper.make_graph(nodes, "net", *ports, tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    return make


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Exit status, stdout and stderr of a command, in an empty folder."""
    from typer.testing import CliRunner

    from hanmo.cli.main import app

    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture(scope="session")
def linear_bundle(linear_net: Callable[..., Any]) -> Callable[..., Any]:
    """``linear_bundle(folder, weights, characters, **changes)``: writes a bundle of the net of one matrix.

    ``weights`` are float32 (S·S, C) for the C ``characters``; ``changes`` are arguments of
    :func:`hanmo.bundle.write_bundle` that are to be other than usual.
    """
    from hanmo.bundle import write_bundle
    from hanmo.charset import Charset
    from hanmo.normalize import Normalization

    def write(folder: Path, weights: Any, characters: Iterable[str], **changes: Any) -> Any:
        given: dict[str, Any] = {
            "name": "tiny",
            "charset": Charset(characters),
            "normalization": Normalization(side=isqrt(len(weights)), margin=1),
            "mean": 0.25,
            "std": 0.4,
            "net": "linear",
            "parameters": weights.size,
            "precision": "fp32",
            "trained_on": [],
            "licence": "Apache-2.0",
            "accuracy": {},
        }
        return write_bundle(folder, linear_net(weights).SerializeToString(), **(given | changes))

    return write


@pytest.fixture(scope="session")
def comparing_bundle(linear_bundle: Callable[..., Any]) -> Callable[..., Any]:
    """``comparing_bundle(folder, hand, side, **changes)``: writes a bundle whose net compares a square with drawn ones.

    ``hand`` is strokes by character, ``changes`` are as of ``linear_bundle``.
    """
    import numpy as np

    from hanmo.image import load
    from hanmo.normalize import Normalization

    def write(folder: Path, hand: dict[str, Any], side: int, **changes: Any) -> Any:
        normalization = Normalization(side=side, margin=1)
        squares = np.stack([normalization(load(strokes)).ravel() / 255.0 for strokes in hand.values()])
        squares -= squares.mean(axis=1, keepdims=True)
        weights = (squares / np.linalg.norm(squares, axis=1, keepdims=True) / 60).astype(np.float32).T
        return linear_bundle(folder, weights, hand, **changes)

    return write
