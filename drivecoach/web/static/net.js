// Asking our own server, and listening to it.

/** What a server refused: its words as `message`, its way out as `hint`, the faults one by one. */
export class Refused extends Error {
  constructor(status, body) {
    super(body.error || `HTTP ${status}`);
    this.status = status;
    this.hint = body.hint || "";
    this.faults = body.faults || [];
  }
}

/**
 * The JSON that the server answers; `body` is sent as JSON, a string or Blob as it is.
 * Throws Refused for what it refuses, TypeError where it cannot be reached.
 */
export async function send(method, url, body = undefined, settings = {}) {
  const isRaw = typeof body === "string" || body instanceof Blob;
  const headers = body === undefined || isRaw ? {} : { "content-type": "application/json" };
  const sent = body === undefined || isRaw ? body : JSON.stringify(body);
  const answer = await fetch(url, { method, headers: { ...headers, ...settings.headers }, body: sent, ...settings.more });
  const text = await answer.text();
  let found = {};
  try { found = text ? JSON.parse(text) : {}; } catch { found = { error: text.slice(0, 300) }; }
  if (!answer.ok) throw new Refused(answer.status, found);
  return found;
}

/**
 * Server-sent events: `handlers` maps an event's name to what is done with its JSON. The browser connects anew by itself
 * and says which event it had last; `connected(true or false)` is told. Returns a function that ends it.
 */
export function listen(url, handlers, connected = () => {}) {
  const source = new EventSource(url);
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  }
  source.addEventListener("open", () => connected(true));
  source.addEventListener("error", () => connected(false, source.readyState === EventSource.CLOSED));
  return () => source.close();
}

/** Offers a text as a file to keep. */
export function download(name, text, type = "application/x-ndjson") {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
