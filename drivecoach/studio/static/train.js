export const texts = { zh: {}, en: {} };
export async function open(view, context) { return () => {}; }
