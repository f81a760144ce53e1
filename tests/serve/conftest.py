"""A real server on a free port, in a thread of the test process, reading with a tiny net."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from PIL import Image

from hanmo.bundle import Bundle
from hanmo.image import load
from hanmo.recognizer import Recognizer
from hanmo.serve.app import create_app
from hanmo.serve.config import ServeConfig
from serving import running

HAND: dict[str, Any] = {
    "一": [[[0, 5], [10, 5]]],
    "丨": [[[5, 0], [5, 10]]],
    "十": [[[0, 5], [10, 5]], [[5, 0], [5, 10]]],
    "口": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]],
}
SIDE = 16

Serve = Callable[..., Any]


def png(character: str, kind: str = "png") -> bytes:
    file = io.BytesIO()
    Image.fromarray(load(HAND[character])).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="session")
def hand() -> dict[str, Any]:
    return HAND


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """``picture(character, kind)``: a file of one of ``hand``'s characters."""
    return png


@pytest.fixture(scope="session")
def bundle(comparing_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that knows the four drawn characters."""
    return comparing_bundle(
        tmp_path_factory.mktemp("bundles") / "tiny",
        HAND,
        SIDE,
        trained_on=[{"name": "strokes", "licence": "Apache-2.0"}],
        accuracy={"top1": 100.0},
    )


@pytest.fixture(scope="session")
def serving(bundle: Bundle) -> Serve:
    """``with serving(reader=…, **config) as client``: a server with these settings, and an httpx client for it."""

    @contextmanager
    def start(reader: Recognizer | None = None, **config: Any) -> Iterator[httpx.Client]:
        settings = ServeConfig(**config)
        app = create_app(settings, reader or Recognizer(bundle))
        with running(app, settings) as address, httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
            yield client

    return start


@pytest.fixture(scope="module")
def client(serving: Serve) -> Iterator[httpx.Client]:
    with serving(threads=2) as client:
        yield client
