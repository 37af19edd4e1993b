// The tab Ship: a run's files to download, its card, and its model on an Ollama: deployed, there now, rolled back.
import { el, shape } from "/web/dom.js";
import { actionRow, jobPanel, noRuns, runChooser, runningJob, runNow, whileBusy, texts as runTexts } from "./runs.js";
import { table } from "./scores.js";

export async function open(view, context) {
  view.classList.add("results");
  const { api, text } = context;
  const { runs } = await api("/api/proof/runs");
  if (!runs.length) { view.append(noRuns(context)); return () => {}; }
  const run = runNow(runs, context.params().get("run"));
  let endWatching = () => {};
  let closed = false;
  let name = "";

  const job = el("div", { hidden: true });
  const shown = el("div", { class: "stack" }, el("p", { class: "quiet" }, text("loading")));
  view.append(el("div", { class: "chooser" }, runChooser("ship-run", text("run"), runs, run, (chosen) => context.go("ship", { run: chosen }))), shown);

  async function look() {
    const query = name ? `?name=${encodeURIComponent(name)}` : "";
    const found = await api(`/api/ship/runs/${encodeURIComponent(run)}${query}`);
    if (closed) return;
    const setName = (chosen) => { name = chosen === found.name ? "" : chosen; look().catch((error) => { job.hidden = false; job.replaceChildren(context.problem(error)); }); };
    shown.replaceChildren(files(context, run, found), ollama(context, found, name, setName, start, job), ...papers(found, text));
  }

  function watch(id) {
    endWatching();
    whileBusy(context, shown.querySelectorAll(".action-do button"));
    endWatching = jobPanel(context, job, id, async (ended) => {
      const { result } = await api(`/api/jobs/${id}/result`);
      if (closed) return;
      if (ended.state === "done" && result) job.firstChild.append(proofOf(result, text));
      await look();
    });
  }

  async function start(action) {
    try {
      watch((await api(`/api/ship/runs/${encodeURIComponent(run)}/${action.id}`, { name })).id);
    } catch (error) {
      job.hidden = false;
      job.replaceChildren(context.problem(error));
    }
  }

  try { await look(); } catch (error) { shown.replaceChildren(context.problem(error)); }
  const running = await runningJob(context, run, ["deploy"]);
  if (running && !closed) watch(running.id);
  return () => { closed = true; endWatching(); };
}

function files(context, run, found) {
  const { text } = context;
  const link = (file) => el("a", {
    class: file.name === found.served ? "button primary" : "button", href: `/api/ship/runs/${encodeURIComponent(run)}/files/${encodeURIComponent(file.name)}`, download: file.name,
    "aria-label": `${text("ship-download")} ${file.name}`,
  }, text("ship-download"));
  const stale = Object.entries(found.stale).map(([stage, why]) => el("p", { class: "notice" }, text("ship-stale", { stage }), " ", why));
  if (!found.files.some((file) => file.name === found.served)) {
    return el("section", { class: "card" }, el("h2", {}, text("ship-files")), el("p", { class: "quiet" }, text("ship-no-file")), context.command(`drivecoach export runs/${run}`));
  }
  return el("section", { class: "card" }, el("h2", {}, text("ship-files")), ...stale,
    el("ul", { class: "files" }, ...found.files.map((file) => el("li", {},
      el("div", { class: "file-name" }, el("b", {}, file.name), el("span", { class: "small quiet" }, file.size, file.name === found.served ? ` · ${text("ship-served")}` : "")),
      el("code", { class: "digest", title: "SHA-256" }, file.sha256), link(file)))),
    el("p", { class: "small quiet" }, text("ship-use")),
    context.command(`sha256sum ${found.served}`), context.command(`ollama create ${found.name} -f Modelfile`), context.command(`drivecoach serve runs/${run}/export/${found.served}`));
}

function ollama(context, found, name, setName, start, job) {
  const { text } = context;
  const { url, there, why } = found.ollama;
  const actions = Object.fromEntries(found.actions.map((action) => [action.id, action]));
  const input = el("input", { id: "ship-name", value: name || found.name, autocomplete: "off", spellcheck: "false" });
  input.addEventListener("change", () => setName(input.value.trim()));
  const row = (id, primary = false) => actionRow(context, actions[id], { title: text(`do-${id}`), about: text(`do-${id}-about`), primary, start });
  return el("section", { class: "card" }, el("h2", {}, "Ollama"),
    el("p", { class: "verdict " + (there ? "mild" : "middle") }, shape(there ? "mild" : "middle"), el("span", {}, there ? text("ship-there", { url }) : why.error)),
    el("p", { class: "small quiet" }, text("ship-host")),
    el("div", { class: "field" }, el("label", { for: "ship-name" }, text("ship-name")), input),
    row("deploy", there), job,
    el("details", {}, el("summary", { class: "small" }, text("ship-more")), row("deploy-force"), row("rollback")),
    el("h3", {}, text("ship-deployed")),
    found.deployed.length ? table([text("ship-model"), text("ship-where"), text("ship-when"), text("ship-scores"), text("ship-digest"), text("ship-state")],
      found.deployed.map((one) => [one.name, one.host, one.date.slice(0, 16).replace("T", " "), one.scores, el("code", {}, one.digest.slice(0, 12)), state(one, text)]))
      : el("p", { class: "quiet small" }, text("ship-never")));
}

/** What was proved before the model got its name; of a way back, what has the name again. */
function proofOf(result, text) {
  const rows = [[text("ship-model"), `${result.name} · ${result.host}${result.version ? ` (Ollama ${result.version})` : ""}`], [text("ship-digest"), el("code", {}, result.digest)]];
  if (result.prompts !== undefined) {
    rows.push([text("ship-prompts"), text("ship-equal", { count: result.prompts, by: text(`ship-by-${result.compared}`) })],
      [text("ship-answers"), text("ship-same-answers", { count: result.answers })], [text("ship-traps"), result.traps.join("; ") || text("ship-no-traps")]);
  }
  rows.push([text("ship-previous"), result.replaced ? el("code", {}, result.replaced) : text("ship-nothing")]);
  return table([text("ship-proved"), ""], rows);
}

function state(one, text) {
  if (one.until) return el("span", { class: "quiet" }, text("ship-replaced", { date: one.until.slice(0, 10) }));
  if (one.now === null) return text("ship-unknown");
  return el("span", { class: `chip ${one.now ? "mild" : "middle"}` }, text(one.now ? "ship-now" : "ship-gone"));
}

/** The Modelfile as it is, and the card as it will be read: made of our own Markdown, in which no HTML is let through. */
function papers(found, text) {
  const made = [];
  if (found.modelfile) made.push(el("details", { class: "card" }, el("summary", {}, "Modelfile"), el("pre", { class: "log as-is" }, found.modelfile)));
  if (found.card) {
    const read = new DOMParser().parseFromString(found.card, "text/html");
    const card = el("details", { class: "card" }, el("summary", {}, text("ship-card")), el("div", { class: "markdown" }, ...read.body.childNodes));
    for (const wide of card.querySelectorAll("table")) { const box = el("div", { class: "scroll" }); wide.replaceWith(box); box.append(wide); }
    made.push(card);
  }
  return made;
}

export const texts = {
  zh: {
    ...runTexts.zh,
    "ship-files": "文件", "ship-download": "下载", "ship-served": "部署用的文件", "ship-stale": "已过期：{stage}", "ship-no-file": "还没有导出的模型。",
    "ship-use": "核对摘要，然后交给 Ollama（在下载目录里），或直接用 drivecoach 提供服务：",
    "ship-there": "{url} 上的 Ollama 有应答。", "ship-host": "地址取自启动 studio 时的环境变量 OLLAMA_HOST，未设置时为本机。", "ship-name": "模型名",
    "do-deploy": "部署", "do-deploy-about": "先以临时名创建，逐一核对模板、提示词和回答，证明无误后才换上；被替换的模型保留为 NAME:previous。",
    "do-deploy-force": "强制部署", "do-deploy-force-about": "即使那里的模型评分更高，也替换。", "do-rollback": "回滚", "do-rollback-about": "换回上一次部署所替换的模型。",
    "ship-more": "强制部署与回滚", "ship-deployed": "部署记录", "ship-model": "模型", "ship-where": "服务器", "ship-when": "时间（UTC）", "ship-scores": "评分", "ship-digest": "摘要", "ship-state": "状态",
    "ship-proved": "证明", "ship-prompts": "提示词", "ship-equal": "{count} 条与训练时完全相同（{by}），含恶意文本", "ship-by-text": "逐字", "ship-by-tokens": "按词元数", "ship-answers": "回答", "ship-same-answers": "{count} 个与本机引擎对同一 GGUF 的回答相同",
    "ship-traps": "已知问题", "ship-no-traps": "此版本没有", "ship-previous": "被替换的模型", "ship-nothing": "没有",
    "ship-never": "这个运行还没有部署过。", "ship-replaced": "{date} 被替换", "ship-unknown": "未连接到该服务器", "ship-now": "正在使用", "ship-gone": "已不是这个模型", "ship-card": "模型卡",
  },
  en: {
    ...runTexts.en,
    "ship-files": "Files", "ship-download": "Download", "ship-served": "the file to serve", "ship-stale": "Not up to date: {stage}.", "ship-no-file": "No model is exported yet.",
    "ship-use": "Check the digest, then give it to Ollama, in the folder of the downloads, or serve it with drivecoach:",
    "ship-there": "An Ollama answers at {url}.", "ship-host": "The address is what OLLAMA_HOST said when the studio was started, else this machine's.", "ship-name": "Name of the model",
    "do-deploy": "Deploy", "do-deploy-about": "Made under a temporary name; template, prompts and answers are proved there, and only then it gets the name. What it replaces is kept as NAME:previous.",
    "do-deploy-force": "Deploy by force", "do-deploy-force-about": "Replaces a model that scored better, too.", "do-rollback": "Roll back", "do-rollback-about": "Brings back what the last deployment replaced.",
    "ship-more": "By force, and back", "ship-deployed": "Deployments", "ship-model": "model", "ship-where": "server", "ship-when": "when (UTC)", "ship-scores": "scores", "ship-digest": "digest", "ship-state": "state",
    "ship-proved": "Proved", "ship-prompts": "prompts", "ship-equal": "{count} equal to training's ({by}), hostile texts among them", "ship-by-text": "letter by letter", "ship-by-tokens": "by the number of tokens", "ship-answers": "answers", "ship-same-answers": "{count} equal to those of the same GGUF in the embedded engine",
    "ship-traps": "known traps", "ship-no-traps": "none of this version", "ship-previous": "what it replaced", "ship-nothing": "nothing",
    "ship-never": "This run was not deployed yet.", "ship-replaced": "replaced on {date}", "ship-unknown": "that server was not asked", "ship-now": "there now", "ship-gone": "another model has the name", "ship-card": "Model card",
  },
};
