// Labelled controls that can be told the engine's value: each is {element, update(value, …)}. They never hold a value of
// their own: a change is sent, and what the engine then says is shown.

import { plain, typed } from "../format.js";
import { h, toast } from "../ui.js";

let made = 0;
const fresh = (name) => `${name}-${++made}`;

/** What the engine says is shown once it has answered every change: an answer to the last but one must not move a control
 *  under the hand that goes on changing it. */
function inTurn(onchange, show) {
  let waiting = 0;
  let newest = null;
  return {
    async send(value) {
      waiting += 1;
      try {
        await onchange(value);
      } finally {
        waiting -= 1;
        if (waiting === 0 && newest) show(...newest);
      }
    },
    update(...said) {
      newest = said;
      if (waiting === 0) show(...said);
    },
  };
}

/** A labelled drop-down. Options are values, or [value, name]. */
export function select(label, options, onchange, { title } = {}) {
  const id = fresh("select");
  const box = h("select", { id, title, onchange: () => turn.send(box.value) });
  let known = "";
  const fill = (list) => {
    const pairs = list.map((option) => (Array.isArray(option) ? option : [String(option), String(option)]));
    const key = JSON.stringify(pairs);
    if (key === known) return;
    known = key;
    box.replaceChildren(...pairs.map(([value, name]) => h("option", { value }, name)));
  };
  fill(options);
  const turn = inTurn(onchange, (value, list, disabled = false) => {
    if (list) fill(list);
    box.value = String(value);
    box.disabled = disabled;
  });
  return { element: h("div", { class: "field" }, h("label", { for: id }, label), box), box, update: turn.update };
}

/** A number out of usual values, or any other one typed after choosing "other…". */
export function rate(label, values, onchange, { title, none } = {}) {
  const id = fresh("rate");
  const box = h("select", { id, title });
  const field = h("input", { type: "text", inputmode: "decimal", size: 7, hidden: true, "aria-label": `${label}, any number` });
  let shown = NaN;
  const fill = () => {
    const all = [...new Set([...values, ...(Number.isFinite(shown) ? [shown] : [])])].sort((a, b) => a - b);
    box.replaceChildren(none ? h("option", { value: "none" }, none) : "", ...all.map((value) => h("option", { value }, plain(value))),
      h("option", { value: "other" }, "other…"));
    box.value = shown === null ? "none" : String(shown);
  };
  const back = () => {
    field.hidden = true;
    box.hidden = false;
    fill();
  };
  const commit = () => {
    const value = typed(field.value);
    if (value === null) toast(`Expected a number for “${label}”, such as 0.03 or 1e-4.\nGot: ${field.value || "nothing"}`, { bad: true });
    back();
    if (value !== null) turn.send(value);
  };
  box.addEventListener("change", () => {
    if (box.value !== "other") return turn.send(box.value === "none" ? null : Number(box.value));
    box.hidden = true;
    field.hidden = false;
    field.value = shown === null ? "" : String(shown);
    field.focus();
    field.select();
    return undefined;
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") commit();
    if (event.key === "Escape") back();
  });
  field.addEventListener("blur", () => { if (!field.hidden) back(); });
  fill();
  const turn = inTurn(onchange, (value, disabled = false) => {
    if (!Object.is(shown, value)) {
      shown = value;
      fill();
    }
    box.value = value === null ? "none" : String(value);
    box.disabled = disabled;
  });
  return { element: h("div", { class: "field" }, h("label", { for: id }, label), box, field), box, update: turn.update };
}

/** A labelled slider; `show` writes its value beside the label. The change is sent when it is let go. */
export function slider(label, { min, max, step = 1, show = String }, onchange) {
  const id = fresh("slider");
  const out = h("output", { for: id });
  const box = h("input", { id, type: "range", min, max, step });
  box.addEventListener("input", () => { out.textContent = show(Number(box.value)); });
  box.addEventListener("change", () => turn.send(Number(box.value)));
  const turn = inTurn(onchange, (value, most, disabled = false) => {
    if (most) box.max = most;
    box.value = value;
    box.disabled = disabled;
    out.textContent = show(value);
  });
  return { element: h("div", { class: "slider" }, h("div", { class: "top" }, h("label", { for: id }, label), out), box), box, update: turn.update };
}

/** A row of buttons of which one is pressed. Options are [value, name, title]. */
export function segments(label, options, onchange) {
  const buttons = options.map(([value, name, title]) => h("button", { type: "button", title, "aria-pressed": "false", onclick: () => onchange(value) }, name));
  return {
    element: h("div", { class: "segments", role: "group", "aria-label": label }, buttons),
    buttons,
    update(value) {
      options.forEach(([one], i) => buttons[i].setAttribute("aria-pressed", String(one === value)));
    },
  };
}

/** A labelled check box. */
export function check(label, onchange, { title } = {}) {
  const box = h("input", { type: "checkbox" });
  box.addEventListener("change", () => onchange(box.checked));
  return {
    element: h("label", { class: "choice small", title }, box, label),
    box,
    update(value, disabled = false) {
      box.checked = value;
      box.disabled = disabled;
    },
  };
}

/** A number that can be typed: Enter or leaving the field sends it, Escape takes it back. */
export function numberField(label, onchange, { hidden = false } = {}) {
  const id = fresh("number");
  const box = h("input", { id, type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false" });
  let shown = NaN;
  let sent = null;
  const text = (value) => (value === null || value === undefined ? "" : String(value));
  const commit = () => {
    if (box.value === sent) return;
    const value = typed(box.value);
    sent = box.value;
    if (value === null) {
      box.setAttribute("aria-invalid", "true");
      toast(`Expected a number for “${label}”, such as 0.5 or −1e−3.\nGot: ${box.value || "nothing"}`, { bad: true });
      return;
    }
    box.removeAttribute("aria-invalid");
    onchange(value);
  };
  box.addEventListener("focus", () => { sent = box.value; });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      commit();
      box.select();
    }
    if (event.key === "Escape") {
      box.value = text(shown);
      sent = box.value;
    }
  });
  box.addEventListener("blur", commit);
  return {
    element: h("div", { class: "field" }, h("label", { for: id, class: hidden ? "sr" : null }, label), box),
    box,
    update(value) {
      if (Object.is(shown, value)) return;
      shown = value;
      if (document.activeElement !== box) box.value = text(value);
    },
  };
}

/** A figure with its label above; the text is only touched when it changes. */
export function figure(label, { wide = false, kind = "" } = {}) {
  const value = h("span", { class: "value" }, "–");
  return {
    element: h("div", { class: `figure ${wide ? "wide" : ""} ${kind}` }, h("span", { class: "label" }, label), value),
    update(text) {
      if (value.textContent !== text) value.textContent = text;
    },
  };
}
