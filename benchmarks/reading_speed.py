"""Milliseconds a character on one CPU thread, fp32 and int8, for the nets of the paper-scale table.

    python benchmarks/reading_speed.py --out benchmarks/reading_speed.md

The weights are random: speed and size do not depend on them. Each figure is the median over rounds that visit the nets
in turn, so a busy moment of the machine hits all alike; the spread is the distance between the quartiles.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from hanmo.export.onnx import INPUT, export_onnx
from hanmo.export.quantize import quantize
from hanmo.nets.registry import NetConfig, build_net, count_parameters
from hanmo.onnxfile import open_session

NETS = [
    NetConfig(),
    NetConfig(attention="se"),
    NetConfig(attention="eca"),
    NetConfig(attention="cbam"),
    NetConfig(attention="simam"),
    NetConfig(pool="weighted"),
    NetConfig(name="resnet34", attention="se"),
    NetConfig(width=96, attention="eca"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    torch.manual_seed(0)
    squares = np.random.default_rng(0).integers(0, 256, (32, args.side, args.side), dtype=np.uint8)
    sessions, facts = {}, {}
    for config in NETS:
        net = build_net(config, args.classes, args.side)
        fp32 = export_onnx(net, args.side)
        int8 = quantize(fp32, squares)
        facts[str(config)] = count_parameters(net), len(fp32), len(int8)
        sessions[str(config), "fp32"] = open_session(fp32, threads=1)
        sessions[str(config), "int8"] = open_session(int8, threads=1)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in sessions}
    one = {INPUT: squares[:1, None]}
    for _ in range(args.rounds):
        for key, reader in sessions.items():
            reader.run(None, one)  # once for the caches, once for the clock
            start = time.perf_counter()
            reader.run(None, one)
            times[key].append(1000 * (time.perf_counter() - start))
    lines = [
        "# Reading speed",
        "",
        f"`python benchmarks/reading_speed.py --classes {args.classes} --side {args.side} --rounds {args.rounds}` on "
        f"one thread of {processor()}, onnxruntime {onnxruntime.__version__}, batch 1, the net alone.",
        "",
        "| net | parameters | fp32 MB | int8 MB | fp32 ms | int8 ms |",
        "|---|---|---|---|---|---|",
    ]
    for name, (parameters, large, small) in facts.items():
        cells = [name, f"{parameters / 1e6:.2f} M", f"{large / 1e6:.1f}", f"{small / 1e6:.1f}"]
        cells += [spread(times[name, precision]) for precision in ("fp32", "int8")]
        lines.append(f"| {' | '.join(cells)} |")
    args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def spread(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ± {(high - low) / 2:.2f}"


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        flags = next((line for line in lines if line.startswith("flags")), "")
        extras = [flag for flag in ("avx512_vnni", "amx_int8") if flag in flags.split()]
        return f"{names[0]} ({len(names)} cores{', ' + ', '.join(extras) if extras else ''})"
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
