"""The page that reads by itself, as any web host would serve it. Needs onnxruntime-web besides a browser."""

from __future__ import annotations

import base64
import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hanmo.recognizer import Recognizer
from hanmo.serve.site import write_site
from needs import RUNTIME

Ask = Callable[..., Any]


class _Host(http.server.SimpleHTTPRequestHandler):
    """A plain web host: no headers but those it must send."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _hosting(folder: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Host, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join(10)


@pytest.fixture(scope="session")
def hosting() -> Callable[[Path], AbstractContextManager[str]]:
    """``with hosting(folder) as address``: a plain host serves the folder."""
    return _hosting


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host's folder that holds the page below a path of its own."""
    runtime = RUNTIME.get()
    root = tmp_path_factory.mktemp("host")
    write_site(root / "below" / "here", runtime)
    return root


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    with _hosting(root) as host:
        yield f"{host}below/here/"


OPEN = """async () => {
    const { open } = await import(new URL("static/js/local/reader.js", document.baseURI));
    globalThis.reader = await open();
    globalThis.blobOf = (text) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]);
}"""


@pytest.fixture(scope="session")
def open_reader() -> Callable[[Any], None]:
    """Opens the reader of a page as its global ``reader``; ``blobOf`` makes a file of base64 text."""

    def open_in(page: Any) -> None:
        page.evaluate(OPEN)

    return open_in


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page with its reader opened as ``reader``; nothing may fail in it, nor be fetched from elsewhere."""
    problems: list[str] = []
    context = browser.new_context()
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith((address, "blob:")) else foreign(request.url))

    def foreign(url: str) -> None:
        if not url.endswith("/favicon.ico"):  # browsers ask the host's root for it, whatever a page says
            problems.append(f"fetched {url}")

    page.goto(address)
    page.evaluate(OPEN)
    yield page
    context.close()
    assert [problem for problem in problems if "favicon" not in problem and "404" not in problem] == []


@pytest.fixture(scope="module")
def nano() -> Recognizer:
    return Recognizer("nano")


@pytest.fixture(scope="module")
def read(page: Any) -> Ask:
    """``read(strokes or file bytes, …)``: the results of one call."""

    def ask(*sources: Any, top: int = 10) -> Any:
        inputs = [
            {"file": base64.b64encode(source).decode(), "name": f"{i}.png"}
            if isinstance(source, bytes)
            else {"strokes": source}
            for i, source in enumerate(sources)
        ]
        return page.evaluate(
            """([inputs, top]) => reader.read(
                inputs.map((i) => ("file" in i ? { ...i, file: blobOf(i.file) } : i)), { top })""",
            [inputs, top],
        )

    return ask
