"""The rate of ``hanmo recognize --out`` over torch on a GPU, and that of its parts.

    python benchmarks/bulk_gpu.py --out table.md

Drawn characters, half of them cut close and half on paper of 96 x 96 pixels, are repeated. Measured, in this order:

net              the net alone, of squares on the device
normalise        from the decoded pictures to squares: copied to the device and normalised
normalise + net  the same and the net, softmax and candidates: all that the first process lets the device do
in lanes         the same, as many calls at a time as in a whole run
without device   the whole run with an engine that answers at once: decoding, rows and files; what the CPU cores allow
.gnt, Parquet    the whole run from a file into Parquet (into JSON lines without pyarrow)

*characters/s* counts all seconds; *steady* leaves out the first and the last tenth of the rows, and so the start of
processes; it is empty for fewer than 20 batches. *waits* are seconds in which the first process waited for decoded
pictures, the engine and rows, and those that it needed to store rows: the largest is the stage to make faster.

Below the table are the answers to some of the pictures beside those of ONNX Runtime on the CPU, on which
``Recognizer`` reads.

``--profile`` prints the operations that take longest on the device. ``--device cpu --pictures 2000 --batch 512
--rounds 1`` tries it out without a GPU.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from bulk_gpu_checks import agreement, check_kernels
from PIL import Image

from hanmo.bulk import Options, Source, read_in_bulk
from hanmo.bulk.packing import Answers, Packed
from hanmo.bulk.run import Totals
from hanmo.bulk.work import fingerprint
from hanmo.data.gnt import read_gnt, write_gnt
from hanmo.data.sample import Sample

# Nothing here imports torch at the top: worker processes import this file.
DRAWN = 2048
EDGE = 96
HEADER = "| what | characters/s | steady | cores used | GPU memory, MiB | waits: pictures | engine | rows | storing |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="free")
    parser.add_argument("--device", default="cuda", help="a device of torch")
    parser.add_argument("--pictures", type=int, default=2_000_000, help="rows of a whole run")
    parser.add_argument("--batch", type=int, default=32_768, help="pictures at once on the device")
    parser.add_argument("--lanes", type=int, default=2, help="batches at the same time")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=20, help="batches of the parts")
    parser.add_argument("--gnt", type=Path, help="samples to repeat in place of drawn ones")
    parser.add_argument("--profile", action="store_true", help="print the slowest operations")
    parser.add_argument("--tune", action="store_true", help="let cuDNN try its algorithms (torch.backends.cudnn)")
    parser.add_argument("--out", type=Path, help="the table as Markdown; without it, it is printed only")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = report(args, Path(folder))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def report(args: argparse.Namespace, folder: Path) -> list[str]:
    import torch

    torch.backends.cudnn.benchmark = args.tune
    lines: list[str] = []

    def show(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    card = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else platform.machine()
    show(
        f"`{args.bundle}`, {args.pictures:,} pictures, batches of {args.batch}, {args.lanes} lanes, {args.processes} "
        f"processes, {len(os.sched_getaffinity(0))} cores, {card}, torch {torch.__version__}."
    )
    show("")
    show(HEADER)
    show("|---" * HEADER.count(" | ") + "|---|")
    samples = list(read_gnt(args.gnt)) if args.gnt else drawn()
    for name, rate in parts(args, samples):
        show(f"| {name} | {rate:,.0f} | | | {memory(args.device)} | | | | |")
    gnt, parquet = grown(samples, args.pictures, folder)
    os.sync()  # runs that begin while pictures are still being written wait for the disk
    show(whole(args, "without device, `.gnt`", gnt, folder, Idle(args)))
    for name, path in {"`.gnt`": gnt, "Parquet of PNG": parquet}.items():
        if path is not None:
            show(whole(args, name, path, folder, opened(args)))
    show("")
    check_kernels(args.device)
    show(agreement(Options(bundle=args.bundle).open(), opened(args), samples[:DRAWN], packed))
    return lines


def opened(args: argparse.Namespace) -> Any:
    from hanmo.gpu.engine import TorchEngine

    return TorchEngine(Options(bundle=args.bundle).open(), device=args.device, batch=args.batch, lanes=args.lanes)


def parts(args: argparse.Namespace, samples: Sequence[Sample]) -> list[tuple[str, float]]:
    """The rates of the parts, by one thread but for the last."""
    import torch

    from hanmo.gpu.engine import NET_BATCH

    engine = opened(args)
    pack = packed(list(islice(cycle(samples), args.batch)))
    squares = engine.normalized([pack]).squares
    ways: dict[str, Callable[[], object]] = {
        "net": lambda: [engine.logits(part) for part in squares.split(NET_BATCH)],
        "normalise": lambda: engine.normalized([pack]),
        "normalise + net": lambda: engine([pack], lambda: None),
    }
    rates = []
    for name, way in ways.items():
        for _ in range(2):  # the first call loads kernels
            way()
        finish(args.device)
        start = time.perf_counter()
        for _ in range(args.rounds):
            way()
        finish(args.device)
        rates.append((name, args.rounds * args.batch / (time.perf_counter() - start)))
    with ThreadPoolExecutor(args.lanes) as lanes:

        def together(rounds: int) -> None:
            for call in [lanes.submit(ways["normalise + net"]) for _ in range(rounds)]:
                call.result()

        together(2 * args.lanes)
        start = time.perf_counter()
        together(args.rounds)
        rates.append(("normalise + net, in lanes", args.rounds * args.batch / (time.perf_counter() - start)))
    if args.profile:
        with torch.profiler.profile() as profile:
            ways["normalise + net"]()
            finish(args.device)
        on_device = args.device.startswith("cuda")
        averages = profile.key_averages()
        print(averages.table(sort_by="self_device_time_total" if on_device else "self_cpu_time_total", row_limit=30))
        print("operations started:", sum(event.count for event in averages if event.key.startswith("aten::")))
    return rates


def finish(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def memory(device: str) -> str:
    import torch

    return f"{torch.cuda.max_memory_allocated(device) / 2**20:,.0f}" if device.startswith("cuda") else ""


def packed(samples: Sequence[Sample]) -> Packed:
    pictures = [sample.image for sample in samples]
    heights, widths = (np.array([picture.shape[axis] for picture in pictures], np.int32) for axis in (0, 1))
    none = np.zeros(len(pictures), np.uint8)
    return Packed(np.concatenate([p.reshape(-1) for p in pictures]), heights, widths, none.astype(bool), none)


class Idle:
    """An engine that answers at once."""

    normalizes = True

    def __init__(self, args: argparse.Namespace) -> None:
        self.batch, self.lanes = args.batch, args.lanes
        options = Options(bundle=args.bundle)
        reader = options.open()
        self.top, self.among, self.fingerprint = options.top, options.among, fingerprint(reader.bundle)
        self.columns = min(options.top, len(reader.characters))

    def __call__(self, packs: Sequence[Packed], copied: Callable[[], None]) -> Answers:
        copied()
        count = sum(len(pack.heights) for pack in packs)
        none = np.zeros(count, np.uint8)
        best = np.tile(np.arange(self.columns, dtype=np.int32), (count, 1))
        return Answers(best, np.full(best.shape, 1 / self.columns), none == 0, none, none > 0)


def whole(args: argparse.Namespace, name: str, path: Path, folder: Path, engine: Any) -> str:
    """A line of the table: a whole run."""
    out = folder / f"rows.{'parquet' if has_pyarrow() else 'jsonl'}"
    out.unlink(missing_ok=True)
    marks: list[tuple[int, float]] = []
    used, start = processor_seconds(), time.perf_counter()
    totals: Totals = read_in_bulk(
        Source([path]),
        out,
        Options(bundle=args.bundle),
        processes=args.processes,
        report=lambda done, _: marks.append((done, time.perf_counter())),
        engine=engine,
    )
    seconds = time.perf_counter() - start
    assert totals.counts.all == args.pictures
    cores = (processor_seconds() - used) / seconds
    waits = totals.waits
    assert waits is not None
    each = " | ".join(f"{value:.1f}" for value in (waits.pictures, waits.engine, waits.rows, waits.storing))
    # Rows come in bursts of a batch: of few batches no rate can be told.
    rate = f"{steady(marks, args.pictures):,.0f}" if args.pictures >= 20 * args.batch else ""
    return (
        f"| whole run, {name} | {args.pictures / seconds:,.0f} | {rate} | {cores:.1f} "
        f"| {memory(args.device)} | {each} |"
    )


def steady(marks: list[tuple[int, float]], pictures: int) -> float:
    """The rate between the first and the last tenth of the rows."""
    middle = [mark for mark in marks if 0.1 * pictures <= mark[0] <= 0.9 * pictures]
    return (middle[-1][0] - middle[0][0]) / (middle[-1][1] - middle[0][1])


def processor_seconds() -> float:
    """Of this process and of the children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def drawn() -> list[Sample]:
    """Some thousand characters; every other one is cut to its ink and a few pixels around, as in data sets."""
    from hanmo.synth.mix import MixConfig
    from hanmo.synth.recipe import SynthRecipe
    from hanmo.synth.samples import draw_samples

    recipe = SynthRecipe(characters="level1", per_character=1, seed=5, mix=MixConfig(strokes=1.0, fonts=0.0))
    samples = list(draw_samples(recipe, 0, DRAWN))
    return [sample._replace(image=cut(sample.image, n % 4)) if n % 2 else sample for n, sample in enumerate(samples)]


def cut(image: np.ndarray[Any, Any], margin: int) -> np.ndarray[Any, Any]:
    rows, columns = (np.flatnonzero((image < 128).any(axis)) for axis in (1, 0))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return image[top : rows[-1] + 1 + margin, left : columns[-1] + 1 + margin]


def grown(samples: Sequence[Sample], count: int, folder: Path) -> tuple[Path, Path | None]:
    """The samples again and again, as a ``.gnt`` file and, with pyarrow, as a Parquet file of PNG."""
    gnt, some = folder / "pictures.gnt", folder / "some.gnt"
    write_gnt(some, samples)
    whole, rest = divmod(count, len(samples))
    with gnt.open("wb") as file:  # records one after another
        for _ in range(whole):
            file.write(some.read_bytes())
        if rest:
            write_gnt(some, samples[:rest])
            file.write(some.read_bytes())
    if not has_pyarrow():
        return gnt, None
    import pyarrow as pa
    import pyarrow.parquet as pq

    pngs = [png(sample.image) for sample in samples]
    labels = [sample.label for sample in samples]
    parquet = folder / "pictures.parquet"
    columns = {"picture": pa.array(list(islice(cycle(pngs), count))), "label": list(islice(cycle(labels), count))}
    # Without a dictionary of the pictures: in a real file none is there twice.
    pq.write_table(pa.table(columns), parquet, row_group_size=16_384, use_dictionary=["label"])
    return gnt, parquet


def png(image: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def has_pyarrow() -> bool:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    main()
