/** Port of the second half of src/hanmo/image.py and of src/hanmo/polarity.py: pixels become grey, with dark ink. */

import { LEVELS, POLARITY } from "../constants.js";
import { findPrint, hide, luma } from "./colour.js";
import { countLevels, roundHalfEven } from "./paper.js";

const { FAINT } = LEVELS;
const { DARK_BORDER, DARK_INSIDE, FRAME } = POLARITY;

/** @typedef {import("./strokes.js").Grey} Grey */

/**
 * Coloured print is left out where the ink is of another kind (see colour.js), else grey is Pillow's luma. Transparency
 * is laid over white, or is itself the ink when that shows nothing (white on nothing).
 *
 * @param {number} width @param {number} height
 * @param {Uint8Array | Uint8ClampedArray} rgba width * height * 4 levels, not multiplied by alpha
 * @returns {Grey}
 */
export function fromPixels(width, height, rgba) {
  const levels = new Uint8Array(width * height);
  let [dark, bright, clear, solid] = [255, 0, 255, 0];
  for (let i = 0, p = 0; i < levels.length; i += 1, p += 4) {
    const alpha = rgba[p + 3];
    const level = overWhite(luma(rgba[p], rgba[p + 1], rgba[p + 2]), alpha);
    levels[i] = level;
    if (level < dark) dark = level;
    if (level > bright) bright = level;
    if (alpha < clear) clear = alpha;
    if (alpha > solid) solid = alpha;
  }
  if (bright - dark < FAINT && FAINT <= solid - clear) {
    for (let i = 0; i < levels.length; i += 1) levels[i] = 255 - rgba[4 * i + 3];
    return { width, height, levels };
  }
  const pixels = clear < 255 ? rgba.map((level, i) => (i % 4 < 3 ? overWhite(level, rgba[i | 3]) : 255)) : rgba;
  const found = findPrint(width, height, pixels);
  return { width, height, levels: found ? hide(pixels, found) : levels };
}

/** @param {number} level @param {number} alpha */
function overWhite(level, alpha) {
  return Math.floor((level * alpha + 255 * (255 - alpha) + 127) / 255);
}

/**
 * Turns bright ink on a dark ground over: paper is the tone of the border.
 *
 * A printed frame or a shadow makes a border dark, too. So a ring further inside, or 30 % of all pixels, must be dark
 * as well.
 *
 * @param {Grey} grey
 * @returns {Grey}
 */
export function inkDark(grey) {
  const { width, height, levels } = grey;
  const size = levels.length;
  const specks = Math.min(Math.floor(size / 1000), 4 + Math.floor(size / 10000)); // stray pixels that set no range
  const counts = countLevels(levels);
  const levelOf = (/** @type {number} */ rank) => {
    let [level, sum] = [0, counts[0]];
    while (sum < rank) {
      level += 1;
      sum += counts[level];
    }
    return level;
  };
  const [darkest, brightest] = [levelOf(specks + 1), levelOf(size - specks)];
  if (darkest >= brightest) return grey; // one tone: blank, whichever it is
  const place = (/** @type {number} */ tone) => (tone - darkest) / (brightest - darkest);
  if (place(medianOfRing(grey, 0)) >= DARK_BORDER) return grey;
  const inside = medianOfRing(grey, roundHalfEven(FRAME * Math.min(width, height)));
  if (Math.min(place(inside), place(levelOf(0.3 * size))) >= DARK_INSIDE) return grey;
  return { width, height, levels: levels.map((level) => 255 - level) };
}

/** The median of the ring of pixels `depth` inside. @param {Grey} grey @param {number} depth */
function medianOfRing({ width, height, levels }, depth) {
  const inset = Math.min(depth, (height - 1) >> 1, (width - 1) >> 1);
  const [top, bottom, left, right] = [inset, height - 1 - inset, inset, width - 1 - inset];
  const ring = [];
  for (let x = left; x <= right; x += 1) ring.push(levels[top * width + x], levels[bottom * width + x]);
  for (let y = top; y <= bottom; y += 1) ring.push(levels[y * width + left], levels[y * width + right]);
  return median(ring);
}

/** @param {number[]} values @returns {number} */
function median(values) {
  const sorted = Uint8Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
