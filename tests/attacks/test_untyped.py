"""Names, numbers and nestings that Python answers with exceptions of its own: here they become hanmo's errors."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from attacks.budget import budget
from hanmo.atomic import write_whole
from hanmo.builtin import start_path
from hanmo.bundle import Bundle
from hanmo.classic.store import load_reader
from hanmo.cli.data import read_charset
from hanmo.config import load_toml
from hanmo.data.folder import read_folder, read_mapping
from hanmo.data.gnt import read_gnt, read_zip
from hanmo.data.pack import Pack, is_pack
from hanmo.data.pot import read_pot
from hanmo.data.read import read_samples
from hanmo.errors import CheckpointError, ConfigError, DataError, GntError, HanmoError, RecordError, StorageError
from hanmo.image import load
from hanmo.nets.registry import NETS, NetConfig, build_net
from hanmo.own.pictures import from_font
from hanmo.recognizer import Recognizer
from hanmo.synth.fonts.bank import GlyphBank
from hanmo.train.checkpoint import load_tensors, save_tensors
from hanmo.train.config import Recipe
from hanmo.train.run import load_trained
from needs import FULL_DEVICE

DOORS: dict[str, Callable[[str], object]] = {
    "picture": load,
    "gnt": lambda name: list(read_gnt(name)),
    "pot": lambda name: list(read_pot(name)),
    "zip": lambda name: list(read_zip(name)),
    "samples": lambda name: list(read_samples([name])),
    "folder": lambda name: list(read_folder(name)),
    "mapping": read_mapping,
    "pack": Pack.open,
    "bundle": Bundle.load,
    "recognizer": Recognizer,
    "recipe": lambda name: load_toml(name, Recipe),
    "tensors": lambda name: load_tensors(Path(name)),
    "weights": load_trained,
    "start": start_path,
    "classic": load_reader,
    "charset": read_charset,
    "bank": GlyphBank.open,
    "font": lambda name: list(from_font(name, "一")),
}
NAMES = {
    "a zero byte": "a\0.gnt",
    "5,000 characters": "a" * 5000,
    "a path of 5,000 characters": "a/" * 2500 + "b.gnt",
    "control characters": "\x1b[31m\n.gnt",
    "no text": "\udcff.gnt",
    "nothing": "no-such-file.gnt",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("door", DOORS)
def test_names_that_cannot_be(door: str, name: str) -> None:
    with budget(), pytest.raises(HanmoError) as caught:
        DOORS[door](NAMES[name])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 1100


READING = [door for door in DOORS if door != "start"]  # which only looks whether there is something


@pytest.mark.parametrize("door", READING)
def test_a_pipe_is_refused_and_not_waited_for(door: str, tmp_path: Path) -> None:
    path = tmp_path / "pipe.gnt"
    os.mkfifo(path)
    with budget(), pytest.raises(HanmoError):
        DOORS[door](str(path))


@pytest.mark.parametrize("door", READING)
def test_a_device_that_never_ends_is_refused(door: str, tmp_path: Path) -> None:
    (tmp_path / "zero.gnt").symlink_to("/dev/zero")
    with budget(), pytest.raises(HanmoError):
        DOORS[door](str(tmp_path / "zero.gnt"))


@pytest.mark.parametrize("door", READING)
@pytest.mark.parametrize("text", [b"", b"[", b"{", b"a = ", b"P5 "])
def test_a_file_of_a_hundred_megabytes_is_refused_at_once(door: str, text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "large.gnt"
    with path.open("wb") as file:
        file.write(text)
        file.truncate(100_000_000)
    with budget(), pytest.raises(HanmoError):
        DOORS[door](str(path))


def test_a_head_of_a_hundred_megabytes_is_refused_at_once(tmp_path: Path) -> None:
    for name in ("pack.json", "bundle.json", "weights.safetensors"):
        with (tmp_path / name).open("wb") as file:
            file.write(b"{")
            file.truncate(100_000_000)
    for door in ("pack", "bundle", "weights"):
        with budget(), pytest.raises(HanmoError):
            DOORS[door](str(tmp_path))


def test_a_pipe_as_a_file_of_a_pack_or_bundle(tmp_path: Path) -> None:
    for name in ("pack.json", "bundle.json", "weights.safetensors"):
        os.mkfifo(tmp_path / name)
    assert not is_pack(tmp_path)
    for door in ("pack", "bundle", "weights"):
        with budget(), pytest.raises(HanmoError):
            DOORS[door](str(tmp_path))


def test_a_result_never_replaces_a_pipe_or_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="pipe: is a pipe or a device; name a file"):
        write_whole(tmp_path / "pipe", b"data")
    assert (tmp_path / "pipe").is_fifo()


def test_an_error_with_more_than_a_message_can_be_sent_between_processes() -> None:
    error = pickle.loads(pickle.dumps(GntError("the size field lies", Path("a.gnt"), 32)))
    assert (type(error), str(error)) == (GntError, "a.gnt: byte 32: the size field lies")
    assert (error.path, error.offset) == (Path("a.gnt"), 32)


def subclasses(kind: type[HanmoError]) -> list[type[HanmoError]]:
    return [kind, *(deep for one in kind.__subclasses__() for deep in subclasses(one))]


PUBLIC = [kind for kind in subclasses(HanmoError) if kind.__module__ == "hanmo.errors"]


@pytest.mark.parametrize("kind", PUBLIC)
def test_every_error_can_be_sent_between_processes(kind: type[HanmoError]) -> None:
    error = kind(*(("reason", "a.gnt", 3) if issubclass(kind, RecordError) else ("message",)))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


def test_a_message_stays_on_one_line_and_short() -> None:
    assert str(DataError("a\nb\x1b[2J\u202e.gnt")) == r"a\nb\x1b[2J\u202e.gnt"
    assert len(str(DataError("x" * 1_000_000))) < 1100


TOML = {
    "lists in lists": "x = " + "[" * 30_000,
    "tables in tables": "x = " + "{a = " * 15_000,
    "lists that end": "x = " + "[" * 5000 + "]" * 5000,
    "a key of many parts": "a." * 30_000 + "b = 1",
    "a table of many parts": "[" + "a." * 30_000 + "b]",
    "a key of many parts in quotes": '"a" . ' * 10_000 + "b = 1",
    "a key of many parts in a table": "x = {" + "a." * 30_000 + "b = 1}",
    "a number of many digits": "x = " + "9" * 30_000,
    "an exponent": "x = 1e" + "9" * 30_000,
    "not closed": 'x = "' + "a" * 60_000,
    "a megabyte": "# " + "a" * 1_000_000,
    "the same key": "x = 1\n" * 10_000,
    "many tables": "".join(f"[a{i}.b]\n" for i in range(5_000)),
    "zero bytes": "\0" * 1000,
    "an unknown key of 60 kB": "a" * 60_000 + " = 1",
    "escapes": 'x = "\\uD800"',
    "backslashes": 'x = """' + "\\\n" * 25_000,
    "quotes": "'" * 60_000,
}


@pytest.mark.parametrize("name", TOML)
def test_toml_that_nests_or_grows_without_end(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(TOML[name])
    with budget(), pytest.raises(ConfigError) as caught:
        load_toml(tmp_path / "x.toml", Recipe)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 1100


@pytest.mark.parametrize(
    "override",
    [
        "net.width=" + "[" * 15_000,
        "net.width=" + "9" * 10_000,
        "a." * 15_000 + "b=1",
        "a" * 300_000,
        "a" * 300_000 + "=1",
        "net.name=" + "a" * 300_000,
        "net.width=1000000000",
        "net.depths=[1, 1, 1, 1000000000]",
        "net.bottleneck=1000000000",
        "net.width=nan",
        "train.batch=inf",
        "=",
        ".=1",
        "net..width=1",
        "\0=\0",
    ],
)
def test_overrides_of_the_same_kind(override: str) -> None:
    with budget(seconds=0.2), pytest.raises(ConfigError) as caught:
        load_toml("@demo-alone", Recipe, [override])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 1100


@pytest.mark.parametrize("name", NETS)
def test_a_net_that_does_not_fit_its_tensors_is_not_built(name: str, tmp_path: Path) -> None:
    header = {
        "net": {"name": name, "width": 1024},
        "charset": "一丁",
        "normalization": {"method": "fit", "side": 64, "margin": 1, "version": 1},
        "trained_on": [],
        "accuracy": {},
    }
    save_tensors(tmp_path / "weights.safetensors", {"fc.weight": torch.ones(2, 2)}, header)
    state = torch.random.get_rng_state()
    with budget(seconds=1), pytest.raises(CheckpointError, match="of another net"):
        load_trained(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", NETS)
def test_shapes_are_compared_without_random_numbers(name: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    net = build_net(NetConfig(name=name, width=8), 2, 64)
    after = torch.rand(3)
    torch.manual_seed(3)
    build_net(NetConfig(name=name, width=8), 2, 64)
    header = {
        "net": {"name": name, "width": 8},
        "charset": "一丁",
        "normalization": {"method": "fit", "side": 64, "margin": 1, "version": 1},
        "trained_on": [],
        "accuracy": {},
    }
    save_tensors(tmp_path / "weights.safetensors", net.state_dict(), header)
    torch.manual_seed(3)
    loaded = load_trained(tmp_path).net  # one net is built, and so as many random numbers are used
    assert torch.equal(torch.rand(3), after)
    for key, tensor in net.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor)


def test_an_output_that_takes_nothing_is_named_in_one_line() -> None:
    code = "from hanmo.cli.main import main; main()"
    with Path(FULL_DEVICE.get()).open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, "recognize", "--help"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert os.strerror(errno.ENOSPC) in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.returncode == 2


def test_a_warning_of_hanmo_is_one_line_on_the_command_line() -> None:
    code = (
        "import warnings; from hanmo.cli import main; from hanmo.errors import DamageWarning\n"
        "main.app = lambda **_: [warnings.warn('step-9 is damaged', DamageWarning), warnings.warn('other')]\n"
        "main.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.startswith("hanmo: warning: step-9 is damaged\n<string>:2: UserWarning: other")
