/**
 * Port of src/hanmo/ink.py: a grey picture becomes the ink of the one character on it, cut to its box. Pillow's BOX
 * filter, with which Python makes pictures smaller, is repeated here.
 */

import { INK } from "../constants.js";
import { isCutClose, ownCells } from "./neighbours.js";
import { SIDE, VISIBLE, greatest, inkOf, roundHalfEven } from "./paper.js";
import { blank } from "./problem.js";
import { withoutPrint, withoutRules, withoutSpecks } from "./strays.js";

const { DUST, DUST_GAP, CLOSER, LOOKS, AROUND, LONG, GAP } = INK;
const ONE = 2 ** 22; // Pillow's weights of a picture of bytes are whole numbers of this part

/**
 * @typedef {import("./strokes.js").Grey} Grey
 * @typedef {"several characters" | "touching the edge"} Remark
 * @typedef {[number, number, number, number]} Box top, bottom, left, right; bottom and right are exclusive
 */

/**
 * @param {Grey} grey ink dark
 * @param {boolean} keepFaint as for inkOf
 * @param {number} looks
 * @returns {{ink: Grey, remark: Remark | null}} ink 0 = paper, 255 = ink, cut to the character
 * @throws {import("./problem.js").Problem} where there is none, print aside, or noise hides it
 */
export function findInk(grey, keepFaint, looks = LOOKS) {
  const small = reduced(grey);
  const { levels, touches } = ownInk(inkOf(small, keepFaint));
  if (!levels.some((level) => level >= VISIBLE)) {
    throw blank("the picture is blank but for printed lines or specks; is the character on it?");
  }
  const box = cropBox(levels, small.width, small.height, VISIBLE);
  const [top, bottom, left, right] = box;
  const size = Math.max(bottom - top, right - left);
  const longest = Math.max(small.height, small.width);
  if (small !== grey && looks > 1 && size < CLOSER * longest) {
    const [scale, around] = [Math.max(grey.height, grey.width) / longest, AROUND * size + 2];
    const from = (/** @type {number} */ line) => Math.max(Math.trunc((line - around) * scale), 0);
    const to = (/** @type {number} */ line, /** @type {number} */ end) =>
      Math.min(Math.trunc((line + around) * scale), end);
    const closer = cut(grey, [from(top), to(bottom, grey.height), from(left), to(right, grey.width)]);
    return findInk(closer, keepFaint, looks - 1);
  }
  const ink = cut({ ...small, levels }, box);
  return { ink, remark: several(ink) ? "several characters" : touches ? "touching the edge" : null };
}

/**
 * The ink of the character alone, and whether it touches the picture's rim.
 *
 * @param {{ink: Grey, noiseless: boolean}} found
 * @returns {{levels: Uint8Array, touches: boolean}}
 */
function ownInk({ ink, noiseless }) {
  const unprinted = withoutRules(withoutPrint(ink));
  if (noiseless && isCutClose(unprinted) && unprinted.levels.every((level, i) => level === ink.levels[i])) {
    return { levels: ink.levels, touches: true }; // as a program cuts characters out: nothing on it is stray
  }
  const cleaned = withoutSpecks(unprinted);
  const { own, cell, touches } = ownCells(cleaned);
  const near = greatest(own, 1); // soft edges of strokes lie in the cells next to the inked ones
  const levels = cleaned.levels.map((level, i) => {
    const [x, y] = [i % ink.width, Math.floor(i / ink.width)];
    return near.levels[Math.floor(y / cell) * near.width + Math.floor(x / cell)] ? level : 0;
  });
  return { levels, touches };
}

/** @param {Grey} grey @param {Box} box @returns {Grey} */
function cut({ width, levels }, [top, bottom, left, right]) {
  const part = new Uint8Array((bottom - top) * (right - left));
  for (let y = top; y < bottom; y += 1) {
    part.set(levels.subarray(y * width + left, y * width + right), (y - top) * (right - left));
  }
  return { width: right - left, height: bottom - top, levels: part };
}

/**
 * The picture averaged down to SIDE pixels on its longer side; itself if it is no larger.
 *
 * @param {Grey} grey
 * @returns {Grey}
 */
export function reduced(grey) {
  const { width, height } = grey;
  const longest = Math.max(height, width);
  if (longest <= SIDE) return grey;
  const [down, across] = [height, width].map((length) => Math.max(1, roundHalfEven((length * SIDE) / longest)));
  const narrow = new Uint8Array(across * height);
  boxWeights(width, across).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y += 1) narrow[y * across + x] = weighed(grey.levels, y * width + first, 1, weights);
  });
  const levels = new Uint8Array(across * down);
  boxWeights(height, down).forEach(({ first, weights }, y) => {
    for (let x = 0; x < across; x += 1) levels[y * across + x] = weighed(narrow, first * across + x, across, weights);
  });
  return { width: across, height: down, levels };
}

/** @param {Uint8Array} levels @param {number} start @param {number} step @param {Float64Array} weights */
function weighed(levels, start, step, weights) {
  let sum = ONE / 2;
  for (let i = 0; i < weights.length; i += 1) sum += levels[start + i * step] * weights[i];
  return Math.min(Math.floor(sum / ONE), 255);
}

/**
 * Which pixels of an axis each pixel of the shorter one averages, and their weights, as Pillow's BOX filter has them.
 *
 * @param {number} length @param {number} shorter
 */
function boxWeights(length, shorter) {
  const scale = length / shorter;
  const support = 0.5 * scale;
  return Array.from({ length: shorter }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const last = Math.min(Math.trunc(centre + support + 0.5), length);
    const inside = Float64Array.from({ length: last - first }, (_unused, p) => {
      const apart = (p + first - centre + 0.5) * (1 / scale);
      return Number(apart > -0.5 && apart <= 0.5);
    });
    const total = inside.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: inside.map((weight) => Math.trunc(0.5 + (weight * (1 / total)) * ONE)) };
  });
}

/**
 * The smallest box that holds all ink of at least `least`, but for dust outside the character.
 *
 * @param {Uint8Array | Float32Array} ink @param {number} width @param {number} height @param {number} least
 * @returns {Box}
 */
export function cropBox(ink, width, height, least) {
  const [rowMass, columnMass] = [new Float64Array(height), new Float64Array(width)];
  const [rowSeen, columnSeen] = [new Uint8Array(height), new Uint8Array(width)];
  for (let y = 0, i = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, i += 1) {
      rowMass[y] += ink[i];
      columnMass[x] += ink[i];
      if (ink[i] >= least) rowSeen[y] = columnSeen[x] = 1;
    }
  }
  const rows = [...rowSeen.keys()].filter((y) => rowSeen[y]);
  const columns = [...columnSeen.keys()].filter((x) => columnSeen[x]);
  const span = (/** @type {number[]} */ seen) => seen[seen.length - 1] - seen[0];
  const gap = DUST_GAP * Math.max(span(rows), span(columns));
  return [...withoutDust(rows, rowMass, gap), ...withoutDust(columns, columnMass, gap)];
}

/**
 * From the first to the last of the `seen` lines, less outer groups of hardly any ink beyond a `gap`.
 *
 * @param {number[]} seen @param {Float64Array} mass @param {number} gap
 * @returns {[number, number]} from, to (exclusive)
 */
function withoutDust(seen, mass, gap) {
  let [start, stop] = [seen[0], seen[seen.length - 1] + 1];
  const total = mass.reduce((sum, ink) => sum + ink, 0);
  let [before, line] = [0, 0];
  let trailing = false;
  for (let i = 0; i + 1 < seen.length; i += 1) {
    while (line <= seen[i]) before += mass[line++];
    if (seen[i + 1] - seen[i] <= gap + 1) continue;
    if (before / total < DUST) start = seen[i + 1];
    if (before / total > 1 - DUST && !trailing) {
      stop = seen[i] + 1;
      trailing = true;
    }
  }
  return [start, stop];
}

/** Whether a box is long, and parted across its middle half by blank paper. @param {Grey} ink */
function several({ width, height, levels }) {
  if (Math.max(height, width) < LONG * Math.min(height, width)) return false;
  const length = Math.max(height, width);
  const lines = new Uint8Array(length);
  levels.forEach((level, i) => {
    if (level >= VISIBLE) lines[width > height ? i % width : Math.floor(i / width)] = 1;
  });
  const seen = [...lines.keys()].filter((line) => lines[line]);
  const quarter = Math.floor(length / 4);
  return seen.some((end, i) => {
    const next = seen[i + 1]; // undefined after the last one, which no comparison holds for
    return end > quarter && next < length - quarter && next - end - 1 > GAP * length;
  });
}
