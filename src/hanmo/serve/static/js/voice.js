/** What the page tells: quietly to screen readers, and in one line at the top where something went wrong. */

import { t, tellError } from "./text.js";

const live = document.getElementById("live");
const notice = document.getElementById("notice");
const noticeText = notice.querySelector("span");
const noticeButton = notice.querySelector("button");

let told = null; // what the notice is about, so that it can be told again in the other language
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
  if (focused && !told) document.getElementById("pad").focus({ preventScroll: true });
  if (!told) return;
  noticeText.textContent = tellError(told);
  noticeButton.hidden = !retry;
  noticeButton.textContent = t("again");
}

noticeButton.addEventListener("click", () => retry?.());
document.addEventListener("hanmo-language", show);
