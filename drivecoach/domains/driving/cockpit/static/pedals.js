// The three pedals: pushed by key, finger, mouse or arrow keys; they travel, they do not jump, so that the clutch can bite.
import { el, byId } from "/web/dom.js";
import { onLanguage, t, translate } from "/web/language.js";

/** Full travels a second, down and up: a clutch that is let go comes up slowly enough to be caught where it bites. */
const SPEEDS = { clutch: [4, 0.75], brake: [2.5, 4], accelerator: [0.9, 2.5] };
const FOLLOWS = 6;

export class Pedals {
  /** `changed` is called with a pedal's name whenever it has moved. */
  constructor(bite, changed) {
    this.changed = changed;
    this.still = false;
    this.parts = {};
    for (const [name, key] of [["clutch", "A"], ["brake", "S"], ["accelerator", "D"]]) this.parts[name] = this.#made(name, key, bite);
    byId("pedals").append(...Object.values(this.parts).map((part) => part.box));
    translate(byId("pedals"));
    this.before = performance.now();
    const move = (now) => { this.#move(Math.min(0.1, (now - this.before) / 1000)); this.before = now; requestAnimationFrame(move); };
    requestAnimationFrame(move);
    addEventListener("blur", () => this.release());
    onLanguage(() => { for (const part of Object.values(this.parts)) part.label(); });
  }

  value(name) { return Math.round(this.parts[name].value * 100) / 100; }

  press(name, isDown) { this.parts[name].held = isDown; }

  /** All keys and fingers are off; what is held down by its button stays. */
  release() { for (const part of Object.values(this.parts)) { part.held = false; part.pointer = null; } this.still = false; }

  /** Every pedal is up. */
  reset() { for (const part of Object.values(this.parts)) { part.set(null); part.value = 0; part.draw(); } this.release(); }

  /** Shows a pedal where a recorded drive has it. */
  show(name, value) { const part = this.parts[name]; part.value = value; part.draw(); }

  hasClutch(is) { this.parts.clutch.box.hidden = !is; byId("pedals").classList.toggle("two", !is); }

  #made(name, key, bite) {
    const fill = el("div", { class: "travel" });
    const pad = el("div", { class: "pad" });
    const value = el("output", { class: "pedal-value number" });
    const zone = name === "clutch" ? el("div", { class: "zone" }, el("span", { "data-t": "half" })) : null;
    const slider = el("div", { class: "slot", role: "slider", tabindex: "0", "aria-valuemin": "0", "aria-valuemax": "100", "aria-orientation": "vertical" }, zone, fill, pad);
    const hold = el("button", { type: "button", class: "hold", "aria-pressed": "false" }, el("span", { "data-t": "hold" }));
    const title = el("span", { class: "pedal-name", "data-t": name });
    const box = el("div", { class: `pedal ${name}` }, el("p", { class: "pedal-head" }, title, el("kbd", {}, key)), slider, value, hold);
    const part = { box, value: 0, held: false, pointer: null, latched: null };
    if (zone) { zone.style.top = `${bite.bites * 100}%`; zone.style.bottom = `${100 - bite.down * 100}%`; }
    part.draw = () => {
      fill.style.height = `${part.value * 100}%`;
      pad.style.top = `${part.value * 100}%`;
      value.value = `${Math.round(part.value * 100)}%`;
      slider.setAttribute("aria-valuenow", Math.round(part.value * 100));
    };
    part.set = (latched) => { part.latched = latched; hold.setAttribute("aria-pressed", String(latched !== null)); };
    part.label = () => { slider.setAttribute("aria-label", t(name)); hold.setAttribute("aria-label", t("hold-pedal", { pedal: t(name) })); };
    const at = (event) => {
      const box = slider.getBoundingClientRect();
      return Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
    };
    slider.addEventListener("pointerdown", (event) => {
      slider.setPointerCapture(event.pointerId);
      event.preventDefault();
      part.pointer = at(event);
    });
    slider.addEventListener("pointermove", (event) => { if (part.pointer !== null) part.pointer = at(event); });
    for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) {
      slider.addEventListener(kind, () => {
        if (part.pointer !== null && part.latched !== null) part.set(part.pointer);
        part.pointer = null;
      });
    }
    slider.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 0.05, ArrowUp: -0.05, PageDown: 0.25, PageUp: -0.25, Home: -1, End: 1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = Math.min(1, Math.max(0, Math.round(((part.latched ?? part.value) + step) * 100) / 100));
      part.set(next || null);
    });
    hold.addEventListener("click", () => part.set(part.latched === null ? Math.max(part.value, name === "accelerator" ? 0.25 : 1) : null));
    part.label();
    part.draw();
    return part;
  }

  #move(seconds) {
    for (const [name, part] of Object.entries(this.parts)) {
      let target = part.latched ?? 0;
      let [down, up] = SPEEDS[name];
      if (part.pointer !== null) { target = part.pointer; down = up = FOLLOWS; }
      else if (part.held) target = 1;
      else if (this.still) target = part.value;
      if (target === part.value) continue;
      const most = (target > part.value ? down : up) * seconds;
      part.value += Math.max(-most, Math.min(most, target - part.value));
      part.draw();
      this.changed(name);
    }
  }
}
