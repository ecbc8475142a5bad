"""Vector math: sin, cos, tan.  Errors and sources: see ``vectormath``; huge angles: see ``rare``."""

from __future__ import annotations

from collections.abc import Callable

from chainrule.compile.elementary import DOUBLE, format_of, nearest
from chainrule.compile.ir import Body, Value
from chainrule.compile.rare import Path, rare, slow_symbol

Finish = Callable[[Body, Value, Value, Value], Value]
Writer = Callable[[str, bool], tuple[str, set[tuple[str, str]]]]

# Up to here the quotient by π/2 is exact as an integer and three parts of π/2 are enough.
_LIMITS = {"float": 1e5, "double": 1e8}
_TWO_OVER_PI = 0.6366197723675814


def reduce_angle(b: Body, x: Value, *, keep_rest: bool) -> tuple[Value, Value, Value]:
    """(r, rest of r, quadrant): x = quadrant·π/2 + r, |r| ≤ π/4, for |x| up to the limit."""
    first, second, third = format_of(x).constants("half_pi")
    n, quadrant = nearest(b, x, _TWO_OVER_PI)
    r = b.fma(n, -first, x)  # exact: all bits of x and n·first lie above the last bit of π/2's first part
    if not keep_rest:
        return b.fma(n, -third, b.fma(n, -second, r)), b.constant(0.0), quadrant
    product, rest = b.two_product(n, second)
    high, lost = b.two_sum(r, -product)
    return high, b.mad(n, -third, lost - rest), quadrant


def sin_core(b: Body, r: Value, rest: Value) -> Value:
    """sin(r + rest) on [−π/4, π/4]."""
    u = r * r
    tail = b.mad(u * -0.5, rest, rest)
    return r + b.mad(u * r, b.polynomial(u, format_of(r).polynomial("sin")), tail)


def cos_core(b: Body, r: Value, rest: Value) -> Value:
    """cos(r + rest) on [−π/4, π/4]."""
    u = r * r
    half = u * 0.5
    head = 1.0 - half
    lost = (1.0 - head) - half
    return head + (lost + b.mad(u * u, b.polynomial(u, format_of(r).polynomial("cos")), -(r * rest)))


def turned(b: Body, r: Value, rest: Value, quadrant: Value, turn: int) -> Value:
    """sin(r + rest + (quadrant + turn)·π/2)."""
    q = quadrant + turn
    swapped = (q & 1).differs(0)
    y = b.select(swapped, cos_core(b, r, rest), sin_core(b, r, rest))
    width = 32 if r.type == "float" else 64
    return (y.bits() ^ ((q & 2) << (width - 2))).as_float()


def tangent(b: Body, r: Value, rest: Value, quadrant: Value) -> Value:
    """tan(r + rest + quadrant·π/2)."""
    swapped = (quadrant & 1).differs(0)
    if r.type == "float":
        u = r * r
        t = r + b.mad(u * r, b.polynomial(u, format_of(r).polynomial("tan")), b.mad(u, rest, rest))
        return b.select(swapped, -1.0 / t, t)
    s, c = sin_core(b, r, rest), cos_core(b, r, rest)
    return b.select(swapped, -c, s) / b.select(swapped, s, c)


def _angle_function(name: str, finish: Finish, *, odd: bool) -> Callable[..., Value]:
    def write(b: Body, x: Value) -> Value:
        # in float32 the two roundings are within the error of sin and cos, not of 1/tan
        y = finish(b, *reduce_angle(b, x, keep_rest=x.type == "double" or name == "tan"))
        if odd:
            y = b.select(x.equals(0.0), x, y)
        return rare(b, f"{name}.huge", b.absolute(x), (x,), y)

    return write


# name -> (what is done with the reduced angle, whether the function is odd)
_ANGLE_FUNCTIONS: dict[str, tuple[Finish, bool]] = {
    "sin": (lambda b, r, rest, quadrant: turned(b, r, rest, quadrant, 0), True),
    "cos": (lambda b, r, rest, quadrant: turned(b, r, rest, quadrant, 1), False),
    "tan": (tangent, True),
}


def _slow(name: str, finish: Finish) -> Writer:
    """The scalar function behind a huge angle: in float64 always."""

    def write(type: str, fma: bool) -> tuple[str, set[tuple[str, str]]]:
        b = Body("float64", fma=fma)
        given = b.argument("x", type)
        parts = "{ double, double, i64 }"
        whole = b.new(parts, f"call {parts} @cr.reduce.angle(double {given.to('double').text})")
        first, second = (b.new("double", f"extractvalue {whole.type} {whole.text}, {k}") for k in (0, 1))
        quadrant = b.new("i64", f"extractvalue {whole.type} {whole.text}, 2")
        # a fraction of a quarter turn times π/2
        high, low = DOUBLE.constants("half_pi")[:2]
        r, rest = b.two_product(first, high)
        rest = rest + b.mad(first, low, second * high)
        r, rest = b.fast_two_sum(r, rest)
        b.result(finish(b, r, rest, quadrant).to(type))
        text = b.definition(slow_symbol(f"{name}.huge", type), type, "noinline nounwind willreturn memory(none)")
        return text, {("reduce.angle", "float64")}

    return write


TRIGONOMETRIC: dict[str, tuple[int, Callable[..., Value]]] = {
    name: (1, _angle_function(name, finish, odd=odd)) for name, (finish, odd) in _ANGLE_FUNCTIONS.items()
}

HUGE_ANGLES = {f"{name}.huge": Path(1, _LIMITS, _slow(name, finish)) for name, (finish, _) in _ANGLE_FUNCTIONS.items()}
