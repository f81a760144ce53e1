"""A fitted reader as one safetensors file: plain arrays and a JSON header, no pickle.

The only module of this package that needs the ``train`` extra.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hanmo.atomic import write_whole
from hanmo.charset import Charset
from hanmo.classic.checks import Floats
from hanmo.classic.features import GradientFeatures
from hanmo.classic.gabor import GaborFeatures
from hanmo.classic.lda import Projection
from hanmo.classic.mqdf import MQDF
from hanmo.classic.reader import ClassicReader
from hanmo.errors import CheckpointError
from hanmo.normalize import Normalization
from hanmo.safetensors_head import check_head

FORMAT, GABOR = 1, 2
"""Of files with gradient and with Gabor features; raised whenever an older hanmo could not read the file."""

_KEY = "hanmo-classic"


def save_reader(reader: ClassicReader, path: str | Path) -> None:
    """Write ``reader`` to ``path``: temporary file, fsync, rename. Raises :class:`StorageError`."""
    header = {
        "format": GABOR if isinstance(reader.features, GaborFeatures) else FORMAT,
        "charset": str(reader.charset),
        "normalization": reader.normalization.as_dict(),
        "features": asdict(reader.features),
        "minor": reader.mqdf.minor,
    }
    tensors = {
        "lda.mean": reader.projection.mean,
        "lda.matrix": reader.projection.matrix,
        "mqdf.means": reader.mqdf.means,
        "mqdf.axes": reader.mqdf.axes,
        "mqdf.variances": reader.mqdf.variances,
    }
    # safetensors writes the memory as it is, so arrays that are only views with other strides must be copied.
    plain = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    # Readable as text in the file's header: ensure_ascii=False keeps the characters of the charset as themselves.
    write_whole(Path(path), save(plain, {_KEY: json.dumps(header, ensure_ascii=False)}))


def load_reader(path: str | Path) -> ClassicReader:
    """Read what :func:`save_reader` wrote. Raises :class:`CheckpointError` for anything else."""
    path = Path(path)
    try:
        check_head(path)
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        if header["format"] not in (FORMAT, GABOR):
            raise CheckpointError(
                f"{path}: of format {header['format']}, this program reads {FORMAT} and {GABOR}; fit it again"
            )
        return _assemble(header, tensors, str(path))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except CheckpointError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise CheckpointError(f"{path}: damaged or not a classic reader ({reason}); fit it again") from error


def _assemble(header: Mapping[str, Any], tensors: Mapping[str, Floats], where: str) -> ClassicReader:
    """The reader, once every shape and number fits the others."""
    charset = Charset(header["charset"])
    kind = GaborFeatures if header["format"] == GABOR else GradientFeatures
    features: GradientFeatures | GaborFeatures = kind(**header["features"])
    projection = Projection(mean=tensors["lda.mean"], matrix=tensors["lda.matrix"])
    minor = header["minor"]
    mqdf = MQDF(
        means=tensors["mqdf.means"], axes=tensors["mqdf.axes"], variances=tensors["mqdf.variances"], minor=minor
    )
    # C from the charset, d from the projection, k from the variances: every shape follows from these three and the
    # number of features.
    classes, width = len(charset), projection.matrix.shape[-1]
    kept = mqdf.variances.shape[-1]
    expected = {
        "lda.mean": (features.size,),
        "lda.matrix": (features.size, width),
        "mqdf.means": (classes, width),
        "mqdf.axes": (classes, width, kept),
        "mqdf.variances": (classes, kept),
    }
    for name, shape in expected.items():
        if tensors[name].shape != shape or tensors[name].dtype != np.float32 or not np.isfinite(tensors[name]).all():
            raise ValueError(f"{name} is not {shape} finite float32")
    if not isinstance(minor, float) or not 0 < minor < np.inf or kept > width or (mqdf.variances <= 0).any():
        raise ValueError("the variances are not positive")
    normalization = Normalization.from_dict(header["normalization"], where)
    return ClassicReader(
        charset=charset, normalization=normalization, features=features, projection=projection, mqdf=mqdf
    )
