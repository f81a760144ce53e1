"""POST /v1/corrections: what the folder of hanmo serve --keep holds afterwards, and what is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hanmo.cli.main import app
from hanmo.errors import ArgumentError, StorageError
from hanmo.image import load
from hanmo.own.hand import drawings
from hanmo.recognizer import Recognizer
from hanmo.serve.app import create_app
from hanmo.serve.config import ServeConfig

URL = "/v1/corrections"
PNG = {"content-type": "image/png"}
Picture = Callable[..., bytes]


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def send(client: httpx.Client, character: str, data: bytes, kind: str = "image/png") -> httpx.Response:
    return client.post(URL, params={"character": character}, content=data, headers={"content-type": kind})


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def encoded(picture: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    return file.getvalue()


def test_without_keep_there_is_no_such_address(client: httpx.Client, picture: Picture) -> None:
    assert code_of(send(client, "十", picture("十"))) == (404, "not_found")
    assert client.get("/v1/model").json()["keeps_corrections"] is False
    assert URL not in client.get("/openapi.json").json()["paths"]


def test_pictures_and_strokes_are_kept(serving: Any, picture: Picture, hand: Any, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "kept"
    with serving(keep=folder) as client:
        assert client.get("/v1/model").json()["keeps_corrections"] is True
        assert URL in client.get("/openapi.json").json()["paths"]
        assert "<code>POST /v1/corrections</code>" in client.get("/docs").text
        # The model knows four characters; others may be kept, too.
        assert send(client, "靐", picture("口", "jpeg"), "image/jpeg").json() == {"character": "靐", "kept": 1}
        answer = client.post(URL, params={"character": "十"}, json={"strokes": hand["十"]})
        assert answer.json() == {"character": "十", "kept": 2}
    kept = [name for name in files(folder) if name.endswith(".png")]
    assert [name.split("/")[0] for name in kept] == ["U+5341", "U+9750"]
    assert all(len(Path(name).stem) == 64 for name in kept)
    # What is stored is read as what was sent.
    np.testing.assert_array_equal(load(folder / kept[0]), load(hand["十"]))
    np.testing.assert_array_equal(load(folder / kept[1]), load(picture("口", "jpeg")))


def test_the_last_character_of_a_picture_counts(serving: Any, picture: Picture, tmp_path: Path) -> None:
    with serving(keep=tmp_path) as client:
        for character in "一一丨":
            assert send(client, character, picture("一")).json()["kept"] == 1
    (folder, file) = files(tmp_path)  # no empty folder is left, which hanmo adapt would refuse
    assert (folder, Path(file).parent.name) == ("U+4E28", "U+4E28")


def test_what_a_photo_tells_besides_its_pixels_is_not_kept(serving: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    file = io.BytesIO()
    Image.open(io.BytesIO(encoded(next(drawn for _, drawn in drawings("永", 1))))).save(file, "jpeg", exif=exif)
    assert b"secret place" in file.getvalue()
    with serving(keep=tmp_path) as client:
        assert send(client, "永", file.getvalue(), "image/jpeg").status_code == 200
    (stored,) = tmp_path.glob("*/*.png")
    assert b"secret" not in stored.read_bytes()


@pytest.mark.parametrize("character", ["", "永永", "../x", "\0", "\n", "\ue000", "永" * 5000, "%2e%2e%2f"])
def test_what_is_no_character_is_refused(serving: Any, picture: Picture, tmp_path: Path, character: str) -> None:
    with serving(keep=tmp_path / "kept") as client:
        assert code_of(send(client, character, picture("十"))) == (422, "unusable_character")
    assert files(tmp_path) == ["kept"]


@pytest.mark.parametrize("character", [".", "/", "\\", "~", "C", "😀"])
def test_any_character_makes_a_safe_name(serving: Any, picture: Picture, tmp_path: Path, character: str) -> None:
    with serving(keep=tmp_path / "kept") as client:
        assert send(client, character, picture("十")).status_code == 200
    assert (tmp_path / "kept" / f"U+{ord(character):04X}").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_bad_bodies_store_nothing(serving: Any, picture: Picture, hand: Any, tmp_path: Path) -> None:
    with serving(keep=tmp_path) as client:
        assert code_of(client.post(URL, content=picture("十"), headers=PNG)) == (422, "malformed_query")
        assert code_of(send(client, "十", b"none")) == (415, "unsupported_format")
        assert code_of(send(client, "十", picture("十")[:100])) == (422, "unusable_picture")
        assert code_of(send(client, "十", encoded(np.full((40, 40), 255, np.uint8)))) == (422, "blank_picture")
        assert code_of(send(client, "十", encoded(np.zeros((4001, 4200), np.uint8)))) == (422, "picture_too_large")
        assert code_of(send(client, "十", bytes(8 * 2**20 + 1))) == (413, "body_too_large")
        bad = b'{"strokes": [[["a", 1]]]}'
        assert code_of(send(client, "十", bad, "application/json")) == (422, "malformed_strokes")
        many = json.dumps({"characters": [{"strokes": hand["十"]}] * 2}).encode()
        assert code_of(send(client, "十", many, "application/json")) == (422, "too_many_pictures")
    assert files(tmp_path) == []


def test_what_other_sites_could_send_is_refused(serving: Any, picture: Picture, tmp_path: Path) -> None:
    where: dict[str, Any] = {"params": {"character": "十"}}
    with serving(keep=tmp_path) as client:
        for call in ({"content": picture("十")}, {"files": {"file": ("a.png", picture("十"), "image/png")}}):
            assert code_of(client.post(URL, **where, **call)) == (415, "unsupported_media_type")
        plain = {"content": picture("十"), "headers": {"content-type": "text/plain"}}
        assert code_of(client.post(URL, **where, **plain)) == (415, "unsupported_media_type")
        # A browser asks first whether another site may send a picture; the answer gives no permission.
        asked = client.options(URL, headers={"origin": "http://elsewhere.example"})
        assert asked.status_code == 405
        assert "access-control-allow-origin" not in asked.headers
    assert files(tmp_path) == []


def test_a_full_folder_takes_no_more(serving: Any, picture: Picture, tmp_path: Path) -> None:
    with serving(keep=tmp_path / "few", keep_pictures=1) as client:
        assert send(client, "一", picture("一")).status_code == 200
        assert code_of(send(client, "十", picture("十"))) == (507, "keep_full")
        assert send(client, "丨", picture("一")).json()["kept"] == 1  # the stored one may still move
        for stored in (tmp_path / "few").glob("*/*.png"):
            stored.unlink()  # its owner empties the folder while the server runs
        assert send(client, "十", picture("十")).json()["kept"] == 1
    with serving(keep=tmp_path / "small", keep_bytes=10) as client:
        assert code_of(send(client, "一", picture("一"))) == (507, "keep_full")
    assert files(tmp_path / "small") == []


def test_a_folder_that_cannot_be_made_stops_the_start(bundle: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="file"):
        create_app(ServeConfig(keep=tmp_path / "file"), Recognizer(bundle))
    with pytest.raises(ArgumentError, match="keep_pictures"):
        ServeConfig(keep_pictures=0)
    result = CliRunner().invoke(app, ["serve", "--static", str(tmp_path / "site"), "--keep", str(tmp_path / "kept")])
    assert result.exit_code != 0
    assert "--keep is for a server" in result.output + str(result.exception)
    assert not (tmp_path / "kept").exists()


def test_extend_and_adapt_learn_from_the_folder(serving: Any, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with serving(Recognizer("nano"), keep=kept) as client:
        for character, drawn in drawings("永山水火龘", 2):
            assert send(client, character, encoded(drawn)).status_code == 200

    def run(*words: str) -> dict[str, Any]:
        result = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        facts: dict[str, Any] = json.loads(result.stdout)
        return facts

    extended = run("extend", "nano", str(kept), "--only-new", "--out", str(tmp_path / "mine"))
    assert (extended["characters"], extended["new"], extended["pictures"]) == ("龘", 1, 2)
    adapted = run("adapt", "nano", str(kept), "--only-known", "--out", str(tmp_path / "hand"))
    assert (adapted["pictures"], adapted["used"]) == (8, 8)
    # The extended bundle knows all of them, so nothing needs to be left out.
    assert run("adapt", str(tmp_path / "mine"), str(kept), "--out", str(tmp_path / "both"))["used"] == 10
