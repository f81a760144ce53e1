"""An extension of griffe, which reads the docstrings for the site: roles such as :class:`Pack` become code.

The docstrings name other objects as Sphinx does. The site is made of Markdown, where a role would show as it is
written.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|meth|func|attr|data|mod|exc):`~?([^`]+)`")


class Roles(griffe.Extension):
    """Replaces the roles in every docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            obj.docstring.value = ROLE.sub(r"`\1`", obj.docstring.value)
