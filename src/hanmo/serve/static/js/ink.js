/**
 * Ink: strokes -> a canvas. Strokes are lists of [x, y, pressure], x and y in UNITS of the square's side.
 *
 * What one sees is about what is read. The reader draws strokes anew, with a pen of its own: 5 pixels wide where the
 * character's longer side has 96, times 0.6 at no pressure to 1.4 at full (src/hanmo/strokes.py). So the width a
 * person chooses can reach the reader as pressure only, and the ink on the page is as wide as the reader's pen would be
 * on a character that fills FILLED of the square. A smaller character is read with a finer pen than is shown, a larger
 * one with a bolder one; drawing that, too, would change the width of ink that is already on the paper.
 */

import { STROKES } from "./constants.js";

/** Length of the square's side in the strokes' coordinates. */
export const UNITS = 1000;

const FILLED = 0.8;
const { MAX_POINTS, SIDE, WIDTH, LIGHTEST, HEAVIEST } = STROKES;
const PEN = WIDTH / SIDE;

/** @param {number} pressure 0 to 1 @returns {number} the pen's width in UNITS of the square */
export function thickness(pressure) {
  return UNITS * FILLED * PEN * (LIGHTEST + (HEAVIEST - LIGHTEST) * pressure);
}

/**
 * The pressure to send: the width chosen on the page is the pen's usual pressure, and a pen that feels pressure moves
 * it up and down from there. Mice report 0.5 always; fingers report what their screen makes up, so both count as 0.5.
 * @param {number} weight the slider, 0 to 1 @param {PointerEvent} event @returns {number} 0 to 1
 */
export function pressureOf(weight, event) {
  const felt = event.pointerType === "pen" && event.pressure > 0 ? event.pressure : 0.5;
  return Math.min(1, Math.max(0, weight + (felt - 0.5)));
}

/**
 * @param {CanvasRenderingContext2D} context scaled so that the canvas's side is UNITS
 * @param {number[][][]} strokes
 */
export function paint(context, strokes) {
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const stroke of strokes) {
    const even = stroke.every((point) => point[2] === stroke[0][2]);
    if (stroke.length === 1) dot(context, stroke[0]);
    else if (even) evenLine(context, stroke);
    else pressedLine(context, stroke);
  }
}

/** @param {CanvasRenderingContext2D} context @param {number[]} point */
function dot(context, [x, y, pressure]) {
  context.beginPath();
  context.arc(x, y, thickness(pressure) / 2, 0, 2 * Math.PI);
  context.fill();
}

const middle = (/** @type {number[]} */ a, /** @type {number[]} */ b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2];

/** A curve through the middles between points, each point pulling at it: smooth, and never outside the points' hull. @param {CanvasRenderingContext2D} context @param {number[][]} stroke */
function evenLine(context, stroke) {
  const last = stroke[stroke.length - 1];
  context.lineWidth = thickness(last[2]);
  context.beginPath();
  context.moveTo(stroke[0][0], stroke[0][1]);
  for (let i = 1; i < stroke.length - 1; i++) {
    const [x, y] = middle(stroke[i], stroke[i + 1]);
    context.quadraticCurveTo(stroke[i][0], stroke[i][1], x, y);
  }
  context.lineTo(last[0], last[1]);
  context.stroke();
}

/** The same curve in short pieces, each as wide as the pressure says: a canvas knows no line of changing width. @param {CanvasRenderingContext2D} context @param {number[][]} stroke */
function pressedLine(context, stroke) {
  const PIECE = 6; // UNITS; shorter pieces show no difference
  let from = stroke[0];
  for (let i = 1; i < stroke.length; i++) {
    const [pull, to] = i < stroke.length - 1 ? [stroke[i], middle(stroke[i], stroke[i + 1])] : [from, stroke[i]];
    const length = Math.hypot(pull[0] - from[0], pull[1] - from[1]) + Math.hypot(to[0] - pull[0], to[1] - pull[1]);
    const pieces = Math.max(1, Math.ceil(length / PIECE));
    let [x, y] = from;
    for (let k = 1; k <= pieces; k++) {
      const s = k / pieces;
      const at = (/** @type {number} */ d) => (1 - s) ** 2 * from[d] + 2 * s * (1 - s) * pull[d] + s ** 2 * to[d];
      context.lineWidth = thickness(at(2));
      context.beginPath();
      context.moveTo(x, y);
      [x, y] = [at(0), at(1)];
      context.lineTo(x, y);
      context.stroke();
    }
    from = to;
  }
}

/**
 * Strokes as they are sent: no more points than a reader takes.
 * @param {number[][][]} strokes @param {number} [most] @returns {number[][][]}
 */
export function thin(strokes, most = MAX_POINTS) {
  const total = strokes.reduce((sum, stroke) => sum + stroke.length, 0);
  if (total <= most) return strokes;
  // Ends always stay, so an n-th of the points is aimed at and one more a stroke allowed for.
  const every = Math.ceil(total / Math.max(1, most - 2 * strokes.length));
  return strokes.map((stroke) => stroke.filter((_, i) => i % every === 0 || i === stroke.length - 1));
}
