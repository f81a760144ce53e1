/**
 * Picture files are made ready before they are sent or read: a camera's photo is scaled down, and a HEIC photo becomes a
 * JPEG where the browser can open it.
 */

/**
 * Pixels that are left. The reader averages a picture down to 96 pixels and looks twice closer at a small character, so
 * 4 megapixels lose nothing, while a photo of 48 would be refused and one of 12 takes long to send from a phone.
 */
const MOST = 4 * 2 ** 20;
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

/** @param {Blob} file @returns {Promise<Blob>} */
async function scaled(file) {
  const heic = await isHeic(file);
  try {
    const { width, height } = await sizeOf(file);
    const scale = Math.min(1, Math.sqrt(MOST / (width * height)));
    if (scale === 1 && !heic) return file;
    // Rounded down, since rounding both sides up could give more than MOST pixels.
    return await redrawn(file, Math.max(1, Math.floor(width * scale)), Math.max(1, Math.floor(height * scale)));
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

/** @param {Blob} file @param {number} width @param {number} height @returns {Promise<Blob>} */
async function redrawn(file, width, height) {
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
    context.drawImage(bitmap, 0, 0);
    // Drawings may be transparent, which JPEG cannot keep.
    const drawing = ["image/png", "image/webp", "image/gif"].includes(file.type);
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
  return {
    describe: () => reader.describe(),
    explain: (...question) => reader.explain(...question),
    lookup: (...question) => reader.lookup(...question),
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
