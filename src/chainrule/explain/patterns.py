"""The named ways in which numbers stop being finite, and what cures each.

A ``Pattern`` looks at a ``Site``: the op that made the first non-finite number, the numbers that went into it, and the
lines around it.  The first pattern of ``PATTERNS`` that holds names the fault.  Special cases stand before general
ones: the overflow of ``exp`` inside of a softmax is a softmax without a shift.

Sources: Goldberg, "What every computer scientist should know about floating-point arithmetic", 1991; Higham, "Accuracy
and stability of numerical algorithms", 2002; the ``where`` trick: JAX's documentation, frequently asked questions.

Does not know faults of a whole algorithm (a learning rate too high): those are :mod:`chainrule.diagnose`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chainrule.explain import patterns_rewrites as r
from chainrule.explain import patterns_site as at
from chainrule.explain.patterns_rewrites import Changes
from chainrule.explain.patterns_site import Site
from chainrule.ops import pointwise as p


@dataclass(frozen=True)
class Pattern:
    """A named fault: where it holds, its cause and remedy in words, and the rewrite that is tried.

    ``ops``: the forward ops it is about (none: any).  ``backward``: whether the infinity is of the op's derivative.
    ``changes`` is None where no rewrite of lines helps; ``wider`` says that computing in float64 is what is tried.
    """

    name: str
    ops: tuple[str, ...]
    backward: bool
    holds: Callable[[Site], Any]
    cause: str
    remedy: str
    changes: Callable[[Site], Changes | None] | None = None
    wider: bool = False

    def fits(self, site: Site) -> bool:
        """Whether this is what happened."""
        if (self.ops and site.name not in self.ops) or self.backward != site.backward:
            return False
        return bool(self.holds(site))


def recognise(site: Site) -> Pattern | None:
    """The first pattern that fits, or None."""
    return next((pattern for pattern in PATTERNS if pattern.fits(site)), None)


def _forward(name: str, ops: str, holds: Any, cause: str, remedy: str, changes: Any = None, **more: Any) -> Pattern:
    return Pattern(name, tuple(ops.split()), False, holds, cause, remedy, changes, **more)


def _backward(name: str, ops: str, holds: Any, cause: str, remedy: str, changes: Any = None, **more: Any) -> Pattern:
    return Pattern(name, tuple(ops.split()), True, holds, cause, remedy, changes, **more)


_LOGS = "log log2 log10 log1p"
_POLE = "the logarithm of 0 is -inf"
_OVERFLOW = "the result is larger than the dtype can hold, and becomes inf"

PATTERNS: tuple[Pattern, ...] = (
    # ------------------------------------------------------------------------------------------- overflow of exp
    _forward(
        "softmax without a shift", "exp div", lambda s: (s.name == "div" or s.overflowed) and at.softmax_parts(s),
        "exp leaves the range of floats before the division brings it back",
        "subtract the maximum first: z = z - np.max(z, axis, keepdims=True); or use nn.softmax",
        lambda s: r.shifted_exp(s.graph, *at.required(at.softmax_parts(s))),
    ),
    _forward(
        "log-sum-exp without a shift", "exp log", lambda s: (s.name == "log" or s.overflowed) and at.log_of_sum_exp(s),
        "exp leaves the range of floats before the logarithm brings it back",
        "take the maximum out: m + log(sum(exp(z - m))); or use nn.logsumexp, np.logaddexp",
        lambda s: r.shifted_log(s.graph, *at.required(at.log_of_sum_exp(s))),
    ),
    _forward(
        "softplus without a shift", "exp", lambda s: s.overflowed and at.softplus_log(s) is not None,
        "exp overflows inside of log(1 + exp(x)), which is nearly x there",
        "write np.logaddexp(x, 0), or nn.softplus(x)",
        lambda s: {at.required(at.softplus_log(s)): lambda new: p.logaddexp(new(s.args[0]), 0.0)},
    ),
    _forward(
        "sigmoid written with exp(x)", "exp", lambda s: s.overflowed and at.sigmoid_div(s) is not None,
        "exp(x)/(1 + exp(x)) is inf/inf where exp overflows",
        "write 1/(1 + np.exp(-x)), or nn.sigmoid(x)",
        lambda s: {at.required(at.sigmoid_div(s)): lambda new: p.sigmoid(new(s.args[0]))},
    ),
    _forward(
        "tanh written with exp", "exp", lambda s: s.overflowed and at.tanh_div(s) is not None,
        "(e^x - e^-x)/(e^x + e^-x) is inf/inf where exp overflows",
        "write np.tanh(x)", at.plain_tanh,
    ),
    _forward(
        "exp overflow", "exp exp2 expm1 sinh cosh", lambda s: s.overflowed,
        "e to this power is larger than the dtype can hold",
        "bound the exponent: np.exp(np.minimum(x, limit)); or stay with logarithms", at.exp_ceiling,
    ),
    # ------------------------------------------------------------------------------------------ logarithms of 0
    _forward(
        "log of a softmax that underflowed", _LOGS,
        lambda s: s.x == 0 and r.softmax_of(s.graph, s.args[0]) is not None,
        "a probability is too small for the dtype, is 0, and " + _POLE,
        "compute the logarithm directly: nn.log_softmax(z), or nn.cross_entropy(z, labels)",
        lambda s: r.log_softmax(s.graph, *at.required(r.softmax_of(s.graph, s.args[0])), s.index),
    ),
    _forward(
        "log of a sigmoid that underflowed", "log", lambda s: s.x == 0 and at.log_of_sigmoid(s) is not None,
        "the sigmoid is too small for the dtype, is 0, and " + _POLE,
        "compute the logarithm directly: nn.log_sigmoid(x) = -np.logaddexp(-x, 0)", at.log_sigmoid,
    ),
    _forward(
        "log of 1 - sigmoid, which rounds to 0", "log", lambda s: s.x == 0 and at.one_less_sigmoid(s) is not None,
        "the sigmoid rounds to 1, 1 - 1 is 0, and " + _POLE,
        "use 1 - σ(x) = σ(-x): -np.logaddexp(x, 0); or nn.binary_cross_entropy_with_logits",
        lambda s: {s.index: lambda new: -p.logaddexp(new(at.required(at.one_less_sigmoid(s))), 0.0)},
    ),
    _forward(
        "0·∞ behind a mask", "log log2 log10 log1p div pow exp", lambda s: at.times_zero(s) is not None,
        "the mask multiplies an infinite value by 0, and 0·∞ is NaN",
        "mask with np.where, and mask the argument too: np.where(m, f(np.where(m, x, 1)), 0)", at.masked_product,
    ),
    _forward(
        "0·∞ behind a masked where", "log log2 log10 log1p div pow exp", lambda s: s.loss_is_finite,
        "np.where hides the value from the loss, but its gradient is multiplied by 0·∞ on the way back",
        "mask the argument as well as the result: np.where(m, f(np.where(m, x, 1)), 0)", at.masked_product,
    ),
    _forward(
        "log of 0", "log log2 log10", lambda s: s.x == 0, _POLE,
        "keep the argument away from 0: np.log(np.maximum(x, 1e-12))", at.log_floor,
    ),
    _forward(
        "log1p of -1", "log1p", lambda s: s.x == -1, "log1p(-1) is the logarithm of 0, which is -inf",
        "keep the argument above -1: np.log1p(np.maximum(x, -1 + 1e-12))", at.log_floor,
    ),
    _forward(
        "log of a negative number", _LOGS, lambda s: s.x < 0, "a negative number has no real logarithm: NaN",
        "look for why the argument is negative; np.log(np.maximum(x, 1e-12)) keeps it defined", at.log_floor,
    ),
    _forward(
        "logit of 0 or 1", "logit", lambda s: s.x <= 0 or s.x >= 1, "the odds of 0 and of 1 have no finite logarithm",
        "clip first: np.clip(p, 1e-12, 1 - 1e-12)",
        lambda s: at.unary(s, lambda x: p.minimum(r.floor(x), 1 - r.small(x.dtype))),
    ),
    # ------------------------------------------------------------------------------------------------- division
    _forward(
        "mean of no elements", "div", at.of_nothing, "the mean of an empty array divides by its size, 0",
        "check that there are rows before taking the mean",
        lambda s: {s.index: lambda new: new(s.args[0]) / 1.0},
    ),
    _forward(
        "division by a spread of 0", "div", lambda s: s.y == 0 and at.root_behind(s) is not None,
        "the values are all alike (or all 0): their standard deviation or norm is 0",
        "add a small number: x / np.sqrt(variance + 1e-8)", at.eps_under_root,
    ),
    _forward(
        "0/0", "div", lambda s: s.x == 0 and s.y == 0, "0 divided by 0 is NaN",
        "choose the value there: np.where(b == 0, 0, a / np.where(b == 0, 1, b))",
        lambda s: {s.index: lambda new: r.quotient(new(s.args[0]), new(s.args[1]))},
    ),
    _forward(
        "division by 0", "div", lambda s: s.y == 0, "a number divided by 0 is infinite",
        "choose the value there: np.where(b == 0, 0, a / np.where(b == 0, 1, b)); or add a small number to b",
        lambda s: {s.index: lambda new: r.quotient(new(s.args[0]), new(s.args[1]))},
    ),
    _forward(
        "remainder of a division by 0", "mod floor_divide fmod", lambda s: s.y == 0,
        "there is no remainder of a division by 0",
        "np.mod(a, np.where(b == 0, 1, b))", at.divisor_of_one,
    ),
    # ------------------------------------------------------------------------------------- roots, powers, angles
    _forward(
        "square root of a negative number", "sqrt", lambda s: s.x < 0, "a negative number has no real root: NaN",
        "np.sqrt(np.maximum(x, 1e-12)); a variance that rounds below 0 is better taken as mean((x - mean)**2)",
        lambda s: at.unary(s, r.floor),
    ),
    _forward(
        "0 to a negative power", "pow", lambda s: s.x == 0 and s.y < 0, "it is 1 divided by a power of 0: infinite",
        "keep the base away from 0: np.maximum(x, 1e-12) ** p", lambda s: at.unary(s, r.floor),
    ),
    _forward(
        "fractional power of a negative number", "pow", at.fractional,
        "a negative number has no real power with this exponent: NaN",
        "np.maximum(x, 1e-12) ** p, or np.sign(x) * np.abs(x) ** p", lambda s: at.unary(s, r.floor),
    ),
    _forward(
        "angle of a sine or cosine beyond 1", "arcsin arccos", lambda s: abs(s.x) > 1,
        "rounding (or a vector that is not of length 1) brings the argument beyond 1: NaN",
        "clip it inside: np.clip(x, -1 + 1e-7, 1 - 1e-7)", lambda s: at.unary(s, r.inside),
    ),
    _forward(
        "arctanh at or beyond 1", "arctanh", lambda s: abs(s.x) >= 1, "arctanh is infinite at ±1 and undefined beyond",
        "clip it inside: np.clip(x, -1 + 1e-7, 1 - 1e-7)", lambda s: at.unary(s, r.inside),
    ),
    _forward(
        "arccosh below 1", "arccosh", lambda s: s.x < 1, "arccosh is undefined below 1",
        "np.maximum(x, 1 + 1e-7)", lambda s: at.unary(s, lambda x: r.floor(x, 1 + r.small(x.dtype))),
    ),
    # -------------------------------------------------------------------------------------- infinities that meet
    _forward(
        "inf - inf: a row that is masked as a whole", "constant input", lambda s: s.turned is not None,
        "-inf as a mask meets itself: where every entry of a row is -inf, -inf minus the maximum is NaN",
        "mask with a large finite number: np.where(mask, scores, -1e30); or leave such rows out", at.finite_masks,
    ),
    # ------------------------------------------------------------------------------------------ other overflow
    _forward(
        "overflow of a cast", "cast", lambda s: s.overflowed, "the number is too large for the dtype it is cast to",
        "stay in the wider dtype, or clip or scale first", at.clipped_cast,
    ),
    _forward(
        "overflow of a narrow dtype", "", lambda s: s.overflowed and at.is_narrow(s), _OVERFLOW,
        "compute this part in float64 (x.astype(np.float64)), or scale the data to the order of 1", wider=True,
    ),
    _forward(
        "overflow of squares", "mul pow sum matmul", lambda s: s.overflowed and at.scaled(s), _OVERFLOW,
        "scale first: m * np.sqrt(np.sum((x / m)**2)) with m = np.max(np.abs(x)); or np.linalg.norm of x / m",
        at.scaled,
    ),
    _forward(
        "overflow", "", lambda s: s.overflowed, _OVERFLOW,
        "scale the data to the order of 1, or compute with logarithms; in training, lower the learning rate",
    ),
    # ---------------------------------------------------------------------------------- infinite derivatives
    _backward(
        "norm at 0", "sqrt", at.is_norm, "the length of a vector has a kink at 0: the slope of the root is infinite",
        "np.linalg.norm(x), whose derivative at 0 is 0 here; or root only where the sum is positive", at.norm_root,
    ),
    _backward(
        "sqrt′(0)", "sqrt", lambda s: s.x == 0, "the root is vertical at 0: its slope 0.5/sqrt(x) is infinite",
        "np.sqrt(x + 1e-12)", lambda s: at.unary(s, lambda x: x + r.small(x.dtype)),
    ),
    _backward(
        "slope of a fractional power at 0", "pow", lambda s: s.x == 0 and s.y < 1,
        "x**p with p < 1 is vertical at 0: its slope p·x**(p-1) is infinite",
        "(x + 1e-12) ** p", lambda s: at.unary(s, lambda x: x + r.small(x.dtype)),
    ),
    _backward(
        "derivative by the exponent of a negative base", "pow", lambda s: s.x < 0,
        "the derivative of x**p by p is x**p·log(x), and a negative x has no logarithm",
        "make the exponent a plain number, or the base positive", lambda s: at.unary(s, r.floor),
    ),
    _backward(
        "slope of arccos or arcsin at ±1", "arccos arcsin", lambda s: abs(s.x) == 1,
        "both are vertical at ±1: the slope 1/sqrt(1 - x²) is infinite",
        "clip it inside: np.clip(x, -1 + 1e-7, 1 - 1e-7); for angles between vectors use np.arctan2",
        lambda s: at.unary(s, lambda x: r.inside(x, 2.0)),
    ),
    _backward(
        "slope of arccosh at 1", "arccosh", lambda s: s.x == 1, "arccosh is vertical at 1",
        "np.maximum(x, 1 + 1e-7)", lambda s: at.unary(s, lambda x: r.floor(x, 1 + r.small(x.dtype))),
    ),
    _backward(
        "slope of the cube root at 0", "cbrt", lambda s: s.x == 0, "the cube root is vertical at 0",
        "np.cbrt(x + 1e-12)", lambda s: at.unary(s, lambda x: x + r.small(x.dtype)),
    ),
    _backward(
        "angle of the origin", "arctan2", lambda s: s.x == 0 and s.y == 0,
        "the point (0, 0) has no direction: the derivative of arctan2 is 0/0 there",
        "np.arctan2(a, np.where((a == 0) & (b == 0), 1, b))", at.atan2,
    ),
    _backward(
        "slope of a quotient with a tiny divisor", "div", lambda s: abs(s.y) < r.small(s.dtype),
        "the derivative of a/b by b is a/b², which overflows",
        "keep the divisor away from 0: b + 1e-12, or np.maximum(b, 1e-12)", at.steep_quotient,
    ),
    _backward(
        "log of a softmax that underflowed", _LOGS,
        lambda s: abs(s.x) < r.small(s.dtype) and r.softmax_of(s.graph, s.args[0]) is not None,
        "a probability is so small that the slope of its logarithm, 1/p, overflows",
        "compute the logarithm directly: nn.log_softmax(z), or nn.cross_entropy(z, labels)",
        lambda s: r.log_softmax(s.graph, *at.required(r.softmax_of(s.graph, s.args[0])), s.index),
    ),
    _backward(
        "slope of a logarithm close to 0", _LOGS, lambda s: abs(s.x) < r.small(s.dtype),
        "the derivative of log is 1/x, which overflows",
        "keep the argument away from 0: np.log(np.maximum(x, 1e-12))", at.log_floor,
    ),
    _backward(
        "equal eigenvalues or singular values", "eigh eig svd", lambda s: True,
        "where two are equal their vectors are not determined: the derivative has 1/(λᵢ - λⱼ)",
        "use the values only, or add a small, different number to each diagonal element", at.apart,
    ),
    _backward(
        "overflow of the gradient in a narrow dtype", "", at.is_narrow,
        "the gradient is larger than the dtype can hold",
        "compute in float64, scale the data or the loss, or clip earlier", wider=True,
    ),
    _backward(
        "overflow of the gradient", "", lambda s: s.overflowed, "the gradient is larger than a float can hold",
        "scale the data or the loss; look for a factor larger than 1 that repeats (a recurrent weight)",
    ),
)  # fmt: skip
"""Every pattern, special ones first."""
