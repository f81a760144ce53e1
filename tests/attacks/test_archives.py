"""Hostile zip archives: bombs, lying sizes, encryption, names that lead elsewhere, archives in archives, damage."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from attacks.budget import budget
from attacks.test_data_files import record
from hanmo.data.gnt import read_zip
from hanmo.data.read import find_inputs
from hanmo.errors import DataError, GntError

DIRECTORY, LOCAL, END = b"PK\1\2", b"PK\3\4", b"PK\5\6"


def archive(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def change(path: Path, field: int, value: bytes, signature: bytes = DIRECTORY) -> Path:
    """Write ``value`` at byte ``field`` of the first record with that signature."""
    data = bytearray(path.read_bytes())
    at = data.index(signature) + field
    data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


def refusal(path: Path) -> str:
    """The one line by which an archive is refused, in little time and memory."""
    with budget(), pytest.raises(DataError) as caught:
        for _ in read_zip(path):
            pass
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1100
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["../1001-c.gnt", "a/../../1001-c.gnt", "/etc/1001-c.gnt", "C:\\1001-c.gnt", "..\\1001-c.gnt", "a\x1b[2J.gnt"],
)
def test_a_name_that_leads_elsewhere_or_forges_the_message_is_refused(tmp_path: Path, name: str) -> None:
    told = refusal(archive(tmp_path / "a.zip", {name: record()}))
    assert "no name of a file within an archive" in told


@pytest.mark.parametrize("name", ["HWDB1.1trn_gnt.alz", "part.zip", "a/b.tar.gz", "b.7z", "notes.gz"])
def test_an_archive_in_the_archive_is_named(tmp_path: Path, name: str) -> None:
    told = refusal(archive(tmp_path / "a.zip", {"1001-c.gnt": record(), name: b"more"}))
    assert f"holds another archive ({name}); unpack that one" in told


def test_an_archive_without_samples_is_refused(tmp_path: Path) -> None:
    for members in ({}, {"readme.txt": b"", "a.mpf": b""}, {"a.gnt/": b""}):
        assert "no .gnt file in it" in refusal(archive(tmp_path / "a.zip", members))


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        warnings.simplefilter("ignore")
        for _ in range(2):
            file.writestr("a.gnt", record())
    assert "a.gnt is in it twice" in refusal(tmp_path / "a.zip")


@pytest.mark.parametrize("flags", [0x1, 0x41])
def test_an_encrypted_member_is_named(tmp_path: Path, flags: int) -> None:
    path = change(archive(tmp_path / "a.zip", {"1001-c.gnt": record()}), 8, struct.pack("<H", flags))
    assert "1001-c.gnt: is encrypted" in refusal(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_ways_of_compression_that_unpack_without_bounds_are_refused(tmp_path: Path, method: int) -> None:
    told = refusal(archive(tmp_path / "a.zip", {"a.gnt": bytes(10**7)}, method))
    assert f"compressed by method {method}, but only stored (0) and deflated (8)" in told


def test_a_bomb_is_refused_by_the_sizes_it_states(tmp_path: Path) -> None:
    blank = record(width=4000, height=4000, pixels=0) + bytes(16_000_000)  # a whole record of blank paper
    told = refusal(archive(tmp_path / "a.zip", {"1001-c.gnt": blank * 4}))
    assert "would unpack to 64,000,040 bytes, more than 100 times its size" in told


def test_a_bomb_that_states_a_small_size_ends_there(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"1001-c.gnt": record() * 2 + bytes(50_000_000)})
    path = change(path, 24, struct.pack("<I", 32))
    with budget(), pytest.raises(GntError, match=r"1001-c\.gnt: byte 0: damaged in the archive \(Bad CRC-32"):
        list(read_zip(path))


def test_a_member_that_ends_before_its_size_is_found(tmp_path: Path) -> None:
    path = change(archive(tmp_path / "a.zip", {"1001-c.gnt": record() * 2}), 24, struct.pack("<I", 48))
    with pytest.raises(GntError, match=r"byte 32: damaged in the archive \(it ends 16 bytes early\)"):
        list(read_zip(path))


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """The better zip bomb: a directory of many names for one stream, each within its ratio."""
    path = archive(tmp_path / "a.zip", {"0000.gnt": record() * 5000})
    data = path.read_bytes()
    at, end = data.index(DIRECTORY), data.index(END)
    entry = data[at:end]
    entries = b"".join(entry.replace(b"0000.gnt", f"{n:04}.gnt".encode()) for n in range(2000))
    tail = struct.pack("<4s4H2IH", END, 0, 0, 2000, 2000, len(entries), at, 0)
    path.write_bytes(data[:at] + entries + tail)
    # Pythons after 3.11.7 may find it themselves, when a member is opened.
    assert "members together are larger than the archive" in refusal(path)


def test_a_directory_of_a_million_names_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"0000.gnt": record()})
    data = path.read_bytes()
    at, end = data.index(DIRECTORY), data.index(END)
    entries = data[at:end] * 300_000
    tail = struct.pack("<4s4H2IH", END, 0, 0, 0xFFFE, 0xFFFE, len(entries), at, 0)
    path.write_bytes(data[:at] + entries + tail)
    assert "its directory is larger than 1 MiB" in refusal(path)


@pytest.mark.parametrize("size", [0xFFFFFFF0, 2**31])
def test_a_directory_of_a_lying_size_takes_no_memory(tmp_path: Path, size: int) -> None:
    path = change(archive(tmp_path / "a.zip", {"a.gnt": record()}), 12, struct.pack("<I", size), END)
    assert "truncated, or no zip archive" in refusal(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.zip", {"1001-c.gnt": record() * 3, "1002-c.gnt": record()}).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "a.zip").write_bytes(whole[:length])
        assert "fetch it again" in refusal(tmp_path / "a.zip")


def test_damage_in_a_member_names_it_with_the_offset(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"HWDB/1001-c.gnt": record(pixels=6), "HWDB/1002-c.gnt": record(size=17)})
    samples = read_zip(path)
    assert next(samples).writer == "1001"
    with pytest.raises(GntError, match="size field says 17") as caught:
        next(samples)
    assert (caught.value.path, caught.value.offset) == (path / "HWDB" / "1002-c.gnt", 0)


def test_a_changed_byte_of_a_member_is_found_by_its_checksum(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"1001-c.gnt": record() * 3}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(record()) + 12] ^= 1  # a pixel
    path.write_bytes(data)
    with pytest.raises(GntError, match="Bad CRC-32"):
        list(read_zip(path))


def test_a_local_name_that_differs_from_the_directory_is_found(tmp_path: Path) -> None:
    path = change(archive(tmp_path / "a.zip", {"1001-c.gnt": record()}), 30, b"1009", LOCAL)
    assert "damaged in the archive" in refusal(path)


def test_a_broken_deflate_stream_is_found(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"1001-c.gnt": record() * 500})
    change(path, 30 + len("1001-c.gnt"), b"\xff" * 8, LOCAL)  # the stream follows a header of 30 bytes and the name
    assert "damaged in the archive" in refusal(path)


def test_pipes_and_folders_are_no_archives(tmp_path: Path) -> None:
    (tmp_path / "a.zip").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        list(read_zip(tmp_path / "a.zip"))
    assert find_inputs([tmp_path / "a.zip"])  # a folder of this name is a folder
    with pytest.raises(DataError, match="No such file"):
        list(read_zip(tmp_path / "none.zip"))


def test_an_archive_with_bytes_before_it_is_read(tmp_path: Path) -> None:
    """Such as one that unpacks itself; zipfile allows it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("1001-c.gnt", record())
    (tmp_path / "a.zip").write_bytes(b"#!/bin/sh\n" + made.getvalue())
    assert [s.writer for s in read_zip(tmp_path / "a.zip")] == ["1001"]
