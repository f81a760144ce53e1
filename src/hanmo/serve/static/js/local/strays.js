/**
 * Port of src/hanmo/strays.py and src/hanmo/rules.py: what lies on a picture beside the character is removed, lighter print,
 * rules and specks.
 * Masks are bytes, 1 = set, one row after the other.
 */

import { RULES, STRAYS } from "../constants.js";
import { RIM, VISIBLE, greatest } from "./paper.js";

const { STRONG, NEAR, PRINT, PALE, LARGEST_SPECK } = STRAYS;
const { STRIPS, SLOPES, COVERED, WHOLE, THICK, MARGIN, AROUND } = RULES;

/**
 * @typedef {import("./strokes.js").Grey} Grey
 * @typedef {Grey} Mask levels 0 and 1
 */

/** @param {Grey} ink @returns {Mask} where it is visible */
const visible = (ink) => ({ ...ink, levels: ink.levels.map((level) => Number(level >= VISIBLE)) });

/** How many are set. @param {Uint8Array} mask */
const count = (mask) => mask.reduce((sum, set) => sum + set, 0);

/**
 * Print lighter than the pen removed: of much weak ink away from strong ink, the 90th percentile is the new paper.
 *
 * @param {Grey} ink
 * @returns {Grey}
 */
export function withoutPrint(ink) {
  const strong = { ...ink, levels: ink.levels.map((level) => Number(level >= STRONG)) };
  const near = greatest(strong, NEAR).levels;
  const weak = ink.levels.filter((level, i) => level >= VISIBLE >> 1 && !near[i]);
  if (weak.length * 100 < PRINT * count(strong.levels)) return ink;
  // The first level up to which 90 % of the weak ink lies.
  const rank = Math.ceil((90 * weak.length) / 100);
  const level = rank ? weak.sort()[rank - 1] : 0;
  if (level > PALE) return ink;
  const levels = ink.levels.map((here) => Math.max(Math.floor((255 * (here - level)) / (255 - level)), 0));
  return { ...ink, levels };
}

/**
 * Where straight, thin, nearly horizontal rules run from one side of the picture to the other.
 *
 * @param {Mask} mask
 * @returns {Uint8Array}
 */
function rulesIn({ width, height, levels }) {
  const rows = height + 2 * MARGIN;
  const edges = Array.from({ length: STRIPS + 1 }, (_, strip) => Math.floor((width * strip) / STRIPS));
  const inked = new Int32Array(rows * STRIPS); // pixels a row and strip
  for (let y = 0; y < height; y += 1) {
    for (let strip = 0; strip < STRIPS; strip += 1) {
      const [start, stop] = [y * width + edges[strip], y * width + edges[strip + 1]];
      inked[(y + MARGIN) * STRIPS + strip] = count(levels.subarray(start, stop));
    }
  }
  const { band, covered, thin } = alongRows(inked, rows, edges, Math.max(height, width));
  const found = new Uint8Array(rows * STRIPS);
  for (const slope of SLOPES) {
    const shifts = slopeShifts(slope);
    for (let y = MARGIN; y < MARGIN + height; y += 1) {
      const along = shifts.map((shift, strip) => (y + shift) * STRIPS + strip);
      const sum = (/** @type {Int32Array | Uint8Array} */ table) => along.reduce((all, place) => all + table[place], 0);
      if (sum(covered) < STRIPS - 1 || sum(thin) < STRIPS / 2 + 1 || sum(band) * 100 < WHOLE * width) continue;
      for (const place of along) found[place] = 1;
    }
  }
  const inside = found.subarray(MARGIN * STRIPS, (MARGIN + height) * STRIPS);
  const rule = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    for (let strip = 0; strip < STRIPS; strip += 1) {
      const near = [y - 1, y, y + 1].some((row) => row >= 0 && row < height && inside[row * STRIPS + strip]);
      if (near) rule.fill(1, y * width + edges[strip], y * width + edges[strip + 1]);
    }
  }
  return rule;
}

/**
 * Of each row and strip: the most ink in it and the rows beside it, whether that covers the strip, and whether little
 * enough ink lies within four rows.
 *
 * @param {Int32Array} inked @param {number} rows @param {number[]} edges of the strips @param {number} longer
 */
function alongRows(inked, rows, edges, longer) {
  const band = new Int32Array(inked.length);
  const [covered, thin] = [new Uint8Array(inked.length), new Uint8Array(inked.length)];
  for (let y = 0, i = 0; y < rows; y += 1) {
    for (let strip = 0; strip < STRIPS; strip += 1, i += 1) {
      const width = edges[strip + 1] - edges[strip];
      const at = (/** @type {number} */ row) => (row >= 0 && row < rows ? inked[row * STRIPS + strip] : 0);
      let around = 0;
      if (y >= AROUND && y < rows - AROUND) {
        for (let row = y - AROUND; row <= y + AROUND; row += 1) around += at(row);
      }
      band[i] = Math.max(at(y - 1), at(y), at(y + 1));
      covered[i] = Number(band[i] * 100 >= COVERED * width);
      thin[i] = Number(around * 1000 <= THICK * longer * width);
    }
  }
  return { band, covered, thin };
}

/**
 * By how many rows a line that falls by `slope` over the picture lies lower in each strip than in the middle.
 *
 * @param {number} slope
 */
function slopeShifts(slope) {
  const shift = (/** @type {number} */ strip) =>
    Math.floor((slope * (2 * strip - STRIPS + 1) + STRIPS - 1) / (2 * STRIPS - 2));
  return Array.from({ length: STRIPS }, (_, strip) => shift(strip));
}

/**
 * Rules erased but for where strokes cross them, unless what is left reaches the two other sides, as it does where a
 * picture is cut close to the character and the rule is its longest stroke.
 *
 * @param {Grey} ink
 * @returns {Grey}
 */
export function withoutRules(ink) {
  const { width, height, levels } = ink;
  const mask = visible(ink);
  const lying = erasedRules(mask);
  const upright = turned({ ...turned(mask), levels: erasedRules(turned(mask)) }).levels;
  const rest = levels.map((level, i) => Number(level >= RIM && !lying[i] && !upright[i]));
  const some = (/** @type {(i: number) => boolean} */ place) => rest.some((set, i) => set && place(i));
  if (some((i) => i < width) && some((i) => i >= width * (height - 1))) lying.fill(0);
  if (some((i) => i % width === 0) && some((i) => i % width === width - 1)) upright.fill(0);
  return { ...ink, levels: levels.map((level, i) => (lying[i] || upright[i] ? 0 : level)) };
}

/** Rows and columns swapped. @param {Mask} mask @returns {Mask} */
function turned({ width, height, levels }) {
  const swapped = levels.map((_, i) => levels[(i % height) * width + Math.floor(i / height)]);
  return { width: height, height: width, levels: swapped };
}

/** What is erased of rules that run from left to right. @param {Mask} mask @returns {Uint8Array} */
function erasedRules(mask) {
  const { width, height, levels } = mask;
  const rule = rulesIn(mask);
  return rule.map((set, i) => {
    if (!set) return 0;
    // A stroke that crosses comes out on a side: what is near it there stays.
    const [x, y] = [i % width, Math.floor(i / width)];
    for (let row = Math.max(y - 3, 0); row <= Math.min(y + 3, height - 1); row += 1) {
      for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, width - 1); column += 1) {
        if (levels[row * width + column] && !rule[row * width + column]) return 0;
      }
    }
    return 1;
  });
}

/**
 * Specks removed: squares of up to three pixels with ink inside and paper all around, as dots of dotted lines.
 *
 * @param {Grey} ink
 * @returns {Grey}
 */
export function withoutSpecks(ink) {
  const { width, height } = ink;
  const { levels: mask } = visible(ink);
  const levels = ink.levels.slice();
  const inked = (/** @type {number} */ top, /** @type {number} */ left, /** @type {number} */ size) => {
    let sum = 0;
    for (let y = Math.max(top, 0); y < Math.min(top + size, height); y += 1) {
      for (let x = Math.max(left, 0); x < Math.min(left + size, width); x += 1) sum += mask[y * width + x];
    }
    return sum;
  };
  const largest = Math.min(Math.floor(Math.max(height, width) / LARGEST_SPECK), 3);
  for (let size = 1; size <= largest; size += 1) {
    for (let i = 0; i < mask.length; i += 1) {
      const [top, left] = [Math.floor(i / width) - (size >> 1), (i % width) - (size >> 1)];
      const inside = inked(top, left, size);
      if (inside === 0 || inked(top - 1, left - 1, size + 2) !== inside) continue;
      for (let y = Math.max(top, 0); y < Math.min(top + size, height); y += 1) {
        levels.fill(0, y * width + Math.max(left, 0), y * width + Math.min(left + size, width));
      }
    }
  }
  return { ...ink, levels };
}
