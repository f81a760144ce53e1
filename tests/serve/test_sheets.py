"""POST /v1/sheets: photographs of sheets with a character in each box."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from drawn_boxes import draw_boxes
from hanmo.bundle import Bundle
from hanmo.errors import ArgumentError
from hanmo.recognizer import Recognizer
from hanmo.serve.config import ServeConfig
from hanmo.sheets.sheet import read_sheet

URL = "/v1/sheets"
POEM = ["春眠不觉晓", "处处闻啼鸟", "夜来  声", "花落知多少"]
TEXT = "春眠不觉晓\n处处闻□鸟\n夜来\u3000\u3000声\n花落知多少"


def drawn() -> NDArray[np.uint8]:
    """A sheet of boxes; 啼 was scribbled over."""
    pixels, grid = draw_boxes(POEM, 200, rule="#404040")
    picture = Image.fromarray(pixels)
    left, top = grid.quads[1, 3, 0] + 30
    zigzag = [(left + 15 * n, top + (130 if n % 2 else 0)) for n in range(10)]
    ImageDraw.Draw(picture).line(zigzag, "#202028", 12)
    return np.asarray(picture)


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def poem() -> bytes:
    """The file of such a sheet."""
    return png(drawn())


@pytest.fixture(scope="module")
def nano(serving: Any) -> Iterator[httpx.Client]:
    with serving(Recognizer("nano"), threads=2) as client:
        yield client


def test_a_sheet_is_read_as_in_python(nano: httpx.Client, poem: bytes) -> None:
    answer = nano.post(URL, content=poem, headers={"content-type": "image/png"}).raise_for_status().json()
    sheet = read_sheet(poem, Recognizer("nano"))
    assert answer["text"] == sheet.text() == TEXT
    assert (answer["width"], answer["height"]) == sheet.size
    assert (answer["rotation"], answer["upside_down"], answer["direction"]) == (0, False, "rows")
    assert (answer["text_in_context"], answer["model"]) == (None, "nano")
    assert answer["grids"] == [{"rows": 4, "columns": 5, "ruled": sheet.grids[0].ruled}]
    assert len(answer["cells"]) == 20
    for sent, cell in zip(answer["cells"], sheet.cells, strict=True):
        assert (sent["grid"], sent["row"], sent["column"]) == (cell.grid + 1, cell.row + 1, cell.column + 1)
        assert np.allclose(sent["quadrilateral"], cell.quadrilateral, atol=0.051)
        assert (sent["empty"], sent["corrected"], sent["character"]) == (cell.empty, cell.corrected, cell.character)
        assert sent["probability"] == pytest.approx(cell.probability, abs=1e-6)
        known = [c.character for c in cell.prediction.candidates] if cell.prediction else []
        assert [c["character"] for c in sent["candidates"]] == known
        assert len(known) == (0 if cell.empty else 10)
    assert "hanmo_sheets_total 1.0" in nano.get("/metrics").text


def test_direction_context_and_top(nano: httpx.Client, poem: bytes) -> None:
    asked = {"direction": "columns-right-to-left", "context": "true", "top": 2}
    answer = nano.post(URL, params=asked, files={"file": ("poem.png", poem)}).raise_for_status().json()
    assert answer["direction"] == "columns-right-to-left"
    first = [(cell["row"], cell["column"]) for cell in answer["cells"]][:5]
    assert first == [(1, 5), (2, 5), (3, 5), (4, 5), (1, 4)]
    assert answer["text"] == "晓鸟声少\n觉□\u3000多\n不闻\u3000知\n眠处来落\n春处夜花"
    assert answer["text_in_context"] is not None
    written = [cell for cell in answer["cells"] if cell["character"]]
    assert all(cell["in_context"] for cell in written)
    assert {len(cell["candidates"]) for cell in written} == {2}


@pytest.mark.parametrize("place", ["query", "form"])
def test_characters_to_choose_among(nano: httpx.Client, poem: bytes, place: str) -> None:
    among = {"among": "花鸟声知"}
    sent: dict[str, Any] = {"params": among} if place == "query" else {"data": among}
    answer = nano.post(URL, files={"file": ("poem.png", poem)}, **sent).raise_for_status().json()
    read = {cell["character"] for cell in answer["cells"]}
    assert set("花鸟声知") <= read <= {*"花鸟声知", None}


def test_an_upside_down_sheet_says_so(nano: httpx.Client) -> None:
    pixels, _ = draw_boxes(POEM, 200, rule="#404040")
    answer = nano.post(URL, content=png(pixels[::-1, ::-1])).raise_for_status().json()
    assert (answer["rotation"], answer["upside_down"]) == (180, True)
    assert answer["text"] == TEXT.replace("□", "啼")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"content": png(np.full((300, 300, 3), 255, np.uint8))}, (422, "no_grid")),
        ({"content": b"P5 5000 5000 255 "}, (422, "picture_too_large")),
        ({"content": b"none"}, (415, "unsupported_format")),
        ({"content": b""}, (422, "unusable_picture")),
        ({"content": b"none", "headers": {"content-type": "text/plain"}}, (415, "unsupported_media_type")),
        ({"files": [("file", b"a"), ("file", b"b")]}, (422, "too_many_pictures")),
        ({"json": {"strokes": [[[0, 0], [1, 1]]]}}, (422, "malformed_sheet")),
        ({"content": b"", "params": {"direction": "up"}}, (422, "malformed_query")),
        ({"content": b"", "params": {"context": "perhaps"}}, (422, "malformed_query")),
        ({"content": b"", "params": {"top": "51"}}, (422, "malformed_query")),
        ({"content": b"", "params": {"among": ""}}, (422, "unusable_among")),
    ],
)
def test_refusals(nano: httpx.Client, sent: dict[str, Any], expected: tuple[int, str]) -> None:
    assert code_of(nano.post(URL, **sent)) == expected


class SlowReader(Recognizer):
    """Reads the cells of sheets when it is let, and single pictures at once."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.go, self.sheets = threading.Event(), 0

    def logits(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        if threading.current_thread().name.startswith("hanmo-sheet"):
            self.sheets += 1
            self.go.wait(20)
        return super().logits(squares)


def test_sheets_hold_up_no_single_picture(
    serving: Any, bundle: Bundle, poem: bytes, picture: Callable[..., bytes]
) -> None:
    reader = SlowReader(bundle)
    with serving(reader, sheets=2) as client, ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.post, URL, content=poem)
        second = pool.submit(client.post, URL, content=poem)
        until(lambda: reader.sheets == 1)
        until(lambda: code_of(client.post(URL, content=poem)) == (503, "busy"))
        read = client.post("/v1/recognize", content=picture("十")).raise_for_status().json()
        assert read["results"][0]["character"] == "十"
        assert client.get("/health/ready").status_code == 200
        reader.go.set()
        assert {first.result().status_code, second.result().status_code} == {200}


def test_whoever_leaves_gives_the_place_back(serving: Any, bundle: Bundle, poem: bytes) -> None:
    reader = SlowReader(bundle)
    with serving(reader, sheets=2) as client, ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.post, URL, content=poem)
        until(lambda: reader.sheets == 1)
        with pytest.raises(httpx.ReadTimeout):
            client.post(URL, content=poem, timeout=0.5)
        third = pool.submit(client.post, URL, content=poem)
        time.sleep(0.3)
        reader.go.set()
        assert third.result().status_code == 200, "and not: busy"
        assert first.result().status_code == 200
        assert "hanmo_sheets_total 2.0" in client.get("/metrics").text, "the sheet of who had left was not read"


def test_a_sheet_has_a_time_of_its_own(serving: Any, bundle: Bundle, poem: bytes) -> None:
    reader = SlowReader(bundle)
    with serving(reader, timeout=0.2, sheet_timeout=1.0) as client, ThreadPoolExecutor(1) as pool:
        assert client.get("/v1/model").json()["limits"]["sheet_timeout_seconds"] == 1.0
        late = pool.submit(client.post, URL, content=poem)
        until(lambda: reader.sheets == 1)
        assert code_of(late.result()) == (504, "timeout")
        reader.go.set()


@pytest.mark.parametrize("wrong", [{"sheets": 0}, {"sheet_timeout": 0}])
def test_impossible_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        ServeConfig(**wrong)
