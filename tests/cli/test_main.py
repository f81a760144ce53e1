"""The command line as a process: what it prints where, and its exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import resources
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hanmo
from hanmo.builtin import list_recipes
from hanmo.cli.main import app, main
from hanmo.data.gnt import write_gnt
from hanmo.data.sample import Sample

VERBS = (
    *(command.name or command.callback.__name__ for command in app.registered_commands if command.callback),
    *(group.name for group in app.registered_groups if isinstance(group.name, str)),
)
HEAVY = ("torch", "onnxruntime", "matplotlib", "onnx", "numpy", "PIL", "optuna", "fastapi", "uvicorn")


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int | str | None, str, str]:
    """Exit status, stdout and stderr of a command."""
    monkeypatch.setattr(sys, "argv", ["hanmo", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    return end.value.code, out, err


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, encoding="utf-8")


def test_help_lists_every_verb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(monkeypatch, capsys, "--help")
    assert (status, err) == (0, "")
    for verb in VERBS:
        assert f" {verb} " in out


@pytest.mark.parametrize("verb", [*VERBS, "data pack", "data show", "data info"])
def test_every_verb_has_help_with_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    status, out, _ = run(monkeypatch, capsys, *verb.split(), "--help")
    assert status == 0
    assert "Example" in out or verb == "data"


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        ("train", "train"),
        ("distill", "distill"),
        ("search", "search"),
        ("synth", "synth"),
        ("glyphs", "fonts"),
        ("bench distill", "bench"),
        ("bench steps", "bench"),
    ],
)
def test_help_ends_with_the_recipes_that_come_with_hanmo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str, kind: str
) -> None:
    _, out, _ = run(monkeypatch, capsys, *verb.split(), "--help")
    assert " ".join(out.split()).endswith(list_recipes(kind))


def test_only_recipes_of_the_verb_are_suggested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, err = run(monkeypatch, capsys, "train", "@nosuch")
    assert err.endswith(f"there are: {list_recipes('train').partition(': ')[2]}\n")


@pytest.mark.parametrize("verb", ["", *VERBS, "data pack"])
def test_h_is_help_everywhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert run(monkeypatch, capsys, *verb.split(), "-h") == run(monkeypatch, capsys, *verb.split(), "--help")


def test_the_shell_completes_verbs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--install-completion" in run(monkeypatch, capsys, "--help")[1]
    shell = {"_HANMO_COMPLETE": "complete_bash", "COMP_WORDS": "hanmo rec", "COMP_CWORD": "1"}
    ended = subprocess.run([sys.executable, "-m", "hanmo"], capture_output=True, env=os.environ | shell, text=True)
    assert ended.stdout.split() == ["recognize"]


def test_completion_is_installed_for_the_shell_in_use(tmp_path: Path) -> None:
    shell = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "hanmo", "--install-completion", "bash"]
    ended = subprocess.run(command, capture_output=True, env=os.environ | shell, text=True)
    assert ended.returncode == 0, ended.stderr
    (script,) = (path for path in tmp_path.rglob("*") if path.is_file() and path.name == "hanmo.sh")
    assert "_HANMO_COMPLETE" in script.read_text()


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, capsys, "--version") == (0, f"{hanmo.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("paint", "No such command 'paint'"),
        ("recognize", "Missing argument"),
        ("recognize a.png --top none", "Invalid value"),
        ("--loud", "No such option"),
    ],
)
def test_a_slip_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, told: str
) -> None:
    status, out, err = run(monkeypatch, capsys, *arguments.split())
    assert (status, out) == (2, "")
    assert err.startswith("Usage: hanmo ")
    assert told in err
    assert "Traceback" not in err


def test_an_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, out, err = run(monkeypatch, capsys, "data", "info", str(tmp_path))
    assert (status, out) == (2, "")
    assert err.startswith(f"hanmo: {tmp_path}: not a pack")
    assert err.count("\n") == 1


def test_debug_shows_where_an_error_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, _, err = run(monkeypatch, capsys, "--debug", "data", "info", str(tmp_path))
    assert status == 2
    assert "Traceback (most recent call last)" in err
    assert "hanmo.errors.PackError" in err
    assert err.splitlines()[-1].startswith(f"hanmo: {tmp_path}: not a pack")


def test_a_verbs_own_status_is_kept(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    linear_bundle: Callable[..., Any],
    tmp_path: Path,
) -> None:
    linear_bundle(tmp_path / "tiny", np.ones((256, 2), np.float32), "一丨")
    status, out, err = run(
        monkeypatch, capsys, "recognize", str(tmp_path / "none.png"), "--bundle", str(tmp_path / "tiny")
    )
    assert status == 2
    assert "no such file" in " ".join(out.split())
    assert err == "hanmo: 1 of 1 pictures could not be read\n"


def test_a_missing_package_is_named_with_the_remedy(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from hanmo.cli.main import main; main()"
    ended = python(code, "synth", "--show", "一", "--out", str(tmp_path / "sheet.png"))
    assert ended.returncode == 2
    assert ended.stderr == "hanmo: this verb needs torch; in the folder of the repository run: pip install '.[train]'\n"


def test_another_missing_module_is_ours_to_mend() -> None:
    code = "import sys; sys.modules['hanmo.data.pack'] = None; from hanmo.cli.main import main; main()"
    ended = python(code, "data", "info", "pack")
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


# A pipe is refused; here it stands for a file that is read for a long time.
PIPES = "import hanmo.data.records as records; records.open_file = lambda path: path.open('rb')"


def test_ctrl_c_ends_with_one_line(tmp_path: Path) -> None:
    pipe = tmp_path / "endless.gnt"
    os.mkfifo(pipe)
    # What runs in the background of a script is born deaf to Ctrl-C.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code += f"; {PIPES}; from hanmo.cli.main import main; main()"
    command = [sys.executable, "-c", code, "data", "pack", str(pipe), "--out", str(tmp_path / "pack")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    with pipe.open("wb"):  # returns when the command has opened the other end, where it then waits for bytes
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert err == "hanmo: stopped; what was complete is kept\n"
    assert process.returncode == 130
    assert sorted(p.name for p in tmp_path.iterdir()) == ["endless.gnt"]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_polite_kill_tidies_up(tmp_path: Path, workers: str) -> None:
    pipe, names = tmp_path / "endless.gnt", tmp_path / "names.json"
    os.mkfifo(pipe)
    names.write_text("{}")  # with a mapping the first process reads, and not its workers: they would refuse a pipe
    code = f"{PIPES}; from hanmo.cli.main import main; main()"
    command = [sys.executable, "-c", code, "data", "pack", str(pipe), "--out", str(tmp_path / "pack")]
    command += ["--workers", workers, "--mapping", str(names)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    with pipe.open("wb"):
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert err == "hanmo: stopped; what was complete is kept\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["endless.gnt", "names.json"]


def test_a_polite_kill_ends_workers_that_read(tmp_path: Path) -> None:
    picture = np.full((60, 60), 255, np.uint8)
    picture[20:40, 10:50] = 0
    write_gnt(tmp_path / "large.gnt", repeat(Sample("一", picture), 50_000))  # some ten seconds of normalising
    command = [sys.executable, "-m", "hanmo", "data", "pack", str(tmp_path / "large.gnt"), "--workers", "2"]
    command += ["--out", str(tmp_path / "pack")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    while process.poll() is None and not any(part.stat().st_size for part in tmp_path.glob("*/*")):
        time.sleep(0.05)  # until the first squares are written
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert err == "hanmo: stopped; what was complete is kept\n"
    assert [p.name for p in tmp_path.iterdir()] == ["large.gnt"]


def test_an_encoding_without_chinese_gets_code_points(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}  # that of a pipe on Windows
    for arguments, status in ((["--help"], 0), (["data", "info", str(tmp_path / "翰")], 2)):
        ended = subprocess.run([sys.executable, "-m", "hanmo", *arguments], capture_output=True, env=environment)
        assert ended.returncode == status
        assert rb"\u7ff0" in ended.stdout + ended.stderr
        assert b"Traceback" not in ended.stderr


def test_small_matrices_get_one_thread_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, expected in ((None, "1"), ("3", "3")):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given or "")
        if given is None:
            monkeypatch.delenv("OPENBLAS_NUM_THREADS")
        run(monkeypatch, capsys, "--version")
        assert os.environ["OPENBLAS_NUM_THREADS"] == expected


def test_the_package_says_that_it_is_typed() -> None:
    assert (resources.files("hanmo") / "py.typed").is_file()


@pytest.mark.parametrize("code", ["import hanmo", "import hanmo.cli.main"])
def test_imports_are_cheap(code: str) -> None:
    ended = python(f"{code}; import sys; print([name for name in {HEAVY} if name in sys.modules])")
    assert ended.stdout == "[]\n"


def test_help_loads_nothing_heavy() -> None:
    code = f"""
import sys
from hanmo.cli.main import app, main
sys.argv = ["hanmo", "--help"]
try:
    main()
finally:
    print([name for name in {HEAVY} if name in sys.modules])
"""
    ended = python(code)
    assert ended.returncode == 0
    assert ended.stdout.splitlines()[-1] == "[]"
