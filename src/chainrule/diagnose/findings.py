"""What a diagnosis has found out before it judges: one row per layer, one per level, facts of the batch and the step.

Does not do: measuring (``measure``, ``probes``) and judging (``verdicts``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.diagnose.inputs import InputFacts
from chainrule.diagnose.losses import Pair
from chainrule.diagnose.measure import BlockStats, Measurement
from chainrule.diagnose.probes import Gain, StepSize
from chainrule.diagnose.structure import Layer, Network

_EQUAL = 1e-4  # columns that differ by less than this share of their size are equal but for rounding


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A fault: its kind, the layers it is in (the first and the last for a trend), cause, evidence and remedy.

    ``factor``: its size, as the remedy needs it.  ``since``: the step of its onset, where training was watched.
    """

    kind: str
    layers: tuple[str, ...]
    cause: str
    evidence: str
    remedy: str
    factor: float = float("nan")
    over_time: bool = False
    since: int | None = None

    def __str__(self) -> str:
        onset = "" if self.since is None else f" (since step {self.since:,})"
        return f"{self.cause[:1].upper()}{self.cause[1:]}{onset}: {self.evidence}. Remedy: {self.remedy}."


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One layer.  Activations' ``mean`` … ``dead``; the loss's gradient at the pre-activation, ``delta``; ``slope``, by
    which the activation multiplied it; norms of gradient and weight; ``update``: ‖update‖/‖weight‖; ``decay``: cosine
    of update and -weight; ``difference`` and ``gradient_difference`` of the units among each other."""

    name: str
    level: int
    output: bool
    recurrent: bool
    activation: str
    saturates: bool
    rectifies: bool
    steepest: float
    mean: float
    std: float
    low: float
    high: float
    zero: float
    saturated: float
    dead: float
    rms: float
    delta: float
    slope: float
    gradient: float
    spread: float
    weight: float
    update: float
    decay: float
    symmetric: bool = False
    difference: float = float("nan")
    gradient_difference: float = float("nan")
    gain: Gain | None = None
    reach: tuple[float, ...] = ()
    histogram: tuple[tuple[int, ...], tuple[float, float]] = ((), (0.0, 0.0))


@dataclasses.dataclass(frozen=True)
class Level:
    """The layer with the largest gradient of those equally far from the data."""

    name: str
    delta: float


@dataclasses.dataclass(frozen=True)
class Findings:
    """All that the rules look at."""

    measurement: Measurement
    rows: tuple[LayerRow, ...]
    levels: tuple[Level, ...]
    others: Mapping[str, float] = dataclasses.field(default_factory=dict)  # gradient norms of parameters of no layer
    inputs: InputFacts | None = None
    label_shape: str | None = None
    label_range: tuple[str, str] | None = None
    pair: Pair | None = None
    pair_evidence: str = ""
    step_size: StepSize | None = None
    noise: float = float("nan")
    batch_size: int | None = None
    sampled: int = 0  # rows that the noise scale was estimated from
    nonfinite: str | None = None


def layer_rows(network: Network, found: Measurement) -> tuple[LayerRow, ...]:
    """One row per layer from the numbers of its uses and its parameters."""
    return tuple(_row(network, found, layer) for layer in network.layers)


def _row(network: Network, found: Measurement, layer: Layer) -> LayerRow:
    uses = [found.blocks[p] for p in layer.blocks]
    curves = [a.curve for a in network.blocks[layer.blocks[0]].activations]
    parameters = [found.parameters[i] for i in (*layer.weights, *layer.biases)]
    # A bias starts at 0, so its update is no share of itself: ratios are those of the weights.
    weights = [found.parameters[i] for i in layer.weights]
    delta = _norm([use.delta for use in uses])
    after = _norm([use.delta_after for use in uses])
    weight = _norm([p.weight for p in weights])
    update = _norm([p.update for p in weights])
    return LayerRow(
        name=layer.name, level=layer.level, output=layer.output, recurrent=layer.recurrent,
        activation=", ".join(dict.fromkeys(c.name for c in curves)) or "linear",
        saturates=bool(curves) and any(c.saturates for c in curves),
        rectifies=bool(curves) and all(c.rectifies for c in curves),
        steepest=max((c.steepest for c in curves), default=1.0),
        mean=_mean(uses, "mean"), std=_mean(uses, "std"), low=min(use.low for use in uses),
        high=max(use.high for use in uses), zero=_mean(uses, "zero"), saturated=_mean(uses, "saturated"),
        dead=min(use.dead for use in uses), rms=_mean(uses, "rms"), delta=delta,
        slope=delta / after if after and curves else 1.0,
        gradient=_norm([p.gradient for p in parameters]), spread=_norm([p.spread for p in parameters]),
        weight=weight, update=update / weight if weight else float("inf") if update else float("nan"),
        decay=max((p.decay for p in weights), default=float("nan")),
    )  # fmt: skip


def _norm(values: Sequence[float]) -> float:
    return float(np.sqrt(np.sum(np.square(values))))


def _mean(uses: Sequence[BlockStats], name: str) -> float:
    return float(np.mean([getattr(use, name) for use in uses]))


def level_rows(network: Network, rows: Sequence[LayerRow]) -> tuple[Level, ...]:
    """One entry per level, from the data to the loss.

    Of layers side by side the one with the largest gradient counts: gates, queries and keys get little by design.
    """
    by_name = {row.name: row for row in rows}
    levels = []
    for layers in network.depth:
        if layers:
            strongest = max(layers, key=lambda layer: by_name[layer.name].delta)
            levels.append(Level(strongest.name, by_name[strongest.name].delta))
    return tuple(levels)


def with_symmetry(
    network: Network, rows: Sequence[LayerRow], parameters: Sequence[Any], gradients: Sequence[Any]
) -> tuple[LayerRow, ...]:
    """``rows`` that say how much the units of each layer differ, in weights and in gradients."""
    return tuple(
        _with_symmetry(layer, row, parameters, gradients) for layer, row in zip(network.layers, rows, strict=True)
    )


def _with_symmetry(layer: Layer, row: LayerRow, parameters: Sequence[Any], gradients: Sequence[Any]) -> LayerRow:
    leaves = [i for i in layer.weights if np.ndim(parameters[i]) >= 2 and np.shape(parameters[i])[-1] > 1]
    if not leaves:
        return row
    difference = max(_difference(parameters[i]) for i in leaves)
    gradient = max(_difference(gradients[i]) for i in leaves)
    equal = difference < _EQUAL and gradient < _EQUAL
    return dataclasses.replace(row, symmetric=equal, difference=difference, gradient_difference=gradient)


def _difference(weight: Any) -> float:
    """How far the columns are from their mean, as a share of their size; 0 for zeros."""
    table = np.asarray(weight, np.float64).reshape(-1, np.shape(weight)[-1])
    size = np.linalg.norm(table)
    return float(np.linalg.norm(table - table.mean(axis=1, keepdims=True)) / size) if size else 0.0
