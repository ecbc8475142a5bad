// The large picture: what the network (or one neuron of it) answers over the plane, with the data on it and axes.
// Points are painted once to a layer of their own and only again when the data or the theme change.

import { number } from "../format.js";
import { classColour, classPixel, ink, lookup, rem, valueColour } from "./colour.js";
import { ticks } from "./curve.js";

const INSET = 26; // pixels of usual size: room for the numbers of the axes, left and below

export class HeatMap {
  /** `extent` = [x least, x most, y least, y most] of the plane that a frame's grid covers. */
  constructor(canvas, { onpoint, onclick, onleave }) {
    this.canvas = canvas;
    this.extent = [-6, 6, -6, 6];
    this.points = null;
    this.layer = document.createElement("canvas");
    this.small = document.createElement("canvas");
    this.stale = true;
    canvas.addEventListener("pointermove", (event) => onpoint?.(this.plane(event.offsetX, event.offsetY)));
    canvas.addEventListener("pointerleave", () => onleave?.());
    canvas.addEventListener("blur", () => {
      this.probe = null;
      this.draw();
      onleave?.();
    });
    canvas.addEventListener("keydown", (event) => this.key(event, onpoint, onclick));
    canvas.addEventListener("click", (event) => onclick?.(this.plane(event.offsetX, event.offsetY), event));
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  resize() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width) return;
    const ratio = Math.min(2, devicePixelRatio || 1);
    this.side = box.width;
    this.ratio = ratio;
    for (const canvas of [this.canvas, this.layer]) {
      canvas.width = Math.round(box.width * ratio);
      canvas.height = Math.round(box.height * ratio);
    }
    this.scale = rem();
    this.inset = INSET * this.scale;
    this.inner = box.width - this.inset;
    this.stale = true;
    this.draw();
  }

  /** Arrow keys move a probe over the plane (finer with Shift); Enter is a click where it stands. */
  key(event, onpoint, onclick) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [0, 0];
    if (event.key === "Enter" && this.probe) onclick?.(this.probe, event);
    if (!dx && !dy) return;
    event.preventDefault();
    const step = event.shiftKey ? 0.1 : 0.5;
    const [x, y] = this.probe ?? [0, 0];
    this.probe = [Math.max(-6, Math.min(6, x + dx * step)), Math.max(-6, Math.min(6, y + dy * step))];
    this.draw();
    onpoint?.(this.probe, true);
  }

  /** Where on the plane a pixel of the canvas stands, or null outside it. */
  plane(px, py) {
    const [x0, x1, y0, y1] = this.extent;
    const u = (px - this.inset) / this.inner;
    const v = py / this.inner;
    return u < 0 || u > 1 || v < 0 || v > 1 ? null : [x0 + u * (x1 - x0), y1 - v * (y1 - y0)];
  }

  pixel(x, y) {
    const [x0, x1, y0, y1] = this.extent;
    return [this.inset + ((x - x0) / (x1 - x0)) * this.inner, ((y1 - y) / (y1 - y0)) * this.inner];
  }

  /** The data: {train, test: lists of [x, y, label], classes: number or 0 for labels in [-1, 1], showTest, names, spans}. */
  setPoints(points) {
    this.points = points;
    this.stale = true;
    this.draw();
  }

  restyle() {
    this.stale = true;
    this.draw();
  }

  /** The newest grid: bytes, its side and, for classes, the confidences. */
  setGrid(grid) {
    this.grid = grid;
    this.draw();
  }

  draw() {
    if (!this.inner) return;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.side, this.side);
    if (this.grid) {
      this.paintGrid();
      pen.imageSmoothingEnabled = !this.grid.discretise;
      pen.imageSmoothingQuality = "high";
      pen.drawImage(this.small, this.inset, 0, this.inner, this.inner);
    } else {
      pen.fillStyle = ink("--sunken");
      pen.fillRect(this.inset, 0, this.inner, this.inner);
    }
    if (this.stale) this.paintLayer();
    pen.drawImage(this.layer, 0, 0, this.side, this.side);
    if (!this.probe) return;
    const [x, y] = this.pixel(...this.probe);
    for (const [colour, width] of [["--panel", 4], ["--ink", 1.5]]) {
      pen.strokeStyle = ink(colour);
      pen.lineWidth = width;
      pen.beginPath();
      pen.arc(x, y, 6 * this.scale, 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  paintGrid() {
    const { bytes, side, confidences, discretise } = this.grid;
    if (this.small.width !== side) {
      this.small.width = this.small.height = side;
      this.image = null;
    }
    const pen = this.small.getContext("2d");
    this.image ??= pen.createImageData(side, side);
    const pixels = new Uint32Array(this.image.data.buffer);
    if (confidences) for (let i = 0; i < pixels.length; i++) pixels[i] = classPixel(bytes[i], discretise ? 0.8 : confidences[i] / 255);
    else {
      const table = lookup(discretise);
      for (let i = 0; i < pixels.length; i++) pixels[i] = table[bytes[i]];
    }
    pen.putImageData(this.image, 0, 0);
  }

  paintLayer() {
    this.stale = false;
    const pen = this.layer.getContext("2d");
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.side, this.side);
    this.axes(pen);
    if (!this.points) return;
    const { train, test, classes, showTest } = this.points;
    const radius = Math.max(2, Math.min(3.4 * this.scale, this.inner / 90)) * (train.length > 1500 ? 0.7 : 1);
    if (showTest) for (const point of test) this.dot(pen, point, classes, radius, true);
    for (const point of train) this.dot(pen, point, classes, radius, false);
  }

  dot(pen, [x, y, label], classes, radius, hollow) {
    const [px, py] = this.pixel(x, y);
    if (px < this.inset - 1 || py > this.inner + 1 || py < 0 || px > this.side) return;
    const colour = classes ? classColour(label) : valueColour(label);
    pen.beginPath();
    pen.arc(px, py, radius, 0, 2 * Math.PI);
    pen.fillStyle = hollow ? ink("--panel") : colour;
    pen.fill();
    pen.lineWidth = hollow ? 1.6 : 1;
    pen.strokeStyle = hollow ? colour : ink("--panel");
    pen.stroke();
  }

  /** A coordinate of the plane in the units of the table that was pasted, and back; axis 0 is x₁. */
  unit(value, axis) {
    const span = this.points?.spans?.[axis];
    return span ? span[0] + ((value + 5) / 10) * (span[1] - span[0]) : value;
  }

  onPlane(value, axis) {
    const span = this.points?.spans?.[axis];
    return span ? ((value - span[0]) / (span[1] - span[0] || 1)) * 10 - 5 : value;
  }

  axes(pen) {
    const [x0, x1, y0, y1] = this.extent;
    pen.font = `${12 * this.scale}px ${ink("--sans")}`;
    pen.fillStyle = ink("--muted");
    pen.strokeStyle = ink("--edge");
    pen.textBaseline = "alphabetic";
    const wanted = Math.max(2, Math.floor(this.inner / (70 * this.scale)));
    for (const mark of ticks(this.unit(x0, 0), this.unit(x1, 0), wanted)) {
      const [px] = this.pixel(this.onPlane(mark, 0), y0);
      pen.textAlign = px > this.side - 10 ? "right" : "center";
      pen.fillText(number(mark, 3), px, this.inner + 18 * this.scale);
      this.tick(pen, px, this.inner, 0, 4);
    }
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const mark of ticks(this.unit(y0, 1), this.unit(y1, 1), wanted)) {
      const [, py] = this.pixel(x0, this.onPlane(mark, 1));
      if (py > this.inner + 0.5) continue;
      pen.fillText(number(mark, 3), this.inset - 7, Math.max(8, Math.min(this.inner - 4, py)));
      this.tick(pen, this.inset, py, -4, 0);
    }
    pen.strokeRect(this.inset + 0.5, 0.5, this.inner - 1, this.inner - 1);
    const [right, top] = this.points?.names ?? [];
    this.name(pen, right, this.side - 5, this.inner - 7, "right");
    this.name(pen, top, this.inset + 5, 12 * this.scale, "left");
  }

  /** An axis' name, inside the picture. */
  name(pen, text, x, y, align) {
    if (!text) return;
    pen.textAlign = align;
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    pen.lineWidth = 3;
    pen.strokeStyle = ink("--panel");
    pen.strokeText(text.slice(0, 24), x, y);
    pen.fillStyle = ink("--ink");
    pen.fillText(text.slice(0, 24), x, y);
  }

  tick(pen, x, y, dx, dy) {
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x + dx, y + dy);
    pen.stroke();
  }
}
