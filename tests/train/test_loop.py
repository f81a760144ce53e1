"""A whole training: what it reaches, what it leaves behind, and what it refuses before it begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hanmo.charset import Charset
from hanmo.config import load_toml
from hanmo.data.pack import Pack, write_pack
from hanmo.data.sample import Sample
from hanmo.errors import CharsetError, CheckpointError, ConfigError, HanmoError, PackError
from hanmo.nets.registry import NetConfig
from hanmo.normalize import Normalization
from hanmo.train.batches import DeviceData
from hanmo.train.config import AugmentConfig, DistillConfig, MethodConfig, OptimConfig, Recipe, TrainConfig
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained
from hanmo.train.speed import compiled

CPU = torch.device("cpu")


def run(recipe: Recipe, folder: Path) -> dict[str, Any]:
    return Trainer(recipe, folder, Processes.join("cpu")).run()


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_tiny_net_learns_to_read_writers_it_never_saw(drawn: Path, tiny_run: Path) -> None:
    train, test = Pack.open(drawn / "train"), Pack.open(drawn / "test")
    assert not set(train.writers) & set(test.writers)
    assert (len(test), len(test.charset)) == (300, 20)
    end = lines(tiny_run)[-1]
    assert end["kind"] == "end"
    assert end["top1"] > 90
    assert end["top1"] <= end["top5"] <= 100
    assert end["seconds"] > 0


def test_the_run_folder_tells_everything(drawn: Path, tiny_run: Path) -> None:
    names = {p.name for p in tiny_run.iterdir()}
    assert names == {"recipe.toml", "environment.json", "metrics.jsonl", "checkpoints", "weights.safetensors"}
    recipe = load_toml(tiny_run / "recipe.toml", Recipe)
    assert (recipe.name, recipe.net) == ("tiny", NetConfig(width=8, attention="se"))
    environment = json.loads((tiny_run / "environment.json").read_text(encoding="utf-8"))
    assert environment["torch"] == torch.__version__
    pack = Pack.open(drawn / "train")
    assert environment["data"]["train"] == {"digest": pack.digest, "samples": 1200}
    assert environment["data"]["test"]["samples"] == 300
    records = lines(tiny_run)
    assert [r["step"] for r in records] == sorted(r["step"] for r in records)
    assert [r["epoch"] for r in records if r["kind"] == "eval"] == [8.0]
    train = [r for r in records if r["kind"] == "train"]
    assert all(r["images_per_s"] > 0 and 0 < r["lr"] <= 5e-3 and 0 < r["loss"] < 5 for r in train)
    assert train[-1]["step"] == 25 * 16
    assert [p.name for p in (tiny_run / "checkpoints").iterdir()] == ["step-00000200.safetensors"]


def test_the_weights_know_what_they_read(drawn: Path, tiny_run: Path) -> None:
    trained = load_trained(tiny_run)
    pack = Pack.open(drawn / "train")
    assert (trained.charset, trained.normalization) == (pack.charset, pack.normalization)
    assert trained.trained_on == ("synth",)
    assert trained.accuracy["top1"] == lines(tiny_run)[-1]["top1"]
    assert not trained.net.training


def test_the_same_seed_the_same_weights(small: Any, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(small(train={"epochs": 1, "seed": seed}), tmp_path / name)
    a, b, c = ((tmp_path / name / "weights.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_a_streamed_pack_gives_the_same_weights(small: Any, tmp_path: Path) -> None:
    for name, data in (("mapped", {}), ("streamed", {"stream": True})):
        run(small(data=data, train={"epochs": 2}), tmp_path / name)
    mapped, streamed = (load_trained(tmp_path / name).net.state_dict() for name in ("mapped", "streamed"))
    assert all(torch.equal(tensor, streamed[name]) for name, tensor in mapped.items())


def test_a_restarted_trainer_equals_a_new_one(small: Any, tmp_path: Path) -> None:
    run(small(train={"epochs": 1, "seed": 2}), tmp_path / "new")
    trainer = Trainer(small(train={"epochs": 1, "seed": 1}), tmp_path / "first", Processes.join("cpu"))
    trainer.run()
    trainer.restart(small(train={"epochs": 1, "seed": 2}), tmp_path / "again")
    trainer.run()
    for name in ("weights.safetensors", "recipe.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "new" / name).read_bytes()


def test_frozen_convolutions_keep_the_weights_of_the_start(small: Any, tmp_path: Path) -> None:
    run(small(train={"epochs": 1}), tmp_path / "start")
    going_on = {"epochs": 1, "seed": 7, "start": str(tmp_path / "start"), "frozen": "convolutions"}
    run(small(train=going_on), tmp_path / "frozen")
    before, after = (load_trained(tmp_path / name).net for name in ("start", "frozen"))
    trained = {name: not torch.equal(old, after.get_parameter(name)) for name, old in before.named_parameters()}
    convolutions = {f"{name}.weight" for name, layer in before.named_modules() if isinstance(layer, torch.nn.Conv2d)}
    assert convolutions
    assert not any(trained[name] for name in convolutions)
    assert trained["fc.weight"]
    assert trained["fc.bias"]


def test_every_epoch_sees_every_sample_in_another_order(drawn: Path) -> None:
    data, _ = DeviceData.open(str(drawn / "small-train"), None, CPU)
    data.labels = torch.arange(len(data))  # to tell samples apart
    alone = Processes(device=CPU)
    epochs = [torch.cat([labels for _, labels in data.epoch(e, 16, 0, alone)]) for e in (0, 1, 0)]
    assert torch.equal(epochs[0], epochs[2])
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[0].sort().values, data.labels)
    late = torch.cat([labels for _, labels in data.epoch(0, 16, 0, alone, start=3)])
    assert torch.equal(late, epochs[0][48:])
    shares = [list(data.epoch(0, 16, 0, Processes(rank=r, world=2, device=CPU))) for r in (0, 1)]
    both = torch.cat([torch.cat([one[1], other[1]]) for one, other in zip(*shares, strict=True)])
    assert torch.equal(both, epochs[0])
    with pytest.raises(ConfigError, match=r"train\.batch 15 cannot be shared by 2 processes"):
        next(data.epoch(0, 15, 0, Processes(rank=0, world=2, device=CPU)))


def test_a_test_pack_of_some_of_the_characters(small: Any, drawn: Path, tmp_path: Path) -> None:
    whole = Pack.open(drawn / "small-test")
    some = [Sample(whole.charset[c], 255 - image, "part") for image, c in zip(whole.images, whole.labels, strict=True)]
    part = [s for s in some if s.label in whole.charset.characters[3:]]
    write_pack(tmp_path / "part", part, normalization=whole.normalization)
    record = run(small(data={"test": str(tmp_path / "part")}, train={"epochs": 1}), tmp_path / "run")
    assert 0 <= record["top1"] <= 100


def test_training_without_a_test_pack(small: Any, tmp_path: Path) -> None:
    record = run(small(data={"test": None}, train={"epochs": 1}), tmp_path / "run")
    assert "top1" not in record
    assert load_trained(tmp_path / "run").accuracy == {}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_precisions(small: Any, tmp_path: Path, precision: str) -> None:
    assert run(small(train={"epochs": 1, "precision": precision}), tmp_path / "run")["loss"] < 3


def test_a_cpu_is_not_compiled_for_unless_asked(small: Any, tmp_path: Path) -> None:
    trainer = Trainer(small(), tmp_path / "run", Processes.join("cpu"))
    for mode in ("auto", "no"):
        assert compiled(trainer.setup.objective, mode, CPU) is trainer.setup.objective


def test_a_loss_that_explodes_stops_the_run(small: Any, tmp_path: Path) -> None:
    with pytest.raises(HanmoError, match=r"run: the loss is nan at step \d+; lower optim.learning_rate and train anew"):
        run(small(optim={"name": "sgd", "learning_rate": 1e30, "clip": 0.0, "warmup": 0.0}), tmp_path / "run")


def test_distilling_from_several_teachers(small: Any, tmp_path: Path) -> None:
    for seed in (1, 2):
        run(small(train={"epochs": 1, "seed": seed}), tmp_path / f"teacher{seed}")
    teachers = tuple(str(tmp_path / f"teacher{seed}") for seed in (1, 2))
    at = MethodConfig(name="at", options={"layers": ["layer2"], "teacher_layers": ["members.1.layer2"]})
    methods = (MethodConfig(name="kd-standardised"), at)
    recipe = small(distill=DistillConfig(teachers=teachers, methods=methods), train={"epochs": 1})
    run(recipe, tmp_path / "student")
    assert set(lines(tmp_path / "student")[0]["parts"]) == {"label", "kd-standardised", "at"}
    assert load_toml(tmp_path / "student" / "recipe.toml", Recipe) == recipe
    student = load_trained(tmp_path / "student").net.state_dict()
    teacher = load_trained(teachers[0]).net.state_dict()
    assert student.keys() == teacher.keys(), "what teaches leaves no trace"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AugmentConfig(rotate=-1), "rotate is negative; 0 switches it off"),
        (lambda: AugmentConfig(elastic_cells=1), "elastic_cells 1: at least 2"),
        (lambda: OptimConfig(learning_rate=0), "learning_rate 0 must be above 0"),
        (lambda: OptimConfig(ema=1.0), "ema 1.0 must be at least 0 and under 1"),
        (lambda: OptimConfig(warmup=-0.1), "warmup -0.1 must be"),
        (lambda: OptimConfig(mixup=-1), "mixup -1 must not be negative"),
        (lambda: TrainConfig(epochs=0), "epochs 0 and batch 512: at least 1 epoch"),
        (lambda: TrainConfig(batch=1), "batch of 2"),
        (lambda: TrainConfig(seed=2**31), "seed 2147483648: 0 to"),
        (lambda: TrainConfig(seed=-1), "seed -1: 0 to"),
        (lambda: TrainConfig(checkpoint_every=-1), "must not be negative"),
        (lambda: DistillConfig(teachers=()), "method 'kd' needs teachers; name at least one"),
        (lambda: DistillConfig(teachers=("a",), label_weight=-1), "label_weight -1 must not be negative"),
        (lambda: MethodConfig(name="kd", weight=-1), "weight -1 of method 'kd' must not be negative"),
    ],
)
def test_impossible_values(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a\\b"])
def test_names_that_are_no_folders(small: Any, name: str) -> None:
    with pytest.raises(ConfigError, match="is also a folder's name"):
        replace(small(), name=name)


def foreign_packs(drawn: Path, folder: Path) -> dict[str, str]:
    """Packs a recipe on ``small-train`` cannot use as test data."""
    pack = Pack.open(drawn / "small-test")
    samples = [Sample(pack.charset[0], 255 - pack.images[i]) for i in range(2)]
    write_pack(folder / "strangers", [Sample("龟", s.image) for s in samples], normalization=pack.normalization)
    write_pack(folder / "larger", samples, normalization=Normalization(side=24), charset=pack.charset)
    return {name: str(folder / name) for name in ("strangers", "larger", "missing")}


def test_data_that_does_not_fit_is_refused_before_anything_is_written(small: Any, drawn: Path, tmp_path: Path) -> None:
    packs = foreign_packs(drawn, tmp_path)
    folder = tmp_path / "run"
    for recipe, error, message in (
        (small(train={"batch": 81}), ConfigError, "train.batch 81 is larger than the 80 training samples"),
        (small(data={"train": packs["missing"]}), PackError, "missing: not a pack"),
        (small(data={"test": packs["missing"]}), PackError, "missing: not a pack"),
        (small(data={"test": packs["larger"]}), PackError, r"larger: packed as fit-24\+2.v3, but fit-16\+2.v3 is"),
        (small(data={"test": packs["strangers"]}), CharsetError, r"strangers: 1 label\(s\) outside the .*: 龟"),
    ):
        with pytest.raises(error, match=message):
            run(recipe, folder)
        assert not folder.exists()


def test_teachers_that_do_not_fit_are_refused(small: Any, drawn: Path, tmp_path: Path, tiny_run: Path) -> None:
    run(small(train={"epochs": 1}), tmp_path / "teacher")
    pack = Pack.open(drawn / "small-train")
    images = [255 - image for image in pack.images]
    samples = [Sample(pack.charset[c], image) for image, c in zip(images, pack.labels, strict=True)]
    more = Charset((*pack.charset, "龟"))
    write_pack(tmp_path / "more", samples, normalization=pack.normalization, charset=more)
    write_pack(tmp_path / "other", samples, normalization=Normalization(method="moment", side=16), charset=pack.charset)

    def distilling(teacher: Path, data: str = "", **method: Any) -> Recipe:
        distill = DistillConfig(teachers=(str(teacher),), methods=(MethodConfig(**{"name": "kd", **method}),))
        return small(distill=distill, **({"data": {"train": str(tmp_path / data), "test": None}} if data else {}))

    teacher = tmp_path / "teacher"
    for recipe, error, message in (
        (distilling(tiny_run), ConfigError, r"tiny-run: the teacher reads fit-32\+2.v3, the data is fit-16"),
        (distilling(teacher, "more"), CharsetError, "teacher knows 5 characters, but 1 of the data's 6 .*龟"),
        (distilling(teacher, "other"), ConfigError, r"the teacher reads fit-16\+2.v3, the data is moment-16"),
        (distilling(tmp_path / "none"), CheckpointError, "none: no such file"),
        (distilling(teacher, name="kdd"), ConfigError, "'kdd' is unknown; did you mean 'kd'"),
        (distilling(teacher, options={"t": 1}), ConfigError, "no option 't'; known: temperature"),
        (distilling(teacher, name="at", options={"layers": ["layer9"]}), ConfigError, "the net has no layer 'layer9'"),
        (distilling(teacher, name="at", options={"layers": ["fc"]}), ConfigError, r"'fc' gives \(2, 5\), no map"),
    ):
        with pytest.raises(error, match=message):
            run(recipe, tmp_path / "run")
        assert not (tmp_path / "run").exists()
