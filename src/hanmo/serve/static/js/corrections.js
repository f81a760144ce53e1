/**
 * Corrections that are kept, if asked for: in this browser, or by a server that was started with --keep. Both are read by
 * hanmo extend and hanmo adapt.
 */

import { part } from "./dom.js";
import { forgetPictures, keepPicture, keptCharacters, keptPictures } from "./kept.js";
import { saveBlob } from "./save.js";
import { keep, kept } from "./settings.js";
import { t } from "./text.js";
import { say, warn } from "./voice.js";
import { zip } from "./zip.js";

/** @typedef {import("./http.js").Input} Input */

/** What the name of a picture file ends in; hanmo looks at the first bytes for its format. @type {Record<string, string>} */
const SUFFIXES = {
  "image/jpeg": "jpg", "image/webp": "webp", "image/bmp": "bmp", "image/gif": "gif", "image/tiff": "tiff",
};

export class Corrections {
  #root;
  #box;
  #delete;
  /** Where they are kept; null until the reader has told what it does. @type {"browser" | "server" | null} */
  #place = null;
  /** The characters of the pictures in this browser. @type {string[]} */
  #characters = [];
  /** Pictures on the server, once one was sent. @type {number | null} */
  #sent = null;
  #sure = false;

  /** @param {HTMLElement} root holds the switch, its explanation, the count and two buttons */
  constructor(root) {
    this.#root = root;
    this.#box = part(root, "input", HTMLInputElement);
    this.#delete = part(root, ".kept-delete");
    this.#box.addEventListener("change", () => {
      keep(this.#key, this.#box.checked ? "yes" : null);
      this.#render();
    });
    part(root, ".kept-download").addEventListener("click", () => this.#try(() => this.#download()));
    this.#delete.addEventListener("click", () => this.#try(() => this.#forget()));
    this.#delete.addEventListener("blur", () => this.#ask(false));
    document.addEventListener("hanmo-language", () => this.#render());
    // Another tab of the page may have kept some meanwhile.
    document.addEventListener("visibilitychange", () => this.#place && !document.hidden && this.#count());
  }

  /** Each place has a switch of its own: who keeps corrections here has not agreed to send them. */
  get #key() {
    return `hanmo-keep-${this.#place}`;
  }

  get isOn() {
    return this.#place !== null && this.#box.checked;
  }

  /** Show the switch. @param {boolean} [byServer] whether the server keeps corrections */
  async offer(byServer = false) {
    this.#place = byServer ? "server" : "browser";
    this.#box.checked = kept(this.#key) === "yes";
    this.#root.hidden = false;
    await this.#count();
  }

  /** Keep what was chosen for an input, where that is wanted. Never rejects. @param {string} character @param {?Input} input */
  async add(character, input) {
    if (!this.isOn || !input) return;
    await this.#try(async () => {
      if (this.#place === "server") {
        const { sendCorrection } = await import("./http.js");
        this.#sent = (await sendCorrection(input, character)).kept;
        this.#render();
      } else {
        const { bytes, suffix } = await pictureOf(input);
        await keepPicture(character, bytes, suffix);
        await this.#count();
      }
    });
  }

  async #count() {
    // Storage that is forbidden holds nothing; who wants to keep something is told then.
    this.#characters = await keptCharacters().catch(() => []);
    this.#render();
  }

  async #download() {
    /** @type {Map<string, number>} */
    const counts = new Map();
    const entries = (await keptPictures()).map(({ character, bytes, suffix }) => {
      const number = (counts.get(character) ?? 0) + 1;
      counts.set(character, number);
      // The code point, as file systems and unpackers change some characters in names.
      const code = character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0");
      return { name: `U+${code}/${number}.${suffix}`, bytes };
    });
    saveBlob(zip(entries), "hanmo-corrections.zip");
  }

  /** The first click asks, the second one deletes. */
  async #forget() {
    if (!this.#sure) return this.#ask(true);
    await forgetPictures();
    await this.#count();
    this.#ask(false);
    this.#box.focus(); // the button is gone
    say(t("kept_none"));
  }

  /** @param {boolean} sure whether the next click deletes */
  #ask(sure) {
    this.#sure = sure;
    this.#render();
    if (sure) say(this.#delete.textContent ?? "");
  }

  /** @param {() => Promise<void>} act */
  async #try(act) {
    try {
      await act();
    } catch (error) {
      warn(error);
    }
  }

  #render() {
    if (!this.#place) return;
    const pictures = this.#characters.length;
    const characters = new Set(this.#characters).size;
    part(this.#root, ".keep-label").textContent = t(`keep_${this.#place}`);
    part(this.#root, ".keep-note").textContent = t(`keep_${this.#place}_note`);
    const here = pictures || (this.#place === "browser" && this.isOn) ? t("kept_here", { pictures, characters }) : "";
    const there = this.#sent === null ? "" : t("kept_there", { pictures: this.#sent });
    part(this.#root, ".kept-count").textContent = [there, here].filter(Boolean).join(" ");
    part(this.#root, ".kept").hidden = !(there || here);
    part(this.#root, ".kept-download").hidden = !pictures;
    this.#delete.hidden = !pictures;
    this.#delete.textContent = this.#sure ? t("kept_delete_sure", { pictures }) : t("kept_delete");
    this.#delete.classList.toggle("sure", this.#sure);
  }
}

/** @param {Input} input @returns {Promise<{bytes: Uint8Array<ArrayBuffer>, suffix: string}>} a picture file, as it is read */
async function pictureOf(input) {
  if ("file" in input) {
    return { bytes: new Uint8Array(await input.file.arrayBuffer()), suffix: SUFFIXES[input.file.type] ?? "png" };
  }
  // Drawn with the reader's pen and not with the page's, so that the picture shows the pixels that were read.
  const { draw } = await import("./local/strokes.js");
  const { width, height, levels } = draw(input.strokes);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser gives no canvas to draw on");
  const image = context.createImageData(width, height);
  levels.forEach((level, i) => image.data.set([level, level, level, 255], 4 * i));
  context.putImageData(image, 0, 0);
  const file = await canvas.convertToBlob({ type: "image/png" });
  return { bytes: new Uint8Array(await file.arrayBuffer()), suffix: "png" };
}
