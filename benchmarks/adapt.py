"""Adaptation to a hand: errors on a writer's other characters before and after, as Markdown.

    python benchmarks/adapt.py DATA [--bundle free] [--file hwdb100-test] [--writers 60] [--pictures 20 50] [--seeds 3]

DATA holds hwdb100-test.gnt.xz: 100 characters by 60 writers, in the writers' order within each character. Some samples
are missing and some are there twice, so that the order alone does not say who wrote a sample. :func:`writers_of` finds
the writers by aligning the characters' sequences by size, grey and stroke directions, without looking at the net.

For each writer and seed the bundle is adapted with that many characters chosen by chance and tested on the writer's
other characters, among all. "others" is the same with as many pictures of the same characters by other writers: what is
gained there is no adaptation to the hand. The settings were chosen with the writers of hwdb100-train (--writers 240).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hanmo.data.read import read_samples
from hanmo.data.sample import Sample
from hanmo.errors import BlankImageError
from hanmo.own.adaptation import CONFIDENT, Layer, Writer, choose
from hanmo.own.reference import features_and_logits, make_reference
from hanmo.probability import softmax
from hanmo.recognizer import Recognizer

Floats = NDArray[np.float64]

_SKIPPED = _TWICE = 4.0
"""Cost, in log-likelihood, of a writer without a sample and of a writer with two."""
_ROUNDS = 12


def style_of(image: NDArray[np.uint8]) -> list[float]:
    """Facts of a picture by which writers differ: size, grey levels, stroke width, and directions of edges."""
    grey = image.astype(np.float64)
    ink = grey < 200
    levels = grey[ink] if ink.any() else np.array([255.0])
    edge = np.abs(np.diff(ink.astype(int), axis=0)).sum() + np.abs(np.diff(ink.astype(int), axis=1)).sum() + 1
    down, across = np.gradient(255 - grey) if min(image.shape) > 1 else (np.zeros_like(grey),) * 2
    angle, strength = np.arctan2(down, across) % np.pi, np.hypot(down, across)
    directions = np.histogram(angle, 8, (0, np.pi), weights=strength)[0]
    return [
        *np.log(image.shape),
        levels.mean(),
        *np.percentile(levels, (5, 50)),
        ink.sum() / edge,
        ink.mean(),
        *directions / (directions.sum() + 1e-6),
    ]


def writers_of(samples: list[Sample], writers: int) -> NDArray[np.int64]:
    """The writer of each sample, (N,), from the samples' order within each character.

    Alternates between the mean style of each writer and, for each character, the best ascending assignment of its
    samples to writers (dynamic programming), as a hidden Markov model does.
    """
    labels = np.array([sample.label for sample in samples])
    styles = np.array([style_of(sample.image) for sample in samples])
    rows = [np.flatnonzero(labels == label) for label in dict.fromkeys(labels)]
    series = [(styles[r] - styles[r].mean(0)) / (styles[r].std(0) + 1e-6) for r in rows]
    places = [np.rint(np.linspace(0, writers - 1, len(r))).astype(int) for r in rows]
    for _ in range(_ROUNDS):
        everything, everyone = np.concatenate(series), np.concatenate(places)
        means = np.zeros((writers, styles.shape[1]))
        np.add.at(means, everyone, everything)
        means /= np.maximum(np.bincount(everyone, minlength=writers), 1)[:, None]
        variance = np.square(everything - means[everyone]).mean(0)
        # Halved once more, as the facts are not independent of each other.
        places = [_assigned((np.square(s[:, None] - means) / variance).sum(2) / 4) for s in series]
    found = np.zeros(len(samples), np.int64)
    for r, p in zip(rows, places, strict=True):
        found[r] = p
    return found


def _assigned(costs: Floats) -> NDArray[np.int64]:
    """The ascending writers of one character's samples, for the cost (samples, writers) of each pair."""
    samples, writers = costs.shape
    step = np.arange(writers)[None, :] - np.arange(writers)[:, None]
    change = np.where(step > 0, _SKIPPED * (step - 1), np.where(step == 0, _TWICE, np.inf))
    total, back = costs[0] + _SKIPPED * np.arange(writers), np.zeros((samples, writers), np.int64)
    for i in range(1, samples):
        ways = total[:, None] + change
        back[i] = ways.argmin(0)
        total = ways.min(0) + costs[i]
    last = int((total + _SKIPPED * np.arange(writers)[::-1]).argmin())
    path = [last]
    for i in range(samples - 1, 0, -1):
        path.append(int(back[i][path[-1]]))
    return np.array(path[::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle", default="free")
    parser.add_argument("--file", default="hwdb100-test")
    parser.add_argument("--writers", type=int, default=60)
    parser.add_argument("--every", type=int, default=1, help="only every so many writers")
    parser.add_argument("--pictures", type=int, nargs="+", default=[20, 50])
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    reader = Recognizer(args.bundle)
    samples, squares = [], []
    for sample in read_samples([args.data / f"{args.file}.gnt.xz"]):
        try:
            squares.append(reader.bundle.normalization(sample.image))
            samples.append(sample)
        except BlankImageError:
            continue
    study = Study(reader, np.stack(squares), samples, writers_of(samples, args.writers))
    print("| pictures | learned from | errors before % | after % | fewer errors % | writers better | writers worse |")
    print("|---" * 7 + "|")
    for pictures in args.pictures:
        for source in ("labelled", "unlabelled", "others"):
            study.measure(pictures, source, args.seeds, args.every)


class Study:
    """All samples with their features, and what is measured on them."""

    def __init__(
        self, reader: Recognizer, squares: NDArray[np.uint8], samples: list[Sample], writers: NDArray[np.int64]
    ) -> None:
        self.writers, self.temperature = writers, reader.bundle.temperature
        self.labels = reader.bundle.charset.encode([sample.label for sample in samples])
        self.features, self.logits = features_and_logits(reader, squares)
        self.layer = Layer.of(make_reference(reader), reader.bundle)
        self.wrong = self.logits.argmax(axis=1) != self.labels

    def measure(self, pictures: int, source: str, seeds: int, every: int) -> None:
        """Print the row of one number of pictures from one source."""
        counts = [
            np.sum([self._errors(writer, pictures, source, seed) for seed in range(seeds)], axis=0)
            for writer in range(0, int(self.writers.max()) + 1, every)
        ]
        before, after, tested = np.array(counts).T
        cells = [
            f"{100 * before.sum() / tested.sum():.2f}",
            f"{100 * after.sum() / tested.sum():.2f}",
            f"{100 * (1 - after.sum() / before.sum()):.1f}",
            f"{int((after < before).sum())} of {len(before)}",
            f"{int((after > before).sum())} of {len(before)}",
        ]
        print(f"| {pictures} | {source} | " + " | ".join(cells) + " |", flush=True)

    def _errors(self, writer: int, pictures: int, source: str, seed: int) -> tuple[int, int, int]:
        """Errors before and after on the other characters of a writer, and their number."""
        rng = np.random.default_rng([seed, writer])
        own = np.flatnonzero(self.writers == writer)
        chosen = rng.permutation(np.unique(self.labels[own]))[:pictures]
        learned = np.isin(self.labels[own], chosen)
        given, tested = own[learned], own[~learned]
        if source == "others":
            given = rng.choice(np.flatnonzero(np.isin(self.labels, chosen) & (self.writers != writer)), len(given))
        classes, confidence = self.labels[given], np.ones(len(given))
        if source == "unlabelled":
            probabilities = softmax(self.logits[given], self.temperature)
            sure = probabilities.max(axis=1) >= CONFIDENT
            given, classes = given[sure], probabilities.argmax(axis=1)[sure]
            confidence = probabilities.max(axis=1)[sure]
        change, _, _ = choose(self.layer, Writer(self.features[given], classes, confidence), self.temperature)
        moved = change(self.features[tested]) - self.features[tested]
        answers = self.logits[tested] + moved @ self.layer.weight.T
        wrong = answers.argmax(axis=1) != self.labels[tested]
        return int(self.wrong[tested].sum()), int(wrong.sum()), len(tested)


if __name__ == "__main__":
    main()
