/** The line that gathers chosen characters, and the clipboard. */

import { focusQuietly, part } from "./dom.js";
import { keepInTab, keptInTab } from "./settings.js";
import { t } from "./text.js";
import { say } from "./voice.js";

/** @param {string} text @returns {Promise<boolean>} whether it is on the clipboard now */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyTheOldWay(text); // over plain HTTP, as on a phone in the same network, browsers have no clipboard object
  }
}

/** @param {string} text @returns {boolean} */
function copyTheOldWay(text) {
  const before = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.readOnly = true; // no keyboard pops up
  area.className = "offstage";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focusQuietly(before);
  return done;
}

export class Line {
  #field;
  #toast;
  #timer = 0;

  /** @param {HTMLElement} root holds an input, the buttons and the toast */
  constructor(root) {
    this.#field = part(root, "input", HTMLInputElement);
    this.#toast = part(root, ".toast");
    part(root, "#copy-all").addEventListener("click", () => this.#copyAll());
    part(root, "#backspace").addEventListener("click", () => this.#backspace());
    this.#field.value = keptInTab("hanmo-line") ?? "";
    this.#field.addEventListener("input", () => this.#keep());
    const label = () => (this.#field.placeholder = t("line_placeholder"));
    document.addEventListener("hanmo-language", label);
    label();
  }

  /** Append a chosen character and copy it. @param {string} character @param {string} [more] to tell besides */
  async add(character, more = "") {
    this.#field.value += character;
    this.#keep();
    // The end of the line, where the new character is.
    this.#field.scrollLeft = this.#field.scrollWidth;
    const done = await copy(character);
    this.#tell(t(done ? "copied" : "not_copied", { text: character }) + more, t("chosen", { character }));
  }

  async #copyAll() {
    const text = this.#field.value;
    if (!text) return;
    const done = await copy(text);
    this.#tell(t(done ? "copied" : "not_copied", { text }));
  }

  #backspace() {
    // [...text] splits by characters; slice() on the text would halve those that take two units of UTF-16.
    this.#field.value = [...this.#field.value].slice(0, -1).join("");
    this.#keep();
    say(t("line"), { zh: this.#field.value });
  }

  #keep() {
    keepInTab("hanmo-line", this.#field.value || null);
  }

  /** @param {string} shown @param {string} [more] for screen readers only */
  #tell(shown, more = "") {
    say(shown, more);
    this.#toast.textContent = shown;
    this.#toast.classList.add("seen");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#toast.classList.remove("seen"), 1600);
  }
}
