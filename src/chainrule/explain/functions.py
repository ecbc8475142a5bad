"""The names an expression may use: what each is, in NumPy, and how many arguments it takes.

The ordinary names of school mathematics and of neural networks; nothing else can be called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.nn.activations import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    logsumexp,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
)


class Function(NamedTuple):
    """A callable of the expression language, with the least and the most arguments it takes."""

    call: Callable[..., Any]
    least: int = 1
    most: int = 1


def _largest(*args: Any) -> Any:
    """max(a): the largest element; max(a, b, …): element by element."""
    return _pairwise(np.maximum, np.max, args)


def _smallest(*args: Any) -> Any:
    return _pairwise(np.minimum, np.min, args)


def _pairwise(two: Any, one: Any, args: tuple[Any, ...]) -> Any:
    if len(args) == 1:
        return one(args[0])
    found = args[0]
    for arg in args[1:]:
        found = two(found, arg)
    return found


FUNCTIONS: dict[str, Function] = {
    "relu": Function(relu),
    "leaky_relu": Function(leaky_relu),
    "elu": Function(elu),
    "gelu": Function(gelu),
    "silu": Function(silu),
    "softplus": Function(softplus),
    "sigmoid": Function(sigmoid),
    "tanh": Function(np.tanh),
    "softmax": Function(softmax),
    "log_softmax": Function(log_softmax),
    "logsumexp": Function(logsumexp),
    "exp": Function(np.exp),
    "expm1": Function(np.expm1),
    "log": Function(np.log),
    "ln": Function(np.log),
    "log1p": Function(np.log1p),
    "log2": Function(np.log2),
    "log10": Function(np.log10),
    "sqrt": Function(np.sqrt),
    "square": Function(np.square),
    "abs": Function(np.abs),
    "sign": Function(np.sign),
    "sin": Function(np.sin),
    "cos": Function(np.cos),
    "tan": Function(np.tan),
    "arcsin": Function(np.arcsin),
    "arccos": Function(np.arccos),
    "arctan": Function(np.arctan),
    "sinh": Function(np.sinh),
    "cosh": Function(np.cosh),
    "max": Function(_largest, 1, 8),
    "min": Function(_smallest, 1, 8),
    "sum": Function(np.sum),
    "mean": Function(np.mean),
    "norm": Function(np.linalg.norm),
    "dot": Function(np.dot, 2, 2),
    "transpose": Function(np.transpose),
}

CONSTANTS: dict[str, float] = {"pi": float(np.pi), "e": float(np.e)}
