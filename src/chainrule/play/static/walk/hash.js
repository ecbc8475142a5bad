// The address holds the whole walk: #e=…&v.w=0.5&v.x=2&wrt=w&lr=0.1&step=3.

/** {expression, at, wrt, rate, step} of an address, or null where it holds none. Nothing in it is trusted. */
export function read(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const expression = given.get("e");
  if (!expression) return null;
  const at = {};
  for (const [key, text] of given) {
    if (!key.startsWith("v.")) continue;
    try {
      const value = JSON.parse(text);
      if (typeof value === "number" || Array.isArray(value)) at[key.slice(2)] = value;
    } catch { /* a value that can't be read gets the engine's own */ }
  }
  const rate = Number(given.get("lr") ?? 0.1);
  const step = Number.parseInt(given.get("step") ?? "0", 10);
  return {
    expression: expression.slice(0, 4000),
    at,
    wrt: given.get("wrt")?.split(",").filter(Boolean) ?? null,
    rate: Number.isFinite(rate) ? rate : 0.1,
    step: Number.isFinite(step) && step > 0 ? step : 0,
  };
}

/** The address of a state. */
export function write({ expression, at, wrt, rate, step }) {
  const found = new URLSearchParams({ e: expression });
  for (const [name, value] of Object.entries(at)) found.set(`v.${name}`, JSON.stringify(value));
  if (wrt) found.set("wrt", wrt.join(","));
  found.set("lr", String(rate));
  if (step) found.set("step", String(step));
  return `#${found}`;
}
