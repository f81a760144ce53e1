"""``hanmo read``, with drawn sheets and the bundle that comes with hanmo."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from drawn_boxes import draw_boxes
from hanmo.cli.read import read
from hanmo.errors import ArgumentError, CharsetError, ImageFormatError, ImageTooLargeError, SheetError

ROWS = ["床前明月光 ", "疑是地上霜 ", "举头望明月 ", "低头思故乡 ", "      ", "白日依山尽黄", "河入海流欲穷"]
TEXT = "\n".join(row.rstrip() for row in ROWS)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sheet, the same upside down, and a blank page."""
    folder = tmp_path_factory.mktemp("pages")
    pixels, _ = draw_boxes(ROWS, 150)
    pixels = (pixels + np.random.default_rng(5).normal(0, 3, pixels.shape)).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(np.rot90(pixels, 2)).save(folder / "b.png")
    Image.new("L", (900, 1200), 240).save(folder / "blank.png")
    return folder


def run(*arguments: object, stdin: bytes = b"") -> Any:
    app = typer.Typer()
    app.command()(read)
    return CliRunner().invoke(app, [str(a) for a in arguments], input=stdin)


def test_the_text_is_printed(pages: Path) -> None:
    result = run(pages / "a.png")
    assert result.exit_code == 0, result.output
    assert result.stdout == TEXT + "\n"
    assert run("-", "--text", stdin=(pages / "a.png").read_bytes()).stdout == TEXT + "\n"


def test_a_sheet_upside_down_is_read_and_named(pages: Path) -> None:
    result = run(pages / "b.png")
    assert result.stdout == TEXT + "\n"
    assert f"{pages / 'b.png'}: the sheet is upside down; it was read turned by 180 degrees" in result.stderr


def test_one_bad_sheet_does_not_lose_the_others(pages: Path) -> None:
    result = run(pages)
    assert result.exit_code == 2
    a, b, blank = (pages / f"{name}.png" for name in ("a", "b", "blank"))
    assert result.stdout == f"{a}:\n{TEXT}\n\n{b}:\n{TEXT}\n\n"
    assert f"hanmo: {blank}: the picture is blank" in result.stderr
    assert result.stderr.endswith("hanmo: 1 of 3 sheets could not be read\n")


def test_json_is_one_object_a_sheet(pages: Path) -> None:
    result = run(pages / "a.png", pages / "blank.png", "--json", "--against", TEXT.replace("霜", "雪"))
    assert result.exit_code == 2
    sheet, error = (json.loads(line) for line in result.stdout.splitlines())
    assert (sheet["file"], sheet["text"]) == (str(pages / "a.png"), TEXT)
    assert len(sheet["cells"]) == 42
    assert sheet["differences"] == [{"kind": "other", "expected": "雪", "grid": 1, "row": 2, "column": 5}]
    assert list(error) == ["file", "error"]
    assert error["error"].startswith("the picture is blank")


def test_csv_has_one_head_for_all_sheets(pages: Path) -> None:
    rows = list(csv.reader(io.StringIO(run(pages / "a.png", pages / "b.png", "--csv").stdout)))
    assert rows[0][:5] == ["file", "grid", "row", "column", "character"]
    assert len(rows) == 1 + 2 * 42
    assert "".join(row[4] for row in rows[1:43]) == TEXT.replace("\n", "")


def test_differences_from_a_text_are_listed(pages: Path, tmp_path: Path) -> None:
    expected = tmp_path / "poem.txt"
    expected.write_text(TEXT.replace("霜", "雪").replace("白日", "白白日"), encoding="utf-8")
    out = run(pages / "a.png", "--against", f"@{expected}").stdout.splitlines()
    assert out[8].startswith("row 2, column 5: 霜 (")
    assert out[8].endswith("%), not 雪")
    assert out[9] in ("after row 4, column 5: 白 is missing", "after row 6, column 1: 白 is missing")
    assert out[10:] == ["1 different, 1 missing"]
    assert run(pages / "a.png", "--against", TEXT).stdout.splitlines()[-1] == "no difference"


def test_the_overlay_is_drawn(pages: Path, tmp_path: Path) -> None:
    result = run(pages / "a.png", "--overlay", tmp_path / "seen.png")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "seen.png") as drawn, Image.open(pages / "a.png") as photograph:
        assert drawn.width == photograph.width
    assert run(pages / "a.png", pages / "b.png", "--overlay", tmp_path).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"seen.png", "a-read.png", "b-read.png"}


def test_context_and_direction_are_passed_on(pages: Path) -> None:
    columns = ["".join(column).rstrip() for column in zip(*ROWS, strict=True)]
    result = run(pages / "a.png", "--direction", "columns-right-to-left", "--context")
    assert result.stdout.replace("\u3000", " ").splitlines() == columns[::-1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["blank.png"], SheetError, "blank.png: the picture is blank"),
        (["a.png", "--direction", "up"], ArgumentError, "--direction up is unknown; one of rows, columns or"),
        (["a.png", "--json", "--csv"], ArgumentError, "exclude each other"),
        (["a.png", "--against", ""], ArgumentError, "the text to compare with has 0 characters"),
        (["a.png", "--against", "@nothing.txt"], ArgumentError, "@nothing.txt: cannot be read"),
        (["a.png", "--among", "龘"], CharsetError, "龘"),
        (["a.png", "--overlay", "a.png"], ArgumentError, "is the sheet to read"),
        (["a.png", "--overlay", "a.gif"], ArgumentError, r"\.png"),
        (["a.png", "b.png", "--overlay", "one.png"], ArgumentError, "one picture cannot show 2 sheets"),
        (["a.png", "a.png", "--overlay", "."], ArgumentError, "two sheets have this name"),
        (["notes.txt"], ImageFormatError, "notes.txt: not a picture"),
        (["huge.png"], ImageTooLargeError, "10000x10000 is more than"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    arguments: list[str], error: type[Exception], message: str, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pages)
    (pages / "notes.txt").write_text("no picture", encoding="utf-8")
    if "huge.png" in arguments:
        Image.new("1", (10_000, 10_000)).save("huge.png")
    try:
        result = run(*arguments)
    finally:
        for name in ("notes.txt", "huge.png"):
            (pages / name).unlink(missing_ok=True)
    assert isinstance(result.exception, error)
    with pytest.raises(error, match=message):
        raise result.exception
    assert "\n" not in str(result.exception)
