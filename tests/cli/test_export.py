"""``hanmo export`` from the outside."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hanmo.bundle import Bundle
from hanmo.cli.main import app
from hanmo.data.pack import Pack
from hanmo.evaluate.calibration import negative_log_likelihood
from hanmo.recognizer import Recognizer


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["export", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> None:
    """The export of the run that every test here exports, made once."""
    model = Bundle.load(tiny_bundle).model
    monkeypatch.setattr("hanmo.export.bundle.export_onnx", lambda net, side: model)
    monkeypatch.setattr("hanmo.export.bundle.quantize", lambda model, squares: model)


@pytest.mark.usefixtures("quick")
def test_the_runs_own_packs_are_the_default(tiny_run: Path, tmp_path: Path) -> None:
    status, out, err = run(tiny_run, "--out", tmp_path / "bundle", "--licence", "Arphic-1999", "--json", "--force")
    assert status == 0, err
    facts = json.loads(out)
    bundle = Bundle.load(tmp_path / "bundle")
    assert (facts["bundle"], facts["precision"], facts["samples"]) == (str(tmp_path / "bundle"), "int8", 300)
    assert facts["bytes"] == len(bundle.model)
    assert facts["top1_int8"] == pytest.approx(bundle.accuracy["top1"], abs=1e-3)
    assert bundle.licence == "Arphic-1999"


@pytest.mark.usefixtures("quick")
def test_what_is_told(tiny_run: Path, drawn: Path, tmp_path: Path) -> None:
    # fp32 has nothing to calibrate; with both packs named, the weights are enough.
    packs = ["--calibration", tmp_path / "none", "--test", drawn / "test", "--fp32", "--force"]
    tiny_run = tiny_run / "weights.safetensors"
    status, out, err = run(tiny_run, "--out", tmp_path / "b", *packs)
    assert (status, out) == (0, "")
    assert "fp32, 0.3 MB; ONNX agrees with torch on" in " ".join(err.split())


def test_mistakes_are_one_line(tiny_run: Path, drawn: Path, tmp_path: Path) -> None:
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    shutil.copy(tiny_run / "recipe.toml", unfinished)
    seeds, alone = tmp_path / "seeds", tmp_path / "alone"
    for folder in (seeds / "seed-0", alone):
        folder.mkdir(parents=True)
        shutil.copy(tiny_run / "weights.safetensors", folder)
    for arguments, message in (
        ([tmp_path / "none"], "none: no such file; name the folder of a finished run"),
        ([unfinished], "weights.safetensors: no such file, the run is not finished; go on with it by --resume"),
        ([seeds], f"seeds/weights.safetensors: no such file, but there are runs inside; name one, as {seeds}"),
        ([alone], "alone: weights alone know no packs"),
        ([tiny_run, "--test", drawn / "small-test"], "small-test: packed as fit-16+2.v3, but fit-32+2.v3 is needed"),
        ([tiny_run, "--calibration", tmp_path], "not a pack"),
    ):
        status, out, err = run(*arguments, "--out", tmp_path / "bundle")
        assert (status, out) == (2, "")
        assert message in err
        assert "Traceback" not in err
        assert not (tmp_path / "bundle").exists()


def test_a_run_without_a_test_pack_needs_one(tiny_run: Path, tmp_path: Path) -> None:
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    shutil.copy(tiny_run / "weights.safetensors", run_folder)
    lines = (tiny_run / "recipe.toml").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("test =")]
    (run_folder / "recipe.toml").write_text("\n".join(kept), encoding="utf-8")
    status, _, err = run(run_folder, "--out", tmp_path / "bundle")
    assert status == 2
    assert "was trained without a test pack; name one with --test" in err


@pytest.mark.usefixtures("quick")
def test_the_temperature_is_fitted_on_held_out_samples(tiny_run: Path, drawn: Path, tmp_path: Path) -> None:
    status, out, err = run(tiny_run, "--out", tmp_path / "b", "--held-out", drawn / "test", "--json", "--force")
    assert status == 0, err
    bundle, pack = Bundle.load(tmp_path / "b"), Pack.open(drawn / "test")
    assert json.loads(out)["temperature"] == pytest.approx(bundle.temperature, abs=1e-3)
    logits = Recognizer(bundle).logits(np.asarray(pack.images))
    plain, fitted = (negative_log_likelihood(logits, pack.labels, t).mean() for t in (1.0, bundle.temperature))
    assert fitted < plain, "trained with label smoothing, so less sure than right before"


def test_a_run_that_drew_as_it_went_needs_a_calibration_pack(tiny_run: Path, drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.toml"
    train = next(line for line in recipe.read_text(encoding="utf-8").splitlines() if line.startswith("train ="))
    recipe.write_text(recipe.read_text(encoding="utf-8").replace(train, 'train = "synth:a.toml"'), encoding="utf-8")
    status, _, err = run(tmp_path / "run", "--out", tmp_path / "bundle")
    assert status == 2
    assert "draw a pack, hanmo synth a.toml --set per_character=2" in " ".join(err.split())


def test_shards_of_eight_bits_and_what_has_none(tiny_run: Path, tmp_path: Path) -> None:
    status, out, err = run(tiny_run, "--out", tmp_path / "small", "--shards", "--eight-bits", "--json")
    assert status == 0, err
    small = json.loads(out)["bytes"]
    status, out, _ = run(tiny_run, "--out", tmp_path / "large", "--shards", "--json")
    assert small < 0.6 * json.loads(out)["bytes"]
    status, out, err = run(tiny_run, "--out", tmp_path / "bundle", "--eight-bits")
    assert (status, out) == (2, "")
    assert "--eight-bits is for --shards" in err


@pytest.mark.usefixtures("quick")
def test_groups_can_be_named(tiny_run: Path, tmp_path: Path) -> None:
    for option, named in ((["--groups"], True), (["--no-groups"], False), ([], False)):
        status, _, err = run(tiny_run, "--out", tmp_path / "b", "--force", *option)
        assert status == 0, err
        assert bool(Bundle.load(tmp_path / "b").groups) == named
