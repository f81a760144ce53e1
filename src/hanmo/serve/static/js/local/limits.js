/** What a picture and strokes may be at most, as hanmo.image and hanmo.strokes have it. */

/** Size of a picture file in bytes. */
export const MAX_BYTES = 16 * 2 ** 20;
/** Width times height of a picture. */
export const MAX_PIXELS = 16 * 2 ** 20;
/** Strokes of one character. */
export const MAX_STROKES = 256;
/** Points in all strokes of one character. */
export const MAX_POINTS = 5000;
