"""Measured costs: time and memory of a training step on the device, and time to read one character on a CPU."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hanmo.bench.jobs import Record
from hanmo.export.onnx import INPUT, export_onnx
from hanmo.nets.registry import NetConfig, build_net
from hanmo.onnxfile import open_session
from hanmo.train.config import Recipe
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes
from hanmo.train.speed import wait_for

WARM_UP, STEPS = 8, 30
"""Steps before timing starts (cuDNN tries its algorithms, memory is allocated), and steps that are timed."""


def step_cost(recipe: Recipe, processes: Processes, steps: int = STEPS) -> Record:
    """The cost of a training step: ``ms``, the median, and on a GPU ``mb``, the peak memory in 10^6 bytes.

    The step is not compiled: the gains of compiling depend on the method. The device should have nothing else to do,
    and the teachers must be trained already.
    """
    device = processes.device
    on_gpu = device.type == "cuda"
    if on_gpu:
        gc.collect()  # hooks and nets refer to each other; nets of the row before must not count here
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    recipe = replace(recipe, train=replace(recipe.train, compile="no"))
    trainer = Trainer(recipe, Path(), processes)  # writes nothing into its folder, because it is not run
    times = []
    for images, labels in islice(_batches(trainer), WARM_UP + steps):
        wait_for(device)
        start = time.perf_counter()
        trainer.advance(images, labels, recipe.optim.learning_rate)
        wait_for(device)
        times.append(1000 * (time.perf_counter() - start))
    # The median, because other programs delay single steps.
    cost: Record = {"ms": round(float(np.median(times[WARM_UP:])), 3)}
    if on_gpu:
        cost["mb"] = round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    return cost


def _batches(trainer: Trainer) -> Iterator[tuple[Tensor, Tensor]]:
    train = trainer.recipe.train
    # Epoch after epoch without end: a small pack may have fewer batches than steps are measured.
    return chain.from_iterable(
        trainer.setup.data.train.epoch(epoch, train.batch, train.seed, trainer.processes) for epoch in count()
    )


def reading_cost(net: NetConfig, classes: int, side: int, rounds: int = 60) -> Record:
    """``ms``: the median time in which the net alone reads one square, in fp32 on one CPU thread.

    Weights are random, because the time does not depend on them.
    """
    torch.manual_seed(0)
    model = export_onnx(build_net(net, classes, side), side)
    reader = open_session(model, threads=1)
    # One square at a time: this is the time that a user waits for one character.
    square = np.random.default_rng(0).integers(0, 256, (1, 1, side, side), dtype=np.uint8)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        reader.run(None, {INPUT: square})
        times.append(1000 * (time.perf_counter() - start))
    return {"ms": round(float(np.median(times)), 3)}
