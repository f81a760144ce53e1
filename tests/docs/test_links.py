"""Links between the documents lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "benchmarks").glob("*.md"),
    *(ROOT / "docs").rglob("*.ipynb"),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        return "\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown")
    return re.sub(r"```.*?```", "", text, flags=re.S)


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as repository hosts make them."""
    titles = re.findall(r"^#+ +(.*)$", text_of(path), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(document: Path) -> None:
    lost = []
    for link in LINK.findall(text_of(document)):
        target, _, anchor = link.partition("#")
        if "://" in link:
            continue
        file = (document.parent / target).resolve() if target else document
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            lost.append(link)
    assert not lost


def test_the_readme_has_a_line_for_every_folder() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    packages = {f"src/hanmo/{path.parent.name}/" for path in (ROOT / "src" / "hanmo").glob("*/__init__.py")}
    others = {"examples/", "docs/", "benchmarks/", "tests/", "dev/", "constraints/", "licenses/", ".github/"}
    assert not {name for name in packages | others if f"| `{name}` |" not in readme}


def test_every_page_of_the_site_exists() -> None:
    named = re.findall(r"^ +- ([\w/]+)\.md$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    roots = {"benchmarks/README": ROOT / "benchmarks/README.md"}
    roots |= {name.lower(): ROOT / f"{name}.md" for name in ("CONTRIBUTING", "CHANGELOG")}
    lost = [
        name
        for name in named
        if not any(p.exists() for p in (roots.get(name, ROOT / f"docs/{name}.md"), ROOT / f"docs/{name}.ipynb"))
    ]
    assert named
    assert not lost


def test_files_named_in_the_architecture_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+\.py|[\w/]+/)`", text))
    assert len(named) > 30
    assert not {name for name in named if not any((root / name).exists() for root in (ROOT, ROOT / "src" / "hanmo"))}


def test_files_named_in_handwriting_exist() -> None:
    text = (ROOT / "docs" / "handwriting.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:strokes|fonts|paper|data)/\w+\.\w+)`", text))
    assert len(named) > 12
    assert not {name for name in named if not (ROOT / "src" / "hanmo" / "synth" / name).exists()}
