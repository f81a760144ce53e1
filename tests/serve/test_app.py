"""The other addresses, and what holds for every answer."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import hanmo
from hanmo.image import MAX_PIXELS
from hanmo.serve.limits import SECURITY_HEADERS

URL = "/v1/recognize"
Picture = Callable[..., bytes]
BLANK = b"P5 20 20 255 " + bytes([255]) * 400
ADDRESSES = [
    ("GET", "/", 200),
    ("GET", "/docs", 200),
    ("GET", "/static/docs.css", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/v1/model", 200),
    ("POST", "/v1/explain", 422),
    ("GET", "/v1/characters/十", 200),
    ("GET", "/v1/characters/永", 404),
    ("GET", "/health/live", 200),
    ("GET", "/health/ready", 200),
    ("GET", "/metrics", 200),
    ("GET", "/nowhere", 404),
    ("GET", "/static/none.js", 404),
    ("GET", "/static/..%2fapp.py", 404),
    ("GET", URL, 405),
    ("DELETE", "/v1/model", 405),
    ("POST", URL, 422),
    ("POST", f"{URL}?top=0", 422),
    ("POST", "/v1/sheets", 422),
]


@pytest.mark.parametrize(("method", "address", "status"), ADDRESSES)
def test_every_answer_carries_the_security_headers(
    client: httpx.Client, method: str, address: str, status: int
) -> None:
    answer = client.request(method, address)
    assert answer.status_code == status
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["cache-control"] in ("no-store", "no-cache")
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    if status >= 400:
        assert set(answer.json()["error"]) == {"code", "message"}


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "*" not in policy


@pytest.mark.parametrize("address", ["/", "/docs"])
def test_pages_ask_for_nothing_from_elsewhere(client: httpx.Client, address: str) -> None:
    page = client.get(address)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert all('src="static/js/' in tag for tag in re.findall("<script[^>]*>", page.text))
    assert not re.search(r"<script[^>]*>[^<]|\son[a-z]+=", page.text)  # nothing written into the page runs
    assert "style=" not in page.text
    for link in re.findall(r'(?:href|src)="([^"]*)"', page.text):
        assert "//" not in link
        assert client.get(f"/{link}").status_code == 200


def test_the_manual_tells_every_operation(client: httpx.Client) -> None:
    page, description = client.get("/docs").text, client.get("/openapi.json").json()
    for path, methods in description["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page
    assert "integer from 1 to 50, else 5" in page


@pytest.mark.parametrize("address", ["/", "/docs", "/health/live", "/health/ready", "/static/docs.css"])
def test_head_is_answered_like_get_without_a_body(client: httpx.Client, address: str) -> None:
    got, head = client.get(address), client.head(address)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "cache-control", "content-security-policy"):
        assert head.headers[name] == got.headers[name]


def test_the_manual_has_an_example_and_a_form_for_every_address(client: httpx.Client) -> None:
    page, description = client.get("/docs").text, client.get("/openapi.json").json()
    operations = sum(len(methods) for methods in description["paths"].values())
    assert page.count('<form class="try" hidden') == page.count('<pre class="curl"') == operations
    assert "curl http://127.0.0.1:8000/v1/characters/%E6%B0%B8" in page
    assert "--json &#x27;{&quot;strokes&quot;: [[[0, 50], [100, 50]]" in page
    assert "&quot;probability&quot;: 0.999874" in page


def test_the_model_tells_what_it_is_and_takes(client: httpx.Client) -> None:
    model = client.get("/v1/model").json()
    assert (model["name"], model["characters"], model["version"]) == ("tiny", 4, hanmo.__version__)
    assert model["trained_on"] == [{"name": "strokes", "licence": "Apache-2.0"}]
    limits = model["limits"]
    assert (limits["body_bytes"], limits["pixels"], limits["pictures"]) == (8 * 2**20, MAX_PIXELS, 64)


def test_metrics_count(client: httpx.Client, picture: Picture) -> None:
    def value(series: str) -> float:
        (found,) = re.findall(rf"^{re.escape(series)} (\S+)$", client.get("/metrics").text, re.M) or ["0"]
        return float(found)

    answered = 'hanmo_requests_total{method="POST",route="/v1/recognize",status="200"}'
    pictures = [f'hanmo_pictures_total{{outcome="{outcome}"}}' for outcome in ("read", "refused", "failed")]
    before = [value(series) for series in (answered, *pictures, "hanmo_batch_size_sum")]
    client.post(URL, files=[("file", ("a", picture("十"))), ("file", ("b", b"")), ("file", ("c", BLANK))])
    after = [value(series) for series in (answered, *pictures, "hanmo_batch_size_sum")]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1, 1, 1]
    assert client.get("/metrics").headers["content-type"].startswith("text/plain; version=")


def test_no_client_can_make_new_series(client: httpx.Client) -> None:
    client.request("BREW", "/coffee")
    client.request("BREW", URL)
    text = client.get("/metrics").text
    assert "BREW" not in text
    assert "coffee" not in text


CASES = settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_openapi_is_valid_and_no_generated_request_breaks_the_server(client: httpx.Client) -> None:
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    schema.config.update(base_url=str(client.base_url))
    schema.validate()
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 8
    for operation in operations:

        @CASES
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            response = case.call()
            assert response.status_code < 500, response.text
            assert response.status_code in map(int, case.operation.definition.raw["responses"]) or (
                response.status_code in (400, 404, 405)
            )

        ask()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(
        ["application/json", "multipart/form-data; boundary=x", "image/png", "application/octet-stream", "text/plain"]
    ),
    st.binary(max_size=200)
    | st.sampled_from([b"--x\r\n", b"--x--\r\n", b"\x89PNG\r\n\x1a\n", b"II*\0", b"P6 9 9 255 "]).flatmap(
        lambda head: st.binary(max_size=200).map(lambda tail: head + tail)
    ),
)
def test_no_bytes_break_the_server(client: httpx.Client, kind: str, body: bytes) -> None:
    answer = client.post(URL, content=body, headers={"content-type": kind})
    assert answer.status_code < 500, answer.text
