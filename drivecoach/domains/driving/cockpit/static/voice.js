// The coach's voice: the browser's own, in Chinese, after the person's first click; it is on or off, and says which.
import { byId } from "/web/dom.js";
import { keep, kept } from "/web/kept.js";
import { onLanguage, t } from "/web/language.js";

/** Browsers may drop what is spoken right after what was cut off. */
const AFTER_CUT = 80;

export class Voice {
  constructor() {
    this.button = byId("speech");
    this.isOn = kept("speech") !== "off";
    this.synthesis = globalThis.speechSynthesis;
    this.synthesis?.addEventListener?.("voiceschanged", () => this.#draw());
    this.button.addEventListener("click", () => this.flip());
    addEventListener("keydown", (event) => {
      const isTyping = event.target.closest?.("input, select, textarea");
      if (event.code === "KeyV" && !event.repeat && !event.ctrlKey && !event.metaKey && !event.altKey && !isTyping) this.flip();
    });
    onLanguage(() => this.#draw());
    this.#draw();
  }

  flip() {
    if (!this.#voice) return;
    this.isOn = !this.isOn;
    keep("speech", this.isOn ? "on" : "off");
    if (!this.isOn) this.silence();
    this.#draw();
  }

  say(text, interrupts) {
    const voice = this.#voice;
    if (!this.isOn || !voice) return;
    const said = new SpeechSynthesisUtterance(text);
    said.lang = "zh-CN";
    said.voice = voice;
    said.rate = 1.1;
    if (interrupts || this.waits || this.synthesis.speaking) {
      this.silence();
      this.waits = setTimeout(() => { this.waits = 0; this.synthesis.speak(said); }, AFTER_CUT);
    } else this.synthesis.speak(said);
  }

  /** Nothing is said any more, neither what is being said nor what is about to be. */
  silence() {
    clearTimeout(this.waits);
    this.waits = 0;
    this.synthesis?.cancel();
  }

  get #voice() {
    const voices = this.synthesis?.getVoices() ?? [];
    return voices.find((one) => /^(zh|cmn)[-_]?(cn|hans)?/i.test(one.lang) && one.localService) ?? voices.find((one) => /^(zh|cmn)/i.test(one.lang) && one.localService);
  }

  #draw() {
    const can = Boolean(this.#voice);
    const isOn = this.isOn && can;
    this.button.disabled = !can;
    this.button.setAttribute("aria-pressed", String(isOn));
    byId("speech-text").textContent = t(isOn ? "speech-on" : can ? "speech-off" : "speech-no");
    this.button.title = can ? t("speech") : t("speech-none");
  }
}
