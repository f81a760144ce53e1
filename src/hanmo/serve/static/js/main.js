/** Starts the page: opens the reader that index.html names and joins the parts. */

import { Among, choosing } from "./among.js";
import { Answers } from "./answers.js";
import { Corrections } from "./corrections.js";
import { focusQuietly, isFocusLost, part } from "./dom.js";
import { takeFiles } from "./files.js";
import { Grid } from "./grid.js";
import { listen } from "./keys.js";
import { Line } from "./line.js";
import { showModel } from "./model.js";
import { Pad } from "./pad.js";
import { prepared, withoutHeic } from "./prepare.js";
import { Reading } from "./reading.js";
import { isDark, keep, keepInTab, kept, keptInTab, reveal, switchTheme } from "./settings.js";
import { Sheet } from "./sheet/sheet.js";
import { fill, switchLanguage, t } from "./text.js";
import { calm, say, warn } from "./voice.js";
import { Why } from "./why.js";

/** @param {string} id @returns {HTMLElement} */
const $ = (id) => part(document, `#${id}`);

fill();
const pad = new Pad($("pad"));
const line = new Line($("line"));
// A reload, or a phone that dropped the page from memory, must not lose what was written.
const before = keptInTab("hanmo-strokes");
if (before) pad.restore(before);
joinSettings();
joinTools();

// A choice among other characters is another question about the same drawing.
const among = new Among($("among"), () => reading.now());
// Which of the two readers is used: the server's, or the one that runs the net in the browser.
const kind = part(document, 'meta[name="hanmo-reader"]', HTMLMetaElement).content;
/** @type {import("./http.js").Reader} */
let reader;
try {
  // Only the reader in use is loaded: the local one brings the net along.
  const { open } = await import(kind === "local" ? "./local/reader.js" : "./http.js");
  reader = choosing(withoutHeic(await open()), () => among.value);
} catch (error) {
  warn({ code: "reader_unavailable", message: "" });
  throw error;
}

/** @type {Partial<import("./http.js").Model>} empty until the reader describes it */
const model = {};
/** The picture that was given last. @type {?Blob} */
let latest = null;
const corrections = new Corrections($("corrections"));
/** @param {string} character @param {?import("./http.js").Input} input what it was chosen for */
const choose = (character, input) => {
  line.add(character, corrections.isOn ? t("copied_kept") : "");
  corrections.add(character, input);
};
// `answers` and `why` name each other, which is possible because both only do so when something is clicked.
const answers = new Answers($("answers"), {
  choose: (character) => {
    pad.settle();
    choose(character, pad.input);
  },
  explain: (character) => why.open(pad.input, answers.candidates, character),
});
const why = new Why($("why"), reader, () => $(answers.candidates.length ? "why-open" : "pad").focus());
const reading = new Reading(reader, () => pad.input, {
  waiting: () => answers.waiting(),
  nothing: () => {
    answers.empty();
    why.follow(null, []);
  },
  result: (result, ms) => {
    answers.show(result, ms);
    why.follow(pad.input, answers.candidates);
  },
});
/** @param {Blob} file @param {string} name */
const open = (file, name) => {
  pad.show(file, name);
  reveal($("pad"));
  $("pad").focus({ preventScroll: true });
};
const grid = new Grid($("grid"), reader, model, { choose, open });
const sheet = new Sheet($("sheet"), reader, model, {
  open,
  choose: (character, picture) => corrections.add(character, picture), // the sheet has a text of its own
});
const whole = joinWhole();

// Every change of the square is kept first and then read.
pad.addEventListener("change", () => {
  keepInTab("hanmo-strokes", pad.kept);
  reading.now();
});
takeFiles($("pictures"), showOrList);
listen(
  { undo: () => pad.undo(), redo: () => pad.redo(), clear: () => pad.clear(), pick: (rank) => answers.pickByKey(rank) },
  $("desk"),
);
if (pad.input) reading.now(); // somebody was quicker than the reader
describe();

/** A sheet is read as one; else one picture goes to the square, several become a list. @param {{file: Blob, name: string}[]} pictures */
async function showOrList(pictures) {
  if (whole.checked) {
    latest = null;
    return sheet.open(pictures[0], pictures.length);
  }
  if (pictures.length > 1) return grid.add(pictures);
  const [{ file, name }] = pictures;
  latest = file;
  const ready = await prepared(file);
  if (latest === file) pad.show(ready, name); // a large photo may be ready after the next picture
}

async function describe() {
  try {
    showModel($("model"), Object.assign(model, await reader.describe()), kind);
    $("model").hidden = false;
    corrections.offer(model.keeps_corrections);
    if (among.offer(model.sets ?? []) && pad.input) reading.now();
    calm();
  } catch (error) {
    warn(error, describe);
  }
}

function joinTools() {
  const tools = { undo: () => pad.undo(), redo: () => pad.redo(), clear: () => pad.clear() };
  for (const [name, act] of Object.entries(tools)) $(name).addEventListener("click", act);
  const width = part(document, "#width", HTMLInputElement);
  width.value = kept("hanmo-width") ?? width.value;
  pad.weight = Number(width.value);
  width.addEventListener("input", () => {
    pad.weight = Number(width.value);
    keep("hanmo-width", width.value);
  });
  const allow = () => {
    // Buttons that would do nothing are disabled, so that the keyboard skips them.
    const useful = { undo: pad.canUndo, redo: pad.canRedo, clear: Boolean(pad.input) };
    for (const [name, is] of Object.entries(useful)) part(document, `#${name}`, HTMLButtonElement).disabled = !is;
    if (isFocusLost()) focusQuietly($("pad")); // keys would go nowhere else
  };
  pad.addEventListener("change", allow);
  allow();
}

/** The switch that says whether a picture is a sheet. @returns {HTMLInputElement} */
function joinWhole() {
  const box = part(document, "#whole", HTMLInputElement);
  const formats = part(document, "#formats");
  const able = Boolean(reader.readSheet);
  const show = () => {
    formats.dataset.t = box.checked ? "drop_sheet" : "drop_formats";
    formats.textContent = t(formats.dataset.t);
  };
  box.disabled = !able;
  box.checked = able && keptInTab("hanmo-whole") === "yes";
  box.addEventListener("change", () => {
    keepInTab("hanmo-whole", box.checked ? "yes" : null);
    show();
  });
  part(document, "#whole-note").hidden = able;
  show();
  return box;
}

function joinSettings() {
  const theme = $("theme");
  const showTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
  theme.addEventListener("click", switchTheme);
  document.addEventListener("hanmo-theme", showTheme);
  showTheme();
  $("language").addEventListener("click", switchLanguage);
  const showTitle = () => (document.title = t("title"));
  document.addEventListener("hanmo-language", showTitle);
  showTitle();
  document.addEventListener("hanmo-language", () => say(t("title")));
}
