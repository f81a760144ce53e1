"""The page that reads by itself, on hosts that come and go; and the page itself, written on."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

Hosting = Callable[[Path], AbstractContextManager[str]]
Open = Callable[[Any], None]


def test_the_page_reads_and_explains_what_is_written(sheet: Callable[..., Any], medians: Any) -> None:
    one = sheet()
    one.draw(medians.of("永"))
    one.page.locator("#candidates button").first.filter(has_text="永").wait_for(timeout=30_000)
    assert len(one.candidates()) == 10
    one.page.locator("#why-open").click()
    one.page.locator(".why-heat:not([hidden])").wait_for(timeout=30_000)
    one.page.locator(".why-look-alikes").filter(has_text="水").wait_for(timeout=30_000)
    one.picture("without-a-server", full_page=True)
    assert not [request.url for request in one.asked if "/v1/" in request.url]


def test_corrections_stay_in_the_browser(sheet: Callable[..., Any], medians: Any) -> None:
    one = sheet()
    one.page.check("#corrections input")
    one.draw(medians.of("永"))
    one.page.locator("#candidates button").first.filter(has_text="永").wait_for(timeout=30_000)
    one.page.click("#other-open")
    one.page.fill("#other input", "泳")
    one.page.keyboard.press("Enter")
    one.page.locator(".kept-count").filter(has_text="Pictures kept in this browser: 1.").wait_for()
    with one.page.expect_download() as download:
        one.page.click(".kept-download")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.namelist() == ["U+6CF3/1.png"]
    assert not [request.url for request in one.asked if "/v1/" in request.url]


def test_the_page_opens_and_reads_without_a_connection_after_one_visit(
    browser: Any, root: Path, hosting: Hosting, open_reader: Open
) -> None:
    context = browser.new_context()
    page = context.new_page()
    with hosting(root) as host:
        page.goto(f"{host}below/here/")
        page.evaluate("navigator.serviceWorker.ready.then((registration) => registration.active.state)")
    page.goto("about:blank")
    page.goto(f"{host}below/here/")  # where nobody listens any more
    open_reader(page)
    stroke = "reader.read([{strokes: [[[0, 5], [9, 5]]]}]).then(([result]) => result.character)"
    assert page.evaluate(stroke) == "一"
    assert page.evaluate("reader.lookup('永').then(({ strokes }) => strokes.length)") == 5
    context.close()


def test_sheets_need_a_server_and_the_page_says_so(sheet: Callable[..., Any], examples: list[Path]) -> None:
    one = sheet()
    assert one.page.locator("#whole").is_disabled()
    assert "hanmo serve" in str(one.page.locator("#whole-note").text_content())
    assert one.page.locator("#whole-note").is_visible()
    one.picture("sheet-without-a-server")
    one.page.set_input_files("#files", [examples[0]])
    one.page.locator("#candidates button").first.filter(has_text="永").wait_for(timeout=30_000)
    one.page.click("#language")
    assert str(one.page.locator("#whole-note").text_content()).startswith("识别整页需要运行 hanmo serve")


def test_what_a_host_has_in_its_place_later_is_shown(
    browser: Any, root: Path, hosting: Hosting, tmp_path: Path
) -> None:
    context = browser.new_context()
    page = context.new_page()
    place = tmp_path / "place"
    place.symlink_to(root / "below" / "here")
    with hosting(place) as host:
        page.goto(host)
        page.evaluate("navigator.serviceWorker.ready.then((registration) => registration.active.state)")
        other = tmp_path / "other"
        other.mkdir()
        (other / "index.html").write_text("<title>another page</title>", encoding="utf-8")
        place.unlink()
        place.symlink_to(other)
        titles = []
        for _ in range(20):
            page.goto(host)
            titles.append(page.title())
            if titles[-1] == "another page":
                break
            page.wait_for_timeout(100)
        assert titles[-1] == "another page"
    context.close()


READING = "reader.read([{strokes: [[[0, 5], [9, 5]]]}]).then(([r]) => r.character)"
FAILING = "reader.read([{strokes: [[[0, 5], [9, 5]]]}]).catch((error) => [error.code, error.message])"


def test_a_host_that_lacks_a_file_is_told(browser: Any, address: str, open_reader: Open) -> None:
    context = browser.new_context()
    context.route("**/model.onnx", lambda route: route.fulfill(status=404))
    page = context.new_page()
    page.goto(address)
    open_reader(page)
    code, message = page.evaluate(FAILING)
    assert code == "reader_unavailable"
    assert message.startswith("model.onnx cannot be fetched")
    context.unroute("**/model.onnx")
    assert page.evaluate(READING) == "一"
    context.close()


def test_a_host_that_lacks_the_runtime_is_told(browser: Any, address: str, open_reader: Open) -> None:
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        context = browser.new_context(service_workers="block")
        context.route(f"**/{name}", lambda route: route.abort())
        page = context.new_page()
        page.goto(address)
        open_reader(page)
        code, message = page.evaluate(FAILING)
        assert code == "reader_unavailable"
        assert message.startswith(f"{name} cannot be fetched")
        context.unroute(f"**/{name}")
        assert page.evaluate(READING) == "一"
        context.close()
