/**
 * Port of the first half of src/hanmo/image.py: a picture's file becomes a grey picture. The first bytes decide its
 * format, and its size is checked before it is decoded.
 */

import { IMAGE, LEVELS } from "../constants.js";
import { fromPixels, inkDark } from "./grey.js";
import { hasAlphaChannel, pixelsOfPng } from "./png.js";
import { Problem, tooLarge, unusable } from "./problem.js";

const { MAX_BYTES } = IMAGE;
const { MAX_PIXELS, MAX_SIDE } = LEVELS;
const HEAD = 1 << 18; // a JPEG keeps its size behind its metadata, often 64 KiB of it, at times more

/**
 * What the server takes as well but browsers do not show is told apart, so that the advice fits.
 *
 * @type {[string, string[], ((head: DataView) => [number, number] | null) | null][]}
 */
const FORMATS = [
  ["PNG", ["\x89PNG\r\n\x1a\n"], sizeOfPng],
  ["JPEG", ["\xff\xd8\xff"], sizeOfJpeg],
  ["WEBP", ["RIFF"], sizeOfWebp],
  ["BMP", ["BM"], sizeOfBmp],
  ["GIF", ["GIF87a", "GIF89a"], sizeOfGif],
  ["TIFF", ["II*\0", "MM\0*"], null],
  ["PPM", ["P1", "P2", "P3", "P4", "P5", "P6"], null],
];
const STRANGERS = [["%PDF", "a PDF"], ["<svg", "an SVG drawing"], ["<?xml", "an SVG drawing or other XML"]];
const REMEDY = "save it as PNG, JPEG, WebP, BMP or GIF";

/**
 * @param {Blob} file
 * @returns {Promise<import("./strokes.js").Grey>}
 * @throws {Problem}
 */
export async function load(file) {
  if (!file.size) throw unusable("the file is empty; save the picture again");
  if (file.size > MAX_BYTES) {
    throw tooLarge(`the file is larger than ${MAX_BYTES / 2 ** 20} MiB; save a smaller picture`);
  }
  const head = new DataView(await file.slice(0, HEAD).arrayBuffer());
  const start = text(head, 0, 64);
  const format = FORMATS.find(([, heads]) => heads.some((begin) => start.startsWith(begin)));
  if (!format) throw new Problem("unsupported_format", `${stranger(start)}; ${REMEDY}`);
  const [name, , sizeOf] = format;
  if (!sizeOf) throw new Problem("unsupported_format", `a ${name}, which this browser cannot read; ${REMEDY}`);
  const size = sizeOf(head);
  if (size) checkSize(...size);
  // Colours are taken as they are stored, like Pillow does: no profile, no premultiplied alpha before the canvas.
  const options = /** @type {ImageBitmapOptions} */ ({ colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const bitmap = await createImageBitmap(file, options).catch(() => {
    throw unusable(`damaged ${name} (it cannot be decoded); save the picture again`);
  });
  try {
    const { width, height } = bitmap;
    checkSize(width, height);
    const exact = name === "PNG" && hasAlphaChannel(head);
    return inkDark(fromPixels(width, height, exact ? await pixelsOfPng(file, width, height) : pixelsOf(bitmap)));
  } finally {
    bitmap.close();
  }
}

/** @param {ImageBitmap} bitmap @returns {Uint8ClampedArray} */
function pixelsOf(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw unusable("this browser gives no canvas to decode it with; use another one");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

/** @param {number} width @param {number} height */
function checkSize(width, height) {
  if (width < 1 || height < 1) throw unusable(`${width}x${height} holds no pixels; save the picture again`);
  if (width * height > MAX_PIXELS) {
    const most = MAX_PIXELS.toLocaleString("en");
    throw tooLarge(`${width}x${height} is more than ${most} pixels; save a smaller picture`);
  }
  if (Math.max(width, height) > MAX_SIDE) {
    const most = MAX_SIDE.toLocaleString("en");
    throw tooLarge(`${width}x${height} is longer than ${most} pixels; cut the character out`);
  }
}

/** @param {string} start */
function stranger(start) {
  const shown = start.replace(/^[\xef\xbb\xbf \t\r\n]+/, ""); // without byte order mark and white space
  return STRANGERS.find(([begin]) => shown.startsWith(begin))?.[1] ?? "not a picture";
}

/** @param {DataView} view @param {number} at @param {number} length @returns {string} one character a byte */
function text(view, at, length) {
  const end = Math.min(at + length, view.byteLength);
  return String.fromCharCode(...new Uint8Array(view.buffer, Math.min(at, end), Math.max(end - at, 0)));
}

/*
 * Width and height as the header claims them; null where it is cut short or unusual: then the decoder has the last
 * word, and what it made is measured again.
 */

/** @param {DataView} head @returns {[number, number] | null} */
function sizeOfPng(head) {
  return head.byteLength < 24 ? null : [head.getUint32(16), head.getUint32(20)];
}

/** @param {DataView} head @returns {[number, number] | null} */
function sizeOfGif(head) {
  return head.byteLength < 10 ? null : [head.getUint16(6, true), head.getUint16(8, true)];
}

/** @param {DataView} head @returns {[number, number] | null} */
function sizeOfBmp(head) {
  if (head.byteLength < 26) return null;
  if (head.getUint32(14, true) === 12) return [head.getUint16(18, true), head.getUint16(20, true)];
  return [Math.abs(head.getInt32(18, true)), Math.abs(head.getInt32(22, true))]; // negative: from the top down
}

/** @param {DataView} head @returns {[number, number] | null} */
function sizeOfWebp(head) {
  if (head.byteLength < 30) return null;
  switch (text(head, 12, 4)) {
    case "VP8 ":
      return [head.getUint16(26, true) & 0x3fff, head.getUint16(28, true) & 0x3fff];
    case "VP8L": {
      const bits = head.getUint32(21, true);
      return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
    }
    case "VP8X": // two numbers of three bytes, each less one
      return [(head.getUint32(24, true) & 0xffffff) + 1, (head.getUint32(26, true) >>> 8) + 1];
    default:
      return null;
  }
}

/** @param {DataView} head @returns {[number, number] | null} */
function sizeOfJpeg(head) {
  let at = 2;
  while (at + 9 <= head.byteLength) {
    const marker = head.getUint8(at + 1);
    if (head.getUint8(at) !== 0xff) return null;
    // Frame headers are C0 to CF, less tables (C4), reserved (C8) and arithmetic conditioning (CC).
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) return [head.getUint16(at + 7), head.getUint16(at + 5)];
    at += marker === 0xff ? 1 : 2 + head.getUint16(at + 2);
  }
  return null;
}
