"""HWDB-C: what its pages are, and how readings of them are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hanmo.charset import Charset
from hanmo.data.sample import Sample
from hanmo.errors import ArgumentError, BlankImageError, DataError
from hanmo.evaluate.corrupt_measure import (
    PAGES,
    Reading,
    Subset,
    choose_samples,
    evaluate_corruptions,
    measure,
    pages_of,
    reader_of,
)
from hanmo.evaluate.corrupt_page import INK, PAPER, clean_page
from hanmo.evaluate.corrupt_plot import heat_map
from hanmo.evaluate.corrupt_result import CorruptionReport
from hanmo.evaluate.corruptions import CORRUPTIONS, SEVERITIES, corrupt

Grey = NDArray[np.uint8]
CHARACTERS = "永山水火"


def sign(number: int) -> Grey:
    """A drawn sign, (50, 40): a few thick strokes, others for every number."""
    rng = np.random.default_rng(number)
    picture = np.full((50, 40), 255, np.uint8)
    picture[2:6, 3:37] = picture[2:48, 18:22] = 20
    for row, column in rng.integers(6, 34, (3, 2)):
        picture[row : row + 4, column - 5 : column + 6] = 60
    return picture


@pytest.fixture
def file() -> list[Sample]:
    """40 samples of four characters; every fifth has a label that no reader here knows."""
    return [Sample("龟" if i % 5 == 4 else CHARACTERS[i % 4], sign(i)) for i in range(40)]


def perfect(subset: Subset, sure: float = 1.0, refused: bool = False) -> list[Reading]:
    return [Reading(sample.label, sure, refused) for sample in subset.samples]


def test_the_clean_page_holds_the_character_in_its_middle() -> None:
    page = clean_page(np.pad(sign(0), 30, constant_values=255))
    dark = page < (PAPER + INK) / 2
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    assert (page.dtype, page.shape) == (np.uint8, (112, 112))
    assert (rows[0], rows[-1]) == (20, 91)  # 72 pixels, 20 of paper on either side
    assert abs(columns[0] + columns[-1] - 111) <= 2
    assert abs(int(np.percentile(page[dark], 5)) - INK) <= 3
    assert (page[:20] == PAPER).all()


@pytest.mark.parametrize("paper", [255, 200])
def test_a_faint_sample_gives_the_same_page_as_a_dark_one(paper: int) -> None:
    faint = (paper - (255 - sign(1).astype(float)) * 0.3).round().astype(np.uint8)
    difference = np.abs(clean_page(faint).astype(int) - clean_page(sign(1)))
    assert difference.max() <= 6


@pytest.mark.parametrize("blank", [np.full((9, 9), 255, np.uint8), np.zeros((0, 5), np.uint8)])
def test_a_blank_sample_gives_blank_paper(blank: Grey) -> None:
    assert (clean_page(blank) == PAPER).all()
    for name in CORRUPTIONS:
        assert corrupt(name, 5, blank, 0).shape == (112, 112)


def test_one_thin_stroke_on_a_wide_sheet_is_found() -> None:
    sheet = np.full((400, 400), 255, np.uint8)
    sheet[100:140, 200] = 0
    assert (clean_page(sheet) < 100).sum() > 60


def test_there_are_twenty_corruptions() -> None:
    assert len(CORRUPTIONS) == 20
    assert PAGES == 101
    assert all(name == name.lower() and "_" not in name for name in CORRUPTIONS)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_page_depends_on_its_own_arguments_alone(name: str) -> None:
    others = [sign(i) for i in range(7, 11)]
    before = sign(3)
    first = corrupt(name, 4, before, 17, others)
    for severity in SEVERITIES:  # other pages in between change nothing
        corrupt(name, severity, sign(5), severity, others)
    assert (corrupt(name, 4, before, 17, others) == first).all()
    assert (before == sign(3)).all()
    assert (first.dtype, first.shape) == (np.uint8, (112, 112))


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"gaussian-blur", "low-resolution"}))
def test_the_index_draws_another_page(name: str) -> None:
    assert any((corrupt(name, 5, sign(3), 0) != corrupt(name, 5, sign(3), i)).any() for i in (1, 2, 3))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severities_rise_and_keep_the_character(name: str) -> None:
    clean = [clean_page(sign(i)).astype(float) for i in range(24)]
    spoilt = {
        s: [corrupt(name, s, sign(i), i, [sign(i + j) for j in (1, 2, 3, 4)]).astype(float) for i in range(24)]
        for s in SEVERITIES
    }
    change = [np.mean([np.abs(a - b).mean() for a, b in zip(clean, spoilt[s], strict=True)]) for s in SEVERITIES]
    assert change == sorted(change)
    assert change[0] > 0.1
    assert change[4] > 1.5 * change[0]
    for before, after in zip(clean, spoilt[3], strict=True):
        if name != "perspective":  # which moves the strokes
            assert after[before < 60].mean() < after[before > 240].mean() - 10


@pytest.mark.parametrize("name", ["show-through", "neighbours"])
def test_other_samples_show(name: str) -> None:
    one, two = (corrupt(name, 5, sign(3), 0, [sign(i)]) for i in (8, 9))
    assert (one != two).any()


@pytest.mark.parametrize(
    ("name", "severity", "index"), [("fog", 1, 0), ("jpeg", 0, 0), ("jpeg", 6, 0), ("jpeg", 1, -1)]
)
def test_unknown_arguments_are_named(name: str, severity: int, index: int) -> None:
    with pytest.raises(ArgumentError, match=r"fog|severity|index"):
        corrupt(name, severity, sign(0), index)


def test_a_subset_is_spread_and_knows_its_neighbours(file: list[Sample]) -> None:
    whole = choose_samples(file, known=CHARACTERS, limit=0)
    some = choose_samples(iter(file), known=CHARACTERS, limit=8)
    assert (whole.total, whole.outside, len(whole.samples)) == (40, 8, 32)
    assert whole.characters == tuple(sorted(CHARACTERS))
    numbers = [sample.number for sample in some.samples]
    assert numbers == sorted(numbers)
    assert numbers[0] < 20 < numbers[-1]
    alone = {sample.number: sample for sample in whole.samples}
    for sample in some.samples:  # the limit changes neither a page nor its neighbours
        assert (sample.image == file[sample.number].image).all()
        twin = alone[sample.number]
        assert all((a == b).all() for a, b in zip(sample.neighbours, twin.neighbours, strict=True))
    assert some.samples != choose_samples(file, known=CHARACTERS, limit=8, seed=1).samples


@pytest.mark.parametrize(("limit", "seed"), [(-1, 0), (1, -1)])
def test_negative_numbers_are_refused(file: list[Sample], limit: int, seed: int) -> None:
    with pytest.raises(ArgumentError, match="negative"):
        choose_samples(file, known=CHARACTERS, limit=limit, seed=seed)


@pytest.mark.parametrize("samples", [[], [Sample("龟", sign(0))]])
def test_no_known_label_is_an_error(samples: list[Sample]) -> None:
    with pytest.raises(DataError, match=r"t\.gnt: no sample"):
        choose_samples(samples, known=CHARACTERS, file="t.gnt")


def report_of(answers: dict[str, list[Reading]], default: list[Reading], subset: Subset) -> CorruptionReport:
    """The report of a reader that answers ``default``, and on a corruption of ``answers`` what stands there."""
    calls = iter([None, *(name for name in CORRUPTIONS for _ in SEVERITIES)])
    return measure(lambda pages: answers.get(next(calls) or "clean", default), subset, name="stub")


def test_what_counts_as_right_refused_and_sure(file: list[Sample]) -> None:
    subset = choose_samples(file, known=CHARACTERS, limit=10)
    wrong = [Reading("龟", 0.95)] * 10
    report = report_of(
        {
            "jpeg": perfect(subset, refused=True),
            "moire": wrong,
            "speckle": [Reading("龟", 0.95, True)] * 10,
            "tianzige": [Reading("龟", 0.9)] * 10,
            "mizige": [Reading(None, refused=True)] * 10,
        },
        perfect(subset),
        subset,
    )
    scores = report.corruptions
    assert (report.clean.accuracy, report.clean.refused, report.clean.ece) == (100, 0, 0)
    assert (scores["jpeg"][0].accuracy, scores["jpeg"][0].refused, scores["jpeg"][0].ece) == (0, 100, 0)
    assert (scores["moire"][0].accuracy, scores["moire"][0].sure_wrong) == (0, 100)
    assert scores["moire"][0].ece == pytest.approx(0.95)
    assert (scores["speckle"][2].sure_wrong, scores["tianzige"][2].sure_wrong) == (0, 0)
    assert (scores["mizige"][4].accuracy, scores["mizige"][4].refused) == (0, 100)
    assert math.isnan(scores["mizige"][4].ece)
    assert report.mca == pytest.approx(75)
    assert report.drop == pytest.approx(25)
    assert report.sure_wrong == pytest.approx(5)
    table = report.as_dict()
    assert (table["n"], table["total"], table["outside"], table["mca"], table["drop"]) == (10, 40, 8, 75.0, 25.0)
    assert table["corruptions"]["mizige"]["ece"] == [None] * 5
    assert table["corruptions"]["moire"]["drop"] == 100.0
    assert list(table["severities"]) == ["1", "2", "3", "4", "5"]


def test_a_reader_without_probabilities_has_no_calibration(file: list[Sample]) -> None:
    subset = choose_samples(file, known=CHARACTERS, limit=3)
    report = report_of({}, [Reading(s.label) for s in subset.samples], subset)
    assert report.mca == 100
    assert report.as_dict()["clean"]["ece"] is None


def test_every_page_needs_a_reading(file: list[Sample]) -> None:
    subset = choose_samples(file, known=CHARACTERS, limit=3)
    with pytest.raises(ArgumentError, match="2 readings of 3"):
        measure(lambda pages: [Reading("永")] * 2, subset, name="stub")


class StubRecognizer:
    """Answers 永 in every page that it can read; it cannot read what is on a dark ground."""

    bundle = SimpleNamespace(name="stub", charset=Charset(CHARACTERS), groups={"永": "永V"})

    def __init__(self) -> None:
        self.among: list[Sequence[str] | None] = []

    def recognize_batch(
        self, images: Sequence[Grey], top: int, batch_size: int, *, among: Sequence[str] | None, errors: str
    ) -> list[object]:
        assert (top, errors) == (1, "collect")
        self.among.append(among)
        best = SimpleNamespace(character="永", probability=0.8)
        results: list[object] = [SimpleNamespace(candidates=(best,), refused=False) for _ in images]
        results[0] = BlankImageError("blank")
        results[1] = SimpleNamespace(candidates=(), refused=True)
        return results


def test_errors_and_predictions_without_candidates_count_as_refused() -> None:
    readings = reader_of(StubRecognizer())([sign(0)] * 3)  # type: ignore[arg-type]
    assert [r.character for r in readings] == [None, None, "永"]
    assert [r.refused for r in readings] == [True, True, False]


def test_a_recognizer_is_measured_on_the_whole_benchmark(file: list[Sample]) -> None:
    stub, done = StubRecognizer(), list[int]()
    report = evaluate_corruptions(
        stub,  # type: ignore[arg-type]
        file[:4],
        limit=4,
        closed=True,
        file="x",
        on_progress=done.append,
    )
    assert stub.among == [tuple(sorted(CHARACTERS))] * PAGES
    assert done[-1] == 4 * PAGES
    assert (report.file, report.reader, report.n, report.closed) == ("x", "stub", 4, True)
    assert (report.clean.accuracy, report.clean.refused) == (0, 50)  # the only 永 is the first, which fails
    assert report == evaluate_corruptions(stub, file[:4], limit=4, closed=True, file="x")  # type: ignore[arg-type]


def test_a_member_of_a_group_counts_as_its_class_on_corrupted_pages(file: list[Sample]) -> None:
    labelled = [sample._replace(label="V") for sample in file[:4]]
    stub = StubRecognizer()
    report = evaluate_corruptions(stub, labelled, among="latin", file="x")  # type: ignore[arg-type]
    assert (report.n, report.outside, report.among, report.closed) == (4, 0, "latin", False)
    assert report.clean.accuracy == 50, "two of four pages are refused, the others are read 永"
    assert stub.among == ["latin"] * PAGES
    assert report.as_dict()["among"] == "latin"
    mixed = [*labelled, *file[:4]]
    strangers = [sample._replace(label="龘") for sample in mixed]
    with pytest.raises(DataError, match="x: 8 labels that the reader cannot answer with"):
        evaluate_corruptions(stub, [*mixed, *strangers], unknown="error", file="x")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="closed and among"):
        evaluate_corruptions(stub, mixed, among="latin", closed=True)  # type: ignore[arg-type]


def test_pages_are_those_of_the_functions(file: list[Sample]) -> None:
    subset = choose_samples(file, known=CHARACTERS, limit=2)
    sample = subset.samples[1]
    page = corrupt("neighbours", 4, file[sample.number].image, sample.number, sample.neighbours)
    assert (pages_of(subset, "neighbours", 4)[1] == page).all()
    assert (pages_of(subset)[1] == clean_page(sample.image)).all()


def test_the_heat_map_shows_good_and_bad_in_other_colours(file: list[Sample]) -> None:
    subset = choose_samples(file, known=CHARACTERS, limit=2)
    report = report_of({"moire": [Reading(None, refused=True)] * 2}, perfect(subset), subset)
    one, two = heat_map([report]), heat_map([report, report])
    assert (one.mode, two.size) == ("RGB", (one.width, 2 * one.height))
    colours = {colour for _, colour in Image.Image.getcolors(one, 1 << 20) or []}
    assert {(68, 1, 84), (253, 231, 37)} <= colours
    with pytest.raises(ArgumentError, match="at least one"):
        heat_map([])
