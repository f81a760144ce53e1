"""Samples from any mix of files, globs and folders."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from hanmo.data.archive import check_archive, is_zip, open_members
from hanmo.data.folder import Labels, class_folders, entries, read_classes, read_folder, read_mapping
from hanmo.data.gnt import is_gnt, read_gnt, read_zip
from hanmo.data.pack import is_pack
from hanmo.data.sample import Sample
from hanmo.errors import DataError
from hanmo.files import exists, is_folder
from hanmo.image import SUFFIXES, pictures_in


def read_samples(
    inputs: Sequence[str | Path], mapping: Labels | None = None, on_bytes: Callable[[int], None] | None = None
) -> Iterator[Sample]:
    """Stream the samples of every input in the order given, each file once.

    An input is a ``.gnt`` or ``.gnt.xz`` file, a ``.zip`` archive of such files, a folder of class folders (labelled by
    ``mapping``, see :func:`hanmo.data.folder.read_folder`), a folder that holds ``.gnt`` files at any depth, or a glob
    of these. Names, folders and the directories of archives are checked at once, contents as they are read.
    ``on_bytes`` is called with the number of bytes read since its last call; the sum is :func:`count_bytes`.

    Raises :class:`DataError` naming an input that matches nothing.
    """
    labels = read_mapping(mapping) if mapping is not None else None
    return chain.from_iterable([_read(path, labels, on_bytes) for path in find_inputs(inputs)])


class Reading(NamedTuple):
    """A part of a file or folder, read by ``samples()``; it can be sent to another process.

    ``size``: what was there when the part was listed: "21,505 bytes" of a file, or "the class folders 一 to 万 with 30
    pictures". ``size_here()`` is that where it is called, so that a machine can tell whether it sees the same.
    """

    path: Path
    samples: Callable[[], Iterator[Sample]]
    size: str
    size_here: Callable[[], str]


_MEMBERS = 4
"""Files of an archive, or class folders, that are read together: some thousand samples."""


def split_reading(inputs: Sequence[str | Path], mapping: Labels | None = None) -> Iterator[Reading]:
    """What :func:`read_samples` streams, in parts that processes of other machines can read: one after the other.

    Raises what :func:`read_samples` raises, some of it only while the parts are listed.
    """
    labels = read_mapping(mapping) if mapping is not None else None
    # Absolute: the processes work in other folders.
    for path in [path.absolute() for path in find_inputs(inputs)]:
        if is_folder(path):
            classes = class_folders(path, labels)
            for first in range(0, len(classes), _MEMBERS):
                some = classes[first : first + _MEMBERS]
                yield _part(path, partial(read_classes, path, some), partial(_pictures_of, some))
            continue
        size = partial(_bytes_of, path)
        if is_zip(path):
            with open_members(path) as (_, members):
                count = len(members)
            for first in range(0, count, _MEMBERS):
                yield _part(path, partial(read_zip, path, None, slice(first, first + _MEMBERS)), size)
        else:
            yield _part(path, partial(read_gnt, path), size)


def _part(path: Path, samples: Callable[[], Iterator[Sample]], size: Callable[[], str]) -> Reading:
    return Reading(path, samples, size(), size)


def _bytes_of(path: Path) -> str:
    try:
        return f"{path.stat().st_size:,} bytes"
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def _pictures_of(classes: Sequence[tuple[Path, str]]) -> str:
    # A folder that is not there has none.
    count = sum(len(pictures_in(folder)) for folder, _ in classes if folder.is_dir())
    return f"the class folders {classes[0][0].name} to {classes[-1][0].name} with {count:,} pictures"


def find_inputs(inputs: Sequence[str | Path]) -> list[Path]:
    """The sample files, archives and folders of class folders that ``inputs`` stand for. Raises :class:`DataError`."""
    found = [source for item in inputs for path in _expand(item) for source in _sources(path)]
    if not found:
        raise DataError("no input; name .gnt files or folders of pictures")
    first: dict[Path, Path] = {}
    for path in found:
        # A file may be named twice, by itself and by its folder; as samples it must count once.
        first.setdefault(path.resolve(), path)
    return list(first.values())


def count_bytes(inputs: Sequence[str | Path]) -> int:
    """The size of all sample files and pictures of ``inputs``, for a progress bar."""
    sizes = 0
    for path in find_inputs(inputs):
        files = path.glob("*/*") if path.is_dir() else [path]
        sizes += sum(f.stat().st_size for f in files if is_gnt(f) or is_zip(f) or f.suffix.lower() in SUFFIXES)
    return sizes


def _read(path: Path, labels: Labels | None, on_bytes: Callable[[int], None] | None) -> Iterator[Sample]:
    if is_folder(path):
        return read_folder(path, labels, on_bytes)
    return read_zip(path, on_bytes) if is_zip(path) else read_gnt(path, on_bytes)


def _expand(item: str | Path) -> list[Path]:
    if exists(Path(item)):
        return [Path(item)]
    matches: list[Path] = []
    with suppress(OSError, ValueError):  # a name longer than the file system allows, or with a zero byte
        matches = sorted(Path(match) for match in glob.glob(str(item), recursive=True))  # noqa: PTH207  (absolute too)
    if not matches:
        raise DataError(f"{item}: no such file or folder, and no glob that matches one")
    return matches


def _sources(path: Path) -> list[Path]:
    """A file as it is; a folder as the sample files in it, or as itself where it has none."""
    if not is_folder(path):
        if is_zip(path):
            check_archive(path)
        elif not is_gnt(path):
            raise DataError(
                f"{path}: not a .gnt or .gnt.xz file, nor a .zip of them; pictures are read from a folder of class "
                "folders"
            )
        return [path]
    if is_pack(path):
        raise DataError(f"{path}: is a pack already; name the files it was packed from")
    # Globs respect case on some systems: a name in capitals must be found, too.
    files = path.rglob("*.[gG][nN][tT]*")
    found = sorted(p for p in files if is_gnt(p) and p.is_file() and not p.name.startswith("."))
    # Reading one kind and leaving out the other without a word would lose samples.
    if found and (picture := next((p for p in path.glob("*/*") if p.suffix.lower() in SUFFIXES), None)):
        raise DataError(f"{path}: holds both sample files and pictures ({picture.name}); name one kind at a time")
    # Archives often lie beside the folders they were unpacked to, so they are read only where named themselves.
    inside = entries(path)
    if not (found or any(map(is_folder, inside))) and any(map(is_zip, inside)):
        raise DataError(f"{path}: holds archives; name these themselves, as in {path / '*.zip'}")
    return found or [path]
