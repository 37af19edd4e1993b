// Making elements: all text is set as text, never as HTML.

/** What the server put into the page for its scripts. */
export function data() { return JSON.parse(document.getElementById("data").textContent); }

export function byId(id) { return document.getElementById(id); }

/** An element with attributes (`class`, `data-…`, `on…` for a listener) and what is inside: elements and texts. */
export function el(tag, attributes = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...inside.filter((one) => one !== null && one !== undefined && one !== ""));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element with attributes and elements inside. */
export function svg(tag, attributes = {}, ...inside) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...inside);
  return made;
}

/** The shape of a level (`mild`, `middle`, `grave`), so that its colour is never the only sign of it. */
export function shape(grade) {
  return svg("svg", { class: `shape ${grade}`, "aria-hidden": "true" }, svg("use", { href: `#shape-${grade}` }));
}

/** The grade of a level among a domain's levels, which are named from the mildest to the gravest. */
export function gradeOf(level, levels) {
  const place = levels.indexOf(level);
  if (place <= 0) return "mild";
  return place === levels.length - 1 ? "grave" : "middle";
}
