// The page's texts in Chinese and English: `t(key)` in scripts, `data-t="key"` in HTML; the choice is kept, `?lang=` sets it.
import { keep } from "./kept.js";

const root = document.documentElement;
const texts = {
  zh: { "skip": "跳到正文", "other-language": "English", "theme": "深色", "unreachable": "连不上服务器", "close": "关闭" },
  en: { "skip": "Skip to content", "other-language": "中文", "theme": "Dark", "unreachable": "The server cannot be reached", "close": "Close" },
};
const followers = new Set();

/** Adds a page's own texts, `{zh: {key: text}, en: {key: text}}`, and shows the page in the chosen language. */
export function useTexts(own) {
  for (const language of ["zh", "en"]) Object.assign(texts[language], own[language]);
  const asked = new URLSearchParams(location.search).get("lang");
  if (asked in texts) keep("language", asked);
  translate();
}

/** The text of a key, with `{name}` replaced by `values.name`; the key itself where there is none. */
export function t(key, values = {}) {
  const text = texts[root.lang][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export function language() { return root.lang; }

/** Calls `follow` whenever the language has changed: for what `data-t` cannot say. */
export function onLanguage(follow) { followers.add(follow); }

export function setLanguage(chosen) {
  root.lang = chosen;
  keep("language", chosen);
  translate();
  for (const follow of followers) follow();
}

/** Sets the texts of everything in `within` that names one: its content, its label, its tooltip, its placeholder. */
export function translate(within = document) {
  for (const one of within.querySelectorAll("[data-t]")) one.textContent = t(one.dataset.t);
  for (const one of within.querySelectorAll("[data-t-label]")) one.setAttribute("aria-label", t(one.dataset.tLabel));
  for (const one of within.querySelectorAll("[data-t-title]")) one.title = t(one.dataset.tTitle);
  for (const one of within.querySelectorAll("[data-t-placeholder]")) one.placeholder = t(one.dataset.tPlaceholder);
  if (within === document && texts[root.lang].title) document.title = t("title");
}

document.getElementById("language")?.addEventListener("click", () => setLanguage(root.lang === "zh" ? "en" : "zh"));
