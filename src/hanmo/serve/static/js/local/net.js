/**
 * Port of src/hanmo/recognizer.py: squares become logits, logits become candidates. onnxruntime-web runs the bundle's
 * net.
 */

import { Members } from "./members.js";
import { Problem } from "./problem.js";

const RUNTIME = "ort.wasm.bundle.min.mjs";
const RUNTIME_WASM = "ort-wasm-simd-threaded.wasm";

/** An ONNX model that hands one number on. The runtime loads its 14 MB with its first model, so it gets this at once. */
const SMALLEST = "CAg6NwoQCgFhEgFiIghJZGVudGl0eRIBdFoPCgFhEgoKCAgBEgQKAggBYg8KAWISCgoICAESBAoCCAFCBAoAEBE=";

/**
 * @typedef {object} Settings what hanmo.serve.site wrote to reader.json
 * @property {Omit<import("../http.js").Model, "limits">} model the answer of GET /v1/model, less limits of a call over HTTP
 * @property {string} charset one character a class
 * @property {Record<string, string>} groups all characters of a class that has several, by its own
 * @property {Record<string, string>} sets the characters of the sets in `model.sets`
 * @property {import("./normalize.js").Normalization} normalization
 * @property {number} mean of a square divided by 255, for nets that take floats
 * @property {number} std
 * @property {number} temperature
 * @property {number} refusal_threshold
 * @property {number} least_evidence
 *
 * @typedef {import("../http.js").Reading} Reading
 */

export class Net {
  /**
   * Fetches all that reading needs from the folder and starts the net.
   *
   * @param {URL} folder that ends in a slash
   * @returns {Promise<Net>}
   */
  static async open(folder) {
    const [settings, model, runtime] = await Promise.all([
      fetchFile(folder, "reader.json").then((answer) => answer.json()),
      fetchFile(folder, "model.onnx").then((answer) => answer.arrayBuffer()),
      import(new URL(RUNTIME, folder).href)
        .catch((error) => lacks(RUNTIME, error))
        .then((runtime) => start(runtime, folder)),
    ]);
    // hanmo.serve.site has it rewritten already: to do so here would take longer than everything else about the net.
    const asItIs = { graphOptimizationLevel: "disabled" };
    const session = await runtime.InferenceSession.create(new Uint8Array(model), asItIs);
    return new Net(settings, session, runtime.Tensor);
  }

  /** @param {Settings} settings @param {any} session @param {any} tensor */
  constructor(settings, session, tensor) {
    this.settings = settings;
    this.members = new Members(settings);
    this._session = session;
    this._Tensor = tensor;
    /** @type {Promise<any>} */
    this._last = Promise.resolve(); // the runtime does one thing at a time
  }

  /**
   * The net's answers to squares, all in one run.
   *
   * @param {Uint8Array[]} squares
   * @returns {Promise<Float32Array[]>} a logit a class for each square
   */
  async logits(squares) {
    const run = this._last.then(() => this._run(squares));
    this._last = run.catch(() => {});
    return run;
  }

  /** @param {Uint8Array[]} squares @returns {Promise<Float32Array[]>} */
  async _run(squares) {
    const { side } = this.settings.normalization;
    const { name, type } = this._session.inputMetadata[0];
    const all = new Uint8Array(squares.length * side * side);
    squares.forEach((square, i) => all.set(square, i * side * side));
    const fed = type === "uint8" ? all : this._floats(all); // a net that takes bytes does this itself
    const input = new this._Tensor(type, fed, [squares.length, 1, side, side]);
    const [logits] = this._session.outputNames; // a second output would be the features, which nothing here needs
    const { data } = (await this._session.run({ [name]: input }, [logits]))[logits];
    const classes = this.members.characters.length;
    return squares.map((_, i) => data.subarray(i * classes, (i + 1) * classes));
  }

  /** @param {Uint8Array} squares @returns {Float32Array} */
  _floats(squares) {
    const [mean, std] = [Math.fround(this.settings.mean), Math.fround(this.settings.std)];
    return Float32Array.from(squares, (ink) => Math.fround(Math.fround(ink / 255) - mean) / std);
  }

  /**
   * @param {Uint8Array[]} squares
   * @param {number} top candidates each
   * @param {import("./members.js").Choice} [choice] of what they are chosen among, by default all
   * @returns {Promise<Reading[]>}
   */
  async read(squares, top, choice = this.members.choose()) {
    return (await this.logits(squares)).map((logits) => this._reading(logits, top, choice));
  }

  /** @param {Float32Array} logits @param {number} top @param {import("./members.js").Choice} choice @returns {Reading} */
  _reading(logits, top, { classes, name }) {
    const { temperature, refusal_threshold: threshold, least_evidence: least } = this.settings;
    const asked = classes ? Float32Array.from(classes, (known) => logits[known]) : logits;
    const probabilities = logSoftmax(asked, temperature).map(Math.exp);
    const candidates = best(asked, top).map((i) => {
      const { character, alike } = name(i);
      return { character, probability: rounded(probabilities[i]), alike };
    });
    // From all logits, also where a few are asked for: does the picture look like any character at all?
    const refused = evidence(logits) < least || Math.max(...probabilities) < threshold;
    const [{ character, probability }] = candidates;
    const reason = refused ? "unknown character" : null;
    return { character: refused ? null : character, probability, refused, reason, candidates };
  }

  /**
   * @param {string} character
   * @returns {number} its class
   * @throws {Problem} for a character the model does not know
   */
  classOf(character) {
    const known = this.members.classOf(character);
    if (known === undefined) {
      const { name } = this.settings.model;
      const shown = [...character].slice(0, 20).join("");
      throw new Problem("unknown_character", `${name} does not know '${shown}'; ask about one of its candidates`);
    }
    return known;
  }
}

/** Sets the runtime up while the model is still on its way. @param {any} runtime @param {URL} folder */
async function start(runtime, folder) {
  // More threads need headers that a plain host does not send, and would not make one character faster.
  runtime.env.wasm.numThreads = 1;
  runtime.env.wasm.wasmPaths = { wasm: new URL(RUNTIME_WASM, folder).href };
  runtime.env.logLevel = "error";
  const smallest = Uint8Array.from(atob(SMALLEST), (c) => c.charCodeAt(0));
  const starting = runtime.InferenceSession.create(smallest);
  const session = await starting.catch((/** @type {any} */ error) => lacks(RUNTIME_WASM, error));
  await session.release();
  return runtime;
}

/**
 * @param {URL} folder @param {string} name
 * @returns {Promise<Response>}
 * @throws {Problem} where the host does not give it
 */
export async function fetchFile(folder, name) {
  const answer = await fetch(new URL(name, folder)).catch(() => null);
  return answer?.ok ? answer : lacks(name);
}

/** @param {string} name @param {any} [error] what the browser says @returns {never} */
function lacks(name, error) {
  if (error) console.error(error); // it may also be a browser that cannot run it
  throw new Problem("reader_unavailable", `${name} cannot be fetched; check the connection and try again`);
}

/** Natural logarithms of the probabilities. @param {Float32Array} logits @param {number} temperature */
export function logSoftmax(logits, temperature) {
  const scaled = Float64Array.from(logits, (logit) => logit / temperature);
  const highest = scaled.reduce((most, value) => Math.max(most, value), -Infinity);
  const sum = scaled.reduce((total, value) => total + Math.exp(value - highest), 0);
  return scaled.map((value) => value - highest - Math.log(sum));
}

/** How far the best logit stands above the mean of all. @param {Float32Array} logits */
function evidence(logits) {
  const sum = logits.reduce((total, logit) => total + logit, 0);
  return logits.reduce((most, logit) => Math.max(most, logit), -Infinity) - sum / logits.length;
}

/** The classes of the `top` highest scores, the highest first. @param {Float32Array} scores @param {number} top */
function best(scores, top) {
  return [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b).slice(0, top);
}

/** To six digits after the point, as the server answers. @param {number} value */
export const rounded = (value) => Math.round(value * 1e6) / 1e6;
