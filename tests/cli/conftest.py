"""Shared by the tests of ``hanmo evaluate``: a bundle of a one-matrix net that compares squares with templates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from drawn_signs import glyph
from hanmo.charset import Charset
from hanmo.cli.evaluate import evaluate
from hanmo.normalize import Normalization

NORMALIZATION = Normalization(side=32)


@pytest.fixture
def sign_bundle(linear_bundle: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a bundle ``bundle`` that reads the first six drawn signs as 永山水火木人."""
    monkeypatch.chdir(tmp_path)
    charset = Charset("永山水火木人")
    templates = np.stack([NORMALIZATION(glyph(i)).ravel() / 255.0 for i in range(len(charset))])
    weights = ((templates - templates.mean(axis=0)).T / 255).astype(np.float32)
    facts = {"net": "one matrix", "trained_on": [{"name": "drawn signs", "licence": "CC0-1.0"}], "licence": "CC0-1.0"}
    linear_bundle(Path("bundle"), weights, charset, name="templates", normalization=NORMALIZATION, **facts)
    return tmp_path


@pytest.fixture
def run_evaluate() -> Callable[..., str]:
    """Run ``hanmo evaluate`` with that bundle and return its stdout; errors are raised."""

    def run(*arguments: str) -> str:
        app = typer.Typer()
        app.command()(evaluate)
        result = CliRunner().invoke(app, [*arguments, "--bundle", "bundle"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run
