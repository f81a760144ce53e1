"""The page as a folder that any web host can serve: its scripts read in the browser, without hanmo's server.

All addresses are relative, so the folder may lie under any path, and nothing is fetched from other hosts::

    index.html              the page, set to read in the browser
    static/                 its files
    static/reader/          reader.json (the bundle's settings), model.onnx, strokes.bin, onnxruntime-web
    licences/               of hanmo, the strokes and onnxruntime-web
    offline.js              keeps the folder in the browser for use without a connection (a service worker)
    hanmo-site.json         the list of files, by which a later run and offline.js recognise the folder

``strokes.bin`` is compressed with gzip; its numbers are little-endian. It holds, in this order:

- uint32: the number of characters, and the length in bytes of their UTF-8 text; then this text
- one byte for each character: its number of strokes
- one byte for each stroke: its number of points
- int16 x, y for each point: the step from the point before it, in 1/1024 of the square's side; the first point of a
  stroke counts from the upper left corner
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import struct
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np

import hanmo
from hanmo.atomic import replacing, storing, writing
from hanmo.bundle import MODEL_NAME, Bundle
from hanmo.charset import check_groups, named_charset, sets_within
from hanmo.errors import BundleError, InstallationError, RunError
from hanmo.medians import GRID, medians_for
from hanmo.onnxfile import open_session
from hanmo.recognizer import Recognizer
from hanmo.serve.runtime import FETCH, VERSION, read_runtime

STATIC = Path(__file__).with_name("static")
MARKER = "hanmo-site.json"
READER = "static/reader"
OFFLINE = "js/local/offline.js"

CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'"
)
"""The server's policy, which here also allows WebAssembly. ``frame-ancestors`` has no effect in a meta element."""


def write_site(
    out: str | Path, runtime: str | Path | None, bundle: str | Path | Bundle | None = None
) -> dict[str, int]:
    """Write the page to the folder ``out``, whole or not at all; sizes in bytes by path, as written.

    ``runtime`` is the package of onnxruntime-web (see :mod:`hanmo.serve.runtime`), ``bundle`` as
    :class:`hanmo.recognizer.Recognizer` takes it, ``nano`` if None. A folder that was written here before is replaced.

    Raises :class:`RunError` when ``out`` holds anything else, :class:`InstallationError` without a usable runtime,
    :class:`BundleError` for a damaged bundle and for one that a browser cannot read with, :class:`StorageError`.
    """
    # realpath: where `out` is a link, the folder that it points to is replaced, not the link.
    given, out = out, Path(os.path.realpath(out))
    if runtime is None:
        raise InstallationError(
            f"reading in the browser needs onnxruntime-web {VERSION}, which hanmo does not contain; run: {FETCH} && "
            f"hanmo serve --static {given} --runtime onnxruntime-web-{VERSION}.tgz"
        )
    with storing(out):
        _refuse_foreign(out)
    reader = Recognizer("nano" if bundle is None else bundle).bundle  # checks that the net runs
    if reader.normalization.method != "fit":
        raise BundleError(
            f"bundle {reader.name}: normalises by {reader.normalization.method}; the page reads with fit only"
        )
    if reader.extension is not None:
        raise BundleError(
            f"bundle {reader.name}: the page in the browser cannot take an extended bundle (hanmo extend, adapt); "
            "use hanmo serve, or the bundle that was extended"
        )
    files = dict(_files(reader, read_runtime(Path(runtime))))
    # From the contents alone, so the same page has the same version and browsers do not fetch it again.
    version = hashlib.sha256(_as_json(_digests(files))).hexdigest()[:16]
    files["offline.js"] = _versioned(files.pop(f"static/{OFFLINE}"), version)
    marker = {"hanmo": hanmo.__version__, "bundle": reader.name, "version": version, "files": _digests(files)}
    files[MARKER] = _as_json(marker)
    with replacing(out) as partial:
        for name, data in files.items():
            with storing(out):
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
            with writing(partial / name, out) as write:
                write(data)
    return {name: len(data) for name, data in files.items()}


def _files(bundle: Bundle, runtime: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """What belongs into the folder, path and content, but for the marker."""
    yield "index.html", _page((STATIC / "index.html").read_text(encoding="utf-8")).encode()
    # Sorted, as file systems list names in any order and the marker should always be the same.
    for path in sorted(STATIC.rglob("*")):
        name = path.relative_to(STATIC).as_posix()
        if path.is_file() and name != "index.html":
            yield f"static/{name}", path.read_bytes()
    yield f"{READER}/reader.json", _as_json(_settings(bundle))
    yield f"{READER}/{MODEL_NAME}", _rewritten(bundle.model)
    yield f"{READER}/strokes.bin", _strokes(check_groups(bundle.charset, bundle.groups))
    for name, data in runtime.items():
        yield f"{READER}/{name}", data
    yield from _licences()


def _rewritten(model: bytes) -> bytes:
    """The net as ONNX Runtime rewrites it before its first run, so that browsers start and read sooner.

    Only what holds for every processor is rewritten; the answers are the same.
    """
    with storing(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory(prefix="hanmo-") as scratch:
        out = Path(scratch, MODEL_NAME)
        open_session(model, save_optimized=out)
        return out.read_bytes()


def _page(html: str) -> str:
    """The server's page, set to read in the browser and to fetch nothing from other hosts."""
    policy = f'\\g<0>\n<meta http-equiv="Content-Security-Policy" content="{CSP}">'
    # The policy goes first: it holds only for what follows it.
    html, policies = re.subn(r'<meta charset="utf-8">', policy, html)
    early = '<link rel="modulepreload" href="static/js/local/reader.js">'  # it is asked for late, by name
    html, readers = re.subn(r'(<meta name="hanmo-reader" content=")http(">)', rf"\1local\2\n{early}", html)
    if (policies, readers) != (1, 1):
        raise InstallationError(f"{STATIC / 'index.html'}: not the page hanmo comes with; install hanmo again")
    return html


def _versioned(script: bytes, version: str) -> bytes:
    """``offline.js`` with its version; browsers take a new one when its bytes change."""
    placeholder = b'const VERSION = "none";'
    if placeholder not in script:
        raise InstallationError(f"{STATIC / OFFLINE}: not the script hanmo comes with; install hanmo again")
    return script.replace(placeholder, f'const VERSION = "{version}";'.encode())


def _settings(bundle: Bundle) -> dict[str, Any]:
    known = check_groups(bundle.charset, bundle.groups)
    return {
        "model": {
            "name": bundle.name,
            "net": bundle.net,
            "precision": bundle.precision,
            "parameters": bundle.parameters,
            "characters": len(known),
            "sets": sets_within(known),
            "licence": bundle.licence,
            "trained_on": [dict(source) for source in bundle.trained_on],
            "accuracy": dict(bundle.accuracy),
            "version": hanmo.__version__,
            "keeps_corrections": False,  # there is no server that could
        },
        "charset": str(bundle.charset),
        "groups": dict(bundle.groups),
        "sets": {name: "".join(c for c in named_charset(name) if c in known) for name in sets_within(known)},
        "normalization": bundle.normalization.as_dict(),
        "mean": bundle.mean,
        "std": bundle.std,
        "temperature": bundle.temperature,
        "refusal_threshold": bundle.refusal_threshold,
        "least_evidence": bundle.least_evidence,
    }


def _strokes(charset: Iterable[str]) -> bytes:
    charset = list(charset)
    medians = medians_for(charset)
    characters = [character for character in charset if character in medians]
    glyphs = medians.of_all(characters)
    strokes = [stroke for glyph in glyphs for stroke in glyph]
    # Differences between neighbouring points are small numbers, which gzip packs far better than coordinates.
    steps = [
        np.diff(np.rint(stroke * GRID).astype("<i2"), axis=0, prepend=np.zeros((1, 2), "<i2")) for stroke in strokes
    ]
    names = "".join(characters).encode()
    parts = [
        struct.pack("<II", len(characters), len(names)),
        names,
        bytes(len(glyph) for glyph in glyphs),
        bytes(len(stroke) for stroke in strokes),
        *(step.astype("<i2").tobytes() for step in steps),
    ]
    return gzip.compress(b"".join(parts), mtime=0)  # no time: the same page is the same bytes


def _licences() -> Iterator[tuple[str, bytes]]:
    for name in ("LICENSE", "NOTICE", "licenses/ARPHICPL.txt"):
        yield f"licences/{Path(name).name}", _own_licence(name)
    # The runtime's package brings no licence along; Python's, built from the same source, does.
    package = resources.files("onnxruntime")
    for name in ("LICENSE", "ThirdPartyNotices.txt"):
        text = package.joinpath(name)
        if not text.is_file():
            raise InstallationError(
                f"{text}: is missing, so that the runtime could not be passed on; reinstall onnxruntime"
            )
        yield f"licences/onnxruntime-{name}", text.read_bytes()


def _own_licence(name: str) -> bytes:
    beside = Path(__file__).parents[3] / name  # in a checkout
    if beside.is_file():
        return beside.read_bytes()
    try:
        text = metadata.distribution("hanmo").read_text(f"licenses/{name}")
    except metadata.PackageNotFoundError:
        text = None
    if text is None:
        raise InstallationError(f"hanmo's own {name} is missing; install hanmo again")
    return text.encode()


def _refuse_foreign(out: Path) -> None:
    """Only a free place, an empty folder, or one that holds nothing but what was written here may be replaced."""
    if not out.exists():
        return
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()} if out.is_dir() else {""}
    # The marker lists what was written; any other file may be the user's and must not be deleted.
    strangers = names - _written(out / MARKER) - {MARKER}
    if strangers:
        raise RunError(
            f"{out}: holds {min(strangers) or 'a file'}, which hanmo did not write there; name a new folder, or empty "
            f"this one yourself"
        )


def _written(marker: Path) -> set[str]:
    try:
        return set(json.loads(marker.read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def _as_json(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode()
