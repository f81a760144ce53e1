"""Draw docs/picture.png for the README: cards with a picture on the left and a bundle's prediction on the right.

    python dev/draw_readme_picture.py src/hanmo/bundles/free docs/picture.png

The first row shows pictures of examples/. The second shows characters by writers several times as careless as those in
the training data, chosen so that the bundle is unsure. Everything is drawn by this repository's code, and the
probabilities are the bundle's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from hanmo.charset import Charset
from hanmo.data.fonts import CaptionFont
from hanmo.prediction import Prediction
from hanmo.recognizer import Recognizer
from hanmo.synth.strokes.hand import StyleConfig
from hanmo.synth.strokes.writer import StrokeBank

SCALE = 2  # device pixels of a point: crisp on a dense screen
COLUMNS, CARD, GAP, MARGIN, SIDE = 4, (212, 124), 14, 16, 100
PAPER, CARD_PAPER, EDGE, INK, QUIET = "#faf9f6", "#ffffff", "#e4e1da", "#22211f", "#85817a"
BAR, BAR_FIRST = "#d8d4cb", "#3f7d58"
EXAMPLES = ("01-yong.png", "03-shui.png", "05-shu.jpg", "07-han.png")
CARELESS = StyleConfig(
    haste=0.2, shift=0.045, scale=0.2, tilt=0.16, bend=0.09, ends=0.06, links=0.6, warp=0.3, slant=0.2, pen=0.026
)


def scribble(character: str, seed: int) -> Image.Image:
    """One character by a careless hand, dark on white."""
    bank = StrokeBank(Charset(character), points=32)
    ink = bank.draw(torch.zeros(1, dtype=torch.int64), torch.Generator().manual_seed(seed), CARELESS, 200, margin=24)
    return Image.fromarray(255 - ink[0].numpy()).convert("RGB")


def scale(x: float, y: float) -> tuple[int, int]:
    """Points to pixels."""
    return round(x * SCALE), round(y * SCALE)


def box(left: float, top: float, right: float, bottom: float) -> tuple[int, int, int, int]:
    """A box in points to one in pixels."""
    return *scale(left, top), *scale(right, bottom)


def draw_card(sheet: Image.Image, x: int, y: int, picture: Image.Image, prediction: Prediction) -> None:
    """A card at (x, y) in points: the picture, then three candidates, each with a bar and its probability."""
    pen = ImageDraw.Draw(sheet)
    large, small = CaptionFont(21 * SCALE), CaptionFont(11 * SCALE)
    pen.rounded_rectangle(box(x, y, x + CARD[0], y + CARD[1]), 8 * SCALE, CARD_PAPER, EDGE, SCALE)
    side = SIDE * SCALE
    shown = picture.convert("RGBA")
    shown.thumbnail((side, side), Image.Resampling.LANCZOS)
    if max(shown.size) < side:
        factor = side / max(shown.size)
        shown = shown.resize((round(shown.width * factor), round(shown.height * factor)), Image.Resampling.BICUBIC)
    left, top = scale(x + 12, y + (CARD[1] - SIDE) / 2)
    sheet.paste(shown, (left + (side - shown.width) // 2, top + (side - shown.height) // 2), shown)
    for rank, candidate in enumerate(prediction.candidates[:3]):
        middle, ink = y + 29 + 33 * rank, INK if rank == 0 else QUIET
        large.write(pen, scale(x + 122, middle), candidate.character, ink, "lm")
        pen.text(scale(x + CARD[0] - 12, middle - 4), f"{candidate.probability:.1%}", QUIET, small.face, "rm")
        start, length = x + 152, CARD[0] - 12 - 152
        pen.rounded_rectangle(box(start, middle + 7, start + length, middle + 10), 3, "#f0eee9")
        filled = max(3 / SCALE, length * candidate.probability)
        pen.rounded_rectangle(box(start, middle + 7, start + filled, middle + 10), 3, BAR_FIRST if rank == 0 else BAR)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the picture that opens the README.")
    parser.add_argument("bundle", type=Path, help="the bundle that reads, as src/hanmo/bundles/free")
    parser.add_argument("out", type=Path, help="the PNG to write")
    parser.add_argument("--careless", default="马1春7雪9国5", help="characters and seeds of the second row")
    args = parser.parse_args()
    reader = Recognizer(args.bundle)
    pictures: list[Image.Image] = [Image.open(Path("examples", name)) for name in EXAMPLES]
    pairs = zip(args.careless[::2], args.careless[1::2], strict=True)
    pictures += [scribble(character, int(seed)) for character, seed in pairs]
    predictions = reader.recognize_batch(pictures, top=3)
    rows = -(-len(pictures) // COLUMNS)
    width = 2 * MARGIN + COLUMNS * CARD[0] + (COLUMNS - 1) * GAP
    height = 2 * MARGIN + rows * (CARD[1] + GAP) + 12
    sheet = Image.new("RGB", scale(width, height), PAPER)
    for index, (picture, prediction) in enumerate(zip(pictures, predictions, strict=True)):
        row, column = divmod(index, COLUMNS)
        draw_card(sheet, MARGIN + column * (CARD[0] + GAP), MARGIN + row * (CARD[1] + GAP), picture, prediction)
    note = CaptionFont(11 * SCALE)
    size = f"{len(reader.bundle.model) / 1e6:.1f} MB"
    caption = f"Drawn handwriting, read by the {size} reader that comes with hanmo: the three best candidates."
    ImageDraw.Draw(sheet).text(scale(MARGIN, height - MARGIN + 2), caption, QUIET, note.face, "ls")
    sheet.quantize(256, Image.Quantize.MAXCOVERAGE).save(args.out, optimize=True)
    labels = "永水书翰" + args.careless[::2]
    correct = sum(p.candidates[0].character == label for p, label in zip(predictions, labels, strict=True))
    print(f"{args.out}: {sheet.width} x {sheet.height}, {correct} of {len(labels)} read correctly")


if __name__ == "__main__":
    main()
