"""Compose the strokes of a character from those of its components, placed as in characters whose strokes are known.

Known characters are cut along their sequences (``ids.py``): 湖 is ⿰氵胡, so its first three strokes are 氵 and
the others are 胡. Every piece is kept with its place, as a *sample* of 氵 on the left. A new character ⿰氵付 takes
its 氵 from such a sample, and its 付 from 附 or 咐; where no sample has the component in this place, the whole
character 付 is fitted in. The boxes are averages over samples, which count more when they have the same component and
similar stroke counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ids import Node
from numpy.typing import NDArray

from hanmo.medians import even_out

Floats = NDArray[np.float64]
Strokes = list[Floats]

FARTHEST = 0.16
"""A cut is trusted when its pieces lie no farther than this from the whole characters they are, sides being 1."""
SIMILAR = 0.25
"""How fast the weight of a sample falls with the difference of the logarithms of stroke counts."""
SAME = 30.0
"""How many times more a sample with the same component counts for boxes than one with another."""
ENCLOSING = "⿴⿵⿶⿷⿸⿹⿺"


class Cut(NamedTuple):
    """One known character, or a piece of one, with its pieces."""

    owner: str
    node: Node
    box: Floats  # (2, 2): lower and upper corner
    pieces: list[Strokes]
    boxes: Floats  # (pieces, 2, 2), relative to ``box``
    before: int
    """How many strokes of the first piece are written before the second; the others follow it."""


@dataclass(frozen=True, eq=False)
class Table:
    """The cuts of one operator as arrays, so that averages over thousands of them are fast."""

    cuts: list[Cut]
    logs: Floats
    """(cuts, pieces): logarithms of stroke counts."""
    boxes: Floats
    """(cuts, pieces, 2, 2)"""
    outer: Floats
    """(cuts, 2, 2)"""
    rows: list[dict[Node, list[int]]]
    """For each place among the operands, the cuts that have a component there."""
    owners: dict[str, list[int]]

    @classmethod
    def of(cls, cuts: list[Cut]) -> Table:
        rows: list[dict[Node, list[int]]] = [defaultdict(list) for _ in cuts[0].pieces]
        owners: dict[str, list[int]] = defaultdict(list)
        for i, cut in enumerate(cuts):
            owners[cut.owner].append(i)
            for row, part in zip(rows, cut.node.parts, strict=True):
                row[part].append(i)
        logs = np.log([[len(piece) for piece in cut.pieces] for cut in cuts])
        return cls(cuts, logs, np.stack([c.boxes for c in cuts]), np.stack([c.box for c in cuts]), rows, owners)


class Composer:
    """Known strokes (characters to strokes (n, 2), any unit) and sequences -> strokes of other characters."""

    def __init__(self, known: Mapping[str, Strokes], sequences: Mapping[str, Sequence[Node]]) -> None:
        self.known, self.sequences = known, sequences
        self._shapes: dict[str, Floats] = {}
        self._inferred = self._infer_counts()
        self.cuts: dict[str, list[Cut]] = defaultdict(list)
        """Cuts by operator."""
        for character, strokes in known.items():
            for cut in self._cut_all(character, Node(character), strokes):
                self.cuts[cut.node.name].append(cut)
        self.tables = {operator: Table.of(cuts) for operator, cuts in self.cuts.items()}

    # Stroke counts

    def count(self, node: Node) -> int | None:
        """How many strokes a node has, or None where that is not known."""
        if node.parts:
            counts = [self.count(part) for part in node.parts]
            return None if None in counts else sum(c for c in counts if c is not None)
        if node.name in self.known:
            return len(self.known[node.name])
        if node.name not in self._inferred and (readings := self.sequences.get(node.name)):
            counts = [c for reading in readings if (c := self.count(reading)) is not None]
            return counts[0] if counts else None
        return self._inferred.get(node.name)

    def _infer_counts(self) -> dict[str, int]:
        """Stroke counts of components that are no known characters: what the known characters leave over for them."""
        votes: dict[str, Counter[int]] = defaultdict(Counter)
        for character, strokes in self.known.items():
            for node in self.sequences.get(character, [])[:1]:
                strange = [p for p in node.parts if p.parts or p.name not in self.known]
                if len(strange) == 1 and not strange[0].parts:
                    rest = sum(len(self.known[p.name]) for p in node.parts if p is not strange[0])
                    votes[strange[0].name][len(strokes) - rest] += 1
        return {name: best for name, vote in votes.items() if (best := vote.most_common(1)[0][0]) > 0}

    # Cutting known characters

    def _cut_all(self, owner: str, node: Node, strokes: Strokes) -> Iterator[Cut]:
        cut = next((cut for n in self._readings(node) if (cut := self._cut(owner, n, strokes)) is not None), None)
        if cut is None:
            return
        yield cut
        for part, piece in zip(cut.node.parts, cut.pieces, strict=True):
            yield from self._cut_all(owner, part, piece)

    def _readings(self, node: Node) -> Sequence[Node]:
        return [node] if node.parts else self.sequences.get(node.name, [])

    def _cut(self, owner: str, node: Node, strokes: Strokes) -> Cut | None:
        """Cut strokes into the pieces of a node, in the order of writing that fits the pieces best."""
        counts = [self.count(part) for part in node.parts]
        if None in counts or sum(c for c in counts if c) != len(strokes) or node.name == "⿻":
            return None
        best, distance = None, FARTHEST
        for before in self._orders(node, counts[0] or 0):
            pieces = _pieces(strokes, [c or 0 for c in counts], before)
            far = max(self._distance(part, piece) for part, piece in zip(node.parts, pieces, strict=True))
            if far < distance and _stand(node.name, pieces):
                best, distance = (pieces, before), far
        if best is None:
            return None
        box = box_of(strokes)
        return Cut(owner, node, box, best[0], np.stack([relative(box_of(p), box) for p in best[0]]), best[1])

    def _orders(self, node: Node, first: int) -> Sequence[int]:
        return range(first + 1) if node.name in ENCLOSING else [first]

    def _distance(self, part: Node, piece: Strokes) -> float:
        """Mean distance between a piece and the whole character that it is; 0 where that one is not known."""
        if part.parts or part.name not in self.known:
            return 0.0
        if part.name not in self._shapes:
            self._shapes[part.name] = shape_of(self.known[part.name])
        return float(np.abs(self._shapes[part.name] - shape_of(piece)).mean())

    # Composing

    def compose(self, character: str, without: str = "") -> Strokes | None:
        """Strokes of a character in the unit of the known ones, or None where a component is unknown.

        ``without`` names a character that must not be used, so that the result can be compared with it.
        """
        for node in self._composable(character):
            if (done := self._fill(node, None, without)) is not None:
                return done
        return None

    def _composable(self, character: str) -> Iterator[Node]:
        """The sequences that can be placed: ⿻ gives no boxes; ⿺風台, without a sample, is written as ⿰風台."""
        for node in self.sequences.get(character, []):
            if node.name == "⿺" and node.parts[0] not in self.tables["⿺"].rows[0]:
                yield node._replace(name="⿰")
            elif node.name != "⿻":
                yield node

    def _weights(self, node: Node, without: str) -> Floats | None:
        """How much each cut of the node's operator counts for its boxes, (cuts,), sum 1."""
        counts = [self.count(part) for part in node.parts]
        if None in counts or node.name not in self.tables:
            return None
        table = self.tables[node.name]
        far = np.abs(table.logs - np.log(np.array(counts, float))).sum(1)
        weights = np.exp(-far / SIMILAR)
        for part, rows in zip(node.parts, table.rows, strict=True):
            weights[rows.get(part, [])] *= SAME
        if node.name in ENCLOSING:  # the outer component alone says where the inner one goes
            same = np.zeros(len(weights), bool)
            same[table.rows[0].get(node.parts[0], [])] = True
            weights *= same
        weights[table.owners.get(without, [])] = 0
        return weights / weights.sum() if weights.sum() > 0 else None

    def _fill(self, node: Node, box: Floats | None, without: str) -> Strokes | None:
        """The strokes of an operator's node in a box; None: the average box of whole characters with this operator."""
        weights = self._weights(node, without)
        if weights is None:
            return None
        table = self.tables[node.name]
        if box is None:
            box = np.tensordot(weights, table.outer, 1)
        pieces = []
        for number, slot in enumerate(np.tensordot(weights, table.boxes, 1)):
            piece = self._piece(node, number, slot, box, without)
            if piece is None:
                return None
            pieces.append(piece)
        before = table.cuts[int(weights.argmax())].before if node.name in ENCLOSING else len(pieces[0])
        return _merged(pieces, before)

    def _piece(self, node: Node, number: int, slot: Floats, box: Floats, without: str) -> Strokes | None:
        """One component's strokes: of the sample that suits best, or of the whole character, or composed in turn."""
        part = node.parts[number]
        if (sample := self._sample(node, number, without)) is not None:
            return fit(sample[0], absolute(mixed(slot, sample[1]), box))
        target = absolute(slot, box)
        if not part.parts and part.name in self.known and part.name != without:
            return fit(self.known[part.name], _inked(self.known[part.name], target))
        for reading in self._readings(part):
            if reading.name != "⿻" and (done := self._fill(reading, target, without)) is not None:
                return done
        return None

    def _sample(self, node: Node, number: int, without: str) -> tuple[Strokes, Floats] | None:
        """The piece with this component in this place whose neighbours have the most similar stroke counts."""
        part = node.parts[number]
        if part.parts:
            return None
        table = self.tables[node.name]
        rows = [i for i in table.rows[number].get(part, []) if table.cuts[i].owner != without]
        if not rows:
            return None
        counts = np.log(np.array([self.count(p) or 1 for p in node.parts], float))
        far = np.abs(table.logs[rows] - counts).sum(1)
        best = table.cuts[rows[int(far.argmin())]]
        return best.pieces[number], best.boxes[number]


def _pieces(strokes: Strokes, counts: Sequence[int], before: int) -> list[Strokes]:
    """Strokes in writing order -> components; the second stands among the strokes of the first."""
    first, second = counts[0], counts[1]
    pieces = [strokes[:before] + strokes[before + second : first + second], strokes[before : before + second]]
    return pieces + ([strokes[first + second :]] if len(counts) == 3 else [])


def _merged(pieces: Sequence[Strokes], before: int) -> Strokes:
    first, second, *rest = pieces
    return first[:before] + second + first[before:] + [stroke for piece in rest for stroke in piece]


def _stand(operator: str, pieces: Sequence[Strokes]) -> bool:
    """Whether pieces side by side, or one above the other, follow each other so."""
    axis = {"⿰": 0, "⿲": 0, "⿱": 1, "⿳": 1}.get(operator)
    if axis is None:
        return True
    middles = [box_of(piece)[:, axis].mean() for piece in pieces]
    return middles == sorted(middles)


def box_of(strokes: Strokes) -> Floats:
    """The lower and the upper corner of strokes, (2, 2)."""
    points = np.concatenate(strokes)
    return np.stack([points.min(0), points.max(0)])


def relative(box: Floats, outer: Floats) -> Floats:
    return (box - outer[0]) / np.maximum(outer[1] - outer[0], 1e-6)


def absolute(box: Floats, outer: Floats) -> Floats:
    return outer[0] + box * (outer[1] - outer[0])


def mixed(slot: Floats, own: Floats) -> Floats:
    """The box of a sample moved half-way to the average box, so that neighbours from different samples agree."""
    return (slot + own) / 2


def _inked(strokes: Strokes, slot: Floats) -> Floats:
    """The part of a slot that a whole character fills: 口 is smaller than its square, and 一 is flat."""
    box, full = box_of(strokes), np.array([[110.0, 90.0], [910.0, 900.0]])
    inside = np.clip(relative(box, full), 0, 1)
    # Slots are averages of ink, of which most leave some of their square empty too: so half of the difference.
    return absolute(mixed(inside, np.array([[0.0, 0.0], [1.0, 1.0]])), slot)


def fit(strokes: Strokes, box: Floats) -> Strokes:
    """Strokes moved and stretched from their own box to another; a flat side keeps its proportion."""
    own = box_of(strokes)
    side = own[1] - own[0]
    scale = (box[1] - box[0]) / np.maximum(side, 1e-6)
    flat = side < 0.2 * side[::-1]
    scale = np.where(flat, np.minimum(scale, scale[::-1]), scale)
    return [(stroke - own.mean(0)) * scale + box.mean(0) for stroke in strokes]


def shape_of(strokes: Strokes, points: int = 6) -> Floats:
    """Strokes as points (S, points, 2) in their own box, whose sides are 1; a flat box is not stretched all the way."""
    box = box_of(strokes)
    side = box[1] - box[0]
    even = even_out([stroke.astype(np.float32) for stroke in strokes], points).astype(np.float64)
    return (even - box.mean(0)) / np.maximum(side, 0.3 * side[::-1])
