"""Zip archives of sample files, as CASIA distributes them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from hanmo.data.gnt import read_gnt, read_zip, write_gnt
from hanmo.data.pack import write_pack
from hanmo.data.read import count_bytes, find_inputs, read_samples
from hanmo.errors import DataError
from hanmo.normalize import Normalization


@pytest.fixture
def unpacked(tmp_path: Path, draw) -> Path:
    """A folder of three writers' files, one of them xz-compressed."""
    folder = tmp_path / "HWDB1.1tst_gnt"
    folder.mkdir()
    write_gnt(folder / "1241-c.gnt", draw("一丁七"))
    write_gnt(folder / "1242-c.gnt", draw("丁七", seed=1))
    write_gnt(folder / "1250-c.gnt.xz", draw("七", seed=2))
    return folder


def archive(path: Path, folder: Path, inside: str = "HWDB1.1tst_gnt/") -> Path:
    """The files of ``folder`` in a zip archive, the last name first."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for member in sorted(folder.iterdir(), reverse=True):
            file.write(member, inside + member.name)
    return path


@pytest.mark.parametrize("inside", ["", "HWDB1.1tst_gnt/", "a/b/", "a\\"])
def test_an_archive_holds_what_its_folder_held(tmp_path: Path, unpacked: Path, inside: str) -> None:
    packed = list(read_samples([archive(tmp_path / "a.zip", unpacked, inside)]))
    plain = list(read_samples([unpacked]))
    assert [(s.label, s.source, s.writer) for s in packed] == [(s.label, s.source, s.writer) for s in plain]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(packed, plain, strict=True))
    assert [s.writer for s in packed] == ["1241"] * 3 + ["1242"] * 2 + ["1250"]


def test_a_pack_of_an_archive_is_that_of_its_folder(tmp_path: Path, unpacked: Path) -> None:
    fit = Normalization(side=16, margin=1)
    digests = {
        write_pack(tmp_path / name, read_samples([source]), normalization=fit).digest
        for name, source in (("p", unpacked), ("q", archive(tmp_path / "a.zip", unpacked)))
    }
    assert len(digests) == 1


def test_names_are_in_natural_order(tmp_path: Path, draw) -> None:
    write_gnt(tmp_path / "a.gnt", draw("一"))
    names = ["10-c.gnt", "9-c.gnt", "1001-c.gnt", "b/2.gnt", "b/10.gnt", f"{'9' * 5000}.gnt", "01-c.gnt", "1-c.gnt"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in names:
            file.write(tmp_path / "a.gnt", name)
    order = [sample.source for sample in read_zip(tmp_path / "a.zip")]
    assert order == [
        "01-c.gnt", "1-c.gnt", "9-c.gnt", "10-c.gnt", "1001-c.gnt", f"{'9' * 5000}.gnt", "2.gnt", "10.gnt"
    ]  # fmt: skip


def test_what_is_no_sample_file_is_left_out(tmp_path: Path, unpacked: Path) -> None:
    path = archive(tmp_path / "a.zip", unpacked)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("empty/", "")
        file.writestr("readme.txt", "by the authors")
        file.writestr("__MACOSX/._1241-c.gnt", "notes of a Mac")
    assert len(list(read_zip(path))) == 6


def test_an_archive_is_read_beside_other_inputs_and_once(tmp_path: Path, unpacked: Path) -> None:
    archive(tmp_path / "HWDB1.1tst.ZIP", unpacked)
    write_gnt(tmp_path / "1001-c.gnt", list(read_gnt(unpacked / "1241-c.gnt"))[:1])
    inputs = [tmp_path / "1001-c.gnt", tmp_path / "*.ZIP", tmp_path / "HWDB1.1tst.ZIP"]
    assert "".join(s.label for s in read_samples(inputs)) == "一" + "一丁七丁七七"


def test_consumed_bytes_add_up_to_the_archive(tmp_path: Path, unpacked: Path) -> None:
    path = archive(tmp_path / "a.zip", unpacked)
    told: list[int] = []
    assert len(list(read_samples([path], on_bytes=told.append))) == 6
    assert sum(told) == count_bytes([path]) == path.stat().st_size
    assert min(told) >= 0
    assert len(told) == 4


def test_a_folder_of_archives_says_how_to_name_them(tmp_path: Path, unpacked: Path) -> None:
    (tmp_path / "casia").mkdir()
    archive(tmp_path / "casia" / "a.zip", unpacked)
    with pytest.raises(DataError, match=r"casia: holds archives; name these themselves, as in .*casia/\*\.zip"):
        find_inputs([tmp_path / "casia"])
    # Beside the unpacked folder the archive is left alone: its samples would count twice.
    unpacked.rename(tmp_path / "casia" / "unpacked")
    assert len(list(read_samples([tmp_path / "casia"]))) == 6


def test_a_wrong_archive_is_named_before_anything_is_read(tmp_path: Path, unpacked: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"b\.zip: truncated, or no zip archive"):
        read_samples([unpacked, tmp_path / "b.zip"])
