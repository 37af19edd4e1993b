// The tab Plan: a recipe's settings with what they mean, checked as they are typed; saved as YAML; what it will take.
import { el } from "/web/dom.js";
import { language } from "/web/language.js";
import { bytes, choice, duration, facts, field, marked, number, working } from "/studio/parts.js";
import { inWords, named, said, texts as settingTexts } from "/studio/settings.js";

const own = {
  zh: {
    "p-lead": "从一个配方开始，按需修改设置。每项设置旁边写明含义，填错时立即指出。保存下来的是普通的配方 YAML，命令行可以直接使用。",
    "p-recipe": "从配方开始", "p-mine": "工作目录里的配方", "p-shipped": "自带配方", "p-main": "主要设置", "p-all": "全部其他设置",
    "p-save": "保存配方", "p-replace": "覆盖同名配方", "p-saved": "已保存为 {recipe}", "p-yaml": "配方 YAML", "p-cost": "需要多少资源", "p-cost-what": "在这台机器上试跑几步，估算时间、内存和磁盘。",
    "p-estimate": "估算", "p-train": "开始训练 →", "p-why-faults": "有 {count} 项设置不正确", "p-why-save": "先保存配方", "p-default": "默认 {value}", "p-own-default": "默认：不设", "p-none": "（不设）",
    "p-parameters": "参数量", "p-trained": "其中训练 {share}", "p-rows": "训练数据", "p-too-long": "{count} 行过长", "p-steps": "步数", "p-tokens": "每轮 {count} 个词元", "p-time": "训练时间", "p-per-step": "每步 {seconds} 秒", "p-memory": "内存峰值", "p-disk": "磁盘", "p-free": "剩余 {size}", "p-download": "需要下载", "p-nothing": "无", "p-unknown": "无法查询", "p-no-probe": "内存放不下这个模型",
    "p-tight": "剩余磁盘不够：需要 {need}，只剩 {free}。", "p-draft": "有未保存的修改",
  },
  en: {
    "p-lead": "Start from a recipe and change what differs. Each setting says what it means, and what is wrong with it as you type. What is saved is an ordinary recipe in YAML, which the command line takes as it is.",
    "p-recipe": "Start from a recipe", "p-mine": "In the folder", "p-shipped": "Shipped", "p-main": "Main settings", "p-all": "All other settings",
    "p-save": "Save the recipe", "p-replace": "Replace the recipe of this name", "p-saved": "Saved as {recipe}", "p-yaml": "The recipe as YAML", "p-cost": "What it will take", "p-cost-what": "A few steps are tried on this machine; nothing is trained.",
    "p-estimate": "Estimate", "p-train": "Train →", "p-why-faults": "Settings that are wrong: {count}", "p-why-save": "Save the recipe first", "p-default": "default {value}", "p-own-default": "default: not set", "p-none": "(not set)",
    "p-parameters": "Parameters", "p-trained": "{share} trained", "p-rows": "Rows to train on", "p-too-long": "{count} too long", "p-steps": "Steps", "p-tokens": "{count} tokens an epoch", "p-time": "Training", "p-per-step": "{seconds} s a step", "p-memory": "Peak memory", "p-disk": "Disk", "p-free": "{size} free", "p-download": "Download", "p-nothing": "nothing", "p-unknown": "cannot be asked", "p-no-probe": "the model does not fit into memory",
    "p-tight": "The disk is too small: {need} wanted, {free} free.", "p-draft": "Changes are not saved yet",
  },
};
export const texts = { zh: { ...own.zh, ...settingTexts.zh }, en: { ...own.en, ...settingTexts.en } };

const DRAFT = "drivecoach.plan";
const GROUPS = ["data", "chat", "base", "train", "export", "evaluate", "refine"];

/** The value at ``train.epochs``; undefined where nothing is said. */
function at(settings, path) { return path.split(".").reduce((found, key) => (found === null || found === undefined ? undefined : found[key]), settings); }

function put(settings, path, value) {
  const keys = path.split(".");
  const last = keys.pop();
  let inner = settings;
  for (const key of keys) {
    if (inner[key] === null || typeof inner[key] !== "object") inner[key] = {};
    inner = inner[key];
  }
  if (value === undefined) delete inner[last];
  else inner[last] = value;
}

export async function open(view, context) {
  const { api, text } = context;
  const { main, settings: known } = await api("/api/plan/settings");
  const folder = await context.workspace();
  const byPath = Object.fromEntries(known.map((one) => [one.path, one]));
  let closing = () => {};
  let timer = 0;
  let draft = null; // {from, settings, saved: the recipe it was saved as, if nothing was changed since}
  let faults = [];

  const place = Object.fromEntries(["about", "main", "all", "said", "yaml", "cost", "job"].map((name) => [name, el("div", { class: "list" })]));
  const save = el("button", { type: "button", class: "primary", id: "save", onclick: keepRecipe }, text("p-save"));
  const replace = el("input", { type: "checkbox", id: "replace" });
  const estimate = el("button", { type: "button", id: "estimate", onclick: reckon }, text("p-estimate"));
  const train = el("button", { type: "button", id: "to-train", onclick: () => context.go("train", { recipe: draft.saved }) }, text("p-train"));
  const from = choice({ id: "recipe" }, { [text("p-mine")]: folder.recipes, [text("p-shipped")]: folder.shipped_recipes }, "");
  from.addEventListener("change", () => start(from.value).catch((error) => place.said.replaceChildren(context.problem(error))));

  view.append(el("p", { class: "lead" }, text("p-lead")), el("div", { class: "two" },
    el("div", { class: "list" },
      el("section", { class: "card" }, field(text("p-recipe"), from), place.about, el("h2", {}, text("p-main")), place.main),
      el("section", { class: "card" }, el("details", { class: "more", id: "all" }, el("summary", {}, text("p-all")), place.all))),
    el("div", { class: "list sticky" },
      el("section", { class: "card" }, el("div", { class: "row middle-line" }, save, el("label", { class: "check" }, replace, text("p-replace"))), place.said,
        el("details", { class: "more" }, el("summary", {}, text("p-yaml")), place.yaml)),
      el("section", { class: "card" }, el("h2", {}, text("p-cost")), el("p", { class: "help" }, text("p-cost-what")), el("div", { class: "row middle-line" }, estimate), place.cost, place.job, el("div", { class: "row middle-line" }, train)))));

  async function start(name, changes = {}) {
    const found = await api(`/api/plan/recipe?${new URLSearchParams({ name })}`);
    const mine = folder.recipes.includes(name) && name.startsWith("recipes/");
    draft = { from: name, settings: found.settings, saved: mine && !Object.keys(changes).length ? name : null };
    for (const [path, value] of Object.entries(changes)) put(draft.settings, path, value);
    kept();
    await all(found.text);
  }

  async function all(about = null) {
    from.value = draft.from;
    if (about === null) about = (await api(`/api/plan/recipe?${new URLSearchParams({ name: draft.from })}`).catch(() => ({ text: "" }))).text;
    place.about.replaceChildren(about ? el("p", { class: "help" }, about) : "");
    form();
    await check();
    await look();
  }

  function kept() {
    sessionStorage.setItem(DRAFT, JSON.stringify(draft));
    context.setParams({ recipe: draft.saved ?? "", file: "", domain: "" });
  }

  function change(path, value) {
    const before = at(draft.settings, path);
    put(draft.settings, path, value);
    if (path === "name" && at(draft.settings, "export.name") === before) { // a trial must not take the name of a model that is in use
      put(draft.settings, "export.name", value);
      document.getElementById("set-export.name").value = value;
    }
    if (path === "base.source" || byPath[path].kind === "section") form();
    draft.saved = null;
    closing();
    place.cost.replaceChildren(); // it is of the recipe as it was saved
    place.job.replaceChildren();
    kept();
    buttons();
    clearTimeout(timer);
    timer = setTimeout(() => check().catch((error) => place.said.replaceChildren(context.problem(error))), 250);
  }

  /** Whether a setting has any meaning beside the others. */
  function counts(path) {
    const source = at(draft.settings, "base.source");
    if (path.startsWith("base.nano.")) return source === "nano";
    if (path === "base.name" || path === "base.revision") return source !== "nano";
    if (path.startsWith("train.lora.")) return at(draft.settings, "train.lora") !== null;
    if (["data.subset", "data.split", "data.revision"].includes(path)) return (at(draft.settings, "data.source") ?? "local") !== "local";
    return path !== "data.share";
  }

  function form() {
    const focused = document.activeElement?.id;
    const one = (path) => setting(byPath[path]);
    place.main.replaceChildren(el("div", { class: "fields" }, ...main.filter(counts).map(one)));
    place.all.replaceChildren(...GROUPS.map((group) => {
      const rest = known.filter((each) => each.path.startsWith(`${group}.`) && !main.includes(each.path) && counts(each.path));
      return rest.length ? el("div", { class: "list" }, el("h3", {}, text(`group-${group}`)), el("div", { class: "fields" }, ...rest.map((each) => setting(each)))) : "";
    }));
    if (focused) document.getElementById(focused)?.focus();
    mark();
  }

  function setting(one) {
    const value = at(draft.settings, one.path);
    const id = `set-${one.path}`;
    const unset = one.required ? "" : one.default === null ? text("p-own-default") : text("p-default", { value: typeof one.default === "object" ? JSON.stringify(one.default) : String(one.default) });
    const help = el("span", { class: "help", id: `${id}-help` }, ...marked(said(one, language())), one.kind === "section" || !unset ? "" : ` · ${unset}`);
    const wrong = el("span", { class: "wrong-said", id: `${id}-wrong`, role: "status" });
    const attributes = { id, "aria-describedby": `${id}-help ${id}-wrong` };
    let input;
    if (one.path === "data.path" && (at(draft.settings, "data.source") ?? "local") === "local") {
      input = choice(attributes, [...new Set([...folder.files, value ?? ""])], value ?? "");
    } else if (one.path === "domain") {
      input = choice(attributes, [...new Set([...folder.domains, typeof value === "string" ? value.replace(/:domain$/, "") : "driving"])], typeof value === "string" ? value.replace(/:domain$/, "") : "driving");
    } else if (one.kind === "boolean" || one.kind === "section") {
      input = el("input", { ...attributes, type: "checkbox", checked: one.kind === "section" ? value !== null : value ?? one.default });
      input.addEventListener("change", () => change(one.path, one.kind === "section" ? (input.checked ? undefined : null) : input.checked));
      return el("div", { class: "field", "data-setting": one.path }, el("label", { class: "check" }, input, el("span", { class: "field-label" }, named(one, language()))), help, wrong);
    } else if (one.kind === "choice") {
      input = choice(attributes, one.optional ? ["", ...one.choices] : one.choices, value ?? one.default ?? "", (each) => each || text("p-none"));
    } else if (one.kind === "choices") {
      const chosen = value ?? one.default ?? [];
      const boxes = one.choices.map((each) => [each, el("input", { type: "checkbox", checked: chosen.includes(each) })]);
      const sent = () => {
        const now = boxes.filter(([, box]) => box.checked).map(([each]) => each);
        change(one.path, [...chosen.filter((each) => now.includes(each)), ...now.filter((each) => !chosen.includes(each))]);
      };
      for (const [, box] of boxes) box.addEventListener("change", sent);
      return el("div", { class: "field", role: "group", "aria-label": named(one, language()), "data-setting": one.path }, el("span", { class: "field-label" }, named(one, language())),
        el("span", { class: "chips" }, ...boxes.map(([each, box]) => el("label", { class: "check" }, box, each))), help, wrong);
    } else if (one.kind === "json") {
      input = el("textarea", { ...attributes, rows: 2 });
      input.value = value === undefined ? "" : JSON.stringify(value);
    } else {
      input = el("input", { ...attributes, inputmode: { integer: "numeric", number: "decimal" }[one.kind] ?? "text", placeholder: one.default ?? "", autocomplete: "off", spellcheck: "false" });
      input.value = value ?? "";
    }
    input.addEventListener("input", () => change(one.path, read(one, input.value)));
    const made = field(el("span", {}, named(one, language()), " ", el("code", { class: "quiet" }, one.path)), input, help);
    made.dataset.setting = one.path;
    made.append(wrong);
    return made;
  }

  /** What was typed, as the recipe holds it: nothing means the default; what is no number is sent as it is, to be refused. */
  function read(one, typed) {
    const value = typed.trim();
    if (value === "") return one.optional && one.default !== null ? null : undefined;
    if (one.kind === "integer" || one.kind === "number") return Number.isFinite(Number(value)) ? Number(value) : value;
    if (one.kind === "json") { try { return JSON.parse(value); } catch { return value; } }
    return value;
  }

  async function check() {
    const settings = draft.settings;
    const found = await api("/api/plan/check", { settings });
    if (settings !== draft.settings) return;
    faults = found.faults;
    place.yaml.replaceChildren(el("pre", { class: "yaml", tabindex: "0" }, found.yaml));
    mark();
    buttons();
  }

  /** Each fault beside its setting; what is about none of those shown stands above the buttons. */
  function mark() {
    const others = [];
    for (const one of view.querySelectorAll(".wrong")) one.classList.remove("wrong");
    for (const one of view.querySelectorAll(".wrong-said")) one.textContent = "";
    for (const fault of faults) {
      const within = fault.allowed.match(/(?:[a-z]+\.)+[a-z_]+/)?.[0]; // what does not fit together names the setting
      const box = [fault.where, within].map((path) => path && view.querySelector(`[data-setting="${CSS.escape(path)}"]`)).find(Boolean);
      const what = inWords(fault.allowed, language());
      if (box) {
        box.classList.add("wrong");
        box.querySelector(".wrong-said").textContent = what;
        if (box.closest("details")) box.closest("details").open = true;
      } else others.push({ ...fault, allowed: what });
    }
    if (others.length) place.said.replaceChildren(context.problem({ message: text("p-why-faults", { count: others.length }), faults: others }));
    else if (!draft?.saved) place.said.replaceChildren(el("p", { class: "small quiet" }, text("p-draft")));
  }

  function buttons() {
    const wrong = faults.length ? text("p-why-faults", { count: faults.length }) : "";
    context.buttonWhy(save, wrong);
    for (const button of [estimate, train]) context.buttonWhy(button, wrong || (draft.saved ? "" : text("p-why-save")));
    train.classList.toggle("primary", Boolean(draft.saved) && !wrong);
    save.classList.toggle("primary", !draft.saved);
  }

  async function keepRecipe() {
    clearTimeout(timer);
    try {
      await check();
      const { recipe } = await api("/api/plan/save", { settings: draft.settings, replace: replace.checked });
      draft.saved = recipe;
      if (!folder.recipes.includes(recipe)) folder.recipes.push(recipe);
      kept();
      place.said.replaceChildren(el("p", { class: "notice good", role: "status" }, text("p-saved", { recipe })));
      buttons();
      await look();
    } catch (error) { place.said.replaceChildren(context.problem(error)); }
  }

  async function reckon() {
    try {
      await api("/api/plan/estimate", { recipe: draft.saved });
      await look();
    } catch (error) { place.cost.replaceChildren(context.problem(error)); }
  }

  /** What is known of the time, memory and disk of the recipe as it was saved. */
  async function look() {
    closing();
    place.cost.replaceChildren();
    place.job.replaceChildren();
    if (!draft.saved) return;
    const { job, disk_free: free } = await api(`/api/plan/state?${new URLSearchParams({ recipe: draft.saved })}`);
    if (!job) { place.job.replaceChildren(context.command(`drivecoach plan ${draft.saved}`)); return; }
    closing = working(place.job, context, job, async (ended) => {
      if (ended.state !== "done") { place.cost.replaceChildren(context.failure(ended)); return; }
      const { result } = await api(`/api/jobs/${ended.id}/result`);
      place.cost.replaceChildren(...costs(result, free));
    });
  }

  function costs(found, free) {
    const probe = found.probe;
    const download = found.download === null ? text("p-unknown") : Object.keys(found.download).length ? bytes(Object.values(found.download).reduce((sum, one) => sum + one, 0)) : text("p-nothing");
    return [
      facts(
        [text("p-time"), probe ? `≈ ${duration(probe.seconds)}` : "–", probe ? text("p-per-step", { seconds: number(probe.seconds_per_step, 3) }) : text("p-no-probe")],
        [text("p-memory"), probe ? bytes(probe.peak_bytes) : "–"],
        [text("p-disk"), bytes(found.disk_bytes), text("p-free", { size: bytes(free) })],
        [text("p-steps"), number(found.steps), text("p-tokens", { count: number(found.tokens_per_epoch) })],
        [text("p-rows"), number(found.rows), found.too_long ? text("p-too-long", { count: number(found.too_long) }) : ""],
        [text("p-parameters"), number(found.parameters), text("p-trained", { share: `${(100 * found.trained_parameters / found.parameters).toFixed(1)}%` })],
        [text("p-download"), download]),
      found.disk_bytes > free ? el("p", { class: "notice grave" }, text("p-tight", { need: bytes(found.disk_bytes), free: bytes(free) })) : "",
    ];
  }

  const params = context.params();
  const changes = {};
  if (params.get("file")) Object.assign(changes, { "data.path": params.get("file"), domain: params.get("domain") || "driving" });
  let before = null;
  try { before = JSON.parse(sessionStorage.getItem(DRAFT)); } catch { /* nothing is kept */ }
  const proposed = params.get("file")?.replace(/[^/]+$/, "recipe.yaml");
  if (params.get("file") && folder.recipes.includes(proposed)) await start(proposed, changes);
  else if (params.get("file")) await start(before?.from && before.settings.domain === changes.domain ? before.from : "nano", { ...changes, ...fitting(changes) });
  else if (params.get("recipe") && params.get("recipe") !== before?.saved) await begun(params.get("recipe"));
  else if (before) { draft = before; await all(); } else await begun(folder.recipes.find((one) => one.startsWith("recipes/")) ?? "nano");
  return () => { closing(); clearTimeout(timer); };

  /** A recipe that cannot be read does not keep the page from opening. */
  async function begun(name) {
    try { await start(name); } catch (error) {
      await start("nano");
      place.said.replaceChildren(context.problem(error));
    }
  }

  /** Of a domain of one's own, nothing is called as the shipped coach is. */
  function fitting({ domain }) {
    if (domain === "driving") return {};
    const name = domain.split("/").at(-2) ?? domain;
    return { name, "export.name": name };
  }
}
