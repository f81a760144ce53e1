/** Many pictures -> calls that a reader takes. */

/** Pictures in one call: many large photographs take longer than a reader may, and progress is seen sooner. */
export const AT_ONCE = 16;

/** Bytes that a form adds to a picture at most: the head of its part, with the file's name. */
export const ROOM = 1024;

/**
 * Whether a file can be read: a folder, or a file that is gone, cannot.
 * @param {Blob} file @returns {Promise<boolean>}
 */
export async function opens(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/**
 * @template {{file: Blob, name: string}} Picture
 * @param {Picture[]} pictures
 * @param {{pictures?: number, body_bytes?: number}} [limits] of a call; none: no limit
 * @returns {{fitting: Picture[][], tooLarge: Picture[]}} in their order
 */
export function batches(pictures, limits = {}) {
  const { pictures: most = AT_ONCE, body_bytes: bytes = Infinity } = limits;
  /** @type {Picture[][]} */
  const fitting = [];
  /** @type {Picture[]} */
  const tooLarge = [];
  /** @type {Picture[]} */
  let batch = [];
  let room = 0;
  for (const picture of pictures) {
    const size = picture.file.size + ROOM;
    if (size > bytes) {
      tooLarge.push(picture);
      continue;
    }
    if (!fitting.length || size > room || batch.length >= Math.min(AT_ONCE, most)) {
      fitting.push((batch = []));
      room = bytes;
    }
    batch.push(picture);
    room -= size;
  }
  return { fitting, tooLarge };
}

/**
 * Read a batch. One that takes too long, or more places than are free, is read in halves; a busy reader is waited for.
 * @param {import("./http.js").Reader} reader @param {{file: Blob, name: string}[]} batch @param {AbortSignal} signal
 * @param {number} [attempts]
 * @returns {Promise<import("./http.js").Result[]>} one result a picture; rejects where nobody answers or `signal` says stop
 */
export async function readBatch(reader, batch, signal, attempts = 3) {
  try {
    return await reader.read(batch, { top: 10, signal });
  } catch (error) {
    if (signal.aborted || !["busy", "timeout", "body_timeout", "body_too_large"].includes(error.code)) throw error;
    if (error.code === "busy") {
      if (attempts < 1) throw error;
      await new Promise((done) => setTimeout(done, 1000 * (error.retryAfter || 1)));
    } else if (batch.length === 1) {
      return [{ name: batch[0].name, error: { code: error.code, message: error.message } }];
    }
    signal.throwIfAborted();
    if (batch.length === 1) return readBatch(reader, batch, signal, attempts - 1);
    const half = Math.ceil(batch.length / 2);
    const first = await readBatch(reader, batch.slice(0, half), signal, attempts - 1);
    return [...first, ...(await readBatch(reader, batch.slice(half), signal, attempts - 1))];
  }
}
