"""Help texts that end with the recipes that come with hanmo."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


def listing_recipes(kind: str) -> type[TyperCommand]:
    """A command whose help lists the recipes of ``kind`` (:func:`hanmo.builtin.recipe_names`).

    The folders are only looked through when somebody asks for help: all verbs are set up at every start.
    """

    class Command(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:  # typer's own click has no public name
            from hanmo.builtin import list_recipes

            self.epilog = list_recipes(kind)
            super().format_help(ctx, formatter)

    return Command
