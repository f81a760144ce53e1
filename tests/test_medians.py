"""The packaged stroke medians."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np
import pytest

from hanmo.charset import Charset
from hanmo.errors import CharsetError, InstallationError
from hanmo.medians import even_out, load_medians, parse_medians, straighten_heads

SHA256 = "48b1aa79887333a6051d9f610060c87a5953bbcf6145673b074e9556a84a4981"


@pytest.fixture(scope="module")
def packed() -> bytes:
    return files("hanmo").joinpath("medians.bin").read_bytes()


def test_the_file_is_the_recorded_one_and_tells_its_licence(packed: bytes) -> None:
    assert hashlib.sha256(packed).hexdigest() == SHA256
    header = packed.partition(b"\n\n")[0].decode()
    assert "Arphic Public License" in header
    assert "Changed for hanmo on" in header


def test_covers_level_1_within_the_unit_square() -> None:
    medians = load_medians()
    assert medians.characters == Charset.level1().characters
    assert medians.points.min() >= 0
    assert medians.points.max() <= 1


def test_strokes_run_as_they_are_written() -> None:
    # 十: from left to right, then from top to bottom, y growing downwards.
    across, down = load_medians().of("十")
    assert across[-1, 0] - across[0, 0] > 0.5
    assert down[-1, 1] - down[0, 1] > 0.5
    assert [len(load_medians().of(c)) for c in "一永翰"] == [1, 5, 16]


def test_unknown_characters_are_named_all_at_once() -> None:
    with pytest.raises(CharsetError, match=r"2 character\(s\): A 龘;"):
        load_medians().of_all("永龘A龘")


def test_is_shared_and_therefore_read_only() -> None:
    assert load_medians() is load_medians()
    with pytest.raises(ValueError, match="read-only"):
        load_medians().points[0] = 0


@pytest.mark.parametrize("damage", [lambda b: b[:-100], lambda b: b[:2000], lambda b: b[:900] + b"\0" + b[901:]])
def test_damage_is_told(packed: bytes, damage: object) -> None:
    assert callable(damage)
    with pytest.raises(InstallationError, match="damaged"):
        parse_medians(damage(packed))


def test_another_format_is_told(packed: bytes) -> None:
    with pytest.raises(InstallationError, match="another format"):
        parse_medians(packed.replace(b"medians 1", b"medians 9", 1))


def test_every_stroke_moves() -> None:
    medians = load_medians()
    steps = np.abs(np.diff(medians.points, axis=0, append=medians.points[-1:])).sum(1)
    steps[medians.point_start[1:] - 1] = 0  # from the end of one stroke to the next one's beginning
    assert np.add.reduceat(steps, medians.point_start[:-1]).min() > 0.02


def test_evened_strokes_keep_ends_and_corners() -> None:
    corner = np.array([[0, 0], [1, 0], [1, 1]], np.float32)
    many = np.stack([np.linspace(0, 1, 30), np.zeros(30)], 1).astype(np.float32)
    many[17, 1] = 0.5
    evened = even_out([corner, many], 8)
    assert evened.shape == (2, 8, 2)
    for stroke, peak in zip(evened, (corner[1], many[17]), strict=True):
        assert (stroke == peak).all(1).any()
    np.testing.assert_array_equal(evened[:, 0], [corner[0], many[0]])
    np.testing.assert_array_equal(evened[:, -1], [corner[-1], many[-1]])


def test_slanted_heads_are_straightened_and_corners_kept() -> None:
    headed = np.array([[0.45, 0.10], [0.50, 0.15], [0.50, 0.90]], np.float32)
    corner = np.array([[0.20, 0.10], [0.30, 0.10], [0.30, 0.60]], np.float32)
    before = even_out([headed, corner], 16)
    after = straighten_heads(before)
    assert np.abs(after[0, :, 0] - 0.5).max() < 1e-6
    assert after[0, 0, 1] < 0.15
    np.testing.assert_array_equal(after[1], before[1])
