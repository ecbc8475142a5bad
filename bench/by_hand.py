"""The gradient of a perceptron's loss, derived by hand and written in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.steps import Array, Layers, Row


def gradient(row: Row, layers: Layers, x: Array, y: Array) -> tuple[Any, Layers]:
    """The mean loss over the rows of ``x``, and its gradient layer by layer."""
    kept = [x]
    last = len(layers) - 1
    for i, (weight, bias) in enumerate(layers):
        z = kept[-1] @ weight
        z += bias
        if i < last:
            z = np.maximum(z, 0, out=z) if row.activation == "relu" else np.tanh(z, out=z)
        kept.append(z)
    out = kept.pop()
    if row.loss == "mse":
        difference = out - y
        loss = np.mean(difference * difference)
        delta = difference * (2 / difference.size)
    else:
        rows = np.arange(len(out))
        e = np.exp(out - np.max(out, axis=1, keepdims=True))
        delta = e / np.sum(e, axis=1, keepdims=True)
        loss = -np.mean(np.log(delta[rows, y]))
        delta[rows, y] -= 1
        delta /= len(out)
    grads: Layers = []
    for i in range(last, -1, -1):
        grads.append((kept[i].T @ delta, delta.sum(axis=0)))
        if i:
            delta = delta @ layers[i][0].T
            delta *= kept[i] > 0 if row.activation == "relu" else 1 - kept[i] * kept[i]
    return loss, grads[::-1]
