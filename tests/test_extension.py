"""The file of a user's own characters and hand: its bytes, and what it does to logits."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanmo.classifier import Classifier
from hanmo.errors import BundleError
from hanmo.extension import ExtendedLayer, Extension

RNG = np.random.default_rng(0)
C, F = 6, 8
LAYER = Classifier(RNG.normal(size=(C, F)).astype(np.float32), RNG.normal(size=C).astype(np.float32))
FEATURES = RNG.normal(size=(5, F)).astype(np.float32)
LOGITS = FEATURES @ LAYER.weight.T + LAYER.bias


def own(rank: int = 2) -> Extension:
    """Prototypes of two new classes, of which the second has two, and of one old class; an adaptation of this rank."""
    rows = RNG.normal(size=(4, F)).astype(np.float32), RNG.normal(size=4).astype(np.float32)
    up, down = RNG.normal(size=(2, F, rank)).astype(np.float32)
    return Extension(C, np.array([C, C + 1, C + 1, 0]), *rows, up, down, RNG.normal(size=F).astype(np.float32))


def test_an_empty_extension_changes_nothing() -> None:
    layer = ExtendedLayer(Extension.empty(C, F), LAYER, C)
    np.testing.assert_array_equal(layer(LOGITS, FEATURES), LOGITS)


def test_the_logits_are_those_of_the_adapted_features() -> None:
    extension = own()
    answers = ExtendedLayer(extension, LAYER, C + 2)(LOGITS, FEATURES)
    moved = extension.adapted(FEATURES)
    old, rows = moved @ LAYER.weight.T + LAYER.bias, moved @ extension.weight.T + extension.bias
    np.testing.assert_allclose(answers[:, 1:C], old[:, 1:], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(answers[:, 0], np.maximum(old[:, 0], rows[:, 3]), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(answers[:, C], rows[:, 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(answers[:, C + 1], rows[:, 1:3].max(axis=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rank", [0, 3])
def test_bytes_and_back(rank: int) -> None:
    extension = own(rank)
    read = Extension.from_bytes(extension.to_bytes(), C + 2, "here")
    assert read.base == C
    for name in ("classes", "weight", "bias", "up", "down", "shift"):
        np.testing.assert_array_equal(getattr(read, name), getattr(extension, name))


def test_the_arrays_are_plain_npy() -> None:
    extension = own()
    file = io.BytesIO(extension.to_bytes())
    assert np.load(file, allow_pickle=False).tolist() == [C]
    assert np.load(file, allow_pickle=False).tolist() == extension.classes.tolist()
    np.testing.assert_array_equal(np.load(file, allow_pickle=False), extension.weight)


@pytest.mark.parametrize("classes", [C, C + 1, C + 3])
def test_another_number_of_classes_is_refused(classes: int) -> None:
    with pytest.raises(BundleError, match="here: its arrays do not fit"):
        Extension.from_bytes(own().to_bytes(), classes, "here")


def test_a_header_cannot_ask_for_more_memory_than_the_file_has() -> None:
    data = own().to_bytes()
    huge = data.replace(b"(4, 8), }        ", b"(400000000, 8), }", 1)
    assert huge != data
    with pytest.raises(BundleError, match="weight: cut off"):
        Extension.from_bytes(huge, C + 2, "here")


def test_pickled_objects_are_refused() -> None:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(BundleError, match="here: not the arrays"):
        Extension.from_bytes(file.getvalue(), C + 2, "here")


def test_numbers_that_are_none_are_refused() -> None:
    extension = own()
    extension.weight[1, 1] = np.nan
    with pytest.raises(BundleError, match="do not fit"):
        Extension.from_bytes(extension.to_bytes(), C + 2, "here")


@given(st.binary(max_size=300))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        Extension.from_bytes(data, C, "here")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_damaged_bytes_are_read_or_refused(place: int, flip: int) -> None:
    data = bytearray(own().to_bytes())
    data[place % len(data)] ^= flip
    try:
        read = Extension.from_bytes(bytes(data), C + 2, "here")
    except BundleError:
        return
    assert read.weight.shape == (4, F)
