"""What can go wrong, as one tree::

    HanmoError (a ValueError)
    ├── InputError           what the caller gave cannot be used; another input mends it
    │   ├── ImageError           a picture cannot be used
    │   │   ├── BlankImageError      it holds no ink
    │   │   │   └── FaintInkError        there is something, but no clear ink
    │   │   ├── ImageFormatError     its file is of no format that hanmo reads
    │   │   ├── ImageTooLargeError   it is beyond the limits of hanmo.image or hanmo.strokes
    │   │   └── SheetError           it shows no grid of cells
    │   ├── DataError            a sample file, a folder of pictures or a pack is damaged or empty
    │   │   ├── RecordError          a record is truncated or lies; knows the file and the byte offset
    │   │   │   ├── GntError             the same of a .gnt record
    │   │   │   └── PotError             the same of a .pot record
    │   │   ├── PackError            a pack is damaged or of another normalisation
    │   │   └── FontError            a font cannot be read, or a bank of glyphs is damaged
    │   ├── CharsetError         a label is not in the charset, or two charsets differ
    │   ├── ConfigError          a recipe (its file or --set) has an unknown key or an impossible value
    │   ├── ArgumentError        a function or an option of the command line was given a value that it cannot use
    │   ├── ModelError           an ONNX model cannot be used as a net
    │   ├── RunError             an output folder holds another run, search or data, or unfinished parts
    │   ├── CheckpointError      a checkpoint is damaged or belongs to another net
    │   └── BundleError          a bundle is damaged, newer than this program, or inconsistent
    └── OperationError       the machine, the installation or the training is at fault, not the input
        ├── StorageError         the disk refused to store a result (full, read-only)
        ├── DivergedError        the loss of a training is not a finite number any more
        ├── DeviceMemoryError    the memory of the GPU is too small for a batch
        ├── ExportError          an exported net does not answer as the trained one
        ├── WorkerError          a worker process ended by itself, or the memory was full
        ├── DeviceError          a device or an ONNX Runtime provider is missing or cannot start
        └── InstallationError    something that hanmo needs is missing or damaged

HanmoError, InputError, OperationError and RecordError are there to be caught; only the errors below them are raised.
Messages are one line: what is wrong, where, and what to do about it.

Public, as ``hanmo.NAME``, are all errors but FaintInkError, RecordError, GntError, PotError, PackError, FontError,
ModelError, RunError, CheckpointError, DivergedError, DeviceMemoryError, ExportError, WorkerError and InstallationError.
To catch one of these, catch the error above it.
"""

from __future__ import annotations

from pathlib import Path


class HanmoError(ValueError):
    """Base of every error that hanmo raises on purpose."""

    def __str__(self) -> str:
        return printable(super().__str__(), _LONGEST)


class InputError(HanmoError):
    """What the caller gave cannot be used: a picture, data, a file, a recipe or an argument. Another one mends it."""


class OperationError(HanmoError):
    """The input is fine, but the machine, the installation or the training is not."""


_LONGEST = 1000  # characters of a message; a name of thousands, from a file of others, is no help in it


def printable(text: str, longest: int) -> str:
    """``text`` with line ends, control characters and the like as escapes, and its middle cut out where it is long.

    Names come from files of others. On a terminal, control characters could hide or forge what a message tells.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= longest else f"{text[: longest // 2]} … {text[-longest // 2 :]}"


def one_line(error: BaseException) -> str:
    """Another library's message on one line, cut to 200 characters; the error's name when it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__


class ImageError(InputError):
    """A picture cannot be used."""


class BlankImageError(ImageError):
    """A picture holds no ink."""


class FaintInkError(BlankImageError):
    """A picture shows something, but no ink that stands out clearly."""


class ImageFormatError(ImageError):
    """A picture's file is of no format that :mod:`hanmo.image` reads."""


class ImageTooLargeError(ImageError):
    """A picture is beyond the limits of :mod:`hanmo.image`, or strokes are beyond those of :mod:`hanmo.strokes`."""


class SheetError(ImageError):
    """A picture shows no grid of cells: it is blank, too small, a screenshot of text, or a sheet without boxes."""


class DataError(InputError):
    """A sample file, a folder of pictures or a pack is damaged or empty."""


class RecordError(DataError):
    """A record of a sample file is truncated or lies; carries the file and the byte offset."""

    def __init__(self, reason: str, path: Path | str, offset: int) -> None:
        super().__init__(f"{path}: byte {offset}: {reason}")
        self.reason, self.path, self.offset = reason, Path(path), offset

    def __reduce__(self) -> tuple[type[RecordError], tuple[str, Path, int]]:
        # Exceptions pickle their message alone, which is not what __init__ takes: a pool of workers would end by it.
        return type(self), (self.reason, self.path, self.offset)


class GntError(RecordError):
    """A :class:`RecordError` of a ``.gnt`` file."""


class PotError(RecordError):
    """A :class:`RecordError` of a ``.pot`` file."""


class PackError(DataError):
    """A pack is damaged or of another normalisation."""


class FontError(DataError):
    """A font cannot be read, or a bank of glyphs is damaged."""


class CharsetError(InputError):
    """A label is not in the charset, or two charsets differ."""


class ConfigError(InputError):
    """A recipe (its file or ``--set``) has an unknown key or an impossible value.

    Also raised by the dataclasses that recipes are read into, such as :class:`hanmo.normalize.Normalization`.
    """


class ArgumentError(InputError):
    """A function or an option of the command line was given a value that it cannot use."""


class ModelError(InputError):
    """An ONNX model cannot be used as a net: it is missing, not a model, or has operations that hanmo does not know."""


class RunError(InputError):
    """An output folder holds another run, search or data, files of somebody else, or unfinished parts."""


class CheckpointError(InputError):
    """A checkpoint is damaged or belongs to another net."""


class BundleError(InputError):
    """A bundle is damaged, newer than this program, or inconsistent."""


class StorageError(OperationError):
    """The disk refused to store a result."""


class DeviceMemoryError(OperationError):
    """The memory of the GPU is too small for a batch of the recipe."""


class WorkerError(OperationError):
    """A worker process, or one of several that train together, ended by itself, or the memory was full."""


class DivergedError(OperationError):
    """The loss of a training is not a finite number any more."""


class ExportError(OperationError):
    """An exported net does not answer as the trained one."""


class DeviceError(OperationError):
    """A device or an ONNX Runtime provider is missing or cannot start."""


class DamageWarning(UserWarning):
    """Something was damaged and something older is used in its place; the command line prints it as one line."""


class InstallationError(OperationError):
    """Something that hanmo needs is missing or damaged: a part of its own package, or a package it works with."""
