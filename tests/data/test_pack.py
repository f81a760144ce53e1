from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hanmo.charset import Charset
from hanmo.data.pack import Pack, write_pack
from hanmo.data.sample import Sample
from hanmo.errors import BlankImageError, CharsetError, DataError, PackError
from hanmo.normalize import Normalization

FIT = Normalization(method="fit", side=32)


def contents(pack: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in pack.iterdir()}


def test_a_pack_holds_the_normalised_samples_in_order(tmp_path: Path, draw) -> None:
    samples = draw("丁一丁七", writers=2)
    pack = write_pack(tmp_path / "p", samples, normalization=FIT)
    assert len(pack) == 4
    assert str(pack.charset) == "一丁七"
    assert pack.labels.dtype == np.int64
    assert [pack.charset[i] for i in pack.labels] == ["丁", "一", "丁", "七"]
    assert all(np.array_equal(pack.images[i], FIT(s.image)) for i, s in enumerate(samples))
    assert [pack.writer_of(i) for i in range(4)] == ["1001", "1002", "1001", "1002"]
    assert pack.source_of(3) == "1002-f.gnt"
    assert pack.normalization == FIT
    assert pack.skipped == {"blank": 0, "unknown": 0}


def test_images_are_mapped_and_cannot_be_changed(tmp_path: Path, draw) -> None:
    pack = write_pack(tmp_path / "p", draw("一丁"), normalization=FIT)
    assert isinstance(pack.images, np.memmap)
    assert pack.images.filename == tmp_path / "p" / "images.u8"
    assert not pack.images.flags.writeable


def test_workers_make_the_same_bytes(tmp_path: Path, draw) -> None:
    samples = draw("一丁七万丈" * 120, writers=7, blank=(3, 400))
    alone = write_pack(tmp_path / "0", samples, normalization=FIT)
    shared = write_pack(tmp_path / "2", samples, normalization=FIT, workers=2)
    assert contents(tmp_path / "0") == contents(tmp_path / "2")
    assert alone.digest == shared.digest
    assert len(alone) == 598


def test_the_digest_tells_packs_apart(tmp_path: Path, draw) -> None:
    samples = draw("一丁", writers=2)
    packs = [
        write_pack(tmp_path / "0", samples, normalization=FIT),
        write_pack(tmp_path / "1", samples[::-1], normalization=FIT),
        write_pack(tmp_path / "2", samples, normalization=replace(FIT, margin=1)),
        write_pack(tmp_path / "3", samples, normalization=FIT, charset=Charset("一丁七")),
        write_pack(tmp_path / "4", [s._replace(writer="") for s in samples], normalization=FIT),
    ]
    assert len({pack.digest for pack in packs}) == len(packs)
    assert Pack.open(tmp_path / "0").digest == packs[0].digest


def test_blank_samples_are_counted_or_named(tmp_path: Path, draw) -> None:
    samples = draw("一丁七", blank=(1,))
    pack = write_pack(tmp_path / "p", samples, normalization=FIT)
    assert str(pack.charset) == "一七"
    assert pack.skipped["blank"] == 1
    with pytest.raises(BlankImageError, match=r"drawn-f\.gnt: a picture of '丁' is blank"):
        write_pack(tmp_path / "q", samples, normalization=FIT, on_blank="error")
    with pytest.raises(DataError, match=r"no samples to pack: 3 blank and 0 .* were skipped; give others"):
        write_pack(tmp_path / "q", draw("一丁七", blank=(0, 1, 2)), normalization=FIT)
    assert not (tmp_path / "q").exists()


def test_labels_outside_the_charset_are_named_or_counted(tmp_path: Path, draw) -> None:
    samples = draw("一丁七")
    with pytest.raises(CharsetError, match=r"drawn-f.gnt: label '丁' \(sample 2 of all\) is outside the charset of 2"):
        write_pack(tmp_path / "p", samples, normalization=FIT, charset=Charset("七一"))
    pack = write_pack(tmp_path / "p", samples, normalization=FIT, charset=Charset("七一"), on_unknown="skip")
    assert list(pack.labels) == [1, 0]
    assert pack.skipped["unknown"] == 1
    with pytest.raises(CharsetError, match=r"label '一二' \(sample 1 of all\) is not one character"):
        write_pack(tmp_path / "q", [samples[0]._replace(label="一二")], normalization=FIT)


def test_pictures_are_remembered_by_their_folder(tmp_path: Path, draw) -> None:
    samples = [s._replace(source=f"set/一/{i}.png") for i, s in enumerate(draw("一一一"))]
    assert write_pack(tmp_path / "p", samples, normalization=FIT).sources == ("set/一",)


def test_progress_counts_every_sample(tmp_path: Path, draw) -> None:
    told: list[int] = []
    write_pack(tmp_path / "p", draw("一丁" * 200, blank=(5,)), normalization=FIT, on_progress=told.append)
    assert told[-1] == 400
    assert told == sorted(told)


def test_require_says_what_differs_and_what_to_do(tmp_path: Path, draw) -> None:
    pack = write_pack(tmp_path / "p", draw("一丁"), normalization=FIT)
    pack.require(normalization=FIT, charset=Charset("一丁"))
    other = Normalization(method="moment", side=64)
    with pytest.raises(PackError, match=r"fit-32.* but moment-64.* pack again with --normalize moment --side 64"):
        pack.require(normalization=other)
    with pytest.raises(CharsetError, match="--charset"):
        pack.require(charset=Charset("丁一"))


def test_packs_are_of_the_newest_version_alone(tmp_path: Path, draw) -> None:
    former = replace(FIT, version=2)
    with pytest.raises(PackError, match=r"p: packs are of version 3 of the normalisation, not 2$"):
        write_pack(tmp_path / "p", draw("一丁"), normalization=former)
    assert not (tmp_path / "p").exists()
    pack = write_pack(tmp_path / "p", draw("一丁"), normalization=FIT)
    with pytest.raises(PackError, match=r"version 3 .* but version 2 is needed, .*; give the sample files instead"):
        pack.require(normalization=former)


def test_only_a_pack_is_replaced_and_only_when_asked(tmp_path: Path, draw) -> None:
    write_pack(tmp_path / "p", draw("一丁"), normalization=FIT)
    with pytest.raises(PackError, match="--overwrite"):
        write_pack(tmp_path / "p", draw("七"), normalization=FIT)
    with pytest.raises(DataError):
        write_pack(tmp_path / "p", [], normalization=FIT, overwrite=True)
    assert len(Pack.open(tmp_path / "p", verify=True)) == 2  # a failed replacement leaves the old one
    write_pack(tmp_path / "p", draw("七"), normalization=FIT, overwrite=True)
    assert str(Pack.open(tmp_path / "p", verify=True).charset) == "七"

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(PackError, match="is not a pack"):
        write_pack(tmp_path / "mine", draw("七"), normalization=FIT, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "p"]


def test_packing_needs_little_memory(tmp_path: Path) -> None:
    image = np.full((96, 96), 255, np.uint8)
    image[20:30, 10:80] = 0

    def many() -> Iterator[Sample]:
        for _ in range(3000):  # 27 MB of pictures, 12 MB of squares
            yield Sample("一", image.copy())

    tracemalloc.start()
    write_pack(tmp_path / "p", many(), normalization=Normalization(side=64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000


def test_pack_json_can_be_read_by_eye(tmp_path: Path, draw) -> None:
    write_pack(tmp_path / "p", draw("翰墨"), normalization=FIT)
    text = (tmp_path / "p" / "pack.json").read_text(encoding="utf-8")
    assert '"charset": "墨翰"' in text
    assert json.loads(text)["normalization"] == FIT.as_dict()
