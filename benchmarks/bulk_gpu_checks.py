"""Whether a GPU gives what the CPU gives: the checks of bulk_gpu.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hanmo.bulk.packing import Packed
from hanmo.data.sample import Sample
from hanmo.recognizer import Recognizer

# Nothing here imports torch at the top: worker processes import this file.
_BATCH = 512


def agreement(
    reader: Recognizer, engine: Any, samples: Sequence[Sample], packed: Callable[[Sequence[Sample]], Packed]
) -> str:
    """How near the answers of ``engine`` are to those of a reader on the CPU. Squares must not differ by two levels."""
    unread = engine.normalized([packed(samples)]).unread.tolist()
    samples = [sample for sample, without in zip(samples, unread, strict=True) if not without]
    if not samples:
        return "The engine left all pictures unread."
    inspected = [reader.bundle.normalization.inspect(sample.image) for sample in samples]
    squares = np.stack([one.square for one in inspected])
    theirs = [
        one for start in range(0, len(squares), _BATCH) for one in reader.predict(squares[start : start + _BATCH])
    ]
    made = engine.normalized([packed(samples)]).squares.cpu().numpy()
    apart = np.abs(made.astype(int) - squares).reshape(len(squares), -1).max(1)
    assert apart.max() <= 1, f"squares differ by {apart.max()} levels"
    answers = engine([packed(samples)], lambda: None)
    ours = reader.named(answers.best, answers.probabilities, answers.known)
    pairs = [(a.candidates[0], b.candidates[0]) for a, b in zip(ours, theirs, strict=True)]
    same = [abs(a.probability - b.probability) for a, b in pairs if a.character == b.character]
    right = [sum(pair[way].character == s.label for pair, s in zip(pairs, samples, strict=True)) for way in (0, 1)]
    return (
        f"Of {len(samples):,} pictures, {(apart == 0).sum():,} have the same square as on the CPU; the others differ "
        f"by one grey level somewhere. {len(same):,} have the same best answer; {right[0]:,} on the device and "
        f"{right[1]:,} on the CPU are right. Probabilities of the same best answer differ by at most "
        f"{max(same, default=0):.2f}."
    )


def check_kernels(device: str) -> None:
    """Raise AssertionError where a step of :mod:`hanmo.gpu.fused` on ``device`` is not that of torch on the CPU."""
    import torch

    from hanmo.gpu.fused import Levels, dilated, rounded_product, rounded_sum

    random, levels = torch.Generator().manual_seed(0), Levels(0.03, 120, 0, 255)

    def numbers(*shape: int) -> Any:
        drawn = torch.randn(*shape, generator=random)
        return drawn.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else drawn

    maps = numbers(5, 32, 9, 7)
    others = {"a bias": numbers(1, 32, 1, 1), "a gate": numbers(5, 32, 1, 1), "maps": numbers(5, 32, 9, 7)}
    for kind in (torch.float32, torch.float16):
        for name, other in others.items():
            for first, second in ((maps, other), (other, maps)):
                pair = [x.to(kind) for x in (first, second)]
                steps: list[Callable[..., torch.Tensor]] = [rounded_sum, rounded_product]
                for step in steps:
                    expected = step(*(x.float() for x in pair), levels)
                    got = step(*(x.to(device) for x in pair), levels).cpu()
                    assert got.dtype == kind
                    # A number between two levels may go to either; half precision has 11 bits.
                    wrong = ((got.float() - expected).abs() > levels.scale * 1.01 + expected.abs() / 1000).sum()
                    moved = ((got.float() - expected).abs() > levels.scale / 2).float().mean()
                    assert wrong + (moved > 0.01) == 0, f"{step.__name__} with {name} in {kind} is wrong"
    cells = [torch.randint(0, 1 << 61, (1000,), generator=random) for _ in range(4)]
    assert torch.equal(dilated(*(x.to(device) for x in cells)).cpu(), dilated(*cells)), "dilated is wrong"
