// The curves of a training as SVG of our own: losses on a logarithmic scale, exact match on one of 0 to 100%.
import { el, svg } from "/web/dom.js";

const HEIGHT = 260;
const EDGE = { left: 46, right: 42, top: 12, bottom: 26 };

/** Puts a chart with its legend into `place`; `show(curves, steps)` draws it anew. */
export function chart(place, text) {
  const legend = el("div", { class: "legend" });
  const drawing = svg("svg", { height: HEIGHT, role: "img", tabindex: "0" });
  const box = el("div", { class: "chart" }, drawing);
  place.append(legend, box);
  let curves = [];
  let most = 1;
  let reading = null; // the step that is read off; null: the last one
  let width = 800; // in pixels, so that texts are as large on a phone

  const inside = () => width - EDGE.left - EDGE.right;
  const x = (step) => EDGE.left + inside() * step / most;
  const tall = HEIGHT - EDGE.top - EDGE.bottom;
  new ResizeObserver(() => {
    if (!box.clientWidth || box.clientWidth === width) return;
    width = box.clientWidth;
    show(curves, most);
  }).observe(box);

  function losses() {
    const all = curves.filter((one) => one.name !== "eval_exact_match").flatMap((one) => one.points.map(([, value]) => value)).filter((value) => value > 0);
    const low = Math.log10(Math.min(...all, 1)) - 0.05;
    const high = Math.log10(Math.max(...all, 0.01)) + 0.05;
    return [low, Math.max(high, low + 0.3)];
  }

  function show(now, steps) {
    curves = now.filter((one) => one.points.length);
    most = Math.max(1, steps);
    place.hidden = !curves.length;
    if (!curves.length) return;
    const [low, high] = losses();
    const yLoss = (value) => EDGE.top + tall * (high - Math.log10(Math.max(value, 10 ** low))) / (high - low);
    const yShare = (value) => EDGE.top + tall * (1 - value);
    const parts = [];
    for (const value of [10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001]) {
      if (Math.log10(value) <= high && Math.log10(value) >= low && (high - low < 1.6 || String(value).replace(/[0.]/g, "") === "1")) {
        parts.push(svg("line", { class: "grid-line", x1: EDGE.left, x2: width - EDGE.right, y1: yLoss(value), y2: yLoss(value) }),
          svg("text", { x: EDGE.left - 8, y: yLoss(value) + 4, "text-anchor": "end" }, String(value)));
      }
    }
    const hasShare = curves.some((one) => one.name === "eval_exact_match");
    for (const value of hasShare ? [0, 0.5, 1] : []) parts.push(svg("text", { x: width - EDGE.right + 8, y: yShare(value) + 4 }, `${100 * value}%`));
    const marks = width < 500 ? 2 : 4;
    for (let part = 0; part <= marks; part += 1) {
      const step = Math.round(most * part / marks);
      if (part === 0 || step !== Math.round(most * (part - 1) / marks)) parts.push(svg("text", { x: x(step), y: HEIGHT - 6, "text-anchor": "middle" }, String(step)));
    }
    for (const curve of curves) {
      const y = curve.name === "eval_exact_match" ? yShare : yLoss;
      const points = curve.points.map(([step, value]) => [x(step).toFixed(1), y(value).toFixed(1)]);
      parts.push(svg("path", { class: curve.name, d: `M${points.map((one) => one.join(",")).join("L")}` }));
      if (points.length < 40) parts.push(...points.map(([cx, cy]) => svg("circle", { class: curve.name, cx, cy, r: curve.name === "loss" ? 1.5 : 3 })));
    }
    drawing.replaceChildren(...parts);
    read();
  }

  /** The values at the step that is read off. */
  function read() {
    const last = Math.max(...curves.map((one) => one.points.at(-1)[0]));
    const step = reading === null ? last : Math.min(reading, last);
    drawing.querySelector(".cursor")?.remove();
    if (reading !== null) drawing.append(svg("line", { class: "cursor", x1: x(step), x2: x(step), y1: EDGE.top, y2: HEIGHT - EDGE.bottom }));
    const shown = curves.map((one) => {
      const nearest = one.points.reduce((best, point) => (Math.abs(point[0] - step) < Math.abs(best[0] - step) ? point : best));
      const value = one.name === "eval_exact_match" ? `${(100 * nearest[1]).toFixed(1)}%` : nearest[1].toPrecision(3);
      return [one.name, value, nearest[0]];
    });
    legend.replaceChildren(...shown.map(([name, value]) => el("span", { class: name }, el("i"), text(name), " ", el("b", {}, value))), el("span", { class: "quiet number" }, `${text("t-step")} ${step}`));
    drawing.setAttribute("aria-label", `${text("t-chart")}. ${text("t-step")} ${step}: ${shown.map(([name, value]) => `${text(name)} ${value}`).join(", ")}`);
  }

  drawing.addEventListener("pointermove", (event) => {
    const seen = drawing.getBoundingClientRect();
    reading = Math.max(0, Math.round((event.clientX - seen.left - EDGE.left) / inside() * most));
    read();
  });
  drawing.addEventListener("pointerleave", () => { reading = null; read(); });
  drawing.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const steps = curves[0].points.map(([step]) => step);
    const from = reading ?? steps.at(-1);
    reading = (way > 0 ? steps.find((step) => step > from) : steps.findLast((step) => step < from)) ?? from;
    read();
  });
  return { show };
}
