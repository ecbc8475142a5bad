"""Random numbers from explicit keys, as pure functions: the same key gives the same numbers, traced or not.

A key is a uint32 array of shape (2,), a 64-bit key of Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy
as 1, 2, 3", 2011).  Nothing advances: to draw twice, :func:`split` the key or :func:`fold_in` a step number.  Bits are
the same on every machine; floats that pass through log or cos may differ in the last place between math libraries.

>>> from chainrule import random
>>> for step_key in random.split(random.key(0), 2):
...     print(random.randint(step_key, 0, 100, shape=3))
[33 65 26]
[92  4 17]

Streams: numbers come from counter stream 0, ``split`` draws new keys from stream 1, ``fold_in`` scrambles the key with
stream 2, adds the data to it and draws from stream 3; so no derived key repeats a word that a user draws.

Does not do: distributions that need rejection (gamma, beta, Poisson).  For these, and for initialisers and the order
of data, use ``numpy.random.Generator``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.base.errors import DtypeError, OptionError, ShapeError
from chainrule.ops.random import random_bits

Array = Any
Key = Any
Shape = int | tuple[int, ...]
DType = Any

_SPLIT, _SCRAMBLE, _FOLD = 1, 2, 3

__all__ = [
    "bernoulli",
    "bits",
    "categorical",
    "choice",
    "exponential",
    "fold_in",
    "gumbel",
    "key",
    "laplace",
    "logistic",
    "normal",
    "permutation",
    "rademacher",
    "randint",
    "split",
    "truncated_normal",
    "uniform",
]


# Keys


def key(seed: int | Array) -> Key:
    """The key of ``seed``: its low and high 32-bit words, uint32 of shape (2,).

    ``seed``: an integer in [-2**63, 2**64), or a 0-d integer array (it may be traced); taken modulo 2**64.
    Raises :class:`DtypeError` for anything that is not an integer, :class:`OptionError` out of range.
    """
    return _words("seed", seed, "chainrule.random.key")


def split(key: Key, n: int = 2) -> Array:
    """``n`` new keys, uint32 of shape (n, 2), independent of each other and of what is drawn from ``key``."""
    _check_key(key, "split")
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
        raise OptionError(
            "split needs a number of keys",
            expected="an integer n >= 0",
            got=repr(n),
            where="chainrule.random.split",
            fix="pass how many keys you want, as in split(key, 3)",
        )
    return random_bits(key, shape=(int(n), 2), stream=_SPLIT)


def fold_in(key: Key, data: int | Array) -> Key:
    """A new key that depends on ``key`` and on the integer ``data`` (a step number, a layer's index).

    ``data``: an integer in [-2**63, 2**64), or a 0-d integer array, which may be traced.  Returns uint32 of shape (2,).
    """
    _check_key(key, "fold_in")
    words = _words("data", data, "chainrule.random.fold_in")
    # Scrambled first: without that, fold_in(key(0), 1) would be fold_in(key(1), 0).
    scrambled = random_bits(key, shape=(2,), stream=_SCRAMBLE)
    return random_bits(scrambled + words, shape=(2,), stream=_FOLD)


# Bits and uniform numbers


def bits(key: Key, shape: Shape = ()) -> Array:
    """Uniform uint32 words of ``shape``.  ``bits(key(0), 4)`` is the first known answer of the Random123 library."""
    _check_key(key, "bits")
    return random_bits(key, shape=_shape(shape, "bits"))


def uniform(
    key: Key, shape: Shape = (), dtype: DType = np.float32, low: float | Array = 0.0, high: float | Array = 1.0
) -> Array:
    """Uniform numbers in [low, high), float32 (24 random bits) or float64 (53).

    ``low`` and ``high`` broadcast against ``shape`` and may be differentiated; where they are arrays the
    largest numbers may round to ``high``.
    """
    dtype = _float(dtype, "uniform")
    unit = _unit(key, _shape(shape, "uniform"), dtype, "uniform")
    if isinstance(low, (int, float)) and isinstance(high, (int, float)):
        if not low <= high:
            raise OptionError(
                "uniform needs low <= high",
                expected="low <= high",
                got=f"low={low!r}, high={high!r}",
                where="chainrule.random.uniform",
                fix="swap the two",
            )
        if low == 0 and high == 1:
            return unit
        below = np.nextafter(dtype.type(high), dtype.type(low))  # rounding must not reach high
        return np.minimum((low + (high - low) * unit).astype(dtype), below)
    return (low + (high - low) * unit).astype(dtype)


def randint(
    key: Key, low: int | Array, high: int | Array, shape: Shape = (), dtype: DType = np.int64
) -> Array:
    """Integers in [low, high), uniform up to one part in 2**32; ``high - low`` is at most 2**32.

    The product of a 64-bit fraction and the span, rounded down (Lemire, "Fast random integer generation in an
    interval", 2019, without the rejection).
    """
    if isinstance(low, (int, np.integer)) and isinstance(high, (int, np.integer)) and not 0 < high - low <= 2**32:
        raise OptionError(
            "randint has no integers to draw from" if high <= low else "randint's span is too wide",
            expected="0 < high - low <= 2**32",
            got=f"low={low!r}, high={high!r}",
            where="chainrule.random.randint",
            fix="high is exclusive: pass high > low",
        )
    _check_key(key, "randint")
    words = random_bits(key, shape=(*_shape(shape, "randint"), 2)).astype(np.uint64)
    difference: Any = high - low
    span = np.uint64(difference) if isinstance(difference, int) else difference.astype(np.uint64)
    half = np.uint64(32)
    scaled = (words[..., 0] * span + ((words[..., 1] * span) >> half)) >> half
    return (scaled.astype(np.int64) + low).astype(dtype)


def bernoulli(key: Key, p: float | Array = 0.5, shape: Shape | None = None) -> Array:
    """Booleans that are True with probability ``p`` (to 24 bits); of ``shape``, or of the shape of ``p``."""
    if isinstance(p, (int, float)) and not 0 <= p <= 1:
        raise OptionError(
            "p is not a probability",
            expected="0 <= p <= 1",
            got=repr(p),
            where="chainrule.random.bernoulli",
            fix="pass the probability of True",
        )
    wanted = np.shape(p) if shape is None else _shape(shape, "bernoulli")
    return _unit(key, wanted, np.dtype(np.float32), "bernoulli") < p


def rademacher(key: Key, shape: Shape = (), dtype: DType = np.float32) -> Array:
    """-1 or +1 with equal probability."""
    _check_key(key, "rademacher")
    coin = random_bits(key, shape=_shape(shape, "rademacher")) >> np.uint32(31)
    return (1 - 2 * coin.astype(np.int8)).astype(dtype)


# Continuous distributions


def normal(key: Key, shape: Shape = (), dtype: DType = np.float32) -> Array:
    """Standard normal numbers: Box and Muller, "A note on the generation of random normal deviates", 1958."""
    dtype = _float(dtype, "normal")
    wanted = _shape(shape, "normal")
    size = math.prod(wanted)
    pairs = -(-size // 2)
    radius_key, angle_key = _two(key, "normal")
    radius = np.sqrt(-2 * np.log(_open(radius_key, (pairs,), dtype, "normal")))
    angle = _unit(angle_key, (pairs,), dtype, "normal") * (2 * math.pi)
    both = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return np.reshape(both[:size], wanted)


def truncated_normal(
    key: Key, lower: float, upper: float, shape: Shape = (), dtype: DType = np.float32
) -> Array:
    """Standard normal numbers conditioned on [lower, upper], by the inverse of the distribution function.

    ``lower`` and ``upper`` are plain numbers (infinities allowed).  The inverse is Wichura's algorithm AS 241 (1988).
    """
    dtype = _float(dtype, "truncated_normal")
    if not (isinstance(lower, (int, float)) and isinstance(upper, (int, float)) and lower < upper):
        raise OptionError(
            "truncated_normal needs two plain numbers in order",
            expected="lower < upper",
            got=f"lower={lower!r}, upper={upper!r}",
            where="chainrule.random.truncated_normal",
            fix="pass the ends of the interval, in standard deviations",
        )
    # Work in the lower half, where the distribution function keeps its relative precision.
    flip = lower > -upper
    a, b = (-upper, -lower) if flip else (lower, upper)
    low, high = (0.5 * math.erfc(-end / math.sqrt(2)) for end in (a, b))
    unit = _open(key, _shape(shape, "truncated_normal"), dtype, "truncated_normal")
    drawn = np.clip(_normal_quantile(low + (high - low) * unit), a, b)
    return -drawn if flip else drawn


def exponential(key: Key, shape: Shape = (), dtype: DType = np.float32) -> Array:
    """Exponential numbers of rate 1: -log(1 - u)."""
    dtype = _float(dtype, "exponential")
    return -np.log1p(-_open(key, _shape(shape, "exponential"), dtype, "exponential"))


def gumbel(key: Key, shape: Shape = (), dtype: DType = np.float32) -> Array:
    """Standard Gumbel numbers: -log(-log(1 - u))."""
    dtype = _float(dtype, "gumbel")
    return -np.log(-np.log1p(-_open(key, _shape(shape, "gumbel"), dtype, "gumbel")))


def logistic(key: Key, shape: Shape = (), dtype: DType = np.float32) -> Array:
    """Standard logistic numbers: log(u / (1 - u))."""
    dtype = _float(dtype, "logistic")
    unit = _open(key, _shape(shape, "logistic"), dtype, "logistic")
    return np.log(unit) - np.log1p(-unit)


def laplace(key: Key, shape: Shape = (), dtype: DType = np.float32) -> Array:
    """Laplace numbers of scale 1: an exponential number with a random sign."""
    dtype = _float(dtype, "laplace")
    wanted = _shape(shape, "laplace")
    size_key, sign_key = _two(key, "laplace")
    return exponential(size_key, wanted, dtype) * rademacher(sign_key, wanted, dtype)


# Discrete choices


def categorical(key: Key, logits: Array, axis: int = -1, shape: Shape | None = None) -> Array:
    """Indices along ``axis`` drawn with probability softmax(logits), by the Gumbel-max trick; int64.

    ``shape``: leading axes of independent draws put before the result's own (none by default).
    """
    if np.ndim(logits) == 0:
        raise ShapeError(
            "categorical needs an axis of classes",
            expected="logits of shape (..., classes)",
            got="shape ()",
            where="chainrule.random.categorical",
            fix="pass one logit per class",
        )
    lead = () if shape is None else _shape(shape, "categorical")
    dtype = logits.dtype if np.dtype(logits.dtype).kind == "f" else np.dtype(np.float32)
    noise = gumbel(key, (*lead, *logits.shape), dtype)
    return np.argmax(logits + noise, axis=axis if axis < 0 else axis + len(lead))


def permutation(key: Key, x: int | Array, axis: int = 0) -> Array:
    """A random order of 0 … x-1 when ``x`` is an integer, else the array ``x`` shuffled along ``axis``."""
    _check_key(key, "permutation")
    count = _population(x, axis, "permutation")
    words = random_bits(key, shape=(count, 2)).astype(np.uint64)
    # 64 bits: among n items two sort keys are equal with probability n**2 / 2**65.
    order = np.argsort(words[:, 0] * np.uint64(2**32) + words[:, 1], kind="stable")
    return order if isinstance(x, (int, np.integer)) else _pick(x, order, axis)


def choice(
    key: Key, a: int | Array, shape: Shape = (), replace: bool = True, p: Array | None = None, axis: int = 0
) -> Array:
    """Items of ``a`` along ``axis`` (or of 0 … a-1 for an integer), with probabilities ``p`` or equal ones.

    Without replacement: the first items of a permutation, or with ``p`` the largest of log(p) + Gumbel noise
    (Efraimidis and Spirakis, 2006).  Raises :class:`OptionError` when more are wanted than there are.
    """
    wanted = _shape(shape, "choice")
    count = _population(a, axis, "choice")
    size = math.prod(wanted)
    if size and (count == 0 or (not replace and size > count)):
        raise OptionError(
            "choice can't draw that many",
            expected=f"at most {count} without replacement" if count else "something to choose from",
            got=f"shape {wanted} from {count}",
            where="chainrule.random.choice",
            fix="pass replace=True or a smaller shape",
        )
    if p is not None and np.shape(p) != (count,):
        raise ShapeError(
            "p needs one probability per item",
            expected=f"p.shape == ({count},)",
            got=f"p.shape == {np.shape(p)}",
            where="chainrule.random.choice",
            fix="pass one probability for each item along the axis",
        )
    if p is None:
        index = randint(key, 0, count, (size,)) if replace and count else permutation(key, count)[:size]
    elif replace:
        total = np.cumsum(p)
        index = np.sum(uniform(key, (size, 1), total.dtype) * total[-1] >= total, axis=1)
        index = np.minimum(index, count - 1)
    else:
        noise = gumbel(key, (count,), np.float64)
        # A probability of zero must stay last without a warning from log.
        score = np.where(p > 0, np.log(np.where(p > 0, p, 1)) + noise, -np.inf)
        index = np.argsort(-score, kind="stable")[:size]
    if isinstance(a, (int, np.integer)):
        return np.reshape(index, wanted)
    axis = axis % a.ndim
    return np.reshape(_pick(a, index, axis), (*a.shape[:axis], *wanted, *a.shape[axis + 1 :]))


# Helpers


def _two(key: Key, name: str) -> tuple[Key, Key]:
    _check_key(key, name)
    pair = split(key)
    return pair[0], pair[1]


def _unit(key: Key, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> Array:
    """Uniform in [0, 1): all the bits the mantissa holds, so every value is exact and 1 is never reached."""
    _check_key(key, name)
    if dtype == np.float32:
        return (random_bits(key, shape=shape) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)
    words = random_bits(key, shape=(*shape, 2))
    high = (words[..., 0] >> np.uint32(5)).astype(np.float64)
    low = (words[..., 1] >> np.uint32(6)).astype(np.float64)
    return (high * 2.0**26 + low) * 2.0**-53


def _open(key: Key, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> Array:
    """Uniform in (0, 1), finer near 0 (down to 2**-33 in float32), for use under a logarithm."""
    _check_key(key, name)
    if dtype == np.float32:
        unit = (random_bits(key, shape=shape).astype(np.float32) + np.float32(0.5)) * np.float32(2**-32)
        return np.minimum(unit, np.float32(1 - 2**-24))
    return np.minimum(_unit(key, shape, dtype, name) + 2.0**-54, 1 - 2.0**-53)


def _normal_quantile(p: Array) -> Array:
    """Inverse of the standard normal distribution function, p in (0, 1).

    Wichura, "Algorithm AS 241: the percentage points of the normal distribution", 1988 (PPND16, 1e-16 relative).
    """
    q = p - 0.5
    central = np.abs(q) <= 0.425
    square = 0.180625 - np.where(central, q, 0) ** 2
    middle = q * _ratio(square, _CENTRAL)
    tail = np.minimum(p, 1 - p)
    tail = np.maximum(tail, np.finfo(p.dtype).tiny)
    r = np.sqrt(-np.log(tail))
    near = _ratio(np.minimum(r, 5) - 1.6, _NEAR)
    far = _ratio(np.maximum(r, 5) - 5, _FAR)
    return np.where(central, middle, np.where(q < 0, -1, 1).astype(p.dtype) * np.where(r <= 5, near, far))


def _ratio(x: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    above, below = (_horner(x, row) for row in coefficients)
    return above / below


def _horner(x: Array, row: tuple[float, ...]) -> Array:
    total = x * 0 + row[-1]
    for coefficient in reversed(row[:-1]):
        total = total * x + coefficient
    return total


_CENTRAL = (
    (
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
        4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
    ),
    (
        1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
        2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
    ),
)  # fmt: skip
_NEAR = (
    (
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
        1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
    ),
    (
        1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
        1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
    ),
)  # fmt: skip
_FAR = (
    (
        6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
        2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
    ),
    (
        1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
        7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
    ),
)  # fmt: skip


def _check_key(key: Key, name: str) -> None:
    shape, dtype = getattr(key, "shape", None), getattr(key, "dtype", None)
    if shape is None or dtype is None or np.dtype(dtype) != np.uint32:
        raise DtypeError(
            "not a random key",
            expected="a uint32 array of shape (2,)",
            got=type(key).__name__ if dtype is None else f"{np.dtype(dtype)} of shape {shape}",
            where=f"chainrule.random.{name}",
            fix="make one with chainrule.random.key(seed)",
        )
    if tuple(shape) != (2,):
        raise ShapeError(
            "not one random key",
            expected="key.shape == (2,)",
            got=f"key.shape == {tuple(shape)}",
            where=f"chainrule.random.{name}",
            fix="take one row of split(key, n), or map over the rows with chainrule.vmap",
        )


def _words(name: str, value: Any, where: str) -> Key:
    """The integer ``value`` modulo 2**64 as two uint32 words, low first."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not -(2**63) <= value < 2**64:
            raise OptionError(
                f"{name} does not fit in 64 bits",
                expected=f"-2**63 <= {name} < 2**64",
                got=repr(value),
                where=where,
                fix=f"pass {name} % 2**64",
            )
        return np.array([value & 0xFFFFFFFF, (value >> 32) & 0xFFFFFFFF], dtype=np.uint32)
    dtype = getattr(value, "dtype", None)
    if dtype is None or np.dtype(dtype).kind not in "iu" or value.shape != ():
        got = repr(value) if dtype is None else f"{np.dtype(dtype)} of shape {value.shape}"
        raise DtypeError(
            f"{name} is not an integer", expected="an int, or a 0-d integer array", got=got, where=where,
            fix=f"pass one integer as {name}",
        )  # fmt: skip
    wide = np.reshape(value, (1,)).astype(np.int64)
    return np.concatenate([wide.astype(np.uint32), (wide >> np.int64(32)).astype(np.uint32)])


def _shape(shape: Any, name: str) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in sizes):
        raise ShapeError(
            "not a shape",
            expected="an integer >= 0, or a tuple of them",
            got=repr(shape),
            where=f"chainrule.random.{name}",
            fix="shapes are fixed when a function is traced: use Python integers",
        )
    return tuple(int(n) for n in sizes)


def _float(dtype: Any, name: str) -> np.dtype[Any]:
    wanted: np.dtype[Any] = np.dtype(dtype)
    if wanted not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise DtypeError(
            f"{name} draws float32 or float64",
            expected="float32 or float64",
            got=str(wanted),
            where=f"chainrule.random.{name}",
            fix="draw one of these and cast the result with .astype",
        )
    return wanted


def _pick(x: Array, index: Array, axis: int) -> Array:
    """The items of ``x`` at a vector ``index`` along ``axis``.

    By take_along_axis, because np.take does not ask a traced index what to do when ``x`` itself is not traced.
    """
    before, after = axis % x.ndim, x.ndim - 1 - axis % x.ndim
    return np.take_along_axis(x, np.reshape(index, (*[1] * before, -1, *[1] * after)), axis=axis)


def _population(a: Any, axis: int, name: str) -> int:
    if isinstance(a, (int, np.integer)) and not isinstance(a, bool) and a >= 0:
        return int(a)
    shape = getattr(a, "shape", ())
    if not shape or not -len(shape) <= axis < len(shape):
        raise ShapeError(
            f"{name} has no axis {axis} to draw from",
            expected="an integer >= 0, or an array with that axis",
            got=repr(a) if not shape else f"an array of shape {shape}",
            where=f"chainrule.random.{name}",
            fix="pass a count or an array",
        )
    return int(shape[axis])
