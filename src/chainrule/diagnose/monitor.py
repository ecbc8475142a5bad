"""The diagnosis of a training run: every n-th step measured, judged at the end over all of them.

A measured step runs one program more: forward and backward pass with statistics, the update as the optimizer makes it,
and one forward pass behind it.  It returns one vector of some hundred numbers, which is read when the report is asked
for.  The training's own arrays are only looked at, and its steps run on in one native call.

A look takes as long as three to five steps, and a tenth of a millisecond beside: much for steps of a few microseconds.
So the first looks come as often as was asked for, and later ones no closer than forty times what they take.

Compiling the program takes longer than running it with NumPy a few times, so the first steps are measured with NumPy: a
short run compiles nothing.

Does not do: changing the run; judging (see ``story``).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.diagnose.diagnosis import deep_findings, gradients_of, read
from chainrule.diagnose.findings import Findings, layer_rows, level_rows, with_symmetry
from chainrule.diagnose.measure import make_look, read_look
from chainrule.diagnose.probes import longest, noise_scale, step_size
from chainrule.diagnose.record import Record, record_of
from chainrule.diagnose.report import Report, Subject
from chainrule.diagnose.story import Story
from chainrule.diagnose.verdicts import judge
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.jitted import Jitted, native_or_numpy, native_program
from chainrule.train.step import four_arguments

_SMALL_UPDATE = 1e-4  # beyond this the update is large enough that no longer step needs to be tried
_TRIED_EVERY = 32  # small steps at most: how far one may go changes slowly, and trying costs several forward passes
_WITH_NUMPY = 10  # calls before a program is compiled,
_ALL = 32  # looks that are taken as asked for, and whose parameters are kept for the report until the next; later ones
_APART = 40  # times as long apart as they take, so that the training takes hardly longer,
_OFTEN = 10  # unless looks are wanted more often than at every so many steps;
_KEPT = 8  # and of so many one is kept: copying takes as long as part of the look
_FLOPS = 2e8  # or as many as have so many operations: compiling takes as long as NumPy takes for a few times that


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
        self.left = min(_WITH_NUMPY, 1 + int(_FLOPS / max(_flops(self.graph), 1)))

    def __call__(self, arrays: Sequence[Any]) -> Any:
        given = [*arrays, *self.captured]
        self.left -= 1
        if not self.native or self.left >= 0:
            with np.errstate(all="ignore"):
                return run_plan(self.graph, given)[0]
        if self.program is None:
            self.program = native_program(self.graph)
        return self.program(given)[0]


def _flops(graph: Graph) -> int:
    """Additions and multiplications of a graph's matrix products."""
    products = (line for line in graph.lines if line.op.name == "matmul")
    return sum(2 * math.prod(line.spec.shape) * graph.lines[line.args[0]].spec.shape[-1] for line in products)


class TrainingMonitor:
    """Looks at every ``every``-th step; see :class:`chainrule.train.monitor.Monitor`."""

    def __init__(self, every: int, loss: Callable[..., Any], optimizer: Any, batch_size: int) -> None:
        self.every, self.loss, self.optimizer, self.batch_size = every, four_arguments(loss), optimizer, batch_size
        self._steps: list[_Seen] = []
        self._subject: Subject | None = None
        self._first: list[Any] = []  # parameters, batch and key of the first look,
        self._last: list[Any] = []  # and of the latest one kept,
        self._kept = 0  # its number
        self._small, self._next, self._tried = 0, 1, 1.0
        self._due = 0
        self._due_at, self._took = 0.0, math.inf
        self._rows = 0

    def due(self, step: int) -> bool:
        """Whether it is time to look at step number ``step``."""
        return step >= self._due and time.perf_counter() >= self._due_at

    def look(self, step: int, model: Any, optimizer_state: Any, x: Any, y: Any, key: Any) -> None:
        """Measure the step that is about to be taken; a batch that is not whole is passed over."""
        if self._rows and len(x) != self._rows:
            return
        if self._subject is None:
            self._prepare(model, optimizer_state, x, y, key)
        began = time.perf_counter()
        leaves = trees.flatten_known((optimizer_state, model, (x, y, key)))[0]
        given = [*leaves, *self._captured]
        numbers = self._look(given)
        self._steps.append(_Seen(step, numbers, self._longest(numbers, given)))
        if len(self._steps) <= _ALL or len(self._steps) % _KEPT == 0:
            self._keep(leaves[self._states :])
        self._due = step + self.every
        now = time.perf_counter()
        if len(self._steps) >= _ALL and self.every >= _OFTEN:
            self._due_at = now + _APART * min(now - began, self._took)  # one of two may have compiled, or been halted
        self._took = now - began

    def _keep(self, arrays: list[Any]) -> None:
        """Copy the parameters among ``arrays``, to which the training goes on writing; they were just read, so near."""
        self._kept, count = len(self._steps) - 1, self._parameters
        if not self._first:
            self._first = [*(np.array(array) for array in arrays[:count]), *arrays[count:]]
            self._last = [np.empty_like(array) for array in arrays[:count]]
        for kept, array in zip(self._last, arrays[:count], strict=False):
            np.copyto(kept, array)
        self._last[count:] = arrays[count:]

    def _prepare(self, model: Any, optimizer_state: Any, x: Any, y: Any, key: Any) -> None:
        """Read the network and trace the program, once: batches of one run have one shape."""
        network, call = read(model, self.loss, (model, x, y, key))
        self._rows = len(x)
        self._subject = Subject(model, self.loss, (x, y), self.optimizer, network, call)
        self._captured = call.inputs[sum(call.counts) :]
        self._states, self._parameters = len(trees.leaves(optimizer_state)), network.parameters
        look, along = make_look(network, len(x), self.optimizer, trees.flatten(model)[1])
        arguments = (optimizer_state, *trees.leaves((model, x, y, key)), *self._captured)
        self._look = _Program(look, arguments)
        self._along = functools.cache(lambda: _Program(along, arguments))

    def _longest(self, numbers: Any, arrays: Sequence[Any]) -> float:
        """The longest multiple of a tiny step that lowers the loss, looked for at ever fewer of them."""
        if not numbers[0] < _SMALL_UPDATE**2:
            return 1.0
        self._small += 1
        if self._small < self._next:
            return self._tried
        self._next = min(2 * self._small, self._small + _TRIED_EVERY)
        after, loss = numbers[1:3].tolist()
        self._tried = longest(loss, after, self._along()(arrays).tolist())
        return self._tried

    @property
    def records(self) -> list[Record]:
        """One record per measured step so far."""
        return [record for _, record in self._judged()]

    def _judged(self) -> list[tuple[Findings, Record]]:
        """What each measured step showed, and its record: worked out when asked for, not while training."""
        if self._subject is None:
            return []
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
        if subject is None or not self._steps:
            return None
        with np.errstate(all="ignore"):
            story = Story(self._judged())
            inputs, count = [*self._last, *self._captured], self._parameters
            batch = tuple(inputs[count : count + 2])
            last = story.findings[self._kept]
            gradients = gradients_of(subject.network, inputs)
            findings = deep_findings(subject.network, last.measurement, inputs, gradients, batch)
        findings = dataclasses.replace(
            findings, step_size=last.step_size, noise=story.noise(self._rows), sampled=self._rows * len(story.half),
            batch_size=self.batch_size if story.stands_still else None,
        )  # fmt: skip
        model = trees.unflatten(trees.flatten(subject.model)[1], inputs[:count])
        subject = dataclasses.replace(subject, model=model, batch=batch)
        return Report(findings, story.verdicts(findings), tuple(story.records), subject)
