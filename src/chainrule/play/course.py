"""One running training: where it stands, how it goes on, and how it comes back.

What is here never changes arrays: a :class:`~chainrule.play.trainer.State` is replaced by the next.  Rows of steps go
through :mod:`chainrule.play.trainer` in portions of about a millisecond's work or more, natively as soon as the program
is compiled.  After each portion the parameters are looked at: where they are not finite, the portion is taken again in
halves until the step is found, the training stays in the state before it and stops.

Does not do: messages (``player``), pictures (``inspect``).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.base.errors import OptionError
from chainrule.play.context import Context, make_context
from chainrule.play.datasets import Dataset
from chainrule.play.history import History
from chainrule.play.network import Network, bias_of, initial, penalty
from chainrule.play.settings import LIVE, Settings
from chainrule.play.trainer import PROGRAMS, Program, State, advance, advance_example, optimizer_state, shape_of, start

Array = Any

_MOST_POINTS = 4_000  # of the loss curve
_MANY = 300_000  # activations: computing the losses takes longer than a moment
_LONGEST = 0.02  # seconds of one call of a program


@dataclasses.dataclass(frozen=True)
class Losses:
    """Mean losses over training and test rows without and the penalty of regularisation; shares of right answers."""

    train: float
    test: float
    penalty: float
    accuracy: float | None
    accuracy_test: float | None


_UNKNOWN = Losses(float("nan"), float("nan"), 0.0, None, None)


@dataclasses.dataclass(frozen=True)
class Broken:
    """A step that made parameters that are not finite: its number and the state before it."""

    step: int
    state: State
    context: Context


@dataclasses.dataclass(frozen=True)
class Seen:
    """A training at one moment, to look at while it goes on."""

    context: Context
    state: State
    program: Program


class Course:
    """A training under way.  ``native``: "auto" uses native code when it is there, "never" does not ask for it."""

    def __init__(self, settings: Settings, data: Dataset, native: str = "auto") -> None:
        self.native = native
        self.history = History()
        self.broken: Broken | None = None
        self.curve: list[tuple[int, float, float]] = []
        self.curve_version = 0
        self._losses: Losses | None = None
        self._seen: Losses | None = None
        self.context = make_context(settings, data)
        self.program = PROGRAMS.take(shape_of(self.context))
        self.begin(self.context)

    # ------------------------------------------------------------------------------------------------------ beginning

    def begin(self, context: Context, state: State | None = None, network: Network | None = None) -> None:
        """A new training from ``state``, or from initial weights (``network``, or drawn)."""
        self.context = context
        self.first = start(context, network or initial(context.settings, context.data))
        self.history.clear()
        self.curve = []
        self._take_program()
        self._arrive(state or self.first)

    def rewind(self) -> None:
        """The initial weights again."""
        self.first = start(self.context, self.first.network)
        self.history.clear()
        self.curve = []
        self._arrive(self.first)

    def close(self) -> None:
        """Nothing more will be trained."""
        PROGRAMS.leave(self.program)

    def change(self, settings: Settings) -> None:
        """Go on under other live settings.  Raises OptionError for those that are not live."""
        before = self.context.settings
        names = [f.name for f in dataclasses.fields(settings) if getattr(before, f.name) != getattr(settings, f.name)]
        if not LIVE.issuperset(names):
            raise OptionError("this can't change while training", expected=f"one of {', '.join(sorted(LIVE))}",
                              got=", ".join(names), where="settings", fix="begin anew")  # fmt: skip
        self.context = self.context.with_settings(settings)
        self._take_program()
        state = self.state
        if before.optimizer != settings.optimizer:
            state = dataclasses.replace(state, optimizer=optimizer_state(self.context, state.network))
        if before.batch_size != settings.batch_size and state.batch + state.example:
            # What a batch is has changed: the rest of this epoch is left out.
            state = dataclasses.replace(state, epoch=state.epoch + 1, batch=0, example=0)
        self.history.seal()
        self._arrive(state)

    def change_data(self, context: Context) -> None:
        """Go on with other data for the same network, from the start of the next epoch."""
        if context.sizes != self.context.sizes:
            raise OptionError("these data need another network", expected=f"inputs and outputs {self.context.sizes}",
                              got=f"{context.sizes}", where="data", fix="begin anew")  # fmt: skip
        self.context = context
        self._take_program()
        state = self.state
        if state.batch + state.example:
            state = dataclasses.replace(state, epoch=state.epoch + 1, batch=0, example=0)
        self.history.seal()
        self._arrive(state)

    def edit(self, change: Callable[[Network], Network]) -> None:
        """Go on from parameters changed by hand."""
        self.history.seal()
        self._arrive(dataclasses.replace(self.state, network=change(self.state.network)))

    def _take_program(self) -> None:
        before, self.program = self.program, PROGRAMS.take(shape_of(self.context))
        PROGRAMS.leave(before)

    def _arrive(self, state: State) -> None:
        self.state = state
        self.broken = None
        self._losses = self._seen = None
        self.curve = [point for point in self.curve if point[0] < state.step]
        self.curve_version += 1
        self.mark()

    # --------------------------------------------------------------------------------------------------------- losses

    @property
    def slow_losses(self) -> bool:
        """Whether computing the losses would hold up an answer; they are then those of the last frame."""
        return self.context.data.count * sum(self.context.sizes[1:]) > _MANY

    def losses(self) -> Losses:
        """The losses now, or where these are slow the last that are known."""
        if self._losses is None and not self.slow_losses:
            self._losses = self._seen = losses_of(self.context, self.state.network)
        return self._losses or self._seen or _UNKNOWN

    def latest_losses(self, seen: Seen) -> Losses | None:
        """The losses of that moment if they are known."""
        return self._losses if seen.state is self.state else None

    def recent_losses(self) -> Losses:
        """The losses when they were last computed."""
        return self._seen or self.losses()

    def know(self, seen: Seen, losses: Losses) -> None:
        """The losses of that moment were computed elsewhere."""
        if seen.context is not self.context:
            return
        self._seen = losses
        if seen.state is self.state:
            self._losses = losses
        if not self.curve or self.curve[-1][0] <= seen.state.step <= self.state.step:
            self._add(seen.state.step, losses)

    def mark(self) -> None:
        """Add the losses now to the curve, unless they are slow: then frames do."""
        if not self.slow_losses:
            self._add(self.state.step, self.losses())

    def _add(self, step: int, losses: Losses) -> None:
        """A point of the curve; of a long curve every other point goes."""
        point = (step, losses.train, losses.test)
        if self.curve and self.curve[-1][0] == step:
            self.curve[-1] = point
            return
        self.curve.append(point)
        if len(self.curve) > _MOST_POINTS:
            self.curve = self.curve[::2]
            self.curve_version += 1

    # ---------------------------------------------------------------------------------------------------------- going

    @property
    def uses_native(self) -> bool:
        """Whether the next steps run natively."""
        return self.native != "never" and self.program.native

    @property
    def seconds_per_step(self) -> float:
        """About how long the next step takes."""
        return self.program.seconds[self.uses_native]

    def seen(self) -> Seen:
        """Where it stands now."""
        return Seen(self.context, self.state, self.program)

    def want_native(self) -> None:
        """Let the program be compiled in the background; with ``native="wait"`` at once."""
        if self.native == "never":
            return
        if self.native == "wait":
            self.program.compile()
        PROGRAMS.compile_soon(self.program)

    def prepare(self) -> None:
        """Let the program be compiled, and what measures a batch be traced, in the background."""
        PROGRAMS.compile_soon(self.program, native=self.native != "never")

    def take(self, count: int, seconds: float | None = None) -> int:
        """Up to ``count`` rows, or as many as ``seconds`` allow; returns how many were taken.

        Ends early, with :attr:`broken` set, before a step that gives numbers that are not finite.
        """
        if not self.context.count:
            return 0
        self.want_native()
        began, taken = time.perf_counter(), 0
        while taken < count and self.broken is None:
            native = self.uses_native
            left = _LONGEST if seconds is None else min(_LONGEST, seconds - (time.perf_counter() - began))
            if taken and left <= 0:
                break
            portion = max(1, int(max(left, 0.0) / self.program.seconds[native]))
            taken += self._portion(min(portion, count - taken, self.program.shape.rows), native)
        return taken

    def _portion(self, count: int, native: bool) -> int:
        before, began = self.state, time.perf_counter()
        after = advance(self.program, self.context, before, count, native)
        if not finite(after.network):
            after, count = self._last_finite(before, count, native)
        if count:
            self.history.note(before, self.context, native, count, time.perf_counter() - began)
            self.state, self._losses = after, None
        return count

    def _last_finite(self, before: State, count: int, native: bool) -> tuple[State, int]:
        """The last state before the first step that is not finite, and how many steps lead to it."""
        good, low, high = before, 0, count  # after low steps all is finite, after high it is not
        while high - low > 1:
            middle = (low + high) // 2
            state = advance(self.program, self.context, good, middle - low, native)
            if finite(state.network):
                good, low = state, middle
            else:
                high = middle
        self.broken = Broken(good.step + 1, good, self.context)
        return good, low

    def take_example(self) -> None:
        """One example."""
        if not self.context.count:
            return
        self.want_native()
        native, before = self.uses_native, self.state
        after = advance_example(self.program, self.context, before, native)
        if not finite(after.network):
            self.broken = Broken(before.step + 1, before, self.context)
            return
        if self.context.settings.compatible:
            self.history.note_example(before, self.context, native)
        elif after.step > before.step:
            self.history.note(before, self.context, native, 1, 1e-4)
        self.state, self._losses = after, None

    # ----------------------------------------------------------------------------------------------------------- back

    def back(self, step: int, example: int = 0) -> str | None:
        """Back to a position before this one; what is said where that is not kept (and nothing changes)."""
        if step == self.state.step and not self.context.settings.compatible:
            found: State | None = dataclasses.replace(self.state, example=example)  # no weight has moved since
        else:
            found = self.history.at(step, example)
        if found is None and (step, example) == self.first.position:
            found = self.first
        if found is None:
            earliest = self.history.earliest()
            first = "" if earliest is None else f" (the first that is: {earliest:,})"
            return f"Step {step:,} is no longer kept{first}. Rewind goes to the initial weights."
        note = None
        expected = trees.flatten(optimizer_state(self.context, found.network))[1]
        if trees.flatten(found.optimizer)[1] != expected:
            found = dataclasses.replace(found, optimizer=optimizer_state(self.context, found.network))
            note = "The optimizer was changed since: it starts without a memory."
        if found.batch >= max(self.context.rows, 1):
            found = dataclasses.replace(found, epoch=found.epoch + 1, batch=0, example=0)
        self._arrive(found)
        return note


def finite(network: Network) -> bool:
    """Whether all parameters are finite numbers."""
    return all(bool(np.isfinite(layer.weight).all() and np.isfinite(bias_of(layer)).all()) for layer in network.layers)


@np.errstate(all="ignore")
def losses_of(context: Context, network: Network) -> Losses:
    """The losses of a network over all training and all test rows."""
    task, tables, count = context.task, context.tables, context.count
    found: list[tuple[float, float | None]] = []
    for x, t, labels in (
        (tables.x[:count], tables.t[:count], context.data.labels[:count]),
        (tables.x_test, tables.t_test, context.data.labels[count:]),
    ):
        if not len(x):
            found.append((float("nan"), None))
            continue
        outputs = network(x)
        loss = float(np.mean(task.per_example(outputs, t)))
        right = float(np.mean(task.decided(outputs) == task.indices(labels))) if task.classes else None
        found.append((loss, right))
    extra = float(penalty(network, np.float64(context.l1), np.float64(context.l2)))
    return Losses(found[0][0], found[1][0], extra, found[0][1], found[1][1])
