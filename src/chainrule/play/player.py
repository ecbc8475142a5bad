"""One page's network: answers messages, trains a little at a time, and makes frames of where it stands.

``answer`` may be called from any thread, ``run`` and ``frame`` from another: one lock guards all that changes, and what
takes long (compiling, diagnosing, looking for the first number that is not finite) is done on threads of its own.

    player = Player()
    player.answer({"do": "step", "unit": "epoch"})
    player.answer({"do": "play"})
    while player.run(0.01): ...  # trains for about so long; False when there is nothing to do
    frame = player.frame()

Messages are those of ``messages.schema.json``.  Does not do: transport, time-sharing between players.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule.base.errors import DataError, OptionError
from chainrule.play import inspect, keep, weight
from chainrule.play.context import make_context
from chainrule.play.course import Course
from chainrule.play.datasets import Dataset, generate
from chainrule.play.half import HalfSteps
from chainrule.play.inspect import Budget, View, number
from chainrule.play.messages import checked
from chainrule.play.network import flat_biases, flat_weights
from chainrule.play.own import Point, Table, classes_of, dataset_of, points_of
from chainrule.play.settings import LIMITS, LIVE, Settings, choices
from chainrule.play.trainer import measured
from chainrule.play.verdict import Doctor

Message = Mapping[str, Any]
Answer = dict[str, Any]

_AT_ONCE = 0.05  # seconds of work inside an answer; the rest is done by run
_FIRST = 64  # neurons of a network that is measured inside a frame before anything was prepared


@dataclasses.dataclass
class _Todo:
    """Steps that were asked for and not yet taken: ``rows``, or ``examples``; ``epochs``: mark the loss after each."""

    rows: int = 0
    examples: int = 0
    epochs: bool = False


class Player:
    """A network that is trained, looked at and changed.  See the module."""

    def __init__(self, settings: Settings | Mapping[str, Any] | None = None, *, native: str = "auto") -> None:
        self._lock = threading.RLock()
        given = settings if isinstance(settings, Settings) else Settings().changed(settings or {})
        self.points: list[Point] = []
        self.own_names: tuple[str, ...] = ()
        self.own_spans: tuple[tuple[float, float], ...] = ()
        self.class_names: list[str] = []
        self.course = Course(given, self.data_of(given), native)
        self.exact = True  # whether settings, seed and number of steps alone lead to this state
        self._events: list[Answer] = []
        self.view = View()
        self._half = HalfSteps()
        self._doctor = Doctor(self._tell)
        self.playing, self._speed, self._todo = False, None, _Todo()
        self._owed, self._last_run = 0.0, 0.0
        self._rate, self._rate_from, self._frames = 0.0, (0.0, 0), 0
        self._sent: tuple[int, int] = (-1, 0)
        self._native = False
        self.not_finite: Answer | None = None
        self._pictures = inspect.Pictures()
        self._budgets = {name: Budget() for name in ("pictures", "measure", "losses", "confusion")}
        self._actions: dict[str, Callable[[Message], Answer]] = {
            "hello": self._hello, "choices": lambda m: {"choices": choices()}, "set": self._set, "play": self._play,
            "pause": self._pause, "step": self._step, "half": self._half_step, "back": self._back,
            "rewind": self._rewind, "edit": self._edit, "explain": self._explain, "verdict": self._verdict,
            "apply": self._apply, "data": self._data, "state": lambda m: keep.answer(self), "load": self._load,
            "url": lambda m: keep.url(self), "view": self._view, "inspect": self._inspect,
        }  # fmt: skip

    @property
    def settings(self) -> Settings:
        """The settings now."""
        return self.course.context.settings

    # ----------------------------------------------------------------------------------------------------- the server

    def answer(self, message: Any) -> Answer:
        """What an action answers, as JSON values.  Raises ChainruleError for what can't be done."""
        found = checked(message)
        with self._lock, np.errstate(all="ignore"):
            return self._actions[found["do"]](found)

    def run(self, seconds: float) -> bool:
        """Train for about so long, if there is something to do; False when idle."""
        with self._lock:
            self._notice()
            if self._todo.rows or self._todo.examples:
                self._work(seconds)
            elif self.playing:
                self._train(seconds)
            return self.playing or bool(self._todo.rows or self._todo.examples)

    def events(self) -> list[Answer]:
        """What happened since the last call."""
        with self._lock:
            self._notice()
            found, self._events = self._events, []
            return found

    def close(self) -> None:
        """The page is gone."""
        with self._lock:
            self.playing, self._todo = False, _Todo()
            self._doctor.close()
            self.course.close()

    def frame(self) -> bytes:
        """The newest state, as the view asks."""
        with self._lock:
            self._frames += 1
            course, context, state = self.course, self.course.context, self.course.state
            fresh = self._budgets["losses"].due()
            if fresh:
                began = time.perf_counter()
                losses = course.losses()
                self._budgets["losses"].spent(began)
            else:
                losses = course.latest_losses()
            header = self._header(losses)
            sections = {"losses": self._new_losses(header)}
            found, view = self._measured(), self.view
        network = state.network
        sections["weights"] = flat_weights(network).astype(np.float32)
        sections["biases"] = flat_biases(network).astype(np.float32)
        if found is not None:
            sections.update(inspect.measured_sections(network, found, state.example, view.cotangents))
            header["batch_loss"] = number(float(found.loss))
        if self._budgets["pictures"].due():
            began = time.perf_counter()
            sections.update(self._pictures.sections(context, network, view))
            self._budgets["pictures"].spent(began)
        if context.task.classes and self._budgets["confusion"].due():
            began = time.perf_counter()
            if (table := inspect.confusion(context, network)) is not None:
                sections["confusion"] = table
            self._budgets["confusion"].spent(began)
        return inspect.frame(header, sections)

    # ------------------------------------------------------------------------------------------------------- training

    def _train(self, seconds: float) -> None:
        course = self.course
        now = time.perf_counter()
        course.want_native()
        count = self._whole_epochs(seconds)
        if self._speed is not None:
            self._owed = min(self._owed + self._speed * (now - self._last_run), max(1.0, self._speed))
            count = min(count, int(self._owed))
        self._last_run = now
        taken = course.take(count, 2 * seconds) if count else 0
        self._owed = max(0.0, self._owed - taken)
        if taken:
            self._moved()
        if not course.context.count:
            self.playing = False

    def _whole_epochs(self, seconds: float) -> int:
        """As many steps as fit, up to the end of an epoch where epochs are short."""
        course = self.course
        assert course.program is not None
        fit = max(1, int(seconds / course.program.seconds[course.uses_native]))
        rows = max(1, course.context.rows)
        if fit < rows:
            return fit
        return rows - course.state.batch + (fit // rows - 1) * rows

    def _work(self, seconds: float) -> None:
        """Take steps that were asked for, for about so long."""
        course, todo, began = self.course, self._todo, time.perf_counter()
        while (todo.rows or todo.examples) and course.broken is None and course.context.count:
            if todo.examples:
                course.take_example()
                todo.examples -= 1
            else:
                left = course.context.rows - course.state.batch if todo.epochs else todo.rows
                taken = course.take(min(left, todo.rows), seconds - (time.perf_counter() - began))
                todo.rows -= taken
                if todo.epochs and course.state.batch == 0:
                    course.mark()
            if time.perf_counter() - began > seconds:
                break
        if course.broken is not None or not course.context.count:
            self._todo = _Todo()
        self._moved(mark=not self._todo.rows)

    def _moved(self, mark: bool = True) -> None:
        """After steps: the loss curve, and what there is to say."""
        course = self.course
        self._half.clear()
        if mark and self._budgets["losses"].due():
            began = time.perf_counter()
            course.mark()
            self._budgets["losses"].spent(began)
        if course.broken is not None and self.not_finite is None:
            self.playing, self._todo = False, _Todo()
            step = course.broken.step
            self.not_finite = {"step": step}
            self._events.append({"event": "stopped", "step": step,
                                 "sentence": f"Step {step:,} gives numbers that are not finite: training has stopped."})  # fmt: skip
            self._doctor.look_for_nonfinite(course.broken)

    def _notice(self) -> None:
        """Say when native code is there."""
        program = self.course.program
        if program is not None and program.native and not self._native:
            self._native = True
            self._events.append({"event": "compiled", "native": True})
        if not self._todo.rows and not self._todo.examples and self._half_done:
            self._half_done = False
            self._events.append({"event": "stepped", "state": self.state()})

    _half_done = False  # a step that was asked for goes on behind its answer

    def _tell(self, event: Answer) -> None:
        """From the doctor's thread."""
        with self._lock:
            if event["event"] == "not_finite" and self.not_finite is not None:
                self.not_finite = {**event}
            self._events.append(event)

    def halt(self) -> None:
        """Neither play nor go on with steps that were asked for."""
        self.playing, self._todo = False, _Todo()

    def changed(self, exact: bool = False) -> None:
        """The state was changed other than by training."""
        self._half.clear()
        self._doctor.clear()
        self.not_finite = None
        self._native = bool(self.course.program and self.course.program.native)
        self.exact = exact
        for budget in self._budgets.values():
            budget.last = 0.0

    # ---------------------------------------------------------------------------------------------------------- state

    def state(self) -> Answer:
        """Where it stands."""
        course = self.course
        context, state = course.context, course.state
        losses = course.losses()
        accuracy = None if losses.accuracy is None else [number(losses.accuracy), number(losses.accuracy_test)]
        found = keep.url(self)
        return {
            "settings": context.settings.to_json(), "epoch": state.epoch, "step": state.step, "batch": state.batch,
            "example": state.example, "phase": self._half.phase, "playing": self.playing or self._busy,
            "until": course.state.step + self._todo.rows if self._busy else None,
            "loss": [number(losses.train), number(losses.test)], "loss_train": number(losses.train),
            "loss_test": number(losses.test), "penalty": number(losses.penalty), "accuracy": accuracy,
            "sizes": list(context.sizes), "activations": list(context.activations), "inputs": context.sizes[0],
            "outputs": context.sizes[-1], "images": context.data.images, "classes": context.task.classes,
            "train_count": context.count, "test_count": context.data.count - context.count,
            "batches": context.rows, "batch_rows": context.width,
            "parameters": int(sum(layer.weight.size + layer.bias.size for layer in state.network.layers)),
            "learning_rate": float(context.rates(state.step, 1)[0]),
            "native": course.uses_native, "not_finite": self.not_finite, "traps": traps(course), "speed": self._speed,
            "url": found["url"], "url_exact": found["exact"],
        }  # fmt: skip

    @property
    def _busy(self) -> bool:
        return bool(self._todo.rows or self._todo.examples)

    def _header(self, losses: Any) -> Answer:
        state, course = self.course.state, self.course
        now = time.perf_counter()
        before, step = self._rate_from
        if now - before > 0.5:
            self._rate = max(0.0, (state.step - step) / (now - before)) if before else 0.0
            self._rate_from = (now, state.step)
        accuracy = None if losses.accuracy is None else [number(losses.accuracy), number(losses.accuracy_test)]
        return {
            "frame": self._frames, "epoch": state.epoch, "step": state.step, "batch": state.batch,
            "example": state.example, "phase": self._half.phase, "playing": self.playing or self._busy,
            "steps_per_second": self._rate if self.playing or self._busy else 0.0, "native": course.uses_native,
            "loss": [number(losses.train), number(losses.test)], "penalty": number(losses.penalty),
            "accuracy": accuracy, "sizes": list(course.context.sizes), "not_finite": self.not_finite is not None,
            "images": course.context.data.images,
            "learning_rate": float(course.context.rates(state.step, 1)[0]),
        }  # fmt: skip

    def _new_losses(self, header: Answer) -> Any:
        """The points of the curve since the last frame; all of them where earlier ones changed."""
        course = self.course
        version, count = self._sent
        whole = version != course.curve_version or count > len(course.curve)
        header["curve"] = "replace" if whole else "append"
        points = course.curve if whole else course.curve[count:]
        self._sent = (course.curve_version, len(course.curve))
        return np.array(points, np.float64).reshape(-1, 3)

    def _measured(self) -> Any:
        """The next batch looked at, where that is due."""
        course, budget = self.course, self._budgets["measure"]
        if not self.view.gradients or not course.context.count or not budget.due() or course.program is None:
            return None
        if not course.program.prepared and sum(course.context.sizes) > _FIRST:
            course.prepare()
            return None
        began = time.perf_counter()
        found = measured(course.program, course.context, course.state)
        budget.spent(began)
        return found

    # -------------------------------------------------------------------------------------------------------- actions

    def _hello(self, message: Message) -> Answer:
        self._sent = (-1, 0)
        for budget in self._budgets.values():
            budget.last = 0.0
        return {"choices": choices(), "state": self.state(), "view": dataclasses.asdict(self.view)}

    def _set(self, message: Message) -> Answer:
        return self.change(message["settings"])

    def change(self, partial: Mapping[str, Any]) -> Answer:
        """Change settings; see the message ``set``."""
        before = self.settings
        after = before.changed(partial)
        if after.dataset == "own" and before.dataset != "own" and not self.points:
            self._take_over()
        names = [f.name for f in dataclasses.fields(after) if getattr(before, f.name) != getattr(after, f.name)]
        rebuilt = not LIVE.issuperset(names)
        if not names:
            pass
        elif not rebuilt:
            self.course.change(after)
        else:
            data = self.data_of(after)
            self.course.begin(make_context(after, data))
            self.halt()
        if names:
            self.changed(exact=rebuilt or (self.exact and self.course.state.step == 0))
        return {"state": self.state(), "rebuilt": rebuilt and bool(names), "notes": traps(self.course)}

    def _play(self, message: Message) -> Answer:
        if self.not_finite is not None:
            raise OptionError("training has stopped at numbers that are not finite", expected="a remedy, or rewind",
                              got=f"step {self.not_finite['step']:,} is not finite", where="play",
                              fix="lower the learning rate, apply the remedy, or rewind")  # fmt: skip
        if not self.course.context.count:
            raise DataError("there are no points to train on", expected="at least one", got="none", where="play",
                            fix="click on the plane to add some")  # fmt: skip
        self.playing = True
        self._speed = message.get("speed")
        self._owed, self._last_run = 1.0, time.perf_counter()
        self._half.clear()
        self.course.want_native()
        return {"state": self.state()}

    def _pause(self, message: Message) -> Answer:
        self.halt()
        self.course.mark()
        return {"state": self.state()}

    def _step(self, message: Message) -> Answer:
        self.halt()
        course, count = self.course, int(message.get("count", 1))
        if not course.context.count:
            raise DataError("there are no points to train on", expected="at least one", got="none", where="step",
                            fix="click on the plane to add some")  # fmt: skip
        if self.not_finite is not None:
            self.not_finite = course.broken = None  # ask again: it may have been repaired
        rows = course.context.rows
        if message["unit"] == "example":
            self._todo = _Todo(examples=count)
        elif message["unit"] == "batch":
            self._todo = _Todo(rows=count)
        else:
            self._todo = _Todo(rows=rows - course.state.batch + (count - 1) * rows, epochs=True)
        version, since = course.curve_version, course.state.step
        self._work(_AT_ONCE)
        self._half_done = self._busy
        curve = course.curve if version == course.curve_version else []
        losses = [[step, number(a), number(b)] for step, a, b in curve if step > since][-1000:]
        return {"state": self.state(), "losses": losses, "notes": traps(course)}

    def _half_step(self, message: Message) -> Answer:
        self.halt()
        if not self.course.context.count:
            raise DataError("there are no points to train on", expected="at least one", got="none", where="half",
                            fix="click on the plane to add some")  # fmt: skip
        found = self._half.next(self.course, message.get("example"))
        if found["phase"] == "update":
            self.course.take(1)
            self._moved_half()
        return {**found, "state": self.state()}

    def _moved_half(self) -> None:
        phase = self._half.phase
        self._moved()
        self._half.phase = phase

    def _back(self, message: Message) -> Answer:
        self.halt()
        course, count, unit = self.course, int(message.get("count", 1)), message.get("unit", "batch")
        state = course.state
        if self._half.phase not in ("ready", "update"):  # a half-step is undone first
            self._half.clear()
            return {"state": self.state(), "notes": ["The half-steps of this batch are undone; no weight had moved."]}
        step, example = state.step, state.example
        if unit == "example":
            step, example = self._examples_back(count)
        elif unit == "batch":
            step, example = (step - (count - (example > 0)), 0)
        else:
            inside = state.batch + (example > 0) > 0
            rows = max(course.context.rows, 1)
            step, example = step - state.batch - (count - inside) * rows, 0
        if state.position == (0, 0):
            return {"state": self.state(), "notes": ["This is the beginning."]}
        note = course.back(max(step, 0), example)
        self.changed(exact=self.exact)
        return {"state": self.state(), "notes": [note] if note else []}

    def _examples_back(self, count: int) -> tuple[int, int]:
        """The position so many examples before."""
        state, context = self.course.state, self.course.context
        step, example, batch, epoch = state.step, state.example, state.batch, state.epoch
        while count > 0 and (step, example) > (0, 0):
            if example >= count:
                return step, example - count
            count -= example
            step, batch = step - 1, batch - 1
            if step < 0:
                return 0, 0
            if batch < 0:
                batch, epoch = context.rows - 1, epoch - 1
            rows, _ = context.batches(max(epoch, 0), batch, 1)
            example = int(np.sum(rows[0] >= 0))
        return step, example

    def _rewind(self, message: Message) -> Answer:
        self.halt()
        notes = []
        if message.get("new_seed"):
            seed = f"{np.random.default_rng().random():.5f}"
            before = self.settings
            data_seed = before.seed if before.data_seed is None else before.data_seed
            after = before.changed({"seed": seed, "data_seed": data_seed})
            self.course.begin(make_context(after, self.course.context.data))
            notes.append(f"New weights from seed {seed}; the data stay.")
        else:
            self.course.rewind()
        self.changed(exact=True)
        return {"state": self.state(), "notes": notes}

    def _edit(self, message: Message) -> Answer:
        self.halt()
        place = weight.place(self.course.context, message)
        was = weight.value_at(self.course.state.network, place)
        value = float(message["value"])
        self.course.edit(lambda network: weight.edited(network, place, value))
        self.changed()
        held = self.course.state.held
        notes = []
        if held is not None and place.source is not None and held.dead[place.layer][place.source, place.to]:
            notes.append("This link died under L1: it keeps the typed value and is not trained any more.")
        return {"state": self.state(), "was": was, "value": value, "notes": notes}

    def _explain(self, message: Message) -> Answer:
        return weight.explain(self.course, message)

    def _verdict(self, message: Message) -> Answer:
        return self._doctor.verdict(self.course, self.not_finite)

    def _apply(self, message: Message) -> Answer:
        partial, rewinds = self._doctor.remedy(message["remedy"])
        if rewinds:
            self.course.rewind()
        answer = self.change(partial)
        self.changed(exact=rewinds or answer["rebuilt"])
        return {**answer, "state": self.state()}

    def _view(self, message: Message) -> Answer:
        given = {k: v for k, v in message.items() if k not in ("do", "id")}
        if given.get("hover") is not None:
            given["hover"] = (int(given["hover"][0]), int(given["hover"][1]))
        for name in ("grid", "thumbnails"):
            if name in given:
                given[name] = int(given[name])
        self.view = dataclasses.replace(self.view, **given)
        for budget in self._budgets.values():
            budget.last = 0.0
        return {"view": dataclasses.asdict(self.view)}

    def _inspect(self, message: Message) -> Answer:
        return weight.inspect(self.course, message.get("at"))

    def _load(self, message: Message) -> Answer:
        notes = keep.load(self, message)
        return {"state": self.state(), "rebuilt": True, "notes": [*notes, *traps(self.course)]}

    def replay(self, steps: int) -> None:
        """Take so many steps in the background."""
        self._todo, self._half_done = _Todo(rows=steps), True

    def begin(self, settings: Settings, data: Dataset) -> None:
        """A new network for settings and data."""
        self.halt()
        self.course.begin(make_context(settings, data))
        self.changed(exact=True)

    # ----------------------------------------------------------------------------------------------------------- data

    def data_of(self, settings: Settings) -> Dataset:
        """The data of settings, own points included."""
        if settings.dataset != "own":
            return generate(settings)
        return dataset_of(self.points, settings.problem, settings.train_percent, self.own_names, self.own_spans)

    def _take_over(self) -> None:
        """The points that are there become own ones."""
        data = self.course.context.data
        self.own_names, self.own_spans, self.class_names = (), (), []
        if data.images:
            self.points = []
            return
        table = np.column_stack([data.points, data.labels]).astype(np.float32).tolist()
        self.points = [(row[0], row[1], row[2]) for row in table[: int(LIMITS["points"])]]

    def _data(self, message: Message) -> Answer:
        action = message["action"]
        notes: list[str] = []
        extra: Answer = {}
        if action in ("add", "remove", "clear"):
            notes = self._edit_points(message)
        elif action == "regenerate":
            notes = self._regenerate()
        elif action == "csv":
            extra, notes = self._csv(message)
        return {**self.data_answer(), **extra, "state": self.state(), "notes": notes}

    def data_answer(self) -> Answer:
        """The points, for the page to draw."""
        data = self.course.context.data
        points = [] if data.images else np.column_stack([data.points, data.labels]).tolist()
        return {
            "points": points, "train": data.train, "classes": data.classes, "names": list(data.names),
            "class_names": self.class_names if self.settings.dataset == "own" else [],
            "spans": [list(s) for s in data.spans],
        }  # fmt: skip

    def _edit_points(self, message: Message) -> list[str]:
        if self.course.context.data.images:
            raise DataError("digits are not points of the plane", expected="another data set", got="digits",
                            where="data", fix="choose dataset own, or circle")  # fmt: skip
        action, before = message["action"], (self.points, self.own_names, self.own_spans, self.class_names)
        if self.settings.dataset != "own":
            self._take_over()
        points = list(self.points)
        try:
            if action == "clear":
                points, self.own_names, self.own_spans, self.class_names = [], (), (), []
            elif "x1" not in message or "x2" not in message:
                raise DataError("a point has two coordinates", expected="x1 and x2", got="not both", where="data",
                                fix="send both")  # fmt: skip
            elif action == "add":
                points.append(self._point(message))
            else:
                if not points:
                    raise DataError("there is no point to remove", expected="at least one", got="none", where="data",
                                    fix="add one first")  # fmt: skip
                at = np.array(points)[:, :2] - (message["x1"], message["x2"])
                points.pop(int(np.argmin(np.sum(at * at, axis=1))))
            if self.settings.problem == "classification":
                classes_of(np.array([p[2] for p in points], np.float64))
            self.points = points
            return self._own_data(self.settings.changed({"dataset": "own"}))
        except (DataError, OptionError):
            self.points, self.own_names, self.own_spans, self.class_names = before
            raise

    def _point(self, message: Message) -> Point:
        if len(self.points) >= LIMITS["points"]:
            raise DataError("there are too many points", expected=f"at most {LIMITS['points']:,}",
                            got=f"{len(self.points) + 1:,}", where="data", fix="remove some")  # fmt: skip
        x, y, label = (float(np.float32(message.get(name, 1.0))) for name in ("x1", "x2", "label"))
        return x, y, label

    def _own_data(self, settings: Settings) -> list[str]:
        """Go on with own points; a new network where they need one."""
        data = self.data_of(settings)
        context = make_context(settings, data)
        same = (context.sizes, context.activations) == (self.course.context.sizes, self.course.context.activations)
        if same and settings.normalise == self.settings.normalise:
            self.course.change_data(data, settings)
            self.changed()
            if not context.count:
                self.halt()
            return []
        self.begin(settings, data)
        return ["Another number of classes needs another network: it starts anew."]

    def _regenerate(self) -> list[str]:
        if self.settings.dataset == "own":
            raise DataError("own data are not generated", expected="another data set", got="own", where="data",
                            fix="add points, or choose a data set")  # fmt: skip
        seed = f"{np.random.default_rng().random():.5f}"
        settings = self.settings.changed({"data_seed": seed})
        self.course.change_data(generate(settings), settings)
        self.changed()
        return [f"New data from seed {seed}; the network goes on, and its losses are those on the new data."]

    def _csv(self, message: Message) -> tuple[Answer, list[str]]:
        if "text" not in message:
            raise DataError("there is no table", expected="text", got="none", where="data csv", fix="paste CSV")
        table = Table(message["text"])
        points, problem, chosen, spans = points_of(
            table, message.get("columns"), message.get("target"), message.get("problem")
        )
        points = [(float(np.float32(a)), float(np.float32(b)), float(np.float32(c))) for a, b, c in points]
        before = (self.points, self.own_names, self.own_spans, self.class_names)
        self.points, self.own_spans = points, tuple(spans)
        self.own_names = (*chosen["columns"], chosen["target"] or "label")
        self.class_names = chosen["classes"]
        try:
            settings = self.settings.changed({"dataset": "own", "problem": problem})
            self.begin(settings, self.data_of(settings))
        except (DataError, OptionError):
            self.points, self.own_names, self.own_spans, self.class_names = before
            raise
        found = {"columns": table.columns, "rows": len(table.rows), "preview": table.rows[:5], "chosen": chosen}
        return {"table": found}, [f"{len(points):,} rows; columns are drawn from -5 to 5."]


def traps(course: Course) -> list[str]:
    """What a person should know about these settings."""
    context = course.context
    s, found = context.settings, []
    if s.compatible and s.batch_size > context.count > 0:
        found.append(f"A batch of {s.batch_size} is larger than the {context.count} training examples: by the reference's rule"
                     " the network never updates. The default mode takes all examples as one batch.")  # fmt: skip
    elif s.compatible and context.count % s.batch_size:
        left = context.count % s.batch_size
        found.append(f"{context.count} examples leave {left} over after the last whole batch: by the reference's rule they join"
                     " the first update of the next epoch. The default mode applies them as a smaller batch.")  # fmt: skip
    if s.compatible and s.regularization == "l1" and s.regularization_rate:
        found.append("By the reference's rule a weight that L1 carries across zero stays zero for ever.")
    if not context.count:
        found.append("There are no points to train on.")
    elif context.task.classes and len(np.unique(context.data.labels[: context.count])) < 2:
        found.append("All training examples have the same label: there is nothing to tell apart.")
    return found
