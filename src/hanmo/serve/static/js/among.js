/** The set of characters that the reader chooses among: a small menu, where the reader knows more than one set. */

import { part } from "./dom.js";
import { keep, kept } from "./settings.js";
import { t } from "./text.js";

/** What is offered: sets as the reader calls them, each with the key of its text. Others are for programs. */
const CHOICES = /** @type {const} */ ([
  ["level1", "among_level1"],
  ["gb2312", "among_gb2312"],
  ["common", "among_common"],
  ["traditional", "among_traditional"],
  ["digits", "among_digits"],
  ["latin", "among_latin"],
  ["punctuation+ascii-punctuation", "among_punctuation"],
  ["symbols", "among_symbols"],
]);

export class Among {
  #root;
  #select;

  /** @param {HTMLElement} root @param {() => void} changed */
  constructor(root, changed) {
    this.#root = root;
    this.#select = part(root, "select", HTMLSelectElement);
    this.#select.addEventListener("change", () => {
      keep("hanmo-among", this.#select.value || null);
      changed();
    });
    document.addEventListener("hanmo-language", () => this.#render());
  }

  /** @returns {string | undefined} names of sets, as a reader takes them; undefined: all characters */
  get value() {
    return this.#select.value || undefined;
  }

  /**
   * Show the menu with the sets that the reader knows; it stays away where there are none.
   * @param {string[]} sets of reader.describe() @returns {boolean} whether the choice is another one now
   */
  offer(sets) {
    const offered = CHOICES.filter(([names]) => names.split("+").every((name) => sets.includes(name)));
    const before = this.#select.value;
    this.#select.replaceChildren(option("", "among_all"), ...offered.map(([names, key]) => option(names, key)));
    const wanted = kept("hanmo-among") ?? "";
    this.#select.value = offered.some(([names]) => names === wanted) ? wanted : "";
    this.#root.hidden = !offered.length;
    this.#render();
    return this.#select.value !== before;
  }

  #render() {
    for (const each of this.#select.options) each.textContent = t(each.dataset.key ?? "");
  }
}

/** @param {string} names @param {string} key of its text @returns {HTMLOptionElement} */
function option(names, key) {
  const made = new Option("", names);
  made.dataset.key = key;
  return made;
}

/**
 * A reader that reads among what is chosen now.
 *
 * @param {import("./http.js").Reader} reader
 * @param {() => string | undefined} chosen
 * @returns {import("./http.js").Reader}
 */
export function choosing(reader, chosen) {
  const ask = /** @type {NonNullable<typeof reader.readSheet>} */ (reader.readSheet?.bind(reader));
  return {
    describe: () => reader.describe(),
    explain: (...question) => reader.explain(...question),
    lookup: (...question) => reader.lookup(...question),
    readSheet: reader.readSheet && ((picture, options) => ask(picture, { ...options, among: chosen() })),
    read: (inputs, options) => reader.read(inputs, { ...options, among: chosen() }),
  };
}
