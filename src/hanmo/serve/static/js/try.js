/** The forms of /docs: each sends one call to this server and shows the answer. */

const LONGEST = 160; // characters of a text that are shown: a square in base64 has thousands

/** @param {HTMLFormElement} form @returns {URL} where the form's call goes */
function addressOf(form) {
  let path = form.dataset.path ?? "";
  const query = new URLSearchParams();
  for (const field of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("[data-in]"))) {
    if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
    else if (field.value) query.set(field.name, field.value);
  }
  const address = new URL(`.${path}`, document.baseURI); // relative, as the server may lie below a proxy's folder
  address.search = query.toString();
  return address;
}

/** A chosen picture, else the strokes. @param {HTMLFormElement} form @returns {RequestInit} */
function bodyOf(form) {
  const picture = /** @type {HTMLInputElement | null} */ (form.querySelector("[type=file]"))?.files?.[0];
  if (picture) return { body: picture, headers: { "Content-Type": picture.type || "application/octet-stream" } };
  const strokes = form.querySelector("textarea")?.value;
  return strokes ? { body: strokes, headers: { "Content-Type": "application/json" } } : {};
}

/** @param {string} text an answer @returns {string} the same, indented and with long texts cut, where it is JSON */
function readable(text) {
  try {
    const cut = (/** @type {string} */ _, /** @type {unknown} */ value) =>
      typeof value === "string" && value.length > LONGEST ? `${value.slice(0, LONGEST)} …` : value;
    return JSON.stringify(JSON.parse(text, cut), null, 2).replace(/\[\s+([-\d.,\s]+?)\s+\]/g, (_, numbers) =>
      `[${numbers.replace(/\s+/g, " ")}]`, // a row of numbers takes one line
    );
  } catch {
    return text; // figures for Prometheus are no JSON
  }
}

/** @param {HTMLFormElement} form */
async function send(form) {
  const shown = document.createElement("pre");
  try {
    const answer = await fetch(addressOf(form), { method: form.dataset.method, ...bodyOf(form), cache: "no-store" });
    shown.textContent = `${answer.status} ${answer.statusText}\n${readable(await answer.text())}`;
  } catch {
    shown.textContent = "The server cannot be reached.";
  }
  form.querySelector("output")?.replaceChildren(shown);
}

for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll("form.try"))) {
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}
for (const example of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-host]"))) {
  const here = new URL(".", document.baseURI).href;
  example.textContent = (example.textContent ?? "").replaceAll(example.dataset.host ?? "", here);
}
