"""One page's network: answers messages, trains a little at a time, and makes frames of where it stands.

``answer`` may be called from any thread, ``run`` and ``frame`` from another: one lock guards all that changes, and what
takes long (compiling, diagnosing, looking for the first number that is not finite) is done on threads of its own.

    player = Player()
    player.answer({"do": "step", "unit": "epoch"})
    player.answer({"do": "play"})
    while player.run(0.01): ...  # trains for about so long; False when there is nothing to do
    frame = player.frame()

Messages are those of ``messages.schema.json``; what each does is in ``actions`` and ``points``.
Does not do: transport, time-sharing between players.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.play import inspect, keep
from chainrule.play.actions import ACTIONS, LOOKS
from chainrule.play.context import make_context
from chainrule.play.course import Course, Losses, Seen, losses_of
from chainrule.play.datasets import Dataset, generate
from chainrule.play.half import HalfSteps
from chainrule.play.inspect import Budget, View, loss_number, number
from chainrule.play.messages import checked
from chainrule.play.network import flat_biases, flat_weights
from chainrule.play.own import dataset_of
from chainrule.play.points import OwnPoints
from chainrule.play.settings import Settings
from chainrule.play.trainer import Measured, measured
from chainrule.play.traps import traps
from chainrule.play.verdict import Doctor

Answer = dict[str, Any]

_FIRST = 64  # neurons of a network that is measured inside a frame before anything was prepared
_RATE_OVER = 0.5  # seconds that steps per second are counted over


@dataclasses.dataclass
class Todo:
    """Steps that were asked for and not yet taken: ``rows``, or ``examples``; ``epochs``: mark the loss after each.

    ``announced``: they go on behind the answer, and an event says when they are done.
    """

    rows: int = 0
    examples: int = 0
    epochs: bool = False
    announced: bool = False

    def __bool__(self) -> bool:
        return bool(self.rows or self.examples)


@dataclasses.dataclass
class Pace:
    """How fast playing goes: at most ``most`` steps a second (None: no limit), of which ``owed`` are due."""

    most: float | None = None
    owed: float = 0.0
    since: float = 0.0

    def begin(self, most: float | None) -> None:
        """Play from now on; the first step is due at once."""
        self.most, self.owed, self.since = most, 1.0, time.perf_counter()

    def due(self, count: int) -> int:
        """How many of ``count`` steps may be taken now."""
        now = time.perf_counter()
        if self.most is not None:
            self.owed = min(self.owed + self.most * (now - self.since), max(1.0, self.most))
            count = min(count, int(self.owed))
        self.since = now
        return count


class Player:
    """A network that is trained, looked at and changed.  See the module.

    ``native``: "auto" trains natively as soon as that is compiled, "never" by NumPy alone, "wait" compiles first.
    """

    def __init__(self, settings: Settings | Mapping[str, Any] | None = None, *, native: str = "auto") -> None:
        self._lock = threading.RLock()
        given = settings if isinstance(settings, Settings) else Settings().changed(settings or {})
        self.own = OwnPoints()
        self.course = Course(given, self.data_of(given), native)
        self.exact = True  # whether settings, seed and number of steps alone lead to this state
        self.view = View()
        self.half = HalfSteps()
        self.playing, self.pace, self.todo = False, Pace(), Todo()
        self.not_finite: Answer | None = None
        self.doctor = Doctor(self._tell)
        self._events: list[Answer] = []
        self._was_native = False
        self._frames, self._sent = 0, (-1, 0)
        self._rate, self._counted = 0.0, (0.0, 0)
        self._pictures = inspect.Pictures()
        self._budgets = {name: Budget() for name in ("pictures", "measure", "losses")}

    @property
    def settings(self) -> Settings:
        """The settings now."""
        return self.course.context.settings

    # ----------------------------------------------------------------------------------------------------- the server

    def answer(self, message: Any) -> Answer:
        """What an action answers, as JSON values.  Raises ChainruleError for what can't be done."""
        found = checked(message)
        with np.errstate(all="ignore"):
            if found["do"] in LOOKS:
                with self._lock:
                    seen = self.course.seen()
                return LOOKS[found["do"]](seen, found)
            with self._lock:
                return ACTIONS[found["do"]](self, found)

    def run(self, seconds: float) -> bool:
        """Train for about so long, if there is something to do; False when idle."""
        with self._lock, np.errstate(all="ignore"):
            self._notice()
            if self.todo:
                self.work(seconds)
            elif self.playing:
                self._train(seconds)
            return self.busy

    def events(self) -> list[Answer]:
        """What happened since the last call."""
        with self._lock:
            self._notice()
            found, self._events = self._events, []
            return found

    def close(self) -> None:
        """The page is gone."""
        with self._lock:
            self.halt()
            self.doctor.clear()
            self.course.close()

    @np.errstate(all="ignore")  # weights beyond float32's range are drawn as what they become
    def frame(self) -> bytes:
        """The newest state, as the view asks.  What takes long is computed while training goes on.

        While it trains, such parts come as often as their share of the time allows; at rest, every frame has all of
        them: no later one may come to bring what this one lacks.
        """
        with self._lock, np.errstate(all="ignore"):
            self._frames += 1
            whole = not self.busy
            seen, view, header = self.course.seen(), self.view, {**self.position(), "frame": self._frames}
            known = self.course.latest_losses(seen)
        context, network, held = seen.context, seen.state.network, seen.state.held
        fresh = known is None and (whole or self._budgets["losses"].due())
        with np.errstate(all="ignore"):
            if fresh:
                with self._budgets["losses"]:
                    known = losses_of(context, network)
            found = self._measured(seen, whole)
        with self._lock:
            if fresh and known is not None:
                self.course.know(seen, known)
            header.update(self._now(known or self.course.recent_losses()))
            sections = {"losses": self._new_losses(header)}
        sections["weights"] = inspect.floats(flat_weights(network))
        sections["biases"] = inspect.floats(flat_biases(network))
        if held is not None and any(np.any(dead) for dead in held.dead):
            sections["dead"] = np.concatenate([dead.T.reshape(-1) for dead in held.dead]).astype(np.uint8)
        if found is not None:
            sections.update(inspect.measured_sections(network, found, seen.state.example, view.cotangents))
            header["batch_loss"] = number(float(found.loss))
        if whole or self._budgets["pictures"].due():
            with self._budgets["pictures"]:
                sections.update(self._pictures.sections(context, network, view))
                table = inspect.confusion(context, network)
                if table is not None:
                    sections["confusion"] = table
        return inspect.frame(header, sections)

    # ------------------------------------------------------------------------------------------------------- training

    def _train(self, seconds: float) -> None:
        """Play for about so long."""
        course = self.course
        course.want_native()
        count = self.pace.due(self._whole_epochs(seconds))
        taken = course.take(count, 2 * seconds) if count else 0
        self.pace.owed = max(0.0, self.pace.owed - taken)
        if taken or course.broken is not None:
            self.moved()
        if not course.context.count:
            self.halt()

    def _whole_epochs(self, seconds: float) -> int:
        """As many steps as fit, up to the end of an epoch where epochs are short."""
        course = self.course
        fit = max(1, int(seconds / course.seconds_per_step))
        rows = max(1, course.context.rows)
        return fit if fit < rows else rows - course.state.batch + (fit // rows - 1) * rows

    def work(self, seconds: float) -> None:
        """Take steps that were asked for, for about so long."""
        course, todo, began = self.course, self.todo, time.perf_counter()
        while todo and course.broken is None and course.context.count:
            if todo.examples:
                course.take_example()
                todo.examples -= 1
            else:
                left = course.context.rows - course.state.batch if todo.epochs else todo.rows
                todo.rows -= course.take(min(left, todo.rows), seconds - (time.perf_counter() - began))
                if todo.epochs and course.state.batch == 0:
                    course.mark()
            if time.perf_counter() - began > seconds:
                break
        if course.broken is not None or not course.context.count:
            todo.rows = todo.examples = 0
        self.moved()

    def moved(self) -> None:
        """After steps: the loss curve, and what there is to say."""
        course = self.course
        self.half.clear()
        if not self.todo and self._budgets["losses"].due():
            with self._budgets["losses"]:
                course.mark()
        if course.broken is not None and self.not_finite is None:
            self.halt()
            step = course.broken.step
            self.not_finite = {"step": step}
            said = f"Step {step:,} gives numbers that are not finite: training has stopped."
            self._events.append({"event": "stopped", "step": step, "sentence": said})
            self.doctor.look_for_nonfinite(course.broken)

    def halt(self) -> None:
        """Neither play nor go on with steps that were asked for."""
        self.playing, self.todo = False, Todo()

    def changed(self, exact: bool = False) -> None:
        """The state was changed other than by training; ``exact``: settings and steps alone still lead to it."""
        self.half.clear()
        self.doctor.clear()
        self.not_finite = None
        self._was_native = self.course.uses_native
        self.exact = exact
        self.redraw()

    def redraw(self) -> None:
        """Make every part of the next frame anew."""
        for budget in self._budgets.values():
            budget.last = 0.0

    def greeted(self) -> None:
        """A page begins to listen: its first frame carries the whole loss curve."""
        self._sent = (-1, 0)
        self.redraw()

    def begin(self, settings: Settings, data: Dataset) -> None:
        """A new network for settings and data."""
        self.halt()
        self.course.begin(make_context(settings, data))
        self.changed(exact=True)

    def data_of(self, settings: Settings) -> Dataset:
        """The data of settings, own points included."""
        if settings.dataset != "own":
            return generate(settings)
        own = self.own
        return dataset_of(own.points, settings.problem, settings.train_percent, own.names, own.spans)

    # --------------------------------------------------------------------------------------------------------- events

    def _notice(self) -> None:
        """Say what has come to pass: native code is there, the steps asked for are taken."""
        if self.course.uses_native and not self._was_native:
            self._was_native = True
            self._events.append({"event": "compiled", "native": True})
        if self.todo.announced and not self.todo:
            self.todo = Todo()
            self._events.append({"event": "stepped", "state": self.state()})

    def _tell(self, event: Answer) -> None:
        """From the doctor's thread."""
        with self._lock:
            if event["event"] == "not_finite" and self.not_finite is not None:
                self.not_finite = {name: value for name, value in event.items() if name != "event"}
            self._events.append(event)

    # ---------------------------------------------------------------------------------------------------------- state

    @property
    def busy(self) -> bool:
        """Whether it trains."""
        return self.playing or bool(self.todo)

    def position(self) -> Answer:
        """What frames and states both say of where it stands."""
        context, state = self.course.context, self.course.state
        return {
            "epoch": state.epoch, "step": state.step, "batch": state.batch, "example": state.example,
            "phase": self.half.phase, "playing": self.busy, "native": self.course.uses_native,
            "sizes": list(context.sizes), "images": context.data.images,
            "learning_rate": float(context.rates(state.step, 1)[0]),
        }  # fmt: skip

    def state(self) -> Answer:
        """Where it stands, and all settings."""
        course = self.course
        context, network, losses = course.context, course.state.network, course.losses()
        found = keep.url(self)
        return {
            **self.position(), **_losses(losses),
            "settings": context.settings.to_json(), "until": course.state.step + self.todo.rows if self.todo else None,
            "activations": list(context.activations), "inputs": context.sizes[0], "outputs": context.sizes[-1],
            "classes": context.task.classes, "train_count": context.count,
            "test_count": context.data.count - context.count, "batches": context.rows, "batch_rows": context.width,
            "parameters": int(flat_weights(network).size + flat_biases(network).size), "speed": self.pace.most,
            "not_finite": self.not_finite, "traps": traps(context), "url": found["url"], "url_exact": found["exact"],
        }  # fmt: skip

    def _now(self, losses: Losses) -> Answer:
        now, (before, step) = time.perf_counter(), self._counted
        if now - before > _RATE_OVER:
            self._rate = max(0.0, (self.course.state.step - step) / (now - before)) if before else 0.0
            self._counted = (now, self.course.state.step)
        rate = self._rate if self.busy else 0.0
        return {**_losses(losses), "steps_per_second": rate, "not_finite": self.not_finite is not None}

    def _new_losses(self, header: Answer) -> Any:
        """The points of the curve since the last frame; all of them where earlier ones changed."""
        course, (version, count) = self.course, self._sent
        whole = version != course.curve_version or count > len(course.curve)
        header["curve"] = "replace" if whole else "append"
        self._sent = (course.curve_version, len(course.curve))
        return np.array(course.curve if whole else course.curve[count:], np.float64).reshape(-1, 3)

    def _measured(self, seen: Seen, whole: bool) -> Measured | None:
        """The next batch looked at, where that is due."""
        budget, context = self._budgets["measure"], seen.context
        if not self.view.gradients or not context.count or not (whole or budget.due()):
            return None
        if not seen.program.prepared and sum(context.sizes) > _FIRST:
            self.course.prepare()
            return None
        with budget:
            return measured(seen.program, context, seen.state)


def _losses(losses: Losses) -> Answer:
    accuracy = None if losses.accuracy is None else [number(losses.accuracy), number(losses.accuracy_test)]
    both = [loss_number(losses.train), loss_number(losses.test)]
    return {"loss": both, "penalty": loss_number(losses.penalty), "accuracy": accuracy}
