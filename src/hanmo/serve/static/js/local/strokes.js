/** Port of src/hanmo/strokes.py: pen strokes become a grey picture. */

import { STROKES } from "../constants.js";
import { roundHalfEven } from "./paper.js";
import { Sheet, drawDisc, drawLine } from "./pen.js";
import { tooLarge, unusable } from "./problem.js";

const { MAX_STROKES, MAX_POINTS, SIDE, WIDTH, LIGHTEST, HEAVIEST, SUPERSAMPLING } = STROKES;

/**
 * @typedef {{width: number, height: number, levels: Uint8Array}} Grey a picture row by row, 255 = paper, ink dark
 * @typedef {number[][][]} Strokes strokes of points [x, y] or [x, y, pressure], y growing downwards, pressure 0 to 1
 */

/**
 * Strokes drawn antialiased with a round pen, their box's longer side scaled to 96 pixels.
 *
 * @param {Strokes} strokes
 * @returns {Grey}
 * @throws {import("./problem.js").Problem} for what are no strokes, or too many
 */
export function draw(strokes) {
  check(strokes);
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (const point of strokes.flat()) {
    for (const axis of [0, 1]) {
      low[axis] = Math.min(low[axis], point[axis]);
      high[axis] = Math.max(high[axis], point[axis]);
    }
  }
  const extent = [high[0] - low[0], high[1] - low[1]];
  if (!extent.every(Number.isFinite)) {
    throw unusable("the strokes span more than a number can hold; scale them down");
  }
  const unit = Math.max(...extent) || 1; // a single dot has no extent
  const [width, height] = extent.map((span) => roundHalfEven((span / unit) * SIDE) + 3 * WIDTH);
  const sheet = new Sheet(width * SUPERSAMPLING, height * SUPERSAMPLING);
  for (const stroke of strokes) {
    const path = stroke.map((point) =>
      // Divided before it is multiplied: the smallest spans would overflow a factor.
      [0, 1].map((axis) => (((point[axis] - low[axis]) / unit) * SIDE + 1.5 * WIDTH) * SUPERSAMPLING),
    );
    trace(sheet, path, radii(stroke));
  }
  return shrink(sheet);
}

/** The pen's radius at each point, in pixels of the sheet. @param {number[][]} stroke @returns {number[]} */
function radii(stroke) {
  const usual = (WIDTH * SUPERSAMPLING) / 2;
  if (stroke[0].length === 2) return stroke.map(() => usual);
  return stroke.map((point) => usual * (LIGHTEST + (HEAVIEST - LIGHTEST) * point[2]));
}

/** @param {Sheet} sheet @param {number[][]} path @param {number[]} radius */
function trace(sheet, path, radius) {
  for (let i = 1; i < path.length; i += 1) {
    drawLine(sheet, path[i - 1], path[i], roundHalfEven(radius[i - 1] + radius[i]));
  }
  path.forEach((place, i) => drawDisc(sheet, place, radius[i]));
}

/** The mean of each 4 x 4 pixels, ink dark. @param {Sheet} sheet @returns {Grey} */
function shrink(sheet) {
  const [width, height] = [sheet.width / SUPERSAMPLING, sheet.height / SUPERSAMPLING];
  const ink = new Uint8Array(width * height);
  for (let y = 0, i = 0; y < sheet.height; y += 1) {
    const line = Math.floor(y / SUPERSAMPLING) * width;
    for (let x = 0; x < sheet.width; x += 1, i += 1) ink[line + Math.floor(x / SUPERSAMPLING)] += sheet.pixels[i];
  }
  const cells = SUPERSAMPLING ** 2;
  const levels = ink.map((count) => Math.floor((255 * (cells - count) + cells / 2) / cells));
  return { width, height, levels };
}

/** @param {Strokes} strokes */
function check(strokes) {
  if (!Array.isArray(strokes) || !strokes.every((stroke) => Array.isArray(stroke))) {
    throw unusable("not strokes; give a sequence of strokes, each a sequence of points (x, y)");
  }
  if (strokes.length > MAX_STROKES) {
    throw tooLarge(`${strokes.length} strokes, at most ${MAX_STROKES} are taken; give one character`);
  }
  const total = strokes.reduce((sum, stroke) => sum + stroke.length, 0);
  if (total > MAX_POINTS) throw tooLarge(`${total} points, at most ${MAX_POINTS} are taken; thin them out`);
  if (!strokes.length) throw unusable("no strokes; write something");
  strokes.forEach((stroke, number) => {
    const size = stroke.length && Array.isArray(stroke[0]) ? stroke[0].length : 0;
    if (!stroke.every((point) => Array.isArray(point) && point.length === size)) {
      throw unusable("not strokes; give a sequence of strokes, each a sequence of points (x, y)");
    }
    if (size !== 2 && size !== 3) {
      const shape = stroke.length ? `(${stroke.length}, ${size})` : "(0,)";
      throw unusable(`stroke ${number} has shape ${shape}; a stroke is points (x, y), at least one`);
    }
    if (!stroke.flat().every(Number.isFinite)) {
      throw unusable(`stroke ${number} holds NaN or infinity; every coordinate must be a finite number`);
    }
    if (size === 3 && !stroke.every((point) => point[2] >= 0 && point[2] <= 1)) {
      throw unusable(`stroke ${number} has a pressure outside 0 to 1; give points (x, y, pressure)`);
    }
  });
}
