"""The bundle: a folder of ``bundle.json`` and ``model.onnx`` that holds everything needed to read characters.

Nothing is parsed before its SHA-256 is checked: ``bundle.json`` carries the digest of ``model.onnx`` and of itself.
The digests find damage, but do not prove who wrote a bundle. So every value is checked, and the model must keep to
:mod:`hanmo.net_rules`, which refuses one that would make the runtime open other files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from hanmo.atomic import replacing, storing, writing
from hanmo.builtin import EMBEDDED as EMBEDDED
from hanmo.bundle_json import AGAIN, FORMAT_VERSION, Table, digest, parse, read_limited, serialise
from hanmo.charset import Charset, check_groups
from hanmo.errors import BundleError, CharsetError, HanmoError, ModelError
from hanmo.extension import Extension
from hanmo.files import is_folder
from hanmo.net_rules import check_net
from hanmo.normalize import VERSION as NORMALIZATION_VERSION
from hanmo.normalize import Normalization
from hanmo.normalize import Version as NormalizationVersion

JSON_NAME = "bundle.json"
MODEL_NAME = "model.onnx"
EXTENSION_NAME = "extension.npy"
"""The file of a user's own characters and hand, which only extended bundles have."""
FEATURES = "features"
"""The name of the second output that a model may have: the input of its last layer, float32 (N, F)."""
# Limits far above any real bundle, so that a wrong or hostile file is not read into memory first.
MAX_MODEL_BYTES = 256 * 2**20
MAX_EXTENSION_BYTES = 64 * 2**20

Precision = Literal["fp32", "int8"]


class DataSource(TypedDict):
    """A data set the net was trained on."""

    name: str
    licence: str


@dataclass(frozen=True)
class Bundle:
    """A checked bundle; its fields are the arguments of :func:`write_bundle`.

    ``groups`` maps the character of a class to all members of its group, which look the same on a picture of one
    character; the class's own character comes first, and classes without look-alikes are left out. ``mean`` and ``std``
    are those of squares divided by 255. ``temperature`` divides the logits before the softmax. A
    picture is refused when its best probability is below ``refusal_threshold``, or when its best logit exceeds the mean
    of all logits by less than ``least_evidence``. ``accuracy`` maps a measure to its figure. ``extension`` holds the
    user's own characters, which are the last classes of the charset, and the adaptation to a hand.
    """

    path: Path
    _: KW_ONLY
    name: str
    charset: Charset
    groups: Mapping[str, str]
    normalization: Normalization
    mean: float
    std: float
    net: str
    parameters: int
    precision: Precision
    temperature: float
    refusal_threshold: float
    least_evidence: float
    trained_on: tuple[DataSource, ...]
    licence: str
    accuracy: Mapping[str, float]
    model: bytes = field(repr=False)
    extension: Extension | None = field(default=None, repr=False)

    @property
    def model_classes(self) -> int:
        """The classes of the model: those of the charset without the ones that the extension adds."""
        return len(self.charset) if self.extension is None else self.extension.base

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Read and check a bundle folder. Raises :class:`BundleError` naming the file and the remedy."""
        path = Path(path)
        if not is_folder(path):
            raise BundleError(
                f"{path}: no such bundle folder; name the folder that holds {JSON_NAME}, or {' or '.join(EMBEDDED)}"
            )
        table = parse(path / JSON_NAME)
        digests = table.get("files", dict)
        if not {MODEL_NAME} <= set(digests) <= {MODEL_NAME, EXTENSION_NAME}:
            raise BundleError(
                f"{table.where}: files must name {MODEL_NAME} and nothing else, but for {EXTENSION_NAME} in an "
                f"extended bundle, not {sorted(digests)}"
            )
        model = _read_signed(path / MODEL_NAME, MAX_MODEL_BYTES, digests)
        extension = None
        if EXTENSION_NAME in digests:
            extension = _read_signed(path / EXTENSION_NAME, MAX_EXTENSION_BYTES, digests)
        return _build(path, table, model, extension)

    def save(self, out: str | Path) -> Bundle:
        """Write this bundle to the folder ``out``, as :func:`write_bundle` does; returns it as loaded back."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("path", "model")}
        return write_bundle(out, self.model, **fields)

    @classmethod
    def embedded(cls, name: str = EMBEDDED[0]) -> Bundle:
        """A bundle that comes with this package, one of :data:`EMBEDDED`.

        Raises :class:`BundleError` for another name, and when this copy has none.
        """
        if name not in EMBEDDED:
            raise BundleError(f"no bundle {name!r} comes with hanmo; one of {', '.join(EMBEDDED)}")
        folder = resources.files("hanmo").joinpath("bundles", name)
        if not folder.is_dir():
            raise BundleError("this copy of hanmo comes without a bundle; pass one (--bundle) that hanmo export made")
        with resources.as_file(folder) as path:
            return cls.load(path)


def write_bundle(
    out: str | Path,
    model: bytes,
    *,
    name: str,
    charset: Charset,
    normalization: Normalization,
    mean: float,
    std: float,
    net: str,
    parameters: int,
    precision: Precision,
    trained_on: Sequence[DataSource],
    licence: str,
    accuracy: Mapping[str, float],
    groups: Mapping[str, str] | None = None,
    temperature: float = 1.0,
    refusal_threshold: float = 0.0,
    least_evidence: float = 0.0,
    extension: Extension | None = None,
) -> Bundle:
    """Write a bundle folder, whole or not at all, and return it as loaded back.

    ``model`` has one output, the logits float32 (N, C), or ``features`` float32 (N, F) as a second one. A bundle at
    ``out`` is replaced. Raises :class:`BundleError` when ``out`` is anything else or a value is not one
    :meth:`Bundle.load` accepts, :class:`StorageError` when the disk refuses.
    """
    out = Path(os.path.realpath(out))
    files = {MODEL_NAME: model} | ({EXTENSION_NAME: extension.to_bytes()} if extension else {})
    values: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "name": name,
        "charset": str(charset),
        "charset_sha256": charset.digest,
        "groups": dict(groups or {}),
        "input": {"normalization": normalization.as_dict(), "mean": float(mean), "std": float(std)},
        "net": net,
        "parameters": int(parameters),
        "precision": precision,
        "temperature": float(temperature),
        "refusal_threshold": float(refusal_threshold),
        "least_evidence": float(least_evidence),
        "trained_on": [dict(source) for source in trained_on],
        "licence": licence,
        "accuracy": {measure: float(figure) for measure, figure in accuracy.items()},
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    # Built from the values as if they had been read: what load() would refuse is never written.
    bundle = _build(out, Table(values, str(out / JSON_NAME)), model, files.get(EXTENSION_NAME))
    text = serialise(values | {"sha256": digest(values)})
    with storing(out):
        _refuse_foreign(out)
    with replacing(out) as partial:
        with storing(out):
            partial.mkdir()
        for file, data in {JSON_NAME: text, **files}.items():
            with writing(partial / file, out) as write:
                write(data)
    return bundle


def _build(path: Path, table: Table, model: bytes, extension: bytes | None = None) -> Bundle:
    where = table.where
    net_input = table.table("input")
    precision = table.get("precision", str)
    if precision not in get_args(Precision):
        raise BundleError(f"{where}: precision {precision!r} is unknown; one of {', '.join(get_args(Precision))}")
    sources = [Table(s, f"{where}: trained_on") for s in table.get("trained_on", list) if isinstance(s, dict)]
    if len(sources) != len(table.values["trained_on"]):
        raise BundleError(f"{where}: trained_on must list objects with name and licence; {AGAIN}")
    accuracy = table.table("accuracy")
    charset = _charset(table)
    _check_model(path / MODEL_NAME, model)
    return Bundle(
        path,
        name=table.get("name", str),
        charset=charset,
        groups=_groups(table, charset),
        normalization=_normalization(net_input.table("normalization")),
        mean=net_input.number("mean", 0, 1),
        # Inputs are divided by std and logits by temperature: neither may be 0 or so small that numbers overflow.
        std=net_input.number("std", 1e-6, 1e6),
        net=table.get("net", str),
        parameters=int(table.number("parameters", 0, 1e12)),
        precision=precision,  # type: ignore[arg-type]
        temperature=table.number("temperature", 1e-3, 1e3),
        refusal_threshold=table.number("refusal_threshold", 0, 1),
        least_evidence=table.number("least_evidence", 0, 1e6),
        trained_on=tuple(DataSource(name=s.get("name", str), licence=s.get("licence", str)) for s in sources),
        licence=table.get("licence", str),
        accuracy={measure: accuracy.get(measure, float) for measure in accuracy.values},
        model=model,
        extension=Extension.from_bytes(extension, len(charset), str(path / EXTENSION_NAME)) if extension else None,
    )


def _check_model(path: Path, model: bytes) -> None:
    try:
        check_net(model)
    except ModelError as error:
        raise BundleError(f"{path}: {error}") from error


def _charset(table: Table) -> Charset:
    try:
        charset = Charset(table.get("charset", str))
        digest = charset.digest
    except BundleError:
        raise
    except (HanmoError, UnicodeEncodeError) as error:  # the latter: half a surrogate pair
        raise BundleError(f"{table.where}: charset: {error}; {AGAIN}") from error
    if digest != table.get("charset_sha256", str):
        raise BundleError(f"{table.where}: the charset does not fit charset_sha256; {AGAIN}")
    return charset


def _groups(table: Table, charset: Charset) -> dict[str, str]:
    if table.get("format", int) == 2:
        return {}
    stored = table.table("groups")
    groups = {character: stored.get(character, str) for character in stored.values}
    try:
        check_groups(charset, groups)
    except CharsetError as error:
        raise BundleError(f"{table.where}: {error}; {AGAIN}") from error
    return groups


def _normalization(table: Table) -> Normalization:
    if (version := table.get("version", int)) not in get_args(NormalizationVersion):
        remedy = "upgrade hanmo" if version > NORMALIZATION_VERSION else "export the bundle again"
        raise BundleError(f"{table.where}: made for version {version}, this is {NORMALIZATION_VERSION}; {remedy}")
    method, side, margin = table.get("method", str), table.get("side", int), table.get("margin", int)
    try:
        return Normalization(method=method, side=side, margin=margin, version=version)  # type: ignore[arg-type]
    except HanmoError as error:
        raise BundleError(f"{table.where}: {error}; {AGAIN}") from error


def _read_signed(path: Path, limit: int, digests: Mapping[str, Any]) -> bytes:
    data = read_limited(path, limit)
    if hashlib.sha256(data).hexdigest() != digests[path.name]:
        raise BundleError(f"{path}: damaged: its SHA-256 is not the one in {JSON_NAME}; {AGAIN}")
    return data


def _refuse_foreign(out: Path) -> None:
    if not out.exists():
        return
    if out.is_dir():
        names = {entry.name for entry in out.iterdir()}
        # Only an empty folder or one with nothing but a bundle's files may be replaced.
        if not names or JSON_NAME in names <= {JSON_NAME, MODEL_NAME, EXTENSION_NAME}:
            return
    raise BundleError(f"{out}: exists and is not (only) a bundle; name a new folder, or remove this one yourself")
