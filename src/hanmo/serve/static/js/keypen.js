/** Writing with the keyboard alone: a pen that is seen on the square while it has the focus. */

import { part } from "./dom.js";
import { UNITS } from "./ink.js";
import { t } from "./text.js";
import { say } from "./voice.js";

const STEP = 20; // UNITS
const LEAP = 80; // with Shift
/** @type {Record<string, number[]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class KeyPen {
  #pad;
  #mark;
  #hand;
  #place = [UNITS / 4, UNITS / 4]; // where most characters begin
  /** @type {Set<string>} */
  #held = new Set();
  #down = false;

  /**
   * @param {HTMLElement} pad the square, holding the pen's `.pen`
   * @param {{free: () => boolean, begin: (place: number[]) => void, extend: (place: number[]) => void,
   *   end: () => void}} hand `free` where no pointer writes
   */
  constructor(pad, hand) {
    this.#pad = pad;
    this.#mark = part(pad, ".pen");
    this.#hand = hand;
    pad.addEventListener("keydown", (event) => this.#press(event));
    pad.addEventListener("keyup", (event) => this.#held.delete(event.key));
    pad.addEventListener("blur", () => this.#leave());
    pad.addEventListener("pointerdown", () => this.#hide());
    this.#show(false);
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    this.#pad.classList.remove("pointed");
    if (!(event.key in ARROWS) && event.key !== " ") return;
    event.preventDefault(); // the page would scroll
    if (!this.#hand.free()) return;
    if (event.key in ARROWS) {
      this.#held.add(event.key); // two arrows held at once move aslant
      this.#move(event.shiftKey ? LEAP : STEP);
    } else if (!event.repeat) {
      if (this.#down) this.#lift();
      else this.#put();
    }
  }

  /** @param {number} step in UNITS */
  #move(step) {
    const way = [...this.#held].map((key) => ARROWS[key]);
    this.#place = this.#place.map((at, axis) => {
      const by = way.reduce((sum, arrow) => sum + arrow[axis], 0);
      return Math.min(UNITS, Math.max(0, at + Math.sign(by) * step));
    });
    this.#show(true);
    if (this.#down) this.#hand.extend(this.#place);
  }

  #put() {
    this.#down = true;
    this.#show(true);
    this.#hand.begin(this.#place);
    const [x, y] = this.#place.map((at) => Math.round((at / UNITS) * 100));
    say(t("pen_down", { x, y }));
  }

  #lift() {
    this.#down = false;
    this.#show(true);
    this.#hand.end();
  }

  #leave() {
    this.#pad.classList.remove("pointed");
    this.#held.clear();
    if (this.#down) this.#lift();
    this.#hide();
  }

  #hide() {
    this.#down = false; // a pointer ends the stroke itself
    this.#show(false);
  }

  /** @param {boolean} visible */
  #show(visible) {
    this.#mark.hidden = !visible;
    this.#mark.classList.toggle("down", this.#down);
    this.#mark.style.setProperty("--x", String(this.#place[0] / UNITS));
    this.#mark.style.setProperty("--y", String(this.#place[1] / UNITS));
  }
}
