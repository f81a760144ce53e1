/**
 * A sheet as the server read it, with the choices made for its cells: its text, its differences from another text, and the
 * files that it is saved as.
 *
 * @typedef {{grid: number, row: number, column: number, quadrilateral: [number, number][], empty: boolean,
 *   corrected: boolean, character: ?string, probability: number, in_context: ?string, refused: boolean, reason: ?string,
 *   candidates: import("../http.js").Candidate[], chosen?: string}} Cell
 *   as POST /v1/sheets tells; `chosen` is the character chosen on the page, "" where nothing is written
 * @typedef {"rows" | "columns" | "columns-right-to-left"} Direction
 * @typedef {{width: number, height: number, rotation: number, upside_down: boolean, direction: Direction,
 *   grids: {rows: number, columns: number, ruled: boolean}[], cells: Cell[], text: string, text_in_context: ?string,
 *   model: string}} Answer
 * @typedef {import("./against.js").Difference} Difference
 * @typedef {"empty" | "unread" | "unsure" | "sure" | "chosen"} State
 */

import { AGAINST, OVERLAY, SHEET } from "../constants.js";
import { csv } from "../save.js";
import { charactersOf, compare } from "./against.js";

const CORNERS = ["x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4"];

export class Page {
  /** @param {Answer} answer @param {?Page} [before] the same sheet read another way: its choices stay */
  constructor(answer, before = null) {
    this.answer = answer;
    this.cells = answer.cells;
    // Places differ from one direction to another; corners do not.
    /** @type {Cell[]} */
    const earlier = before?.cells ?? [];
    const chosen = new Map(earlier.map((cell) => [String(cell.quadrilateral), cell.chosen]));
    for (const cell of this.cells) cell.chosen = chosen.get(String(cell.quadrilateral));
  }

  get text() {
    const { direction } = this.answer;
    /** @type {string[]} */
    const lines = [];
    /** @type {?Cell} */
    let last = null;
    for (const cell of this.cells) {
      const line = direction === "rows" ? "row" : "column";
      if (last && cell.grid !== last.grid) lines.push("");
      if (!last || cell.grid !== last.grid || cell[line] !== last[line]) lines.push("");
      lines[lines.length - 1] += textOf(cell);
      last = cell;
    }
    const blanks = new RegExp(`${SHEET.BLANK}+$`);
    return lines.map((line) => line.replace(blanks, "")).join("\n").replace(/^\n+|\n+$/g, "");
  }

  /** @param {string} text @returns {?(Difference & {at: ?Cell})[]} null where there is nothing to compare with */
  differences(text) {
    const expected = charactersOf(text).slice(0, AGAINST.MAX_CHARACTERS);
    if (!expected.length) return null;
    const written = this.cells.filter((cell) => !isEmpty(cell));
    const shown = written.map((cell) => {
      const character = characterOf(cell);
      const best = cell.candidates[0];
      return { character, alike: best?.character === character ? best.alike : "" };
    });
    return compare(shown, expected).map((difference) => ({ ...difference, at: written[difference.cell] ?? null }));
  }

  /** @returns {string} a row for each cell, with the columns of `hanmo read --csv` and what was read and chosen */
  toCsv() {
    const head = ["grid", "row", "column", "character", "probability", "empty", "corrected", "reason", "candidates"];
    const rows = this.cells.map((cell) => [
      cell.grid, cell.row, cell.column, characterOf(cell), probabilityOf(cell) ?? undefined, Number(isEmpty(cell)),
      Number(cell.corrected), cell.reason, cell.candidates.map(({ character }) => character).join(""),
      ...cell.quadrilateral.flat(), cell.character, cell.in_context, cell.chosen,
    ]);
    return csv([[...head, ...CORNERS, "read", "in_context", "chosen"], ...rows]);
  }

  /**
   * @param {string} name of the picture @param {string} version of hanmo @param {string} against a text, or ""
   * @returns {string} the server's answer with each cell's `chosen`, and the text with these choices
   */
  toJson(name, version, against) {
    const differences = this.differences(against)?.map(({ kind, expected, at }) => ({
      kind, expected, ...(at && { grid: at.grid, row: at.row, column: at.column }),
    }));
    const saved = { file: name, version, ...this.answer, text_with_choices: this.text, differences };
    return `${JSON.stringify(saved, null, 1)}\n`;
  }
}

/** What a cell shows: the choice on the page, that in context, or the reader's own. @param {Cell} cell @returns {?string} */
export function characterOf(cell) {
  return cell.chosen === undefined ? cell.in_context ?? cell.character : cell.chosen || null;
}

/** @param {Cell} cell */
export function isEmpty(cell) {
  return cell.chosen === undefined ? cell.empty : cell.chosen === "";
}

/** The reader's probability of what a cell shows, null where it has none. @param {Cell} cell @returns {?number} */
export function probabilityOf(cell) {
  const character = characterOf(cell);
  return cell.candidates.find((candidate) => candidate.character === character)?.probability ?? null;
}

/** @param {Cell} cell @returns {State} */
export function stateOf(cell) {
  if (cell.chosen !== undefined) return "chosen";
  if (cell.empty) return "empty";
  if (characterOf(cell) === null) return "unread";
  return (probabilityOf(cell) ?? 0) < OVERLAY.SURE ? "unsure" : "sure";
}

/** @param {Cell} cell */
function textOf(cell) {
  return isEmpty(cell) ? SHEET.BLANK : characterOf(cell) ?? SHEET.UNREAD;
}
