"""The report: one file that needs no other, whatever the samples are called."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hanmo.data.sample import Sample
from hanmo.errors import ArgumentError, StorageError
from hanmo.evaluate.evaluate import evaluate_recognizer
from hanmo.evaluate.figures import picture
from hanmo.evaluate.report import write_report
from hanmo.evaluate.result import Evaluation

VOID = {"meta", "img", "line", "rect", "path", "br"}


class Page(HTMLParser):
    """The page's elements and words; fails on elements that are closed wrongly."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def evaluation(reader: Any, samples: list[Sample]) -> Evaluation:
    return evaluate_recognizer(reader, samples, file="test.gnt")


def test_the_page_says_what_was_found(evaluation: Evaluation, tmp_path: Path) -> None:
    made = datetime(2024, 5, 6, 7, 8, tzinfo=UTC)
    conditions = {"Bundle": "templates", "Threads": "1"}
    page = Page(write_report(evaluation, tmp_path / "r.html", title="A title", conditions=conditions, made=made))
    for told in ("A title", "2024-05-06 07:08 UTC", "test.gnt", "90.91%", "templates", "Threads", "永→山", "U+6C38"):
        assert told in page.words
    assert len(page.all("svg")) == 2


def test_the_page_refers_to_nothing_outside_itself(evaluation: Evaluation, tmp_path: Path) -> None:
    page = Page(write_report(evaluation, tmp_path / "r.html"))
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "iframe", "object", "a", "base", "form"})
    for _, attributes in page.elements:
        assert not {"href", "srcset", "data", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,")
    assert not re.search(r"url\(|@import|//", re.sub(r"base64,[^\"]*", "", page.source))
    assert "default-src 'none'" in page.source


def test_the_pictures_are_the_mistakes(evaluation: Evaluation, tmp_path: Path) -> None:
    images = Page(write_report(evaluation, tmp_path / "r.html")).all("img")
    assert len(images) == 6  # three in the pairs, three among the confident
    assert "wrong.gnt" in (images[0]["title"] or "")
    with Image.open(io.BytesIO(base64.b64decode((images[0]["src"] or "").split(",")[1]))) as shown:
        paper = np.asarray(shown).astype(int)
    assert np.abs(255 - paper - evaluation.confusions[0].mistakes[0].square.astype(int)).max() < 8


def test_a_picture_is_ink_on_paper() -> None:
    with Image.open(io.BytesIO(base64.b64decode(picture(np.zeros((8, 8), np.uint8)).split(",")[1]))) as empty:
        assert np.asarray(empty).min() == 255


def test_names_cannot_break_out_of_the_page(reader: Any, samples: list[Sample], tmp_path: Path) -> None:
    evil = "\"><script>alert('1')</script>&amp;<img src=x onerror=y>"
    hostile = [s._replace(source=evil, writer=evil) for s in samples]
    evaluation = evaluate_recognizer(reader, hostile, file=evil)
    page = Page(write_report(evaluation, tmp_path / "r.html", title=evil, conditions={evil: evil}))
    assert page.all("script") == []
    assert all("onerror" not in attributes for attributes in page.all("img"))
    assert evil in page.words


@pytest.mark.parametrize("character", ["<", "&", '"'])
def test_characters_that_are_markup_are_escaped(evaluation: Evaluation, tmp_path: Path, character: str) -> None:
    pair = replace(evaluation.confusions[0], true=character, predicted=character)
    score = replace(evaluation.per_class[0], character=character, taken_for=character)
    page = Page(write_report(replace(evaluation, confusions=(pair,), per_class=(score,)), tmp_path / "r.html"))
    assert f"{character}→{character}" in page.words


def test_several_files_share_a_page(evaluation: Evaluation, tmp_path: Path) -> None:
    other = replace(evaluation, file="other.gnt", left_out=4)
    page = Page(write_report([evaluation, other], tmp_path / "r.html"))
    assert page.words.count("other.gnt") == page.words.count("test.gnt") == 2
    assert "4 by the pack" in page.words


def test_nothing_scored_and_nothing_wrong_are_pages_too(reader: Any, samples: list[Sample], tmp_path: Path) -> None:
    strangers = evaluate_recognizer(reader, [Sample("龘", samples[0].image)], file="strangers.gnt")
    perfect = evaluate_recognizer(reader, samples[:30], file="clean.gnt")
    blank = evaluate_recognizer(reader, [Sample("永", np.full((9, 9), 255, np.uint8))], file="blank.gnt")
    page = Page(write_report([strangers, perfect, blank], tmp_path / "r.html"))
    assert "nan" not in page.words.lower()
    assert "every answer is right" in page.words
    assert "100.00%" in page.words


def test_a_name_that_is_no_page_is_refused_and_kept(evaluation: Evaluation, tmp_path: Path) -> None:
    data = tmp_path / "test.gnt"
    data.write_bytes(b"samples")
    (tmp_path / "folder.html").mkdir()
    for wrong in (data, tmp_path / "folder.html"):
        with pytest.raises(ArgumentError, match=r"ends in \.html"):
            write_report(evaluation, wrong)
    assert data.read_bytes() == b"samples"
    assert (tmp_path / "folder.html").is_dir()


def test_an_unwritable_place_is_a_storage_error(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(StorageError):
        write_report(evaluation, tmp_path / "taken" / "r.html")
