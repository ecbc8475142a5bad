"""What each message does to a player: one function per action, from the player and the checked message to the answer.

Whatever can be refused is refused before anything changes.  Does not do: the message ``data`` (``points``), state and
address (``keep``), explanation (``weight``), diagnosis (``verdict``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.base.errors import DataError, OptionError
from chainrule.play import keep, points, weight, weight_lines
from chainrule.play.context import make_context
from chainrule.play.course import Seen
from chainrule.play.inspect import number
from chainrule.play.settings import LIVE, choices
from chainrule.play.traps import traps

if TYPE_CHECKING:
    from chainrule.play.player import Player

Message = Mapping[str, Any]
Answer = dict[str, Any]

_AT_ONCE = 0.05  # seconds of work inside an answer; the rest is done by run
_MOST_LOSSES = 1_000


def _hello(player: Player, message: Message) -> Answer:
    player.greeted()
    return {"choices": choices(), "state": player.state(), "view": dataclasses.asdict(player.view)}


def _choices(player: Player, message: Message) -> Answer:
    return {"choices": choices()}


# ----------------------------------------------------------------------------------------------------------- settings


def _set(player: Player, message: Message) -> Answer:
    return change(player, message["settings"])


def change(player: Player, partial: Mapping[str, Any]) -> Answer:
    """Change settings: live where they may, else with a new network."""
    before = player.settings
    after = before.changed(partial)
    names = [f.name for f in dataclasses.fields(after) if getattr(before, f.name) != getattr(after, f.name)]
    rebuilt = not LIVE.issuperset(names)
    if rebuilt:
        own = player.own
        if after.dataset == "own" != before.dataset and not own.points:
            player.own = points.taken_over(player.course.context.data)
        try:
            context = make_context(after, player.data_of(after))
        except Exception:
            player.own = own
            raise
        player.halt()
        player.course.begin(context)
        player.changed(exact=True)
    elif names:
        player.course.change(after)
        player.changed(exact=player.exact and player.course.state.position == (0, 0))
    return {"state": player.state(), "rebuilt": rebuilt, "notes": traps(player.course.context)}


def _apply(player: Player, message: Message) -> Answer:
    partial, rewinds = player.doctor.remedy(message["remedy"])
    if rewinds:
        player.halt()
        player.course.rewind()
        player.changed(exact=True)
    return change(player, partial)


# -------------------------------------------------------------------------------------------------------------- steps


def _with_points(player: Player, action: str) -> None:
    if not player.course.context.count:
        raise DataError("there are no points to train on", expected="at least one", got="none", where=action,
                        fix="click on the plane to add some")  # fmt: skip


def _play(player: Player, message: Message) -> Answer:
    _with_points(player, "play")
    if player.not_finite is not None:
        raise OptionError("training has stopped at numbers that are not finite", expected="a remedy, or rewind",
                          got=f"step {player.not_finite['step']:,} is not finite", where="play",
                          fix="lower the learning rate, apply the remedy, or rewind")  # fmt: skip
    player.halt()
    player.playing = True
    player.pace.begin(message.get("speed"))
    player.half.clear()
    player.course.want_native()
    return {"state": player.state()}


def _pause(player: Player, message: Message) -> Answer:
    player.halt()
    player.course.mark()
    return {"state": player.state()}


def _step(player: Player, message: Message) -> Answer:
    _with_points(player, "step")
    player.halt()
    course, todo, count = player.course, player.todo, int(message.get("count", 1))
    player.not_finite = course.broken = None  # the step is tried again
    rows = course.context.rows
    if message["unit"] == "example":
        todo.examples = count
    elif message["unit"] == "batch":
        todo.rows = count
    else:
        todo.rows, todo.epochs = rows - course.state.batch + (count - 1) * rows, True
    version, since = course.curve_version, course.state.step
    player.work(_AT_ONCE)
    todo.announced = bool(todo)
    curve = course.curve if version == course.curve_version else []
    losses = [[step, number(a), number(b)] for step, a, b in curve if step > since][-_MOST_LOSSES:]
    return {"state": player.state(), "losses": losses, "notes": traps(course.context)}


def _half(player: Player, message: Message) -> Answer:
    _with_points(player, "half")
    player.halt()
    found = player.half.next(player.course, message.get("example"))
    if found["phase"] == "update":
        player.course.take(1)
        player.moved()
        player.half.phase = "update"
    return {**found, "state": player.state()}


def _back(player: Player, message: Message) -> Answer:
    player.halt()
    course, count, unit = player.course, int(message.get("count", 1)), message.get("unit", "batch")
    state = course.state
    if player.half.phase not in ("ready", "update"):  # a half-step is undone first
        player.half.clear()
        said = ["The half-steps of this batch are undone; no weight had moved."]
    elif state.position == (0, 0):
        said = ["This is the beginning."]
    else:
        inside = state.example > 0
        step, example = state.step, 0
        if unit == "example":
            step, example = _examples_back(player, count)
        elif unit == "batch":
            step -= count - inside
        else:
            rows = max(course.context.rows, 1)
            step -= state.batch + (count - (state.batch > 0 or inside)) * rows
        note = course.back(max(step, 0), example if step >= 0 else 0)
        said = [note] if note else []
        player.changed(exact=player.exact)
    return {"state": player.state(), "notes": said}


def _examples_back(player: Player, count: int) -> tuple[int, int]:
    """The position so many examples before."""
    state, context = player.course.state, player.course.context
    step, example, batch, epoch = state.step, state.example, state.batch, state.epoch
    if not context.rows:
        return step - 1, 0
    while example < count:
        count -= example
        step, batch = step - 1, batch - 1
        if step < 0:
            return 0, 0
        if batch < 0:
            batch, epoch = context.rows - 1, max(epoch - 1, 0)
        example = int(np.sum(context.batches(epoch, batch, 1)[0][0] >= 0))
    return step, example - count


def _rewind(player: Player, message: Message) -> Answer:
    player.halt()
    notes = []
    if message.get("new_seed"):
        seed, before = f"{np.random.default_rng().random():.5f}", player.settings
        data_seed = before.seed if before.data_seed is None else before.data_seed
        after = before.changed({"seed": seed, "data_seed": data_seed})
        player.course.begin(make_context(after, player.course.context.data))
        notes.append(f"New weights from seed {seed}; the data stay.")
    else:
        player.course.rewind()
    player.changed(exact=True)
    return {"state": player.state(), "notes": notes}


def _edit(player: Player, message: Message) -> Answer:
    course = player.course
    at = weight.place(course.context, message)
    player.halt()
    was, value = weight_lines.value_at(course.state.network, at), float(message["value"])
    course.edit(lambda network: weight.edited(network, at, value))
    player.changed()
    held, notes = course.state.held, []
    if held is not None and at.source is not None and held.dead[at.layer][at.source, at.to]:
        notes.append("This link died under L1: it keeps the typed value and is not trained any more.")
    return {"state": player.state(), "was": was, "value": value, "notes": notes}


# ------------------------------------------------------------------------------------------------------------ looking


def _inspect(seen: Seen, message: Message) -> Answer:
    return weight.inspect(seen, message.get("at"))


def _verdict(player: Player, message: Message) -> Answer:
    return player.doctor.verdict(player.course, player.not_finite)


def _view(player: Player, message: Message) -> Answer:
    given = {name: value for name, value in message.items() if name not in ("do", "id")}
    if given.get("hover") is not None:
        given["hover"] = (int(given["hover"][0]), int(given["hover"][1]))
    given.update({name: int(given[name]) for name in ("grid", "thumbnails") if name in given})
    player.view = dataclasses.replace(player.view, **given)
    player.redraw()
    return {"view": dataclasses.asdict(player.view)}


def _state(player: Player, message: Message) -> Answer:
    return keep.answer(player)


def _url(player: Player, message: Message) -> Answer:
    return keep.url(player)


def _load(player: Player, message: Message) -> Answer:
    notes = keep.load(player, message)
    return {"state": player.state(), "rebuilt": True, "notes": [*notes, *traps(player.course.context)]}


ACTIONS: dict[str, Callable[[Player, Message], Answer]] = {
    "hello": _hello, "choices": _choices, "set": _set, "apply": _apply, "play": _play, "pause": _pause, "step": _step,
    "half": _half, "back": _back, "rewind": _rewind, "edit": _edit, "verdict": _verdict, "view": _view, "state": _state,
    "url": _url, "load": _load, "data": points.act,
}  # fmt: skip
"""Every action that may change something, by its name in messages."""

LOOKS: dict[str, Callable[[Seen, Message], Answer]] = {"explain": weight.explain, "inspect": _inspect}
"""Actions that only look, which takes long in large networks: training goes on meanwhile."""
