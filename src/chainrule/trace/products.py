"""Products of vectors, matrices and tensors, all brought to the one batched matrix product.

``einsum`` takes all of NumPy's notation.  It goes pair by pair along the order ``np.einsum_path`` finds; a pair becomes
one matrix product over (shared and kept; kept left × summed; summed × kept right), or one broadcast multiplication
where nothing is summed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import normalize_axis
from chainrule.base.errors import ShapeError
from chainrule.graph.source import user_source
from chainrule.ops import record
from chainrule.ops.matmul import matmul as matrix_product
from chainrule.trace.linalg import matrix_diagonal
from chainrule.trace.shaping import together
from chainrule.trace.symbol import as_symbol
from chainrule.trace.table import implements

Labels = tuple[int, ...]


def matmul(x: Any, y: Any) -> Any:
    """``x @ y`` as NumPy has it: a vector gets an axis in front (left) or behind (right), which is dropped again."""
    a, b = together([x, y])
    if not a.ndim or not b.ndim:
        raise ShapeError(
            "@ needs at least one axis on both sides",
            expected="vectors, matrices or stacks of matrices",
            got=f"{a.shape} @ {b.shape}",
            where=user_source(),
            fix="use * for a product with a scalar",
        )
    inner = a.shape[-1], b.shape[-2 if b.ndim > 1 else 0]
    if inner[0] != inner[1]:  # here, so that a vector is shown without the axis it gets
        raise ShapeError(
            "matmul: the inner sizes of a matrix product differ",
            expected=f"{'(k,)' if a.ndim == 1 else '(…, n, k)'} @ {'(k,)' if b.ndim == 1 else '(…, k, m)'}; "
            f"here k = {inner[0]} from the left",
            got=f"{a.shape} @ {b.shape}",
            where=user_source(),
            fix="transpose or reshape one of the two so that the inner sizes agree",
        )
    left = a if a.ndim > 1 else np.expand_dims(a, 0)
    right = b if b.ndim > 1 else np.expand_dims(b, 1)
    out = matrix_product(left, right)
    dropped = tuple(axis for axis, vector in ((-2, a.ndim == 1), (-1, b.ndim == 1)) if vector)
    return np.squeeze(out, dropped) if dropped else out


@implements(np.linalg.matmul)
def linalg_matmul(x1: Any, x2: Any, /) -> Any:
    return matmul(x1, x2)


# ------------------------------------------------------------------------------------------ sums of products over axes


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    a, b = together([a, b])
    if not a.ndim or not b.ndim:
        return a * b
    return matmul(a, b) if b.ndim == 1 or (a.ndim <= 2 and b.ndim == 2) else tensordot(a, b, ((-1,), (-2,)))


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    a, b = together([a, b])
    return matmul(np.conjugate(np.ravel(a)), np.ravel(b))


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    a, b = together([a, b])
    return tensordot(a, b, ((-1,), (-1,))) if a.ndim and b.ndim else a * b


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    return np.expand_dims(np.ravel(a), 1) * np.expand_dims(np.ravel(b), 0)


@implements(np.linalg.outer)
def linalg_outer(x1: Any, x2: Any, /) -> Any:
    a, b = as_symbol(x1), as_symbol(x2)
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError("np.linalg.outer needs vectors", expected="one axis each", got=f"{a.shape} and {b.shape}",
                         where=user_source(), fix="np.outer flattens other shapes")  # fmt: skip
    return outer(a, b)


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = together([a, b])
    left, right = _contracted(a, b, axes)
    if len(left) != len(right) or any(a.shape[i] != b.shape[j] for i, j in zip(left, right, strict=True)):
        raise ShapeError(
            "the axes to be summed over do not match",
            expected="as many axes on both sides, of the same sizes",
            got=f"{a.shape} and {b.shape}, axes={axes}",
            where=user_source(),
            fix="name axes of equal sizes in axes=(…, …)",
        )
    kept_a = [i for i in range(a.ndim) if i not in left]
    kept_b = [i for i in range(b.ndim) if i not in right]
    size = math.prod(a.shape[i] for i in left)
    rows = math.prod(a.shape[i] for i in kept_a)
    columns = math.prod(b.shape[i] for i in kept_b)
    made = matrix_product(
        record.reshape(record.transpose(a, [*kept_a, *left]), (rows, size)),
        record.reshape(record.transpose(b, [*right, *kept_b]), (size, columns)),
    )
    return record.reshape(made, (*[a.shape[i] for i in kept_a], *[b.shape[i] for i in kept_b]))


def _contracted(a: Any, b: Any, axes: Any) -> tuple[list[int], list[int]]:
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise ShapeError(
                "tensordot: too many axes to sum over",
                expected=f"0 to {min(a.ndim, b.ndim)}",
                got=axes,
                where=user_source(),
                fix="pass fewer axes, or name them: axes=([…], […])",
            )
        return list(range(a.ndim - axes, a.ndim)), list(range(axes))
    left, right = axes
    left = [left] if isinstance(left, (int, np.integer)) else left
    right = [right] if isinstance(right, (int, np.integer)) else right
    return [normalize_axis(i, a.ndim) for i in left], [normalize_axis(i, b.ndim) for i in right]


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    a, b = as_symbol(a), as_symbol(b)
    rank = max(a.ndim, b.ndim)
    left = (1,) * (rank - a.ndim) + a.shape
    right = (1,) * (rank - b.ndim) + b.shape
    spread = np.reshape(a, tuple(n for size in left for n in (size, 1)))
    made = spread * np.reshape(b, tuple(n for size in right for n in (1, size)))
    return np.reshape(made, tuple(m * n for m, n in zip(left, right, strict=True)))


@implements(np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return np.vecdot(np.moveaxis(as_symbol(x1), axis, -1), np.moveaxis(as_symbol(x2), axis, -1))


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """The product of a chain in the order that takes the fewest multiplications (Godbole, 1973)."""
    chain = together(list(arrays))
    if len(chain) < 2 or any(x.ndim != 2 for x in chain[1:-1]) or any(x.ndim not in (1, 2) for x in chain):
        raise ShapeError(
            "multi_dot needs a chain of matrices, of which the first and the last may be vectors",
            expected="two arrays or more",
            got=[x.shape for x in chain],
            where=user_source(),
            fix="pass two arrays or more, of 2 axes each; multiply stacks with @",
        )
    sizes = [1 if chain[0].ndim == 1 else chain[0].shape[0]]
    sizes += [x.shape[0] if x.ndim == 1 or i else x.shape[1] for i, x in enumerate(chain[:1])]
    sizes += [1 if x.ndim == 1 else x.shape[1] for x in chain[1:]]

    @functools.cache
    def best(first: int, last: int) -> tuple[int, int]:
        """The cost of the product from ``first`` to ``last``, and where to split it."""
        if first == last:
            return 0, first
        return min(
            (best(first, k)[0] + best(k + 1, last)[0] + sizes[first] * sizes[k + 1] * sizes[last + 1], k)
            for k in range(first, last)
        )

    def multiply(first: int, last: int) -> Any:
        if first == last:
            return chain[first]
        k = best(first, last)[1]
        return matmul(multiply(first, k), multiply(k + 1, last))

    return multiply(0, len(chain) - 1)


# -------------------------------------------------------------------------------------------------------------- einsum


@implements(np.einsum)
def einsum(*operands: Any, out: Any = None, optimize: Any = False, **options: Any) -> Any:
    terms, result, arrays = _parse(operands)
    dtype = options.get("dtype")
    parts = together(arrays, dtype)
    sizes = _sizes(parts, terms)
    # An axis of size 1 that another array stretches takes no part.
    stretched = [tuple(i for i, n in enumerate(t) if x.shape[i] != sizes[n]) for x, t in zip(parts, terms, strict=True)]
    parts = [np.squeeze(x, gone) if gone else x for x, gone in zip(parts, stretched, strict=True)]
    terms = [tuple(n for i, n in enumerate(t) if i not in gone) for t, gone in zip(terms, stretched, strict=True)]
    wanted = parts[0].dtype
    for step in _path(parts, terms, result, optimize):
        joined = [(parts[i], terms[i]) for i in step]
        parts = [x for i, x in enumerate(parts) if i not in step]
        terms = [t for i, t in enumerate(terms) if i not in step]
        x, xt = joined.pop(0)
        while joined:
            y, yt = joined.pop(0)
            others = {n for t in (*terms, result, *(t for _, t in joined)) for n in t}
            x, xt = _pair(x, xt, y, yt, others)
        parts.append(x)
        terms.append(xt)
    made, labels = _alone(parts[0], terms[0], set(result))
    made = np.transpose(made, [labels.index(n) for n in result]) if labels != result else made
    return made if made.dtype == wanted else np.astype(made, wanted)


def _path(parts: Sequence[Any], terms: Sequence[Labels], result: Labels, optimize: Any) -> list[Sequence[int]]:
    """Which parts to join, step by step; what is joined goes to the end of the list."""
    if len(parts) < 3:
        return [range(len(parts))]
    if isinstance(optimize, (list, tuple)) and optimize and optimize[0] == "einsum_path":
        return list(optimize[1:])
    strategy = "greedy" if isinstance(optimize, bool) else optimize  # by default too: never all at once
    described: list[Any] = []
    for x, t in zip(parts, terms, strict=True):
        described += [np.broadcast_to(np.empty(()), x.shape), list(t)]
    return list(np.einsum_path(*described, list(result), optimize=strategy)[0][1:])


def _broken(problem: str, expected: object, got: object) -> ShapeError:
    return ShapeError(f"einsum: {problem}", expected=expected, got=got, where=user_source(),
                      fix="np.einsum('ij,jk->ik', a, b) has one letter per axis, one term per array")  # fmt: skip


def _parse(operands: Sequence[Any]) -> tuple[list[Labels], Labels, list[Any]]:
    """Every axis of every operand, and of the result, as a number: those of the ellipsis first, then the letters."""
    if isinstance(operands[0], str):
        inputs, arrow, output = operands[0].replace(" ", "").partition("->")
        arrays = [as_symbol(a) for a in operands[1:]]
        written: list[list[Any]] = [_letters(t) for t in inputs.split(",")]
        goal = _letters(output) if arrow else None
    else:
        pairs = len(operands) // 2
        arrays = [as_symbol(a) for a in operands[: 2 * pairs : 2]]
        written = [list(t) for t in operands[1 : 2 * pairs : 2]]
        goal = list(operands[-1]) if len(operands) % 2 else None
    if len(written) != len(arrays):
        raise _broken("as many terms as arrays are needed", f"{len(arrays)} terms", f"{len(written)} terms")
    extra = 0
    for t, x in zip(written, arrays, strict=True):
        spare = x.ndim - len([n for n in t if n is not Ellipsis])
        if spare < 0 or (spare and Ellipsis not in t) or t.count(Ellipsis) > 1:
            raise _broken("a term does not fit its array", f"{x.ndim} axes, as shape {x.shape} has", _written(t))
        extra = max(extra, spare)
    names = {n for t in written for n in t if n is not Ellipsis}
    numbers = {n: extra + i for i, n in enumerate(sorted(names))}
    terms = []
    for t, x in zip(written, arrays, strict=True):
        spare = x.ndim - len([n for n in t if n is not Ellipsis])
        terms.append(_numbered(t, numbers, range(extra - spare, extra)))
    if goal is None:  # the letters that occur once, in order, behind the ellipsis
        flat = [n for t in written for n in t]
        goal = [*([Ellipsis] if Ellipsis in flat else []), *sorted(n for n in names if flat.count(n) == 1)]
    unknown = [n for n in goal if n is not Ellipsis and n not in numbers]
    if unknown or any(goal.count(n) > 1 for n in goal):
        raise _broken("the result names an axis twice, or one that no array has", "letters of the terms, each once",
                      _written(goal))  # fmt: skip
    if extra and Ellipsis not in goal:
        raise _broken("the axes of the ellipsis are missing in the result", "'...' behind ->", _written(goal))
    return terms, _numbered(goal, numbers, range(extra)), arrays


def _letters(term: str) -> list[Any]:
    head, dots, tail = term.partition("...")
    if any(not (n.isascii() and n.isalpha()) for n in head + tail):
        raise _broken("a term has letters and at most one ellipsis", "such as 'ij' or '...k'", repr(term))
    return [*head, Ellipsis, *tail] if dots else list(term)


def _written(term: Sequence[Any]) -> str:
    return "".join("..." if n is Ellipsis else str(n) for n in term)


def _numbered(term: Sequence[Any], numbers: dict[Any, int], dots: range) -> Labels:
    return tuple(n for label in term for n in (dots if label is Ellipsis else (numbers[label],)))


def _sizes(parts: Sequence[Any], terms: Sequence[Labels]) -> dict[int, int]:
    """The size of each axis.  Sizes that are neither equal nor 1 are refused."""
    sizes: dict[int, int] = {}
    for x, t in zip(parts, terms, strict=True):
        for n, size in zip(t, x.shape, strict=True):
            known = sizes.setdefault(n, size)
            if known == 1:
                sizes[n] = size
            elif size not in (1, known):
                raise _broken("axes of one letter differ in size", "equal sizes, or 1", f"{known} and {size}")
    return sizes


def _alone(x: Any, labels: Labels, needed: set[int]) -> tuple[Any, Labels]:
    """One part with its repeated axes brought to their diagonals, and summed over what nothing else needs."""
    for n in sorted(set(labels)):
        while labels.count(n) > 1:
            i = labels.index(n)
            j = labels.index(n, i + 1)
            rest = [k for k in range(len(labels)) if k not in (i, j)]
            x = matrix_diagonal(np.transpose(x, [*rest, i, j]))
            labels = (*(labels[k] for k in rest), n)
    unused = tuple(i for i, n in enumerate(labels) if n not in needed)
    if not unused:
        return x, labels
    made = np.any(x, axis=unused) if x.dtype.kind == "b" else np.sum(x, axis=unused)
    return made, tuple(n for n in labels if n in needed)


def _pair(x: Any, xt: Labels, y: Any, yt: Labels, others: set[int]) -> tuple[Any, Labels]:
    """Two parts joined: one matrix product, or one multiplication where nothing is summed over."""
    x, xt = _alone(x, xt, others | set(yt))
    y, yt = _alone(y, yt, others | set(xt))
    batch = [n for n in xt if n in yt and n in others]
    summed = [n for n in xt if n in yt and n not in others]
    left = [n for n in xt if n not in yt]
    right = [n for n in yt if n not in xt]
    sizes = dict(zip((*xt, *yt), (*x.shape, *y.shape), strict=True))
    x = record.transpose(x, [xt.index(n) for n in (*batch, *left, *summed)])
    y = record.transpose(y, [yt.index(n) for n in (*batch, *summed, *right)])
    labels = (*batch, *left, *right)
    shape = tuple(sizes[n] for n in labels)
    stack = [sizes[n] for n in batch]
    if not summed:
        before = (*stack, *(sizes[n] for n in left), *([1] * len(right)))
        behind = (*stack, *([1] * len(left)), *(sizes[n] for n in right))
        return record.reshape(x, before) * record.reshape(y, behind), labels
    rows, middle, columns = (math.prod(sizes[n] for n in group) for group in (left, summed, right))
    made = matrix_product(record.reshape(x, (*stack, rows, middle)), record.reshape(y, (*stack, middle, columns)))
    return record.reshape(made, shape), labels


@implements(np.einsum_path)
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> Any:
    terms, result, arrays = _parse(operands)
    shapes = [np.broadcast_to(np.empty((), x.dtype), x.shape) for x in arrays]
    if isinstance(operands[0], str):
        return np.einsum_path(operands[0], *shapes, optimize=optimize)
    return np.einsum_path(*[n for x, t in zip(shapes, terms, strict=True) for n in (x, list(t))], list(result),
                          optimize=optimize)  # fmt: skip
