// The cluster: two gauges, the gear, and the lamps, which say by sign and word what their colour says.
import { byId, el, svg } from "/web/dom.js";
import { onLanguage, t, translate } from "/web/language.js";
import { SIGNS } from "./controls.js";
import { word } from "./words.js";

const SWEEP = 240;
const [CX, CY, R] = [100, 100, 82];

function point(share, radius) {
  const angle = (150 + SWEEP * share) * Math.PI / 180;
  return [CX + radius * Math.cos(angle), CY + radius * Math.sin(angle)];
}

function arc(from, to, radius) {
  const [[x1, y1], [x2, y2]] = [point(from, radius), point(to, radius)];
  return `M${x1.toFixed(1)} ${y1.toFixed(1)}A${radius} ${radius} 0 ${SWEEP * (to - from) > 180 ? 1 : 0} 1 ${x2.toFixed(1)} ${y2.toFixed(1)}`;
}

class Gauge {
  constructor(id, most, step, names) {
    this.most = most;
    this.band = svg("path", { class: "gauge-band" });
    this.fill = svg("path", { class: "gauge-fill", d: arc(0, 1, R), pathLength: "100" });
    this.needle = svg("g", { class: "needle" }, svg("path", { d: `M${CX + 70} ${CY}L${CX - 12} ${CY - 3.2}v6.4z` }), svg("circle", { cx: CX, cy: CY, r: 7 }));
    const marks = svg("g", { class: "gauge-marks" });
    for (let value = 0; value <= most; value += step / 2) {
      const isWhole = value % step === 0;
      const [[x1, y1], [x2, y2], [tx, ty]] = [point(value / most, R - 7), point(value / most, R - (isWhole ? 15 : 11)), point(value / most, R - 25)];
      marks.append(svg("path", { d: `M${x1} ${y1}L${x2} ${y2}` }));
      if (isWhole) { const text = svg("text", { x: tx, y: ty + 4 }); text.textContent = value; marks.append(text); }
    }
    this.number = svg("text", { class: "gauge-number", x: CX, y: 148 });
    this.unit = svg("text", { class: "gauge-unit", x: CX, y: 165 });
    this.svg = svg("svg", { viewBox: "8 8 184 168", role: "img" }, svg("path", { class: "gauge-track", d: arc(0, 1, R) }), this.band, this.fill, marks, this.needle, this.number, this.unit);
    byId(id).append(this.svg);
    this.names = names;
    this.hasWords = false;
    onLanguage(() => this.#name());
    this.set(0, "0");
    this.#name();
  }

  /** The needle at a value, a text beneath it; `band` is where the value is right. A word has no unit. */
  set(value, text, { band = null, isWord = false } = {}) {
    if (this.hasWords !== isWord) {
      this.hasWords = isWord;
      this.svg.parentElement.classList.toggle("words", isWord);
      this.#name();
    }
    const share = Math.min(1, Math.max(0, value / this.most));
    this.needle.style.transform = `rotate(${150 + SWEEP * share}deg)`;
    this.fill.style.strokeDasharray = `${share * 100} 100`;
    if (this.number.textContent !== text) { this.number.textContent = text; this.#say(); }
    this.band.setAttribute("d", band ? arc(band[0] / this.most, Math.min(1, band[1] / this.most), R) : "");
  }

  #name() {
    this.label = t(this.names.label);
    this.unit.textContent = t(this.hasWords ? this.names.word : this.names.unit);
    this.#say();
  }

  #say() { this.svg.setAttribute("aria-label", `${this.label}: ${this.number.textContent} ${this.unit.textContent}`); }
}

/** A lamp lights where something is as it must not be (or is switched on); `state` is one of its texts. */
const LAMPS = {
  engine: ["engine-off", "engine-runs", "engine-stalled"], belt: ["belt-on", "belt-off"], door: ["door-shut", "door-open"], handbrake: ["handbrake-off", "handbrake-on"], lights: ["lights-off", "lights-on"],
};

export class Instruments {
  constructor() {
    this.rpm = new Gauge("gauge-rpm", 6, 1, { label: "revs", unit: "turns", word: "lamp-engine" });
    this.speed = new Gauge("gauge-speed", 80, 20, { label: "speed", unit: "km", word: "speed" });
    this.lamps = {};
    for (const name of Object.keys(LAMPS)) {
      const text = el("span", { class: "lamp-text" });
      const lamp = el("li", { class: "lamp", "data-lamp": name }, svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: SIGNS[name] })), el("span", { class: "lamp-name", "data-t": `lamp-${name}` }), text);
      this.lamps[name] = { lamp, text, state: 0 };
      byId("lamps").append(lamp);
    }
    onLanguage(() => this.#texts());
    translate(byId("lamps"));
    this.idle();
  }

  /** A car as it stands there: nobody belted, the handbrake on. */
  idle() {
    this.gear = "";
    this.speed.set(0, "0");
    this.rpm.set(0, "0.0");
    for (const name of Object.keys(LAMPS)) this.#lamp(name, ["belt", "handbrake"].includes(name) ? 1 : 0);
    this.#texts();
  }

  /** What the simulated car shows, and where its switches are. */
  show(shown, hands) {
    this.speed.set(shown.kmh, shown.kmh.toFixed(0), { band: [shown.slow, shown.fast] });
    this.rpm.set(shown.rpm / 1000, (shown.rpm / 1000).toFixed(1));
    this.#lamp("engine", shown.running ? 1 : shown.stalled ? 2 : 0);
    this.#lamp("belt", hands.belt ? 0 : 1);
    this.#lamp("door", hands.door_open ? 1 : 0);
    this.#lamp("handbrake", hands.handbrake ? 1 : 0);
    this.#lamp("lights", hands.lights ? 1 : 0);
    this.lamps.lights.lamp.hidden = false;
    if (this.gear !== hands.gear) { this.gear = hands.gear; this.#texts(); }
  }

  /** What a recorded state says: no numbers, for its sensors tell none. */
  showState(features) {
    const runs = features["发动机"] === "打火";
    this.speed.set(0, word(features["速度"]), { isWord: true });
    this.rpm.set(0, word(features["发动机"]), { isWord: true });
    this.#lamp("engine", runs ? 1 : 0);
    this.#lamp("belt", features["安全带"] === "系上" ? 0 : 1);
    this.#lamp("door", features["车门"] === "打开" ? 1 : 0);
    this.#lamp("handbrake", features["手刹"] === "拉起" ? 1 : 0);
    this.lamps.lights.lamp.hidden = true; // no sensor tells them
    this.gear = features["挡位"];
    this.#texts();
  }

  #lamp(name, state) {
    const found = this.lamps[name];
    if (found.state === state && found.text.textContent) return;
    found.state = state;
    found.lamp.dataset.state = state;
    found.text.textContent = t(LAMPS[name][state]);
  }

  #texts() {
    for (const [name, found] of Object.entries(this.lamps)) found.text.textContent = t(LAMPS[name][found.state]);
    byId("gear-now").textContent = { "空挡": "N", "倒挡": "R", "": "–" }[this.gear] ?? this.gear[0];
    const named = this.gear ? word(this.gear) : "";
    byId("gear-word").textContent = named === byId("gear-now").textContent ? "" : named;
  }
}
