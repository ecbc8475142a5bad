"""How far native code may be from the evaluator, op by op, in ulp: one table, for tests of single ops and of programs.

A row is (float32, float64, unit).  ``value``: ulp of the result.  ``terms``: ulp of the terms' magnitudes, summed.
``sum``: the same times √n for n terms: both sides add in orders of their own, and rounding errors of n additions add
up like a random walk (Higham & Mary, 2019, "A new approach to probabilistic rounding error analysis").  Integers, bools
and ops that run in NumPy have no row: they are equal bit for bit.

The evaluator is no truth: of a function's 4 ulp up to 2 (float64: 4) are ours, the rest are NumPy's own.  Against
mpmath ours are measured in ``test_vectormath.py``.  Below the smallest normal number a result may be 0: denormals are
flushed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.graph.graph import Line


class Tolerance(NamedTuple):
    """Ulp for float32 and float64, counted in ``unit``: value, terms or sum."""

    float32: float
    float64: float
    unit: str = "value"


# Numbers are moved, chosen or compared, never rounded: the same bits, also within a program.
EXACT = (
    "abs", "all", "any", "argmax", "argmin", "broadcast_to", "ceil", "concatenate", "copysign", "equal", "floor",
    "gather", "greater", "greater_equal", "index", "isfinite", "isinf", "isnan", "less", "less_equal", "logical_and",
    "logical_not", "logical_or", "logical_xor", "max", "maximum", "min", "minimum", "neg", "not_equal", "random_bits",
    "reshape", "rint", "scatter", "sign", "signbit", "stop_gradient", "transpose", "trunc", "unindex", "update",
    "where", "bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift", "bitwise_count",
)  # fmt: skip
# One correct rounding on both sides; in a program a rounding may be left out (fused multiply-add) or come elsewhere.
ROUNDED = ("add", "cast", "chain_mul", "cumsum", "div", "floor_divide", "mod", "mul", "scatter_add", "sqrt", "sub")
# The same terms in another order.
SUMS = ("sum", "matmul")
FUNCTIONS = (
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cbrt", "cos", "cosh", "erf", "exp",
    "exp2", "expm1", "hypot", "log", "log10", "log1p", "log2", "pow", "sigmoid", "sin", "sinh", "tan", "tanh",
)  # fmt: skip

TOLERANCES: dict[str, Tolerance] = {
    **dict.fromkeys((*EXACT, *ROUNDED), Tolerance(0, 0)),
    **dict.fromkeys(SUMS, Tolerance(1, 1, "sum")),
    **dict.fromkeys(FUNCTIONS, Tolerance(4, 4)),
    "erfc": Tolerance(4, 8),  # SciPy's float64 is up to 5 ulp off in the tail
    **dict.fromkeys(("logit", "xlogy", "xlog1py"), Tolerance(5, 5)),  # a logarithm, and one more rounding
    "norm": Tolerance(1, 1, "sum"),
    "logaddexp": Tolerance(4, 4, "terms"),  # of max(x, y) and what is added to it: they may cancel
    "logaddexp2": Tolerance(4, 4, "terms"),
}


def spacing(x: Any) -> Any:
    """One ulp of ``x``; of a complex number, of the larger part."""
    if x.dtype.kind == "c":
        x = np.maximum(np.abs(x.real), np.abs(x.imag))
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(x), np.abs(np.spacing(x)), 0)


def rounding_error(line: Line, args: Sequence[Any], value: Any, least: float = 0.0) -> Any:
    """How far each element of ``value``, the result of ``line`` on ``args``, may be off; None where it may not be.

    ``least`` is counted at least, in ulp, for an op that rounds at all: what its place in a program may cost.
    """
    name = line.op.name
    if value.dtype.kind not in "fc" or name in EXACT or (name == "cast" and args[0].dtype.kind == "f" and
                                                         args[0].dtype.itemsize < value.dtype.itemsize):  # fmt: skip
        return None
    row = TOLERANCES.get(name)
    ulps = max(least, 0.0 if row is None else row.float32 if value.real.dtype.itemsize == 4 else row.float64)
    if not ulps:
        return None
    if row is None:  # NumPy's own: what it does may be a sum of all elements (fft, solve)
        largest = np.abs(value[np.isfinite(value)]).max(initial=0)
        return np.broadcast_to(ulps * spacing(np.asarray(largest, value.real.dtype)), value.shape)
    if row.unit == "value":
        return ulps * spacing(value)
    return ulps * _terms(line, args, value)


def _terms(line: Line, args: Sequence[Any], value: Any) -> Any:
    """An ulp of the sum of the magnitudes of what ``line`` adds up, times √n where these are many."""
    with np.errstate(all="ignore"):
        if line.op.name == "matmul":
            return math.sqrt(args[0].shape[-1]) * spacing(np.matmul(np.abs(args[0]), np.abs(args[1])))
        if line.op.name in ("sum", "norm"):
            attrs: dict[str, Any] = dict(line.attrs)
            count = math.prod(args[0].shape[a] for a in attrs["axes"])
            if line.op.name == "norm":  # of a sum of squares, the root: nothing cancels
                return math.sqrt(count) * spacing(value)
            return math.sqrt(count) * spacing(np.abs(args[0]).sum(axis=attrs["axes"], keepdims=attrs["keepdims"]))
        top = np.maximum(*args)
        return spacing(np.abs(top) + np.abs(value - top))


def table() -> str:
    """The table as Markdown: what ``docs/compiler.md`` shows."""
    rows = ["| ops | float32 | float64 | ulp of |", "|---|---|---|---|"]
    groups: dict[Tolerance, list[str]] = {}
    for name, row in sorted(TOLERANCES.items()):
        groups.setdefault(row, []).append(name)
    units = {"value": "the result", "terms": "the terms' magnitudes, summed",
             "sum": "the terms' magnitudes, summed; times √n for n terms"}  # fmt: skip
    for row, names in sorted(groups.items(), key=lambda g: g[0]):
        unit = "(the same bits)" if not row.float32 else units[row.unit]
        rows.append(f"| {', '.join(f'`{n}`' for n in names)} | {row.float32:g} | {row.float64:g} | {unit} |")
    return "\n".join(rows)
