/**
 * Port of src/hanmo/serve/desk.py: the reader itself. It runs as a worker beside the page, so that writing stays smooth
 * while it reads.
 */

import { DESK } from "../constants.js";
import { explain } from "./explain.js";
import { openGlyphs } from "./glyphs.js";
import { Net, rounded } from "./net.js";
import { checkSettings, inspect as inspectGrey, normalize } from "./normalize.js";
import { load } from "./picture.js";
import { BLANK, FAINT, Problem } from "./problem.js";
import { draw } from "./strokes.js";

/**
 * @typedef {import("../http.js").Input} Input
 * @typedef {import("../http.js").Result} Result
 */

const FOLDER = new URL("../../reader/", import.meta.url);
const BATCH = 8; // squares in one run of the net
const { LOOK_ALIKES } = DESK;

const cancelled = new Set();
let calls = 0; // in progress

/** @type {Promise<Net> | null} */
let opening = null;
/** @type {ReturnType<typeof openGlyphs> | null} */
let glyphs = null;

/** @returns {Promise<Net>} */
function net() {
  opening ??= Net.open(FOLDER).then((opened) => {
    checkSettings(opened.settings.normalization);
    return opened;
  });
  opening.catch(() => {
    opening = null; // the connection may come back: the next call tries again
  });
  return opening;
}

/**
 * @typedef {import("./normalize.js").Inspected} Inspected
 *
 * @param {Input} input @param {Net} opened
 * @returns {Promise<Inspected>}
 */
async function inspect(input, opened) {
  const grey = "strokes" in input ? draw(input.strokes) : await load(input.file);
  return inspectGrey(grey, opened.settings.normalization);
}

/**
 * The reading of a picture without ink.
 *
 * @param {any} error
 * @returns {import("../http.js").Reading | null} null where the error is another one
 */
function withoutInk(error) {
  if (error.code !== BLANK && error.code !== FAINT) return null;
  const reason = error.code === FAINT ? "no clear ink" : "blank";
  return { character: null, probability: 0, refused: true, reason, candidates: [] };
}

/** @param {Input} input */
const nameOf = (input) => ("name" in input && input.name ? { name: shown(input.name) } : {});

/** A file's name without what cannot be shown, cut. @param {string} name */
function shown(name) {
  const clean = name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd");
  return clean.length <= 200 ? clean : `${clean.slice(0, 200)}…`;
}

const methods = {
  /** Gets ready. The net's first run takes several times as long as the others, so it is made before anybody waits. */
  async open() {
    const opened = await net();
    if (calls === 1) await opened.logits([new Uint8Array(opened.settings.normalization.side ** 2)]);
  },

  /**
   * @param {() => Promise<void>} pause @param {Input[]} inputs @param {number} top @param {string} [among]
   * @returns {Promise<Result[]>}
   */
  async read(pause, inputs, top, among) {
    const opened = await net();
    const choice = opened.members.choose(among);
    /** @type {Result[]} */
    const results = [];
    for (let start = 0; start < inputs.length; start += BATCH) {
      await pause();
      /** @type {Inspected[]} */
      const seen = [];
      /** @type {number[]} */
      const places = [];
      for (const [i, input] of inputs.slice(start, start + BATCH).entries()) {
        try {
          seen.push(await inspect(input, opened));
          places.push(start + i);
        } catch (error) {
          results[start + i] = { ...nameOf(input), ...(withoutInk(error) ?? { error: plain(error) }) };
        }
      }
      const readings = seen.length ? await opened.read(seen.map(({ square }) => square), top, choice) : [];
      readings.forEach((reading, i) => {
        const reason = reading.refused ? (seen[i].remark ?? reading.reason) : null;
        results[places[i]] = { ...nameOf(inputs[places[i]]), ...reading, reason };
      });
    }
    return results;
  },

  /**
   * @param {() => Promise<void>} pause @param {Input} input @param {string | null} character
   * @returns {Promise<import("../http.js").Why>}
   */
  async explain(pause, input, character) {
    const opened = await net();
    const { square } = await inspect(input, opened);
    const { side } = opened.settings.normalization;
    const found = await explain(opened, square, character, pause);
    return {
      character: found.character,
      probability: rounded(found.probability),
      side,
      square: btoa(String.fromCharCode(...square)),
      size: found.heat.length,
      heat: found.heat.map((row) => row.map(rounded)),
    };
  },

  /**
   * @param {() => Promise<void>} _pause @param {string} character
   * @returns {Promise<import("../http.js").Found>}
   */
  async lookup(_pause, character) {
    const opened = await net();
    opened.classOf(character);
    glyphs ??= openGlyphs(FOLDER);
    glyphs.catch(() => {
      glyphs = null;
    });
    const table = await glyphs;
    const strokes = table.get(character);
    if (!strokes) return { character, strokes: [], look_alikes: [] }; // of another bundle's charset
    const square = normalize(draw(strokes), opened.settings.normalization);
    const [{ candidates }] = await opened.read([square], LOOK_ALIKES + 1);
    const look_alikes = candidates
      .filter(({ character: other, alike }) => !(other + alike).includes(character))
      .slice(0, LOOK_ALIKES)
      .map(({ character: other, probability }) => ({ character: other, probability, strokes: table.get(other) ?? [] }));
    return { character, strokes, look_alikes };
  },
};

/** @param {any} error */
function plain(error) {
  if (error instanceof Problem) return { code: error.code, message: error.message };
  console.error(error); // a bug of ours, or a browser that cannot do what is needed
  return { code: "internal_error", message: `the page's reader failed: ${error?.message ?? error}` };
}

/** @param {{id: number, method: string, args: any[]}} call */
async function answer({ id, method, args }) {
  // Messages that arrived meanwhile, cancellations among them, get their turn.
  const pause = async () => {
    await new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => resolve(port1.close());
      port2.postMessage(null);
    });
    if (cancelled.has(id)) throw new Problem("cancelled", "nobody waits for this any more");
  };
  calls += 1;
  try {
    await pause();
    const result = await /** @type {any} */ (methods)[method](pause, ...args);
    postMessage({ id, result });
  } catch (error) {
    postMessage({ id, error: plain(error) });
  } finally {
    cancelled.delete(id);
    calls -= 1;
  }
}

addEventListener("message", ({ data }) => {
  if (data.cancel) cancelled.add(data.id);
  else answer(data);
});
