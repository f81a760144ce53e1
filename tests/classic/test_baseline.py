"""The whole reader on drawn packs: figures, files, folds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hanmo.charset import Charset
from hanmo.classic.baseline import ClassicResult, cross_validate, run_classic, top_accuracy, writer_folds
from hanmo.classic.features import GradientFeatures
from hanmo.classic.reader import ClassicConfig, ClassicReader
from hanmo.classic.store import load_reader, save_reader
from hanmo.data.pack import Pack
from hanmo.errors import ArgumentError, CharsetError, CheckpointError, DataError, PackError
from hanmo.evaluate.metrics import topk_accuracy

SMALL = ClassicConfig(features=GradientFeatures(grid=4), dimensions=40, axes=10)


@pytest.fixture(scope="module")
def train(drawn: Path) -> Pack:
    return Pack.open(drawn / "train")


@pytest.fixture(scope="module")
def test(drawn: Path) -> Pack:
    return Pack.open(drawn / "test")


@pytest.fixture(scope="module")
def result(train: Pack, test: Pack) -> ClassicResult:
    return run_classic(train, test, SMALL)


def test_it_reads_writers_it_never_saw(result: ClassicResult, test: Pack) -> None:
    assert result.top1 > 90
    assert 100 >= result.top5 >= result.top1
    expected = topk_accuracy(result.scores, test.labels, (1, 5))
    assert expected == pytest.approx({1: result.top1, 5: result.top5})
    assert result.parameters == 128 + 128 * 40 + 20 * 40 + 20 * 40 * 10 + 20 * 10 + 1
    assert result.n == len(test)
    assert result.ms_per_char > 0
    json.dumps(result.as_dict())


def test_the_same_packs_give_the_same_scores(train: Pack, test: Pack, result: ClassicResult) -> None:
    np.testing.assert_array_equal(run_classic(train, test, SMALL).scores, result.scores)


def test_answers_are_characters_the_likeliest_first(result: ClassicResult, test: Pack) -> None:
    answers = result.reader.answers(test.images[:9], top=3)
    order = np.argsort(-result.scores[:9], axis=1)[:, :3]
    assert answers == ["".join(str(test.charset)[c] for c in row) for row in order]


def test_squares_of_another_side_are_refused(result: ClassicResult, test: Pack) -> None:
    with pytest.raises(DataError, match=r"do not fit fit-32.*; \(N, 32, 32\) do"):
        result.reader.scores(test.images[:2, :16, :16])


def test_packs_must_agree(train: Pack, test: Pack) -> None:
    with pytest.raises(PackError, match="pack again"):
        run_classic(train, replace(test, normalization=replace(test.normalization, method="moment")), SMALL)
    with pytest.raises(CharsetError):
        run_classic(train, replace(test, charset=Charset(str(test.charset)[::-1])), SMALL)


def test_a_character_with_one_sample_is_named(train: Pack) -> None:
    kept = (train.labels != 3) | (np.cumsum(train.labels == 3) == 1)
    names = ("images", "labels", "source_ids", "writer_ids")
    lacking = replace(train, **{name: getattr(train, name)[kept] for name in names})
    with pytest.raises(DataError, match=f"1 characters, {str(train.charset)[3]} first, have fewer than 2"):
        ClassicReader.fit(lacking, SMALL)


def test_no_writer_is_in_two_folds(train: Pack) -> None:
    parts = writer_folds(train, 3)
    assert set(parts) == {0, 1, 2}
    for writer in np.unique(train.writer_ids):
        assert len(np.unique(parts[train.writer_ids == writer])) == 1
    unknown = replace(train, writers=("",), writer_ids=np.zeros_like(train.writer_ids))
    parts = writer_folds(unknown, 3)
    for c in range(len(train.charset)):
        own = parts[train.labels == c]
        assert (np.diff(own) >= 0).all()
        assert np.bincount(own).tolist() == [20, 20, 20]
    for folds in (1, 61):
        with pytest.raises(ArgumentError, match="from 2 to 60"):
            writer_folds(train, folds)


def test_cross_validation_is_what_its_parts_give(train: Pack) -> None:
    parts = writer_folds(train, 2)
    names = ("images", "labels", "source_ids", "writer_ids")
    halves = [replace(train, **{name: getattr(train, name)[parts == p] for name in names}) for p in range(2)]
    other = replace(SMALL, axes=3, shrink=0.0)
    by_hand = [
        np.mean([run_classic(halves[1 - p], halves[p], config).top1 for p in range(2)]) for config in (SMALL, other)
    ]
    assert cross_validate(train, [SMALL, other], folds=2) == pytest.approx(by_hand)


def test_ties_count_against_the_reader() -> None:
    scores = np.array([[1, 1, 0], [2, 1, 0]], np.float32)
    labels = np.array([0, 0])
    assert [top_accuracy(scores, labels, k) for k in (1, 2)] == [50, 100]


def test_a_file_holds_the_whole_reader(result: ClassicResult, test: Pack, tmp_path: Path) -> None:
    path = tmp_path / "classic.safetensors"
    save_reader(result.reader, path)
    again = load_reader(path)
    assert (again.charset, again.normalization, again.features) == (
        result.reader.charset,
        result.reader.normalization,
        result.reader.features,
    )
    np.testing.assert_array_equal(again.scores(test.images), result.scores)
    save_reader(again, tmp_path / "second")
    assert (tmp_path / "second").read_bytes() == path.read_bytes()


def test_a_damaged_file_is_refused_in_one_line(result: ClassicResult, tmp_path: Path) -> None:
    path = tmp_path / "classic.safetensors"
    save_reader(result.reader, path)
    whole = path.read_bytes()
    damages = {
        "cut": whole[:-100],
        "empty": b"",
        "noise": b"\x80\x04pickle?" * 50,
        "another format": whole.replace(b'\\"format\\": 1', b'\\"format\\": 9'),
        "another charset": whole.replace(b"mqdf.means", b"mqdf.meanz"),
        "no number": whole[:-4] + np.float32(np.nan).tobytes(),
        "another grid": whole.replace(b'\\"grid\\": 4', b'\\"grid\\": 5'),
        "no variance": whole.replace(b'\\"minor\\": ', b'\\"minor\\":-'),
    }
    for name, data in damages.items():
        assert data != whole, name
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="again") as caught:
            load_reader(path)
        assert "\n" not in str(caught.value), name
        assert str(path) in str(caught.value), name
    with pytest.raises(CheckpointError, match="no such file"):
        load_reader(tmp_path / "nothing")
