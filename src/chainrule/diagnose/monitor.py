"""The diagnosis of a training run: every n-th step measured, judged at the end over all of them.

A measured step costs about two more: one forward and backward pass with statistics before it, in the same backend as
the training step, and one forward pass after it.  Steps that are not measured cost one comparison.

A fault that shows at single steps by nature (learning rate, weight decay) has to show at half of the measured steps of
the second half of the run; noise is averaged over them, and is a fault only where the loss does not fall.

Does not do: changing the run.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.api import jit
from chainrule.base import trees
from chainrule.diagnose.diagnosis import deep_findings, read
from chainrule.diagnose.findings import Findings, Verdict, layer_rows, level_rows, with_symmetry
from chainrule.diagnose.measure import Measurement, make_measure, measurement, with_update
from chainrule.diagnose.probes import along_step, noise_scale
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

    leaves: list[Any]
    inputs: list[Any]
    gradients: list[Any]
    bare: list[Any]
    found: Measurement


class TrainingMonitor:
    """Looks at every ``every``-th step; see :class:`chainrule.train.monitor.Monitor`."""

    def __init__(self, every: int, loss: Callable[..., Any], optimizer: Any, batch_size: int) -> None:
        self.every, self.loss, self.optimizer, self.batch_size = every, four_arguments(loss), optimizer, batch_size
        self.records: list[Record] = []
        self._findings: list[Findings] = []
        self._subject: Subject | None = None
        self._seen: _Seen | None = None
        self._due = 0
        self._rows = 0

    def before(self, step: int, model: Any, optimizer_state: Any, x: Any, y: Any, key: Any) -> bool:
        """Measure if it is time; a batch that is not whole is passed over."""
        if step < self._due or (self._rows and len(x) != self._rows):
            return False
        if self._subject is None:
            self._prepare(model, x, y, key)
        assert self._subject is not None
        self._due = step + self.every
        leaves = [np.array(leaf) for leaf in trees.leaves(model)]
        inputs = [*leaves, *(np.asarray(b) for b in trees.leaves((x, y, key))), *self._captured]
        results = self._measure(*inputs)
        gradients = [np.asarray(g) for g in results[4]]
        structure = trees.flatten(model)[1]
        bare = self._bare(trees.unflatten(structure, gradients), optimizer_state, model)
        self._seen = _Seen(leaves, inputs, gradients, [np.asarray(b) for b in trees.leaves(bare)],
                           measurement(step, len(x), results))  # fmt: skip
        return True

    def _prepare(self, model: Any, x: Any, y: Any, key: Any) -> None:
        """Read the network and build the programs, once: batches of one run have one shape."""
        arguments = (model, x, y, key)
        network, call = read(model, self.loss, arguments)
        self._rows = len(x)
        self._subject = Subject(model, self.loss, (x, y), self.optimizer, network, call)
        self._captured = call.inputs[sum(call.counts) :]
        self._measure = make_measure(network, len(x))
        self._value = jit(lambda *inputs: run(network.graph, list(inputs))[0])
        optimizer = self.optimizer

        def bare(gradient: Any, state: Any, model: Any) -> Any:
            return optimizer.update(gradient, state, trees.map(np.zeros_like, model))[0]

        self._bare = jit(bare)

    def next_step(self, step: int) -> int:
        """The step at which it is time again."""
        return max(step, self._due)

    def after(self, model: Any) -> None:
        """Finish the step under way: its update, and the loss behind it."""
        seen, subject = self._seen, self._subject
        assert seen is not None
        assert subject is not None
        network, count = subject.network, len(seen.leaves)
        new = [np.asarray(leaf) for leaf in trees.leaves(model)]
        rest = seen.inputs[count:]

        def loss_at(multiple: float) -> float:
            moved = [
                np.asarray(a + multiple * (b - a), a.dtype) for a, b in zip(seen.leaves, new, strict=True)
            ]
            return float(self._value(*moved, *rest))

        value = float(self._value(*new, *rest))
        found = with_update(seen.found, seen.gradients, seen.leaves, new, seen.bare, value)
        rows = layer_rows(network, found)
        if not self._findings:  # units that start equal stay equal: once is enough
            rows = with_symmetry(network, rows, seen.leaves, seen.gradients)
        ratios = [row.update for row in rows]
        small = max((r for r in ratios if not np.isnan(r)), default=1.0) < _SMALL_UPDATE
        step = along_step(found, ratios, loss_at if small else None)
        noise = noise_scale(found.per_example, found.gradient**2, found.rows)
        findings = Findings(found, rows, level_rows(network, rows), step_size=step, noise=noise)
        self._findings.append(findings)
        self.records.append(record_of(findings, tuple(v.kind for v in judge(findings))))

    def report(self) -> Report | None:
        """The verdict over all measured steps; None where none was measured."""
        seen, subject = self._seen, self._subject
        if seen is None or subject is None or not self._findings:
            return None
        model = trees.unflatten(trees.flatten(subject.model)[1], seen.leaves)
        batch = tuple(seen.inputs[len(seen.leaves) : len(seen.leaves) + 2])
        subject = dataclasses.replace(subject, model=model, batch=batch)
        last = self._findings[-1]
        findings = deep_findings(subject.network, last.measurement, seen.inputs, seen.gradients, batch)
        findings = dataclasses.replace(
            findings, step_size=last.step_size, noise=self._noise(), batch_size=self._judged_batch(),
            sampled=self._rows * len(self._half()),
            measurement=dataclasses.replace(last.measurement, rows=self._rows),
        )  # fmt: skip
        verdicts = tuple(v for v in judge(findings) if v.kind not in _BY_STEP or self._lasting(v.kind))
        verdicts += self._missed([v.kind for v in verdicts])
        steps = [(record.step, record.kinds) for record in self.records]
        return Report(findings, self._causes_first(onset(verdicts, steps)), tuple(self.records), subject)

    def _causes_first(self, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
        """``verdicts`` with a fault of the steps before what came of it: units that were not off from the start were
        put there by a step."""
        known = {v.kind: v for v in verdicts}
        causes: dict[str, Verdict] = {}
        for verdict in verdicts:
            if verdict.kind not in _CAN_COME_OF_STEPS or not verdict.since:
                continue
            for findings, record in zip(self._findings, self.records, strict=True):
                kind = next((k for k in record.kinds if k in _MAKES_ILL), None)
                if kind is not None and record.step < verdict.since:
                    seen = next(v for v in judge(findings) if v.kind == kind)
                    causes.setdefault(kind, known.get(kind, dataclasses.replace(seen, since=record.step)))
                    break
        return (*causes.values(), *(v for v in verdicts if v.kind not in causes))

    def _half(self) -> Sequence[Record]:
        return self.records[len(self.records) // 2 :]

    def _lasting(self, kind: str) -> bool:
        half = self._half()
        return 2 * sum(kind in record.kinds for record in half) >= len(half)

    def _missed(self, known: Sequence[str]) -> tuple[Any, ...]:
        """Faults of most steps that the last one happens not to have, as the newest step that has them tells."""
        counts = Counter(kind for record in self._half() for kind in record.kinds)
        out = []
        for kind, count in counts.items():
            if kind in known or 2 * count < len(self._half()):
                continue
            findings = next(f for f, r in zip(reversed(self._findings), reversed(self.records), strict=True)
                            if kind in r.kinds)  # fmt: skip
            out += [v for v in judge(findings) if v.kind == kind]
        return tuple(out)

    def _noise(self) -> float:
        """The noise scale from the averages of the second half: a single step says little."""
        half = [f.measurement for f in self._findings[len(self._findings) // 2 :]]
        each = float(np.mean([m.per_example for m in half]))
        whole = float(np.mean([m.gradient**2 for m in half]))
        return noise_scale(each, whole, self._rows) if self._rows > 1 else float("nan")

    def _judged_batch(self) -> int | None:
        """The batch size if it can be at fault: where the loss falls, noise does no harm."""
        losses = [record.loss for record in self.records]
        third = len(losses) // 3
        if third < 3 or np.mean(losses[-third:]) < 0.95 * np.mean(losses[:third]):
            return None
        return self.batch_size
