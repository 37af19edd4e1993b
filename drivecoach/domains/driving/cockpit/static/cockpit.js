// The cockpit: puts its parts together, begins and ends drives, changes between driving and replaying.
import { byId, data, el } from "/web/dom.js";
import { keep, kept } from "/web/kept.js";
import { onLanguage, t, useTexts } from "/web/language.js";
import { download } from "/web/net.js";
import "/web/theme.js";
import { Coach } from "./coach.js";
import { Controls } from "./controls.js";
import { Drive } from "./drive.js";
import { Instruments } from "./instruments.js";
import { Player } from "./replay.js";
import { Scene } from "./scene.js";
import { TEXTS } from "./texts.js";
import { Voice } from "./voice.js";
import { word } from "./words.js";

/** A phone: the coach, the dashboard and the pedals fill its screen. */
const isNarrow = matchMedia("(max-width: 40rem)");
const known = data();
useTexts(TEXTS);
const scene = new Scene();
const coach = new Coach(known, new Voice());
const controls = new Controls(known, (hands) => { drive?.steer(hands); dashboard(); });
const instruments = new Instruments();
let drive = null;
/** What the car showed last; its lamps follow the hands at once. */
let shown = null;
/** One's own drive so far, a state a line, as in datasets/drives. */
let notes = [];

function notice(text) { byId("notice").textContent = text; byId("notice").hidden = !text; }

// --- choosing ---

function choices() {
  const chosen = byId("what").value || kept("cockpit.what") || "course:起步";
  const course = (one) => el("option", { value: `course:${one.name}` }, word(one.name));
  const item = (site) => (name) => el("option", { value: `item:${site}:${name}` }, word(name));
  byId("what").replaceChildren(
    el("optgroup", { label: t("courses") }, ...known.courses.map(course)),
    ...Object.entries(known.items).map(([site, items]) => el("optgroup", { label: `${word(site)} · ${t("only-items")}` }, ...items.map(item(site)))),
  );
  byId("what").value = chosen;
  if (!byId("what").value) byId("what").value = "course:起步";
  const vehicle = byId("vehicle").value || "手动挡";
  byId("vehicle").replaceChildren(...Object.keys(known.gears).map((name) => el("option", { value: name }, word(name))));
  byId("vehicle").value = vehicle;
  possible();
}

function choice() {
  const [kind, first, item] = byId("what").value.split(":");
  const vehicle = byId("vehicle").value;
  return kind === "course" ? { vehicle, course: first } : { vehicle, site: first, item };
}

function possible() {
  const { course, item, vehicle } = choice();
  const items = item ? [item] : known.courses.find((one) => one.name === course)?.items ?? [];
  const bad = vehicle === "自动挡" ? items.find((one) => known.manual_only.includes(one)) : null;
  byId("begin").disabled = Boolean(bad);
  byId("setup-why").textContent = bad ? t("manual-only", { item: word(bad) }) : "";
}

byId("what").addEventListener("change", possible);
byId("vehicle").addEventListener("change", possible);
byId("voice").addEventListener("change", () => { drive?.voice(byId("voice").value).catch(refused); if (document.body.dataset.mode === "replay") player.enter(player.now); });

// --- driving ---

function refused(error) { notice(error.status === 401 ? t("locked") : error.status ? t("refused", { message: [error.message, ...(error.faults ?? []).map((one) => `${one.where}: ${one.allowed}`)].join(" · ") }) : t("unreachable")); }

function dashboard() {
  if (!shown) return;
  instruments.show(shown, controls.all);
  scene.show(shown, controls.hands.lights);
}

const hears = {
  shown(now) {
    shown = now;
    controls.hear(now);
    dashboard();
  },
  state(note) {
    if (notes.length && note.time <= notes.at(-1).time) return;
    notes.push(note);
    offer();
  },
  event(event) { coach.hear(event); },
  lost(is) { notice(is ? t("lost") : ""); },
  refused,
  ended(event) {
    drive = null;
    controls.end();
    setup(true);
    const why = { "no state came for too long": "ended-idle", "the server stops": "ended-stopped" }[event?.reason] ?? "ended";
    notice(t(why));
  },
};

function setup(is) {
  byId("setup").hidden = !is;
  byId("again").hidden = is;
  byId("car").classList.toggle("parked", is);
}

byId("setup").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("begin").disabled = true;
  byId("begin").textContent = t("beginning");
  keep("cockpit.what", byId("what").value);
  try {
    const chosen = choice();
    notice("");
    drive = await Drive.begin(chosen, byId("voice").value, hears);
    coach.clear();
    notes = [];  // not before: the last drive outlives one that does not begin
    controls.begin(chosen.vehicle);
    setup(false);
    byId("main").focus({ preventScroll: true });
    if (isNarrow.matches) byId("coach").scrollIntoView();
    drive.steer(controls.all);
  } catch (error) {
    refused(error);
  } finally {
    byId("begin").disabled = false;
    byId("begin").textContent = t("begin");
  }
});

function leave() {
  drive?.leave();
  drive = shown = null;
  controls.end();
}

byId("again").addEventListener("click", () => {
  leave();
  setup(true);
  byId("what").focus();
});
/** One's own drive outlives a page that is loaded anew. */
const OWN = "drivecoach.cockpit.drive";
addEventListener("pagehide", () => {
  leave();
  try { sessionStorage.setItem(OWN, ownDrive()); } catch { /* too long, or the browser keeps nothing */ }
});

function offer() {
  for (const button of [byId("export"), byId("replay-own")]) {
    button.disabled = false;
    delete button.dataset.tTitle;
    button.removeAttribute("title");
  }
  player.offer(ownDrive);
}

function ownDrive() { return notes.map((note) => JSON.stringify(note) + "\n").join(""); }
byId("export").addEventListener("click", () => download(`drive-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-")}.jsonl`, ownDrive()));

// --- replaying ---

const player = new Player(known, {
  state(features) {
    controls.show(features);
    instruments.showState(features);
    const rolls = { "静止": 0, "过慢": 4, "适中": 18, "过快": 45 }[features["速度"]];
    scene.show({ kmh: player.isPlaying ? rolls : 0, back: ["倒挡", "R挡"].includes(features["挡位"]), site: features["场地类型"], item: features["当前项目"], next: null, left: null, slope: 0, night: features["时间特征"] === "夜晚" }, features["时间特征"] === "夜晚");
  },
  event(event, isQuiet) { coach.hear(event, isQuiet); },
  clear() { coach.clear(); },
  settle() { coach.settle(); },
  trouble(error) { if (!error.status) notice(t("unreachable")); },
  voice: () => byId("voice").value,
});

const tabs = { drive: byId("tab-drive"), replay: byId("tab-replay") };

function show(mode) {
  if (mode === document.body.dataset.mode) return;
  document.body.dataset.mode = mode;
  for (const [name, tab] of Object.entries(tabs)) { tab.setAttribute("aria-selected", String(name === mode)); tab.tabIndex = name === mode ? 0 : -1; }
  byId("replay").hidden = mode !== "replay";
  leave();
  player.leave();
  coach.clear();
  instruments.idle();
  controls.pedals.reset();
  notice("");
  setup(mode === "drive");
  byId("again").hidden = true;
  if (mode === "replay") player.enter();
}

for (const [name, tab] of Object.entries(tabs)) {
  tab.addEventListener("click", () => show(name));
  tab.addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = name === "drive" ? "replay" : "drive";
    show(other);
    tabs[other].focus();
  });
}
byId("replay-own").addEventListener("click", () => {
  show("replay");
  byId("recorded").value = "own";
  byId("recorded").dispatchEvent(new Event("change"));
});
addEventListener("keydown", (event) => {
  if (event.code === "KeyK" && !event.repeat && !event.ctrlKey && !event.metaKey && document.body.dataset.mode === "replay" && !event.target.closest?.("select")) player.flip();
});

// --- the legend of the keys ---

function legend() {
  const rows = [["A", "key-clutch"], ["S", "key-brake"], ["D", "key-accelerator"], ["W", "key-still"], ["0–6", "key-gears"], ["E", "key-ignition"], ["H", "key-handbrake"], ["B", "key-belt"], ["O", "key-door"], ["L", "key-lights"], ["N", "key-night"], ["V", "key-speech"], ["K", "key-play"]];
  byId("key-list").replaceChildren(...rows.map(([key, text]) => el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, t(text)))));
}
if (matchMedia("(max-width: 62rem)").matches) byId("keys").open = false;

onLanguage(() => { choices(); legend(); });
choices();
legend();
show("drive");
try {
  notes = (sessionStorage.getItem(OWN) ?? "").split("\n").filter(Boolean).map((line) => JSON.parse(line));
  if (notes.length) offer();
} catch { /* the browser keeps nothing */ }
