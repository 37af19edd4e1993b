// The coach: what to do now, why, how long it took, and the time line of what was said and what was not.
import { byId, el, gradeOf, shape } from "/web/dom.js";
import { language, onLanguage, t } from "/web/language.js";
import { clock, reasonOf, word } from "./words.js";

const LONGEST = 400;
/** Seconds after which a sentence that waited on the way is not said any more. */
const STALE = 1.5;

export class Coach {
  constructor(known, voice) {
    this.known = known;
    this.voice = voice;
    onLanguage(() => this.#again());
    this.clear();
  }

  /** Nothing was said yet. */
  clear() {
    this.voice.silence();
    this.events = [];
    this.shown = null;
    byId("log").replaceChildren();
    byId("log-empty").hidden = false;
    this.#card(null);
  }

  /** One event of the live session; `age` says how long ago it happened. Replays that jump give `isQuiet`. */
  hear(event, isQuiet = false) {
    this.events.push(event);
    byId("log-empty").hidden = true;
    byId("log").prepend(this.#row(event));
    if (this.events.length > LONGEST) { this.events.shift(); byId("log").lastChild.remove(); }
    if (event.speech || event.kind === "silent") { this.shown = event; if (!isQuiet) this.#card(event); }
    if (event.kind === "say" && !isQuiet) {
      byId("announced").textContent = `${event.level} ${event.speech}`;
      if ((event.age ?? 0) < STALE) this.voice.say(event.speech, event.interrupts);
    }
  }

  /** Shows what the last event said, after events that were heard quietly. */
  settle() { this.#card(this.shown); }

  #again() {
    byId("log").replaceChildren(...this.events.map((event) => this.#row(event)).reverse());
    this.#card(this.shown);
  }

  #grade(event) { return gradeOf(event.level, this.known.levels); }

  #card(event) {
    const card = byId("coach");
    const has = Boolean(event?.speech);
    const grade = has ? this.#grade(event) : "none";
    card.dataset.grade = grade;
    card.dataset.kind = event?.kind ?? "";
    byId("coach-shape").replaceChildren(...(has ? [shape(grade)] : []));
    byId("coach-level").textContent = has ? word(event.level) : t("coach");
    byId("coach-state").textContent = !event ? "" : event.kind === "say" ? t("said") : reasonOf(event.reason);
    const speech = byId("coach-speech");
    const text = has ? event.speech : event ? reasonOf(event.reason) : t("coach-waits");
    if (speech.textContent !== text) speech.textContent = text;
    speech.lang = has ? "zh" : language();
    byId("coach-more").textContent = event ? "" : t("coach-waits-said");
    const actions = event?.answer?.["动作"] ?? [];
    byId("actions").replaceChildren(...actions.map((action) => el("li", {}, el("span", { lang: "zh" }, action), language() === "en" ? el("small", {}, word(action)) : null)));
    this.#why(event);
  }

  #why(event) {
    const why = event?.why;
    if (!why) { byId("why").replaceChildren(el("p", { class: "quiet small" }, t("why-none"))); return; }
    const isReplaced = (event.detail ?? "").startsWith("replaced");
    const guard = this.known.guard === "off" ? "guard-off" : isReplaced ? "guard-replaced" : event.status === "valid" ? "guard-passed" : "guard-broken";
    const fact = (name, ...value) => el("div", {}, el("dt", {}, t(name)), el("dd", {}, ...value));
    byId("why").replaceChildren(
      el("p", { class: "why-reason", lang: "zh" }, el("span", { class: "rule code", title: t("rule") }, why.rule), why.reason),
      el("h3", { class: "label" }, t("read")),
      el("ul", { class: "read" }, ...Object.entries(why.read).map(([name, value]) => el("li", {}, el("span", { class: "quiet" }, word(name)), el("b", {}, word(value))))),
      el("dl", { class: "facts" },
        fact("took", el("b", { class: "number" }, event.milliseconds ? event.milliseconds.toFixed(1) : "< 0.1"), " ms"),
        fact("said-by", t(event.source === "rules" ? "source-rules" : "source-model")),
        fact("guard-did", el("span", { class: isReplaced || guard === "guard-broken" ? "middle" : "" }, t(guard)))),
      event.detail ? el("p", { class: "small quiet" }, event.detail) : "",
    );
  }

  #row(event) {
    const isSaid = event.kind === "say";
    const grade = event.speech ? this.#grade(event) : "none";
    const about = event.kind === "trouble" ? [reasonOf(event.reason), event.detail].filter(Boolean).join(": ") : reasonOf(event.reason ?? "");
    const notes = [isSaid ? (event.interrupts ? t("interrupts") : "") : about, event.skipped ? t("skipped", { count: event.skipped }) : ""].filter(Boolean).join(" · ");
    return el("li", { class: `event ${event.kind}`, "data-kind": event.kind, "data-level": event.level, "data-rule": event.why?.rule, "data-reason": event.reason, "data-time": event.time },
      el("time", { class: "number" }, clock(event.time)),
      el("span", { class: "event-kind" }, event.speech ? shape(grade) : null, t(isSaid ? "said" : event.kind)),
      el("span", { class: "event-words" }, event.speech ? el("span", { class: "event-speech", lang: "zh" }, event.speech) : null, notes ? el("span", { class: "event-notes" }, notes) : null));
  }
}
