// What the browser keeps between visits; a browser that keeps nothing gives null.

export function kept(key) {
  try { return localStorage.getItem(`drivecoach.${key}`); } catch { return null; }
}

export function keep(key, value) {
  try { localStorage.setItem(`drivecoach.${key}`, value); } catch { /* it is asked again next time */ }
}
