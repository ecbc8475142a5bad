// Numbers as people read them, one way in all rooms.

const MINUS = "\u2212";

/** A number in about `digits` significant digits: 0.25, −1.5, 1.2e−7, NaN, ∞. */
export function number(value, digits = 4) {
  if (value === "nan" || Number.isNaN(value)) return "NaN";
  if (value === "inf" || value === Infinity) return "∞";
  if (value === "-inf" || value === -Infinity) return MINUS + "∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e-3 && size < 1e6 ? String(Number(value.toPrecision(digits))) : value.toExponential(Math.max(digits - 2, 0));
  return text.replace("e+", "e").replaceAll("-", MINUS);
}

/** Exactly `places` digits after the point, so that a running figure keeps its width. */
export function fixed(value, places = 3) {
  return Number.isFinite(value) ? value.toFixed(places).replace("-", MINUS) : number(value);
}

/** A loss: three places, and fewer digits where these would show zero or a long row; "–" where it is not known. */
export function lossText(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size >= 1e4 || (size > 0 && size < 0.001) ? number(value, size < 1 ? 2 : 4) : fixed(value, 3);
}

/** 12345 → "12,345". */
export function count(value) {
  return Math.round(value).toLocaleString("en-US");
}

/** 0.9815 → "98.2 %". */
export function percent(value, places = 1) {
  return Number.isFinite(value) ? `${(100 * value).toFixed(places)} %` : "–";
}

/** A number that was chosen, without zeros at its end: 0.03, 0.00001, 1e−7. */
export function plain(value) {
  return String(Number(value.toPrecision(6))).replaceAll("-", MINUS);
}

/** What a person typed, as a number: "−0.5", "1e-3", "3/4"; null when it is none, or too large for one. */
export function typed(text) {
  const plain = text.trim().replaceAll(MINUS, "-").replace(",", ".");
  const fraction = /^([+-]?\d+(?:\.\d+)?)\s*\/\s*(\d+(?:\.\d+)?)$/.exec(plain);
  const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain);
  const value = fraction ? Number(fraction[1]) / Number(fraction[2]) : decimal ? Number(plain) : NaN;
  return Number.isFinite(value) ? value : null;
}
