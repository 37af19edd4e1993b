// Hands and feet: the lever, the switches, the pedals, and the keys for all of them.
import { byId, el, svg } from "/web/dom.js";
import { onLanguage, t, translate } from "/web/language.js";
import { Pedals } from "./pedals.js";
import { word } from "./words.js";

/** Where each gear stands on the lever (column, row), and its key. */
const GATES = {
  "手动挡": { "1挡": [1, 1], "3挡": [2, 1], "5挡": [3, 1], "空挡": [2, 2], "2挡": [1, 3], "4挡": [2, 3], "倒挡": [3, 3] },
  "自动挡": { "P挡": [1, 1], "R挡": [1, 2], "N挡": [1, 3], "D挡": [1, 4] },
};
const KEYS = {
  "手动挡": { Digit1: "1挡", Digit2: "2挡", Digit3: "3挡", Digit4: "4挡", Digit5: "5挡", Digit6: "倒挡", Digit0: "空挡", Backquote: "空挡" },
  "自动挡": { Digit1: "P挡", Digit2: "R挡", Digit3: "N挡", Digit4: "D挡" },
};
const PEDALS = { KeyA: "clutch", KeyS: "brake", KeyD: "accelerator" };
const SWITCHES = [["ignition", "E", "M11 3h2v9h-2zM7.5 5.6a8 8 0 1 0 9 0l-1 1.7a6 6 0 1 1-7 0z"], ["handbrake", "H", null], ["belt", "B", null], ["door", "O", null], ["lights", "L", null], ["night", "N", "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z"]];
export const SIGNS = {
  handbrake: "M12 5a7 7 0 1 0 0 14 7 7 0 0 0 0-14zm0 2a5 5 0 1 1 0 10 5 5 0 0 1 0-10zm-1 1.6h2v4h-2zm0 5h2v2h-2zM4.6 5.2 6 6.6a8.4 8.4 0 0 0 0 10.8l-1.4 1.4a10.4 10.4 0 0 1 0-13.6zm14.8 0a10.4 10.4 0 0 1 0 13.6L18 17.4a8.4 8.4 0 0 0 0-10.8z",
  belt: "M12 2.5a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM7 10h8.2L6 19.6V12a2 2 0 0 1 1-2zm10.4.8A2 2 0 0 1 18 12v9H7.6z",
  door: "M4 13 8 5h8l4 8v5H4zm3.2-1h4V7H9.3zM13 7v5h3.8l-2.1-5zm-9.5-.5L1 10l1.5 1 2-3z",
  lights: "M12 5c5 0 8 3 8 7s-3 7-8 7zM2 6.5l8-1v2l-8 1zm0 5h8v2H2zm0 4 8 1v2l-8-1z",
  engine: "M7 5h6v2h-2v1.5h3.5L17 11h2V9h2.5v8H19v-2h-1.5L15 18H8l-2.5-2.5H4V18H2v-7h2v2h1.5L8 10.5V7H7z",
};

export class Controls {
  /** `changed(controls)` is called whenever hands or feet have done something, if they may. */
  constructor(known, changed) {
    this.known = known;
    this.tell = changed;
    this.isOn = false;
    this.running = false;
    this.vehicle = "手动挡";
    this.pedals = new Pedals(known.clutch, () => this.#changed());
    this.#fresh();
    this.panel = {};
    for (const [name, key, path] of SWITCHES) {
      const sign = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: path ?? SIGNS[name] }));
      const button = el("button", { type: "button", class: "switch", "data-switch": name, "aria-pressed": "false", "aria-keyshortcuts": key, onclick: () => this.flip(name) }, sign, el("span", { "data-t": name }), el("kbd", {}, key));
      this.panel[name] = button;
      byId("panel").append(button);
    }
    addEventListener("keydown", (event) => this.#key(event, true));
    addEventListener("keyup", (event) => this.#key(event, false));
    onLanguage(() => this.#lever());
    this.#lever();
    this.#draw();
  }

  #fresh() {
    this.hands = { handbrake: true, belt: false, door_open: false, lights: false, night: null };
    this.gear = this.vehicle === "手动挡" ? "空挡" : "P挡";
    this.isNight = false;
  }

  /** A new car of this kind, as a learner finds it. */
  begin(vehicle) {
    this.vehicle = vehicle;
    this.#fresh();
    this.pedals.reset();
    this.pedals.hasClutch(vehicle === "手动挡");
    this.isOn = true;
    this.#lever();
    this.#draw();
  }

  /** Nobody may touch anything. */
  end() { this.isOn = false; this.pedals.release(); this.#draw(); }

  /** What the server is told. */
  get all() {
    const { pedals } = this;
    return { gear: this.gear, clutch: pedals.value("clutch"), brake: pedals.value("brake"), accelerator: pedals.value("accelerator"), ...this.hands };
  }

  /** What the car says by itself: whether it runs, whether it is night. */
  hear(shown) {
    if (this.running === shown.running && this.isNight === shown.night) return;
    this.running = shown.running;
    this.isNight = shown.night;
    this.#draw();
  }

  /** Shows a state of a recorded drive. */
  show(features) {
    this.vehicle = features["车辆类型"];
    if (this.gear !== features["挡位"] || !this.lever.dataset.vehicle?.includes(this.vehicle)) { this.gear = features["挡位"]; this.#lever(); }
    this.pedals.hasClutch(this.vehicle === "手动挡");
    this.pedals.show("clutch", { "踩下": 1, "半联动": 0.5 }[features["离合"]] ?? 0);
    this.pedals.show("brake", features["刹车"] === "踩下" ? 1 : 0);
    this.pedals.show("accelerator", features["油门"] === "踩下" ? 0.4 : 0);
  }

  shift(gear) {
    if (!this.isOn || !(gear in GATES[this.vehicle])) return;
    this.gear = gear;
    this.#lever();
    this.#changed();
  }

  flip(name) {
    if (!this.isOn) return;
    const { hands } = this;
    if (name === "ignition") return void this.tell({ ...this.all, ignition: this.running ? "off" : "start" });
    if (name === "night") hands.night = !this.isNight;
    else if (name === "door") hands.door_open = !hands.door_open;
    else hands[name] = !hands[name];
    if (name === "night") this.isNight = hands.night;
    this.#draw();
    this.#changed();
  }

  get lever() { return byId("lever"); }

  #changed() { if (this.isOn) this.tell(this.all); }

  #key(event, isDown) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest?.("select, input, dialog, textarea")) return;
    if (PEDALS[event.code]) this.pedals.press(PEDALS[event.code], isDown && this.isOn);
    else if (event.code === "KeyW") this.pedals.still = isDown && this.isOn;
    else if (isDown && !event.repeat) {
      const gear = KEYS[this.vehicle][event.code];
      const found = SWITCHES.find(([, key]) => event.code === `Key${key}`);
      if (gear) this.shift(gear);
      else if (found) this.flip(found[0]);
    }
  }

  #lever() {
    const { lever, vehicle } = this;
    const had = lever.contains(document.activeElement) ? document.activeElement.dataset.gear : null;
    lever.dataset.vehicle = vehicle;
    lever.className = vehicle === "手动挡" ? "lever manual" : "lever automatic";
    const keys = Object.fromEntries(Object.entries(KEYS[vehicle]).reverse().map(([code, gear]) => [gear, code.replace("Digit", "").replace("Backquote", "`")]));
    lever.replaceChildren(...Object.entries(GATES[vehicle]).map(([gear, [column, row]]) => {
      const name = { "空挡": "N", "倒挡": "R" }[gear] ?? gear[0];
      const isIn = gear === this.gear;
      const button = el("button", { type: "button", role: "radio", class: "gate", "data-gear": gear, "aria-checked": String(isIn), tabindex: isIn ? "0" : "-1", "aria-label": word(gear), onclick: () => this.shift(gear) }, el("b", {}, name), keys[gear] === name ? null : el("kbd", {}, keys[gear]));
      button.disabled = !this.isOn;
      button.style.gridArea = `${row} / ${column}`;
      button.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const gears = this.known.gears[vehicle];
        this.shift(gears[(gears.indexOf(gear) + step + gears.length) % gears.length]);
        lever.querySelector("[aria-checked='true']").focus();
      });
      return button;
    }));
    if (had) lever.querySelector("[aria-checked='true']")?.focus();
  }

  #draw() {
    const { hands } = this;
    const on = { ignition: this.running, handbrake: hands.handbrake, belt: hands.belt, door: hands.door_open, lights: hands.lights, night: this.isNight };
    for (const [name, button] of Object.entries(this.panel)) {
      button.setAttribute("aria-pressed", String(on[name]));
      button.disabled = !this.isOn;
    }
    byId("controls").classList.toggle("off", !this.isOn);
    translate(byId("panel"));
    for (const gate of this.lever.querySelectorAll(".gate")) gate.disabled = !this.isOn;
  }
}
