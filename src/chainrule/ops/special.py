"""Special functions: one row each, with its derivative, in the form of ``pointwise``.

Sources: the NIST Digital Library of Mathematical Functions (DLMF), by section in the comments.  The error functions
and the logarithms run on NumPy alone; the others call SciPy, and are reached only through SciPy's own functions, so
whoever meets them has it.  Orders (of Bessel functions, of polygamma) are arguments without a derivative.

Does not do: complex numbers; derivatives with respect to orders and to the shape of the incomplete gamma functions.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from chainrule.base.errors import NotDifferentiableError, UnsupportedError
from chainrule.ops import erf as numeric
from chainrule.ops.differential import differential
from chainrule.ops.expr import Expr
from chainrule.ops.pointwise import cos, equal, exp, less, log, log1p, sign, where
from chainrule.ops.record import Custom, NotDifferentiable, Pointwise, batch_all

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
_HALF_ROOT_PI = math.sqrt(math.pi) / 2
_ROOT_HALF = math.sqrt(0.5)
_ORDER = NotDifferentiable("the derivative with respect to the order is not known here")
_SHAPE = NotDifferentiable("the derivative with respect to the shape has no closed form")


def _refuse(what: str) -> None:
    raise NotDifferentiableError(
        f"the derivative with respect to {what} is not known", expected=f"{what} as a number that is not varied",
        got="an array that is differentiated", fix="pass it through cr.stop_gradient, or use cr.custom_vjp",
    )  # fmt: skip


def _fixed_vjp(ct: Any, out: Any, args: Any, wanted: Any, what: str) -> list[Any]:
    if wanted[1]:
        _refuse(what)
    return [ct, None]


def _fixed_jvp(tangents: Any, out: Any, args: Any, what: str) -> Any:
    if tangents[1] is not None:
        _refuse(what)
    return tangents[0]


fixed: Custom = Custom(
    # A rule that states "no derivative" is a zero to the transforms; here that would be a wrong one, so this refuses.
    "fixed",
    lambda y, order, what: y,
    shape_rule=lambda y, order, what: y,
    vjp=_fixed_vjp,
    jvp=_fixed_jvp,
    batching=lambda args, batched, size, attrs: fixed(*batch_all(args, batched, size), **attrs),
    latex="#0",
    sentence="passes the first on, and refuses to be differentiated with respect to the second",
)


@cache
def _library() -> Any:
    try:
        return importlib.import_module("scipy.special")
    except ImportError:
        raise UnsupportedError(
            "this special function is computed by SciPy, which is not installed",
            expected="SciPy 1.14 or newer", got="no module scipy", fix="pip install 'chainrule[special]'",
        ) from None  # fmt: skip


def _scipy(name: str) -> Callable[..., Any]:
    """SciPy's function, looked up when it is first run; the result keeps the dtype of the arguments."""

    def run(*args: Any) -> Any:
        return np.asarray(getattr(_library(), name)(*args)).astype(np.asarray(args[-1]).dtype, copy=False)[()]

    return run


def _ordered(general: str, plain: dict[float, str]) -> Callable[..., Any]:
    """A function of an order and a number, for which SciPy has faster functions at some orders."""

    def run(order: Any, x: Any) -> Any:
        if np.ndim(order) == 0 and float(order) in plain:
            return _scipy(plain[float(order)])(x)
        return _scipy(general)(order, x)

    return run


def _one(name: str, run: Any, partial: Any, latex: str, sentence: str, domain: tuple[float, float]) -> Pointwise:
    # np.cbrt stands for the rule of dtypes: float in, the same float out, and no complex numbers.
    return Pointwise(name, run, partials=(partial,), ufunc=np.cbrt, latex=latex, sentence=sentence, domain=(domain,))


def _two(
    name: str, run: Any, d0: Any, d1: Any, latex: str, sentence: str, *domain: tuple[float, float]
) -> Pointwise:
    return Pointwise(name, run, partials=(d0, d1), ufunc=np.logaddexp, latex=latex, sentence=sentence, domain=domain)


# ---------------------------------------------------------------------------------------- error functions (DLMF 7)

erf: Pointwise = _one("erf", numeric.erf, lambda y, x: _TWO_OVER_ROOT_PI * exp(-x * x), r"\operatorname{erf} #0",
                      "takes the error function", (-2.5, 2.5))  # fmt: skip
erfc: Pointwise = _one("erfc", numeric.erfc, lambda y, x: -_TWO_OVER_ROOT_PI * exp(-x * x), r"\operatorname{erfc} #0",
                       "takes what the error function lacks to 1", (-2.5, 2.5))  # fmt: skip
erfcx: Pointwise = _one(
    "erfcx", numeric.erfcx, lambda y, x: 2 * x * y - _TWO_OVER_ROOT_PI, r"e^{#0^2}\operatorname{erfc} #0",
    "takes the complementary error function, scaled up to where it does not vanish", (-1.5, 3.0),
)  # fmt: skip
erfinv: Pointwise = _one("erfinv", _scipy("erfinv"), lambda y, x: _HALF_ROOT_PI * exp(y * y),
                         r"\operatorname{erf}^{-1} #0", "finds the number with this error function", (-0.8, 0.8),
)  # fmt: skip
erfcinv: Pointwise = _one("erfcinv", _scipy("erfcinv"), lambda y, x: -_HALF_ROOT_PI * exp(y * y),
                          r"\operatorname{erfc}^{-1} #0", "finds the number with this complementary error function",
                          (0.2, 1.8))  # fmt: skip
dawsn: Pointwise = _one("dawsn", _scipy("dawsn"), lambda y, x: 1 - 2 * x * y, r"D(#0)", "takes Dawson's integral",
                        (-2.0, 2.0))  # fmt: skip


def _log_ndtr(x: Any) -> Any:
    far = np.minimum(x, -1.0)
    low = np.log(numeric.erfcx(-_ROOT_HALF * far) / 2) - far * far / 2
    high = np.log1p(-numeric.erfc(_ROOT_HALF * np.maximum(x, -1.0)) / 2)
    return np.where(np.less(x, -1), low, high).astype(np.asarray(x).dtype)[()]


log_ndtr: Pointwise = _one(
    "log_ndtr", _log_ndtr, lambda y, x: math.sqrt(2 / math.pi) / erfcx(-_ROOT_HALF * x), r"\ln \Phi(#0)",
    "takes the logarithm of the normal distribution's probability below", (-4.0, 2.0),
)  # fmt: skip

# ------------------------------------------------------------------------------------------ gamma functions (DLMF 5, 8)


def _polygamma(order: Any, x: Any) -> Any:
    found = _library().polygamma(np.asarray(order).astype(np.int64), x)
    return np.asarray(found).astype(np.asarray(x).dtype)[()]


def _d_rgamma(y: Expr, x: Expr) -> Any:
    pole = equal(y, 0)  # at 0, -1, -2, … the limit is (-1)ⁿ n!
    safe = where(pole, 1.0, x)
    return where(pole, cos(math.pi * x) * gamma(where(pole, 1 - x, 1.0)), -y * digamma(safe))


def _d_gammainc(x: Expr, a: Expr) -> Any:
    return exp(xlogy(a - 1, x) - x - gammaln(a))


gammaln: Pointwise = _one("gammaln", _scipy("gammaln"), lambda y, x: digamma(x), r"\ln\left|\Gamma(#0)\right|",
                          "takes the logarithm of the gamma function's size", (0.4, 4.0))  # fmt: skip
digamma: Pointwise = _one("digamma", _scipy("digamma"), lambda y, x: polygamma(1.0, x), r"\psi(#0)",
                          "takes the logarithmic derivative of the gamma function", (0.4, 4.0))  # fmt: skip
polygamma: Pointwise = _two("polygamma", _polygamma, _ORDER, lambda y, n, x: polygamma(n + 1, x), r"\psi^{(#0)}(#1)",
                            "takes a derivative of the digamma function", (1.0, 1.0), (0.8, 4.0))  # fmt: skip
gamma: Pointwise = _one("gamma", _scipy("gamma"), lambda y, x: y * digamma(x), r"\Gamma(#0)",
                        "takes the gamma function, which is (x-1)! at whole numbers", (0.4, 4.0))  # fmt: skip
rgamma: Pointwise = _one("rgamma", _scipy("rgamma"), _d_rgamma, r"\frac{1}{\Gamma(#0)}",
                         "takes 1 over the gamma function", (0.4, 4.0))  # fmt: skip
beta: Pointwise = _two(
    "beta", _scipy("beta"), lambda y, a, b: y * (digamma(a) - digamma(a + b)),
    lambda y, a, b: y * (digamma(b) - digamma(a + b)), r"B(#0, #1)", "takes the beta function", (0.4, 3.0), (0.4, 3.0),
)  # fmt: skip
betaln: Pointwise = _two(
    "betaln", _scipy("betaln"), lambda y, a, b: digamma(a) - digamma(a + b),
    lambda y, a, b: digamma(b) - digamma(a + b), r"\ln B(#0, #1)", "takes the logarithm of the beta function",
    (0.4, 3.0), (0.4, 3.0),
)  # fmt: skip
gammainc: Pointwise = _two("gammainc", _scipy("gammainc"), _SHAPE, lambda y, a, x: _d_gammainc(x, a), r"P(#0, #1)",
                           "takes the part of the gamma function's integral up to here", (1.5, 3.0), (0.4, 4.0),
)  # fmt: skip
gammaincc: Pointwise = _two("gammaincc", _scipy("gammaincc"), _SHAPE, lambda y, a, x: -_d_gammainc(x, a), r"Q(#0, #1)",
                            "takes the part of the gamma function's integral from here", (1.5, 3.0), (0.4, 4.0),
)  # fmt: skip


def _betainc_tangent(tangents: Any, out: Any, args: Any) -> Any:
    a, b, x = args
    return exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) - betaln(a, b)) * tangents[2]


betainc: Custom = differential(
    # Of three arguments of one shape; the tracer broadcasts them.
    "betainc", _scipy("betainc"), _betainc_tangent,
    shape_rule=lambda a, b, x: x,
    batching=lambda args, batched, size, attrs: betainc(*batch_all(args, batched, size)),
    integer_args=(0, 1),
    latex=r"I_{#2}(#0, #1)",
    sentence="takes the part of the beta function's integral up to here",
)  # fmt: skip
zeta: Pointwise = _two("zeta", _scipy("zeta"), _ORDER, lambda y, s, q: -s * zeta(s + 1, q), r"\zeta(#0, #1)",
                       "takes Hurwitz's zeta function", (2.0, 3.0), (0.5, 3.0))  # fmt: skip

# ------------------------------------------------------------------------------------ exponential integrals (DLMF 6, 8)

expi: Pointwise = _one("expi", _scipy("expi"), lambda y, x: exp(x) / x, r"\operatorname{Ei}(#0)",
                       "takes the exponential integral", (0.3, 2.0))  # fmt: skip
expn: Pointwise = _two(
    "expn", lambda n, x: _scipy("expn")(np.asarray(n).astype(np.int64), x), _ORDER,
    lambda y, n, x: where(less(n, 1), -exp(-x) * (1 / x + 1 / (x * x)), -expn(where(less(n, 1), n, n - 1), x)),
    r"E_{#0}(#1)", "takes the exponential integral of this order", (2.0, 2.0), (0.3, 2.0),
)  # fmt: skip


def _phi(k: Any, x: Any) -> Any:
    library = _library()
    k, x = np.broadcast_arrays(k, x)
    found = np.where(k == 1, library.exprel(x), library.hyp1f1(1.0, k + 1, x) / library.gamma(k + 1))
    return found.astype(x.dtype)[()]


phi: Pointwise = _two(
    # φₖ(x) = ∫₀¹ e^((1-t)x) t^(k-1)/(k-1)! dt, of exponential integrators; φ₁(x) = (eˣ-1)/x.  Differentiating under
    # the integral gives a form that does not cancel near 0, where the quotient's would.
    "phi", _phi, _ORDER, lambda y, k, x: y - k * phi(k + 1, x), r"\varphi_{#0}(#1)",
    "takes the exponential less the start of its series, divided by that power", (1.0, 1.0), (-2.0, 2.0),
)  # fmt: skip

# ----------------------------------------------------------------------------------------- products with a logarithm


def _times(x: Any, logarithm: Any) -> Any:
    zero = np.equal(x, 0) & ~np.isnan(logarithm)
    return np.where(zero, np.zeros((), logarithm.dtype), x * logarithm)[()]


xlogy: Pointwise = _two(
    "xlogy", lambda x, y: _times(x, np.log(y)), lambda out, x, y: log(y),
    lambda out, x, y: where(equal(x, 0), 0.0, x / where(equal(x, 0), 1.0, y)), r"#0 \ln #1",
    "multiplies by a logarithm; 0 times any logarithm is 0", (-2.0, 2.0), (0.3, 3.0),
)  # fmt: skip
xlog1py: Pointwise = _two(
    "xlog1py", lambda x, y: _times(x, np.log1p(y)), lambda out, x, y: log1p(y),
    lambda out, x, y: where(equal(x, 0), 0.0, x / where(equal(x, 0), 1.0, 1 + y)), r"#0 \ln(1 + #1)",
    "multiplies by the logarithm of 1 more; 0 times any logarithm is 0", (-2.0, 2.0), (-0.6, 2.0),
)  # fmt: skip


def _logit(p: Any) -> Any:
    # Near 1/2, where the logarithm of the quotient cancels, 2·artanh(2p-1); 2p-1 is exact there.
    middle = np.abs(np.subtract(p, 0.5)) < 0.25
    inner = 2 * np.arctanh(np.where(middle, 2 * p - 1, 0.0))
    return np.where(middle, inner, np.log(p / (1 - p))).astype(np.asarray(p).dtype)[()]


logit: Pointwise = _one("logit", _logit, lambda y, p: 1 / (p * (1 - p)), r"\ln\frac{#0}{1 - #0}",
                        "takes the logarithm of the odds", (0.1, 0.9))  # fmt: skip

# ----------------------------------------------------------------------------------------- Bessel functions (DLMF 10)

jv: Pointwise = _two("jv", _ordered("jv", {0.0: "j0", 1.0: "j1"}), _ORDER,
                     lambda y, n, x: (jv(n - 1, x) - jv(n + 1, x)) * 0.5, r"J_{#0}(#1)",
                     "takes the Bessel function of the first kind", (1.0, 1.0), (0.3, 4.0))  # fmt: skip
yv: Pointwise = _two("yv", _ordered("yv", {0.0: "y0", 1.0: "y1"}), _ORDER,
                     lambda y, n, x: (yv(n - 1, x) - yv(n + 1, x)) * 0.5, r"Y_{#0}(#1)",
                     "takes the Bessel function of the second kind", (1.0, 1.0), (0.8, 4.0))  # fmt: skip
iv: Pointwise = _two("iv", _ordered("iv", {0.0: "i0", 1.0: "i1"}), _ORDER,
                     lambda y, n, x: (iv(n - 1, x) + iv(n + 1, x)) * 0.5, r"I_{#0}(#1)",
                     "takes the modified Bessel function of the first kind", (1.0, 1.0), (0.3, 3.0))  # fmt: skip
ive: Pointwise = _two("ive", _ordered("ive", {0.0: "i0e", 1.0: "i1e"}), _ORDER,
                      lambda y, n, x: (ive(n - 1, x) + ive(n + 1, x)) * 0.5 - sign(x) * y, r"e^{-|#1|} I_{#0}(#1)",
                      "takes the modified Bessel function of the first kind, scaled", (1.0, 1.0), (0.3, 3.0),
)  # fmt: skip
kv: Pointwise = _two("kv", _ordered("kv", {0.0: "k0", 1.0: "k1"}), _ORDER,
                     lambda y, n, x: (kv(n - 1, x) + kv(n + 1, x)) * -0.5, r"K_{#0}(#1)",
                     "takes the modified Bessel function of the second kind", (1.0, 1.0), (0.8, 3.0))  # fmt: skip
kve: Pointwise = _two("kve", _ordered("kve", {0.0: "k0e", 1.0: "k1e"}), _ORDER,
                      lambda y, n, x: y - (kve(n - 1, x) + kve(n + 1, x)) * 0.5, r"e^{#1} K_{#0}(#1)",
                      "takes the modified Bessel function of the second kind, scaled", (1.0, 1.0), (0.8, 3.0),
)  # fmt: skip
