from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hanmo.bundle import Bundle
from hanmo.cli.recognize import recognize
from hanmo.errors import BundleError, CharsetError, ConfigError
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


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(recognize)
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(a) for a in arguments])


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
        assert [list(candidate) for candidate in entry["candidates"]] == [["character", "probability"]] * 2
        assert 1 >= entry["candidates"][0]["probability"] >= entry["candidates"][1]["probability"] >= 0


def test_the_table_names_files_characters_and_probabilities(bundle: Path, pictures: list[str]) -> None:
    result = run(*pictures, "--bundle", bundle)
    assert result.exit_code == 0, result.output
    rows = result.stdout.splitlines()[1:]
    for row, picture, character in zip(rows, pictures, HAND, strict=True):
        assert row.split()[:2] == [picture, character]
        assert row.count("%") == len(HAND)
        assert all(other in row for other in HAND)


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


def test_more_pictures_than_a_batch_holds_keep_their_order(bundle: Path, pictures: list[str]) -> None:
    result = run(*(pictures * 50), "--bundle", bundle, "--json")
    assert [entry["character"] for entry in lines(result)] == list(HAND) * 50


def test_among(bundle: Path, pictures: list[str]) -> None:
    result = run(pictures[2], "--bundle", bundle, "--among", "丨一", "--json")
    candidates = lines(result)[0]["candidates"]
    assert {candidate["character"] for candidate in candidates} == {"丨", "一"}
    assert sum(candidate["probability"] for candidate in candidates) == pytest.approx(1, abs=1e-5)
    assert isinstance(run(pictures[2], "--bundle", bundle, "--among", "翰").exception, CharsetError)


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
    assert isinstance(result.exception, ConfigError)
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
