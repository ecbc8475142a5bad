// Where frames and answers come from: a running engine over a WebSocket, or a recording in the page itself.
// Both have ask(action, fields) → promise of the answer, onframe, onevent, onstatus, and close().
//
// A recording is {choices, state, data, frames: [base64 of a binary frame], answers: {question: answer}}; it stands in the
// exported page in <script type="application/json" id="recording">. State and answers are those of its last frame.

import { Refused } from "../ui.js";
import { decode } from "./frames.js";

const PATIENCE = 20_000; // milliseconds until a question counts as unanswered

export class LiveSource {
  constructor({ onframe, onevent, onstatus } = {}) {
    Object.assign(this, { onframe, onevent, onstatus });
    this.waiting = new Map();
    this.next = 1;
    this.token = null;
    this.tries = 0;
    this.closed = false;
    this.recorded = false;
  }

  /** Connect and greet; resolves with the first answer to hello. While there is none, it is tried again. */
  open() {
    return new Promise((resolve) => this.connect(resolve));
  }

  connect(resolve) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let refused = null;
    socket.addEventListener("open", () => {
      this.ask("hello", this.token ? { resume: this.token } : {}).then((answer) => {
        const again = this.token !== null;
        this.token = answer.token;
        this.tries = 0;
        this.onstatus?.(again ? "back" : "open", answer);
        resolve(answer);
      }, (problem) => { refused = problem.problem.what; });
    });
    socket.addEventListener("message", ({ data }) => this.receive(data));
    socket.addEventListener("close", ({ reason }) => {
      const ended = new Refused({ what: reason || "The connection to the engine broke." });
      for (const { reject, timer } of this.waiting.values()) {
        clearTimeout(timer);
        reject(ended);
      }
      this.waiting.clear();
      if (this.closed) return;
      this.onstatus?.("down", { reason: refused ?? reason });
      const wait = Math.min(5000, 300 * 2 ** this.tries++);
      setTimeout(() => { if (!this.closed) this.connect(resolve); }, wait);
    });
  }

  receive(data) {
    if (typeof data !== "string") {
      const frame = decode(data);
      this.onframe?.(frame, () => this.send({ ack: frame.frame }));
      return;
    }
    const message = JSON.parse(data);
    if (message.event) {
      this.onevent?.(message);
      return;
    }
    const waiting = this.waiting.get(message.id);
    if (!waiting) {
      if (message.error) this.onevent?.({ event: "error", error: message.error });
      return;
    }
    this.waiting.delete(message.id);
    clearTimeout(waiting.timer);
    if (message.error) waiting.reject(new Refused(message.error));
    else waiting.resolve(message.ok);
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Ask the engine to do something. Rejects with Refused, in the engine's words. */
  ask(action, fields = {}) {
    if (this.socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Refused({ what: "The engine is not connected.", fix: "see whether `chainrule play` still runs" }));
    }
    const id = this.next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new Refused({ what: `The engine did not answer "${action}" in time.` }));
      }, PATIENCE);
      this.waiting.set(id, { resolve, reject, timer });
      this.send({ id, do: action, ...fields });
    });
  }

  close() {
    this.closed = true;
    this.socket?.close();
  }
}

function bytes(base64) {
  const text = atob(base64);
  const found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
  return found.buffer;
}

/** Plays a recorded run back: play, pause, step, back, rewind and seek work; what would change the run is refused. */
export class RecordedSource {
  constructor(recording, { onframe, onevent, onstatus } = {}) {
    Object.assign(this, { recording, onframe, onevent, onstatus });
    this.at = 0;
    this.timer = null;
    this.recorded = true;
    this.length = recording.frames.length;
  }

  async open() {
    const { choices, state } = this.recording;
    this.onstatus?.("open");
    setTimeout(() => this.show(this.length - 1)); // the present state; play begins at the first frame
    return { choices, state: { ...state, playing: false } };
  }

  show(index) {
    this.at = Math.max(0, Math.min(this.length - 1, index));
    const frame = decode(bytes(this.recording.frames[this.at]));
    frame.playing = this.timer !== null;
    this.onframe?.(frame, () => {});
    return frame;
  }

  run(playing) {
    clearInterval(this.timer);
    this.timer = !playing ? null : setInterval(() => {
      if (this.at >= this.length - 1) this.run(false);
      this.show(this.at + (this.timer ? 1 : 0));
    }, 50);
  }

  async ask(action, fields = {}) {
    const answer = (frame) => ({ state: { ...this.recording.state, ...pick(frame), playing: this.timer !== null } });
    if (action === "play") {
      if (this.at >= this.length - 1) this.at = 0;
      this.run(true);
      return answer(this.show(this.at));
    }
    if (action === "pause") {
      this.run(false);
      return answer(this.show(this.at));
    }
    const goals = { step: this.at + 1, back: this.at - 1, rewind: 0, seek: fields.to };
    if (action in goals) {
      this.run(false);
      return answer(this.show(goals[action]));
    }
    if (action === "view") return {};
    const { what, layer, to, from } = fields;
    const asked = action === "explain" ? ["explain", what, layer, to, from].filter((part) => part !== undefined).join(" ") : action;
    const kept = this.recording.answers?.[asked];
    if (kept) return kept;
    throw new Refused({ what: "This page is a recording: it can be played back, but not changed.", fix: "run `chainrule play` and open its playground" });
  }

  close() {
    this.run(false);
  }
}

function pick({ epoch, step, batch, example, phase }) {
  return { epoch, step, batch, example, phase };
}
