/** The photograph of a sheet, upright, with its cells drawn over it. */

import { contextOf, part } from "../dom.js";
import { SHEET } from "../constants.js";
import { percent, t } from "../text.js";
import { characterOf, isEmpty, probabilityOf, stateOf } from "./page.js";

/** @typedef {import("./page.js").Cell} Cell */

const NS = "http://www.w3.org/2000/svg";
const MOST = 4 * 2 ** 20; // pixels that are shown: some browsers draw no larger canvas
const TAG = 0.3; // side of the tag with the character, as a share of the cell's
const CUT = 160; // pixels a side of one cell's picture: more than the reader needs

/** What arrow keys do: the step of row and column. @type {Record<string, [number, number]>} */
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export class Photo {
  #root;
  #canvas;
  #svg;
  #on;
  /** @type {?ImageBitmap} */
  #bitmap = null;
  #rotation = 0;
  #size = { width: 1, height: 1 };
  /** @type {Cell[]} */
  #cells = [];
  /** @type {SVGGElement[]} */
  #shapes = [];
  #current = 0;

  /**
   * @param {HTMLElement} root holds the canvas and the SVG
   * @param {{pick: (cell: Cell, asked: boolean) => void, digit: (rank: number) => void}} on
   *   a cell was picked, with a click or a key that asks for it, or on the way of the arrow keys; a digit was pressed on it
   */
  constructor(root, on) {
    this.#root = root;
    this.#canvas = part(root, "canvas", HTMLCanvasElement);
    this.#svg = part(root, "svg", SVGSVGElement);
    this.#on = on;
    this.#svg.addEventListener("click", (event) => this.#pick(event.target));
    this.#svg.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show a picture before it is read, as it lies. @param {Blob} file */
  async open(file) {
    this.close();
    // Some files, such as TIFF, are read by the server alone: then the cells are shown on blank paper.
    this.#bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
    if (this.#bitmap) this.#draw(this.#bitmap.width, this.#bitmap.height, 0);
  }

  /** Show the cells. @param {import("./page.js").Answer} answer */
  show({ width, height, rotation, cells }) {
    this.#draw(width, height, rotation);
    this.#cells = cells;
    this.#current = Math.max(0, cells.findIndex((cell) => !cell.empty));
    this.#shapes = cells.map(shapeOf);
    this.#svg.replaceChildren(...this.#shapes);
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  }

  close() {
    this.#bitmap?.close();
    this.#bitmap = null;
    this.#cells = [];
    this.#svg.replaceChildren();
    contextOf(this.#canvas).clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  /** Draw all cells as they are now. @param {?Cell} selected @param {Set<Cell>} differing */
  render(selected, differing) {
    this.#svg.setAttribute("aria-label", t("sheet_cells"));
    this.#cells.forEach((cell, i) => {
      const shape = this.#shapes[i];
      shape.setAttribute("class", `cell ${stateOf(cell)}${differing.has(cell) ? " differs" : ""}`);
      shape.setAttribute("aria-pressed", String(cell === selected));
      shape.setAttribute("aria-label", labelOf(cell) + (differing.has(cell) ? `${t("comma")}${t("sheet_differs")}` : ""));
      // One stop for the Tab key; arrow keys move among the cells.
      shape.setAttribute("tabindex", i === this.#current ? "0" : "-1");
      part(shape, "text", SVGTextElement).textContent = isEmpty(cell) ? "" : characterOf(cell) ?? SHEET.UNREAD;
    });
  }

  /** Make a cell the one that the keyboard is at. @param {Cell} cell @param {boolean} [focus] */
  go(cell, focus = false) {
    this.#shapes[this.#current]?.setAttribute("tabindex", "-1");
    this.#current = this.#cells.indexOf(cell);
    const shape = this.#shapes[this.#current];
    shape?.setAttribute("tabindex", "0");
    if (focus) shape?.focus({ preventScroll: true });
    shape?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** Show the picture so many times as large, with the same place in the middle. @param {string} zoom */
  enlarge(zoom) {
    const { scrollLeft, scrollTop, scrollWidth, scrollHeight, clientWidth, clientHeight } = this.#root;
    const x = (scrollLeft + clientWidth / 2) / scrollWidth;
    const y = (scrollTop + clientHeight / 2) / scrollHeight;
    part(this.#root, ".sheet-layers").style.setProperty("--zoom", zoom);
    this.#root.scrollTo(x * this.#root.scrollWidth - clientWidth / 2, y * this.#root.scrollHeight - this.#root.clientHeight / 2);
  }

  /** The picture of one cell alone, straightened. @param {Cell} cell @returns {HTMLCanvasElement} */
  cut({ quadrilateral: [[x, y], [right, rightY], , [left, bottom]] }) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = CUT;
    const context = contextOf(canvas);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, CUT, CUT);
    // Maps three corners to those of the square; the fourth lies close, as a cell is nearly a parallelogram.
    const toCell = new DOMMatrix([(right - x) / CUT, (rightY - y) / CUT, (left - x) / CUT, (bottom - y) / CUT, x, y]);
    context.setTransform(toCell.inverse());
    this.#paint(context, 1);
    return canvas;
  }

  /** @param {number} width @param {number} height @param {number} rotation degrees anticlockwise */
  #draw(width, height, rotation) {
    const scale = Math.min(1, Math.sqrt(MOST / (width * height)));
    part(this.#root, ".sheet-layers").style.setProperty("--aspect", String(width / height));
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    this.#rotation = rotation;
    this.#size = { width, height };
    const context = contextOf(this.#canvas);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.#paint(context, scale);
  }

  /** Paint the upright picture at the origin. @param {CanvasRenderingContext2D} context @param {number} scale */
  #paint(context, scale) {
    if (!this.#bitmap) return;
    const { width, height } = this.#size;
    const turned = this.#rotation % 180 !== 0;
    const [w, h] = turned ? [height, width] : [width, height];
    context.scale(scale, scale);
    context.translate(width / 2, height / 2);
    context.rotate((-this.#rotation * Math.PI) / 180);
    context.drawImage(this.#bitmap, -w / 2, -h / 2, w, h);
  }

  /** @param {?EventTarget} target */
  #pick(target) {
    const shape = target instanceof Element ? target.closest(".cell") : null;
    const cell = this.#cells[this.#shapes.indexOf(/** @type {SVGGElement} */ (shape))];
    if (!cell) return;
    this.go(cell, true);
    this.#on.pick(cell, true);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "Enter" || key === " ") this.#pick(event.target);
    else if (key in STEPS) this.#step(...STEPS[key]);
    else if (/^[0-9]$/.test(key)) this.#on.digit((Number(key) + 9) % 10);
    else return;
    event.preventDefault();
  }

  /** To the next cell that way, in the same grid or else the one beside it. @param {number} down @param {number} right */
  #step(down, right) {
    const here = this.#cells[this.#current];
    const [x, y] = middle(here);
    const side = Math.hypot(here.quadrilateral[1][0] - here.quadrilateral[0][0], here.quadrilateral[1][1] - here.quadrilateral[0][1]);
    /** @type {?Cell} */
    let best = null;
    let least = Infinity;
    for (const cell of this.#cells) {
      const [cx, cy] = middle(cell);
      const ahead = (cx - x) * right + (cy - y) * down;
      const aside = Math.abs((cx - x) * down) + Math.abs((cy - y) * right);
      // Half a cell at least, and rather straight on than aslant.
      if (ahead < side / 2 || aside > ahead + side / 2 || ahead + 3 * aside >= least) continue;
      best = cell;
      least = ahead + 3 * aside;
    }
    if (!best) return;
    this.go(best, true);
    this.#on.pick(best, false);
  }
}

/** @param {Cell} cell @returns {[number, number]} */
function middle({ quadrilateral: [a, , c] }) {
  return [(a[0] + c[0]) / 2, (a[1] + c[1]) / 2];
}

/** @param {Cell} cell @returns {SVGGElement} outline, and a tag with the character in the upper left corner */
function shapeOf({ quadrilateral }) {
  const group = document.createElementNS(NS, "g");
  group.setAttribute("role", "button");
  const [a, b, , d] = quadrilateral;
  const side = Math.min(Math.hypot(b[0] - a[0], b[1] - a[1]), Math.hypot(d[0] - a[0], d[1] - a[1]));
  const tag = TAG * side;
  const outline = document.createElementNS(NS, "polygon");
  outline.setAttribute("points", quadrilateral.join(" "));
  const ground = document.createElementNS(NS, "rect");
  const text = document.createElementNS(NS, "text");
  const size = { x: a[0], y: a[1], width: tag, height: tag };
  for (const [name, value] of Object.entries(size)) ground.setAttribute(name, String(value));
  text.setAttribute("x", String(a[0] + tag / 2));
  text.setAttribute("y", String(a[1] + tag / 2));
  text.setAttribute("font-size", String(0.86 * tag));
  group.append(outline, ground, text);
  return group;
}

/** What a screen reader says of a cell. @param {Cell} cell @returns {string} */
export function labelOf(cell) {
  const probability = probabilityOf(cell);
  const told = isEmpty(cell) ? t("sheet_empty") : characterOf(cell) ?? t(cell.corrected ? "sheet_struck" : "sheet_unread");
  // Without breaks within the number.
  const number = probability === null ? "" : percent(probability).replaceAll(" ", "\u00a0");
  const sure = stateOf(cell) === "chosen" ? t("sheet_chosen") : number;
  return `${placeOf(cell)}${t("colon")}${told}${sure && `${t("comma")}${sure}`}`;
}

/** @param {Cell} cell @returns {string} */
export function placeOf({ grid, row, column }) {
  return t(grid > 1 ? "sheet_place_grid" : "sheet_place", { grid, row, column });
}
