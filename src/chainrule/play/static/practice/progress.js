// What a person can do, kept in this browser: points per skill, and the queue of items to do again.
//
// A skill has 0 to 9 points, three per level. An item solved without help adds one, a miss takes one away. A missed item
// comes back after 3, then 8, 20 and 50 other exercises; another miss starts that again.

import { remember } from "../ui.js";

export const MOST_POINTS = 9;
const WAITS = [3, 8, 20, 50];
const MOST_QUEUED = 300;
const KEY = "practice";
const FORMAT = "chainrule.practice";

function fresh() {
  return { format: FORMAT, version: 1, done: 0, skills: {}, queue: [] };
}

/** Call `then` when another page of this browser has changed the progress, which is taken over. */
export function follow(then) {
  addEventListener("storage", ({ key }) => {
    if (key !== null && key !== `chainrule.${KEY}`) return;
    state = checked(remember(KEY)) ?? fresh();
    then();
  });
}

function keep() {
  remember(KEY, state);
}

const whole = (value, least, most) => Number.isInteger(value) && value >= least && value <= most;

/** A state that came from outside, copied field by field; null where it is none. */
export function checked(found) {
  if (found === null || typeof found !== "object" || found.format !== FORMAT || found.version !== 1) return null;
  if (!whole(found.done, 0, 1e9) || typeof found.skills !== "object" || found.skills === null || !Array.isArray(found.queue)) return null;
  if (found.queue.length > MOST_QUEUED || Object.keys(found.skills).length > 100) return null;
  const copy = { ...fresh(), done: found.done };
  for (const [name, skill] of Object.entries(found.skills)) {
    if (!/^[a-z-]{1,30}$/.test(name) || !whole(skill?.points, 0, MOST_POINTS) || !whole(skill.right, 0, 1e9) || !whole(skill.missed, 0, 1e9)
      || !whole(skill.seen, 0, 1e9)) return null;
    copy.skills[name] = { points: skill.points, right: skill.right, missed: skill.missed, seen: skill.seen };
  }
  for (const one of found.queue) {
    if (!/^[a-z-]{1,30}$/.test(one?.kind) || !whole(one.level, 1, 3) || !whole(one.seed, 0, 2 ** 31 - 1) || !whole(one.due, 0, 2e9) || !whole(one.step, 0, 3)) return null;
    copy.queue.push({ kind: one.kind, level: one.level, seed: one.seed, due: one.due, step: one.step });
  }
  return copy;
}

let state = checked(remember(KEY)) ?? fresh();

export function skill(name) {
  return state.skills[name] ?? { points: 0, right: 0, missed: 0, seen: 0 };
}

/** The level that a skill is at: 1, 2 or 3. */
export function level(name) {
  return Math.min(1 + Math.floor(skill(name).points / 3), 3);
}

export function due() {
  return state.queue.filter((one) => one.due <= state.done);
}

export function waiting() {
  return state.queue.length;
}

const same = (a, b) => a.kind === b.kind && a.level === b.level && a.seed === b.seed;

/** An item was finished: `solved` at the first try and without hints, or missed. */
export function finished(item, solved) {
  const now = { ...skill(item.kind) };
  state.done += 1;
  now.seen = state.done;
  if (solved) {
    now.right += 1;
    if (item.level >= level(item.kind)) now.points = Math.min(now.points + 1, MOST_POINTS);
  } else {
    now.missed += 1;
    now.points = Math.max(now.points - 1, 0);
  }
  state.skills[item.kind] = now;
  const old = state.queue.find((one) => same(one, item));
  state.queue = state.queue.filter((one) => one !== old);
  const step = solved ? (old ? old.step + 1 : null) : 0;
  if (step !== null && step < WAITS.length) {
    state.queue.push({ kind: item.kind, level: item.level, seed: item.seed, step, due: state.done + WAITS[step] });
    state.queue = state.queue.slice(-MOST_QUEUED);
  }
  keep();
}

export function newSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;
}

/** What mixed review asks next: what is due, else a new item of the skill with the fewest points, long not seen first. */
export function mixed(names, last) {
  const again = due().filter((one) => !last || !same(one, last))[0];
  if (again) return { kind: again.kind, level: again.level, seed: again.seed };
  const order = names.map((name, place) => ({ name, place, ...skill(name) })).filter((one) => names.length === 1 || one.name !== last?.kind);
  order.sort((a, b) => a.points - b.points || a.seen - b.seen || a.place - b.place);
  const name = order[0].name;
  return { kind: name, level: level(name), seed: newSeed() };
}

export function exported() {
  return JSON.stringify(state, null, 1);
}

/** Take the progress of a file. Throws with the reason. */
export function imported(text, names) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error("This file is no JSON: choose a file that Export wrote.");
  }
  const copy = checked(found);
  if (copy === null) throw new Error("This is no progress of the practice room: choose a file that Export wrote.");
  const known = new Set(names);
  copy.queue = copy.queue.filter((one) => known.has(one.kind));
  copy.skills = Object.fromEntries(Object.entries(copy.skills).filter(([name]) => known.has(name)));
  state = copy;
  keep();
}

export function forget() {
  state = fresh();
  keep();
}
