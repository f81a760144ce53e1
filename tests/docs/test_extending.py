"""The code blocks of docs/extending.md run exactly as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCKS: dict[str, str] = dict(re.findall(r'```python title="(\w+)"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.S))


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], types.ModuleType]]:
    """``module(title)``: the block of that title as a module; what it registers is forgotten after the test."""
    from hanmo.distill import METHODS
    from hanmo.nets.registry import NETS, UNSUPPORTED_OPTIONS

    tables: tuple[dict[str, Any], ...] = (METHODS, NETS, UNSUPPORTED_OPTIONS)
    before = [dict(table) for table in tables]

    def run(title: str) -> types.ModuleType:
        made = types.ModuleType(f"extending_{title}")
        monkeypatch.setitem(sys.modules, made.__name__, made)  # annotations are looked up there
        exec(compile(BLOCKS[title], f"{PAGE.name}: {title}", "exec"), made.__dict__)
        return made

    yield run
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


def test_each_of_the_three_takes_at_most_forty_lines() -> None:
    assert list(BLOCKS) == ["net", "method", "reader"]
    assert all(len(block.splitlines()) <= 40 for block in BLOCKS.values())


def test_net_and_method_are_known_once_their_lines_are_added(tmp_path: Path) -> None:
    """In a copy of the package, changed as the page says; a recipe of the page's TOML blocks then names both."""
    text = PAGE.read_text(encoding="utf-8")
    copy = tmp_path / "src" / "hanmo"
    shutil.copytree(PAGE.parents[1] / "src" / "hanmo", copy, ignore=shutil.ignore_patterns("weights", "bundles"))
    imports = re.findall(r"`(from hanmo\.(\w+) import (\w+) as \w+)`", text)
    assert [(part, name) for _, part, name in imports] == [("nets", "tiny"), ("distill", "probabilities")]
    for (line, part, name), title in zip(imports, ("net", "method"), strict=True):
        assert f"`src/hanmo/{part}/{name}.py`" in text
        (copy / part / f"{name}.py").write_text(BLOCKS[title], encoding="utf-8")
        with (copy / part / "__init__.py").open("a", encoding="utf-8") as package:
            package.write(f"{line}\n")
    recipe = 'name = "mine"\n[data]\ntrain = "packs/mine"\n' + "\n".join(re.findall(r"```toml\n(.*?)```", text, re.S))
    (tmp_path / "mine.toml").write_text(recipe, encoding="utf-8")
    code = """
from hanmo.config import load_toml
from hanmo.distill import build_method
from hanmo.nets.registry import build_net
from hanmo.train.config import Recipe
recipe = load_toml("mine.toml", Recipe)
(method,) = recipe.distill.methods
print(type(build_net(recipe.net, 5)).__module__, build_method(method.name, method.options).temperature)
print(recipe.distill.teachers)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(copy.parent)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "hanmo.nets.tiny 3.0\n('runs/teacher',)\n"


def train(recipe: Any, folder: Path) -> dict[str, Any]:
    from hanmo.train.loop import Trainer
    from hanmo.train.parallel import Processes

    return Trainer(recipe, folder, Processes.join("cpu")).run()


def test_the_net_is_trained_by_name(module: Any, small: Callable[..., Any], tmp_path: Path) -> None:
    from hanmo.errors import ConfigError
    from hanmo.nets.registry import NetConfig
    from hanmo.train.run import load_trained

    net = module("net")
    record = train(small(net=NetConfig(name="tiny", width=16), train={"epochs": 2}), tmp_path / "run")
    assert record["top1"] > 20  # five classes: better than a guess after two epochs
    trained = load_trained(tmp_path / "run")
    assert isinstance(trained.net, net.TinyNet)
    with pytest.raises(ConfigError, match="attention"):
        NetConfig(name="tiny", attention="se")


def test_the_method_teaches_a_student(module: Any, small: Callable[..., Any], tmp_path: Path) -> None:
    import torch

    from hanmo.distill import build_method
    from hanmo.train.config import DistillConfig, MethodConfig

    method = module("method")
    logits = torch.randn(4, 5)
    assert method.probability_loss(logits, logits, 2.0) == 0
    assert method.probability_loss(logits, logits.roll(1, dims=0), 2.0) > 0
    assert build_method("probabilities", {"temperature": 3.0}).temperature == 3.0

    train(small(train={"epochs": 1}), tmp_path / "teacher")
    distill = DistillConfig(teachers=(str(tmp_path / "teacher"),), methods=(MethodConfig(name="probabilities"),))
    record = train(small(train={"epochs": 1}, distill=distill), tmp_path / "student")
    assert 0 <= record["top1"] <= 100


def test_the_reader_makes_a_pack(module: Any, tmp_path: Path) -> None:
    from hanmo.errors import DataError

    reader = module("reader")
    examples = PAGE.parents[1] / "examples"
    folder = tmp_path / "mine"
    folder.mkdir()
    rows = [("01-yong.png", "永", "ada"), ("05-shu.jpg", "书", "bob"), ("06-yue.png", "月", "ada")]
    for name, _, _ in rows:
        (folder / name).write_bytes((examples / name).read_bytes())
    (folder / "labels.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")

    pack = reader.pack_table(folder, tmp_path / "pack")
    assert pack.images.shape == (3, 48, 48)
    assert [pack.charset[label] for label in pack.labels] == ["永", "书", "月"]
    assert set(pack.writers) == {"ada", "bob"}

    (folder / "labels.tsv").write_text("01-yong.png\t永\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"labels\.tsv: line 1 has 2 columns"):
        reader.pack_table(folder, tmp_path / "other")
