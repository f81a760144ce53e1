"""The commands of docs/casia.md run in their order on tiny drawn archives that have CASIA's names and form."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hanmo.charset import Charset
from hanmo.cli.main import main
from hanmo.data.gnt import write_gnt
from hanmo.data.sample import Sample

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "casia.md"
COMMANDS = [
    line
    for block in re.findall(r"```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    for line in block.splitlines()
]
TINY = [
    *("--set", "net.width=8", "--set", "net.depths=[1,1,1,1]", "--set", "train.epochs=1", "--set", "train.batch=8"),
    *("--set", "train.checkpoint_every=1", "--device", "cpu"),
]
"""What makes the trainings of the page short."""

ARCHIVES = {
    "Gnt1.0TrainPart1": ["001-f"],
    "Gnt1.0TrainPart2": ["113-f"],
    "Gnt1.0TrainPart3": ["225-f"],
    "Gnt1.0Test": ["337-f"],
    "Gnt1.1TrainPart1": ["1001-c", "1002-c"],
    "Gnt1.1TrainPart2": ["1121-c"],
    "Gnt1.1Test": ["1241-c"],
    "competition-gnt": ["C001-f", "C002-f"],
}
WRITTEN = "永山水火木A"  # the letter is outside of level 1, as the signs of CASIA are


@pytest.fixture
def owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of somebody who has the archives in ``casia``."""
    import torch

    from hanmo.synth.strokes.writer import StrokeBank

    monkeypatch.chdir(tmp_path)
    (tmp_path / "casia").mkdir()
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    bank, generator = StrokeBank(Charset(WRITTEN[:-1])), torch.Generator().manual_seed(3)
    for archive, writers in ARCHIVES.items():
        with zipfile.ZipFile(f"casia/{archive}.zip", "w", zipfile.ZIP_DEFLATED) as file:
            for writer in writers:
                pictures = 255 - bank.draw(torch.arange(5), generator, side=60).numpy()
                pictures = np.concatenate([pictures, pictures[:1]])
                samples = (Sample(label, picture) for label, picture in zip(WRITTEN, pictures, strict=True))
                write_gnt("one.gnt", samples)
                file.write("one.gnt", f"{archive}/{writer}.gnt")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["hanmo", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code, arguments


def made(verb: str, arguments: list[str]) -> list[str]:
    """The arguments of a command, with what makes a training short."""
    if verb == "export":
        return [*arguments, "--force"]  # a net of one epoch reads nothing, so its int8 model cannot be judged
    return [*arguments, *TINY] if verb in ("train", "distill") and "--resume" not in arguments else arguments


def test_there_are_commands_of_every_step() -> None:
    assert {shlex.split(line)[1] for line in COMMANDS} == {
        "data",
        "train",
        "distill",
        "export",
        "evaluate",
        "recognize",
    }
    assert all(line.startswith("hanmo ") for line in COMMANDS)


def test_the_page_runs_line_by_line(
    owner: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: dict[str, str] = {}
    for line in COMMANDS:
        _, *arguments = shlex.split(line)
        run(monkeypatch, made(arguments[0], arguments))
        told[line] = capsys.readouterr().out
    # The writers of the three packs; of each the letter was left out.
    for name, writers in (("casia-train", 6), ("casia-held-out", 2), ("casia-test", 2)):
        run(monkeypatch, ["data", "info", f"packs/{name}", "--json"])
        described = json.loads(capsys.readouterr().out)
        assert (described["writers"], described["samples"]) == (writers, 5 * writers)
        assert (described["classes"], described["characters"], described["skipped_unknown"]) == (3755, 5, writers)
    evaluations = [text for line, text in told.items() if line.startswith("hanmo evaluate")]
    assert len(evaluations) == 2
    for evaluated in evaluations:
        assert "2 writers: mean" in " ".join(evaluated.split())
        assert all(f"│ {writer}" in evaluated for writer in ("C001", "C002"))
    assert {seed.name for seed in (owner / "runs" / "casia-student").iterdir()} >= {"seed-0", "seed-1", "seed-2"}
    assert "research only" in (owner / "bundles" / "casia" / "bundle.json").read_text(encoding="utf-8")
    assert "Accuracy by writer" in (owner / "casia.html").read_text(encoding="utf-8")


def test_the_table_of_checks_adds_up() -> None:
    """The counts of the packs are sums of the published ones."""
    text = PAGE.read_text(encoding="utf-8")
    rows = {
        "casia-train": (1_246_991 + 897_758, 336 + 240),
        "casia-held-out": (309_684 + 223_991, 84 + 60),
        "casia-test": (224_419, 60),
    }
    for name, (samples, writers) in rows.items():
        assert f"| `{name}` | {samples:,} | {writers} | 3,755 |" in text
    assert f"{1_246_991 + 309_684 + 897_758 + 223_991:,} of these" in text
