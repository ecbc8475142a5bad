"""The error function and its complement, plain and scaled, in NumPy alone.

Near 0 a polynomial, the Chebyshev interpolant of erf(x)/x - 1 in x² (error 1.3e-19 up to |x| = 1).  Farther out
rational minimax approximations of the scaled complement, from W. J. Cody, "Rational Chebyshev approximations for the
error function", Math. Comp. 23 (1969), times e^(-x²) in two factors, with x rounded to sixteenths in the first, so that
the rounding of x² is not magnified.  At most 2 units in the last place for erf, 8 for the others.

Computed in float64 and rounded to the dtype of the argument; NaN stays NaN.  Does not do complex numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import Array

SMALL, LARGE = 0.46875, 4.0
_ROOT = 0.56418958354775628695  # 1/√π

# erf(x)/x - 1 in x², for |x| ≤ 1; highest power first, as in all tables here.
_NEAR = (
    5.9571761477489114044e-11, -1.137284885679167367e-9, 1.4659775274047435814e-8, -1.6350312701054695011e-7,
    1.6461000484121368033e-6, -0.000014925595266831181565, 0.00012055331111642710923, -0.00085483269808337899052,
    0.0052239776248180144673, -0.026866170645076793248, 0.11283791670954878666, -0.37612638903183748056,
    0.12837916709551257377,
)  # fmt: skip
# e^(x²)·erfc(x) in x, for 0.46875 ≤ x ≤ 4.
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
     2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
     1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
# (1/√π - x·e^(x²)·erfc(x))·x² in 1/x², for x ≥ 4.
_FAR = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
     1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
     2.33520497626869185e-3),
)  # fmt: skip


def _ratio(tables: tuple[Sequence[float], Sequence[float]], x: Array) -> Array:
    """Numerator over denominator, by Horner's rule."""
    above, below = (np.full_like(x, t[0]) for t in tables)
    for a, b in zip(tables[0][1:], tables[1][1:], strict=True):
        above = above * x + a
        below = below * x + b
    result: Array = above / below
    return result


def _near(x: Array) -> Array:
    """erf for |x| ≤ 1."""
    square = x * x
    total = np.full_like(x, _NEAR[0])
    for a in _NEAR[1:]:
        total = total * square + a
    result: Array = x + x * total  # rounding touches the small part only
    return result


def _scaled(x: Array) -> Array:
    """e^(x²)·erfc(x) for x ≥ 0.46875."""
    out = np.empty_like(x)
    middle = x <= LARGE
    out[middle] = _ratio(_MIDDLE, x[middle])
    far = x[~middle]
    inverse = 1 / (far * far)
    out[~middle] = (_ROOT - inverse * _ratio(_FAR, inverse)) / far
    return out


def _gauss(x: Array, sign: float) -> Array:
    """e^(sign·x²), to full precision."""
    whole = np.trunc(x * 16) / 16
    rest = (x - whole) * (x + whole)
    result: Array = np.exp(sign * whole * whole) * np.exp(sign * rest)
    return result


def _split(bound: float, inner: Callable[[Array], Array], outer: Callable[[Array], Array]) -> Callable[[Any], Any]:
    """A function given by ``inner`` up to ``bound``, in size, and by ``outer`` from there."""

    def evaluate(x: Any) -> Any:
        given = np.asarray(x)
        wide = given.astype(np.float64).ravel()
        out = np.empty_like(wide)
        near = ~(np.abs(wide) > bound)  # NaN too
        with np.errstate(all="ignore"):
            out[near] = inner(wide[near])
            out[~near] = outer(wide[~near])
        dtype = given.dtype if given.dtype.kind == "f" else np.float64
        return out.reshape(given.shape).astype(dtype)[()]

    return evaluate


def _tail(size: Array) -> Array:
    """erfc for x ≥ 0.46875; 0 from where it underflows."""
    beyond = np.minimum(size, 30.0)
    result: Array = _gauss(beyond, -1.0) * _scaled(beyond)
    return result


def _outer_erf(x: Array) -> Array:
    result: Array = np.copysign(1 - _tail(np.abs(x)), x)
    return result


def _outer_erfc(x: Array) -> Array:
    tail = _tail(np.abs(x))
    return np.where(x < 0, 2 - tail, tail)


def _outer_erfcx(x: Array) -> Array:
    scaled = _scaled(np.abs(x))
    return np.where(x < 0, 2 * _gauss(np.maximum(x, -30.0), 1.0) - scaled, scaled)


erf = _split(1.0, _near, _outer_erf)
erfc = _split(SMALL, lambda x: 1 - _near(x), _outer_erfc)
erfcx = _split(SMALL, lambda x: np.exp(x * x) * (1 - _near(x)), _outer_erfcx)

erf.__doc__ = "2/√π ∫₀ˣ e^(-t²) dt, elementwise; float dtypes."
erfc.__doc__ = "1 - erf(x), elementwise, with its full relative precision for large x; float dtypes."
erfcx.__doc__ = "e^(x²)·erfc(x), elementwise: what is left of erfc when its underflow is taken out; float dtypes."
