"""SIGKILL at random moments: what is there can be loaded, and the resumed run ends as an unbroken one, byte by byte."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hanmo.bench.config import BenchConfig, MethodRow, NetRow
from hanmo.bench.jobs import Results
from hanmo.bundle import Bundle
from hanmo.config import dump_toml
from hanmo.data.gnt import write_gnt
from hanmo.data.pack import Pack
from hanmo.data.sample import Sample
from hanmo.nets.registry import NetConfig
from hanmo.train.config import MethodConfig
from hanmo.train.run import RunFolder

VERBS = ["training", "packing", "drawing", "exporting", "reading", "searching", "comparing"]
KILLS = [("training", 1), ("packing", 1), *(pytest.param(verb, 20, marks=pytest.mark.soak) for verb in VERBS)]
"""20 for each of seven verbs: 140 in a full run."""
TIMES = {"images_per_s", "seconds", "ms", "memory_mb"}
SEARCH = """
name = "search"
recipe = "{recipe}"
sampler = "random"
trials = 4
held_out = 0.2
prune = "no"
[[space]]
key = "optim.learning_rate"
low = 1e-3
high = 1e-2
"""


@dataclass
class Job:
    """A verb, the folder it makes, and what must hold for this folder after every kill."""

    arguments: list[str]
    out: Path
    check: Callable[[Path], object]
    output: Path | None = None
    result: Callable[[Path], object] | None = None
    """What must be as in an unbroken run; by default all files of the folder."""

    def start(self) -> subprocess.Popen[bytes]:
        # One thread each, so that the sums of an unbroken run have the same order.
        with (self.output or Path("/dev/null")).open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "hanmo", *self.arguments], stdout=output, stderr=subprocess.DEVNULL
            )


def content(path: Path) -> dict[str, Any]:
    """Every file below ``path``, without figures that depend on the speed."""
    found: dict[str, Any] = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if not file.is_file() or name.startswith("plots/"):
            continue
        found[name] = file.read_bytes()
        if name == "metrics.jsonl":
            records = [json.loads(line) for line in found[name].splitlines()]
            # The loss is logged every few seconds, so by the clock.
            records = [record for record in records if record["kind"] != "train"]
            found[name] = [{k: v for k, v in record.items() if k not in TIMES} for record in records]
    return found


def training(folder: Path, small: Any) -> Job:
    recipe = folder.parents[1] / "recipe.toml"
    recipe.write_text(dump_toml(small(train={"epochs": 30, "checkpoint_every": 1})), encoding="utf-8")

    def check(out: Path) -> None:
        RunFolder(out).records()

    return Job(["train", str(recipe), "--out", str(folder), "--resume", "--device", "cpu"], folder, check)


def packing(folder: Path, drawn: Path) -> Job:
    pack = Pack.open(drawn / "train")
    source = folder.parents[1] / "1-samples.gnt"
    if not source.exists():
        rows = [
            Sample(pack.charset[label], 255 - image, "drawn")
            for image, label in zip(pack.images, pack.labels, strict=True)
        ]
        write_gnt(source, rows * 3)
    return Job(["data", "pack", str(source), "--out", str(folder), "--overwrite"], folder, Pack.open)


def drawing(folder: Path) -> Job:
    changes = ["--set", "per_character=20", "--set", "characters=永人大天山水火木日月"]
    return Job(["synth", "@synth-demo", *changes, "--out", str(folder), "--resume", "--overwrite"], folder, Pack.open)


def exporting(folder: Path, tiny_run: Path) -> Job:
    return Job(["export", str(tiny_run), "--out", str(folder), "--force"], folder, Bundle.load)


def reading(folder: Path) -> Job:
    pictures = folder.parents[1] / "pictures"
    if not pictures.exists():
        pictures.mkdir()
        for source in sorted((Path(__file__).parents[2] / "examples").iterdir()):
            for number in range(40):
                shutil.copy(source, pictures / f"{number:03d}-{source.name}")
    output = folder.with_suffix(".jsonl")
    return Job(["recognize", str(pictures), "--json", "--bundle", "nano"], output, lambda out: None, output)


def searching(folder: Path, small: Any) -> Job:
    recipe, search = (folder.parents[1] / name for name in ("recipe.toml", "search.toml"))
    recipe.write_text(dump_toml(small(train={"epochs": 8})), encoding="utf-8")
    search.write_text(SEARCH.format(recipe=recipe), encoding="utf-8")

    def trained(out: Path) -> list[Any]:
        rows = [json.loads(line) for line in (out / "trials.jsonl").read_text(encoding="utf-8").splitlines()]
        # A killed trial is in the list as well, and its settings are taken by a later one.
        return [(row["settings"], row["top1"]) for row in rows if row["state"] == "complete"]

    def check(out: Path) -> None:
        if (out / "trials.jsonl").exists():
            trained(out)

    return Job(["search", str(search), "--out", str(folder), "--device", "cpu"], folder, check, result=trained)


def comparing(folder: Path, small: Any) -> Job:
    recipe, bench = (folder.parents[1] / name for name in ("recipe.toml", "bench.toml"))
    recipe.write_text(dump_toml(small(train={"epochs": 4})), encoding="utf-8")
    nets = (NetRow(name="small", net=NetConfig(width=8)), NetRow(name="large", net=NetConfig(width=16)))
    method = MethodRow(name="kd", methods=(MethodConfig(name="kd"),))
    config = BenchConfig(
        name="toy", recipe=str(recipe), seeds=(0,), nets=nets, students=("small",), teachers=("large/0",),
        methods=(method,),
    )  # fmt: skip
    bench.write_text(dump_toml(config), encoding="utf-8")

    def rows(out: Path) -> dict[Any, Any]:
        records = Results(out / "results.jsonl").load()
        return {run: {k: v for k, v in record.items() if k not in TIMES} for run, record in records.items()}

    return Job(["bench", "distill", str(bench), "--out", str(folder), "--gpus", "0"], folder, rows, result=rows)


@pytest.fixture
def job(request: pytest.FixtureRequest, tmp_path: Path, small: Any, drawn: Path) -> Callable[[str, str], Job]:
    """``job(verb, name)``: one of the verbs, making a folder below ``name``."""

    def make(verb: str, name: str) -> Job:
        folder = tmp_path / name / "out"  # bundles have the name of their folder
        folder.parent.mkdir()
        kinds: dict[str, Callable[[], Job]] = {
            "training": lambda: training(folder, small),
            "packing": lambda: packing(folder, drawn),
            "drawing": lambda: drawing(folder),
            "exporting": lambda: exporting(folder, request.getfixturevalue("tiny_run")),
            "reading": lambda: reading(folder),
            "searching": lambda: searching(folder, small),
            "comparing": lambda: comparing(folder, small),
        }
        return kinds[verb]()

    return make


@pytest.mark.parametrize(("verb", "kills"), KILLS)
def test_killed_and_resumed_equals_unbroken(
    job: Callable[[str, str], Job], record: Callable[[str, str], None], verb: str, kills: int, tmp_path: Path
) -> None:
    unbroken = job(verb, "unbroken")
    started = time.monotonic()
    assert unbroken.start().wait() == 0
    seconds = time.monotonic() - started
    broken, landed, chance = job(verb, "broken"), 0, random.Random(7)
    for _ in range(kills):
        process = broken.start()
        try:
            # The first part of every run loads modules; a kill there would show nothing.
            process.wait(chance.uniform(0.4, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            landed += 1
        process.wait()
        if broken.out.exists():
            broken.check(broken.out)
        if broken.output:
            assert unbroken.output is not None
            assert unbroken.output.read_bytes().startswith(broken.output.read_bytes())
    assert broken.start().wait() == 0
    if broken.output:
        assert unbroken.output is not None
        assert broken.output.read_bytes() == unbroken.output.read_bytes()
    else:
        result = broken.result or content
        assert result(broken.out) == result(unbroken.out)
    left = [path.name for path in tmp_path.rglob("*") if ".hanmo-" in path.name or path.name.endswith(".parts")]
    assert not left, "nothing half-written stays"
    record(f"kills: {verb}", f"{landed} of {kills} runs killed, the end is the same")
