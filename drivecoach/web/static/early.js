// Before the first paint: the language and theme that were chosen, so that nothing flashes. No module, so that it blocks.
"use strict";
(() => {
  const root = document.documentElement;
  const kept = (key) => {
    try { return localStorage.getItem(`drivecoach.${key}`); } catch { return null; }
  };
  const asked = new URLSearchParams(location.search).get("lang");
  const known = [asked, kept("language"), (navigator.language || "").slice(0, 2)].find((one) => one === "zh" || one === "en");
  root.lang = known || "en";
  const theme = kept("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
})();
