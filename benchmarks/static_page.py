"""How long the page that reads by itself takes to its first answer, and what it weighs.

    npm pack onnxruntime-web@VERSION        # the version that `hanmo serve --static` asks for
    python benchmarks/static_page.py --runtime onnxruntime-web-VERSION.tgz --runs 10

Writes the folder, serves it from a process of its own as any web host would, and opens it in Chromium, each time with
an empty cache and a browser of its own. Two kinds of visitors draw 一 in the writing square with a mouse: one at once,
whose time counts from the navigation, and one two seconds after it, whose time counts from the pen-up.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hanmo.serve.site import write_site

_ANSWER = """() => new Promise((resolve) => {
    const look = () => {
        if (document.querySelector("#candidates button")?.textContent.includes("一")) resolve(performance.now());
        else setTimeout(look, 5);
    };
    look();
})"""
"""Milliseconds since the navigation when the answer stands there."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", type=Path, required=True, help="onnxruntime-web as npm packs it")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser's program")
    options = parser.parse_args()
    if options.chromium is None:
        sys.exit("no browser; try: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "site"
        sizes = write_site(out, options.runtime)
        for part, size in weigh(sizes).items():
            print(f"{part:<24} {size / 1000:>10,.0f} kB")
        # In a process of its own: in ours it would share Python's lock with the driver of the browser.
        command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(out)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as host:
            try:
                assert host.stdout is not None
                port = int(host.stdout.readline().split(" port ")[1].split()[0])
                measure(f"http://127.0.0.1:{port}/", options.chromium, options.runs)
            finally:
                host.terminate()


def weigh(sizes: dict[str, int]) -> dict[str, int]:
    """Bytes of each part of the folder."""
    parts = dict.fromkeys(
        ("page", "reading in JavaScript", "model", "onnxruntime-web", "strokes, when asked", "licences"), 0
    )
    for name, size in sizes.items():
        file = Path(name).name
        if name.startswith("static/js/local/") or file == "reader.json":
            parts["reading in JavaScript"] += size
        elif file == "model.onnx":
            parts["model"] += size
        elif file.startswith("ort"):
            parts["onnxruntime-web"] += size
        elif file == "strokes.bin":
            parts["strokes, when asked"] += size
        else:
            parts["licences" if name.startswith("licences/") else "page"] += size
    return {**parts, "all": sum(sizes.values())}


def measure(address: str, chromium: str, runs: int) -> None:
    from playwright.sync_api import sync_playwright

    visitors: dict[str, Callable[[Any], float]] = {"at once": at_once, "after two seconds": later}
    with sync_playwright() as driver:
        for name, visit in visitors.items():
            took = []
            for _ in range(runs):
                browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                page = browser.new_page()
                time.sleep(1)  # visitors' browsers run already
                page.goto(address)
                took.append(visit(page))
                browser.close()
            took.sort()
            print(f"{name:<24} median {statistics.median(took):.2f} s, best {took[0]:.2f}, worst {took[-1]:.2f}")


def at_once(page: Any) -> float:
    """Seconds from the navigation to the answer."""
    write(page)
    return float(page.evaluate(_ANSWER)) / 1000


def later(page: Any) -> float:
    """Seconds from the pen-up to the answer."""
    time.sleep(2)
    write(page)
    start = float(page.evaluate("performance.now()"))
    return (float(page.evaluate(_ANSWER)) - start) / 1000


def write(page: Any) -> None:
    """One stroke from left to right."""
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()


if __name__ == "__main__":
    main()
