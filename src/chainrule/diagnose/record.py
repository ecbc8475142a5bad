"""One measured step of a training run, as small as it must be to be kept for every one of thousands.

Does not do: activations and histograms, which belong to a report.
"""

from __future__ import annotations

import dataclasses

from chainrule.diagnose.findings import Findings


@dataclasses.dataclass(frozen=True)
class Record:
    """``step``, its loss, the kinds of the verdicts at that step, and per layer, in the order of ``layers``: gradient
    norm, ‖∂L/∂z‖, ratio of update to weight, mean and spread of the activations, shares saturated and off."""

    step: int
    loss: float
    kinds: tuple[str, ...]
    layers: tuple[str, ...]
    gradient: tuple[float, ...]
    delta: tuple[float, ...]
    update: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    saturated: tuple[float, ...]
    dead: tuple[float, ...]
    noise: float


def record_of(findings: Findings, kinds: tuple[str, ...]) -> Record:
    """The record of a step's findings."""
    rows = findings.rows
    return Record(
        findings.measurement.step, findings.measurement.loss, kinds, tuple(row.name for row in rows),
        *(tuple(getattr(row, name) for row in rows)
          for name in ("gradient", "delta", "update", "mean", "std", "saturated", "dead")),
        noise=findings.noise,
    )  # fmt: skip
