/**
 * The reader that asks the server it came from. Addresses are relative, so that it also works below a proxy's folder.
 *
 * @typedef {{file: Blob, name: string}} Picture a picture file
 * @typedef {{strokes: number[][][]} | Picture} Input
 *   One character: strokes of points [x, y, pressure], y growing downwards, or a picture file.
 * @typedef {{character: string, probability: number, alike: string}} Candidate
 *   `alike` are the characters that look the same on a picture of one character
 * @typedef {"blank" | "no clear ink" | "several characters" | "touching the edge" | "unknown character"} Reason
 * @typedef {{name?: string, character: ?string, probability: number, refused: boolean, reason: ?Reason,
 *   candidates: Candidate[]}} Reading
 *   `reason` says why it is refused
 * @typedef {{name?: string, error: {code: string, message: string}}} Failure
 * @typedef {Partial<Reading & Failure>} Result one of both
 * @typedef {{name: string, precision: string, parameters: number, characters: number, sets: string[], licence: string, version: string,
 *   trained_on: object[], accuracy: Record<string, number>, keeps_corrections: boolean,
 *   limits: {pixels: number, strokes: number, points: number, pictures?: number, body_bytes?: number,
 *   sheet_timeout_seconds?: number}}} Model
 *   as GET /v1/model tells; a reader in the browser has no limits of a call
 * @typedef {{character: string, probability: number, side: number, square: string, size: number,
 *   heat: number[][]}} Why which ink speaks for a character, as POST /v1/explain tells
 * @typedef {{character: string, strokes: number[][][],
 *   look_alikes: {character: string, probability: number, strokes: number[][][]}[]}} Found
 *   a character's model strokes, as GET /v1/characters tells
 *
 * @typedef {object} Reader what reads: this one, or local/reader.js
 * @property {() => Promise<Model>} describe
 * @property {(inputs: Input[], options?: {top?: number, among?: string, signal?: AbortSignal}) => Promise<Result[]>} read
 *   one result an input, in their order; `among` are names of sets joined by "+", or characters
 * @property {(input: Input, character?: string | null, options?: {signal?: AbortSignal}) => Promise<Why>} explain
 * @property {(character: string, options?: {signal?: AbortSignal}) => Promise<Found>} lookup
 * @property {(picture: Picture, options: SheetOptions) => Promise<import("./sheet/page.js").Answer>} [readSheet]
 *   only where a server reads
 * @typedef {{direction: import("./sheet/page.js").Direction, context: boolean, among?: string, signal?: AbortSignal}} SheetOptions
 */

import { ROOM, opens } from "./batches.js";

/** Longer than the server itself takes at most: after that nobody is there. */
const PATIENCE = 9000;

/** Codes that speak of one picture, not of the call: they stand in the picture's place even when it came alone. */
const OF_ONE_PICTURE = new Set([
  "unsupported_format", "picture_too_large", "unusable_picture", "malformed_strokes", "body_too_large",
  "unreadable",
]);

/** A call failed as a whole; `code` is the server's, or "unreachable" or "timeout". */
export class ReaderError extends Error {
  /** @param {string} code @param {string} message @param {number} [retryAfter] seconds */
  constructor(code, message, retryAfter = 0) {
    super(message);
    this.name = "ReaderError";
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/**
 * One call. Rejects with ReaderError, or with the AbortError of `signal`.
 * @param {string} address @param {RequestInit & {signal?: ?AbortSignal}} [options] @param {number} [patience] ms
 * @returns {Promise<any>} the answer's JSON
 */
async function call(address, options = {}, patience = PATIENCE) {
  const stop = new AbortController();
  const outer = options.signal;
  const giveUp = () => stop.abort(outer?.reason);
  if (outer?.aborted) giveUp();
  outer?.addEventListener("abort", giveUp);
  const timer = setTimeout(() => stop.abort(new DOMException("", "TimeoutError")), patience);
  try {
    const answer = await fetch(address, { ...options, signal: stop.signal, cache: "no-store" });
    const body = await answer.json().catch((error) => {
      if (stop.signal.aborted) throw error;
      return null; // a proxy's page, not ours
    });
    if (answer.ok && body) return body;
    const { code = `http_${answer.status}`, message = "" } = body?.error ?? {};
    throw new ReaderError(code, message, Number(answer.headers.get("Retry-After")) || 0);
  } catch (error) {
    if (error instanceof ReaderError || outer?.aborted) throw error;
    if (stop.signal.aborted) throw new ReaderError("timeout", "no answer in time");
    throw new ReaderError("unreachable", String(error));
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", giveUp);
  }
}

/** @param {Input[]} inputs of one kind @returns {RequestInit} */
function bodyOf(inputs) {
  if ("strokes" in inputs[0]) {
    const characters = inputs.map((input) => ("strokes" in input ? { strokes: input.strokes } : null));
    const body = JSON.stringify(characters.length === 1 ? characters[0] : { characters });
    return { method: "POST", body, headers: { "Content-Type": "application/json" } };
  }
  const form = new FormData();
  for (const input of inputs) if ("file" in input) form.append("files", input.file, input.name);
  return { method: "POST", body: form };
}

/**
 * What would break the connection off is not sent: browsers then tell no more than that it failed.
 * @param {Blob} file @param {number} most bytes
 */
async function checkFile(file, most) {
  if (file.size + ROOM > most) throw new ReaderError("body_too_large", "too large to send");
  if (!(await opens(file))) throw new ReaderError("unreadable", "cannot be opened");
}

/** @param {Input} input */
const nameOf = (input) => ("name" in input ? input.name : undefined);

/**
 * @param {Input[]} inputs of one kind @param {string} query @param {AbortSignal | undefined} signal
 * @param {number} most bytes of a body
 * @returns {Promise<Result[]>}
 */
async function readAlike(inputs, query, signal, most) {
  try {
    if (inputs.length === 1 && "file" in inputs[0]) await checkFile(inputs[0].file, most);
    const { results } = await call(`v1/recognize?${query}`, { ...bodyOf(inputs), signal });
    return results.map((/** @type {Result} */ result, /** @type {number} */ i) => ({ ...result, name: nameOf(inputs[i]) }));
  } catch (error) {
    if (inputs.length > 1 || !OF_ONE_PICTURE.has(error.code)) throw error;
    return [{ name: nameOf(inputs[0]), error: { code: error.code, message: error.message } }];
  }
}

/**
 * Give the server a picture or strokes to keep with the character. Rejects with ReaderError.
 * @param {Input} input @param {string} character @returns {Promise<{kept: number}>} how many the server keeps now
 */
export function sendCorrection(input, character) {
  const address = `v1/corrections?character=${encodeURIComponent(character)}`;
  if ("strokes" in input) return call(address, bodyOf([input]));
  // No form, and a type in any case: the server refuses what other sites could send as well.
  const type = input.file.type.startsWith("image/") ? input.file.type : "image/png";
  return call(address, { method: "POST", body: input.file, headers: { "Content-Type": type } });
}

class HttpReader {
  #most = Infinity; // bytes of a body
  #sheetPatience = 64_000; // as PATIENCE, for a sheet

  /** @returns {Promise<Model>} the model, its licence, accuracy and limits, as GET /v1/model tells */
  async describe() {
    const model = await call("v1/model");
    this.#most = model.limits.body_bytes;
    this.#sheetPatience = 1000 * model.limits.sheet_timeout_seconds + (PATIENCE - 5000);
    return model;
  }

  /**
   * @param {Input[]} inputs
   * @param {{top?: number, among?: string, signal?: AbortSignal}} [options]
   * @returns {Promise<Result[]>} one an input, in their order
   */
  async read(inputs, { top = 10, among, signal } = {}) {
    const query = new URLSearchParams({ top: String(top), ...(among === undefined ? {} : { among }) }).toString();
    const kinds = [inputs.filter((i) => "strokes" in i), inputs.filter((i) => !("strokes" in i))];
    const answers = new Map();
    for (const alike of kinds.filter((kind) => kind.length)) {
      const results = await readAlike(alike, query, signal, this.#most);
      alike.forEach((input, i) => answers.set(input, results[i]));
    }
    return inputs.map((input) => answers.get(input));
  }

  /**
   * The photograph of a sheet, as POST /v1/sheets reads it. Rejects with ReaderError.
   * @param {Picture} picture @param {SheetOptions} options
   * @returns {Promise<import("./sheet/page.js").Answer>}
   */
  async readSheet({ file }, { direction, context, among, signal }) {
    await checkFile(file, this.#most);
    const query = new URLSearchParams({ direction, context: String(context), ...(among === undefined ? {} : { among }) });
    // As plain bytes: a form would only add a name that nobody needs.
    const headers = { "Content-Type": "application/octet-stream" };
    return call(`v1/sheets?${query}`, { method: "POST", body: file, headers, signal }, this.#sheetPatience);
  }

  /**
   * Which ink speaks for a character.
   * @param {Input} input @param {?string} character null: the best candidate @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Why>}
   */
  explain(input, character, { signal } = {}) {
    const query = character ? `?character=${encodeURIComponent(character)}` : "";
    return call(`v1/explain${query}`, { ...bodyOf([input]), signal });
  }

  /**
   * The character's model strokes, and what the reader sees in them besides it.
   * @param {string} character @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Found>}
   */
  lookup(character, { signal } = {}) {
    return call(`v1/characters/${encodeURIComponent(character)}`, { signal });
  }
}

/** @returns {Promise<HttpReader>} */
export async function open() {
  return new HttpReader();
}
