"""A photograph of a whole sheet on the page: its boxes, corrections, the comparison with a text, and the files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drawn_boxes import boxes, draw_boxes
from hanmo.prediction import Candidate, Prediction
from hanmo.sheets.against import compare
from hanmo.sheets.sheet import Cell, Sheet

Open = Callable[..., Any]

POEM = ["春眠不觉晓", "处处闻啼鸟", "夜来  声", "花落知多少"]
TEXT = "春眠不觉晓\n处处闻啼鸟\n夜来\u3000\u3000声\n花落知多少"
AGAINST = "import('./static/js/sheet/against.js')"
PIXEL = """(at) => {
  const canvas = document.querySelector(".sheet-layers canvas");
  const x = Math.floor(at[0] * canvas.width), y = Math.floor(at[1] * canvas.height);
  return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
}"""


def drawn(turn: int = 0) -> dict[str, Any]:
    """A sheet of boxes, turned by so many quarters anticlockwise, as a file to choose."""
    pixels, _ = draw_boxes(POEM, 200, rule="#404040")
    file = io.BytesIO()
    Image.fromarray(np.rot90(pixels, turn)).save(file, "png")
    return {"name": "poem.png", "mimeType": "image/png", "buffer": file.getvalue()}


def give(one: Any, file: dict[str, Any]) -> None:
    one.page.locator("#whole").check()
    one.page.set_input_files("#files", [file])


def read(one: Any, file: dict[str, Any]) -> None:
    give(one, file)
    one.page.wait_for_selector("#sheet[aria-busy=false] .cell", timeout=20_000)


def text_of(one: Any) -> str:
    return str(one.page.locator(".sheet-text").text_content())


def box(one: Any, row: int, column: int) -> Any:
    return one.page.locator(".cell").nth(row * 5 + column)


def saved(one: Any, button: str) -> str:
    with one.page.expect_download() as download:
        one.page.click(button)
    return Path(download.value.path()).read_text("utf-8-sig")


def test_a_sheet_is_read_corrected_and_saved(sheet: Open) -> None:
    one = sheet()
    read(one, drawn())
    assert one.page.locator("#grid").is_hidden()
    assert text_of(one) == TEXT
    told = one.page.locator(".sheet-told").text_content()
    assert told == "Boxes: 4 × 5. Characters read: 18, not read: 0, empty boxes: 2."
    assert one.page.locator(".cell.empty").count() == 2
    assert one.page.locator(".cell text").first.text_content() == "春"
    assert box(one, 0, 1).get_attribute("aria-label").startswith("Row 1, column 2: 眠; ")

    box(one, 0, 1).click()
    chooser = one.page.locator(".sheet-one")
    assert chooser.locator(".sheet-candidates button").count() == 10
    assert chooser.locator(".sheet-candidates .glyph").first.text_content() == "眠"
    assert chooser.locator(".sheet-back").is_hidden()
    second = chooser.locator(".sheet-candidates .glyph").nth(1).text_content()
    chooser.locator(".sheet-candidates button").nth(1).click()
    assert text_of(one).startswith(f"春{second}不")
    assert box(one, 0, 1).get_attribute("class") == "cell chosen"
    assert chooser.locator("button[aria-pressed=true] .glyph").text_content() == second

    box(one, 0, 2).click()
    chooser.locator(".typed input").fill("卜")
    chooser.locator(".typed button").click()
    box(one, 3, 4).click()
    chooser.locator(".sheet-empty").click()
    corrected = f"春{second}卜觉晓\n处处闻啼鸟\n夜来\u3000\u3000声\n花落知多"
    assert text_of(one) == corrected

    assert saved(one, ".sheet-text-save") == f"{corrected}\n"
    rows = list(csv.DictReader(io.StringIO(saved(one, ".sheet-csv"), newline="")))
    assert len(rows) == 20
    assert [rows[2][name] for name in ("row", "column", "character", "read", "chosen")] == ["1", "3", "卜", "不", "卜"]
    assert (rows[19]["character"], rows[19]["read"], rows[19]["empty"]) == ("", "少", "1")
    assert float(rows[0]["probability"]) > 0.9
    assert rows[0]["candidates"].startswith("春")
    table = json.loads(saved(one, ".sheet-json"))
    assert (table["file"], table["text"], table["text_with_choices"]) == ("poem.png", TEXT, corrected)
    assert [cell["chosen"] for cell in table["cells"] if "chosen" in cell] == [second, "卜", ""]

    chooser.locator(".sheet-back").click()
    assert text_of(one).endswith("花落知多少")
    one.page.click(".sheet-copy")
    one.page.wait_for_function("() => document.querySelector('.sheet-copied').textContent")
    assert one.page.evaluate("navigator.clipboard.readText()") == text_of(one)
    one.page.click(".sheet-remove")
    assert one.page.locator("#sheet").is_hidden()


def test_a_sheet_is_compared_with_a_text(sheet: Open) -> None:
    one = sheet()
    read(one, drawn())
    one.page.fill("#sheet-against", "春眠不觉晚\n处处闻啼鸟 夜来风雨声 花落知多少")
    one.page.wait_for_selector(".sheet-differences li")
    assert one.page.locator(".sheet-differ-told").text_content() == "different: 1; missing: 2"
    listed = one.page.locator(".sheet-differences button").all_text_contents()
    assert listed == [
        "Row 1, column 5: 晓, expected 晚",
        "Row 3, column 2: 风 is missing after this box",
        "Row 3, column 2: 雨 is missing after this box",
    ]
    assert box(one, 0, 4).get_attribute("class").endswith(" differs")
    assert one.page.locator(".cell.differs").count() == 1
    one.picture("sheet", full_page=True)
    one.page.locator(".sheet-differences button").first.click()
    assert one.page.locator(".sheet-note").text_content() == "晓, expected 晚"
    one.page.locator(".sheet-one .typed input").fill("晚")
    one.page.keyboard.press("Enter")
    assert one.page.locator(".cell.differs").count() == 0
    assert one.page.locator(".sheet-differ-told").text_content() == "missing: 2"
    one.page.click("#language")
    assert one.page.locator(".sheet-differ-told").text_content() == "缺 2 字"
    assert box(one, 0, 0).get_attribute("aria-label").startswith("第 1 行第 1 列：春；")


def test_the_keyboard_does_it_all(sheet: Open) -> None:
    one = sheet()
    read(one, drawn())
    assert one.page.locator(".cell[tabindex='0']").count() == 1, "one stop for the Tab key"
    box(one, 0, 0).focus()
    one.page.keyboard.press("ArrowRight")
    one.page.keyboard.press("ArrowDown")
    assert one.page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Row 2, column 2: 处")
    assert box(one, 1, 1).get_attribute("aria-pressed") == "true"
    second = one.page.locator(".sheet-candidates .glyph").nth(1).text_content()
    one.page.keyboard.press("2")
    assert text_of(one).split("\n")[1] == f"处{second}闻啼鸟"
    one.page.keyboard.press("ArrowLeft")
    one.page.keyboard.press("ArrowLeft")  # nothing is there
    one.page.keyboard.press("Enter")
    assert one.page.locator(".sheet-place").text_content().startswith("Row 2, column 1: 处")
    assert box(one, 1, 0).get_attribute("tabindex") == "0"


def test_a_sheet_shown_larger_keeps_its_middle_and_stays_on_the_screen(sheet: Open) -> None:
    one = sheet(viewport={"width": 390, "height": 844})
    read(one, drawn())
    middle = """() => {
      const { scrollLeft: x, scrollTop: y, scrollWidth: w, scrollHeight: h, clientWidth: a, clientHeight: b } =
        document.querySelector(".sheet-photo");
      return [(x + a / 2) / w, (y + b / 2) / h, w / a, b / innerHeight];
    }"""
    one.page.fill(".sheet-zoom", "3")
    x, y, larger, height = one.page.evaluate(middle)
    assert (x, y, larger) == (pytest.approx(0.5, abs=0.01), pytest.approx(0.5, abs=0.01), pytest.approx(3, abs=0.05))
    assert height <= 0.76
    box(one, 0, 0).click()
    one.page.evaluate("new Promise((done) => setTimeout(done, 100))")
    one.picture("sheet-on-a-phone")
    seen = one.page.locator(".sheet-candidates").bounding_box()
    assert seen["y"] + seen["height"] <= 844


def test_another_order_keeps_the_choices(sheet: Open) -> None:
    one = sheet()
    read(one, drawn())
    box(one, 0, 2).click()
    one.page.locator(".sheet-one .typed input").fill("卜")
    one.page.locator(".sheet-one .typed button").click()
    with one.page.expect_response("**/v1/sheets?direction=columns-right-to-left&context=false"):
        one.page.select_option(".sheet-direction", "columns-right-to-left")
    one.page.wait_for_selector("#sheet[aria-busy=false]")
    assert text_of(one) == "晓鸟声少\n觉啼\u3000多\n卜闻\u3000知\n眠处来落\n春处夜花"
    with one.page.expect_response("**/v1/sheets?direction=columns-right-to-left&context=true"):
        one.page.check(".sheet-context")
    one.page.wait_for_selector("#sheet[aria-busy=false]")
    assert "卜" in text_of(one)


def test_a_sheet_upside_down_is_shown_upright(sheet: Open) -> None:
    one = sheet()
    one.excused = ["willReadFrequently"]  # this test reads pixels, the page does not
    read(one, drawn(turn=2))
    assert text_of(one) == TEXT
    assert one.page.locator(".sheet-told").text_content().endswith("The picture was turned by 180° to be upright.")
    upright, grid = draw_boxes(POEM, 200, rule="#404040")
    height, width = upright.shape[:2]
    # A dark place on the rule above the first box's middle, and a bright one in the margin.
    for x, y in [((grid.quads[0, 0, 0, 0] + 99), 61), (20, 20)]:
        shown = one.page.evaluate(PIXEL, [(x + 0.5) / width, (y + 0.5) / height])
        assert np.allclose(shown, upright[int(y), int(x)], atol=8)


def test_one_sheet_is_read_at_a_time(sheet: Open) -> None:
    one = sheet()
    one.page.locator("#whole").check()
    one.page.set_input_files("#files", [drawn(), drawn(turn=2)])
    one.page.wait_for_selector(".cell", timeout=20_000)
    assert "Only the first of 2 pictures was read" in one.page.locator(".sheet-told").text_content()
    assert sum("/v1/sheets" in request.url for request in one.asked) == 1
    one.page.reload()
    one.page.wait_for_selector("#model:not([hidden])")
    assert one.page.locator("#whole").is_checked(), "a reload keeps the switch"


def test_a_cell_can_be_looked_at_in_the_square_and_kept(sheet: Open) -> None:
    one = sheet()
    read(one, drawn())
    one.page.locator("#corrections input").check()
    box(one, 3, 0).click()
    one.page.locator(".sheet-candidates button").first.click()
    one.page.wait_for_selector("text=Pictures kept in this browser: 1.")
    one.page.locator(".sheet-cut").click()
    one.expect_first("花")


def test_what_shows_no_boxes_says_so(sheet: Open) -> None:
    one = sheet()
    one.excused = ["422"]
    file = io.BytesIO()
    Image.new("L", (300, 300), 255).save(file, "png")
    give(one, {"name": "blank.png", "mimeType": "image/png", "buffer": file.getvalue()})
    one.page.wait_for_selector(".sheet-told.problem")
    assert one.page.locator(".sheet-told").text_content().startswith("the picture is blank")
    assert one.page.locator(".sheet-again").is_hidden()
    assert one.page.locator(".sheet-side").is_hidden()
    one.page.click("#language")
    assert one.page.locator(".sheet-told").text_content().startswith("没有找到格子")


def test_a_file_too_large_to_send_is_made_smaller(sheet: Open) -> None:
    one = sheet()
    made = one.page.evaluate("""async () => {
      const { preparedSheet } = await import("./static/js/prepare.js");
      const canvas = new OffscreenCanvas(4000, 4000);
      canvas.getContext("2d").fillRect(0, 0, 10, 10);
      const file = await canvas.convertToBlob({ type: "image/png" });
      const small = new OffscreenCanvas(40, 30);
      small.getContext("2d");
      const fitting = await small.convertToBlob({ type: "image/png" });
      const tell = async (blob) => {
        const { width, height } = await createImageBitmap(blob);
        return [blob.type, width, height];
      };
      return [await tell(await preparedSheet(file)), await tell(await preparedSheet(fitting)),
        await tell(await preparedSheet(fitting, 100))];
    }""")
    assert made[0] == ["image/jpeg", 3464, 3464], "12 megapixels"
    assert made[1:] == [["image/png", 40, 30], ["image/jpeg", 40, 30]]


def test_a_busy_server_is_asked_again(sheet: Open) -> None:
    one = sheet()
    one.excused = ["503"]
    busy = {"error": {"code": "busy", "message": "x"}}
    one.page.route("**/v1/sheets*", lambda route: route.fulfill(status=503, json=busy), times=1)
    give(one, drawn())
    one.page.wait_for_selector("text=Yours is read in a moment.")
    one.page.wait_for_selector(".cell", timeout=20_000)
    assert text_of(one) == TEXT


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (["春眠不", "觉  "], " 春眠\n不觉"),
        (["春眠木", "觉晓 "], "春眠不觉晓"),
        (["春不觉晓"], "春眠不觉晓"),
        (["眠不觉晓"], "春眠不觉晓"),
        (["春眠眠不觉晓"], "春眠不觉晓"),
        (["春□不觉晓"], "春眠不觉晓"),
        (["大小人口"], "大少入口"),
        (["口O花落知多少"], "0花知多多小"),
    ],
)
def test_differences_are_those_of_python(sheet: Open, rows: list[str], text: str) -> None:
    one = sheet()
    expected = [
        (d.kind, (d.cell.row, d.cell.column) if d.cell else None, d.expected) for d in compare(sheet_of(rows), text)
    ]
    written = [cell for cell in sheet_of(rows).cells if not cell.empty]
    shown = [
        {"character": cell.character, "alike": cell.prediction.candidates[0].alike if cell.prediction else ""}
        for cell in written
    ]
    found = one.page.evaluate(
        f"async ([written, text]) => {{ const m = await {AGAINST}; return m.compare(written, m.charactersOf(text)); }}",
        [shown, text],
    )
    places = [(written[d["cell"]].row, written[d["cell"]].column) if d["cell"] >= 0 else None for d in found]
    assert [(d["kind"], place, d["expected"]) for d, place in zip(found, places, strict=True)] == expected


def sheet_of(rows: list[str]) -> Sheet:
    grid = boxes(len(rows), len(rows[0]))
    picture = np.full((96, 96), 255, np.uint8)
    cells = []
    for r, row in enumerate(rows):
        for c, character in enumerate(row):
            alike = "0o" if character == "O" else ""
            prediction = None if character == " " else Prediction((Candidate(character, 0.98, alike),))
            place = (0, r, c, grid.quads[r, c], picture)
            cells.append(Cell(*place, character == " ", character == "□", prediction))
    return Sheet(tuple(cells), (grid,), "rows", (800, 600))
