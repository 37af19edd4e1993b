// The tab Train: starts a run, then only watches it by its files; closing or killing this page changes nothing.
import { el } from "/web/dom.js";
import { chart } from "/studio/chart.js";
import { choice, duration, field, number, percent } from "/studio/parts.js";

export const texts = {
  zh: {
    "t-lead": "训练在独立的进程里运行，这个页面只负责观看：关闭、刷新甚至结束浏览器都不影响训练，回来时一切都在。",
    "t-recipe": "配方", "t-start": "开始训练", "t-replace": "替换同名但设置不同的运行", "t-run": "运行", "t-none": "还没有运行", "t-no-recipe": "还没有保存的配方：先到“计划”里保存一个",
    "t-why-running": "{run} 正在训练", "t-stop": "停止", "t-go-on": "继续", "t-why-stop-none": "没有正在运行的训练", "t-why-stop-foreign": "不是由 studio 启动的：{who}", "t-why-recipe": "工作目录里没有它的配方：recipes/{run}.yaml", "t-why-done": "已经完成", "t-stopping": "正在停止，保留最近的检查点…",
    "t-data": "数据", "t-train": "训练", "t-export": "导出", "t-evaluate": "评分", "t-step": "步数", "t-loss": "损失", "t-exact": "完全正确", "t-rate": "速度", "t-left": "剩余", "t-per-second": "步/秒", "t-of": "/ {steps}",
    "t-kept": "已保留 {steps} 步，可以从这里继续。", "t-not-kept": "在第一个检查点之前停止了，继续时从头开始。", "t-complete": "训练、导出和评分都已完成。", "t-to-proof": "查看结果 →", "t-curves": "训练曲线", "loss": "训练损失", "eval_loss": "验证损失", "eval_exact_match": "验证行完全正确", "t-log": "输出", "t-folder": "{folder} 里的文件就是这里显示的全部内容", "t-before": "正在准备：检查数据、载入模型…", "t-chart": "损失和正确率随步数的变化；左右方向键移动读数",
  },
  en: {
    "t-lead": "A training is a process of its own, and this page only watches it: close it, refresh it, end the browser; nothing is lost, and it is all here when you come back.",
    "t-recipe": "Recipe", "t-start": "Start training", "t-replace": "Replace a run of this name and other settings", "t-run": "Run", "t-none": "no run yet", "t-no-recipe": "No recipe is saved yet: save one under Plan",
    "t-why-running": "{run} is being trained", "t-stop": "Stop", "t-go-on": "Go on", "t-why-stop-none": "Nothing is running", "t-why-stop-foreign": "It was not started here: {who}", "t-why-recipe": "Its recipe is not in the folder: recipes/{run}.yaml", "t-why-done": "It is complete", "t-stopping": "Stopping; the last checkpoint is kept…",
    "t-data": "Data", "t-train": "Train", "t-export": "Export", "t-evaluate": "Score", "t-step": "Step", "t-loss": "Loss", "t-exact": "Exact match", "t-rate": "Rate", "t-left": "Time left", "t-per-second": "steps/s", "t-of": "of {steps}",
    "t-kept": "{steps} steps are kept; it can go on from there.", "t-not-kept": "It was stopped before its first checkpoint, and begins anew.", "t-complete": "Trained, exported and scored.", "t-to-proof": "See the proof →", "t-curves": "Curves", "loss": "Training loss", "eval_loss": "Validation loss", "eval_exact_match": "Exact match on validation rows", "t-log": "Output", "t-folder": "All of this is read from the files in {folder}", "t-before": "Preparing: the data is checked, the model is made…", "t-chart": "Loss and exact match over the steps; the arrow keys move the reading",
  },
};

const STAGES = ["data", "train", "export", "evaluate"];

export async function open(view, context) {
  const { api, text } = context;
  const folder = await context.workspace();
  const recipes = folder.recipes;
  const params = context.params();
  let run = params.get("run") ?? "";
  let ending = () => {};
  let told = "";
  let stopping = false;

  const place = Object.fromEntries(["said", "runs", "watched"].map((name) => [name, el("div", { class: "list" })]));
  const recipe = choice({ id: "recipe" }, recipes.length ? recipes : [""], params.get("recipe") ?? recipes[0], (one) => one || text("t-none"));
  const replace = el("input", { type: "checkbox", id: "replace" });
  const start = el("button", { type: "button", class: "primary", id: "start", onclick: () => begin(recipe.value, replace.checked) }, text("t-start"));
  view.append(el("p", { class: "lead" }, text("t-lead")), el("section", { class: "card" },
    el("div", { class: "row" }, field(text("t-recipe"), recipe), start, place.runs),
    el("label", { class: "check" }, replace, text("t-replace")), place.said), place.watched);
  recipe.parentElement.classList.add("grow");

  const look = { figures: el("dl", { class: "figures" }), stages: el("ol", { class: "stages" }), meter: el("i"), curves: el("div", { class: "list" }), said: el("div", { class: "list" }), log: el("pre", { class: "log", tabindex: "0" }), command: el("div"), title: el("h2"), folder: el("p", { class: "small quiet" }) };
  const stop = el("button", { type: "button", id: "stop", onclick: halt }, text("t-stop"));
  const goOn = el("button", { type: "button", id: "go-on" }, text("t-go-on"));
  const drawn = chart(look.curves, text);
  const card = el("section", { class: "card" },
    el("div", { class: "row between" }, look.title, el("div", { class: "row middle-line" }, stop, goOn)),
    look.stages, el("div", { class: "meter", "aria-hidden": "true" }, look.meter), look.figures, look.said, look.curves, look.command,
    el("details", { class: "more" }, el("summary", {}, text("t-log")), look.log), look.folder);

  async function begin(chosen, replacing) {
    place.said.replaceChildren();
    try {
      const job = await api("/api/train/start", { recipe: chosen, replace: replacing });
      stopping = false;
      watch(job.about);
    } catch (error) { place.said.replaceChildren(context.problem(error)); }
  }

  async function halt() {
    try {
      await api("/api/train/stop", { run });
      stopping = true;
      stop.disabled = true;
      look.said.replaceChildren(el("p", { class: "quiet", role: "status" }, text("t-stopping")));
    } catch (error) { place.said.replaceChildren(context.problem(error)); }
  }

  function watch(name) {
    ending();
    run = name;
    told = "";
    context.setParams({ run, recipe: "" });
    place.watched.replaceChildren(card);
    ending = context.repeat(async (isEnded) => {
      const [listed, found] = await Promise.all([api("/api/train/runs"), run ? api(`/api/train/run?${new URLSearchParams({ name: run })}`) : null]);
      if (isEnded()) return false;
      const now = JSON.stringify([listed, found]);
      if (now === told) return true;
      told = now;
      shown(listed, found);
      return true;
    }, 1000);
  }

  function shown({ runs, running }, found) {
    const chooser = choice({ id: "run" }, runs.length ? [...new Set([...(run ? [] : [""]), ...runs.map((one) => one.run)])] : [""], run, (one) => one || text("t-none"));
    chooser.addEventListener("change", () => watch(chooser.value));
    if (document.activeElement?.id !== "run") {
      place.runs.replaceChildren(field(text("t-run"), chooser));
      place.runs.hidden = !runs.length;
    }
    const busy = running.length ? text("t-why-running", { run: running[0] }) : "";
    context.buttonWhy(start, !recipes.length ? text("t-no-recipe") : busy);
    if (!found) { place.watched.replaceChildren(); return; }
    if (!found.is_running) stopping = false;
    look.title.textContent = found.run;
    const job = found.job;
    const current = found.is_running ? STAGES.find((one) => !found.stages[one]) : null;
    look.stages.replaceChildren(...STAGES.map((one) => el("li", { class: found.stages[one] ? "complete" : one === current ? "now" : "", "aria-current": one === current ? "step" : null },
      el("span", { "aria-hidden": "true" }, found.stages[one] ? "✓" : one === current ? "●" : "○"), text(`t-${one}`))));
    const complete = STAGES.every((one) => found.stages[one]);
    const trained = found.stages.train;
    look.meter.style.width = `${trained ? 100 : found.steps ? 100 * found.step / found.steps : 0}%`;
    look.figures.replaceChildren(...figures(found));
    drawn.show(found.curves, Math.max(found.steps, found.curves[0]?.points.at(-1)?.[0] ?? 0));
    context.buttonWhy(stop, found.is_running ? "" : found.held_by ? text("t-why-stop-foreign", { who: found.held_by }) : text("t-why-stop-none"));
    context.buttonWhy(goOn, complete ? text("t-why-done") : busy || (found.recipe ? "" : text("t-why-recipe", { run: found.run })));
    goOn.onclick = () => begin(found.recipe, job?.argv.includes("--replace") ?? false);
    stop.disabled ||= stopping;
    if (!stopping) look.said.replaceChildren(...said(found, complete));
    look.log.textContent = job ? job.messages : "";
    if (job && look.command.dataset.job !== job.id) {
      look.command.dataset.job = job.id;
      look.command.replaceChildren(context.command(job.command));
    }
    look.folder.textContent = text("t-folder", { folder: `runs/${found.run}` });
  }

  function figures(found) {
    const last = (name) => found.curves.find((one) => one.name === name)?.points.at(-1)?.[1];
    const loss = last("loss");
    const exact = last("eval_exact_match");
    const one = (name, value, unit = "") => el("div", { id: `figure-${name}` }, el("dt", {}, text(`t-${name}`)), el("dd", {}, value, unit ? el("small", {}, ` ${unit}`) : ""));
    return [
      one("step", found.steps ? number(found.step) : "–", found.steps ? text("t-of", { steps: number(found.steps) }) : ""),
      one("loss", loss === undefined ? "–" : loss.toPrecision(3)),
      one("exact", exact === undefined ? "–" : percent(exact)),
      one("rate", found.rate ? number(found.rate, found.rate < 10 ? 2 : 0) : "–", found.rate ? text("t-per-second") : ""),
      one("left", found.left === null || found.left === undefined || found.stages.train ? "–" : duration(found.left)),
    ];
  }

  function said(found, complete) {
    const parts = [];
    if (found.is_running && !found.steps) parts.push(el("p", { class: "quiet" }, text("t-before")));
    if (!found.is_running && found.job?.state === "failed") parts.push(context.failure(found.job));
    if (!found.is_running && found.kept && !found.stages.train) parts.push(el("p", { class: "notice", role: "status" }, text("t-kept", { steps: number(found.kept) })));
    if (!found.is_running && found.job?.state === "stopped" && !found.kept && !found.stages.train) parts.push(el("p", { class: "notice", role: "status" }, text("t-not-kept")));
    if (complete && !found.is_running) parts.push(el("div", { class: "row middle-line", role: "status" }, el("strong", {}, text("t-complete")), el("button", { type: "button", class: "primary", onclick: () => context.go("proof", { run: found.run }) }, text("t-to-proof"))));
    return parts;
  }

  if (!run) {
    const listed = await api("/api/train/runs");
    if (listed.running.length && !params.get("recipe")) run = listed.running[0];
  }
  watch(run);
  return () => ending();
}
