// The loss over time: two lines on a canvas with axes, numbers and a crosshair; the scale is linear or logarithmic.
// Old points are thinned by joining neighbours, so that a long run takes no more room than a short one.

import { fixed, number, count } from "../format.js";
import { ink, rem } from "./colour.js";

const MOST = 1200;
const USUAL = { left: 46, right: 10, top: 8, bottom: 22 };

/** Round steps for an axis: about `wanted` ticks in [low, high]. */
export function ticks(low, high, wanted) {
  const raw = (high - low) / Math.max(1, wanted);
  if (!(raw > 0) || !Number.isFinite(raw)) return [low];
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = size * [1, 2, 5, 10].find((factor) => factor * size >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) found.push(at * step || 0);
  return found;
}

export class Curve {
  constructor(canvas, readout, { unit = "step" } = {}) {
    this.canvas = canvas;
    this.readout = readout;
    this.unit = unit;
    this.logarithmic = false;
    this.hover = null;
    this.second = null; // another run's points, drawn in a lighter tone
    this.clear();
    canvas.addEventListener("pointermove", (event) => this.point(event.offsetX));
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  clear() {
    this.at = [];
    this.train = [];
    this.test = [];
    this.draw();
  }

  /** A point of the curve: where (in steps), training loss, test loss. One that is there already is replaced. */
  add(where, train, test) {
    while (this.at.length && this.at[this.at.length - 1] >= where) {
      this.at.pop();
      this.train.pop();
      this.test.pop();
    }
    this.at.push(where);
    this.train.push(train);
    this.test.push(test);
    if (this.at.length > MOST) this.thin();
  }

  /** Every second point of the older half goes; spikes (and NaN) stay. */
  thin() {
    const keep = this.at.map((_, i) => i === 0 || i > MOST * 0.75 || i % 2 === 0 || !(this.train[i] < 4 * this.train[i - 1]));
    for (const name of ["at", "train", "test"]) this[name] = this[name].filter((_, i) => keep[i]);
  }

  key(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || !this.at.length) return;
    event.preventDefault();
    const from = this.index ?? this.at.length - 1;
    this.index = Math.max(0, Math.min(this.at.length - 1, from + move));
    this.draw();
  }

  point(x) {
    if (x === null || !this.at.length) this.index = null;
    else {
      const wanted = this.low + ((x - this.inset.left) / this.width) * (this.high - this.low);
      let best = 0;
      for (let i = 1; i < this.at.length; i++) if (Math.abs(this.at[i] - wanted) < Math.abs(this.at[best] - wanted)) best = i;
      this.index = best;
    }
    this.draw();
  }

  /** The scale of the losses: [lowest, highest] of what is finite. */
  range() {
    let low = Infinity;
    let high = -Infinity;
    const lists = [this.train, this.test, ...(this.second ? [this.second.train, this.second.test] : [])];
    for (const list of lists) for (const value of list) {
      if (!Number.isFinite(value) || (this.logarithmic && value <= 0)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    if (low > high) return this.logarithmic ? [0.1, 1] : [0, 1];
    if (this.logarithmic) return [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high) + 1e-9)];
    return [Math.min(0, low), high > 0 ? high * 1.06 : 1];
  }

  draw() {
    const { canvas } = this;
    const box = canvas.getBoundingClientRect();
    if (!box.width) return;
    const ratio = Math.min(2, devicePixelRatio || 1);
    if (canvas.width !== Math.round(box.width * ratio)) canvas.width = Math.round(box.width * ratio);
    if (canvas.height !== Math.round(box.height * ratio)) canvas.height = Math.round(box.height * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, box.width, box.height);
    const k = rem();
    this.inset = { left: USUAL.left * k, right: USUAL.right * k, top: USUAL.top * k, bottom: USUAL.bottom * k };
    this.letters = `${12 * k}px ${ink("--sans")}`;
    this.width = box.width - this.inset.left - this.inset.right;
    const height = box.height - this.inset.top - this.inset.bottom;
    const ends = [this.at, this.second?.at ?? []].map((list) => list[list.length - 1] ?? 0);
    this.low = Math.min(this.at[0] ?? 0, this.second?.at[0] ?? Infinity);
    this.high = Math.max(...ends, this.low + 1);
    const [bottom, top] = this.range();
    const scale = this.logarithmic ? Math.log10 : (value) => value;
    const x = (where) => this.inset.left + ((where - this.low) / (this.high - this.low)) * this.width;
    const y = (value) => this.inset.top + height * (1 - (scale(value) - scale(bottom)) / (scale(top) - scale(bottom)));
    this.axes(pen, box, x, y, bottom, top);
    if (this.second) {
      this.line(pen, this.second.at, this.second.test, x, y, ink("--edge"), [5, 3]);
      this.line(pen, this.second.at, this.second.train, x, y, ink("--edge"));
    }
    this.line(pen, this.at, this.test, x, y, ink("--minus"), [5, 3]);
    this.line(pen, this.at, this.train, x, y, ink("--blue"));
    this.crosshair(pen, box, x, y);
  }

  axes(pen, box, x, y, bottom, top) {
    pen.font = this.letters;
    pen.fillStyle = ink("--muted");
    pen.strokeStyle = ink("--rule");
    pen.lineWidth = 1;
    const marks = this.logarithmic
      ? ticks(Math.log10(bottom), Math.log10(top), 4).filter(Number.isInteger).map((power) => 10 ** power)
      : ticks(bottom, top, 3);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const mark of marks) {
      const at = Math.round(y(mark)) + 0.5;
      pen.beginPath();
      pen.moveTo(this.inset.left, at);
      pen.lineTo(box.width - this.inset.right, at);
      pen.stroke();
      pen.fillText(number(mark, 2), this.inset.left - 6, at);
    }
    pen.textBaseline = "alphabetic";
    if (!this.at.length) return;
    const whole = ticks(this.low, this.high, Math.max(2, Math.floor(this.width / 80))).filter((mark) => this.high < 3 || Number.isInteger(mark));
    for (const mark of whole) {
      pen.textAlign = x(mark) > box.width - 30 ? "right" : "center";
      pen.fillText(Number.isInteger(mark) ? count(mark) : number(mark, 2), x(mark), box.height - 6);
    }
  }

  line(pen, at, values, x, y, colour, dash = []) {
    pen.strokeStyle = colour;
    pen.lineWidth = 1.6;
    pen.lineJoin = "round";
    pen.setLineDash(dash);
    pen.beginPath();
    let open = false;
    for (let i = 0; i < at.length; i++) {
      const fine = Number.isFinite(values[i]) && (!this.logarithmic || values[i] > 0);
      if (fine) pen[open ? "lineTo" : "moveTo"](x(at[i]), y(values[i]));
      open = fine;
    }
    pen.stroke();
    pen.setLineDash([]);
  }

  crosshair(pen, box, x, y) {
    const i = this.index ?? null;
    if (i === null || i >= this.at.length) {
      this.readout.textContent = "";
      return;
    }
    pen.strokeStyle = ink("--edge");
    pen.beginPath();
    pen.moveTo(x(this.at[i]), this.inset.top);
    pen.lineTo(x(this.at[i]), box.height - this.inset.bottom);
    pen.stroke();
    for (const [list, colour] of [[this.test, "--minus"], [this.train, "--blue"]]) {
      if (!Number.isFinite(list[i])) continue;
      pen.fillStyle = ink(colour);
      pen.beginPath();
      pen.arc(x(this.at[i]), y(list[i]), 3, 0, 2 * Math.PI);
      pen.fill();
    }
    const where = Number.isInteger(this.at[i]) ? count(this.at[i]) : fixed(this.at[i], 2);
    this.readout.textContent = `${this.unit} ${where}: training ${number(this.train[i], 3)}, test ${number(this.test[i], 3)}`;
  }
}
