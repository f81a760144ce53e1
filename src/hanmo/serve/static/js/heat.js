/** The square the net sees, coloured by what speaks for a character (orange) and against it (blue). */

import { contextOf } from "./dom.js";

/**
 * Orange and blue stay apart for every kind of colour blindness, and both stand out from light paper and dark. The sign
 * is told by the colour, the amount by how much of it there is: no effect leaves ink and paper as they are.
 */
const COLOURS = { for: [222, 98, 0], against: [20, 110, 210] };
const STRONGEST = 0.85;
const WIDE = 320; // pixels; the square has 48, so the browser may well enlarge these

/** @param {string} base64 @returns {Uint8Array} */
export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

/**
 * Bilinear value of a grid of numbers, cells' middles at (i + 0.5) / n.
 * @param {(i: number, j: number) => number} at @param {number} n cells a side @param {number} x @param {number} y 0 to 1
 */
function sample(at, n, x, y) {
  const place = (/** @type {number} */ v) => Math.min(n - 1, Math.max(0, v * n - 0.5));
  const [px, py] = [place(x), place(y)];
  const [i, j] = [Math.min(n - 2, Math.floor(px)), Math.min(n - 2, Math.floor(py))];
  const [u, v] = [px - i, py - j];
  return (
    (1 - u) * (1 - v) * at(i, j) + u * (1 - v) * at(i + 1, j) + (1 - u) * v * at(i, j + 1) + u * v * at(i + 1, j + 1)
  );
}

/** A colour as the browser has computed it, "rgb(r, g, b)". @param {string} css @returns {number[]} */
const rgb = (css) => (css.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);

/** @param {number[][]} heat @returns {number} the largest effect either way, above 0 */
export function reach(heat) {
  return Math.max(1e-6, ...heat.flat().map(Math.abs));
}

/**
 * @param {HTMLCanvasElement} canvas its CSS color and background are ink and paper
 * @param {{side: number, square: string, size: number, heat: number[][]}} why
 */
export function drawHeat(canvas, { side, square, size, heat }) {
  const wide = (canvas.width = canvas.height = WIDE);
  const context = contextOf(canvas);
  const style = getComputedStyle(canvas);
  const [ink, paper] = [rgb(style.color), rgb(style.backgroundColor)];
  const seen = bytesOf(square);
  const most = reach(heat);
  const inkAt = (/** @type {number} */ i, /** @type {number} */ j) => seen[j * side + i];
  const heatAt = (/** @type {number} */ i, /** @type {number} */ j) => heat[j][i];
  const picture = context.createImageData(wide, wide);
  for (let y = 0, place = 0; y < wide; y++) {
    for (let x = 0; x < wide; x++) {
      const [u, v] = [(x + 0.5) / wide, (y + 0.5) / wide];
      const covered = sample(inkAt, side, u, v) / 255;
      const effect = sample(heatAt, size, u, v) / most;
      const colour = effect > 0 ? COLOURS.for : COLOURS.against;
      const share = STRONGEST * Math.abs(effect) ** 0.75;
      for (let channel = 0; channel < 3; channel++) {
        const below = paper[channel] + (ink[channel] - paper[channel]) * covered;
        picture.data[place++] = below + (colour[channel] - below) * share;
      }
      picture.data[place++] = 255;
    }
  }
  context.putImageData(picture, 0, 0);
}

/**
 * Which ninth of the square speaks most for the character.
 * @param {number[][]} heat @returns {?string} "00" to "22", row first; null where none does
 */
export function strongestPlace(heat) {
  const sums = new Map();
  heat.forEach((row, j) =>
    row.forEach((value, i) => {
      const key = [j, i].map((at) => Math.min(2, Math.floor((at * 3) / heat.length))).join("");
      sums.set(key, (sums.get(key) ?? 0) + Math.max(0, value));
    }),
  );
  const [key, sum] = [...sums].sort((a, b) => b[1] - a[1])[0];
  return sum > 0 ? key : null;
}
