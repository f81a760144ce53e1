/**
 * The reader that asks the server it came from. Addresses are relative, so that it also works below a proxy's folder.
 *
 * @typedef {{strokes: number[][][]} | {file: Blob, name: string}} Input
 *   One character: strokes of points [x, y, pressure], y growing downwards, or a picture file.
 * @typedef {{character: string, probability: number}} Candidate
 * @typedef {{name?: string, character: ?string, probability: number, refused: boolean, reason: ?string,
 *   candidates: Candidate[]}} Reading
 *   `reason` says why it is refused: blank, no clear ink, several characters, touching the edge, unknown character
 * @typedef {{name?: string, error: {code: string, message: string}}} Failure
 */

/** Longer than the server itself takes at most: after that nobody is there. */
const PATIENCE = 9000;

/** Codes that speak of one picture, not of the call: they stand in the picture's place even when it came alone. */
const OF_ONE_PICTURE = new Set([
  "unsupported_format", "picture_too_large", "unusable_picture", "malformed_strokes", "body_too_large",
  "unreadable",
]);
const FORM = 1024; // bytes a form adds to a picture at most

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
 * @param {string} address @param {RequestInit & {signal?: ?AbortSignal}} [options]
 * @returns {Promise<any>} the answer's JSON
 */
async function call(address, options = {}) {
  const stop = new AbortController();
  const outer = options.signal;
  const giveUp = () => stop.abort(outer?.reason);
  if (outer?.aborted) giveUp();
  outer?.addEventListener("abort", giveUp);
  const timer = setTimeout(() => stop.abort(new DOMException("", "TimeoutError")), PATIENCE);
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
    const characters = inputs.map((input) => ({ strokes: input.strokes }));
    const body = JSON.stringify(characters.length === 1 ? characters[0] : { characters });
    return { method: "POST", body, headers: { "Content-Type": "application/json" } };
  }
  const form = new FormData();
  for (const { file, name } of inputs) form.append("files", file, name);
  return { method: "POST", body: form };
}

/** What would break the connection off is not sent: browsers then tell no more than that it failed. */
async function checkFile(file, most) {
  if (file.size + FORM > most) throw new ReaderError("body_too_large", "too large to send");
  await file.slice(0, 1).arrayBuffer().catch(() => {
    throw new ReaderError("unreadable", "cannot be opened");
  });
}

/** @param {Input[]} inputs of one kind @returns {Promise<(Reading|Failure)[]>} */
async function readAlike(inputs, top, signal, most) {
  try {
    if (inputs.length === 1 && "file" in inputs[0]) await checkFile(inputs[0].file, most);
    const { results } = await call(`v1/recognize?top=${top}`, { ...bodyOf(inputs), signal });
    return results.map((result, i) => ({ ...result, name: inputs[i].name }));
  } catch (error) {
    if (inputs.length > 1 || !OF_ONE_PICTURE.has(error.code)) throw error;
    return [{ name: inputs[0].name, error: { code: error.code, message: error.message } }];
  }
}

class HttpReader {
  #most = Infinity; // bytes of a body

  /** @returns {Promise<object>} the model, its licence, accuracy and limits, as GET /v1/model tells */
  async describe() {
    const model = await call("v1/model");
    this.#most = model.limits.body_bytes;
    return model;
  }

  /**
   * @param {Input[]} inputs
   * @param {{top?: number, signal?: AbortSignal}} [options]
   * @returns {Promise<(Reading|Failure)[]>} one an input, in their order
   */
  async read(inputs, { top = 10, signal } = {}) {
    const kinds = [inputs.filter((i) => "strokes" in i), inputs.filter((i) => !("strokes" in i))];
    const answers = new Map();
    for (const alike of kinds.filter((kind) => kind.length)) {
      const results = await readAlike(alike, top, signal, this.#most);
      alike.forEach((input, i) => answers.set(input, results[i]));
    }
    return inputs.map((input) => answers.get(input));
  }

  /**
   * Which ink speaks for a character.
   * @param {Input} input @param {?string} character null: the best candidate @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<{character: string, probability: number, side: number, square: string, size: number,
   *   heat: number[][]}>}
   */
  explain(input, character, { signal } = {}) {
    const query = character ? `?character=${encodeURIComponent(character)}` : "";
    return call(`v1/explain${query}`, { ...bodyOf([input]), signal });
  }

  /**
   * The character's model strokes, and what the reader sees in them besides it.
   * @param {string} character @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<{character: string, strokes: number[][][],
   *   look_alikes: {character: string, probability: number, strokes: number[][][]}[]}>}
   */
  lookup(character, { signal } = {}) {
    return call(`v1/characters/${encodeURIComponent(character)}`, { signal });
  }
}

/** @returns {Promise<HttpReader>} */
export async function open() {
  return new HttpReader();
}
