"""Rare paths of the vector math: work that few arguments need, kept out of the vector code of all others.

``rare(body, path, measure, arguments, usual)`` writes a call that gives ``usual`` unless ``measure`` is past the path's
limit, and the path's scalar function of the arguments if so.  The function called is opaque to the vectoriser until it
has run, and carries LLVM's ``vector-function-abi-variant``: for 2, 4, … 32 lanes there is a form that asks whether any
lane is past the limit, and goes through the lanes one by one only then.  After vectorising, the question is inlined,
the loop is not.

Angles: the product of x and 2/π, of which 192 bits around the binary point are needed (Payne & Hanek, SIGNUM 1983).
Remainders: division of the integer mantissas, one bit of the quotient a step.
Does not do: scalable vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chainrule.compile.coefficients import TWO_OVER_PI
from chainrule.compile.ir import FLOAT_TYPES, SUFFIXES, Body, Value, literal

_PURE = "nounwind willreturn memory(none)"
_LANES = (2, 4, 8, 16, 32)


def rare(body: Body, path: str, measure: Value, given: tuple[Value, ...], usual: Value) -> Value:
    """``usual``, or where ``measure`` exceeds its limit the result of the slow ``path`` for the arguments ``given``."""
    type, suffix = usual.type, SUFFIXES[usual.type]
    body.needs.add((path, "float32" if type == "float" else "float64"))
    kinds = "v" * (len(given) + 2)
    forms = ",".join(f"_ZGV_LLVM_N{n}{kinds}_cr.rare.{path}.{suffix}(cr.rare.{path}.{suffix}.x{n})" for n in _LANES)
    listed = ", ".join(f"{type} {v.text}" for v in (measure, *given, usual))
    return body.new(
        type, f'call {type} @cr.rare.{path}.{suffix}({listed}) {_PURE} "vector-function-abi-variant"="{forms}"'
    )


def vector_forms(path: str, dtype: str) -> list[str]:
    """Symbols of the vector forms of a path."""
    suffix = SUFFIXES[FLOAT_TYPES[dtype]]
    return [f"@cr.rare.{path}.{suffix}.x{n}" for n in _LANES]


@dataclass(frozen=True)
class Path:
    """A rare path: how many arguments, the limit by LLVM type, and what writes ``@cr.slow.<path>.<suffix>``."""

    arguments: int
    limits: Mapping[str, float]
    slow: Callable[[str, bool], tuple[str, set[tuple[str, str]]]]
    """(LLVM type, whether the target has fma) → the scalar function's text, and the (name, dtype) it needs."""


def definition(path: str, dtype: str, what: Path, *, fma: bool) -> tuple[str, set[tuple[str, str]]]:
    """LLVM text of a path in all forms, and the (name, dtype) of what else it needs."""
    type = FLOAT_TYPES[dtype]
    suffix = SUFFIXES[type]
    slow, needs = what.slow(type, fma)
    limit = literal(type, what.limits[type])
    names = ["x", "y"][: what.arguments]
    name = f"@cr.rare.{path}.{suffix}"
    scalars = ", ".join(f"{type} %{n}" for n in names)
    texts = [
        slow,
        f"""define internal {type} {name}({type} %measure, {scalars}, {type} %usual) noinline {_PURE} {{
  %far = fcmp ogt {type} %measure, {limit}
  br i1 %far, label %slow, label %fast
slow:
  %r = call {type} @cr.slow.{path}.{suffix}({scalars})
  ret {type} %r
fast:
  ret {type} %usual
}}""",
    ]
    for n in _LANES:
        v = f"<{n} x {type}>"
        given = ", ".join(f"{v} %{a}" for a in names)
        take = "\n".join(f"  %{a}.lane = extractelement {v} %{a}, i32 %i" for a in names)
        lanes = ", ".join(f"{type} %{a}.lane" for a in names)
        texts.append(
            f"""define internal {v} {name}.x{n}({v} %measure, {given}, {v} %usual) alwaysinline {_PURE} {{
  %far = fcmp ogt {v} %measure, splat ({type} {limit})
  %some = call i1 @llvm.vector.reduce.or.v{n}i1(<{n} x i1> %far)
  %any = call i1 @llvm.expect.i1(i1 %some, i1 false)
  br i1 %any, label %slow, label %fast
slow:
  %r = call {v} {name}.x{n}.lanes({v} %measure, {given}, {v} %usual)
  ret {v} %r
fast:
  ret {v} %usual
}}

define internal {v} {name}.x{n}.lanes({v} %measure, {given}, {v} %usual) noinline cold {_PURE} {{
entry:
  br label %loop
loop:
  %i = phi i32 [ 0, %entry ], [ %next, %loop ]
  %sofar = phi {v} [ %usual, %entry ], [ %more, %loop ]
  %m = extractelement {v} %measure, i32 %i
  %u = extractelement {v} %usual, i32 %i
{take}
  %r = call {type} {name}({type} %m, {lanes}, {type} %u)
  %more = insertelement {v} %sofar, {type} %r, i32 %i
  %next = add i32 %i, 1
  %done = icmp eq i32 %next, {n}
  br i1 %done, label %out, label %loop
out:
  ret {v} %more
}}"""
        )
    return "\n\n".join(texts), needs


def slow_symbol(path: str, type: str) -> str:
    """The scalar function that does a path's work."""
    return f"@cr.slow.{path}.{SUFFIXES[type]}"


_WINDOW = 192  # bits of 2/π that matter for one exponent: 2 of the quadrant, 53 of x, 62 that may cancel, 53 of result
_TABLE_BITS = 1280  # of TWO_OVER_PI
_TABLE = (TWO_OVER_PI).to_bytes((_TABLE_BITS + _WINDOW) // 8, "little")
_TABLE_TEXT = "".join("\\" + f"{byte:02X}" for byte in _TABLE)

# x = M·2^e; the window of 2/π starts at the bit that M·2^e brings to 2^−190, so the product modulo 2^192 is x·2/π
# modulo 4 with 190 bits behind the point.  The two leading words of the fraction become a sum of two float64.
REDUCE_ANGLE = f"""@cr.two_over_pi = internal unnamed_addr constant [{len(_TABLE)} x i8] c"{_TABLE_TEXT}"

define internal {{ double, double, i64 }} @cr.reduce.angle(double %x) noinline {_PURE} {{
  %bits = bitcast double %x to i64
  %field.0 = lshr i64 %bits, 52
  %field = and i64 %field.0, 2047
  %mantissa.0 = and i64 %bits, {2**52 - 1}
  %mantissa = or i64 %mantissa.0, {2**52}
  %start = sub i64 {_TABLE_BITS + 2 - _WINDOW + 1075}, %field
  %byte = lshr i64 %start, 3
  %place = getelementptr i8, ptr @cr.two_over_pi, i64 %byte
  %loaded = load i256, ptr %place, align 1
  %odd = and i64 %start, 7
  %odd.wide = zext i64 %odd to i256
  %shifted = lshr i256 %loaded, %odd.wide
  %window = trunc i256 %shifted to i192
  %m = zext i64 %mantissa to i192
  %turns = mul i192 %window, %m
  %top = lshr i192 %turns, 190
  %quadrant.0 = trunc i192 %top to i64
  %fraction = shl i192 %turns, 2
  %above = icmp slt i192 %fraction, 0
  %round = zext i1 %above to i64
  %quadrant.1 = add i64 %quadrant.0, %round
  %other = sub i192 0, %fraction
  %size = select i1 %above, i192 %other, i192 %fraction
  %zeros = call i192 @llvm.ctlz.i192(i192 %size, i1 false)
  %normal = shl i192 %size, %zeros
  %first.0 = lshr i192 %normal, 139
  %first.1 = trunc i192 %first.0 to i64
  %first = uitofp i64 %first.1 to double
  %second.0 = lshr i192 %normal, 86
  %second.1 = trunc i192 %second.0 to i64
  %second.2 = and i64 %second.1, {2**53 - 1}
  %second = uitofp i64 %second.2 to double
  %zeros.64 = trunc i192 %zeros to i64
  %exponent.0 = sub i64 {1023 - 53}, %zeros.64
  %exponent = shl i64 %exponent.0, 52
  %scale = bitcast i64 %exponent to double
  %negative = icmp slt i64 %bits, 0
  %flip = xor i1 %negative, %above
  %unit = select i1 %flip, double {literal("double", -1.0)}, double {literal("double", 1.0)}
  %signed = fmul double %scale, %unit
  %high = fmul double %first, %signed
  %low.0 = fmul double %second, %signed
  %low.1 = fmul double %low.0, {literal("double", 2.0**-53)}
  %back = sub i64 0, %quadrant.1
  %quadrant = select i1 %negative, i64 %back, i64 %quadrant.1
  %nothing = fsub double %x, %x
  %high.1 = fadd double %high, %nothing
  %r.0 = insertvalue {{ double, double, i64 }} undef, double %high.1, 0
  %r.1 = insertvalue {{ double, double, i64 }} %r.0, double %low.1, 1
  %r.2 = insertvalue {{ double, double, i64 }} %r.1, i64 %quadrant, 2
  ret {{ double, double, i64 }} %r.2
}}"""

# names that bodies may need besides functions and paths
HELPERS = {"reduce.angle": REDUCE_ANGLE}


def far_remainder(type: str, fma: bool) -> tuple[str, set[tuple[str, str]]]:
    """fmod by long division of the mantissas; NaN for an infinite x or a y that is 0."""
    width, mantissa, bias = (32, 23, 127) if type == "float" else (64, 52, 1023)
    i, ones, infinite = f"i{width}", 2 ** (width - 1) - 1, (2 * bias + 1) << mantissa
    unit = 2**mantissa
    return f"""define internal {type} {slow_symbol("fmod.far", type)}({type} %x, {type} %y) noinline {_PURE} {{
entry:
  %xb.0 = bitcast {type} %x to {i}
  %yb.0 = bitcast {type} %y to {i}
  %sign = and {i} %xb.0, {-(2 ** (width - 1))}
  %xb = and {i} %xb.0, {ones}
  %yb = and {i} %yb.0, {ones}
  %bad.x = icmp uge {i} %xb, {infinite}
  %bad.y = icmp ult {i} %yb, {unit}
  %bad = or i1 %bad.x, %bad.y
  %small = icmp ult {i} %xb, {unit}
  br i1 %bad, label %nothing, label %check
nothing:
  ret {type} {literal(type, float("nan"))}
check:
  br i1 %small, label %same, label %start
same:
  ret {type} %x
start:
  %xf = lshr {i} %xb, {mantissa}
  %yf = lshr {i} %yb, {mantissa}
  %xm.0 = and {i} %xb, {unit - 1}
  %xm = or {i} %xm.0, {unit}
  %ym.0 = and {i} %yb, {unit - 1}
  %ym = or {i} %ym.0, {unit}
  %below = icmp ult {i} %xf, %yf
  br i1 %below, label %same, label %loop
loop:
  %f = phi {i} [ %xf, %start ], [ %f.next, %again ]
  %m = phi {i} [ %xm, %start ], [ %m.next, %again ]
  %fits = icmp uge {i} %m, %ym
  %less = sub {i} %m, %ym
  %left = select i1 %fits, {i} %less, {i} %m
  %last = icmp eq {i} %f, %yf
  br i1 %last, label %out, label %again
again:
  %m.next = shl {i} %left, 1
  %f.next = sub {i} %f, 1
  br label %loop
out:
  %none = icmp eq {i} %left, 0
  %zeros.0 = call {i} @llvm.ctlz.{i}({i} %left, i1 false)
  %zeros = sub {i} %zeros.0, {width - mantissa - 1}
  %field = sub {i} %yf, %zeros
  %under = icmp slt {i} %field, 1
  %lost = or i1 %none, %under
  %normal.0 = shl {i} %left, %zeros
  %normal = and {i} %normal.0, {unit - 1}
  %place = shl {i} %field, {mantissa}
  %size.0 = or {i} %place, %normal
  %size = select i1 %lost, {i} 0, {i} %size.0
  %whole = or {i} %size, %sign
  %r = bitcast {i} %whole to {type}
  ret {type} %r
}}""", set()
