"""Vector math: inverse trigonometric and inverse hyperbolic functions.  Errors and sources: see ``vectormath``."""

from __future__ import annotations

import math
from collections.abc import Callable

from chainrule.compile.elementary import format_of, log1p_core, log_edges
from chainrule.compile.ir import Body, Value


def arctan_of_quotient(b: Body, n: Value, d: Value) -> Value:
    """arctan(n/d) for 0 ≤ n, d, not both zero and not both infinite."""
    high, low = format_of(n).constants("half_pi")[:2]
    if n.type == "float":
        swapped = n > d
        t = b.select(swapped, d, n) / b.select(swapped, n, d)
        u = t * t
        y = b.mad(t * u, b.polynomial(u, format_of(n).polynomial("arctan")), t)
        return b.select(swapped, (high - y) + low, y)
    # arctan(n/d) = π/4 + arctan((n−d)/(n+d)) = π/2 − arctan(d/n), each where the new quotient is at most tan π/8
    steep, flat = n * 0.41421356237309503 > d, n <= d * 0.41421356237309503
    middle = b.select(steep, -d, n - d)
    below = b.select(steep, n, n + d)
    t = b.select(flat, n, middle) / b.select(flat, d, below)
    u = t * t
    tail = t * u * b.polynomial(u, format_of(n).polynomial("arctan_short"))
    base = b.select(flat, 0.0, b.select(steep, b.constant(high), b.constant(high / 2)))
    base_low = b.select(flat, 0.0, b.select(steep, b.constant(low), b.constant(low / 2)))
    return base + (t + (tail + base_low))


def arctan(b: Body, x: Value) -> Value:
    y = arctan_of_quotient(b, b.absolute(x), b.constant(1.0))
    return b.copysign(y, x)


def arctan2(b: Body, y: Value, x: Value) -> Value:
    n, d = b.absolute(y), b.absolute(x)
    largest = b.select(n > d, n, d)
    if x.type == "double":  # n + d must not overflow
        scale = b.select(largest > 2.0**1000, b.constant(0.25), b.constant(1.0))
        n, d = n * scale, d * scale
    both = (n.equals(d)) & (largest.equals(0.0) | largest.equals(math.inf))
    # at (0, 0) the angle of (0, 1), at (∞, ∞) that of (1, 1)
    n = b.select(both, b.select(largest.equals(0.0), b.constant(0.0), b.constant(1.0)), n)
    d = b.select(both, 1.0, d)
    angle = arctan_of_quotient(b, n, d)
    high, low = (2 * part for part in format_of(x).constants("half_pi")[:2])
    backwards = b.copysign(b.constant(1.0), x) < 0.0
    angle = b.select(backwards, (high - angle) + low, angle)
    total = x + y
    return b.select(x.is_nan() | y.is_nan(), total, b.copysign(angle, y))


def arcsin(b: Body, x: Value) -> Value:
    a = b.absolute(x)
    high, low = format_of(x).constants("half_pi")[:2]
    # the argument is chosen before the polynomial, so that there is one polynomial
    near = a < 0.5
    u = b.select(near, a * a, (1.0 - a) * 0.5)
    t = b.select(near, a, b.intrinsic("sqrt", u))
    y = b.mad(t * u, b.polynomial(u, format_of(x).polynomial("arcsin")), t)
    return b.copysign(b.select(near, y, b.mad(y, -2.0, high) + low), x)


def arccos(b: Body, x: Value) -> Value:
    a = b.absolute(x)
    high, low = format_of(x).constants("half_pi")[:2]
    near = a < 0.5
    u = b.select(near, a * a, (1.0 - a) * 0.5)
    t = b.select(near, x, b.intrinsic("sqrt", u))
    y = b.mad(t * u, b.polynomial(u, format_of(x).polynomial("arcsin")), t)
    far = y * 2.0
    return b.select(near, high - (y - low), b.select(x < 0.0, (high * 2 - far) + low * 2, far))


def _log1p_positive(b: Body, t: Value) -> Value:
    """log(1 + t) for t ≥ 0; inf and NaN as they are."""
    return log_edges(b, t + 1.0, log1p_core(b, t))


def _arcsinh(b: Body, x: Value) -> Value:
    a = b.absolute(x)
    far = a > 2.0**60
    square = a * a
    t = a + square / (b.intrinsic("sqrt", square + 1.0) + 1.0)
    y = _log1p_positive(b, b.select(far, a, t)) + b.select(far, x.like(math.log(2)), 0.0)
    return b.copysign(b.select(a < format_of(x).tiny, a, y), x)


def _arccosh(b: Body, x: Value) -> Value:
    t = x - 1.0
    far = t > 2.0**60
    near = t + b.intrinsic("sqrt", b.mad(t, t, t + t))
    y = _log1p_positive(b, b.select(far, t, near)) + b.select(far, x.like(math.log(2)), 0.0)
    return b.select(x < 1.0, math.nan, y)


def _arctanh(b: Body, x: Value) -> Value:
    a = b.absolute(x)
    y = _log1p_positive(b, (a + a) / (1.0 - a)) * 0.5
    y = b.select(a < format_of(x).tiny, a, b.select(a > 1.0, math.nan, y))
    return b.copysign(y, x)


def _in_double(write: Callable[[Body, Value], Value]) -> Callable[..., Value]:
    """float32 by way of float64."""
    return lambda b, x: write(b, x.to("double")).to(x.type)


INVERSE: dict[str, tuple[int, Callable[..., Value]]] = {
    "arctan": (1, arctan), "arctan2": (2, arctan2), "arcsin": (1, arcsin), "arccos": (1, arccos),
    "arcsinh": (1, _in_double(_arcsinh)), "arccosh": (1, _in_double(_arccosh)), "arctanh": (1, _in_double(_arctanh)),
}  # fmt: skip
