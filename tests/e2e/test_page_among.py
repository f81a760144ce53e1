"""Characters that look the same, and the choice among a set, on the page that the server gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import pytest

from drawn_digits import DIGITS, GROUPS
from serving import running

Open = Callable[..., Any]
SMALL, PORTRAIT = {"width": 320, "height": 568}, {"width": 390, "height": 844}
TOUCH = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}


@pytest.fixture(scope="module")
def address(comparing_bundle: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose reader knows digits, with members that look the same, and two characters."""
    from hanmo.recognizer import Recognizer
    from hanmo.serve.app import create_app
    from hanmo.serve.config import ServeConfig

    bundle = comparing_bundle(tmp_path_factory.mktemp("digits") / "digits", DIGITS, 48, groups=GROUPS)
    with running(create_app(ServeConfig(threads=1), Recognizer(bundle))) as address:
        yield address


def violations(page: Any) -> list[str]:
    """What axe finds wrong with the menu and the candidates."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    page.wait_for_function("() => document.getAnimations().every((a) => a.playState !== 'running')")
    found = page.evaluate("axe.run().then((result) => result.violations)")
    return [f"{v['id']}: {node['html'][:120]}" for v in found for node in v["nodes"]]


def alike(one: Any) -> str:
    text: str = one.page.locator("#candidates .alike").first.text_content()
    return text


def test_the_others_stand_below_their_candidate(sheet: Open) -> None:
    one = sheet()
    one.draw(DIGITS["0"])
    one.expect_first("0")
    assert alike(one) == "or O o 〇 ○ 。 °"
    assert violations(one.page) == []
    one.picture("among-all")
    assert "looks the same as O o" in one.page.locator("#live").text_content()


def test_a_set_is_chosen_and_remembered(sheet: Open) -> None:
    one = sheet()
    menu = one.page.locator("#among select")
    assert menu.locator("option").all_text_contents() == ["All characters", "Digits"]
    one.draw(DIGITS["口"])
    one.expect_first("口")
    menu.select_option("digits")
    one.page.wait_for_function("() => !document.querySelector('#answers').hasAttribute('aria-busy')")
    one.page.wait_for_function("() => document.querySelector('#candidates .glyph').textContent !== '口'")
    assert set(one.candidates()) == set("0123456789")
    assert one.asked[-1].url.endswith("among=digits")
    assert one.page.locator("#candidates .alike").all_text_contents() == [""] * 10, "O and l are no digits"
    one.picture("among-digits")
    one.page.reload()
    one.page.wait_for_selector("#among:not([hidden])")
    assert menu.input_value() == "digits"
    one.page.wait_for_function("() => document.querySelectorAll('#candidates li:not(.vacant)').length === 10")
    assert "口" not in one.candidates()
    menu.select_option("")
    one.expect_first("口")
    assert "among" not in one.asked[-1].url


def test_a_key_in_the_menu_chooses_no_candidate(sheet: Open) -> None:
    one = sheet()
    one.draw(DIGITS["0"])
    one.expect_first("0")
    one.page.locator("#among select").focus()
    one.page.keyboard.press("1")
    assert one.page.input_value("#line input") == ""


@pytest.mark.parametrize(("name", "size"), [("small", SMALL), ("portrait", PORTRAIT)])
def test_there_is_room_on_phones(sheet: Open, name: str, size: dict[str, int]) -> None:
    one = sheet(viewport=size, locale="zh-CN", color_scheme="dark", **TOUCH)
    one.draw(DIGITS["0"])
    one.expect_first("0")
    assert alike(one) == "或 O o 〇 ○ 。 °"
    one.picture(f"among-phone-{name}", full_page=True)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    box = one.page.locator("#among select").bounding_box()
    assert min(box["width"], box["height"]) >= 44
    assert box["x"] + box["width"] <= size["width"]


def test_a_list_of_pictures_is_read_among_the_set(sheet: Open) -> None:
    from io import BytesIO

    from PIL import Image

    from hanmo.image import load

    def png(character: str) -> bytes:
        file = BytesIO()
        Image.fromarray(load(DIGITS[character])).save(file, "png")
        return file.getvalue()

    one = sheet()
    one.page.locator("#among select").select_option("digits")
    pictures = [{"name": f"{n}.png", "mimeType": "image/png", "buffer": png(c)} for n, c in enumerate("口0")]
    one.page.set_input_files("#files", pictures)
    one.page.wait_for_selector(".card.read:nth-child(2)")
    first, second = one.page.locator(".card .best .glyph").all_text_contents()
    assert first in "0123456789"
    assert second == "0"
