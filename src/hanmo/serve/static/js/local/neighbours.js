/**
 * Port of src/hanmo/neighbours.py: parts of other characters and of frames, which reach into a picture from its rim, are
 * removed. Masks are bytes, 1 = set, one row after the other.
 */

import { BITBOARD, NEIGHBOURS } from "../constants.js";
import { RIM, VISIBLE, greatest } from "./paper.js";

const { STEPS } = BITBOARD;
const { SHALLOW, SLIGHT, REACHED, DEEP, APART, CLEAR, KEPT, KEPT_CENTRED, LONG, SHORT, OFF, SOLID } = NEIGHBOURS;

/**
 * @typedef {import("./strokes.js").Grey} Grey
 * @typedef {Grey} Mask levels 0 and 1
 * @typedef {{width: number, height: number, side: number, depth: Uint8Array, ends: Uint8Array[]}} Board
 *   `depth` is how many cells lie between a cell and the nearest edge; `ends`, how many to each edge
 */

/** How many are set. @param {Uint8Array} mask */
const count = (mask) => mask.reduce((sum, set) => sum + set, 0);

/** @param {Uint8Array} cells @param {(i: number) => boolean | number} holds @returns {Uint8Array} those it holds for */
const those = (cells, holds) => cells.map((set, i) => Number(set && holds(i)));

/** @param {Board} board @param {number} share in per cent of the side */
const part = ({ side }, share) => Math.floor((side * share) / 100);

/**
 * The cells of the character itself; pixels a cell; and whether it touches the picture's rim.
 *
 * @param {Grey} ink
 * @returns {{own: Mask, cell: number, touches: boolean}}
 */
export function ownCells(ink) {
  const cell = cellOf(ink.width, ink.height);
  const { width, height, levels } = byCells(ink, VISIBLE, cell);
  const board = boardOf(width, height);
  const { depth } = board;

  let inked = levels;
  let reaching = flood(board, those(inked, (i) => depth[i] < 1), inked);
  const further = flood(board, those(reaching, (i) => depth[i] >= 1 + part(board, SHALLOW)), inked);
  const shallow = those(reaching, (i) => !further[i]);
  const near = 1 + part(board, CLEAR);
  const reached = board.ends.filter((end) => inked.some((set, i) => set && !shallow[i] && end[i] < near)).length;
  if (reached <= REACHED && count(shallow) * 100 <= SLIGHT * count(inked)) {
    inked = those(inked, (i) => !shallow[i]);
    reaching = those(reaching, (i) => !shallow[i]);
  }
  if (!isCutClose(ink)) inked = withoutParts(board, inked, reaching, byCells(ink, SOLID, cell).levels);
  return { own: { width, height, levels: inked }, cell, touches: inked.some((set, i) => set && depth[i] < 1) };
}

/** Pixels a cell. @param {number} width @param {number} height */
const cellOf = (width, height) => (Math.max(width, height) <= 60 ? 1 : 2);

/** Whether there is ink along all four sides. @param {Grey} ink */
export function isCutClose(ink) {
  const { width, height } = ink;
  const cell = cellOf(width, height);
  return (
    hasInk(ink, 0, cell, 0, width) &&
    hasInk(ink, height - cell, height, 0, width) &&
    hasInk(ink, 0, height, 0, cell) &&
    hasInk(ink, 0, height, width - cell, width)
  );
}

/**
 * Whether any pixel between these rows and columns has ink; the ends are exclusive, and may lie outside of the picture.
 *
 * @param {Grey} ink @param {number} top @param {number} bottom @param {number} left @param {number} right
 */
function hasInk({ width, height, levels }, top, bottom, left, right) {
  for (let y = Math.max(top, 0); y < Math.min(bottom, height); y += 1) {
    const row = levels.subarray(y * width + Math.max(left, 0), y * width + Math.min(right, width));
    if (row.some((level) => level >= RIM)) return true;
  }
  return false;
}

/**
 * `inked` less parts of other characters; those that only soft edges join to it are found in `solid` ink.
 *
 * @param {Board} board @param {Uint8Array} inked @param {Uint8Array} reaching @param {Uint8Array} solid
 */
function withoutParts(board, inked, reaching, solid) {
  const parts = partsOf(board, inked, reaching, KEPT_CENTRED);
  if (count(parts)) return those(inked, (i) => !parts[i]);
  const firm = those(solid, (i) => inked[i]);
  const rim = flood(board, those(firm, (i) => board.depth[i] < 1), firm);
  const hard = partsOf(board, firm, rim, KEPT);
  const own = greatest({ ...board, levels: those(firm, (i) => !hard[i]) }, 1).levels;
  const gone = flood(board, hard, those(inked, (i) => !own[i])); // edges of strokes of both stay
  return those(inked, (i) => !gone[i]);
}

/**
 * What reaches a little way in from the rim, around a character that lies free; nothing where none does.
 *
 * @param {Board} board @param {Uint8Array} inked @param {Uint8Array} reaching @param {number} kept
 */
function partsOf(board, inked, reaching, kept) {
  const { depth } = board;
  const deep = flood(board, those(reaching, (i) => depth[i] >= part(board, DEEP)), inked);
  let parts = those(reaching, (i) => !deep[i]);
  // What lies close to the character may be a dot of it.
  const around = greatest({ ...board, levels: those(inked, (i) => !parts[i]) }, part(board, APART)).levels;
  const close = flood(board, those(parts, (i) => around[i]), parts);
  parts = those(parts, (i) => !close[i]);
  const rest = those(inked, (i) => !parts[i]);
  const left = count(rest);
  const isFree = left > 0 && rest.every((set, i) => !set || depth[i] >= 1 + part(board, CLEAR));
  const least = isFree && isCentred(board, rest) ? kept : KEPT;
  return isFree && left * 100 >= least * count(inked) ? parts : parts.fill(0);
}

/** Whether cells are as large as a character, and in the middle. @param {Board} board @param {Uint8Array} cells */
function isCentred({ width, height, side, ends }, cells) {
  const free = ends.map((end) => Math.min(...end.filter((_, i) => cells[i])));
  const [upper, lower, left, right] = free;
  const extents = [height - upper - lower, width - left - right];
  const off = Math.max(Math.abs(upper - lower), Math.abs(left - right));
  const isLarge = Math.max(...extents) * 100 >= LONG * side && Math.min(...extents) * 100 >= SHORT * side;
  return isLarge && off * 50 <= OFF * side;
}

/** @param {number} width @param {number} height @returns {Board} */
function boardOf(width, height) {
  const ends = [0, 1, 2, 3].map(() => new Uint8Array(width * height));
  for (let i = 0; i < width * height; i += 1) {
    const [x, y] = [i % width, Math.floor(i / width)];
    [y, height - 1 - y, x, width - 1 - x].forEach((away, side) => (ends[side][i] = away));
  }
  const depth = ends[0].map((_, i) => Math.min(...ends.map((end) => end[i])));
  return { width, height, side: Math.max(width, height), depth, ends };
}

/**
 * Whether any pixel of each cell of `size` pixels a side has at least so much ink.
 *
 * @param {Grey} ink @param {number} least @param {number} size
 * @returns {Mask}
 */
function byCells(ink, least, size) {
  const [width, height] = [Math.ceil(ink.width / size), Math.ceil(ink.height / size)];
  const levels = new Uint8Array(width * height);
  ink.levels.forEach((level, i) => {
    const [x, y] = [i % ink.width, Math.floor(i / ink.width)];
    if (level >= least) levels[Math.floor(y / size) * width + Math.floor(x / size)] = 1;
  });
  return { width, height, levels };
}

/**
 * Everything of `inside` that touches `seed`, corners too, up to STEPS cells away.
 *
 * @param {{width: number, height: number}} board @param {Uint8Array} seed @param {Uint8Array} inside
 * @returns {Uint8Array}
 */
function flood({ width, height }, seed, inside) {
  const found = seed.map((set, i) => set & inside[i]);
  let front = [...found.keys()].filter((i) => found[i]);
  for (let step = 0; step < STEPS && front.length; step += 1) {
    const next = [];
    for (const i of front) {
      const [x, y] = [i % width, Math.floor(i / width)];
      for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row += 1) {
        for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, width - 1); column += 1) {
          const place = row * width + column;
          if (found[place] || !inside[place]) continue;
          found[place] = 1;
          next.push(place);
        }
      }
    }
    front = next;
  }
  return found;
}
