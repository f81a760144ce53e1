/** Many pictures: read in calls one after the other, shown as cards, saved as CSV or JSON. */

import { focusQuietly, isFocusLost, part } from "./dom.js";
import { AT_ONCE, batches, opens, readBatch } from "./batches.js";
import { card } from "./card.js";
import { prepared } from "./prepare.js";
import { save, toCsv, toJson } from "./save.js";
import { reveal } from "./settings.js";
import { t } from "./text.js";
import { calm, say, warn } from "./voice.js";

/**
 * @typedef {import("./http.js").Result} Result
 * @typedef {{file: Blob, name: string, url: string, result: ?Result, chosen?: string, card: HTMLElement}} Item
 *   a picture, the character that was chosen for it, and its card
 */

export class Grid {
  #root;
  #reader;
  #model;
  #on;
  /** @type {Item[]} */
  #items = [];
  /** @type {AbortController | null} */
  #stop = null;

  /**
   * @param {HTMLElement} root @param {import("./http.js").Reader} reader
   * @param {Partial<import("./http.js").Model>} model as reader.describe() tells
   * @param {{open: (file: Blob, name: string) => void, choose: (character: string, item: {file: Blob, name: string}) => void}} on
   */
  constructor(root, reader, model, on) {
    this.#root = root;
    this.#reader = reader;
    this.#model = model;
    this.#on = on;
    const click = (/** @type {string} */ name, /** @type {() => void} */ act) => this.#part(name).addEventListener("click", act);
    click("stop", () => this.#end());
    click("go-on", () => this.#read());
    click("remove", () => this.#remove());
    click("csv", () => save(toCsv(this.#results()), "text/csv", "hanmo.csv"));
    click("json", () => save(toJson(this.#results(), this.#model), "application/json", "hanmo.json"));
    document.addEventListener("hanmo-language", () => this.#renderAll());
  }

  get isOpen() {
    return !this.#root.hidden;
  }

  /** @param {{file: Blob, name: string}[]} pictures join those that are there */
  async add(pictures) {
    const added = pictures.map(({ file, name }) => this.#itemOf(file, name));
    this.#items.push(...added);
    const first = this.#root.hidden;
    this.#root.hidden = false;
    this.#part("cards").append(...added.map((item) => item.card));
    this.#renderState();
    if (first) reveal(this.#root);
    if (!this.#stop) await this.#read();
  }

  /** @param {Blob} file @param {string} name @returns {Item} */
  #itemOf(file, name) {
    const item = { file, name, url: URL.createObjectURL(file), result: null };
    return Object.assign(item, { card: this.#cardOf(item) });
  }

  /** @returns {Promise<void>} */
  async #read() {
    if (!this.#items.length) return calm(); // tried again after they were removed
    // One controller for each reading: a later one must not be ended by an earlier one that is still on its way out.
    const mine = (this.#stop = new AbortController());
    const { signal } = mine;
    calm();
    this.#renderState();
    try {
      // Looked up anew each time, as pictures may be added while others are read.
      for (;;) {
        const waiting = this.#items.filter((item) => !item.result);
        if (!waiting.length || signal.aborted) break;
        await this.#readNext(waiting, signal);
      }
    } catch (error) {
      if (!signal.aborted) warn(error, () => this.#read());
    } finally {
      if (this.#stop === mine) this.#end();
    }
  }

  /** Nothing is read any more, even where an answer is still on its way. */
  #end() {
    this.#stop?.abort();
    this.#stop = null;
    this.#renderState();
    say(this.#told());
  }

  /** @param {Item[]} waiting @param {AbortSignal} signal */
  async #readNext(waiting, signal) {
    const next = waiting.slice(0, AT_ONCE);
    for (const item of next) item.file = await prepared(item.file); // in its turn, so that the cards show at once
    if (signal.aborted) return;
    const { fitting, tooLarge } = batches(next, this.#model?.limits);
    for (const item of tooLarge) this.#settle(item, { error: { code: "body_too_large", message: "too large" } });
    const readable = [];
    for (const item of fitting[0] ?? []) {
      // A folder, or a file that is gone, would otherwise fail the call of all.
      if (await opens(item.file)) readable.push(item);
      else this.#settle(item, { error: { code: "unreadable", message: "cannot be opened" } });
    }
    if (!readable.length) return;
    const results = await readBatch(this.#reader, readable, signal);
    if (!signal.aborted) readable.forEach((item, i) => this.#settle(item, results[i]));
  }

  /** @param {Item} item @param {Result} result */
  #settle(item, result) {
    item.result = { ...result, name: item.name };
    const old = item.card;
    const focused = old.contains(document.activeElement);
    item.card = this.#cardOf(item);
    old.replaceWith(item.card);
    if (focused) focusQuietly(part(item.card, "button"));
    this.#renderState();
  }

  /** @param {Omit<Item, "card">} item @returns {HTMLElement} */
  #cardOf(item) {
    const choose = (/** @type {string} */ character) => {
      item.chosen = character;
      this.#on.choose(character, { file: item.file, name: item.name });
    };
    return card(item, { open: () => this.#on.open(item.file, item.name), choose });
  }

  #remove() {
    this.#stop?.abort();
    this.#stop = null;
    // An address made by createObjectURL keeps its file in memory until it is revoked.
    for (const { url } of this.#items) URL.revokeObjectURL(url);
    this.#items = [];
    this.#part("cards").replaceChildren();
    this.#root.hidden = true;
    part(document, "#choose").focus();
  }

  #results() {
    return this.#items.flatMap((item) => item.result ?? []);
  }

  #told() {
    const results = this.#results();
    const numbers = { done: results.length, all: this.#items.length };
    if (results.length < this.#items.length) return t(this.#stop ? "progress" : "stopped", numbers);
    const failed = results.filter((result) => result.error).length;
    const refused = results.filter((result) => result.refused).length;
    return t("finished", { ...numbers, failed, refused, read: results.length - failed - refused });
  }

  #renderState() {
    const done = this.#results().length;
    const bar = part(this.#root, ".grid-bar", HTMLProgressElement);
    // The bar is gone when everything is read.
    bar.max = this.#items.length;
    bar.value = done;
    bar.hidden = done === this.#items.length;
    this.#part("told").textContent = this.#told();
    const focused = this.#part("head").contains(document.activeElement); // asked first: what is hidden loses the focus
    this.#part("stop").hidden = !this.#stop;
    this.#part("go-on").hidden = Boolean(this.#stop) || done === this.#items.length;
    for (const name of ["csv", "json"]) part(this.#root, `.grid-${name}`, HTMLButtonElement).disabled = !done;
    if (focused && (isFocusLost() || document.activeElement === document.body)) {
      part(this.#part("head"), "button:not([hidden], :disabled)").focus();
    }
  }

  #renderAll() {
    if (!this.isOpen) return;
    for (const item of this.#items) {
      const old = item.card;
      item.card = this.#cardOf(item);
      old.replaceWith(item.card);
    }
    this.#renderState();
  }

  /** @param {string} name @returns {HTMLElement} */
  #part(name) {
    return part(this.#root, `.grid-${name}`);
  }
}
