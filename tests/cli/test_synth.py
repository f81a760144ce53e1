"""``hanmo synth`` from the outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hanmo.cli.synth import synth
from hanmo.data.pack import Pack
from hanmo.errors import CharsetError, ConfigError

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


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--out", "x"], ConfigError, "no recipe named"),
        (["--show", "永"], ConfigError, "nowhere to draw to"),
        (["--show", "永", "--set", "side=32", "--out", "x"], ConfigError, "no recipe named"),
        (["--show", "永✓x", "--out", "x"], CharsetError, "2 character.*x ✓"),
    ],
)
def test_unusable_requests(app: typer.Typer, arguments: list[str], error: type[Exception], message: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, error)
    with pytest.raises(error, match=message):
        raise result.exception
