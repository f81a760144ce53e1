/**
 * Picture files are made ready before they are sent or read: a camera's photo is scaled down, and a HEIC photo becomes a
 * JPEG where the browser can open it.
 */

import { ROOM } from "./batches.js";

/**
 * Pixels that are left. The reader averages a picture down to 96 pixels and looks twice closer at a small character, so
 * 4 megapixels lose nothing, while a photo of 48 would be refused and one of 12 takes long to send from a phone.
 */
const MOST = 4 * 2 ** 20;
/** Pixels that are left of a sheet: 500 characters then have 150 pixels a side each. A server takes up to 16 megapixels. */
const MOST_OF_SHEET = 12e6;
const QUALITY = 0.92; // of JPEG: strokes show no rings yet

/** Brands of ISO media files (bytes 8 to 11) in which phones store photos; browsers other than Safari open none. */
const HEIC = new Set(["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"]);

/** HEIC files that this browser cannot open. @type {WeakSet<Blob>} */
const unopened = new WeakSet();

/** Files that prepared() returned: a list asks again for those that its last call had no room for. @type {WeakSet<Blob>} */
const ready = new WeakSet();

/** @typedef {import("./http.js").Input} Input */

/**
 * The file, or a smaller one in its place. Never rejects: what cannot be opened here may still be read by the server.
 *
 * @param {Blob} file
 * @returns {Promise<Blob>}
 */
export async function prepared(file) {
  if (ready.has(file)) return file;
  const made = await scaled(file);
  ready.add(made);
  return made;
}

/**
 * The photograph of a sheet, made ready like a picture, but with room for hundreds of characters. Never rejects.
 *
 * @param {Blob} file @param {number} [bytes] that may be sent
 * @returns {Promise<Blob>}
 */
export async function preparedSheet(file, bytes = Infinity) {
  return scaled(file, MOST_OF_SHEET, file.size + ROOM > bytes);
}

/** @param {Blob} file @param {number} [most] pixels @param {boolean} [smaller] whether it is to be made a JPEG in any case */
async function scaled(file, most = MOST, smaller = false) {
  const heic = await isHeic(file);
  try {
    const { width, height } = await sizeOf(file);
    const scale = Math.min(1, Math.sqrt(most / (width * height)));
    if (scale === 1 && !heic && !smaller) return file;
    // Rounded down, since rounding both sides up could give more than MOST pixels.
    return await redrawn(file, Math.max(1, Math.floor(width * scale)), Math.max(1, Math.floor(height * scale)), most > MOST);
  } catch {
    if (heic) unopened.add(file);
    return file;
  }
}

/** @param {Blob} file */
async function isHeic(file) {
  // A folder or a file that is gone cannot be read; the reader says so in its own words.
  const head = await file.slice(4, 12).text().catch(() => "");
  return head.startsWith("ftyp") && HEIC.has(head.slice(4));
}

/**
 * Width and height as shown, so with the camera's orientation applied. An image element finds them in the file's head,
 * without decoding 48 megapixels.
 *
 * @param {Blob} file @returns {Promise<{width: number, height: number}>}
 */
async function sizeOf(file) {
  const url = URL.createObjectURL(file);
  try {
    const image = new Image();
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = reject;
      image.src = url;
    });
    return { width: image.naturalWidth, height: image.naturalHeight };
  } finally {
    URL.revokeObjectURL(url);
  }
}

/**
 * @param {Blob} file @param {number} width @param {number} height @param {boolean} opaque whether paper is white where it
 * is transparent @returns {Promise<Blob>}
 */
async function redrawn(file, width, height, opaque) {
  const bitmap = await createImageBitmap(file, {
    resizeWidth: width,
    resizeHeight: height,
    resizeQuality: "high",
    imageOrientation: "from-image",
  });
  try {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    if (!context) throw new Error("no canvas");
    if (opaque) {
      context.fillStyle = "#fff";
      context.fillRect(0, 0, width, height);
    }
    context.drawImage(bitmap, 0, 0);
    // Drawings may be transparent, which JPEG cannot keep.
    const drawing = !opaque && ["image/png", "image/webp", "image/gif"].includes(file.type);
    return await canvas.convertToBlob(drawing ? { type: "image/png" } : { type: "image/jpeg", quality: QUALITY });
  } finally {
    bitmap.close();
  }
}

/**
 * A reader that says of a HEIC photo what it is, and does not send it: the server could only say that it is no picture.
 *
 * @param {import("./http.js").Reader} reader
 * @returns {import("./http.js").Reader}
 */
export function withoutHeic(reader) {
  const isUnopened = (/** @type {Input} */ input) => "file" in input && unopened.has(input.file);
  const error = { code: "heic", message: "a HEIC photo; save it as JPEG" };
  const ask = /** @type {NonNullable<typeof reader.readSheet>} */ (reader.readSheet?.bind(reader));
  return {
    describe: () => reader.describe(),
    explain: (...question) => reader.explain(...question),
    lookup: (...question) => reader.lookup(...question),
    readSheet: reader.readSheet && (async (picture, options) => {
      if (isUnopened(picture)) throw Object.assign(new Error(error.message), error);
      return ask(picture, options);
    }),
    async read(inputs, options) {
      const others = inputs.filter((input) => !isUnopened(input));
      const results = others.length ? await reader.read(others, options) : [];
      let next = 0;
      return inputs.map((input) => {
        if (!isUnopened(input)) return results[next++];
        return { name: "name" in input ? input.name : undefined, error };
      });
    },
  };
}
