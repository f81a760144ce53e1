/** A character drawn from its model strokes. */

import { t } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {"svg" | "polyline"} Name
 * @param {Name} name @param {Record<string, string | number>} attributes @returns {SVGElementTagNameMap[Name]}
 */
function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

/**
 * @param {string} character
 * @param {number[][][]} strokes in the unit square, y down
 * @returns {SVGSVGElement} that writes itself stroke by stroke when it gets the class "writing" (page.css)
 */
export function glyph(character, strokes) {
  const svg = make("svg", { viewBox: "-0.04 -0.04 1.08 1.08", class: "model", role: "img", lang: "zh-Hans" });
  svg.setAttribute("aria-label", t("glyph_label", { character, count: strokes.length }));
  let before = 0; // UNITS of the side the pen has gone: longer strokes take longer, as they do by hand
  for (const stroke of strokes) {
    const points = stroke.map(([x, y]) => `${x},${y}`).join(" ");
    const line = make("polyline", { points, pathLength: 1, fill: "none" });
    const length = stroke.slice(1).reduce((sum, [x, y], i) => sum + Math.hypot(x - stroke[i][0], y - stroke[i][1]), 0);
    line.style.setProperty("--start", `${before.toFixed(3)}s`);
    line.style.setProperty("--time", `${(0.12 + 0.45 * length).toFixed(3)}s`);
    before += 0.2 + 0.45 * length;
    svg.append(line);
  }
  return svg;
}

/** Write a glyph from its beginning. @param {SVGSVGElement} svg */
export function write(svg) {
  svg.classList.remove("writing");
  svg.getBoundingClientRect(); // the browser must see the class gone, or it would not begin anew
  svg.classList.add("writing");
}
