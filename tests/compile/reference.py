"""What the vector math is held against: mpmath, NumPy in a wider format, points, and errors in ulp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf
from numpy.typing import NDArray

Array = NDArray[Any]
DTYPES = {"f32": np.float32, "f64": np.float64}


def _mod(x: Any, y: Any) -> Any:
    return x - y * mpmath.floor(x / y)


def _fmod(x: Any, y: Any) -> Any:
    return mpmath.sign(x) * _mod(abs(x), abs(y))


def _erfc(x: Any) -> Any:
    return mpmath.erfc(x) if abs(x) < 200 else mpf(1) - mpmath.sign(x)  # mpmath overflows; so far out it is 0 or 2


EXACT: dict[str, Callable[..., Any]] = {
    "exp": mpmath.exp, "exp2": lambda x: mpmath.power(2, x), "expm1": mpmath.expm1, "log": mpmath.log,
    "log2": lambda x: mpmath.log(x, 2), "log10": mpmath.log10, "log1p": mpmath.log1p, "sin": mpmath.sin,
    "cos": mpmath.cos, "tan": mpmath.tan, "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh,
    "arcsin": mpmath.asin, "arccos": mpmath.acos, "arctan": mpmath.atan, "arctan2": mpmath.atan2,
    "arcsinh": mpmath.asinh, "arccosh": mpmath.acosh, "arctanh": mpmath.atanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "erf": mpmath.erf, "erfc": _erfc, "pow": mpmath.power,
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), "hypot": mpmath.hypot, "sqrt": mpmath.sqrt,
    "logaddexp": lambda x, y: max(x, y) + mpmath.log1p(mpmath.exp(-abs(x - y))),
    "logaddexp2": lambda x, y: max(x, y) + mpmath.log1p(mpmath.power(2, -abs(x - y))) / mpmath.log(2),
    "fmod": _fmod, "remainder": _mod, "mod": _mod, "floor_divide": lambda x, y: mpmath.floor(x / y),
}  # fmt: skip


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


# functions NumPy has; it computes them in a wider format, and at special points in their own
NUMPY: dict[str, Callable[..., Array]] = {
    **{name: getattr(np, name) for name in EXACT if hasattr(np, name)},
    "sigmoid": _sigmoid,
}

# where the arguments lie: the real domain of each function
_DOMAINS: dict[str, tuple[float, float]] = {
    "log": (0, np.inf), "log2": (0, np.inf), "log10": (0, np.inf), "log1p": (-1, np.inf), "arcsin": (-1, 1),
    "arccos": (-1, 1), "arccosh": (1, np.inf), "arctanh": (-1, 1), "sqrt": (0, np.inf),
}  # fmt: skip


@np.errstate(all="ignore")
def _edges(dtype: type[np.floating[Any]]) -> Array:
    """Both sides of the places where functions overflow, underflow or change their formula."""
    info = np.finfo(dtype)
    places = [
        0.0, 0.347, 0.35, 0.4142136, 0.45, 0.5, 0.6, 1.0, 1.4142136, 1.5, 2.0, 2.4142137, np.pi / 4, np.pi / 2, np.pi,
        3.95, 6.0, 9.0, 10.0, 17.33, 20.0, 26.5, 27.3, 36.7, 87.33654, 88.72283, 89.41598, 103.97, 126.0, 127.0, 128.0,
        708.3964185322641, 709.782712893384, 710.4758600739439, 745.0, 1022.0, 1024.0, 1e5, 2.0**22, 1e8, 2.0**30,
        2.0**51, 2.0**60, 1e22, float(info.eps), float(info.tiny), float(info.max), 1 / 3, 100.0, 1000.0,
    ]  # fmt: skip
    p = np.array(places).astype(dtype)
    around = [p, np.nextafter(p, dtype(np.inf)), np.nextafter(p, dtype(0)), -p, 1 + p * info.eps, 1 - p * info.eps]
    return np.concatenate(around)


@np.errstate(all="ignore")
def points(name: str, arguments: int, dtype: type[np.floating[Any]], count: int, seed: int = 0) -> list[Array]:
    """About ``count`` finite normal arguments: all exponents, ordinary sizes, near 1, near multiples of π/2, edges."""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    whole = np.uint32 if info.bits == 32 else np.uint64

    def any_bits(n: int) -> Array:
        return rng.integers(0, 2**info.bits, n, dtype=np.uint64).astype(whole).view(dtype)

    def ordinary(n: int) -> Array:
        return (rng.standard_normal(n) * 10.0 ** rng.uniform(-3, 3, n)).astype(dtype)

    quarter = max(1, count // 5)
    out = []
    for _ in range(arguments):
        near_one = (1 + rng.standard_normal(quarter) * 10.0 ** rng.uniform(-7, 0, quarter)).astype(dtype)
        turns = (rng.integers(-(10**4), 10**4, quarter) * (np.pi / 2)).astype(dtype)
        out.append(np.concatenate([any_bits(quarter), ordinary(2 * quarter), near_one, turns, _edges(dtype)]))
    if arguments == 2:
        out[1] = rng.permutation(out[1])
        if name == "pow":  # most negative bases have no real power
            out[0] = np.where(rng.random(out[0].size) < 0.8, np.abs(out[0]), np.rint(out[0]))
            out[1] = np.where(out[0] < 0, np.rint(out[1]), out[1])
    low, high = _DOMAINS.get(name, (-np.inf, np.inf))
    if np.isfinite(low) and np.isfinite(high):  # fold the rest in
        out[0] = np.where(np.abs(out[0]) > 1, np.abs(np.modf(out[0])[0]) * np.sign(out[0]), out[0]).astype(dtype)
    keep = (out[0] > low) & (out[0] < high)
    for x in out:
        keep &= np.isfinite(x) & ((np.abs(x) >= info.tiny) | ((x == 0) & (arguments == 1)))
    return [x[keep] for x in out]


@np.errstate(all="ignore")
def ulp_errors(name: str, got: Array, want: Array, arguments: list[Array]) -> Array:
    """|got − want| in ulp of the result (for logaddexp, of the largest of arguments and result).

    ``want`` is in a wider format or of mpmath numbers.  Both beyond the largest number, or both below the smallest
    normal one, count as equal.
    """
    info = np.finfo(got.dtype)
    size = np.abs(want)
    if name in ("logaddexp", "logaddexp2"):
        for x in arguments:
            size = np.maximum(size, np.abs(x))
    near = np.minimum(np.maximum(size, float(info.tiny)), float(info.max)).astype(np.float64).astype(got.dtype)
    ulp = np.spacing(np.minimum(near, info.max)).astype(np.float64)
    limit = float(info.max) * (1 + float(info.eps) / 4)
    finite = np.isfinite(got)
    error = np.abs(np.where(finite, got, 0).astype(np.float64) - want).astype(np.float64) / ulp
    over = np.asarray(np.abs(want) >= limit, bool)
    close_to_over = np.asarray(np.abs(want) >= float(info.max) * (1 - 2 * float(info.eps)), bool)
    error = np.where(np.isinf(got), np.where(over | close_to_over, 0.0, np.inf), error)
    error = np.where(over & finite, np.where(np.abs(got) == info.max, 1.0, np.inf), error)
    error = np.where(np.isnan(got), np.inf, error)
    tiny = float(info.tiny) * (1 + 4 * float(info.eps))
    both_small = np.asarray(np.abs(want) < tiny, bool) & (np.abs(got) <= tiny)
    return np.where(both_small, 0.0, error)


def exact(name: str, arguments: list[Array], digits: int = 30) -> Array:
    """The function in mpmath, as an array of objects."""
    with mpmath.workdps(digits):
        extra = 660 if name in ("fmod", "remainder", "mod", "floor_divide") else 0
        with mpmath.workdps(digits + extra):
            values = [EXACT[name](*(mpf(float(v)) for v in row)) for row in zip(*arguments, strict=True)]
    return np.array(values, dtype=object)
