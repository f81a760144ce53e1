/**
 * No port: Python needs none, as Pillow does this for src/hanmo/image.py. The pixels of PNG files with an alpha channel, exactly. Canvases keep
 * colours multiplied by alpha, which shifts the grey of half transparent pixels by a level; that is enough to change a net's answer in the fifth digit.
 */

const HEAD = 8; // bytes before the first chunk
const CHANNELS = new Map([[4, 2], [6, 4]]); // of the colour types grey + alpha, RGB + alpha

/**
 * @param {DataView} head the file's beginning
 * @returns {boolean} whether pixelsOfPng can read it: alpha channel, 8 bits, not interlaced, as nearly all are
 */
export function hasAlphaChannel(head) {
  return head.byteLength > 28 && CHANNELS.has(head.getUint8(25)) && head.getUint8(24) === 8 && head.getUint8(28) === 0;
}

/**
 * @param {Blob} file whole and sound, of which hasAlphaChannel is true
 * @param {number} width @param {number} height in pixels
 * @returns {Promise<Uint8Array>} width * height * 4 levels, not multiplied by alpha
 */
export async function pixelsOfPng(file, width, height) {
  const view = new DataView(await file.arrayBuffer());
  const channels = CHANNELS.get(view.getUint8(25)) ?? 4;
  const stride = width * channels;
  const lines = await inflate(dataOf(view), height * (stride + 1));
  const out = new Uint8Array(width * height * 4);
  let above = new Uint8Array(stride);
  for (let y = 0; y < height; y += 1) {
    const start = y * (stride + 1);
    const line = lines.subarray(start + 1, start + 1 + stride);
    undoFilter(lines[start], line, above, channels);
    for (let x = 0; x < width; x += 1) {
      const [from, to] = [x * channels, (y * width + x) * 4];
      for (let c = 0; c < 3; c += 1) out[to + c] = line[from + (channels === 4 ? c : 0)];
      out[to + 3] = line[from + channels - 1];
    }
    above = line;
  }
  return out;
}

/** The compressed pixels, from all IDAT chunks. @param {DataView} view @returns {Blob} */
function dataOf(view) {
  /** @type {BlobPart[]} */
  const parts = [];
  let at = HEAD;
  while (at + 12 <= view.byteLength) {
    const length = view.getUint32(at);
    if (view.getUint32(at + 4) === 0x49444154) parts.push(new Uint8Array(/** @type {ArrayBuffer} */ (view.buffer), at + 8, length));
    at += length + 12; // length, name, data, checksum
  }
  return new Blob(parts);
}

/** The first `size` bytes of what was compressed; the rest is left. @param {Blob} data @param {number} size */
async function inflate(data, size) {
  const reader = data.stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const out = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const { done, value } = await reader.read();
    if (done) break;
    const part = value.subarray(0, size - filled);
    out.set(part, filled);
    filled += part.length;
  }
  reader.cancel().catch(() => {});
  return out;
}

/**
 * Filters tell a byte from its neighbours: the pixel before (a), the one above (b), the one before that (c).
 *
 * @param {number} kind 0 to 4 @param {Uint8Array} line is changed @param {Uint8Array} above @param {number} step
 */
function undoFilter(kind, line, above, step) {
  if (kind === 0) return;
  for (let i = 0; i < line.length; i += 1) {
    const [a, b, c] = i < step ? [0, above[i], 0] : [line[i - step], above[i], above[i - step]];
    line[i] += kind === 1 ? a : kind === 2 ? b : kind === 3 ? (a + b) >> 1 : nearest(a, b, c);
  }
}

/** Of a, b and c the one nearest to a + b - c. @param {number} a @param {number} b @param {number} c */
function nearest(a, b, c) {
  const [toA, toB, toC] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  if (toA <= toB && toA <= toC) return a;
  return toB <= toC ? b : c;
}
