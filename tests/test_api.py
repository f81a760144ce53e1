"""The public API: the names that users may rely on."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import hanmo
from hanmo import errors
from hanmo.errors import HanmoError


def test_every_promised_name_is_there_and_documented() -> None:
    assert len(hanmo.__all__) == len(set(hanmo.__all__)) == 33
    assert dir(hanmo) == sorted(hanmo.__all__)
    for name in set(hanmo.__all__) - {"__version__"}:
        assert (getattr(hanmo, name).__doc__ or "").strip(), name


def test_promised_names_are_no_modules() -> None:
    """A submodule of the same name would replace the function as soon as somebody imports it."""
    code = """
import importlib, pkgutil, types, hanmo
modules = {module.name for module in pkgutil.iter_modules(hanmo.__path__)}
print(sorted(modules & set(hanmo.__all__)))
"""
    assert python(code) == "[]\n"


def test_the_tree_of_errors_says_which_are_not_public() -> None:
    _, _, names = (errors.__doc__ or "").partition("are all errors but ")
    private = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, HanmoError)}
    private -= set(hanmo.__all__)
    assert set(re.findall(r"\w+Error", names)) == private


def test_errors_have_one_base() -> None:
    public = [getattr(hanmo, name) for name in hanmo.__all__ if name.endswith("Error")]
    assert len(public) == 15
    assert all(issubclass(error, HanmoError) for error in public)


def test_no_promised_name_needs_torch() -> None:
    code = "import sys, hanmo; [getattr(hanmo, name) for name in hanmo.__all__]; print('torch' in sys.modules)"
    assert python(code) == "False\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'hanmo' has no attribute 'nothing'"):
        _ = hanmo.nothing
    assert "everything else" in (hanmo.__doc__ or "").lower()


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
