"""The diagnosis of a training run: every n-th step measured, judged at the end over all of them.

A measured step runs one program more: forward and backward pass with statistics, the update as the optimizer makes it,
and one forward pass behind it.  It returns one vector of some hundred numbers, which is read when the report is asked
for.  The training's own arrays are only looked at, and its steps run on in one native call.

Where there is a second core, the program runs beside the training, on copies (see ``beside``).  Compiling it takes
longer than running it with NumPy a few times, so the first steps are measured with NumPy: a short run compiles nothing.

Does not do: changing the run; judging (see ``story``).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.diagnose.beside import Queue, has_idle_core
from chainrule.diagnose.diagnosis import deep_findings, gradients_of, read
from chainrule.diagnose.findings import Findings, layer_rows, level_rows, with_symmetry
from chainrule.diagnose.measure import make_look, read_look
from chainrule.diagnose.probes import longest, noise_scale, step_size
from chainrule.diagnose.record import Record, record_of
from chainrule.diagnose.report import Report, Subject
from chainrule.diagnose.story import Story
from chainrule.diagnose.verdicts import judge
from chainrule.graph.evaluate import run_plan
from chainrule.jitted import Jitted, native_or_numpy, native_program
from chainrule.train.step import four_arguments

_SMALL_UPDATE = 1e-4  # beyond this the update is large enough that no longer step needs to be tried
_TRIED_EVERY = 4  # small steps: how far one may go changes slowly, and trying costs several forward passes
_WITH_NUMPY = 10  # calls before a program is compiled
_SMALL = 100_000  # bytes of a model whose steps leave other cores room: larger ones keep all of them busy


@dataclasses.dataclass(frozen=True)
class _Seen:
    """A measured step: its numbers as the program returned them, and the longest multiple that lowers the loss."""

    step: int
    numbers: Any
    tried: float


class _Program:
    """A function of arrays traced once, run with NumPy for the first calls and compiled where there are more."""

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        jitted = Jitted(function)
        traced, _, _ = jitted.lower(arguments)
        self.graph, self.captured = traced.graph, traced.captured
        self.native = jitted.backend == "native" and native_or_numpy() == "native"
        self.program: Callable[[Sequence[Any]], list[Any]] | None = None
        self.calls = 0

    def __call__(self, arrays: Sequence[Any]) -> Any:
        given = [*arrays, *self.captured]
        self.calls += 1
        if not self.native or self.calls <= _WITH_NUMPY:
            return run_plan(self.graph, given)[0]
        if self.program is None:
            self.program = native_program(self.graph)
        return self.program(given)[0]


class TrainingMonitor:
    """Looks at every ``every``-th step; see :class:`chainrule.train.monitor.Monitor`."""

    def __init__(self, every: int, loss: Callable[..., Any], optimizer: Any, batch_size: int) -> None:
        self.every, self.loss, self.optimizer, self.batch_size = every, four_arguments(loss), optimizer, batch_size
        self._steps: list[_Seen] = []
        self._subject: Subject | None = None
        self._queue: Queue | None = None
        self._first: list[Any] = []
        self._last: list[Any] = []
        self._small = 0
        self._due = 0
        self._rows = 0

    def due(self, step: int) -> bool:
        """Whether it is time to look at step number ``step``."""
        return step >= self._due

    def look(self, step: int, model: Any, optimizer_state: Any, x: Any, y: Any, key: Any) -> None:
        """Measure the step that is about to be taken; a batch that is not whole is passed over."""
        if self._rows and len(x) != self._rows:
            return
        if self._subject is None:
            self._prepare(model, optimizer_state, x, y, key)
        assert self._queue is not None
        self._due = step + self.every
        self._last = self._queue.put(step, trees.leaves((optimizer_state, model)), trees.leaves((x, y, key)))
        if not self._first:
            self._first = [np.array(array) for array in self._last[self._states :]]

    def _prepare(self, model: Any, optimizer_state: Any, x: Any, y: Any, key: Any) -> None:
        """Read the network and trace the program, once: batches of one run have one shape."""
        network, call = read(model, self.loss, (model, x, y, key))
        self._rows = len(x)
        self._subject = Subject(model, self.loss, (x, y), self.optimizer, network, call)
        self._captured = call.inputs[sum(call.counts) :]
        self._states = len(trees.leaves(optimizer_state))
        look, along = make_look(network, len(x), self.optimizer, trees.flatten(model)[1])
        arguments = (optimizer_state, *trees.leaves((model, x, y, key)), *self._captured)
        self._look = _Program(look, arguments)
        self._along = functools.cache(lambda: _Program(along, arguments))
        small = sum(a.nbytes for a in trees.leaves(model)) <= _SMALL
        self._queue = Queue(self._measure, beside=self._look.native and small and has_idle_core())

    def _measure(self, step: int, arrays: Sequence[Any]) -> None:
        given = [*arrays, *self._captured]
        with np.errstate(all="ignore"):
            numbers = self._look(given)
            self._steps.append(_Seen(step, numbers, self._longest(numbers, given)))

    def _longest(self, numbers: Any, arrays: Sequence[Any]) -> float:
        """The longest multiple of a tiny step that lowers the loss, looked for at every fourth of them."""
        if not numbers[0] < _SMALL_UPDATE**2:
            return 1.0
        self._small += 1
        if self._small % _TRIED_EVERY != 1:
            return self._steps[-1].tried
        after, loss = numbers[1:3].tolist()
        return longest(loss, after, self._along()(arrays).tolist())

    @property
    def records(self) -> list[Record]:
        """One record per measured step so far."""
        return [record for _, record in self._judged()]

    def _judged(self) -> list[tuple[Findings, Record]]:
        """What each measured step showed, and its record: worked out when asked for, not while training."""
        if self._subject is None or self._queue is None:
            return []
        self._queue.wait()
        network, first = self._subject.network, [*self._first, *self._captured]
        out = []
        for number, seen in enumerate(self._steps):
            found = read_look(network, seen.step, self._rows, seen.numbers)
            rows = layer_rows(network, found)
            if not number:  # units that start equal stay equal: once is enough
                rows = with_symmetry(network, rows, first, gradients_of(network, first))
            noise = noise_scale(found.per_example, found.gradient * found.gradient, found.rows)
            step = step_size(found, [row.update for row in rows], seen.tried)
            findings = Findings(found, rows, level_rows(network, rows), step_size=step, noise=noise)
            out.append((findings, record_of(findings, tuple(v.kind for v in judge(findings)))))
        return out

    def report(self) -> Report | None:
        """The verdict over all measured steps; None where none was measured."""
        subject = self._subject
        if subject is None:
            return None
        with np.errstate(all="ignore"):
            story = Story(self._judged())
            inputs, count = [*self._last[self._states :], *self._captured], subject.network.parameters
            batch = tuple(inputs[count : count + 2])
            last = story.findings[-1]
            gradients = gradients_of(subject.network, inputs)
            findings = deep_findings(subject.network, last.measurement, inputs, gradients, batch)
        findings = dataclasses.replace(
            findings, step_size=last.step_size, noise=story.noise(self._rows), sampled=self._rows * len(story.half),
            batch_size=self.batch_size if story.stands_still else None,
        )  # fmt: skip
        model = trees.unflatten(trees.flatten(subject.model)[1], inputs[:count])
        subject = dataclasses.replace(subject, model=model, batch=batch)
        return Report(findings, story.verdicts(findings), tuple(story.records), subject)
