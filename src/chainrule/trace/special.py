"""SciPy's special functions on Symbols.

``scipy.special`` is ufuncs, which NumPy hands over.  They are found by name when one arrives that no table has: whoever
calls one has imported SciPy, so chainrule itself never does.  Its plain Python functions (logsumexp, softmax,
log_softmax) ask their argument for its array namespace, and trace too where SciPy was told to look: with
SCIPY_ARRAY_API=1 in the environment before it is imported.  Without it they, and polygamma and multigammaln always,
turn their argument into an ndarray, which a Symbol refuses in words.

dtypes are SciPy's: float32 stays float32, small integers become float32, the others float64.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.base.errors import DtypeError
from chainrule.graph.source import user_source
from chainrule.ops import pointwise as p
from chainrule.ops import special as s
from chainrule.ops.expr import Expr
from chainrule.ops.record import NotDifferentiable, Pointwise
from chainrule.trace.symbol import as_symbol
from chainrule.trace.table import LATE, UFUNCS
from chainrule.trace.ufuncs import register

_ROOT_HALF = math.sqrt(0.5)

# ------------------------------------------------------------------------------------------------------- compositions


def log_expit(x: Any) -> Any:
    """ln σ(x) = -ln(1 + e⁻ˣ)."""
    return -p.logaddexp(0.0, -x)


def ndtr(x: Any) -> Any:
    """The normal distribution function, through erfc, which keeps its precision in the lower tail."""
    return 0.5 * s.erfc(-_ROOT_HALF * x)


def ndtri(q: Any) -> Any:
    """The quantile of the normal distribution."""
    return -math.sqrt(2) * s.erfcinv(2 * q)


def entr(x: Any) -> Any:
    """-x ln x, 0 at 0 and -∞ below."""
    low = x < 0
    return p.where(low, -np.inf, -s.xlogy(x, p.where(low, 1.0, x)))


def rel_entr(x: Any, y: Any) -> Any:
    """x ln(x/y) where both are positive, 0 where x = 0 ≤ y, ∞ elsewhere."""
    inside = p.logical_and(x > 0, y > 0)
    flat = p.logical_and(p.equal(x, 0), y >= 0)
    a, b = p.where(inside, x, 1.0), p.where(inside, y, 1.0)
    return p.where(p.logical_or(inside, flat), p.where(flat, 0.0, a * p.log(a / b)), np.inf)


def kl_div(x: Any, y: Any) -> Any:
    """x ln(x/y) - x + y; y where x = 0 ≤ y; ∞ elsewhere."""
    return rel_entr(x, y) - x + y


def erfi(x: Any) -> Any:
    """-i erf(ix), as Dawson's integral without its scale."""
    return 2 / math.sqrt(math.pi) * p.exp(x * x) * s.dawsn(x)


def betainc(a: Any, b: Any, x: Any) -> Any:
    """The regularised incomplete beta function; its op takes arrays of one shape."""
    dtype = next(v.dtype for v in (x, a, b) if type(v) is not float)
    return s.betainc(*np.broadcast_arrays(*[np.astype(as_symbol(v), dtype) for v in (a, b, x)]))


def betaincc(a: Any, b: Any, x: Any) -> Any:
    """1 - betainc(a, b, x), by the symmetry that does not cancel."""
    return betainc(b, a, 1.0 - x)


def cosm1(x: Any) -> Any:
    """cos x - 1 = -2 sin²(x/2), which does not cancel near 0."""
    half = p.sin(0.5 * x)
    return -2.0 * half * half


def boxcox(x: Any, power: Any) -> Any:
    """(x^λ - 1)/λ, which is ln x at λ = 0: ln x · φ₁(λ ln x), smooth in λ."""
    logarithm = p.log(x)
    return logarithm * s.phi(1.0, power * logarithm)


def boxcox1p(x: Any, power: Any) -> Any:
    """The Box-Cox transform of 1 + x."""
    logarithm = p.log1p(x)
    return logarithm * s.phi(1.0, power * logarithm)


def _log1p_over(z: Any) -> Any:
    """ln(1+z)/z, by its series near 0, so that it differentiates there."""
    near = p.absolute(z) < 0.01
    small, large = p.where(near, z, 0.0), p.where(near, 1.0, z)
    series = 0.0
    for k in range(9, 0, -1):
        series = (1.0 if k % 2 else -1.0) / k + small * series
    return p.where(near, series, p.log1p(large) / large)


def inv_boxcox(y: Any, power: Any) -> Any:
    """(1 + λy)^(1/λ), which is e^y at λ = 0."""
    return p.exp(y * _log1p_over(power * y))


def inv_boxcox1p(y: Any, power: Any) -> Any:
    """The inverse of the Box-Cox transform, less 1."""
    return p.expm1(y * _log1p_over(power * y))


def huber(delta: Any, r: Any) -> Any:
    """r²/2 up to δ in size, δ(|r| - δ/2) from there; ∞ for negative δ."""
    size = p.absolute(r)
    loss = p.where(size <= delta, 0.5 * r * r, delta * (size - 0.5 * delta))
    return p.where(delta < 0, np.inf, loss)


def pseudo_huber(delta: Any, r: Any) -> Any:
    """δ²(√(1 + (r/δ)²) - 1); 0 where δ is 0, ∞ where it is negative."""
    positive = delta > 0
    safe = p.where(positive, delta, 1.0)
    u = r / safe
    square = u * u
    loss = safe * safe * square / (1.0 + p.sqrt(1.0 + square))  # (√(1+t) - 1) without cancellation
    return p.where(delta < 0, np.inf, p.where(positive, loss, 0.0))


def _at(order: float, op: Any) -> Callable[[Any], Any]:
    return lambda x: op(order, x)


ROWS: dict[str, Callable[..., Any]] = {
    # sigmoids and logarithms
    "expit": p.sigmoid, "logit": s.logit, "log_expit": log_expit, "log1p": p.log1p, "expm1": p.expm1, "cbrt": p.cbrt,
    "exp2": p.exp2, "exp10": lambda x: p.power(10.0, x), "exprel": _at(1.0, s.phi), "cosm1": cosm1,
    "xlogy": s.xlogy, "xlog1py": s.xlog1py, "entr": entr, "rel_entr": rel_entr, "kl_div": kl_div,
    # error functions and the normal distribution
    "erf": s.erf, "erfc": s.erfc, "erfcx": s.erfcx, "erfi": erfi, "erfinv": s.erfinv, "erfcinv": s.erfcinv,
    "dawsn": s.dawsn,
    "ndtr": ndtr, "ndtri": ndtri, "log_ndtr": s.log_ndtr,
    # gamma functions
    "gammaln": s.gammaln, "loggamma": s.gammaln, "gamma": s.gamma, "rgamma": s.rgamma, "psi": s.digamma,
    "beta": s.beta, "betaln": s.betaln, "gammainc": s.gammainc, "gammaincc": s.gammaincc,
    "betainc": betainc, "betaincc": betaincc, "_zeta": s.zeta,
    # exponential integrals
    "expi": s.expi, "exp1": _at(1.0, s.expn), "expn": s.expn,
    # Bessel functions
    "j0": _at(0.0, s.jv), "j1": _at(1.0, s.jv), "jv": s.jv, "y0": _at(0.0, s.yv), "y1": _at(1.0, s.yv), "yv": s.yv,
    "yn": s.yv, "kn": s.kv,
    "i0": _at(0.0, s.iv), "i1": _at(1.0, s.iv), "iv": s.iv, "i0e": _at(0.0, s.ive), "i1e": _at(1.0, s.ive),
    "ive": s.ive, "k0": _at(0.0, s.kv), "k1": _at(1.0, s.kv), "kv": s.kv, "k0e": _at(0.0, s.kve),
    "k1e": _at(1.0, s.kve), "kve": s.kve,
    # transforms and losses
    "boxcox": boxcox, "boxcox1p": boxcox1p, "inv_boxcox": inv_boxcox, "inv_boxcox1p": inv_boxcox1p,
    "huber": huber, "pseudo_huber": pseudo_huber,
}  # fmt: skip
"""Each of SciPy's ufuncs that is traced, by the name it carries."""


def _weak(x: Any) -> Any:
    return type(x) if type(x) in (int, float) else (x if isinstance(x, Expr) else np.asarray(x)).dtype


def _as_scipy_takes(ufunc: Any, call: Callable[..., Any]) -> Callable[..., Any]:
    """``call`` with its arguments cast to the dtypes SciPy computes in."""

    def cast_and_call(*args: Any) -> Any:
        kinds = [_weak(x) for x in args]
        if any(np.dtype(kind).kind == "c" for kind in kinds) and call not in (p.log1p, p.expm1):
            raise DtypeError(
                f"{ufunc.__name__} is traced for real numbers only",
                expected="float32 or float64",
                got=", ".join(str(np.dtype(kind)) for kind in kinds),
                where=user_source(),
                fix="take np.real or np.abs first",
            )
        into = ufunc.resolve_dtypes((*kinds, *([None] * ufunc.nout)))[: len(args)]
        float_type = next(dtype for dtype in into[::-1] if dtype.kind in "fc")  # an integer order counts as a float
        ready = [
            x if type(x) is float or _weak(x) == float_type else p.cast(as_symbol(x), dtype=float_type) for x in args
        ]
        result = call(*ready)
        for position, arg in enumerate(args):
            if isinstance(arg, Expr) and arg.dtype.kind == "f" and _unknown(call, position):
                result = s.fixed(result, arg, what=f"argument {position} of {ufunc.__name__}")
        return result

    return cast_and_call


def _unknown(call: Any, position: int) -> bool:
    """Whether the derivative in this argument is one that nobody wrote down."""
    if call in (betainc, betaincc):
        return position < 2
    return isinstance(call, Pointwise) and isinstance(call.partials[position], NotDifferentiable)


def find(ufunc: Any) -> Any:
    """The row for one of SciPy's ufuncs, entered in the table; None where it is not SciPy's or not traced."""
    call = ROWS.get(ufunc.__name__)
    homes = (sys.modules.get("scipy.special"), sys.modules.get("scipy.special._ufuncs"))
    if call is None or not any(getattr(home, ufunc.__name__, None) is ufunc for home in homes):
        return None
    register(ufunc, _as_scipy_takes(ufunc, call))
    return UFUNCS[ufunc]


LATE.append(find)
