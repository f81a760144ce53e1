"""The page on a phone: words for fingers, the camera, large photos, and what a reload keeps."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

Open = Callable[..., Any]
PHONE: dict[str, Any] = {"viewport": {"width": 320, "height": 568}, "has_touch": True, "is_mobile": True}
HEIC_HEAD = b"\0\0\0\x18ftypheic" + bytes(64)
TURNED_RIGHT = 6  # EXIF: the camera was held upright, so the picture is to be shown turned by a quarter

SIZE_IN_SQUARE = """() => {
  const image = document.querySelector("#pad img");
  return [image.naturalWidth, image.naturalHeight];
}"""


def photo(width: int, height: int, orientation: int) -> bytes:
    """A JPEG of one horizontal stroke, as it is stored; the orientation says how to show it."""
    picture = Image.new("L", (width, height), 235)
    ImageDraw.Draw(picture).line(
        (0.2 * width, height / 2, 0.8 * width, height / 2), fill=30, width=min(width, height) // 16
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    picture.save(file, "jpeg", exif=exif)
    return file.getvalue()


def give(one: Any, name: str, kind: str, data: bytes) -> None:
    one.page.set_input_files("#files", [{"name": name, "mimeType": kind, "buffer": data}])


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_the_first_answer_is_seen_without_scrolling(sheet: Open, medians: Any, locale: str) -> None:
    one = sheet(**PHONE, locale=locale)
    one.draw(medians.of("永"))
    one.expect_first("永")
    box = one.page.locator("#candidates button").first.bounding_box()
    assert box["y"] + box["height"] <= PHONE["viewport"]["height"]
    assert one.page.evaluate("scrollY") == 0
    assert one.page.locator("#pad").bounding_box()["width"] >= 240


def test_fingers_get_words_of_their_own_and_a_camera(sheet: Open) -> None:
    one = sheet(**PHONE)
    one.draw([[(0.1, 0.5), (0.9, 0.5)]])
    one.expect_first("一")
    shown = one.page.locator("body").inner_text()
    assert "Tap a character" in shown
    assert "Click" not in shown
    assert "Drop" not in shown
    assert one.page.locator("#candidates kbd").first.is_hidden()
    with one.page.expect_file_chooser() as chooser:
        one.page.click("#camera")
    field = chooser.value.element
    assert (field.get_attribute("accept"), field.get_attribute("capture")) == ("image/*", "environment")
    mouse = sheet()
    assert mouse.page.locator("#camera").is_hidden()
    assert "Drop pictures" in mouse.page.locator("body").inner_text()


def test_candidates_of_nearly_no_probability_are_quiet(sheet: Open) -> None:
    one = sheet()
    candidates = [{"character": "口", "probability": 0.9995}, {"character": "日", "probability": 0.0004}]
    read = {"character": "口", "probability": 0.9995, "refused": False, "reason": None, "candidates": candidates}
    one.page.route("**/v1/recognize*", lambda route: route.fulfill(json={"results": [read], "model": "nano"}))
    one.draw([[(0.1, 0.5), (0.9, 0.5)]])
    one.expect_first("口")
    numbers = one.page.locator("#candidates .number")
    assert numbers.nth(0).bounding_box()["width"] > 20
    assert numbers.nth(1).bounding_box()["width"] <= 1
    assert numbers.nth(1).text_content() == "< 0.1 %"  # for screen readers


def test_a_photo_of_48_megapixels_is_scaled_down_before_it_is_sent(sheet: Open) -> None:
    one = sheet(**PHONE)
    with one.page.expect_response("**/v1/recognize*") as call:
        give(one, "photo.jpg", "image/jpeg", photo(8000, 6000, TURNED_RIGHT))
    one.page.wait_for_selector("#answers:not([data-state=empty]):not([data-state=failed])")
    width, height = one.page.evaluate(SIZE_IN_SQUARE)
    assert width * height <= 4 * 2**20
    assert width / height == pytest.approx(6000 / 8000, abs=0.001)  # shown upright, as the camera says
    (result,) = call.value.json()["results"]
    assert result["name"] == "photo.jpg"


def test_small_pictures_are_sent_as_they_are(sheet: Open, examples: list[Path]) -> None:
    one = sheet()
    same = """async (bytes) => {
      const { prepared } = await import("./static/js/prepare.js");
      const file = new File([new Uint8Array(bytes)], "small.png", { type: "image/png" });
      return (await prepared(file)) === file;
    }"""
    assert one.page.evaluate(same, list(examples[0].read_bytes()))


def test_a_list_of_large_photos_is_scaled_down_too(sheet: Open) -> None:
    one = sheet()
    large = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": photo(6000, 4000, 1)}
    one.page.set_input_files("#files", [large, large | {"name": "second.jpg"}])
    one.page.wait_for_selector(".grid-csv:enabled")
    one.page.wait_for_selector(".card.waiting", state="detached")
    assert one.page.locator(".card.read").count() == 2  # 24 megapixels would be refused by the server


def test_a_photo_that_waits_for_its_call_is_not_scaled_again(sheet: Open) -> None:
    one = sheet()
    small_calls = """async (data) => {
      const { Grid } = await import("./static/js/grid.js");
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
      const seen = { scaled: 0, sent: [] };
      const original = globalThis.createImageBitmap;
      globalThis.createImageBitmap = (...given) => ((seen.scaled += 1), original(...given));
      const reading = { character: "一", probability: 1, refused: false, reason: null, candidates: [] };
      const reader = { read: async (inputs) => (seen.sent.push(inputs.length), inputs.map(() => reading)) };
      const model = { limits: { pictures: 1 } };
      const grid = new Grid(document.querySelector("#grid"), reader, model, { open() {}, choose() {} });
      const photo = () => ({ file: new File([bytes], "photo.jpg", { type: "image/jpeg" }), name: "photo.jpg" });
      await grid.add([photo(), photo(), photo()]);
      return seen;
    }"""
    data = base64.b64encode(photo(4032, 3024, 1)).decode()  # both sides of the scaled picture end in more than .5
    assert one.page.evaluate(small_calls, data) == {"scaled": 3, "sent": [1, 1, 1]}


def test_heic_is_named_with_the_remedy(sheet: Open, examples: list[Path]) -> None:
    one = sheet()
    give(one, "IMG_0001.HEIC", "image/heic", HEIC_HEAD)
    one.page.wait_for_selector("#answers[data-state=failed]")
    verdict = one.page.locator("#verdict")
    assert "HEIC" in verdict.text_content()
    assert "Save it as JPEG" in verdict.text_content()
    assert not any("/v1/recognize" in request.url for request in one.asked)
    one.page.click("#language")
    assert "HEIC" in verdict.text_content()
    heic = {"name": "a.heic", "mimeType": "image/heic", "buffer": HEIC_HEAD}
    sound = {"name": "b.png", "mimeType": "image/png", "buffer": examples[0].read_bytes()}
    one.page.set_input_files("#files", [heic, sound])
    one.page.wait_for_selector(".card.read")
    assert "HEIC" in one.page.locator(".card.failed .problem").text_content()


def test_a_reload_keeps_the_drawing_and_the_line(sheet: Open) -> None:
    one = sheet()
    one.draw([[(0.1, 0.5), (0.9, 0.5)]])
    one.expect_first("一")
    one.page.keyboard.press("1")
    one.page.wait_for_function("() => document.querySelector('#line input').value === '一'")
    one.page.reload()
    one.page.wait_for_selector("#model:not([hidden])")
    one.expect_first("一")
    assert one.page.locator("#line input").input_value() == "一"
    one.page.click("#backspace")
    one.page.keyboard.press("Control+z")  # the drawing that came back is a step like any other
    one.expect_first("")
    one.page.reload()
    one.page.wait_for_selector("#model:not([hidden])")
    assert one.page.locator("#line input").input_value() == ""
    assert one.page.locator("#pad.empty").is_visible()
