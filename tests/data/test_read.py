from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hanmo.data.folder import read_folder, write_folder
from hanmo.data.gnt import write_gnt
from hanmo.data.read import count_bytes, find_inputs, read_samples
from hanmo.errors import DataError


@pytest.fixture
def home(tmp_path: Path, draw) -> Path:
    """CASIA's layout in ``hwdb``, pictures in ``pictures``."""
    (tmp_path / "hwdb").mkdir()
    write_gnt(tmp_path / "hwdb" / "1002-c.gnt.xz", draw("丁七"))
    write_gnt(tmp_path / "hwdb" / "1001-c.gnt", draw("一"))
    write_folder(tmp_path / "pictures", draw("万丈"))
    return tmp_path


def labels(home: Path, *inputs: str) -> str:
    return "".join(s.label for s in read_samples([str(home / item) for item in inputs]))


def test_inputs_are_read_in_the_order_given(home: Path) -> None:
    assert labels(home, "pictures", "hwdb/1002-c.gnt.xz", "hwdb/1001-c.gnt") == "万丈" + "丁七" + "一"


def test_folders_of_sample_files_and_globs_are_sorted(home: Path) -> None:
    assert labels(home, "hwdb") == labels(home, "hwdb/*.gnt*") == labels(home, "**/1*") == "一丁七"
    assert labels(home, ".") == "一丁七"  # sample files at any depth make it a folder of sample files


def test_suffixes_are_known_in_capitals_too(home: Path) -> None:
    (home / "hwdb" / "1001-c.gnt").rename(home / "hwdb" / "1001-C.GNT")
    assert labels(home, "hwdb") == "一丁七"


def test_a_file_named_twice_is_read_once(home: Path) -> None:
    assert labels(home, "hwdb/1002-c.gnt.xz", "hwdb", "hwdb/../hwdb") == "丁七一"


def test_a_mapping_labels_pictures_only(home: Path) -> None:
    (home / "pictures" / "万").rename(home / "pictures" / "0")
    read = read_samples([home / "pictures", home / "hwdb"], {"0": "万"})
    assert [s.label for s in read] == ["万", "丈", "一", "丁", "七"]


def test_consumed_bytes_add_up(home: Path) -> None:
    told: list[int] = []
    inputs = [home / "pictures", home / "hwdb"]
    assert len(list(read_samples(inputs, on_bytes=told.append))) == 5
    assert sum(told) == count_bytes(inputs) == sum(p.stat().st_size for p in home.rglob("*") if p.is_file())


def test_what_matches_nothing_is_named_before_anything_is_read(home: Path) -> None:
    with pytest.raises(DataError, match=r"nope-\*\.gnt: no such file or folder"):
        read_samples([home / "hwdb", home / "nope-*.gnt"])
    with pytest.raises(DataError, match="no input"):
        read_samples([])
    (home / "features.mpf").write_bytes(b"512-D")
    with pytest.raises(DataError, match=r"features\.mpf: not a \.gnt"):
        read_samples([home / "features.mpf"])
    (home / "pack").mkdir()
    (home / "pack" / "pack.json").write_text("{}")
    with pytest.raises(DataError, match="is a pack already"):
        find_inputs([home / "pack"])
    with pytest.raises(DataError, match="aaa: no such file or folder"):
        find_inputs(["a" * 300])  # longer than file systems allow


def test_a_folder_of_both_kinds_drops_neither(home: Path, draw) -> None:
    write_gnt(home / "pictures" / "1003-c.gnt", draw("一"))
    with pytest.raises(DataError, match="pictures: holds both sample files and pictures"):
        read_samples([home / "pictures"])


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, draw, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "shut", draw("一"))

    def refuse(folder: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    # Not by chmod: the root user may list every folder.
    monkeypatch.setattr(Path, "iterdir", refuse)
    for read in (find_inputs, read_samples):
        with pytest.raises(DataError, match=r"shut: cannot be listed \(Permission denied\); check its permissions"):
            read([tmp_path / "shut"])
    with pytest.raises(DataError, match="shut: cannot be listed"):
        read_folder(tmp_path / "shut")
