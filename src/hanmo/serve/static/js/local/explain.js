/** Port of src/hanmo/occlusion.py: why a square is read as a character, found by occlusion, window by window. */

import { OCCLUSION } from "../constants.js";
import { logSoftmax } from "./net.js";
import { roundHalfEven } from "./paper.js";

const { SIZE, FULL, GONE, VISIBLE } = OCCLUSION;
const BATCH = 8; // squares a run: between runs others get their turn

/**
 * @param {import("./net.js").Net} net
 * @param {Uint8Array} square
 * @param {string | null} character the best candidate when it is null
 * @param {() => Promise<void>} pause is awaited between runs of the net
 * @returns {Promise<{character: string, probability: number, heat: number[][]}>} heat: how much the natural logarithm
 *   of the probability falls when the ink there is taken away, row by row
 */
export async function explain(net, square, character, pause) {
  const { temperature, normalization } = net.settings;
  const { side } = normalization;
  const known = character === null ? null : net.classOf(character);
  const whole = logSoftmax((await net.logits([square]))[0], temperature);
  const wanted = known ?? whole.indexOf(whole.reduce((most, value) => Math.max(most, value)));
  const effects = new Float64Array(SIZE * SIZE);
  const windows = withoutInk(square, side);
  for (let start = 0; start < windows.length; start += BATCH) {
    await pause();
    const part = windows.slice(start, start + BATCH);
    const answers = await net.logits(part.map((window) => window.square));
    answers.forEach((logits, i) => {
      effects[part[i].place] = whole[wanted] - logSoftmax(logits, temperature)[wanted];
    });
  }
  const heat = maskToInk(spread(effects), square, side);
  return { character: character ?? net.members.characters[wanted], probability: Math.exp(whole[wanted]), heat };
}

/**
 * The square with the ink under one window taken away, for each window that has visible ink.
 *
 * @param {Uint8Array} square @param {number} side
 * @returns {{place: number, square: Uint8Array}[]}
 */
function withoutInk(square, side) {
  const across = middles(SIZE).map((centre) => middles(side).map((place) => taken(centre - place)));
  const windows = [];
  for (let place = 0; place < SIZE * SIZE; place += 1) {
    const [rows, columns] = [across[Math.floor(place / SIZE)], across[place % SIZE]];
    let most = 0;
    const rest = square.map((ink, i) => {
      const gone = rows[Math.floor(i / side)] * columns[i % side] * ink;
      most = Math.max(most, gone);
      return roundHalfEven(ink - gone);
    });
    if (most >= VISIBLE) windows.push({ place, square: rest });
  }
  return windows;
}

/** The mean effect of the windows over each place, weighted by what share of its ink each takes. */
function spread(/** @type {Float64Array} */ effects) {
  const weights = middles(SIZE).map((centre) => {
    const row = middles(SIZE).map((place) => taken(centre - place));
    const sum = row.reduce((total, share) => total + share, 0);
    return row.map((share) => share / sum);
  });
  return weights.map((rows) =>
    weights.map((columns) =>
      rows.reduce(
        (sum, share, y) => sum + share * columns.reduce((line, part, x) => line + part * effects[y * SIZE + x], 0),
        0,
      ),
    ),
  );
}

/** 0 where there is no visible ink. @param {number[][]} heat @param {Uint8Array} square @param {number} side */
function maskToInk(heat, square, side) {
  const start = (/** @type {number} */ i) => Math.floor((i * side) / SIZE);
  const strongest = (/** @type {number} */ row, /** @type {number} */ column) => {
    let most = 0;
    for (let y = start(row); y < start(row + 1); y += 1) {
      for (let x = start(column); x < start(column + 1); x += 1) most = Math.max(most, square[y * side + x]);
    }
    return most;
  };
  return heat.map((line, row) => line.map((value, column) => (strongest(row, column) >= VISIBLE ? value : 0)));
}

/** The share of ink taken at a distance from a window's middle, in sides. @param {number} distance */
function taken(distance) {
  const way = Math.min(Math.max((Math.abs(distance) - FULL) / (GONE - FULL), 0), 1);
  return (1 + Math.cos(Math.PI * way)) / 2;
}

/** The middles of `count` equal parts of the unit length. @param {number} count */
const middles = (count) => Array.from({ length: count }, (_, i) => (i + 0.5) / count);
