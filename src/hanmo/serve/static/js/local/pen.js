/**
 * Port of what src/hanmo/strokes.py draws with: Pillow's lines and ellipses, as a round pen on black and white pixels.
 *
 * The net's answers depend on single pixels, so the same pixels are set here: positions are cut to whole pixels, and a
 * line or a disc is rounded by Pillow's rules, in single precision where Pillow computes in single precision.
 * tests/serve/test_local.py compares both pixel by pixel.
 */

const single = Math.fround;

/** Rounds halves away from zero. @param {number} v @returns {number} */
const halfAway = (v) => (v >= 0 ? Math.floor(v + 0.5) : -Math.floor(-v + 0.5));

/** Rounds halves towards zero. @param {number} v @returns {number} */
const halfToZero = (v) => (v >= 0 ? Math.ceil(v - 0.5) : -Math.ceil(-v - 0.5));

/** Pixels of which 1 is ink; there must be room around what is drawn, since nothing is clipped. */
export class Sheet {
  /** @param {number} width @param {number} height in pixels */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.pixels = new Uint8Array(width * height);
  }

  /** @param {number} y @param {number} from first column @param {number} to last column */
  row(y, from, to) {
    if (from <= to) this.pixels.fill(1, y * this.width + from, y * this.width + to + 1);
  }
}

/**
 * A straight line `width` (at least 3) pixels wide, its ends cut straight.
 *
 * @param {Sheet} sheet
 * @param {number[]} start x, y
 * @param {number[]} end x, y
 * @param {number} width a whole number
 */
export function drawLine(sheet, start, end, width) {
  const [x0, y0] = start.map(Math.trunc);
  const [x1, y1] = end.map(Math.trunc);
  const [dx, dy] = [x1 - x0, y1 - y0];
  if (dx === 0 && dy === 0) {
    sheet.row(y0, x0, x0);
    return;
  }
  const length = Math.sqrt(dx * dx + dy * dy);
  // An even width has its odd pixel on one side.
  const more = halfAway((width - 1) / 2) / length;
  const less = halfToZero((width - 1) / 2) / length;
  const [left, right] = [halfToZero(less * dy), halfToZero(more * dy)];
  const [above, below] = [halfToZero(less * dx), halfToZero(more * dx)];
  fillConvex(sheet, [
    [x0 - left, y0 + below],
    [x1 - left, y1 + below],
    [x1 + right, y1 - above],
    [x0 + right, y0 - above],
  ]);
}

/**
 * A convex polygon with corners on whole pixels: each row is filled from its leftmost crossing to its rightmost.
 *
 * @param {Sheet} sheet
 * @param {number[][]} corners x, y, in order
 */
function fillConvex(sheet, corners) {
  const edges = corners.map((corner, i) => edgeBetween(corner, corners[(i + 1) % corners.length]));
  const top = Math.min(...corners.map((corner) => corner[1]));
  const bottom = Math.max(...corners.map((corner) => corner[1]));
  const slanted = edges.filter((edge) => edge.top < edge.bottom);
  for (let y = top; y <= bottom; y += 1) {
    let [low, high] = [Infinity, -Infinity];
    for (const edge of slanted) {
      if (edge.top <= y && y <= edge.bottom) {
        low = Math.min(low, edge.at(y));
        high = Math.max(high, edge.at(y));
      }
    }
    if (y === top || y === bottom) {
      const tip = reach(slanted, y, y === top ? 1 : -1);
      low = Math.min(low, tip);
      high = Math.max(high, tip);
    }
    sheet.row(y, halfAway(single(low)), halfToZero(single(high)));
  }
  for (const edge of edges) {
    if (edge.top === edge.bottom) sheet.row(edge.top, edge.left, edge.right);
  }
}

/** @param {number[]} a @param {number[]} b */
function edgeBetween([xa, ya], [xb, yb]) {
  const slope = single((xb - xa) / (yb - ya));
  return {
    top: Math.min(ya, yb),
    bottom: Math.max(ya, yb),
    left: Math.min(xa, xb),
    right: Math.max(xa, xb),
    slope,
    /** @param {number} y @returns {number} where row y crosses the edge */
    at: (y) => single(single((y - ya) * slope) + xa),
  };
}

/**
 * How far a pointed first or last row reaches: where both its edges run the same way, the tip is stretched towards the
 * row beside it, or it would stand apart.
 *
 * @param {ReturnType<typeof edgeBetween>[]} slanted
 * @param {number} y @param {1 | -1} inwards
 * @returns {number}
 */
function reach(slanted, y, inwards) {
  const meeting = slanted.filter((edge) => (inwards === 1 ? edge.top : edge.bottom) === y);
  const [one, other] = meeting; // always two: the polygon has a left side and a right one
  const tip = one.at(y);
  const pointed = Math.round(one.at(y)) === Math.round(other.at(y));
  if (!pointed || one.slope === 0 || other.slope === 0) return tip;
  const next = [one.at(y + inwards), other.at(y + inwards)];
  if (tip > Math.max(...next) + 1) return halfAway(Math.max(...next)) + 1;
  if (tip < Math.min(...next) - 1) return halfAway(Math.min(...next)) - 1;
  return tip;
}

/**
 * A filled disc in the box from `centre - radius` to `centre + radius`.
 *
 * @param {Sheet} sheet
 * @param {number[]} centre x, y
 * @param {number} radius in pixels
 */
export function drawDisc(sheet, [x, y], radius) {
  const [left, top] = [Math.trunc(x - radius), Math.trunc(y - radius)];
  const [width, height] = [Math.trunc(x + radius) - left, Math.trunc(y + radius) - top];
  for (const [row, half] of halfWidths(width, height)) {
    for (const at of row ? [row, -row] : [row]) {
      sheet.row(top + (height + at) / 2, left + (width - half) / 2, left + (width + half) / 2);
    }
  }
}

/** @type {Map<number, Map<number, number>>} */
const known = new Map();

/**
 * Rows of an ellipse, in half pixels from its middle: row -> half of its width. The lower right quarter is walked from
 * the right end to the lowest point, each step to the neighbour that lies nearest to the curve.
 *
 * @param {number} width @param {number} height
 * @returns {Map<number, number>}
 */
function halfWidths(width, height) {
  const key = width * 65536 + height;
  const before = known.get(key);
  if (before) return before;
  const [a2, b2] = [width * width, height * height];
  const off = (/** @type {number[]} */ [x, y]) => Math.abs(a2 * y * y + b2 * x * x - a2 * b2);
  let place = [width, height % 2];
  const halves = new Map([[place[1], place[0]]]);
  while (place[0] !== width % 2 || place[1] !== height) {
    const [x, y] = place;
    const steps = x > 1 ? [[x, y + 2], [x - 2, y + 2], [x - 2, y]] : [[x, y + 2]];
    place = steps.reduce((best, step) => (off(step) < off(best) ? step : best));
    if (!halves.has(place[1])) halves.set(place[1], place[0]);
  }
  known.set(key, halves);
  return halves;
}
