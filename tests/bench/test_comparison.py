"""A comparison is checked, priced and put in order before anything is trained."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from hanmo.bench.comparison import Comparison
from hanmo.bench.config import BenchConfig, MethodRow, NetRow
from hanmo.config import dump_toml, load_toml
from hanmo.distill import build_method
from hanmo.errors import CheckpointError, ConfigError, ModelError
from hanmo.nets.registry import NetConfig, build_net, count_macs
from hanmo.train.config import MethodConfig, Recipe
from hanmo.train.loop import Trainer
from hanmo.train.parallel import Processes

SMALL, LARGE = NetConfig(width=8), NetConfig(width=16)


@pytest.fixture
def base(small: Any, tmp_path: Path) -> str:
    path = tmp_path / "base.toml"
    path.write_text(dump_toml(small()), encoding="utf-8")
    return str(path)


def bench(base: str, *methods: MethodRow, **changes: Any) -> BenchConfig:
    nets = (NetRow(name="small", net=SMALL), NetRow(name="large", title="Large", net=LARGE))
    config = BenchConfig(name="toy", recipe=base, seeds=(0, 1), nets=nets, students=("small",), teachers=("large/0",))
    return replace(config, methods=methods, **changes)


def kd(name: str = "kd", **options: Any) -> MethodRow:
    return MethodRow(**{"name": name, "methods": (MethodConfig(name="kd"),), **options})


def test_rows_wait_for_their_teachers_and_share_the_recipe(base: str, tmp_path: Path) -> None:
    both = kd("both", teachers=("large", "kd+small"), label_weight=0.5)
    comparison = Comparison(bench(base, kd(), both, changes=("train.epochs=2",)), tmp_path / "out")
    assert list(comparison.rows) == ["small", "large", "kd+small", "both+small"]
    assert comparison.rows["kd+small"].teacher_runs == (("large", 0),)
    assert comparison.rows["both+small"].teacher_runs == (("large", 0), ("large", 1), ("kd+small", 0), ("kd+small", 1))
    jobs = {job.name: job for job in comparison.jobs()}
    assert not (tmp_path / "out").exists(), "jobs alone write nothing"
    comparison.write_recipes()
    verb, path, *rest = jobs["both+small"].arguments
    written = load_toml(path, Recipe)
    assert (verb, written.net, written.train.epochs) == ("distill", SMALL, 2)
    assert written.distill is not None
    large = comparison.key(comparison.rows["large"])
    assert written.distill.teachers[0] == str(tmp_path / "out" / "runs" / "large" / large / "seed-0")
    assert written.distill.label_weight == 0.5
    assert rest[-2:] == ["--seeds", "0,1"]
    assert jobs["small"].arguments[0] == "train"


def test_the_cost_is_three_passes_of_the_student_and_one_of_each_teacher(base: str, tmp_path: Path) -> None:
    comparison = Comparison(bench(base, kd("both", teachers=("large",), teacher_tta=3)), tmp_path)
    small, large = (count_macs(build_net(net, 5, comparison.side), comparison.side) for net in (SMALL, LARGE))
    images = comparison.samples // 16 * 16 * 4 * 2  # batch, epochs, seeds
    assert comparison.cost(comparison.rows["small"]).images == images
    assert comparison.cost(comparison.rows["small"]).macs == 3 * small * images
    assert comparison.cost(comparison.rows["both+small"]).macs == (3 * small + 3 * 2 * large) * images


def test_keys_tell_settings_apart_but_not_folders(base: str, tmp_path: Path) -> None:
    def keys(out: str, **changes: Any) -> dict[str, str]:
        comparison = Comparison(bench(base, kd(), **changes), tmp_path / out)
        return {name: comparison.key(row) for name, row in comparison.rows.items()}

    mine = keys("a")
    assert keys("b") == mine
    longer = keys("a", changes=("train.epochs=9",))
    assert not set(longer.values()) & set(mine.values())
    other = keys("a", nets=(NetRow(name="small", net=SMALL), NetRow(name="large", net=NetConfig(width=24))))
    assert other["small"] == mine["small"]
    assert other["kd+small"] != mine["kd+small"], "another teacher"


def test_keys_stay_when_recipes_and_weights_are_called_by_name(base: str, tmp_path: Path) -> None:
    def keys(*changes: str) -> dict[str, str]:
        comparison = Comparison(bench(base, changes=changes), tmp_path)
        return {name: comparison.key(row) for name, row in comparison.rows.items()}

    drawn = ('data.test=""', "train.batch=50")
    assert keys("data.train=synth:@synth-demo", *drawn) == keys("data.train=synth:recipes/synth-demo.toml", *drawn)
    assert keys("train.start=@flagship") == keys("train.start=benchmarks/runs/flagship") != keys()


def test_a_student_is_trained_as_its_row_alone_is(base: str, tmp_path: Path) -> None:
    nets = (NetRow(name="small", net=SMALL, changes=("augment.rotate=12", "train.epochs=9")), NetRow(name="large"))
    longer = kd("longer", changes=("train.epochs=11",))
    rows = Comparison(bench(base, kd(), longer, nets=nets), tmp_path).rows
    assert [rows[name].recipe.train.epochs for name in ("small", "kd+small", "longer+small")] == [9, 9, 11]
    assert rows["kd+small"].recipe.augment.rotate == 12
    for change in ("net.width=32", "net = {width = 32}", "train.seed=3", "train={seed=3}", "distill.label_weight=1"):
        with pytest.raises(
            ConfigError, match=f"{re.escape(repr(change))}: nets, methods and seeds are set by the bench"
        ):
            bench(base, changes=(change,))


def test_teachers_from_elsewhere_cost_too_and_are_looked_at(base: str, tmp_path: Path, small: Any) -> None:
    Trainer(small(train={"epochs": 1}), tmp_path / "run", Processes.join("cpu")).run()
    comparison = Comparison(bench(base, kd(teachers=(str(tmp_path / "run"),))), tmp_path / "out")
    alone, taught = (comparison.cost(comparison.rows[name]).macs for name in ("small", "kd+small"))
    assert taught == alone * 4 // 3
    with pytest.raises(ConfigError, match=r"row 'kd\+small': .*nothing.toml: cannot be read"):
        Comparison(bench(base, kd(teachers=("onnx:nothing.toml",))), tmp_path / "out")
    described = tmp_path / "teacher.toml"
    keys = {"model": "none.onnx", "labels": "labels.txt", "source": "nobody", "licence": "none"}
    described.write_text("".join(f'{key} = "{value}"\n' for key, value in keys.items()), encoding="utf-8")
    with pytest.raises(ModelError, match=r"row 'kd\+small': none\.onnx: cannot be found beside"):
        Comparison(bench(base, kd(teachers=(f"onnx:{described}",))), tmp_path / "out")


def test_teachers_whose_weights_are_gone_are_trained_again(base: str, tmp_path: Path) -> None:
    comparison = Comparison(bench(base, kd()), tmp_path)
    trained = [("small", 0), ("small", 1), ("large", 0), ("large", 1)]
    assert comparison.missing_weights(trained) == {("large", 0)}
    assert comparison.missing_weights([*trained, ("kd+small", 0), ("kd+small", 1)]) == set(), "no row needs it any more"
    place = comparison.folder("large", 0)
    place.mkdir(parents=True)
    (place / "weights.safetensors").touch()
    assert comparison.missing_weights(trained) == set()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (kd(teachers=("lage",)), "teacher 'lage' is no row above it; did you mean 'large'"),
        (kd(teachers=("large/7",)), r"teacher 'large/7': no seed 7; there are \(0, 1\)"),
        (kd(students=("smal",)), "row 'kd': student 'smal' is no row of nets; did you mean 'small'"),
        (kd(alone=True, teachers=("large",)), "row 'kd': name teachers, or set alone"),
        (kd("small"), "row 'small' is there twice"),
        (kd("a b"), "row 'a b': a name is also a folder's"),
        (kd(methods=(MethodConfig(name="kdd"),)), r"row 'kd\+small': distillation method 'kdd' is unknown"),
        (
            kd(methods=(MethodConfig(name="at", options={"layers": ["layer9"]}),)),
            r"row 'kd\+small': the net has no layer 'layer9'.*layer1",
        ),
        (kd(methods=(MethodConfig(name="simkd"),)), r"row 'kd\+small': simkd: the student's 'fc' has"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_trained(
    row: MethodRow, message: str, base: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        Comparison(bench(base, row), tmp_path)


def test_strange_teachers_and_recipes(base: str, tmp_path: Path, tiny_run: Path) -> None:
    with pytest.raises(ConfigError, match=r"row 'kd\+small': .*the teacher reads fit-32"):
        Comparison(bench(base, kd(teachers=(str(tiny_run),))), tmp_path)
    more = tmp_path / "more.toml"
    more.write_text(Path(base).read_text(encoding="utf-8") + '\n[distill]\nteachers = ["runs/x"]\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"has a \[distill\] section"):
        Comparison(bench(str(more)), tmp_path)
    with pytest.raises(ConfigError, match="row 'kd': no students"):
        bench(base, kd(), students=())


@pytest.mark.parametrize(
    "path", sorted(Path(str(files("hanmo") / "recipes" / "bench")).glob("*.toml")), ids=lambda p: p.stem
)
def test_the_comparisons_that_are_shipped(path: Path) -> None:
    config = load_toml(path, BenchConfig)
    assert config.name == path.stem, "runs/NAME is where the others look for it"
    for row in config.methods:
        for method in row.methods:
            build_method(method.name, method.options)
    recipe = load_toml(config.recipe, Recipe, config.changes)
    for net in config.nets:
        load_toml(config.recipe, Recipe, (*config.changes, *net.changes))
    assert recipe.distill is None


def test_a_row_that_begins_as_another_waits_for_it(base: str, tmp_path: Path) -> None:
    begun = NetRow(name="begun", net=SMALL, start="large/1")
    nets = (NetRow(name="large", net=LARGE), NetRow(name="small", net=SMALL), begun)
    comparison = Comparison(bench(base, kd(students=("begun",)), nets=nets), tmp_path)
    start = str(comparison.folder("large", 1))
    for name, after in (("begun", (("large", 1),)), ("kd+begun", (("large", 0), ("large", 1)))):
        assert comparison.rows[name].recipe.train.start == start
        assert next(job for job in comparison.jobs() if job.name == name).after == after
    assert comparison.rows["small"].recipe.train.start is None
    longer = tuple(replace(net, changes=("train.epochs=9",) if net.name == "large" else ()) for net in nets)
    other = Comparison(bench(base, nets=longer), tmp_path)
    assert comparison.key(comparison.rows["begun"]) != other.key(other.rows["begun"]), "another start"
    assert comparison.missing_weights([("large", 1)]) == {("large", 1)}


@pytest.mark.parametrize("start", ["large", "large/7", "later/0", "runs/large"])
def test_a_start_that_is_no_run_of_a_row_above_is_refused(base: str, tmp_path: Path, start: str) -> None:
    nets = (NetRow(name="large", net=LARGE), NetRow(name="small", net=SMALL, start=start), NetRow(name="later"))
    with pytest.raises(ConfigError, match=rf"row 'small': start '{start}'( is no run of a row above|: no seed 7)"):
        Comparison(bench(base, nets=nets), tmp_path)


def test_a_start_of_another_make_is_refused_before_anything_is_trained(base: str, tmp_path: Path) -> None:
    nets = (NetRow(name="large", net=NetConfig(name="vit")), NetRow(name="small", net=SMALL, start="large/0"))
    with pytest.raises(CheckpointError, match=r"row 'small': large: "):
        Comparison(bench(base, nets=nets, teachers=()), tmp_path)
