"""Activation functions in NumPy, each in a form that neither overflows nor loses its derivative.

Where two branches meet at 0, the branch not taken is computed from a guarded input, so that its derivative never
enters: ``relu`` has derivative 0 at 0 (as in torch), ``elu`` has 1.  Softplus and sigmoid go through ``logaddexp``,
which is smooth, instead of ``|x|``, whose kink would make their second derivative 0 at 0.

Does not do: parametrised activations (PReLU), which are layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.base.errors import choose
from chainrule.ops.pointwise import sigmoid as expit
from chainrule.ops.special import erfc
from chainrule.ops.structure import stop_gradient

Array = Any

_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_ALPHA = 1.6732632423543772848170429916717


def identity(x: Array) -> Array:
    """``x`` itself: the activation of a linear output."""
    return x


def relu(x: Array) -> Array:
    """max(x, 0), with derivative 0 at 0; NaN stays NaN.  Shape and dtype of ``x``."""
    return np.where(x <= 0, 0, x)


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    """x where x > 0, else ``slope`` x (Maas et al., 2013); derivative ``slope`` at 0."""
    return np.where(x > 0, x, slope * x)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """x where x > 0, else ``alpha`` (exp(x) - 1) (Clevert et al., "Fast and accurate deep network learning", 2016)."""
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x)))


def selu(x: Array) -> Array:
    """The scaled elu whose layers normalise themselves (Klambauer et al., 2017)."""
    return _SELU_SCALE * elu(x, _SELU_ALPHA)


def gelu(x: Array, approximate: str = "none") -> Array:
    """x Φ(x), with the normal distribution function Φ (Hendrycks and Gimpel, 2016).

    ``approximate``: ``"none"`` for the exact form, ``"tanh"`` for x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))).
    Raises :class:`OptionError` for another word.
    """
    if approximate == "none":
        # erfc keeps the relative precision of the left tail, where 1 + erf cancels.
        return 0.5 * x * erfc(-x * math.sqrt(0.5))
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))
    raise choose("approximate", approximate, ("none", "tanh"), where="nn.gelu")


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return expit(x)


def silu(x: Array) -> Array:
    """x sigmoid(x), also called swish (Elfwing et al., 2018; Ramachandran et al., 2017)."""
    return x * sigmoid(x)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) (Dugas et al., 2001)."""
    return np.logaddexp(x, 0)


def log_sigmoid(x: Array) -> Array:
    """log(sigmoid(x)) = -softplus(-x)."""
    return -softplus(-x)


def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(x)


def _top(x: Array, axis: int | tuple[int, ...] | None) -> Array:
    """The maximum over ``axis``, kept as an axis of 1, as a constant: what is shifted by it does not depend on it."""
    return stop_gradient(np.max(x, axis=axis, keepdims=True))


def logsumexp(x: Array, axis: int | tuple[int, ...] | None = -1, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) over ``axis``, with the maximum taken out first.  -inf everywhere gives -inf."""
    top = _top(x, axis)
    top = np.where(np.isfinite(top), top, 0)
    total = np.sum(np.exp(x - top), axis=axis, keepdims=True)
    # An all -inf slice has total 0: log of it is the -inf we want, without the warning.
    result = np.where(total > 0, np.log(np.where(total > 0, total, 1)), -np.inf) + top
    return result if keepdims else np.squeeze(result, axis=axis)


def softmax(x: Array, axis: int = -1) -> Array:
    """exp(x) / sum(exp(x)) over ``axis``; sums to 1 along it (Bridle, 1990)."""
    raised = np.exp(x - _top(x, axis))
    return raised / np.sum(raised, axis=axis, keepdims=True)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """log(softmax(x)) without forming the softmax: finite wherever ``x`` is."""
    shifted = x - _top(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


activations: dict[str, Callable[[Array], Array]] = {
    "identity": identity,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "gelu": gelu,
    "silu": silu,
    "softplus": softplus,
    "sigmoid": sigmoid,
    "log_sigmoid": log_sigmoid,
    "tanh": tanh,
    "softmax": softmax,
    "log_softmax": log_softmax,
}
"""Every activation by name; options have their default values."""


def activation(name: str | Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The activation called ``name``; a function is returned as it is.

    Raises :class:`OptionError`, listing the valid names, for an unknown one.
    """
    if callable(name):
        return name
    if name not in activations:
        raise choose("activation", name, activations, where="nn.activation")
    return activations[name]
