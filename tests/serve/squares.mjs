// Reads cases as JSON from standard input, answers as JSON: what the page's own modules make of strokes and pictures.
//   {strokes}                               -> {width, height, levels (base64), square (base64), remark}
//                                              or {code, message}
//   {width, height, levels | rgba (base64)} -> the same
import { readFileSync } from "node:fs";

const [, , folder, side, margin, version] = process.argv;
const load = (name) => import(`${folder}/${name}.js`);
const [{ draw }, { inspect }, { fromPixels, inkDark }] = await Promise.all(["strokes", "normalize", "grey"].map(load));
const settings = { method: "fit", version: Number(version), side: Number(side), margin: Number(margin) };
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const text = (array) => Buffer.from(array).toString("base64");

function greyOf({ strokes, width, height, levels, rgba }) {
  if (strokes) return draw(strokes);
  return inkDark(rgba ? fromPixels(width, height, bytes(rgba)) : { width, height, levels: bytes(levels) });
}

const answers = JSON.parse(readFileSync(0, "utf8")).map((given) => {
  try {
    const { width, height, levels } = greyOf(given);
    const { square, remark } = inspect({ width, height, levels }, settings);
    return { width, height, levels: text(levels), square: text(square), remark };
  } catch (error) {
    if (!error.code) throw error;
    return { code: error.code, message: error.message };
  }
});
process.stdout.write(JSON.stringify(answers));
