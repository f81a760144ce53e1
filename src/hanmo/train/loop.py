"""The training loop: one for a net alone and for a student with teachers, on a CPU, one GPU or several.

:class:`hanmo.train.setup.TrainingSetup` makes everything a training needs and
:class:`hanmo.train.state.TrainState` holds what changes; here the steps are taken, evaluated, logged and saved.

All random numbers of a step come from generators seeded by (seed, step, rank). So a run that goes on from a checkpoint
equals an uninterrupted one, bit for bit on a CPU.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hanmo.atomic import sole_writer
from hanmo.errors import CheckpointError, DamageWarning, DivergedError
from hanmo.nets.quantization import quantized_state
from hanmo.train.augment import distortion_left, sample_augmentation, weaken
from hanmo.train.checkpoint import checkpoints_in
from hanmo.train.config import Recipe
from hanmo.train.interrupt import deferred_interrupt
from hanmo.train.measure import measure
from hanmo.train.memory import batch_that_fits
from hanmo.train.optim import learning_rate, mixup_share
from hanmo.train.pages import random_keys
from hanmo.train.parallel import Processes
from hanmo.train.run import RunFolder
from hanmo.train.setup import TrainingSetup
from hanmo.train.speed import Speedometer
from hanmo.train.statistics import keep_statistics

Record = dict[str, Any]
"""One line of ``metrics.jsonl``; see :mod:`hanmo.train.run`."""


class Trainer:
    """Trains ``recipe`` into the run folder ``folder``. Build one, then call :meth:`run`.

    ``on_record`` is called with every record that is logged. Raises what opening the data, the teachers and the
    weights to start from raises (:class:`ConfigError`, :class:`PackError`, :class:`CharsetError`,
    :class:`CheckpointError`, :class:`ModelError`); nothing is written before :meth:`run`.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, processes: Processes, on_record: Callable[[Record], None] = lambda r: None
    ) -> None:
        self.folder, self.processes, self.on_record = RunFolder(folder), processes, on_record
        self.setup = TrainingSetup(recipe, processes)
        self.state = self.setup.state
        self.generator = torch.Generator(processes.device)
        self.speed = Speedometer(processes.device)

    @property
    def recipe(self) -> Recipe:
        return self.setup.recipe

    def restart(self, recipe: Recipe, folder: Path) -> None:
        """Become a trainer of ``recipe`` into ``folder`` without compiling again (:meth:`TrainingSetup.restart`)."""
        self.setup.restart(recipe)
        self.folder = RunFolder(folder)

    def run(self, *, resume: bool = False) -> Record:
        """Train to the end and return the last record: ``top1``, ``top5``, ``images_per_s``, ``seconds`` and others.

        With ``resume`` the run goes on from the last checkpoint in its folder; a finished run returns its last record.
        Raises :class:`DivergedError` when the loss is no finite number, :class:`StorageError` when the disk refuses,
        :class:`RunError` when the folder holds another run or another process trains there,
        :class:`CheckpointError` for a damaged checkpoint, and :class:`DeviceMemoryError` when the GPU's memory is full.
        """
        # Only the first of several processes writes.
        with sole_writer(self.folder.path) if self.processes.is_first else nullcontext():
            return self._run(resume)

    def _run(self, resume: bool) -> Record:
        if self.processes.is_first:
            self.folder.start(self.recipe, resume=resume)
            self.folder.describe(self.processes.device, self.setup.data.described)
        self.processes.barrier()
        if resume:
            if finished := self.folder.final_record():
                return finished
            self._load_checkpoint()
        try:
            with deferred_interrupt() as stop_if_asked:
                self._train(stop_if_asked)
        except KeyboardInterrupt:
            # Several processes stop at different steps, so together they have no state to save.
            if self.processes.world == 1:
                self._save_checkpoint()
            raise
        return self._finish()

    def _train(self, stop_if_asked: Callable[[], None]) -> None:
        """All steps from the state's on; ``stop_if_asked`` raises :class:`KeyboardInterrupt` after a Ctrl-C."""
        setup, state, train = self.setup, self.state, self.recipe.train
        self.speed = Speedometer(self.processes.device)
        while state.step < setup.steps:
            epoch, start = divmod(state.step, setup.steps_per_epoch)
            # At the start of the next epoch, not at the end of the last: a run that was stopped between the two then
            # evaluates and saves as an uninterrupted one would.
            if epoch and not start:
                self._end_epoch(epoch)
                stop_if_asked()
            for squares, labels in setup.data.train.epoch(epoch, train.batch, train.seed, self.processes, start):
                rate = learning_rate(self.recipe.optim, state.step, setup.steps)
                with batch_that_fits(self, squares, labels, rate):
                    loss, parts = self.advance(squares, labels, rate)
                self.speed.count(len(squares) * self.processes.world)
                if self.speed.is_due() or state.step == setup.steps:
                    self._log_step(loss, parts, rate)
                stop_if_asked()

    def advance(self, squares: Tensor, labels: Tensor, rate: float) -> tuple[Tensor, dict[str, Tensor]]:
        """One optimiser step at learning rate ``rate`` on squares, uint8 (n, S, S), and labels, int64 (n,).

        Returns the loss and its parts as 0-d tensors on the device: reading them would wait for the device.
        """
        state, optim = self.state, self.recipe.optim
        if self.recipe.train.fine_tune:
            keep_statistics(state.net)  # in every step: an evaluation puts all modules back into training mode
        # None rather than zeros: parameters without a gradient are then left alone by the optimiser, and memory is
        # saved.
        state.optimizer.zero_grad(set_to_none=True)
        loss, parts = self._loss(squares, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.processes.average_gradients(state.learners)
        # After the mean over processes, so that all of them clip by the same norm.
        if optim.clip:
            nn.utils.clip_grad_norm_([p for m in state.learners for p in m.parameters()], optim.clip)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.step()
        if state.average:
            state.average.update(state.step)
        state.step += 1
        return loss, parts

    def _loss(self, squares: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective on a batch, with the random numbers of this step."""
        setup, recipe, device = self.setup, self.recipe, squares.device
        # The multipliers keep (seed, step, rank) apart: up to 1,024 processes and a thousand million steps.
        seed = (recipe.train.seed * 1_000_000_007 + self.state.step) * 1024 + self.processes.rank
        torch_seed = seed % 2**63  # torch takes signed 64-bit seeds, NumPy whole numbers of any size
        generator = self.generator.manual_seed(torch_seed)
        randomness = sample_augmentation(recipe.augment, len(squares), squares.shape[-1], generator)
        randomness = weaken(randomness, distortion_left(recipe.augment, self.state.step, setup.steps))
        share = torch.tensor(mixup_share(recipe.optim, seed), dtype=torch.float32).to(device, non_blocking=True)
        if recipe.net.dropout or recipe.net.max_pool:
            torch.manual_seed(torch_seed)  # these layers take their numbers from torch's global generator
        if setup.show_pages is None:
            return setup.compute(squares, labels, randomness, share, None, None)
        student, teacher, empty = setup.show_pages(squares, randomness, random_keys(len(squares), generator))
        return setup.compute(student, labels, None, share, teacher, empty)  # None: these are augmented already

    def _end_epoch(self, done: int) -> None:
        """What the recipe asks for after ``done`` epochs: an evaluation, a checkpoint."""
        train = self.recipe.train
        if train.evaluate_every and done % train.evaluate_every == 0:
            with self.speed.paused():
                self._record(self._evaluate("eval"))
        if train.checkpoint_every and done % train.checkpoint_every == 0:
            with self.speed.paused():
                self._save_checkpoint()

    def _evaluate(self, kind: str) -> Record:
        """Measure the averaged weights on the test pack (every process all of it, since test packs are small)."""
        self.state.average_statistics(self.processes)
        record: Record = {"kind": kind, "step": self.state.step, "epoch": self._epochs_done()}
        if self.setup.data.test is not None:
            net = self.state.net
            # The averaged weights are lent to the net for the measurement; afterwards the training goes on with its
            # own.
            before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
            net.load_state_dict(self.state.weights())
            record |= measure(net, self.setup.data.test)
            net.load_state_dict(before)
        return record

    def _finish(self) -> Record:
        """Evaluate the finished net, save its weights and log the last record."""
        record = self._evaluate("end")
        if self.processes.is_first:
            weights, bits = self.state.weights(), self.recipe.train.weight_bits
            self.folder.save_weights(
                quantized_state(weights, bits) if bits else weights,
                self.recipe,
                self.setup.data.info,
                self.setup.sources,
                {name: record[name] for name in ("top1", "top5") if name in record},
            )
        record |= {"images_per_s": round(self.speed.median(), 1), "seconds": round(self.speed.seconds, 2)}
        self._record(record)
        self.processes.barrier()
        return record

    def _log_step(self, loss: Tensor, parts: dict[str, Tensor], rate: float) -> None:
        value = loss.item()
        if not math.isfinite(value):
            raise DivergedError(
                f"{self.folder.path}: the loss is {value} at step {self.state.step}; lower optim.learning_rate and "
                "train anew"
            )
        record: Record = {"kind": "train", "step": self.state.step, "epoch": self._epochs_done(), "loss": value}
        record |= {"lr": rate, "images_per_s": round(self.speed.rate(), 1)}
        if len(parts) > 1:  # one part alone is the loss itself
            record["parts"] = {name: part.item() for name, part in parts.items()}
        self._record(record)

    def _record(self, record: Record) -> None:
        if self.processes.is_first:
            self.folder.log(record)
            self.on_record(record)

    def _epochs_done(self) -> float:
        return self.state.step / self.setup.steps_per_epoch

    def _save_checkpoint(self) -> None:
        self.state.average_statistics(self.processes)
        if self.processes.is_first:
            self.state.save(self.folder.checkpoints, str(self.recipe.net))
        self.processes.barrier()

    def _load_checkpoint(self) -> None:
        """Load the last good checkpoint and drop log records after it; without any the training starts over."""
        problems: list[CheckpointError] = []
        for path in checkpoints_in(self.folder.checkpoints):
            try:
                self.state.load(path)
                break
            except CheckpointError as error:
                problems.append(error)
        else:
            if problems:  # all of them are bad, or of another net
                raise problems[0]
        if problems and self.processes.is_first:
            warnings.warn(f"{problems[0]}; going on from {path.name}", DamageWarning, stacklevel=2)
        if self.processes.is_first:
            self.folder.rewind(self.state.step)
