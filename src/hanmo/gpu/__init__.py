"""Reading in bulk by torch on a GPU. It is an :class:`hanmo.bulk.packing.Engine`, which :mod:`hanmo.bulk` calls."""

from __future__ import annotations

from dataclasses import replace

from hanmo.bulk.packing import Engine
from hanmo.bulk.work import Options
from hanmo.errors import DeviceError
from hanmo.onnxfile import choose_providers


def with_engine(options: Options) -> tuple[Options, Engine | None]:
    """How to read with ``options``: by an engine of torch where the device is "cuda" and ONNX Runtime lacks CUDA.

    The options that come back go with the engine to :func:`hanmo.bulk.read_in_bulk`. Without an engine they are the
    same as before.

    Raises :class:`DeviceError` where neither ONNX Runtime nor torch can use a GPU, and what ``options.open`` and
    :class:`hanmo.gpu.engine.TorchEngine` raise.
    """
    if options.device != "cuda":
        return options, None
    try:
        choose_providers("cuda")
    except DeviceError as error:
        on_cpu = replace(options, device="cpu")
        return on_cpu, open_engine(on_cpu, why_not_onnx=str(error))
    return options, None


def open_engine(options: Options, *, device: str = "cuda", why_not_onnx: str = "") -> Engine:
    """An engine of torch for ``options``, whose device is that of the reader for what the engine leaves unread.

    Raises as :func:`with_engine`; ``why_not_onnx`` goes into its message.
    """
    without = f"{why_not_onnx}; or " if why_not_onnx else ""
    remedy = "have PyTorch with CUDA: pip install '.[train]' in the folder of the repository"
    try:
        import torch
    except ImportError as error:
        raise DeviceError(f"{without}{remedy}") from error
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(f"{without}{remedy} (the installed torch {torch.__version__} finds no GPU)")
    from hanmo.gpu.engine import TorchEngine

    return TorchEngine(options.open(), options.top, options.among, device=device)
