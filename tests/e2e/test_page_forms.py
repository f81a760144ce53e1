"""The page in every form: sizes, colours, languages; weight, accessibility."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

Open = Callable[..., Any]
MAX_WEIGHT = 300_000

PORTRAIT, LANDSCAPE = {"width": 390, "height": 844}, {"width": 844, "height": 390}
SMALL, SMALL_LANDSCAPE = {"width": 320, "height": 568}, {"width": 568, "height": 320}
TABLET = {"width": 768, "height": 1024}
TOO_SMALL = """() => [...document.querySelectorAll("button, input, summary")]
  .filter((e) => e.checkVisibility() && !e.matches(".offstage, .card *"))
  .map((e) => [e.id || e.className || e.textContent, e.getBoundingClientRect()])
  .filter(([_, box]) => box.width < 43.5 || box.height < 43.5)
  .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""


def violations(page: Any) -> list[str]:
    """What axe finds wrong, a line each."""
    # Evaluated, not added as an element: the page's policy rightly forbids that.
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    page.wait_for_function("() => document.getAnimations().every((a) => a.playState !== 'running')")
    found = page.evaluate("axe.run().then((result) => result.violations)")
    return [f"{v['id']}: {node['html'][:120]} {node['failureSummary']}" for v in found for node in v["nodes"]]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("portrait", PORTRAIT),
        ("landscape", LANDSCAPE),
        ("small", SMALL),
        ("small-landscape", SMALL_LANDSCAPE),
        ("tablet", TABLET),
    ],
)
def test_on_phones_all_is_there_and_large_enough(sheet: Open, medians: Any, name: str, size: dict[str, int]) -> None:
    one = sheet(viewport=size, has_touch=True, is_mobile=True, device_scale_factor=2, locale="zh-CN")
    one.draw(medians.of("天"))
    one.expect_first("天")
    one.picture(f"phone-{name}")
    one.page.click("#why-open")
    one.page.wait_for_selector(".why-look-alikes figure")
    assert one.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    pad = one.page.locator("#pad").bounding_box()
    assert pad["width"] == pytest.approx(pad["height"], abs=1)
    assert min(pad["width"], size["height"] - 60) >= 180
    assert pad["x"] >= 0
    assert pad["x"] + pad["width"] <= size["width"]
    assert one.page.evaluate(TOO_SMALL) == []
    one.picture(f"phone-{name}-why", full_page=True)


def test_the_page_is_light_to_load(sheet: Open, medians: Any) -> None:
    one = sheet()
    one.draw(medians.of("天"))
    one.page.click("#why-open")
    one.page.wait_for_selector(".why-look-alikes figure")
    weights = {r.url: len(r.response().body()) for r in one.asked if "/v1/" not in r.url and r.response()}
    assert any(url.endswith("/heat.js") for url in weights)
    assert sum(weights.values()) < MAX_WEIGHT, weights


@pytest.mark.parametrize(("colours", "locale"), [("light", "en-US"), ("dark", "zh-CN")])
def test_axe_finds_nothing(
    sheet: Open, medians: Any, examples: list[Path], tmp_path: Path, colours: str, locale: str
) -> None:
    one = sheet(color_scheme=colours, locale=locale, reduced_motion="reduce")
    assert violations(one.page) == []
    one.draw(medians.of("永"))
    one.expect_first("永")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"none")
    one.page.set_input_files("input[type=file]", [*examples, broken])
    one.page.wait_for_function("() => document.querySelectorAll('.card.read').length === 8")
    one.page.locator(".card summary").first.click()
    one.page.locator("#help summary").click()
    one.page.click("#why-open")
    one.page.wait_for_selector(".why-heat:not([hidden])")
    one.page.wait_for_selector(".why-look-alikes figure")
    one.picture(f"all-{colours}-{locale[:2]}", full_page=True)
    assert violations(one.page) == []


def test_axe_finds_nothing_where_it_is_refused_or_fails(sheet: Open) -> None:
    one = sheet()
    one.excused = ["Failed to load resource"]
    guess = {"character": "口", "probability": 0.2}
    refused = {"character": None, "probability": 0.2, "refused": True, "reason": "unknown character"}
    refused["candidates"] = [guess] * 10
    one.page.route("**/v1/recognize*", lambda route: route.fulfill(json={"results": [refused], "model": "nano"}))
    one.draw([[(0.1, 0.5), (0.9, 0.5)]])
    one.expect_first("口")
    assert violations(one.page) == []
    one.page.route("**/v1/recognize*", lambda route: route.abort())
    one.draw([[(0.5, 0.1), (0.5, 0.9)]])
    one.page.wait_for_selector("#notice:not([hidden])")
    assert violations(one.page) == []


def test_the_language_follows_the_browser_and_the_switch(sheet: Open) -> None:
    one = sheet(locale="zh-CN")
    root = one.page.locator("html")
    assert root.get_attribute("lang") == "zh-Hans"
    assert one.page.locator("#clear").text_content().strip() == "清空"
    one.page.click("#language")
    assert root.get_attribute("lang") == "en"
    assert one.page.locator("#clear").text_content().strip() == "Clear"
    one.page.reload()
    one.page.wait_for_selector("#model:not([hidden])")
    assert one.page.locator("#clear").text_content().strip() == "Clear"


def test_both_languages_have_the_same_words(sheet: Open) -> None:
    one = sheet()
    keys = """async () => {
      const { EN } = await import("./static/js/text-en.js");
      const { ZH } = await import("./static/js/text-zh.js");
      return [Object.keys(EN), Object.keys(ZH)];
    }"""
    english, chinese = map(set, one.page.evaluate(keys))
    assert english - chinese == set()
    assert all(key.startswith("error_") for key in chinese - english)  # English has the reader's own messages


def test_colours_follow_the_system_and_the_switch(sheet: Open) -> None:
    one = sheet(color_scheme="dark")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    dark = one.page.evaluate(background)
    assert one.page.locator("#theme").get_attribute("aria-pressed") == "true"
    one.page.click("#theme")
    light = one.page.evaluate(background)
    assert light != dark
    one.page.reload()
    assert one.page.evaluate(background) == light
    one.page.click("#theme")
    assert one.page.evaluate(background) == dark
    assert one.page.evaluate("localStorage.getItem('hanmo-theme')") is None


def test_the_footer_tells_what_reads(sheet: Open) -> None:
    one = sheet()
    told = one.page.locator("#model").text_content()
    for part in ("nano", "3,755", "int8", "88.34 % of CASIA-HWDB1.1 (100 characters)", "Apache-2.0"):
        assert part in told
    assert one.page.locator("#model a").get_attribute("href") == "docs"
