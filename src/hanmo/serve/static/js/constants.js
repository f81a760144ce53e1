/**
 * Constants that the page's scripts share with Python. Made by dev/page_constants.py: change them in the
 * Python file named above each group, then run that script.
 */

/** From src/hanmo/image.py. */
export const IMAGE = {
  // Largest size of a picture file, in bytes.
  MAX_BYTES: 16777216,
};

/** From src/hanmo/levels.py. */
export const LEVELS = {
  // Largest number of pixels of a picture: width times height.
  MAX_PIXELS: 16777216,
  // Largest width and largest height of a picture, in pixels. A line of 16 million pixels is no character, and a
  // few kilobytes hold it.
  MAX_SIDE: 16384,
  // A transparent picture over white whose grey levels differ by less counts as one tone; its opaque part is the
  // ink.
  FAINT: 12,
};

/** From src/hanmo/polarity.py. */
export const POLARITY = {
  // Places in a picture's range, 0 the darkest, 1 the brightest: a dark ground has a border below the first and an
  // inside below the second.
  DARK_BORDER: 0.25,
  DARK_INSIDE: 0.4,
  // Depth of the inner ring in parts of the shorter side: further inside than a printed frame.
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
  // Strokes are drawn so many times as large and reduced, as Pillow's lines are not antialiased.
  SUPERSAMPLING: 4,
};

/** From src/hanmo/colour.py. */
export const COLOUR = {
  // About so many pixels of a picture are examined, however large it is.
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

/** From src/hanmo/background.py. */
export const BACKGROUND = {
  // Grey level of the paper after the division by the background: 31 levels are left for brighter pixels.
  PAPER: 224,
  // Grey levels by which the background must vary before it is divided out; less does not disturb the threshold.
  UNEVEN: 20,
  // Tiles along the longer side, of which the background has one value each.
  TILES: 24,
  // Radius of the closing in tiles: it removes what is narrower than 9 of 24 tiles, so strokes, but not shadows.
  CLOSING: 4,
};

/** From src/hanmo/paper.py. */
export const PAPER = {
  // Pixels of the longer side of the largest picture that is processed; about twice the square that a network sees.
  SIDE: 96,
  // Fewest grey levels, of 255, between paper and ink; a picture with less counts as blank.
  MIN_CONTRAST: 12,
  // Thousandths of the contrast up to which a pixel is paper: faint shadows and the structure of the paper stay
  // below. Clean scans have neither: there, these pixels are the soft edges of strokes.
  DEAD_ZONE: 150,
  // Ink, of 255, from which a pixel counts as written on: 30 %.
  VISIBLE: 77,
  // Ink, of 255, from which a pixel at the picture's edge counts as touching it: 15 %, as strokes often fade there.
  RIM: 38,
  // Grey levels beyond the range of its eight neighbours from which a pixel is an impulse (salt or pepper).
  IMPULSE: 32,
  // Impulses are removed where at least one pixel in 250 is one; clean pictures have fewer, such as tips of
  // strokes.
  IMPULSES: 250,
  // Where more than one pixel in 33 is an impulse, many have an impulse beside them: only a median removes these.
  DENSE: 33,
  // Thousandths of the deviation of white noise that are left after so many passes of :func:`smoothed`. Two passes
  // are the kernel 1 4 6 4 1 by rows and columns, whose squared weights add up to (70 / 256)^2, so 27 % of the
  // deviation is left; four passes leave 12870 / 65536, nearly 20 %.
  LEFT: { 0: 1000, 2: 270, 4: 190 },
  // Noise, in per cent of the contrast, from which a picture is smoothed twice, and from which four times.
  NOISE: [8, 16],
};

/** From src/hanmo/rules.py. */
export const RULES = {
  // Strips that the picture is cut into: enough to tell a line from a stroke, and each still wide enough for
  // dashes.
  STRIPS: 8,
  // Pixels that a rule may rise or fall over the width of the picture: 4 of 96 are 2.4 degrees, as of a sloping
  // sheet.
  SLOPES: [-4, -3, -2, -1, 0, 1, 2, 3, 4],
  // Per cent of a strip's width with ink from which a line covers the strip; low enough for dashed lines.
  COVERED: 35,
  // Per cent of the picture's whole width that a line must have ink on.
  WHOLE: 55,
  // Most ink across a line, in thousandths of the longer side (3 of 96 pixels), within AROUND pixels on both sides
  // of it: thicker ones are strokes, or have strokes beside them.
  THICK: 34,
  // Empty rows added above and below: a line ends up to 2 rows off its middle, and 5 more rows are looked at.
  MARGIN: 8,
  // Pixels on both sides of a line in which other ink would make it thick.
  AROUND: 4,
};

/** From src/hanmo/strays.py. */
export const STRAYS = {
  // Ink, of 255, that only the pen reaches where the print is lighter (62 %).
  STRONG: 158,
  // Pixels around strong ink that belong to it: the soft edges of strokes are weak ink, too.
  NEAR: 2,
  // Weak ink away from strong ink, in per cent of the strong ink, from which it counts as print; less may be a
  // stroke.
  PRINT: 25,
  // Darkest print that is removed, in ink of 255 (43 %); what is darker may be a faint stroke.
  PALE: 110,
  // The longer side, divided by this, is the side of the largest speck, 3 pixels at most; larger ones may be dots.
  LARGEST_SPECK: 32,
};

/** From src/hanmo/bitboard.py. */
export const BITBOARD = {
  // Most steps of one cell that :meth:`Board.flood` takes: longer than the way along any stroke that reaches the
  // edge.
  STEPS: 64,
};

/** From src/hanmo/neighbours.py. */
export const NEIGHBOURS = {
  // What touches the edge is removed if it reaches no deeper than SHALLOW and has at most SLIGHT of the ink ...
  SHALLOW: 4,
  SLIGHT: 5,
  // ... unless the rest comes close to more sides than this: then these are the soft ends of its own strokes.
  REACHED: 2,
  // How far parts of other characters reach in at most; the character itself begins deeper.
  DEEP: 25,
  // Distance to the character that they must keep; what is nearer may be a dot of it.
  APART: 3,
  // Width of the strip along all edges that must be free once they are removed.
  CLEAR: 4,
  // Share of the ink that must be left; if less were left, the wrong part would have been taken for the character
  // ...
  KEPT: 60,
  // ... or this share, if what is left has the size and the place of a character.
  KEPT_CENTRED: 25,
  // Such a character is at least LONG by SHORT, and its centre at most OFF from the picture's.
  LONG: 50,
  SHORT: 25,
  OFF: 10,
  // Ink, of 255, that is more than the soft edges over which neighbouring strokes join (43 %).
  SOLID: 110,
};

/** From src/hanmo/ink.py. */
export const INK = {
  // A speck is dust, and outside of the box, if it is apart from the character by more than DUST_GAP of its size
  // and has less than DUST of its ink. Of the 49 such specks in hwdb100-test none is a dot; of those with over 1.2
  // % of the ink some are.
  DUST: 0.01,
  DUST_GAP: 0.05,
  // a character smaller than this share of the reduced picture is read from the original pixels
  CLOSER: 0.5,
  // rounds at most, each closer than the one before
  LOOKS: 3,
  // surroundings taken along, as a share of the character's size: its dots may have been taken for specks
  AROUND: 0.5,
  // several characters: proportions of the box, and blank share of its length in between
  LONG: 1.6,
  GAP: 0.08,
};

/** From src/hanmo/normalize.py. */
export const NORMALIZE = {
  VERSIONS: [1, 2, 3],
};

/** From src/hanmo/occlusion.py. */
export const OCCLUSION = {
  // Windows along a side of the square; neighbouring windows overlap by two thirds.
  SIZE: 12,
  // A window removes all ink nearer to its middle than the first distance, in sides of the square, and none from
  // the second on. Both were chosen by eye: narrower windows change no answer, as the rest of a stroke is enough
  // for the net; wider ones remove two strokes at once.
  FULL: 0.08,
  GONE: 0.16,
  // Ink, of 255, from which a place counts as written on; less is the grain of paper.
  VISIBLE: 32,
};

/** From src/hanmo/prediction.py. */
export const PREDICTION = {
  // Probability from which a candidate after the first is shown to people. Below, the order says little: characters
  // that were rare in training, such as 硷, an old form of 碱, come up under many pictures with a few parts in
  // 10,000.
  SHOWN_FROM: 0.001,
};

/** From src/hanmo/medians.py. */
export const MEDIANS = {
  // Steps along the side of the square: the files' coordinates are whole numbers of steps.
  GRID: 1024,
};

/** From src/hanmo/serve/desk.py. */
export const DESK = {
  // Look-alikes of a character at most.
  LOOK_ALIKES: 4,
};

/** From src/hanmo/sheets/sheet.py. */
export const SHEET = {
  // Stands in the text for a cell with ink that shows no known character, or was corrected.
  UNREAD: "\u25a1",
  // Stands in the text for an empty cell between others: the ideographic space is as wide as a character.
  BLANK: "\u3000",
};

/** From src/hanmo/sheets/overlay.py. */
export const OVERLAY = {
  // Probability from which a cell counts as read for sure.
  SURE: 0.9,
};

/** From src/hanmo/sheets/against.py. */
export const AGAINST = {
  // Longest text that is compared: time grows with the product of both lengths.
  MAX_CHARACTERS: 5000,
  // Cost of a missing or extra character, of another character twice 2: two gaps cost more than one exchange.
  GAP: 3,
};
