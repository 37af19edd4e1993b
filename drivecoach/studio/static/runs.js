// What the tabs about finished runs share: choosing a run, starting its commands, and watching the one that runs.
import { el } from "/web/dom.js";
import { language } from "/web/language.js";

/** A chooser of runs, each with how far it is; calls `chosen(name)`. */
export function runChooser(id, label, runs, now, chosen, none = "") {
  const options = runs.map((run) => el("option", { value: run.name, selected: run.name === now }, run.name));
  if (none) options.unshift(el("option", { value: "", selected: !now }, none));
  const select = el("select", { id }, ...options);
  select.addEventListener("change", () => chosen(select.value));
  return el("div", { class: "field" }, el("label", { for: id }, label), select);
}

/** The run that the address names, if there is such a one, else the one that was trained last. */
export function runNow(runs, named) {
  if (runs.some((run) => run.name === named)) return named;
  return [...runs].sort((one, other) => (one.date < other.date ? 1 : -1))[0]?.name ?? "";
}

/** A notice in place of a tab that has no run yet. */
export function noRuns(context) {
  return el("div", { class: "card empty" }, el("h2", {}, context.text("runs-none")), el("p", { class: "quiet" }, context.text("runs-none-why")),
    el("button", { type: "button", class: "primary", onclick: () => context.go("plan") }, context.text("runs-plan")));
}

/** A command of a run: its button, what it does, and the line that does the same; a disabled button says why. */
export function actionRow(context, action, { title, about, primary = false, start }) {
  const button = el("button", { type: "button", id: `do-${action.id}`, class: primary ? "primary" : null }, title);
  button.addEventListener("click", () => start(action));
  const row = el("div", { class: "action" },
    el("div", { class: "action-line" }, el("p", { class: "small quiet" }, about), el("span", { class: "action-do" }, button)),
    context.command(action.command));
  if (action.disabled) {
    const why = el("p", { class: "small because", id: `do-${action.id}-why` }, action.disabled[language()],
      action.first ? el("span", {}, context.text("action-first"), " ", el("code", {}, action.first)) : null);
    button.disabled = true;
    button.setAttribute("aria-describedby", why.id);
    row.querySelector(".action-line").after(why);
  }
  return row;
}

/** Watches a job in `place`: how far it is, what it says, and a button that stops it; `ended(job)` once it has. */
export function jobPanel(context, place, id, ended) {
  const bar = el("progress", { max: 1, "aria-label": context.text("job-progress") });
  const line = el("p", { class: "small", role: "status" });
  const log = el("pre", { class: "log as-is" });
  const state = el("span", { class: "chip" });
  const stop = el("button", { type: "button", class: "quiet-button", onclick: () => context.api(`/api/jobs/${id}/stop`, {}) }, context.text("stop"));
  const details = el("details", {}, el("summary", { class: "small" }, context.text("log")), log);
  const code = el("code", { class: "small" });
  place.replaceChildren(el("div", { class: "card job" }, el("div", { class: "job-head" }, state, code, stop), bar, line, details));
  place.hidden = false;
  return context.watchJob(id, (job) => {
    const lines = job.messages.trim().split("\n").filter(Boolean);
    const counted = lines.findLast((one) => /\d+\/\d+/.test(one));
    const [, done, all] = counted?.match(/(\d+)\/(\d+)/) ?? [];
    code.textContent = job.command;
    state.textContent = context.text(job.state);
    state.className = `chip ${{ done: "mild", failed: "grave", stopped: "middle" }[job.state] ?? ""}`;
    line.textContent = (job.state === "running" ? counted ?? lines.at(-1) : "") ?? "";
    log.textContent = job.messages;
    if (all > 0) bar.value = done / all;
    bar.hidden = job.state !== "running";
    stop.hidden = job.state !== "running";
    // `verify` and `refine` end with 3 where they did their work and found wrong answers.
    if (job.state === "failed" && !(job.code === 3 && ["verify", "refine"].includes(job.verb))) {
      line.replaceChildren(context.failure(job));
    } else if (job.state === "failed") state.textContent = context.text("done");
    if (job.state !== "running") ended(job);
  });
}

/** While a command of the run is at work, no other one is started. */
export function whileBusy(context, buttons) {
  for (const button of buttons) {
    button.disabled = true;
    button.title = context.text("job-busy");
  }
}

/** The job of one of these verbs that runs now about a run, if there is one: what a refresh finds again. */
export async function runningJob(context, run, verbs) {
  const jobs = await context.api("/api/jobs");
  return jobs.find((job) => job.state === "running" && job.about === run && verbs.includes(job.verb));
}

/** A number with the marks of the page's language. */
export function count(value) { return value === null || value === undefined ? "–" : value.toLocaleString("en-US"); }

export const texts = {
  zh: {
    "run": "运行", "runs-none": "还没有运行", "runs-none-why": "训练并导出一个模型之后，就能在这里评估、提问和发布。", "runs-plan": "去制定计划",
    "action-first": "。先运行", "job-progress": "进度", "job-busy": "这个运行的另一个命令正在执行，见上",
  },
  en: {
    "run": "Run", "runs-none": "No run yet", "runs-none-why": "Once a model is trained and exported, it is proved, asked and shipped from here.", "runs-plan": "Plan a training",
    "action-first": ". First run", "job-progress": "Progress", "job-busy": "Another command of this run is at work: see above",
  },
};
