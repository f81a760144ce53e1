/** Keys that work anywhere on the page. */

/**
 * @param {{undo: () => void, redo: () => void, clear: () => void, pick: (rank: number) => void}} act
 * @param {HTMLElement} desk where digits choose: elsewhere they would be in the way of other uses of the keyboard
 */
export function listen(act, desk) {
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (!(target instanceof HTMLElement)) return;
    if (target.matches("input:not([type=range]), textarea, select") || event.altKey || event.isComposing) return;
    const command = event.ctrlKey || event.metaKey;
    const letter = key.toLowerCase();
    if (command && letter === "z") run(event, event.shiftKey ? act.redo : act.undo);
    else if (command && letter === "y") run(event, act.redo);
    else if (command) return;
    else if (key === "Escape" || key === "Delete") run(event, act.clear);
    else if (key === "Backspace" && target.id === "pad") run(event, act.undo);
    else if (/^[0-9]$/.test(key) && !event.repeat && (target === document.body || desk.contains(target))) {
      run(event, () => act.pick((Number(key) + 9) % 10));
    }
  });
}

/** @param {Event} event @param {() => void} act */
function run(event, act) {
  event.preventDefault();
  act();
}
