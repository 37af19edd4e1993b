// The switches of every page, its charts, and the cases that a map opens. All text is set as text, never as HTML.
"use strict";
(() => {
const root = document.documentElement;
const data = JSON.parse(document.getElementById("data").textContent);
const kept = (key, value) => {
  try {
    if (value !== undefined) localStorage.setItem("drivecoach." + key, value);
    return localStorage.getItem("drivecoach." + key);
  } catch { return null; }  // a browser that keeps nothing for files
};

function el(tag, name, ...inside) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...inside.filter((one) => one !== null && one !== ""));
  return made;
}
function t(en, zh) {
  return ["en", "zh"].map((lang, place) => {
    const made = el("span", "", [en, zh][place]);
    made.lang = lang;
    return made;
  });
}

// --- language and theme ---

const isDark = () => root.dataset.theme
  ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
function speak(lang) { root.lang = lang; draw(); }
function shade(theme) {
  if (theme) root.dataset.theme = theme;
  document.getElementById("theme").setAttribute("aria-pressed", isDark());
  draw();
}
document.getElementById("language").onclick = () => speak(kept("language", root.lang === "zh" ? "en" : "zh") || (root.lang === "zh" ? "en" : "zh"));
document.getElementById("theme").onclick = () => { const next = isDark() ? "light" : "dark"; kept("theme", next); shade(next); };
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => shade());

// --- charts ---

function colour(name) {
  const probe = el("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
function look() {
  const [ink, quiet, line] = ["ink", "quiet", "line"].map(colour);
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: "transparent", font, view: { stroke: null },
    axis: { labelColor: quiet, titleColor: quiet, gridColor: line, domainColor: line, tickColor: line, titleFontWeight: 500, labelFontSize: 12, titleFontSize: 12 },
    legend: { labelColor: ink, titleColor: quiet, orient: "bottom", labelFontSize: 12, labelLimit: 260, columns: innerWidth < 600 ? 1 : 0, symbolStrokeWidth: 2 },
    title: { color: ink, anchor: "start", fontSize: 14, fontWeight: 600 },
    text: { color: ink }, rule: { color: quiet },
    range: { category: isDark()
      ? ["#5cc6cb", "#f0b455", "#c9a0f0", "#ff8a80", "#9ecbff"] : ["#0b6e75", "#b86e00", "#7a3fb0", "#b3261e", "#1d5fa8"] },
  };
}
function draw() {
  for (const place of document.querySelectorAll("[data-chart]")) {
    const spec = data.charts[place.dataset.chart][root.lang];
    vegaEmbed(place, spec, { actions: false, renderer: "svg", ast: true, config: look() })
      .catch((error) => { place.textContent = String(error); });
  }
}

// --- an answer as a person sees it ---

function answer(said, other, who) {
  if (!said) return null;
  const differs = (own, others) => other && JSON.stringify(own) !== JSON.stringify(others) ? "differs" : "";
  const sign = { mild: "● ", middle: "▲ ", grave: "■ " }[said.rank] || "";
  const made = el("div", `answer ${said.rank}`, who ? el("p", "who quiet", ...who) : "");
  if (said.level) made.append(el("p", `level ${differs(said.level, other?.level)}`, sign + said.level));
  made.append(el("p", `said ${differs(said.sentence, other?.sentence)}`, said.sentence));
  said.lists.forEach(([, items], place) => {
    const others = other?.lists[place]?.[1];
    made.append(el("ul", "chips", ...items.map((item, at) => el("li", others && others[at] !== item ? "differs" : "", item))));
  });
  said.rest.forEach(([name, value], place) => {
    made.append(el("p", `small ${differs(value, other?.rest[place]?.[1])}`, `${name}: ${value}`));
  });
  return made;
}
function state(fields, one) {
  if (fields.length === 1) return el("p", "", one.state[0]);
  return el("dl", "state", ...fields.map((name, place) =>
    el("div", one.decides.includes(place) ? "decides" : "", el("dt", "", name), el("dd", "", one.state[place]))));
}
function shown(fields, one) {
  const made = el("article", "case");
  if (one.wrong) {
    const said = one.said ? answer(one.said, one.right, t("said", "模型回答"))
      : el("div", "answer grave", el("p", "who quiet", ...(one.raw ? t("said, which is no answer", "模型输出（不是有效回答）") : t("no answer", "没有有效回答"))),
        el("p", "code", one.raw || one.why));
    made.append(el("div", "answers", said, answer(one.right, one.said, t("right", "正确回答"))));
  } else made.append(answer(one.said || one.right));
  made.append(state(fields, one));
  const notes = [];
  if (one.lowered) notes.push(...t("A danger was lowered. ", "危险被降级。"));
  if (one.violations?.length) notes.push(...t("Breaks ", "违反 "), one.violations.join(", "), " ");
  if (one.reason) notes.push(`${one.rule} ${one.reason}`);
  if (notes.length) made.append(el("p", "note", ...notes));
  return made;
}
for (const place of document.querySelectorAll("[data-examples]")) {
  const run = data.runs[place.dataset.examples];
  place.append(...run.examples.map((one) => shown(run.fields, one)));
}

for (const place of document.querySelectorAll("[data-first]")) {
  const run = data.runs[place.dataset.first];
  place.append(shown(run.fields, run.examples.find((one) => !one.wrong) || run.examples[0]));
}

for (const place of document.querySelectorAll("[data-flips]")) {
  const [number, side] = place.dataset.flips.split("/");
  const flips = data.flips[number];
  place.append(...flips[side].map((one) => shown(flips.fields, one)));
}

// --- the map ---

const panel = document.getElementById("panel");
function open(button) {
  const [number, place] = button.dataset.cell.split("/");
  const run = data.runs[number], cell = run.cells[place];
  document.getElementById("panel-title").textContent = [cell.rule, cell.item].filter(Boolean).join(" · ");
  const count = cell.wrong.toLocaleString(), all = cell.states.toLocaleString(), kept = cell.cases.length.toLocaleString();
  const rest = cell.cases.length < cell.wrong
    ? t(` The first ${kept}; all of them are in ${run.file}.`, `这里列出前 ${kept} 个，全部见 ${run.file}。`) : [];
  document.getElementById("panel-about").replaceChildren(
    ...t(`${count} of ${all} answered wrong.`, `${all} 个状态中 ${count} 个答错。`), ...rest,
    cell.reason ? el("span", "", ` ${cell.reason}`) : "");
  document.getElementById("cases").replaceChildren(...cell.cases.map((one) => shown(run.fields, one)));
  panel.showModal();
  panel.scrollTop = 0;
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.cell) open(button);
  if (button?.dataset.tab) choose(button);
  if (button?.id === "close" || event.target === panel) panel.close();
});
function choose(button) {
  for (const tab of button.parentElement.children) {
    const chosen = tab === button;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.dataset.tab).hidden = !chosen;
  }
}
document.addEventListener("keydown", (event) => {
  const tab = event.target.closest?.("[data-tab]");
  const next = { ArrowRight: tab?.nextElementSibling, ArrowLeft: tab?.previousElementSibling }[event.key];
  if (next) { choose(next); next.focus(); }
});

root.lang = kept("language") || ((navigator.language || "en").startsWith("zh") ? "zh" : "en");
shade(kept("theme"));
})();
