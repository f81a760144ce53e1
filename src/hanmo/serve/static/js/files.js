/** Pictures that are dropped on the page, pasted or chosen. */

/**
 * @param {HTMLElement} root the section with the buttons and their file fields
 * @param {(pictures: {file: Blob, name: string}[]) => void} take
 */
export function takeFiles(root, take) {
  const give = (files) => {
    const pictures = [...files].map((file) => ({ file, name: file.name || "picture.png" }));
    if (pictures.length) take(pictures);
  };
  for (const [button, field] of [["#choose", "#files"], ["#camera", "#photo"]]) join(root, button, field, give);
  document.addEventListener("paste", (event) => {
    const files = event.clipboardData?.files ?? [];
    const written = event.target.matches?.("input[type=text]") && event.clipboardData.types.includes("text/plain");
    if (!files.length || written) return; // text goes where it was pasted, also that which carries a picture of itself
    event.preventDefault();
    give(files);
  });
  takeDrops(give);
}

/** A button opens its file field: fields themselves cannot be styled. */
function join(root, button, name, give) {
  const field = root.querySelector(name);
  root.querySelector(button).addEventListener("click", () => field.click());
  field.addEventListener("change", () => {
    give(field.files);
    field.value = ""; // so that the same file can be chosen again
  });
}

function takeDrops(give) {
  const body = document.body;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault(); // else the browser would open the picture in place of the page
    event.dataTransfer.dropEffect = "copy";
    body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) body.classList.remove("dropping"); // left the window, not just an element
  });
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    body.classList.remove("dropping");
    give(event.dataTransfer.files);
  });
}
