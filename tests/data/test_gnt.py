from __future__ import annotations

import lzma
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hanmo.charset import Charset
from hanmo.data.gnt import read_gnt, write_gnt
from hanmo.data.sample import Sample
from hanmo.errors import CharsetError, DataError

LABELS = [*Charset.level1(), *"Aa1~，。翰鬱龥"]
SAMPLES = st.lists(
    st.builds(Sample, st.sampled_from(LABELS), arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40))),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("suffix", [".gnt", ".gnt.xz"])
@settings(max_examples=40, deadline=None)
@given(samples=SAMPLES)
def test_what_is_written_is_read(suffix: str, samples: list[Sample]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"1241-c{suffix}"
        assert write_gnt(path, samples) == len(samples)
        read = list(read_gnt(path))
        assert list(Path(folder).iterdir()) == [path]
    assert [s.label for s in read] == [s.label for s in samples]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(read, samples, strict=True))
    assert {(s.source, s.writer) for s in read} == {(f"1241-c{suffix}", "1241")}


def test_the_bytes_are_casias(tmp_path: Path) -> None:
    write_gnt(
        tmp_path / "a.gnt", [Sample("啊", np.array([[1, 2, 3]], np.uint8)), Sample("A", np.array([[4]], np.uint8))]
    )
    assert (tmp_path / "a.gnt").read_bytes() == (
        b"\x0d\0\0\0" + b"\xb0\xa1" + b"\x03\0" + b"\x01\0" + b"\x01\x02\x03" + b"\x0b\0\0\0A\0\x01\0\x01\0\x04"
    )


def test_xz_is_compressed(tmp_path: Path) -> None:
    white = Sample("一", np.full((96, 96), 255, np.uint8))
    write_gnt(tmp_path / "a.gnt.xz", [white])
    assert len(lzma.decompress((tmp_path / "a.gnt.xz").read_bytes())) == 10 + 96 * 96
    assert (tmp_path / "a.gnt.xz").stat().st_size < 300


@pytest.mark.parametrize(
    ("name", "writer"),
    [("1241-c", "1241"), ("001-f", "001"), ("C001-f", "C001"), ("hwdb100-train", ""), ("1241", ""), ("12-3", "")],
)
def test_writers_are_known_by_casias_names(tmp_path: Path, name: str, writer: str) -> None:
    write_gnt(tmp_path / f"{name}.gnt", [Sample("一", np.zeros((1, 1), np.uint8))])
    assert next(read_gnt(tmp_path / f"{name}.gnt")).writer == writer


def test_consumed_bytes_add_up_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.gnt"
    write_gnt(path, [Sample("一", np.full((30, 30), 9, np.uint8))] * 700)
    told: list[int] = []
    for _ in read_gnt(path, told.append):
        pass
    assert sum(told) == path.stat().st_size
    assert len(told) > 2


def test_the_format_has_its_limits(tmp_path: Path) -> None:
    pixel = np.zeros((1, 1), np.uint8)
    path = tmp_path / "a.gnt"
    with pytest.raises(CharsetError, match=r"sample 2: '𠀀' has no two-byte GB code"):
        write_gnt(path, [Sample("一", pixel), Sample("𠀀", pixel)])
    for wrong in (np.zeros((0, 3), np.uint8), np.zeros((3, 3), np.float32), np.zeros((1, 70_000), np.uint8)):
        with pytest.raises(DataError, match=r"does not fit a \.gnt record"):
            write_gnt(path, [Sample("一", wrong)])
    with pytest.raises(DataError, match="no samples"):
        write_gnt(path, [])
    assert not list(tmp_path.iterdir())
