"""Minimax polynomials with rounded coefficients: where ``chainrule/compile/coefficients.py`` comes from.

Remez' exchange (Remez, 1934) on a grid of Chebyshev points, in 50 digits of mpmath; the coefficients are then rounded
to the dtype.  Not done: making the rounding of one coefficient good by the others (Brisebarre & Chevillard, 2007): the
forms in use keep the first terms of each series exact, so the rounding is worth a few hundredths of an ulp.

Run ``python tests/compile/minimax.py`` to print the table anew; a slow test compares it with what is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf

mp.dps = 50

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Wanted:
    """``g`` on [low, high] by a polynomial of ``degree`` that makes max |weight·(p − g)| smallest."""

    g: Function
    low: float
    high: float
    degree: int
    weight: Function
    dtype: str


def _remez(nodes: list[Any], g: list[Any], w: list[Any], degree: int) -> list[Any]:
    """Coefficients, lowest first, that level w |p − g| over ``nodes`` (w > 0)."""
    terms = degree + 1
    picks = [round(i * (len(nodes) - 1) / terms) for i in range(terms + 1)]
    coefficients: list[Any] = []
    for _ in range(30):
        rows = mpmath.matrix(terms + 1, terms + 1)
        right = mpmath.matrix(terms + 1, 1)
        for r, k in enumerate(picks):
            for c in range(terms):
                rows[r, c] = nodes[k] ** c
            rows[r, terms] = (-1) ** r / w[k]
            right[r] = g[k]
        solved = mpmath.lu_solve(rows, right)
        coefficients, level = [solved[i] for i in range(terms)], abs(solved[terms])
        highest_first = coefficients[::-1]
        error = [wk * (mpmath.polyval(highest_first, x) - gk) for x, gk, wk in zip(nodes, g, w, strict=True)]
        peaks: list[int] = []
        for k, e in enumerate(error):  # the largest error of each run of one sign
            if peaks and (error[peaks[-1]] >= 0) == (e >= 0):
                if abs(e) > abs(error[peaks[-1]]):
                    peaks[-1] = k
            else:
                peaks.append(k)
        while len(peaks) > terms + 1:
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        if len(peaks) < terms + 1:
            break
        picks = peaks
        if max(abs(error[k]) for k in peaks) <= level * mpf("1.0001"):
            break
    return coefficients


def minimax(wanted: Wanted) -> tuple[list[float], float]:
    """The rounded coefficients, lowest power first, and the largest weighted error they leave."""
    count = 24 * (wanted.degree + 2)
    low, high = mpf(wanted.low), mpf(wanted.high)
    cosines = [mpmath.cos(mpmath.pi * (k + mpf(1) / 2) / count) for k in range(count)]
    nodes = [(low + high) / 2 - (high - low) / 2 * c for c in cosines]
    g = [mpf(wanted.g(x)) for x in nodes]
    w = [abs(mpf(wanted.weight(x))) for x in nodes]
    rounded = [round_to(c, wanted.dtype) for c in _remez(nodes, g, w, wanted.degree)]
    highest_first = [mpf(c) for c in reversed(rounded)]
    left = [wk * (mpmath.polyval(highest_first, x) - gk) for x, gk, wk in zip(nodes, g, w, strict=True)]
    return rounded, float(max(abs(e) for e in left))


def round_to(value: Any, dtype: str) -> float:
    """The nearest number of ``dtype``, by one rounding."""
    if dtype == "float64":
        return float(value)
    mantissa, exponent = mpmath.frexp(value)
    return float(np.float32(float(mpmath.nint(mantissa * 2**24))) * np.float64(2.0) ** (int(exponent) - 24))


def _guarded(f: Function, series: Function) -> Function:
    """``f``, or its value from twice the digits, where it would cancel."""

    def g(x: Any) -> Any:
        with mp.workdps(100):
            return series(x) if x == 0 else f(mpf(x))

    return g


_root = mpmath.sqrt
LN2 = mpmath.log(2)
LOG_ENDS = float(_root(0.5)) - 1.0001, float(_root(2)) - 0.9999
QUARTER = float((mpmath.pi / 4) ** 2)


def _odd(f: Function) -> Function:
    """g with f(x) = x + x³ g(x²)."""
    return _guarded(lambda u: (f(_root(u)) - _root(u)) / (u * _root(u)), lambda u: mpf(0))


def _one(x: Any) -> Any:
    return mpf(1)


def table() -> dict[tuple[str, str], Wanted]:
    """Every polynomial of the vector math by (name, dtype)."""
    exp = lambda r: (mpmath.exp(r) - 1 - r) / r**2  # noqa: E731
    rows: dict[str, tuple[Function, float, float, Function, int | None, int | None]] = {
        # name: g, low, high, weight, degree in float32, degree in float64
        "exp": (exp, -0.3475, 0.3475, lambda r: r, 5, 10),
        "exp2": (lambda r: (mpmath.power(2, r) - 1) / r, -0.501, 0.501, lambda r: r, 6, 11),
        "log": (lambda f: (mpmath.log1p(f) - f + f * f / 2) / f**3, *LOG_ENDS, lambda f: f * f, 7, None),
        "atanh": (lambda z: (mpmath.atanh(_root(z)) / _root(z) - 1) / z, 0.0, 0.02945, lambda z: z, None, 6),
        "atanh_tail": (
            lambda z: (mpmath.atanh(_root(z)) / _root(z) - 1 - z / 3) / z**2, 0.0, 0.02945, lambda z: z * z, None, 6
        ),
        "sin": (_odd(mpmath.sin), 0.0, QUARTER * 1.001, lambda u: u, 3, 6),
        "cos": (lambda u: (mpmath.cos(_root(u)) - 1 + u / 2) / u**2, 0.0, QUARTER * 1.001, lambda u: u**2, 2, 6),
        "tan": (_odd(mpmath.tan), 0.0, QUARTER * 1.001, lambda u: u, 6, None),
        "arctan": (_odd(mpmath.atan), 0.0, 1.0, lambda u: u, 8, None),
        "arctan_short": (_odd(mpmath.atan), 0.0, 0.1718, lambda u: u, None, 10),
        "arcsin": (_odd(mpmath.asin), 0.0, 0.25, lambda u: u, 4, 11),
        "sinh": (_odd(mpmath.sinh), 0.0, 1.0, lambda u: u, 3, 6),
        "tanh": (_odd(mpmath.tanh), 0.0, 0.36, lambda u: u, 4, None),
        "erf": (lambda u: mpmath.erf(_root(u)) / _root(u) - 1, 0.0, 1.0, _one, 6, 12),
        "erfc_log": (lambda x: -mpmath.log(mpmath.erfc(x)), 0.98, 3.95, lambda x: mpmath.erfc(x), 7, None),
        "erfcx": (_erfcx, (0.45 - 4) / 4.45, (27.3 - 4) / 31.3, _one, None, 23),
        "cbrt": (mpmath.cbrt, 1.0, 8.0, lambda m: 1 / mpmath.cbrt(m), None, 4),
        "log2_narrow": (lambda z: mpmath.atanh(_root(z)) / _root(z) * 2 / LN2, 0.0, 0.02945, _one, None, 5),
        "exp2_narrow": (lambda r: mpmath.power(2, r), -0.501, 0.501, _one, None, 7),
    }  # fmt: skip
    out = {}
    for name, (g, low, high, weight, single, double) in rows.items():
        for dtype, degree in (("float32", single), ("float64", double)):
            if degree is not None:
                out[name, dtype] = Wanted(g, low, high, degree, weight, dtype)
    return out


def _erfcx(q: Any) -> Any:
    """(1 + 2x) exp(x²) erfc(x) at x = 4 (1 + q)/(1 − q)."""
    x = 4 * (1 + q) / (1 - q)
    return (1 + 2 * x) * mpmath.exp(x * x) * mpmath.erfc(x)


if __name__ == "__main__":
    import sys

    only = sys.argv[1:]
    for (name, dtype), wanted in table().items():
        if only and name not in only:
            continue
        coefficients, error = minimax(wanted)
        print(f'    ("{name}", "{dtype}"): (  # {mpmath.nstr(mpmath.log(error, 2), 4)} bits')
        for c in coefficients:
            print(f"        {c!r},")
        print("    ),", flush=True)
