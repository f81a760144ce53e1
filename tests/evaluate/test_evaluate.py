"""A whole evaluation of a recogniser whose answers are known."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn_signs import glyph
from hanmo.data.pack import write_pack
from hanmo.data.sample import Sample
from hanmo.errors import ArgumentError, BundleError, CharsetError, DataError, PackError
from hanmo.evaluate import tally
from hanmo.evaluate.evaluate import evaluate_recognizer
from hanmo.normalize import Normalization

CHARACTERS = "永山水火木人口日月田"
BLANK = np.full((20, 20), 255, np.uint8)


def test_figures_are_those_of_the_answers(reader: Any, samples: list[Sample]) -> None:
    result = evaluate_recognizer(reader, samples, file="test.gnt", batch_size=7)
    assert (result.file, result.n, result.blank, result.outside, result.answers) == ("test.gnt", 33, 0, 0, 10)
    assert result.top1 == pytest.approx(100 * 30 / 33)
    assert result.top1 <= result.top5 <= result.top10 == 100
    assert 0 <= result.ece <= 1
    assert result.nll > 0
    assert result.ms_per_char > 0
    assert [(p.true, p.predicted, p.count, p.both) for p in result.confusions] == [
        ("永", "山", 2, 2),
        ("永", "水", 1, 1),
    ]
    by_character = {score.character: score for score in result.per_class}
    assert len(by_character) == 10
    assert (by_character["永"].n, by_character["永"].top1, by_character["永"].taken_for) == (6, 50.0, "山")
    assert (by_character["山"].n, by_character["山"].top1, by_character["山"].taken_for) == (3, 100.0, "")


def test_mistakes_carry_what_the_net_saw_and_where_it_lies(reader: Any, samples: list[Sample]) -> None:
    result = evaluate_recognizer(reader, samples)
    assert len(result.confident_mistakes) == 3
    sure = [mistake.probability for mistake in result.confident_mistakes]
    assert sure == sorted(sure, reverse=True)
    mistake = result.confusions[0].mistakes[0]
    assert (mistake.true, mistake.predicted, mistake.source) == ("永", "山", "wrong.gnt")
    np.testing.assert_array_equal(mistake.square, reader.bundle.normalization(samples[-2].image))


def test_only_the_most_confident_mistakes_are_remembered(
    reader: Any, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = evaluate_recognizer(reader, samples).confident_mistakes
    monkeypatch.setattr(tally, "PICTURES_KEPT", 2)
    few = evaluate_recognizer(reader, samples)
    assert [m.probability for m in few.confident_mistakes] == [m.probability for m in everything[:2]]
    assert sum(pair.count for pair in few.confusions) == 3


def test_the_size_of_a_batch_changes_no_figure(reader: Any, samples: list[Sample]) -> None:
    one, many = (evaluate_recognizer(reader, samples, batch_size=size) for size in (1, 100))
    for name in ("n", "top1", "top5", "top10", "per_class"):
        assert getattr(one, name) == getattr(many, name)
    assert one.ece == pytest.approx(many.ece, abs=1e-6)


def test_every_picture_goes_through_the_net_once_after_a_warm_up(reader: Any, samples: list[Sample]) -> None:
    seen: list[int] = []
    evaluate_recognizer(reader, samples, batch_size=10, on_progress=seen.append)
    assert reader.calls == [1, 10, 10, 10, 3]
    assert seen == [10, 20, 30, 33]


def test_a_pack_gives_the_same_as_its_samples(reader: Any, samples: list[Sample], tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "p", samples, normalization=reader.bundle.normalization)
    direct, packed = evaluate_recognizer(reader, samples), evaluate_recognizer(reader, pack)
    for name in ("n", "top1", "top5", "ece", "nll", "per_class"):
        assert getattr(packed, name) == getattr(direct, name)
    assert packed.packed
    assert not direct.packed
    assert packed.confident_mistakes[0].source == direct.confident_mistakes[0].source


def test_a_pack_of_another_normalisation_is_refused(reader: Any, samples: list[Sample], tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "p", samples, normalization=Normalization(side=48))
    with pytest.raises(PackError, match="fit-32"):
        evaluate_recognizer(reader, pack)


def test_blank_pictures_are_wrong_and_labels_outside_are_apart(reader: Any, samples: list[Sample]) -> None:
    odd = [Sample("永", BLANK), Sample("龘", BLANK), Sample("龘", samples[0].image)]
    plain, result = evaluate_recognizer(reader, samples), evaluate_recognizer(reader, samples + odd, batch_size=5)
    assert (result.n, result.blank, result.outside) == (34, 1, 2)
    assert result.top1 == pytest.approx(100 * 30 / 34)
    assert result.top10 == pytest.approx(100 * 33 / 34)
    assert result.ece == pytest.approx(plain.ece)
    assert next(s for s in result.per_class if s.character == "永").n == 7


def test_nothing_but_strangers_has_no_accuracy(reader: Any, samples: list[Sample]) -> None:
    for closed in (False, True):
        reader.bundle.refusal_threshold = 0.999999
        result = evaluate_recognizer(reader, [Sample("龘", samples[0].image)] * 3, closed=closed)
        assert (result.n, result.outside, result.outside_refused) == (0, 3, 3)
        assert math.isnan(result.top1)
        assert result.as_dict()["top1"] is None


def test_blank_pictures_alone_have_no_calibration(reader: Any) -> None:
    result = evaluate_recognizer(reader, [Sample("永", BLANK)])
    assert (result.n, result.top1) == (1, 0.0)
    assert math.isnan(result.ece)
    assert math.isnan(result.ms_per_char)


def test_closed_answers_only_with_what_occurs(reader: Any, samples: list[Sample]) -> None:
    few = [s for s in samples if s.label in "永山火"]
    for given in (few, iter(few)):
        result = evaluate_recognizer(reader, given, closed=True)
        assert (result.closed, result.answers, result.n) == (True, 3, 12)
        assert {pair.predicted for pair in result.confusions} <= set("永山火")
    assert evaluate_recognizer(reader, few).answers == 10


def test_a_closed_pack_answers_only_with_what_occurs(reader: Any, samples: list[Sample], tmp_path: Path) -> None:
    few = [s for s in samples if s.label in "永山火"]
    pack = write_pack(tmp_path / "p", few, normalization=reader.bundle.normalization, charset=reader.bundle.charset)
    assert evaluate_recognizer(reader, pack, closed=True).answers == 3


def test_the_temperature_and_the_refusals_are_the_bundles(reader: Any, samples: list[Sample]) -> None:
    cool = evaluate_recognizer(reader, samples)
    reader.bundle.temperature = 100.0
    warm = evaluate_recognizer(reader, samples)
    assert warm.top1 == cool.top1
    assert warm.nll != cool.nll
    assert cool.refused == 0
    reader.bundle.refusal_threshold = 0.9
    refused = evaluate_recognizer(reader, samples)
    assert refused.refused == 33
    assert math.isnan(refused.top1_answered)
    reader.bundle.refusal_threshold, reader.bundle.least_evidence = 0.0, 1e3
    assert evaluate_recognizer(reader, samples).refused == 33
    assert evaluate_recognizer(reader, samples, closed=True).refused == 33


def test_no_samples_is_an_error_that_names_the_file(reader: Any) -> None:
    with pytest.raises(DataError, match=r"empty\.gnt: no samples"):
        evaluate_recognizer(reader, [], file="empty.gnt")
    with pytest.raises(ArgumentError, match="batch_size is 0"):
        evaluate_recognizer(reader, [Sample("永", BLANK)], batch_size=0)


def test_a_net_that_answers_nonsense_is_an_error(
    reader: Any, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "logits", lambda squares: np.full((len(squares), 10), np.nan, np.float32))
    with pytest.raises(BundleError, match="not finite"):
        evaluate_recognizer(reader, samples)


def test_samples_are_streamed_not_gathered(reader: Any, samples: list[Sample]) -> None:
    drawn = 0

    def stream() -> Iterator[Sample]:
        nonlocal drawn
        for sample in samples:
            drawn += 1
            yield sample

    ahead: list[int] = []
    evaluate_recognizer(reader, stream(), batch_size=4, on_progress=lambda done: ahead.append(drawn - done))
    assert max(ahead) == 0


def test_the_figures_are_json(reader: Any, samples: list[Sample]) -> None:
    figures = json.loads(json.dumps(evaluate_recognizer(reader, samples, file="a.gnt").as_dict()))
    assert list(figures)[:2] == ["file", "n"]
    assert {"file", "n", "top1", "top5", "ece", "ms_per_char"} <= set(figures)
    assert figures["top1"] == 90.9091


def test_a_member_of_a_group_counts_as_its_class(reader: Any, samples: list[Sample]) -> None:
    square = CHARACTERS.index("口")
    members = [Sample(label, glyph(square), "members.gnt") for label in "□0囗口"]
    wrong = Sample("0", glyph(CHARACTERS.index("日")), "members.gnt")
    result = evaluate_recognizer(reader, [*members, wrong])
    assert (result.n, result.outside, result.top1) == (5, 0, 80.0)
    (score,) = result.per_class
    assert (score.character, score.n, score.taken_for) == ("口", 5, "日")
    (pair,) = result.confusions
    assert (pair.true, pair.predicted, len(pair.mistakes), pair.mistakes[0].true) == ("口", "日", 1, "0")
    assert evaluate_recognizer(reader, members, closed=True).answers == 1


def test_an_evaluation_may_be_closed_to_a_set(reader: Any, samples: list[Sample]) -> None:
    assert evaluate_recognizer(reader, samples).among == ""
    result = evaluate_recognizer(
        reader, [*samples, Sample("D", samples[0].image)], among="digits+latin", unknown="skip"
    )
    assert (result.among, result.answers, result.closed) == ("digits+latin", 2, False)
    assert result.outside_labels == {c: 6 if c == "永" else 3 for c in "永山水火木人月田"}
    assert (result.n, result.outside, result.top1) == (7, 27, pytest.approx(100 * 6 / 7))
    everything = evaluate_recognizer(reader, samples, among="level1")
    open_to_all = evaluate_recognizer(reader, samples)
    assert (everything.answers, everything.top1, everything.top10) == (10, open_to_all.top1, open_to_all.top10)
    figures = evaluate_recognizer(reader, samples, among="永山").as_dict()
    assert (figures["among"], figures["answers"], figures["outside"]) == ("永 山", 2, 24)
    assert figures["outside_labels"]["水"] == 3
    with pytest.raises(ArgumentError, match="closed and among both restrict the answers"):
        evaluate_recognizer(reader, samples, among="level1", closed=True)
    with pytest.raises(CharsetError, match="'greek' is no set of characters"):
        evaluate_recognizer(reader, samples, among="greek")


def test_unknown_labels_are_named(reader: Any, samples: list[Sample]) -> None:
    strangers = [Sample("龘", samples[0].image), Sample("靐", BLANK), Sample("龘", samples[0].image)]
    result = evaluate_recognizer(reader, samples + strangers)
    assert (result.n, result.outside, result.outside_labels) == (33, 3, {"龘": 2, "靐": 1})
    with pytest.raises(DataError, match="靐 龘: labels that the reader cannot answer with; leave"):
        evaluate_recognizer(reader, samples + strangers, unknown="error")
    with pytest.raises(ArgumentError, match="unknown is 'guess'; one of skip, error"):
        evaluate_recognizer(reader, samples, unknown="guess")  # type: ignore[arg-type]
    assert evaluate_recognizer(reader, samples, unknown="error").outside_labels == {}
