"""Packs made over Ray: the same bytes as without it, also when a node is killed."""

from __future__ import annotations

import json
import shutil
import socket
import zipfile
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hanmo.bulk import squares
from hanmo.charset import Charset
from hanmo.cli.main import app
from hanmo.data.gnt import write_gnt
from hanmo.data.pack import write_pack
from hanmo.data.read import read_samples, split_reading
from hanmo.errors import BlankImageError, CharsetError, DataError
from hanmo.normalize import Normalization
from hanmo.synth import over_ray, packs
from hanmo.synth.over_ray import drawn_over_ray
from hanmo.synth.packs import synthesize
from hanmo.synth.paper.page import PageConfig
from hanmo.synth.recipe import SynthRecipe
from needs import RAY

from .conftest import samples
from .test_ray import run_apart

SQUARE = Normalization(side=32)
RECIPE = SynthRecipe(characters="永人山", per_character=20, seed=2, side=48)
PART = 16  # samples; the recipe has four parts. packs_over_ray.py, which cannot be imported without Ray, has the same


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``in.zip`` of six files in its folder, ``gnt`` of two more, ``pictures`` of three classes, and ``damaged``."""
    root = tmp_path_factory.mktemp("inputs")
    for name in ("zipped", "gnt", "pictures", "damaged"):
        (root / name).mkdir()
    for number in range(8):
        write_gnt(root / ("zipped" if number < 6 else "gnt") / f"{1000 + number}-c.gnt", samples(300 + number))
    with zipfile.ZipFile(root / "in.zip", "w") as archive:
        for file in (root / "zipped").iterdir():
            archive.write(file, f"set/{file.name}")
    for number, sample in enumerate(samples(30)):
        (root / "pictures" / sample.label).mkdir(exist_ok=True)
        Image.fromarray(sample.image).save(root / "pictures" / sample.label / f"{number}.png")
    (root / "damaged" / "1-c.gnt").write_bytes((root / "gnt" / "1006-c.gnt").read_bytes()[:-5])
    return root


def sources(root: Path) -> list[Path]:
    return [root / "in.zip", root / "gnt", root / "pictures"]


def contents(pack: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in pack.iterdir()}


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray replaced by a loop in this process."""

    def over(tasks: Any, items_of: Any, work: Any, *, size: int, actors: int) -> Any:
        for task in tasks:
            items = list(items_of(task))
            for start in range(0, len(items), size):
                yield from work(items[start : start + size])

    monkeypatch.setattr(squares, "over_ray", over)
    monkeypatch.setattr(over_ray, "over_ray", over)


def packed(out: Path, inputs: Sequence[Path], **options: Any) -> dict[str, bytes]:
    over = squares.normalized_over_ray(split_reading(inputs), SQUARE, options.get("charset"), 2)
    with closing(over) as normalized:
        write_pack(out, normalized, normalization=SQUARE, are_squares=True, **options)
    return contents(out)


def test_the_parts_of_a_reading_are_all_samples_in_order(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inputs)
    parts = list(split_reading(["in.zip", "gnt", "pictures"]))
    assert len(parts) == 2 + 2 + 1
    assert all(part.path.is_absolute() for part in parts)
    again = [sample for part in parts for sample in part.samples()]
    whole = list(read_samples(["in.zip", "gnt", "pictures"]))
    assert [(s.label, s.source, s.writer) for s in again] == [(s.label, s.source, s.writer) for s in whole]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(again, whole, strict=True))
    with pytest.raises(DataError, match="no such file"):
        next(split_reading(["nothing.gnt"]))


@pytest.mark.parametrize("options", [{}, {"charset": Charset("丨一"), "on_unknown": "skip"}])
def test_squares_of_other_machines_make_the_same_pack(
    inputs: Path, tmp_path: Path, without_ray: None, options: dict[str, Any]
) -> None:
    write_pack(tmp_path / "here", read_samples(sources(inputs)), normalization=SQUARE, **options)
    assert packed(tmp_path / "there", sources(inputs), **options) == contents(tmp_path / "here")


def test_what_is_refused_here_is_refused_of_other_machines(inputs: Path, tmp_path: Path, without_ray: None) -> None:
    options = {"charset": Charset("丨一")}
    with pytest.raises(CharsetError) as here:
        write_pack(tmp_path / "a", read_samples(sources(inputs)), normalization=SQUARE, **options)
    with pytest.raises(CharsetError) as there:
        packed(tmp_path / "b", sources(inputs), **options)
    assert str(here.value) == str(there.value)
    with pytest.raises(BlankImageError, match=r"1000-c\.gnt: a picture of '一' is blank"):
        packed(tmp_path / "c", sources(inputs), on_blank="error")


def test_a_machine_that_does_not_see_the_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"gone: is not there on the machine {socket.gethostname()}; .* shared disk"):
        squares.require_here(tmp_path / "gone")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gnt", r"1006-c\.gnt: has [\d,]+ bytes on the machine .*, and [\d,]+ bytes where packing was started"),
        (
            "pictures",
            "pictures: has the class folders . to . with 29 pictures on the machine .*, and .* with 30 pictures where",
        ),
    ],
)
def test_a_machine_that_sees_other_files(
    inputs: Path, tmp_path: Path, without_ray: None, source: str, message: str
) -> None:
    copy = tmp_path / source
    shutil.copytree(inputs / source, copy)
    parts = list(split_reading([copy]))
    if source == "gnt":
        file = copy / "1006-c.gnt"
        file.write_bytes(file.read_bytes() * 2)  # whole samples: nothing about the file itself is wrong
    else:
        next(copy.glob("*/*")).unlink()
    with pytest.raises(DataError, match=message):
        list(squares.normalized_over_ray(parts, SQUARE, None, 2))


@pytest.mark.parametrize("page", [None, PageConfig()])
@pytest.mark.parametrize("parts", [True, False])
def test_drawings_of_other_machines_are_the_same(
    tmp_path: Path, without_ray: None, monkeypatch: pytest.MonkeyPatch, page: PageConfig | None, parts: bool
) -> None:
    recipe = SynthRecipe(characters="永人山", per_character=5, seed=2, side=96, page=page)
    if parts:
        monkeypatch.setattr(packs, "PART", 4)
    synthesize(recipe, tmp_path / "here")
    synthesize(recipe, tmp_path / "there", elsewhere=partial(drawn_over_ray, recipe, actors=2))
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_a_stopped_drawing_of_other_machines_goes_on_here(
    tmp_path: Path, without_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "PART", 16)

    def stop(done: int) -> None:
        if done > 40:
            raise KeyboardInterrupt

    elsewhere = partial(drawn_over_ray, RECIPE, actors=2)
    with pytest.raises(KeyboardInterrupt):
        synthesize(RECIPE, tmp_path / "pack", on_progress=stop, elsewhere=elsewhere)
    assert len(list((tmp_path / "pack.parts").glob("*-*"))) == 2
    synthesize(RECIPE, tmp_path / "pack", resume=True)
    synthesize(RECIPE, tmp_path / "whole")
    assert contents(tmp_path / "pack") == contents(tmp_path / "whole")


def test_the_commands_on_this_machine(inputs: Path, tmp_path: Path) -> None:
    RAY.get()
    arguments = ["data", "pack", str(inputs / "gnt"), "--out", str(tmp_path / "pack"), "--side", "32"]
    done = run_apart("-m", "hanmo", *arguments, "--ray", "local", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    here = write_pack(tmp_path / "here", read_samples([inputs / "gnt"]), normalization=SQUARE)
    assert json.loads(done.stdout)["digest"] == here.digest


@pytest.mark.parametrize("command", [["data", "pack", "x.gnt"], ["synth", "@synth-demo"]])
def test_a_cluster_that_does_not_answer(tmp_path: Path, command: list[str]) -> None:
    RAY.get()
    with socket.socket() as closed:  # a port that nobody listens at
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        done = run_apart("-m", "hanmo", *command, "--out", str(tmp_path / "pack"), "--ray", address)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert f"--ray {address}: does not answer (Connection refused)" in line
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "pack", "x.gnt", "--out", "p", "--ray", "nowhere"], "--ray is 'nowhere'; give local"),
        (["data", "pack", "x.gnt", "--out", "p", "--ray", "auto", "--workers", "2"], "--workers are processes of this"),
        (["synth", "--show", "永", "--out", "p", "--ray", "auto"], "--ray draws packs; leave it out with --show"),
        (["synth", "--sheet", "--out", "p", "--ray", "auto"], "--sheet takes --count"),
    ],
)
def test_options_that_do_not_go_with_ray(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    assert message in result.output


def test_packs_of_a_cluster_that_loses_a_node(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RAY.get()
    script, facts = Path(__file__).with_name("packs_over_ray.py"), tmp_path / "facts.json"
    done = run_apart(str(script), str(facts), str(inputs))
    assert done.returncode == 0, done.stderr
    found = json.loads(facts.read_text())
    assert 200 <= found["killed_at"] < 2458, "the node was killed in the middle"
    write_pack(tmp_path / "packed", read_samples(sources(inputs)), normalization=SQUARE)
    assert contents(inputs / "packed") == contents(tmp_path / "packed")
    monkeypatch.setattr(packs, "PART", PART)
    synthesize(RECIPE, tmp_path / "drawn")
    assert contents(inputs / "drawn") == contents(tmp_path / "drawn")
    assert found["damaged"].startswith(f"GntError: {inputs / 'damaged' / '1-c.gnt'}: byte ")
    assert "truncated" in found["damaged"]
