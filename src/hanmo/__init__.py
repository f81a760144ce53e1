"""hanmo reads offline handwritten Chinese characters.

>>> import hanmo
>>> reader = hanmo.Recognizer()
>>> reader.recognize("character.png", top=5).character
'翰'

The names in ``hanmo.__all__`` are the public API: they keep their meaning, and a change is announced by a new minor
version. Everything else, in this package's modules as well, is internal and may change with any version.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# ONNX Runtime's official builds send usage events to Microsoft unless this is set before they are loaded. A setting of
# the user's own stays as it is.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from hanmo.bundle import Bundle as Bundle
    from hanmo.charset import Charset as Charset
    from hanmo.data.pack import Pack as Pack
    from hanmo.data.pack import write_pack as write_pack
    from hanmo.data.read import read_samples as read_samples
    from hanmo.data.sample import Sample as Sample
    from hanmo.errors import ArgumentError as ArgumentError
    from hanmo.errors import BlankImageError as BlankImageError
    from hanmo.errors import BundleError as BundleError
    from hanmo.errors import CharsetError as CharsetError
    from hanmo.errors import ConfigError as ConfigError
    from hanmo.errors import DataError as DataError
    from hanmo.errors import DeviceError as DeviceError
    from hanmo.errors import HanmoError as HanmoError
    from hanmo.errors import ImageError as ImageError
    from hanmo.errors import ImageFormatError as ImageFormatError
    from hanmo.errors import ImageTooLargeError as ImageTooLargeError
    from hanmo.errors import InputError as InputError
    from hanmo.errors import OperationError as OperationError
    from hanmo.errors import SheetError as SheetError
    from hanmo.errors import StorageError as StorageError
    from hanmo.evaluate.evaluate import evaluate_recognizer as evaluate_recognizer
    from hanmo.evaluate.result import Evaluation as Evaluation
    from hanmo.image import load as load
    from hanmo.normalize import Normalization as Normalization
    from hanmo.occlusion import Explanation as Explanation
    from hanmo.occlusion import explain as explain
    from hanmo.prediction import Candidate as Candidate
    from hanmo.prediction import Prediction as Prediction
    from hanmo.recognizer import Recognizer as Recognizer
    from hanmo.sheets.sheet import Sheet as Sheet
    from hanmo.sheets.sheet import read_sheet as read_sheet

_MODULES = {
    "hanmo.bundle": ("Bundle",),
    "hanmo.charset": ("Charset",),
    "hanmo.data.pack": ("Pack", "write_pack"),
    "hanmo.data.read": ("read_samples",),
    "hanmo.data.sample": ("Sample",),
    "hanmo.errors": (
        "ArgumentError",
        "BlankImageError",
        "BundleError",
        "CharsetError",
        "ConfigError",
        "DataError",
        "DeviceError",
        "HanmoError",
        "ImageError",
        "ImageFormatError",
        "ImageTooLargeError",
        "InputError",
        "OperationError",
        "SheetError",
        "StorageError",
    ),
    "hanmo.evaluate.evaluate": ("evaluate_recognizer",),
    "hanmo.evaluate.result": ("Evaluation",),
    "hanmo.image": ("load",),
    "hanmo.normalize": ("Normalization",),
    "hanmo.occlusion": ("Explanation", "explain"),
    "hanmo.prediction": ("Candidate", "Prediction"),
    "hanmo.recognizer": ("Recognizer",),
    "hanmo.sheets.sheet": ("Sheet", "read_sheet"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "ArgumentError",
    "BlankImageError",
    "Bundle",
    "BundleError",
    "Candidate",
    "Charset",
    "CharsetError",
    "ConfigError",
    "DataError",
    "DeviceError",
    "Evaluation",
    "Explanation",
    "HanmoError",
    "ImageError",
    "ImageFormatError",
    "ImageTooLargeError",
    "InputError",
    "Normalization",
    "OperationError",
    "Pack",
    "Prediction",
    "Recognizer",
    "Sample",
    "Sheet",
    "SheetError",
    "StorageError",
    "__version__",
    "evaluate_recognizer",
    "explain",
    "load",
    "read_samples",
    "read_sheet",
    "write_pack",
]


def __getattr__(name: str) -> Any:
    # Loaded on first use: onnxruntime alone takes longer to import than the 50 ms this package may cost.
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module 'hanmo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
