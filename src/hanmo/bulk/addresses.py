"""Files of object stores and other remote places, by addresses (URLs) such as ``s3://bucket/scans``; uses fsspec."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hanmo.bulk.items import without_password
from hanmo.bulk.temporary import storing_temporarily
from hanmo.errors import DataError, HanmoError, ImageError, InstallationError, one_line, printable
from hanmo.image import MAX_BYTES

T = TypeVar("T")

# At least two letters, so that no drive of Windows is one.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_GLOB = re.compile(r"[*?\[]")
_WEB = ("http://", "https://")
_COPIED = 1 << 20  # bytes of a file that are copied at a time

# Each store calls the time, or the digest, of a file by another name.
_VERSIONS = ("mtime", "LastModified", "last_modified", "ETag", "etag", "md5")
# These are asked for where a store has none of the above: most stores have more than one, and a run that was stopped
# would not go on if another key were to count. "created" comes last: for some stores it never changes.
_RARER_VERSIONS = ("modify", "modificationTime", "Last-Modified", "modified", "updated", "sha", "oid", "created")


class Remote(NamedTuple):
    """A file at an address; ``version`` changes with its size, and its time or digest where the store tells one."""

    address: str
    version: str


def is_address(text: str) -> bool:
    """Whether ``text`` is an address and no path."""
    return _ADDRESS.match(text) is not None


def filesystem(address: str) -> tuple[Any, str]:
    """The fsspec file system of ``address``, and the path in it.

    Raises :class:`InstallationError` where fsspec, or the package for this kind of address, is missing;
    :class:`DataError` for an address of an unknown kind.
    """
    try:
        from fsspec.core import url_to_fs

        # Listings are not kept: a source is listed once, and the listing of a large bucket fills the memory.
        fs, path = url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        raise InstallationError(
            f"{shown(address)}: reading it needs more packages ({one_line(error)}); pip install fsspec, and the "
            "package for this store, such as s3fs or gcsfs"
        ) from error
    except Exception as error:  # each store has errors of its own, without a common base
        raise DataError(f"{shown(address)}: not a usable address ({one_line(error)}); check it") from error
    return fs, str(path)


def name_in(address: str) -> str:
    """The part of an address that ends in the file's suffix: a web address without its query, such as a signature."""
    if address.lower().startswith(_WEB):
        return re.split(r"[?#]", address, maxsplit=1)[0]
    return address


def find(address: str, in_folders: Callable[[str], bool], in_globs: Callable[[str], bool]) -> Iterator[Remote]:
    """The files that ``address`` stands for: a file, a glob, or a folder, depth first, by name.

    ``in_folders`` tells by its name whether a file counts as part of a folder; ``in_globs`` tells of the other files
    whether they count where they match a glob. Memory holds the listing of one folder at a time, or of all that a glob
    matches. Raises :class:`DataError`, :class:`InstallationError`.
    """
    fs, path = filesystem(address)
    prefix = _prefix(address, path)
    try:
        # A name may hold the signs of a glob, and so may the query of a web address.
        if _GLOB.search(path) and not _is_there(fs, path):
            found = _matches(fs, path, prefix, in_folders, in_globs)
            first = next(found, None)
            if first is None:
                raise DataError(f"{shown(address)}: no such file or folder, and no glob that matches pictures")
            found = chain([first], found)
            # Only ** matches a folder and the files in it.
            yield from once(found) if "**" in path else found
        elif fs.isdir(path):
            yield from _below(fs, path, prefix, in_folders)
        else:
            yield _remote(fs, fs.info(path), prefix)
    except HanmoError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{shown(address)}: no such file or folder; check the address") from error
    except Exception as error:  # as in filesystem()
        raise DataError(
            f"{shown(address)}: cannot be listed ({one_line(error)}); check the address and the rights"
        ) from error


def fetch(addresses: Sequence[str]) -> list[bytes | ImageError]:
    """The bytes of picture files, or why there are none; stores that can give many at once are asked for all of them.

    Of a file beyond the size that hanmo reads, only so much is fetched that it will be refused.
    """
    answers: dict[int, bytes | ImageError] = {}
    # The same path may be there in two stores, or on two servers.
    stores: dict[Any, list[tuple[int, str]]] = {}
    for number, address in enumerate(addresses):
        fs, path = filesystem(address)
        stores.setdefault(fs, []).append((number, path))
    for fs, asked in stores.items():
        numbers, paths = zip(*asked, strict=True)
        # One byte more than the limit, so that too large a picture is noticed.
        ranges = [0] * len(paths), [MAX_BYTES + 1] * len(paths)
        found = fs.cat_ranges(list(paths), *ranges, on_error="return")
        answers.update(zip(numbers, (one if isinstance(one, bytes) else _failed(one) for one in found), strict=True))
    return [answers[number] for number in range(len(addresses))]


@contextmanager
def local_copy(address: str) -> Iterator[str]:
    """The path of a temporary copy with the same suffixes.

    Raises :class:`DataError` where the file cannot be fetched, :class:`StorageError` where it cannot be stored here.
    """
    fs, path = filesystem(address)
    # Not around the yield: errors of the caller's block are none of the copy.
    with storing_temporarily():
        folder = tempfile.TemporaryDirectory(prefix="hanmo-")
    with folder:
        copy = Path(folder.name) / f"copy{''.join(Path(name_in(path)).suffixes)}"
        with storing_temporarily(), copy.open("wb") as out:
            for block in _blocks(fs, path, address):
                out.write(block)
        yield str(copy)


def _blocks(fs: Any, path: str, address: str) -> Iterator[bytes]:
    try:
        with fs.open(path, "rb") as file:
            while block := file.read(_COPIED):
                yield block
    except Exception as error:  # as in filesystem()
        raise DataError(f"{shown(address)}: cannot be fetched ({one_line(error)}); check it") from error


def shown(address: str) -> str:
    """An address for a message."""
    return printable(without_password(address), 500)


def once(found: Iterable[T]) -> Iterator[T]:
    """``found`` without those that came before."""
    seen: set[T] = set()
    for one in found:
        if one not in seen:
            seen.add(one)
            yield one


def _prefix(address: str, path: str) -> str | None:
    """What comes before the path in an address, such as "sftp://host"; None where the path is not part of it as it is.

    File systems of fsspec know the path alone, without the server.
    """
    for whole in (address, address.rstrip("/")):
        if path and "::" not in whole and whole.endswith(path):
            return whole.removesuffix(path)
    return None


def _is_there(fs: Any, path: str) -> bool:
    try:
        fs.info(path)
    except Exception:  # as in filesystem(); whatever is wrong with the store, the listing that follows tells
        return False
    return True


def _matches(
    fs: Any, path: str, prefix: str | None, in_folders: Callable[[str], bool], in_globs: Callable[[str], bool]
) -> Iterator[Remote]:
    for name, facts in sorted(fs.glob(path, detail=True).items()):
        if "/." in name and "/." not in path:
            continue  # hidden; Python's own glob leaves it out as well
        if facts["type"] == "directory":
            yield from _below(fs, name, prefix, in_folders)
        elif in_folders(name) or in_globs(name):
            yield _remote(fs, facts, prefix)


def _below(fs: Any, folder: str, prefix: str | None, in_folders: Callable[[str], bool]) -> Iterator[Remote]:
    # Folders may be nested deeper than Python lets functions call themselves.
    opened = [_listed(fs, folder)]
    while opened:
        facts = next(opened[-1], None)
        if facts is None:
            opened.pop()
        elif facts["type"] == "directory":
            opened.append(_listed(fs, str(facts["name"])))
        elif in_folders(str(facts["name"])):
            yield _remote(fs, facts, prefix)


def _listed(fs: Any, folder: str) -> Iterator[dict[str, Any]]:
    """What is in a folder, by name, but for hidden things."""
    for facts in sorted(fs.ls(folder, detail=True), key=lambda facts: str(facts["name"])):
        name = str(facts["name"]).rstrip("/")
        # Some stores list a folder as a file in itself.
        if not name.rpartition("/")[2].startswith(".") and name != folder.rstrip("/"):
            yield facts


def _remote(fs: Any, facts: dict[str, Any], prefix: str | None) -> Remote:
    name = str(facts["name"])
    versions = [str(facts.get(key)) for key in ("size", *_VERSIONS)]
    if not any(facts.get(key) for key in _VERSIONS):
        versions += [str(facts[key]) for key in _RARER_VERSIONS if facts.get(key)]
    return Remote(str(fs.unstrip_protocol(name)) if prefix is None else prefix + name, " ".join(versions))


def _failed(error: object) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return ImageError("no such file; check the address")
    if isinstance(error, OSError) and error.errno:
        return ImageError(f"cannot be fetched ({os.strerror(error.errno)}); check the address and the rights")
    reason = one_line(error) if isinstance(error, Exception) else "no answer"
    return ImageError(f"cannot be fetched ({reason}); check the address and the rights")
