/** A sheet: read by the server, shown with its cells, corrected, compared with a text, and saved. */

import { AGAINST } from "../constants.js";
import { part } from "../dom.js";
import { copy } from "../line.js";
import { preparedSheet } from "../prepare.js";
import { save } from "../save.js";
import { keepInTab, keptInTab, reveal } from "../settings.js";
import { t, tellError } from "../text.js";
import { calm, say } from "../voice.js";
import { Chooser } from "./chooser.js";
import { charactersOf } from "./against.js";
import { Page, characterOf, isEmpty, stateOf } from "./page.js";
import { Photo, placeOf } from "./photo.js";

/**
 * @typedef {import("./page.js").Cell} Cell
 * @typedef {import("./page.js").Difference & {at: ?Cell}} Difference
 * @typedef {{file: Blob, name: string}} Picture
 */

const PAUSE = 2000; // ms before a busy server is asked again at least
const REST = 250; // ms after the last key before texts are compared
const AGAIN = ["unreachable", "timeout", "body_timeout", "busy", "internal_error"]; // codes after which the same may succeed

export class Sheet {
  #root;
  #reader;
  #model;
  #on;
  #photo;
  #chooser;
  /** @type {?Picture} */
  #picture = null;
  /** @type {?Page} */
  #page = null;
  /** @type {?{code: string, message: string}} */
  #error = null;
  /** @type {AbortController | null} */
  #asking = null;
  #rest = 0;
  #given = 1;

  /**
   * @param {HTMLElement} root @param {import("../http.js").Reader} reader
   * @param {Partial<import("../http.js").Model>} model as reader.describe() tells
   * @param {{open: (file: Blob, name: string) => void, choose: (character: string, picture: Picture) => void}} on
   */
  constructor(root, reader, model, on) {
    this.#root = root;
    this.#reader = reader;
    this.#model = model;
    this.#on = on;
    this.#photo = new Photo(this.#part("photo"), { pick: (cell, asked) => this.#select(cell, asked), digit: (rank) => this.#chooser.pick(rank) });
    this.#chooser = new Chooser(this.#part("chooser"), {
      choose: (cell, chosen) => this.#choose(cell, chosen),
      open: async (cell) => on.open(await fileOf(this.#photo.cut(cell)), placeOf(cell)),
    });
    this.#joinButtons();
    this.#joinQuestions();
    document.addEventListener("hanmo-language", () => this.#render());
  }

  /** @param {Picture} picture @param {number} [given] how many there were: the others are left out, and told of */
  async open(picture, given = 1) {
    this.#asking?.abort();
    this.#picture = picture;
    this.#given = given;
    this.#page = this.#error = null;
    this.#root.hidden = false;
    this.#select(null);
    reveal(this.#root);
    const file = await preparedSheet(picture.file, this.#model.limits?.body_bytes);
    if (this.#picture !== picture) return; // another one was given meanwhile
    this.#picture = { file, name: picture.name };
    const opened = this.#picture;
    await this.#photo.open(file);
    if (this.#picture === opened) await this.#read();
  }

  get #against() {
    return part(this.#root, ".sheet-against", HTMLTextAreaElement).value;
  }

  /** Ask the server; a newer question ends the older. @returns {Promise<void>} */
  async #read() {
    const picture = this.#picture;
    this.#asking?.abort();
    if (!picture || !this.#reader.readSheet) return;
    const mine = (this.#asking = new AbortController());
    const { signal } = mine;
    this.#error = null;
    this.#render();
    try {
      const direction = /** @type {import("./page.js").Direction} */ (part(this.#root, ".sheet-direction", HTMLSelectElement).value);
      const context = part(this.#root, ".sheet-context", HTMLInputElement).checked;
      const answer = await this.#reader.readSheet(picture, { direction, context, signal });
      if (signal.aborted) return;
      this.#page = new Page(answer, this.#page);
      this.#photo.show(answer);
      calm();
    } catch (error) {
      if (signal.aborted) return;
      this.#error = { code: error.code ?? "unknown", message: error.message };
    } finally {
      if (this.#asking === mine) this.#asking = null;
    }
    this.#select(null);
    say(this.#told());
    if (this.#error?.code !== "busy") return;
    await new Promise((done) => setTimeout(done, PAUSE));
    if (this.#picture === picture && this.#error && !this.#asking) await this.#read();
  }

  /** @param {?Cell} cell @param {boolean} [show] whether its candidates are scrolled into view */
  #select(cell, show = false) {
    this.#chooser.show(cell, cell && this.#photo.cut(cell));
    this.#render();
    if (show) reveal(this.#part("chooser"));
  }

  /** @param {Cell} cell @param {string | undefined} chosen */
  async #choose(cell, chosen) {
    cell.chosen = chosen;
    this.#render();
    say(placeOf(cell), { zh: isEmpty(cell) ? t("sheet_empty") : characterOf(cell) ?? t("sheet_unread") });
    if (chosen) this.#on.choose(chosen, { file: await fileOf(this.#photo.cut(cell)), name: placeOf(cell) });
  }

  #joinButtons() {
    const click = (/** @type {string} */ name, /** @type {(page: Page) => void} */ act) =>
      this.#part(name).addEventListener("click", () => this.#page && act(this.#page));
    click("copy", async (page) => {
      const done = await copy(page.text);
      this.#part("copied").textContent = t(done ? "sheet_copied" : "sheet_not_copied");
      say(this.#part("copied").textContent ?? "");
    });
    click("text-save", (page) => save(`${page.text}\n`, "text/plain", "hanmo-sheet.txt"));
    click("csv", (page) => save(page.toCsv(), "text/csv", "hanmo-sheet.csv"));
    click("json", (page) => {
      const text = page.toJson(this.#picture?.name ?? "", this.#model.version ?? "", this.#against);
      save(text, "application/json", "hanmo-sheet.json");
    });
    this.#part("again").addEventListener("click", () => this.#read());
    this.#part("remove").addEventListener("click", () => this.#remove());
  }

  #joinQuestions() {
    for (const name of ["direction", "context"]) this.#part(name).addEventListener("change", () => this.#read());
    const against = part(this.#root, ".sheet-against", HTMLTextAreaElement);
    against.value = keptInTab("hanmo-against") ?? "";
    against.addEventListener("input", () => {
      keepInTab("hanmo-against", against.value || null);
      clearTimeout(this.#rest);
      this.#rest = setTimeout(() => this.#render(), REST);
    });
    const zoom = part(this.#root, ".sheet-zoom", HTMLInputElement);
    zoom.addEventListener("input", () => this.#photo.enlarge(zoom.value));
  }

  #remove() {
    this.#asking?.abort();
    this.#asking = this.#picture = this.#page = this.#error = null;
    this.#photo.close();
    this.#chooser.show(null, null);
    this.#root.hidden = true;
    part(document, "#choose").focus();
  }

  #told() {
    if (this.#error) {
      const key = `sheet_error_${this.#error.code}`;
      return ["busy", "timeout", "unreachable"].includes(this.#error.code) ? t(key) : tellError(this.#error);
    }
    if (!this.#page) return t("sheet_reading");
    const { cells, answer } = this.#page;
    const grids = answer.grids.map(({ rows, columns }) => `${rows} × ${columns}`).join(", ");
    const empty = cells.filter(isEmpty).length;
    const unread = cells.filter((cell) => stateOf(cell) === "unread").length;
    const counts = { grids, empty, unread, read: cells.length - empty - unread };
    const turned = answer.rotation ? ` ${t("sheet_turned", { degrees: answer.rotation })}` : "";
    const first = this.#given > 1 ? ` ${t("sheet_first", { all: this.#given })}` : "";
    return t("sheet_told", counts) + turned + first;
  }

  #render() {
    if (this.#root.hidden) return;
    const page = this.#page;
    const differences = page?.differences(this.#against) ?? null;
    const marked = (differences ?? []).flatMap(({ kind, at }) => (at && (kind === "other" || kind === "extra") ? [at] : []));
    const { cell } = this.#chooser;
    this.#part("told").textContent = this.#told();
    this.#part("told").classList.toggle("problem", Boolean(this.#error));
    this.#root.setAttribute("aria-busy", String(Boolean(this.#asking)));
    this.#part("bar").hidden = !this.#asking;
    this.#part("again").hidden = !AGAIN.includes(this.#error?.code ?? "");
    for (const name of ["actions", "side", "legend"]) this.#part(name).hidden = !page;
    this.#part("copied").textContent = "";
    if (!page) return;
    this.#photo.render(cell, new Set(marked));
    this.#chooser.show(cell, null, differences?.filter(({ at, kind }) => at === cell && kind !== "missing").map(tell)[0]);
    this.#part("text").textContent = page.text;
    this.#renderDifferences(differences);
  }

  /** @param {?Difference[]} differences */
  #renderDifferences(differences) {
    const list = this.#part("differences");
    const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
    const long = charactersOf(this.#against).length > AGAINST.MAX_CHARACTERS;
    this.#part("differ-told").textContent = long ? t("sheet_too_long", { most: AGAINST.MAX_CHARACTERS }) : !differences ? "" : summary(differences);
    list.replaceChildren(...(differences ?? []).map((difference) => this.#itemOf(difference)));
    // The list is made anew; whoever was in it with the keyboard stays there.
    if (focused >= 0) list.children[Math.min(focused, list.children.length - 1)]?.querySelector("button")?.focus({ preventScroll: true });
  }

  /** @param {Difference} difference */
  #itemOf(difference) {
    const { at } = difference;
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = (at ? `${placeOf(at)}${t("colon")}` : "") + tell(difference);
    button.disabled = !at;
    button.addEventListener("click", () => {
      if (!at) return;
      this.#photo.go(at);
      this.#select(at);
    });
    item.append(button);
    return item;
  }

  /** @param {string} name @returns {HTMLElement} */
  #part(name) {
    return part(this.#root, `.sheet-${name}`);
  }
}

/** @param {Difference} difference @returns {string} without its place */
function tell({ kind, at, expected }) {
  const seen = (at && characterOf(at)) ?? "";
  if (kind === "missing") return t(at ? "sheet_missing" : "sheet_missing_first", { expected });
  if (kind === "extra") return t("sheet_extra", { seen });
  if (kind === "unread") return expected ? t("sheet_unread_expected", { expected }) : t("sheet_unread");
  return t("sheet_other", { seen, expected });
}

/** How many differences there are of each kind. @param {Difference[]} differences */
function summary(differences) {
  if (!differences.length) return t("sheet_same");
  const kinds = /** @type {const} */ (["other", "missing", "extra", "unread"]);
  const counts = kinds.map((kind) => [kind, differences.filter((difference) => difference.kind === kind).length]);
  return counts.filter(([, count]) => count).map(([kind, count]) => t(`sheet_count_${kind}`, { count })).join(t("comma"));
}

/** @param {HTMLCanvasElement} canvas @returns {Promise<Blob>} */
function fileOf(canvas) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the browser makes no picture of a cell"))), "image/png");
  });
}
