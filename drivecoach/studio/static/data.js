// The tab Data: a file and whose rows it holds; what a check finds, rows edited and saved aside, what the rows cover.
import { el } from "/web/dom.js";
import { bars, bytes, choice, facts, field, number, working } from "/studio/parts.js";

export const texts = {
  zh: {
    "d-lead": "选择或拖入数据文件，看检查发现了什么，直接修改有问题的行并另存，再看数据覆盖了哪些情况。原文件不会被改动。",
    "d-drop": "把文件拖到这里，或点击选择", "d-drop-what": "JSON、JSONL、CSV、TSV、XLSX、Parquet，最大 {size}",
    "d-file": "数据文件", "d-domain": "领域", "d-none": "还没有文件", "d-shipped": "复制自带数据：{name}", "d-check": "检查数据", "d-coverage": "统计覆盖",
    "d-findings": "检查结果", "d-rows": "全部行", "d-cover": "覆盖情况", "d-not-checked": "这个文件还没有检查过。", "d-not-covered": "这个文件还没有统计过。",
    "d-row": "第 {row} 行", "d-clean": "没有发现问题：{rows} 行全部可用。", "d-all": "全部", "d-left-out": "已删去", "d-edited": "已修改",
    "d-leave-out": "删去这一行", "d-undo": "恢复原样", "d-edits": "{count} 行已修改，尚未保存（原文件不变）", "d-save": "另存为新文件", "d-saved": "已保存为 {file}，共 {rows} 行。请对新文件再做一次检查。",
    "d-more": "后面的行", "d-back": "前面的行", "d-range": "{from}–{to}", "d-range-of": "{from}–{to}，共 {all}",
    "malformed": "格式错误", "input": "输入有误", "output": "答案有误", "duplicate": "重复", "conflict": "冲突", "invariant": "违反规则",
    "d-count-rows": "行", "d-count-good": "可用", "d-count-refused": "被拒绝", "d-count-warned": "违反规则",
    "d-new": "还没有对应的领域？从这些行生成一个", "d-new-what": "按数据的样子提出输入和答案两个 Pydantic 模型，生成一个文件夹：schema.py、合格的行、配方和测试。", "d-name": "领域名称", "d-propose": "生成领域", "d-proposed": "已生成 {folder}：{pairs} 行合格，{refused} 行不合格（见其中的 rejects.jsonl）。请先读一遍 schema.py。",
    "d-plan": "用这份数据做计划 →", "d-why-check": "先检查数据", "d-why-refused": "还有被拒绝的行：先修改并另存，或在计划里把 data.refused 设为 drop", "d-why-file": "先选择一个文件", "d-why-running": "正在运行",
    "d-why-edits": "没有修改过的行", "d-uploading": "正在上传 {name}：{done}", "d-too-large": "{name} 有 {size}，网页最多接受 {most}。请把文件直接复制到工作目录的 data/ 里。",
    "c-wanted": "接下来最值得收集", "c-enough": "没有明显的缺口。", "c-fields": "输入的每个字段", "c-answers": "答案的分布", "c-rules": "每条规则", "c-pairs": "数据对", "c-refused": "被拒绝", "c-warnings": "违反规则", "c-effective": "相当于 {count} 个均匀的取值",
    "c-rule": "规则", "c-value": "取值", "c-together": "组合", "c-boundary": "边界", "c-have": "现有 {count}", "c-none": "一行都没有",
  },
  en: {
    "d-lead": "Choose a file or drop one in, see what a check finds, edit the rows in place and save them aside, and see what they cover. The original is never changed.",
    "d-drop": "Drop a file here, or choose one", "d-drop-what": "JSON, JSONL, CSV, TSV, XLSX or Parquet, {size} at most",
    "d-file": "File", "d-domain": "Domain", "d-none": "no file yet", "d-shipped": "Copy the shipped pairs: {name}", "d-check": "Check the rows", "d-coverage": "Count coverage",
    "d-findings": "Findings", "d-rows": "All rows", "d-cover": "Coverage", "d-not-checked": "This file was not checked yet.", "d-not-covered": "The coverage of this file was not counted yet.",
    "d-row": "Row {row}", "d-clean": "Nothing is wrong: all {rows} rows can be used.", "d-all": "All", "d-left-out": "left out", "d-edited": "edited",
    "d-leave-out": "Leave this row out", "d-undo": "As it was", "d-edits": "{count} rows edited, not saved yet; the original stays as it is", "d-save": "Save as a new file", "d-saved": "Saved as {file}, {rows} rows. Check the new file now.",
    "d-more": "Next rows", "d-back": "Rows before", "d-range": "{from}–{to}", "d-range-of": "{from}–{to} of {all}",
    "malformed": "malformed", "input": "bad input", "output": "bad answer", "duplicate": "duplicate", "conflict": "conflict", "invariant": "breaks a rule",
    "d-count-rows": "Rows", "d-count-good": "Accepted", "d-count-refused": "Refused", "d-count-warned": "Break a rule",
    "d-new": "No domain fits? Propose one from these rows", "d-new-what": "Two Pydantic models, for the input and the answer, are proposed from what the rows look like, in a folder with schema.py, the rows that fit, a recipe and a test.", "d-name": "Name of the domain", "d-propose": "Propose a domain", "d-proposed": "Made {folder}: {pairs} rows fit, {refused} do not (they are in its rejects.jsonl). Read schema.py before you train.",
    "d-plan": "Plan with this file →", "d-why-check": "Check the rows first", "d-why-refused": "Rows are refused: edit and save them, or set data.refused to drop in the plan", "d-why-file": "Choose a file first", "d-why-running": "It is running",
    "d-why-edits": "No row is edited", "d-uploading": "Uploading {name}: {done}", "d-too-large": "{name} is {size}; the page takes {most} at most. Copy it into the folder data/ of the studio.",
    "c-wanted": "What to collect next", "c-enough": "No gap stands out.", "c-fields": "Every field of the input", "c-answers": "How the answers are spread", "c-rules": "Every rule", "c-pairs": "Pairs", "c-refused": "Refused", "c-warnings": "Break a rule", "c-effective": "as mixed as {count} even values",
    "c-rule": "rule", "c-value": "value", "c-together": "together", "c-boundary": "boundary", "c-have": "{count} now", "c-none": "none",
  },
};

const PAGE = 25;
const VIEWS = ["findings", "rows", "cover"];

export async function open(view, context) {
  const { api, text } = context;
  const closing = new Set();
  let folder = await context.workspace();
  const shipped = await api("/api/data/shipped");
  const at = Object.fromEntries(context.params());
  at.file = folder.files.includes(at.file) ? at.file : folder.files[0] ?? "";
  at.domain = folder.domains.includes(at.domain) ? at.domain : matching(at.file) ?? folder.domains[0];
  at.view = VIEWS.includes(at.view) ? at.view : "findings";
  at.start = Number(at.start) || 0;
  let state = null;

  const place = Object.fromEntries(["choose", "said", "job", "result", "save", "next"].map((name) => [name, el("div", { class: "list" })]));
  const card = el("section", { class: "card" });
  view.append(el("p", { class: "lead" }, text("d-lead")), el("section", { class: "card" }, place.choose, place.said), card, place.save);

  /** The domain that was proposed beside the file, where it lies in one's folder. */
  function matching(file) { return folder.domains.find((one) => one.includes("/") && file.startsWith(one.slice(0, one.lastIndexOf("/") + 1))); }

  const query = (more) => new URLSearchParams({ file: at.file, domain: at.domain, ...more });
  const report = (error) => place.said.replaceChildren(context.problem(error));

  function kept(changes) {
    Object.assign(at, changes);
    context.setParams({ file: at.file, domain: at.domain, view: at.view, start: at.start || "", kind: at.kind ?? "" });
  }

  function chooser() {
    const input = el("input", { type: "file", class: "hidden-text", id: "upload", accept: ".json,.jsonl,.csv,.tsv,.xlsx,.parquet", onchange: () => upload(input.files[0]) });
    const drop = el("label", { class: "drop", for: "upload" }, input, el("strong", {}, text("d-drop")), el("span", { class: "small quiet" }, text("d-drop-what", { size: bytes(folder.largest_upload) })));
    for (const kind of ["dragover", "dragenter"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
    for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.remove("over"); });
    drop.addEventListener("drop", (event) => upload(event.dataTransfer.files[0]));
    const file = choice({ id: "file" }, folder.files.length ? folder.files : [""], at.file, (one) => one || text("d-none"));
    file.addEventListener("change", () => pick({ file: file.value, domain: matching(file.value) ?? at.domain }));
    const domain = choice({ id: "domain" }, folder.domains, at.domain);
    domain.addEventListener("change", () => pick({ domain: domain.value }));
    const copies = shipped.filter((name) => !folder.files.includes(`data/${name}`)).map((name) =>
      el("button", { type: "button", onclick: () => api("/api/data/copy", { name }).then((made) => arrived(made.file)).catch(report) }, text("d-shipped", { name })));
    const check = el("button", { type: "button", class: "primary", id: "check", onclick: () => run("check") }, text("d-check"));
    const cover = el("button", { type: "button", id: "coverage", onclick: () => run("coverage") }, text("d-coverage"));
    place.choose.replaceChildren(drop, el("div", { class: "row" },
      field(text("d-file"), file), field(text("d-domain"), domain), check, cover, ...copies), proposal());
    place.choose.querySelectorAll(".row > .field").forEach((one) => one.classList.add("grow"));
    for (const button of [check, cover]) context.buttonWhy(button, at.file ? "" : text("d-why-file"));
  }

  function proposal() {
    const name = el("input", { id: "new-domain", placeholder: "my-domain", pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]*" });
    const work = el("div", { class: "list" });
    const button = el("button", { type: "button", id: "propose" }, text("d-propose"));
    const look = () => context.buttonWhy(button, at.file ? (name.value ? "" : text("d-name")) : text("d-why-file"));
    name.addEventListener("input", look);
    button.addEventListener("click", async () => {
      try {
        const job = await api("/api/data/init", { file: at.file, name: name.value });
        closing.add(working(work, context, job, async (ended) => {
          if (ended.state !== "done") { work.append(context.failure(ended)); return; }
          const { result } = await api(`/api/jobs/${ended.id}/result`);
          const refused = Object.values(result.refused).reduce((sum, one) => sum + one, 0);
          folder = await context.workspace();
          await pick({ file: `${result.folder}/pairs.jsonl`, domain: `${result.folder}/schema.py` });
          place.said.replaceChildren(el("p", { class: "notice good", role: "status" }, text("d-proposed", { folder: result.folder, pairs: number(result.pairs), refused: number(refused) })));
        }));
      } catch (error) { work.replaceChildren(context.problem(error)); }
    });
    const box = el("details", { class: "more" }, el("summary", {}, text("d-new")), el("div", { class: "list" },
      el("p", { class: "help" }, text("d-new-what")), el("div", { class: "row" }, field(text("d-name"), name), button), work));
    setTimeout(look);
    return box;
  }

  function upload(file) {
    if (!file) return;
    if (file.size > folder.largest_upload) {
      report({ message: text("d-too-large", { name: file.name, size: bytes(file.size), most: bytes(folder.largest_upload) }) });
      return;
    }
    // XMLHttpRequest, for fetch does not say how much was sent.
    const request = new XMLHttpRequest();
    const said = el("p", { role: "status" });
    place.said.replaceChildren(said);
    request.upload.addEventListener("progress", (event) => { said.textContent = text("d-uploading", { name: file.name, done: `${Math.floor(100 * event.loaded / event.total)}%` }); });
    request.addEventListener("load", () => {
      let found = {};
      try { found = JSON.parse(request.responseText); } catch { found = { error: request.status === 401 ? text("no-token") : undefined }; }
      if (request.status === 200) arrived(found.file);
      else report({ message: found.error ?? `HTTP ${request.status}`, hint: found.hint, faults: found.faults });
    });
    request.addEventListener("error", () => report({ message: text("lost") }));
    request.open("POST", `/api/files/${encodeURIComponent(file.name)}`);
    request.send(file);
    closing.add(() => request.abort());
  }

  async function arrived(file) {
    place.said.replaceChildren();
    folder = await context.workspace();
    await pick({ file, domain: matching(file) ?? at.domain });
  }

  async function pick(changes) {
    kept({ ...changes, start: 0, kind: "" });
    chooser();
    await load();
  }

  async function run(verb) {
    place.said.replaceChildren();
    try {
      await api(`/api/data/${verb}`, { file: at.file, domain: at.domain });
      kept({ view: verb === "check" ? "findings" : "cover", start: 0, kind: "" });
      await load();
    } catch (error) { report(error); }
  }

  async function load() {
    state = at.file ? await api(`/api/data/state?${query()}`) : null;
    shown();
  }

  function shown() {
    for (const end of closing) end();
    closing.clear();
    card.hidden = !state;
    if (!state) { place.save.replaceChildren(); return; }
    const switches = el("div", { class: "tabs", role: "group" }, ...VIEWS.map((name) =>
      el("button", { type: "button", id: `view-${name}`, "aria-pressed": String(at.view === name), onclick: () => { kept({ view: name, start: 0 }); shown(); } }, text(`d-${name}`))));
    card.replaceChildren(el("div", { class: "row between" }, switches, place.next), place.job, place.result);
    for (const name of ["job", "result", "next"]) place[name].replaceChildren();
    saveBar();
    if (at.view === "rows") allRows();
    else if (at.view === "findings") ofJob(state.check, "d-not-checked", findings);
    else ofJob(state.report, "d-not-covered", coverage);
  }

  function ofJob(job, missing, show) {
    if (!job) { place.result.replaceChildren(el("p", { class: "quiet" }, text(missing))); return; }
    closing.add(working(place.job, context, job, (ended) => show(ended).catch((error) => place.result.replaceChildren(error.status ? context.failure(ended) : context.problem(error)))));
  }

  function saveBar() {
    const count = Object.keys(state.edits).length;
    if (!count) { place.save.replaceChildren(); return; }
    place.save.replaceChildren(el("section", { class: "card save-bar" }, el("span", { role: "status" }, text("d-edits", { count: number(count) })),
      el("button", { type: "button", class: "primary", id: "save", onclick: save }, text("d-save"))));
  }

  async function save() {
    try {
      const made = await api("/api/data/save", { file: at.file, domain: at.domain });
      await arrived(made.file);
      place.said.replaceChildren(el("p", { class: "notice good", role: "status" }, text("d-saved", { file: made.file, rows: number(made.rows) })));
    } catch (error) { report(error); }
  }

  function pager(more, all = null) {
    const to = at.start + place.result.querySelectorAll(".finding").length;
    const turn = (start) => { kept({ start }); shown(); };
    if (!at.start && !more) return null;
    return el("div", { class: "row middle-line between" },
      el("button", { type: "button", disabled: !at.start, onclick: () => turn(Math.max(0, at.start - PAGE)) }, text("d-back")),
      el("span", { class: "small quiet" }, text(all ? "d-range-of" : "d-range", { from: number(at.start + 1), to: number(to), all: all && number(all) })),
      el("button", { type: "button", disabled: !more, onclick: () => turn(at.start + PAGE) }, text("d-more")));
  }

  async function allRows() {
    const mine = at.start;
    try {
      const found = await api(`/api/data/rows?${query({ start: at.start })}`);
      if (at.view !== "rows" || mine !== at.start) return;
      place.result.replaceChildren(...found.rows.map((laid) => row(laid)));
      const turning = pager(found.more);
      if (turning) place.result.append(turning);
    } catch (error) { place.result.replaceChildren(context.problem(error)); }
  }

  async function findings(job) {
    const found = await api(`/api/data/findings?${new URLSearchParams({ job: job.id, start: at.start, kind: at.kind ?? "" })}`);
    const refused = found.rows - found.accepted;
    const warned = found.counts.invariant ?? 0;
    const filter = el("div", { class: "chips", role: "group" }, ...["", ...Object.keys(found.counts)].map((kind) => el("button", {
      type: "button", "aria-pressed": String((at.kind ?? "") === kind), onclick: () => { kept({ kind, start: 0 }); shown(); },
    }, kind ? text(kind) : text("d-all"), el("span", { class: "number quiet" }, number(kind ? found.counts[kind] : refused + warned)))));
    const any = refused + warned > 0;
    place.result.replaceChildren(
      facts([text("d-count-rows"), number(found.rows)], [text("d-count-good"), number(found.accepted)], [text("d-count-refused"), number(refused)], [text("d-count-warned"), number(warned)]),
      any ? filter : el("p", { class: "notice good" }, text("d-clean", { rows: number(found.rows) })),
      ...found.findings.map((one, place_) => row(one.laid, one, place_ < 2)));
    const turning = pager(at.start + PAGE < found.found, found.found);
    if (turning) place.result.append(turning);
    const plan = el("button", { type: "button", class: "primary", id: "to-plan", onclick: () => context.go("plan", { file: at.file, domain: at.domain }) }, text("d-plan"));
    place.next.replaceChildren(plan);
    if (refused) plan.classList.remove("primary");
    if (refused) place.result.prepend(el("p", { class: "help" }, text("d-why-refused")));
  }

  /** A row to look at and to edit: closed it is one line, its cells are made when it is opened. */
  function row(laid, finding = null, isOpen = false) {
    const edit = () => state.edits[laid.row];
    const box = el("details", { class: "finding" });
    const kind = finding && el("span", { class: `chip kind ${finding.kind === "invariant" ? "warning" : "fault"}` }, text(finding.kind));
    const mark = el("span", { class: "chip kind good" });
    const what = finding ? el("span", { class: "reason" }, finding.reason) : el("span", { class: "preview" }, laid.cells.map((cell) => cell.text).join(" · ").slice(0, 300));
    const body = el("div", { class: "finding-body" });
    box.append(el("summary", {}, el("span", { class: "row-number" }, text("d-row", { row: number(laid.row) })), kind ?? "", what, mark), body);
    function looks() {
      const now = edit();
      box.classList.toggle("edited", Boolean(now));
      box.classList.toggle("left-out", Boolean(now && !now.cells));
      mark.hidden = !now;
      mark.textContent = now ? text(now.cells ? "d-edited" : "d-left-out") : "";
    }
    async function change(value) {
      try {
        state.edits = (await api("/api/data/edit", { file: at.file, domain: at.domain, row: laid.row, edit: value })).edits;
      } catch (error) { report(error); }
      looks();
      saveBar();
    }
    function cells() {
      const now = edit()?.cells ?? {};
      const inputs = {};
      const send = () => change({ form: laid.form, cells: Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value])) });
      const made = laid.cells.map((cell) => {
        const value = now[cell.name] ?? cell.text;
        const isWrong = finding?.fields?.includes(cell.name);
        const isLong = !cell.values.length && (value.length > 8 || laid.form !== "fields");
        let input;
        if (cell.values.length && !cell.several) input = choice({}, [...new Set(["", ...cell.values, value])], value);
        else if (isLong || cell.several) input = el("textarea", { rows: Math.min(8, Math.max(value.split("\n").length, 1 + Math.floor(value.length / 70))) });
        else input = el("input", {});
        if (input.tagName !== "SELECT") input.value = value;
        if (cell.several) input.title = cell.values.join("；");
        input.addEventListener("change", send);
        inputs[cell.name] = input;
        const shown_ = field(cell.name || text("d-row", { row: laid.row }), input);
        if (isLong || cell.several) shown_.classList.add("wide");
        if (isWrong) shown_.classList.add("wrong");
        return shown_;
      });
      body.replaceChildren(el("div", { class: "cells" }, ...made), el("div", { class: "row" },
        el("button", { type: "button", class: "quiet-button", onclick: () => change({ form: laid.form, cells: null }) }, text("d-leave-out")),
        el("button", { type: "button", class: "quiet-button", onclick: async () => { await change(null); cells(); } }, text("d-undo"))));
    }
    box.addEventListener("toggle", () => { if (box.open && !body.childElementCount) cells(); });
    box.open = isOpen;
    looks();
    return box;
  }

  async function coverage(job) {
    if (job.state !== "done") { place.result.replaceChildren(context.failure(job)); return; }
    const { result: found } = await api(`/api/jobs/${job.id}/result`);
    // Numbers in their order: the keys of an object would put whole ones first. Of too many, the most frequent.
    const counts = (one, most) => {
      const all = Object.entries(one);
      if (!all.every(([name]) => name && Number.isFinite(Number(name)))) return all.slice(0, most);
      return all.sort((a, b) => b[1] - a[1]).slice(0, most).sort((a, b) => a[0] - b[0]);
    };
    const rare = [...found.rules].sort((a, b) => a.pairs - b.pairs);
    const refused = Object.values(found.refused).reduce((sum, one) => sum + one, 0);
    place.result.replaceChildren(
      facts([text("c-pairs"), number(found.pairs)], [text("c-refused"), number(refused)], [text("c-warnings"), number(found.warnings)]),
      el("h2", {}, text("c-wanted")),
      found.wanted.length ? el("ul", { class: "wanted" }, ...found.wanted.slice(0, 15).map((one) => el("li", {}, el("span", { class: "chip" }, text(`c-${one.kind}`)), one.what, el("span", { class: "number small" }, one.pairs ? text("c-have", { count: number(one.pairs) }) : text("c-none")))))
        : el("p", { class: "quiet" }, text("c-enough")),
      el("h2", {}, text("c-answers")),
      el("div", { class: "columns" }, ...found.balance.filter((one) => one.name !== "answer" || found.balance.length === 1).map((one) => el("div", {}, el("h3", {}, one.name, " ", el("span", { class: "small quiet" }, text("c-effective", { count: number(one.effective, 1) }))), bars(counts(one.counts, 12))))),
      el("h2", {}, text("c-fields")),
      el("div", { class: "columns" }, ...found.fields.map((one) => el("div", {}, el("h3", {}, one.name), bars(counts(one.counts, 24))))),
      found.rules.length ? el("details", { class: "more" }, el("summary", {}, `${text("c-rules")} (${number(rare.length)})`), bars(rare.map((one) => [`${one.rule} ${one.reason}`, one.pairs, one.inputs === null ? undefined : `${number(one.pairs)} / ${number(one.inputs)}`]))) : "");
  }

  chooser();
  kept({});
  await load();
  return () => { for (const end of closing) end(); };
}
