/**
 * Port of src/hanmo/paper.py, background.py and noise.py: a grey picture of paper becomes the ink on it. Nearly all
 * arithmetic is in whole numbers, so that every decision is the same as in Python.
 */

import { BACKGROUND, PAPER } from "../constants.js";
import { blank, faint } from "./problem.js";

export const { SIDE, MIN_CONTRAST, VISIBLE, RIM } = PAPER;
const { DEAD_ZONE, IMPULSE, IMPULSES, DENSE, LEFT, NOISE } = PAPER;
const { UNEVEN, TILES, CLOSING } = BACKGROUND;
const RAISED = BACKGROUND.PAPER; // the level that the background is raised to

/** @typedef {import("./strokes.js").Grey} Grey */

/**
 * @param {Grey} grey ink dark, at most SIDE pixels a side
 * @param {boolean} keepFaint whether the faintest pixels of a picture without noise and shadows are ink
 * @returns {{ink: Grey, noiseless: boolean}} 0 = paper, 255 = ink; and whether the picture is free of noise
 * @throws {import("./problem.js").Problem} where nothing is written, or noise hides what is
 */
export function inkOf(grey, keepFaint) {
  const flat = flatten(grey);
  const noise = noiseOf(flat); // measured first, since the next step would hide it
  const clean = withoutImpulses(flat);
  const { passes, seen, paper, dark } = denoised(clean, noise);
  const left = Math.floor((noise * LEFT[passes]) / 1000); // the noise that smoothing left, in 1/64 grey levels
  const contrast = paper - dark;
  if (contrast < MIN_CONTRAST) {
    throw blank(
      `the picture is blank: paper and ink differ by ${contrast} grey levels of 255, ${MIN_CONTRAST} needed`,
    );
  }
  if (contrast * 64 < 5 * left) {
    throw faint("the picture shows no clear ink: whatever is written drowns in noise; take a sharper one");
  }
  const noiseless = noise === 0 && clean.levels === flat.levels;
  const dead = Math.min(Math.max(DEAD_ZONE, Math.floor((2000 * left) / (64 * contrast))), 999);
  const even = flat.levels === grey.levels;
  let ink = inkLevels(paper, dark, dead);
  if (keepFaint && noiseless && even && hasSoftEdgesOnly(seen, paper, ink)) ink = inkLevels(paper, dark, 0);
  return { ink: { ...seen, levels: seen.levels.map((level) => ink[level]) }, noiseless };
}

/**
 * Whether fewer pixels are faint than are ink: there is no shadow or veil on the paper.
 *
 * @param {Grey} grey @param {number} paper @param {Uint8ClampedArray} ink of each level
 */
function hasSoftEdgesOnly({ levels }, paper, ink) {
  let [inked, below] = [0, 0];
  for (const level of levels) {
    if (level < paper) below += 1;
    if (ink[level] > 0) inked += 1;
  }
  return below < 2 * inked;
}

/**
 * The ink, 0 to 255, of each of the 256 grey levels: none up to `dead` thousandths of the contrast.
 *
 * @param {number} paper @param {number} dark @param {number} dead
 */
function inkLevels(paper, dark, dead) {
  const contrast = paper - dark;
  return Uint8ClampedArray.from({ length: 256 }, (_, level) =>
    Math.floor((255 * ((paper - level) * 1000 - dead * contrast)) / ((1000 - dead) * contrast)),
  );
}

/**
 * The passes of smoothing that a picture needs, the smoothed picture, and the levels of its paper and ink.
 *
 * @param {Grey} grey @param {number} noise its deviation in 1/64 grey levels
 * @returns {{passes: 0 | 2 | 4, seen: Grey, paper: number, dark: number}}
 */
function denoised(grey, noise) {
  // Little noise even if the contrast were one level, so nothing need be smoothed.
  if (passesFor(noise, 1) === 0) return { passes: 0, seen: grey, ...levelsOf(grey) };
  // Noise spreads the grey levels, so the contrast is measured on the smoothed picture.
  const smooth = smoothed(grey, 2);
  const levels = levelsOf(smooth);
  const passes = passesFor(noise, levels.paper - levels.dark);
  if (passes === 2) return { passes, seen: smooth, ...levels };
  const seen = passes ? smoothed(smooth, passes - 2) : grey;
  return { passes, seen, ...levelsOf(seen) };
}

/**
 * How often to smooth: noise in 1/64 grey levels beside the contrast in grey levels.
 *
 * @param {number} noise @param {number} contrast
 * @returns {0 | 2 | 4}
 */
function passesFor(noise, contrast) {
  const ratio = Math.floor((noise * 100) / (64 * Math.max(contrast, 1)));
  return ratio < NOISE[0] ? 0 : ratio < NOISE[1] ? 2 : 4;
}

/**
 * Divides by the background where that is uneven; the paper then has the level RAISED everywhere.
 *
 * @param {Grey} grey
 * @returns {Grey}
 */
function flatten(grey) {
  const { width, height, levels } = grey;
  const tile = Math.max(2, roundHalfEven(Math.max(height, width) / TILES));
  const background = least(greatest(tileMeans(grey, tile), CLOSING), CLOSING);
  const range = [...background.levels].sort((a, b) => a - b);
  if (range[range.length - 1] - range[0] < UNEVEN) return grey;
  const { levels: coarse, width: across, height: down } = smoothed(background, 2);
  const [rows, columns] = [betweenTiles(height, tile, down), betweenTiles(width, tile, across)];
  const flat = new Uint8Array(width * height);
  for (let y = 0, i = 0; y < height; y += 1) {
    const row = rows[y];
    for (let x = 0; x < width; x += 1, i += 1) {
      const column = columns[x];
      const along = (/** @type {number} */ line) =>
        (64 - column.share) * coarse[line * across + column.first] + column.share * coarse[line * across + column.next];
      const fine = ((64 - row.share) * along(row.first) + row.share * along(row.next)) >> 12;
      flat[i] = Math.min(Math.floor((levels[i] * RAISED) / Math.max(fine, 1)), 255);
    }
  }
  return { width, height, levels: flat };
}

/**
 * The means of square tiles; the picture's last row and column are repeated where a tile reaches beyond.
 *
 * @param {Grey} grey @param {number} tile pixels a side
 * @returns {Grey}
 */
function tileMeans({ width, height, levels }, tile) {
  const [across, down] = [Math.ceil(width / tile), Math.ceil(height / tile)];
  const means = new Uint8Array(across * down);
  for (let i = 0; i < means.length; i += 1) {
    const [top, left] = [Math.floor(i / across) * tile, (i % across) * tile];
    let sum = 0;
    for (let y = top; y < top + tile; y += 1) {
      for (let x = left; x < left + tile; x += 1) {
        sum += levels[Math.min(y, height - 1) * width + Math.min(x, width - 1)];
      }
    }
    means[i] = Math.floor(sum / (tile * tile));
  }
  return { width: across, height: down, levels: means };
}

/**
 * Between which tiles' middles each pixel of an axis lies, and the next one's share of 64.
 *
 * @param {number} length pixels @param {number} tile pixels @param {number} tiles
 */
function betweenTiles(length, tile, tiles) {
  return Array.from({ length }, (_, i) => {
    const exact = Math.floor((64 * (2 * i + 1 - tile)) / (2 * tile));
    const place = Math.min(Math.max(exact, 0), 64 * (tiles - 1));
    const first = place >> 6;
    return { first, next: Math.min(first + 1, tiles - 1), share: place & 63 };
  });
}

/**
 * The greatest level within `reach` pixels, by rows and columns.
 *
 * @param {Grey} grey @param {number} reach
 * @returns {Grey}
 */
export function greatest({ width, height, levels }, reach) {
  const [across, both] = [new Uint8Array(levels.length), new Uint8Array(levels.length)];
  for (let y = 0, i = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, i += 1) {
      const last = Math.min(x + reach, width - 1);
      for (let k = Math.max(x - reach, 0); k <= last; k += 1) across[i] = Math.max(across[i], levels[y * width + k]);
    }
  }
  for (let y = 0, i = 0; y < height; y += 1) {
    const [first, last] = [Math.max(y - reach, 0), Math.min(y + reach, height - 1)];
    for (let x = 0; x < width; x += 1, i += 1) {
      for (let k = first; k <= last; k += 1) both[i] = Math.max(both[i], across[k * width + x]);
    }
  }
  return { width, height, levels: both };
}

/** The least level within `reach` pixels, by rows and columns. @param {Grey} grey @param {number} reach */
function least(grey, reach) {
  const turned = (/** @type {Grey} */ g) => ({ ...g, levels: g.levels.map((level) => 255 - level) });
  return turned(greatest(turned(grey), reach));
}

/**
 * Salt and pepper removed: where pixels beyond all eight neighbours are many, they take the nearest's level.
 *
 * @param {Grey} grey
 * @returns {Grey}
 */
function withoutImpulses({ width, height, levels }) {
  for (let pass = 0; pass < 2; pass += 1) {
    const kept = new Uint8Array(levels.length);
    let impulses = 0;
    eachNine({ width, height, levels }, (i, nine) => {
      let [bottom, top] = [255, 0];
      for (let k = 0; k < 9; k += 1) {
        if (k === 4) continue; // the pixel itself
        if (nine[k] < bottom) bottom = nine[k];
        if (nine[k] > top) top = nine[k];
      }
      kept[i] = Math.min(Math.max(levels[i], bottom), top);
      if (Math.abs(kept[i] - levels[i]) > IMPULSE) impulses += 1;
    });
    if (impulses * IMPULSES < levels.length) break;
    if (pass === 0 && impulses * DENSE > levels.length) {
      eachNine({ width, height, levels }, (i, nine) => (kept[i] = nine.sort()[4]));
      return { width, height, levels: kept };
    }
    levels = kept;
  }
  return { width, height, levels };
}

/**
 * Calls with every pixel's place and the levels of it and its eight neighbours, row by row, in one array used again.
 *
 * @param {Grey} grey @param {(i: number, nine: Uint8Array) => void} use
 */
function eachNine({ width, height, levels }, use) {
  const nine = new Uint8Array(9);
  for (let y = 0, i = 0; y < height; y += 1) {
    const rows = [Math.max(y - 1, 0) * width, y * width, Math.min(y + 1, height - 1) * width];
    for (let x = 0; x < width; x += 1, i += 1) {
      const columns = [Math.max(x - 1, 0), x, Math.min(x + 1, width - 1)];
      for (let k = 0; k < 9; k += 1) nine[k] = levels[rows[Math.floor(k / 3)] + columns[k % 3]];
      use(i, nine);
    }
  }
}

/**
 * The deviation of white noise in 1/64 grey levels, from how far neighbouring pixels are apart.
 *
 * @param {Grey} grey
 */
function noiseOf({ width, height, levels }) {
  const counts = new Float64Array(256);
  for (let y = 0, i = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, i += 1) {
      if (x > 0) counts[Math.abs(levels[i] - levels[i - 1])] += 1;
      if (y > 0) counts[Math.abs(levels[i] - levels[i - width])] += 1;
    }
  }
  const wanted = Math.floor(((2 * height * width - height - width) * 35) / 100);
  let [level, before] = [0, 0];
  while (level < 256 && before + counts[level] <= wanted) before += counts[level++];
  if (level === 256) return 0;
  // Between whole levels by how far the share lies inside this one, less half a level that rounding adds.
  const inside = Math.floor((64 * (wanted - before)) / Math.max(counts[level], 1));
  return Math.floor((Math.max(64 * level + inside - 32, 0) * 156) / 100);
}

/**
 * Each pass is a binomial filter, 1 2 1 by rows and by columns.
 *
 * @param {Grey} grey @param {number} passes
 * @returns {Grey}
 */
function smoothed({ width, height, levels }, passes) {
  const sums = new Uint16Array(levels.length);
  for (let pass = 0; pass < passes; pass += 1) {
    for (let y = 0, i = 0; y < height; y += 1) {
      const [above, below] = [Math.max(y - 1, 0) * width, Math.min(y + 1, height - 1) * width];
      for (let x = 0; x < width; x += 1, i += 1) sums[i] = levels[above + x] + 2 * levels[i] + levels[below + x];
    }
    const next = new Uint8Array(levels.length);
    for (let y = 0, i = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1, i += 1) {
        const [left, right] = [x > 0 ? i - 1 : i, x + 1 < width ? i + 1 : i];
        next[i] = (sums[left] + 2 * sums[i] + sums[right] + 8) >> 4;
      }
    }
    levels = next;
  }
  return { width, height, levels };
}

/** The paper's median and the ink's dark decile. @param {Grey} grey */
function levelsOf({ levels }) {
  const counts = countLevels(levels);
  const threshold = otsu(counts);
  return { paper: quantile(counts, threshold + 1, 256, 500), dark: quantile(counts, 0, threshold + 1, 100) };
}

/** @param {Uint8Array} levels @returns {Float64Array} how many pixels have each of the 256 levels */
export function countLevels(levels) {
  const counts = new Float64Array(256);
  for (let i = 0; i < levels.length; i += 1) counts[levels[i]] += 1;
  return counts;
}

/** The last level of the dark class that parts both classes best (Otsu, 1979). @param {Float64Array} counts */
function otsu(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const whole = counts.reduce((sum, count, level) => sum + count * level, 0);
  const between = new Float64Array(255);
  let [below, mass] = [0, 0];
  for (let level = 0; level < 255; level += 1) {
    below += counts[level];
    mass += counts[level] * level;
    const apart = mass * total - whole * below;
    between[level] = (apart * apart) / Math.max(below * (total - below), 1);
  }
  const enough = Math.max(...between) * (1 - 1e-9);
  // A plateau spans the empty levels between two peaks; its middle leaves room for both.
  const best = [...between.keys()].filter((level) => between[level] >= enough);
  return best[Math.floor(best.length / 2)];
}

/**
 * The grey level below which so many of the pixels with levels in [start, stop) lie.
 *
 * @param {Float64Array} counts @param {number} start @param {number} stop @param {number} thousandths
 */
function quantile(counts, start, stop, thousandths) {
  const part = counts.subarray(start, stop);
  const wanted = thousandths * part.reduce((sum, count) => sum + count, 0);
  if (wanted === 0) return start;
  let [level, sum] = [0, part[0]];
  while (sum * 1000 < wanted) {
    level += 1;
    sum += part[level];
  }
  return start + level;
}

/** Rounds halves to the even neighbour, as Python and numpy do. @param {number} value @returns {number} */
export function roundHalfEven(value) {
  const down = Math.floor(value);
  if (value - down !== 0.5) return Math.round(value);
  return down % 2 ? down + 1 : down;
}
