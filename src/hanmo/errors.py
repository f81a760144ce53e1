"""What can go wrong, as one tree.

HanmoError (a ValueError: the input is at fault, not the program)
├── ImageError           a picture cannot be used
│   ├── BlankImageError      it holds no ink
│   │   └── FaintInkError        there is something, but no clear ink
│   ├── ImageFormatError     its file is of no format that hanmo reads
│   └── ImageTooLargeError   it is beyond the limits of hanmo.image or hanmo.strokes
├── DataError            a sample file, a folder of pictures or a pack is damaged or empty
│   ├── GntError             a .gnt record is truncated or lies; knows the file and the byte offset
│   ├── PackError            a pack is damaged or of another normalisation
│   └── FontError            a font cannot be read, or a bank of glyphs is damaged
├── CharsetError         a label is not in the charset, or two charsets differ
├── ConfigError          a recipe or a flag has an unknown key or an impossible value
├── DivergedError        the loss of a training is no number any more
├── CheckpointError      a checkpoint is damaged or belongs to another net
├── BundleError          a bundle is damaged, newer than this program, or inconsistent
├── ExportError          an exported net does not answer as the trained one
└── StorageError         the disk refused to store a result (full, read-only)

Messages are one line: what is wrong, where, and what to do about it.
"""

from __future__ import annotations

from pathlib import Path


class HanmoError(ValueError):
    """Base of every error the user can mend."""


def one_line(error: BaseException) -> str:
    """Another library's message on one line, cut to 200 characters; the error's name when it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__


class ImageError(HanmoError):
    """A picture cannot be used."""


class BlankImageError(ImageError):
    """A picture holds no ink."""


class FaintInkError(BlankImageError):
    """A picture shows something, but no ink that stands out clearly."""


class ImageFormatError(ImageError):
    """A picture's file is of no format that :mod:`hanmo.image` reads."""


class ImageTooLargeError(ImageError):
    """A picture is beyond the limits of :mod:`hanmo.image`, or strokes are beyond those of :mod:`hanmo.strokes`."""


class DataError(HanmoError):
    """A sample file, a folder of pictures or a pack is damaged or empty."""


class GntError(DataError):
    """A ``.gnt`` record is truncated or lies; carries the file and the byte offset."""

    def __init__(self, reason: str, path: Path | str, offset: int) -> None:
        super().__init__(f"{path}: byte {offset}: {reason}")
        self.path = Path(path)
        self.offset = offset


class PackError(DataError):
    """A pack is damaged or of another normalisation."""


class FontError(DataError):
    """A font cannot be read, or a bank of glyphs is damaged."""


class CharsetError(HanmoError):
    """A label is not in the charset, or two charsets differ."""


class ConfigError(HanmoError):
    """A recipe or a flag has an unknown key or an impossible value."""


class DivergedError(HanmoError):
    """The loss of a training is no number any more."""


class CheckpointError(HanmoError):
    """A checkpoint is damaged or belongs to another net."""


class BundleError(HanmoError):
    """A bundle is damaged, newer than this program, or inconsistent."""


class ExportError(HanmoError):
    """An exported net does not answer as the trained one."""


class StorageError(HanmoError):
    """The disk refused to store a result."""
