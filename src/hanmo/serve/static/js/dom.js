/** Parts of the page that must be there: where index.html lacks one, the error names it. */

/**
 * The first element below `root` that a selector names.
 *
 * @template {Element} [Kind=HTMLElement]
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => Kind} [kind] its class, where more of it is used than any HTML element has
 * @returns {Kind}
 */
export function part(root, selector, kind) {
  const found = root.querySelector(selector);
  if (!(found instanceof (kind ?? HTMLElement))) throw new Error(`the page has no ${selector}`);
  return /** @type {Kind} */ (found);
}

/** A drawing surface's context. @param {HTMLCanvasElement} canvas @returns {CanvasRenderingContext2D} */
export function contextOf(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser gives no canvas to draw on");
  return context;
}

/** Whether the focus is at a control that cannot be used any more. @returns {boolean} */
export function isFocusLost() {
  const focused = document.activeElement;
  return focused instanceof HTMLButtonElement && (focused.disabled || focused.hidden);
}

/** Move the focus without scrolling. @param {Element | null} element */
export function focusQuietly(element) {
  if (element instanceof HTMLElement) element.focus({ preventScroll: true });
}
