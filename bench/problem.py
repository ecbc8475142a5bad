"""The arrays that all contestants start from, as files for their processes, and the comparison of what they compute.

Does not do: real data; times do not depend on it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from bench.by_hand import gradient
from bench.steps import B2, BATCHES, COUNT, TOLERANCE, Array, Layers, Row


@dataclass(frozen=True)
class Problem:
    """The arrays all contestants start from, float32: layers of (weight, bias), Adam's v, and batches stacked.

    ``x``: (batches, rows, inputs); ``y``: (batches, rows, outputs) for mse, else labels (batches, rows), int64.
    """

    layers: Layers
    v: Layers
    x: Array
    y: Array


def draw(row: Row, seed: int = 0) -> Problem:
    """The arrays of a row, drawn from ``seed``."""
    rng = np.random.default_rng(seed)
    gain = 2.0 if row.activation == "relu" else 1.0
    layers = [
        (rng.standard_normal((m, n), np.float32) * np.float32((gain / m) ** 0.5), np.zeros(n, np.float32))
        for m, n in itertools.pairwise(row.sizes)
    ]
    batches = row.loop if row.loop > 1 else BATCHES
    x = rng.standard_normal((batches, row.batch, row.sizes[0]), np.float32)
    if row.loss == "mse":
        y: Array = np.sign(x[..., :1] * x[..., 1:2]).astype(np.float32) * np.ones(row.sizes[-1], np.float32)
    else:
        y = rng.integers(0, row.sizes[-1], (batches, row.batch))
    _, found = gradient(row, layers, x[0], y[0])

    def second(g: Array) -> Array:
        size = np.float32((1 - B2 ** (COUNT + 1)) * np.mean(g * g))
        return size * rng.uniform(0.5, 1.5, g.shape).astype(np.float32)

    return Problem(layers, [(second(w), second(b)) for w, b in found], x, y)


def save(path: str, problem: Problem) -> None:
    """Write a problem's arrays, for other processes."""
    named = {"x": problem.x, "y": problem.y}
    for name, layers in (("p", problem.layers), ("v", problem.v)):
        named |= {f"{name}{i}{part}": a for i, layer in enumerate(layers) for part, a in zip("wb", layer, strict=True)}
    np.savez(path, **named)  # type: ignore[arg-type]


def load(path: str) -> Problem:
    """What :func:`save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        count = sum(name.endswith("w") for name in file) // 2
        layers, v = ([(file[f"{name}{i}w"], file[f"{name}{i}b"]) for i in range(count)] for name in "pv")
        return Problem(layers, v, file["x"], file["y"])


def flat(name: str, layers: Layers) -> dict[str, Array]:
    """Layers as named arrays, the form in which results are compared."""
    parts = ("weight", "bias")
    return {
        f"{name} of layers[{i}].{part}": np.asarray(a)
        for i, layer in enumerate(layers) for part, a in zip(parts, layer, strict=True)
    }  # fmt: skip


class WrongResultError(AssertionError):
    """A contestant computes something else, so its time means nothing."""


def require_agreement(who: str, start: Problem, found: dict[str, Array], wanted: dict[str, Array]) -> None:
    """Raise WrongResultError unless parameters moved as they should and moments are right, all to 1e-4.

    Of each array the largest difference counts, in units of its largest number; parameters are compared by their
    movement.
    """
    before = flat("parameters", start.layers)
    if found.keys() != wanted.keys():
        raise WrongResultError(f"{who}: gives {sorted(found)}, not {sorted(wanted)}")
    for name, b in wanted.items():
        a, origin = found[name].astype(np.float64), before.get(name, np.float32(0)).astype(np.float64)
        if a.shape != b.shape:
            raise WrongResultError(f"{who}: {name} has shape {a.shape}, not {b.shape}")
        # Where parameters are large beside their movement, float32 itself rounds the movement.
        slack = 2 * np.finfo(np.float32).eps * float(np.max(np.abs(origin), initial=0))
        largest = float(np.max(np.abs(b - origin), initial=0))
        difference = float(np.max(np.abs(a - b), initial=0))
        if not difference <= TOLERANCE * largest + slack:  # also where it is not a number
            raise WrongResultError(
                f"{who}: {name} differs by {difference:.2g} where {largest:.2g} is the largest: the step is another, "
                "so times can't be compared"
            )
