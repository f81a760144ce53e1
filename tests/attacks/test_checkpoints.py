"""Checkpoints and weights that are damaged, foreign, or meet a full disk: nothing earlier is lost."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from attacks.budget import budget
from hanmo.bench.jobs import Results
from hanmo.errors import CheckpointError, ConfigError, DamageWarning, DataError, DivergedError, StorageError
from hanmo.nets.registry import NetConfig, build_net
from hanmo.train.checkpoint import (
    latest_checkpoint,
    load_into,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    save_tensors,
)
from hanmo.train.config import AugmentConfig, DataConfig, OptimConfig, Recipe, TrainConfig
from hanmo.train.loop import Trainer
from hanmo.train.optim import build_optimizer
from hanmo.train.parallel import Processes, channels_last
from hanmo.train.plots import read_run
from hanmo.train.run import SEEDS, RunFolder, load_trained, planned_seeds

TENSORS = {"net.a": torch.arange(6.0).view(2, 3), "net.b": torch.tensor(3), "average.a": torch.zeros(0)}


DEEP = "[" * 200_000
"""JSON that is nested more deeply than Python's parser goes."""


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    calls = {"fsync": "os.fsync", "rename": "pathlib.Path.replace", "write": "pathlib.Path.open"}
    monkeypatch.setattr(calls[where], refuse)


def test_tensors_and_header_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.safetensors"
    save_tensors(path, TENSORS, {"net": "翰", "step": 3})
    tensors, header = load_tensors(path)
    assert header == {"net": "翰", "step": 3}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize("where", ["fsync", "rename", "write"])
def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, TENSORS, {"step": 1})
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        fill_the_disk(patch, where)
        with pytest.raises(StorageError, match=r"x\.safetensors: cannot be written \(No space left on device\)"):
            save_tensors(path, {"net.a": torch.ones(2)}, {"step": 2})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="cannot be written"):
        save_tensors(tmp_path / "taken" / "x.safetensors", TENSORS, {})


def test_an_interrupted_save_leaves_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(number: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_tensors(tmp_path / "x.safetensors", TENSORS, {})
    assert not list(tmp_path.iterdir())


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    for step in (5, 90, 100, 1000):
        save_checkpoint(tmp_path, step, TENSORS, {})
    (tmp_path / ".step-00009999.safetensors.partial-1").write_bytes(b"killed while writing")
    kept = sorted(p.name for p in tmp_path.glob("step*"))
    assert kept == ["step-00000100.safetensors", "step-00001000.safetensors"]
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert load_tensors(latest)[1]["step"] == 1000


def damaged(tmp_path: Path) -> dict[str, Path]:
    """Files that are no checkpoint, by what is wrong with them."""
    good = tmp_path / "good"
    save_tensors(good, TENSORS, {"step": 1})
    whole = good.read_bytes()
    header = whole.index(b'{\\"step\\": 1, ')
    files = {
        "empty": b"",
        "cut in the header": whole[:20],
        "cut in the tensors": whole[:-3],
        "longer than it says": whole + b"more",
        "a header beyond the file": (2**40).to_bytes(8, "little") + whole[8:],
        "text": b"#!/bin/sh\necho no checkpoint\n" * 10,
        "a pickle": b"\x80\x04\x95" + bytes(100),
        "header of another kind": whole.replace(b'{\\"step\\": 1, ', b"[1, 2, 3, 4, 5, ").replace(
            b'\\": \\"', b'\\", \\"'
        ),
        "header that is no JSON": whole.replace(b'{\\"step\\": 1, ', b'{\\"step\\": 1  '),
        "another number in the header": whole.replace(b'{\\"step\\": 1, ', b'{\\"step\\": 2, '),
        "one bit of a tensor": whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:],
        "another name of a tensor": whole.replace(b"average.a", b"average.b"),
    }
    assert header > 0
    paths = {}
    for name, content in files.items():
        paths[name] = tmp_path / f"{name}.safetensors"
        paths[name].write_bytes(content)
    paths["a header of lists in lists"] = tmp_path / "deep.safetensors"
    save_file({"a": torch.ones(1)}, paths["a header of lists in lists"], {"hanmo": DEEP})
    paths["without header"] = tmp_path / "plain.safetensors"
    save_file({"a": torch.ones(1)}, paths["without header"])
    paths["a folder"] = tmp_path / "folder.safetensors"
    paths["a folder"].mkdir()
    return paths


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    for name, path in damaged(tmp_path).items():
        with pytest.raises(CheckpointError) as caught:
            load_tensors(path)
        assert str(path) in str(caught.value), name
        assert "\n" not in str(caught.value), name
    with pytest.raises(CheckpointError, match="none: no such file"):
        load_tensors(tmp_path / "none")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float, kind: torch.dtype) -> None:
    tensor = torch.ones(7, dtype=kind)
    tensor[4] = value
    save_tensors(tmp_path / "x", {"net.a": torch.ones(1), "net.b": tensor}, {})
    with pytest.raises(CheckpointError, match=r"x: 'net\.b' holds NaN or infinity; train it again"):
        load_tensors(tmp_path / "x")


def test_files_of_before_have_no_digest(tmp_path: Path) -> None:
    save_file({"net.a": torch.ones(3)}, tmp_path / "x", {"hanmo": '{"step": 7}'})
    tensors, header = load_tensors(tmp_path / "x")
    assert (header, tensors["net.a"].tolist()) == ({"step": 7}, [1, 1, 1])


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    one = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    head = f'{{"a":{one},"a":{one}}}'.encode()
    (tmp_path / "x").write_bytes(len(head).to_bytes(8, "little") + head + b"1")
    with pytest.raises(CheckpointError, match="its head has the key 'a' twice"):
        load_tensors(tmp_path / "x")


def test_a_header_of_a_hundred_megabytes_is_refused_in_little_time(tmp_path: Path) -> None:
    size = 100_000_000
    (tmp_path / "x").write_bytes(size.to_bytes(8, "little") + b'{"' + b"a" * (size - 2))
    (tmp_path / "lie").write_bytes(size.to_bytes(8, "little") + b'{"a": 1}')
    for name in ("x", "lie"):
        with budget(), pytest.raises(CheckpointError, match="damaged"):
            load_tensors(tmp_path / name)


def test_json_without_end_is_damage(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.metrics.write_text(DEEP + "\n")
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl: damaged"):
        run.records()
    with pytest.raises(DataError, match=r"metrics\.jsonl: line 1 is not a record"):
        read_run(run.metrics)
    (tmp_path / SEEDS).write_text(DEEP)
    with pytest.raises(CheckpointError, match=r"seeds\.json: damaged"):
        planned_seeds(tmp_path)
    results = Results(tmp_path / "results.jsonl")
    results.path.write_text(DEEP + "\n")
    with pytest.raises(CheckpointError, match=r"results\.jsonl: line 1 is no record"):
        results.load()


def test_another_nets_file_says_how_it_differs(tmp_path: Path) -> None:
    net = build_net(NetConfig(width=8, attention="se"), 5, 32)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    others = {
        "lacks 'layer1.0.attention.reduce.weight'": NetConfig(width=8),
        "has another shape of 'conv1.weight'": NetConfig(width=16, attention="se"),
        "has the unknown 'layer1.0.attention": NetConfig(width=8, attention="cbam"),
    }
    for message, config in others.items():
        other = build_net(config, 5, 32).state_dict()
        if "unknown" in message:
            other |= {k: v for k, v in before.items() if k not in other}
        with pytest.raises(CheckpointError, match=f"file: of another net: it {message}"):
            load_into(net, other, "file")
    with pytest.raises(CheckpointError, match=r"shape of 'fc\.weight' \(0 missing, 0 unknown, 2 of other shape"):
        load_into(net, build_net(NetConfig(width=8, attention="se"), 6, 32).state_dict(), "file")
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize(
    "config", [OptimConfig(), OptimConfig(name="sgd"), OptimConfig(name="sgd", momentum=0.0)], ids=str
)
def test_optimisers_are_restored(tmp_path: Path, config: OptimConfig) -> None:
    torch.manual_seed(0)
    net, twin = (channels_last(build_net(NetConfig(width=8), 5, 32), torch.device("cpu")) for _ in range(2))
    optimizer = build_optimizer([net], config)

    def step(net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        net(torch.linspace(-1, 1, 2048).view(2, 1, 32, 32)).square().sum().backward()
        optimizer.step()

    for _ in range(3):
        step(net, optimizer)
    save_tensors(tmp_path / "x", optimizer_tensors(optimizer), {})
    twin.load_state_dict(net.state_dict())
    restored = build_optimizer([twin], config)
    restore_optimizer(restored, load_tensors(tmp_path / "x")[0])
    for parameter, slot in restored.state.items():
        # A fused optimiser on a GPU refuses moments laid out otherwise than their weights.
        assert {v.stride() for v in slot.values() if v.shape == parameter.shape} <= {parameter.stride()}
    for _ in range(2):
        step(net, optimizer)
        step(twin, restored)
    for one, other in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


def recipe(drawn: Path, **net: Any) -> Recipe:
    return Recipe(
        name="small",
        data=DataConfig(train=str(drawn / "small-train"), test=str(drawn / "small-test")),
        net=NetConfig(width=8, **net),
        augment=AugmentConfig(),
        optim=OptimConfig(),
        train=TrainConfig(epochs=3, batch=16, evaluate_every=0, checkpoint_every=1),
    )


def trainer(recipe: Recipe, folder: Path) -> Trainer:
    return Trainer(recipe, folder, Processes.join("cpu"))


def test_a_disk_that_fills_while_training_keeps_the_last_checkpoint(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer(recipe(drawn), tmp_path / "straight").run()
    folder, fsync = tmp_path / "full", os.fsync

    def full_at_the_fourth(number: int) -> None:
        if any((folder / "checkpoints").glob("*step-00000010*")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_at_the_fourth)
        with pytest.raises(StorageError, match=r"step-00000010\.safetensors: cannot be written"):
            trainer(recipe(drawn), folder).run()
    assert [p.name for p in (folder / "checkpoints").iterdir()] == ["step-00000005.safetensors"]
    trainer(recipe(drawn), folder).run(resume=True)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("straight", "full")]
    assert weights[0] == weights[1]


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.metrics.mkdir()
    with pytest.raises(StorageError, match=r"metrics\.jsonl: cannot be written"):
        run.log({"step": 1})


def test_going_on_from_another_nets_or_a_damaged_checkpoint(drawn: Path, tmp_path: Path) -> None:
    trainer(recipe(drawn), tmp_path / "plain").run()
    trainer(recipe(drawn, attention="se"), tmp_path / "se").run()
    checkpoints = tmp_path / "plain" / "checkpoints"
    (tmp_path / "plain" / "weights.safetensors").unlink()  # a finished run has nothing to go on with
    shutil.rmtree(checkpoints)
    shutil.copytree(tmp_path / "se" / "checkpoints", checkpoints)
    with pytest.raises(CheckpointError, match=r"step-\d+\.safetensors: of another net: it has the unknown 'layer1"):
        trainer(recipe(drawn), tmp_path / "plain").run(resume=True)
    latest = latest_checkpoint(checkpoints)
    assert latest is not None
    latest.write_bytes(latest.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"step-\d+\.safetensors: damaged"):
        trainer(recipe(drawn), tmp_path / "plain").run(resume=True)


@pytest.mark.parametrize("damage", ["cut", "flipped", "NaN"])
def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(drawn: Path, tmp_path: Path, damage: str) -> None:
    trainer(recipe(drawn), tmp_path / "straight").run()
    folder = tmp_path / "broken"
    shutil.copytree(tmp_path / "straight", folder)
    before = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").unlink()
    latest = latest_checkpoint(folder / "checkpoints")
    assert latest is not None
    data = bytearray(latest.read_bytes())
    if damage == "NaN":
        tensors, header = load_tensors(latest)
        tensors["net.conv1.weight"][0] = torch.nan
        save_tensors(latest, tensors, header)
    else:
        data[-100] ^= 4
        latest.write_bytes(data[:-100] if damage == "cut" else data)
    with pytest.warns(DamageWarning, match=r"step-00000010\.safetensors: .*; going on from step-00000005\.safetensors"):
        trainer(recipe(drawn), folder).run(resume=True)
    assert (folder / "weights.safetensors").read_bytes() == before


def test_weights_of_nan_are_not_written(drawn: Path, tmp_path: Path) -> None:
    ready = trainer(recipe(drawn), tmp_path)
    ready.run()
    (tmp_path / "weights.safetensors").unlink()
    with torch.no_grad():
        ready.state.net.get_parameter("conv1.weight")[0] = torch.nan
        if ready.state.average:
            ready.state.average.average["conv1.weight"][0] = torch.nan
    with pytest.raises(DivergedError, match=r"weights\.safetensors: not written: 'conv1\.weight' holds NaN"):
        ready._finish()
    assert not (tmp_path / "weights.safetensors").exists()


def test_weights_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: no such file"):
        load_trained(tmp_path)
    path = tmp_path / "weights.safetensors"
    good = {
        "net": {"width": 8},
        "charset": "一丁",
        "normalization": {"method": "fit", "side": 16, "margin": 1, "version": 1},
        "trained_on": ["x.gnt"],
        "accuracy": {"top1": 50.0},
    }
    tensors = build_net(NetConfig(width=8), 2, 16).state_dict()
    save_tensors(path, tensors, good)
    trained = load_trained(tmp_path)
    assert (str(trained.charset), trained.config, trained.trained_on) == ("一丁", NetConfig(width=8), ("x.gnt",))
    assert not trained.net.training
    for key in good:
        save_tensors(path, tensors, {k: v for k, v in good.items() if k != key})
        with pytest.raises(CheckpointError, match=rf"not the weights of a finished run \(KeyError\('{key}'\)"):
            load_trained(path)
        save_tensors(path, tensors, {**good, key: 7})
        with pytest.raises((CheckpointError, ConfigError), match=r"weights\.safetensors: "):
            load_trained(path)
    save_tensors(path, tensors, {**good, "net": {"width": 8, "atention": "se"}})
    with pytest.raises(ConfigError, match=r"unknown key 'atention'; did you mean 'attention'"):
        load_trained(path)
    save_tensors(path, tensors, {**good, "charset": "一丁七"})
    with pytest.raises(CheckpointError, match=r"of another net: it has another shape of 'fc\.weight'"):
        load_trained(path)
    save_tensors(path, tensors, {**good, "normalization": {"method": "fit", "side": 16, "margin": 1, "version": 0}})
    with pytest.raises(ConfigError, match="normalised by version 0"):
        load_trained(path)
