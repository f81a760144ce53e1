"""The page that reads by itself: its folder, and the runtime that it takes.

What a browser makes of it is in tests/e2e/site, what node makes of its reader in test_local.py.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest

from hanmo.bundle import Bundle, write_bundle
from hanmo.errors import BundleError, InstallationError, RunError
from hanmo.medians import load_medians
from hanmo.normalize import Normalization
from hanmo.recognizer import Recognizer
from hanmo.serve import runtime, site
from hanmo.serve.limits import SECURITY_HEADERS

# -- the folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in the place of onnxruntime-web, and its digests in the place of the published ones."""
    contents = {name: f"// {name}".encode() for name in runtime.FILES}
    path = tmp_path / "runtime.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {**contents, "ort.other.mjs": b"not wanted"}.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    monkeypatch.setattr(runtime, "FILES", {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()})
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    monkeypatch.setattr(runtime, "_SHA512", digest)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_holds_all_that_reading_needs(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "site"
    sizes = site.write_site(out, package)
    written = contents(out)
    assert {name: len(data) for name, data in written.items()} == sizes
    as_it_is = onnxruntime.SessionOptions()
    as_it_is.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    rewritten = onnxruntime.InferenceSession(written["static/reader/model.onnx"], as_it_is)
    squares = np.random.default_rng(0).integers(0, 256, (3, 48, 48), np.uint8)
    (answers,) = rewritten.run(["logits"], {rewritten.get_inputs()[0].name: squares[:, None]})
    np.testing.assert_array_equal(answers, Recognizer("nano").logits(squares))
    assert written["static/reader/ort.wasm.bundle.min.mjs"] == b"// ort.wasm.bundle.min.mjs"
    assert "ort.other.mjs" not in " ".join(written)
    assert {"LICENSE", "NOTICE", "ARPHICPL.txt", "onnxruntime-LICENSE", "onnxruntime-ThirdPartyNotices.txt"} == {
        name.removeprefix("licences/") for name in written if name.startswith("licences/")
    }
    assert b"Arphic" in written["licences/ARPHICPL.txt"]
    moved = ("index.html", site.OFFLINE)
    static = {f"static/{name}": data for name, data in contents(site.STATIC).items() if name not in moved}
    assert static.items() <= written.items()
    assert not [name for name in written if "partial" in name]
    assert [path.name for path in out.parent.iterdir()] == ["site"]


def test_the_page_reads_by_itself_under_a_policy_that_lets_nothing_else_in(package: Path, tmp_path: Path) -> None:
    site.write_site(tmp_path / "site", package)
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert '<meta name="hanmo-reader" content="local">' in page
    assert page.index("Content-Security-Policy") < min(page.index("<link"), page.index("<script"))
    allowed = site.CSP.replace(" 'wasm-unsafe-eval'", "")
    assert allowed + "; frame-ancestors 'none'" == SECURITY_HEADERS["Content-Security-Policy"]
    assert '="/' not in page
    assert "://" not in page


def test_what_is_kept_for_use_without_a_connection_is_one_version(
    package: Path, tmp_path: Path, bundle: Bundle
) -> None:
    versions = []
    for name in ("nano", bundle, "nano"):
        site.write_site(tmp_path / "site", package, name)
        listed = json.loads((tmp_path / "site" / site.MARKER).read_bytes())
        assert f'const VERSION = "{listed["version"]}";' in (tmp_path / "site" / "offline.js").read_text("utf-8")
        written = contents(tmp_path / "site")
        del written[site.MARKER]
        assert listed["files"] == {file: hashlib.sha256(data).hexdigest() for file, data in written.items()}
        versions.append(listed["version"])
    assert versions[0] == versions[2] != versions[1]


def test_a_folder_of_its_own_is_replaced_and_equal(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()  # an empty folder will do
    site.write_site(out, package)
    before = contents(out)
    (out / "static" / "js" / "main.js").unlink()
    site.write_site(out, package)
    assert contents(out) == before


@pytest.mark.parametrize("place", ["thesis.txt", "static/thesis.txt"])
def test_a_folder_of_somebody_else_is_left_alone(package: Path, tmp_path: Path, place: str) -> None:
    out = tmp_path / "site"
    site.write_site(out, package)
    (out / place).write_text("years of work", encoding="utf-8")
    before = contents(out)
    with pytest.raises(RunError, match=f"holds {place}, which hanmo did not write there"):
        site.write_site(out, package)
    (out / site.MARKER).write_text("[]", encoding="utf-8")
    with pytest.raises(RunError, match="which hanmo did not write there"):
        site.write_site(out, package)
    assert (out / place).read_text(encoding="utf-8") == "years of work"
    assert contents(out).keys() == before.keys()


def test_a_file_is_no_folder(package: Path, tmp_path: Path) -> None:
    (tmp_path / "site").write_text("x", encoding="utf-8")
    with pytest.raises(RunError, match="hanmo did not write there"):
        site.write_site(tmp_path / "site", package)


def test_a_failure_leaves_what_was_there(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "site"
    site.write_site(out, package)
    before = contents(out)

    def broken(charset: object) -> bytes:
        raise InstallationError("broken")

    monkeypatch.setattr(site, "_strokes", broken)
    with pytest.raises(InstallationError, match="broken"):
        site.write_site(out, package)
    assert contents(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runtime.tgz", "site"]


def test_a_bundle_that_a_page_cannot_read_with(package: Path, tmp_path: Path, bundle: Bundle) -> None:
    values = {key: getattr(bundle, key) for key in ("charset", "mean", "std", "net", "parameters", "precision")}
    values |= {key: getattr(bundle, key) for key in ("trained_on", "licence", "accuracy", "model")}
    moment = Normalization(method="moment", side=bundle.normalization.side, margin=1)
    other = write_bundle(tmp_path / "bundle", name="other", normalization=moment, **values)
    with pytest.raises(BundleError, match="normalises by moment; the page reads with fit only"):
        site.write_site(tmp_path / "site", package, other)
    assert not (tmp_path / "site").exists()


def test_settings_are_those_of_the_server(
    package: Path, tmp_path: Path, bundle: Bundle, serving: Callable[..., Any]
) -> None:
    site.write_site(tmp_path / "site", package, bundle)
    settings = json.loads((tmp_path / "site" / "static" / "reader" / "reader.json").read_bytes())
    with serving() as client:
        client: httpx.Client
        told = client.get("/v1/model").json()
    del told["limits"]
    assert settings["model"] == told
    assert settings["charset"] == str(bundle.charset)
    assert (settings["groups"], settings["sets"]) == ({}, {})
    assert settings["normalization"] == bundle.normalization.as_dict()
    for key in ("mean", "std", "temperature", "refusal_threshold", "least_evidence"):
        assert settings[key] == getattr(bundle, key)


# -- the runtime


def test_an_unpacked_folder_will_do(package: Path, tmp_path: Path) -> None:
    with tarfile.open(package) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    expected = runtime.read_runtime(package)
    assert runtime.read_runtime(tmp_path / "unpacked") == expected
    assert runtime.read_runtime(tmp_path / "unpacked" / "package") == expected


def test_what_is_not_the_published_runtime_is_refused(package: Path, tmp_path: Path) -> None:
    with pytest.raises(InstallationError, match="no such file or folder; fetch it: npm pack onnxruntime-web@"):
        runtime.read_runtime(tmp_path / "missing.tgz")
    changed = tmp_path / "changed.tgz"
    changed.write_bytes(package.read_bytes() + b"\0")
    with pytest.raises(InstallationError, match=r"not onnxruntime-web [\d.]+ as published \(its SHA-512 differs\)"):
        runtime.read_runtime(changed)
    folder = tmp_path / "unpacked"
    (folder / "dist").mkdir(parents=True)
    with pytest.raises(InstallationError, match="cannot be read"):
        runtime.read_runtime(folder)
    for name in runtime.FILES:
        (folder / "dist" / name).write_bytes(b"something else")
    with pytest.raises(InstallationError, match=r"its dist/\S+ is not that of onnxruntime-web"):
        runtime.read_runtime(folder)
    with pytest.raises(InstallationError, match="holds no dist folder"):
        runtime.read_runtime(folder / "dist")


def test_large_files_are_not_read(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_MAX_PACKAGE", 10)
    with pytest.raises(InstallationError, match="larger than 0 MiB"):
        runtime.read_runtime(package)


# -- the command line


def test_the_command_writes_and_says_what(package: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = run("serve", "--static", "site", "--runtime", str(package))
    assert (status, err) == (0, "")
    assert "site written" in out
    assert Path("site/index.html").is_file()


def test_a_missing_runtime_is_asked_for(run: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = run("serve", "--static", "site")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"npm pack onnxruntime-web@{runtime.VERSION} && hanmo serve --static site --runtime onnxruntime-web" in err
    assert not Path("site").exists()


def test_a_runtime_alone_is_a_slip(run: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = run("serve", "--runtime", "onnxruntime-web.tgz")
    assert status == 2
    assert "--runtime is for the page that --static writes" in err


# -- the strokes


def test_packed_strokes_are_the_table(package: Path, tmp_path: Path) -> None:
    site.write_site(tmp_path / "site", package)
    raw = gzip.decompress((tmp_path / "site" / "static" / "reader" / "strokes.bin").read_bytes())
    medians = load_medians()
    count, names = struct.unpack_from("<II", raw)
    characters = raw[8 : 8 + names].decode()
    assert characters == str(Bundle.embedded("nano").charset)
    at = 8 + names
    strokes_of = raw[at : at + count]
    points_of = raw[at + count : at + count + sum(strokes_of)]
    steps = np.frombuffer(raw, "<i2", offset=at + count + len(points_of)).reshape(-1, 2)
    rows = iter(np.split(steps, np.cumsum(list(points_of))[:-1]))
    for character, strokes in zip(characters, strokes_of, strict=True):
        for expected in medians.of(character):
            np.testing.assert_array_equal(np.cumsum(next(rows), axis=0) / 1024, expected)
        assert strokes == len(medians.of(character))
