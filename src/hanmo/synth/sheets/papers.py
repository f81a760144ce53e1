"""The kinds of paper. Each function makes one sheet: its measures, colours and print vary with the random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hanmo.synth.sheets import forms
from hanmo.synth.sheets.geometry import Boxes, Colour, Line, Mark, Paper, Text

Random = np.random.Generator

BLACK: Colour = (38, 38, 40)
_GREENS: tuple[Colour, ...] = ((64, 140, 92), (96, 160, 110), (40, 120, 80), (120, 175, 130))
_REDS: tuple[Colour, ...] = ((200, 60, 60), (220, 90, 80), (190, 70, 90), (225, 120, 110))
_GREYS: tuple[Colour, ...] = ((120, 120, 122), (150, 150, 150), (95, 95, 98))
_BLUES: tuple[Colour, ...] = ((70, 110, 180), (110, 140, 190), (90, 150, 190))
_FIELDS = ("姓名", "单位", "地址", "电话", "籍贯", "专业", "学校", "民族", "职务", "证件")


def tianzige(rng: Random) -> Paper:
    """田字格: squares with a dashed cross; one in three has a stave for pinyin above every row."""
    page, cell = _page(rng), rng.uniform(14, 20)
    colour = _pick(rng, (*_GREENS, *_REDS, BLACK))
    stave = rng.random() < 0.35
    boxes = forms.place_boxes(page, cell, (0.0, cell * 0.55 if stave else 0.0), head=36)
    width = rng.uniform(0.25, 0.45)
    marks: list[Mark] = [
        *forms.guides(boxes, ["cross"], width * 0.6, colour, (1.0, 0.9)),
        *forms.rules(boxes, width, colour),
    ]
    if stave:
        marks += _stave(boxes, colour)
    marks += [*forms.title(rng, page, colour), *forms.captions(rng, page, BLACK, 26)]
    return Paper("tianzige", page, (boxes,), tuple(marks), width / 2)


def mizige(rng: Random) -> Paper:
    """米字格: squares with a cross and diagonals, dotted; often with an ornamental frame."""
    page, cell = _page(rng, 2), rng.uniform(14, 19)
    colour = _pick(rng, (BLACK, *_GREENS, *_REDS))
    framed = rng.random() < 0.6
    boxes = forms.place_boxes(page, cell, margin=24 if framed else 14, head=40, foot=40)
    width, reach = rng.uniform(0.25, 0.5), rng.choice([0.7, 1.0])
    fine = _pick(rng, (colour, (170, 120, 110), (150, 150, 150)))
    marks: list[Mark] = [
        *forms.guides(boxes, ["cross", "diagonals"], 0.2, fine, (0.4, 0.7), reach),
        *forms.rules(boxes, width, colour),
    ]
    if framed:
        marks += forms.ornament(page, colour, 12)
    marks += [
        *forms.title(rng, page, colour, 24),
        *forms.captions(rng, (page[0] - 20, page[1]), colour, page[1] - 30),
        *forms.stars(page, colour, page[1] - 21),
    ]
    return Paper("mizige", page, (boxes,), tuple(marks), width / 2)


def squares(rng: Random) -> Paper:
    """Plain squares in black."""
    page, cell = _page(rng), rng.uniform(10, 16)
    boxes = forms.place_boxes(page, cell)
    width = rng.uniform(0.25, 0.6)
    marks = [*forms.rules(boxes, width, BLACK), *forms.title(rng, page, BLACK)]
    return Paper("squares", page, (boxes,), tuple(marks), width / 2)


def composition(rng: Random) -> Paper:
    """作文稿纸: green rows of squares with a gap below each, for corrections."""
    page, colour = forms.PAGES[rng.integers(2)], _pick(rng, _GREENS)
    cell = (page[0] - 30) / 20 if rng.random() < 0.7 else rng.uniform(8, 10)
    boxes = forms.place_boxes(page, cell, (0.0, rng.uniform(0.3, 0.55) * cell), most=(20, 20))
    width = rng.uniform(0.2, 0.35)
    frame = (boxes.left, boxes.top - 3, boxes.right, boxes.bottom + 3)
    marks: list[Mark] = [*forms.rules(boxes, width, colour), *forms.rectangle(frame, width * 1.5, colour)]
    size = f"{boxes.columns}x{boxes.rows}={boxes.columns * boxes.rows}"
    marks += [Text((boxes.right, boxes.bottom + 8), 3.0, size, colour, "r")]
    marks += [*forms.title(rng, page, colour), *forms.captions(rng, page, colour, boxes.bottom + 8, 2)][:-1]
    return Paper("composition", page, (boxes,), tuple(marks), width / 2)


def red_squares(rng: Random) -> Paper:
    """红方格: red squares in a thick red frame."""
    page, cell, colour = _page(rng), rng.uniform(12, 20), _pick(rng, _REDS)
    boxes = forms.place_boxes(page, cell)
    width = rng.uniform(0.25, 0.5)
    marks: list[Mark] = [*forms.rules(boxes, width, colour), *forms.outline(boxes, 0.8, colour, rng.uniform(0, 2.5))]
    marks += [*forms.title(rng, page, colour), *forms.note(rng, page, colour, page[1] - 10)]
    return Paper("red-squares", page, (boxes,), tuple(marks), width / 2)


def dashed(rng: Random) -> Paper:
    """Squares with dashed rules in a solid frame."""
    page, cell = _page(rng), rng.uniform(11, 17)
    colour = _pick(rng, (*_GREYS, *_BLUES, BLACK))
    boxes = forms.place_boxes(page, cell)
    width, dash = rng.uniform(0.2, 0.4), (rng.uniform(0.8, 1.8), rng.uniform(0.6, 1.1))
    marks: list[Mark] = list(forms.rules(boxes, width, colour, dash))
    if rng.random() < 0.6:
        marks += forms.outline(boxes, width * 1.5, colour)
    marks += forms.title(rng, page, BLACK)
    return Paper("dashed", page, (boxes,), tuple(marks), width / 2)


def huigongge(rng: Random) -> Paper:
    """回宫格: squares with a smaller upright rectangle inside, and often a cross or a ring."""
    page, cell = _page(rng, 2), rng.uniform(15, 21)
    colour = _pick(rng, (*_REDS, *_GREENS, (150, 110, 80)))
    boxes = forms.place_boxes(page, cell, (0.0, rng.choice([0.0, 3.0])), head=36)
    width = rng.uniform(0.3, 0.5)
    more = [["cross"], ["cross", "ring"], []][rng.integers(3)]
    marks: list[Mark] = [
        *forms.guides(boxes, ["inner"], width * 0.6, colour),
        *forms.guides(boxes, more, width * 0.5, colour, (0.9, 0.8)),
        *forms.rules(boxes, width, colour),
    ]
    marks += [*forms.title(rng, page, colour), *forms.captions(rng, page, BLACK, 26, 2)]
    return Paper("huigongge", page, (boxes,), tuple(marks), width / 2)


def exam(rng: Random) -> Paper:
    """The grid of an answer sheet: small squares, a thick rule around all and at every fifth column, counts aside."""
    page = forms.PAGES[0]
    boxes = forms.place_boxes(page, rng.uniform(7.8, 8.6), most=(int(rng.integers(12, 26)), 20), head=46)
    width = rng.uniform(0.2, 0.3)
    marks: list[Mark] = [*forms.rules(boxes, width, BLACK), *forms.outline(boxes, 0.7, BLACK)]
    for column in range(5, boxes.columns, 5):
        x = boxes.corner(0, column)[0]
        marks.append(Line((x, boxes.top), (x, boxes.bottom), 0.6, BLACK))
    for row in range(4, boxes.rows, 5):
        y = boxes.corner(row, 0)[1] + boxes.size[1] / 2
        marks.append(Text((boxes.right + 1.5, y), 2.4, str((row + 1) * boxes.columns), BLACK))
    marks += [Text((page[0] / 2, 14), 6, "语文答题卡", BLACK, "m"), *forms.captions(rng, page, BLACK, 26)]
    marks += [
        Text((boxes.left, 38), 4, "三作文", BLACK),
        *forms.rectangle((10, 8, page[0] - 10, page[1] - 8), 0.4, BLACK),
    ]
    return Paper("exam", page, (boxes,), tuple(marks), width / 2)


def form(rng: Random) -> Paper:
    """A form: printed labels, and a box for each character beside them."""
    page = forms.PAGES[rng.integers(2)]
    cell, colour = rng.uniform(8.5, 11), _pick(rng, (BLACK, *_BLUES, *_GREYS))
    width, left, y = rng.uniform(0.25, 0.45), 18.0, 42.0
    boxes, marks = [], [Text((page[0] / 2, 18), 7, "登记表", BLACK, "m"), *forms.captions(rng, page, BLACK, 30, 2)]
    for label in rng.permutation(_FIELDS)[: rng.integers(6, 10)]:
        most = int((page[0] - left - 18 - 16) // cell)
        boxes.append(Boxes(left + 16, y, 1, int(rng.integers(max(6, most // 2), most + 1)), (cell, cell)))
        marks += [Text((left, y + cell / 2), 4.5, str(label), BLACK), *forms.rules(boxes[-1], width, colour)]
        y += cell * rng.choice([1.45, 1.7])
    marks += forms.note(rng, page, BLACK, y + 8)
    return Paper("form", page, tuple(boxes), tuple(marks), width / 2)


def free(rng: Random) -> Paper:
    """Free rows of separate characters on blank paper, as on a contact sheet."""
    page, cell = _page(rng), rng.uniform(13, 19)
    gap = (cell * rng.uniform(0.0, 0.3), cell * rng.uniform(0.1, 0.45))
    boxes = forms.place_boxes(page, cell, gap, head=24, foot=20, margin=16)
    return Paper("free", page, (boxes,), (), 0.0, ruled=False)


def columns(rng: Random) -> Paper:
    """竖排稿纸: columns of squares with gaps between them, for text from the right to the left."""
    page = forms.PAGES[rng.integers(2)][::-1] if rng.random() < 0.5 else forms.PAGES[rng.integers(2)]
    colour, cell = _pick(rng, (*_REDS, *_GREENS, (150, 110, 80))), rng.uniform(9, 13)
    boxes = forms.place_boxes(page, cell, (cell * rng.uniform(0.3, 0.5), 0.0), head=26, foot=20)
    width = rng.uniform(0.2, 0.4)
    frame = (boxes.left - 3, boxes.top, boxes.right + 3, boxes.bottom)
    marks: list[Mark] = [*forms.rules(boxes, width, colour), *forms.rectangle(frame, width * 2, colour)]
    marks += forms.title(rng, page, colour, 13)
    return Paper("columns", page, (boxes,), tuple(marks), width / 2, direction="columns-right-to-left")


def light(rng: Random) -> Paper:
    """A fine grid in light grey."""
    page, cell = _page(rng), rng.uniform(10, 15)
    colour = _pick(rng, ((175, 175, 178), (190, 192, 195), (165, 175, 190)))
    boxes = forms.place_boxes(page, cell, head=22, foot=16)
    width = rng.uniform(0.18, 0.3)
    marks = [*forms.rules(boxes, width, colour), *forms.note(rng, page, colour, page[1] - 8)]
    return Paper("light", page, (boxes,), tuple(marks), width / 2)


_MAKERS: dict[str, Callable[[Random], Paper]] = {
    "tianzige": tianzige,
    "mizige": mizige,
    "squares": squares,
    "composition": composition,
    "red-squares": red_squares,
    "dashed": dashed,
    "huigongge": huigongge,
    "exam": exam,
    "form": form,
    "free": free,
    "columns": columns,
    "light": light,
}
PAPERS = tuple(_MAKERS)
"""The names of the papers."""


def make_paper(name: str, rng: Random) -> Paper:
    """A sheet of the paper ``name`` (:data:`PAPERS`)."""
    return _MAKERS[name](rng)


def _page(rng: Random, kinds: int = 3) -> tuple[float, float]:
    """One of the first ``kinds`` page sizes; one in five lies on its long side."""
    page = forms.PAGES[rng.integers(kinds)]
    return page[::-1] if rng.random() < 0.2 else page


def _pick(rng: Random, colours: tuple[Colour, ...]) -> Colour:
    return colours[rng.integers(len(colours))]


def _stave(boxes: Boxes, colour: Colour) -> Iterator[Mark]:
    """Four lines above every row, for pinyin."""
    for row in range(boxes.rows):
        y = boxes.corner(row, 0)[1]
        for number in range(1, 4):
            at = y - number * boxes.gap[1] * 0.28
            yield Line((boxes.left, at), (boxes.right, at), 0.18, colour)
