"""Corrections on the page: chosen or typed, kept in the browser or by the server, downloaded and deleted."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hanmo.data.folder import read_folder
from hanmo.strokes import draw
from serving import running

Open = Callable[..., Any]
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
SWITCH = "#corrections input"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module", params=["browser"])
def address(request: pytest.FixtureRequest, kept: Path) -> Iterator[str]:
    """A server that keeps nothing; one that keeps corrections where a test asks for "server"."""
    from hanmo.serve.app import create_app
    from hanmo.serve.config import ServeConfig

    keep = kept if request.param == "server" else None
    with running(create_app(ServeConfig(bundle="nano", threads=1, keep=keep))) as address:
        yield address


def expect_count(one: Any, text: str) -> None:
    one.page.wait_for_function("(text) => document.querySelector('.kept-count').textContent === text", arg=text)


def type_other(one: Any, character: str) -> None:
    one.page.click("#other-open")
    one.page.fill("#other input", character)
    one.page.keyboard.press("Enter")


def test_corrections_are_kept_downloaded_and_deleted(
    sheet: Open, medians: Any, examples: list[Path], tmp_path: Path
) -> None:
    one = sheet()
    one.draw(medians.of("未"))
    one.expect_first("未")
    one.page.locator("#candidates button").first.click()  # off by default: this one is not kept
    assert not one.page.is_checked(SWITCH)
    assert one.page.locator(".kept").is_hidden()
    one.page.check(SWITCH)
    expect_count(one, "Pictures kept in this browser: 0. Different characters: 0.")

    second = one.candidates()[1]
    one.page.locator("#candidates button").nth(1).click()
    expect_count(one, "Pictures kept in this browser: 1. Different characters: 1.")
    assert one.page.locator("#line .toast").text_content() == f"{second} copied and kept as a correction"
    one.page.click("#other-open")
    one.page.fill("#other input", "未末")
    one.picture("correct", full_page=True)
    one.page.keyboard.press("Enter")
    problem = one.page.evaluate("document.querySelector('#other input').validationMessage")
    assert problem == "Type exactly one character."
    one.page.fill("#other input", "靐")
    one.page.keyboard.press("Enter")  # the same drawing again: the last character counts
    one.page.wait_for_function("() => document.querySelector('#line input').value.endsWith('靐')")
    assert one.page.locator("#other").is_hidden()
    assert one.page.evaluate("document.activeElement.id") == "other-open"
    written = one.sent()[-1]["strokes"]

    one.page.set_input_files("#files", [examples[0], examples[1]])
    one.page.wait_for_selector(".card.waiting", state="detached")
    one.page.wait_for_selector(".grid-csv:enabled")
    one.page.locator(".card summary").first.click()
    one.page.locator(".card .typed input").first.fill("水")
    one.page.locator(".card form button").first.click()
    expect_count(one, "Pictures kept in this browser: 2. Different characters: 2.")
    assert one.page.locator(".card .chosen").first.text_content() == "Your choice: 水"
    one.page.locator(".card .best").nth(1).click()  # right at the first guess: kept, too
    expect_count(one, "Pictures kept in this browser: 3. Different characters: 3.")
    one.picture("corrections", full_page=True)

    one.page.reload()
    one.page.wait_for_selector("#corrections:not([hidden])")
    assert one.page.is_checked(SWITCH)
    expect_count(one, "Pictures kept in this browser: 3. Different characters: 3.")
    with one.page.expect_download() as download:
        one.page.click(".kept-download")
    assert download.value.suggested_filename == "hanmo-corrections.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["U+5C71/1.png", "U+6C34/1.png", "U+9750/1.png"]
        assert archive.read("U+6C34/1.png") == examples[0].read_bytes()
        archive.extractall(tmp_path / "mine")
    samples = {sample.label: sample.image for sample in read_folder(tmp_path / "mine")}
    # The drawing is the picture that the server read.
    np.testing.assert_array_equal(samples["靐"], draw(written))

    one.page.click(".kept-delete")
    assert one.page.locator(".kept-delete").text_content() == "Really delete 3?"
    one.page.locator(SWITCH).focus()  # whoever goes elsewhere has not agreed
    assert one.page.locator(".kept-delete").text_content() == "Delete all"
    one.page.click(".kept-delete")
    one.page.click(".kept-delete")
    expect_count(one, "Pictures kept in this browser: 0. Different characters: 0.")
    assert one.page.locator(".kept-download").is_hidden()
    assert not any("/v1/corrections" in request.url for request in one.asked)


def test_on_a_phone_all_fits(sheet: Open, medians: Any) -> None:
    one = sheet(**PHONE, locale="zh-CN")
    one.draw(medians.of("未"))
    one.expect_first("未")
    one.page.locator(SWITCH).check()
    type_other(one, "末")
    one.page.wait_for_selector(".kept-download:not([hidden])")
    one.page.click("#other-open")
    one.picture("corrections-phone-zh", full_page=True)
    one.page.click("#language")
    one.picture("corrections-phone", full_page=True)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("address", ["server"], indirect=True)
def test_a_server_that_keeps_corrections_says_so(sheet: Open, medians: Any, examples: list[Path], kept: Path) -> None:
    one = sheet()
    assert not one.page.is_checked(SWITCH)
    shown = one.page.locator("body").inner_text()
    assert "Send corrections to this server, which keeps them" in shown
    assert "It keeps nothing but the corrections" in shown
    one.draw(medians.of("未"))
    one.expect_first("未")
    type_other(one, "末")  # still off
    one.page.check(SWITCH)
    one.page.set_input_files("#files", [examples[0]])
    one.expect_first("永")
    one.page.locator("#candidates button").first.click()
    expect_count(one, "Pictures kept on the server: 1.")
    one.page.keyboard.press("Control+z")
    one.expect_first("未")
    type_other(one, "末")
    expect_count(one, "Pictures kept on the server: 2.")
    one.picture("corrections-server", full_page=True)
    assert sorted(sample.label for sample in read_folder(kept)) == ["末", "永"]
    assert one.page.locator(".kept-download").is_hidden()

    one.excused = ["507"]
    full = {"error": {"code": "keep_full", "message": "full"}}
    one.page.route("**/v1/corrections*", lambda route: route.fulfill(status=507, json=full))
    type_other(one, "末")
    one.page.wait_for_selector("#notice:not([hidden])")
    assert "the store is full" in one.page.locator("#notice").inner_text()
