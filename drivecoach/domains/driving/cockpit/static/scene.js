// The road before the windscreen: it moves as the car does, it is day or night, and a sign says which item comes next.
import { byId } from "/web/dom.js";
import { onLanguage, t } from "/web/language.js";
import { word } from "./words.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const NEAR = 3.2;
const LOOKS = {
  day: { sky: ["#7db4dd", "#dcecf5"], ground: "#8aa673", far: "#6f8f6a", road: "#63686c", yard: "#9a9c98", line: "#f7f7f2", post: "#eef0ee", sign: "#14589c" },
  night: { sky: ["#070d18", "#1a2638"], ground: "#121a16", far: "#0c1311", road: "#202427", yard: "#2a2d2f", line: "#8f9188", post: "#565d60", sign: "#123e6b" },
};

export class Scene {
  constructor() {
    this.canvas = byId("scene");
    this.pen = this.canvas.getContext("2d");
    this.shown = { kmh: 0, back: false, site: "科目三", item: "", next: null, left: null, slope: 0, night: false };
    this.lights = false;
    this.place = 0;
    this.before = 0;
    new ResizeObserver(() => this.#fit()).observe(this.canvas);
    onLanguage(() => this.show(this.shown, this.lights));
    this.#fit();
  }

  /** What is so now; the road goes on by itself from here. */
  show(shown, lights) {
    const isOther = JSON.stringify([shown.item, shown.site, shown.night, shown.next, shown.left, shown.slope]) !== JSON.stringify([this.shown.item, this.shown.site, this.shown.night, this.shown.next, this.shown.left, this.shown.slope]) || lights !== this.lights;
    this.shown = shown;
    this.lights = lights;
    this.canvas.closest(".car").dataset.light = shown.night ? "night" : "day";
    const item = shown.item ? word(shown.item) : "";
    byId("hud-item").textContent = item;
    byId("hud-next").textContent = [shown.next && shown.left ? t("to-next", { left: shown.left, next: word(shown.next) }) : "", shown.slope ? t("uphill") : "", shown.back && shown.kmh >= 0.5 ? t("back") : ""].filter(Boolean).join(" · ");
    if (item) this.canvas.setAttribute("aria-label", t("scene-said", { site: word(shown.site), item, light: t(shown.night ? "at-night" : "day") }));
    if (this.moving) return;
    if (shown.kmh > 0 && !calm.matches) {
      this.moving = true;
      this.before = performance.now();
      requestAnimationFrame((now) => this.#go(now));
    } else if (isOther) this.#draw();
  }

  #go(now) {
    const seconds = Math.min(0.1, (now - this.before) / 1000);
    this.before = now;
    this.place += this.shown.kmh / 3.6 * seconds * (this.shown.back ? -1 : 1);
    this.#draw();
    this.moving = this.shown.kmh > 0 && !calm.matches;
    if (this.moving) requestAnimationFrame((next) => this.#go(next));
  }

  #fit() {
    const scale = Math.min(2, devicePixelRatio || 1);
    const box = this.canvas.getBoundingClientRect();
    this.canvas.width = Math.max(1, Math.round(box.width * scale));
    this.canvas.height = Math.max(1, Math.round(box.height * scale));
    this.#draw();
  }

  /** Where on the screen a place stands: `x` metres to the right, `z` metres ahead; and how large a metre is there. */
  #at(x, z) {
    const { width, height } = this.canvas;
    const share = NEAR / (NEAR + z);
    const scale = share * height * 0.155;
    return [width / 2 + x * scale, this.horizon + (height * 1.04 - this.horizon) * share, scale];
  }

  #shape(colour, ...places) {
    this.pen.fillStyle = colour;
    this.pen.beginPath();
    for (const [x, z] of places) { const [a, b] = this.#at(x, z); this.pen.lineTo(a, b); }
    this.pen.fill();
  }

  #draw() {
    const { pen, canvas, canvas: { width, height }, shown } = this;
    const look = LOOKS[shown.night ? "night" : "day"];
    this.horizon = height * (shown.slope ? 0.3 : 0.42);
    const sky = pen.createLinearGradient(0, 0, 0, this.horizon);
    sky.addColorStop(0, look.sky[0]);
    sky.addColorStop(1, look.sky[1]);
    pen.fillStyle = sky;
    pen.fillRect(0, 0, width, this.horizon + 1);
    if (shown.night) this.#stars();
    pen.fillStyle = look.ground;
    pen.fillRect(0, this.horizon, width, height);
    this.#hills(look);
    const isYard = shown.site === "科目二";
    const [left, right] = isYard ? [-3.4, 3.4] : [-5.6, 2.2];
    this.#shape(isYard ? look.yard : look.road, [left, 0], [left, 400], [right, 400], [right, 0]);
    const edge = isYard ? "#d9b84a" : look.line;
    for (const x of [left + 0.25, right - 0.25]) this.#shape(edge, [x - 0.07, 0], [x - 0.07, 200], [x + 0.07, 200], [x + 0.07, 0]);
    const gap = isYard ? 4 : 9;
    const first = ((-this.place % gap) + gap) % gap;
    if (!isYard) for (let z = first - gap; z < 160; z += gap) this.#shape(look.line, [-1.77, Math.max(0, z)], [-1.77, Math.max(0, z + 4)], [-1.63, Math.max(0, z + 4)], [-1.63, Math.max(0, z)]);
    if (shown.item === "通过人行横道线") for (let x = left + 0.7; x < right - 0.5; x += 1.1) this.#shape(look.line, [x, 14], [x, 18], [x + 0.55, 18], [x + 0.55, 14]);
    for (let z = 160 + ((-this.place % 20) + 20) % 20; z > 0; z -= 20) for (const x of [left - 1, right + 1]) this.#post(x, z, look);
    if (shown.next && shown.left && canvas.clientWidth > 480) this.#sign(right + 1.5, Math.max(4, shown.left), word(shown.next), look);
    if (shown.night) this.#dark();
    this.#bonnet();
  }

  #hills(look) {
    const { pen, canvas: { width, height } } = this;
    pen.fillStyle = look.far;
    pen.beginPath();
    pen.moveTo(0, this.horizon + 1);
    for (let x = 0; x <= width; x += width / 40) pen.lineTo(x, this.horizon - height * (0.035 + 0.03 * Math.sin(x / width * 9) + 0.018 * Math.sin(x / width * 23 + 2)));
    pen.lineTo(width, this.horizon + 1);
    pen.fill();
  }

  #stars() {
    const { pen, canvas: { width } } = this;
    pen.fillStyle = "#cfd9e6";
    for (let n = 1; n < 40; n++) pen.fillRect((n * 7919 % 1000) / 1000 * width, (n * 104729 % 1000) / 1000 * this.horizon * 0.85, n % 3 ? 1.5 : 2.5, n % 3 ? 1.5 : 2.5);
  }

  #post(x, z, look) {
    const [a, b, scale] = this.#at(x, z);
    this.pen.fillStyle = look.post;
    this.pen.fillRect(a - scale * 0.06, b - scale * 0.9, scale * 0.12, scale * 0.9);
    this.pen.fillStyle = "#c8482f";
    this.pen.fillRect(a - scale * 0.06, b - scale * 0.78, scale * 0.12, scale * 0.18);
  }

  #sign(x, z, text, look) {
    const { pen } = this;
    const [a, b, scale] = this.#at(x, z);
    const size = Math.max(scale * 0.72, 9 * Math.min(2, devicePixelRatio || 1));
    pen.font = `600 ${size}px system-ui, "Noto Sans CJK SC", sans-serif`;
    const wide = pen.measureText(text).width + size;
    pen.fillStyle = "#8b9297";
    pen.fillRect(a - size * 0.06, b - size * 1.4, size * 0.12, size * 1.4);
    pen.fillStyle = look.sign;
    pen.strokeStyle = "#f4f6f7";
    pen.lineWidth = Math.max(1, size * 0.07);
    pen.beginPath();
    pen.roundRect(a - wide / 2, b - size * 2.8, wide, size * 1.7, size * 0.2);
    pen.fill();
    pen.stroke();
    pen.fillStyle = "#ffffff";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(text, a, b - size * 1.93);
  }

  #dark() {
    const { pen, canvas: { width, height } } = this;
    const reach = this.lights ? 1 : 0.35;
    const beam = pen.createRadialGradient(width / 2, height * 1.05, height * 0.05, width / 2, height * 1.02, height * 0.68 * reach);
    beam.addColorStop(0, this.lights ? "rgb(255 236 190 / 26%)" : "rgb(150 170 200 / 8%)");
    beam.addColorStop(1, "rgb(3 6 12 / 62%)");
    pen.fillStyle = beam;
    pen.fillRect(0, this.horizon, width, height);
  }

  #bonnet() {
    const { pen, canvas: { width, height } } = this;
    const shine = pen.createLinearGradient(0, height * 0.84, 0, height);
    shine.addColorStop(0, "#39444b");
    shine.addColorStop(1, "#14191d");
    pen.fillStyle = shine;
    pen.beginPath();
    pen.moveTo(0, height);
    pen.lineTo(0, height * 0.97);
    pen.bezierCurveTo(width * 0.16, height * 0.86, width * 0.34, height * 0.845, width * 0.5, height * 0.845);
    pen.bezierCurveTo(width * 0.66, height * 0.845, width * 0.84, height * 0.86, width, height * 0.97);
    pen.lineTo(width, height);
    pen.fill();
  }
}
