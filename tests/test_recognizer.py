from __future__ import annotations

import io
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto
from PIL import Image

import hanmo
from hanmo.bundle import Bundle, write_bundle
from hanmo.charset import Charset
from hanmo.errors import (
    ArgumentError,
    BlankImageError,
    BundleError,
    CharsetError,
    DeviceError,
    FaintInkError,
    HanmoError,
    ImageError,
)
from hanmo.image import load
from hanmo.normalize import Inspected, Normalization
from hanmo.prediction import Candidate, Prediction
from hanmo.probability import evidence, softmax
from hanmo.recognizer import Recognizer
from hanmo.strokes import draw

Net = Callable[..., bytes]
BundleOf = Callable[..., Bundle]

SIDE = 16
HAND = {
    "一": [[(0, 5), (10, 5)]],
    "丨": [[(5, 0), (5, 10)]],
    "十": [[(0, 5), (10, 5)], [(5, 0), (5, 10)]],
    "口": [[(0, 0), (10, 0), (10, 10), (0, 10), (0, 0)]],
}
NORMALIZATION = Normalization(side=SIDE, margin=1)
MEAN, STD = 0.25, 0.4
FACTS: dict[str, Any] = {
    "name": "tiny",
    "charset": Charset(HAND),
    "normalization": NORMALIZATION,
    "mean": MEAN,
    "std": STD,
    "net": "linear",
    "parameters": 4 * SIDE**2,
    "precision": "fp32",
    "trained_on": [],
    "licence": "Apache-2.0",
    "accuracy": {},
}


def templates(gain: float = 20) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(4, 256): the hand's own squares, centred and scaled, so that their product with a square is a likeness."""
    squares = np.stack([NORMALIZATION(load(strokes)).ravel() / 255.0 for strokes in HAND.values()])
    centred = squares - squares.mean(axis=1, keepdims=True)
    return (gain * centred / (centred**2).sum(axis=1, keepdims=True) ** 0.5 / 8).astype(np.float32)


@pytest.fixture(scope="module")
def net(linear_net: Callable[..., Any]) -> Net:
    """``net(weights, kind)``: likenesses to the rows of ``weights``; a uint8 net divides by 255 itself, a float net
    is fed normalised."""

    def make(weights: NDArray[np.float32], kind: int = TensorProto.UINT8) -> bytes:
        scale = np.float32(1 / 255 if kind == TensorProto.UINT8 else STD)
        data: bytes = linear_net(weights.T * scale, kind=kind).SerializeToString()
        return data

    return make


@pytest.fixture(scope="module")
def bundle_of(net: Net) -> BundleOf:
    """``bundle_of(folder, kind, **changes)``: a bundle of the hand's templates, its facts changed as asked for."""

    def make(folder: Path, kind: int = TensorProto.UINT8, **changes: Any) -> Bundle:
        return write_bundle(folder, net(templates(), kind), **(FACTS | changes))

    return make


@pytest.fixture(scope="module")
def bundle(bundle_of: BundleOf, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_of(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def reader(bundle: Bundle) -> Recognizer:
    return Recognizer(bundle)


def picture_of(character: str, kind: str = "array") -> Any:
    grey = load(HAND[character])
    if kind in ("png", "file"):
        file = io.BytesIO()
        Image.fromarray(grey).save(file, "png")
        return file.getvalue() if kind == "png" else io.BytesIO(file.getvalue())
    return {
        "array": grey,
        "channel": grey[..., None],
        "pil": Image.fromarray(grey),
        "negative": 255 - grey,
        "strokes": HAND[character],
    }[kind]


@pytest.mark.parametrize("kind", ["array", "channel", "pil", "png", "file", "negative", "strokes"])
@pytest.mark.parametrize("character", HAND)
def test_every_kind_of_picture_is_read(reader: Recognizer, character: str, kind: str) -> None:
    prediction = reader.recognize(picture_of(character, kind), top=3)
    assert prediction.character == character
    assert prediction.candidates[0] == Candidate(character, prediction.probability)
    assert not prediction.refused
    assert prediction.reason is None
    assert len(prediction.candidates) == 3


def test_a_path_is_read_with_the_bundles_path(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "十.png").write_bytes(picture_of("十", "png"))
    assert Recognizer(str(bundle.path), threads=2).recognize(tmp_path / "十.png").character == "十"


def test_float_nets_are_fed_normalised_squares(
    bundle: Bundle, reader: Recognizer, tmp_path: Path, bundle_of: BundleOf
) -> None:
    floats = Recognizer(bundle_of(tmp_path / "float", TensorProto.FLOAT))
    squares = np.stack([NORMALIZATION(load(strokes)) for strokes in HAND.values()])
    # The same likenesses but for the subtracted mean, which every zero-sum template cancels.
    np.testing.assert_allclose(floats.logits(squares), reader.logits(squares), atol=1e-4)


def test_candidates_are_a_distribution_in_falling_order(reader: Recognizer) -> None:
    candidates = reader.recognize(HAND["十"], top=99).candidates
    assert sorted(c.character for c in candidates) == sorted(HAND)
    assert sum(c.probability for c in candidates) == pytest.approx(1)
    assert [c.probability for c in candidates] == sorted((c.probability for c in candidates), reverse=True)


def test_probabilities_are_the_softmax_of_logits_over_temperature(
    bundle: Bundle, tmp_path: Path, bundle_of: BundleOf
) -> None:
    warm = Recognizer(bundle_of(tmp_path / "warm", temperature=3.0))
    logits = warm.logits(NORMALIZATION(load(HAND["口"]))[None])[0].astype(float)
    expected = np.exp(logits / 3) / np.exp(logits / 3).sum()
    read = {c.character: c.probability for c in warm.recognize(HAND["口"], top=4).candidates}
    assert [read[c] for c in HAND] == pytest.approx(expected, rel=1e-6)
    assert warm.recognize(HAND["口"]).probability < Recognizer(bundle).recognize(HAND["口"]).probability


def test_an_improbable_best_candidate_is_refused(tmp_path: Path, bundle_of: BundleOf) -> None:
    strict = Recognizer(bundle_of(tmp_path / "strict", temperature=100.0, refusal_threshold=0.9))
    prediction = strict.recognize(HAND["口"])
    assert prediction.refused
    assert prediction.reason == "unknown character"
    assert prediction.character is None
    assert prediction.candidates[0].character == "口"
    assert prediction.probability == prediction.candidates[0].probability < 0.9


def test_a_picture_that_shows_too_little_evidence_is_refused(tmp_path: Path, bundle_of: BundleOf) -> None:
    plain = Recognizer(bundle_of(tmp_path / "plain"))
    logits = plain.logits(NORMALIZATION(load(HAND["口"]))[None])
    (stands_out,) = evidence(logits)
    assert stands_out == pytest.approx(logits.max() - logits.mean(), rel=1e-5)
    for least, refused in ((stands_out - 1e-3, False), (stands_out + 1e-3, True)):
        reader = Recognizer(bundle_of(tmp_path / f"least-{refused}", least_evidence=float(least)))
        assert reader.recognize(HAND["口"]).refused is refused
        assert reader.recognize(HAND["口"], among="口十").refused is refused, "among changes no evidence"


@pytest.mark.parametrize("top", [1, 5, 17, 40, 99])
def test_candidates_are_the_best_of_many_classes(linear_net: Callable[..., Any], tmp_path: Path, top: int) -> None:
    random = np.random.default_rng(0)
    charset = Charset([chr(0x4E00 + i) for i in range(40)])
    weights = random.normal(size=(SIDE**2, 40)).astype(np.float32) / 2000
    weights[:, 7] = weights[:, 30]  # equally probable: the first class comes first
    net = linear_net(weights).SerializeToString()
    reader = Recognizer(write_bundle(tmp_path / "many", net, **(FACTS | {"charset": charset})))
    squares = random.integers(0, 256, (20, SIDE, SIDE), dtype=np.uint8)
    expected = softmax(reader.logits(squares))
    for row, prediction in zip(expected, reader.predict(squares, top), strict=True):
        order = np.argsort(-row, kind="stable")[:top]
        assert [c.character for c in prediction.candidates] == [charset[int(i)] for i in order]
        assert [c.probability for c in prediction.candidates] == row[order].tolist()


WROTE = "永山水马书月翰墨"


@pytest.mark.parametrize("name", [None, "nano"])
def test_the_embedded_bundles_read_the_examples(name: str | None) -> None:
    reader = Recognizer(name)
    pictures = sorted((Path(__file__).parents[1] / "examples").iterdir())
    results = dict(zip(WROTE, reader.recognize_batch(pictures), strict=True))
    assert [result.character for result in results.values()] == list(WROTE)
    assert reader.recognize(np.full((40, 40), 255, np.uint8)) == Prediction((), "blank")
    lines = np.full((80, 80), 255, np.uint8)
    lines[::8, 10:70] = 0
    lines[10:70, ::8] = 0
    assert reader.recognize(lines).refused, "a grid is no character"


@pytest.mark.parametrize("name", ["free", "nano"])
def test_characters_of_straight_lines_are_no_print(name: str) -> None:
    """Nets that learnt to refuse printed crosses must not refuse 十 as a mouse draws it."""
    lines = {
        "一": [(0, 5, 100, 0)],
        "二": [(10, 0, 90, 0), (0, 60, 100, 60)],
        "十": [(0, 50, 100, 50), (50, 0, 50, 100)],
    }
    reader = Recognizer(name, threads=1)
    for character, ends in lines.items():
        picture = draw([np.array(line, float).reshape(2, 2) for line in ends])
        assert reader.recognize(picture).character == character


def test_among_restricts_and_renormalises(reader: Recognizer) -> None:
    free = {c.character: c.probability for c in reader.recognize(HAND["十"], top=4).candidates}
    closed = reader.recognize(HAND["十"], top=4, among="口丨口")
    assert {c.character for c in closed.candidates} == {"口", "丨"}
    for candidate in closed.candidates:
        share = free[candidate.character] / (free["口"] + free["丨"])
        assert candidate.probability == pytest.approx(share)
    assert reader.recognize_batch([HAND["十"]], 4, among={"口", "丨"}) == [closed]


def test_among_takes_names_of_sets(reader: Recognizer) -> None:
    """Of a named set, the characters count that the reader knows: of level 1 all but 丨, of level 2 only 丨."""
    closed = reader.recognize(HAND["十"], top=4, among="一十口")
    assert reader.recognize(HAND["十"], top=4, among="level1") == closed
    assert reader.recognize_batch([HAND["十"]], 4, among="level1+digits") == [closed]
    assert reader.recognize(HAND["十"], top=4, among=["level1"]) == closed
    assert reader.recognize(HAND["十"], top=4, among="level2").character == "丨"
    assert len(reader.recognize(HAND["十"], top=4, among="level1+level2").candidates) == 4
    with pytest.raises(CharsetError, match="digits: no character of this set is among the 4 that the reader knows"):
        reader.recognize(HAND["一"], among="digits")
    with pytest.raises(CharsetError, match="'greek' is no set of characters; there are: level1, "):
        reader.recognize(HAND["一"], among="greek")


def test_predict_takes_among(reader: Recognizer) -> None:
    squares = np.stack([reader.square(HAND["十"])])
    assert reader.predict(squares, 4, among="口丨") == [reader.recognize(HAND["十"], 4, among="口丨")]
    assert reader.predict(squares, 4, among="level2")[0].character == "丨"


def test_impossible_questions(reader: Recognizer, bundle: Bundle) -> None:
    with pytest.raises(ArgumentError, match="top is 0"):
        reader.recognize(HAND["一"], top=0)
    with pytest.raises(ArgumentError, match="among is empty"):
        reader.recognize(HAND["一"], among="")
    with pytest.raises(CharsetError, match="翰"):
        reader.recognize(HAND["一"], among="一翰")
    with pytest.raises(ArgumentError, match="batch_size is 0"):
        reader.recognize_batch([HAND["一"]], batch_size=0)
    with pytest.raises(ArgumentError, match="errors is 'ignore'"):
        reader.recognize_batch([], errors="ignore")  # type: ignore[call-overload]
    with pytest.raises(ArgumentError, match="threads is 0"):
        Recognizer(bundle, threads=0)


@given(
    st.lists(st.tuples(st.sampled_from(list(HAND)), st.sampled_from(["array", "pil", "png", "strokes"])), max_size=9),
    st.integers(1, 4),
)
def test_batches_keep_the_order_of_mixed_pictures(reader: Recognizer, wanted: list[tuple[str, str]], size: int) -> None:
    predictions = reader.recognize_batch((picture_of(*want) for want in wanted), top=2, batch_size=size)
    assert [p.character for p in predictions] == [character for character, _ in wanted]
    for (character, kind), prediction in zip(wanted, predictions, strict=True):
        alone = reader.recognize(picture_of(character, kind), top=2)
        assert prediction.probability == pytest.approx(alone.probability, rel=1e-5)


BLANK = np.full((9, 9), 255, np.uint8)


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_an_array_of_many_pictures_is_a_batch(reader: Recognizer, channels: tuple[int, ...]) -> None:
    pictures = [Image.fromarray(load(strokes)).resize((40, 40)) for strokes in HAND.values()]
    grey = np.stack([np.asarray(picture) for picture in pictures])
    many = np.broadcast_to(grey.reshape(*grey.shape, *[1] * len(channels)), (*grey.shape, *channels)).copy()
    if channels == (4,):
        many[..., 3] = 255
    assert [p.character for p in reader.recognize_batch(many)] == list(HAND)


@pytest.mark.parametrize(
    ("one", "named"),
    [
        ("a.png", r"a\.png"),
        (Path("a.png"), r"a\.png"),
        (b"12", "picture of 2 bytes"),
        (io.BytesIO(b"12"), "BytesIO"),
        (Image.new("L", (9, 8)), "PIL image L 9x8"),
        (BLANK, r"array \(9, 9\) uint8"),
        (np.zeros((9, 9, 3), np.uint8), r"array \(9, 9, 3\) uint8"),
    ],
)
def test_one_picture_is_no_batch(reader: Recognizer, one: Any, named: str) -> None:
    with pytest.raises(ArgumentError, match=rf"single picture \({named}\); give a list"):
        reader.recognize_batch(one)


def read_elsewhere(reader: Recognizer, character: str) -> Prediction:
    return reader.recognize(HAND[character])


def test_a_recognizer_is_opened_again_in_another_process(bundle: Bundle) -> None:
    sent = Recognizer(bundle, threads=2)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(read_elsewhere, (sent, "口")) == sent.recognize(HAND["口"])
    copied = pickle.loads(pickle.dumps(sent))
    assert (copied.bundle, copied.threads, copied.providers) == (bundle, 2, ("CPUExecutionProvider",))


def test_devices_and_providers(bundle: Bundle) -> None:
    for choice in (
        {"device": "cpu"},
        {"providers": ["CPUExecutionProvider"]},
        {"providers": [("CPUExecutionProvider", {})]},
    ):
        chosen: Any = choice
        assert Recognizer(bundle, **chosen).recognize(HAND["口"]).character == "口"
    wrong: list[tuple[dict[str, Any], type[HanmoError], str]] = [
        ({"device": "gpu"}, ArgumentError, "device 'gpu' is unknown; one of cpu, cuda"),
        ({"device": "cpu", "providers": ["CPUExecutionProvider"]}, ArgumentError, "both given"),
        ({"providers": []}, ArgumentError, "give a list of names"),
        ({"providers": "CPUExecutionProvider"}, ArgumentError, "give a list of names"),
        ({"providers": ["NoProvider"]}, DeviceError, "not NoProvider; install a build"),
    ]
    for arguments, error, message in wrong:
        with pytest.raises(error, match=message):
            Recognizer(bundle, **arguments)


def test_a_missing_cuda_is_an_error_with_the_remedy(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match=r"has CPUExecutionProvider, not CUDA.*pip install '\.\[gpu\]'"):
        Recognizer(bundle, device="cuda")


def test_cuda_that_cannot_start_does_not_fall_back_to_the_cpu(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class FallenBack:
        """What ONNX Runtime gives where CUDA's libraries are missing."""

        def __init__(self, *arguments: Any, providers: list[str]) -> None:
            assert providers == ["CUDAExecutionProvider", "CPUExecutionProvider"]

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(_CUDA))
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("Failed to load libcublas"))
    monkeypatch.setattr(onnxruntime, "InferenceSession", FallenBack)
    with pytest.raises(DeviceError, match=r"CUDAExecutionProvider cannot start \(Failed to load libcublas\); it needs"):
        Recognizer(bundle, device="cuda")
    assert capsys.readouterr().out == ""


_CUDA = ("CUDAExecutionProvider", "CPUExecutionProvider")


def test_notebooks_show_a_table_with_bars() -> None:
    named = Prediction((Candidate("口", 0.75), Candidate("<", 0.25), Candidate("硷", 0.0002)))._repr_html_()
    assert named.count("<tr>") == 2
    assert "width:75.0%" in named
    assert "&lt;" in named
    assert "硷" not in named
    refused = Prediction((Candidate("口", 0.4),), "unknown character")._repr_html_()
    assert "refused: unknown character" in refused
    assert "口" in refused
    assert "table" not in Prediction((), "blank")._repr_html_()


def test_improbable_candidates_are_not_shown_but_kept() -> None:
    candidates = (Candidate("口", 0.0005), Candidate("十", 0.001), Candidate("硷", 0.0009))
    prediction = Prediction(candidates)
    assert prediction.shown == candidates[:2], "the first is always shown"
    assert str(prediction) == "口 0.1% 十 0.1%"
    assert prediction.candidates == candidates


def test_a_bad_picture_in_a_batch_is_named(reader: Recognizer) -> None:
    with pytest.raises(ImageError, match=r"^images\[1\]: missing\.png: no such file"):
        reader.recognize_batch([HAND["一"], "missing.png"])
    with pytest.raises(ImageError, match=r"^images\[2\]: missing\.png: no such file"):
        reader.recognize_batch([HAND["一"], BLANK, "missing.png"])


def test_a_picture_without_ink_is_refused(reader: Recognizer) -> None:
    blank = reader.recognize(BLANK, top=3)
    assert blank == Prediction((), "blank")
    assert (blank.refused, blank.character, blank.probability) == (True, None, 0)
    first, second, third = reader.recognize_batch([BLANK, HAND["口"], BLANK], batch_size=2)
    assert first == third == blank
    assert second == reader.recognize(HAND["口"])
    with pytest.raises(BlankImageError, match=r"^array \(9, 9\) uint8: the picture is blank"):
        reader.square(BLANK)


def test_ink_that_is_not_clear_is_told_from_none(reader: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    def inspect(normalization: Normalization, grey: NDArray[np.uint8]) -> Inspected:
        raise FaintInkError("no clear ink")

    monkeypatch.setattr(Normalization, "inspect", inspect)
    assert reader.recognize(HAND["口"]) == Prediction((), "no clear ink")
    assert reader.recognize_batch([HAND["口"]], errors="collect") == [Prediction((), "no clear ink")]
    with pytest.raises(FaintInkError, match=r"^1 strokes: no clear ink"):
        reader.square(HAND["口"])


@pytest.mark.parametrize("remark", ["several characters", "touching the edge"])
def test_what_was_remarked_on_a_picture_explains_why_it_is_refused(
    bundle: Bundle, tmp_path: Path, bundle_of: BundleOf, monkeypatch: pytest.MonkeyPatch, remark: Any
) -> None:
    def inspect(normalization: Normalization, grey: NDArray[np.uint8]) -> Inspected:
        return Inspected(square=np.full((SIDE, SIDE), grey[0, 0]), remark=remark if grey.shape == (7, 7) else None)

    marked, plain = np.full((7, 7), 9, np.uint8), np.full((8, 8), 9, np.uint8)
    strict = Recognizer(bundle_of(tmp_path / "strict", refusal_threshold=0.9))
    monkeypatch.setattr(Normalization, "inspect", inspect)
    assert strict.recognize(marked).reason == remark
    assert strict.recognize(plain).reason == "unknown character"
    assert [p.reason for p in strict.recognize_batch([plain, marked, plain])] == [
        "unknown character",
        remark,
        "unknown character",
    ]
    assert strict.recognize(marked).candidates == strict.recognize(plain).candidates
    assert Recognizer(bundle).recognize(marked).reason is None, "what is read has no reason"


def test_collected_errors_stand_in_their_pictures_places(reader: Recognizer) -> None:
    images = [BLANK, HAND["一"], b"", HAND["口"], "missing.png"]
    results = reader.recognize_batch(images, batch_size=2, errors="collect")
    kinds = [type(result) for result in results]
    assert kinds == [Prediction, Prediction, ImageError, Prediction, ImageError]
    read = [result.character for result in results if not isinstance(result, HanmoError)]
    assert read == [None, "一", "口"]


def test_normalised_squares_are_read_as_their_pictures(reader: Recognizer) -> None:
    squares = np.stack([NORMALIZATION(load(strokes)) for strokes in HAND.values()])
    assert reader.predict(squares, top=2) == reader.recognize_batch(list(HAND.values()), top=2)


def test_nothing_to_read(reader: Recognizer) -> None:
    assert reader.recognize_batch([]) == []
    assert reader.predict(np.zeros((0, SIDE, SIDE), np.uint8)) == []
    assert reader.logits(np.zeros((0, SIDE, SIDE), np.uint8)).shape == (0, 4)


@pytest.mark.parametrize("squares", [np.zeros((SIDE, SIDE), np.uint8), np.zeros((1, SIDE, SIDE)), BLANK[None]])
def test_squares_of_another_shape_or_type(reader: Recognizer, squares: Any) -> None:
    with pytest.raises(ArgumentError, match=r"this net takes \(N, 16, 16\) uint8"):
        reader.logits(squares)


def test_many_threads_share_a_recognizer(reader: Recognizer) -> None:
    wanted = list(HAND) * 50
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda character: reader.recognize(picture_of(character)), wanted))
    assert [prediction.character for prediction in read] == wanted
    for prediction, character in zip(read, wanted, strict=True):
        assert prediction == reader.recognize(picture_of(character))


def test_answers_that_are_no_logits(bundle: Bundle, net: Net) -> None:
    broken = net(np.full((4, SIDE**2), np.nan, np.float32))
    with pytest.raises(BundleError, match=r"model\.onnx: the net's answers are no logits"):
        Recognizer(replace(bundle, model=broken)).recognize(HAND["一"])


def test_the_public_face(reader: Recognizer, bundle: Bundle) -> None:
    assert hanmo.Recognizer is Recognizer
    assert repr(reader) == "Recognizer('tiny': linear fp32, 4 characters, threads=1)"
    two = (Candidate("一", 0.75), Candidate("口", 0.25))
    assert str(Prediction(two)) == "一 75.0% 口 25.0%"
    assert str(Prediction(two, "unknown character")) == "refused: unknown character (perhaps 一 75.0% 口 25.0%)"
    assert str(Prediction((), "blank")) == "refused: blank"
    assert reader.bundle is bundle


def test_without_a_bundle_the_embedded_one_is_used(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bundle, "embedded", classmethod(lambda cls: bundle))
    assert Recognizer().bundle is bundle
