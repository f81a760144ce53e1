/** Pictures that are dropped on the page, pasted or chosen. */

import { part } from "./dom.js";

/** @typedef {(files: Iterable<File>) => void} Give */

/**
 * @param {HTMLElement} root the section with the buttons and their file fields
 * @param {(pictures: {file: Blob, name: string}[]) => void} take
 */
export function takeFiles(root, take) {
  /** @type {Give} */
  const give = (files) => {
    const pictures = [...files].map((file) => ({ file, name: file.name || "picture.png" }));
    if (pictures.length) take(pictures);
  };
  for (const [button, field] of [["#choose", "#files"], ["#camera", "#photo"]]) join(root, button, field, give);
  document.addEventListener("paste", (event) => {
    const files = event.clipboardData?.files ?? [];
    const written = event.target instanceof Element && event.target.matches("input[type=text], textarea") && event.clipboardData?.types.includes("text/plain");
    if (!files.length || written) return; // text goes where it was pasted, also that which carries a picture of itself
    event.preventDefault();
    give(files);
  });
  takeDrops(give);
}

/**
 * A button opens its file field: fields themselves cannot be styled.
 * @param {HTMLElement} root @param {string} button @param {string} name @param {Give} give
 */
function join(root, button, name, give) {
  const field = part(root, name, HTMLInputElement);
  part(root, button).addEventListener("click", () => field.click());
  field.addEventListener("change", () => {
    give(field.files ?? []);
    field.value = ""; // so that the same file can be chosen again
  });
}

/** @param {Give} give */
function takeDrops(give) {
  const body = document.body;
  const carriesFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault(); // else the browser would open the picture in place of the page
    if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
    body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) body.classList.remove("dropping"); // left the window, not just an element
  });
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    body.classList.remove("dropping");
    give(event.dataTransfer?.files ?? []);
  });
}
