"""Training what is to be small: weights of few bits, and a narrower net that begins with a wider one's channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hanmo.config import load_toml
from hanmo.errors import CheckpointError
from hanmo.nets.quantization import MIN_QUANTIZED_WEIGHTS
from hanmo.train.config import Recipe
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained


def train(recipe: Recipe, folder: Path, stop: int | None = None, *, resume: bool = False) -> dict[str, Any]:
    """Train; at the evaluation after step ``stop``, as if Ctrl-C were pressed, stop."""

    def on_record(record: dict[str, Any]) -> None:
        if record["kind"] == "eval" and record["step"] == stop:
            raise KeyboardInterrupt

    return Trainer(recipe, folder, Processes.join("cpu"), on_record).run(resume=resume)


def assert_same_weights(one: Path, other: Path) -> None:
    assert (one / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("ema", [0.9, 0.0])
def test_a_run_leaves_a_plain_net_of_few_values_and_can_be_resumed(small: Any, tmp_path: Path, ema: float) -> None:
    recipe = small(net={"name": "resnet16"}, optim={"ema": ema}, train={"epochs": 2, "weight_bits": 4})
    record = train(recipe, tmp_path / "run")
    assert load_toml(tmp_path / "run" / "recipe.toml", Recipe) == recipe
    trained = load_trained(tmp_path / "run")
    assert trained.accuracy["top1"] == record["top1"]
    most_values: dict[bool, list[int]] = {True: [], False: []}  # a channel, of large layers and of others
    for name, weight in trained.net.state_dict().items():
        if weight.ndim == 4 and len(weight[0].flatten()) > 15:
            counts = [len(torch.unique((c / c.abs().max() * 1e5).round())) for c in weight.flatten(1)]
            most_values[weight.numel() >= MIN_QUANTIZED_WEIGHTS].append(max(counts))
            assert weight.abs().max() > 0, name
    assert len(most_values[True]) == 6
    assert max(most_values[True]) <= 15 < min(most_values[False])
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "stopped", stop=5)
    train(recipe, tmp_path / "stopped", resume=True)
    assert_same_weights(tmp_path / "run", tmp_path / "stopped")


def test_a_trainer_begun_again_rounds_again(small: Any, tmp_path: Path) -> None:
    def recipe(seed: int) -> Recipe:
        return small(train={"epochs": 1, "seed": seed, "weight_bits": 3})  # type: ignore[no-any-return]

    train(recipe(2), tmp_path / "new")
    trainer = Trainer(recipe(1), tmp_path / "first", Processes.join("cpu"))
    trainer.run()
    trainer.restart(recipe(2), tmp_path / "again")
    trainer.run()
    assert_same_weights(tmp_path / "new", tmp_path / "again")


def test_a_narrower_net_begins_with_a_wider_ones_run(small: Any, tmp_path: Path) -> None:
    start = str(tmp_path / "wide")
    train(small(net={"width": 12}, train={"epochs": 1}), tmp_path / "wide")
    wide = load_trained(start)
    recipe = small(net={"name": "resnet16", "attention": "se"}, train={"epochs": 1, "start": start, "weight_bits": 4})
    trainer = Trainer(recipe, tmp_path / "narrow", Processes.join("cpu"))
    assert torch.equal(trainer.state.net.get_parameter("fc.bias"), wide.net.get_parameter("fc.bias"))
    begun = trainer.state.net.get_parameter("fc.weight").detach().clone()
    assert all(any(torch.equal(c, w) for w in wide.net.get_parameter("fc.weight").T) for c in begun.T)
    assert trainer.run()["top1"] >= 0
    trained = load_trained(tmp_path / "narrow")
    assert not torch.equal(trained.net.get_parameter("fc.weight"), begun)
    assert trained.trained_on == tuple(dict.fromkeys(("synth", *wide.trained_on)))
    with pytest.raises(CheckpointError, match="of another net"):
        Trainer(small(net={"width": 16}, train={"start": start}), tmp_path / "wider", Processes.join("cpu"))
