"""The tools that compose the strokes of characters from those of their components."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hanmo.medians import load_medians

DEV = Path(__file__).parents[2] / "dev"
SEQUENCES = """\
河\t⿰氵可(.)
法\t⿰氵去
油\t⿰氵由
附\t⿰阝付
国\t⿴囗玉
园\t⿴囗元
因\t⿴囗大
近\t⿺辶斤(.);⿺辶H斤(H)
远\t⿺辶元
㳇\t⿰氵付
囩\t⿴囗云
这\t⿺辶文
池\t⿰氵#(也)
重\t⿻东里
"""


@pytest.fixture
def dev(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DEV))
    for name in ("animcjk", "compose_strokes", "ids"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def composer(dev: None, tmp_path: Path) -> Any:
    from compose_strokes import Composer  # type: ignore[import-not-found, unused-ignore]
    from ids import read_sequences  # type: ignore[import-not-found, unused-ignore]

    (tmp_path / "ids.txt").write_text(SEQUENCES, encoding="utf-8")
    medians = load_medians()
    used = [c for c in "河法油附国园因近远这可去由付玉元大斤云文东里重" if c in medians]
    known = {c: [s.astype(float) * 1024 for s in medians.of(c)] for c in used}
    return Composer(known, read_sequences(tmp_path / "ids.txt"))


def box(strokes: list[Any]) -> tuple[Any, Any]:
    points = np.concatenate(strokes)
    return points.min(0), points.max(0)


def test_sequences_are_trees_and_those_with_other_signs_are_left_out(dev: None) -> None:
    from ids import Node, parse

    assert parse("⿰氵⿱艹田") == Node("⿰", (Node("氵"), Node("⿱", (Node("艹"), Node("田")))))
    assert parse("⿳亠口小") == Node("⿳", (Node("亠"), Node("口"), Node("小")))
    for wrong in ("⿰氵", "⿰氵可可", "#(也)", "⿾可", "⿰氵a", ""):
        assert parse(wrong) is None


def test_components_keep_their_strokes_and_their_side(composer: Any) -> None:
    strokes = composer.compose("㳇")
    assert len(strokes) == 3 + 5  # 氵 is no known character; its strokes are those that others leave over
    (_, left_end), (right, _) = box(strokes[:3]), box(strokes[3:])
    assert left_end[0] < right[0] + 60


def test_an_inner_component_is_written_before_the_frame_is_closed(composer: Any) -> None:
    strokes = composer.compose("囩")
    (low, high), (inner_low, inner_high) = box([*strokes[:2], strokes[-1]]), box(strokes[2:-1])
    assert len(strokes) == 3 + 4
    assert (low < inner_low).all()
    assert (inner_high < high).all()


def test_a_composition_without_itself_is_like_the_real_character(composer: Any) -> None:
    composed, real = composer.compose("法", without="法"), composer.known["法"]
    assert len(composed) == len(real)
    middles = [np.stack([(a + b) / 2 for a, b in (box([s]) for s in c)]) for c in (composed, real)]
    assert np.hypot(*(middles[0] - middles[1]).T).mean() < 80


def test_the_unknown_and_the_overlaid_are_not_composed(composer: Any) -> None:
    assert composer.compose("池") is None
    assert composer.compose("重", without="重") is None
    assert composer.compose("龘") is None


def test_only_files_under_the_arphic_licence_are_read(dev: None, tmp_path: Path) -> None:
    from animcjk import read_strokes  # type: ignore[import-not-found, unused-ignore]

    svg = '<!-- {} --><path id="a" d="M1 1Z"/><path style="x" clip-path="url(#a)" d="M10 20L30 40L50 90"/>'
    folder = tmp_path / "svgsZhHans"
    folder.mkdir()
    (folder / f"{ord('卜')}.svg").write_text(svg.format("Arphic Public License"), encoding="utf-8")
    (folder / f"{ord('あ')}.svg").write_text(svg.format("Lesser General Public License"), encoding="utf-8")
    ((character, (stroke,)),) = read_strokes(tmp_path).items()
    assert character == "卜"
    np.testing.assert_array_equal(stroke, [[10, 20], [30, 40], [50, 90]])
