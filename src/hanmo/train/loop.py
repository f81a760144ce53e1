"""The training loop: the same code for a net alone and a student with a teacher, on a CPU, a GPU or several.

Everything random in a step comes from generators seeded by (seed, step, rank), so a run continued from a checkpoint
repeats what an uninterrupted one would have done, bit for bit on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hanmo.distill import Distillation
from hanmo.errors import DivergedError
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.nets.quantization import quantized_state, train_quantized
from hanmo.nets.registry import build_net
from hanmo.train import augment
from hanmo.train.batches import Described, DeviceData, steps_of
from hanmo.train.checkpoint import (
    latest_checkpoint,
    load_into,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from hanmo.train.config import Recipe
from hanmo.train.initialisation import start_from
from hanmo.train.interrupt import deferred_interrupt
from hanmo.train.measure import measure
from hanmo.train.mixed import open_training
from hanmo.train.objective import Objective
from hanmo.train.optim import AveragedWeights, build_optimizer, learning_rate, mixing_share
from hanmo.train.pages import build_pages, random_keys
from hanmo.train.parallel import Processes, channels_last
from hanmo.train.run import RunFolder
from hanmo.train.speed import Speedometer, compiled, compiled_alone, precision_of
from hanmo.train.teachers import build_methods, build_teacher, connect

Record = dict[str, Any]


class Trainer:
    """Trains what ``recipe`` says into ``folder``. Build it, then :meth:`run`."""

    def __init__(
        self, recipe: Recipe, folder: Path, processes: Processes, on_record: Callable[[Record], None] = lambda r: None
    ) -> None:
        self.recipe, self.folder, self.processes, self.on_record = recipe, RunFolder(folder), processes, on_record
        device = processes.device
        torch.backends.cudnn.benchmark = True  # shapes never change: the fastest convolutions are worth a search
        self.pack: Described
        self.data, self.pack = open_training(recipe.data, device)
        self.test: DeviceData | None = None
        self.packs: dict[str, Described] = {"train": self.pack}
        if recipe.data.test:
            self.test, pack = DeviceData.open(recipe.data.test, self.pack.charset, device)
            pack.require(normalization=self.pack.normalization)
            self.packs["test"] = pack
        self.steps_an_epoch = steps_of(len(self.data), recipe.train.batch, processes)
        self.steps = self.steps_an_epoch * recipe.train.epochs
        self.teacher: FeatureHooks | None = None
        self.sources = self.pack.sources
        if recipe.distill:
            self.teacher, taught = build_teacher(recipe.distill, self.pack, device)
            self.sources = (*self.sources, *taught)
        student, distillation = self._untrained()
        self.net = student.net
        self.learners: list[nn.Module] = [self.net, distillation] if distillation else [self.net]
        self.objective = Objective(
            student,
            self.teacher,
            distillation,
            augment=recipe.augment,
            classes=len(self.pack.charset),
            label_smoothing=recipe.optim.label_smoothing,
            mixup=recipe.optim.mixup > 0,
            precision=precision_of(recipe.train.precision, device),
        )
        self.compute = compiled(self.objective, recipe.train.compile, device)
        pages = build_pages(recipe, self.data)
        self.show_pages = compiled_alone(pages.show, recipe.train.compile, device) if pages else None
        self.generator = torch.Generator(device)
        self._start_over()

    def _untrained(self) -> tuple[FeatureHooks, Distillation | None]:
        """The student and the methods that teach it as they are before the first step; the seed alone decides."""
        recipe = self.recipe
        torch.manual_seed(recipe.train.seed)  # weights are initialised by torch's global generator
        net = self._build_net()
        if recipe.train.start:
            self.sources = (*self.sources, *start_from(net, recipe.train.start, self.pack))
        if recipe.train.weight_bits:
            train_quantized(net, recipe.train.weight_bits)
        if recipe.distill is None:
            return FeatureHooks(net), None
        distillation = build_methods(recipe.distill)
        student = FeatureHooks(net, distillation.student_layers)
        connect(student, self.teacher, distillation, self.data.side, self._build_net)
        return student, distillation

    def _build_net(self) -> nn.Module:
        net = build_net(self.recipe.net, len(self.pack.charset), self.data.side)
        return channels_last(net, self.processes.device)

    def _start_over(self) -> None:
        optim = self.recipe.optim
        self.optimizer = build_optimizer(self.learners, optim)
        self.average = AveragedWeights(self.net, optim.ema) if optim.ema else None
        self.step = 0

    def again(self, seed: int, folder: Path) -> None:
        """Begin anew as a new trainer with ``seed`` would, into ``folder``; what is compiled stays compiled."""
        self.recipe = replace(self.recipe, train=replace(self.recipe.train, seed=seed))
        self.folder = RunFolder(folder)
        student, distillation = self._untrained()
        fresh = [student.net, distillation] if distillation else [student.net]
        for learner, untrained in zip(self.learners, fresh, strict=True):
            learner.load_state_dict(untrained.state_dict())
        self._start_over()

    def run(self, *, resume: bool = False) -> Record:
        """Train to the end and return the last record: ``top1``, ``top5``, ``images_per_s``, ``seconds`` ...

        ``resume`` goes on from the folder's last checkpoint; of a finished run it returns the record.
        """
        if self.processes.is_first:
            self.folder.start(self.recipe, resume=resume)
            self.folder.describe(self.processes.device, self.packs)
        self.processes.barrier()
        if resume:
            if finished := self.folder.final_record():
                return finished
            self._restore()
        try:
            with deferred_interrupt() as stop_if_asked:
                self._train(stop_if_asked)
        except KeyboardInterrupt:
            if self.processes.world == 1:  # several processes stop at different steps: their last checkpoint stands
                self._checkpoint()
            raise
        return self._finish()

    def _train(self, stop_if_asked: Callable[[], None]) -> None:
        recipe, train = self.recipe, self.recipe.train
        speed = Speedometer(self.processes.device)
        self.speed = speed
        while self.step < self.steps:
            epoch, start = divmod(self.step, self.steps_an_epoch)
            if epoch and not start:
                self._end_epoch(epoch)
                stop_if_asked()
            for images, labels in self.data.epoch(epoch, train.batch, train.seed, self.processes, start):
                rate = learning_rate(recipe.optim, self.step, self.steps)
                loss, parts = self.advance(images, labels, rate)
                self.step += 1
                speed.count(len(images) * self.processes.world)
                if speed.is_due() or self.step == self.steps:
                    self._log_training(loss, parts, rate, speed)
                stop_if_asked()

    def _end_epoch(self, done: int) -> None:
        train = self.recipe.train
        if train.evaluate_every and done % train.evaluate_every == 0:
            with self.speed.paused():
                self._evaluate("eval")
        if train.checkpoint_every and done % train.checkpoint_every == 0:
            with self.speed.paused():
                self._checkpoint()

    def advance(self, images: Tensor, labels: Tensor, rate: float) -> tuple[Tensor, dict[str, Tensor]]:
        """One optimiser step on one batch at learning rate ``rate``; returns the loss and its parts, on the device."""
        optim, device = self.recipe.optim, images.device
        seed = (self.recipe.train.seed * 1_000_000_007 + self.step) * 1024 + self.processes.rank
        generator = self.generator.manual_seed(seed % 2**63)
        drawn: augment.Randomness | None
        drawn = augment.draw(self.recipe.augment, len(images), images.shape[-1], generator)
        shown = empty = None
        if self.show_pages:
            images, shown, empty = self.show_pages(images, drawn, random_keys(len(images), generator))
            drawn = None  # these pictures are changed already
        share = torch.tensor(mixing_share(optim, seed), dtype=torch.float32).to(device, non_blocking=True)
        if self.recipe.net.dropout:
            torch.manual_seed(seed % 2**63)  # dropout draws from torch's global generator
        self.optimizer.zero_grad(set_to_none=True)
        loss, parts = self.compute(images, labels, drawn, share, shown, empty)
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

    def _log_training(self, loss: Tensor, parts: dict[str, Tensor], rate: float, speed: Speedometer) -> None:
        value = loss.item()
        if not math.isfinite(value):
            raise DivergedError(
                f"{self.folder.path}: the loss is {value} at step {self.step}; lower optim.learning_rate and train anew"
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
        self._share_statistics()
        record: Record = {"kind": kind, "step": self.step, "epoch": self.step / self.steps_an_epoch}
        if self.test is not None:
            own = {k: v.clone() for k, v in self.net.state_dict().items()}
            self.net.load_state_dict(self._weights())
            record |= measure(self.net, self.test)
            self.net.load_state_dict(own)
        if kind != "end":
            self._record(record)
        return record

    def _share_statistics(self) -> None:
        """Each process' norms have seen its own share of the batches only; from here on all hold the mean."""
        self.processes.average_(b for m in self.learners for b in m.buffers() if b.is_floating_point())
        if self.average:
            self.processes.average_(self.average.average.values())

    def _checkpoint(self) -> None:
        self._share_statistics()
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
        if path is None:  # stopped before the first checkpoint: it starts over
            if self.processes.is_first:
                self.folder.rewind(0)
            return
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
            bits, weights = self.recipe.train.weight_bits, self._weights()
            self.folder.save_weights(
                quantized_state(weights, bits) if bits else weights,
                self.recipe,
                self.pack,
                tuple(dict.fromkeys(self.sources)),
                accuracy,
            )
        record |= {"images_per_s": round(self.speed.median(), 1), "seconds": round(self.speed.seconds, 2)}
        self._record(record)
        self.processes.barrier()
        return record
