/** Light or dark, and what the browser keeps: settings for good, the drawing and the line until the tab is closed. */

/** @param {string} key @param {?string} value null: forget it */
export function keep(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // Storage may be forbidden or full; the setting then lasts as long as the page.
  }
}

/** @param {string} key @returns {?string} */
export function kept(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** As keep(), for as long as the tab is open: a reload finds it again. @param {string} key @param {?string} value */
export function keepInTab(key, value) {
  try {
    if (value === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, value);
  } catch {
    // As above: what is written then ends with the page.
  }
}

/** @param {string} key @returns {?string} */
export function keptInTab(key) {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

const system = matchMedia("(prefers-color-scheme: dark)");

/** @returns {boolean} */
export function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : system.matches;
}

function changed() {
  document.dispatchEvent(new Event("hanmo-theme"));
}

system.addEventListener("change", changed);

/** The other of light and dark. Back at what the system says, the page follows the system again. */
export function switchTheme() {
  const dark = !isDark();
  if (dark === system.matches) {
    delete document.documentElement.dataset.theme;
    keep("hanmo-theme", null);
  } else {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    keep("hanmo-theme", document.documentElement.dataset.theme);
  }
  changed();
}

/** Scroll an element into view, gently unless the system asks for no motion. @param {Element} element */
export function reveal(element) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
}
