/**
 * Constants that the page's scripts share with Python. Made by dev/page_constants.py: change them in the
 * Python file named above each group, then run that script.
 */

/** From src/hanmo/image.py. */
export const IMAGE = {
  // Size of a picture file in bytes.
  MAX_BYTES: 16777216,
  // Width times height of a picture.
  MAX_PIXELS: 16777216,
  // Grey levels within which a composite counts as one tone, and its transparency is looked at instead.
  FAINT: 12,
  // Places in a picture's range below which its border, and what is inside, must lie to be taken for a dark ground.
  DARK_BORDER: 0.25,
  DARK_INSIDE: 0.4,
  // How far inside, as a part of the shorter side, a printed frame is left behind.
  FRAME: 0.06,
};

/** From src/hanmo/strokes.py. */
export const STROKES = {
  // Strokes of one character; the fullest in Unicode have 84.
  MAX_STROKES: 256,
  // Points in all strokes of one character; a mouse gives a few hundred, a pen that reports often a thousand.
  MAX_POINTS: 5000,
  // Strokes are drawn so that the longer side of their box has this many pixels.
  SIDE: 96,
  // The pen's width in pixels at that size and at usual pressure.
  WIDTH: 5,
  // The pen's width at no and at full pressure, in units of the usual width.
  LIGHTEST: 0.6,
  HEAVIEST: 1.4,
  SUPERSAMPLING: 4,
};

/** From src/hanmo/colour.py. */
export const COLOUR = {
  // About so many pixels decide, however large the picture.
  SAMPLES: 4096,
  // Print must fill one part in so many of the sample, and at least ``_FEWEST`` pixels of it; ink twice as much.
  RARE: 256,
  FEWEST: 8,
  // How far, of 255, a print's brightest channel stands above the other two once a grey paper is white.
  COLOURED: 32,
  // Where the three channels never lie so far apart, there is no colour to look for.
  GREY: 8,
  // Level, of 255 for the paper, up to which a pixel may be ink.
  INK: 160,
  // A picture whose usual level lies below this in any channel shows no paper, and is left as luma.
  DARK_PAPER: 64,
  // Luma from which blue is taken for print: darker blue beside black may be a pen.
  PALE_BLUE: 80,
  BLUE: 2,
};

/** From src/hanmo/paper.py. */
export const PAPER = {
  // Pixels: the longer side at which a picture is looked at; a network's square is about half of that.
  SIDE: 96,
  // Grey levels between paper and ink below which a picture counts as blank.
  MIN_CONTRAST: 12,
  // Thousandths of the ink below which everything is paper: veils, shadows and the paper's own structure.
  DEAD_ZONE: 150,
  // Ink, of 255, from which a pixel counts as written on (0.3).
  VISIBLE: 77,
  // Ink, of 255, that touches the rim of a picture: ends of strokes there are often soft.
  RIM: 38,
  // what the background is raised to: some room is left for pixels brighter than their surroundings
  PAPER: 224,
  // grey levels by which a background must vary before it is divided out
  UNEVEN: 20,
  // tiles of the background along the longer side
  TILES: 24,
  // tiles on either side that the closing looks at: characters are narrower than 9 / 24 of the side
  CLOSING: 4,
  // grey levels by which single pixels stand out
  IMPULSE: 32,
  // one pixel in so many must do so before any is replaced
  IMPULSES: 250,
  // one pixel in so many: they then stand beside each other, and a median is taken instead
  DENSE: 33,
  // Thousandths of white noise's deviation that so many passes of smoothing leave.
  LEFT: { 0: 1000, 2: 270, 4: 190 },
  // Noise, in per cent of the contrast, from which pictures are smoothed twice, and four times.
  NOISE: [8, 16],
};

/** From src/hanmo/strays.py. */
export const STRAYS = {
  // Strips that the picture is cut into across a rule's direction.
  STRIPS: 8,
  // Pixels that a rule may rise or fall from one end of the picture to the other.
  SLOPES: [-4, -3, -2, -1, 0, 1, 2, 3, 4],
  // ink of 255 (0.62) that print does not reach where it is lighter than the pen
  STRONG: 158,
  // pixels around strong ink that are the soft edges of its strokes
  NEAR: 2,
  // lighter print, in per cent of the strong pixels, from which it is removed
  PRINT: 25,
  // ink of 255 that lighter print does not reach; what does may be a faint stroke
  PALE: 110,
  // per cent of a strip that a rule covers, dashed ones too
  COVERED: 35,
  // per cent of the whole width that it covers
  WHOLE: 55,
  // thousandths of the longer side: as much ink may lie across a rule, it and what is within four pixels
  THICK: 34,
  // rows of paper added above and below, so that lines may fall and rise
  MARGIN: 8,
  // parts of the longer side: larger squares of ink are no specks
  LARGEST_SPECK: 32,
};

/** From src/hanmo/neighbours.py. */
export const NEIGHBOURS = {
  // per cent of the side, and of the ink, up to which what touches the rim goes ...
  SHALLOW: 4,
  SLIGHT: 5,
  // ... unless the rest comes close to more sides than so many: these are its own soft ends
  REACHED: 2,
  // per cent of the side that parts of other characters reach in at most
  DEEP: 25,
  // per cent of the side that such parts are away from the character
  APART: 3,
  // per cent of the side that must be free around what is left
  CLEAR: 4,
  // per cent of the ink that must be left when such parts are removed ...
  KEPT: 60,
  // ... or, where what is left is a character by its size and place
  KEPT_CENTRED: 25,
  // per cent of the side: such a character is at least so large, and so far off the middle
  LONG: 50,
  SHORT: 25,
  OFF: 10,
  // ink of 255 that is more than the soft edges over which strokes close to each other join
  SOLID: 110,
};

/** From src/hanmo/ink.py. */
export const INK = {
  // A speck apart from the character by this share of its size, with under this share of the ink, does not count
  // when the character is cropped. Looked up on hwdb100-test: of 49 such specks none was a dot; above 1.2 % some
  // are.
  DUST: 0.01,
  DUST_GAP: 0.05,
  // a character smaller than this share of a reduced picture is looked at again, closer
  CLOSER: 0.5,
  // so often at most
  LOOKS: 3,
  // with this share of its size around it: dots that looked like specks may lie there
  AROUND: 0.5,
  // proportions, and blank share in between, of what may be several characters
  LONG: 1.6,
  GAP: 0.08,
};

/** From src/hanmo/normalize.py. */
export const NORMALIZE = {
  VERSIONS: [1, 2],
};

/** From src/hanmo/explain.py. */
export const EXPLAIN = {
  // Places a side of the square; neighbouring windows overlap by two thirds.
  SIZE: 12,
  // A window takes all ink within the first distance of its middle, in sides of the square, and none from the
  // second on. Looked up: narrower ones leave a net its character, as the rest of a stroke tells it; wider ones
  // blur two strokes.
  FULL: 0.08,
  GONE: 0.16,
  // Ink, of 255, that counts: less is the grain of paper.
  VISIBLE: 32,
};

/** From src/hanmo/serve/desk.py. */
export const DESK = {
  // Look-alikes of a character at most.
  LOOK_ALIKES: 4,
};

/** From src/hanmo/serve/site.py. */
export const SITE = {
  GRID: 1024,
};
