"""The page that reads by itself, in a real browser, beside what Python answers to the same pictures and strokes.

Needs Chromium, Playwright and onnxruntime-web; what is missing is said, with the command that brings it.
"""

from __future__ import annotations

import base64
import functools
import http.server
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hanmo.explain import explain
from hanmo.image import load
from hanmo.recognizer import Recognizer
from hanmo.serve.runtime import FETCH, VERSION
from hanmo.serve.site import write_site
from hanmo.strokes import draw
from hanmo.synth.medians import load_medians

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").iterdir())
TOP = 10
Ask = Callable[..., Any]


class _Host(http.server.SimpleHTTPRequestHandler):
    """A plain web host: no headers but those it must send."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def hosting(folder: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Host, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join(10)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host's folder that holds the page below a path of its own."""
    runtime = os.environ.get("HANMO_ORT_WEB", "")
    if not Path(runtime).is_file():
        pytest.skip(f"no runtime; try: {FETCH} && HANMO_ORT_WEB=$PWD/onnxruntime-web-{VERSION}.tgz make test")
    root = tmp_path_factory.mktemp("host")
    write_site(root / "below" / "here", runtime)
    return root


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    with hosting(root) as host:
        yield f"{host}below/here/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright; try: pip install playwright")
    chromium = os.environ.get("HANMO_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no browser; try: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


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


OPEN = """async () => {
    const { open } = await import(new URL("static/js/local/reader.js", document.baseURI));
    globalThis.reader = await open();
    globalThis.blobOf = (text) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]);
}"""


@pytest.fixture(scope="module")
def nano() -> Recognizer:
    return Recognizer("nano")


@pytest.fixture(scope="module")
def read(page: Any) -> Ask:
    """``read(strokes or file bytes, …)``: the results of one call."""

    def ask(*sources: Any, top: int = TOP) -> Any:
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


def same(result: Any, reader: Recognizer, source: Any) -> None:
    """The same verdict and, to six digits, the same probabilities, each for the same character.

    Logits of an int8 net are often equal; which of several equal characters comes last among ten, nobody has promised.
    """
    prediction = reader.recognize(source, 200)
    by_character = {c.character: c.probability for c in prediction.candidates}
    expected = [c.probability for c in prediction.candidates[:TOP]]
    got = [c["probability"] for c in result["candidates"]]
    assert got == pytest.approx(expected, abs=1e-6)
    assert [by_character[c["character"]] for c in result["candidates"]] == pytest.approx(expected, abs=1e-12)
    distinct = [c.character for c in prediction.candidates[:TOP] if c.probability > expected[-1]]
    assert [c["character"] for c in result["candidates"][: len(distinct)]] == distinct
    assert (result["character"], result["refused"]) == (prediction.character, prediction.refused)
    assert result["probability"] == pytest.approx(prediction.probability, abs=1e-6)


def test_the_page_itself_reads_what_is_written(browser: Any, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(address)
    box = page.locator("#pad").bounding_box()
    for way in ([(0.2, 0.5), (0.8, 0.5)], [(0.5, 0.2), (0.5, 0.8)]):
        x, y = (
            [box[side] + share * box[extent] for share in shares]
            for side, extent, shares in (("x", "width", [x for x, _ in way]), ("y", "height", [y for _, y in way]))
        )
        page.mouse.move(x[0], y[0])
        page.mouse.down()
        page.mouse.move(x[1], y[1], steps=8)
        page.mouse.up()
    page.locator("#candidates button").first.filter(has_text="十").wait_for(timeout=20_000)
    assert problems == []
    context.close()


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_examples_are_read_as_python_reads_them(read: Ask, nano: Recognizer, path: Path) -> None:
    (result,) = read(path.read_bytes())
    same(result, nano, path)


def hand(random: np.random.Generator) -> list[list[list[float]]]:
    """A character of the table, its points shaken and pressed unevenly."""
    characters = load_medians().characters
    strokes = load_medians().of(characters[random.integers(len(characters))])
    return [
        np.c_[stroke + random.normal(size=stroke.shape) * 0.015, random.uniform(0.2, 0.9, len(stroke))].tolist()
        for stroke in strokes
    ]


def test_strokes_are_read_as_python_reads_them(read: Ask, nano: Recognizer) -> None:
    random = np.random.default_rng(11)
    cases = [hand(random) for _ in range(60)]
    results = read(*cases)
    for result, strokes in zip(results, cases, strict=True):
        same(result, nano, strokes)
    assert sum(result["refused"] for result in results) < 10
    assert len(read(cases[0], top=1)[0]["candidates"]) == 1


def test_scribbles_are_refused_as_python_refuses_them(read: Ask, nano: Recognizer) -> None:
    random = np.random.default_rng(2)
    cases = [[random.random((60, 2)).tolist()] for _ in range(8)]
    results = read(*cases)
    assert any(result["refused"] for result in results)
    for result, strokes in zip(results, cases, strict=True):
        same(result, nano, strokes)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def kinds() -> dict[str, tuple[bytes, int]]:
    """Files of one character as cameras, scanners and programs save them, and how many grey levels may differ.

    Differing are half transparent pixels outside PNG, which a canvas multiplies by alpha, and 16 bits.
    """
    grey = Image.fromarray(draw([stroke.tolist() for stroke in load_medians().of("翰")]))
    tint = Image.merge("RGB", (grey, grey.point(lambda v: 40 + v * 3 // 4), grey.point(lambda v: 90 + v // 2)))
    clear = tint.copy()
    clear.putalpha(grey.point(lambda v: 255 - v))
    white = Image.new("RGBA", grey.size, "white")
    white.putalpha(grey.point(lambda v: 255 - v))
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "PNG grey": (saved(grey, "png"), 0),
        "PNG colour": (saved(tint, "png"), 0),
        "PNG palette": (saved(tint.quantize(16), "png"), 0),
        "PNG two tones": (saved(grey.convert("1"), "png"), 0),
        "PNG bright on dark": (saved(grey.point(lambda v: 255 - v), "png"), 0),
        "PNG transparent": (saved(clear, "png"), 0),
        "PNG transparent grey": (saved(clear.convert("LA"), "png"), 0),
        "PNG white on nothing": (saved(white, "png"), 0),
        "PNG 16 bits": (saved(wide, "png"), 0),
        "JPEG grey": (saved(grey, "jpeg"), 0),
        "JPEG colour": (saved(tint, "jpeg"), 0),
        "JPEG halved colour": (saved(tint, "jpeg", subsampling=2, quality=60), 0),
        "JPEG turned": (saved(tint, "jpeg", exif=turned), 0),
        "WebP": (saved(tint, "webp"), 0),
        "WebP transparent": (saved(clear, "webp", lossless=True), 1),
        "WebP lossless": (saved(tint, "webp", lossless=True), 0),
        "BMP": (saved(tint, "bmp"), 0),
        "GIF": (saved(tint.quantize(16), "gif"), 0),
    }


@pytest.mark.parametrize("kind", kinds())
def test_pictures_are_decoded_as_python_decodes_them(page: Any, kind: str) -> None:
    data, tolerance = kinds()[kind]
    grey = load(data)
    levels = page.evaluate(
        """async (file) => {
            const { load } = await import(new URL("static/js/local/picture.js", document.baseURI));
            const { width, height, levels } = await load(blobOf(file));
            return [height, width, [...levels]];
        }""",
        base64.b64encode(data).decode(),
    )
    got: NDArray[np.int64] = np.array(levels[2]).reshape(levels[:2])
    assert got.shape == grey.shape
    assert np.abs(got - grey).max() <= tolerance


def test_one_that_cannot_be_read_stands_among_the_others(read: Ask) -> None:
    png = EXAMPLES[0].read_bytes()
    huge = png[:16] + (65_535).to_bytes(4, "big") * 2 + png[24:]
    tiff = saved(Image.new("L", (20, 20), 255), "tiff")
    blank = saved(Image.new("L", (20, 20), 255), "png")
    results = read(png, b"", b"%PDF-1.7", b"hello", tiff, huge, png[:300], blank, [[[0, 0]]] * 257, [[[0, 5], [9, 5]]])
    codes = [result["error"]["code"] if "error" in result else result["character"] for result in results]
    unusable, unsupported = "unusable_picture", "unsupported_format"
    assert codes == [
        "永",
        unusable,
        *[unsupported] * 3,
        "picture_too_large",
        unusable,
        "blank_picture",
        "picture_too_large",
        "一",
    ]
    messages = [result.get("error", {}).get("message") for result in results]
    assert messages[1] == "the file is empty; save the picture again"
    assert messages[2] == "a PDF; save it as PNG, JPEG, WebP, BMP or GIF"
    assert messages[3] == "not a picture; save it as PNG, JPEG, WebP, BMP or GIF"
    assert messages[5] == "65535x65535 is more than 16,777,216 pixels; save a smaller picture"
    assert messages[6].startswith("damaged PNG")
    assert messages[7] == "the picture is blank: it holds one grey level only"
    assert [result.get("name") for result in results[:2]] == ["0.png", "1.png"]


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "gif"])
def test_too_many_pixels_are_seen_in_the_header(read: Ask, kind: str) -> None:
    data = saved(Image.new("1" if kind == "bmp" else "L", (5000, 5000), 1), kind)
    (result,) = read(data)
    assert result["error"]["code"] == "picture_too_large"
    assert result["error"]["message"].startswith("5000x5000 is more than")


def test_the_model_is_described(page: Any, nano: Recognizer) -> None:
    told = page.evaluate("reader.describe()")
    assert (told["name"], told["characters"]) == ("nano", len(nano.bundle.charset))
    assert told["limits"] == {"pixels": 2**24, "strokes": 256, "points": 5000}


@pytest.mark.parametrize("character", [None, "水"])
@pytest.mark.parametrize("path", [EXAMPLES[0], EXAMPLES[3], EXAMPLES[6]], ids=lambda path: path.stem)
def test_explanations_are_those_of_python(page: Any, nano: Recognizer, path: Path, character: str | None) -> None:
    told = page.evaluate(
        "([file, character]) => reader.explain({ file: blobOf(file) }, character)",
        [base64.b64encode(path.read_bytes()).decode(), character],
    )
    expected = explain(nano, path, character)
    assert told["character"] == expected.character
    assert told["probability"] == pytest.approx(expected.probability, abs=1e-6)
    assert base64.b64decode(told["square"]) == expected.square.tobytes()
    assert (told["side"], told["size"]) == (len(expected.square), len(expected.heat))
    np.testing.assert_allclose(told["heat"], expected.heat, rtol=0, atol=1e-4)  # a pixel may round the other way


def test_reading_does_not_wait_for_an_explanation(page: Any) -> None:
    first = page.evaluate("""async () => {
        const input = { strokes: [[[0, 5], [9, 5]], [[5, 0], [5, 9]]] };
        const explaining = reader.explain(input, null).then(() => "explained");
        const reading = reader.read([input]).then(() => "read");
        const first = await Promise.race([explaining, reading]);
        await explaining;
        return first;
    }""")
    assert first == "read"


def test_look_alikes_are_what_python_sees_in_the_model_glyph(page: Any, nano: Recognizer) -> None:
    for character in "永未":
        told = page.evaluate("(character) => reader.lookup(character)", character)
        glyph = [stroke.tolist() for stroke in load_medians().of(character)]
        np.testing.assert_array_equal(np.concatenate(told["strokes"]), np.concatenate(glyph))
        expected = [c for c in nano.recognize(glyph, 6).candidates if c.character != character][:4]
        assert [c["character"] for c in told["look_alikes"]] == [c.character for c in expected]
        for look_alike in told["look_alikes"]:
            assert len(look_alike["strokes"]) == len(load_medians().of(look_alike["character"]))


def test_an_unknown_character_is_refused(page: Any) -> None:
    for call in ("reader.lookup('A')", "reader.explain({strokes: [[[0, 0], [9, 0]]]}, 'A')"):
        assert page.evaluate(f"{call}.catch((error) => error.code)") == "unknown_character"


def test_a_call_that_nobody_waits_for_is_given_up(page: Any, read: Ask) -> None:
    given_up = page.evaluate("""async () => {
        const stop = new AbortController();
        const call = reader.read([{ strokes: [[[0, 0], [9, 0]]] }], { signal: stop.signal });
        stop.abort();
        return call.catch((error) => error.name);
    }""")
    assert given_up == "AbortError"
    assert read([[[0, 5], [9, 5]]])[0]["character"] == "一"


def test_the_page_opens_and_reads_without_a_connection_after_one_visit(browser: Any, root: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    with hosting(root) as host:
        page.goto(f"{host}below/here/")
        page.evaluate("navigator.serviceWorker.ready.then((registration) => registration.active.state)")
    page.goto("about:blank")
    page.goto(f"{host}below/here/")  # where nobody listens any more
    page.evaluate(OPEN)
    stroke = "reader.read([{strokes: [[[0, 5], [9, 5]]]}]).then(([result]) => result.character)"
    assert page.evaluate(stroke) == "一"
    assert page.evaluate("reader.lookup('永').then(({ strokes }) => strokes.length)") == 5
    context.close()


def test_what_a_host_has_in_its_place_later_is_shown(browser: Any, root: Path, tmp_path: Path) -> None:
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


def test_a_host_that_lacks_a_file_is_told(browser: Any, address: str) -> None:
    context = browser.new_context()
    context.route("**/model.onnx", lambda route: route.fulfill(status=404))
    page = context.new_page()
    page.goto(address)
    page.evaluate(OPEN)
    failing = "reader.read([{strokes: [[[0, 5], [9, 5]]]}]).catch((error) => [error.code, error.message])"
    code, message = page.evaluate(failing)
    assert code == "reader_unavailable"
    assert message.startswith("model.onnx cannot be fetched")
    context.unroute("**/model.onnx")
    assert page.evaluate("reader.read([{strokes: [[[0, 5], [9, 5]]]}]).then(([r]) => r.character)") == "一"
    context.close()
