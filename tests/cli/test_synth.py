"""``hanmo synth`` from the outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hanmo.charset import Charset
from hanmo.cli.main import app as whole
from hanmo.cli.synth import synth
from hanmo.data.pack import Pack
from hanmo.data.pot import read_pot
from hanmo.errors import ArgumentError, CharsetError, RunError
from hanmo.synth.fonts.bank import FontRecord, pack_levels, write_bank
from hanmo.synth.fonts.variants import draw_medians

RECIPE = 'characters = "永人山"\nper_character = 4\nseed = 7\nside = 48\n'


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(synth)
    return app


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_draws_a_pack(app: typer.Typer, recipe: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(recipe), "--out", str(tmp_path / "pack"), "--set", "per_character=5"])
    assert result.exit_code == 0, result.output
    assert "15 samples of 3 characters by 5 writers" in result.stdout
    assert len(Pack.open(tmp_path / "pack", verify=True)) == 15


def test_draws_pen_strokes(app: typer.Typer, recipe: Path, tmp_path: Path) -> None:
    arguments = [str(recipe), "--online", "--out", str(tmp_path / "strokes")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "12 samples of 3 characters, 4 files, one for each writer" in result.stdout
    assert "".join(s.label for s in read_pot(tmp_path / "strokes" / "w0004-s.pot")) == "永人山"
    assert isinstance(CliRunner().invoke(app, arguments).exception, RunError)
    assert CliRunner().invoke(app, [*arguments, "--overwrite"]).exit_code == 0


def test_seed_changes_the_handwriting(app: typer.Typer, recipe: Path, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        arguments = [str(recipe), "--out", str(tmp_path / seed), "--seed", seed]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    one, two = Pack.open(tmp_path / "1"), Pack.open(tmp_path / "2")
    assert not np.array_equal(one.images, two.images)


def test_shows_a_sheet_without_a_recipe(app: typer.Typer, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--show", "宪容客容", "--out", str(tmp_path / "sheet.png")])
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (13 * 96, 3 * 96)
        assert np.asarray(sheet).min() < 64


def test_shows_pages(app: typer.Typer, recipe: Path, tmp_path: Path) -> None:
    sheets = []
    for share in ("0.0", "1.0"):
        out = tmp_path / f"{share}.png"
        arguments = [str(recipe), "--show", "宪容", "--pages", "--set", f"page.paper={share}", "--out", str(out)]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert "2 characters by 12 writers, on pages" in result.stdout
        with Image.open(out) as sheet:
            assert sheet.size == (12 * 48, 2 * 48)
            sheets.append(np.asarray(sheet))
    assert sheets[1].mean() < sheets[0].mean()


def test_a_pack_of_pages_holds_what_the_front_end_finds_on_them(app: typer.Typer, recipe: Path, tmp_path: Path) -> None:
    packs = []
    for name, changes in (("clean", []), ("pages", ["--set", "page.paper=1", "--set", "page.clean=0"])):
        result = CliRunner().invoke(app, [str(recipe), *changes, "--out", str(tmp_path / name)])
        assert result.exit_code == 0, result.output
        packs.append(Pack.open(tmp_path / name))
    clean, pages = packs
    assert clean.charset == pages.charset
    assert 0 < len(pages) <= len(clean)
    assert pages.normalization == clean.normalization


def test_shows_a_sheet_of_a_recipes_mix(app: typer.Typer, recipe: Path, tmp_path: Path) -> None:
    squares = np.stack([square for _, square in draw_medians("永宪", 64)])
    font = FontRecord(name="f", licence="OFL-1.1", package="p", version="1", glyphs=2, variants=0, missing=0)
    glyphs = [(np.arange(2), pack_levels(squares[:, ::-1]))]  # upside down, so that they differ from strokes
    write_bank(tmp_path / "f.glyphs", Charset("永宪"), [font], glyphs, side=64, margin=2)
    arguments = [str(recipe), "--show", "宪永宪", "--set", f"mix.bank={tmp_path / 'f.glyphs'}"]
    sheets = []
    for fonts in ("0", "1"):
        out = tmp_path / f"{fonts}.png"
        result = CliRunner().invoke(app, [*arguments, "--set", f"mix.fonts={fonts}", "--out", str(out)])
        assert result.exit_code == 0, result.output
        assert "2 characters by 12 writers" in result.stdout
        with Image.open(out) as sheet:
            sheets.append(np.asarray(sheet))
    assert sheets[0].shape == (2 * 48, 13 * 48)
    assert np.array_equal(sheets[0][:, :48], sheets[1][:, :48])
    assert not np.array_equal(sheets[0], sheets[1])
    arguments[2] = "永人山客"
    result = CliRunner().invoke(app, [*arguments, "--set", "mix.fonts=1", "--out", str(tmp_path / "x.png")])
    assert isinstance(result.exception, CharsetError)
    assert "without 3 of the recipe's: 人 山 客" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--out", "x"], ArgumentError, "no recipe named"),
        (["--show", "永"], ArgumentError, "no output named"),
        (["--show", "永", "--set", "side=32", "--out", "x"], ArgumentError, "no recipe named"),
        (["--online", "--out", "x"], ArgumentError, "no recipe named"),
        (["--online", "--show", "永", "--out", "x"], ArgumentError, "leave --show and --resume out"),
        (["--online", "--sheet", "--out", "x"], ArgumentError, "--sheet takes"),
        (["--pages", "--out", "x"], ArgumentError, "--pages needs --show; add --show"),
        (["--show", "永✓x✓", "--out", "x"], CharsetError, r"2 character\(s\): x ✓;"),
    ],
)
def test_unusable_requests(app: typer.Typer, arguments: list[str], error: type[Exception], message: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, error)
    with pytest.raises(error, match=message):
        raise result.exception


# -- stopping and going on -------------------------------------------------------------------------------------------

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def moves() -> list[int]:
    """How far the bar was moved, move by move."""
    return []


@pytest.fixture
def run(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: list[int]) -> Run:
    """``run(..., stop=n)``: exit status, stdout and stderr of ``hanmo synth`` in parts of 4, Ctrl-C after n samples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hanmo.synth.packs.PART", 4)

    def invoke(*arguments: str, stop: int = 999) -> tuple[int, str, str]:
        @contextmanager
        def bar(name: str, total: int) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
            def on_samples(done: int) -> None:
                if done > stop:
                    raise KeyboardInterrupt

            yield moves.append, on_samples

        moves.clear()
        monkeypatch.setattr("hanmo.cli.progress.reading", bar)
        result = CliRunner().invoke(whole, ["synth", str(recipe), "--out", "pack", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return invoke


def test_stop_and_resume(run: Run, moves: list[int], tmp_path: Path) -> None:
    status, out, err = run(stop=8)
    assert (status, out) == (130, "")
    assert (
        err == "hanmo: stopped; 8 of 12 samples were kept in pack.parts; continue with the same command and --resume\n"
    )
    status, out, err = run("--overwrite")
    assert (status, out) == (2, "")
    assert err == "hanmo: pack.parts: left by a stopped run; continue it with --resume, or remove the folder\n"
    status, out, err = run("--resume", "--seed", "8")
    assert (status, out) == (2, "")
    assert err == "hanmo: pack.parts: begun with a different seed; remove the folder, or choose another --out\n"
    status, out, err = run("--resume")
    assert (status, err) == (0, "")
    assert out == "pack: 12 samples of 3 characters by 4 writers\n"
    assert moves == [8, 4]
    assert run("--out", "whole")[0] == 0
    assert Pack.open("pack", verify=True).digest == Pack.open("whole").digest
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pack", "recipe.toml", "whole"]


def test_stopped_before_anything_is_complete(run: Run, tmp_path: Path) -> None:
    status, _, err = run(stop=0)
    assert status == 130
    assert err == "hanmo: stopped; nothing was kept: none of the 12 samples were in a finished part\n"
    assert [p.name for p in tmp_path.iterdir()] == ["recipe.toml"]
