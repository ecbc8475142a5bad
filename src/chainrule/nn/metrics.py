"""Measures of a model's quality on data, for reports; they are not differentiated.

Does not do: averages weighted by batch; compute a metric on all the predictions of a set.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.base.errors import ShapeError

Array = Any


def accuracy(logits: Array, labels: Array) -> Array:
    """The share of rows whose largest logit is the label's; a 0-d float.

    ``logits`` (..., classes) with integer ``labels`` (...).  With both of one shape the task is binary: a logit above
    0 counts as class 1.  Raises :class:`ShapeError` otherwise.
    """
    if tuple(logits.shape) == tuple(labels.shape):
        return np.mean((logits > 0) == (labels > 0.5))
    if tuple(logits.shape[:-1]) != tuple(labels.shape):
        raise ShapeError(
            "accuracy: shapes do not fit together",
            expected="labels.shape == logits.shape[:-1]",
            got=f"labels.shape == {tuple(labels.shape)} and logits.shape == {tuple(logits.shape)}",
            where="nn.accuracy",
            fix="pass one row of logits per label",
        )
    return np.mean(np.argmax(logits, axis=-1) == labels)


def rmse(prediction: Array, target: Array) -> Array:
    """Root of the mean squared error, of one shape; in the target's unit."""
    _same("rmse", prediction, target)
    difference = prediction - target
    return np.sqrt(np.mean(difference * difference))


def r2(prediction: Array, target: Array) -> Array:
    """The coefficient of determination, 1 - Σ(t - p)² / Σ(t - mean t)²: 1 is perfect, 0 as good as the mean.

    For a target without variance: 1 where all is predicted exactly, else 0.
    """
    _same("r2", prediction, target)
    residual = np.sum((target - prediction) ** 2)
    total = np.sum((target - np.mean(target)) ** 2)
    flat = np.where(residual == 0, 1.0, 0.0)
    return np.where(total > 0, 1 - residual / np.where(total > 0, total, 1), flat)


def _same(name: str, prediction: Array, target: Array) -> None:
    if tuple(prediction.shape) != tuple(target.shape):
        raise ShapeError(
            f"{name}: shapes do not fit together",
            expected="prediction.shape == target.shape",
            got=f"{tuple(prediction.shape)} != {tuple(target.shape)}",
            where=f"nn.{name}",
            fix="reshape one of them; nothing is broadcast here",
        )
