// The domain's Chinese words, shown in the language of the page; and a state's features out of its line.
import { language } from "/web/language.js";
import { ENGLISH, REASONS } from "./texts.js";

/** A feature, value, item, level or action in the page's language. */
export function word(chinese) { return language() === "en" ? ENGLISH[chinese] ?? chinese : chinese; }

/** The server's words about a silence, a trouble or an end, in the page's language. */
export function reasonOf(english) { return language() === "zh" ? REASONS[english] ?? english : english; }

/** `<特征>名:值; …</特征>` as {名: 值}. */
export function featuresOf(line) {
  const pairs = line.replace(/<\/?特征>/g, "").split(";").map((one) => one.trim().split(":"));
  return Object.fromEntries(pairs.filter((pair) => pair.length === 2));
}

/** Seconds as minutes and seconds. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
