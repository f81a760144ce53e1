/** "Why?": the heat of one candidate, its model strokes, and what looks like it. */

import { part } from "./dom.js";
import { glyph, write } from "./glyph.js";
import { drawHeat, strongestPlace } from "./heat.js";
import { reveal } from "./settings.js";
import { percent, t, tellError } from "./text.js";
import { say } from "./voice.js";

const REST = 300; // ms from an answer to the question why, as that costs the reader a hundred readings

/**
 * @typedef {import("./http.js").Input} Input
 * @typedef {import("./http.js").Candidate} Candidate
 */

/** @template Value @typedef {{value?: Value, error?: any}} Outcome of a question: an answer, or why there is none */

export class Why {
  #root;
  #reader;
  /** @type {Record<string, HTMLElement>} */
  #part = {};
  /** @type {HTMLCanvasElement} */
  #canvas;
  /** @type {AbortController | null} */
  #stop = null;
  /** @type {Input | null} */
  #input = null;
  /** @type {Candidate[]} */
  #candidates = [];
  #character = "";
  /** @type {Outcome<import("./http.js").Why> | null} */
  #why = null;
  /** @type {Outcome<import("./http.js").Found> | null} */
  #found = null;
  #closed;

  /** @param {HTMLElement} root @param {import("./http.js").Reader} reader @param {() => void} closed moves the focus to a new place */
  constructor(root, reader, closed) {
    this.#root = root;
    this.#reader = reader;
    for (const name of ["title", "chips", "heat-told", "heat-note", "legend", "model", "look-alikes"]) {
      this.#part[name] = part(root, `.why-${name}`);
    }
    this.#canvas = part(root, ".why-heat", HTMLCanvasElement);
    this.#closed = closed;
    part(root, ".close").addEventListener("click", () => this.close());
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation(); // it would empty the square
      this.close();
    });
    document.addEventListener("hanmo-language", () => this.#root.hidden || this.#render());
    document.addEventListener("hanmo-theme", () => this.#root.hidden || this.#drawHeat());
  }

  get isOpen() {
    return !this.#root.hidden;
  }

  /** @param {Input | null} input what was read @param {Candidate[]} candidates of it @param {string} character one of theirs */
  async open(input, candidates, character) {
    this.#input = input;
    this.#candidates = candidates;
    const wasOpen = this.isOpen;
    this.#root.hidden = false;
    if (!wasOpen) {
      this.#part.title.focus({ preventScroll: true });
      reveal(this.#root);
    }
    await this.#ask(character);
  }

  /**
   * Something else was read: the panel goes on with its best candidate.
   * @param {Input | null} input @param {Candidate[]} candidates
   */
  async follow(input, candidates) {
    if (!this.isOpen) return;
    if (!candidates.length) return this.close();
    this.#input = input;
    this.#candidates = candidates;
    await this.#ask(candidates[0].character, REST);
  }

  close() {
    this.#stop?.abort();
    const focused = this.#root.contains(document.activeElement);
    this.#root.hidden = true;
    if (focused) this.#closed();
  }

  /** @param {string} character @param {number} [rest] ms to wait first */
  async #ask(character, rest = 0) {
    this.#stop?.abort();
    const { signal } = (this.#stop = new AbortController());
    this.#character = character;
    this.#why = this.#found = null;
    this.#render();
    if (rest) await new Promise((done) => setTimeout(done, rest));
    if (signal.aborted) return;
    await Promise.all([this.#askWhy(character, signal), this.#askStrokes(character, signal)]);
  }

  /** @param {string} character @param {AbortSignal} signal */
  async #askWhy(character, signal) {
    const input = this.#input;
    if (!input) return;
    const got = await outcomeOf(() => this.#reader.explain(input, character, { signal }), signal);
    if (signal.aborted) return;
    this.#why = got;
    this.#renderHeat();
    if (got.value) say(this.#part["heat-told"].textContent ?? "");
  }

  /** @param {string} character @param {AbortSignal} signal */
  async #askStrokes(character, signal) {
    const got = await outcomeOf(() => this.#reader.lookup(character, { signal }), signal);
    if (signal.aborted) return;
    this.#found = got;
    this.#renderGlyphs();
  }

  #render() {
    this.#part.title.textContent = t("why_title", { character: this.#character });
    this.#renderChips();
    this.#renderHeat();
    this.#renderGlyphs();
  }

  #renderChips() {
    const focused = this.#part.chips.contains(document.activeElement);
    const chips = this.#candidates.map(({ character, probability }) => {
      const chip = document.createElement("button");
      chip.type = "button";
      chip.lang = "zh-Hans";
      chip.textContent = character;
      chip.title = `${t("why_title", { character })} ${percent(probability)}`;
      chip.setAttribute("aria-pressed", String(character === this.#character));
      chip.addEventListener("click", () => this.#ask(character));
      return chip;
    });
    this.#part.chips.replaceChildren(...chips);
    if (focused) chips.find((chip) => chip.getAttribute("aria-pressed") === "true")?.focus();
  }

  #renderHeat() {
    const { value, error } = this.#why ?? {};
    const character = this.#character;
    this.#canvas.hidden = this.#part.legend.hidden = this.#part["heat-note"].hidden = !value;
    this.#part["heat-told"].textContent = error ? problem(error, "no_explain") : t("thinking");
    if (!value) return;
    const place = strongestPlace(value.heat);
    this.#part["heat-told"].textContent = place
      ? t("heat_where", { character, place: t(`place_${place}`) })
      : t("heat_none", { character });
    this.#part["heat-note"].textContent = t("heat_note", { character });
    this.#canvas.setAttribute("aria-label", t("heat_label", { character }));
    this.#drawHeat();
  }

  #drawHeat() {
    if (this.#why?.value) drawHeat(this.#canvas, this.#why.value);
  }

  #renderGlyphs() {
    const { value, error } = this.#found ?? {};
    const [model, alike] = [this.#part.model, this.#part["look-alikes"]];
    if (!value) {
      model.replaceChildren(note(error ? problem(error, "no_lookup", { character: this.#character }) : t("thinking")));
      alike.replaceChildren();
      return;
    }
    model.replaceChildren(figure(value));
    write(part(model, "svg", SVGSVGElement));
    const others = value.look_alikes.map((other) => figure(other, other.probability));
    const told = note(t(others.length ? "look_alikes_note" : "look_alikes_none", { character: value.character }));
    const row = document.createElement("div");
    row.className = "row";
    row.append(...others);
    alike.replaceChildren(row, told);
  }
}

/**
 * An answer, or the error in its place.
 * @template Value @param {() => Promise<Value>} ask @param {AbortSignal} signal @returns {Promise<Outcome<Value>>}
 */
async function outcomeOf(ask, signal) {
  try {
    return { value: await patiently(ask, signal) };
  } catch (error) {
    return { error };
  }
}

/**
 * Ask until the reader is not busy.
 * @template Value @param {() => Promise<Value>} ask @param {AbortSignal} signal @param {number} [attempts]
 * @returns {Promise<Value>}
 */
async function patiently(ask, signal, attempts = 5) {
  try {
    return await ask();
  } catch (error) {
    if (signal.aborted || error.code !== "busy" || !attempts) throw error;
    await new Promise((done) => setTimeout(done, 1000 * (error.retryAfter || 1)));
    signal.throwIfAborted();
    return patiently(ask, signal, attempts - 1);
  }
}

/**
 * @param {any} error @param {string} missing the text where the reader has no such answer
 * @param {Record<string, string>} [values]
 */
function problem(error, missing, values) {
  const lacks = ["not_found", "http_404", "unknown_character", "method_not_allowed"].includes(error.code);
  return lacks ? t(missing, values) : tellError({ code: error.code ?? "unknown", message: error.message });
}

/** @param {string} text */
function note(text) {
  const paragraph = document.createElement("p");
  paragraph.className = "note";
  paragraph.textContent = text;
  return paragraph;
}

/**
 * A glyph that is written again when it is pressed, with its name and probability below.
 * @param {{character: string, strokes: number[][][]}} model @param {number} [probability]
 */
function figure({ character, strokes }, probability) {
  const box = document.createElement("figure");
  const button = document.createElement("button");
  const drawn = glyph(character, strokes);
  button.type = "button";
  button.title = t("replay");
  button.append(drawn);
  button.addEventListener("click", () => write(drawn));
  const caption = document.createElement("figcaption");
  const name = document.createElement("span");
  name.lang = "zh-Hans";
  name.textContent = character;
  caption.append(name, probability === undefined ? "" : ` ${percent(probability)}`);
  box.append(button, caption);
  return box;
}
