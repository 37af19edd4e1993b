// Figures as tables and small pictures: shares with their bounds, levels said for levels, coverage against risk.
import { el, svg } from "/web/dom.js";
import { count } from "./runs.js";

/** A table with these columns; a cell is a text or an element. Wide ones scroll in a box of their own. */
export function table(columns, rows) {
  return el("div", { class: "scroll" }, el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, ...columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows.map(([first, ...cells]) => el("tr", {}, el("th", { scope: "row" }, first),
      ...cells.map((cell) => el("td", {}, cell)))))));
}

/** A share with the bounds between which the true one lies, 95% sure. */
export function rateOf(rate) {
  if (!rate) return "–";
  const digits = Math.max(2, rate.text.split(".")[1]?.length - 1 || 0);
  return el("span", { class: "rate" }, el("b", {}, rate.text), " ",
    el("span", { class: "small quiet", title: "95%" }, `${(100 * rate.low).toFixed(digits)}–${(100 * rate.high).toFixed(digits)}`));
}

/** Bounds as a picture, on a scale that begins at `from`. */
function whisker(rate, from) {
  const at = (share) => 100 * (share - from) / (1 - from);
  return svg("svg", { class: "whisker", viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("line", { class: "track", x1: 0, x2: 100, y1: 6, y2: 6 }),
    svg("rect", { class: "bounds", x: at(rate.low), width: Math.max(0.6, at(rate.high) - at(rate.low)), y: 3, height: 6 }),
    svg("rect", { class: "share", x: Math.min(99, Math.max(0, at(rate.share) - 0.5)), width: 1, y: 0, height: 12 }));
}

export function splitTable(splits, text) {
  const least = Math.min(...splits.map((split) => split.exact.low));
  const from = [0.99, 0.98, 0.95, 0.9, 0.8, 0.5, 0].find((edge) => least >= edge);
  return table([text("score-split"), text("score-inputs"), text("score-exact"), `${100 * from}% – 100%`, text("score-at-most"),
    text("score-recall"), text("score-precision"), text("score-lowered"), text("score-below"), text("score-schema"), text("score-violating")],
  splits.map((split) => [split.name, count(split.exact.rows), rateOf(split.exact), whisker(split.exact, from), `${(100 * split.wrong_at_most).toPrecision(2)}%`,
    rateOf(split.recall), rateOf(split.precision), el("span", { class: split.lowered ? "grave" : null }, count(split.lowered)), count(split.below),
    rateOf(split.schema_valid), count(split.violating?.count)]));
}

/** Which level was said for which: what was lowered is marked strongest. */
export function confusionOf(split, text) {
  const { levels, rows } = split.confusion;
  const shade = (right, said, number) => (said === right ? "w0" : !number ? null : said < right || said === levels.length ? "w3" : "w1");
  return el("div", { class: "scroll" }, el("table", { class: "matrix" }, el("caption", { class: "small quiet" }, split.name),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, text("score-right-said")), ...levels.map((level) => el("th", { scope: "col" }, level)), el("th", { scope: "col" }, text("score-none")))),
    el("tbody", {}, ...rows.map((counts, right) => el("tr", {}, el("th", { scope: "row" }, levels[right]),
      ...counts.map((number, said) => el("td", { class: shade(right, said, number) }, count(number))))))));
}

/** The share that is wrong among what is answered, over the share that is answered. */
export function coverageOf(found, text) {
  const points = found.coverage;
  const high = Math.max(...points.map((one) => one.wrong), 1e-9);
  const least = Math.min(...points.map((one) => one.coverage), 0.9);
  const left = least < 0.05 ? 0 : least;
  const x = (one) => 50 + 540 * (one.coverage - left) / (1 - left || 1);
  const y = (share) => 150 - 130 * share / high;
  const path = (key) => points.map((one, place) => `${place ? "L" : "M"}${x(one).toFixed(1)} ${y(one[key]).toFixed(1)}`).join("");
  const percent = (share) => `${Number((100 * share).toPrecision(2))}%`;
  const label = (at, text_, anchor) => { const made = svg("text", { x: at[0], y: at[1], "text-anchor": anchor }); made.textContent = text_; return made; };
  return el("div", {},
    svg("svg", { class: "curve", viewBox: "0 0 600 185", role: "img", "aria-label": text("score-curve") },
      svg("path", { class: "axis", d: "M50 20V150H590" }), svg("path", { class: "line", d: path("wrong") }), svg("path", { class: "line dashed", d: path("lowered") }),
      label([44, 25], percent(high), "end"), label([44, 154], percent(0), "end"), label([50, 172], percent(left), "start"), label([590, 172], "100%", "end"),
      label([320, 180], text("score-answered"), "middle")),
    el("p", { class: "small quiet shades" }, el("span", {}, el("i", { class: "key" }), text("score-wrong")), el("span", {}, el("i", { class: "key dashed" }), text("score-lowered"))),
    found.threshold ? el("p", {}, text("score-threshold", {
      least: found.threshold.min_confidence.toPrecision(4), answered: count(found.threshold.answered), states: count(found.threshold.states), most: percent(found.threshold.lowered_at_most),
    })) : null);
}

export const texts = {
  zh: {
    "score-split": "测试", "score-inputs": "输入数", "score-exact": "完全正确", "score-at-most": "错误至多", "score-recall": "危险召回", "score-precision": "危险精确",
    "score-lowered": "危险被降级", "score-below": "级别偏低", "score-schema": "符合格式", "score-violating": "违反不变式",
    "score-right-said": "正确 ↓ 模型 →", "score-none": "无", "score-curve": "覆盖率与风险曲线", "score-answered": "作答的比例", "score-wrong": "答错",
    "score-threshold": "在验证集上选定：置信度低于 {least} 时不作答，{states} 个输入中作答 {answered} 个，没有危险被降级（95% 置信下至多 {most}）。",
  },
  en: {
    "score-split": "test", "score-inputs": "inputs", "score-exact": "exactly right", "score-at-most": "wrong at most", "score-recall": "gravest level: recall", "score-precision": "precision",
    "score-lowered": "lowered", "score-below": "level too low", "score-schema": "in the schema", "score-violating": "broken invariants",
    "score-right-said": "right ↓ said →", "score-none": "none", "score-curve": "Coverage and risk", "score-answered": "share that is answered", "score-wrong": "wrong",
    "score-threshold": "Chosen on validation rows: below a confidence of {least} nothing is said. {answered} of {states} inputs are answered, none of them a lowered danger (95% sure: at most {most}).",
  },
};
