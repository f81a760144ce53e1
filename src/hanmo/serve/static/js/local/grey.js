/** Colours -> a grey picture with dark ink, as hanmo.image does it with Pillow's whole numbers. */

import { countLevels } from "./normalize.js";

/** Grey levels within which a composite counts as one tone, and its transparency is looked at instead. */
const FAINT = 12;

/** @typedef {import("./strokes.js").Grey} Grey */

/**
 * Transparency is laid over white, or is itself the ink when that shows nothing (white on nothing).
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
    // ITU-R 601-2 luma in 16 bits
    const tone = (rgba[p] * 19595 + rgba[p + 1] * 38470 + rgba[p + 2] * 7471 + 0x8000) >> 16;
    const level = Math.floor((tone * alpha + 255 * (255 - alpha) + 127) / 255);
    levels[i] = level;
    if (level < dark) dark = level;
    if (level > bright) bright = level;
    if (alpha < clear) clear = alpha;
    if (alpha > solid) solid = alpha;
  }
  if (bright - dark < FAINT && FAINT <= solid - clear) {
    for (let i = 0; i < levels.length; i += 1) levels[i] = 255 - rgba[4 * i + 3];
  }
  return { width, height, levels };
}

/**
 * Turns bright ink on a dark ground over: paper is the tone of the border.
 *
 * @param {Grey} grey
 * @returns {Grey}
 */
export function inkDark({ width, height, levels }) {
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
  const border = [...levels.subarray(0, width), ...levels.subarray(size - width)];
  for (let y = 0; y < height; y += 1) border.push(levels[y * width], levels[(y + 1) * width - 1]);
  const dark = 2 * median(border) < levelOf(specks + 1) + levelOf(size - specks);
  return { width, height, levels: dark ? levels.map((level) => 255 - level) : levels };
}

/** @param {number[]} values @returns {number} */
function median(values) {
  const sorted = Uint8Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
