"""Compare the embedded readers on this machine with the recorded answers to 500 drawn pictures.

    python benchmarks/same_answers.py                      compares, and prints digests of every step
    python benchmarks/same_answers.py --pictures 20        the first 20 pictures only, for slow machines
    python benchmarks/same_answers.py --optimisations none lets ONNX Runtime run the nets without optimisations
    python benchmarks/same_answers.py --record             records the answers of this machine as the expected ones

It needs the core install only, no torch. Equal digests on two machines mean equal bytes: of the drawn pictures, of the
squares that the normalisation makes of them, and of the logits. The exit status is 1 where a top-1 differs from the
recorded one, where a probability differs by more than the bound, or where an answer depends on the batch or on the
number of threads.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import PIL
from numpy.typing import NDArray

from hanmo import onnxfile
from hanmo.builtin import EMBEDDED
from hanmo.medians import load_medians
from hanmo.probability import softmax
from hanmo.recognizer import Recognizer
from hanmo.strokes import draw

RECORDED = Path(__file__).parents[1] / "tests" / "golden" / "answers.json"
PICTURES = 500
SEED = 20
BOUND = 0.001
"""The largest difference to a recorded probability: three times the largest that was found on another processor
(0.0003, arm64, 50 pictures). The record itself is rounded to four decimals."""
LEVELS = {"all": "ORT_ENABLE_ALL", "extended": "ORT_ENABLE_EXTENDED", "basic": "ORT_ENABLE_BASIC"}
LEVELS["none"] = "ORT_DISABLE_ALL"
"""Sets of ONNX Runtime's graph optimisations; hanmo leaves it at "all"."""
BATCHES = (1, 64)
THREADS = (1, 2)

Squares = NDArray[np.uint8]
Logits = NDArray[np.float32]


def draw_pictures(count: int = PICTURES) -> list[NDArray[np.uint8]]:
    """The first ``count`` pictures of the set, uint8 (H, W) each: packaged strokes, distorted.

    Four of five show characters of GB2312 level 1, which all bundles know. Only operations that IEEE 754 rounds
    exactly are used, and the points are whole numbers, so that every machine draws the same pictures.
    """
    rng = np.random.default_rng(SEED)
    medians = load_medians(everything=True)
    level1 = len(load_medians().characters)
    pictures = []
    for number in range(count):
        first, last = (level1, len(medians.characters)) if number % 5 == 4 else (0, level1)
        strokes = medians.of(medians.characters[int(rng.integers(first, last))])
        # Stretched and sheared by up to a fifth; each stroke is moved and each point shaken by some hundredths.
        matrix = np.eye(2) + rng.uniform(-0.2, 0.2, (2, 2))
        shaken = [s + rng.uniform(-0.03, 0.03, 2) + rng.uniform(-0.015, 0.015, s.shape) for s in strokes]
        # Not by the operator @, whose order of sums depends on the machine's BLAS.
        places = [s[:, :1] * matrix[0] + s[:, 1:] * matrix[1] for s in shaken]
        pictures.append(degrade(draw([np.rint(1024 * place) for place in places]), rng))
    return pictures


def degrade(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture with paler ink, and noise of up to 12 grey levels on the paper and on the ink."""
    ink = int(rng.integers(0, 90))
    grey = 243 - (255 - picture.astype(np.int64)) * (243 - ink) // 255
    noise = rng.integers(-12, 13, picture.shape)
    return np.asarray((grey + noise).clip(0, 255), np.uint8)


@dataclass(frozen=True)
class Answers:
    """What one bundle answers: its squares (N, S, S), logits (N, C), and whether batch and threads change a bit."""

    characters: str
    probabilities: list[float]
    squares: Squares
    logits: Logits
    largest_difference: float
    """Between the logits of all batches and numbers of threads; 0 where they are bit-identical."""


def answer(name: str, pictures: list[NDArray[np.uint8]]) -> Answers:
    """Read all pictures with each of :data:`BATCHES` and :data:`THREADS`."""
    readers = [Recognizer(name, threads=threads) for threads in THREADS]
    bundle = readers[0].bundle
    squares = np.stack([bundle.normalization(picture) for picture in pictures])
    logits = [read(reader, squares, batch) for reader in readers for batch in BATCHES]
    probabilities = softmax(logits[0], bundle.temperature)
    best = probabilities.argmax(axis=1)
    return Answers(
        "".join(bundle.charset.characters[place] for place in best),
        [round(float(row[place]), 4) for row, place in zip(probabilities, best, strict=True)],
        squares,
        logits[0],
        max(float(np.abs(other - logits[0]).max()) for other in logits),
    )


def read(reader: Recognizer, squares: Squares, batch: int) -> Logits:
    """The logits (N, C) of the squares, so many at a time."""
    return np.concatenate([reader.logits(squares[at : at + batch]) for at in range(0, len(squares), batch)])


def problems(name: str, given: Answers, recorded: dict[str, Any]) -> list[str]:
    """Every way in which the answers differ from the recorded ones, as a line each."""
    found = []
    if given.largest_difference:
        found.append(f"{name}: batch or threads change a logit by {given.largest_difference:g}")
    expected = zip(recorded["top1"], recorded["probabilities"], strict=True)
    for number, (mine, (character, probability)) in enumerate(
        zip(zip(given.characters, given.probabilities, strict=True), expected, strict=False)
    ):
        if mine[0] != character:
            found.append(f"{name}: picture {number} is read as {mine[0]}, recorded is {character} ({probability})")
        elif abs(mine[1] - probability) > BOUND:
            found.append(f"{name}: picture {number}, {character}: probability {mine[1]}, recorded is {probability}")
    return found


def largest_gap(given: Answers, recorded: dict[str, Any]) -> float:
    """The largest difference to a recorded probability, where the character is the recorded one."""
    rows = zip(given.characters, given.probabilities, recorded["top1"], recorded["probabilities"], strict=False)
    return max((abs(mine - theirs) for one, mine, other, theirs in rows if one == other), default=0.0)


def set_optimisations(level: str) -> None:
    """Let every session that is opened from now on use the optimisations of one of :data:`LEVELS` only."""
    usual = onnxfile._options

    def limited(threads: int, spinning: bool) -> onnxruntime.SessionOptions:
        options = usual(threads, spinning)
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, LEVELS[level])
        return options

    onnxfile._options = limited


def digest(arrays: list[NDArray[Any]]) -> str:
    """The first 16 digits of the SHA-256 over the arrays' bytes."""
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()[:16]


def describe_machine() -> str:
    """The versions and the processor that answers can depend on."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]  # as the processor reports them, so also under emulation
    return (
        f"Python {platform.python_version()}, numpy {np.__version__}, Pillow {PIL.__version__}, "
        f"onnxruntime {onnxruntime.__version__}, {platform.machine()}; NumPy finds {', '.join(simd.get('found', []))}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=PICTURES, help="read only the first ones")
    parser.add_argument("--optimisations", choices=LEVELS, default="all", help="ONNX Runtime's graph optimisations")
    parser.add_argument("--record", action="store_true", help=f"write {RECORDED.name} instead of comparing with it")
    args = parser.parse_args()
    if args.record and (args.pictures, args.optimisations) != (PICTURES, "all"):
        parser.error("--record takes all pictures and all optimisations")
    set_optimisations(args.optimisations)
    pictures = draw_pictures(args.pictures)
    answers = {name: answer(name, pictures) for name in EMBEDDED}
    print(describe_machine())
    print(f"pictures   {digest([*pictures])}")
    print(f"squares    {digest([given.squares for given in answers.values()])}")
    if args.record:
        table = {n: {"top1": a.characters, "probabilities": a.probabilities} for n, a in answers.items()}
        RECORDED.write_text(json.dumps(table, ensure_ascii=False) + "\n", encoding="utf-8")
        return 0
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    found = []
    for name, given in answers.items():
        print(
            f"{name:10} {digest([given.logits])}  largest gap of a probability {largest_gap(given, recorded[name]):g}"
        )
        found += problems(name, given, recorded[name])
    print("\n".join(found) if found else f"the same answers to {len(pictures)} pictures")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
