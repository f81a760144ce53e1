"""Damaged, lying and hostile data files; disks that fill up; hands that press Ctrl-C."""

from __future__ import annotations

import errno
import io
import json
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from attacks.budget import budget
from hanmo.data.folder import write_folder
from hanmo.data.gnt import read_gnt, write_gnt
from hanmo.data.pack import Pack, write_pack
from hanmo.data.sample import Sample
from hanmo.errors import GntError, HanmoError, PackError, StorageError
from hanmo.normalize import VERSION, Normalization

FIT = Normalization(side=16, margin=1)


def bars(count: int, side: int = 20) -> Iterator[Sample]:
    image = np.full((side, side), 255, np.uint8)
    image[6:9, 3:15] = 0
    return (Sample("一丁七"[i % 3], image, "drawn") for i in range(count))


def record(
    tag: bytes = b"\xb0\xa1", width: int = 2, height: int = 3, size: int | None = None, pixels: int = 6
) -> bytes:
    size = 10 + width * height if size is None else size
    return struct.pack("<I2sHH", size, tag, width, height) + bytes(pixels)


WRONG_RECORDS = {
    "header cut": (record()[:7], "truncated: 7 of a record's 10"),
    "pixels cut": (record(pixels=5), "truncated: 5 of 6 pixels"),
    "size lies": (record(size=17), "size field says 17, but 2 x 3 pixels need 16"),
    "size zero": (record(size=0), "size field says 0"),
    "no width": (record(width=0), "0 x 3 pixels cannot be"),
    "no height": (record(height=0), "2 x 0 pixels cannot be"),
    "absurd": (record(width=65535, height=65535), "65535 x 65535 pixels cannot be"),
    "tag of nothing": (record(tag=b"\0\0"), "tag 00 00 is no GB code"),
    "tag of no code": (record(tag=b"\xff\xff"), "tag ff ff is no GB code"),
    "tag half": (record(tag=b"\xb0\0"), "tag b0 00 is no GB code"),
    "tag of two": (record(tag=b"AB"), "tag 41 42 is no GB code"),
    "tag of a control": (record(tag=b"\x07\0"), "tag 07 00 is no GB code"),
    "tag of private use": (record(tag=b"\xa1\x40"), "tag a1 40 is no GB code"),
}


@pytest.mark.parametrize("suffix", [".gnt", ".gnt.xz"])
@pytest.mark.parametrize("wrong", WRONG_RECORDS)
def test_a_wrong_record_is_named_with_its_offset(tmp_path: Path, wrong: str, suffix: str) -> None:
    data, reason = WRONG_RECORDS[wrong]
    path = tmp_path / f"1001-f{suffix}"
    stream = record() * 2 + data
    path.write_bytes(lzma.compress(stream) if suffix == ".gnt.xz" else stream)
    samples = read_gnt(path)
    assert [next(samples).label, next(samples).label] == ["啊", "啊"]
    with pytest.raises(GntError, match=reason) as caught:
        next(samples)
    assert (caught.value.path, caught.value.offset) == (path, 32)
    assert str(caught.value).startswith(f"{path}: byte 32: ")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.gnt").touch()
    with pytest.raises(GntError, match=r"a\.gnt: byte 0: the file is empty"):
        next(read_gnt(tmp_path / "a.gnt"))


def test_damaged_xz_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.gnt.xz"
    write_gnt(path, bars(400))
    whole = path.read_bytes()
    for data in (whole[:-9], whole[: len(whole) // 2], whole[:90] + b"\xff" * 9 + whole[99:], b"PK\x03\x04 a zip"):
        path.write_bytes(data)
        with pytest.raises(GntError, match=r"a\.gnt\.xz: byte \d+: the xz stream is damaged"):
            list(read_gnt(path))


STREAM = lzma.compress(record() * 3)


@pytest.mark.parametrize("between", [b"", bytes(4), bytes(4 * 50_000)])
def test_xz_of_several_streams_is_read_to_its_end(tmp_path: Path, between: bytes) -> None:
    path = tmp_path / "a.gnt.xz"
    path.write_bytes(between.join([STREAM] * 3) + between)
    assert len(list(read_gnt(path))) == 9


@pytest.mark.parametrize(
    "rest",
    [
        b"\0",
        bytes(6) + STREAM,
        b"\xfe" + STREAM[1:],
        bytes(4) + b"\xfe" + STREAM[1:],
        STREAM[:-4],
        STREAM[:3],
        b"junk",
        bytes(4) + b"\n",
        lzma.compress(record() * 3, lzma.FORMAT_ALONE),
    ],
)
def test_nothing_after_a_stream_of_xz_is_lost_without_a_word(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "a.gnt.xz"
    path.write_bytes(STREAM + rest)
    with pytest.raises(GntError, match="the xz stream is damaged"):
        list(read_gnt(path))


def test_xz_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**20}]
    data = bytearray(lzma.compress(record(), filters=filters))
    assert data[12:16] == bytes([2, 0, 0x21, 1])  # the block's head: its size, LZMA2, one byte of properties
    data[16] = 40  # a dictionary of 4 GiB
    data[20:24] = zlib.crc32(data[12:20]).to_bytes(4, "little")
    (tmp_path / "a.gnt.xz").write_bytes(data)
    with budget(), pytest.raises(GntError, match=r"the xz stream is damaged \(Memory usage limit exceeded"):
        list(read_gnt(tmp_path / "a.gnt.xz"))


def test_xz_of_twenty_gigabytes_is_refused_at_once(tmp_path: Path) -> None:
    """Of zeros: its first record is none. Memory does not grow with what would follow."""
    block = lzma.compress(bytes(2**25), preset=0)
    path = tmp_path / "a.gnt.xz"
    path.write_bytes(block * 640)
    with budget(), pytest.raises(GntError, match="0 x 0 pixels cannot be"):
        list(read_gnt(path))


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=60))
def test_noise_is_refused_in_words(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("noise") / "a.gnt"
    path.write_bytes(record() + data)
    samples = read_gnt(path)
    assert next(samples).label == "啊"
    if not data:
        assert not list(samples)
        return
    with pytest.raises(GntError) as caught:  # no 60 bytes of noise are a record: its size field would have to fit
        list(samples)
    assert caught.value.offset >= 16
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HanmoError, match=r"none\.gnt: cannot be read \(No such file"):
        next(read_gnt(tmp_path / "none.gnt"))


# -- writing ---------------------------------------------------------------------------------------------------------

WRITERS: dict[str, Callable[[Path, Iterator[Sample]], object]] = {
    "a.gnt": write_gnt,
    "a.gnt.xz": write_gnt,
    "folder": write_folder,
    "pack": lambda path, samples: write_pack(path, samples, normalization=FIT),
    "shared pack": lambda path, samples: write_pack(path, samples, normalization=FIT, workers=1),
}


@pytest.mark.parametrize("error", [KeyboardInterrupt, GntError("cut", "b.gnt", 7), OSError(errno.EIO, "unreadable")])
@pytest.mark.parametrize("name", WRITERS)
def test_an_interruption_leaves_nothing(tmp_path: Path, name: str, error: type[BaseException] | BaseException) -> None:
    def interrupted() -> Iterator[Sample]:
        yield from bars(300 if "pack" in name else 9)
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        WRITERS[name](tmp_path / name, interrupted())
    assert not list(tmp_path.iterdir())


class FullDisk(io.FileIO):
    """A file that takes some bytes and then no more."""

    room = 3000

    def write(self, data: object) -> int:
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        if size > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= size
        return super().write(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a.gnt", "a.gnt.xz", "pack"])
@pytest.mark.parametrize("room", [0, 300])
def test_a_full_disk_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, room: int
) -> None:
    original = Path.open

    def open_on_full_disk(path: Path, mode: str = "r", *rest: object) -> object:
        return io.BufferedWriter(FullDisk(path, mode)) if "w" in mode else original(path, mode, *rest)  # type: ignore[call-overload]

    rng = np.random.default_rng(0)
    grainy = rng.integers(235, 250, (60, 40, 40), dtype=np.uint8)  # not to be compressed much, and yet readable
    grainy[:, 18:23, 8:32] = 20
    samples = (Sample("一", image) for image in grainy)
    monkeypatch.setattr(FullDisk, "room", room)
    monkeypatch.setattr(Path, "open", open_on_full_disk)
    with pytest.raises(StorageError, match=rf"{name}: cannot be written \(No space left on device\)"):
        WRITERS[name](tmp_path / name, samples)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_below_a_folder_of_pictures_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Image.Image.save

    def save(picture: Image.Image, path: Path) -> None:
        if path.name == "000003.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        original(picture, path)

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(StorageError, match=r"folder: cannot be written \(No space left on device\)"):
        write_folder(tmp_path / "folder", bars(9))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_at_the_last_moment_keeps_the_old_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pack(tmp_path / "p", bars(3), normalization=FIT)
    original = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if "partial" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StorageError):
        write_pack(tmp_path / "p", bars(9), normalization=FIT, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["p"]
    assert len(Pack.open(tmp_path / "p", verify=True)) == 3


def test_a_place_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        write_pack(tmp_path / "file" / "p", bars(3), normalization=FIT)


def test_a_sample_file_never_replaces_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.gnt").mkdir()
    (tmp_path / "a.gnt" / "letter.txt").write_text("dear")
    with pytest.raises(StorageError, match=r"a\.gnt: cannot be written"):
        write_gnt(tmp_path / "a.gnt", bars(3))
    assert (tmp_path / "a.gnt" / "letter.txt").read_text() == "dear"


# -- packs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path / "p", bars(9), normalization=FIT).path


def edit(pack: Path, **changes: object) -> None:
    head = json.loads((pack / "pack.json").read_text(encoding="utf-8"))
    (pack / "pack.json").write_text(json.dumps(head | changes), encoding="utf-8")


@pytest.mark.parametrize("name", ["images.u8", "labels.u16", "sources.u16", "writers.u16"])
def test_a_cut_or_missing_array_is_named(pack: Path, name: str) -> None:
    file = pack / name
    data = file.read_bytes()
    for damaged in (data[:-1], data + b"\0", b""):
        file.write_bytes(damaged)
        with pytest.raises(PackError, match=rf"{name}: {len(damaged)} bytes where {len(data)} bytes are due"):
            Pack.open(pack)
    file.unlink()
    with pytest.raises(PackError, match=f"{name}: missing"):
        Pack.open(pack)


@pytest.mark.parametrize("name", ["images.u8", "labels.u16", "sources.u16", "writers.u16"])
@pytest.mark.parametrize("verify", [False, True])
def test_a_changed_array_is_found_on_opening(pack: Path, name: str, verify: bool) -> None:
    data = bytearray((pack / name).read_bytes())
    data[0] ^= 1
    (pack / name).write_bytes(data)
    with pytest.raises(PackError, match=f"{name}: damaged"):
        Pack.open(pack, verify=verify)


def test_many_images_are_hashed_only_where_asked(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hanmo.data.pack.CHEAP", 100)
    Pack.open(pack)
    data = bytearray((pack / "images.u8").read_bytes())
    data[700] ^= 1
    (pack / "images.u8").write_bytes(data)
    assert len(Pack.open(pack)) == 9
    with pytest.raises(PackError, match=r"images\.u8: damaged"):
        Pack.open(pack, verify=True)


def test_a_class_beyond_the_charset_is_found_at_once(pack: Path) -> None:
    (pack / "labels.u16").write_bytes(np.full(9, 3, "<u2").tobytes())
    with pytest.raises(PackError, match=r"labels\.u16: damaged \(it names entry 3 of 3\)"):
        Pack.open(pack)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2 is newer than this hanmo reads"),
        ({"format": "1"}, "names no format"),
        ({"count": -9}, "images.u8"),
        ({"count": "many"}, "damaged"),
        ({"count": 10**12}, "images.u8"),
        ({"charset": "一丁丁"}, "damaged"),
        ({"charset": "一丁万"}, "the charset is not the one its digest names"),
        ({"charset": 7}, "damaged"),
        ({"normalization": []}, "damaged"),
        ({"normalization": {"version": 0, "method": "fit", "side": 16, "margin": 1}}, "normalised by version 0"),
        ({"normalization": {"version": VERSION, "method": "magic", "side": 16, "margin": 1}}, "damaged"),
        ({"normalization": {"version": VERSION, "method": "fit", "side": "16", "margin": 1}}, "damaged"),
        ({"sources": None}, "damaged"),
        ({"writers": []}, "writers.u16"),
        ({"files": 3}, "damaged"),
        ({"skipped": {"blank": "x"}}, "damaged"),
    ],
)
def test_a_lying_pack_json_is_refused(pack: Path, changes: dict[str, object], message: str) -> None:
    edit(pack, **changes)
    with pytest.raises(PackError, match=message):
        Pack.open(pack, verify=True)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '"\\ud800"'])
def test_a_pack_json_that_is_none_is_refused(pack: Path, text: str) -> None:
    (pack / "pack.json").write_text(text)
    with pytest.raises(PackError, match=r"pack\.json: damaged"):
        Pack.open(pack)


def test_another_normalisation_version_says_how_to_pack_again(pack: Path) -> None:
    edit(pack, normalization=FIT.as_dict() | {"version": 99})
    with pytest.raises(PackError, match="pack again with --normalize fit --side 16 --margin 1"):
        Pack.open(pack)


def test_what_is_no_pack_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(PackError, match="not a pack"):
            Pack.open(path)


def test_file_names_that_are_no_utf8_do_not_stop_packing(tmp_path: Path) -> None:
    samples = [sample._replace(source="a\udcff.gnt") for sample in bars(3)]
    assert write_pack(tmp_path / "p", samples, normalization=FIT).sources == ("a?.gnt",)
