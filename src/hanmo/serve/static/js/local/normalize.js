/**
 * A grey picture of one character -> the square the net sees: hanmo.normalize with the method `fit`, number by number,
 * in single precision where it is single precision there.
 */

import { Problem, blank } from "./problem.js";

const VERSION = 1;
const MIN_CONTRAST = 12;
const VISIBLE = Math.fround(0.3);
const DUST = 0.01;
const DUST_GAP = 0.05;
const single = Math.fround;

/**
 * @typedef {import("./strokes.js").Grey} Grey
 * @typedef {{method: string, side: number, margin: number, version: number}} Normalization as in bundle.json
 * @typedef {[number, number]} Range from, to (exclusive)
 */

/**
 * Refuses settings that this page cannot follow, rather than read wrongly.
 *
 * @param {Normalization} settings
 * @throws {Problem}
 */
export function checkSettings({ method, version }) {
  if (method !== "fit" || version !== VERSION) {
    throw new Problem("unusable_bundle", `squares of ${method}, version ${version}, cannot be made here; only fit, 1`);
  }
}

/**
 * @param {Grey} grey
 * @param {Normalization} settings
 * @returns {Uint8Array} side * side levels, 0 = paper, 255 = ink
 * @throws {Problem} for a blank picture
 */
export function normalize(grey, { side, margin }) {
  const ink = inkOfLevel(countLevels(grey.levels));
  const [top, bottom, left, right] = cropToInk(grey, ink);
  const [height, width] = [bottom - top, right - left];
  const room = side - 2 * margin;
  const cell = Math.max(height, width) / room;
  const rows = weights(height, cell, room);
  const columns = weights(width, cell, room);
  const square = new Uint8Array(side * side);
  const line = new Float32Array(width);
  rows.forEach((row, y) => {
    line.fill(0);
    row.shares.forEach((share, i) => {
      const start = (top + row.first + i) * grey.width + left;
      for (let x = 0; x < width; x += 1) line[x] += share * ink[grey.levels[start + x]];
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

/** @param {Uint8Array} levels @returns {Float64Array} how many pixels have each of the 256 levels */
export function countLevels(levels) {
  const counts = new Float64Array(256);
  for (let i = 0; i < levels.length; i += 1) counts[levels[i]] += 1;
  return counts;
}

/**
 * Ink, 0 to 1, of each grey level: Otsu's threshold parts paper from ink, the paper's median is 0, the dark decile of
 * the ink 1.
 *
 * @param {Float64Array} counts
 * @returns {Float32Array}
 */
function inkOfLevel(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0 || Math.max(...counts) === total) throw blank("the picture is blank: it holds one grey level only");
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
 * The smallest box that holds all visible ink, but for dust outside the character.
 *
 * @param {Grey} grey @param {Float32Array} ink of each level
 * @returns {[number, number, number, number]} top, bottom, left, right; bottom and right are exclusive
 */
function cropToInk({ width, height, levels }, ink) {
  const [rowMass, columnMass] = [new Float64Array(height), new Float64Array(width)];
  const [rowSeen, columnSeen] = [new Uint8Array(height), new Uint8Array(width)];
  for (let y = 0, i = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, i += 1) {
      const here = ink[levels[i]];
      rowMass[y] += here;
      columnMass[x] += here;
      if (here >= VISIBLE) rowSeen[y] = columnSeen[x] = 1;
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
 * @returns {Range}
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
