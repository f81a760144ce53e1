/**
 * Reads the strokes that src/hanmo/serve/site.py packs, and mirrors src/hanmo/serve/glyphs.py: how a character is
 * written. The table is fetched when it is first needed.
 */

import { MEDIANS } from "../constants.js";
import { fetchFile } from "./net.js";

const { GRID } = MEDIANS;

/**
 * @param {URL} folder
 * @returns {Promise<Map<string, number[][][]>>} character -> strokes of points in the unit square, y down
 */
export async function openGlyphs(folder) {
  const packed = (await fetchFile(folder, "strokes.bin")).body;
  const unpacked = packed?.pipeThrough(new DecompressionStream("gzip"));
  return parseGlyphs(await new Response(unpacked).arrayBuffer());
}

/**
 * src/hanmo/serve/site.py describes the layout: characters, strokes of each, points of each stroke, points.
 *
 * @param {ArrayBuffer} raw
 * @returns {Map<string, number[][][]>}
 */
export function parseGlyphs(raw) {
  const view = new DataView(raw);
  const [count, nameBytes] = [view.getUint32(0, true), view.getUint32(4, true)];
  const characters = [...new TextDecoder().decode(new Uint8Array(raw, 8, nameBytes))];
  const strokesOf = new Uint8Array(raw, 8 + nameBytes, count);
  const strokes = strokesOf.reduce((sum, number) => sum + number, 0);
  const pointsOf = new Uint8Array(raw, 8 + nameBytes + count, strokes);
  let at = 8 + nameBytes + count + strokes;
  let stroke = 0;
  /** @type {Map<string, number[][][]>} */
  const glyphs = new Map();
  characters.forEach((character, i) => {
    const lines = [...pointsOf.subarray(stroke, stroke + strokesOf[i])].map((points) => {
      let [x, y] = [0, 0]; // a stroke's first step leads from the corner to where it begins
      return Array.from({ length: points }, () => {
        x += view.getInt16(at, true);
        y += view.getInt16(at + 2, true);
        at += 4;
        return [x / GRID, y / GRID];
      });
    });
    stroke += strokesOf[i];
    glyphs.set(character, lines);
  });
  return glyphs;
}
