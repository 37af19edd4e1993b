// The tab Ask: two models side by side on one's own inputs, each answer judged, and what the rules say beside them.
import { el, shape } from "/web/dom.js";
import { keep, kept } from "/web/kept.js";
import { answerOf, noAnswer, texts as caseTexts } from "./cases.js";
import { inputForm } from "./form.js";
import { noRuns, runNow, texts as runTexts } from "./runs.js";
import { table } from "./scores.js";

const AT_ONCE = 1e9; // bytes: a larger model is loaded only when somebody asks it
const MARK = { valid: "mild", invalid: "middle", failed: "grave" };

export async function open(view, context) {
  view.classList.add("results");
  const { api, text } = context;
  const [models, { runs }] = await Promise.all([api("/api/ask/models"), api("/api/proof/runs")]);
  const params = context.params();
  const newest = `runs/${runNow(runs.filter((run) => models.runs.some((one) => one.id === `runs/${run.name}`)), "")}`;
  const first = params.get("a") || (models.runs.length ? newest : "") || models.files[0] || models.ollama[0] || models.rules[0];
  if (!first) { view.append(noRuns(context)); return () => {}; }
  const domain = models.runs.find((one) => one.id === first)?.domain;
  const sibling = models.runs.find((one) => one.id !== first && one.domain === domain)?.id;
  const second = params.get("b") ?? sibling ?? models.rules.find((one) => one === `rules:${domain}` && one !== first) ?? "none";

  const answers = el("div", { class: "stack", "aria-live": "polite" });
  const input = el("section", { class: "card ask-input" }, el("p", { class: "quiet" }, text("loading")));
  const a = modelChooser("ask-a", text("ask-a"), models, first, text, () => context.go("ask", { a: a.value, b: b.value }));
  const b = modelChooser("ask-b", text("ask-b"), models, second, text, () => { context.setParams({ b: b.value }); ask(); }, text("ask-none"));
  const guard = el("select", { id: "ask-guard", onchange: () => { keep("ask.guard", guard.value); ask(); } });
  view.append(
    el("div", { class: "chooser" }, field("ask-a", text("ask-a"), a), field("ask-b", text("ask-b"), b), field("ask-guard", text("ask-guard"), guard)),
    el("div", { class: "ask" }, input, answers));

  let form = null;
  let isBusy = false;
  let isWaiting = false;
  let closed = false;

  async function ask() {
    if (!form) return;
    if (isBusy) { isWaiting = true; return; }
    isBusy = true;
    answers.classList.add("busy");
    form.setFaults([]);
    try {
      const asked = b.value === "none" ? [a.value] : [a.value, b.value];
      const found = await api("/api/ask", { models: asked, guard: guard.value || "flag", ...form.value() });
      if (closed) return;
      form.set(found);
      answers.replaceChildren(...shown(context, found));
    } catch (error) {
      const faults = error.faults ?? [];
      const left = form.setFaults(faults);
      const isMarked = faults.length && !left.length;
      answers.replaceChildren(context.problem({ message: error.message, hint: isMarked ? text("ask-marked") : error.hint, faults: left }));
    } finally {
      isBusy = false;
      answers.classList.remove("busy");
      if (isWaiting) { isWaiting = false; ask(); }
    }
  }

  try {
    const described = await api(`/api/ask/form?model=${encodeURIComponent(first)}`);
    const chosen = described.guards.includes(kept("ask.guard")) ? kept("ask.guard") : "flag";
    guard.replaceChildren(...described.guards.map((one) => el("option", { value: one, selected: one === chosen }, text(`ask-guard-${one}`))));
    form = inputForm(described, text, ask);
    input.replaceChildren(form.element);
    if (described.note) input.append(el("p", { class: "small quiet" }, described.note));
    if (form.isFilled && described.bytes < AT_ONCE) await ask(); else answers.replaceChildren(el("p", { class: "card quiet" }, text("ask-first")));
  } catch (error) {
    input.replaceChildren(context.problem(error));
  }
  return () => { closed = true; };
}

function field(id, label, control) { return el("div", { class: "field" }, el("label", { for: id }, label), control); }

function modelChooser(id, label, models, now, text, changed, none = "") {
  const option = (one) => el("option", { value: one, selected: one === now }, one);
  const group = (name, ids) => (ids.length ? el("optgroup", { label: text(name) }, ...ids.map(option)) : null);
  const runs = models.runs.map((one) => one.id);
  const known = ["none", ...runs, ...models.files, ...models.ollama, ...models.rules];
  const ollama = models.no_ollama ? el("optgroup", { label: "Ollama" }, el("option", { disabled: true }, text("ask-no-ollama"))) : group("ask-ollama", models.ollama);
  return el("select", { id, onchange: changed },
    none ? el("option", { value: "none", selected: now === "none" }, none) : null,
    known.includes(now) ? null : el("option", { value: now, selected: true }, now),
    group("ask-runs", runs), group("ask-files", models.files), ollama, group("ask-rules", models.rules));
}

function shown(context, found) {
  const { text } = context;
  const [one, other] = found.answers;
  const parts = [verdict(found, text)].filter(Boolean);
  parts.push(el("div", { class: "side" }, ...found.answers.map((answer) => answerCard(context, answer, (answer === one ? other : one)?.shown))));
  if (found.right) parts.push(rulesCard(found.right, text));
  const names = [...found.answers.map((answer) => answer.model), ...(found.right ? [text("ask-rules")] : [])];
  parts.push(el("section", { class: "card" }, el("h2", {}, text("ask-fields")), table([text("ask-field"), ...names],
    found.rows.map((row) => [row.name, ...row.values.map((value, place) => cell(value, row.wrong[place], place < found.answers.length && found.right, text))])),
  el("details", {}, el("summary", { class: "small" }, text("ask-as-text")), el("p", { class: "code" }, found.text))));
  return parts;
}

function cell(value, isWrong, isJudged, text) {
  if (value === null) return "–";
  if (!isJudged) return value;
  return el("span", { class: isWrong ? "judged wrong" : "judged" }, shape(isWrong ? "grave" : "mild"),
    el("span", { class: "hidden-text" }, text(isWrong ? "ask-wrong" : "ask-right")), value);
}

/** In one line: whether they agree, and whether they are right. */
function verdict(found, text) {
  const answers = found.answers;
  const differing = found.rows.filter((row) => row.differs).map((row) => row.name);
  const wrong = answers.filter((_, place) => found.right && found.rows.some((row) => row.wrong[place])).map((answer) => answer.model);
  const told = [];
  if (answers.length > 1) told.push(differing.length ? text("ask-differ", { fields: differing.join(", ") }) : text("ask-same"));
  if (found.right) told.push(wrong.length ? text("ask-not-right", { models: wrong.join(", ") }) : text("ask-all-right"));
  const grade = wrong.length ? "grave" : differing.length ? "middle" : "mild";
  return told.length ? el("p", { class: `verdict ${grade}` }, shape(grade), el("span", {}, told.join(" "))) : null;
}

function answerCard(context, answer, other) {
  const { text } = context;
  const chips = [el("span", { class: `chip ${MARK[answer.status]}` }, shape(MARK[answer.status]), text(`ask-${answer.status}`))];
  if (answer.milliseconds !== undefined) chips.push(el("span", { class: "chip number" }, `${answer.milliseconds} ms`));
  if (answer.source === "rules" && !answer.model.startsWith("rules")) chips.push(el("span", { class: "chip middle" }, text("ask-replaced")));
  return el("section", { class: "card model" },
    el("header", {}, el("h2", {}, answer.model), el("p", { class: "chips" }, ...chips)),
    answer.shown ? answerOf(answer.shown, other) : answer.error ? context.problem({ message: answer.error, hint: answer.hint, faults: answer.faults }) : noAnswer(answer.reason, text("ask-invalid")),
    answer.reason && answer.shown ? el("p", { class: "small because" }, answer.reason) : null,
    answer.thinking ? el("details", {}, el("summary", { class: "small" }, text("ask-thinking")), el("p", { class: "small quiet" }, answer.thinking)) : null,
    context.command(answer.command));
}

function rulesCard(right, text) {
  const { why } = right;
  return el("section", { class: "card model" }, el("header", {}, el("h2", {}, text("ask-rules")),
    why ? el("p", { class: "chips" }, el("span", { class: "chip" }, why.rule)) : null),
  answerOf(right.shown),
  why ? el("p", {}, why.reason) : null,
  why && Object.keys(why.read).length ? el("p", { class: "small" }, text("ask-read"), " ",
    ...Object.entries(why.read).map(([name, value]) => el("span", { class: "chip" }, `${name}: ${value}`))) : null,
  why?.source ? el("p", { class: "small quiet" }, text("ask-source"), " ", why.source) : null);
}

export const texts = {
  zh: {
    ...caseTexts.zh, ...runTexts.zh,
    "ask-a": "模型 A", "ask-b": "模型 B", "ask-none": "不对照", "ask-guard": "防护", "ask-runs": "运行", "ask-files": "其他 GGUF 文件", "ask-ollama": "Ollama", "ask-rules": "规则",
    "ask-no-ollama": "没有 Ollama 应答（ollama serve）", "ask-guard-flag": "只标记（flag）", "ask-guard-replace": "换成规则的回答（replace）", "ask-guard-strict": "级别偏低也换（strict）", "ask-guard-off": "不检查（off）",
    "ask-marked": "请改正标出的字段。", "ask-first": "选一个例子，或填好输入后提问。", "ask-fields": "逐字段对照", "ask-field": "字段", "ask-as-text": "模型读到的文本", "ask-wrong": "错：", "ask-right": "对：",
    "ask-differ": "两个回答不同：{fields}。", "ask-same": "两个回答相同。", "ask-not-right": "{models} 与规则不符。", "ask-all-right": "与规则一致。",
    "ask-valid": "有效", "ask-invalid": "无效", "ask-failed": "没有回答", "ask-replaced": "防护换成了规则的回答", "ask-thinking": "思考过程", "ask-read": "依据：", "ask-source": "出处：",
    "ask-form": "表单", "ask-line": "文本", "ask-do": "提问", "ask-live": "改动后立即提问", "ask-examples": "留出的例子", "ask-choose": "（未选）", "ask-list": "每行一项", "ask-json": "JSON", "ask-line-label": "一行输入，或一个 JSON 对象",
  },
  en: {
    ...caseTexts.en, ...runTexts.en,
    "ask-a": "Model A", "ask-b": "Model B", "ask-none": "nobody", "ask-guard": "Guard", "ask-runs": "Runs", "ask-files": "Other GGUF files", "ask-ollama": "Ollama", "ask-rules": "Rules",
    "ask-no-ollama": "no Ollama answers (ollama serve)", "ask-guard-flag": "flag: say so", "ask-guard-replace": "replace: the rules' answer instead", "ask-guard-strict": "strict: a low level too", "ask-guard-off": "off: nothing is checked",
    "ask-marked": "Correct the fields that are marked.", "ask-first": "Choose an example, or fill in an input and ask.", "ask-fields": "Field by field", "ask-field": "field", "ask-as-text": "The text that the model reads", "ask-wrong": "wrong: ", "ask-right": "right: ",
    "ask-differ": "They differ: {fields}.", "ask-same": "Both say the same.", "ask-not-right": "Not as the rules say: {models}.", "ask-all-right": "As the rules say.",
    "ask-valid": "valid", "ask-invalid": "not valid", "ask-failed": "no answer", "ask-replaced": "the guard gave the rules' answer", "ask-thinking": "Reasoning", "ask-read": "It reads", "ask-source": "Source:",
    "ask-form": "Form", "ask-line": "Line", "ask-do": "Ask", "ask-live": "Ask again on every change", "ask-examples": "Held-out examples", "ask-choose": "(none)", "ask-list": "one item a line", "ask-json": "JSON", "ask-line-label": "A line of features, or one JSON object",
  },
};
