"""hanmo reads offline handwritten Chinese characters.

>>> import hanmo
>>> reader = hanmo.Recognizer("path/to/bundle")
>>> reader.recognize("character.png", top=5).character
'翰'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hanmo.bundle import Bundle as Bundle
    from hanmo.charset import Charset as Charset
    from hanmo.errors import HanmoError as HanmoError
    from hanmo.normalize import Normalization as Normalization
    from hanmo.recognizer import Candidate as Candidate
    from hanmo.recognizer import Prediction as Prediction
    from hanmo.recognizer import Recognizer as Recognizer

_HOME = {
    "Bundle": "hanmo.bundle",
    "Candidate": "hanmo.recognizer",
    "Charset": "hanmo.charset",
    "HanmoError": "hanmo.errors",
    "Normalization": "hanmo.normalize",
    "Prediction": "hanmo.recognizer",
    "Recognizer": "hanmo.recognizer",
}

__all__ = ["Bundle", "Candidate", "Charset", "HanmoError", "Normalization", "Prediction", "Recognizer", "__version__"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: onnxruntime alone takes longer to import than the 50 ms this package may cost.
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'hanmo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
