/** Starts the page: opens the reader that index.html names and joins the parts. */

const kind = document.querySelector('meta[name="hanmo-reader"]')?.content ?? "http";
const { open } = await import(kind === "local" ? "./local/reader.js" : "./http.js");
const reader = await open();
console.assert(reader);
