// The tab Proof: what was measured of a run, the map of what it gets wrong, and two runs held against each other.
import { el, shape } from "/web/dom.js";
import { language } from "/web/language.js";
import { keep } from "/web/kept.js";
import { caseOf, texts as caseTexts } from "./cases.js";
import { mapOf, texts as mapTexts } from "./map.js";
import { actionRow, count, jobPanel, noRuns, runChooser, runningJob, runNow, whileBusy, texts as runTexts } from "./runs.js";
import { confusionOf, coverageOf, rateOf, splitTable, table, texts as scoreTexts } from "./scores.js";

const VERBS = ["evaluate", "verify", "refine", "report"];
const MORE = ["chain", "quant-sweep", "baselines"];

export async function open(view, context) {
  view.classList.add("results");
  const { api, text } = context;
  const { runs } = await api("/api/proof/runs");
  if (!runs.length) { view.append(noRuns(context)); return () => {}; }
  const run = runNow(runs, context.params().get("run"));
  const other = runs.some((one) => one.name === context.params().get("with")) ? context.params().get("with") : "";
  let endWatching = () => {};
  let closed = false;

  function choose(params) { context.go("proof", { run, with: other, ...params }); }

  const job = el("div", { hidden: true });
  const shown = el("div", { class: "stack" }, el("p", { class: "quiet" }, text("loading")));
  view.append(el("div", { class: "chooser" },
    runChooser("proof-run", text("run"), runs, run, (name) => choose({ run: name, with: other === name ? "" : other })),
    runChooser("proof-with", text("proof-with"), runs.filter((one) => one.name !== run), other, (name) => choose({ with: name }), text("proof-alone"))),
    job, shown);

  async function look() {
    const found = await api(`/api/proof/runs/${encodeURIComponent(run)}`);
    if (closed) return;
    const held = other ? await comparison(context, run, other) : null;
    if (closed) return;
    shown.replaceChildren(...[held, ...sections(context, run, found, start)].filter(Boolean));
  }

  function watch(id, verb) {
    endWatching();
    whileBusy(context, shown.querySelectorAll(".action-do button"));
    endWatching = jobPanel(context, job, id, async (ended) => {
      if (closed) return;
      await look();
      if (verb === "report" && ended.state === "done") showReport(context, run);
      if (verb === "refine" && ended.state !== "stopped") await offerRefined(context, run, job);
    });
  }

  async function start(action) {
    try {
      const started = await api(`/api/proof/runs/${encodeURIComponent(run)}/${action.id}`, {});
      watch(started.id, started.verb);
      job.scrollIntoView({ block: "nearest" });
    } catch (error) {
      job.hidden = false;
      job.replaceChildren(context.problem(error));
    }
  }

  try { await look(); } catch (error) { shown.replaceChildren(context.problem(error)); }
  const running = await runningJob(context, run, VERBS);
  if (running && !closed) watch(running.id, running.verb);
  return () => { closed = true; endWatching(); };
}

function sections(context, run, found, start) {
  const { text } = context;
  return [
    hero(context, found),
    commands(context, run, found, start),
    found.splits.length && scores(context, found),
    found.map && section(text("proof-map"), text("proof-map-about"), mapOf(found, text, (record) => {
      keep(`ask.${found.domain}`, JSON.stringify({ record, text: record.input ?? "" }));
      context.go("ask", { a: `runs/${run}` });
    })),
    found.coverage?.length && section(text("proof-risk"), text("proof-risk-about"), coverageOf(found, text)),
    found.rounds?.rounds.length && section(text("proof-rounds"), text("proof-rounds-about"), rounds(found.rounds, text)),
    found.behaviours.length && section(text("proof-behaviours"), "", table(
      [text("proof-expectation"), text("proof-kind"), text("proof-held"), text("proof-broken")],
      found.behaviours.map((one) => [one.name, one.kind, rateOf(one.held), el("span", { class: "small" }, one.broken.slice(0, 2).join("; "))]))),
    ...found.refused.map((why) => el("p", { class: "notice" }, why)),
  ];
}

function section(title, about, ...inside) {
  return el("section", { class: "card" }, el("h2", {}, title), about ? el("p", { class: "quiet small" }, about) : null, ...inside);
}

function hero(context, found) {
  const { text } = context;
  const one = found.certificate;
  const state = one ? (one.clean ? ["mild", "proof-clean"] : one.safe ? ["middle", "proof-safe"] : ["grave", "proof-unsafe"]) : null;
  const facts = one ? [
    [count(one.wrong), text("proof-wrong"), ""],
    [count(one.lowered), text("proof-lowered"), one.lowered ? "grave" : "mild"],
    [count(Object.values(one.violations).reduce((sum, each) => sum + each, 0)), text("proof-violations"), Object.keys(one.violations).length ? "grave" : "mild"],
  ] : [];
  if (found.speed) facts.push([`${found.speed.milliseconds.toPrecision(3)} ms`, text("proof-speed"), ""]);
  return el("section", { class: "card hero" },
    el("div", {},
      el("p", { class: "figure" }, found.headline?.share ?? "–"),
      el("p", { class: "quiet" }, found.headline ? found.headline.of[language()] : text("proof-nothing"))),
    el("div", {},
      el("p", {}, state ? el("span", { class: `badge ${state[0]}` }, shape(state[0]), text(state[1])) : el("span", { class: "badge quiet" }, text("proof-unverified"))),
      el("ul", { class: "numbers" }, ...facts.map(([number, name, grade]) => el("li", {}, el("b", { class: grade }, number), el("span", { class: "small quiet" }, name))))));
}

function commands(context, run, found, start) {
  const { text } = context;
  const actions = Object.fromEntries(found.actions.map((action) => [action.id, action]));
  const next = !found.splits.length ? "evaluate" : !found.certificate ? "verify" : found.certificate.clean ? "" : "refine";
  const row = (id) => actionRow(context, actions[id], { title: text(`do-${id}`), about: text(`do-${id}-about`), primary: id === next, start });
  const written = found.report === null ? null : el("button", { type: "button", onclick: () => showReport(context, run) }, text("proof-open-report"));
  const report = row("report");
  if (written) report.querySelector(".action-do").prepend(written);
  return el("section", { class: "card" }, el("h2", {}, text("proof-do")),
    el("div", { class: "side broad actions" }, ...["evaluate", "verify", "refine"].map(row), report),
    el("details", {}, el("summary", { class: "small" }, text("proof-more")), el("div", { class: "side broad actions" }, ...MORE.map(row))));
}

/** After a refinement: the way to the refined run, held against this one. */
async function offerRefined(context, run, job) {
  const refined = `${run}-refined`;
  if (!(await context.api("/api/proof/runs")).runs.some((one) => one.name === refined)) return;
  job.firstChild.append(el("div", {}, el("button", { type: "button", class: "primary", onclick: () => context.go("proof", { run, with: refined }) },
    context.text("proof-refined", { refined }))));
}

/** The page that `drivecoach report` wrote, in the page. */
function showReport(context, run) {
  const address = `/api/proof/reports/${encodeURIComponent(run)}`;
  const dialog = el("dialog", { class: "results report", "aria-label": context.text("do-report") },
    el("header", { class: "cases-head" }, el("h2", {}, run), el("a", { class: "button quiet-button", href: address, target: "_blank", rel: "noopener" }, context.text("proof-tab")),
      el("button", { type: "button", class: "quiet-button", onclick: () => dialog.close() }, context.text("close"))),
    el("iframe", { src: address, title: context.text("do-report"), sandbox: "allow-scripts" }));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function scores(context, found) {
  const { text } = context;
  const confused = found.splits.filter((split) => split.confusion);
  return section(text("proof-scores"), text("proof-scores-about"), splitTable(found.splits, text),
    confused.length ? el("h3", {}, text("proof-confusion")) : null,
    el("div", { class: "side" }, ...confused.map((split) => confusionOf(split, text))),
    el("div", { class: "side broad" },
      el("div", {}, el("h3", {}, text("proof-parts")), table([text("proof-part"), ...found.columns],
        found.parts.map((part) => [part.name + (part.any_order ? text("proof-any-order") : ""), ...part.rates.map(rateOf)]))),
      found.weakest.length ? el("div", {}, el("h3", {}, text("proof-weakest")), table([text("proof-value"), text("proof-exact"), text("proof-wrong")],
        found.weakest.map((one) => [one.name, rateOf(one.exact), `${count(one.exact.rows - one.exact.count)} / ${count(one.exact.rows)}`]))) : null));
}

function rounds(found, text) {
  return table([text("proof-round"), text("proof-added"), text("proof-pairs"), text("proof-wrong"), text("proof-of"), text("proof-lowered"), text("proof-violations"), text("proof-minutes")],
    found.rounds.map((one) => [`${one.round}${one.round === found.kept ? " ✓" : ""}`, count(one.added), count(one.pairs), count(one.wrong),
      count(one.states) + (one.verified ? "" : text("proof-doubtful")), count(one.lowered), count(one.violations),
      Object.values(one.minutes).reduce((sum, each) => sum + each, 0).toFixed(1)]));
}

async function comparison(context, first, second) {
  const { api, text } = context;
  const title = text("proof-compare", { first, second });
  let found;
  try {
    found = await api(`/api/proof/compare/${encodeURIComponent(first)}/${encodeURIComponent(second)}`);
  } catch (error) {
    return section(title, "", context.problem(error), context.command(`drivecoach compare runs/${first} runs/${second}`));
  }
  const verdict = (split) => {
    if (!split.better && !split.worse) return text("proof-same");
    if (!split.differ) return text("proof-chance");
    return text(split.better > split.worse ? "proof-second" : "proof-first", { first, second });
  };
  const dangers = (split) => {
    const [one, another] = split.lowered;
    if (one === null || another === null) return "–";
    const grade = another > one ? "grave" : another < one ? "mild" : "";
    return el("span", { class: grade }, `${count(one)} → ${count(another)}`);
  };
  const sides = ["better", "worse"].filter((side) => found[side].length);
  return section(title, text("proof-compare-about"),
    table([text("proof-split"), text("proof-inputs"), first, second, text("proof-better"), text("proof-worse"), "p", text("proof-dangers"), text("proof-verdict")],
      found.splits.map((split) => [split.name, count(split.rows), rateOf(split.first), rateOf(split.second),
        el("span", { class: "mild" }, `+${count(split.better)}`), el("span", { class: "grave" }, `−${count(split.worse)}`),
        split.p < 0.001 ? "< 0.001" : split.p.toFixed(3), dangers(split), el("b", {}, verdict(split))])),
    found.splits[0].rules.length ? el("p", { class: "small quiet" }, text("proof-rules"), " ",
      found.splits[0].rules.slice(0, 12).map((rule) => `${rule.rule} +${rule.better} −${rule.worse}`).join(" · ")) : null,
    ...sides.map((side) => el("details", {}, el("summary", {}, text(`proof-${side}-cases`, { second })),
      el("div", { class: "cases-list" }, ...found[side].map((one) => caseOf(found.fields, one, text))))),
    ...Object.entries(found.not_compared).map(([split, why]) => el("p", { class: "small quiet" }, `${split}: ${why}`)),
    context.command(`drivecoach compare runs/${first} runs/${second}`));
}

export const texts = {
  zh: {
    ...caseTexts.zh, ...mapTexts.zh, ...runTexts.zh, ...scoreTexts.zh,
    "proof-with": "对比", "proof-alone": "不对比", "proof-nothing": "尚未评估", "proof-unverified": "未逐一验证",
    "proof-clean": "全部输入已验证，无一错误", "proof-safe": "全部输入已验证：安全，仍有错误", "proof-unsafe": "全部输入已验证：不安全",
    "proof-wrong": "答错", "proof-lowered": "危险被降级", "proof-violations": "违反不变式", "proof-speed": "单个回答（中位数）",
    "proof-do": "测量与改进", "proof-more": "更多对照表", "proof-open-report": "打开报告", "proof-refined": "与 {refined} 对比", "proof-tab": "在新标签页打开",
    "do-evaluate": "评估", "do-evaluate-about": "在留出样本、均匀抽取的输入和难例上打分。",
    "do-verify": "逐一验证", "do-verify-about": "让模型回答全部输入，与规则逐一核对，写出证书和所有反例；可随时停下再继续。",
    "do-refine": "精炼", "do-refine-about": "从答错的输入中抽取样本继续训练、导出、再验证；原结果保持不变，新结果放在 RUN-refined。",
    "do-report": "完整报告", "do-report-about": "把已知的一切写成一个不需要联网的页面。",
    "do-chain": "环节表", "do-chain-about": "从权重到部署文件，每个环节改变了多少回答。",
    "do-quant-sweep": "量化对照", "do-quant-sweep-about": "各种量化的大小、准确率与速度。",
    "do-baselines": "简单方法对照", "do-baselines-about": "与更简单的方法相比，模型好多少。",
    "proof-map": "哪里答对，哪里答错", "proof-map-about": "每条规则在每个项目中的表现。数字是答错的状态数，点开即可查看。",
    "proof-scores": "评分", "proof-scores-about": "完全正确的比例与 95% 置信区间（Wilson）。", "proof-confusion": "级别混淆",
    "proof-parts": "逐字段", "proof-part": "字段", "proof-any-order": "（不计顺序）", "proof-weakest": "答错最多的特征值", "proof-value": "特征值", "proof-exact": "完全正确",
    "proof-risk": "覆盖率与风险", "proof-risk-about": "低于某置信度时不作答：作答的输入变少，其中答错的也变少。",
    "proof-rounds": "用自身反例精炼", "proof-rounds-about": "每一轮从上一轮答错或勉强答对的输入中学习；这些输入此后即为已见数据。",
    "proof-round": "轮次", "proof-added": "新增样本", "proof-pairs": "样本", "proof-of": "共", "proof-doubtful": "（仅可疑）", "proof-minutes": "分钟",
    "proof-behaviours": "行为", "proof-expectation": "期望", "proof-kind": "类型", "proof-held": "成立", "proof-broken": "被打破于",
    "proof-compare": "{first} 与 {second}", "proof-compare-about": "同样的问题成对比较（McNemar 检验）：第二个比第一个多答对和少答对多少。",
    "proof-split": "测试", "proof-inputs": "输入数", "proof-better": "变好", "proof-worse": "变差", "proof-dangers": "危险被降级", "proof-verdict": "结论",
    "proof-same": "答对的输入相同", "proof-chance": "差异可能出于偶然", "proof-first": "{first} 更好", "proof-second": "{second} 更好",
    "proof-rules": "变化最多的规则：", "proof-better-cases": "{second} 变好的例子", "proof-worse-cases": "{second} 变差的例子",
  },
  en: {
    ...caseTexts.en, ...mapTexts.en, ...runTexts.en, ...scoreTexts.en,
    "proof-with": "Compare with", "proof-alone": "nothing", "proof-nothing": "not evaluated yet", "proof-unverified": "not verified",
    "proof-clean": "every input verified, all right", "proof-safe": "every input verified: safe, not free of errors", "proof-unsafe": "every input verified: not safe",
    "proof-wrong": "wrong", "proof-lowered": "lowered dangers", "proof-violations": "broken invariants", "proof-speed": "an answer (median)",
    "proof-do": "Measure and improve", "proof-more": "More tables", "proof-open-report": "Open the report", "proof-refined": "Compare with {refined}", "proof-tab": "Open in a new tab",
    "do-evaluate": "Evaluate", "do-evaluate-about": "Scores on held-out rows, on inputs drawn evenly from all, and on hard ones.",
    "do-verify": "Verify", "do-verify-about": "The model answers every input there is, held against the rules: a certificate and all counterexamples. It can be stopped and gone on with.",
    "do-refine": "Refine", "do-refine-about": "Train on what was answered wrong, export, verify again. The run stays as it is; the refined one lies beside it as RUN-refined.",
    "do-report": "Full report", "do-report-about": "All that is known, written into one page that needs no network.",
    "do-chain": "Chain", "do-chain-about": "How many answers each link changes, from the weights to the served file.",
    "do-quant-sweep": "Quantizations", "do-quant-sweep-about": "Size, accuracy and speed of each quantization.",
    "do-baselines": "Baselines", "do-baselines-about": "The model beside simpler ways to answer.",
    "proof-map": "Where it is right", "proof-map-about": "Every rule in every item it answers in. A number is how many states are answered wrong: choose it to see them.",
    "proof-scores": "Scores", "proof-scores-about": "Whole answers that are right, with 95% bounds (Wilson).", "proof-confusion": "Which level was said for which",
    "proof-parts": "Field by field", "proof-part": "field", "proof-any-order": ", in any order", "proof-weakest": "Values with the most wrong answers", "proof-value": "value", "proof-exact": "exactly right",
    "proof-risk": "Coverage and risk", "proof-risk-about": "Where the model says nothing below a confidence, fewer inputs are answered, and fewer of them wrong.",
    "proof-rounds": "Refined by its own counterexamples", "proof-rounds-about": "Each round learns from inputs that the round before answered wrong or hardly right. From then on they are seen data.",
    "proof-round": "round", "proof-added": "pairs added", "proof-pairs": "pairs", "proof-of": "of", "proof-doubtful": " doubtful", "proof-minutes": "minutes",
    "proof-behaviours": "Behaviour", "proof-expectation": "expectation", "proof-kind": "kind", "proof-held": "held", "proof-broken": "broken by",
    "proof-compare": "{first} and {second}", "proof-compare-about": "Paired on the same questions (McNemar's test): what the second answers better and worse than the first.",
    "proof-split": "test", "proof-inputs": "inputs", "proof-better": "better", "proof-worse": "worse", "proof-dangers": "lowered dangers", "proof-verdict": "verdict",
    "proof-same": "the same inputs right", "proof-chance": "chance would do", "proof-first": "{first} is better", "proof-second": "{second} is better",
    "proof-rules": "Rules that changed most:", "proof-better-cases": "What {second} does better", "proof-worse-cases": "What {second} does worse",
  },
};
