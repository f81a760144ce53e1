"""Pictures on the page: one in the square, many as a list; and what the page tells of one candidate."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

Open = Callable[..., Any]

DROP = """([base64, name, type]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type }));
  return carried;
}"""
TO_CLIPBOARD = """async (base64) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  await navigator.clipboard.write([new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) })]);
}"""
WRITING = """() => [...document.querySelectorAll(".why-model polyline")].map(getComputedStyle)
  .filter((style) => style.animationName === "write").map((style) => style.animationDelay)"""
SAVES = "import('./static/js/save.js')"


def choose(one: Any, files: list[Any]) -> None:
    one.page.set_input_files("input[type=file]", files)


def busy_for(seconds: int) -> Callable[[Any], None]:
    busy = {"error": {"code": "busy", "message": "x"}}
    return lambda route: route.fulfill(status=503, json=busy, headers={"Retry-After": str(seconds)})


def finished(one: Any) -> None:
    one.page.wait_for_selector(".grid-csv:enabled")
    one.page.wait_for_selector(".card.waiting", state="detached")


def test_a_dropped_picture_is_shown_and_read(sheet: Open, examples: list[Path]) -> None:
    one = sheet()
    data = base64.b64encode(examples[0].read_bytes()).decode()
    carried = one.page.evaluate_handle(DROP, [data, "01-yong.png", "image/png"])
    one.page.dispatch_event("body", "dragover", {"dataTransfer": carried})
    assert one.page.locator("#dropping").is_visible()
    one.page.dispatch_event("body", "drop", {"dataTransfer": carried})
    one.expect_first("永")
    assert one.page.locator("#dropping").is_hidden()
    assert one.page.evaluate("document.querySelector('#pad img').naturalWidth > 0")
    assert one.page.locator("#pad img").is_visible()
    one.picture("picture")
    one.draw([[(0.1, 0.5), (0.9, 0.5)]])  # writing takes the picture's place, and undo brings it back
    one.expect_first("一")
    assert one.page.locator("#pad img").is_hidden()
    one.page.keyboard.press("Control+z")
    one.expect_first("永")


def test_a_pasted_picture_is_read(sheet: Open, examples: list[Path]) -> None:
    one = sheet()
    one.page.locator("#pad").focus()
    one.page.evaluate(TO_CLIPBOARD, base64.b64encode(examples[1].read_bytes()).decode())
    one.page.keyboard.press("Control+v")
    one.expect_first("山")


def test_several_become_a_list_that_is_saved(sheet: Open, examples: list[Path]) -> None:
    one = sheet()
    broken = {"name": "=broken,1.png", "mimeType": "image/png", "buffer": b"none"}
    files = [{"name": f.name, "mimeType": "image/png", "buffer": f.read_bytes()} for f in examples]
    choose(one, [*files, broken])
    finished(one)
    assert one.page.locator(".card.read").count() == 8
    assert one.page.locator(".card.failed .problem").text_content().startswith("not a picture")
    told = one.page.locator(".grid-told").text_content()
    assert told == "9 pictures: 8 read, 0 refused, 1 not readable"
    one.page.locator(".card summary").first.click()
    assert one.page.locator(".card ol button").first.is_visible()
    one.picture("list", full_page=True)

    with one.page.expect_download() as download:
        one.page.click(".grid-csv")
    assert download.value.suggested_filename == "hanmo.csv"
    data = Path(download.value.path()).read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.count(b"\r\n") == 10
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [row["file"] for row in rows] == [*(f.name for f in examples), "'=broken,1.png"]
    assert [rows[0]["character"], rows[0]["candidate_1"], rows[0]["refused"]] == ["永", "永", "false"]
    assert float(rows[0]["probability"]) == float(rows[0]["probability_1"]) > 0.99
    assert rows[8]["error"].startswith("not a picture")

    with one.page.expect_download() as download:
        one.page.click(".grid-json")
    saved = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert (saved["model"], len(saved["results"])) == ("nano", 9)
    assert saved["results"][8]["name"] == "=broken,1.png"
    assert len(saved["results"][0]["candidates"]) == 10

    one.page.locator(".thumbnail").nth(1).click()
    one.expect_first("山")
    one.page.locator(".card .best").first.click()
    one.page.wait_for_function("() => document.querySelector('#line input').value === '永'")
    one.page.click(".grid-remove")
    assert one.page.locator("#grid").is_hidden()


def test_pictures_without_ink_are_refused_not_failed(sheet: Open, examples: list[Path]) -> None:
    one = sheet()
    file = io.BytesIO()
    Image.new("L", (80, 80), 255).save(file, "png")
    empty = {"name": "empty.png", "mimeType": "image/png", "buffer": file.getvalue()}
    choose(one, [empty])
    verdict = one.page.locator("#verdict")
    one.page.wait_for_function("() => document.querySelector('#answers').dataset.state === 'refused'")
    assert verdict.text_content() == "There is nothing written here."
    assert one.page.locator("#live").text_content().strip() == "There is nothing written here."
    assert one.candidates() == []
    assert one.page.locator("#why-open").is_hidden()
    one.picture("blank")
    one.page.click("#language")
    assert verdict.text_content() == "这里没有写字。"
    one.page.click("#language")

    first = {"name": "01.png", "mimeType": "image/png", "buffer": examples[0].read_bytes()}
    choose(one, [first, empty])
    finished(one)
    assert one.page.locator(".grid-told").text_content() == "2 pictures: 1 read, 1 refused, 0 not readable"
    assert one.page.locator(".card.refused .problem").text_content() == "There is nothing written here."
    one.picture("blank-list", full_page=True)
    with one.page.expect_download() as download:
        one.page.click(".grid-csv")
    data = Path(download.value.path()).read_text("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(data, newline="")))
    assert [(row["refused"], row["reason"], row["error"]) for row in rows] == [("false", "", ""), ("true", "blank", "")]
    with one.page.expect_download() as download:
        one.page.click(".grid-json")
    results = json.loads(Path(download.value.path()).read_text("utf-8"))["results"]
    assert [result["reason"] for result in results] == [None, "blank"]


def test_formulas_and_quotes_are_made_harmless(sheet: Open) -> None:
    one = sheet()
    names = ["=1+1", "+1", "-1", "@a", "\tb", 'a"b', "a\nb", "plain"]
    results = [{"name": name, "error": {"message": "x"}} for name in names]
    text = one.page.evaluate(f"async (results) => (await {SAVES}).toCsv(results)", results)
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'+1", "'-1", "'@a", "'\tb", 'a"b', "a\nb", "plain"]


def test_more_than_a_call_takes_go_in_several_and_can_be_stopped(sheet: Open, examples: list[Path]) -> None:
    one = sheet()
    small = examples[5].read_bytes()
    many = [{"name": f"{i:02}.png", "mimeType": "image/png", "buffer": small} for i in range(70)]
    calls: list[Any] = []

    def hold(route: Any) -> None:
        calls.append(route)
        if len(calls) != 2:
            route.continue_()

    one.page.route("**/v1/recognize*", hold)
    choose(one, many)
    one.page.wait_for_function("() => document.querySelector('.grid-told').textContent.startsWith('16 of 70')")
    while len(calls) < 2:  # pictures are prepared before the next call goes out
        one.page.wait_for_timeout(20)
    one.picture("progress")
    one.page.click(".grid-stop")
    one.page.wait_for_selector(".grid-go-on:not([hidden])")
    assert one.page.locator(".grid-told").text_content() == "Stopped: 16 of 70 read"
    one.page.click(".grid-go-on")
    finished(one)
    assert one.page.locator(".card.read").count() == 70
    assert len(calls) == 6  # 16 at once, the second call twice


def test_a_list_made_while_the_one_before_waits_is_read(sheet: Open, examples: list[Path]) -> None:
    one = sheet()
    one.excused = ["503"]
    one.page.route("**/v1/recognize*", busy_for(3))
    with one.page.expect_response("**/v1/recognize*"):
        choose(one, examples[:2])
    one.page.focus(".grid-stop")
    one.page.keyboard.press("Enter")
    assert one.page.locator(".grid-told").text_content() == "Stopped: 0 of 2 read"
    assert one.page.evaluate("document.activeElement.className") == "grid-go-on"
    one.page.click(".grid-remove")
    one.page.unroute("**/v1/recognize*")
    choose(one, examples[:3])
    one.page.wait_for_function("() => document.querySelectorAll('.card.read').length === 3", timeout=2500)


def test_a_picture_that_only_the_reader_can_see_stays_named(sheet: Open, tmp_path: Path) -> None:
    one = sheet()
    picture = Image.new("L", (60, 60), 255)
    picture.paste(0, (10, 28, 50, 32))
    picture.save(tmp_path / "line.tiff")
    choose(one, [tmp_path / "line.tiff"])
    one.expect_first("一")
    note = one.page.locator("#pad .unseen")
    assert note.text_content() == "line.tiff: this browser cannot show it"
    one.page.click("#theme")
    one.page.set_viewport_size({"width": 600, "height": 800})
    one.page.click("#language")
    one.page.wait_for_function("() => document.querySelector('#pad .unseen').textContent.includes('浏览器无法显示')")
    assert note.is_visible()
    assert one.page.locator("#pad img").is_hidden()


def test_a_picture_does_not_cost_the_stroke_that_is_being_written(sheet: Open, examples: list[Path]) -> None:
    one = sheet()
    box = one.page.locator("#pad").bounding_box()
    y = box["y"] + box["height"] / 2
    one.page.mouse.move(box["x"] + 40, y)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + box["width"] - 40, y, steps=4)
    choose(one, examples[:1])
    one.expect_first("永")
    one.page.mouse.up()
    one.page.keyboard.press("Control+z")
    one.expect_first("一")


def test_calls_keep_to_the_limits(sheet: Open) -> None:
    one = sheet()
    cut = """async (sizes) => {
      const { batches } = await import("./static/js/batches.js");
      const pictures = sizes.map((size, i) => ({ name: String(i), file: { size } }));
      const { fitting, tooLarge } = batches(pictures, { pictures: 3, body_bytes: 10_000 });
      return [fitting.map((batch) => batch.map((p) => Number(p.name))), tooLarge.map((p) => Number(p.name))];
    }"""
    fitting, too_large = one.page.evaluate(cut, [100, 100, 100, 100, 8000, 3000, 20_000, 8900, 200])
    assert fitting == [[0, 1, 2], [3], [4], [5], [7], [8]]
    assert too_large == [6]


def test_why_tells_of_a_candidate(sheet: Open, medians: Any) -> None:
    one = sheet(reduced_motion="no-preference")
    one.draw(medians.of("未"))
    one.expect_first("未")
    one.page.click("#why-open")
    one.page.wait_for_selector(".why-heat:not([hidden])")
    one.page.wait_for_selector(".why-look-alikes figure")
    assert one.page.locator("#why-title").text_content() == "Why 未?"
    assert one.page.locator(".why-model polyline").count() == len(medians.of("未"))
    assert 1 <= one.page.locator(".why-look-alikes figure").count() <= 4
    colours = """() => {
      const canvas = document.querySelector(".why-heat");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let warm = 0;
      for (let i = 0; i < data.length; i += 4) warm += data[i] - data[i + 2] > 90;
      return warm / (data.length / 4);
    }"""
    assert one.page.evaluate(colours) > 0.005
    delays = [float(delay.rstrip("s")) for delay in one.page.evaluate(WRITING)]
    assert delays == sorted(set(delays))  # stroke by stroke
    one.page.wait_for_function("() => !document.querySelector('.why-model').getAnimations({ subtree: true }).length")
    one.picture("why", full_page=True)
    second = one.candidates()[1]
    one.page.locator(".why-chips button").nth(1).click()
    one.page.wait_for_function("(c) => document.querySelector('#why-title').textContent === `Why ${c}?`", arg=second)
    one.page.wait_for_selector(".why-heat:not([hidden])")
    one.page.keyboard.press("Escape")
    assert one.page.locator("#why").is_hidden()
    assert one.candidates()[0] == "未"  # Escape closed the panel and left the square alone


def test_a_reader_that_cannot_tell_why_says_so(sheet: Open, medians: Any) -> None:
    one = sheet()
    one.excused = ["404"]
    missing = {"error": {"code": "not_found", "message": "Not Found"}}
    one.page.route("**/v1/explain*", lambda route: route.fulfill(status=404, json=missing))
    one.page.route("**/v1/characters/*", lambda route: route.fulfill(status=404, json=missing))
    one.draw(medians.of("十"))
    one.expect_first("十")
    one.page.click("#why-open")
    one.page.wait_for_selector("text=This reader cannot tell why.")
    one.page.wait_for_selector("text=This reader has no strokes of 十.")


HOLD_RESTS = """() => {
  const { setTimeout } = window;
  window.held = [];
  window.setTimeout = (go, ms, ...rest) => ms === 300 ? held.push(go) : setTimeout(go, ms, ...rest);
}"""


def test_an_open_panel_explains_what_was_written_when_the_pen_rests(sheet: Open, medians: Any) -> None:
    one = sheet()
    strokes = medians.of("天")
    one.draw(strokes[:1])
    one.expect_first("一")
    one.page.click("#why-open")
    one.page.wait_for_selector(".why-look-alikes figure")
    one.page.evaluate("scrollTo(0, 0)")
    one.page.evaluate(HOLD_RESTS)  # on a busy machine the pen may rest that long between two strokes
    one.draw(strokes[1:])
    one.expect_first("天")
    one.page.wait_for_function("() => document.querySelector('#why-title').textContent === 'Why 天?'")
    one.page.evaluate("held.forEach((go) => go())")
    one.page.wait_for_selector(".why-heat:not([hidden])")
    assert sum("/v1/explain" in request.url for request in one.asked) == 2


def test_an_explanation_waits_for_a_busy_reader(sheet: Open, medians: Any) -> None:
    one = sheet()
    one.excused = ["503"]
    one.page.route("**/v1/explain*", busy_for(1), times=1)
    one.draw(medians.of("十"))
    one.expect_first("十")
    with one.page.expect_response(lambda answer: "/v1/explain" in answer.url and answer.status == 503):
        one.page.click("#why-open")
    one.page.wait_for_selector(".why-heat:not([hidden])")


def test_who_wants_no_motion_sees_none(sheet: Open, medians: Any) -> None:
    one = sheet(reduced_motion="reduce")
    one.draw(medians.of("十"))
    one.expect_first("十")
    one.page.click("#why-open")
    one.page.wait_for_selector(".why-look-alikes figure")
    assert one.page.locator(".why-model polyline").count() == 2
    assert one.page.evaluate(WRITING) == []


def test_a_picture_that_cannot_be_sent_or_read_says_so(sheet: Open, tmp_path: Path) -> None:
    one = sheet()
    one.excused = ["415"]
    large = tmp_path / "large.png"
    large.write_bytes(bytes(8 * 2**20))
    choose(one, [large])
    one.page.wait_for_selector("#answers[data-state=failed]")
    assert one.page.locator("#verdict").text_content() == (
        "This picture cannot be read: Too large to send. Choose a smaller file."
    )
    assert not any("/v1/recognize" in request.url for request in one.asked)
    choose(one, [{"name": "notes.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"}])
    one.page.wait_for_selector("text=a PDF")
