"""Activation functions told by what they do: a piece of a graph evaluated on a grid and compared with known curves.

Whether the user wrote ``np.maximum(z, 0)``, ``z * (z > 0)`` or ``nn.relu(z)``, the curve is the same.

Does not do: functions with parameters per unit, which stay ``"other"``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.nn.activations import activations

Array = NDArray[Any]

GRID = np.linspace(-6.0, 6.0, 49)  # holds 0, where most curves have their bend
_NAMES = ("identity", "relu", "tanh", "sigmoid", "elu", "selu", "gelu", "silu", "softplus")


@dataclasses.dataclass(frozen=True)
class Curve:
    """An activation: its name, the interval its values lie in, and its largest slope."""

    name: str
    low: float = -np.inf
    high: float = np.inf
    steepest: float = 1.0

    @property
    def saturates(self) -> bool:
        """Whether it is bounded on both sides, so that its slope dies out on both."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def rectifies(self) -> bool:
        """Whether it has a flat half, on which units can be off."""
        return self.name in ("relu", "relu6")


_BOUNDS = {
    "relu": (0.0, np.inf), "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "softplus": (0.0, np.inf),
    "elu": (-1.0, np.inf),
}  # fmt: skip
_STEEPEST = {"sigmoid": 0.25, "gelu": 1.13, "silu": 1.1, "selu": 1.76}


def known_curve(name: str) -> Curve:
    """The curve of an activation of :mod:`chainrule.nn`, by name."""
    return Curve(name, *_BOUNDS.get(name, (-np.inf, np.inf)), _STEEPEST.get(name, 1.0))


def curve_of(function: Callable[[Array], Array]) -> Curve:
    """The curve of ``function``, which maps arrays elementwise; it is called with the values of ``GRID``."""
    found = np.asarray(function(GRID), np.float64)
    for name in _NAMES:
        if np.allclose(found, activations[name](GRID), rtol=1e-4, atol=1e-4):
            return known_curve(name)
    negative = GRID < 0
    slope = np.median(found[negative] / GRID[negative])
    if np.allclose(found, np.where(negative, slope * GRID, GRID), rtol=1e-4, atol=1e-4):
        return Curve("leaky_relu")
    steps = np.diff(found) / np.diff(GRID)
    steepest = float(np.abs(steps).max())
    flat_ends = max(abs(steps[0]), abs(steps[-1])) < 1e-3 * steepest if steepest else False
    if flat_ends and np.all(steps >= 0):
        return Curve("bounded", float(found.min()), float(found.max()), steepest)
    return Curve("other", steepest=steepest or 1.0)
