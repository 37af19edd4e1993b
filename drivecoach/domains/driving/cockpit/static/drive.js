// A drive on the server: what hands and feet do goes there, what instruments, sensors and coach say comes back.
import { listen, send } from "/web/net.js";

/** Milliseconds between two messages at least; and after which one is sent though nothing has changed. */
const APART = 50;
const HEARTBEAT = 2000;

export class Drive {
  /** `on`: shown, state, event, lost(is), ended(event or null), refused(error). */
  constructor(name, on) {
    this.name = name;
    this.on = on;
    this.isOver = false;
    this.last = 0;
    const heard = {};
    this.number = 0;
    for (const kind of ["say", "silent", "trouble", "end"]) {
      heard[kind] = (event) => {
        if (event.number <= this.number) return;
        this.number = event.number;
        on.event(event);
        if (kind === "end") this.#over(event);
      };
    }
    this.close = listen(`${this.address}/events`, { shown: on.shown, state: on.state, ...heard }, (is, isFinal) => {
      if (this.isOver) return;
      on.lost(!is);
      if (isFinal) this.#over(null);
    });
    this.beat = setInterval(() => { if (this.hands && performance.now() - this.last > HEARTBEAT) this.#send(); }, 500);
  }

  static async begin(choice, voice, on) {
    const { drive } = await send("POST", "/cockpit/drives", choice);
    await send("POST", `/live/${drive}`, { voice });
    return new Drive(drive, on);
  }

  get address() { return `/cockpit/drives/${this.name}`; }

  /** What hands and feet do now: the newest is sent, one message at a time; a turned key is never lost. */
  steer(hands) {
    this.key = hands.ignition || this.key;
    this.hands = hands;
    this.isNew = true;
    this.#soon();
  }

  async voice(voice) { if (!this.isOver) await send("POST", `/live/${this.name}`, { voice }); }

  /** The person leaves. */
  leave() {
    if (this.isOver) return;
    this.#stop();
    send("DELETE", this.address, undefined, { more: { keepalive: true } }).catch(() => {});
  }

  #soon() {
    if (this.isOver || this.waits || this.isSending) return;
    this.waits = setTimeout(() => { this.waits = 0; this.#send(); }, Math.max(0, this.last + APART - performance.now()));
  }

  async #send() {
    if (this.isOver || this.isSending) return;
    this.isSending = true;
    this.isNew = false;
    this.last = performance.now();
    const hands = { ...this.hands, ignition: this.key ?? "" };
    this.key = "";
    try {
      await send("POST", this.address, hands);
    } catch (error) {
      if (error.status === 404) this.#over(null);
      else if (error.status) this.on.refused(error);
      else this.on.lost(true);
    } finally {
      this.isSending = false;
      if (this.isNew) this.#soon();
    }
  }

  #over(event) {
    if (this.isOver) return;
    this.#stop();
    this.on.ended(event);
  }

  #stop() {
    this.isOver = true;
    clearInterval(this.beat);
    clearTimeout(this.waits);
    this.close();
  }
}
