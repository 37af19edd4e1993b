// The map of rules and items: a number is how many states are answered wrong; it opens to those states.
import { el } from "/web/dom.js";
import { caseOf } from "./cases.js";
import { count } from "./runs.js";

const SHADES = ["w0", "w1", "w2", "w3", "w4"];

/** The map of a run's proof, whose failing cells open a dialog. */
export function mapOf(found, text, ask) {
  const { map, fields } = found;
  const dialog = el("dialog", { class: "cases", "aria-labelledby": "cases-title" });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  function open(place) {
    const cell = map.failing[place];
    const about = text("map-about", { wrong: count(cell.wrong), states: count(cell.states) });
    const rest = cell.cases.length < cell.wrong ? text("map-rest", { shown: count(cell.cases.length) }) : "";
    dialog.replaceChildren(
      el("header", { class: "cases-head" },
        el("div", {}, el("h2", { id: "cases-title" }, [cell.rule, cell.item].filter(Boolean).join(" · ")),
          el("p", { class: "small quiet" }, [about, rest, cell.reason].filter(Boolean).join(" "))),
        el("button", { type: "button", class: "quiet-button", onclick: () => dialog.close() }, text("close"))),
      el("div", { class: "cases-list" }, ...cell.cases.map((one) => {
        const shown = caseOf(fields, one, text);
        shown.append(el("div", {}, el("button", { type: "button", class: "quiet-button", onclick: () => { dialog.close(); ask(recordOf(fields, one.state)); } }, text("map-ask"))));
        return shown;
      })));
    dialog.showModal();
    dialog.scrollTop = 0;
  }

  function square(place) {
    const cell = map.cells[place];
    const told = `${cell.rule} ${cell.item}: ${count(cell.wrong)} / ${count(cell.states)}`;
    if (!cell.wrong) return el("span", { class: "w0", title: told }, el("span", { class: "hidden-text" }, told));
    return el("button", { type: "button", class: `${cell.shade}${cell.lowered ? " low" : ""}`, title: told, "aria-label": told, onclick: () => open(place) }, cell.count);
  }

  function table(group) {
    return el("div", { class: "scroll" }, el("table", { class: "map" },
      el("caption", { class: "hidden-text" }, `${text("map-rules")} ${group.name}`),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, el("span", { class: "hidden-text" }, text("map-rules"))),
        ...group.items.map((item) => el("th", { scope: "col" }, el("span", {}, item))))),
      el("tbody", {}, ...group.rows.map(([rule, places]) => el("tr", {}, el("th", { scope: "row" }, rule),
        ...places.map((place) => el("td", {}, place === null ? null : square(place))))))));
  }

  const worst = map.worst.map((place) => {
    const cell = map.cells[place];
    return el("li", {}, el("button", { type: "button", onclick: () => open(place) },
      el("span", {}, `${cell.rule} ${cell.item}`), el("b", {}, count(cell.wrong), el("span", { class: "quiet" }, ` / ${count(cell.states)}`))));
  });
  return el("div", {},
    el("div", { class: "shades small quiet" }, ...SHADES.map((shade) => el("span", {}, el("i", { class: shade }), text(`map-${shade}`))),
      el("span", {}, el("i", { class: "w2 low" }), text("map-low"))),
    worst.length ? el("div", {}, el("h3", {}, text("map-worst")), el("ul", { class: "worst" }, ...worst)) : el("p", {}, text("map-clean")),
    el("div", { class: "maps" }, ...map.groups.map((group) => el("details", { open: group.wrong > 0 || map.groups.length === 1 },
      el("summary", {}, group.name || text("map-all"), " ",
        el("span", { class: "small quiet" }, text("map-group", { right: group.right, rules: count(group.rows.length), states: count(group.states) }))),
      table(group)))),
    dialog);
}

/** The input of a case as the form of the tab Ask takes it. */
function recordOf(fields, values) {
  const made = {};
  fields.forEach((name, place) => {
    if (values[place] === "–") return;
    const path = name.split(".");
    let inside = made;
    for (const key of path.slice(0, -1)) inside = inside[key] ??= {};
    inside[path.at(-1)] = values[place];
  });
  return made;
}

export const texts = {
  zh: {
    "map-rules": "规则", "map-about": "{states} 个状态中 {wrong} 个答错。", "map-rest": "这里列出前 {shown} 个。", "map-worst": "错得最多的地方", "map-all": "全部", "map-ask": "拿它提问",
    "map-clean": "没有答错的状态。", "map-group": "{right} · {rules} 条规则，{states} 个状态",
    "map-w0": "全对", "map-w1": "错误不超过 1%", "map-w2": "不超过 5%", "map-w3": "不超过 20%", "map-w4": "更多", "map-low": "角标：有危险被降级",
  },
  en: {
    "map-rules": "Rules", "map-about": "{wrong} of {states} answered wrong.", "map-rest": "The first {shown} are shown.", "map-worst": "Where it fails most", "map-all": "all", "map-ask": "Ask about it",
    "map-clean": "No state is answered wrong.", "map-group": "{right} · {rules} rules, {states} states",
    "map-w0": "all right", "map-w1": "up to 1% wrong", "map-w2": "up to 5%", "map-w3": "up to 20%", "map-w4": "more", "map-low": "corner: a danger was lowered",
  },
};
