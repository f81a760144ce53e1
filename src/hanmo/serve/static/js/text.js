/** Every word of the page in both languages, and which one is shown. */

import { PREDICTION } from "./constants.js";
import { keep } from "./settings.js";
import { EN } from "./text-en.js";
import { ZH } from "./text-zh.js";

const isTouched = "touch" in document.documentElement.dataset; // set by early.js
/** @type {Record<"en" | "zh", Record<string, string>>} */
const WORDS = { en: EN, zh: ZH };

/** @returns {"en"|"zh"} */
export function language() {
  return document.documentElement.lang.startsWith("zh") ? "zh" : "en";
}

/**
 * A text in the language shown; `{name}` in it is replaced by `values.name`.
 * @param {string} key @param {Record<string, string|number>} [values] @returns {string}
 */
export function t(key, values = {}) {
  const words = WORDS[language()];
  // Fingers tap and have no keys: where that needs other words, they stand under the key with "_touch".
  const text = (isTouched && words[`${key}_touch`]) || words[key];
  if (text === undefined) throw new Error(`no text for ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/**
 * What to tell of an error: our own words for the codes we know, else the reader's.
 * @param {{code: string, message: string}} error @returns {string}
 */
export function tellError({ code, message }) {
  const text = WORDS[language()][`error_${code}`];
  // The reader speaks English and says more of one picture than its code does; our words are for everything else.
  return text?.replace("{code}", code) ?? (message || t("error_unknown", { code }));
}

/** Why a picture is refused, in the language shown. @param {string} reason of a reading @returns {string} */
export function tellReason(reason) {
  return t(`reason_${reason.replaceAll(" ", "_")}`);
}

/** "or O o" for characters that look the same, nothing for none. @param {string} [alike] of a candidate */
export function tellAlike(alike) {
  return alike ? t("alike", { others: [...alike].join(" ") }) : "";
}

/** Fill the elements that index.html marks: data-t their text, data-label and data-title their attributes. */
export function fill(root = document) {
  const marked = (/** @type {string} */ mark) => /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(mark));
  for (const element of marked("[data-t]")) element.textContent = t(element.dataset.t ?? "");
  for (const element of marked("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label ?? ""));
  for (const element of marked("[data-title]")) element.title = t(element.dataset.title ?? "");
}

/** Show the page in the other language; whatever shows words of its own listens for "hanmo-language". */
export function switchLanguage() {
  const next = language() === "zh" ? "en" : "zh";
  document.documentElement.lang = next === "zh" ? "zh-Hans" : "en";
  keep("hanmo-language", next);
  fill();
  document.dispatchEvent(new Event("hanmo-language"));
}

/** Probabilities below this one are shown as "< 0.1 %", and a candidate's is hidden. */
export const { SHOWN_FROM } = PREDICTION;

/** @param {number} probability 0 to 1 @returns {string} never "100 %" or "0 %", which no reader can promise */
export function percent(probability) {
  if (probability > 0.999) return "> 99.9 %";
  if (probability < SHOWN_FROM) return "< 0.1 %";
  return `${(probability * 100).toFixed(1)} %`;
}
