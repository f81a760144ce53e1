"""``bundle.json``: a signed JSON object, whose values are taken out with a check of their type.

The text must be exactly as it was written, since ``sha256`` is the digest of all other values in that form.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from hanmo.errors import BundleError

FORMAT_VERSION = 3
READABLE_FORMATS = (2, FORMAT_VERSION)
"""Format 2 has no groups of look-alike characters, and its models have no output of features."""
MAX_JSON_BYTES = 4 * 2**20
"""A limit far above any real bundle, so that a wrong or hostile file is not read into memory first."""

AGAIN = "copy or export the bundle again"
"""The remedy for most damage."""

T = TypeVar("T")


class Table:
    """A JSON object whose values are taken out with a check of their type; ``where`` names it in errors."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values, self.where = values, where

    def get(self, key: str, kind: type[T]) -> T:
        """The value of ``key``; :class:`BundleError` if it is missing or of another type than ``kind``."""
        if key not in self.values:
            raise BundleError(f"{self.where}: {key!r} is missing; {AGAIN}")
        value = self.values[key]
        # JSON has one kind of numbers, so 1 may stand for 1.0. Beyond 2^53 a float no longer holds every whole number.
        if kind is float and type(value) is int and abs(value) < 2**53:
            value = float(value)
        # type(), not isinstance(): to Python, True is an int as well.
        if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
            raise BundleError(f"{self.where}: {key!r} must be a {kind.__name__}, not {value!r:.60}; {AGAIN}")
        return value

    def table(self, key: str) -> Table:
        """The object at ``key``."""
        return Table(self.get(key, dict), f"{self.where}: {key}")

    def number(self, key: str, low: float, high: float) -> float:
        """A float with ``low <= value < high``."""
        value = self.get(key, float)
        if not low <= value < high:
            raise BundleError(f"{self.where}: {key!r} must be at least {low:g} and below {high:g}, not {value:g}")
        return value


def parse(path: Path) -> Table:
    """Read ``bundle.json`` and check its format and digest; :class:`BundleError` with the remedy."""
    data = read_limited(path, MAX_JSON_BYTES)
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not valid JSON ({error}); {AGAIN}") from error
    if not isinstance(values, dict):
        raise BundleError(f"{path}: not a JSON object; {AGAIN}")
    version = Table(values, str(path)).get("format", int)
    if version > FORMAT_VERSION:
        raise BundleError(f"{path}: format {version} is newer than this program's {FORMAT_VERSION}; upgrade hanmo")
    if 0 < version < READABLE_FORMATS[0]:
        raise BundleError(
            f"{path}: format {version} is of an older hanmo, this one reads "
            f"{' and '.join(map(str, READABLE_FORMATS))}; export it again"
        )
    # The digest covers all values but itself.
    content = {key: value for key, value in values.items() if key != "sha256"}
    try:
        signed = values.get("sha256") == digest(content) and data == serialise(values)
        intact = version in READABLE_FORMATS and signed
    except (UnicodeEncodeError, RecursionError):
        intact = False
    if not intact:
        raise BundleError(f"{path}: was changed after it was written, or is damaged; {AGAIN}")
    return Table(content, str(path))


def serialise(values: Mapping[str, Any]) -> bytes:
    """The bytes of ``bundle.json``."""
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()


def digest(values: Mapping[str, Any]) -> str:
    """The SHA-256 of all values but ``sha256`` itself, hexadecimal."""
    return hashlib.sha256(serialise(values)).hexdigest()


def read_limited(path: Path, limit: int) -> bytes:
    """The bytes of a file of a bundle; :class:`BundleError` if it is missing, unreadable or larger than ``limit``."""
    try:
        if not path.is_file():
            raise BundleError(f"{path}: no such file in this bundle; {AGAIN}")
        with path.open("rb") as file:
            # One byte more than allowed is enough to notice a file that is too large.
            data = file.read(limit + 1)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); {AGAIN}") from error
    if len(data) > limit:
        raise BundleError(f"{path}: larger than {limit / 2**20:.0f} MiB; no bundle of hanmo's is")
    return data
