/** The footer: which model reads, how well, and under which licence. */

import { part } from "./dom.js";
import { t } from "./text.js";

/** Test sets by the names people know; a bundle's own name stays where there is none. */
/** @type {Record<string, [string] | [string, number]>} */
const SETS = {
  "hwdb100-test": ["CASIA-HWDB1.1", 100],
  "radicals32-test": ["CASIA-HWDB1.1", 32],
  "hcl-address": ["HCL2000"],
};

/** @param {string} set */
function nameOf(set) {
  const [name, characters] = SETS[set] ?? [set];
  return characters ? t("test_part", { name, characters }) : name;
}

/** @param {HTMLElement} root @param {import("./http.js").Model} model as reader.describe() tells @param {string} kind "http" or "local" */
export function showModel(root, model, kind) {
  const render = () => {
    const number = new Intl.NumberFormat(document.documentElement.lang);
    const characters = number.format(model.characters);
    const line = (/** @type {string} */ name, /** @type {string} */ text) => (part(root, name).textContent = text);
    line(".model-line", t("model_line", {
      name: model.name, characters, precision: model.precision, parameters: (model.parameters / 1e6).toFixed(1),
    }));
    const figures = Object.entries(model.accuracy)
      // "top1 NAME of the test set": slice(5) below leaves the name.
      .filter(([name]) => name.startsWith("top1"))
      .map(([name, value]) => t("accuracy_one", { set: nameOf(name.slice(5)), value }));
    line(".model-accuracy", figures.length
      ? `${t("accuracy", { list: figures.join(t("comma")) })} ${t("accuracy_note", { characters })}` : "");
    line(".model-licence", t("licence", { licence: model.licence, count: model.trained_on.length }));
    line(".private", t(model.keeps_corrections ? "private_keep" : `private_${kind}`));
  };
  part(root, ".docs").hidden = kind !== "http";
  document.addEventListener("hanmo-language", render);
  render();
}
