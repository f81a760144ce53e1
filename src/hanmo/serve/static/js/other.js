/** A field to type the right character into, where it is not among the candidates. */

import { t } from "./text.js";

/**
 * Fill a form with the field and its button.
 * @param {HTMLFormElement} form @param {(character: string) => void} choose
 * @returns {HTMLInputElement} the field
 */
export function fillOther(form, choose) {
  const field = document.createElement("input");
  const button = document.createElement("button");
  field.type = "text";
  field.lang = "zh-Hans";
  field.autocomplete = "off";
  field.required = true;
  form.noValidate = true; // checked here, so that both ways of being wrong get the same words
  field.addEventListener("input", () => field.setCustomValidity(""));
  form.append(field, button);
  form.addEventListener("submit", (event) => {
    event.preventDefault(); // nothing is sent: the page's policy would forbid it
    const character = single(field.value);
    field.setCustomValidity(character ? "" : t("other_invalid"));
    if (!character) return field.reportValidity();
    field.value = "";
    return choose(character);
  });
  nameOther(form);
  return field;
}

/** Show the words of a form in the language of the page. @param {HTMLFormElement} form */
export function nameOther(form) {
  const [field, button] = /** @type {[HTMLInputElement, HTMLButtonElement]} */ ([...form.children]);
  field.placeholder = t("other_label");
  field.setAttribute("aria-label", t("other_label"));
  button.textContent = t("other_use");
}

/**
 * The only character of a text, composed as hanmo's labels are, or null.
 * @param {string} text @returns {?string} no control and no character of private use: neither can be a label
 */
export function single(text) {
  const characters = [...text.normalize("NFC").trim()];
  return characters.length === 1 && !/[\p{C}\ufffd]/u.test(characters[0]) ? characters[0] : null;
}
