"""The packaged table of components."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanmo.charset import Charset, components_of, named_charset
from hanmo.charset.components import _table
from hanmo.errors import InstallationError


def test_characters_are_taken_apart() -> None:
    assert components_of("湖") == ("氵", "十", "口", "月")
    assert components_of("朋") == ("月",), "each component once"
    assert components_of("十") == ("十",), "its parts are strokes"
    assert components_of("A") == ("A",)


def test_the_components_of_level_1() -> None:
    every = [components_of(character) for character in Charset.level1()]
    assert len({part for parts in every for part in parts}) == 523
    assert 2.8 < sum(map(len, every)) / 3755 < 3.0


def test_components_are_themselves_whole() -> None:
    """A component that has components of its own would make the depth of the table a matter of chance."""
    for character in named_charset("gb2312+common"):
        for part in components_of(character):
            assert components_of(part) == (part,)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), ("origin\n\n湖氵胡\n", "1 characters instead")]
)
def test_a_damaged_table_is_named(
    content: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "components.txt").write_text(content, encoding="utf-8")
    monkeypatch.setattr("hanmo.charset.components.files", lambda package: tmp_path)
    with pytest.raises(InstallationError, match=message):
        _table.__wrapped__()


def test_the_table_names_its_origin_and_licence() -> None:
    folder = Path(__file__).parents[1]
    header = (folder / "src/hanmo/charset/components.txt").read_text(encoding="utf-8").partition("\n\n")[0]
    assert "by Yi Bai, MIT; see licenses/MIT-ids.txt" in header
    assert (
        (folder / "licenses/MIT-ids.txt")
        .read_text(encoding="utf-8")
        .startswith("MIT License\n\nCopyright (c) 2021 Yi Bai")
    )
