"""The diagnosis of a training run: every n-th step measured, judged at the end over all of them.

A measured step costs about two more: one forward and backward pass with statistics before it, in the same backend as
the training step, and one forward pass after it.  Steps that are not measured cost one comparison.

A fault that shows at single steps by nature (learning rate, weight decay) has to show at half of the measured steps of
the second half of the run; noise is averaged over them, and is a fault only where the loss does not fall.

Does not do: changing the run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.api import jit
from chainrule.base import trees
from chainrule.diagnose.diagnosis import deep_findings, read
from chainrule.diagnose.findings import Findings, Verdict, layer_rows, level_rows, with_symmetry
from chainrule.diagnose.measure import Measurement, make_measure, measurement, step_numbers, with_update
from chainrule.diagnose.probes import StepSize, along_step, noise_scale
from chainrule.diagnose.record import Record, record_of
from chainrule.diagnose.report import Report, Subject, onset
from chainrule.diagnose.verdicts import judge
from chainrule.trace.tracer import run
from chainrule.train.step import four_arguments

# Beyond this the update is large enough that no longer step needs to be tried.
_SMALL_UPDATE = 1e-4
_BY_STEP = frozenset({"rate_high", "rate_low", "weight_decay"})
_MAKES_ILL = frozenset({"rate_high", "weight_decay"})
_CAN_COME_OF_STEPS = frozenset({"dead_relu", "saturated", "vanishing", "exploding"})


@dataclasses.dataclass
class _Seen:
    """The measured step that is under way: copies from before it."""

    inputs: list[Any]
    gradients: list[Any]
    bare: list[Any]
    found: Measurement


class TrainingMonitor:
    """Looks at every ``every``-th step; see :class:`chainrule.train.monitor.Monitor`."""

    def __init__(self, every: int, loss: Callable[..., Any], optimizer: Any, batch_size: int) -> None:
        self.every, self.loss, self.optimizer, self.batch_size = every, four_arguments(loss), optimizer, batch_size
        self._steps: list[tuple[Measurement, StepSize]] = []
        self._subject: Subject | None = None
        self._first: _Seen | None = None
        self._seen: _Seen | None = None
        self._due = 0
        self._rows = 0

    def before(self, step: int, model: Any, optimizer_state: Any, x: Any, y: Any, key: Any) -> bool:
        """Measure if it is time; a batch that is not whole is passed over."""
        if step < self._due or (self._rows and len(x) != self._rows):
            return False
        if self._subject is None:
            self._prepare(model, x, y, key)
        self._due = step + self.every
        leaves = [np.array(leaf) for leaf in trees.leaves(model)]
        inputs = [*leaves, *(np.asarray(b) for b in trees.leaves((x, y, key))), *self._captured]
        results, bare = self._look(optimizer_state, *inputs)
        self._seen = _Seen(inputs, list(results[4]), list(bare), measurement(step, len(x), results))
        return True

    def next_step(self, step: int) -> int:
        """The first step from ``step`` on that it is time to measure."""
        return max(step, self._due)

    def _prepare(self, model: Any, x: Any, y: Any, key: Any) -> None:
        """Read the network and build the programs, once: batches of one run have one shape."""
        network, call = read(model, self.loss, (model, x, y, key))
        self._rows = len(x)
        self._subject = Subject(model, self.loss, (x, y), self.optimizer, network, call)
        self._captured = call.inputs[sum(call.counts) :]
        count, optimizer, structure = network.parameters, self.optimizer, trees.flatten(model)[1]
        measure = make_measure(network, len(x))

        def look(state: Any, *inputs: Any) -> Any:
            results = measure(*inputs)
            zeros = trees.unflatten(structure, [np.zeros_like(w) for w in inputs[:count]])
            bare, _ = optimizer.update(trees.unflatten(structure, list(results[4])), state, zeros)
            return results, tuple(trees.leaves(bare))

        def value(*inputs: Any) -> Any:
            return run(network.graph, list(inputs))[0]

        def finish(new: Any, gradients: Any, bare: Any, *inputs: Any) -> Any:
            return value(*new, *inputs[count:]), step_numbers(gradients, inputs[:count], new, bare)

        self._look, self._value, self._finish = jit(look), jit(value), jit(finish)

    def after(self, model: Any) -> None:
        """Finish the step under way: its update, and the loss behind it."""
        seen, subject = self._seen, self._subject
        assert seen is not None
        assert subject is not None
        count = subject.network.parameters
        new = [np.asarray(leaf) for leaf in trees.leaves(model)]
        value, numbers = self._finish(tuple(new), tuple(seen.gradients), tuple(seen.bare), *seen.inputs)
        found = with_update(seen.found, numbers, float(value))

        def loss_at(multiple: float) -> float:
            old = seen.inputs[:count]
            moved = [np.asarray(a + multiple * (b - a), a.dtype) for a, b in zip(old, new, strict=True)]
            return float(self._value(*moved, *seen.inputs[count:]))

        weights = [found.parameters[i] for layer in subject.network.layers for i in layer.weights]
        ratios = [p.update / p.weight if p.weight else float("inf") for p in weights]
        small = max(ratios, default=1.0) < _SMALL_UPDATE
        self._steps.append((found, along_step(found, ratios, loss_at if small else None)))
        if self._first is None:
            self._first = seen

    @property
    def records(self) -> list[Record]:
        """One record per measured step so far."""
        return [record for _, record in self._judged()]

    def _judged(self) -> list[tuple[Findings, Record]]:
        """What each measured step showed, and its record: worked out when asked for, not while training."""
        if self._subject is None or self._first is None:
            return []
        network, first = self._subject.network, self._first
        out = []
        for number, (found, step) in enumerate(self._steps):
            rows = layer_rows(network, found)
            if not number:  # units that start equal stay equal: once is enough
                rows = with_symmetry(network, rows, first.inputs, first.gradients)
            noise = noise_scale(found.per_example, found.gradient**2, found.rows)
            findings = Findings(found, rows, level_rows(network, rows), step_size=step, noise=noise)
            out.append((findings, record_of(findings, tuple(v.kind for v in judge(findings)))))
        return out

    def report(self) -> Report | None:
        """The verdict over all measured steps; None where none was measured."""
        seen, subject = self._seen, self._subject
        if seen is None or subject is None or not self._steps:
            return None
        story = _Story(self._judged())
        count = subject.network.parameters
        model = trees.unflatten(trees.flatten(subject.model)[1], seen.inputs[:count])
        batch = tuple(seen.inputs[count : count + 2])
        subject = dataclasses.replace(subject, model=model, batch=batch)
        found, step = self._steps[-1]
        findings = deep_findings(subject.network, found, seen.inputs, seen.gradients, batch)
        findings = dataclasses.replace(
            findings, step_size=step, noise=story.noise(self._rows), sampled=self._rows * len(story.half),
            batch_size=self.batch_size if story.stands_still else None,
        )  # fmt: skip
        return Report(findings, story.verdicts(findings), tuple(story.records), subject)


class _Story:
    """The measured steps of a run, and what they say together."""

    def __init__(self, judged: Sequence[tuple[Findings, Record]]) -> None:
        self.findings = [findings for findings, _ in judged]
        self.records = [record for _, record in judged]
        self.half = self.records[len(self.records) // 2 :]

    def verdicts(self, last: Findings) -> tuple[Verdict, ...]:
        """The verdicts of the last step that are not of that step alone, those of most steps, and their onset."""
        found = tuple(v for v in judge(last) if v.kind not in _BY_STEP or self._lasting(v.kind))
        found += self._missed([v.kind for v in found])
        return self._causes_first(onset(found, [(record.step, record.kinds) for record in self.records]))

    def _lasting(self, kind: str) -> bool:
        return 2 * sum(kind in record.kinds for record in self.half) >= len(self.half)

    def _missed(self, known: Sequence[str]) -> tuple[Verdict, ...]:
        """Faults of most steps that the last one happens not to have, as the newest step that has them tells."""
        kinds = dict.fromkeys(kind for record in self.half for kind in record.kinds)
        out: list[Verdict] = []
        for kind in kinds:
            if kind not in known and self._lasting(kind):
                at = max(i for i, record in enumerate(self.records) if kind in record.kinds)
                out += [v for v in judge(self.findings[at]) if v.kind == kind]
        return tuple(out)

    def _causes_first(self, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
        """``verdicts`` with a fault of the steps before what came of it: units that were not off from the start were
        put there by a step."""
        known = {v.kind: v for v in verdicts}
        causes: dict[str, Verdict] = {}
        for verdict in verdicts:
            if verdict.kind not in _CAN_COME_OF_STEPS or not verdict.since:
                continue
            for findings, record in zip(self.findings, self.records, strict=True):
                kind = next((k for k in record.kinds if k in _MAKES_ILL), None)
                if kind is not None and record.step < verdict.since:
                    seen = next(v for v in judge(findings) if v.kind == kind)
                    causes.setdefault(kind, known.get(kind, dataclasses.replace(seen, since=record.step)))
                    break
        return (*causes.values(), *(v for v in verdicts if v.kind not in causes))

    def noise(self, rows: int) -> float:
        """The noise scale from the averages of the second half: a single step says little."""
        half = [f.measurement for f in self.findings[len(self.findings) // 2 :]]
        each = float(np.mean([m.per_example for m in half]))
        whole = float(np.mean([m.gradient**2 for m in half]))
        return noise_scale(each, whole, rows)

    @property
    def stands_still(self) -> bool:
        """Whether the loss does not fall: where it does, noise does no harm."""
        losses = [record.loss for record in self.records]
        third = len(losses) // 3
        return third >= 3 and not np.mean(losses[-third:]) < 0.95 * np.mean(losses[:third])
