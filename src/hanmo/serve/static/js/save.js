/** Results -> files that other programs open. */

const CANDIDATES = 5;

/**
 * One cell after RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe before it.
 * @param {unknown} value
 */
function cell(value) {
  let text = String(value ?? "");
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * @param {import("./http.js").Result[]} results of reader.read, with names
 * @returns {string} CSV with a byte order mark, without which spreadsheets take UTF-8 for something else
 */
export function toCsv(results) {
  const ranks = Array.from({ length: CANDIDATES }, (_, i) => i + 1);
  const head = ["file", "character", "probability", "refused", "reason", "error"];
  /** @type {unknown[][]} */
  const rows = [[...head, ...ranks.flatMap((rank) => [`candidate_${rank}`, `probability_${rank}`])]];
  for (const { name, character, probability, refused, reason, candidates = [], error } of results) {
    const told = ranks.flatMap((rank) => {
      const candidate = candidates[rank - 1];
      return [candidate?.character, candidate?.probability];
    });
    rows.push([name, character, probability, error ? undefined : Boolean(refused), reason, error?.message, ...told]);
  }
  return csv(rows);
}

/** @param {unknown[][]} rows @returns {string} with a byte order mark, see toCsv() */
export function csv(rows) {
  const lines = rows.map((row) => `${row.map(cell).join(",")}\r\n`);
  return `\ufeff${lines.join("")}`;
}

/** @param {object[]} results @param {{name?: string, version?: string}} model @returns {string} */
export function toJson(results, model) {
  return `${JSON.stringify({ model: model.name, version: model.version, results }, null, 2)}\n`;
}

/** Let the browser save a text. @param {string} text @param {string} type @param {string} name */
export function save(text, type, name) {
  saveBlob(new Blob([text], { type }), name);
}

/** Let the browser save a file. @param {Blob} file @param {string} name */
export function saveBlob(file, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
