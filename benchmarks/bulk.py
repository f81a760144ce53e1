"""The rate of ``hanmo recognize --out`` against the reader's own batch rate, and its peak memory.

    python benchmarks/bulk.py --out benchmarks/scale.md

Drawn characters of 96 x 96 pixels are read as a .gnt file and as a folder of PNG files. Three rates are compared:

net        ``Recognizer.logits`` of squares that are in memory: the net alone
batch      ``Recognizer.recognize_batch``: normalisation, net and answers; for .gnt of arrays that are in memory, for
           PNG of paths, so that decoding is a part of both
bulk       ``read_in_bulk`` from the disk into a file of results

All use the same number of processes, each on one thread. They run in turn, so that a busy moment of the machine hits
all; the figures are medians of the rounds. Starting the processes is left out, as it takes seconds whatever the number
of pictures. The processor time of a picture depends less on other programs than the rate does.

The rate of *bulk* leaves out the first and the last tenth of the rows. Up to a batch of each process is under way
then, so it is uncertain by one batch in 0.8 ``--batches``: by 6 % with 20.

For the peak memory nine of ten pictures are blank, so that the runs are short; each of them is a row like any other.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from PIL import Image

from hanmo.bulk import Options, Source, read_in_bulk
from hanmo.bulk.run import _BATCH
from hanmo.data.gnt import read_gnt, write_gnt
from hanmo.recognizer import Recognizer

DRAWN = 2048
MEMORY = "Peak memory with `nano`; nine of ten pictures are blank, so that the runs are short."
PEAK, CLOCK = "VmHWM", os.sysconf("SC_CLK_TCK")


class Speed(NamedTuple):
    """Pictures a second, and milliseconds of processor time a picture."""

    rate: float
    cost: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", nargs="+", default=["nano", "free"])
    parser.add_argument("--processes", nargs="+", type=int, default=sorted({1, len(os.sched_getaffinity(0))}))
    parser.add_argument(
        "--batches", type=int, default=20, help=f"batches of {_BATCH} pictures that a process reads in a round"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", nargs="*", type=int, default=[10_000, 50_000], help="pictures of the memory's runs")
    parser.add_argument("--out", type=Path, help="the table as Markdown; without it, it is printed only")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.batches < 5:
        parser.error(
            f"--batches is {args.batches}; at least 5 are needed, as the first and the last tenth are left out"
        )
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    if args.peak_of:
        print_peak(args.peak_of)
        return
    with tempfile.TemporaryDirectory() as folder:
        lines = report(args, Path(folder))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def report(args: argparse.Namespace, folder: Path) -> list[str]:
    draw(folder)
    lines = [
        "| bundle | source | processes | net /s | batch /s | bulk /s | bulk / batch | ms of processor: net | batch "
        "| bulk | bulk / batch |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    sources = {processes: grown_sources(folder, processes * args.batches * _BATCH) for processes in set(args.processes)}
    for bundle in args.bundles:
        for processes in args.processes:
            for name, path in sources[processes].items():
                lines.append(row(bundle, name, path, processes, args, folder))
                print(lines[-1], flush=True)
    lines += [
        "",
        MEMORY,
        "",
        "| pictures | source | peak memory, MB: first process | each worker |",
        "|---|---|---|---|",
    ]
    for count in args.memory:
        gnt, pngs = (grown(folder, count, mostly_blank=True) for grown in (grown_gnt, grown_pngs))
        for name, path in {"`.gnt`": gnt, "folder of PNG": pngs}.items():
            command = [sys.executable, __file__, "--peak-of", str(path)]
            peaks = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            lines.append(f"| {count:,} | {name} | {peaks[0]} | {peaks[1]} |")
            print(lines[-1], flush=True)
    head = (
        f"`python benchmarks/bulk.py --batches {args.batches} --rounds {args.rounds}`, onnxruntime "
        f"{onnxruntime.__version__}, {len(os.sched_getaffinity(0))} cores."
    )
    return ["# Reading in bulk", "", head, "", *lines]


def row(bundle: str, name: str, path: Path, processes: int, args: argparse.Namespace, folder: Path) -> str:
    """One line of the table: each way in turn, round by round."""
    plain = folder / "drawn.gnt"
    each = args.batches * _BATCH
    ways: dict[str, Callable[[], Speed]] = {
        "net": lambda: side_by_side(net_alone, bundle, plain, each // 4, processes),
        "batch": lambda: side_by_side(batch, bundle, plain if path.is_file() else folder / "drawn", each, processes),
        "bulk": lambda: bulk(bundle, path, processes, folder),
    }
    speeds: dict[str, list[Speed]] = {way: [] for way in ways}
    for _ in range(args.rounds):
        for way, measure in ways.items():
            speeds[way].append(measure())
    net, own, ours = (middle(speeds[way]) for way in ways)
    pairs = list(zip(speeds["bulk"], speeds["batch"], strict=True))
    rates = statistics.median(a.rate / b.rate for a, b in pairs)
    # Of processor time less is better, so the ratio is turned round: above 1, bulk costs less.
    costs = statistics.median(b.cost / a.cost for a, b in pairs)
    return (
        f"| `{bundle}` | {name} | {processes} | {net.rate:,.0f} | {own.rate:,.0f} | {ours.rate:,.0f} | {rates:.1%} "
        f"| {net.cost:.2f} | {own.cost:.2f} | {ours.cost:.2f} | {costs:.1%} |"
    )


def middle(speeds: list[Speed]) -> Speed:
    return Speed(statistics.median(s.rate for s in speeds), statistics.median(s.cost for s in speeds))


def draw(folder: Path) -> None:
    """Some thousand characters as ``drawn.gnt`` and as PNG files."""
    from hanmo.synth.mix import MixConfig
    from hanmo.synth.recipe import SynthRecipe
    from hanmo.synth.samples import draw_samples

    recipe = SynthRecipe(characters="level1", per_character=1, seed=5, mix=MixConfig(strokes=1.0, fonts=0.0))
    write_gnt(folder / "drawn.gnt", draw_samples(recipe, 0, DRAWN))
    (folder / "drawn").mkdir()
    for number, sample in enumerate(read_gnt(folder / "drawn.gnt")):
        Image.fromarray(sample.image).save(folder / "drawn" / f"{number:04d}.png")


def grown_sources(folder: Path, count: int) -> dict[str, Path]:
    return {"`.gnt`": grown_gnt(folder, count), "folder of PNG": grown_pngs(folder, count)}


def grown_gnt(folder: Path, count: int, *, mostly_blank: bool = False) -> Path:
    """The drawn samples again and again; with ``mostly_blank`` one drawn in ten, the others without ink."""
    path = folder / f"{count}.gnt"
    drawn = list(read_gnt(folder / "drawn.gnt"))
    blank = [sample._replace(image=np.full_like(sample.image, 255)) for sample in drawn]
    wanted = [drawn[n] if n % 10 == 0 or not mostly_blank else blank[n] for n in range(DRAWN)]
    write_gnt(path, islice(cycle(wanted), count))
    return path


def grown_pngs(folder: Path, count: int, *, mostly_blank: bool = False) -> Path:
    """The same as links to PNG files, a thousand a folder."""
    root = folder / f"{count}-png"
    drawn = sorted((folder / "drawn").iterdir())
    blank = folder / "blank.png"
    Image.new("L", (96, 96), 255).save(blank)
    wanted = [drawn[n] if n % 10 == 0 or not mostly_blank else blank for n in range(DRAWN)]
    for number, path in enumerate(islice(cycle(wanted), count)):
        place = root / f"{number // 1000:04d}" / f"{number % 1000:04d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(path)
    return root


def side_by_side(way: Callable[..., None], bundle: str, path: Path, each: int, processes: int) -> Speed:
    """The summed rate of processes that begin together, and the mean cost."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(processes), context.Queue()
    children = [context.Process(target=way, args=(bundle, path, each, barrier, answers)) for _ in range(processes)]
    for child in children:
        child.start()
    speeds = [Speed(*answers.get()) for _ in children]
    for child in children:
        child.join()
    return Speed(sum(s.rate for s in speeds), statistics.mean(s.cost for s in speeds))


def batch(bundle: str, path: Path, each: int, barrier: Any, answers: Any) -> None:
    reader, images = opened(bundle, path, each)
    reader.recognize_batch(images[:64])
    answers.put(timed(lambda: reader.recognize_batch(images), each, barrier))


def net_alone(bundle: str, path: Path, each: int, barrier: Any, answers: Any) -> None:
    reader, images = opened(bundle, path, each)
    squares = np.stack([reader.square(image) for image in images])

    def read() -> None:
        for start in range(0, each, 64):
            reader.logits(squares[start : start + 64])

    reader.logits(squares[:64])
    answers.put(timed(read, each, barrier))


def opened(bundle: str, path: Path, each: int) -> tuple[Recognizer, list[Any]]:
    pictures: list[Any] = sorted(path.iterdir()) if path.is_dir() else [sample.image for sample in read_gnt(path)]
    return Recognizer(bundle), list(islice(cycle(pictures), each))


def timed(read: Callable[[], object], each: int, barrier: Any) -> Speed:
    barrier.wait()
    start, used = time.perf_counter(), time.process_time()
    read()
    return Speed(each / (time.perf_counter() - start), 1000 * (time.process_time() - used) / each)


def bulk(bundle: str, path: Path, processes: int, folder: Path) -> Speed:
    out = folder / "read.jsonl"
    out.unlink(missing_ok=True)
    marks: list[tuple[int, float, float]] = []

    def note(done: int, total: int | None) -> None:
        marks.append((done, time.perf_counter(), processor_seconds()))

    read_in_bulk(Source([path]), out, Options(bundle=bundle), processes=processes, report=note)
    # Without the first rows and the last: then some processes still start, or have no work left.
    every = marks[-1][0]
    (first, start, used), *_, (last, end, used_at_end) = [m for m in marks if 0.1 * every <= m[0] <= 0.9 * every]
    done = last - first
    return Speed(done / (end - start), 1000 * (used_at_end - used) / done)


def processor_seconds() -> float:
    """Of this process and its living children."""
    total = time.process_time()
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / CLOCK  # user and system time, fields 14 and 15 of proc(5)
    return total


def print_peak(path: str) -> None:
    """The peak memory of the first process and the largest one of the workers, in MB."""
    peaks: dict[int, float] = {}

    def note(done: int, total: int | None) -> None:
        for child in multiprocessing.active_children():
            peaks[child.pid or 0] = peak(str(child.pid))

    with tempfile.TemporaryDirectory() as folder:
        read_in_bulk(Source([path]), Path(folder) / "read.jsonl", Options(bundle="nano"), report=note)
    # With one core this process reads, and there are no workers.
    print(f"{peak('self'):.0f} {f'{max(peaks.values()):.0f}' if peaks else 'none'}")


def peak(process: str) -> float:
    lines: Iterator[str] = iter(Path(f"/proc/{process}/status").read_text().splitlines())
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(PEAK))


if __name__ == "__main__":
    main()
