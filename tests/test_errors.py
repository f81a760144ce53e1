"""The tree of errors, and every place in the source that raises one."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import hanmo
from hanmo import errors
from hanmo.errors import HanmoError, InputError, OperationError

ERRORS = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, HanmoError)}
CAUGHT_ONLY = {"HanmoError", "InputError", "OperationError", "RecordError"}
SOURCE = Path(hanmo.__file__).parent


def name_of(node: ast.AST) -> str:
    """The last part of a dotted name, or nothing."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def uses() -> Iterator[tuple[str, str, bool]]:
    """Place, name and whether it is raised at once, of every hanmo error that the source makes or raises bare."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
        for node in ast.walk(tree):
            name = name_of(node.func) if isinstance(node, ast.Call) else ""
            if not name and node in raised:
                name = name_of(node)
            if name in ERRORS:
                yield f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', 0)}", name, node in raised


def test_every_error_is_about_the_input_or_the_operation() -> None:
    assert issubclass(HanmoError, ValueError)
    assert {kind for kind in ERRORS.values() if kind.__base__ is HanmoError} == {InputError, OperationError}
    for name in ERRORS.keys() - CAUGHT_ONLY:
        assert issubclass(ERRORS[name], InputError) != issubclass(ERRORS[name], OperationError), name
        assert f"─ {name} " in (errors.__doc__ or ""), f"{name} is missing in the tree of hanmo.errors"


def test_only_errors_that_say_what_is_wrong_are_raised() -> None:
    assert [f"{place}: {name}" for place, name, _ in uses() if name in CAUGHT_ONLY] == []


def test_no_error_stands_for_most_of_what_can_go_wrong() -> None:
    used = list(uses())
    raised = [name for _, name, at_once in used if at_once]
    assert len(raised) > 300, "the walk has missed most of the source"
    assert raised.count("ConfigError") < len(raised) / 2
    assert ERRORS.keys() - {name for _, name, _ in used} == CAUGHT_ONLY, "an error that nothing raises"
