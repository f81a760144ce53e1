/** The square: pointer and keyboard write on it, and it shows a picture instead where one was given. */

import { contextOf, part } from "./dom.js";
import { History } from "./history.js";
import { paint, pressureOf, thin, UNITS } from "./ink.js";
import { KeyPen } from "./keypen.js";
import { t } from "./text.js";
import { say } from "./voice.js";

const NEAREST = 2; // UNITS: points closer than this to the last one say nothing new
const SMOOTHING = 0.5; // share of the last pressure that stays, as pens report it with a tremble

/** Dispatches "change" whenever there is something else to read. */
export class Pad extends EventTarget {
  #history = new History();
  #element;
  /** What is written. @type {HTMLCanvasElement} */
  #dry;
  /** The stroke being written. @type {HTMLCanvasElement} */
  #wet;
  #image;
  #unseen;
  /** The one being written. @type {number[][] | null} */
  #stroke = null;
  /** The one that writes. @type {number | null} */
  #pointer = null;
  #frame = 0;
  #settled = false;
  /** Of the picture shown. @type {{file: Blob, url: string} | null} */
  #address = null;

  /** The pen's width, 0 (finest) to 1 (boldest). */
  weight = 0.5;

  /** @param {HTMLElement} element holds two canvases, an img, the note for pictures one cannot see, the keyboard pen */
  constructor(element) {
    super();
    this.#element = element;
    [this.#dry, this.#wet] = element.querySelectorAll("canvas");
    this.#image = part(element, "img", HTMLImageElement);
    this.#unseen = part(element, ".unseen");
    this.#image.addEventListener("error", () => this.#showUnseen());
    element.addEventListener("pointerdown", (event) => this.#down(event));
    element.addEventListener("pointermove", (event) => this.#move(event));
    element.addEventListener("pointerup", (event) => this.#up(event));
    element.addEventListener("lostpointercapture", (event) => this.#up(event)); // where its end is never told
    element.addEventListener("pointercancel", (event) => this.#cancel(event));
    element.addEventListener("contextmenu", (event) => event.preventDefault()); // a long press is a stroke
    new KeyPen(element, {
      free: () => this.#pointer === null,
      begin: (place) => this.#begin([...place, this.weight]),
      extend: (place) => this.#extend([...place, this.weight]),
      end: () => this.#end(),
    });
    new ResizeObserver(() => this.#resize()).observe(element);
    addEventListener("resize", () => this.#resize()); // zooming changes the pixels, not always the square's size
    document.addEventListener("hanmo-theme", () => this.#repaint());
    document.addEventListener("hanmo-language", () => this.#nameUnseen());
  }

  /** What there is to read, or null. @returns {?import("./http.js").Input} */
  get input() {
    const { strokes, picture } = this.#history.now;
    if (picture) return picture;
    return strokes.length ? { strokes: thin(strokes) } : null;
  }

  get canUndo() {
    return this.#history.canUndo;
  }

  get canRedo() {
    return this.#history.canRedo;
  }

  get count() {
    return this.#history.now.strokes.length;
  }

  undo() {
    if (!this.canUndo || this.#stroke) return;
    this.#history.undo();
    this.#changed();
    say(t("undone", { count: this.count }));
  }

  redo() {
    if (!this.canRedo || this.#stroke) return;
    this.#history.redo();
    this.#changed();
    say(t("redone", { count: this.count }));
  }

  clear() {
    if (this.#stroke || !this.input) return;
    this.#history.add({ strokes: [], picture: null });
    this.#changed();
    say(t("cleared"));
  }

  /** Show a picture in place of what is written. @param {Blob} file @param {string} name */
  show(file, name) {
    this.#end(); // a stroke that is being written is no less safe than the others
    this.#pointer = null;
    this.#history.add({ strokes: [], picture: { file, name } });
    this.#changed();
    say(t("picture_shown", { name }));
  }

  /** The strokes on the square, as text that restore() takes; null where there are none. @returns {?string} */
  get kept() {
    const { strokes } = this.#history.now;
    return strokes.length ? JSON.stringify(strokes) : null;
  }

  /** Show strokes that were kept before a reload. @param {string} kept */
  restore(kept) {
    this.#history.add({ strokes: JSON.parse(kept), picture: null });
    this.#changed();
  }

  /** The character was chosen: it stays to be seen, and the next stroke begins another one. */
  settle() {
    this.#settled = true;
    this.#element.classList.add("settled");
  }

  #changed() {
    this.#settled = false;
    this.#element.classList.remove("settled");
    this.#repaint();
    this.dispatchEvent(new Event("change"));
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button !== 0 || this.#pointer !== null) return; // one pen at a time: a palm writes nothing
    event.preventDefault();
    this.#element.classList.add("pointed"); // who points needs no ring around the square
    this.#element.focus({ preventScroll: true });
    if (this.#stroke) this.#end(); // the keyboard's pen was down
    this.#pointer = event.pointerId;
    this.#element.setPointerCapture(event.pointerId);
    this.#begin(this.#pointOf(event));
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (event.pointerId !== this.#pointer) return;
    // Browsers report pointer moves once a frame; the points in between make the strokes smooth.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this.#extend(this.#pointOf(each));
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.#end();
  }

  /** @param {PointerEvent} event */
  #cancel(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#drop(); // the system took the pointer for something else, so it was not meant as writing
  }

  /** @param {PointerEvent} event @returns {number[]} x, y, pressure */
  #pointOf(event) {
    const box = this.#element.getBoundingClientRect();
    const place = (/** @type {number} */ at, /** @type {number} */ start, /** @type {number} */ side) =>
      Math.round(Math.min(1, Math.max(0, (at - start) / side)) * UNITS * 10) / 10;
    return [
      place(event.clientX, box.left, box.width),
      place(event.clientY, box.top, box.height),
      pressureOf(this.weight, event),
    ];
  }

  /** @param {number[]} point x, y, pressure */
  #begin([x, y, pressure]) {
    this.#stroke = [[x, y, round(pressure)]];
    this.#repaint(); // the invitation goes when the pen comes, and so does what the stroke takes the place of
  }

  /** What a stroke being written joins: nothing where it begins a new character. @returns {import("./history.js").Sheet} */
  get #below() {
    const { now } = this.#history;
    const anew = this.#stroke && (this.#settled || now.picture);
    return anew ? { strokes: [], picture: null } : now;
  }

  /** @param {number[]} point x, y, pressure */
  #extend([x, y, pressure]) {
    const last = this.#stroke?.at(-1);
    if (!this.#stroke || !last || Math.hypot(x - last[0], y - last[1]) < NEAREST) return;
    this.#stroke.push([x, y, round(SMOOTHING * last[2] + (1 - SMOOTHING) * pressure)]);
    this.#wetSoon();
  }

  #end() {
    if (!this.#stroke) return;
    this.#history.add({ strokes: [...this.#below.strokes, this.#stroke], picture: null });
    this.#stroke = null;
    this.#changed();
  }

  #drop() {
    this.#stroke = null;
    this.#pointer = null;
    this.#repaint();
  }

  #wetSoon() {
    // At most once a frame, however many points have come; the finished strokes are on the other canvas.
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#clean(this.#wet);
      if (this.#stroke) this.#paint(this.#wet, [this.#stroke]);
    });
  }

  #repaint() {
    const { strokes, picture } = this.#below;
    this.#clean(this.#dry);
    this.#clean(this.#wet);
    this.#paint(this.#dry, strokes);
    if (this.#stroke) this.#wetSoon();
    this.#showPicture(picture);
    this.#element.classList.toggle("empty", !strokes.length && !picture && !this.#stroke);
  }

  /** @param {?import("./http.js").Picture} picture */
  #showPicture(picture) {
    this.#element.classList.toggle("pictured", Boolean(picture));
    if (this.#address?.file === picture?.file) return;
    this.#element.classList.remove("blind");
    if (this.#address) URL.revokeObjectURL(this.#address.url);
    this.#address = picture ? { file: picture.file, url: URL.createObjectURL(picture.file) } : null;
    if (this.#address) this.#image.src = this.#address.url;
    else this.#image.removeAttribute("src");
    this.#image.alt = picture?.name ?? "";
  }

  #showUnseen() {
    this.#element.classList.add("blind");
    this.#nameUnseen();
  }

  #nameUnseen() {
    this.#unseen.textContent = t("picture_unseen", { name: this.#history.now.picture?.name ?? "" });
  }

  #resize() {
    // In pixels of the screen, so that strokes are sharp on dense screens.
    const side = Math.round(this.#element.clientWidth * devicePixelRatio);
    if (!side || this.#dry.width === side) return;
    for (const canvas of [this.#dry, this.#wet]) canvas.width = canvas.height = side;
    this.#repaint();
  }

  /** @param {HTMLCanvasElement} canvas */
  #clean(canvas) {
    const context = contextOf(canvas);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
  }

  /** @param {HTMLCanvasElement} canvas @param {number[][][]} strokes */
  #paint(canvas, strokes) {
    const context = contextOf(canvas);
    context.setTransform(canvas.width / UNITS, 0, 0, canvas.width / UNITS, 0, 0);
    context.strokeStyle = context.fillStyle = getComputedStyle(canvas).color;
    paint(context, strokes);
  }
}

/** @param {number} pressure */
function round(pressure) {
  return Math.round(pressure * 100) / 100;
}
