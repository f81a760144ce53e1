from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from rich.cells import cell_len
from typer.testing import CliRunner

from hanmo.bundle import Bundle
from hanmo.charset import SETS
from hanmo.cli.recognize import recognize, shorten
from hanmo.errors import ArgumentError, BundleError, CharsetError, ImageError
from hanmo.image import load

HAND = {"一": [[(0, 5), (10, 5)]], "丨": [[(5, 0), (5, 10)]], "十": [[(0, 5), (10, 5)], [(5, 0), (5, 10)]]}
SIDE = 16


@pytest.fixture(scope="module")
def bundle(comparing_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that knows the three drawn characters."""
    return comparing_bundle(tmp_path_factory.mktemp("bundles") / "tiny", HAND, SIDE).path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    for number, strokes in enumerate(HAND.values()):
        Image.fromarray(load(strokes)).save(folder / f"{number}.png")
    return [str(folder / f"{number}.png") for number in range(len(HAND))]


def run(*arguments: object, columns: int = 200, stdin: bytes = b"") -> Any:
    app = typer.Typer()
    app.command()(recognize)
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, [str(a) for a in arguments], input=stdin)


def lines(result: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_is_one_object_a_picture(bundle: Path, pictures: list[str]) -> None:
    result = run(*pictures, "--bundle", bundle, "--json", "--top", 2)
    assert result.exit_code == 0, result.output
    assert [entry["file"] for entry in lines(result)] == pictures
    assert [entry["character"] for entry in lines(result)] == list(HAND)
    for entry in lines(result):
        assert list(entry) == ["file", "character", "refused", "reason", "candidates"]
        assert (entry["refused"], entry["reason"]) == (False, None)
        assert [list(candidate) for candidate in entry["candidates"]] == [["character", "probability", "alike"]] * 2
        assert 1 >= entry["candidates"][0]["probability"] >= entry["candidates"][1]["probability"] >= 0


def test_the_table_names_files_characters_and_probabilities(bundle: Path, pictures: list[str]) -> None:
    result = run(*pictures, "--bundle", bundle)
    assert result.exit_code == 0, result.output
    rows = result.stdout.splitlines()[1:]
    answers = lines(run(*pictures, "--bundle", bundle, "--json"))
    for row, picture, character, answer in zip(rows, pictures, HAND, answers, strict=True):
        assert row.split()[:2] == [picture, character]
        shown = {c["character"] for c in answer["candidates"] if c["probability"] >= 0.001}
        assert row.count("%") == len(shown) >= 2
        assert all((other in row) == (other in shown) for other in HAND)


def test_a_bad_picture_is_reported_in_its_place_and_the_others_are_read(
    bundle: Path, pictures: list[str], tmp_path: Path
) -> None:
    (tmp_path / "note.png").write_text("no picture")
    files = [pictures[0], tmp_path / "missing.png", tmp_path / "note.png", pictures[2]]
    result = run(*files, "--bundle", bundle, "--json")
    assert result.exit_code == 2
    assert [entry.get("character") for entry in lines(result)] == ["一", None, None, "十"]
    missing, note = lines(result)[1:3]
    assert missing == {"file": str(files[1]), "error": "no such file; check the path"}
    assert note["error"].startswith("not a picture; save it as PNG")
    assert "2 of 4 pictures could not be read" in result.stderr
    table = run(*files, "--bundle", bundle)
    assert table.exit_code == 2
    assert "✗" in table.stdout
    assert "no such file; check the path" in table.stdout
    assert "十" in table.stdout


def test_a_name_too_long_for_the_system_is_one_bad_picture(bundle: Path, pictures: list[str]) -> None:
    result = run(pictures[0], "x" * 300 + ".png", "--bundle", bundle, "--json")
    assert result.exit_code == 2
    assert [entry.get("character") for entry in lines(result)] == ["一", None]


def test_more_pictures_than_a_batch_holds_keep_their_order(bundle: Path, pictures: list[str]) -> None:
    result = run(*(pictures * 50), "--bundle", bundle, "--json")
    assert [entry["character"] for entry in lines(result)] == list(HAND) * 50


def test_among(bundle: Path, pictures: list[str]) -> None:
    result = run(pictures[2], "--bundle", bundle, "--among", "丨一", "--json")
    candidates = lines(result)[0]["candidates"]
    assert {candidate["character"] for candidate in candidates} == {"丨", "一"}
    assert sum(candidate["probability"] for candidate in candidates) == pytest.approx(1, abs=1e-5)
    assert isinstance(run(pictures[2], "--bundle", bundle, "--among", "翰").exception, CharsetError)


def test_among_takes_names_of_sets(bundle: Path, pictures: list[str]) -> None:
    (named,) = lines(run(pictures[2], "--bundle", bundle, "--among", "digits+level1", "--json"))
    assert sorted(c["character"] for c in named["candidates"]) == ["一", "十"]
    error = run(pictures[2], "--bundle", bundle, "--among", "levels").exception
    assert isinstance(error, CharsetError)
    assert "'levels' is no set of characters (did you mean level" in str(error)
    assert all(name in "".join(run("--help").stdout.split()) for name in SETS)


def test_a_refusal_names_no_character(
    pictures: list[str], tmp_path: Path, comparing_bundle: Callable[..., Bundle]
) -> None:
    strict = comparing_bundle(tmp_path / "strict", HAND, SIDE, refusal_threshold=0.999999).path
    (entry,) = lines(run(pictures[2], "--bundle", strict, "--json"))
    assert (entry["character"], entry["refused"], entry["reason"]) == (None, True, "unknown character")
    assert entry["candidates"][0]["character"] == "十"
    table = run(pictures[2], "--bundle", strict).stdout
    assert table.splitlines()[1].split()[1:4] == ["？", "unknown", "character"]
    assert "十" in table


def test_a_picture_without_ink_is_refused_and_no_mistake(bundle: Path, pictures: list[str], tmp_path: Path) -> None:
    Image.new("L", (40, 40), 250).save(tmp_path / "empty.png")
    files = [tmp_path / "empty.png", pictures[2]]
    result = run(*files, "--bundle", bundle, "--json")
    assert result.exit_code == 0, result.output
    assert lines(result)[0] == {
        "file": str(files[0]),
        "character": None,
        "refused": True,
        "reason": "blank",
        "candidates": [],
    }
    table = run(*files, "--bundle", bundle, "--sheet", tmp_path / "read.png")
    assert table.exit_code == 0, table.output
    assert table.stdout.splitlines()[1].split()[1:] == ["？", "blank"]
    assert "十" in table.stdout
    assert (tmp_path / "read.png").exists()


def test_the_sheet_shows_every_picture_that_was_read(bundle: Path, pictures: list[str], tmp_path: Path) -> None:
    result = run(*pictures, tmp_path / "missing.png", "--bundle", bundle, "--sheet", tmp_path / "read.png")
    assert result.exit_code == 2
    with Image.open(tmp_path / "read.png") as sheet:
        assert sheet.width > sheet.height > 100
    assert "read.png" in result.stderr
    nothing = run(tmp_path / "missing.png", "--bundle", bundle, "--sheet", tmp_path / "none.png")
    assert nothing.exit_code == 2
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize("sheet", ["2.png", "notes.txt"])
def test_a_sheet_never_replaces_a_picture(bundle: Path, pictures: list[str], sheet: str) -> None:
    target = Path(pictures[2]).with_name(sheet)
    before = target.read_bytes() if target.exists() else None
    result = run(*pictures, "--bundle", bundle, "--sheet", target)
    assert isinstance(result.exception, ArgumentError)
    assert result.stdout == ""
    assert (target.read_bytes() if target.exists() else None) == before


def test_names_with_markup_and_control_characters_are_shown_as_they_are(bundle: Path, tmp_path: Path) -> None:
    picture = tmp_path / "[bold]a\x1b[31m.png"
    Image.fromarray(load(HAND["十"])).save(picture)
    result = run(picture, "--bundle", bundle)
    assert result.exit_code == 0, result.output
    assert "[bold]a\N{REPLACEMENT CHARACTER}[31m.png" in result.stdout


def test_wrong_flags_and_bundles(bundle: Path, pictures: list[str], tmp_path: Path) -> None:
    assert run().exit_code == 2
    assert run(*pictures, "--bundle", bundle, "--top", 0).exit_code == 2
    assert isinstance(run(*pictures, "--bundle", tmp_path / "nowhere").exception, BundleError)


def test_help_has_an_example() -> None:
    assert "hanmo recognize a.png b.jpg" in run("--help").stdout


def test_a_folder_is_read_by_name_and_not_its_sub_folders(bundle: Path, pictures: list[str], tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    for name in ("b.png", "a.png", "below/c.png"):
        (tmp_path / name).write_bytes(Path(pictures[2]).read_bytes())
    (tmp_path / "notes.txt").touch()
    result = run(tmp_path, pictures[0], "--bundle", bundle, "--json")
    assert [entry["file"] for entry in lines(result)] == [str(tmp_path / "a.png"), str(tmp_path / "b.png"), pictures[0]]
    (below / "c.png").unlink()
    error = run(below, "--bundle", bundle).exception
    assert isinstance(error, ImageError)
    assert str(error) == f"{below}: a folder without pictures; name one that holds them itself"


def test_a_dash_is_the_standard_input(bundle: Path, pictures: list[str], tmp_path: Path) -> None:
    data = Path(pictures[2]).read_bytes()
    arguments = (pictures[0], "-", "--bundle", bundle)
    result = run(*arguments, "--json", "--sheet", tmp_path / "read.png", stdin=data)
    assert [(entry["file"], entry["character"]) for entry in lines(result)] == [(pictures[0], "一"), ("-", "十")]
    assert (tmp_path / "read.png").exists()
    empty = run(*arguments, "--json")
    assert empty.exit_code == 2
    assert lines(empty)[1] == {"file": "-", "error": "the file is empty; save the picture again"}


def test_the_device(bundle: Path, pictures: list[str]) -> None:
    assert run(pictures[0], "--bundle", bundle, "--device", "cpu").exit_code == 0
    error = run(pictures[0], "--bundle", bundle, "--device", "tpu").exception
    assert isinstance(error, ArgumentError)
    assert "cpu, cuda" in str(error)


def test_nothing_breaks_in_a_narrow_terminal(bundle: Path, pictures: list[str], tmp_path: Path) -> None:
    long = tmp_path / f"{'long name ' * 5}{'翰' * 10}.png"
    long.write_bytes(Path(pictures[2]).read_bytes())
    result = run(long, pictures[0], "--bundle", bundle, "--among", "十丨", columns=60)
    rows = result.stdout.splitlines()
    assert len(rows) == 3, "a line a picture"
    assert all(cell_len(row) <= 60 for row in rows)
    assert "…" in rows[1]
    assert ".png" in rows[1]
    assert "/0.png" in rows[2], "a short name is whole"


@pytest.mark.parametrize("cells", range(3, 30))
def test_shortened_paths_fit(cells: int) -> None:
    for path in ("/home/somebody/翰墨书法.png", "abc", "/a/b/c/d/e/f/0123456789.png"):
        short = shorten(path, cells)
        assert cell_len(short) <= cells
        assert (short == path) == (cell_len(path) <= cells)
    if cells > len("/0123456789.png"):
        assert short.endswith("/0123456789.png")


def test_improbable_candidates_are_left_out_of_the_table_only(
    pictures: list[str], tmp_path: Path, comparing_bundle: Callable[..., Bundle]
) -> None:
    sure = comparing_bundle(tmp_path / "sure", HAND, SIDE, temperature=0.01).path
    assert run(pictures[2], "--bundle", sure).stdout.count("%") == 1
    assert len(lines(run(pictures[2], "--bundle", sure, "--json"))[0]["candidates"]) == len(HAND)


def test_a_sheet_makes_no_folder(bundle: Path, pictures: list[str], tmp_path: Path) -> None:
    error = run(*pictures, "--bundle", bundle, "--sheet", tmp_path / "none" / "read.png").exception
    assert isinstance(error, ArgumentError)
    assert f"there is no folder {tmp_path / 'none'}; make it first" in str(error)
    assert not (tmp_path / "none").exists()
