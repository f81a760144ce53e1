"""The embedded reader and PP-OCRv6 small, side by side: the same pictures, in turn, in one process on one thread.

    pip download --no-deps rapidocr==3.10.0 && unzip rapidocr-*.whl
    python benchmarks/peers.py DATA --peer rapidocr/models/PP-OCRv6_rec_small.onnx [--bundle B ...] [--limit 1000]

DATA holds hwdb100-test, radicals32-test and hcl-address (.gnt.xz). PP-OCRv6 reads lines, so it is helped: each picture
is its crop in a square, once without and once with a margin, and its answer is closed to our 3,755 characters
("unaided_top1" is not). Ours answers among all 3,755. Prints one JSON object a file and reader, then characters a
second in batches, then what a process needs for its first answer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hanmo import Recognizer
from hanmo.data.read import read_samples
from hanmo.onnxfile import open_session

Grey = NDArray[np.uint8]
Answer = tuple[list[str], str]
"""The five best candidates among hanmo's characters, and the text that the reader gives without that restriction."""
MARGIN = 0.08
"""Share of the square left white on every side; with it PP-OCRv6, a reader of lines, reads single characters better."""
FILES = ("hwdb100-test", "radicals32-test", "hcl-address")


class Paddle:
    """PP-OCRv6's recognition net, helped as the module says."""

    def __init__(self, model: Path, known: str, margin: float = 0.0) -> None:
        self.margin = margin
        self.net = open_session(model.read_bytes(), threads=1)
        self.labels = ["", *self.net.get_modelmeta().custom_metadata_map["character"].split("\n"), " "]
        self.closed = np.array([i for i, label in enumerate(self.labels) if label and label in known])

    def __call__(self, ink: Grey) -> Answer:
        height, width = ink.shape
        side = round(max(height, width) / (1 - 2 * self.margin))
        square = np.full((side, side), 255, np.uint8)
        top, left = (side - height) // 2, (side - width) // 2
        square[top : top + height, left : left + width] = ink
        grey = Image.fromarray(square).resize((48, 48), Image.Resampling.BILINEAR).convert("RGB")
        x = (np.asarray(grey, np.float32) / 255 - 0.5) / 0.5
        scores = self.net.run(None, {self.net.get_inputs()[0].name: x.transpose(2, 0, 1)[None]})[0][0]
        path = scores.argmax(1)
        text = "".join(self.labels[i] for i, before in zip(path, [0, *path[:-1]], strict=True) if i and i != before)
        order = np.argsort(-scores[:, self.closed].max(0))[:5]
        return [self.labels[self.closed[i]] for i in order], text


def ours(reader: Recognizer) -> Callable[[Grey], Answer]:
    def read(ink: Grey) -> Answer:
        result = reader.recognize(ink, top=5)
        return [c.character for c in result.candidates], result.candidates[0].character

    return read


def compare(path: Path, readers: dict[str, Callable[[Grey], Answer]], known: str, limit: int) -> None:
    samples = [s for s in read_samples([path]) if s.label in known]
    order = np.random.default_rng(0).permutation(len(samples))[:limit]
    hits = {name: np.zeros(3) for name in readers}
    times: dict[str, list[float]] = {name: [] for name in readers}
    for i in order:
        label, picture = samples[i].label, samples[i].image
        for name, read in readers.items():
            start = time.perf_counter()
            best, text = read(picture)
            times[name].append(1000 * (time.perf_counter() - start))
            hits[name] += [best[0] == label, label in best, text == label]
    for name in readers:
        top1, top5, unaided = (round(100 * float(share), 2) for share in hits[name] / len(order))
        quartiles = statistics.quantiles(times[name], n=4)
        record = {"file": path.name.split(".")[0], "reader": name, "n": len(order), "top1": top1, "top5": top5}
        record |= {
            "unaided_top1": unaided,
            "ms": round(quartiles[1], 2),
            "ms_quartiles": [round(q, 2) for q in quartiles],
        }
        print(json.dumps(record, ensure_ascii=False), flush=True)


def cold(runs: int = 9) -> None:
    """Seconds of fresh processes: importing hanmo, and from the start of Python to the first answer."""
    first = "import numpy as np, hanmo; p = np.full((100, 100), 255, np.uint8); p[20:80, 45:55] = 0; "
    first += "print(hanmo.Recognizer().recognize(p))"
    imports = "import time; t = time.perf_counter(); import hanmo; print(1000 * (time.perf_counter() - t))"
    whole, importing = [], []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", first], check=True, capture_output=True)
        whole.append(time.perf_counter() - start)
        printed = subprocess.run([sys.executable, "-c", imports], check=True, capture_output=True, text=True)
        importing.append(float(printed.stdout))
    record = {"first_answer_s": round(statistics.median(whole), 3), "import_ms": round(statistics.median(importing), 1)}
    print(json.dumps(record), flush=True)


def throughput(bundle: str | None, pictures: list[Grey]) -> None:
    """Characters a second in batches of 64 on two threads, normalisation included."""
    reader = Recognizer(bundle, threads=2)
    reader.recognize_batch(pictures[:64])
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        reader.recognize_batch(pictures)
        rates.append(len(pictures) / (time.perf_counter() - start))
    print(json.dumps({"reader": reader.bundle.name, "batched_per_s": round(statistics.median(rates))}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--peer", type=Path, help="PP-OCRv6_rec_small.onnx")
    parser.add_argument("--bundle", action="append", default=[], help="more bundles to compare; may be repeated")
    parser.add_argument("--limit", type=int, default=1_000, help="random samples a file (seed 0)")
    args = parser.parse_args()
    bundles = [Recognizer(path) for path in (None, *args.bundle)]
    known = "".join(bundles[0].bundle.charset)
    readers: dict[str, Callable[[Grey], Answer]] = {f"hanmo {r.bundle.name}": ours(r) for r in bundles}
    if args.peer:
        readers["PP-OCRv6 small, closed"] = Paddle(args.peer, known)
        readers[f"PP-OCRv6 small, closed, margin {MARGIN}"] = Paddle(args.peer, known, MARGIN)
    for name in FILES:
        compare(args.data / f"{name}.gnt.xz", readers, known, args.limit)
    pictures = [s.image for s, _ in zip(read_samples([args.data / "hcl-address.gnt.xz"]), range(1_024), strict=False)]
    for path in (None, *args.bundle):
        throughput(path, pictures)
    cold()


if __name__ == "__main__":
    main()
