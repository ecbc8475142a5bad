"""NumPy's element-by-element functions that are no ufuncs, and its tests for closeness and equality."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.ops import pointwise as p
from chainrule.ops import special
from chainrule.trace.shaping import together
from chainrule.trace.symbol import as_symbol
from chainrule.trace.table import implements
from chainrule.trace.ufuncs import is_complex

# sin(t)/t = Σ (-t²)ᵏ/(2k+1)!; up to |t| = 1.5 twelve terms leave less than 1e-19.
_SINC_SERIES = tuple(float((-1) ** k / np.prod(np.arange(1.0, 2 * k + 2))) for k in range(12))
_SINC_RADIUS = 1.5


@implements(np.sinc)
def sinc(x: Any) -> Any:
    """sin(πx)/(πx): near 0 by its series, which is smooth there, so that every derivative is right at 0 too."""
    angle = np.pi * as_symbol(x)
    near = p.less(np.abs(angle), _SINC_RADIUS)
    square = p.where(near, angle, 0.0) ** 2
    series: Any = _SINC_SERIES[-1]
    for coefficient in _SINC_SERIES[-2::-1]:
        series = series * square + coefficient
    away = p.where(near, _SINC_RADIUS, angle)
    return p.where(near, series, p.sin(away) / away)


@implements(np.i0)
def i0(x: Any) -> Any:
    """The modified Bessel function of order 0; its derivative is the one of order 1, for which SciPy is asked."""
    return special.iv(0.0, np.abs(as_symbol(x)))


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    x = as_symbol(z)
    if is_complex(x):
        made = p.arctan2(np.imag(x), np.real(x))
    else:
        real = x if x.dtype.kind == "f" else np.astype(x, np.dtype(float))
        made = p.where(np.signbit(real), np.full_like(real, np.pi), np.zeros_like(real))
        made = p.where(p.isnan(real), np.nan, made)
    return np.rad2deg(made) if deg else made


@implements(np.round, np.around)
def round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    x = as_symbol(a)
    if is_complex(x):
        return p.make_complex(round(np.real(x), decimals), round(np.imag(x), decimals))
    if x.dtype.kind != "f":
        if decimals >= 0:
            return x.copy()
        return np.astype(p.rint(x / 10**-decimals) * 10**-decimals, x.dtype)
    if decimals == 0:
        return p.rint(x)
    scale = 10.0 ** abs(decimals)
    return p.rint(x * scale) / scale if decimals > 0 else p.rint(x / scale) * scale


@implements(np.fix)
def fix(x: Any, out: Any = None) -> Any:
    return np.trunc(as_symbol(x))


@implements(np.real_if_close)
def real_if_close(a: Any, tol: float = 100) -> Any:
    x = as_symbol(a)
    if not is_complex(x):
        return x
    bound = tol * np.finfo(x.dtype).eps if tol > 1 else tol
    return np.real(x) if np.all(np.abs(np.imag(x).value) < bound) else x


# -------------------------------------------------------------------------------------------------------------- tests


@implements(np.isposinf)
def isposinf(x: Any, out: Any = None) -> Any:
    return np.logical_and(np.isinf(x), np.greater(x, 0))


@implements(np.isneginf)
def isneginf(x: Any, out: Any = None) -> Any:
    return np.logical_and(np.isinf(x), np.less(x, 0))


@implements(np.isreal)
def isreal(x: Any) -> Any:
    return np.equal(np.imag(as_symbol(x)), 0)


@implements(np.iscomplex)
def iscomplex(x: Any) -> Any:
    return np.not_equal(np.imag(as_symbol(x)), 0)


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    x, y = together([a, b])
    if x.dtype.kind not in "fc":
        y = np.astype(y, np.dtype(float))
    near = np.less_equal(np.abs(x - y), atol + rtol * np.abs(y))
    made = np.logical_or(np.logical_and(near, np.isfinite(y)), np.equal(x, y))
    return np.logical_or(made, np.logical_and(np.isnan(x), np.isnan(y))) if equal_nan else made


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> bool:
    return bool(np.all(isclose(a, b, rtol, atol, equal_nan)))


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    x, y = as_symbol(a1), as_symbol(a2)
    if x.shape != y.shape:
        return False
    same = np.equal(x, y)
    if equal_nan:
        same = np.logical_or(same, np.logical_and(np.isnan(x), np.isnan(y)))
    return bool(np.all(same))


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> bool:
    x, y = as_symbol(a1), as_symbol(a2)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return bool(np.all(np.equal(x, y)))


# --------------------------------------------------------------------------------------------------------------- text


@implements(np.array2string)
def array2string(a: Any, *args: Any, **kwargs: Any) -> str:
    return np.array2string(np.asarray(a.value), *args, **kwargs)


@implements(np.array_str)
def array_str(a: Any, *args: Any, **kwargs: Any) -> str:
    return np.array_str(np.asarray(a.value), *args, **kwargs)


@implements(np.array_repr)
def array_repr(arr: Any, *args: Any, **kwargs: Any) -> str:
    return np.array_repr(np.asarray(arr.value), *args, **kwargs)
