"""Files of object stores and other remote places, by addresses (URLs) such as ``s3://bucket/scans``; uses fsspec."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hanmo.errors import DataError, HanmoError, ImageError, InstallationError, one_line, printable
from hanmo.image import MAX_BYTES

T = TypeVar("T")

# At least two letters, so that no drive of Windows is one.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_GLOB = re.compile(r"[*?\[]")


class Remote(NamedTuple):
    """A file at an address; ``version`` changes whenever the file does."""

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
            f"{shown(address)}: reading it needs more packages ({one_line(error)}); pip install 'hanmo[ray]', and "
            "the package for this store, such as s3fs or gcsfs"
        ) from error
    except Exception as error:  # each store has errors of its own, without a common base
        raise DataError(f"{shown(address)}: not a usable address ({one_line(error)}); check it") from error
    return fs, str(path)


def find(address: str, wanted: Callable[[str], bool], named: Callable[[str], bool]) -> Iterator[Remote]:
    """The files that ``address`` stands for: a file, a glob, or a folder, depth first, by name.

    In folders those are taken whose names are ``wanted``, and in globs also those that are ``named``. Memory holds the
    names of one folder at a time, or all that a glob matches. Raises :class:`DataError`, :class:`InstallationError`.
    """
    fs, path = filesystem(address)
    try:
        if _GLOB.search(path):
            found = _matches(fs, path, wanted, named)
            # Only ** matches a folder and the files in it.
            yield from once(found) if "**" in path else found
        elif fs.isdir(path):
            yield from _below(fs, path, wanted)
        else:
            yield _remote(fs, fs.info(path))
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
    fs, _ = filesystem(addresses[0])
    paths = [filesystem(address)[1] for address in addresses]
    # One byte more than the limit, so that too large a picture is noticed.
    ranges = [0] * len(paths), [MAX_BYTES + 1] * len(paths)
    answers = fs.cat_ranges(paths, *ranges, on_error="return")
    return [answer if isinstance(answer, bytes) else _failed(answer) for answer in answers]


@contextmanager
def local_copy(address: str) -> Iterator[str]:
    """The path of a temporary copy with the same suffixes. Raises :class:`DataError`."""
    fs, path = filesystem(address)
    with tempfile.TemporaryDirectory(prefix="hanmo-") as folder:
        copy = Path(folder) / f"copy{''.join(Path(path).suffixes)}"
        try:
            with fs.open(path, "rb") as file, copy.open("wb") as out:
                shutil.copyfileobj(file, out, 1 << 20)
        except Exception as error:  # as in filesystem()
            raise DataError(f"{shown(address)}: cannot be fetched ({one_line(error)}); check it") from error
        yield str(copy)


def shown(address: str) -> str:
    """An address for a message."""
    return printable(address, 500)


def once(found: Iterable[T]) -> Iterator[T]:
    """``found`` without those that came before."""
    seen: set[T] = set()
    for one in found:
        if one not in seen:
            seen.add(one)
            yield one


def _matches(fs: Any, path: str, wanted: Callable[[str], bool], named: Callable[[str], bool]) -> Iterator[Remote]:
    for name, facts in sorted(fs.glob(path, detail=True).items()):
        if "/." in name and "/." not in path:
            continue  # hidden; Python's own glob leaves it out as well
        if facts["type"] == "directory":
            yield from _below(fs, name, wanted)
        elif wanted(name) or named(name):
            yield _remote(fs, facts)


def _below(fs: Any, folder: str, wanted: Callable[[str], bool]) -> Iterator[Remote]:
    # Folders may be nested deeper than Python lets functions call themselves.
    opened = [_listed(fs, folder)]
    while opened:
        facts = next(opened[-1], None)
        if facts is None:
            opened.pop()
        elif facts["type"] == "directory":
            opened.append(_listed(fs, str(facts["name"])))
        elif wanted(str(facts["name"])):
            yield _remote(fs, facts)


def _listed(fs: Any, folder: str) -> Iterator[dict[str, Any]]:
    """What is in a folder, by name, but for hidden things."""
    for facts in sorted(fs.ls(folder, detail=True), key=lambda facts: str(facts["name"])):
        name = str(facts["name"]).rstrip("/")
        # Some stores list a folder as a file in itself.
        if not name.rpartition("/")[2].startswith(".") and name != folder.rstrip("/"):
            yield facts


def _remote(fs: Any, facts: dict[str, Any]) -> Remote:
    # Each store calls the time, or the digest, of a file by another name.
    version = [str(facts.get(key)) for key in ("size", "mtime", "LastModified", "last_modified", "ETag", "etag", "md5")]
    return Remote(str(fs.unstrip_protocol(facts["name"])), " ".join(version))


def _failed(error: object) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return ImageError("no such file; check the address")
    if isinstance(error, OSError) and error.errno:
        return ImageError(f"cannot be fetched ({os.strerror(error.errno)}); check the address and the rights")
    reason = one_line(error) if isinstance(error, Exception) else "no answer"
    return ImageError(f"cannot be fetched ({reason}); check the address and the rights")
