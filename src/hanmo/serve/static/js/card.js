/** One picture of many, with what was read in it. */

import { fillOther } from "./other.js";
import { percent, t, tellAlike, tellError, tellReason } from "./text.js";

/** @param {string} name @param {Record<string, string>} [attributes] @param {(Node | string)[]} children */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** @typedef {import("./http.js").Result} Result */
/** @typedef {(character: string) => void} Choose */

/**
 * @param {{file: Blob, name: string, url: string, result: ?Result, chosen?: string}} item
 * @param {{open: () => void, choose: (character: string) => void}} on
 * @returns {HTMLElement}
 */
export function card({ name, url, result, chosen }, { open, choose }) {
  const picture = make("img", { src: url, alt: "", loading: "lazy", decoding: "async" });
  picture.addEventListener("error", () => picture.replaceWith(make("span", { class: "no-picture" }, "?")));
  const label = t("card_open", { name });
  const shown = make("button", { type: "button", class: "thumbnail", "aria-label": label, title: label }, picture);
  shown.addEventListener("click", open);
  const state = !result ? "waiting" : result.error ? "failed" : result.refused ? "refused" : "read";
  const title = make("p", { class: "name", title: name }, name);
  const mark = make("p", { class: "chosen" });
  const show = (/** @type {string} */ character) => mark.replaceChildren(t("card_chosen"), make("span", { class: "glyph", lang: "zh-Hans" }, character));
  if (chosen) show(chosen);
  /** @type {Choose} */
  const take = (character) => {
    show(character);
    choose(character);
  };
  const words = make("div", { class: "told" }, ...told(result, state, take), mark, title);
  const item = make("li", { class: `card ${state}` }, shown, words);
  if (result?.candidates?.length) item.append(more(result.candidates, take));
  return item;
}

/** @param {?Result} result @param {string} state @param {Choose} choose @returns {HTMLElement[]} */
function told(result, state, choose) {
  if (state === "waiting") return [make("p", { class: "note" }, t("card_waiting"))];
  if (result?.error) return [make("p", { class: "problem" }, tellError(result.error))];
  if (result?.reason) return [make("p", { class: "problem" }, tellReason(result.reason))];
  return (result?.candidates ?? []).slice(0, 1).map((best) => choice(best, choose, "best"));
}

/** @param {import("./http.js").Candidate[]} candidates @param {Choose} choose */
function more(candidates, choose) {
  const list = make("ol", {}, ...candidates.map((candidate) => make("li", {}, choice(candidate, choose, "other"))));
  const other = document.createElement("form");
  other.className = "typed";
  fillOther(other, choose);
  return make("details", {}, make("summary", {}, t("card_more")), list, other);
}

/** @param {import("./http.js").Candidate} candidate @param {Choose} choose @param {string} kind */
export function choice({ character, probability, alike }, choose, kind) {
  const glyph = make("span", { class: "glyph", lang: "zh-Hans" }, character);
  const bar = make("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", String(probability));
  const number = make("span", { class: "number" }, percent(probability));
  const others = make("span", { class: "alike", lang: "zh-Hans" }, tellAlike(alike));
  const button = make("button", { type: "button", class: kind }, glyph, others, bar, number);
  button.addEventListener("click", () => choose(character));
  return button;
}
