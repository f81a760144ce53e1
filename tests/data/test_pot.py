"""CASIA's files of pen strokes."""

from __future__ import annotations

import lzma
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hanmo.data.pot import is_pot, read_pot, write_pot
from hanmo.data.sample import OnlineSample
from hanmo.errors import CharsetError, DataError, PotError

STROKE = st.integers(1, 9).flatmap(lambda n: arrays(np.float32, (n, 2), elements=st.integers(0, 32_767)))
SAMPLES = st.lists(
    st.builds(OnlineSample, st.sampled_from("一翰鬱龥Aa1~，。"), st.lists(STROKE, min_size=1, max_size=5)),
    min_size=1,
    max_size=6,
)


def record(*points: tuple[int, int], tag: bytes = b"\xa1\xb0\0\0", strokes: int = 1, size: int | None = None) -> bytes:
    size = 8 + 4 * len(points) if size is None else size
    return struct.pack("<H4sH", size, tag, strokes) + b"".join(struct.pack("<2h", *point) for point in points)


GOOD = record((5, 6), (7, 8), (-1, 0), (-1, -1))


@pytest.mark.parametrize("suffix", [".pot", ".pot.xz"])
@settings(max_examples=40, deadline=None)
@given(samples=SAMPLES)
def test_what_is_written_is_read(suffix: str, samples: list[OnlineSample]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"1241-c{suffix}"
        assert write_pot(path, samples) == len(samples)
        read = list(read_pot(path))
        assert list(Path(folder).iterdir()) == [path]
    assert [s.label for s in read] == [s.label for s in samples]
    for a, b in zip(read, samples, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.strokes, b.strokes, strict=True))
    assert {(s.source, s.writer) for s in read} == {(f"1241-c{suffix}", "1241")}


def test_the_bytes_are_casias(tmp_path: Path) -> None:
    strokes = [np.array([[1, 2], [3, 4]], np.float32), np.array([[258, 0]], np.float32)]
    write_pot(tmp_path / "a.pot", [OnlineSample("啊", strokes)])
    assert (tmp_path / "a.pot").read_bytes() == (
        b"\x20\0" + b"\xa1\xb0\0\0" + b"\x02\0"  # 32 bytes, the code b0 a1 the other way round, two strokes
        + b"\x01\0\x02\0\x03\0\x04\0" + b"\xff\xff\0\0" + b"\x02\x01\0\0" + b"\xff\xff\0\0" + b"\xff\xff\xff\xff"
    )  # fmt: skip


@pytest.mark.parametrize("tag", [b"A\0\0\0", b"\0A\0\0"])
def test_ascii_is_read_from_either_byte(tmp_path: Path, tag: bytes) -> None:
    (tmp_path / "a.pot").write_bytes(record((0, 0), (-1, 0), (-1, -1), tag=tag))
    assert [s.label for s in read_pot(tmp_path / "a.pot")] == ["A"]


def test_coordinates_are_rounded(tmp_path: Path) -> None:
    write_pot(tmp_path / "a.pot", [OnlineSample("一", [np.array([[0.4, 7.6]], np.float32)])])
    assert next(read_pot(tmp_path / "a.pot")).strokes[0].tolist() == [[0, 8]]


def test_strokes_without_a_point_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.pot").write_bytes(record((-1, 0), (1, 2), (-1, 0), (-1, 0), (-1, -1), strokes=3))
    assert [stroke.tolist() for stroke in next(read_pot(tmp_path / "a.pot")).strokes] == [[[1, 2]]]


WRONG = {
    "header cut": (GOOD[:7], "truncated: 7 of a record's 8"),
    "points cut": (GOOD[:-1], "truncated: 23 of 24 bytes"),
    "size small": (record((-1, 0), (-1, -1)), "size field says 16, which no record"),
    "size odd": (record((5, 6), (-1, 0), (-1, -1), size=21), "size field says 21, which no record"),
    "size lies": (record((5, 6), (7, 8), (-1, 0), (-1, -1), size=20) + GOOD, r"mark \(-1, -1\) is not at the end"),
    "two ends": (record((5, 6), (-1, 0), (-1, -1), (-1, -1)), r"mark \(-1, -1\) is not at the end"),
    "strokes lie": (record((5, 6), (-1, 0), (-1, -1), strokes=2), "2 strokes are stated, but 1 end"),
    "no stroke": (record((5, 6), (7, 8), (-1, -1), strokes=0), "the last stroke has no end"),
    "points after the last": (record((5, 6), (-1, 0), (7, 8), (-1, -1)), "the last stroke has no end"),
    "no points": (record((-1, 0), (-1, 0), (-1, -1), strokes=2), "a character without a point"),
    "tag of nothing": (record((5, 6), (-1, 0), (-1, -1), tag=bytes(4)), "tag 00 00 00 00 is no GB code"),
    "tag as in .gnt": (record((5, 6), (-1, 0), (-1, -1), tag=b"\xb0\x21\0\0"), "tag b0 21 00 00 is no GB code"),
    "tag of four": (record((5, 6), (-1, 0), (-1, -1), tag=b"\xa1\xb0\0\1"), "tag a1 b0 00 01 is no GB code"),
}


@pytest.mark.parametrize("suffix", [".pot", ".pot.xz"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_record_is_named_with_its_offset(tmp_path: Path, wrong: str, suffix: str) -> None:
    data, reason = WRONG[wrong]
    path = tmp_path / f"1001-c{suffix}"
    path.write_bytes(lzma.compress(GOOD + data) if suffix == ".pot.xz" else GOOD + data)
    samples = read_pot(path)
    assert next(samples).label == "啊"
    with pytest.raises(PotError, match=reason) as caught:
        list(samples)
    assert (caught.value.path, caught.value.offset) == (path, 24)
    assert str(caught.value).startswith(f"{path}: byte 24: ")


def test_empty_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.pot").touch()
    with pytest.raises(PotError, match=r"a\.pot: byte 0: the file is empty"):
        next(read_pot(tmp_path / "a.pot"))
    with pytest.raises(DataError, match=r"b\.pot: cannot be read"):
        next(read_pot(tmp_path / "b.pot"))
    (tmp_path / "c.pot.xz").write_bytes(lzma.compress(GOOD)[:-9])
    with pytest.raises(PotError, match="the xz stream is damaged"):
        list(read_pot(tmp_path / "c.pot.xz"))


def test_an_archive_holds_a_file_for_each_writer(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("OLHWDB/1002-c.pot", "OLHWDB/1001-c.pot", "OLHWDB/1001-c.gnt"):
            archive.writestr(name, GOOD * 2)
    assert [(s.source, s.writer) for s in read_pot(tmp_path / "a.zip")] == (
        [("1001-c.pot", "1001")] * 2 + [("1002-c.pot", "1002")] * 2
    )
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("1001-c.pot", GOOD[:-1])
        archive.writestr("readme.txt", "")
    with pytest.raises(PotError, match=r"b\.zip/1001-c\.pot: byte 0: truncated"):
        list(read_pot(tmp_path / "b.zip"))
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("1001-c.gnt", GOOD)
    with pytest.raises(DataError, match=r"c\.zip: no \.pot file in it"):
        list(read_pot(tmp_path / "c.zip"))


def test_consumed_bytes_add_up_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.pot").write_bytes(GOOD * 700)
    told: list[int] = []
    assert len(list(read_pot(tmp_path / "a.pot", told.append))) == 700
    assert sum(told) == 700 * len(GOOD)
    assert len(told) > 2


def test_the_format_has_its_limits(tmp_path: Path) -> None:
    path, dot = tmp_path / "a.pot", np.zeros((1, 2), np.float32)
    with pytest.raises(CharsetError, match=r"sample 2: '𠀀' has no two-byte GB code"):
        write_pot(path, [OnlineSample("一", [dot]), OnlineSample("𠀀", [dot])])
    for wrong in (dot - 1, dot + 32_768, dot * np.nan, dot[:0], np.zeros((3, 3)), np.zeros(2)):
        with pytest.raises(DataError, match=r"sample 1: a \.pot record holds strokes"):
            write_pot(path, [OnlineSample("一", [wrong])])
    with pytest.raises(DataError, match="needs 65,552 bytes, but a"):
        write_pot(path, [OnlineSample("一", [np.zeros((16_384, 2), np.float32)])])
    with pytest.raises(DataError, match="has no strokes"):
        write_pot(path, [OnlineSample("一", [])])
    with pytest.raises(DataError, match="no samples"):
        write_pot(path, [])
    assert not list(tmp_path.iterdir())


def test_files_are_known_by_their_names() -> None:
    assert [is_pot(Path(name)) for name in ("1.pot", "1.POT", "1.pot.xz", "1.gnt", "pot")] == [True] * 3 + [False] * 2
