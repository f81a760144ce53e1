"""The training loop: the same code for a net alone and a student with a teacher, on a CPU, a GPU or several.

Everything random in a step comes from generators seeded by (seed, step, rank), so a run continued from a checkpoint
repeats what an uninterrupted one would have done, bit for bit on a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hanmo.errors import HanmoError
from hanmo.evaluate.metrics import topk_accuracy
from hanmo.nets.registry import build_net
from hanmo.nets.taps import Tapped
from hanmo.train import augment
from hanmo.train.batches import DeviceData
from hanmo.train.checkpoint import (
    latest_checkpoint,
    load_into,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from hanmo.train.config import Recipe
from hanmo.train.objective import Objective, standardise
from hanmo.train.optim import AveragedWeights, build_optimizer, learning_rate
from hanmo.train.parallel import Processes, channels_last
from hanmo.train.run import RunFolder
from hanmo.train.teaching import build_teaching, connect

Record = dict[str, Any]
LOG_SECONDS = 2.0
"""A training record is written about this often; reading the loss waits for the device, so not every step."""


class Trainer:
    """Trains what ``recipe`` says into ``folder``. Build it, then :meth:`run`."""

    def __init__(
        self, recipe: Recipe, folder: Path, processes: Processes, on_record: Callable[[Record], None] = lambda r: None
    ) -> None:
        self.recipe, self.folder, self.processes, self.on_record = recipe, RunFolder(folder), processes, on_record
        device = processes.device
        torch.backends.cudnn.benchmark = True  # shapes never change: the fastest convolutions are worth a search
        torch.manual_seed(recipe.train.seed)  # nets are initialised by torch's global generator
        self.data, self.pack = DeviceData.open(recipe.data.train, None, device)
        self.test: DeviceData | None = None
        packs = {"train": self.pack}
        if recipe.data.test:
            self.test, packs["test"] = DeviceData.open(recipe.data.test, self.pack.charset, device)
            packs["test"].require(normalization=self.pack.normalization)
        self.packs = packs
        self.steps_an_epoch = self.data.steps(recipe.train.batch)
        self.steps = self.steps_an_epoch * recipe.train.epochs
        self.net = channels_last(build_net(recipe.net, len(self.pack.charset), self.data.side), device)
        teacher, distillation = build_teaching(recipe.distill, self.pack, device)
        student = Tapped(self.net, distillation.student_layers if distillation else ())
        if teacher and distillation:
            connect(student, teacher, distillation, self.data.side)
        self.learners: list[nn.Module] = [self.net, distillation] if distillation else [self.net]
        self.objective = Objective(
            student,
            teacher,
            distillation,
            augment=recipe.augment,
            classes=len(self.pack.charset),
            label_smoothing=recipe.optim.label_smoothing,
            mixup=recipe.optim.mixup > 0,
            precision=self._precision(),
        )
        self.optimizer = build_optimizer(self.learners, recipe.optim)
        self.average = AveragedWeights(self.net, recipe.optim.ema) if recipe.optim.ema else None
        self.generator = torch.Generator(device)
        self.step = 0

    def _precision(self) -> torch.dtype:
        wanted = self.recipe.train.precision
        on_gpu = self.processes.device.type == "cuda"
        return torch.bfloat16 if wanted == "bf16" or (wanted == "auto" and on_gpu) else torch.float32

    def run(self, *, resume: bool = False) -> Record:
        """Train to the end and return the last record: ``top1``, ``top5``, ``images_per_s``, ``seconds`` ..."""
        if self.processes.is_first:
            self.folder.start(self.recipe, resume=resume)
            self.folder.describe(self.processes.device, self.packs)
        self.processes.barrier()
        if resume:
            self._restore()
        try:
            self._train()
        except KeyboardInterrupt:
            self._checkpoint()
            raise
        return self._finish()

    def _train(self) -> None:
        recipe, train = self.recipe, self.recipe.train
        compute = compiled(self.objective, train.compile, self.processes.device)
        speed = _Speed(self.processes.device)
        self.speed = speed
        while self.step < self.steps:
            epoch, start = divmod(self.step, self.steps_an_epoch)
            for images, labels in self.data.epoch(epoch, train.batch, train.seed, self.processes, start):
                rate = learning_rate(recipe.optim, self.step, self.steps)
                loss, parts = self.advance(compute, images, labels, rate)
                self.step += 1
                speed.count(len(images) * self.processes.world)
                if speed.is_due() or self.step == self.steps:
                    self._log_training(loss, parts, rate, speed)
            done = epoch + 1
            if done < train.epochs:
                if train.evaluate_every and done % train.evaluate_every == 0:
                    self._evaluate("eval")
                if train.checkpoint_every and done % train.checkpoint_every == 0:
                    self._checkpoint()
                speed.restart()

    def advance(
        self, compute: Callable[..., tuple[Tensor, dict[str, Tensor]]], images: Tensor, labels: Tensor, rate: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One optimiser step on one batch at learning rate ``rate``; returns the loss and its parts, on the device."""
        optim, device = self.recipe.optim, images.device
        seed = (self.recipe.train.seed * 1_000_000_007 + self.step) * 1024 + self.processes.rank
        randomness = augment.draw(
            self.recipe.augment, len(images), self.data.side, self.generator.manual_seed(seed % 2**63)
        )
        share = torch.tensor(_mixing_share(optim.mixup, seed), dtype=torch.float32).to(device, non_blocking=True)
        self.optimizer.zero_grad(set_to_none=True)
        loss, parts = compute(images, labels, randomness, share)
        loss.backward()  # type: ignore[no-untyped-call]
        self.processes.average_gradients(self.learners)
        if optim.clip:
            nn.utils.clip_grad_norm_([p for m in self.learners for p in m.parameters()], optim.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        if self.average:
            self.average.update(self.step)
        return loss, parts

    def _log_training(self, loss: Tensor, parts: dict[str, Tensor], rate: float, speed: _Speed) -> None:
        value = loss.item()
        if not math.isfinite(value):
            raise HanmoError(
                f"{self.folder.path}: the loss is {value} at step {self.step}; lower optim.learning_rate and --resume"
            )
        self._record(
            {
                "kind": "train",
                "step": self.step,
                "epoch": self.step / self.steps_an_epoch,
                "loss": value,
                "lr": rate,
                "images_per_s": round(speed.rate(), 1),
                **({"parts": {k: v.item() for k, v in parts.items()}} if len(parts) > 1 else {}),
            }
        )

    def _record(self, record: Record) -> None:
        if self.processes.is_first:
            self.folder.log(record)
            self.on_record(record)

    def _weights(self) -> dict[str, Tensor]:
        return self.average.state_dict(self.net) if self.average else dict(self.net.state_dict())

    def _evaluate(self, kind: str) -> Record:
        """Measure the averaged weights on the test pack (each process all of it: tests are small)."""
        self.processes.average_buffers(self.net)
        record: Record = {"kind": kind, "step": self.step, "epoch": self.step / self.steps_an_epoch}
        if self.test is not None:
            own = {k: v.clone() for k, v in self.net.state_dict().items()}
            self.net.load_state_dict(self._weights())
            logits, labels = predict(self.net, self.test)
            self.net.load_state_dict(own)
            top = topk_accuracy(logits.numpy(), labels.numpy(), (1, 5))
            loss = nn.functional.cross_entropy(logits, labels).item()
            record |= {"top1": round(top[1], 3), "top5": round(top[5], 3), "loss": loss}
        if kind != "end":
            self._record(record)
        return record

    def _checkpoint(self) -> None:
        self.processes.average_buffers(self.net)
        if self.processes.is_first:
            tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
            tensors |= {f"optimizer.{k}": v for k, v in optimizer_tensors(self.optimizer).items()}
            for learner in self.learners[1:]:
                tensors |= {f"method.{k}": v for k, v in learner.state_dict().items()}
            if self.average:
                tensors |= {f"average.{k}": v for k, v in self.average.average.items()}
            save_checkpoint(self.folder.checkpoints, self.step, tensors, {"net": str(self.recipe.net)})
        self.processes.barrier()

    def _restore(self) -> None:
        path = latest_checkpoint(self.folder.checkpoints)
        if path is None:
            return  # stopped before the first checkpoint: it starts over
        tensors, header = load_tensors(path)

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        load_into(self.net, part("net."), str(path))
        for learner in self.learners[1:]:
            load_into(learner, part("method."), str(path))
        restore_optimizer(self.optimizer, part("optimizer."))
        if self.average:
            for name, tensor in part("average.").items():
                self.average.average[name].copy_(tensor)
        self.step = int(header["step"])
        if self.processes.is_first:
            self.folder.rewind(self.step)

    def _finish(self) -> Record:
        record = self._evaluate("end")
        accuracy: dict[str, float] = {k: record[k] for k in ("top1", "top5") if k in record}
        if self.processes.is_first:
            self.folder.save_weights(self._weights(), self.recipe, self.pack, accuracy)
        record |= {"images_per_s": round(self.speed.median(), 1), "seconds": round(self.speed.seconds, 2)}
        self._record(record)
        self.processes.barrier()
        return record


@torch.no_grad()
def predict(net: nn.Module, data: DeviceData, batch: int = 1024) -> tuple[Tensor, Tensor]:
    """Logits float32 (N, C) and labels (N,) of every sample, on the CPU; the net is left as it was."""
    was_training = net.training
    net.eval()
    logits = [
        net(standardise(augment.unchanged(images)).to(memory_format=torch.channels_last)).float().cpu()
        for images, _ in data.in_order(batch)
    ]
    net.train(was_training)
    return torch.cat(logits), data.labels.cpu()


def _mixing_share(alpha: float, seed: int) -> float:
    return float(np.random.default_rng(seed).beta(alpha, alpha)) if alpha > 0 else 1.0


def compiled(objective: Objective, mode: str, device: torch.device) -> Callable[..., tuple[Tensor, dict[str, Tensor]]]:
    """The objective through torch.compile, or as it is, as :class:`TrainConfig` says."""
    if mode == "no" or (mode == "auto" and device.type != "cuda"):
        return objective
    if mode == "no-graphs":
        return torch.compile(objective)
    computed = torch.compile(objective, mode="reduce-overhead")

    def compute(*inputs: Any) -> tuple[Tensor, dict[str, Tensor]]:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        result: tuple[Tensor, dict[str, Tensor]] = computed(*inputs)
        return result

    return compute


class _Speed:
    """Images a second between logs; the first interval, which compiles, is not counted in the median."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.began = device, time.perf_counter()
        self.rates: list[float] = []
        self.restart()

    def restart(self) -> None:
        self.images, self.since = 0, time.perf_counter()

    def count(self, images: int) -> None:
        self.images += images

    def is_due(self) -> bool:
        return time.perf_counter() - self.since > LOG_SECONDS

    def rate(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        rate = self.images / max(time.perf_counter() - self.since, 1e-9)
        self.rates.append(rate)
        self.restart()
        return rate

    def median(self) -> float:
        return float(np.median(self.rates[1:] or self.rates or [0.0]))

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began
