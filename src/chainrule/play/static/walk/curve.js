// A picture of the chosen step as a function of one value it reads, with the tangent; and of the loss against the
// learning rate. Axes stand still while a value is dragged: their ends are round numbers.

import { number } from "../format.js";
import { h, s } from "../ui.js";
import { ticks } from "./scale.js";
import { real } from "./seen.js";

const WIDE = 360, HIGH = 230;
const EDGE = { left: 46, right: 30, top: 20, bottom: 24 };

export class Curve {
  /** `actions`: change(name, value, done) for a curve over an input, rate(value, done), choose(key). */
  constructor(place, choice, heading, actions) {
    Object.assign(this, { place, choice, heading, actions });
    choice.addEventListener("change", () => actions.choose(choice.value));
    this.svg = s("svg", { class: "plot", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img" });
    this.caption = h("p", { class: "small caption" });
    place.replaceChildren(this.svg, this.caption);
    this.range = null;
    this.#drag();
  }

  /** Draw the curve `key` ("line-argument", or "rate"). */
  draw(walk, key) {
    const options = walk.curves.map((c) => [`${c.line}-${c.argument}`, `${c.of} as ${c.by} moves`]);
    if (!options.some(([one]) => one === key) && key !== "rate") options.unshift([key ?? "", "this step"]);
    if (walk.rates) options.push(["rate", `${walk.loss.symbol} after the step, as α moves`]);
    const listed = JSON.stringify(options);
    if (listed !== this.listed) {
      this.listed = listed;
      this.choice.replaceChildren(...options.map(([value, text]) => h("option", { value }, text)));
    }
    this.choice.hidden = !walk.editable;
    this.choice.value = key ?? "";
    this.walk = walk;
    this.key = key;
    const found = walk.curves.find((c) => `${c.line}-${c.argument}` === key);
    this.svg.classList.toggle("none", !found && !(key === "rate" && walk.rates));
    if (key === "rate" && walk.rates) this.#rates();
    else if (found) this.#local(found);
    else this.#nothing();
  }

  #nothing() {
    this.svg.replaceChildren();
    this.svg.setAttribute("aria-label", "no picture");
    this.heading.textContent = "Local function";
    this.caption.textContent = this.key === null ? "Go on, or click a box: its function is drawn here."
      : this.walk.editable ? "This step is a function of arrays: it has no picture in the plane." : "Without its expression a saved explanation has no curves.";
  }

  #local(curve) {
    const { of, by } = curve;
    const slope = curve.slope === null ? null : real(curve.slope);
    const at = real(curve.at), value = real(curve.value);
    const x = curve.y.map((_, i) => curve.low + ((curve.high - curve.low) * i) / (curve.y.length - 1));
    this.#plot({ x, y: curve.y, low: curve.low, high: curve.high, at, value, slope, xName: by, yName: of, id: this.key });
    this.drags = curve.input && this.walk.editable ? (to, done) => this.actions.change(curve.input, to, done) : null;
    this.svg.classList.toggle("drags", this.drags !== null);
    this.heading.textContent = "Local function";
    const told = [];
    if (slope === null) told.push(`No gradient goes to ${by} here: it is not differentiated by.`);
    else if (!Number.isFinite(slope)) told.push(`The slope of ${of} by ${by} is ${number(slope)} here.`);
    else told.push(`Slope of the tangent: ∂${of}/∂${by} = ${number(slope)} at ${by} = ${number(at)}.`);
    if (curve.kink) told.push(`A kink: the slope is ${number(curve.kink[0])} on its left and ${number(curve.kink[1])} on its right${slope === null ? "" : `; the engine takes ${number(slope)}`}.`);
    if (!Number.isFinite(value)) told.push(`${of} is not a finite number here.`);
    this.#say(told.join(" "));
  }

  #rates() {
    const { rates, learning_rate: rate, loss } = this.walk;
    const x = rates.y.map((_, i) => (rates.high * i) / (rates.y.length - 1));
    const after = this.walk.after === null ? NaN : real(this.walk.after), before = real(loss.value.values);
    this.#plot({ x, y: rates.y, low: 0, high: rates.high, at: rate, value: after, slope: real(rates.slope), from: [0, before], xName: "α", yName: loss.symbol, id: "rate" });
    this.drags = this.walk.editable ? (to, done) => this.actions.rate(Math.max(0, to), done) : null;
    this.svg.classList.toggle("drags", this.drags !== null);
    this.heading.textContent = "Learning rate";
    const told = [`${loss.symbol} after one step, for each learning rate; here α = ${number(rate)} leads from ${number(before)} to ${number(after)}.`];
    if (Number.isFinite(real(rates.slope)) && rates.slope !== 0) told.push("Dashed: what the slope alone promises.");
    this.#say(told.join(" "));
  }

  #say(text) {
    this.caption.textContent = text;
    this.svg.setAttribute("aria-label", text);
  }

  /** Axes, the curve, the tangent through the point (or through `from`), and the point. */
  #plot({ x, y, low, high, at, value, slope, from, xName, yName, id }) {
    const [bottom, top] = this.#range(y, from ? [value, from[1]] : [value], id);
    const px = (v) => EDGE.left + ((v - low) / (high - low)) * (WIDE - EDGE.left - EDGE.right);
    const py = (v) => HIGH - EDGE.bottom - ((v - bottom) / (top - bottom)) * (HIGH - EDGE.top - EDGE.bottom);
    this.scale = { low, high, px };
    const parts = [s("clipPath", { id: "plot-clip" }, s("rect", { x: EDGE.left, y: EDGE.top - 4, width: WIDE - EDGE.left - EDGE.right, height: HIGH - EDGE.top - EDGE.bottom + 8 }))];
    for (const t of ticks(bottom, top, 5)) {
      parts.push(s("line", { class: t === 0 ? "axis" : "grid", x1: EDGE.left, x2: WIDE - EDGE.right, y1: py(t), y2: py(t) }),
        s("text", { class: "tick", x: EDGE.left - 6, y: py(t) + 4, "text-anchor": "end" }, number(t, 3)));
    }
    for (const t of ticks(low, high, 4)) {
      parts.push(s("line", { class: t === 0 ? "axis" : "grid", x1: px(t), x2: px(t), y1: EDGE.top, y2: HIGH - EDGE.bottom }),
        s("text", { class: "tick", x: px(t), y: HIGH - EDGE.bottom + 16, "text-anchor": "middle" }, number(t, 3)));
    }
    parts.push(s("text", { class: "axis-name", x: WIDE - EDGE.right + 7, y: HIGH - EDGE.bottom + 4 }, xName.slice(0, 3)), s("text", { class: "axis-name", x: EDGE.left, y: 11, "text-anchor": "middle" }, yName));
    const inside = [s("path", { class: "line", d: path(x, y, px, py) })];
    const [ox, oy] = from ?? [at, value];
    if (slope !== null && Number.isFinite(slope) && Number.isFinite(oy)) {
      const f = (v) => oy + slope * (v - ox);
      inside.push(s("line", { class: `tangent${from ? " promise" : ""}`, x1: px(low), x2: px(high), y1: clamp(py(f(low))), y2: clamp(py(f(high))) }));
    }
    if (Number.isFinite(at)) inside.push(s("line", { class: "here", x1: px(at), x2: px(at), y1: HIGH - EDGE.bottom, y2: Number.isFinite(value) ? clamp(py(value)) : EDGE.top }));
    parts.push(s("g", { "clip-path": "url(#plot-clip)" }, inside));
    if (Number.isFinite(at) && Number.isFinite(value)) parts.push(s("circle", { class: "point", cx: px(at), cy: Math.min(HIGH - EDGE.bottom, Math.max(EDGE.top, py(value))), r: 5.5 }));
    this.svg.replaceChildren(...parts);
  }

  /** Round ends that hold the curve and the point; kept while they still serve, so that nothing jumps. */
  #range(y, points, id) {
    const finite = y.filter((v) => v !== null);
    const sorted = [...finite].sort((a, b) => a - b);
    // Poles would flatten everything else: they are cut off where a tenth of the curve lies beyond.
    const inner = [sorted[Math.floor(0.1 * sorted.length)] ?? 0, sorted[Math.ceil(0.9 * sorted.length) - 1] ?? 0];
    const room = 1.5 * (inner[1] - inner[0]) || 1;
    const held = points.filter(Number.isFinite);
    const low = Math.min(Math.max(sorted[0] ?? 0, inner[0] - room), ...held);
    const high = Math.max(Math.min(sorted.at(-1) ?? 0, inner[1] + room), ...held);
    const kept = this.range;
    if (kept && kept.id === id && low >= kept.low && high <= kept.high && high - low > 0.4 * (kept.high - kept.low)) return [kept.low, kept.high];
    const span = high - low || Math.max(1, Math.abs(high));
    const step = 10 ** Math.floor(Math.log10(span / 2)) || 1;
    const found = { id, low: Math.floor((low - 0.06 * span) / step) * step, high: Math.ceil((high + 0.06 * span) / step) * step };
    this.range = found.high > found.low ? found : { id, low: low - 1, high: high + 1 };
    return [this.range.low, this.range.high];
  }

  #drag() {
    let on = false;
    let last = 0;
    const to = (event) => {
      const { low, high } = this.scale;
      const box = this.svg.getScreenCTM();
      const share = ((event.clientX - box.e) / box.a - EDGE.left) / (WIDE - EDGE.left - EDGE.right);
      const digits = Math.max(0, Math.ceil(-Math.log10((high - low) / 300)));
      last = Number((low + (high - low) * Math.min(1, Math.max(0, share))).toFixed(digits)) + 0;
      return last;
    };
    this.svg.addEventListener("pointerdown", (event) => {
      if (!this.drags || event.button !== 0) return;
      on = true;
      this.svg.setPointerCapture(event.pointerId);
      this.drags(to(event), false);
    });
    this.svg.addEventListener("pointermove", (event) => on && this.drags?.(to(event), false));
    const end = () => {
      if (on) this.drags?.(last, true);
      on = false;
    };
    this.svg.addEventListener("pointerup", end);
    this.svg.addEventListener("pointercancel", end);
  }
}

const clamp = (v) => Math.min(9999, Math.max(-9999, v));

function path(x, y, px, py) {
  let found = "";
  let open = false;
  y.forEach((v, i) => {
    if (v === null) { open = false; return; }
    found += `${open ? "L" : "M"}${px(x[i]).toFixed(1)} ${clamp(py(v)).toFixed(1)}`;
    open = true;
  });
  return found;
}
