"""Recipes as frozen dataclasses: what goes in comes out, and what is not known is named."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanmo.config import dump_toml, from_table, load_toml, to_table
from hanmo.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Step:
    name: str
    weight: float | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5
    count: int = 3
    mode: Literal["fast", "slow"] = "fast"
    on: bool = False

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ConfigError(f"rate {self.rate} must not be negative")


@dataclass(frozen=True, kw_only=True)
class Outer:
    title: str
    inner: Inner = field(default_factory=Inner)
    places: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    amount: str | int = 1
    extra: Inner | None = None


def load(tmp_path: Path, text: str, *overrides: str) -> Outer:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return load_toml(path, Outer, overrides)


def test_every_kind_of_field(tmp_path: Path) -> None:
    text = """
        title = "翰墨"
        places = ["a", "b"]
        amount = "level1"
        [inner]
        rate = 2
        mode = "slow"
        on = true
        [extra]
        count = 7
        [[steps]]
        name = "kd"
        weight = 0.5
        options = { temperature = 4.0, layers = ["layer1", "layer2"] }
        [[steps]]
        name = "at"
    """
    steps = (Step(name="kd", weight=0.5, options={"temperature": 4.0, "layers": ["layer1", "layer2"]}), Step(name="at"))
    inner = Inner(rate=2.0, mode="slow", on=True)
    expected = Outer(title="翰墨", places=("a", "b"), amount="level1", inner=inner, extra=Inner(count=7), steps=steps)
    loaded = load(tmp_path, text)
    assert loaded == expected
    assert type(loaded.inner.rate) is float
    assert load(tmp_path, dump_toml(loaded)) == loaded


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(texts, st.integers(-(2**60), 2**60), numbers, st.booleans(), st.lists(texts, max_size=3))
steps = st.builds(Step, name=texts, weight=st.none() | numbers, options=st.dictionaries(texts, values, max_size=3))
inners = st.builds(
    Inner,
    rate=st.floats(0, 1e300),
    count=st.integers(-(2**60), 2**60),
    mode=st.sampled_from(["fast", "slow"]),
    on=st.booleans(),
)


@given(
    st.builds(
        Outer,
        title=texts,
        inner=inners,
        places=st.lists(texts, max_size=3).map(tuple),
        steps=st.lists(steps, max_size=2).map(tuple),
        amount=texts | st.integers(0, 10),
        extra=st.none() | inners,
    )
)
def test_what_is_dumped_can_be_loaded(config: Outer) -> None:
    assert from_table(tomllib.loads(dump_toml(config)), Outer) == config
    assert from_table(to_table(config), Outer) == config


def test_overrides_are_toml_values_or_bare_words(tmp_path: Path) -> None:
    changed = load(
        tmp_path,
        'title = "a"\n',
        "title=b",
        "inner.count = 9",
        "inner.mode=slow",
        'places=["x", "y"]',
        "extra.rate=0.25",
        'steps=[{name="kd", options={temperature=2}}]',
    )
    assert changed.title == "b"
    assert changed.inner == Inner(count=9, mode="slow")
    assert changed.places == ("x", "y")
    assert changed.extra == Inner(rate=0.25)
    assert changed.steps == (Step(name="kd", options={"temperature": 2}),)


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ('titel = "a"', [], r"recipe\.toml: unknown key 'titel'; did you mean 'title'\?"),
        ('title = "a"\n[inner]\nrat = 1', [], r"unknown key 'inner\.rat'; did you mean 'inner\.rate'\?"),
        ('title = "a"\nzzz = 1', [], "unknown key 'zzz'; known: title, inner, places"),
        ('title = "a"\nsteps = [{weight = 1}]', [], r"key 'steps\.name' is missing"),
        ("", [], "key 'title' is missing"),
        ("title = 3", [], r"title = 3: a value of type str is needed"),
        ('title = "a"\n[inner]\ncount = 1.5', [], r"inner\.count = 1\.5: a value of type int"),
        ('title = "a"\n[inner]\ncount = true', [], r"inner\.count = True: a value of type int"),
        ('title = "a"\n[inner]\nrate = true', [], r"inner\.rate = True: a finite number"),
        ('title = "a"\n[inner]\nrate = nan', [], r"inner\.rate = nan: a finite number"),
        ('title = "a"\n[inner]\nrate = inf', [], r"inner\.rate = inf: a finite number"),
        (f'title = "a"\n[inner]\nrate = {"9" * 400}', [], "a finite number is needed"),
        (f"title = {'9' * 5000}", [], r"recipe\.toml: not valid TOML: Exceeds the limit"),
        ('title = "a"', [f"title={'9' * 5000}", "inner.count=x"], r"inner\.count = 'x': a value of type int"),
        ('title = "a"\n[inner]\non = 1', [], r"inner\.on = 1: a value of type bool"),
        ('title = "a"\n[inner]\nmode = "quick"', [], r"inner\.mode = 'quick' is not possible; one of 'fast', 'slow'"),
        ('title = "a"\nplaces = "b"', [], r"places = 'b': a list, each entry a value of type str, is needed"),
        ('title = "a"\nplaces = [1]', [], r"places = 1: a value of type str"),
        ('title = "a"\ninner = 3', [], r"inner = 3: a section \(a table\) is needed"),
        ('title = "a"\namount = 1.5', [], r"amount = 1\.5: a value of type int"),
        ('title = "a"\nextra = "b"', [], r"extra = 'b': a section \(a table\) is needed"),
        ('title = "a"\n[inner]\nrate = -1', [], r"recipe\.toml: inner: rate -1\.0 must not be negative"),
        ('title = "a"\n[[[', [], "not valid TOML"),
        ('title = "a"', ["inner.rate"], r"--set 'inner\.rate': write section\.key=value"),
        ('title = "a"', ["=3"], "write section.key=value"),
        ('title = "a"', ["title.x=3"], "'title' is a value, not a section"),
        ('title = "a"', ["inner.cuont=3"], r"did you mean 'inner\.count'\?"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, text, *overrides)
    assert "\n" not in str(caught.value).split("not valid TOML")[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load_toml(tmp_path / "none.toml", Outer)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_toml(tmp_path, Outer)
    (tmp_path / "latin.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_toml(tmp_path / "latin.toml", Outer)


@dataclass(frozen=True, kw_only=True)
class Renamed:
    now: int = field(default=0, metadata={"alias": "before"})


def test_keys_that_were_renamed_are_still_read() -> None:
    assert from_table({"before": 3}, Renamed) == from_table({"now": 3}, Renamed) == Renamed(now=3)
    with pytest.raises(ConfigError, match="before and now are one key"):
        from_table({"before": 3, "now": 3}, Renamed)


@dataclass(frozen=True, kw_only=True)
class Around:
    inside: Renamed | None = field(default=None, metadata={"alias": "within"})


@pytest.mark.parametrize("section", ["inside", "within"])
@pytest.mark.parametrize("override", ["inside.now=5", "within.now=5", "inside.before=5", "within.before=5"])
def test_an_override_may_use_either_name_of_a_key(tmp_path: Path, section: str, override: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f"[{section}]\nbefore = 3\n", encoding="utf-8")
    assert load_toml(path, Around, [override]) == Around(inside=Renamed(now=5))
