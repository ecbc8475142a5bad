"""Questions that take more than one pass: singular values of a layer, reach through time, the loss along the step.

Singular values by Golub and Kahan's bidiagonalisation (1965) with full reorthogonalisation: a few products with J and
Jᵀ (forward and reverse mode) give both ends of the spectrum far better than as many power iterations.
The gradient noise scale is tr(Σ)/|G|², estimated without bias (McCandlish et al., "An empirical model of large-batch
training", 2018, appendix A.1).

Does not do: exact smallest singular values; what is found after few steps is an upper bound of the smallest and a
lower bound of the largest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.base import trees
from chainrule.diagnose.measure import MULTIPLES, Measurement, with_cotangents
from chainrule.diagnose.structure import Layer, Network, piece_between
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.transforms.forward import jvp_graph
from chainrule.transforms.reverse import vjp_graph

Array = NDArray[Any]

_PRODUCTS = 8


def all_values(graph: Graph, arrays: Sequence[Any]) -> list[Any]:
    """The value of every line."""
    values: list[Any] = list(arrays)
    with np.errstate(all="ignore"):
        for line in graph.lines[graph.inputs :]:
            values.append(line.op.run(*[values[a] for a in line.args], **dict(line.attrs)))
    return values


@dataclasses.dataclass(frozen=True)
class Gain:
    """The backward pass through a layer: ‖Jᵀδ‖/‖δ‖ of the δ that arrived, and the extreme singular values of J."""

    actual: float
    largest: float
    smallest: float


def layer_gain(network: Network, values: Sequence[Any], before: Layer, after: Layer, delta: Array) -> Gain | None:
    """The gain from the pre-activation of ``after`` back to that of ``before``; None where none depends on it."""
    start, end = network.blocks[before.blocks[-1]].z, network.blocks[after.blocks[-1]].z
    if start >= end:
        return None
    piece, kept = piece_between(network.graph, (start,), end)
    if len(piece.lines) == piece.inputs:
        return None
    given = [values[start], *(values[i] for i in kept)]
    forward, backward = jvp_graph(piece, (0,)), vjp_graph(piece, (0,), (0,))

    def times(v: Array) -> Array:
        found: Array = run_plan(forward, [*given, v.reshape(given[0].shape).astype(given[0].dtype)])[1]
        return np.ravel(found).astype(np.float64)

    def times_transposed(v: Array) -> Array:
        found: Array = run_plan(backward, [*given, v.reshape(values[end].shape).astype(values[end].dtype)])[1]
        return np.ravel(found).astype(np.float64)

    norm = float(np.linalg.norm(delta))
    actual = float(np.linalg.norm(times_transposed(delta))) / norm if norm else float("nan")
    spectrum = extreme_singular_values(times, times_transposed, given[0].size, values[end].size)
    return Gain(actual, spectrum[0], spectrum[1])


def extreme_singular_values(
    times: Callable[[Array], Array], times_transposed: Callable[[Array], Array], columns: int, rows: int
) -> tuple[float, float]:
    """(largest, smallest) singular value found after a few products with a (rows, columns) matrix and its transpose."""
    if columns > rows:  # from the smaller side, where the start has no part that the matrix maps to 0
        times, times_transposed, columns, rows = times_transposed, times, rows, columns
    v = np.random.default_rng(0).standard_normal(columns)
    v /= np.linalg.norm(v)
    rights, lefts = [v], list[Array]()
    band = np.zeros((_PRODUCTS, _PRODUCTS))
    steps = min(_PRODUCTS, columns, rows)
    u = np.zeros(rows)
    beta = 0.0
    for k in range(steps):
        u = _orthogonal(times(rights[k]) - beta * u, lefts)
        alpha = float(np.linalg.norm(u))
        band[k, k] = alpha
        if not np.isfinite(alpha) or alpha < 1e-12:
            steps = k + 1
            break
        u = u / alpha
        lefts.append(u)
        w = _orthogonal(times_transposed(u) - alpha * rights[k], rights)
        beta = float(np.linalg.norm(w))
        if k + 1 == steps or beta < 1e-12:
            steps = k + 1
            break
        band[k, k + 1] = beta
        rights.append(w / beta)
    if not np.isfinite(band).all():
        return float("nan"), float("nan")
    found = np.linalg.svd(band[:steps, :steps], compute_uv=False)
    return float(found[0]), float(found[-1])


def _orthogonal(v: Array, basis: Sequence[Array]) -> Array:
    for b in basis:
        v = v - (b @ v) * b
    return v


def reach(network: Network, inputs: Sequence[Any], layer: Layer) -> tuple[float, ...]:
    """How much of a cotangent at the last time step of a recurrent layer arrives at each step: ‖Jᵀv‖/‖v‖."""
    steps = [network.blocks[p].z for p in layer.blocks]
    graph = with_cotangents(network.graph, (), steps, seed=steps[-1])
    spec = network.graph.lines[steps[-1]].spec
    v = np.random.default_rng(0).standard_normal(spec.shape).astype(spec.dtype)
    found = run_plan(graph, [*inputs, v])[1 : 1 + len(steps)]
    scale = float(np.linalg.norm(v))
    return tuple(float(np.linalg.norm(c)) / scale for c in found)


def noise_scale(mean_square: float, square: float, rows: int) -> float:
    """B = tr(Σ)/|G|² from the mean squared norm of ``rows`` gradients and the squared norm of their mean.

    Infinite where the estimate of |G|² is not positive: the mean gradient can't be told from noise.
    """
    if rows < 2 or not np.isfinite(mean_square):
        return float("nan")
    spread = (mean_square - square) * rows / (rows - 1)
    signal = square - spread / rows
    return max(spread, 0.0) / signal if signal > 0 else float("inf") if spread > 0 else float("nan")


def noise_of_parts(gradient_of: Callable[..., Any], model: Any, batch: Sequence[Any], parts: int = 8) -> float:
    """The noise scale from the gradients of ``parts`` equal parts of the batch; NaN where it can't be cut."""
    rows = len(batch[0]) if batch and np.ndim(batch[0]) else 0
    size = rows // parts
    if size < 1 or any(np.ndim(b) == 0 or len(b) != rows for b in batch):
        return float("nan")
    squares, total = [], None
    for part in range(parts):
        pieces = [b[part * size : (part + 1) * size] for b in batch]
        found = [np.asarray(g, np.float64) for g in trees.leaves(gradient_of(model, *pieces))]
        squares.append(sum(float(np.sum(g * g)) for g in found))
        total = found if total is None else [a + b for a, b in zip(total, found, strict=True)]
    assert total is not None
    square = sum(float(np.sum(g * g)) for g in total) / parts**2
    return noise_scale(float(np.mean(squares)), square, parts) * size


@dataclasses.dataclass(frozen=True)
class StepSize:
    """The loss along the update: its decrease to first order, the multiple of the step at which the parabola through
    the loss, its slope and the loss after the step is lowest, and the best multiple that was tried."""

    update: float  # the largest ratio ‖update‖/‖weight‖ of all layers
    best: float
    tried: float
    rises: bool


def step_size(found: Measurement, ratios: Iterable[float], tried: float) -> StepSize:
    """What the step of a measurement says of the learning rate; ``ratios``: ‖update‖/‖weight‖ of each layer;
    ``tried``: see :func:`longest`."""
    curvature = 2.0 * (found.after - found.loss - found.predicted)
    best = -found.predicted / curvature if curvature > 0 else float("inf")
    update = max((r for r in ratios if not np.isnan(r)), default=float("nan"))
    return StepSize(update, best, tried, bool(not found.after <= found.loss))


def longest(loss: float, after: float, losses: Iterable[float]) -> float:
    """The multiple of the step up to which the loss goes on falling: it is ``loss`` before the step, ``after`` behind
    it, and ``losses`` behind each of ``MULTIPLES``, asked for one by one."""
    tried, lowest = 1.0, after
    if not after <= loss:
        return tried
    for multiple, value in zip(MULTIPLES, losses, strict=True):
        if not value < lowest:
            break
        lowest, tried = value, multiple
    return tried
