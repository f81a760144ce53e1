"""A real server with the small reader, and a real browser before it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from needs import BROWSER
from serving import running

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
DESK = {"width": 1280, "height": 800}

WATCH_POLICY = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where a server on a free port answers."""
    from hanmo.serve.app import create_app
    from hanmo.serve.config import ServeConfig

    with running(create_app(ServeConfig(bundle="nano", threads=1))) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium a module: while it runs, nothing else in this process can use asyncio.run."""
    program = BROWSER.get()
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root, which is what CI is.
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


class Sheet:
    """A page that is open, and all it asked for and complained about."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.asked: list[Any] = []
        self.complaints: list[str] = []
        self.excused: list[str] = []
        page.on("request", lambda request: self.asked.append(request))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def draw(self, strokes: Any, size: float = 0.8) -> None:
        """Write strokes of the unit square with the mouse."""
        box = self.page.locator("#pad").bounding_box()
        for stroke in strokes:
            places = [
                (
                    box["x"] + box["width"] * (0.5 + (float(x) - 0.5) * size),
                    box["y"] + box["height"] * (0.5 + (float(y) - 0.5) * size),
                )
                for x, y in stroke
            ]
            self.page.mouse.move(*places[0])
            self.page.mouse.down()
            for place in places[1:]:
                self.page.mouse.move(*place)
            self.page.mouse.up()

    def expect_first(self, character: str) -> None:
        """Wait until the first candidate is this one and nothing newer is on its way."""
        self.page.wait_for_function(
            """(wanted) => document.querySelector("#candidates .glyph").textContent === wanted
              && !document.querySelector("#answers").hasAttribute("aria-busy")""",
            arg=character,
            timeout=8000,
        )

    def candidates(self) -> list[str]:
        texts: list[str] = self.page.locator("#candidates .glyph").all_text_contents()
        return [text for text in texts if text]

    def sent(self) -> list[Any]:
        """The JSON bodies of all calls to read strokes."""
        calls = [request for request in self.asked if "/v1/recognize" in request.url]
        return [call.post_data_json for call in calls if call.headers.get("content-type") == "application/json"]

    def picture(self, name: str, **options: Any) -> None:
        """Keep what it looks like now, to be looked at by people."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", **options)

    def check(self) -> None:
        """Nothing came from elsewhere, and the browser had nothing to complain of."""
        for request in self.asked:
            assert request.url.startswith((self.address, "blob:", "data:")), request.url
        assert urlsplit(self.address).hostname == "127.0.0.1"
        complaints = [text for text in self.complaints if not any(word in text for word in self.excused)]
        assert complaints == []


@pytest.fixture
def sheet(browser: Any, address: str) -> Iterator[Callable[..., Sheet]]:
    """``sheet(**options)``: the page in a fresh browser context with these options, opened and checked at the end."""
    opened: list[Sheet] = []

    def open_page(path: str = "", **options: Any) -> Sheet:
        settings: dict[str, Any] = {"viewport": DESK, "locale": "en-US", "color_scheme": "light"} | options
        settings.setdefault("reduced_motion", "reduce")  # frames that nobody looks at take most of the time
        context = browser.new_context(**settings)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
        context.add_init_script(WATCH_POLICY)
        new = Sheet(context.new_page(), address)
        opened.append(new)
        new.page.goto(address + path)
        new.page.wait_for_selector("#model:not([hidden])")
        return new

    yield open_page
    for one in opened:
        one.check()
        one.page.context.close()


@pytest.fixture(scope="session")
def medians() -> Any:
    """The packaged strokes of a character: ``medians.of("永")``."""
    from hanmo.medians import load_medians

    return load_medians()
