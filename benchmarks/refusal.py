"""Refusal of pictures that show no known character, and calibration of the probabilities.

    python benchmarks/refusal.py DATA --held-out PACK [--bundle B]

DATA holds the real files (.gnt.xz): hwdb100-test, radicals32-test and hcl-address should be read, rare-outside
(characters outside level 1) refused. Refused should also be what is drawn here: scribbles, Latin letters and digits.
PACK holds drawn characters the net was not trained on; a bundle's temperature and refusal are fitted on such a pack,
never on real ones (but how wild its characters are was chosen with an eye on these). Prints one JSON object a set: the
share read as the bundle refuses, the calibration error and, against all the real characters, the area under the ROC and
the share refused where 95 % of these are read, by evidence (which bundles use) and by the best probability.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hanmo import Recognizer
from hanmo.charset import Charset
from hanmo.data.pack import Pack
from hanmo.data.read import read_samples
from hanmo.evaluate.calibration import expected_calibration_error
from hanmo.probability import evidence, softmax
from hanmo.train.plots import BRUSH, CINNABAR, JADE

REAL = ("hwdb100-test", "radicals32-test", "hcl-address")
SCORES = ("evidence", "probability")
SIDE = 96
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
Grey = NDArray[np.uint8]


def scribble(random: np.random.Generator) -> Grey:
    """A pen that wanders: one to three smooth or jagged lines."""
    picture = Image.new("L", (SIDE * 4, SIDE * 4), 255)
    pen = ImageDraw.Draw(picture)
    for _ in range(random.integers(1, 4)):
        knots = random.uniform(0.1, 0.9, (random.integers(4, 14), 2)) * SIDE * 4
        if random.random() < 0.7:  # smooth: a curve through the middles of the knots' sides
            t = np.linspace(0, 1, 12)[:, None]
            middles = (knots[1:] + knots[:-1]) / 2
            arcs = zip(middles[:-1], knots[1:-1], middles[1:], strict=True)
            knots = np.concatenate([(1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c for a, b, c in arcs])
        pen.line([tuple(p) for p in knots], fill=0, width=int(random.integers(8, 20)), joint="curve")
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))


def letter(character: str, random: np.random.Generator) -> Grey:
    """A Latin letter or digit: Pillow's own font, slanted, turned, stretched and thickened."""
    picture = Image.new("L", (SIDE * 2, SIDE * 2), 255)
    font = ImageFont.load_default(size=SIDE)
    weight = int(random.integers(0, 4))
    ImageDraw.Draw(picture).text(
        (SIDE, SIDE), character, fill=0, font=font, anchor="mm", stroke_width=weight, stroke_fill=0
    )
    slant, aspect = random.normal(0, 0.2), np.exp(random.normal(0, 0.2))
    picture = picture.rotate(random.normal(0, 8), fillcolor=255, resample=Image.Resampling.BICUBIC)
    matrix = (aspect, slant, SIDE * (1 - aspect - slant), 0, 1, 0)
    return np.asarray(picture.transform(picture.size, Image.Transform.AFFINE, matrix, fillcolor=255))


def outsiders(count: int, seed: int = 0) -> Iterator[tuple[str, list[Grey]]]:
    random = np.random.default_rng(seed)
    yield "scribbles", [scribble(random) for _ in range(count)]
    yield "Latin letters and digits", [letter(LATIN[i % len(LATIN)], random) for i in range(count)]


def logits_of(reader: Recognizer, pictures: list[Grey]) -> NDArray[np.float32]:
    squares = np.stack([reader.bundle.normalization(picture) for picture in pictures])
    return np.concatenate([reader.logits(squares[i : i + 64]) for i in range(0, len(squares), 64)])


def auroc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """Chance that a character scores higher than an outsider; ties count half."""
    order = np.sort(outside)
    below = np.searchsorted(order, inside, "left") + np.searchsorted(order, inside, "right")
    return float(below.mean() / 2 / len(outside))


def plot(inside: NDArray[np.float64], outside: dict[str, NDArray[np.float64]], path: Path) -> None:
    """The share refused of each set of outsiders against the share of real characters read, at every threshold."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for row, axes in enumerate(figure.subplots(1, 2, sharey=True)):
        thresholds = np.quantile(inside[row], np.linspace(0, 0.3, 301))
        for (name, scores), colour in zip(outside.items(), (CINNABAR, BRUSH, JADE), strict=True):
            refused = [100 * float((scores[row] < threshold).mean()) for threshold in thresholds]
            axes.plot(np.linspace(100, 70, 301), refused, color=colour, label=name)
        axes.axvline(95, color="0.8", linewidth=1, zorder=0)
        axes.set(title=f"by {SCORES[row]}", xlabel="real characters read, %", xlim=(100, 70), ylim=(0, 100))
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("refused, %")
    figure.axes[0].legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=110)


def sets(
    data: Path, held_out: Path, reader: Recognizer, limit: int
) -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.int64] | None]]:
    """Name, logits (N, C) and classes (N,), or None where nothing is right."""
    charset: Charset = reader.bundle.charset
    pack = Pack.open(held_out)
    rows = np.linspace(0, len(pack.labels) - 1, min(limit, len(pack.labels))).astype(np.int64)
    squares = np.asarray(pack.images[rows])
    logits = np.concatenate([reader.logits(squares[i : i + 64]) for i in range(0, len(squares), 64)])
    yield "drawn, held out", logits, charset.encode(pack.charset.characters)[np.asarray(pack.labels)[rows]]
    for name in REAL:
        samples = [s for s in read_samples([data / f"{name}.gnt.xz"]) if s.label in charset]
        samples = [samples[i] for i in np.linspace(0, len(samples) - 1, min(limit, len(samples))).astype(int)]
        yield name, logits_of(reader, [s.image for s in samples]), charset.encode([s.label for s in samples])
    rare = [s.image for s in read_samples([data / "rare-outside.gnt.xz"]) if s.label not in charset]
    yield "rare-outside", logits_of(reader, rare), None
    for name, pictures in outsiders(1_000):
        yield name, logits_of(reader, pictures), None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--bundle", help="the embedded one by default")
    parser.add_argument("--limit", type=int, default=4_000, help="samples of a set, evenly spread")
    parser.add_argument("--plot", type=Path, help="draw the ROC here (.png)")
    args = parser.parse_args()
    reader = Recognizer(args.bundle, threads=2)
    bundle = reader.bundle
    inside: list[NDArray[np.float64]] = []
    outside: dict[str, NDArray[np.float64]] = {}
    for name, logits, classes in sets(args.data, args.held_out, reader, args.limit):
        probabilities = softmax(logits, bundle.temperature)
        best, stands_out = probabilities.max(1), evidence(logits)
        answered = (best >= bundle.refusal_threshold) & (stands_out >= bundle.least_evidence)
        record = {"set": name, "n": len(best), "read": round(100 * float(answered.mean()), 2)}
        if classes is not None:
            right = probabilities.argmax(1) == classes
            record |= {
                "top1": round(100 * float(right.mean()), 2),
                "top1_read": round(100 * float(right[answered].mean()), 2),
                "ece": round(100 * expected_calibration_error(best, right), 2),
            }
            if name in REAL:
                inside.append(np.stack((stands_out, best)))
        else:
            scores = np.concatenate(inside, 1)
            outside[name] = np.stack((stands_out, best))
            for row, score in enumerate(outside[name]):
                threshold = np.quantile(scores[row], 0.05)
                record |= {
                    f"auroc_{SCORES[row]}": round(auroc(scores[row], score), 4),
                    f"refused_{SCORES[row]}": round(100 * float((score < threshold).mean()), 2),
                }
        print(json.dumps(record, ensure_ascii=False), flush=True)
    if args.plot:
        plot(np.concatenate(inside, 1), outside, args.plot)


if __name__ == "__main__":
    main()
