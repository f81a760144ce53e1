"""The embedded bundles and the packaged data are the recorded files, byte for byte."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import hanmo
from hanmo.builtin import EMBEDDED
from hanmo.bundle import Bundle

PACKAGE = Path(hanmo.__file__).parent
RECORD = Path(__file__).parents[1] / "golden" / "digests.txt"
KINDS = ("bundles/*/*", "weights/*/*", "**/*.bin", "charset/*.txt", "synth/data/*")
"""The packaged files that are data: nets, weights, strokes, counts and lists of characters."""


def recorded() -> dict[str, str]:
    """Path from the root of the repository -> SHA-256; the format of ``sha256sum``."""
    lines = RECORD.read_text(encoding="utf-8").splitlines()
    return {path: digest for digest, path in (line.split("  ") for line in lines)}


def packaged() -> dict[str, Path]:
    """The data files of this package, by the names of the record."""
    files = {path for kind in KINDS for path in PACKAGE.glob(kind) if path.is_file()}
    return {f"src/hanmo/{path.relative_to(PACKAGE).as_posix()}": path for path in files}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_data_file_is_the_recorded_one() -> None:
    found = {name: sha256(path) for name, path in packaged().items()}
    assert found == recorded(), f"a data file was changed, added or removed; where that is meant, change {RECORD.name}"


def test_the_record_names_every_embedded_bundle() -> None:
    names = {f"src/hanmo/bundles/{name}/{file}" for name in EMBEDDED for file in ("bundle.json", "model.onnx")}
    assert {name for name in recorded() if "/bundles/" in name} == names


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_digest_in_bundle_json_is_that_of_the_net(name: str) -> None:
    folder = PACKAGE / "bundles" / name
    table = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    assert table["files"] == {"model.onnx": sha256(folder / "model.onnx")}
    assert Bundle.embedded(name).name == name  # loading checks the digest that bundle.json has of itself


def test_the_readme_of_the_weights_has_their_digests() -> None:
    readme = (PACKAGE / "weights" / "README.md").read_text(encoding="utf-8")
    digests = {digest for name, digest in recorded().items() if "/weights/" in name}
    assert len(digests) == 4
    assert all(digest in readme for digest in digests)
