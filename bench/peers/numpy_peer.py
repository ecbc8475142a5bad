"""Backpropagation and Adam written out by hand in NumPy: what one writes without a library.  Also the reference.

The same functions in float64 give the step that all results are compared with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.by_hand import gradient
from bench.problem import Problem, flat
from bench.steps import B1, B2, COUNT, EPS, RATE, Array, Row


class ByHand:
    """The step in place: parameters and moments are updated where they lie."""

    def __init__(self, row: Row, problem: Problem, dtype: Any = np.float32) -> None:
        self.row, self.problem, self.dtype = row, problem, dtype
        self.x = problem.x.astype(dtype)
        self.y = problem.y.astype(dtype) if row.loss == "mse" else problem.y
        self.reset()

    def reset(self) -> None:
        """Back to the start."""
        self.layers, self.v = ([(w.astype(self.dtype), b.astype(self.dtype)) for w, b in part]
                               for part in (self.problem.layers, self.problem.v))  # fmt: skip
        self.m = [(np.zeros_like(w), np.zeros_like(b)) for w, b in self.layers]
        self.count = COUNT

    def step(self, i: int) -> object:
        """One call."""
        if self.row.loop > 1:
            return self.run(self.row.loop)
        return self._step(i % len(self.x))

    def run(self, count: int) -> object:
        """``count`` steps."""
        return [self._step(i % len(self.x)) for i in range(count)]

    def _step(self, i: int) -> object:
        loss, grads = gradient(self.row, self.layers, self.x[i], self.y[i])
        self.count += 1
        rate = RATE / (1 - B1**self.count)
        root = 1 / (1 - B2**self.count) ** 0.5
        for layer in zip(self.layers, grads, self.m, self.v, strict=True):
            for p, g, m, v in zip(*layer, strict=True):
                m *= B1
                m += (1 - B1) * g
                v *= B2
                np.multiply(g, g, out=g)
                g *= 1 - B2
                v += g
                np.sqrt(v, out=g)
                g *= root
                g += EPS
                np.divide(m, g, out=g)
                g *= rate
                p -= g
        return loss

    def result(self) -> dict[str, Array]:
        """Parameters and moments."""
        return flat("parameters", self.layers) | flat("m", self.m) | flat("v", self.v)


def reference(row: Row, problem: Problem, count: int) -> dict[str, Array]:
    """Parameters and moments after ``count`` steps in float64."""
    exact = ByHand(row, problem, np.float64)
    exact.run(count)
    return exact.result()
