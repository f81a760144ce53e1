"""The doors by which files of others come in, with a small good file for each, for tests and for the fuzzer.

A door is a function of a file's bytes. It returns, or raises a :class:`hanmo.errors.HanmoError`; anything else is a
defect.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from hanmo.bundle import JSON_NAME, MODEL_NAME, Bundle, write_bundle
from hanmo.bundle_json import serialise
from hanmo.charset import Charset
from hanmo.config import load_toml
from hanmo.data.folder import read_mapping
from hanmo.data.gnt import read_gnt, read_zip
from hanmo.data.pack import Pack, write_pack
from hanmo.data.pot import read_pot
from hanmo.data.sample import Sample
from hanmo.errors import HanmoError
from hanmo.extension import Extension
from hanmo.image import load
from hanmo.net_rules import check_net
from hanmo.normalize import Normalization
from hanmo.train.checkpoint import load_tensors, save_tensors
from hanmo.train.config import Recipe

FIT = Normalization(side=16, margin=1)
PICTURES = ("png", "jpeg", "webp", "bmp", "gif", "tiff", "ppm")
BAR = np.full((20, 20), 255, np.uint8)
BAR[6:9, 3:15] = 0


@cache
def _folder() -> Path:
    place = tempfile.TemporaryDirectory(prefix="hanmo-doors-")
    _kept.append(place)  # removed when the process ends
    return Path(place.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def _at(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def picture(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about metadata
        grey = load(data)
    FIT.inspect(grey)


def gnt(data: bytes) -> None:
    for _ in read_gnt(_at("a.gnt", data)):
        pass


def xz(data: bytes) -> None:
    for _ in read_gnt(_at("a.gnt.xz", data)):
        pass


def pot(data: bytes) -> None:
    for _ in read_pot(_at("a.pot", data)):
        pass


def archive(data: bytes) -> None:
    for _ in read_zip(_at("a.zip", data)):
        pass


def pack_head(data: bytes) -> None:
    _good_pack()
    _at("pack/pack.json", data)
    Pack.open(_folder() / "pack", verify=True)


def bundle_json(data: bytes) -> None:
    """The digest is made right, as a forger would, so that values are reached; unless that is impossible."""
    _good_bundle()
    try:
        table = json.loads(data)
        table.pop("sha256", None)
        table["sha256"] = hashlib.sha256(serialise(table)).hexdigest()
        data = serialise(table)
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    _at(f"bundle/{JSON_NAME}", data)
    Bundle.load(_folder() / "bundle")


def net(data: bytes) -> None:
    check_net(data)


def extension(data: bytes) -> None:
    Extension.from_bytes(data, 4, "extension.npy")


def safetensors(data: bytes) -> None:
    load_tensors(_at("x.safetensors", data))


def toml(data: bytes) -> None:
    load_toml(_at("x.toml", data), Recipe)


def override(data: bytes) -> None:
    load_toml("@demo-alone", Recipe, [data.decode(errors="surrogateescape")])


def mapping(data: bytes) -> None:
    read_mapping(_at("x.json", data))


def table(data: bytes) -> None:
    read_mapping(_at("x.tsv", data))


DOORS: dict[str, Callable[[bytes], None]] = {
    **dict.fromkeys(PICTURES, picture),
    "gnt": gnt,
    "pot": pot,
    "xz": xz,
    "zip": archive,
    "pack_head": pack_head,
    "bundle_json": bundle_json,
    "net": net,
    "extension": extension,
    "safetensors": safetensors,
    "toml": toml,
    "override": override,
    "mapping": mapping,
    "table": table,
}


def enter(door: str, data: bytes) -> bool:
    """Whether the door takes the data; False where it refuses in words of one line."""
    try:
        DOORS[door](data)
    except HanmoError as error:
        text = str(error)
        assert text.isprintable(), text
        assert len(text) < 1100, text
        return False
    return True


@cache
def good(door: str) -> bytes:
    """A small file that the door takes."""
    if door in PICTURES:
        file = BytesIO()
        Image.fromarray(_written()).save(file, door)
        return file.getvalue()
    return _GOOD[door]()


def _written() -> np.ndarray:
    """Two strokes on grainy paper, uint8 (24, 30)."""
    grey = np.random.default_rng(7).integers(235, 250, (24, 30), np.uint8)
    grey[5:8, 5:25] = grey[5:20, 13:16] = 20
    return grey


def _records() -> bytes:
    return b"".join(struct.pack("<I2sHH", 10 + 6, b"\xb0\xa1", 2, 3) + bytes(6) for _ in range(5))


def _pen_strokes() -> bytes:
    points = (5, 6, 7, 8, -1, 0, 9, 9, -1, 0, -1, -1)
    return struct.pack("<H4sH12h", 8 + 24, b"\xa1\xb0\0\0", 2, *points) * 5


def _good_archive() -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("HWDB/1002-c.gnt", "HWDB/1001-c.gnt", "readme.txt"):
            # Not by the clock: the bytes must be the same in every run.
            archive.writestr(zipfile.ZipInfo(name), _records(), zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _good_pack() -> bytes:
    place = _folder() / "pack"
    if not place.exists():
        samples = (Sample("一丁七"[i % 3], BAR, "drawn") for i in range(9))
        write_pack(place, samples, normalization=FIT)
        (_folder() / "pack.json").write_bytes((place / "pack.json").read_bytes())
    return (_folder() / "pack.json").read_bytes()


def _good_net() -> bytes:
    import onnx
    from onnx import helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((256, 3), np.float32), "weights")
    shape = numpy_helper.from_array(np.array([-1, 256]), "shape")
    nodes = [
        helper.make_node("Cast", ["squares"], ["floats"], to=1),
        helper.make_node("Reshape", ["floats", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    ports = [
        helper.make_tensor_value_info("squares", 2, ["N", 1, 16, 16]),
        helper.make_tensor_value_info("logits", 1, ["N", 3]),
    ]
    graph = helper.make_graph(nodes, "net", ports[:1], ports[1:], [weights, shape])
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bytes(model.SerializeToString())


def _good_bundle() -> bytes:
    place = _folder() / "bundle"
    if not place.exists():
        write_bundle(
            place,
            _good_net(),
            name="tiny",
            charset=Charset("一丨十"),
            normalization=FIT,
            mean=0.25,
            std=0.3,
            net="linear",
            parameters=768,
            precision="fp32",
            trained_on=[{"name": "nothing", "licence": "CC0-1.0"}],
            licence="Apache-2.0",
            accuracy={"top1": 98.5},
            groups={"一": "一-"},
        )
        (_folder() / JSON_NAME).write_bytes((place / JSON_NAME).read_bytes())
        assert (place / MODEL_NAME).exists()
    return (_folder() / JSON_NAME).read_bytes()


def _good_extension() -> bytes:
    row = np.ones((1, 5), np.float32)
    return Extension.empty(3, 5).with_prototypes(np.array([3]), row, np.ones(1, np.float32)).to_bytes()


def _good_tensors() -> bytes:
    import torch

    path = _folder() / "good.safetensors"
    save_tensors(path, {"net.a": torch.arange(6.0), "net.b": torch.tensor(3)}, {"step": 3, "net": "翰"})
    return path.read_bytes()


_TOML = b"""name = "small"
[data]
train = "packs/train"
test = "packs/test"
[net]
name = "resnet18"
width = 8
depths = [1, 1, 1, 1]
[augment]
[optim]
learning_rate = 1e-3
[train]
epochs = 3
batch = 16
"""

_GOOD: dict[str, Callable[[], bytes]] = {
    "gnt": _records,
    "pot": _pen_strokes,
    "zip": _good_archive,
    "xz": lambda: lzma.compress(_records()) * 2,
    "pack_head": _good_pack,
    "bundle_json": _good_bundle,
    "net": _good_net,
    "extension": _good_extension,
    "safetensors": _good_tensors,
    "toml": lambda: _TOML,
    "override": lambda: b"net.width=16",
    "mapping": lambda: '{"0001": "一", "0002": "U+7FF0"}'.encode(),
    "table": lambda: "folder\tcharacter\n0001\t一\n0002\tU+7FF0\n".encode(),
}
