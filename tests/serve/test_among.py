"""Reading over HTTP among some characters only, and characters that look the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from hanmo.recognizer import Recognizer

URL = "/v1/recognize"
GROUPS = {"一": "一-—", "口": "口0Oo〇"}


@pytest.fixture(scope="module")
def reader(
    comparing_bundle: Callable[..., Any], hand: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Recognizer:
    return Recognizer(comparing_bundle(tmp_path_factory.mktemp("groups") / "groups", hand, 16, groups=GROUPS))


@pytest.fixture(scope="module")
def alike(serving: Callable[..., Any], reader: Recognizer) -> Iterator[httpx.Client]:
    with serving(reader, threads=2) as client:
        yield client


def candidates(answer: httpx.Response) -> list[list[tuple[str, str]]]:
    assert answer.status_code == 200, answer.text
    return [[(c["character"], c["alike"]) for c in result["candidates"]] for result in answer.json()["results"]]


def test_the_others_of_a_group_are_listed(alike: httpx.Client, hand: dict[str, Any]) -> None:
    (found,) = candidates(alike.post(URL, json={"strokes": hand["口"]}))
    assert found[0] == ("口", "0Oo〇")
    assert dict(found)["十"] == ""


@pytest.mark.parametrize(
    ("among", "expected"),
    [
        ("digits", [("0", "")]),
        ("oO", [("O", "o")]),
        ("十口", [("口", ""), ("十", "")]),
        ("digits+latin", [("0", "Oo")]),
    ],
)
def test_among_in_the_address(
    alike: httpx.Client, hand: dict[str, Any], among: str, expected: list[tuple[str, str]]
) -> None:
    (found,) = candidates(alike.post(URL, params={"among": among}, json={"strokes": hand["口"]}))
    assert found == expected


def test_among_as_a_field_of_the_form(alike: httpx.Client, picture: Callable[..., bytes]) -> None:
    files = [("files", ("a.png", picture("口"))), ("files", ("b.png", picture("一")))]
    assert candidates(alike.post(URL, data={"among": "latin+punctuation"}, files=files)) == [
        [("O", "o"), ("—", "")],
        [("—", ""), ("O", "o")],
    ]


def test_strokes_of_several_characters(alike: httpx.Client, hand: dict[str, Any]) -> None:
    body = {"characters": [{"strokes": hand["口"]}, {"strokes": hand["一"]}]}
    found = candidates(alike.post(URL, params={"among": "0-"}, json=body))
    assert [names[0][0] for names in found] == ["0", "-"]


@pytest.mark.parametrize(
    ("among", "message"),
    [
        ("", "among is empty"),
        ("翰", "outside the charset of 10 characters: 翰"),
        ("greek", "'greek' is no set of characters"),
        ("digts", "did you mean digits"),
        ("level2+symbols+\u202e", "is no set of characters"),
    ],
)
def test_wrong_words_are_a_problem(alike: httpx.Client, hand: dict[str, Any], among: str, message: str) -> None:
    answer = alike.post(URL, params={"among": among}, json={"strokes": hand["口"]})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "unusable_among")
    assert message in error["message"]
    assert "\u202e" not in error["message"]
    assert len(error["message"]) <= 300


def test_among_twice_or_where_it_means_nothing(alike: httpx.Client, picture: Callable[..., bytes]) -> None:
    files = [("files", ("a.png", picture("口")))]
    answer = alike.post(URL, params={"among": "digits"}, data={"among": "latin"}, files=files)
    assert answer.json()["error"]["code"] == "unusable_among"
    answer = alike.post("/v1/explain", data={"among": "latin"}, files=files)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed_form")
    answer = alike.post(URL, data={"among": "0" * 70_000}, files=files)
    assert "larger than 64 KiB" in answer.json()["error"]["message"]
    answer = alike.post(URL, files=[*files, ("among", (None, b"\xff"))])
    assert "is not UTF-8" in answer.json()["error"]["message"]
    answer = alike.post(URL, files=[("among", (None, "0"))])
    assert answer.json()["error"]["code"] == "no_pictures"


def test_clients_that_ask_for_different_sets_share_a_batch(
    serving: Callable[..., Any], reader: Recognizer, hand: dict[str, Any]
) -> None:
    """Each gets its own answer, the same as alone."""
    asked = ["digits", None, "latin", "十口", None, "0O"] * 4
    with serving(reader, threads=1, batch=8, window=0.05) as client, ThreadPoolExecutor(8) as pool:

        def ask(among: str | None) -> Any:
            params = {"among": among} if among else {}
            return client.post(URL, params=params, json={"strokes": hand["口"]}).json()["results"][0]["candidates"]

        for among, found in zip(asked, pool.map(ask, asked), strict=True):
            (expected,) = reader.predict(reader.square(hand["口"])[None], 5, among=among)
            assert [(c["character"], c["alike"]) for c in found] == [
                (c.character, c.alike) for c in expected.candidates
            ]
            for one, other in zip(found, expected.candidates, strict=True):
                assert one["probability"] == pytest.approx(other.probability, abs=2e-6)


def test_members_can_be_looked_up_and_explained(alike: httpx.Client, hand: dict[str, Any]) -> None:
    answer = alike.get("/v1/characters/〇")
    assert answer.status_code == 200
    assert all("〇" not in other["character"] for other in answer.json()["look_alikes"])
    why = alike.post("/v1/explain", params={"character": "O"}, json={"strokes": hand["口"]})
    assert why.json()["character"] == "O"


def test_the_model_lists_the_sets_worth_choosing(
    alike: httpx.Client, serving: Callable[..., Any], comparing_bundle: Callable[..., Any], tmp_path: Any
) -> None:
    told = alike.get("/v1/model").json()
    assert (told["characters"], told["sets"]) == (10, [])
    hand = {str(n): [[(n, 0), (5, 10)], [(0, n), (10, 5)]] for n in range(10)} | {"十": [[(0, 5), (10, 5)]]}
    with serving(Recognizer(comparing_bundle(tmp_path / "digits", hand, 16))) as client:
        assert client.get("/v1/model").json()["sets"] == ["digits"]


def test_the_description_names_among_and_alike(alike: httpx.Client) -> None:
    description = alike.get("/openapi.json").json()
    call = description["paths"][URL]["post"]
    assert [parameter["name"] for parameter in call["parameters"]] == ["top", "among"]
    assert "among" in json.dumps(call["requestBody"])
    assert "alike" in description["components"]["schemas"]["CandidateAnswer"]["properties"]
