"""Vector math: exponentials, logarithms, powers and what is made of them.  Errors and sources: see ``vectormath``."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from chainrule.compile.coefficients import CONSTANTS, POLYNOMIALS
from chainrule.compile.ir import Body, Value


class Format:
    """The figures of a float format."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.mantissa, self.bias = (23, 127) if dtype == "float32" else (52, 1023)
        self.magic = 1.5 * 2.0**self.mantissa  # t = x + magic: the low bits of t are round(x)
        self.tiny = 2.0 ** (1 - self.bias)
        self.one = self.bias << self.mantissa  # bits of 1.0
        self.magic_bits = ((self.bias + self.mantissa) << self.mantissa) + (1 << (self.mantissa - 1))
        self.highest = 88.72283905206835 if dtype == "float32" else 709.782712893384  # log of the largest number
        self.lowest = -87.33654 if dtype == "float32" else -708.3964185322641  # where it stops being normal
        self.highest_power, self.lowest_power = float(self.bias + 1), float(1 - self.bias)

    def constants(self, name: str) -> tuple[float, ...]:
        return CONSTANTS[name, self.dtype]

    def polynomial(self, name: str) -> tuple[float, ...]:
        return POLYNOMIALS[name, self.dtype]

    def below(self, value: float) -> float:
        """The largest number of the format that is not above a positive ``value``."""
        if self.dtype == "float64":
            return value
        near = np.float32(value)
        return float(near if float(near) <= value else np.nextafter(near, np.float32(0)))



SINGLE, DOUBLE = Format("float32"), Format("float64")


def format_of(x: Value) -> Format:
    return SINGLE if x.type == "float" else DOUBLE


def nearest(b: Body, x: Value, scale: float) -> tuple[Value, Value]:
    """round(x·scale) as a float, and an integer whose low bits it is.  Valid below 2^(mantissa−2)."""
    f = format_of(x)
    t = b.mad(x, scale, f.magic)
    return t - f.magic, t.bits()


def power_of_two(n: Value, x: Value) -> Value:
    """2^n for the integer in the low bits of n, where that is a normal number."""
    f = format_of(x)
    return ((n << f.mantissa) + f.one).as_float()


def log2_scaled(p: Value, n: Value) -> Value:
    """p·2^n through the exponent's bits, for a p near 1; right where the result is a normal number."""
    return (p.bits() + (n << format_of(p).mantissa)).as_float()


def exp_reduced(b: Body, x: Value) -> tuple[Value, Value]:
    """(r, n) with x = n ln 2 + r, |r| ≤ ln2/2; n in the low bits of an integer."""
    f = format_of(x)
    high, low = f.constants("ln2")
    n, bits = nearest(b, x, f.constants("log2_e")[0])
    return b.mad(n, -low, b.mad(n, -high, x)), bits


def exp_core(b: Body, r: Value) -> Value:
    """e^r on [−ln2/2, ln2/2]."""
    tail = b.mad(r * r, b.polynomial(r, format_of(r).polynomial("exp")), r)
    return tail + 1.0


def clamp_exp(b: Body, x: Value, y: Value, shift: int = 0) -> Value:
    """y ≈ exp(x)·2^shift where that is normal; 0, inf and NaN in their places."""
    f = format_of(x)
    y = b.select(x < f.lowest - shift * math.log(2), 0.0, y)
    # written so that NaN takes the second branch, where x + inf is NaN again
    return b.select(x <= f.below(f.highest - shift * math.log(2)), y, x + math.inf)


def exp(b: Body, x: Value) -> Value:
    r, n = exp_reduced(b, x)
    return clamp_exp(b, x, log2_scaled(exp_core(b, r), n))


def exp_in_range(b: Body, x: Value) -> Value:
    """exp where the caller knows that the result is normal, or x is NaN."""
    r, n = exp_reduced(b, x)
    return exp_core(b, r) * power_of_two(n, x)


def half_exp(b: Body, x: Value) -> Value:
    """e^x / 2, which does not overflow where sinh and cosh do not; x ≥ 0."""
    r, n = exp_reduced(b, x)
    return clamp_exp(b, x, log2_scaled(exp_core(b, r), n - 1), shift=-1)


def exp2(b: Body, x: Value) -> Value:
    f = format_of(x)
    n, bits = nearest(b, x, 1.0)
    r = x - n
    p = b.mad(r, b.polynomial(r, f.polynomial("exp2")), 1.0)
    y = b.select(x < f.lowest_power, 0.0, log2_scaled(p, bits))
    return b.select(x < f.highest_power, y, x + math.inf)


def expm1(b: Body, x: Value) -> Value:
    f = format_of(x)
    far = 2.0 + f.mantissa * math.log(2)  # beyond it e^x − 1 rounds to e^x, or to −1
    r, n = exp_reduced(b, x)
    tail = b.mad(r * r, b.polynomial(r, f.polynomial("exp")), r)
    scale = power_of_two(n, x)
    y = b.mad(scale, tail, scale - 1.0)
    y = b.select(x < -far, -1.0, y)
    y = b.select(x > far, clamp_exp(b, x, log2_scaled(tail + 1.0, n)), y)
    return b.select(x.equals(0.0), x, y)


def split_exponent(b: Body, x: Value) -> tuple[Value, Value, Value]:
    """(m, k, k as an integer): x = m·2^k with m in [√½, √2), for a normal x > 0."""
    f = format_of(x)
    bits = x.bits()
    k = (bits - int(_bits(f, math.sqrt(0.5)))) >> f.mantissa
    m = (bits - (k << f.mantissa)).as_float()
    return m, (k + f.magic_bits).as_float() - f.magic, k


def _bits(f: Format, value: float) -> int:
    """The bits of a value in [½, 1) as an integer."""
    return ((f.bias - 1) << f.mantissa) + int((value * 2 - 1) * 2.0**f.mantissa)


def log_tail(b: Body, f: Value) -> Value:
    """log(1 + f) − f for 1 + f in [√½, √2): small against f, so the caller can add it where it is most exact."""
    if f.type == "float":
        z = f * f
        return b.mad(z * f, b.polynomial(f, SINGLE.polynomial("log")), z * -0.5)
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    # 2 atanh(s) with 2s = f − s·f = f − f²/2 + s·f²/2
    return b.mad(s, b.mad(z * 2.0, b.polynomial(z, DOUBLE.polynomial("atanh")), half), -half)


def log_edges(b: Body, x: Value, y: Value) -> Value:
    """y ≈ log(x) where x is normal and positive; −inf at 0, NaN below it, inf and NaN as they are."""
    y = b.select(x < format_of(x).tiny, b.select(x > -format_of(x).tiny, x.like(-math.inf), math.nan), y)
    return b.select(x < math.inf, y, x)


def log(b: Body, x: Value) -> Value:
    m, k, _ = split_exponent(b, x)
    high, low = format_of(x).constants("ln2")
    f = m - 1.0
    return log_edges(b, x, b.mad(k, high, f + b.mad(k, low, log_tail(b, f))))


def log2(b: Body, x: Value) -> Value:
    m, k, _ = split_exponent(b, x)
    high, low = format_of(x).constants("log2_e")
    f = m - 1.0
    tail = b.mad(log_tail(b, f), high, f * low)
    product, rest = b.two_product(f, high)
    total, lost = b.two_sum(k, product)
    return log_edges(b, x, total + (lost + (rest + tail)))


def log10(b: Body, x: Value) -> Value:
    m, k, _ = split_exponent(b, x)
    high, low = format_of(x).constants("log10_e")
    k_high, k_low = format_of(x).constants("log10_2")
    f = m - 1.0
    tail = b.mad(k, k_low, b.mad(log_tail(b, f), high, f * low))
    product, rest = b.two_product(f, high)
    total, lost = b.two_sum(k * k_high, product)
    return log_edges(b, x, total + (lost + (rest + tail)))


def log1p_core(b: Body, x: Value, rest: Value | None = None) -> Value:
    """log(1 + x + rest) for finite x > −1 and a rest below its last place."""
    f = format_of(x)
    u = x + 1.0
    m, k, n = split_exponent(b, u)
    # (1 + x)·2^−k − 1 in one rounding; beyond 2^60 the 1 no longer counts (and 2^−k may be subnormal)
    scale = (f.one - (n << f.mantissa)).as_float()
    far = k > 60.0
    part = b.select(far, m - 1.0, b.mad(x, scale, scale - 1.0))
    rounded = b.select(far, 0.0, b.mad(x, scale, (scale - 1.0) - part))  # what part lost
    if rest is not None:
        rounded = b.mad(rest, scale, rounded)
    high, low = f.constants("ln2")
    total, lost = b.fast_two_sum(k * high, part)
    total, lost = b.select(k.equals(0.0), part, total), b.select(k.equals(0.0), 0.0, lost)
    return total + (lost + (rounded + b.mad(k, low, log_tail(b, part))))


def log1p(b: Body, x: Value) -> Value:
    y = log_edges(b, x + 1.0, log1p_core(b, x))
    return b.select(b.absolute(x) < format_of(x).tiny, x, y)


def sigmoid(b: Body, x: Value) -> Value:
    e = exp(b, -b.absolute(x))
    below = 1.0 + e
    inverse = 1.0 / below
    above = b.select(x < 0.0, e, 1.0)
    quotient = above * inverse
    # one correction makes good the roundings of the sum, the reciprocal and the product
    left = b.mad(-quotient, (1.0 - below) + e, b.fma(-quotient, below, above))
    return b.mad(left, inverse, quotient)


def sinh(b: Body, x: Value) -> Value:
    a = b.absolute(x)
    u = a * a
    near = b.mad(a * u, b.polynomial(u, format_of(x).polynomial("sinh")), a)
    half = half_exp(b, a)
    return b.copysign(b.select(a < 1.0, near, half - 0.25 / half), x)


def cosh(b: Body, x: Value) -> Value:
    half = half_exp(b, b.absolute(x))
    return half + 0.25 / half


def tanh(b: Body, x: Value) -> Value:
    a = b.absolute(x)
    if x.type == "double":
        e = expm1(b, b.smaller(a, 20.0) * 2.0)
        return b.copysign(e / (e + 2.0), x)
    u = a * a
    near = b.mad(a * u, b.polynomial(u, SINGLE.polynomial("tanh")), a)
    e = b.call("exp", a * -2.0)  # this and the quotient as in the derivative (see ``rewrites``): computed once for both
    return b.copysign(b.select(a < 0.6, near, (1.0 - e) * (1.0 / (e + 1.0))), x)


def erf_near(b: Body, x: Value) -> Value:
    """erf on [−1, 1]."""
    return b.mad(x, b.polynomial(x * x, format_of(x).polynomial("erf")), x)


def erfc_far(b: Body, a: Value) -> Value:
    """erfc for a ≥ 0.45, in float64."""
    square, rest = b.two_product(a, a)
    r, n = exp_reduced(b, -b.smaller(square, 720.0))
    r = r - b.select(a < 27.0, rest, 0.0)
    e = clamp_exp(b, -square, log2_scaled(exp_core(b, r), n))
    c = b.smaller(a, 27.3)
    q = (c - 4.0) / (c + 4.0)
    return e * (b.polynomial(q, DOUBLE.polynomial("erfcx")) / b.mad(c, 2.0, 1.0))


def erf(b: Body, x: Value) -> Value:
    a = b.absolute(x)
    if x.type == "double":
        far = 1.0 - erfc_far(b, b.smaller(a, 6.0))
    else:
        c = b.smaller(a, 3.95)
        far = 1.0 - exp_in_range(b, -b.polynomial(c, SINGLE.polynomial("erfc_log")))
    return b.copysign(b.select(a < 1.0, erf_near(b, a), far), x)


def erfc(b: Body, x: Value) -> Value:
    wide = x.to("double")
    a = b.absolute(wide)
    far = erfc_far(b, a)
    far = b.select(wide < 0.0, 2.0 - far, far)
    return b.select(a < 0.5, 1.0 - erf_near(b, wide), far).to(x.type)


def log_pair(b: Body, x: Value) -> tuple[Value, Value]:
    """log(x) as a sum of two float64 with about 64 bits, for a normal x > 0."""
    m, k, _ = split_exponent(b, x)
    f = m - 1.0
    below, below_low = b.fast_two_sum(b.constant(2.0), f)
    s = f / below
    s_low = (b.fma(-s, below, f) - s * below_low) / below
    z, z_low = b.two_product(s, s)
    z_low = b.mad(s + s, s_low, z_low)
    # atanh(s)/s − 1 = z/3 + z² T(z); its two leading products are kept in two parts
    third, third_low = 1 / 3, 1.850371707708594e-17
    tail = b.polynomial(z, DOUBLE.polynomial("atanh_tail"))
    inner, inner_low = b.fast_two_sum(b.constant(third), z * tail)
    inner_low = inner_low + third_low
    g, g_low = b.two_product(z, inner)
    g_low = g_low + b.mad(z, inner_low, z_low * inner)
    factor, factor_low = b.fast_two_sum(b.constant(1.0), g)
    factor_low = factor_low + g_low
    s, s_low = s + s, s_low + s_low
    y, y_low = b.two_product(s, factor)
    y_low = y_low + b.mad(s, factor_low, s_low * factor)
    high, low = DOUBLE.constants("ln2")
    total, lost = b.two_sum(k * high, y)
    return b.fast_two_sum(total, lost + b.mad(k, low, y_low))


def pow_positive(b: Body, a: Value, y: Value) -> Value:
    """a^y for a > 0 normal; 0 and inf through their logarithms."""
    if a.type == "float":
        wide = a.to("double")
        m, k, _ = split_exponent(b, wide)
        s = (m - 1.0) / (m + 1.0)
        z = s * s
        logarithm = b.mad(s, b.polynomial(z, DOUBLE.polynomial("log2_narrow")), k)
        logarithm = b.select(a < SINGLE.tiny, -math.inf, b.select(a < math.inf, logarithm, wide))
        t = y.to("double") * logarithm
        c = b.larger(b.smaller(t, 160.0), -160.0)
        n, bits = nearest(b, c, 1.0)
        r = c - n
        p = b.polynomial(r, DOUBLE.polynomial("exp2_narrow"))
        return b.select(t.is_nan(), t, log2_scaled(p, bits)).to("float")
    high, low = log_pair(b, a)
    ordinary = (a >= DOUBLE.tiny) & (a < math.inf)
    high = b.select(ordinary, high, b.select(a < DOUBLE.tiny, -math.inf, a))
    low = b.select(ordinary, low, 0.0)
    t = y * high
    bounded = b.absolute(t) < 800.0
    rest = b.select(bounded, b.mad(y, low, b.fma(y, high, -t)), 0.0)
    c = b.larger(b.smaller(t, 800.0), -800.0)
    r, n = exp_reduced(b, c)
    p = exp_core(b, r + rest)
    # one power of two apart, so that overflow and underflow happen in the last product
    up = c > 0.0
    p = log2_scaled(p, n - b.select(up, b.value("i64", 1), b.value("i64", -1)))
    p = p * b.select(up, b.constant(2.0), b.constant(0.5))
    p = b.select(c < -709.0, 0.0, b.select(c > 710.0, math.inf, p))  # at −709 p is above 1: still normal
    return b.select(t.is_nan(), t, p)


def pow(b: Body, x: Value, y: Value) -> Value:
    a = b.absolute(x)
    size = pow_positive(b, a, y)
    whole = b.intrinsic("trunc", y).equals(y)
    half = y * 0.5
    odd = whole & b.intrinsic("trunc", half).differs(half)
    negative = b.copysign(b.constant(1.0), x) < 0.0
    signed = b.select(odd & negative, -size, size)
    no_root = (x < 0.0) & ~whole & (a < math.inf) & (a >= format_of(x).tiny)
    result = b.select(no_root, math.nan, signed)
    one = y.equals(0.0) | x.equals(1.0) | (x.equals(-1.0) & b.absolute(y).equals(math.inf))
    result = b.select(x.is_nan(), x, b.select(y.is_nan(), y, result))
    return b.select(one, 1.0, result)


def logaddexp(b: Body, x: Value, y: Value) -> Value:
    d = -b.absolute(x - y)
    # exp with the rounding of its last sum kept: where log1p(e) cancels against max(x, y) it would show
    r, n = exp_reduced(b, d)
    tail = b.mad(r * r, b.polynomial(r, format_of(x).polynomial("exp")), r)
    p = tail + 1.0
    rest = b.select(d > -20.0, (tail - (p - 1.0)) * power_of_two(n, x), 0.0)
    e = clamp_exp(b, d, log2_scaled(p, n))
    larger = b.select(x > y, x, y)
    apart = larger + log1p_core(b, e, rest)
    return b.select(x.equals(y), x + math.log(2), b.select(e.is_nan(), e, apart))


def logaddexp2(b: Body, x: Value, y: Value) -> Value:
    e = exp2(b, -b.absolute(x - y))
    larger = b.select(x > y, x, y)
    apart = b.mad(log1p_core(b, e), format_of(x).constants("log2_e")[0], larger)
    return b.select(x.equals(y), x + 1.0, b.select(e.is_nan(), e, apart))


def sqrt(b: Body, x: Value) -> Value:
    """√x by the target's instruction."""
    return b.intrinsic("sqrt", x)


def cbrt(b: Body, x: Value) -> Value:
    wide = b.absolute(x.to("double"))
    bits = wide.bits()
    field = b.new("i64", f"lshr i64 {bits.text}, 52")
    # ⌊(field + 2049)/3⌋ by a product: 2049 = 3072 − 1023 makes it positive; exact for all fields of 11 bits
    third = ((field + 2049) * 21846) >> 16
    shift = third - 1024
    m = (bits - ((shift + shift + shift) << 52)).as_float()
    root = b.polynomial(m, DOUBLE.polynomial("cbrt"))
    for _ in range(1 if x.type == "float" else 2):
        cube = root * root * root
        root = root - root * ((cube - m) / b.mad(cube, 2.0, m))
    result = root * ((shift << 52) + DOUBLE.one).as_float()
    tiny = format_of(x).tiny
    result = b.select((wide >= tiny) & (wide < math.inf), result, b.select(wide < tiny, 0.0, wide))
    return b.copysign(result.to(x.type), x)


def hypot(b: Body, x: Value, y: Value) -> Value:
    if x.type == "float":
        p, q = x.to("double"), y.to("double")
        size = b.intrinsic("sqrt", b.mad(p, p, q * q)).to("float")
    else:
        p, q = b.absolute(x), b.absolute(y)
        largest = b.select(p > q, p, q)
        big, small = largest > 2.0**500, largest < 2.0**-500
        scale = b.select(big, b.constant(2.0**-600), b.select(small, b.constant(2.0**600), b.constant(1.0)))
        back = b.select(big, b.constant(2.0**600), b.select(small, b.constant(2.0**-600), b.constant(1.0)))
        p, q = p * scale, q * scale
        size = b.intrinsic("sqrt", b.mad(p, p, q * q)) * back
    infinite = b.absolute(x).equals(math.inf) | b.absolute(y).equals(math.inf)
    return b.select(infinite, math.inf, size)


ELEMENTARY: dict[str, tuple[int, Callable[..., Value]]] = {
    "exp": (1, exp), "exp2": (1, exp2), "expm1": (1, expm1), "log": (1, log), "log2": (1, log2), "log10": (1, log10),
    "log1p": (1, log1p), "sigmoid": (1, sigmoid), "sinh": (1, sinh), "cosh": (1, cosh), "tanh": (1, tanh),
    "erf": (1, erf), "erfc": (1, erfc), "pow": (2, pow), "logaddexp": (2, logaddexp), "logaddexp2": (2, logaddexp2),
    "sqrt": (1, sqrt), "cbrt": (1, cbrt), "hypot": (2, hypot),
}  # fmt: skip
