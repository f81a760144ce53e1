"""ONNX models as bytes: a check that they open no other file, and the one place that starts ONNX Runtime on them.

The check reads the protobuf message itself, so that the reader does not need the package ``onnx``.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from hanmo.errors import ArgumentError, DeviceError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

Device = Literal["cpu", "cuda"]
Provider: TypeAlias = str | tuple[str, Mapping[str, Any]]
"""An execution provider of ONNX Runtime: its name, or its name with options such as ``{"device_id": 1}``."""

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_OF_DEVICE: Mapping[str, tuple[Provider, ...]] = {"cpu": (CPU,), "cuda": (CUDA, CPU)}
"""The CPU stands behind the GPU, for operators that CUDA lacks."""
_SEVERITY_ERROR = 3
"""ONNX Runtime's log level from which it prints; its warnings (2) are about its own optimisations."""


def choose_providers(device: Device | None = None, providers: Sequence[Provider] | None = None) -> tuple[Provider, ...]:
    """The execution providers for ``device``, "cpu" if not given, or ``providers`` as they are given.

    Raises :class:`ArgumentError` for an unknown device, for both arguments and for no provider, :class:`DeviceError`
    for a provider that the installed ONNX Runtime lacks.
    """
    if device is not None and providers is not None:
        raise ArgumentError("device and providers are both given; leave one of them out")
    if device not in (None, *get_args(Device)):
        raise ArgumentError(f"device {device!r} is unknown; one of {', '.join(get_args(Device))}, or give providers")
    chosen = _OF_DEVICE[device or "cpu"] if providers is None else tuple(providers)
    if not chosen or isinstance(providers, str):
        raise ArgumentError(f"providers is {providers!r}; give a list of names such as [{CUDA!r}, {CPU!r}]")
    import onnxruntime

    available = onnxruntime.get_available_providers()
    for name in map(_name, chosen):
        if name not in available:
            raise DeviceError(f"the installed ONNX Runtime has {', '.join(available)}, not {name}; {_remedy(name)}")
    return chosen


def open_session(
    model: bytes,
    *,
    threads: int = 0,
    spinning: bool = True,
    providers: Sequence[Provider] = (CPU,),
    save_optimized: Path | None = None,
) -> InferenceSession:
    """An ONNX Runtime session of ``model``; every session of hanmo is opened here.

    ``threads`` CPU threads work on one run, 0 is as many as there are cores. Threads that wait for work spin when
    ``spinning``: that wins microseconds and keeps a core busy. ``save_optimized`` is a file to write the model to as
    ONNX Runtime rewrites it; only what holds for every processor is rewritten then.

    Raises :class:`DeviceError` when a provider cannot start; the runtime's own exceptions, which have no common base,
    pass for a model that it refuses.
    """
    import onnxruntime  # here, so that checking a bundle does not load the runtime

    problems = _load_cuda_libraries() if CUDA in map(_name, providers) else ""
    options = _options(threads, spinning)
    if save_optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(save_optimized)
    session = onnxruntime.InferenceSession(
        model, options, providers=[p if isinstance(p, str) else (p[0], dict(p[1])) for p in providers]
    )
    # A provider that cannot start is left out with a mere warning, and the net runs on the CPU, many times slower.
    for name in map(_name, providers):
        if name not in session.get_providers():
            raise DeviceError(f"{name} cannot start{problems}; {_remedy(name)}")
    return session


def _options(threads: int, spinning: bool) -> SessionOptions:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _SEVERITY_ERROR
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _name(provider: Provider) -> str:
    return provider if isinstance(provider, str) else provider[0]


def _load_cuda_libraries() -> str:
    """Load CUDA's libraries where pip put them; the first problem as " (...)" for a message, or nothing.

    ONNX Runtime looks for them on the system's path only. It prints its problems, which must not get between the JSON
    on the standard output.
    """
    import onnxruntime

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        onnxruntime.preload_dlls()
    first = next(iter(printed.getvalue().splitlines()), "")
    return f" ({first})" if first else ""


def _remedy(name: str) -> str:
    if name != CUDA:
        return "install a build of ONNX Runtime with it, or choose another provider"
    # Both packages fill the folder "onnxruntime"; where both are installed, the one that came last counts.
    return (
        "it needs an NVIDIA GPU with its driver, and, in the folder of the repository: pip install '.[gpu]'; "
        "pip uninstall onnxruntime; pip install --force-reinstall --no-deps onnxruntime-gpu"
    )


_MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Where tensors are in an ONNX file: field numbers of onnx.proto, as far as they lead to a TensorProto."""
MAX_FIELDS = 200_000
"""Fields of a model that are read, some 25 an operation; the largest of the readers that come with hanmo has 9,000."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a TensorProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's wire types


def needs_other_files(model: bytes) -> bool:
    """Whether a tensor of ``model`` names another file for its data, which the runtime would then open.

    Raises :class:`ValueError` when ``model`` is not a protobuf message, or one of over :data:`MAX_FIELDS` fields.
    """
    try:
        return _has_external_tensor(memoryview(model), "model", iter(range(MAX_FIELDS)))
    except (IndexError, RecursionError) as error:
        raise ValueError("cut off within a number, or nested without end") from error


def _has_external_tensor(message: memoryview, kind: str, left: Iterator[int]) -> bool:
    """``left`` has one entry for every field that may still be read."""
    for number, value in read_fields(message):
        if next(left, None) is None:
            raise ValueError("a message of too many fields")
        if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)):
            return True
        inner = _MESSAGES[kind].get(number)
        if inner and isinstance(value, memoryview) and _has_external_tensor(value, inner, left):
            return True
    return False


def read_fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of every field of a protobuf message; IndexError or ValueError when it is none."""
    at = 0
    while at < len(message):
        key, at = read_varint(message, at)
        number, wire = key >> 3, key & 7
        # Protobuf's own readers keep 32 bits of a key. With a bit above, a field would have another number for them.
        if not number or key >= 1 << 32:
            raise ValueError("a field whose number cannot be")
        if wire == _VARINT:
            value, at = read_varint(message, at)
            yield number, value
            continue
        size, at = read_varint(message, at) if wire == _BYTES else ({_FIXED64: 8, _FIXED32: 4}.get(wire, -1), at)
        if size < 0 or at + size > len(message):
            raise ValueError("a field of an unknown kind, or longer than its message")
        yield number, message[at : at + size]
        at += size


def read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at byte ``at``, seven bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
