// Windows and steps of values that are dragged: a window only changes when its value leaves it.

/** Half the width of the window around 0 that holds a value with room: 2, 4, 8, 16, … as the engine's curves have it. */
export function windowOf(value, least = 2) {
  let wide = least;
  while (Number.isFinite(value) && Math.abs(value) > 0.75 * wide && wide < 1e300) wide *= 2;
  return wide;
}

/** The step a value is dragged in: a power of ten, about a four-hundredth of the window. */
export const stepOf = (wide) => 10 ** Math.floor(Math.log10(wide / 150));

/** A multiple of `step`, without the dust of binary fractions. */
export function nice(value, step) {
  const digits = Math.max(0, Math.min(12, Math.ceil(-Math.log10(step))));
  return Number((Math.round(value / step) * step).toFixed(digits)) + 0;
}

/** Round numbers from low to high, about `wanted` of them: the ticks of an axis. */
export function ticks(low, high, wanted = 5) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [low];
  const power = 10 ** Math.floor(Math.log10(span / wanted));
  const step = [1, 2, 5, 10].map((m) => m * power).find((one) => span / one <= wanted) ?? 10 * power;
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * span; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}
