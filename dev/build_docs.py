"""``make docs``: the documents, the notebooks and an API reference as a site in build/site.

The documents are written to be read in the repository, too, so their links go to where files lie there. This script
copies them to build/docs, turns notebooks into pages, makes links fit, lets zensical build the site, and checks that no
page loads anything from elsewhere. Links to files that are no part of the site become plain text.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES, SITE = ROOT / "build" / "docs", ROOT / "build" / "site"
MOVED = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Documents at the root of the repository -> their pages."""

LINK = re.compile(r"(?P<mark>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
LOADED = re.compile(r"""<(?:script|img|iframe)[^>]+src=["']?(https?:)?//|<link[^>]+stylesheet[^>]+href=["']?https?:""")


def pages() -> dict[Path, Path]:
    """Every document, picture and notebook of the repository that is on the site -> its page's file."""
    found = {path: PAGES / path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.*")}
    found |= {path: PAGES / "benchmarks" / path.name for path in (ROOT / "benchmarks").glob("*.*")}
    found |= {ROOT / name: PAGES / page for name, page in MOVED.items()}
    kept = {path: page for path, page in found.items() if path.suffix in (".md", ".png", ".ipynb")}
    return {path: page.with_suffix(".md") if page.suffix == ".ipynb" else page for path, page in kept.items()}


def as_markdown(notebook: Path) -> str:
    """The cells of a notebook in their order, code in fences."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(
        f"```python\n{source}\n```" if cell["cell_type"] == "code" else source
        for cell in cells
        for source in ["".join(cell["source"])]
    )


def linked(text: str, source: Path, known: dict[Path, Path]) -> str:
    """``text`` of the document ``source`` with links that fit its page."""

    def replace(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if not target or "://" in target:
            return match[0]
        page = known.get((source.parent / target).resolve())
        if page is None:
            return match["text"]
        place = os.path.relpath(page, known[source].parent)
        return f"{match['mark']}[{match['text']}]({place}{'#' + anchor if anchor else ''})"

    return LINK.sub(replace, text)


def copy_pages() -> None:
    """Fill build/docs anew."""
    shutil.rmtree(PAGES, ignore_errors=True)
    known = pages()
    for source, page in known.items():
        page.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".png":
            shutil.copyfile(source, page)
            continue
        text = as_markdown(source) if source.suffix == ".ipynb" else source.read_text(encoding="utf-8")
        page.write_text(linked(text, source, known), encoding="utf-8")


def check_offline() -> list[str]:
    """The pages that would load a script, a style or a picture from elsewhere."""
    return [str(page) for page in sorted(SITE.rglob("*.html")) if LOADED.search(page.read_text(encoding="utf-8"))]


def main() -> int:
    copy_pages()
    shutil.rmtree(SITE, ignore_errors=True)
    zensical = Path(sys.executable).with_name("zensical")
    status = subprocess.run([zensical, "build", "--clean", "--strict"], cwd=ROOT).returncode
    if status:
        return status
    if loading := check_offline():
        print(f"these pages load something from elsewhere: {', '.join(loading)}", file=sys.stderr)
        return 1
    print(f"{len(list(SITE.rglob('*.html')))} pages; open {SITE / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
