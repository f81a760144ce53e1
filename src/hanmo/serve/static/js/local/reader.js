/**
 * No port: the page's side of the reader that needs no server. It answers as js/http.js does, and passes all work to
 * worker.js. Everything it fetches lies beside this page.
 */

import { LEVELS, STROKES } from "../constants.js";
import { Problem } from "./problem.js";

/**
/** @typedef {import("../http.js").Reader} Reader */

/**
 * Opens the reader at once; the net follows when the page has been painted, or with the first call.
 *
 * @returns {Promise<Reader>}
 */
export async function open() {
  const desk = new Desk();
  // Whoever reads is told what fails. What the reader needs is fetched first, then all is kept for the next time.
  afterPaint(() => desk.call("open", []).then(keep).catch(() => {}));
  return {
    async describe() {
      const answer = await fetch(new URL("../../reader/reader.json", import.meta.url)).catch(() => null);
      if (!answer?.ok) throw new Problem("reader_unavailable", "reader.json cannot be fetched; reload the page");
      /** @type {import("./net.js").Settings} */
      const { model } = await answer.json();
      return { ...model, limits: { pixels: LEVELS.MAX_PIXELS, strokes: STROKES.MAX_STROKES, points: STROKES.MAX_POINTS } };
    },
    read: (inputs, { top = 10, among, signal } = {}) => desk.call("read", [inputs, top, among], signal),
    explain: (input, character = null, { signal } = {}) => desk.call("explain", [input, character], signal),
    lookup: (character, { signal } = {}) => desk.call("lookup", [character], signal),
  };
}

/** Calls to the worker and their answers. */
class Desk {
  constructor() {
    /** @type {Map<number, {resolve: (value: any) => void, reject: (reason: any) => void}>} */
    this._waiting = new Map();
    this._calls = 0;
    /** @type {Worker | null} */
    this._worker = null;
  }

  /**
   * @param {string} method @param {any[]} args @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  async call(method, args, signal) {
    signal?.throwIfAborted();
    const worker = (this._worker ??= this._start());
    const id = (this._calls += 1);
    const cancel = () => {
      worker.postMessage({ id, cancel: true });
      this._waiting.get(id)?.reject(signal?.reason);
    };
    try {
      return await new Promise((resolve, reject) => {
        this._waiting.set(id, { resolve, reject });
        signal?.addEventListener("abort", cancel);
        worker.postMessage({ id, method, args });
      });
    } finally {
      this._waiting.delete(id);
      signal?.removeEventListener("abort", cancel);
    }
  }

  _start() {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data: { id, result, error } }) => {
      if (!error) {
        this._waiting.get(id)?.resolve(result);
        return;
      }
      const problem = new Problem(error.code, error.message);
      this._waiting.get(id)?.reject(problem);
      // A runtime that could not be loaded once cannot be loaded again in the same worker.
      if (problem.code === "reader_unavailable") this._leave(worker, problem);
    });
    worker.addEventListener("error", () => {
      const message = "the reader's files cannot be loaded; check the connection and try again";
      this._leave(worker, new Problem("reader_unavailable", message));
    });
    return worker;
  }

  /**
   * Gives a worker up, and whoever waits for it; the next call starts another one.
   *
   * @param {Worker} worker @param {Problem} problem
   */
  _leave(worker, problem) {
    if (this._worker !== worker) return;
    worker.terminate();
    this._worker = null;
    for (const { reject } of this._waiting.values()) reject(problem);
  }
}

/** Keeps the folder for use without a connection, where the browser lets a page do so. */
function keep() {
  navigator.serviceWorker?.register(new URL("../../../offline.js", import.meta.url)).catch(() => {});
}

/** @param {() => void} work */
function afterPaint(work) {
  requestAnimationFrame(() => setTimeout(work, 0));
}
