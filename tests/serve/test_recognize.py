"""POST /v1/recognize: everything it takes, everything it refuses."""

from __future__ import annotations

import io
import json
import struct
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hanmo.bundle import Bundle
from hanmo.errors import FaintInkError
from hanmo.normalize import Inspected, Normalization
from hanmo.recognizer import Recognizer
from hanmo.serve.schemas import Answer

URL = "/v1/recognize"
Picture = Callable[..., bytes]


def error_of(response: httpx.Response, status: int) -> str:
    """The code of a typed refusal."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    assert set(response.json()["error"]) == {"code", "message"}
    assert response.json()["error"]["message"]
    return str(response.json()["error"]["code"])


def read(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return "".join(result["character"] for result in response.json()["results"])


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "gif", "tiff", "ppm"])
def test_raw_bytes_of_every_format(client: httpx.Client, picture: Picture, kind: str) -> None:
    for header in (f"image/{kind}", "application/octet-stream", "image/png", None):
        headers = {"content-type": header} if header else {}
        assert read(client.post(URL, content=picture("十", kind), headers=headers)) == "十"


def test_the_shape_of_an_answer(client: httpx.Client, picture: Picture, bundle: Bundle) -> None:
    answer = client.post(URL, params={"top": 3}, files={"file": ("十.png", picture("十"))}).json()
    expected = Recognizer(bundle).recognize(picture("十"), top=3)
    assert set(answer) == {"results", "model"}
    assert answer["model"] == "tiny"
    (result,) = answer["results"]
    assert (result["name"], result["character"], result["refused"], result["reason"]) == ("十.png", "十", False, None)
    assert result["candidates"] == [
        {"character": c.character, "probability": pytest.approx(c.probability, abs=1e-6), "alike": ""}
        for c in expected.candidates
    ]
    assert result["probability"] == result["candidates"][0]["probability"]


def test_many_files_keep_their_order_and_a_bad_one_its_place(client: httpx.Client, picture: Picture) -> None:
    wanted = "一十口丨" * 16
    files = [("files" if n % 2 else "file", (f"{n}.png", picture(c))) for n, c in enumerate(wanted)]
    answer = client.post(URL, files=files)
    assert read(answer) == wanted
    assert [result["name"] for result in answer.json()["results"]] == [f"{n}.png" for n in range(64)]
    files[1:4] = [("file", ("a.pdf", b"%PDF-1.7")), ("file", ("b", b"")), ("file", ("c.png", picture("十")[:60]))]
    results = client.post(URL, files=files).json()["results"]
    assert [result["error"]["code"] for result in results[1:4]] == [
        "unsupported_format",
        "unusable_picture",
        "unusable_picture",
    ]
    assert [result.get("character") for result in results] == [wanted[0], None, None, None, *wanted[4:]]


def test_strokes_one_and_many(client: httpx.Client, hand: dict[str, Any]) -> None:
    for character, strokes in hand.items():
        assert read(client.post(URL, json={"strokes": strokes})) == character
    pressed = [[[x, y, 0.5] for x, y in stroke] for stroke in hand["十"]]
    many = {"characters": [{"strokes": s} for s in [*hand.values(), pressed]]}
    assert read(client.post(URL, json=many)) == "".join(hand) + "十"
    results = client.post(URL, json={"characters": [{"strokes": []}, {"strokes": hand["口"]}]}).json()["results"]
    assert results[0]["error"]["code"] == "unusable_picture"
    assert results[1]["character"] == "口"


def test_the_embedded_reader_reads_pictures_and_strokes(serving: Any, examples: list[Path]) -> None:
    with serving(Recognizer()) as client:
        files = [("file", (path.name, path.read_bytes())) for path in examples]
        assert read(client.post(URL, files=files)) == "永山水马书月翰墨"
        assert read(client.post(URL, json={"strokes": [[[0, 50], [100, 50]], [[50, 0], [50, 100]]]})) == "十"
        assert read(client.post(URL, json={"strokes": [[[0, 5], [50, 4], [100, 5]]]})) == "一"


@pytest.mark.parametrize("top", ["0", "51", "-1", "many", "1e9", "nan"])
def test_impossible_top(client: httpx.Client, picture: Picture, top: str) -> None:
    assert error_of(client.post(URL, params={"top": top}, content=picture("一")), 422) == "malformed_query"


@pytest.mark.parametrize(
    "kind",
    ["image/svg+xml", "application/pdf", "text/plain", "text/html", "application/x-www-form-urlencoded", "é"],
)
def test_other_media_types(client: httpx.Client, picture: Picture, kind: str) -> None:
    refused = client.post(URL, content=picture("一"), headers={"content-type": kind.encode()})
    assert error_of(refused, 415) == "unsupported_media_type"


@pytest.mark.parametrize(
    "data", [b"<svg/>", b"<?xml version='1.0'?><svg/>", b"%PDF-1.7", b"PK\3\4", b"hello", b"\0" * 99]
)
def test_files_of_other_formats(client: httpx.Client, data: bytes) -> None:
    assert error_of(client.post(URL, content=data), 415) == "unsupported_format"
    assert error_of(client.post(URL, files={"file": ("a.png", data)}), 415) == "unsupported_format"


def test_unusable_pictures(client: httpx.Client, picture: Picture) -> None:
    assert error_of(client.post(URL, content=b""), 422) == "unusable_picture"
    assert error_of(client.post(URL, content=picture("一")[:70]), 422) == "unusable_picture"


def blank_picture() -> bytes:
    file = io.BytesIO()
    Image.new("L", (50, 50), 255).save(file, "png")
    return file.getvalue()


def test_a_picture_without_ink_is_refused_not_failed(client: httpx.Client, picture: Picture) -> None:
    expected = {"character": None, "probability": 0, "refused": True, "reason": "blank", "candidates": []}
    answer = client.post(URL, content=blank_picture())
    assert answer.status_code == 200
    assert answer.json()["results"] == [expected]
    files = [("file", (None, data)) for data in (picture("十"), blank_picture(), picture("一"))]
    first, second, third = client.post(URL, files=files).json()["results"]
    assert (first["character"], second, third["character"]) == ("十", expected, "一")


@pytest.mark.parametrize("remark", ["several characters", "touching the edge"])
def test_a_refusal_says_what_was_remarked(
    comparing_bundle: Callable[..., Bundle], tmp_path: Path, monkeypatch: Any, serving: Any, hand: Any, remark: Any
) -> None:
    def inspect(normalization: Normalization, grey: NDArray[np.uint8]) -> Inspected:
        if grey.shape == (6, 6):
            raise FaintInkError("no clear ink")
        square = np.random.default_rng(grey.size).integers(0, 255, (16, 16)).astype(np.uint8)
        return Inspected(square=square, remark=remark if grey.shape == (7, 7) else None)

    strict = comparing_bundle(tmp_path / "strict", hand, 16, refusal_threshold=0.999)
    monkeypatch.setattr(Normalization, "inspect", inspect)
    with serving(Recognizer(strict)) as client:
        files = []
        for number, side in enumerate((6, 7, 8)):
            file = io.BytesIO()
            Image.new("L", (side, side), 255).save(file, "png")
            files.append(("file", (f"{number}.png", file.getvalue())))
        results = client.post(URL, params={"top": 2}, files=files).json()["results"]
    assert [result["reason"] for result in results] == ["no clear ink", remark, "unknown character"]
    assert [len(result["candidates"]) for result in results] == [0, 2, 2]
    assert all(result["refused"] and result["character"] is None for result in results)


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(4 * 2**20)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [4097, 30_000, 2**31 - 1])
def test_png_bombs(client: httpx.Client, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[object] = []
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: decoded.append(self))
    assert error_of(client.post(URL, content=png_that_claims(side, side)), 422) == "picture_too_large"
    assert not decoded, "the header alone tells"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"strokes": []}', "unusable_picture"),
        ('{"strokes": [[]]}', "unusable_picture"),
        ('{"strokes": [[[0, 0], [NaN, 1]]]}', "unusable_picture"),
        ('{"strokes": [[[0, 0], [Infinity, 1]]]}', "unusable_picture"),
        ('{"strokes": [[[0, 0], [1e999, 1]]]}', "unusable_picture"),
        ('{"strokes": [[[-1.7e308, 0], [1.7e308, 1]]]}', "unusable_picture"),
        ('{"strokes": [[[0, 0], [1, 1, 1]]]}', "unusable_picture"),
        ('{"strokes": [[[0, 0, 2]]]}', "unusable_picture"),
        ('{"strokes": [[[0, 0], [1]]]}', "malformed_strokes"),
        ('{"strokes": [[[0, 0], [1, 2, 3, 4]]]}', "malformed_strokes"),
        ('{"strokes": [[["0", "1"]]]}', "malformed_strokes"),
        ('{"strokes": [[[true, null]]]}', "malformed_strokes"),
        ('{"strokes": "/etc/hostname"}', "malformed_strokes"),
        ('{"strokes": null}', "malformed_strokes"),
        ('{"strokes": [[[0, 0]]], "characters": []}', "malformed_strokes"),
        ('{"characters": []}', "malformed_strokes"),
        ('{"characters": [{"strokes": [], "name": 1}]}', "malformed_strokes"),
        ('{"points": []}', "malformed_strokes"),
        ("{}", "malformed_strokes"),
        ("[]", "malformed_strokes"),
        ("", "malformed_strokes"),
        ('{"strokes": [[[0, 0]', "malformed_strokes"),
        ('"\\ud800"', "malformed_strokes"),
        ("[" * 60_000, "malformed_strokes"),
        ("[" * 100_000, "too_many_points"),
        ('{"strokes": [[[' + "9" * 5000 + ", 0]]]}", "malformed_strokes"),
    ],
)
def test_unusable_strokes(client: httpx.Client, body: str, code: str) -> None:
    refused = client.post(URL, content=body, headers={"content-type": "application/json"})
    assert error_of(refused, 422) == code


def test_too_many_points_strokes_and_characters(client: httpx.Client, hand: dict[str, Any]) -> None:
    long = {"strokes": [[[n, n % 7] for n in range(10_000)]]}
    assert error_of(client.post(URL, json=long), 422) == "picture_too_large"
    assert error_of(client.post(URL, json={"strokes": [[[0, 0]]] * 257}), 422) == "picture_too_large"
    assert error_of(client.post(URL, json={"characters": [{"strokes": hand["一"]}] * 65}), 422) == "too_many_pictures"


@pytest.mark.parametrize("entry", [b"1", b"[[]]", b'{"strokes": 1}', b'{"a": 1}'])
def test_a_body_of_nothing_but_errors_costs_one(client: httpx.Client, entry: bytes) -> None:
    body = b'{"strokes": [' + entry + (b"," + entry) * (2 * 10**6 // (len(entry) + 1)) + b"]}"
    start = time.process_time()  # of the server's threads, too
    for sent in (body, body.replace(b"strokes", b"characters", 1)):
        refused = client.post(URL, content=sent, headers={"content-type": "application/json"})
        codes = ("malformed_strokes", "too_many_pictures", "picture_too_large", "too_many_points")
        assert error_of(refused, 422) in codes
    assert time.process_time() - start < 1.5, "a list of every error would take seconds and a gigabyte"


def test_content_types_with_endless_options(client: httpx.Client, picture: Picture) -> None:
    options = ";a=b" * 10_000
    assert read(client.post(URL, content=picture("一"), headers={"content-type": f"image/png{options}"})) == "一"
    form = {"content-type": f"multipart/form-data; boundary=x{options}"}
    assert error_of(client.post(URL, content=HEAD + b"x\r\n--x--\r\n", headers=form), 422) == "malformed_form"
    capital = {"content-type": "Multipart/Form-Data; Boundary=x"}
    assert read(client.post(URL, content=HEAD + picture("口") + b"\r\n--x--\r\n", headers=capital)) == "口"


def test_an_answer_is_as_described(client: httpx.Client, picture: Picture) -> None:
    files = [("file", ("a.png", picture("口"))), ("file", ("b", b"")), ("file", (None, picture("十")))]
    files.append(("file", ("c.png", blank_picture())))
    scribble = {"strokes": [[[n * 37 % 101, n * 53 % 97] for n in range(40)]]}
    for answer in (client.post(URL, files=files), client.post(URL, json=scribble)):
        assert answer.status_code == 200
        told = answer.json()
        assert Answer.model_validate(told, strict=True, extra="forbid").model_dump(exclude_defaults=True) == told


def test_too_many_files(client: httpx.Client, picture: Picture) -> None:
    files = [("files", ("a.png", picture("一")))] * 65
    assert error_of(client.post(URL, files=files), 422) == "too_many_pictures"


HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'


@pytest.mark.parametrize(
    ("boundary", "body", "code"),
    [
        ("; boundary=x", b"", "malformed_form"),
        ("; boundary=x", b"--x--\r\n", "no_pictures"),
        ("; boundary=x", HEAD + b"data", "malformed_form"),
        ("; boundary=x", HEAD.replace(b'"file"', b'"picture"') + b"data\r\n--x--\r\n", "malformed_form"),
        ("; boundary=x", b"--x\r\n\r\ndata\r\n--x--\r\n", "malformed_form"),
        ("; boundary=x", b"--x\r\n" + b"a" * 100_000, "malformed_form"),
        ("; boundary=x", b"--y\r\n", "malformed_form"),
        ("; boundary=" + "x" * 5000, b"--x\r\n", "malformed_form"),
        ("", HEAD + b"data\r\n--x--\r\n", "malformed_form"),
    ],
)
def test_malformed_forms(client: httpx.Client, boundary: str, body: bytes, code: str) -> None:
    refused = client.post(URL, content=body, headers={"content-type": f"multipart/form-data{boundary}"})
    assert error_of(refused, 422) == code


def test_names_come_back_printable(client: httpx.Client, picture: Picture) -> None:
    body = HEAD.replace(b"a.png", "永\x1b\\".encode() + b"\xff" + b"n" * 500) + picture("一") + b"\r\n--x--\r\n"
    answer = client.post(URL, content=body, headers={"content-type": "multipart/form-data; boundary=x"})
    (result,) = answer.json()["results"]
    assert result["name"].startswith("永\ufffd")
    assert len(result["name"]) <= 201


def test_many_clients_get_what_each_alone_gets(client: httpx.Client, picture: Picture, bundle: Bundle) -> None:
    reader = Recognizer(bundle)
    wanted = list("一十口丨") * 25
    tops = [1 + n % 4 for n in range(len(wanted))]

    def ask(character: str, top: int) -> Any:
        return client.post(URL, params={"top": top}, content=picture(character)).json()["results"][0]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, wanted, tops))
    for answer, character, top in zip(answers, wanted, tops, strict=True):
        alone = reader.recognize(picture(character), top=top)
        assert [c["character"] for c in answer["candidates"]] == [c.character for c in alone.candidates]
        told = np.array([c["probability"] for c in answer["candidates"]])
        np.testing.assert_allclose(told, [c.probability for c in alone.candidates], atol=2e-6)


def test_json_is_utf8_and_without_a_name_there_is_none(client: httpx.Client, picture: Picture) -> None:
    answer = client.post(URL, content=picture("口"))
    assert answer.headers["content-type"] == "application/json"
    assert "口".encode() in answer.content
    assert "name" not in json.loads(answer.content)["results"][0]
