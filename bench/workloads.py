"""The functions the suites differentiate, written once: ``xp`` is ``numpy`` for us and ``autograd.numpy`` for autograd.

Each maker returns ``(function of (xp, x), x)``; the function's result is a scalar.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

Workload = tuple[Callable[[Any, Any], Any], Any]


def chain(ops: int, factor: float) -> Workload:
    """``ops`` ops on one number, each on the result of the one before: sine, scaling, sine, …"""

    def function(xp: Any, x: Any) -> Any:
        for _ in range(ops // 2):
            x = xp.sin(x) * factor
        return x

    return function, 0.5


def mlp(sizes: tuple[int, ...], batch: int) -> Workload:
    """Cross-entropy of a network with ReLU layers, with respect to all its weights and biases."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, sizes[0])).astype(np.float32)
    labels = np.eye(sizes[-1], dtype=np.float32)[rng.integers(0, sizes[-1], batch)]
    layers = [
        (rng.standard_normal((m, n)).astype(np.float32) / np.float32(np.sqrt(m)), np.zeros(n, np.float32))
        for m, n in itertools.pairwise(sizes)
    ]

    def function(xp: Any, layers: Any) -> Any:
        h = x
        for i, (weight, bias) in enumerate(layers):
            h = h @ weight + bias
            if i < len(layers) - 1:
                h = xp.maximum(h, 0)
        top = xp.max(h, axis=1, keepdims=True)
        normaliser = xp.log(xp.sum(xp.exp(h - top), axis=1, keepdims=True)) + top
        return -xp.sum((h - normaliser) * labels) / batch

    return function, layers


def logsumexp(size: int) -> Workload:
    """The logarithm of a sum of exponentials, shifted by the largest."""

    def function(xp: Any, x: Any) -> Any:
        top = xp.max(x)
        return xp.log(xp.sum(xp.exp(x - top))) + top

    return function, np.random.default_rng(0).standard_normal(size)


def matmul_chain(size: int, length: int) -> Workload:
    """A product of square matrices, with respect to each of them."""
    rng = np.random.default_rng(0)
    matrices = [rng.standard_normal((size, size)) / np.sqrt(size) for _ in range(length)]

    def function(xp: Any, matrices: Any) -> Any:
        product = matrices[0]
        for matrix in matrices[1:]:
            product = product @ matrix
        return xp.sum(product**2)

    return function, matrices


def elementwise(size: int) -> Workload:
    """A page of ordinary mathematics, element by element."""

    def function(xp: Any, x: Any) -> Any:
        y = xp.tanh(x) * xp.exp(-(x**2)) + xp.sin(3 * x) / (1 + x**2)
        return xp.sum(xp.sqrt(1 + y**2) - xp.log(2 + xp.cos(y)))

    return function, np.random.default_rng(0).standard_normal(size)


def rnn(steps: int, hidden: int, batch: int) -> Workload:
    """A recurrent network, its Python loop over time unrolled by tracing."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((steps, batch, hidden))
    weights = (rng.standard_normal((hidden, hidden)) * 0.1, rng.standard_normal((hidden, hidden)) * 0.1)

    def function(xp: Any, weights: Any) -> Any:
        into, across = weights
        h = np.zeros((batch, hidden))
        for x in inputs:
            h = xp.tanh(x @ into + h @ across)
        return xp.mean(h**2)

    return function, weights
