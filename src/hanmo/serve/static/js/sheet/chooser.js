/** The cell that was picked on a sheet: its picture, its candidates, and a field for another character. */

import { choice } from "../card.js";
import { part } from "../dom.js";
import { fillOther, nameOther } from "../other.js";
import { t, tellReason } from "../text.js";
import { labelOf, placeOf } from "./photo.js";

/** @typedef {import("./page.js").Cell} Cell */

export class Chooser {
  #root;
  #on;
  #form;
  /** @type {?Cell} */
  #cell = null;

  /**
   * @param {HTMLElement} root
   * @param {{choose: (cell: Cell, chosen: string | undefined) => void, open: (cell: Cell) => void}} on
   *   `chosen` is "" for an empty cell, undefined for what the reader said
   */
  constructor(root, on) {
    this.#root = root;
    this.#on = on;
    this.#form = part(root, ".typed", HTMLFormElement);
    fillOther(this.#form, (character) => this.#choose(character));
    part(root, ".sheet-empty").addEventListener("click", () => this.#choose(""));
    part(root, ".sheet-back").addEventListener("click", () => this.#choose(undefined));
    part(root, ".sheet-cut").addEventListener("click", () => this.#cell && on.open(this.#cell));
    document.addEventListener("hanmo-language", () => nameOther(this.#form));
  }

  get cell() {
    return this.#cell;
  }

  /** Choose the candidate of this rank, from 0. @param {number} rank */
  pick(rank) {
    const candidate = this.#cell?.candidates[rank];
    if (candidate) this.#choose(candidate.character);
  }

  /** @param {?Cell} cell @param {?HTMLCanvasElement} picture @param {string} [note] how it differs from a text */
  show(cell, picture, note = "") {
    const other = cell !== this.#cell;
    this.#cell = cell;
    part(this.#root, ".sheet-hint").hidden = Boolean(cell);
    part(this.#root, ".sheet-one").hidden = !cell;
    if (!cell) return;
    if (picture) part(this.#root, ".sheet-cut").replaceChildren(picture);
    const name = t("card_open", { name: placeOf(cell) });
    Object.assign(part(this.#root, ".sheet-cut"), { ariaLabel: name, title: name });
    part(this.#root, ".sheet-place").textContent = labelOf(cell);
    part(this.#root, ".sheet-note").textContent = [cell.reason && !cell.corrected ? tellReason(cell.reason) : "", note].filter(Boolean).join(" ");
    part(this.#root, ".sheet-back").hidden = cell.chosen === undefined;
    part(this.#root, ".sheet-empty").hidden = cell.chosen === "" || (cell.empty && cell.chosen === undefined);
    if (other) this.#list(cell);
    for (const button of this.#root.querySelectorAll(".sheet-candidates button")) {
      button.setAttribute("aria-pressed", String(part(button, ".glyph").textContent === cell.chosen));
    }
  }

  /** @param {Cell} cell */
  #list(cell) {
    const items = cell.candidates.map((candidate) => {
      const item = document.createElement("li");
      item.append(choice(candidate, (character) => this.#choose(character), "other"));
      return item;
    });
    part(this.#root, ".sheet-candidates").replaceChildren(...items);
    part(this.#form, "input", HTMLInputElement).value = "";
  }

  /** @param {string | undefined} chosen */
  #choose(chosen) {
    if (this.#cell) this.#on.choose(this.#cell, chosen);
  }
}
