/**
 * A sheet against the text that should be on it, as src/hanmo/sheets/against.py compares them: with as few differences as
 * possible, so that one character left out does not make all after it differ.
 *
 * @typedef {{character: ?string, alike: string}} Written what a cell shows; null: it was not read
 * @typedef {{kind: "other" | "missing" | "extra" | "unread", cell: number, expected: string}} Difference
 *   `cell` is the index in what was written; for a missing character that of the one before its place, -1 before the first
 */

import { AGAINST } from "../constants.js";

const OTHER = 4; // less than two gaps: an exchanged character is no gap and an extra
const UNREAD = 2; // a cell that was not read may well show the character

/** The characters of a text that count, so without white space. @param {string} text @returns {string[]} */
export function charactersOf(text) {
  return [...text.replace(/\s+/gu, "")];
}

/**
 * @param {Written[]} written the cells that are not empty, in reading order @param {string[]} expected
 * @returns {Difference[]} in reading order
 */
export function compare(written, expected) {
  const costs = costsOf(written, expected);
  /** @type {Difference[]} */
  const differences = [];
  let i = written.length;
  let j = expected.length;
  while (i || j) {
    if (i && j && costs[i][j] === costs[i - 1][j - 1] + costOf(written[i - 1], expected[j - 1])) {
      i--;
      j--;
      if (!shows(written[i], expected[j])) differences.push({ kind: kindOf(written[i], "other"), cell: i, expected: expected[j] });
    } else if (i && costs[i][j] === costs[i - 1][j] + AGAINST.GAP) {
      i--;
      differences.push({ kind: kindOf(written[i], "extra"), cell: i, expected: "" });
    } else {
      j--;
      differences.push({ kind: "missing", cell: i - 1, expected: expected[j] });
    }
  }
  return differences.reverse();
}

/**
 * The least cost of aligning the first i cells with the first j characters, for all i and j.
 * @param {Written[]} written @param {string[]} expected
 */
function costsOf(written, expected) {
  let row = Uint32Array.from({ length: expected.length + 1 }, (_, j) => AGAINST.GAP * j);
  const costs = [row];
  for (const cell of written) {
    const above = row;
    row = new Uint32Array(expected.length + 1);
    row[0] = above[0] + AGAINST.GAP;
    for (let j = 0; j < expected.length; j++) {
      const exchanged = above[j] + costOf(cell, expected[j]);
      row[j + 1] = Math.min(exchanged, above[j + 1] + AGAINST.GAP, row[j] + AGAINST.GAP);
    }
    costs.push(row);
  }
  return costs;
}

/** @param {Written} cell @param {string} character */
function costOf(cell, character) {
  if (shows(cell, character)) return 0;
  return cell.character === null ? UNREAD : OTHER;
}

/** Whether a cell shows the character, or one that looks the same. @param {Written} cell @param {string} character */
function shows({ character: seen, alike }, character) {
  return seen !== null && (seen === character || alike.includes(character));
}

/** @param {Written} cell @param {"other" | "extra"} kind of a cell that was read @returns {Difference["kind"]} */
function kindOf(cell, kind) {
  return cell.character === null ? "unread" : kind;
}
