"""The description of the HTTP interface in a real browser: its forms send calls and show the answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Open = Callable[..., Any]


def form(one: Any, method: str, path: str) -> Any:
    return one.page.locator(f'form[data-method="{method}"][data-path="{path}"]')


def tried(one: Any, method: str, path: str) -> str:
    """What is shown after the form's button was pressed."""
    chosen = form(one, method, path)
    chosen.locator("button").click()
    chosen.locator("output pre").wait_for()
    return str(chosen.locator("output pre").text_content())


def test_every_address_can_be_tried(sheet: Open, address: str, examples: list[Path]) -> None:
    one = sheet()
    one.page.goto(f"{address}docs")
    one.page.wait_for_selector("form.try:visible")
    assert f"curl {address}v1/recognize" in one.page.locator(".curl").first.text_content()
    assert '"character": "十"' in tried(one, "POST", "/v1/recognize")
    form(one, "POST", "/v1/explain").locator("[type=file]").set_input_files(examples[0])
    explained = tried(one, "POST", "/v1/explain")
    assert explained.startswith('200 OK\n{\n  "character": "永"')
    assert " …" in explained  # the square is long
    assert '"look_alikes"' in tried(one, "GET", "/v1/characters/{character}")
    assert '"limits"' in tried(one, "GET", "/v1/model")
    assert "hanmo_requests_total" in tried(one, "GET", "/metrics")
    one.picture("docs", full_page=True)


def test_a_refusal_is_shown_too(sheet: Open, address: str) -> None:
    one = sheet()
    one.excused = ["422"]
    one.page.goto(f"{address}docs")
    one.page.wait_for_selector("form.try:visible")
    form(one, "POST", "/v1/recognize").locator("textarea").fill("{}")
    assert tried(one, "POST", "/v1/recognize").startswith("422 ")
