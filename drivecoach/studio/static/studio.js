// The studio's frame: which tab is open, what all tabs use, and what is said when the studio cannot be reached.
import { byId, data, el } from "/web/dom.js";
import { onLanguage, t, useTexts } from "/web/language.js";
import { Refused, send } from "/web/net.js";
import "/web/theme.js";

const TEXTS = {
  zh: {
    "title": "drivecoach studio", "steps": "步骤", "copy": "复制", "copied": "已复制", "same-command": "等价的命令（在工作目录里运行）",
    "lost": "连不上 studio。已启动的训练不受影响，会继续运行。重新启动：drivecoach studio",
    "no-token": "studio 已重新启动，请打开它新打印的完整地址。已启动的训练不受影响。",
    "running": "运行中", "done": "完成", "failed": "失败", "stopped": "已停止", "loading": "加载中…", "log": "输出", "stop": "停止",
    "killed": "命令被强行终止（信号 9）。内存不足时，系统会这样做。",
    "tab-data": "数据", "tab-plan": "计划", "tab-train": "训练", "tab-proof": "验证", "tab-ask": "提问", "tab-ship": "发布",
  },
  en: {
    "title": "drivecoach studio", "steps": "Steps", "copy": "Copy", "copied": "Copied", "same-command": "The same in a terminal, in the studio's folder",
    "lost": "The studio cannot be reached. A training that was started goes on. Start the studio again: drivecoach studio",
    "no-token": "The studio was started anew: open the whole address that it printed. A training that was started goes on.",
    "running": "running", "done": "done", "failed": "failed", "stopped": "stopped", "loading": "Loading…", "log": "Output", "stop": "Stop",
    "killed": "The command was killed (signal 9), as the system does when memory runs out.",
    "tab-data": "Data", "tab-plan": "Plan", "tab-train": "Train", "tab-proof": "Proof", "tab-ask": "Ask", "tab-ship": "Ship",
  },
};
const POLL = 700;
const tabs = data().tabs;
const modules = {};
let opened = null; // {name, close}
let opening = 0;

function here() {
  const [name, query] = location.hash.slice(1).split("?");
  return { name: tabs.includes(name) ? name : tabs[0], params: new URLSearchParams(query) };
}

function address(name, params) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value)).toString();
  return `#${name}${query ? `?${query}` : ""}`;
}

function reached(error = null) {
  const lost = error instanceof TypeError ? "lost" : error instanceof Refused && error.status === 401 ? "no-token" : "";
  byId("lost").hidden = !lost;
  if (lost) byId("lost").textContent = t(lost);
}

async function api(path, body = undefined) {
  try {
    const found = await send(body === undefined ? "GET" : "POST", path, body);
    reached();
    return found;
  } catch (error) {
    reached(error);
    throw error;
  }
}

/** Calls `look` now and again and again, also after it failed, until the returned function is called or it gives false. */
function repeat(look, every = POLL) {
  let ended = false;
  let timer = 0;
  async function once() {
    let more = true;
    try { more = await look(() => ended); } catch (error) {
      more = error instanceof TypeError || error.status === 401; // it may be reached again
      if (!more) { byId("lost").hidden = false; byId("lost").textContent = error.message; }
    }
    if (!ended && more !== false) timer = setTimeout(once, document.hidden ? 4 * every : every);
  }
  once();
  return () => { ended = true; clearTimeout(timer); };
}

/** Tells `callback` of a job now and whenever it changed, until it has ended. Returns a function that ends the watching. */
function watchJob(id, callback) {
  let before = "";
  return repeat(async (isEnded) => {
    const job = await api(`/api/jobs/${id}`);
    if (isEnded()) return false;
    const now = JSON.stringify(job);
    if (now !== before) callback(job);
    before = now;
    return job.state === "running";
  });
}

/** The command line that does the same, with a button that copies it. */
function command(text) {
  const copy = el("button", { type: "button", class: "quiet-button copy" }, t("copy"));
  copy.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(text); } catch { getSelection().selectAllChildren(copy.previousElementSibling); return; }
    copy.textContent = t("copied");
    setTimeout(() => { copy.textContent = t("copy"); }, 1500);
  });
  return el("div", { class: "command", title: t("same-command") },
    el("span", { class: "prompt", "aria-hidden": "true" }, "$"), el("code", { "aria-label": t("same-command") }, text), copy);
}

/** What was refused: what is wrong, each fault, and what helps. */
function problem(error) {
  const faults = (error.faults ?? []).map((one) => (one.where ? el("li", {}, el("code", {}, one.where), `: ${one.found}${one.allowed ? ` (${one.allowed})` : ""}`) : el("li", {}, one.found)));
  return el("div", { class: "notice grave", role: "alert" }, el("p", {}, error.message),
    faults.length ? el("ul", {}, ...faults) : null, error.hint ? el("p", { class: "small" }, error.hint) : null);
}

/** What a job said that went wrong. */
function failure(job) {
  const said = job.messages.match(/error: ([\s\S]*?)\n(?:hint: ([\s\S]*?))?$/);
  const [message, ...faults] = said ? said[1].trim().split(/\n\s*- /) : [];
  if (said) return problem({ message, faults: faults.map((found) => ({ found })), hint: (said[2] ?? "").trim() });
  const what = job.code === -9 ? t("killed") : `${t(job.state)} (${job.code ?? "?"})`;
  return problem({ message: what, hint: job.messages.trim().slice(-800) });
}

function buttonWhy(button, why) {
  button.disabled = Boolean(why);
  const id = `${button.id}-why`;
  byId(id)?.remove();
  if (!why) { button.removeAttribute("aria-describedby"); button.title = ""; return; }
  button.title = why;
  button.setAttribute("aria-describedby", id);
  button.after(el("span", { id, class: "why small quiet" }, why));
}

const context = {
  api, text: t, repeat, watchJob, command, problem, failure, buttonWhy,
  /** What is in the folder: files, recipes, domains. */
  workspace: () => api("/api/workspace"),
  /** The parameters behind the tab's name in the address: what a refresh must not lose. */
  params: () => here().params,
  setParams: (params) => history.replaceState(null, "", address(here().name, { ...Object.fromEntries(here().params), ...params })),
  go: (name, params = {}) => { location.hash = address(name, params); },
};

async function show() {
  const { name } = here();
  const mine = ++opening;
  opened?.close();
  opened = null;
  for (const one of byId("steps").children) {
    const isOpen = one.dataset.tab === name;
    one.setAttribute("aria-selected", String(isOpen));
    one.tabIndex = isOpen ? 0 : -1;
    if (isOpen) one.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  const view = el("div", { class: "tab" }, el("p", { class: "quiet" }, t("loading")));
  byId("view").replaceChildren(view);
  byId("view").setAttribute("aria-labelledby", `step-${name}`);
  try {
    modules[name] ??= await import(`/studio/${name}.js`);
    useTexts(modules[name].texts);
    if (mine !== opening) return;
    view.replaceChildren();
    const close = await modules[name].open(view, context);
    if (mine === opening) opened = { name, close };
    else close();
  } catch (error) {
    view.replaceChildren(problem(error));
  }
}

function bar() {
  byId("steps").replaceChildren(...tabs.map((name, place) => el("button", {
    type: "button", role: "tab", id: `step-${name}`, "data-tab": name, "aria-controls": "view",
    onclick: () => { location.hash = address(name, {}); },
  }, el("span", { class: "step-number", "aria-hidden": "true" }, String(place + 1)), t(`tab-${name}`))));
}

byId("steps").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const all = [...byId("steps").children];
  const place = all.indexOf(document.activeElement);
  if (!step || place < 0) return;
  event.preventDefault();
  const next = all[(place + step + all.length) % all.length];
  next.focus();
  next.click();
});

useTexts(TEXTS);
if (new URLSearchParams(location.search).has("token")) history.replaceState(null, "", location.pathname + location.hash);
bar();
onLanguage(() => { bar(); show(); });
addEventListener("hashchange", show);
show();
api("/api/workspace").then((found) => { byId("folder").textContent = found.folder; });
