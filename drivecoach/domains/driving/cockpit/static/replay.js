// The player of recorded drives: the server says all that its coach tells of one, and this plays it at any speed.
import { byId, el, gradeOf } from "/web/dom.js";
import { onLanguage, t } from "/web/language.js";
import { send } from "/web/net.js";
import { clock, featuresOf } from "./words.js";

const RATES = [0.5, 1, 2, 4, 8];
const MOST = 1 << 20;

export class Player {
  /** `on.state(features)`, `on.event(event, isQuiet)`, `on.clear()`, `on.settle()`, `on.trouble(error)`, `on.voice()` in which it is said. */
  constructor(known, on) {
    this.known = known;
    this.on = on;
    this.events = [];
    this.now = this.end = this.next = 0;
    this.isPlaying = false;
    byId("recorded").addEventListener("change", () => this.#choose());
    byId("file").addEventListener("change", () => this.#open());
    byId("play").addEventListener("click", () => this.flip());
    byId("place").addEventListener("input", () => this.jump(Number(byId("place").value)));
    onLanguage(() => this.#texts());
    this.own = null;
    this.#texts();
    byId("rate").value = "1";
  }

  /** Goes to a place in a drive, `text` a state a line. */
  async load(text, name, at = 0) {
    this.leave();
    const voice = this.on.voice();
    Object.assign(this, { text, name, summary: null, voice: null });
    byId("player-said").textContent = t("loading");
    byId("play").disabled = byId("place").disabled = true;
    const asked = this.asked = {};
    try {
      const found = await send("POST", `/cockpit/replay?voice=${voice}`, text);
      if (this.asked !== asked) return;
      this.voice = voice;
      this.#take(found, at);
    } catch (error) {
      if (this.asked === asked) { byId("player-said").textContent = [error.message, error.hint].filter(Boolean).join(" · "); this.on.trouble(error); }
    }
  }

  /** Goes to a place in the last drive, as it is said in the voice that is chosen now. */
  enter(at = 0) {
    if (this.text === undefined) return;
    if (this.voice === this.on.voice()) this.jump(at);
    else this.load(this.text, this.name, at);
  }

  /** Nothing plays, and what is still being loaded is not shown. */
  leave() {
    this.asked = null;
    this.stop();
  }

  flip() {
    if (byId("play").disabled) return;
    if (this.isPlaying) return this.stop();
    if (this.now >= this.end) this.jump(0);
    this.isPlaying = true;
    this.before = performance.now();
    this.#draw();
    this.timer = setInterval(() => {
      const now = performance.now();
      this.#advance(this.now + (now - this.before) / 1000 * Number(byId("rate").value), false);
      this.before = now;
      if (this.now >= this.end) this.stop();
    }, 50);
  }

  stop() {
    clearInterval(this.timer);
    this.isPlaying = false;
    this.#draw();
  }

  /** Shows the drive as it was at a time: everything up to there, without a sound. */
  jump(seconds) {
    this.on.clear();
    this.next = 0;
    this.now = 0;
    this.#advance(seconds, true);
    this.on.settle();
  }

  #take(found, at) {
    this.events = found.events;
    this.end = Math.max(0, ...found.events.map((event) => event.time));
    const count = (kind) => found.events.filter(kind).length;
    this.summary = { states: found.states, said: count((event) => event.kind === "say"), broken: count((event) => event.kind === "trouble" && event.reason === "no state could be read") };
    const can = found.events.some((event) => event.state);
    byId("play").disabled = byId("place").disabled = !can;
    byId("place").max = this.end;
    byId("marks").replaceChildren(...found.events.filter((event) => event.kind === "say").map((event) => {
      const mark = el("i", { class: gradeOf(event.level, this.known.levels) });
      mark.style.left = `${event.time / (this.end || 1) * 100}%`;
      return mark;
    }));
    this.#texts();
    this.jump(at);
    if (!can) byId("player-said").textContent = t("no-states");
  }

  #advance(to, isQuiet) {
    this.now = Math.min(to, this.end);
    let features = null;
    while (this.next < this.events.length && this.events[this.next].time <= this.now) {
      const event = this.events[this.next++];
      if (event.state) features = event.state;
      this.on.event(event, isQuiet);
    }
    if (features) this.on.state(featuresOf(features));
    this.#draw();
  }

  #draw() {
    byId("place").value = this.now;
    byId("clock").value = `${clock(this.now)} / ${clock(this.end)}`;
    byId("place").setAttribute("aria-valuetext", clock(this.now));
    byId("play-shape").setAttribute("d", this.isPlaying ? "M6 4h4.5v16H6zM13.5 4H18v16h-4.5z" : "M6 4v16l14-8z");
    byId("play-text").textContent = t(this.isPlaying ? "pause" : "play");
  }

  #texts() {
    const chosen = byId("recorded").value;
    byId("recorded").replaceChildren(
      el("option", { value: "" }, "…"),
      this.own ? el("option", { value: "own" }, t("my-drive")) : "",
      el("optgroup", { label: t("recorded") }, ...this.known.recorded.map((name) => el("option", { value: name }, t(`drive:${name}`)))),
    );
    byId("recorded").value = chosen;
    const rate = byId("rate").value;
    byId("rate").replaceChildren(...RATES.map((one) => el("option", { value: one }, t("rates", { rate: one }))));
    byId("rate").value = rate;
    if (this.summary) byId("player-said").textContent = (this.name ? `${t("own-file-name", { name: this.name })} · ` : "") + t("replayed", this.summary);
    this.#draw();
  }

  /** One's own drive can be chosen from now on. */
  offer(text) { const isFirst = !this.own; this.own = text; if (isFirst) this.#texts(); }

  async #choose() {
    const { value } = byId("recorded");
    if (!value) return;
    try {
      const text = value === "own" ? this.own() : await (await fetch(`/cockpit/recorded/${encodeURIComponent(value)}`)).text();
      await this.load(text, "");
    } catch (error) { this.on.trouble(error); }
  }

  async #open() {
    const [file] = byId("file").files;
    if (!file) return;
    byId("recorded").value = "";
    if (file.size > MOST) byId("player-said").textContent = t("too-large", { most: MOST >> 20 });
    else await this.load(await file.text(), file.name);
    byId("file").value = "";
  }
}
