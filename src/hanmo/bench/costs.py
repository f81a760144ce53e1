"""What a step of a training costs on the device, and what reading one character costs on a CPU."""

from __future__ import annotations

import gc
import tempfile
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

WARM_UP, STEPS = 8, 30


def step_cost(recipe: Recipe, processes: Processes, steps: int = STEPS) -> Record:
    """``ms`` a step (median; not compiled, since compiling hides what methods do differently) and peak ``mb``.

    The device should have nothing else to do; memory (MB, 10^6 bytes) is known on a GPU only. The teachers must have
    been trained.
    """
    device = processes.device
    on_gpu = device.type == "cuda"
    if on_gpu:
        gc.collect()  # hooks hold nets in cycles: the last row's must not count here
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    recipe = replace(recipe, train=replace(recipe.train, compile="no"))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, Path(folder), processes)
        times = []
        for images, labels in islice(_batches(trainer), WARM_UP + steps):
            if on_gpu:
                torch.cuda.synchronize(device)
            start = time.perf_counter()
            trainer.advance(images, labels, recipe.optim.learning_rate)
            trainer.step += 1
            if on_gpu:
                torch.cuda.synchronize(device)
            times.append(1000 * (time.perf_counter() - start))
    cost: Record = {"ms": round(float(np.median(times[WARM_UP:])), 3)}
    if on_gpu:
        cost["mb"] = round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    return cost


def _batches(trainer: Trainer) -> Iterator[tuple[Tensor, Tensor]]:
    train = trainer.recipe.train
    return chain.from_iterable(
        trainer.data.epoch(epoch, train.batch, train.seed, trainer.processes) for epoch in count()
    )


def reading_cost(net: NetConfig, classes: int, side: int, rounds: int = 60) -> Record:
    """Median ``ms`` of one square in fp32 on one CPU thread, the net alone. Weights are random: time does not depend
    on them."""
    torch.manual_seed(0)
    model = export_onnx(build_net(net, classes, side), side)
    reader = open_session(model, threads=1)
    square = np.random.default_rng(0).integers(0, 256, (1, 1, side, side), dtype=np.uint8)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        reader.run(None, {INPUT: square})
        times.append(1000 * (time.perf_counter() - start))
    return {"ms": round(float(np.median(times)), 3)}
