/** What the page tells: quietly to screen readers, and in one line at the top where something went wrong. */

import { focusQuietly, part } from "./dom.js";
import { t, tellError } from "./text.js";

const live = part(document, "#live");
const notice = part(document, "#notice");
const noticeText = part(notice, "span");
const noticeButton = part(notice, "button");

/** @type {{code: string, message: string} | null} */
let told = null; // what the notice is about, so that it can be told again in the other language
/** @type {(() => void) | null} */
let retry = null;

/**
 * Announce to screen readers; parts that are Chinese characters are given as {zh: "永"}.
 * @param {...(string|{zh: string})} parts
 */
export function say(...parts) {
  const nodes = parts.map((part) => {
    if (typeof part === "string") return document.createTextNode(`${part} `);
    const span = document.createElement("span");
    span.lang = "zh-Hans";
    span.textContent = `${part.zh} `;
    return span;
  });
  live.replaceChildren(...nodes);
}

/** @param {{code?: string, message: string}} error @param {?() => void} [again] what "Try again" does */
export function warn(error, again = null) {
  told = { code: error.code ?? "unknown", message: error.code ? error.message : "" };
  retry = again;
  show();
}

export function calm() {
  told = null;
  show();
}

function show() {
  const focused = notice.contains(document.activeElement);
  notice.hidden = !told;
  if (focused && !told) focusQuietly(part(document, "#pad"));
  if (!told) return;
  noticeText.textContent = tellError(told);
  noticeButton.hidden = !retry;
  noticeButton.textContent = t("again");
}

noticeButton.addEventListener("click", () => retry?.());
document.addEventListener("hanmo-language", show);
