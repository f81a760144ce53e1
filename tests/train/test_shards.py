"""Weights in shards, and nets that begin with the weights of others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hanmo.charset import Charset
from hanmo.data.pack import Pack, write_pack
from hanmo.data.sample import Sample
from hanmo.errors import CheckpointError, ConfigError, RunError
from hanmo.train.checkpoint import load_tensors, save_tensors
from hanmo.train.config import DistillConfig
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained
from hanmo.train.shards import MIN_QUANTIZED_WEIGHTS, save_shards


def test_shards_are_the_weights_as_16_bits(tiny_run: Path, tmp_path: Path) -> None:
    paths = save_shards(tiny_run / "weights.safetensors", tmp_path / "out", largest=300_000)
    assert len(paths) > 1
    assert paths[0].name == f"weights-1-of-{len(paths)}.safetensors"
    whole, again = load_trained(tiny_run), load_trained(tmp_path / "out")
    assert (again.charset, again.normalization, again.config) == (whole.charset, whole.normalization, whole.config)
    for a, b in zip(whole.net.state_dict().values(), again.net.state_dict().values(), strict=True):
        assert torch.equal(a.half() if a.is_floating_point() else a, b.half() if b.is_floating_point() else b)


def test_shards_of_shards(tiny_run: Path, tmp_path: Path) -> None:
    first = save_shards(tiny_run / "weights.safetensors", tmp_path / "one", largest=300_000)
    second = save_shards(first[0], tmp_path / "two", largest=300_000)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_shards_of_eight_bits_are_near_the_weights(tiny_run: Path, tmp_path: Path) -> None:
    paths = save_shards(tiny_run / "weights.safetensors", tmp_path / "small", bits=8)
    sixteen = save_shards(tiny_run / "weights.safetensors", tmp_path / "large")
    assert sum(path.stat().st_size for path in paths) < 0.6 * sum(path.stat().st_size for path in sixteen)
    whole, again = load_trained(tiny_run).net.state_dict(), load_trained(tmp_path / "small").net.state_dict()
    assert whole.keys() == again.keys()
    for name, tensor in whole.items():
        if tensor.ndim > 1 and tensor.numel() >= MIN_QUANTIZED_WEIGHTS:
            step = tensor.flatten(1).abs().amax(1).view(-1, *[1] * (tensor.ndim - 1)) / 127
            assert ((tensor - again[name]).abs() <= 0.501 * step).all(), name
            assert not torch.equal(tensor.half().float(), again[name])
        else:
            assert torch.equal(
                tensor.half() if tensor.is_floating_point() else tensor,
                again[name].to(tensor.half().dtype if tensor.is_floating_point() else tensor.dtype),
            )
    onward = save_shards(paths[0], tmp_path / "again", bits=8)
    assert all(
        torch.allclose(a, b, atol=1e-6)
        for a, b in zip(load_trained(tmp_path / "again").net.state_dict().values(), again.values(), strict=True)
    )
    assert len(onward) == len(paths)


def test_a_shard_of_eight_bits_without_its_scales_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    (path,) = save_shards(tiny_run / "weights.safetensors", tmp_path, bits=8)
    tensors, header = load_tensors(path)
    scale = next(name for name in tensors if name.endswith(".scale"))
    save_tensors(path, {**tensors, scale: tensors[scale][1:]}, header)
    with pytest.raises(CheckpointError, match=f"'{scale.removesuffix('.scale')}' has no scale that fits"):
        load_trained(tmp_path)
    del tensors[scale]
    save_tensors(path, tensors, header)
    with pytest.raises(CheckpointError, match="has no scale that fits; fetch the shards again"):
        load_trained(tmp_path)


def test_a_missing_or_strange_shard_is_named(tiny_run: Path, tmp_path: Path) -> None:
    paths = save_shards(tiny_run / "weights.safetensors", tmp_path / "out", largest=300_000)
    with pytest.raises(RunError, match="has shards already"):
        save_shards(tiny_run / "weights.safetensors", tmp_path / "out")
    shutil.copy(paths[0], paths[1])
    with pytest.raises(CheckpointError, match=r"out: shard 2 of \d+ belongs to other weights"):
        load_trained(tmp_path / "out")
    paths[1].unlink()
    with pytest.raises(CheckpointError, match=r"weights-2-of-\d+\.safetensors: no such file"):
        load_trained(tmp_path / "out")


def test_a_net_begins_with_the_weights_of_another(small: Any, tmp_path: Path) -> None:
    first = Trainer(small(train={"epochs": 1}), tmp_path / "first", Processes.join("cpu"))
    first.run()
    trainer = Trainer(small(train={"start": str(tmp_path / "first")}), tmp_path / "second", Processes.join("cpu"))
    begun, ended = trainer.state.net.state_dict(), load_trained(tmp_path / "first").net.state_dict()
    assert all(torch.equal(begun[name], tensor) for name, tensor in ended.items())


def test_only_a_net_of_the_same_kind_can_be_begun_with(small: Any, tmp_path: Path, tiny_run: Path) -> None:
    Trainer(small(train={"epochs": 1}), tmp_path / "first", Processes.join("cpu")).run()
    other = small(train={"start": str(tmp_path / "first")}, net={"width": 16})
    with pytest.raises(CheckpointError, match="of another net"):
        Trainer(other, tmp_path / "second", Processes.join("cpu"))
    with pytest.raises(ConfigError, match=r"the net reads fit-32\+2.v3, the data is fit-16"):
        Trainer(small(train={"start": str(tiny_run)}), tmp_path / "third", Processes.join("cpu"))


def test_a_net_that_knows_more_characters_begins_and_teaches_with_ours(small: Any, tmp_path: Path, drawn: Path) -> None:
    first = Trainer(small(train={"epochs": 1}), tmp_path / "first", Processes.join("cpu"))
    first.run()
    pack = Pack.open(drawn / "small-train")
    ours = Charset(reversed(pack.charset.characters[1:4]))
    texts = [pack.charset[label] for label in pack.labels]
    samples = [Sample(text, 255 - image) for image, text in zip(pack.images, texts, strict=True) if text in ours]
    write_pack(tmp_path / "pack", samples, normalization=pack.normalization, charset=ours)
    recipe = small(
        data={"train": str(tmp_path / "pack"), "test": None},
        train={"start": str(tmp_path / "first")},
        distill=DistillConfig(teachers=(str(tmp_path / "first"),)),
    )
    trainer = Trainer(recipe, tmp_path / "second", Processes.join("cpu"))
    assert trainer.setup.teacher is not None
    x = torch.randn(2, 1, trainer.setup.data.train.side, trainer.setup.data.train.side)
    with torch.inference_mode():
        known = load_trained(tmp_path / "first").net(x)[:, [3, 2, 1]]
        torch.testing.assert_close(trainer.setup.teacher(x).logits, known)
        torch.testing.assert_close(trainer.state.net.eval()(x), known)
