from __future__ import annotations

import importlib.util
import lzma
from pathlib import Path

import pytest

from hanmo.errors import InstallationError
from hanmo.prediction import Candidate, Prediction
from hanmo.sheets.context import Bigrams, in_context, load_bigrams

PACKER = Path(__file__).parents[2] / "dev" / "pack_bigrams.py"


def packed(*lines: str) -> bytes:
    spec = importlib.util.spec_from_file_location("pack_bigrams", PACKER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    data: bytes = module.pack(lines)
    return data


def read_as(*candidates: tuple[str, float], refused: bool = False) -> Prediction:
    found = tuple(Candidate(character, probability) for character, probability in candidates)
    return Prediction(found, "unknown character" if refused else None)


def test_words_decide_between_look_alikes() -> None:
    cells = [read_as(("己", 0.6), ("已", 0.4)), read_as(("经", 0.95), ("轻", 0.05))]
    assert in_context(cells) == ["已", "经"]
    assert in_context(cells, weight=0) == ["己", "经"]
    # The same character where no word speaks for the other one.
    assert in_context([read_as(("自", 0.9), ("白", 0.1)), read_as(("己", 0.6), ("已", 0.4))]) == ["自", "己"]


def test_a_sure_cell_is_never_changed_but_speaks_for_its_neighbours() -> None:
    assert in_context([read_as(("己", 0.995), ("已", 0.005)), read_as(("经", 0.98), ("轻", 0.02))]) == ["己", "经"]
    assert in_context([read_as(("由", 0.6), ("田", 0.4)), read_as(("于", 0.999), ("干", 0.001))]) == ["由", "于"]
    # A refusal is no sure answer, however probable its candidate.
    refused = read_as(("己", 0.995), ("已", 0.005), refused=True)
    assert in_context([refused, read_as(("经", 0.98), ("轻", 0.02))], weight=2.0) == ["已", "经"]


def test_nothing_in_context_is_nothing() -> None:
    assert in_context([]) == []
    assert in_context([read_as(("龘", 0.5), ("☃", 0.3))]) == ["龘"], "characters without counts stay possible"


def test_what_is_counted_is_packed_and_found_again() -> None:
    bigrams = Bigrams(packed("中国 1000 ns", "国家 500 n", "家 200 n", "B超 900 n"))
    # 500 times in 1,500 within a word, and 1,000 times a word ends, of which 200 in 1,700 begin with 家: ln 0.41.
    # Counts are rounded to half a doubling.
    assert bigrams.log_probability("国", "家") == pytest.approx(-0.89, abs=0.2)
    assert bigrams.log_probability("中", "国") > -0.4
    assert (
        bigrams.log_probability("家", "中") > bigrams.log_probability("家", "国") > bigrams.log_probability("家", "龙")
    )
    assert bigrams.log_probability("", "中") > bigrams.log_probability("", "家")


def test_the_packaged_bigrams_are_sound() -> None:
    bigrams = load_bigrams()
    assert bigrams.log_probability("中", "国") > bigrams.log_probability("中", "圈") + 3
    assert load_bigrams() is bigrams


@pytest.mark.parametrize(
    "data",
    [b"hanmo bigrams 2\n\n", b"hanmo bigrams 1\n\nnothing", b"hanmo bigrams 1\n\n" + lzma.compress(b"\1\0\0\0" * 6)],
)
def test_a_damaged_file_is_named(data: bytes) -> None:
    with pytest.raises(InstallationError, match="reinstall hanmo"):
        Bigrams(data)
