from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hanmo.data.folder import read_folder, read_mapping, write_folder
from hanmo.data.sample import Sample
from hanmo.errors import DataError, ImageError

BORDERED = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=20)).map(
    lambda image: np.pad(image, 1, constant_values=255)  # paper around, so that no polarity is to be guessed
)
LABELS = st.one_of(
    st.sampled_from("一丁Aaéß/.~\\:金\uf90aⅢ"),
    st.characters(categories=["L", "N", "P", "S"], exclude_characters="\ufffd"),
)


@settings(max_examples=40, deadline=None)
@given(samples=st.lists(st.builds(Sample, LABELS, BORDERED), min_size=1, max_size=6))
def test_what_is_written_is_read(samples: list[Sample]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert write_folder(Path(folder) / "set", samples) == len(samples)
        read = list(read_folder(Path(folder) / "set"))
    assert sorted(s.label for s in read) == sorted(s.label for s in samples)
    for label in {s.label for s in samples}:  # the order within a class is kept
        ours, theirs = ([s.image for s in some if s.label == label] for some in (samples, read))
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_the_order_is_by_name_and_hidden_files_are_left_out(tmp_path: Path, draw) -> None:
    write_folder(tmp_path / "set", draw("丁一一"))
    (tmp_path / "set" / ".git").mkdir()
    (tmp_path / "set" / "一" / ".hidden.png").write_bytes(b"no picture")
    (tmp_path / "set" / "一" / "notes.txt").write_text("no picture")
    assert [s.source for s in read_folder(tmp_path / "set")] == [
        "set/一/000001.png",
        "set/一/000002.png",
        "set/丁/000001.png",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.json", json.dumps({"class_001": "翰", "class_002": "U+58A8"})),
        ("m.csv", "folder,character\nclass_001,翰\nclass_002,墨\n"),
        ("m.tsv", "\ufeffclass_001\t翰\n\nclass_002\t墨\n"),
    ],
)
def test_a_mapping_names_the_classes(tmp_path: Path, draw, name: str, text: str) -> None:
    write_folder(tmp_path / "set", draw("一丁"))
    (tmp_path / "set" / "一").rename(tmp_path / "set" / "class_001")
    (tmp_path / "set" / "丁").rename(tmp_path / "set" / "class_002")
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert [s.label for s in read_folder(tmp_path / "set", tmp_path / name)] == ["翰", "墨"]
    with pytest.raises(DataError, match=r"2 folder.* not named after a character: class_001 class_002"):
        read_folder(tmp_path / "set")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.json", "[]", "not a JSON object"),
        ("m.json", '{"a": 1}', "not a JSON object"),
        ("m.json", "{", "neither UTF-8 nor a mapping"),
        ("m.csv", "a,一,二\n", "line 1 has 3 columns"),
        ("m.csv", "a,一二\n", "'a' is mapped to '一二'"),
        ("m.csv", "a,一\na,二\n", "'a' is mapped to both '一' and '二'"),
    ],
)
def test_a_wrong_mapping_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=f"{name}: .*{message}|{name}: {message}"):
        read_mapping(tmp_path / name)


def test_a_missing_mapping_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        read_mapping(tmp_path / "none.csv")


def test_empty_folders_are_named(tmp_path: Path, draw) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_folder(tmp_path / "none")
    with pytest.raises(DataError, match="no class folders"):
        read_folder(tmp_path)
    write_folder(tmp_path / "set", draw("一丁"))
    (tmp_path / "set" / "七").mkdir()
    (tmp_path / "set" / "七" / "notes.txt").write_text("not yet")
    with pytest.raises(DataError, match=r"1 folder\(s\) without a picture: 七"):
        read_folder(tmp_path / "set")


def test_a_picture_that_is_none_is_named(tmp_path: Path, draw) -> None:
    write_folder(tmp_path / "set", draw("一一"))
    (tmp_path / "set" / "一" / "000002.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    samples = read_folder(tmp_path / "set")
    next(samples)
    with pytest.raises(ImageError, match=r"000002\.png"):
        next(samples)


def test_a_folder_is_never_written_over(tmp_path: Path, draw) -> None:
    write_folder(tmp_path / "set", draw("一"))
    with pytest.raises(DataError, match="exists already"):
        write_folder(tmp_path / "set", draw("丁"))
    with pytest.raises(DataError, match="'一丁' is not one character"):
        write_folder(tmp_path / "other", [draw("一")[0]._replace(label="一丁")])
    with pytest.raises(DataError, match="no samples"):
        write_folder(tmp_path / "other", [])
    assert [p.name for p in tmp_path.iterdir()] == ["set"]
