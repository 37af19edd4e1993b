// Light or dark: as the system has it until the person chooses; the choice is kept.
import { keep } from "./kept.js";

const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const followers = new Set();

export function isDark() { return root.dataset.theme ? root.dataset.theme === "dark" : system.matches; }

/** Calls `follow` whenever the theme has changed: for what is drawn in colours of its own. */
export function onTheme(follow) { followers.add(follow); }

function changed() {
  document.getElementById("theme")?.setAttribute("aria-pressed", String(isDark()));
  for (const follow of followers) follow();
}

system.addEventListener("change", changed);
document.getElementById("theme")?.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  keep("theme", root.dataset.theme);
  changed();
});
changed();
