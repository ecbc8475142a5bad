"""Initial weights.  An initialiser is a function ``(rng, shape, dtype) -> ndarray``.

Weights have shape (..., n_in, n_out): the last two axes are the layer's inputs and outputs, and the axes before them
(a convolution's window) multiply both fans.  Numbers are drawn in float64 and cast, so that a float32 and a float64
model of one seed agree.

Sources: Glorot and Bengio 2010 (variance 2/(n_in + n_out)), He et al. 2015 (2/n_in), LeCun et al. 1998 (1/n_in),
Saxe et al. 2014 (orthogonal).  Normal ones are not truncated.

Does not do: initialisation from data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.base.errors import DtypeError, OptionError, ShapeError, choose

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Initializer = Callable[[np.random.Generator, Shape, Any], Array]


def fans(shape: Shape) -> tuple[int, int]:
    """``(fan_in, fan_out)`` of a weight of ``shape`` (..., n_in, n_out).  Raises :class:`ShapeError` below two axes."""
    if len(shape) < 2:
        raise ShapeError(
            "a weight needs inputs and outputs",
            expected="shape (..., n_in, n_out)",
            got=f"shape {tuple(shape)}",
            where="nn.init",
            fix="use zeros, constant, uniform or normal for a bias",
        )
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def zeros(rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> Array:
    """All 0."""
    return np.zeros(shape, _float(dtype))


def ones(rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> Array:
    """All 1."""
    return np.ones(shape, _float(dtype))


def constant(value: float) -> Initializer:
    """The initialiser that fills with ``value``."""

    def initialize(rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> Array:
        return np.full(shape, value, _float(dtype))

    return initialize


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """The initialiser with independent uniform numbers in [low, high).  Raises :class:`OptionError` if low > high."""
    if not low <= high:
        raise OptionError(
            "uniform needs low <= high",
            expected="low <= high",
            got=f"low={low}, high={high}",
            where="nn.init.uniform",
            fix="swap the two",
        )

    def initialize(rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> Array:
        return rng.uniform(low, high, shape).astype(_float(dtype))

    return initialize


def normal(mean: float = 0.0, std: float = 0.05) -> Initializer:
    """The initialiser with independent normal numbers.  Raises :class:`OptionError` for a negative ``std``."""
    if not std >= 0:
        raise OptionError(
            "a standard deviation is not negative",
            expected="std >= 0",
            got=f"std={std}",
            where="nn.init.normal",
            fix="pass the standard deviation, not the variance's logarithm",
        )

    def initialize(rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> Array:
        return (mean + std * rng.standard_normal(shape)).astype(_float(dtype))

    return initialize


def _scaled(rng: np.random.Generator, shape: Shape, dtype: Any, variance: float, law: str) -> Array:
    std = math.sqrt(variance)
    if law == "normal":
        return (std * rng.standard_normal(shape)).astype(_float(dtype))
    bound = math.sqrt(3) * std
    return rng.uniform(-bound, bound, shape).astype(_float(dtype))


def _glorot(shape: Shape) -> float:
    return 2 / max(1, sum(fans(shape)))


def _he(shape: Shape) -> float:
    return 2 / max(1, fans(shape)[0])


def _lecun(shape: Shape) -> float:
    return 1 / max(1, fans(shape)[0])


def glorot_uniform(rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> Array:
    """Uniform in ±√(6/(n_in + n_out)): keeps the variance of signals and gradients through tanh layers."""
    return _scaled(rng, shape, dtype, _glorot(shape), "uniform")


def glorot_normal(rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> Array:
    """Normal with variance 2/(n_in + n_out)."""
    return _scaled(rng, shape, dtype, _glorot(shape), "normal")


def he_uniform(rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> Array:
    """Uniform in ±√(6/n_in): keeps the variance of signals through relu layers."""
    return _scaled(rng, shape, dtype, _he(shape), "uniform")


def he_normal(rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> Array:
    """Normal with variance 2/n_in."""
    return _scaled(rng, shape, dtype, _he(shape), "normal")


def lecun_uniform(rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> Array:
    """Uniform in ±√(3/n_in)."""
    return _scaled(rng, shape, dtype, _lecun(shape), "uniform")


def lecun_normal(rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> Array:
    """Normal with variance 1/n_in: what selu layers ask for."""
    return _scaled(rng, shape, dtype, _lecun(shape), "normal")


def orthogonal(rng: np.random.Generator, shape: Shape, dtype: Any = np.float32) -> Array:
    """A uniformly distributed matrix with orthonormal rows or columns, whichever are fewer; axes before the last join.

    The QR decomposition of a normal matrix with the signs of R's diagonal put into Q (Mezzadri, 2007).
    """
    fans(shape)  # checks the number of axes
    rows, columns = math.prod(shape[:-1]), shape[-1]
    tall = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(rng.standard_normal(tall))
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return (q if rows >= columns else q.T).reshape(shape).astype(_float(dtype))


initializers: dict[str, Initializer] = {
    "zeros": zeros,
    "ones": ones,
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "orthogonal": orthogonal,
}
"""Every initialiser without options, by name."""

_RELU_FAMILY = ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus")


def initializer(name: str | Initializer) -> Initializer:
    """The initialiser called ``name``; a function is returned as it is.  Raises :class:`OptionError` if unknown."""
    if callable(name):
        return name
    if name not in initializers:
        raise choose("weight_init", name, initializers, where="nn.init")
    return initializers[name]


def default_for(activation: object) -> Initializer:
    """The initialiser that suits an activation's name: He (relu family), LeCun (selu), Glorot (all others)."""
    if activation == "selu":
        return lecun_normal
    return he_normal if activation in _RELU_FAMILY else glorot_uniform


def _float(dtype: Any) -> np.dtype[Any]:
    wanted: np.dtype[Any] = np.dtype(dtype)
    if wanted.kind != "f":
        raise DtypeError(
            "weights are floating-point numbers",
            expected="float32 or float64",
            got=str(wanted),
            where="nn.init",
            fix="pass dtype=np.float32",
        )
    return wanted
