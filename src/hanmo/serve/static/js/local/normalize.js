/**
 * Port of src/hanmo/normalize.py, method `fit` only: a grey picture of one character becomes the square that the net
 * sees. Where Python computes in single precision, so does this file.
 */

import { NORMALIZE } from "../constants.js";
import { cropBox, findInk } from "./ink.js";
import { MIN_CONTRAST, countLevels } from "./paper.js";
import { Problem, blank } from "./problem.js";

const { VERSIONS } = NORMALIZE;
const VISIBLE = Math.fround(0.3); // the default of crop_to_ink in Python: ink from which a pixel counts
const single = Math.fround;

/**
 * @typedef {import("./strokes.js").Grey} Grey
 * @typedef {{method: string, side: number, margin: number, version: number}} Normalization as in bundle.json
 * @typedef {{square: Uint8Array, remark: import("./ink.js").Remark | null}} Inspected
 * @typedef {{width: number, height: number, ink: Float32Array}} Ink 0 = paper, 1 = ink, cut to the character
 */

/**
 * Refuses settings that this page cannot follow, rather than read wrongly.
 *
 * @param {Normalization} settings
 * @throws {Problem}
 */
export function checkSettings({ method, version }) {
  if (method !== "fit" || !VERSIONS.includes(version)) {
    const known = `only fit, versions ${VERSIONS[0]} to ${VERSIONS[VERSIONS.length - 1]}`;
    throw new Problem("unusable_bundle", `squares of ${method}, version ${version}, cannot be made here; ${known}`);
  }
}

/**
 * @param {Grey} grey
 * @param {Normalization} settings
 * @returns {Uint8Array} side * side levels, 0 = paper, 255 = ink
 * @throws {Problem} for a blank picture
 */
export const normalize = (grey, settings) => inspect(grey, settings).square;

/**
 * The square, and what may be wrong with the picture.
 *
 * @param {Grey} grey
 * @param {Normalization} settings
 * @returns {Inspected}
 * @throws {Problem} for a picture that is blank or shows no clear ink
 */
export function inspect(grey, settings) {
  if (settings.version === 1) return { square: resampled(stretched(grey), settings), remark: null };
  refuseOneLevel(countLevels(grey.levels));
  const { ink, remark } = findInk(grey, settings.version > 2);
  const found = { ...ink, ink: Float32Array.from(ink.levels, (level) => level / 255) };
  return { square: resampled(found, settings), remark };
}

/** Version 1: all that is darker than the paper's median is ink. @param {Grey} grey @returns {Ink} */
function stretched({ width, height, levels }) {
  const inkOf = inkOfLevel(countLevels(levels));
  const ink = Float32Array.from(levels, (level) => inkOf[level]);
  const [top, bottom, left, right] = cropBox(ink, width, height, VISIBLE);
  const lines = Array.from({ length: bottom - top }, (_, y) => (top + y) * width);
  const cut = new Float32Array((bottom - top) * (right - left));
  lines.forEach((line, y) => cut.set(ink.subarray(line + left, line + right), y * (right - left)));
  return { width: right - left, height: bottom - top, ink: cut };
}

/** @param {Ink} ink @param {Normalization} settings @returns {Uint8Array} */
function resampled({ width, height, ink }, { side, margin }) {
  const room = side - 2 * margin;
  const cell = Math.max(height, width) / room;
  const rows = weights(height, cell, room);
  const columns = weights(width, cell, room);
  const square = new Uint8Array(side * side);
  const line = new Float32Array(width);
  rows.forEach((row, y) => {
    line.fill(0);
    row.shares.forEach((share, i) => {
      const start = (row.first + i) * width;
      for (let x = 0; x < width; x += 1) line[x] += share * ink[start + x];
    });
    columns.forEach((column, x) => {
      let sum = 0;
      column.shares.forEach((share, i) => {
        sum = single(sum + share * line[column.first + i]);
      });
      square[(y + margin) * side + x + margin] = single(single(sum * 255) + 0.5);
    });
  });
  return square;
}

/** How many pixels there are; blank pictures are refused. @param {Float64Array} counts of each level */
function refuseOneLevel(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (Math.max(...counts) === total) throw blank("the picture is blank: it holds one grey level only");
  return total;
}

/**
 * Ink, 0 to 1, of each grey level: Otsu's threshold parts paper from ink, the paper's median is 0, the dark decile of
 * the ink 1.
 *
 * @param {Float64Array} counts
 * @returns {Float32Array}
 */
function inkOfLevel(counts) {
  const total = refuseOneLevel(counts);
  const threshold = otsu(counts, total);
  const paper = quantile(counts, threshold + 1, 256, 0.5);
  const ink = quantile(counts, 0, threshold + 1, 0.1);
  if (paper - ink < MIN_CONTRAST) {
    throw blank(
      `the picture is blank: paper and ink differ by ${paper - ink} grey levels of 255, ${MIN_CONTRAST} needed`,
    );
  }
  return Float32Array.from({ length: 256 }, (_, level) => Math.min(Math.max((paper - level) / (paper - ink), 0), 1));
}

/** The last level of the dark class that parts both classes best. @param {Float64Array} counts @param {number} total */
function otsu(counts, total) {
  const whole = counts.reduce((sum, count, level) => sum + count * level, 0);
  const between = new Float64Array(255);
  let [below, mass] = [0, 0];
  for (let level = 0; level < 255; level += 1) {
    below += counts[level];
    mass += counts[level] * level;
    const above = total - below;
    const apart = mass / Math.max(below, 1) - (whole - mass) / Math.max(above, 1);
    between[level] = below * above * (apart * apart);
  }
  const enough = Math.max(...between) * (1 - 1e-9);
  // A plateau spans the empty levels between two peaks; its middle leaves room for both.
  const best = [...between.keys()].filter((level) => between[level] >= enough);
  return best[Math.floor(best.length / 2)];
}

/**
 * The grey level below which `share` of the pixels with levels in [start, stop) lie.
 *
 * @param {Float64Array} counts @param {number} start @param {number} stop @param {number} share
 */
function quantile(counts, start, stop, share) {
  const part = counts.subarray(start, stop);
  const wanted = share * part.reduce((sum, count) => sum + count, 0);
  let [level, sum] = [0, part[0]];
  while (sum < wanted) {
    level += 1;
    sum += part[level];
  }
  return start + level;
}

/**
 * For each of `room` cells, which pixels of an axis it averages, and their shares. The picture's middle is the cells'.
 * A cell narrower than a pixel is widened to one, which makes growing linear interpolation.
 *
 * @param {number} length of the axis, pixels @param {number} cell pixels a cell @param {number} room
 * @returns {{first: number, shares: Float32Array}[]}
 */
function weights(length, cell, room) {
  const edge = (/** @type {number} */ i) => length / 2 + (i - room / 2) * cell;
  const clip = (/** @type {number} */ v) => Math.min(Math.max(v, 0), 1);
  return Array.from({ length: room }, (_, i) => {
    const middle = (edge(i + 1) + edge(i)) / 2;
    const half = Math.max(edge(i + 1) - edge(i), 1) / 2;
    const first = Math.min(Math.max(Math.floor(middle - half), 0), length);
    const last = Math.min(Math.max(Math.ceil(middle + half), first), length);
    const shares = Float32Array.from(
      { length: last - first },
      (_unused, p) => (clip(middle + half - (first + p)) - clip(middle - half - (first + p))) / (2 * half),
    );
    return { first, shares };
  });
}
