// The tour's panel: one page at a time, ticked off for good when its task is done.

import { h, remember, say } from "../ui.js";
import { TASKS } from "./tasks.js";

export class Tour {
  /** `actions`: example(id). */
  constructor(place, actions) {
    this.place = place;
    this.actions = actions;
    const kept = remember("walk.tour");
    this.done = new Set((Array.isArray(kept?.done) ? kept.done : []).filter((id) => TASKS.some((t) => t.id === id)));
    const first = TASKS.findIndex((t) => !this.done.has(t.id));
    this.at = first < 0 ? TASKS.length - 1 : first;
    this.lesson = null;
    this.state = null;
    this.#build();
  }

  #build() {
    this.dots = TASKS.map((task, i) => h("button", { type: "button", class: "dot-button", onclick: () => this.go(i) }, String(i + 1)));
    this.title = h("h3", { class: "task-title" });
    this.text = h("p");
    this.hint = h("p", { class: "muted small" });
    this.hints = h("details", { class: "small" }, h("summary", {}, "A hint"), this.hint);
    this.result = h("p", { class: "result small" });
    this.there = h("button", { type: "button", onclick: () => this.actions.example(TASKS[this.at].example) }, "Load example");
    this.next = h("button", { type: "button", onclick: () => this.go(Math.min(TASKS.length - 1, this.at + 1)) }, "Next");
    this.again = h("button", { type: "button", class: "plain small", onclick: () => this.#restart() }, "Start over");
    this.place.replaceChildren(
      h("div", { class: "dots", role: "group", "aria-label": "Pages" }, this.dots),
      h("div", { class: "task" }, this.title, this.text, this.result, this.hints),
      h("div", { class: "row" }, this.there, this.next, h("span", { class: "grow" }), this.again));
    this.#show();
  }

  go(at) {
    this.at = at;
    this.lesson = null;
    this.hints.open = false;
    this.#show();
    if (this.state) this.check(this.state);
  }

  #restart() {
    this.done.clear();
    remember("walk.tour", { done: [] });
    this.go(0);
  }

  /** Look whether the page's task is done in this state. */
  check(state) {
    this.state = state;
    const task = TASKS[this.at];
    let now = false;
    try {
      now = Boolean(state.walk) && task.done(state);
    } catch { /* a state that the task does not speak of */ }
    if (now && this.lesson === null) {
      this.lesson = task.lesson(state);
      const fresh = !this.done.has(task.id);
      this.done.add(task.id);
      remember("walk.tour", { done: [...this.done] });
      if (fresh) say(`Done: ${task.title}. ${this.lesson}`);
    }
    this.#show();
  }

  #show() {
    const task = TASKS[this.at];
    const done = this.done.has(task.id);
    this.dots.forEach((dot, i) => {
      const ticked = this.done.has(TASKS[i].id);
      dot.setAttribute("class", `dot-button${ticked ? " done" : ""}`);
      dot.setAttribute("aria-label", `${i + 1}: ${TASKS[i].title}${ticked ? ", done" : ""}`);
      if (i === this.at) dot.setAttribute("aria-current", "step");
      else dot.removeAttribute("aria-current");
    });
    this.title.textContent = task.title;
    this.text.textContent = task.text;
    this.hint.textContent = task.hint;
    this.hints.hidden = done;
    this.result.hidden = !done;
    this.result.textContent = this.lesson ?? "Done before.";
    this.result.setAttribute("class", "result small good");
    this.there.disabled = task.example === null;
    this.next.disabled = this.at === TASKS.length - 1;
    this.next.setAttribute("class", done && !this.next.disabled ? "primary" : "");
  }
}
