/** One question at a time: a newer one cancels the older, whose answer is never shown. */

import { warn, calm } from "./voice.js";

const PAUSE = 1000; // ms before a busy reader is asked again at least, twice as long each time,
const LONGEST = 16_000; // up to this

export class Reading {
  #reader;
  #inputOf;
  #show;
  /** @type {AbortController | null} */
  #current = null;

  /**
   * @param {import("./http.js").Reader} reader
   * @param {() => ?import("./http.js").Input} inputOf what there is to read now
   * @param {{waiting: () => void, result: (result: import("./http.js").Result, ms: number) => void, nothing: () => void}} show
   */
  constructor(reader, inputOf, show) {
    this.#reader = reader;
    this.#inputOf = inputOf;
    this.#show = show;
  }

  /**
   * Read what there is now. Resolves when it is answered or was overtaken; never rejects.
   * @param {number} [pause] ms before a busy reader is asked again
   * @returns {Promise<void>}
   */
  async now(pause = PAUSE) {
    this.#current?.abort();
    const input = this.#inputOf();
    if (!input) {
      this.#current = null;
      this.#show.nothing();
      return calm();
    }
    const mine = (this.#current = new AbortController());
    const { signal } = mine;
    this.#show.waiting();
    const start = performance.now();
    try {
      const [result] = await this.#reader.read([input], { top: 10, signal });
      if (signal.aborted) return;
      calm();
      this.#show.result(result, performance.now() - start);
    } catch (error) {
      if (signal.aborted) return;
      this.#show.nothing();
      warn(error, () => this.now());
      if (error.code === "busy") {
        await new Promise((done) => setTimeout(done, Math.max(1000 * error.retryAfter, pause)));
        if (!signal.aborted) await this.now(Math.min(2 * pause, LONGEST));
      }
    }
  }
}
