"""Which files a source holds: folders, globs, names, files that come and go."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hanmo.bulk import Options, Source, addresses, read_in_bulk, sources
from hanmo.errors import DataError, ImageError

from .conftest import read, rows_of


def test_a_file_that_goes_away_is_a_row_with_its_error(folder: Path, options: Options, tmp_path: Path) -> None:
    source = Source([folder])
    (folder / "a.png").unlink()
    (folder / "0.png").touch()  # and one that comes is not read
    read_in_bulk(source, tmp_path / "rows.jsonl", options, processes=1)
    rows = rows_of(tmp_path / "rows.jsonl")
    assert len(rows) == 6
    assert rows[0]["error"] == "no such file; check the path"


def test_globs_take_pictures_only(folder: Path, options: Options, tmp_path: Path) -> None:
    names = [Path(row["file"]).name for row in read(tmp_path, options, f"{folder}/*")]
    assert names == ["a.png", "1.png", "2.png", "c.png", "d.png", "e.png"]
    assert Source([f"{folder}/**/[12].png"]).count == 2


@pytest.mark.parametrize("pattern", ["**", "**/*", "b/**", "**/b*"])
def test_globs_of_many_levels_take_each_picture_once(folder: Path, pattern: str) -> None:
    (folder / "b" / "deep").mkdir()
    (folder / "b" / "deep" / "3.png").write_bytes(b"3")
    expected = {str(path) for path in folder.rglob("*.png") if not path.name.startswith(".")}
    if "b" in pattern:
        expected = {path for path in expected if "/b/" in path}
    for source in (Source([f"{folder}/{pattern}"]), Source([f"{folder.as_uri()}/{pattern}"])):
        found = [path.removeprefix("file://") for path in source._listed()]
        assert sorted(found) == sorted(expected)


def test_a_gnt_file_that_cannot_be_opened_does_not_stop_the_others(folder: Path) -> None:
    (folder / "0-c.gnt").symlink_to(folder / "nowhere")
    source = Source([folder])
    assert source.count is None
    first, *others = source.items()
    assert isinstance(first.picture, ImageError)
    assert len(others) == 6


def test_folders_may_be_nested_deeper_than_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,200 folders the path is too long for the file system of some machines, so they are made up."""
    deepest = "/".join("d" * 1200)
    listings = {deepest[:end]: [(deepest[: end + 2], True)] for end in range(1, len(deepest), 2)}
    listings[deepest] = [(f"{deepest}/a.png", False)]
    monkeypatch.setattr(sources, "_entries", lambda folder: iter(listings[folder]))
    assert list(sources._files_below("d")) == [f"{deepest}/a.png"]


def test_folders_of_a_store_may_be_nested_deeper_than_functions() -> None:
    class Deep:
        """A store of one file below 1,200 folders."""

        def ls(self, folder: str, detail: bool) -> list[dict[str, str]]:
            deep = folder.count("/") == 1200
            return [{"name": f"{folder}/{'a.png' if deep else 'd'}", "type": "file" if deep else "directory"}]

        def unstrip_protocol(self, name: str) -> str:
            return name

    (found,) = addresses._below(Deep(), "d", None, lambda name: name.endswith(".png"))
    assert found.address == "/".join("d" * 1201) + "/a.png"


def test_a_folder_whose_path_is_too_long_is_one_line() -> None:
    with pytest.raises(DataError, match=r"cannot be listed \(.*\); use shorter names"):
        list(sources._files_below("d/" * 3000))


@pytest.mark.parametrize("names", [[], ["nowhere"], ["nowhere/*.png"], ["empty"], ["x" * 300]])
def test_an_input_that_names_nothing_is_refused(names: list[str], folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(DataError):
        Source([folder / name for name in names])


def test_strange_names_keep_one_row_a_line(folder: Path, options: Options, tmp_path: Path) -> None:
    picture = (folder / "a.png").read_bytes()
    (tmp_path / "in").mkdir()
    for name in (b'a\n"b",.png', b"\xff.png", "翰.png".encode()):
        Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + name)).write_bytes(picture)
    for suffix in ("csv", "jsonl", "parquet"):
        read_in_bulk(Source([tmp_path / "in"]), tmp_path / f"rows.{suffix}", options, processes=1)
    text = (tmp_path / "rows.csv").read_text(encoding="utf-8")
    assert text.count("\n") == 4
    names = [Path(row["file"]).name for row in csv.DictReader(io.StringIO(text))]
    assert names == ['a\\n"b",.png', "翰.png", "\\udcff.png"]
    assert [Path(row["file"]).name for row in rows_of(tmp_path / "rows.jsonl")] == names
    assert [Path(f).name for f in pq.read_table(tmp_path / "rows.parquet")["file"].to_pylist()] == names
