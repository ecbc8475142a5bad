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

    def column(name: str) -> tuple[float, ...]:
        return tuple(float(getattr(row, name)) for row in rows)

    return Record(
        step=findings.measurement.step, loss=findings.measurement.loss, kinds=kinds,
        layers=tuple(row.name for row in rows), gradient=column("gradient"), delta=column("delta"),
        update=column("update"), mean=column("mean"), std=column("std"), saturated=column("saturated"),
        dead=column("dead"), noise=findings.noise,
    )  # fmt: skip
