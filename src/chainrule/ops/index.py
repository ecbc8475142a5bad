"""Indexing: reading, writing and adding at places given by slices (``index`` …) or by integer arrays (``gather`` …).

A basic key is a tuple of ints, (start, stop, step) triples and None (a new axis), already made explicit for every axis;
stop None means past the beginning, for negative steps.  ``gather`` and ``scatter`` index the *leading* axes of an array
by integer arrays of one common shape; the tracer brings NumPy's other forms into this one by transposing.

Out-of-range indices raise IndexError, as in NumPy.  Writing twice to one place keeps the last, as in NumPy, and only
the write that was kept gets the cotangent.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.base.arrays import Shape, Spec, broadcast
from chainrule.base.errors import ShapeError
from chainrule.ops.expr import Expr
from chainrule.ops.pointwise import equal, where
from chainrule.ops.record import (
    Linear,
    batch_all,
    broadcast_to,
    full,
    move_axis,
    reshape,
    unbroadcast,
    zeros_like,
)

Key = tuple[Any, ...]


@lru_cache(maxsize=4096)
def as_numpy(key: Key) -> tuple[Any, ...]:
    """The key as NumPy takes it: triples become slices."""
    return tuple(slice(*k) if isinstance(k, tuple) else k for k in key)


@lru_cache(maxsize=4096)
def indexed_shape(shape: Shape, key: Key) -> Shape:
    """The shape of an array of ``shape`` read at ``key``."""
    found: Shape = np.broadcast_to(np.empty(()), shape)[as_numpy(key)].shape
    return found


def _index_rule(x: Spec, key: Key) -> Spec:
    try:
        return Spec(indexed_shape(x.shape, key), x.dtype)
    except IndexError as error:
        expected = f"an index into shape {x.shape}"
        raise ShapeError(
            f"the index does not fit: {error}",
            expected=expected,
            got=key,
            fix="stay within the shape, or reshape first",
        ) from None


def _shift(key: Key, size: int) -> Key:
    return ((0, size, 1), *key)


index: Linear = Linear(
    "index",
    lambda x, key: np.asarray(x)[as_numpy(key)],
    transpose=lambda ct, position, args, key: unindex(ct, shape=args[0].shape, key=key),
    shape_rule=_index_rule,
    batching=lambda args, batched, size, attrs: index(args[0], key=_shift(attrs["key"], size)),
    latex=r"#0_{#key}",
    sentence="takes a part",
)


def _unindex(x: Any, shape: Shape, key: Key) -> Any:
    out = np.zeros(shape, np.asarray(x).dtype)
    out[as_numpy(key)] = x
    return out


unindex: Linear = Linear(
    "unindex",
    _unindex,
    transpose=lambda ct, position, args, shape, key: index(ct, key=key),
    shape_rule=lambda x, shape, key: Spec(shape, x.dtype),
    batching=lambda args, batched, size, attrs: unindex(
        args[0], shape=(size, *attrs["shape"]), key=_shift(attrs["key"], size)
    ),
    latex=r"\operatorname{place}(#0, #key)",
    sentence="puts a part into zeros",
)


def _update(x: Any, part: Any, key: Key) -> Any:
    out = np.array(x)
    out[as_numpy(key)] = part
    return out


def _update_transpose(ct: Expr, position: int, args: Sequence[Expr], key: Key) -> Expr:
    if position == 1:
        return unbroadcast(index(ct, key=key), args[1].shape)
    zeros = full(ct.builder, args[1].shape, 0, ct.dtype)
    result: Expr = update(ct, zeros, key=key)
    return result


def _update_rule(x: Spec, part: Spec, key: Key) -> Spec:
    target = _index_rule(x, key).shape
    if broadcast(target, part.shape) != target:
        raise ShapeError(
            "the value does not fit the place it is written to",
            expected=target,
            got=part.shape,
            fix="reshape the value, or correct the index",
        )
    return x


def _update_batch(args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Any) -> Expr:
    x, part = args
    (x,) = batch_all([x], batched[:1], size)
    if batched[1]:  # ones behind the batch axis, so that the rest still lines up
        rank = len(indexed_shape(x.shape[1:], attrs["key"]))
        part = reshape(part, (size, *([1] * (rank - part.ndim + 1)), *part.shape[1:]))
    result: Expr = update(x, part, key=_shift(attrs["key"], size))
    return result


update: Linear = Linear(
    "update",
    _update,
    transpose=_update_transpose,
    shape_rule=_update_rule,
    batching=_update_batch,
    latex=r"#0[#key \gets #1]",
    sentence="writes a part",
)

# ---------------------------------------------------------------------------------------------- integer-array indexing


def _gather_rule(x: Spec, *indices: Spec) -> Spec:
    return Spec((*broadcast(*[i.shape for i in indices]), *x.shape[len(indices) :]), x.dtype)


def _rows(size: int, like: Expr) -> Expr:
    rows = np.arange(size).reshape(size, *([1] * (like.ndim - 1)))
    return like.builder.constant(rows)  # type: ignore[no-any-return]


def _split_indices(args: Sequence[Expr], batched: Sequence[bool], first: int, size: int) -> list[Expr]:
    """The indices, all with the batch axis, behind the row numbers that select one's own batch member."""
    indices = batch_all(args[first:], batched[first:], size)
    return [broadcast_to(_rows(size, indices[0]), indices[0].shape), *indices]


def _gather_batch(args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Any) -> Expr:
    x, *indices = args
    if not any(batched[1:]):  # the batch axis stays behind the indexed ones
        out = gather(move_axis(x, 0, len(indices)), *indices)
        return move_axis(out, indices[0].ndim, 0)
    if not batched[0]:
        result: Expr = gather(x, *batch_all(indices, batched[1:], size))
        return result
    return gather(x, *_split_indices(args, batched, 1, size))  # type: ignore[no-any-return]


def _gather_transpose(ct: Expr, position: int, args: Sequence[Expr]) -> Expr:
    x, *indices = args
    result: Expr = scatter_add(zeros_like(x), ct, *indices)
    return result


gather: Linear = Linear(
    "gather",
    lambda x, *indices: np.asarray(x)[indices],
    transpose=_gather_transpose,
    shape_rule=_gather_rule,
    batching=_gather_batch,
    last=1,
    latex=r"#0_{#1}",
    sentence="takes the elements that the indices name",
)


def _scatter_rule(x: Spec, part: Spec, *indices: Spec) -> Spec:
    target = _gather_rule(x, *indices).shape
    if part.shape != target:
        raise ShapeError(
            "the values do not fit the places they go to",
            expected=target,
            got=part.shape,
            fix="reshape the values, or correct the indices",
        )
    return x


def _scatter_batching(op: Any) -> Any:
    def batching(args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Any) -> Expr:
        x, part = batch_all(args[:2], batched[:2], size)
        result: Expr = op()(x, part, *_split_indices(args, batched, 2, size))
        return result

    return batching


def _scatter_add(x: Any, part: Any, *indices: Any) -> Any:
    out = np.array(x)
    np.add.at(out, indices, part)
    return out


scatter_add: Linear = Linear(
    "scatter_add",
    _scatter_add,
    transpose=lambda ct, position, args: ct if position == 0 else gather(ct, *args[2:]),
    shape_rule=_scatter_rule,
    batching=_scatter_batching(lambda: scatter_add),
    last=2,
    latex=r"#0[#2 \mathrel{+}= #1]",
    sentence="adds at the places that the indices name",
)


def _scatter(x: Any, part: Any, *indices: Any) -> Any:
    out = np.array(x)
    # NumPy walks the indices in memory order: which of two writes to one place is the last must not depend on that.
    out[tuple([np.asarray(i, order="C") for i in indices])] = np.asarray(part, order="C")
    return out


def _scatter_transpose(ct: Expr, position: int, args: Sequence[Expr]) -> Expr:
    x, part, *indices = args
    if position == 0:
        return scatter(ct, zeros_like(part), *indices)  # type: ignore[no-any-return]
    places = indices[0].shape
    numbers = ct.builder.constant(np.arange(int(np.prod(places)), dtype=np.int64).reshape(places))
    board = scatter(full(ct.builder, x.shape[: len(indices)], -1, numbers.dtype), numbers, *indices)
    kept = equal(gather(board, *indices), numbers)
    kept = reshape(kept, (*places, *([1] * (part.ndim - len(places)))))
    return where(kept, gather(ct, *indices), 0.0)  # type: ignore[no-any-return]


scatter: Linear = Linear(
    "scatter",
    _scatter,
    transpose=_scatter_transpose,
    shape_rule=_scatter_rule,
    batching=_scatter_batching(lambda: scatter),
    last=2,
    latex=r"#0[#2 \gets #1]",
    sentence="writes at the places that the indices name",
)

__all__ = ["gather", "index", "indexed_shape", "scatter", "scatter_add", "unindex", "update"]
