/**
 * What was on the square, step by step. Clearing and showing a picture are steps like any other, so no drawing is ever
 * lost by one.
 *
 * @typedef {{strokes: number[][][], picture: ?{file: Blob, name: string}}} Sheet never changed once it is here
 */

const MOST = 500;

export class History {
  /** @type {Sheet[]} */
  #sheets = [{ strokes: [], picture: null }];
  #at = 0;

  /** @returns {Sheet} */
  get now() {
    return this.#sheets[this.#at];
  }

  get canUndo() {
    return this.#at > 0;
  }

  get canRedo() {
    return this.#at < this.#sheets.length - 1;
  }

  /** @param {Sheet} sheet what is on the square from now on */
  add(sheet) {
    this.#sheets.splice(this.#at + 1, Infinity, sheet);
    if (this.#sheets.length > MOST) this.#sheets.shift();
    this.#at = this.#sheets.length - 1;
  }

  undo() {
    if (this.canUndo) this.#at -= 1;
  }

  redo() {
    if (this.canRedo) this.#at += 1;
  }
}
