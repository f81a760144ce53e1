"""What cuDNN's fused convolutions and those of 8 bits would give a training step.

    pip install nvidia-cudnn-frontend
    python benchmarks/fused_convolutions.py --out table.md

PyTorch calls convolutions alone; cuDNN's graph interface can join other work to them. For each shape of convolution in
ResNet-18, for 2,048 squares of 64 pixels, the milliseconds of

fprop, dgrad, wgrad   the output, the gradient of the input, the gradient of the weights, in cuDNN's graph interface
+ statistics          the output and the sums of its channels and of their squares, which a batch norm needs
norm, ReLU +          the input is normalised and cut at zero while it is read
+ ReLU's gradient     the gradient of the input is masked before it is stored

Types: half (float16), bfloat16, and fp8 (inputs of 8 bits, e4m3 and for gradients e5m2; results in bfloat16, nothing
fused). cuDNN offers several kernels for each; the best of ``--plans`` counts. "–": it offers none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cudnn
import torch
from torch import Tensor

BATCH = 2048
CALLS, ROUNDS = 6, 3
DTYPES = {
    torch.float16: cudnn.data_type.HALF,
    torch.bfloat16: cudnn.data_type.BFLOAT16,
    torch.float32: cudnn.data_type.FLOAT,
    torch.float8_e4m3fn: cudnn.data_type.FP8_E4M3,
    torch.float8_e5m2: cudnn.data_type.FP8_E5M2,
}


class Shape(NamedTuple):
    name: str
    inputs: int
    outputs: int
    side: int
    kernel: int
    stride: int
    layers: int
    """How many of the net's convolutions have it."""

    @property
    def way(self) -> dict[str, list[int]]:
        """As cuDNN takes it."""
        return {"padding": [self.kernel // 2] * 2, "stride": [self.stride] * 2, "dilation": [1, 1]}


SHAPES = [
    Shape("layer1", 64, 64, 32, 3, 1, 4),
    Shape("layer2, stride 2", 64, 128, 32, 3, 2, 1),
    Shape("layer2", 128, 128, 16, 3, 1, 3),
    Shape("layer3, stride 2", 128, 256, 16, 3, 2, 1),
    Shape("layer3", 256, 256, 8, 3, 1, 3),
    Shape("layer4, stride 2", 256, 512, 8, 3, 2, 1),
    Shape("layer4", 512, 512, 4, 3, 1, 3),
    Shape("layer2, shortcut", 64, 128, 32, 1, 2, 1),
    Shape("layer3, shortcut", 128, 256, 16, 1, 2, 1),
    Shape("layer4, shortcut", 256, 512, 8, 1, 2, 1),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--types", nargs="+", choices=["half", "bfloat16", "fp8"], default=["half", "bfloat16", "fp8"])
    parser.add_argument("--plans", type=int, default=12, help="kernels that are tried; compiling one takes a second")
    parser.add_argument("--out", type=Path, help="the table as Markdown; without it, it is printed only")
    args = parser.parse_args()
    handle = cudnn.create_handle()
    cudnn.set_stream(handle=handle, stream=torch.cuda.current_stream().cuda_stream)
    titles = list(graphs(SHAPES[0], torch.float16, torch.float16, handle))
    lines = [
        f"{torch.cuda.get_device_name()}, cuDNN {cudnn.backend_version_string()}; ms for {BATCH:,} squares.",
        "",
        f"| type | convolution | how many | {' | '.join(titles)} |",
        "|---" * (3 + len(titles)) + "|",
    ]
    print("\n".join(lines), flush=True)
    for name in args.types:
        values, gradients = {
            "half": (torch.float16, torch.float16),
            "bfloat16": (torch.bfloat16, torch.bfloat16),
            "fp8": (torch.float8_e4m3fn, torch.float8_e5m2),
        }[name]
        for shape in SHAPES:
            made = graphs(shape, values, gradients, handle)
            cells = [fastest(made[title], args.plans) if title in made else "" for title in titles]
            lines.append(f"| {name} | {shape.name} | {shape.layers} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


class Graph:
    """A graph of cuDNN and the tensors that it reads and writes."""

    def __init__(self, values: torch.dtype, between: torch.dtype, handle: Any) -> None:
        self.of = cudnn.pygraph(
            io_data_type=DTYPES[values],
            intermediate_data_type=DTYPES[between],
            compute_data_type=cudnn.data_type.FLOAT,
            handle=handle,
        )
        self._handle = handle
        self._tensors: dict[Any, Tensor] = {}

    def reads(self, tensor: Tensor) -> Any:
        node = self.of.tensor(dim=list(tensor.size()), stride=list(tensor.stride()), data_type=DTYPES[tensor.dtype])
        self._tensors[node] = tensor
        return node

    def writes(self, node: Any, tensor: Tensor) -> None:
        node.set_output(True).set_data_type(DTYPES[tensor.dtype])
        node.set_dim(list(tensor.size())).set_stride(list(tensor.stride()))
        self._tensors[node] = tensor

    def milliseconds(self, plans: int) -> float | None:
        """Of the fastest of the first ``plans`` kernels, None where there is none."""
        try:
            self.of.validate()
            self.of.build_operation_graph()
            self.of.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.B, cudnn.heur_mode.FALLBACK])
        except cudnn.cudnnGraphNotSupportedError:
            return None
        found = []
        for plan in range(min(plans, self.of.get_execution_plan_count())):
            try:
                self.of.build_plan_at_index(plan)
            except (cudnn.cudnnGraphNotSupportedError, RuntimeError) as error:  # proposed, but not for this shape
                print(f"kernel {plan} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
                continue
            size = max(1, self.of.get_workspace_size_plan_at_index(plan))
            found.append(self._timed(plan, torch.empty(size, device="cuda", dtype=torch.uint8)))
        return min(found, default=None)

    def _timed(self, plan: int, workspace: Tensor) -> float:
        def call() -> None:
            self.of.execute_plan_at_index(self._tensors, workspace, plan, self._handle)

        call()
        torch.cuda.synchronize()
        best = float("inf")
        for _ in range(ROUNDS):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record()
            for _ in range(CALLS):
                call()
            end.record()
            torch.cuda.synchronize()
            best = min(best, start.elapsed_time(end) / CALLS)
        return best


def fastest(make: Callable[[], Graph], plans: int) -> str:
    milliseconds = make().milliseconds(plans)
    return "–" if milliseconds is None else f"{milliseconds:.3f}"


def graphs(shape: Shape, values: torch.dtype, gradients: torch.dtype, handle: Any) -> dict[str, Callable[[], Graph]]:
    """What is measured for a shape, by the titles of the table."""
    results = torch.bfloat16 if values.itemsize == 1 else values
    small = shape.side // shape.stride

    def drawn(*size: int, dtype: torch.dtype) -> Tensor:
        return torch.randn(*size, device="cuda").to(memory_format=torch.channels_last).to(dtype)

    x = drawn(BATCH, shape.inputs, shape.side, shape.side, dtype=values)
    w = drawn(shape.outputs, shape.inputs, shape.kernel, shape.kernel, dtype=values)
    dy = drawn(BATCH, shape.outputs, small, small, dtype=gradients)
    y, dx, dw = (torch.empty_like(tensor, dtype=results) for tensor in (dy, x, w))
    scale, bias = (drawn(1, shape.inputs, 1, 1, dtype=values) for _ in range(2))
    sums = [torch.zeros(1, shape.outputs, 1, 1, device="cuda") for _ in range(2)]

    def read(graph: Graph, normalised: bool) -> Any:
        node = graph.reads(x)
        if not normalised:
            return node
        scaled = graph.of.scale(input=node, scale=graph.reads(scale))
        return graph.of.relu(input=graph.of.bias(input=scaled, bias=graph.reads(bias)))

    def output(normalised: bool = False, statistics: bool = False) -> Graph:
        # cuDNN takes sums of the rounded output, so what lies between has its type.
        graph = Graph(values, values if statistics else torch.float32, handle)
        node = graph.of.conv_fprop(image=read(graph, normalised), weight=graph.reads(w), **shape.way)
        graph.writes(node, y)
        if statistics:
            for each, tensor in zip(graph.of.genstats(input=node), sums, strict=True):
                graph.writes(each, tensor)
        return graph

    def of_input(masked: bool = False) -> Graph:
        graph = Graph(values, torch.float32, handle)
        node = graph.of.conv_dgrad(loss=graph.reads(dy), filter=graph.reads(w), **shape.way)
        if masked:
            node.set_dim(list(x.size())).set_stride(list(x.stride()))
            node = graph.of.relu_backward(loss=node, input=graph.reads(x))
        graph.writes(node, dx)
        return graph

    def of_weights(normalised: bool = False) -> Graph:
        graph = Graph(values, torch.float32, handle)
        graph.writes(graph.of.conv_wgrad(image=read(graph, normalised), loss=graph.reads(dy), **shape.way), dw)
        return graph

    plain: dict[str, Callable[[], Graph]] = {"fprop": output, "dgrad": of_input, "wgrad": of_weights}
    if values.itemsize == 1:
        return plain
    return plain | {
        "fprop + statistics": lambda: output(statistics=True),
        "norm, ReLU + fprop + statistics": lambda: output(normalised=True, statistics=True),
        "dgrad + ReLU's gradient": lambda: of_input(masked=True),
        "norm, ReLU + wgrad": lambda: of_weights(normalised=True),
    }


if __name__ == "__main__":
    main()
