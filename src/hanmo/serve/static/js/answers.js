/** The candidates: ten buttons that stay where they are and change what they say. */

import { part } from "./dom.js";
import { fillOther, nameOther } from "./other.js";
import { SHOWN_FROM, percent, t, tellAlike, tellError, tellReason } from "./text.js";
import { say } from "./voice.js";

const TOP = 10;
const PATIENCE = 400; // ms before one is told that it takes its time: most answers come long before

export class Answers {
  #root;
  #verdict;
  #took;
  #why;
  #other;
  #otherOpen;
  /** @type {HTMLElement[]} */
  #tiles = [];
  /** @type {import("./http.js").Result | null} */
  #result = null;
  #ms = 0;
  #busy = false;
  /** @type {number | null} */
  #wanted = null;
  #patience = 0;
  #slow = false;
  #choose;

  /**
   * @param {HTMLElement} root
   * @param {{choose: (character: string) => void, explain: (character: string) => void}} on
   */
  constructor(root, { choose, explain }) {
    this.#root = root;
    this.#choose = choose;
    this.#verdict = part(root, "#verdict");
    this.#took = part(root, "#took");
    this.#why = part(root, "#why-open");
    const list = part(root, "#candidates");
    // All buttons are made once: one that was replaced while it had the focus would lose it.
    for (let rank = 0; rank < TOP; rank++) {
      const tile = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.innerHTML =
        '<kbd aria-hidden="true"></kbd><span class="glyph" lang="zh-Hans"></span><span class="alike" lang="zh-Hans"></span>' +
        '<span class="bar" aria-hidden="true"></span><span class="number"></span>';
      // The keys 1 to 9, and 0 for the tenth.
      part(button, "kbd").textContent = String((rank + 1) % 10);
      button.addEventListener("click", () => this.#pick(rank));
      tile.append(button);
      list.append(tile);
      this.#tiles.push(tile);
    }
    this.#other = part(root, "#other", HTMLFormElement);
    this.#otherOpen = part(root, "#other-open");
    const field = fillOther(this.#other, (character) => {
      this.#showOther(false);
      this.#otherOpen.focus();
      if (!this.#busy) choose(character);
    });
    this.#otherOpen.addEventListener("click", () => {
      this.#showOther(this.#other.hidden);
      field.focus(); // does nothing where it was hidden
    });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      this.#showOther(false);
      this.#otherOpen.focus();
    });
    this.#why.addEventListener("click", () => explain(this.candidates[0].character));
    document.addEventListener("hanmo-language", () => {
      nameOther(this.#other);
      this.#render();
    });
    this.#render();
  }

  get candidates() {
    return this.#result?.candidates ?? [];
  }

  /** A newer answer is on its way: what is shown cannot be chosen any more. */
  waiting() {
    this.#busy = true;
    this.#wanted = null;
    this.#root.setAttribute("aria-busy", "true");
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => {
      this.#slow = true;
      this.#render();
    }, PATIENCE);
  }

  /** @param {import("./http.js").Result} result of reader.read @param {number} ms how long it took */
  show(result, ms) {
    this.#settle(result);
    this.#ms = ms;
    this.#render();
    this.#announce();
    // A key was pressed before the answer came: it is meant for this answer.
    if (this.#wanted !== null) this.#pick(this.#wanted);
  }

  /** Nothing to read. */
  empty() {
    this.#settle(null);
    this.#render();
  }

  /** Choose by rank, 0 to 9; while the answer is still coming, it is chosen from that. @param {number} rank */
  pickByKey(rank) {
    if (this.#busy) this.#wanted = rank;
    else this.#pick(rank);
  }

  /** @param {import("./http.js").Result | null} result */
  #settle(result) {
    this.#busy = this.#slow = false;
    clearTimeout(this.#patience);
    this.#result = result;
    this.#root.removeAttribute("aria-busy");
  }

  /** @param {boolean} open */
  #showOther(open) {
    this.#other.hidden = !open;
    this.#otherOpen.setAttribute("aria-expanded", String(open));
  }

  /** @param {number} rank */
  #pick(rank) {
    const candidate = this.candidates[rank];
    if (candidate && !this.#busy) this.#choose(candidate.character);
  }

  #render() {
    const result = this.#result;
    const state = !result ? "empty" : result.error ? "failed" : result.refused ? "refused" : "read";
    this.#root.dataset.state = state;
    // The tiles keep the state of the last answer; only the sentence says that a new one is awaited.
    const told = this.#slow ? "waiting" : state;
    if (result?.reason && told === "refused") {
      const strong = document.createElement("strong");
      strong.textContent = tellReason(result.reason);
      this.#verdict.replaceChildren(strong, this.candidates.length ? ` ${t("verdict_guesses")}` : "");
    } else {
      const why = result?.error && told === "failed" ? `${t("colon")}${tellError(result.error)}` : "";
      this.#verdict.textContent = t(`verdict_${told}`) + why;
    }
    this.#took.textContent = result ? t("took", { ms: Math.max(1, Math.round(this.#ms)) }) : "";
    this.#tiles.forEach((tile, rank) => this.#renderTile(tile, rank));
    this.#why.hidden = this.#otherOpen.hidden = !this.candidates.length;
    if (this.#otherOpen.hidden) this.#showOther(false);
  }

  /** @param {HTMLElement} tile @param {number} rank */
  #renderTile(tile, rank) {
    const candidate = this.candidates[rank];
    const button = part(tile, "button", HTMLButtonElement);
    const [key, glyph, alike, bar, number] = /** @type {HTMLElement[]} */ ([...button.children]);
    tile.classList.toggle("vacant", !candidate);
    tile.classList.toggle("faint", Boolean(candidate && candidate.probability < SHOWN_FROM));
    tile.setAttribute("aria-hidden", String(!candidate));
    button.disabled = !candidate;
    glyph.textContent = candidate?.character ?? "";
    alike.textContent = tellAlike(candidate?.alike);
    number.textContent = candidate ? percent(candidate.probability) : "";
    bar.style.setProperty("--share", String(candidate?.probability ?? 0));
    button.title = candidate ? t("candidate_title", { character: candidate.character, key: key.textContent ?? "" }) : "";
  }

  #announce() {
    const { error, refused, reason, candidates = [] } = this.#result ?? {};
    if (error) return say(t("verdict_failed"), tellError(error));
    // Three at most: a screen reader would otherwise still speak when the next stroke is written.
    const parts = candidates.slice(0, 3).flatMap(({ character, probability, alike }, rank) => {
      const told = [{ zh: character }, percent(probability), ...(alike ? [t("say_alike", { others: [...alike].join(" ") })] : [])];
      return rank ? [t("say_then"), ...told] : told;
    });
    if (!refused || !reason) return say(t("say_read"), ...parts);
    return parts.length ? say(tellReason(reason), t("verdict_guesses"), ...parts) : say(tellReason(reason));
  }
}
