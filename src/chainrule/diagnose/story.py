"""What the measured steps of a run say together: verdicts with their onset, causes before what came of them.

A fault that shows at single steps by nature (learning rate, weight decay) has to show at half of the measured steps of
the second half of the run; noise is averaged over them, and is a fault only where the loss does not fall.

Does not do: measuring (see ``monitor``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from chainrule.diagnose.findings import Findings, Verdict
from chainrule.diagnose.probes import noise_scale
from chainrule.diagnose.record import Record
from chainrule.diagnose.report import onset
from chainrule.diagnose.verdicts import judge

_BY_STEP = frozenset({"rate_high", "rate_low", "weight_decay"})
_MAKES_ILL = frozenset({"rate_high", "weight_decay"})
_CAN_COME_OF_STEPS = frozenset({"dead_relu", "saturated", "vanishing", "exploding"})


class Story:
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
        whole = float(np.mean([m.gradient * m.gradient for m in half]))
        return noise_scale(each, whole, rows)

    @property
    def stands_still(self) -> bool:
        """Whether the loss does not fall: where it does, noise does no harm."""
        losses = [record.loss for record in self.records]
        third = len(losses) // 3
        return third >= 3 and not np.mean(losses[-third:]) < 0.95 * np.mean(losses[:third])
