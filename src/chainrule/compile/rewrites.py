"""The rewrites of :mod:`chainrule.compile.simplify`: each a small function that says what it does and how exact it is.

"Exact" means the bits of the evaluator's result, NaN payloads and the rounding of denormals to zero aside.  Not here on
purpose: x·0 is not 0 (NaN, infinity), x - x is not 0, x/x is not 1; x + 0 is not x (it makes 0 of -0, which people use
it for), only x + (-0) and x - 0 are; nothing is reassociated.

Rules about float arithmetic leave complex numbers alone: there x·1 is (a·1 - b·0) + ….
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.base.arrays import Shape, broadcast
from chainrule.compile.rewriter import Rewriter
from chainrule.graph.graph import Line
from chainrule.ops.index import indexed_shape

COMMUTATIVE = ("add", "mul", "equal", "not_equal", "logical_and", "logical_or", "logical_xor", "bitwise_and",
               "bitwise_or", "bitwise_xor")  # fmt: skip
_LARGE = 1 << 19  # elements from which on a reduction gains from a second thread
_MANY_ROWS, _LONG_ROW = 16, 256  # enough of them to share, and what it costs to begin one to be little


def attr(line: Line, name: str) -> Any:
    """The attribute ``name`` of a line."""
    return dict(line.attrs)[name]


def is_real(line: Line) -> bool:
    """Whether a line's value is a number that is not complex."""
    return line.spec.dtype.kind in "iuf"


# ------------------------------------------------------------------------------------------------ all pointwise lines


def fold(r: Rewriter, line: Line) -> int | None:
    """f(constants) → constant, where all are scalars.  Exact: it is the evaluator that computes it."""
    if line.spec.shape != () or not all(r.made_by(a, "constant") for a in line.args):
        return None
    try:
        with np.errstate(all="ignore"):
            value = line.op.run(*[r.value(a) for a in line.args], **dict(line.attrs))
    except ValueError:  # 2 ** -1 of integers: an error of the program when it runs
        return None
    return r.constant(value, line.spec.dtype)


def constant_last(r: Rewriter, line: Line) -> int | None:
    """c + x → x + c, and so for all commutative ops: the rules below look for constants on the right.  Exact."""
    x, y = line.args
    if r.value(x) is None or r.value(y) is not None:
        return None
    return r.write(line.op, (y, x), line.attrs, line.spec)


def before_broadcasting(r: Rewriter, line: Line) -> int | None:
    """f(broadcast x, y) → f(x, y), broadcast afterwards if nothing else stretches it.  Exact, and fewer elements."""
    args = tuple(_stretched(r, a) for a in line.args)
    if args == line.args:
        return None
    narrow = broadcast(*[r.shape(a) for a in args])
    spec = line.spec._replace(shape=narrow)
    return r.broadcast(r.write(line.op, args, line.attrs, spec), line.spec.shape)


def _stretched(r: Rewriter, index: int) -> int:
    """What a broadcast line broadcasts."""
    line = r.made_by(index, "broadcast_to")
    return index if line is None else line.args[0]


def _is(r: Rewriter, index: int, wanted: float) -> bool:
    """Whether all elements are this number; 0.0 and -0.0 are two numbers."""
    value = r.value(index)
    return value is not None and bool(value == wanted) and bool(np.signbit(value) == np.signbit(wanted))


def _negated(r: Rewriter, index: int) -> int | None:
    """What a line is the negative of."""
    line = r.made_by(index, "neg")
    return None if line is None else line.args[0]


# --------------------------------------------------------------------------------------------------------- arithmetic


def add_nothing(r: Rewriter, line: Line) -> int | None:
    """x + 0 → x for integers, x + (-0) → x for floats.  Exact."""
    x, y = line.args
    nothing = -0.0 if line.spec.dtype.kind == "f" else 0
    return r.broadcast(x, line.spec.shape) if is_real(line) and _is(r, y, nothing) else None


def subtract_nothing(r: Rewriter, line: Line) -> int | None:
    """x - 0 → x.  Exact."""
    x, y = line.args
    return r.broadcast(x, line.spec.shape) if is_real(line) and _is(r, y, 0) else None


def add_negative(r: Rewriter, line: Line) -> int | None:
    """x + (-y) → x - y, (-x) + y → y - x.  Exact."""
    x, y = line.args
    if line.spec.dtype.kind == "c":
        return None
    for a, b in ((x, y), (y, x)):
        if (positive := _negated(r, b)) is not None:
            return r.line("sub", a, positive)
    return None


def subtract_negative(r: Rewriter, line: Line) -> int | None:
    """x - (-y) → x + y.  Exact."""
    x, y = line.args
    positive = _negated(r, y)
    return None if positive is None or line.spec.dtype.kind == "c" else r.line("add", x, positive)


def multiply_by_one(r: Rewriter, line: Line) -> int | None:
    """x·1 → x, x·(-1) → -x (also x/1 and x/(-1)).  Exact."""
    x, y = line.args
    if not is_real(line):
        return None
    if _is(r, y, 1):
        return r.broadcast(x, line.spec.shape)
    if line.spec.dtype.kind != "u" and _is(r, y, -1):
        return r.line("neg", r.broadcast(x, line.spec.shape))
    return None


def multiply_negatives(r: Rewriter, line: Line) -> int | None:
    """(-x)·(-y) → x·y, (-x)·c → x·(-c).  Exact."""
    x, y = line.args
    a, b = _negated(r, x), _negated(r, y)
    if a is None or not is_real(line):
        return None
    if b is not None:
        return r.line("mul", a, b)
    if r.made_by(y, "constant") and not r.shape(y):
        return r.line("mul", a, r.line("neg", y))
    return None


def negative_out(r: Rewriter, line: Line) -> int | None:
    """(-x)·y → -(x·y), x/(-y) → -(x/y): outside, a sum or a difference takes it up.  Exact."""
    x, y = line.args
    a, b = _negated(r, x), _negated(r, y)
    if line.spec.dtype.kind not in "if" or (a is None) == (b is None):
        return None
    return r.line("neg", r.line(line.op.name, x if a is None else a, y if b is None else b))


def divide_by_power_of_two(r: Rewriter, line: Line) -> int | None:
    """x/2ᵏ → x·2⁻ᵏ.  Exact: both round the same number."""
    x, y = line.args
    value = r.value(y)
    if value is None or line.spec.dtype.kind != "f":
        return None
    size = abs(float(value))
    info = np.finfo(line.spec.dtype)
    if not float(info.tiny) <= size <= 1 / float(info.tiny) or math.frexp(size)[0] != 0.5:
        return None
    return r.line("mul", x, r.constant(1 / float(value), line.spec.dtype))


def derivative_of_tanh(r: Rewriter, line: Line) -> int | None:
    """1/cosh²x → 4e·q² with e = exp(-2|x|), q = 1/(1 + e), as in tanh x.  Within 8 ulp, as 1/cosh²x is.

    Where e is below the smallest normal number the result is 0, though it may be up to four times that.
    """
    one, square = line.args
    made = r.made_by(square, "mul")
    if made is None or made.args[0] != made.args[1] or not _is(r, one, 1.0) or line.spec.dtype.kind != "f":
        return None
    cosine = r.made_by(made.args[0], "cosh")
    if cosine is None:
        return None
    dtype = line.spec.dtype
    e = r.line("exp", r.line("mul", r.line("abs", cosine.args[0]), r.constant(-2.0, dtype)))
    part = r.line("div", one, r.line("add", e, r.constant(1.0, dtype)))
    return r.line("mul", r.line("mul", r.line("mul", e, r.constant(4.0, dtype)), part), part)


def negate_twice(r: Rewriter, line: Line) -> int | None:
    """-(-x) → x.  Exact."""
    return _negated(r, line.args[0])


def size_of_negative(r: Rewriter, line: Line) -> int | None:
    """|-x| → |x|, ||x|| → |x|.  Exact."""
    inner = r.made_by(line.args[0], "neg", "abs")
    return None if inner is None or r.dtype(inner.args[0]).kind == "c" else r.line("abs", inner.args[0])


def small_power(r: Rewriter, line: Line) -> int | None:
    """x⁰ → 1, x¹ → x, x² → x·x, x³, x⁴ → products, x⁻¹ → 1/x, x^½ → √x; integers: all whole exponents up to 63.

    Floats: x³ is within 1.5 ulp of the exact power, x⁴ within 1.92 ulp; the others are exact, and what NumPy does too
    (so -∞ to the number ½ is NaN, though to an array of ½ it is ∞).  Integers: exact.
    """
    x, y = line.args
    exponent = r.value(y)
    if exponent is None or not is_real(line):
        return None
    x = r.broadcast(x, line.spec.shape)
    if line.spec.dtype.kind == "f" and exponent == -1:
        return r.line("div", r.constant(1, line.spec.dtype), x)
    if exponent == 0.5:
        return r.line("sqrt", x)
    most = 4 if line.spec.dtype.kind == "f" else 63
    if not 0 <= exponent <= most or exponent != int(exponent):
        return None
    return _power(r, x, int(exponent)) if exponent else r.full(1, line.spec)


def _power(r: Rewriter, x: int, exponent: int) -> int:
    """x to a whole power from 1 up, by squaring."""
    if exponent == 1:
        return x
    half = _power(r, x, exponent // 2)
    square = r.line("mul", half, half)
    return r.line("mul", square, x) if exponent % 2 else square


def same_extreme(r: Rewriter, line: Line) -> int | None:
    """max(x, x) → x, min(x, x) → x.  Exact."""
    x, y = line.args
    return x if x == y else None


# ----------------------------------------------------------------------------------------------------- the chain rule


def chain_of_known(r: Rewriter, line: Line) -> int | None:
    """chain_mul(c, p) → c·p (0 where c is 0); chain_mul(ct, c) → ct·c for finite c.  Exact, but for a zero's sign."""
    ct, partial = line.args
    if line.spec.dtype.kind != "f":
        return None
    known = r.value(ct)
    if known is not None:
        return r.full(0, line.spec) if known == 0 else r.line("mul", partial, ct)
    factor = r.value(partial)
    return r.line("mul", ct, partial) if factor is not None and np.isfinite(factor) else None


# -------------------------------------------------------------------------------------------------- choices and logic


def choose_known(r: Rewriter, line: Line) -> int | None:
    """where(true, x, y) → x, where(c, x, x) → x, where(not c, x, y) → where(c, y, x).  Exact."""
    condition, x, y = line.args
    known = r.value(condition)
    if known is not None or x == y:
        return r.broadcast(y if known is not None and not known else x, line.spec.shape)
    inverse = r.made_by(condition, "logical_not")
    if inverse is not None and r.dtype(inverse.args[0]).kind == "b":
        return r.line("where", inverse.args[0], y, x)
    return None


def not_of_logic(r: Rewriter, line: Line) -> int | None:
    """not not b → b, not (x = y) → x ≠ y and back.  Exact, with NaN too."""
    inner = r.made_by(line.args[0], "logical_not", "equal", "not_equal")
    if inner is None:
        return None
    if inner.op.name == "logical_not":
        return inner.args[0] if r.dtype(inner.args[0]).kind == "b" else None
    return r.line("not_equal" if inner.op.name == "equal" else "equal", *inner.args)


# ------------------------------------------------------------------------------------------------------------- dtypes


def cast_to_same(r: Rewriter, line: Line) -> int | None:
    """cast to the dtype it has → x.  Exact."""
    return line.args[0] if r.dtype(line.args[0]) == line.spec.dtype else None


def cast_twice(r: Rewriter, line: Line) -> int | None:
    """cast(cast(x, wide), dtype) → cast(x, dtype), where ``wide`` holds every value of x.  Exact."""
    inner = r.made_by(line.args[0], "cast")
    if inner is None:
        return None
    (x,), middle = inner.args, inner.spec.dtype
    first = r.dtype(x)
    lossy = first.kind in "iu" and first.itemsize == 8 and middle.kind in "fc"  # NumPy calls that safe; it rounds
    return r.cast(x, line.spec.dtype) if np.can_cast(first, middle, "safe") and not lossy else None


def cast_before_broadcasting(r: Rewriter, line: Line) -> int | None:
    """cast(broadcast x) → broadcast(cast x).  Exact."""
    inner = r.made_by(line.args[0], "broadcast_to")
    return None if inner is None else r.broadcast(r.cast(inner.args[0], line.spec.dtype), line.spec.shape)


# ------------------------------------------------------------------------------------------------- rearranging (exact)


def pass_on(r: Rewriter, line: Line) -> int | None:
    """stop_gradient(x) → x, fixed(x, …) → x: differentiation is over."""
    return line.args[0]


def shape_it_has(r: Rewriter, line: Line) -> int | None:
    """reshape or broadcast_to the shape it has → x."""
    return line.args[0] if r.shape(line.args[0]) == line.spec.shape else None


def one_value(r: Rewriter, line: Line) -> int | None:
    """reshape, transpose or a part of a broadcast scalar → the scalar, broadcast."""
    inner = r.made_by(line.args[0], "broadcast_to")
    if inner is None or r.shape(inner.args[0]):
        return None
    return r.broadcast(inner.args[0], line.spec.shape)


def reshape_twice(r: Rewriter, line: Line) -> int | None:
    """reshape(reshape x) → reshape x."""
    inner = r.made_by(line.args[0], "reshape")
    return None if inner is None else r.reshape(inner.args[0], line.spec.shape)


def transpose_twice(r: Rewriter, line: Line) -> int | None:
    """transpose(transpose x) → one transpose, or x."""
    axes = attr(line, "axes")
    inner = r.made_by(line.args[0], "transpose")
    if inner is not None:
        first = attr(inner, "axes")
        return r.transpose(inner.args[0], [first[a] for a in axes])
    return line.args[0] if axes == tuple(range(len(axes))) else None


def transpose_of_ones(r: Rewriter, line: Line) -> int | None:
    """A transpose that moves only axes of size 1 → reshape."""
    shape = r.shape(line.args[0])
    moved = [a for a in attr(line, "axes") if shape[a] != 1]
    return r.reshape(line.args[0], line.spec.shape) if moved == sorted(moved) else None


def broadcast_twice(r: Rewriter, line: Line) -> int | None:
    """broadcast(broadcast x) → broadcast x."""
    inner = r.made_by(line.args[0], "broadcast_to")
    return None if inner is None else r.broadcast(inner.args[0], line.spec.shape)


def broadcast_of_ones(r: Rewriter, line: Line) -> int | None:
    """broadcast(x with axes of size 1 put in front) → broadcast x."""
    inner = r.made_by(line.args[0], "reshape")
    if inner is None:
        return None
    shape = r.shape(inner.args[0])
    lead = len(inner.spec.shape) - len(shape)
    return r.broadcast(inner.args[0], line.spec.shape) if inner.spec.shape == (1,) * lead + shape else None


def read_all(r: Rewriter, line: Line) -> int | None:
    """A part that is everything, x[:, 0, None] of (n, 1) → reshape."""
    return r.reshape(line.args[0], line.spec.shape) if _everything(attr(line, "key"), r.shape(line.args[0])) else None


def write_all(r: Rewriter, line: Line) -> int | None:
    """A part put into zeros, or into x, that is everything → the part, reshaped."""
    part = line.args[-1]
    if not _everything(attr(line, "key"), line.spec.shape):
        return None
    return r.reshape(r.broadcast(part, indexed_shape(line.spec.shape, attr(line, "key"))), line.spec.shape)


def _everything(key: tuple[Any, ...], shape: Shape) -> bool:
    """Whether a basic key names every element, in order."""
    parts = [part for part in key if part is not None]
    return all(part == (0, n, 1) if isinstance(part, tuple) else n == 1 for part, n in zip(parts, shape, strict=True))


def join_one(r: Rewriter, line: Line) -> int | None:
    """concatenate(x) → x; arrays of no elements are left out."""
    axis = attr(line, "axis")
    kept = tuple(a for a in line.args if r.shape(a)[axis]) or line.args[:1]
    if len(kept) == 1:
        return kept[0]
    return None if kept == line.args else r.write(line.op, kept, line.attrs, line.spec)


# --------------------------------------------------------------------------------------------------------- reductions


def drop_axes(r: Rewriter, line: Line) -> int | None:
    """A reduction that keeps its axes → one that drops them, reshaped: both kinds are one line then.  Exact."""
    if not attr(line, "keepdims"):
        return None
    return r.reshape(r.line(line.op.name, *line.args, axes=attr(line, "axes"), keepdims=False), line.spec.shape)


def sum_of_negative(r: Rewriter, line: Line) -> int | None:
    """Σ-x → -Σx.  Exact, but for the sign of a zero: rounding is symmetric."""
    positive = _negated(r, line.args[0])
    if positive is None or line.spec.dtype.kind == "c":
        return None
    return r.line("neg", r.line("sum", positive, **dict(line.attrs)))


def reduce_one(r: Rewriter, line: Line) -> int | None:
    """A reduction over axes of size 1 → reshape.  Exact, but that a sum of -0 alone stays -0."""
    (x,) = line.args
    shape = r.shape(x)
    return r.reshape(x, line.spec.shape) if all(shape[a] == 1 for a in attr(line, "axes")) else None


def reduce_ends(r: Rewriter, line: Line) -> int | None:
    """A reduction over axes in the middle → over the last axes (if the last is among them) or the first, transposed.

    A kernel walks rows or columns.  Exact for max, min, any, all and integers; sums of floats are added in another
    order: both are pairwise, or better.
    """
    (x,) = line.args
    shape, axes = r.shape(x), attr(line, "axes")
    if not axes or _at_an_end(axes, len(shape)):
        return None
    kept = [a for a in range(len(shape)) if a not in axes]
    long = [a for a in range(len(shape)) if shape[a] != 1]
    rows = bool(long) and long[-1] in axes
    order = [*kept, *axes] if rows else [*axes, *kept]
    start = len(kept) if rows else 0
    return r.line(line.op.name, r.transpose(x, order), axes=tuple(range(start, start + len(axes))), keepdims=False)


def reduce_rows_first(r: Rewriter, line: Line) -> int | None:
    """A reduction of all of a large array → of its rows, then of their results: threads share rows, never one sum.

    Exact for max, min, any, all and integers; sums of floats are cut otherwise, and no less exact.
    """
    (x,) = line.args
    shape = r.shape(x)
    last = len(shape) - 1
    if last < 1 or attr(line, "axes") != tuple(range(last + 1)) or attr(line, "keepdims"):
        return None
    rows = math.prod(shape[:-1])
    if rows < _MANY_ROWS or shape[-1] < _LONG_ROW or rows * shape[-1] < _LARGE:
        return None
    found = r.line(line.op.name, x, axes=(last,), keepdims=False)
    return r.line(line.op.name, found, axes=tuple(range(last)), keepdims=False)


def _at_an_end(axes: tuple[int, ...], rank: int) -> bool:
    return tuple(axes) in (tuple(range(len(axes))), tuple(range(rank - len(axes), rank)))


_REDUCED = (drop_axes, reduce_one, reduce_ends, reduce_rows_first)

TABLE = {
    "add": (add_nothing, add_negative), "sub": (subtract_nothing, subtract_negative),
    "mul": (multiply_by_one, multiply_negatives, negative_out),
    "div": (multiply_by_one, divide_by_power_of_two, negative_out, derivative_of_tanh),
    "neg": (negate_twice,), "abs": (size_of_negative,), "pow": (small_power,),
    "maximum": (same_extreme,), "minimum": (same_extreme,),
    "chain_mul": (chain_of_known,), "where": (choose_known,), "logical_not": (not_of_logic,),
    "cast": (cast_to_same, fold, cast_twice, cast_before_broadcasting),
    "stop_gradient": (pass_on,), "fixed": (pass_on,),
    "reshape": (shape_it_has, one_value, reshape_twice), "transpose": (one_value, transpose_twice, transpose_of_ones),
    "broadcast_to": (shape_it_has, broadcast_twice, broadcast_of_ones), "index": (read_all, one_value),
    "unindex": (write_all,), "update": (write_all,),
    "concatenate": (join_one,),
    "sum": (sum_of_negative, *_REDUCED), "max": _REDUCED, "min": _REDUCED, "any": _REDUCED, "all": _REDUCED,
}  # fmt: skip
