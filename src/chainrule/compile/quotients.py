"""Vector math: remainders and floor division with NumPy's sign rules.  Far quotients: see ``rare``."""

from __future__ import annotations

import math
from collections.abc import Callable

from chainrule.compile.elementary import format_of
from chainrule.compile.ir import Body, Value
from chainrule.compile.rare import Path, far_remainder, rare

# quotients up to here are exact as a float
_LIMITS = {"float": 2.0**22, "double": 2.0**51}


def fmod(b: Body, x: Value, y: Value) -> Value:
    """The remainder with the sign of x.  Exact: every difference below is a number of the format."""
    a, d = b.absolute(x), b.absolute(y)
    quotient = a / d
    n = b.intrinsic("trunc", quotient)
    left = b.fma(n, -d, a)
    left = b.select(left < 0.0, left + d, left)  # the quotient was rounded up
    left = b.select(left >= d, left - d, left)
    infinite = d.equals(math.inf) & (a < math.inf)
    left = b.select(infinite | (a < d), a, left)
    # without hardware, fma splits its arguments, which overflows for the largest: those go the long way
    measure = quotient
    if not b.fused:
        large = (d > format_of(x).magic * 2.0**30) & (d < math.inf) & ~(a < d)
        measure = b.select(large, math.inf, quotient)
    return rare(b, "fmod.far", measure, (x, y), b.copysign(left, x))


def _with_sign_of(b: Body, left: Value, y: Value) -> Value:
    """Whether the remainder ``left`` must be moved by one y to have y's sign."""
    return ((left < 0.0) ^ (y < 0.0)) & left.differs(0.0)


def remainder(b: Body, x: Value, y: Value) -> Value:
    """The remainder with the sign of y (Python's %)."""
    left = fmod(b, x, y)
    moved = b.select(_with_sign_of(b, left, y), left + y, left)
    return b.select(left.equals(0.0), b.copysign(b.constant(0.0), y), moved)


def floor_divide(b: Body, x: Value, y: Value) -> Value:
    """⌊x/y⌋ by way of the exact remainder, as NumPy defines it; x/y where y is 0."""
    left = fmod(b, x, y)
    quotient = (x - left) / y
    quotient = b.select(_with_sign_of(b, left, y), quotient - 1.0, quotient)
    whole = b.intrinsic("floor", quotient)
    whole = b.select(quotient - whole > 0.5, whole + 1.0, whole)
    ratio = x / y
    whole = b.select(quotient.equals(0.0), b.copysign(b.constant(0.0), ratio), whole)
    return b.select(y.equals(0.0), ratio, whole)


QUOTIENTS: dict[str, tuple[int, Callable[..., Value]]] = {
    "fmod": (2, fmod), "remainder": (2, remainder), "mod": (2, remainder), "floor_divide": (2, floor_divide),
}  # fmt: skip

FAR_QUOTIENTS = {"fmod.far": Path(2, _LIMITS, far_remainder)}
