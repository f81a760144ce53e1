"""TOML files and ``--set key=value`` -> frozen dataclasses; unknown keys and wrong types are errors."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import sys
import tomllib
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from hanmo.builtin import recipe_path
from hanmo.errors import ConfigError, one_line
from hanmo.files import read_limited

T = TypeVar("T")


def load_toml(path: str | Path, into: type[T], overrides: Iterable[str] = (), kind: str | None = None) -> T:
    """Read a TOML file, or ``@NAME`` that comes with hanmo, into the dataclass ``into``.

    Each override is ``section.key=value``, the value in TOML. For an unknown ``@NAME`` the error suggests recipes of
    ``kind`` (:func:`hanmo.builtin.recipe_names`) only.

    Raises :class:`ConfigError` for a missing file, bad TOML, an unknown key (naming the nearest known one),
    a missing key or a value of the wrong type.
    """
    path = recipe_path(path, kind)
    try:
        table = parse_toml(read_limited(path, MAX_BYTES).decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {one_line(error)}") from error
    for override in overrides:
        _apply(table, override, into)
    return from_table(table, into, where=str(path))


def parse_toml(text: str) -> dict[str, Any]:
    """TOML text as nested tables; :class:`ValueError` for anything else, and for keys or lists nested without end."""
    # Python's reader takes time with the square of a key's parts.
    if _MANY_PARTS.search(text):
        raise ValueError(f"a key of more than {_MAX_PARTS} parts")
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except RecursionError as error:
        raise ValueError("lists or tables nested too deeply") from error


MAX_BYTES = 2**16
"""Bytes of a recipe; those that come with hanmo have at most 7,000."""
_MAX_PARTS = 32
# Parts of a dotted key, bare or in quotes. Nothing is tried twice (*+ gives nothing back), so this is one pass.
_MANY_PARTS = re.compile(
    r"(?<![\w-])(?:(?:[A-Za-z0-9_-]++|\"[^\"\n]*+\"|'[^'\n]*+')[ \t]*+\.[ \t]*+){" + str(_MAX_PARTS) + r"}"
)


def from_table(table: Mapping[str, Any], into: type[T], where: str = "") -> T:
    """Build the dataclass ``into`` from nested tables; errors name the place as ``where: section.key``."""
    try:
        return _build(table, into, where, ())
    except _UnknownKeyError as error:
        raise ConfigError(f"{error}; {_suggestion(error.key, error.known, list(_key_paths(into)))}") from None


def to_table(config: object) -> dict[str, Any]:
    """The nested tables a configuration came from, without values that are None (TOML has no null)."""
    assert dataclasses.is_dataclass(config)
    assert not isinstance(config, type)

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return to_table(value)
        return [plain(v) for v in value] if isinstance(value, list | tuple) else value

    pairs = ((f.name, getattr(config, f.name)) for f in dataclasses.fields(config))
    return {name: plain(value) for name, value in pairs if value is not None}


def dump_toml(config: object) -> str:
    """A configuration as TOML text that :func:`load_toml` reads back."""
    lines: list[str] = []

    def write(table: dict[str, Any], prefix: tuple[str, ...]) -> None:
        if prefix:
            lines.append(f"\n[{'.'.join(map(_toml_key, prefix))}]")
        # Plain values first: in TOML all lines after [section] belong to that section.
        lines.extend(f"{_toml_key(key)} = {_toml_value(v)}" for key, v in table.items() if not isinstance(v, dict))
        for key, value in table.items():
            if isinstance(value, dict):
                write(value, (*prefix, key))

    write(to_table(config), ())
    return "\n".join(lines).strip() + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(v) for v in value) + "]"
    if isinstance(value, dict):  # inside a list: an inline table
        return "{" + ", ".join(f"{_toml_key(k)} = {_toml_value(v)}" for k, v in value.items()) + "}"
    return repr(value)


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_value(key)


def _apply(table: dict[str, Any], override: str, into: type | None) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: write section.key=value")
    if len(override) > MAX_BYTES or key.count(".") > _MAX_PARTS:
        raise ConfigError(f"--set {override!r:.80}: too long")
    try:
        value = parse_toml(f"value = {text}")["value"]
    except ValueError:
        value = text.strip()  # a bare word is a string, so that --set net.name=resnet34 needs no quotes
    *sections, last = key.strip().split(".")
    for section in sections:
        section, into = _current_name(table, section, into)
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override!r}: {section!r} is a value, not a section")
    last, _ = _current_name(table, last, into)
    table[last] = value


def _current_name(table: dict[str, Any], key: str, into: type | None) -> tuple[str, type | None]:
    """Today's name of a key of the dataclass ``into``, and the dataclass behind it, if any.

    Where ``table`` has the key by its old name, it is renamed, so that an override meets the value it means.
    """
    if into is None or not dataclasses.is_dataclass(into):
        return key, None
    for field in dataclasses.fields(into):
        alias = field.metadata.get("alias")
        if key in (field.name, alias):
            if alias in table and field.name not in table:
                table[field.name] = table.pop(alias)
            hint = get_type_hints(into)[field.name]
            choices = (hint, *get_args(hint))  # an optional section is a union with None
            inner = [c for c in choices if isinstance(c, type) and dataclasses.is_dataclass(c)]
            return field.name, inner[0] if inner and get_origin(hint) not in (list, tuple, dict) else None
    return key, None


def _build(table: Mapping[str, Any], into: type[T], where: str, prefix: tuple[str, ...]) -> T:
    assert dataclasses.is_dataclass(into)
    # With postponed annotations the fields hold types as text; get_type_hints() turns them back into types.
    hints = get_type_hints(into)
    known = {f.name: f for f in dataclasses.fields(into) if f.init}
    table = _with_current_names(table, known.values(), where, prefix)
    for key in table:
        if key not in known:
            raise _UnknownKeyError(where, (*prefix, key), known)
    values = {}
    for name, field in known.items():
        if name in table:
            values[name] = convert(table[name], hints[name], where, (*prefix, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}: key {'.'.join((*prefix, name))!r} is missing")
    try:
        return into(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {'.'.join(prefix)}: {error}" if prefix else f"{where}: {error}") from error


class _UnknownKeyError(ConfigError):
    """An unknown ``key``, as a path of keys, where only the keys ``known`` are possible."""

    def __init__(self, where: str, key: tuple[str, ...], known: Iterable[str]) -> None:
        super().__init__(f"{where}: unknown key {'.'.join(key)!r}")
        self.key, self.known = key, tuple(known)


def _suggestion(key: tuple[str, ...], known: Iterable[str], paths: list[tuple[str, ...]]) -> str:
    """The key that was meant: of this name in another section, else a similar one here, else a similar one anywhere."""
    *section, name = key
    elsewhere = next((path for path in paths if path[-1] == name), None)
    here = nearest(name, known, section)
    if elsewhere is None and not here.startswith("did you mean"):
        similar = difflib.get_close_matches(name, [path[-1] for path in paths], n=1, cutoff=0.7)
        elsewhere = next((path for path in paths if [path[-1]] == similar), None)
    return f"did you mean {'.'.join(elsewhere)!r}?" if elsewhere else here


def _key_paths(into: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every key of a dataclass and of the sections in it."""
    for name, hint in get_type_hints(into).items():
        yield (*prefix, name)
        optional = get_origin(hint) in (Union, types.UnionType)
        for section in get_args(hint) if optional else (hint,):
            if dataclasses.is_dataclass(section):
                yield from _key_paths(section, (*prefix, name))


def _with_current_names(
    table: Mapping[str, Any], known: Iterable[dataclasses.Field[Any]], where: str, prefix: tuple[str, ...]
) -> Mapping[str, Any]:
    """``table`` with the keys that were renamed since; a field's metadata names its ``alias`` of before."""
    present = dict(table)
    for field in known:
        alias = field.metadata.get("alias")
        if alias in present:
            if field.name in present:
                both = " and ".join(".".join((*prefix, key)) for key in (alias, field.name))
                raise ConfigError(f"{where}: {both} are one key; leave out the first, its old name")
            present[field.name] = present.pop(alias)
    return present


def convert(value: Any, hint: Any, where: str, prefix: tuple[str, ...]) -> Any:
    """``value`` as the type ``hint`` asks, or a :class:`ConfigError` that says what was expected.

    Whole numbers pass as floats, lists become tuples, tables dataclasses; ``prefix`` is the path of keys to the value.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        # The first type that fits counts; if none does, the last error says what was expected.
        for choice in arguments:
            if choice is not types.NoneType:
                try:
                    return convert(value, choice, where, prefix)
                except ConfigError as error:
                    problem = error
        raise problem
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, Mapping):
            return _build(value, hint, where, prefix)
    elif origin is Literal:
        if value in arguments:
            return arguments[arguments.index(value)]  # of 3.0 the 3 that was meant
        choices = ", ".join(map(repr, arguments))
        raise ConfigError(f"{where}: {'.'.join(prefix)} = {value!r} is not possible; one of {choices}")
    elif origin is tuple:
        if isinstance(value, list):
            return tuple(convert(v, arguments[0], where, prefix) for v in value)
    elif origin is dict:
        if isinstance(value, Mapping):
            return dict(value)
    elif hint is float:
        # TOML has nan, inf and whole numbers of any size; no limit in any recipe would stop a NaN.
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
            return float(value)
    elif hint is Any or (isinstance(value, hint) and not (hint is int and isinstance(value, bool))):
        return value
    raise ConfigError(f"{where}: {'.'.join(prefix)} = {value!r}: {_expected(hint)} is needed")


def check_ranges(config: object, what: str, limits: Mapping[str, tuple[float, float]]) -> None:
    """Raise :class:`ConfigError` for a number of a dataclass outside its limits: those named, else 0 to 1."""
    assert dataclasses.is_dataclass(config)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        least, greatest = limits.get(field.name, (0, 1))
        if not least <= value <= greatest:
            raise ConfigError(f"{what} {field.name} = {value} is impossible; {least:g} to {greatest:g}")


def require_folder_name(name: str) -> None:
    """Raise :class:`ConfigError` for the name of an experiment that cannot be the name of its folder."""
    if not name or set(name) & set("/\\\0") or name.startswith("."):
        raise ConfigError(f"name {name!r} is also a folder's name: no slashes, no leading dot")


def nearest(name: str, known: Iterable[str], path: Iterable[str] = ()) -> str:
    """The end of an error about an unknown ``name``: the nearest known one below the keys ``path``, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {'.'.join((*path, near[0]))!r}?" if near else f"known: {', '.join(known) or 'none'}"


def _expected(hint: Any) -> str:
    if dataclasses.is_dataclass(hint) or get_origin(hint) is dict:
        return "a section (a table)"
    if get_origin(hint) is tuple:
        return f"a list, each entry {_expected(get_args(hint)[0])},"
    return "a finite number" if hint is float else f"a value of type {getattr(hint, '__name__', hint)}"
