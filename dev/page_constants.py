"""Write the constants that the page's scripts share with Python: src/hanmo/serve/static/js/constants.js.

The page can read without a server, so its scripts repeat the Python front end (src/hanmo/paper.py and others). A
threshold that differed by one would give other squares, so no threshold is typed twice: this script takes each from the
Python module, together with the comment that explains it.

    python dev/page_constants.py            # after a change of one of these modules
    python dev/page_constants.py --check    # fails where constants.js is stale; make lint and the tests run it
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

TARGET = Path(__file__).parents[1] / "src" / "hanmo" / "serve" / "static" / "js" / "constants.js"

SHARED = {
    "hanmo.image": "MAX_BYTES",
    "hanmo.levels": "MAX_PIXELS MAX_SIDE _FAINT",
    "hanmo.polarity": "_DARK_BORDER _DARK_INSIDE _FRAME",
    "hanmo.strokes": "MAX_STROKES MAX_POINTS SIDE WIDTH _LIGHTEST _HEAVIEST _SUPERSAMPLING",
    "hanmo.colour": "SAMPLES _RARE _FEWEST _COLOURED _GREY _INK _DARK_PAPER _PALE_BLUE _BLUE",
    "hanmo.background": "PAPER UNEVEN TILES CLOSING",
    "hanmo.paper": "SIDE MIN_CONTRAST DEAD_ZONE VISIBLE RIM IMPULSE IMPULSES DENSE LEFT NOISE",
    "hanmo.rules": "STRIPS SLOPES COVERED WHOLE THICK MARGIN AROUND",
    "hanmo.strays": "STRONG NEAR PRINT PALE LARGEST_SPECK",
    "hanmo.bitboard": "STEPS",
    "hanmo.neighbours": "SHALLOW SLIGHT REACHED DEEP APART CLEAR KEPT KEPT_CENTRED LONG SHORT OFF SOLID",
    "hanmo.ink": "DUST DUST_GAP CLOSER _LOOKS _AROUND LONG GAP",
    "hanmo.normalize": "Version=VERSIONS",
    "hanmo.occlusion": "SIZE FULL GONE VISIBLE",
    "hanmo.prediction": "SHOWN_FROM",
    "hanmo.medians": "GRID",
    "hanmo.serve.desk": "LOOK_ALIKES",
    "hanmo.sheets.sheet": "UNREAD BLANK",
    "hanmo.sheets.overlay": "SURE",
    "hanmo.sheets.against": "MAX_CHARACTERS _GAP",
}
"""Names by module. On the page they lose a leading underscore, Python's mark of private names; ``A=B`` renames A."""


def render() -> str:
    """The text of constants.js."""
    parts = [
        "/**\n * Constants that the page's scripts share with Python. Made by dev/page_constants.py: change them in the"
        "\n * Python file named above each group, then run that script.\n */\n"
    ]
    for name, names in SHARED.items():
        module = importlib.import_module(name)
        lines = "\n".join(_lines(module, names.split()))
        group = name.rpartition(".")[2].upper()
        source = f"src/{name.replace('.', '/')}.py"
        parts.append(f"/** From {source}. */\nexport const {group} = {{\n{lines}\n}};\n")
    return "\n".join(parts)


def _lines(module: ModuleType, names: list[str]) -> Iterator[str]:
    """``  NAME: value,`` for each name, below the comment of the Python file."""
    comments = _comments(Path(str(module.__file__)).read_text(encoding="utf-8"))
    for entry in names:
        name, _, page_name = entry.partition("=")
        yield from textwrap.wrap(comments.get(name, ""), 116, initial_indent="  // ", subsequent_indent="  // ")
        yield f"  {page_name or name.lstrip('_')}: {_literal(getattr(module, name))},"


def _comments(source: str) -> dict[str, str]:
    """What explains each constant of a module: the comment on its line, or the docstring below it, in one line."""
    lines, body = source.splitlines(), ast.parse(source).body
    found: dict[str, str] = {}
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        if comment := re.search(r"#\s*(.*)", lines[(node.end_lineno or node.lineno) - 1]):
            found[names[0]] = comment[1]
        elif isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            found[names[0]] = " ".join(str(following.value.value).split())
    return found


def _literal(value: Any) -> str:
    """A Python constant as JavaScript. A Literal type is the list of its values."""
    if options := get_args(value):
        value = options
    if isinstance(value, range):
        value = list(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key}: {_literal(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


def is_stale() -> bool:
    """Whether constants.js differs from the Python files. Comments may differ: better words change no square."""
    return _without_comments(TARGET.read_text(encoding="utf-8")) != _without_comments(render())


def _without_comments(text: str) -> str:
    return re.sub(r"(?m)^ *//.*\n", "", text)


def main(arguments: list[str]) -> int:
    if "--check" not in arguments:
        TARGET.write_text(render(), encoding="utf-8")
        return 0
    if not is_stale():
        return 0
    print(f"{TARGET.name} is not what the Python files say; run: python dev/page_constants.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
