"""POST /v1/explain and GET /v1/characters: why a picture was read as a character, and what it may be taken for."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from hanmo.bundle import Bundle
from hanmo.medians import load_medians
from hanmo.occlusion import explain
from hanmo.recognizer import Recognizer

URL, CHARACTERS = "/v1/explain", "/v1/characters"
Picture = Callable[..., bytes]


class SlowReader(Recognizer):
    """Explains when it is let, and reads at once."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.go, self.explaining = threading.Event(), 0

    def logits(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        if threading.current_thread().name.startswith("hanmo-explain"):
            self.explaining += 1
            self.go.wait(20)
        return super().logits(squares)


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def nano(serving: Any) -> Iterator[httpx.Client]:
    with serving(Recognizer("nano"), threads=2) as client:
        yield client


def strokes_of(character: str) -> list[Any]:
    return [stroke.tolist() for stroke in load_medians().of(character)]


def test_it_is_what_python_says(nano: httpx.Client, examples: list[Path]) -> None:
    reader = Recognizer("nano")
    for path in examples[:3]:
        expected = explain(reader, path)
        for sent in ({"content": path.read_bytes()}, {"files": {"file": (path.name, path.read_bytes())}}):
            answer = nano.post(URL, **sent)
            assert answer.status_code == 200, answer.text
            told = answer.json()
            assert set(told) == {"character", "probability", "side", "square", "size", "heat"}
            assert told["character"] == expected.character
            assert told["probability"] == pytest.approx(expected.probability, abs=1e-6)
            assert (told["side"], told["size"]) == (48, 12)
            square = np.frombuffer(base64.b64decode(told["square"]), np.uint8).reshape(48, 48)
            np.testing.assert_array_equal(square, expected.square)
            np.testing.assert_allclose(told["heat"], expected.heat, atol=1e-6)


def test_the_dot_speaks_for_one_character_and_against_the_other(nano: httpx.Client) -> None:
    body = {"strokes": strokes_of("太")}
    answers = [nano.post(URL, params=chosen, json=body).json() for chosen in ({}, {"character": "大"})]
    assert [answer["character"] for answer in answers] == ["太", "大"]
    (warm, _), (_, cold) = ((np.max(a["heat"]), np.min(a["heat"])) for a in answers)
    assert warm > 1
    assert cold < -1
    place = np.unravel_index(np.argmax(answers[0]["heat"]), (12, 12))
    assert place[0] >= 8, "the dot of 太 is at the bottom"


def test_a_reader_can_explain_what_it_refuses(nano: httpx.Client) -> None:
    scribble = {"strokes": [[[n * 37 % 101, n * 53 % 97] for n in range(40)]]}
    read = nano.post("/v1/recognize", json=scribble).json()["results"][0]
    assert read["refused"]
    assert nano.post(URL, json=scribble).json()["character"] == read["candidates"][0]["character"]


def test_what_is_refused(client: httpx.Client, picture: Picture, hand: dict[str, Any]) -> None:
    plus = picture("十")
    assert code_of(client.post(URL, params={"character": "永"}, content=plus)) == (404, "unknown_character")
    assert code_of(client.post(URL, params={"character": ""}, content=plus)) == (404, "unknown_character")
    assert code_of(client.post(URL, files=[("file", ("a", plus))] * 2)) == (422, "too_many_pictures")
    two = {"characters": [{"strokes": hand["一"]}, {"strokes": hand["十"]}]}
    assert code_of(client.post(URL, json=two)) == (422, "too_many_pictures")
    assert code_of(client.post(URL, content=b"%PDF-1.7")) == (415, "unsupported_format")
    assert code_of(client.post(URL, content=b"x", headers={"content-type": "text/plain"})) == (
        415,
        "unsupported_media_type",
    )
    assert code_of(client.post(URL, content=plus[:60])) == (422, "unusable_picture")
    assert code_of(client.post(URL, json={"strokes": []})) == (422, "unusable_picture")
    blank = b"P5 20 20 255 " + bytes([255]) * 400
    assert code_of(client.post(URL, content=blank)) == (422, "blank_picture")
    assert code_of(client.post(URL, content=bytes(8 * 2**20 + 1))) == (413, "body_too_large")
    assert client.get(URL).status_code == 405


def test_a_few_at_once_and_reading_goes_on(serving: Any, bundle: Bundle, picture: Picture) -> None:
    reader = SlowReader(bundle)
    with serving(reader, explanations=2) as client, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.post, URL, content=picture("十")) for _ in range(2)]
        until(lambda: reader.explaining == 1)
        until(lambda: client.post(URL, content=picture("口")).status_code == 503)
        refused = client.post(URL, content=picture("口"))
        assert code_of(refused) == (503, "busy")
        assert refused.headers["retry-after"] == "1"
        assert client.get("/health/ready").status_code == 200
        read = client.post("/v1/recognize", content=picture("口"))
        assert read.json()["results"][0]["character"] == "口", "though both places are taken"
        assert reader.explaining == 1, "one after the other"
        reader.go.set()
        assert [answer.result().json()["character"] for answer in waiting] == ["十"] * 2
        assert client.post(URL, content=picture("口")).json()["character"] == "口"
        assert "hanmo_explanations_total 3.0" in client.get("/metrics").text


def test_whoever_leaves_gives_the_place_back(serving: Any, bundle: Bundle, picture: Picture) -> None:
    reader = SlowReader(bundle)
    with serving(reader, explanations=2) as client, ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.post, URL, content=picture("十"))
        until(lambda: reader.explaining == 1)
        with pytest.raises(httpx.ReadTimeout):
            client.post(URL, content=picture("十"), timeout=0.3)
        # The server is busy until it notices that the client has left; then the next one waits in its place.
        refused = [time.monotonic()]

        def ask_again() -> httpx.Response:
            while (answer := client.post(URL, content=picture("口"))).status_code == 503:
                refused[0] = time.monotonic()
                time.sleep(0.05)
            return answer

        third = pool.submit(ask_again)
        until(lambda: time.monotonic() - refused[0] > 0.5)
        reader.go.set()
        assert third.result().json()["character"] == "口", "and not: busy"
        assert first.result().status_code == 200
        assert "hanmo_explanations_total 2.0" in client.get("/metrics").text, "nobody explained to who had left"


def test_an_explanation_that_takes_too_long(serving: Any, bundle: Bundle, picture: Picture) -> None:
    reader = SlowReader(bundle)
    with serving(reader, timeout=0.4, explanations=3) as client, ThreadPoolExecutor(3) as pool:
        late = [pool.submit(client.post, URL, content=picture("十")) for _ in range(3)]
        assert {code_of(answer.result()) for answer in late} == {(504, "timeout")}
        reader.go.set()
        until(lambda: client.post(URL, content=picture("口")).status_code == 200)


def test_a_character_and_its_look_alikes(nano: httpx.Client) -> None:
    told = nano.get(f"{CHARACTERS}/日").json()
    assert set(told) == {"character", "strokes", "look_alikes"}
    assert told["character"] == "日"
    np.testing.assert_allclose(np.concatenate(told["strokes"]), np.concatenate(strokes_of("日")), atol=1e-4)
    assert len(told["strokes"]) == 4
    seen = Recognizer("nano").recognize(strokes_of("日"), top=5).candidates
    others = [candidate.character for candidate in seen if candidate.character != "日"]
    assert [other["character"] for other in told["look_alikes"]] == others
    assert others[0] == "曰"
    assert told["look_alikes"][0]["probability"] == pytest.approx(seen[1].probability, abs=1e-5)
    for other in told["look_alikes"]:
        points = np.concatenate(other["strokes"])
        assert points.min() >= 0
        assert points.max() <= 1


def test_strokes_of_rare_characters_and_unknown_ones(client: httpx.Client) -> None:
    rare = client.get(f"{CHARACTERS}/丨").json()
    assert (rare["character"], len(rare["strokes"])) == ("丨", 1)
    assert rare["look_alikes"][0]["character"] == "十"
    assert [o["character"] for o in client.get(f"{CHARACTERS}/十").json()["look_alikes"]] != []
    for unknown in ("永", "十十", "a/b", "%FF", "%00", "", "😀" * 300):
        refused = client.get(f"{CHARACTERS}/{unknown}")
        assert code_of(refused) == (404, "unknown_character")
        assert len(refused.text) < 200


def test_the_contents_of_an_explanation_are_not_logged(
    client: httpx.Client, picture: Picture, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "hanmo.serve"):
        client.post(URL, params={"character": "十"}, content=picture("十"))
        client.get(f"{CHARACTERS}/口")
        until(lambda: len([r for r in caplog.records if r.name == "hanmo.serve"]) >= 2)
    facts = [getattr(record, "facts", {}) for record in caplog.records if record.name == "hanmo.serve"]
    assert [fact["route"] for fact in facts] == [URL, f"{CHARACTERS}/{{character:path}}"]
    assert "十" not in str(facts)
    assert "口" not in str(facts)
