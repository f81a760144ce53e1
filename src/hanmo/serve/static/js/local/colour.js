/**
 * Port of src/hanmo/colour.py: a colour picture becomes grey, and coloured print is left out where its colour differs
 * from the ink's. Every grey level is the same as in Python.
 */

import { COLOUR } from "../constants.js";

const { SAMPLES, RARE, FEWEST, COLOURED, GREY, INK, DARK_PAPER, PALE_BLUE, BLUE } = COLOUR;

/** @typedef {Uint8Array | Uint8ClampedArray} Bytes */
/** @typedef {{ paper: number[], rests: [number, number][] }} Print paper's colour; channels and what to add in 1/64 */

/**
 * ITU-R 601-2 luma in 16 bits, as Pillow has it.
 *
 * @param {number} red @param {number} green @param {number} blue
 */
export function luma(red, green, blue) {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

/**
 * The coloured print beside ink of another kind, or null where luma serves best.
 *
 * @param {number} width @param {number} height
 * @param {Bytes} rgba width * height * 4 levels; the fourth of each pixel is not looked at
 * @returns {Print | null}
 */
export function findPrint(width, height, rgba) {
  const sample = sampleOf(width, height, rgba);
  if (isGrey(sample)) return null;
  const paper = sample.map((channel) => channel.slice().sort()[channel.length >> 1]);
  if (Math.min(...paper) < DARK_PAPER) return null;
  const levels = sample.map((channel, k) => Int32Array.from(channel, (level) => whitened(level, paper[k])));
  const enough = COLOURED + ((Math.max(...paper) - Math.min(...paper)) >> 1); // a JPEG mixes up the paper's own tint
  const fewest = Math.max(FEWEST, Math.floor(levels[0].length / RARE));
  /** @type {[number, number][]} */
  const rests = [];
  for (let channel = 0; channel < 3; channel += 1) {
    const { coloured, ink, tone, dark, total, missing } = countsOf(levels, channel, enough);
    if (coloured < fewest || ink < 2 * fewest) continue;
    const [printed, inked] = [Math.floor(tone / coloured), Math.floor(dark / ink)];
    const pen = channel === BLUE && (printed < PALE_BLUE || 3 * ink < coloured);
    if (inked >= printed || pen) continue;
    rests.push([channel, Math.floor((64 * missing + Math.floor(total / 2)) / total)]);
  }
  return rests.length ? { paper, rests } : null;
}

/**
 * The print brought to the paper's brightness, the ink left dark.
 *
 * @param {Bytes} rgba @param {Print} found
 * @returns {Uint8Array} a grey level for each pixel
 */
export function hide(rgba, { paper, rests }) {
  const bright = luma(paper[0], paper[1], paper[2]);
  const tables = paper.map((tone) => Int32Array.from({ length: 256 }, (_, level) => whitened(level, tone)));
  const grey = new Uint8Array(rgba.length / 4);
  for (let i = 0, p = 0; i < grey.length; i += 1, p += 4) {
    let best = 0;
    const pixel = [tables[0][rgba[p]], tables[1][rgba[p + 1]], tables[2][rgba[p + 2]]];
    for (const [channel, rest] of rests) {
      const stands = Math.max(standsOut(pixel, channel), 0);
      best = Math.max(best, pixel[channel] + ((rest * stands) >> 6));
    }
    grey[i] = Math.floor((Math.min(best, 255) * bright + 127) / 255);
  }
  return grey;
}

/**
 * Every so many pixels in reading order, in a step that meets every column.
 *
 * @param {number} width @param {number} height @param {Bytes} rgba
 * @returns {Uint8Array[]} red, green, blue
 */
function sampleOf(width, height, rgba) {
  let step = Math.max(1, Math.floor((width * height) / SAMPLES));
  while (divisor(step, width) !== 1) step += 1;
  const length = Math.ceil((width * height) / step);
  return [0, 1, 2].map((k) => Uint8Array.from({ length }, (_, i) => rgba[4 * i * step + k]));
}

/** @param {number} a @param {number} b @returns {number} the greatest common one */
function divisor(a, b) {
  return b ? divisor(b, a % b) : a;
}

/** @param {Uint8Array[]} sample */
function isGrey([red, green, blue]) {
  return red.every((r, i) => Math.max(r, green[i], blue[i]) - Math.min(r, green[i], blue[i]) < GREY);
}

/** @param {number} level @param {number} paper */
function whitened(level, paper) {
  return Math.floor((level * 255 + (paper >> 1)) / paper);
}

/** @param {number[]} pixel @param {number} channel */
function standsOut(pixel, channel) {
  return pixel[channel] - Math.max(pixel[(channel + 1) % 3], pixel[(channel + 2) % 3]);
}

/**
 * How many pixels are print of a channel and how many are ink, and the sums of their levels.
 *
 * @param {Int32Array[]} levels @param {number} channel @param {number} enough
 */
function countsOf(levels, channel, enough) {
  const sums = { coloured: 0, ink: 0, tone: 0, dark: 0, total: 0, missing: 0 };
  for (let i = 0; i < levels[0].length; i += 1) {
    const pixel = [levels[0][i], levels[1][i], levels[2][i]];
    const stands = standsOut(pixel, channel);
    const below = 255 - pixel[channel];
    if (stands >= enough && stands >= below) {
      sums.coloured += 1;
      sums.tone += luma(pixel[0], pixel[1], pixel[2]);
      sums.total += stands;
      sums.missing += Math.max(below, 0);
    } else if (pixel[channel] <= INK && stands < COLOURED) {
      sums.ink += 1;
      sums.dark += luma(pixel[0], pixel[1], pixel[2]);
    }
  }
  return sums;
}
