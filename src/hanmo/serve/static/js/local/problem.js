/** Port of src/hanmo/serve/problems.py: why something cannot be read, with the server's codes and words. */

/** Codes of pictures without ink: nothing is written there, or nothing that stands out. They are read as refused. */
export const BLANK = "blank_picture";
export const FAINT = "faint_ink";

/** Something cannot be read. */
export class Problem extends Error {
  /**
   * @param {string} code for programs
   * @param {string} message for people, one line
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** @param {string} message @returns {Problem} */
export const unusable = (message) => new Problem("unusable_picture", message);

/** @param {string} message @returns {Problem} */
export const tooLarge = (message) => new Problem("picture_too_large", message);

/** @param {string} message @returns {Problem} */
export const blank = (message) => new Problem(BLANK, message);

/** @param {string} message @returns {Problem} */
export const faint = (message) => new Problem(FAINT, message);
