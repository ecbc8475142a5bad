// What the page knows: the engine's choices, the run's state, the newest frame, and what is looked at. Parts of the page
// listen: "state" (settings or cursor changed), "frame" (once per drawn frame), "data", "view", "select", "half", "verdict",
// "status". The engine is the only source of truth; nothing here computes what it can be asked for.

import { Refused, eachFrame, toast } from "../ui.js";

const DATA = ["dataset", "problem", "samples", "classes", "noise", "train_percent", "seed", "data_seed"]; // settings that make other data

export class App {
  constructor() {
    this.listeners = new Map();
    this.choices = null;
    this.state = null;
    this.frame = null;
    this.data = null;
    this.dataKey = null;
    this.half = null; // the newest half-step's answer
    this.selected = null; // {what: "weight" | "bias", layer, to, from}
    this.pinned = null; // the neuron whose picture is shown large: {layer, index}
    this.view = { colour: "weight", discretise: false, test: false, hover: null, cotangents: false };
    this.losses = []; // points of the curve, [step, training, test], that are not drawn yet
    this.show = eachFrame(() => this.draw());
  }

  /** Listen from now on; the answer ends it. */
  on(name, listener) {
    if (!this.listeners.has(name)) this.listeners.set(name, new Set());
    this.listeners.get(name).add(listener);
    return () => this.listeners.get(name).delete(listener);
  }

  emit(name, value) {
    for (const listener of this.listeners.get(name) ?? []) listener(value);
  }

  /** A frame came: it is drawn at the next repaint, then acknowledged, so that a slow page gets fewer. */
  receive(frame, acknowledge) {
    const { losses } = frame.arrays;
    if (frame.curve === "replace") this.losses = [];
    for (let i = 0; i + 2 < (losses?.length ?? 0); i += 3) this.losses.push(losses.subarray(i, i + 3));
    // What costs much is not in every frame: the newest that came stays, as long as it fits the network.
    if (this.frame && String(this.frame.sizes) === String(frame.sizes)) {
      const kept = { ...this.frame.arrays };
      if (frame.arrays.output) delete kept.confidence; // it belongs to one picture, if to any
      delete kept.dead; // says itself when there are any
      frame.arrays = { ...kept, ...frame.arrays };
      frame.shapes = { ...this.frame.shapes, ...frame.shapes };
    }
    this.frame = frame;
    this.acknowledge = acknowledge;
    this.show();
  }

  draw() {
    if (this.state && String(this.frame.sizes) === String(this.state.sizes)) this.emit("frame", this.frame);
    this.acknowledge?.();
    this.acknowledge = null;
  }

  /** Ask the engine; take over the state in its answer. An answer null means that it was refused, and was said so. */
  async ask(action, fields, { quiet = false } = {}) {
    try {
      const answer = await this.source.ask(action, fields);
      this.take(answer);
      return answer;
    } catch (problem) {
      if (!(problem instanceof Refused)) throw problem;
      if (!quiet) toast(problem.message, { bad: true });
      return null;
    }
  }

  take(answer) {
    for (const note of answer?.notes ?? []) if (!answer.state?.traps?.includes(note)) toast(note);
    if (!answer?.state?.sizes) return;
    this.state = answer.state;
    this.emit("state", answer.state);
    const key = JSON.stringify(DATA.map((name) => answer.state.settings[name]));
    if (key === this.dataKey) return;
    const first = this.dataKey === null;
    this.dataKey = key;
    if (!answer.points && !first) this.changeData("get"); // other data than those that are drawn
  }

  /** Change settings. What was refused is shown, and the controls go back to what holds. */
  async set(settings) {
    const answer = await this.ask("set", { settings });
    if (answer === null) this.emit("state", this.state);
    return answer;
  }

  /** Do something to the data ("get" only asks); the points in the answer are drawn. */
  async changeData(action, fields = {}) {
    const answer = await this.ask("data", { action, ...fields });
    if (answer?.points) {
      this.data = answer;
      this.emit("data", answer);
    }
    return answer;
  }

  look(changes) {
    Object.assign(this.view, changes);
    this.emit("view", this.view);
    return this.ask("view", changes, { quiet: true });
  }

  select(selected) {
    this.selected = selected;
    this.emit("select", selected);
  }
}
