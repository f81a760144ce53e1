"""Who may call: names of the server, pages of other origins, the token."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from hanmo.errors import ArgumentError
from hanmo.serve.config import ServeConfig

STROKES = {"strokes": [[[0, 5], [10, 5]], [[5, 0], [5, 10]]]}
URL = "/v1/recognize"


def status(client: httpx.Client, method: str = "POST", address: str = URL, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"json": STROKES} if method == "POST" else {}
    return client.request(method, address, headers=named, **body).status_code  # type: ignore[arg-type]


def test_a_name_made_to_point_here_is_refused(client: httpx.Client) -> None:
    for name in ("attacker.example", "attacker.example:8000", "localhost.attacker.example", "127.0.0.1.nip.io", ""):
        refused = client.get("/v1/model", headers={"Host": name})
        assert (refused.status_code, refused.json()["error"]["code"]) == (421, "unknown_host"), name
        assert "attacker" not in refused.text
    for name in ("localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1:9", "[::1]:8000", "192.168.1.5"):
        assert status(client, "GET", "/v1/model", Host=name) == 200, name


def test_further_names_are_configured(serving: Any) -> None:
    with serving(hosts=("reader.example.org",)) as client:
        assert status(client, Host="Reader.Example.org:443") == 200
        assert status(client, Host="other.example.org") == 421


def test_pages_of_other_origins_may_not_post(client: httpx.Client) -> None:
    own = f"http://{client.base_url.netloc.decode()}"
    assert status(client, Origin=own) == 200
    assert status(client) == 200, "programs name no origin"
    for origin in ("http://attacker.example", "null", "http://127.0.0.1:1", "https://[", f"{own}.attacker.example"):
        assert status(client, Origin=origin) == 403, origin
    for site in ("cross-site", "same-site"):
        assert status(client, Sec_Fetch_Site=site) == 403
    for address in ("/v1/explain", "/v1/corrections?character=x"):
        assert status(client, address=address, Origin="http://attacker.example") == 403
    assert status(client, "GET", "/v1/model", Origin="http://attacker.example") == 200, "it cannot read the answer"


def test_behind_a_proxy_that_changes_the_host(serving: Any) -> None:
    with serving(hosts=("reader.example.org",)) as client:
        assert status(client, Origin="https://reader.example.org", Host="127.0.0.1:8000") == 200
        page = {"Origin": "https://other.example.org", "Sec_Fetch_Site": "same-origin"}
        assert status(client, Host="127.0.0.1:8000", **page) == 200, "the browser itself says so"


def test_a_slash_too_many_is_not_redirected(client: httpx.Client) -> None:
    for address in ("/docs/", "/v1/model/", "/v1/recognize/"):
        assert client.get(address, follow_redirects=False).status_code == 404


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


def test_the_token(serving: Any) -> None:
    with serving(token="s3cret-token") as client:
        for right in ("Bearer s3cret-token", "bearer s3cret-token", basic("s3cret-token")):
            assert status(client, Authorization=right) == 200
            assert status(client, "GET", "/", Authorization=right) == 200
        wrong = ("", "Bearer", "Bearer s3cret", "Bearer s3cret-token2", "s3cret-token", "Digest s3cret-token")
        for shown in (*wrong, basic("s3cret"), "Basic ?!", "Basic czNjcmV0LXRva2Vu", "Bearer \xe9"):
            refused = client.get("/v1/model", headers={"Authorization": shown.encode("latin-1")})
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "token_needed"), shown
            assert "s3cret" not in refused.text
            assert refused.headers["www-authenticate"].startswith("Basic ")
        for address in ("/", "/docs", "/metrics", "/static/docs.css", "/nowhere"):
            assert status(client, "GET", address) == 401
        assert status(client, "GET", "/health/live") == status(client, "GET", "/health/ready") == 200


def test_impossible_tokens_and_what_is_shown_of_them() -> None:
    for token in ("", " ", "two words", "\u6c38", "line\n"):
        with pytest.raises(ArgumentError, match="token"):
            ServeConfig(token=token)
    assert "s3cret" not in repr(ServeConfig(token="s3cret"))
