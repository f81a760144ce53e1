"""New characters from a few pictures: accuracy on new and old characters, as Markdown.

    python benchmarks/extend.py DATA [--bundle free] [--held-out FILE | --forget] [--pictures 1 5] [--seeds 3]

DATA holds hwdb100-train, hwdb100-test, hcl-address and radicals32-test (.gnt.xz). The new characters are those of
hwdb100, or of the text file ``--held-out``; their pictures are taken from hwdb100-train by chance and they are tested
on hwdb100-test among all characters. A bundle that knows them must have its rows of these classes removed with
``--forget``: the net has seen them all the same, so the figures are an upper bound. Old characters are those of the
other two files; the loss is that of all new characters together.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hanmo.charset import Charset
from hanmo.classifier import read_classifier
from hanmo.data.read import read_samples
from hanmo.errors import BlankImageError
from hanmo.own.extend import blend_strokes
from hanmo.own.pictures import views
from hanmo.own.prototypes import Rows, fit_rows, prototypes_of
from hanmo.own.reference import Floats, Reference, features_and_logits, make_reference
from hanmo.recognizer import Recognizer

OLD = ("hcl-address", "radicals32-test")


class Samples(NamedTuple):
    squares: NDArray[np.uint8]
    labels: list[str]


def load(reader: Recognizer, path: Path, limit: int = 0) -> Samples:
    """The squares of a file; with ``limit`` only so many, evenly spread."""
    samples = list(read_samples([path]))
    if limit:
        samples = [samples[i] for i in np.linspace(0, len(samples) - 1, min(limit, len(samples))).astype(int)]
    squares, labels = [], []
    for sample in samples:
        try:
            squares.append(reader.bundle.normalization(sample.image))
            labels.append(sample.label)
        except BlankImageError:
            continue
    return Samples(np.stack(squares), labels)


class Setting:
    """Everything that does not depend on the chosen pictures."""

    def __init__(self, reader: Recognizer, data: Path, new: list[str], limit: int, strokes: bool) -> None:
        self.reader, self.new, self.strokes = reader, new, strokes
        charset = reader.bundle.charset
        self.kept = np.array([i for i, c in enumerate(charset) if c not in set(new)])
        self.charset = Charset(charset[i] for i in self.kept)
        self.reference = self._without(make_reference(reader))
        self.train = load(reader, data / "hwdb100-train.gnt.xz")
        test = load(reader, data / "hwdb100-test.gnt.xz", limit)
        chosen = [i for i, label in enumerate(test.labels) if label in new]
        self.truth = np.array([new.index(test.labels[i]) for i in chosen])
        self.test, logits = features_and_logits(reader, test.squares[chosen])
        self.test_logits = logits[:, self.kept]
        self.old = {name: self._old(load(reader, data / f"{name}.gnt.xz", limit)) for name in OLD}

    def _without(self, reference: Reference) -> Reference:
        """The reference as a reader without the new classes would make it."""
        place = {int(c): i for i, c in enumerate(self.kept)}
        rows = np.array([i for i, c in enumerate(reference.labels) if int(c) in place])
        labels = np.array([place[int(c)] for c in reference.labels[rows]])
        classifier = read_classifier(self.reader.bundle.model)
        return reference._replace(
            classifier=type(classifier)(classifier.weight[self.kept], classifier.bias[self.kept]),
            features=reference.features[rows],
            labels=labels,
            logits=reference.logits[rows][:, self.kept],
        )

    def _old(self, samples: Samples) -> tuple[Floats, Floats, NDArray[np.int64]]:
        known = [i for i, label in enumerate(samples.labels) if label in self.charset]
        features, logits = features_and_logits(self.reader, samples.squares[known])
        return features, logits[:, self.kept], self.charset.encode([samples.labels[i] for i in known])

    def rows(self, pictures: int, seed: int) -> Rows:
        """The rows of all new characters, each from so many pictures."""
        rng = np.random.default_rng(seed)
        squares, labels = [], []
        for character in self.new:
            own = [i for i, label in enumerate(self.train.labels) if label == character]
            for i in rng.choice(own, pictures, replace=False):
                squares.append(views(self.train.squares[i]))
                labels += [character] * len(squares[-1])
        features, _ = features_and_logits(self.reader, np.concatenate(squares))
        prototypes = prototypes_of(features, labels)[1]
        if self.strokes:
            prototypes = blend_strokes(self.reader, self.new, prototypes, np.full(len(self.new), pictures))
        return fit_rows(self.reference, prototypes)


def measure(setting: Setting, rows: Rows) -> list[float]:
    """Top-1 of the new characters among all, closed to themselves, and the points that each old file loses."""
    new = setting.test @ rows.weight.T + rows.bias
    right = new.argmax(axis=1) == setting.truth
    figures = [
        100 * float((right & (new.max(axis=1) > setting.test_logits.max(axis=1))).mean()),
        100 * float(right.mean()),
    ]
    for features, logits, labels in setting.old.values():
        known = logits.argmax(axis=1) == labels
        taken = (features @ rows.weight.T + rows.bias).max(axis=1) > logits.max(axis=1)
        figures.append(100 * float((known & taken).mean()))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle", default="free")
    parser.add_argument("--held-out", type=Path, help="text file of the new characters; those of hwdb100 if not given")
    parser.add_argument("--forget", action="store_true", help="remove their rows from a bundle that knows them")
    parser.add_argument("--pictures", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=0, help="samples a test file, evenly spread; 0: all")
    parser.add_argument("--no-strokes", action="store_true", help="prototypes of the pictures alone")
    args = parser.parse_args()
    reader = Recognizer(args.bundle)
    new = sorted({s.label for s in read_samples([args.data / "hwdb100-test.gnt.xz"])})
    if args.held_out:
        new = [c for c in new if c in args.held_out.read_text(encoding="utf-8")]
    known = [c for c in new if c in reader.bundle.charset]
    if known and not args.forget:
        parser.error(f"bundle {reader.bundle.name} knows {len(known)} of the {len(new)} characters; --forget them")
    setting = Setting(reader, args.data, new, args.limit, not args.no_strokes)
    for name, (_, logits, labels) in setting.old.items():
        print(f"{name}: {100 * (logits.argmax(axis=1) == labels).mean():.2f} % before", file=sys.stderr)
    print("| pictures | new, among all | new, closed | " + " | ".join(f"{name} loses" for name in OLD) + " |")
    print("|---" * (3 + len(OLD)) + "|")
    for pictures in args.pictures:
        runs = np.array([measure(setting, setting.rows(pictures, seed)) for seed in range(args.seeds)])
        cells = [f"{mean:.2f} ± {spread:.2f}" for mean, spread in zip(runs.mean(0), runs.std(0), strict=True)]
        print(f"| {pictures} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
