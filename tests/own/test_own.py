"""Characters of one's own and one's own hand: what an extended and an adapted bundle read, on drawn handwriting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from hanmo.bundle import EXTENSION_NAME, JSON_NAME, Bundle
from hanmo.charset import Charset
from hanmo.cli.main import app
from hanmo.data.folder import write_folder
from hanmo.data.sample import Sample
from hanmo.errors import BundleError, CharsetError, DataError, FontError, HanmoError
from hanmo.own.adaptation import MAX_RANK, Change, _truncated, adapt
from hanmo.own.extend import extend
from hanmo.own.hand import drawings
from hanmo.own.pictures import from_font, views
from hanmo.recognizer import Recognizer

NEW = "龘靐嬲宬庠"
OLD = "永山水火木人天地日月心手口目耳国学书画说"
FEW = OLD[:10]
Pictures = dict[str, list[NDArray[np.uint8]]]


def written(characters: str, count: int, seed: int) -> Pictures:
    """Drawings with variation: the first one, which has none, is left out."""
    pictures: Pictures = {character: [] for character in characters}
    for character, picture in drawings(characters, count + 1, seed):
        pictures[character].append(picture)
    return {character: drawn[1:] for character, drawn in pictures.items()}


def share_read(reader: Recognizer, pictures: Pictures) -> float:
    asked = [(character, picture) for character, drawn in pictures.items() for picture in drawn]
    answers = reader.recognize_batch([picture for _, picture in asked], 1)
    best = [answer.candidates[0].character for answer in answers]
    return float(np.mean([got == character for got, (character, _) in zip(best, asked, strict=True)]))


@pytest.fixture(scope="module")
def reader() -> Recognizer:
    return Recognizer("nano")


@pytest.fixture(scope="module")
def extended(reader: Recognizer) -> Recognizer:
    return reader.with_characters(written(NEW, 2, seed=1))


def test_new_characters_are_read_and_old_ones_stay(reader: Recognizer, extended: Recognizer) -> None:
    assert str(extended.bundle.charset) == str(reader.bundle.charset) + NEW
    assert share_read(extended, written(NEW, 6, seed=2)) >= 0.9
    old = written(OLD, 3, seed=2)
    assert share_read(extended, old) == share_read(reader, old) >= 0.9
    # The reader that was extended still knows nothing of the new characters.
    assert not set(NEW) & set(reader.bundle.charset)


def test_old_logits_do_not_change(reader: Recognizer, extended: Recognizer) -> None:
    squares = np.stack([reader.square(picture) for drawn in written(OLD, 1, seed=3).values() for picture in drawn])
    before, after = reader.logits(squares), extended.logits(squares)
    np.testing.assert_array_equal(after[:, : before.shape[1]], before)
    np.testing.assert_array_equal(extended.answers(squares)[0], after)


def test_an_extended_bundle_is_stored_and_extended_again(extended: Recognizer, tmp_path: Path) -> None:
    stored = extended.bundle.save(tmp_path / "mine")
    assert stored.model == extended.bundle.model
    again = Recognizer(tmp_path / "mine").with_characters({"麤": [picture for _, picture in drawings("麤", 2)]})
    again.bundle.save(tmp_path / "mine")  # its own place may be written again
    loaded = Recognizer(tmp_path / "mine")
    assert loaded.bundle.charset.characters[-6:] == (*NEW, "麤")
    assert loaded.bundle.model_classes == 3755
    assert share_read(loaded, written(NEW + "麤", 3, seed=4)) >= 0.9


def test_a_damaged_or_missing_extension_is_refused(extended: Recognizer, tmp_path: Path) -> None:
    extended.bundle.save(tmp_path / "mine")
    file = tmp_path / "mine" / EXTENSION_NAME
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    with pytest.raises(BundleError, match=rf"{EXTENSION_NAME}: damaged"):
        Bundle.load(tmp_path / "mine")
    file.unlink()
    with pytest.raises(BundleError, match="no such file in this bundle"):
        Bundle.load(tmp_path / "mine")


def test_an_extension_of_another_net_is_refused(extended: Recognizer, tmp_path: Path) -> None:
    from dataclasses import replace

    other = replace(extended.bundle, model=Bundle.embedded("free").model)
    with pytest.raises(BundleError, match=r"made for 336 features, the net has 512"):
        Recognizer(other)


def test_a_known_character_needs_to_be_asked_for(reader: Recognizer) -> None:
    pictures = written("永", 2, seed=1)
    with pytest.raises(CharsetError, match=r"knows 永 already.*--add-forms"):
        reader.with_characters(pictures)
    # A second form: a drawing of 龘 stands for 永, and the usual form of 永 is still read.
    form = written("龘", 3, seed=1)["龘"]
    both = reader.with_characters({"永": form}, add_forms=True)
    assert both.bundle.charset == reader.bundle.charset
    assert share_read(both, {"永": written("龘", 3, seed=5)["龘"] + written("永", 3, seed=5)["永"]}) == 1.0


@pytest.mark.parametrize("pictures", [{}, {"龘": []}])
def test_no_pictures_are_an_error(reader: Recognizer, pictures: Pictures) -> None:
    with pytest.raises(DataError, match="at least one"):
        reader.with_characters(pictures)


def test_a_bundle_without_features_says_what_to_do(reader: Recognizer) -> None:
    from dataclasses import replace

    from hanmo.export.features import without_features

    plain = Recognizer(replace(reader.bundle, model=without_features(reader.bundle.model)))
    with pytest.raises(BundleError, match="export the bundle again"):
        extend(plain, {"龘": [np.zeros((48, 48), np.uint8)]})


def test_views_begin_with_the_square_and_keep_its_ink(reader: Recognizer) -> None:
    square = reader.square(next(picture for _, picture in drawings("龘", 1)))
    seen = views(square)
    np.testing.assert_array_equal(seen[0], square)
    assert all(0.7 < view.sum() / square.sum() < 1.1 for view in seen)


def test_an_adapted_reader_follows_a_hand(reader: Recognizer) -> None:
    """A hand that leans far: the adaptation must gain on characters that it was not given."""
    given, tested = (
        leaning(FEW),
        leaning("两严丧个中丰串临丸丹为主丽举乃久么义之乌"),
    )
    squares = np.stack([reader.square(picture) for drawn in given.values() for picture in drawn])
    labels = [character for character, drawn in given.items() for _ in drawn]
    adapted = adapt(reader, squares, labels)
    assert adapted.after > adapted.before
    other = Recognizer(adapted.bundle)
    assert log_probability(other, tested) > log_probability(reader, tested)
    assert share_read(other, tested) >= share_read(reader, tested)


def leaning(characters: str, slant: float = 1.0) -> Pictures:
    slanted: Pictures = {}
    for character, drawn in written(characters, 2, seed=6).items():
        slanted[character] = []
        for picture in drawn:
            height, width = picture.shape
            wide = Image.new("L", (2 * width, height), 255)
            wide.paste(Image.fromarray(picture), (width // 2, 0))
            window = (1.0, slant, -slant / 2 * height, 0.0, 1.0, 0.0)
            slanted[character].append(
                np.asarray(
                    wide.transform(wide.size, Image.Transform.AFFINE, window, Image.Resampling.BILINEAR, fillcolor=255)
                )
            )
    return slanted


def log_probability(reader: Recognizer, pictures: Pictures) -> float:
    from hanmo.probability import log_softmax

    squares = np.stack([reader.square(picture) for drawn in pictures.values() for picture in drawn])
    classes = reader.bundle.charset.encode([character for character, drawn in pictures.items() for _ in drawn])
    logarithms = log_softmax(reader.logits(squares), reader.bundle.temperature)
    return float(logarithms[np.arange(len(classes)), classes].mean())


def test_the_adaptation_keeps_new_characters(extended: Recognizer) -> None:
    squares = np.stack([extended.square(picture) for drawn in leaning(OLD).values() for picture in drawn])
    adapted = Recognizer(adapt(extended, squares, None).bundle)
    assert adapted.bundle.charset == extended.bundle.charset
    assert share_read(adapted, written(NEW, 3, seed=2)) >= 0.8


def test_too_few_pictures_to_adapt(reader: Recognizer) -> None:
    square = reader.square(next(picture for _, picture in drawings("永", 1)))
    with pytest.raises(DataError, match="4 of 4 pictures can be used, 5 are needed"):
        adapt(reader, np.stack([square] * 4), list("永永永永"))
    with pytest.raises(CharsetError, match="龘"):
        adapt(reader, np.stack([square] * 5), list("永永永永龘"))


def test_labels_may_be_members_of_a_group(reader: Recognizer) -> None:
    grouped = Recognizer(replace(reader.bundle, groups={"口": "口□"}))
    squares = np.stack([reader.square(drawn) for drawn in written("口", 6, seed=6)["口"]])
    adapted = adapt(grouped, squares, list("口口口□□□"))
    assert (adapted.given, adapted.used) == (6, 6)
    assert adapted.after == adapt(grouped, squares, list("口口口口口口")).after


def test_nothing_that_the_bundle_knows_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path / "new", [Sample("龘", picture) for _, picture in drawings("龘", 2)])
    result = CliRunner().invoke(
        app, ["adapt", "nano", str(tmp_path / "new"), "--only-known", "--out", str(tmp_path / "mine")]
    )
    assert result.exit_code == 2
    assert "no pictures of characters that bundle nano knows" in " ".join(result.output.split())


def test_a_change_of_high_rank_is_cut() -> None:
    rng = np.random.default_rng(0)
    few = rng.normal(size=(100, 20))
    # 90 columns of rank 20: nothing is lost by the cut.
    mixing = rng.normal(size=(20, 90))
    change = Change(
        (few @ mixing).astype(np.float32), rng.normal(size=(100, 90)).astype(np.float32), np.zeros(100, "f4")
    )
    cut = _truncated(change)
    assert cut.up.shape == cut.down.shape == (100, MAX_RANK)
    whole = change.up @ change.down.T
    np.testing.assert_allclose(cut.up @ cut.down.T, whole, atol=1e-3 * np.abs(whole).max())


# -- the command line


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_extend_from_folders_strokes_and_a_font(tmp_path: Path) -> None:
    samples = (Sample(c, picture) for c, drawn in written(NEW[:2], 2, 1).items() for picture in drawn)
    write_folder(tmp_path / "pictures", samples)
    mine = tmp_path / "mine"
    assert "2 new characters, 3,757 in all" in run("extend", "nano", tmp_path / "pictures", "--out", mine)
    assert "1 new characters, 3,758 in all" in run("extend", mine, "--strokes", "宬", "--out", mine)
    assert share_read(Recognizer(mine), written(NEW[:2] + "宬", 3, seed=2)) >= 0.8
    font = Path(pytest.importorskip("matplotlib").get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    run("extend", mine, "--font", font, "--characters", "Ж&", "--out", mine)
    read = Recognizer(mine)
    assert read.bundle.charset.characters[3755:] == (
        "靐",
        "龘",
        "宬",
        "Ж",
        "&",
    )  # folders are read in the order of names
    assert [read.recognize(picture).candidates[0].character for _, picture in from_font(font, "Ж&")] == ["Ж", "&"]
    assert {path.name for path in mine.iterdir()} == {JSON_NAME, "model.onnx", EXTENSION_NAME}
    with pytest.raises(FontError, match="lacks 龘"):
        list(from_font(font, "Ж龘"))
    with pytest.raises(FontError, match="cannot be read as a font"):
        list(from_font(mine / JSON_NAME, "Ж"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "nothing to add"), (["--font", "a.ttf"], "belong together"), (["--strokes", "永"], "knows 永 already")],
)
def test_extend_refuses_in_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["extend", "nano", "--out", str(tmp_path / "mine"), *arguments])
    assert result.exit_code == 2
    assert result.stderr.startswith("hanmo: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_adapt_from_labelled_and_plain_folders(tmp_path: Path) -> None:
    samples = [Sample(c, picture) for c, drawn in leaning(FEW).items() for picture in drawn]
    write_folder(tmp_path / "labelled", samples)
    assert "adapted with 20 of 20 pictures" in run("adapt", "nano", tmp_path / "labelled", "--out", tmp_path / "a")
    usual = [Sample(c, picture) for c, drawn in written(FEW, 2, 1).items() for picture in drawn]
    write_folder(tmp_path / "usual", usual)
    # Drawings without a slant are read well as they are.
    assert "no change" in run("adapt", "nano", tmp_path / "usual", "--out", tmp_path / "c")
    (tmp_path / "plain").mkdir()
    for number, sample in enumerate(usual):
        Image.fromarray(sample.image).save(tmp_path / "plain" / f"{number}.png")
    run("adapt", "nano", tmp_path / "plain", "--unlabelled", "--out", tmp_path / "b")
    assert Bundle.load(tmp_path / "b").charset == Charset.level1()


def test_the_page_in_the_browser_refuses_an_extended_bundle(extended: Recognizer, tmp_path: Path) -> None:
    from hanmo.serve.site import write_site

    with pytest.raises(HanmoError, match="cannot take an extended bundle"):
        write_site(tmp_path / "site", tmp_path / "runtime.tgz", extended.bundle)
