// An input given by hand: a form made of the domain's own fields, or the line that says the same; and examples.
import { el, shape } from "/web/dom.js";
import { keep, kept } from "/web/kept.js";

/** What an input is given with. `value()` is what is asked; `set` shows what was understood; `setFaults` marks fields. */
export function inputForm(described, text, ask) {
  const { fields } = described;
  const key = `ask.${described.domain}`;
  const controls = fields.map((one, place) => control(one, `ask-f-${place}`, text));
  const line = el("textarea", { id: "ask-text", rows: 5, "aria-label": text("ask-line-label"), placeholder: described.examples[0]?.text ?? "" });
  const before = read(kept(key)) ?? described.examples[0];
  const live = el("input", { type: "checkbox", id: "ask-live", checked: kept("ask.live") !== "no", onchange: () => keep("ask.live", live.checked ? "yes" : "no") });
  let isLine = !fields.length;

  const grid = el("div", { class: "inputs" }, ...fields.map((one, place) => el("div", { class: "field", "data-field": one.name },
    el("label", { for: `ask-f-${place}` }, one.name, one.also ? el("span", { class: "quiet small" }, ` ${one.also}`) : null),
    controls[place].element, el("p", { class: "small because", id: `ask-f-${place}-fault`, hidden: true }))));
  const choose = (toLine) => {
    isLine = toLine;
    grid.hidden = toLine;
    line.hidden = !toLine;
    for (const [place, tab] of [...tabs.children].entries()) tab.setAttribute("aria-pressed", String(toLine === Boolean(place)));
  };
  const tabs = el("div", { class: "tabs", role: "group" },
    el("button", { type: "button", onclick: () => choose(false) }, text("ask-form")), el("button", { type: "button", onclick: () => choose(true) }, text("ask-line")));
  tabs.hidden = !fields.length;

  function fill(one) {
    fields.forEach((each, place) => controls[place].set(at(one.record, each.path)));
    line.value = one.text;
  }
  const examples = described.examples.map((one) => el("li", {}, el("button", {
    type: "button", title: one.text, onclick: () => { fill(one); ask(); },
  }, one.rank ? shape(one.rank) : null, el("span", {}, described.text ? one.text : one.says || one.text))));

  const element = el("form", { onsubmit: (event) => { event.preventDefault(); ask(); } },
    el("div", { class: "ask-head" }, tabs, fields.length ? el("label", { class: "check" }, live, text("ask-live")) : null),
    grid, line, el("button", { class: "primary full", id: "ask-do" }, text("ask-do")),
    examples.length ? el("div", {}, el("h3", {}, text("ask-examples")), el("ul", { class: "examples" }, ...examples)) : null);
  grid.addEventListener("change", () => { if (live.checked) ask(); });
  choose(isLine);
  if (before) fill(before);

  return {
    element,
    isFilled: Boolean(before),
    value: () => (isLine ? { text: line.value } : { record: record(fields, controls) }),
    set(found) {
      keep(key, JSON.stringify({ record: found.record, text: found.text }));
      if (isLine) fields.forEach((each, place) => controls[place].set(at(found.record, each.path)));
      else line.value = found.text;
    },
    /** Marks the fields that these faults name; what names none of them is given back. */
    setFaults(faults) {
      const left = [];
      for (const place of fields.keys()) setFault(place, "");
      for (const fault of faults) {
        const place = isLine ? -1 : fields.findIndex((one) => one.name === fault.where);
        if (place < 0) left.push(fault);
        else setFault(place, fault.allowed ? `${fault.found} (${fault.allowed})` : fault.found);
      }
      return left;
    },
  };

  function setFault(place, told) {
    const note = grid.children[place].querySelector(".because");
    note.textContent = told;
    note.hidden = !told;
    controls[place].element.setAttribute("aria-invalid", String(Boolean(told)));
    if (told) controls[place].element.setAttribute("aria-describedby", note.id);
    else controls[place].element.removeAttribute("aria-describedby");
  }
}

/** One field: how it is shown, filled and read. A value that is not given is undefined. */
function control(one, id, text) {
  if (one.kind === "closed") {
    const isOptional = one.nullable || !one.required;
    const element = el("select", { id }, isOptional ? el("option", { value: "" }, text("ask-choose")) : null,
      ...one.values.map((value, place) => el("option", { value: String(place) }, said(value))));
    return {
      element,
      set: (value) => { element.value = String(one.values.findIndex((each) => each === value || said(each) === value)); if (element.selectedIndex < 0) element.selectedIndex = 0; },
      get: () => (element.value === "" ? undefined : one.values[Number(element.value)]),
    };
  }
  if (one.kind === "choices") {
    const element = el("select", { id, multiple: true, size: Math.min(5, one.values.length) }, ...one.values.map((value) => el("option", {}, said(value))));
    return {
      element,
      set: (value) => { for (const [place, option] of [...element.options].entries()) option.selected = (value ?? []).includes(one.values[place]); },
      get: () => one.values.filter((_, place) => element.options[place].selected),
    };
  }
  if (one.kind === "integer" || one.kind === "number") {
    const element = el("input", { id, type: "number", step: one.kind === "integer" ? "1" : "any", title: one.allowed });
    return { element, set: (value) => { element.value = value ?? ""; }, get: () => (element.value === "" ? undefined : Number(element.value)) };
  }
  if (one.kind === "text") {
    const element = el("textarea", { id, rows: 2, title: one.allowed });
    return { element, set: (value) => { element.value = value ?? ""; }, get: () => (element.value === "" && !one.required ? undefined : element.value) };
  }
  const element = el("textarea", { id, rows: 2, class: "code", title: one.allowed, placeholder: text("ask-json") });
  return { element, set: (value) => { element.value = value === undefined ? "" : JSON.stringify(value); }, get: () => read(element.value) };
}

function record(fields, controls) {
  const made = {};
  fields.forEach((one, place) => {
    const value = controls[place].get();
    if (value === undefined) return;
    let inside = made;
    for (const key of one.path.slice(0, -1)) inside = inside[key] ??= {};
    inside[one.path.at(-1)] = value;
  });
  return made;
}

function said(value) { return typeof value === "string" ? value : JSON.stringify(value); }
function at(value, path) { return path.reduce((inside, key) => inside?.[key], value); }
function read(json) { try { return JSON.parse(json) ?? undefined; } catch { return undefined; } }
