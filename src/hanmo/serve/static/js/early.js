/* Runs before the first paint, so that neither language nor colours jump. Not a module: those run after it. */
(() => {
  const kept = (/** @type {string} */ key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage may be forbidden; the page then just forgets
    }
  };
  const first = (navigator.languages?.length ? navigator.languages : [navigator.language ?? "en"])
    .map((tag) => tag.toLowerCase().split("-")[0])
    .find((tag) => tag === "zh" || tag === "en");
  const language = kept("hanmo-language") ?? first ?? "en";
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  // Fingers get other words and a camera button; text.js and the style sheets look at this mark.
  if (matchMedia("(pointer: coarse)").matches) document.documentElement.dataset.touch = "";
  const theme = kept("hanmo-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
