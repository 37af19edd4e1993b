// What several tabs are put together from: choices, facts, bars, a command at work.
import { el } from "/web/dom.js";
import { language, t } from "/web/language.js";

export function number(value, digits = 0) {
  return value.toLocaleString(language() === "zh" ? "zh-CN" : "en-US", { maximumFractionDigits: digits });
}

export function percent(share) { return `${(100 * share).toFixed(share > 0.995 && share < 1 ? 2 : 1)}%`; }

export function bytes(count) {
  const [unit, size] = [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10], ["B", 1]].find(([, one]) => count >= one) ?? ["B", 1];
  return `${(count / size).toFixed(size === 1 || count / size >= 100 ? 0 : 1)} ${unit}`;
}

/** Seconds as a person says them. */
export function duration(seconds) {
  const zh = language() === "zh";
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} ${zh ? "秒" : "s"}`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} ${zh ? "分钟" : "min"}`;
  return `${(seconds / 3600).toFixed(1)} ${zh ? "小时" : "h"}`;
}

/** A select with options or groups of them: `["a", "b"]` or `{label: ["a"]}`; `named` gives what is shown for a value. */
export function choice(attributes, options, value, named = (one) => one) {
  const made = el("select", attributes);
  const entry = (one) => { const option = el("option", { value: one }, named(one)); option.selected = one === value; return option; };
  if (Array.isArray(options)) made.append(...options.map(entry));
  else for (const [label, group] of Object.entries(options)) if (group.length) made.append(el("optgroup", { label }, ...group.map(entry)));
  return made;
}

/** A label over a field, with what helps and what is wrong below. */
export function field(label, input, help = null) {
  return el("label", { class: "field" }, el("span", { class: "field-label" }, label), input, help);
}

/** Small figures with their names. */
export function facts(...pairs) {
  return el("dl", { class: "facts" }, ...pairs.filter(Boolean).map(([name, value, more]) =>
    el("div", {}, el("dt", {}, name), el("dd", { class: "number" }, value, more ? el("span", { class: "small quiet" }, ` ${more}`) : ""))));
}

/** Counts as bars, the longest first as given; a count of nothing is marked. */
export function bars(counts, most = Math.max(1, ...counts.map(([, count]) => count))) {
  return el("div", { class: "bars" }, ...counts.map(([name, count, shown]) => {
    const filled = el("i", {});
    filled.style.width = `${Math.max(count ? 1.5 : 0, 100 * count / most)}%`;
    return el("div", { class: count ? "bar" : "bar none" }, el("span", { class: "bar-name", title: name }, name), el("span", { class: "bar-track" }, filled), el("span", { class: "number" }, shown ?? number(count)));
  }));
}

/** ``code`` of a docstring as code. */
export function marked(text) {
  return text.split(/``?([^`]+)``?/).map((part, place) => (place % 2 ? el("code", {}, part) : part));
}

const LAST = (job) => job.messages.trim().split("\n").pop().slice(0, 160);

/**
 * A command at work: what it is, how far it is, a button that stops it. `ended(job)` is called once, also for one that
 * had ended before. Returns a function that ends the watching.
 */
export function working(place, context, job, ended) {
  const said = el("p", { class: "small quiet working-said", role: "status" });
  const stop = el("button", { type: "button", class: "quiet-button", onclick: () => context.api(`/api/jobs/${job.id}/stop`, {}) }, t("stop"));
  const box = el("div", { class: "working" }, el("span", { class: "spinner", "aria-hidden": "true" }), el("div", { class: "grow" }, el("strong", {}, t("running")), said), stop);
  const command = context.command(job.command);
  place.replaceChildren(command);
  return context.watchJob(job.id, (now) => {
    if (now.state === "running") {
      said.textContent = LAST(now);
      if (!box.isConnected) place.prepend(box);
    } else {
      box.remove();
      ended(now);
    }
  });
}
