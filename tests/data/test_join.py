"""Packs joined into one."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hanmo.charset import Charset
from hanmo.data.join import join_packs
from hanmo.data.pack import Pack, write_pack
from hanmo.data.sample import Sample
from hanmo.errors import CharsetError, DataError, PackError
from hanmo.normalize import Normalization

FIT = Normalization(method="fit", side=32)
CHARSET = Charset("一丁七")


def contents(pack: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in pack.iterdir()}


def pack_of(path: Path, samples: list[Sample], charset: Charset = CHARSET, square: Normalization = FIT) -> Path:
    return write_pack(path, samples, normalization=square, charset=charset, on_unknown="skip").path


@pytest.mark.parametrize("cuts", [(), (1,), (3, 4), (2, 5, 8)])
def test_joined_is_as_packed_at_once(tmp_path: Path, draw, cuts: tuple[int, ...]) -> None:
    samples = draw("丁七丁一万丁一七丁", writers=4, blank=(6,))
    whole = pack_of(tmp_path / "whole", samples)
    ends = [0, *cuts, len(samples)]
    parts = [pack_of(tmp_path / f"{a}", samples[a:b]) for a, b in pairwise(ends)]
    joined = join_packs(tmp_path / "joined", parts)
    assert contents(tmp_path / "joined") == contents(whole)
    assert joined.digest == Pack.open(whole).digest
    assert joined.skipped == {"blank": 1, "unknown": 1}
    assert all(part.exists() for part in parts)


def test_names_are_matched_and_not_numbers(tmp_path: Path) -> None:
    image = np.full((20, 20), 255, np.uint8)
    image[5:9, 3:17] = 0
    names = [("a.gnt", "1"), ("b.gnt", "2"), ("b.gnt", "2"), ("c.gnt", ""), ("a.gnt", "2")]
    samples = [Sample("丁", image, source, writer) for source, writer in names]
    joined = join_packs(tmp_path / "j", [pack_of(tmp_path / "a", samples[:2]), pack_of(tmp_path / "b", samples[2:])])
    assert [(joined.source_of(i), joined.writer_of(i)) for i in range(5)] == names


def test_only_packs_alike_are_joined(tmp_path: Path, draw) -> None:
    first = pack_of(tmp_path / "first", draw("一丁"))
    other = pack_of(tmp_path / "other", draw("一丁"), square=Normalization(method="moment", side=32))
    turned = pack_of(tmp_path / "turned", draw("一丁"), charset=Charset("丁一七"))
    with pytest.raises(PackError, match=r"other: packed as moment-32.* but fit-32.* is needed"):
        join_packs(tmp_path / "j", [first, other])
    with pytest.raises(CharsetError, match="turned: its "):
        join_packs(tmp_path / "j", [first, turned])
    with pytest.raises(PackError, match="none: not a pack"):
        join_packs(tmp_path / "j", [first, tmp_path / "none"])
    with pytest.raises(DataError, match="j: no packs to join"):
        join_packs(tmp_path / "j", [])
    assert not (tmp_path / "j").exists()


@pytest.mark.parametrize("name", ["images.u8", "labels.u16", "writers.u16"])
def test_damage_is_not_given_new_hashes(tmp_path: Path, draw, name: str) -> None:
    packs = [pack_of(tmp_path / n, draw("一丁七", writers=3)) for n in "ab"]
    data = (packs[1] / name).read_bytes()
    (packs[1] / name).write_bytes(data[:-2] + bytes([data[-2] ^ 1, data[-1]]))
    with pytest.raises(PackError, match=rf"b/{name}: damaged"):
        join_packs(tmp_path / "j", packs)
    (packs[1] / name).write_bytes(data[:-2])
    with pytest.raises(PackError, match=rf"b/{name}: {len(data) - 2} bytes where"):
        join_packs(tmp_path / "j", packs)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_pack_is_replaced_only_when_asked(tmp_path: Path, draw) -> None:
    one, two = (pack_of(tmp_path / n, draw("一丁七")) for n in "ab")
    with pytest.raises(PackError, match="--overwrite"):
        join_packs(one, [one, two])
    assert len(join_packs(one, [one, two], overwrite=True)) == 6
    assert len(Pack.open(one, verify=True)) == 6


def test_joining_needs_little_memory(tmp_path: Path, draw) -> None:
    samples = draw("一丁七" * 500)
    square = Normalization(side=64)
    packs = [pack_of(tmp_path / f"{i}", samples, square=square) for i in range(4)]  # 25 MB of squares
    tracemalloc.start()
    joined = join_packs(tmp_path / "j", packs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(joined) == 6000
    assert peak < 2_000_000
