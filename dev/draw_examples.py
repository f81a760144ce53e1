"""Draw the eight pictures in examples/: handwriting of hanmo.synth, as cameras and scanners would show it.

    python dev/draw_examples.py examples

The pictures differ in colour, polarity, transparency, size and file format, so that recognizing all of them exercises
the whole image loader. The same versions of hanmo and Pillow always draw the same pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from hanmo.charset import Charset
from hanmo.synth.strokes.hand import StyleConfig
from hanmo.synth.strokes.writer import StrokeBank

Cover = NDArray[np.float32]
"""How much of each pixel the ink covers, float32 (H, W) in 0..1."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One picture: the character, the writer's seed, the size, and the look of ink and paper."""

    name: str
    character: str
    seed: int
    size: tuple[int, int]
    """Width and height in pixels."""
    look: Callable[[Cover, np.random.Generator], Image.Image]
    pen: float = 0.022

    def draw(self) -> Image.Image:
        """The finished picture."""
        width, height = self.size
        side = int(min(self.size) * 0.82)
        # Little texture from the writer model, as each look adds its own.
        plain = {"grain": 0.0, "ragged": 0.0, "soft": 0.2, "binary": 0.0, "pressure": 0.04}
        style = StyleConfig(haste=0.35, pen=self.pen, pen_spread=0.05, **plain)
        bank = StrokeBank(Charset(self.character), points=32)
        generator = torch.Generator().manual_seed(self.seed)
        ink = bank.draw(torch.zeros(1, dtype=torch.int64), generator, style, side)[0].numpy().astype(np.float32) / 255
        left, top = int((width - side) * 0.45), int((height - side) * 0.6)
        cover: Cover = np.pad(ink, ((top, height - side - top), (left, width - side - left)))
        return self.look(cover, np.random.default_rng(self.seed))


def cloud(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> Cover:
    """Smooth noise of mean 0 and deviation 1 whose spots are about ``grain`` pixels wide."""
    noise = Image.fromarray(rng.random(shape, dtype=np.float32) * 255)
    smooth = np.asarray(noise.convert("L").filter(ImageFilter.GaussianBlur(grain)), np.float32)
    spots: Cover = (smooth - smooth.mean()) / max(float(smooth.std()), 1e-3)
    return spots


def blend(paper: NDArray[np.float32], ink: tuple[int, int, int], cover: Cover) -> Image.Image:
    """Ink of one colour over paper (H, W, 3)."""
    mixed = paper + (np.array(ink, np.float32) - paper) * cover[..., None]
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def sheet(colour: tuple[int, int, int], light: Cover) -> NDArray[np.float32]:
    """Paper (H, W, 3) of one colour, brightened by ``light`` grey levels."""
    return np.array(colour, np.float32) + light[..., None]


def blue_on_cream(cover: Cover, rng: np.random.Generator) -> Image.Image:
    """A fountain pen: ink pools in places."""
    ink = cover * (0.88 + 0.07 * cloud(rng, cover.shape, 5))
    paper = sheet((246, 238, 218), 2.5 * cloud(rng, cover.shape, 1))
    return blend(paper, (28, 44, 130), ink.clip(0, 1)).filter(ImageFilter.GaussianBlur(0.7))


def pencil_on_grey(cover: Cover, rng: np.random.Generator) -> Image.Image:
    """Graphite stays on the grain of the paper; a grey scan."""
    grain = cloud(rng, cover.shape, 0.7)
    grey = 196 + 4 * grain - 125 * cover * (0.8 + 0.2 * grain).clip(0.2, 1)
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))


def chalk_on_black(cover: Cover, rng: np.random.Generator) -> Image.Image:
    """White on dark: chalk breaks on the rough board, which keeps traces of the sponge."""
    rough = cloud(rng, cover.shape, 0.9)
    board = sheet((34, 40, 38), 4 * cloud(rng, cover.shape, 14) + 2 * rough)
    return blend(board, (236, 236, 228), cover * (0.78 + 0.2 * rough).clip(0.25, 1))


def transparent(cover: Cover, rng: np.random.Generator) -> Image.Image:
    """Dark ink on nothing, as drawing programs save it."""
    picture = np.zeros((*cover.shape, 4), np.uint8)
    picture[..., :3] = (20, 20, 24)
    picture[..., 3] = (cover * 255).astype(np.uint8)
    return Image.fromarray(picture, "RGBA")


def lit_from_one_side(cover: Cover, rng: np.random.Generator) -> Image.Image:
    """A telephone's photograph: light falls off across the page, the sensor is noisy."""
    height, width = cover.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    light = -48 * (0.7 * x / width + 0.3 * y / height)
    picture = blend(sheet((232, 228, 220), light), (38, 36, 40), 0.9 * cover).filter(ImageFilter.GaussianBlur(1.1))
    noisy = np.asarray(picture, np.float32) + rng.normal(0, 4, (height, width, 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def small_scan(cover: Cover, rng: np.random.Generator) -> Image.Image:
    """Sixteen grey levels at a low resolution."""
    grey = 250 - 215 * cover + rng.normal(0, 3, cover.shape)
    return Image.fromarray((np.rint(grey.clip(0, 255) / 17) * 17).astype(np.uint8))


def brush_on_rice_paper(cover: Cover, rng: np.random.Generator) -> Image.Image:
    """Black ink bleeding a little into fibrous paper."""
    height, width = cover.shape
    fibres = cloud(rng, (height, width), 0.8) + np.roll(cloud(rng, (height, width), 3), 5, 1)
    bled = Image.fromarray((cover * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.4))
    soft = np.clip(np.asarray(bled, np.float32) / 255 * 1.5 - 0.12 + 0.05 * fibres * (cover > 0), 0, 1)
    return blend(sheet((238, 232, 214), 3 * fibres), (22, 20, 22), soft)


def red_on_yellow(cover: Cover, rng: np.random.Generator) -> Image.Image:
    """A ball-pen on a sticky note, saved with a palette of 32 colours."""
    paper = sheet((250, 226, 110), 2 * cloud(rng, cover.shape, 20))
    return blend(paper, (150, 24, 30), cover).filter(ImageFilter.GaussianBlur(0.5)).quantize(32)


EXAMPLES = (
    Example(name="01-yong.png", character="永", seed=11, size=(320, 300), look=blue_on_cream, pen=0.02),
    Example(name="02-shan.png", character="山", seed=12, size=(240, 260), look=pencil_on_grey, pen=0.018),
    Example(name="03-shui.png", character="水", seed=21, size=(400, 400), look=chalk_on_black, pen=0.03),
    Example(name="04-ma.png", character="马", seed=14, size=(200, 200), look=transparent),
    Example(name="05-shu.jpg", character="书", seed=15, size=(480, 360), look=lit_from_one_side, pen=0.018),
    Example(name="06-yue.png", character="月", seed=16, size=(56, 64), look=small_scan, pen=0.03),
    Example(name="07-han.png", character="翰", seed=17, size=(360, 400), look=brush_on_rice_paper, pen=0.026),
    Example(name="08-mo.png", character="墨", seed=18, size=(300, 300), look=red_on_yellow, pen=0.016),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the example pictures.")
    parser.add_argument("out", type=Path, help="the folder to draw into")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for example in EXAMPLES:
        picture = example.draw()
        picture.save(out / example.name, **({"quality": 82} if example.name.endswith("jpg") else {"optimize": True}))
        print(out / example.name, picture.size, picture.mode)


if __name__ == "__main__":
    main()
