"""Rewrites of lines that have no kernel of their own, or a slower one, into lines that have.

As in :mod:`chainrule.compile.rewrites`, each says how exact it is.  What is left over for calls back into NumPy:
complex numbers, float16, sorting long rows, factorisations, Fourier transforms, the gamma and Bessel families, powers
of integers by arrays, gcd and lcm.
"""

from __future__ import annotations

import numpy as np

from chainrule.base.arrays import BOOL, INT
from chainrule.compile.rewriter import Rewriter
from chainrule.compile.rewrites import attr
from chainrule.graph.graph import Line

I32 = np.dtype(np.int32)
FEW = 64  # elements of a row that is sorted by comparing all pairs
FEW_ROWS = 8  # of x, below which a product waits for W alone, and reads it row after row
LARGE = 1 << 17  # bytes of W from which on each core should have its half: smaller ones are quick to fetch
NARROW = 8  # columns below which a row of them is too short for vectors

# --------------------------------------------------------------------------------------------------------- reductions


def widen_first(r: Rewriter, line: Line) -> int | None:
    """sum(bools or small integers) → sum(cast to what it adds up in); cumsum too.  Exact."""
    (x,) = line.args
    if r.dtype(x) == line.spec.dtype:
        return None
    return r.write(line.op, (r.cast(x, line.spec.dtype),), line.attrs, line.spec)


def length(r: Rewriter, line: Line) -> int | None:
    """norm(x) → √Σx², which is how the evaluator computes it, in lines that fuse.  As exact as the sum."""
    (x,) = line.args
    if r.dtype(x).kind == "c":
        return None
    return r.line("sqrt", r.line("sum", r.line("mul", x, x), **dict(line.attrs)))


def extreme_of_bools(r: Rewriter, line: Line) -> int | None:
    """max(bools) → any, min(bools) → all.  Exact."""
    if line.spec.dtype != BOOL:
        return None
    return r.line("any" if line.op.name == "max" else "all", *line.args, **dict(line.attrs))


def first_extreme(r: Rewriter, line: Line) -> int | None:
    """argmax(x) → the smallest i where xᵢ is max(x), or is NaN.  Exact: of equal ones the first, and the first NaN.

    Two reductions and a comparison, which run on whole vectors and fuse with what computes x.
    """
    (x,) = line.args
    shape, axis, kind = r.shape(x), attr(line, "axis"), r.dtype(x).kind
    if kind == "c" or r.dtype(x).name == "float16" or shape[axis] >= 1 << 31:
        return None
    name = "max" if line.op.name == "argmax" else "min"
    best = r.line(name, x, axes=(axis,), keepdims=True)
    here = r.line("equal", x, best)
    if kind == "f":
        here = r.line("logical_or", here, r.line("isnan", x))
    numbers = np.arange(shape[axis], dtype=I32).reshape((-1, *(1,) * (len(shape) - 1 - axis)))
    beyond = r.constant(shape[axis], I32)
    places = r.line("where", here, r.builder.constant_line(numbers), beyond)
    return r.cast(r.line("min", places, axes=(axis,), keepdims=False), INT)


# ------------------------------------------------------------------------------------------------------------ sorting


def order_of_few(r: Rewriter, line: Line) -> int | None:
    """argsort of short rows → how many are before each, then who has rank k.  Exact: stable, NaN last.

    All pairs are compared, on whole vectors; beyond ``FEW`` elements NumPy's n·log n is quicker.
    """
    (x,) = line.args
    axis, rank = attr(line, "axis"), len(r.shape(x))
    n = r.shape(x)[axis]
    if n > FEW or r.dtype(x).kind == "c" or r.dtype(x).name == "float16":
        return None
    others = [a for a in range(rank) if a != axis]
    rows = r.transpose(x, [*others, axis])
    lead = tuple(r.shape(x)[a] for a in others)
    numbers = np.arange(n, dtype=I32)
    mine, theirs = r.reshape(rows, (*lead, n, 1)), r.reshape(rows, (*lead, 1, n))
    earlier = r.builder.constant_line(numbers[None, :] < numbers[:, None])
    ahead = _comes_before(r, theirs, mine, earlier)
    ranks = r.line("sum", r.cast(ahead, INT), axes=(rank,), keepdims=False)
    has = r.line("equal", r.reshape(r.cast(ranks, I32), (*lead, 1, n)), r.builder.constant_line(numbers[:, None]))
    found = r.line("where", has, r.builder.constant_line(numbers), r.constant(0, I32))
    order = r.line("max", found, axes=(rank,), keepdims=False) if n else r.broadcast(r.constant(0, I32), (*lead, n))
    back = sorted(range(rank), key=[*others, axis].__getitem__)
    return r.cast(r.transpose(order, back), INT)


def _comes_before(r: Rewriter, a: int, b: int, earlier: int) -> int:
    """Whether a stable sort puts ``a`` before ``b``: it is smaller, or as large and ``earlier``; NaN is the largest."""
    smaller, same = r.line("less", a, b), r.line("equal", a, b)
    if r.dtype(a).kind == "f":
        nan_a, nan_b = r.line("isnan", a), r.line("isnan", b)
        smaller = r.line("logical_or", smaller, r.line("logical_and", nan_b, r.line("logical_not", nan_a)))
        same = r.line("logical_or", same, r.line("logical_and", nan_a, nan_b))
    return r.line("logical_or", smaller, r.line("logical_and", same, earlier))


# ------------------------------------------------------------------------------------------- one place in every row


def wide_indices(r: Rewriter, line: Line) -> int | None:
    """Indices of 32 bits or fewer → cast to int64, which the kernels read.  Exact."""
    first = 1 if line.op.name == "gather" else 2
    if all(r.dtype(a).itemsize == 8 for a in line.args[first:]):
        return None
    args = (*line.args[:first], *(r.cast(a, INT) for a in line.args[first:]))
    return r.write(line.op, args, line.attrs, line.spec)


def gather_from_rows(r: Rewriter, line: Line) -> int | None:
    """x[arange(n), j] of computed numbers → Σ where(j = column, x, 0) along rows, which fuses with them.

    Exact, but that a sum of -0 alone may be 0.
    """
    x, *indices = line.args
    chosen = _one_per_row(r, x, indices)
    if chosen is None or not r.builder.lines[x].op.broadcasts:
        return None
    return r.line("sum", r.line("where", chosen, x, r.constant(0, line.spec.dtype)), axes=(1,), keepdims=True)


def scatter_to_rows(r: Rewriter, line: Line) -> int | None:
    """zeros that get y added at [arange(n), j] → where(j = column, y, 0).  Exact, but for the sign of a zero."""
    x, part, *indices = line.args
    chosen = _one_per_row(r, x, indices)
    if chosen is None or r.value(x) is None or r.value(x) != 0:
        return None
    return r.line("where", chosen, part, r.constant(0, line.spec.dtype))


def _one_per_row(r: Rewriter, x: int, indices: list[int]) -> int | None:
    """Where the indices point, as bools of the shape of ``x``; None unless they name one place in every row.

    An index out of range, which is an error, points nowhere.
    """
    shape = r.shape(x)
    if len(shape) != 2 or len(indices) != 2 or r.dtype(x).kind not in "iuf":
        return None
    rows, columns = indices
    counted = r.made_by(rows, "constant")
    n, m = shape
    if counted is None or r.shape(rows) != (n, 1) or m >= 1 << 31 or r.dtype(columns).kind not in "iu":
        return None
    if not np.array_equal(attr(counted, "value").array[:, 0], np.arange(n)):
        return None
    numbers = r.builder.constant_line(np.arange(m, dtype=I32)[None])
    return r.line("equal", r.cast(_from_the_front(r, r.cast(columns, INT), m), I32), numbers)


def _from_the_front(r: Rewriter, places: int, size: int) -> int:
    """Indices with ``size`` added to those below 0; as they are where that has been done."""
    choice = r.made_by(places, "where")
    if choice is not None:
        given = choice.args[2]
        if choice.args == _counted(r, given, size):
            return places
    return r.line("where", *_counted(r, places, size))


def _counted(r: Rewriter, places: int, size: int) -> tuple[int, int, int]:
    below = r.line("less", places, r.constant(0, INT))
    return below, r.line("add", places, r.constant(size, INT)), places


# ----------------------------------------------------------------------------------------------------------- products


def outer_product(r: Rewriter, line: Line) -> int | None:
    """(n, 1) @ (1, m) → the product of a column and a row, which fuses.  Exact, but for the sign of a zero."""
    x, y = line.args
    return r.line("mul", x, y) if r.shape(x)[-1] == 1 and line.spec.dtype.kind != "c" else None


def halves_of_product(r: Rewriter, line: Line) -> int | None:
    """x·W → x₁·W₁ + x₂·W₂ for the halves of k, where W is large and there are fewer rows of x than of W.

    The update of W that comes from xᵀ·δ is cut by W's rows.  So each core reads the half of W, and of x, that it wrote,
    or will read again, itself, and not what lies in another core's cache.  As exact: sums of half the length, added.
    """
    a, b = line.args
    if len(r.shape(a)) != 2 or len(r.shape(b)) != 2 or line.spec.dtype.kind != "f":
        return None
    (m, k), n = r.shape(a), r.shape(b)[1]
    if k % 2 or not FEW_ROWS <= m <= k or k * n * line.spec.dtype.itemsize < LARGE:
        return None
    if r.made_by(a, "transpose") or r.made_by(b, "transpose"):  # then k runs along rows, which nobody cuts
        return None
    x = r.transpose(r.reshape(a, (m, 2, k // 2)), (1, 0, 2))
    both = r.line("matmul", x, r.reshape(b, (2, k // 2, n)))
    first, second = (r.line("index", both, key=(half, (0, m, 1), (0, n, 1))) for half in (0, 1))
    return r.line("add", first, second)


def whole_number_product(r: Rewriter, line: Line) -> int | None:
    """A product of matrices of integers or bools → sums of products.  Exact: integers wrap around.

    Added up over the first axis, a row of y at a time; for narrow y over the last, along rows of both.
    """
    x, y = line.args
    kind = line.spec.dtype.kind
    if kind not in "iub":
        return None
    *lead, n, k = r.shape(x)
    *behind, _, m = r.shape(y)
    if m < NARROW:
        x = r.reshape(x, (*lead, n, 1, k))
        y = r.reshape(_turned(r, y), (*behind, 1, m, k))
    else:
        x = r.reshape(_turned(r, x), (*lead, k, n, 1))
        y = r.reshape(y, (*behind, k, 1, m))
    terms = r.line("mul", x, y)
    axis = len(r.shape(terms)) - (1 if m < NARROW else 3)
    return r.cast(r.line("any" if kind == "b" else "sum", terms, axes=(axis,), keepdims=False), line.spec.dtype)


def _turned(r: Rewriter, x: int) -> int:
    """The last two axes exchanged."""
    rank = len(r.shape(x))
    return r.transpose(x, (*range(rank - 2), rank - 1, rank - 2))


# ------------------------------------------------------------------------------------------ functions made of others


def times_logarithm(r: Rewriter, line: Line) -> int | None:
    """xlogy(x, y) → x·ln y, 0 where x is 0 and ln y a number; xlog1py so with ln(1 + y).  As exact as the logarithm."""
    x, y = line.args
    dtype = line.spec.dtype
    if dtype.kind != "f":
        return None
    nothing = r.constant(0, dtype)
    logarithm = r.line("log" if line.op.name == "xlogy" else "log1p", y)
    is_zero = r.line("logical_and", r.line("equal", x, nothing), r.line("logical_not", r.line("isnan", logarithm)))
    return r.line("where", is_zero, nothing, r.line("mul", x, logarithm))


def log_odds(r: Rewriter, line: Line) -> int | None:
    """logit(p) → ln(p/(1 - p)), 2·artanh(2p - 1) near 1/2: the evaluator's formula.  As exact as the logarithm."""
    (p,) = line.args
    dtype = line.spec.dtype
    if dtype.kind != "f":
        return None
    one, two, nothing, half, quarter = (r.constant(v, dtype) for v in (1, 2, 0, 0.5, 0.25))
    middle = r.line("less", r.line("abs", r.line("sub", p, half)), quarter)
    twice = r.line("sub", r.line("mul", p, two), one)
    inner = r.line("mul", r.line("arctanh", r.line("where", middle, twice, nothing)), two)
    return r.line("where", middle, inner, r.line("log", r.line("div", p, r.line("sub", one, p))))


def sign_bit(r: Rewriter, line: Line) -> int | None:
    """signbit(x) → copysign(1, x) < 0.  Exact, for NaN too."""
    (x,) = line.args
    dtype = r.dtype(x)
    if dtype.kind != "f":
        return None
    return r.line("less", r.line("copysign", r.constant(1, dtype), x), r.constant(0, dtype))


EXPANSIONS = {
    "sum": (widen_first,), "cumsum": (widen_first,), "max": (extreme_of_bools,), "min": (extreme_of_bools,),
    "norm": (length,), "argmax": (first_extreme,), "argmin": (first_extreme,), "argsort": (order_of_few,),
    "gather": (wide_indices, gather_from_rows), "scatter_add": (wide_indices, scatter_to_rows),
    "scatter": (wide_indices,),
    "matmul": (outer_product, whole_number_product, halves_of_product),
    "xlogy": (times_logarithm,), "xlog1py": (times_logarithm,), "logit": (log_odds,), "signbit": (sign_bit,),
}  # fmt: skip
