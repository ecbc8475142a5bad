// Colours of data: orange for -1 through near-ground for 0 to blue for +1 (told apart by all kinds of colour vision),
// eight colours of Okabe and Ito (2008) and two more for classes, and scales of weights, gradients and updates.

import { dark, token } from "../ui.js";

const THEMES = {
  light: { low: [217, 115, 13], zero: [244, 243, 239], high: [0, 103, 163], none: [178, 176, 170] },
  dark: { low: [236, 138, 44], zero: [38, 43, 50], high: [70, 163, 224], none: [96, 100, 107] },
};

const CLASSES = [
  [0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233],
  [213, 94, 0], [200, 190, 50], [110, 110, 110], [120, 94, 190], [150, 75, 40],
];

let theme = "light";
let tables = null;
const inks = new Map();
const strokes = [];

const pack = ([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r; // little endian, as ImageData wants it
const mix = (from, to, share) => from.map((c, i) => Math.round(c + (to[i] - c) * share));
const css = ([r, g, b], alpha = 1) => (alpha === 1 ? `rgb(${r},${g},${b})` : `rgba(${r},${g},${b},${alpha})`);

/** The colour of a value in [-1, 1] as three numbers; grey where it is no number. */
function diverging(value) {
  const { low, zero, high, none } = THEMES[theme];
  if (!Number.isFinite(value)) return none;
  const v = Math.max(-1, Math.min(1, value));
  return v < 0 ? mix(zero, low, -v) : mix(zero, high, v);
}

/** Follow the page's theme; everything drawn later has its colours. */
export function useTheme() {
  theme = dark() ? "dark" : "light";
  tables = null;
  strokes.length = 0;
  inks.clear();
}

/** A colour (or font) of the style sheet: ink("--muted"). Asked once per theme, for drawings ask many times a second. */
export function ink(name) {
  if (!inks.has(name)) inks.set(name, token(name));
  return inks.get(name);
}

/** How much larger than usual letters are on this screen. */
export function rem() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
}

/** Lookup tables from a byte of a heat map (0 no number, 1..255 for -1..1) to a pixel. */
export function lookup(discretise) {
  if (!tables) {
    const smooth = new Uint32Array(256);
    const hard = new Uint32Array(256);
    smooth[0] = hard[0] = pack(diverging(NaN));
    for (let byte = 1; byte < 256; byte++) {
      const value = (byte - 128) / 127;
      smooth[byte] = pack(diverging(value * 0.74));
      hard[byte] = pack(diverging(value >= 0 ? 0.74 : -0.74));
    }
    tables = { smooth, hard };
  }
  return discretise ? tables.hard : tables.smooth;
}

/** A pixel of class `index` with a confidence in [0, 1]; 255 stands for no number. */
export function classPixel(index, confidence) {
  if (index === 255) return pack(THEMES[theme].none);
  return pack(mix(THEMES[theme].zero, CLASSES[index % CLASSES.length], 0.1 + 0.62 * confidence));
}

/** CSS colour of a value in [-1, 1]. */
export const valueColour = (value, alpha) => css(diverging(value), alpha);

/** CSS colour of a class. */
export const classColour = (index, alpha) => css(CLASSES[index % CLASSES.length], alpha);

/** CSS colour of a line that stands for `value` with intensity in [0, 1]: never as pale as the ground. */
export function strokeColour(sign, intensity) {
  const { low, high, none } = THEMES[theme];
  if (!Number.isFinite(sign)) return css(none);
  const level = Math.round(48 * Math.max(0, Math.min(1, intensity))); // thousands of lines share a few colours
  const place = sign < 0 ? level : 49 + level;
  strokes[place] ??= css(sign < 0 ? low : high, 0.18 + 0.77 * (level / 48));
  return strokes[place];
}

const WARN = { light: [180, 35, 53], dark: [255, 138, 147] };
const CALM = { light: [0, 105, 77], dark: [76, 199, 160] };

/** CSS colour of a size of update/weight: grey below 1e-5, green about 1e-3, red above 1e-1. */
export function ratioColour(ratio) {
  if (!Number.isFinite(ratio)) return css(THEMES[theme].none);
  const size = Math.log10(Math.abs(ratio) + 1e-30);
  if (size < -3) return css(mix(THEMES[theme].none, CALM[theme], Math.max(0, Math.min(1, (size + 6) / 3))), 0.85);
  return css(mix(CALM[theme], WARN[theme], Math.max(0, Math.min(1, (size + 2.5) / 1.7))), 0.9);
}
