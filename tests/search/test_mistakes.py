"""What a search refuses before anything is trained, in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hanmo.config import load_toml
from hanmo.search.config import SearchConfig
from hanmo.search.problem import SearchProblem

Run = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]
WITHOUT_OPTUNA = """
import sys
class Finder:
    def find_spec(self, name, *_):
        if name == "optuna":
            raise ModuleNotFoundError("none", name=name)
sys.meta_path.insert(0, Finder())
from hanmo.cli.main import main
main()
"""


def space(text: str) -> str:
    return f"[[space]]\n{text}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('key = "optim.weight_dacay"\nchoices = [0.1]', "'optim.weight_dacay'; did you mean 'optim.weight_decay'?"),
        ('key = "nett.name"\nchoices = ["vit"]', "unknown key 'nett'; did you mean 'net'?"),
        ('key = "net.name"\nchoices = ["resnet19"]', "net 'resnet19' is unknown; did you mean 'resnet18'"),
        ('key = "net.width"\nchoices = [8]', "space 'net.width': is there twice, or is part of 'net.width'"),
        ('key = "net.depths"\nchoices = [[1, 1, 1, 1]]', "space 'net.depths.3': is there twice, or is part of 'net.de"),
        ('key = "net.depths.4"\nlow = 1\nhigh = 2', "space 'net.depths.4': the recipe's list has entries 0 to 3"),
        ('key = "net.name.kind"\nlow = 1\nhigh = 2', "'name' is a value of the recipe, with nothing inside"),
        ('key = "train.epochs"\nlow = 3\nhigh = 3', "space 'train.epochs': from 3 to 3 is no range"),
        ('key = "train.epochs"\nlow = 1.5\nhigh = 3', "space 'train.epochs': whole numbers are needed, not 1.5, 3"),
        ('key = "train.batch"\nlow = 8\nhigh = 900', "train.batch 900 is larger than the 65 samples that trials"),
        ('key = "train.batch"', "space 'train.batch': name its choices, or low and high"),
        ('key = "train.seed"\nchoices = [1, 2]', "may not vary: a lucky seed is no better recipe"),
        ('key = "data.test"\nchoices = ["a", "b"]', "may not vary: trials on other data cannot be compared"),
        ('key = "augment.rotate"\nlow = -2\nhigh = 3', "rotate is negative"),
        ('key = "augment.rotate"\nlow = 0\nhigh = 3\nlog = true', "low 0 has no logarithm"),
        ('key = "augment.rotate"\nlow = 0\nhigh = 3\nstep = 4', "step 4: above 0, within the range"),
        ('key = "augment.rotate"\nlow = 0\nchoices = [1]', "has choices, so low, high, step and log have no place"),
        ('key = "augment.rotate"\nchoices = [1, 1.0]', "a choice of [1, 1.0] is there twice"),
        ('key = "distill.label_weight"\nlow = 0\nhigh = 1', "method 'kd' needs teachers"),
    ],
)
def test_a_space_that_does_not_fit(run: Run, write: Write, tmp_path: Path, text: str, message: str) -> None:
    status, out, err = run("search", str(write(space=space(text))), "--device", "cpu")
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sampler=ga", "sampler = 'ga' is not possible; one of 'tpe', 'cma-es', 'pso', 'random'"),
        ("swarm=5", "swarm 5: is for sampler 'pso'; leave it out"),
        ("trails=3", "unknown key 'trails'; did you mean 'trials'?"),
        ("recipe=none.toml", "none.toml: cannot be read"),
        ("held_out=1.0", "held_out 1.0: a share of the training pack"),
        ("budget=100", "budget 100: one trial alone uses 128 images"),
        ("trials=0", "trials 0: at least 1"),
        ('trial_changes=["data.test=x"]', "trial_changes: data is the same for trials and the winner"),
        ('changes=["data.train=synth:x"]', "trains on drawn samples, of which none can be held out"),
        ('changes=["distill.teachers=[\\"x\\"]"]', "x: no such file"),
        ("space=[]", "space needs at least one entry"),
    ],
)
def test_a_search_that_cannot_be(run: Run, write: Write, tmp_path: Path, change: str, message: str) -> None:
    status, out, err = run("search", str(write()), "--device", "cpu", "--set", change)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_cma_es_needs_ranges(run: Run, write: Write) -> None:
    search = write(sampler="cma-es")
    one = '[{key="net.attention", choices=["none", "se"]}, {key="optim.clip", low=0.5, high=1}]'
    status, _, err = run("search", str(search), "--device", "cpu", "--set", f"space={one}")
    assert status == 2
    assert "sampler 'cma-es' moves in ranges of numbers; name at least two" in err


def test_a_swarm_needs_a_range_and_particles(run: Run, write: Write) -> None:
    search = str(write(sampler="pso"))
    choices = '[{key="net.attention", choices=["none", "se"]}]'
    status, _, err = run("search", search, "--device", "cpu", "--set", f"space={choices}")
    assert status == 2
    assert "sampler 'pso' moves in ranges of numbers; name at least one" in err
    status, _, err = run("search", search, "--device", "cpu", "--set", "swarm=0")
    assert status == 2
    assert "swarm 0: at least 1" in err


def test_optuna_missing_is_named_with_the_remedy(write: Write, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_OPTUNA, "search", str(write())]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 2
    assert (
        ended.stderr == "hanmo: this verb needs optuna; in the folder of the repository run: pip install '.[search]'\n"
    )


def test_cmaes_missing_is_named_before_the_first_trial(
    run: Run, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    status, _, err = run("search", str(write(sampler="cma-es")), "--device", "cpu")
    assert (status, err) == (
        2,
        "hanmo: this verb needs cmaes; in the folder of the repository run: pip install '.[search]'\n",
    )
    assert not (tmp_path / "runs").exists()


def test_a_damaged_journal_is_named(run: Run, write: Write, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.journal").write_text("no\njournal\n", encoding="utf-8")
    status, _, err = run("search", str(write()), "--device", "cpu", "--out", "out")
    assert status == 2
    assert "study.journal: damaged (" in err


def test_whole_numbers_stay_whole_and_the_last_step_is_within(write: Write) -> None:
    more = space('key = "augment.rotate"\nlow = 0\nhigh = 10\nstep = 3') + space(
        'key = "optim.clip"\nlow = 1\nhigh = 2'
    )
    drawn = SearchProblem(load_toml(write(space=more), SearchConfig), Path("none")).drawing.distributions
    assert (drawn["net.width"].low, drawn["net.width"].high) == (8, 16)  # type: ignore[attr-defined]
    assert type(drawn["net.width"]).__name__ == "IntDistribution"
    assert type(drawn["optim.clip"]).__name__ == "FloatDistribution", "as the recipe has it"
    assert drawn["augment.rotate"].high == 9.0  # type: ignore[attr-defined]


def test_the_shipped_search_can_be_read() -> None:
    config = load_toml("@search", SearchConfig)
    assert config.name == "search"
    assert config.most_parameters is not None
