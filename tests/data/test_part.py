"""Part of a pack as a pack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hanmo.data.pack import Pack
from hanmo.data.part import write_part
from hanmo.errors import DataError, PackError


def test_a_part_holds_the_samples_asked_for(drawn: Path, tmp_path: Path) -> None:
    whole = Pack.open(drawn / "small-train")
    chosen = np.array([7, 3, 60])
    write_part(whole, chosen, tmp_path / "part")
    part = Pack.open(tmp_path / "part", verify=True)
    assert np.array_equal(part.images, whole.images[chosen])
    assert np.array_equal(part.labels, whole.labels[chosen])
    assert [part.writer_of(i) for i in range(3)] == [whole.writer_of(i) for i in chosen]
    assert [part.source_of(i) for i in range(3)] == [whole.source_of(i) for i in chosen]
    assert (part.charset, part.normalization) == (whole.charset, whole.normalization)


def test_no_samples_and_a_taken_place_are_refused(drawn: Path, tmp_path: Path) -> None:
    whole = Pack.open(drawn / "small-train")
    with pytest.raises(DataError, match="no samples"):
        write_part(whole, np.array([], np.int64), tmp_path / "none")
    write_part(whole, np.arange(4), tmp_path / "part")
    with pytest.raises(PackError, match="is a pack already"):
        write_part(whole, np.arange(4), tmp_path / "part")
