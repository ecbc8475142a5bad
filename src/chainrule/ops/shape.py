"""Ops that move numbers without changing them.  All linear: each row is an op and its transpose.

Padding, flipping, rolling, tiling, stacking and splitting are compositions of these, made in the tracer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import Shape, Spec, broadcast
from chainrule.base.errors import ShapeError
from chainrule.ops import record
from chainrule.ops.expr import Expr
from chainrule.ops.record import Linear, batch_all, full, move_axis, unbroadcast

Args = Sequence[Expr]

# ------------------------------------------------------------------------------------------------------------ reshape


def _reshape_rule(x: Spec, shape: Shape) -> Spec:
    if math.prod(shape) != math.prod(x.shape):
        raise ShapeError(
            "the sizes before and after reshaping differ",
            expected=f"a shape of {math.prod(x.shape)} elements, as {x.shape} has",
            got=f"{shape}, which has {math.prod(shape)}",
            fix="pass sizes whose product is the number of elements; one of them may be -1",
        )
    return Spec(tuple(shape), x.dtype)


reshape: Linear = Linear(
    "reshape",
    lambda x, shape: np.reshape(x, shape),
    transpose=lambda ct, position, args, shape: record.reshape(ct, args[0].shape),
    shape_rule=_reshape_rule,
    batching=lambda args, batched, size, attrs: reshape(args[0], shape=(size, *attrs["shape"])),
    latex=r"\operatorname{reshape}(#0)",
    sentence="lays the same numbers out in another shape",
)

# ---------------------------------------------------------------------------------------------------------- transpose


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argsort(axes))


transpose: Linear = Linear(
    "transpose",
    lambda x, axes: np.transpose(x, axes),
    transpose=lambda ct, position, args, axes: transpose(ct, axes=_inverse(axes)),
    shape_rule=lambda x, axes: Spec(tuple(x.shape[a] for a in axes), x.dtype),
    batching=lambda args, batched, size, attrs: transpose(args[0], axes=(0, *(a + 1 for a in attrs["axes"]))),
    latex=r"#0^{\mathsf T}",
    sentence="reorders the axes",
)

# ------------------------------------------------------------------------------------------------------- broadcast_to


def _broadcast_rule(x: Spec, shape: Shape) -> Spec:
    if broadcast(x.shape, shape) != tuple(shape):
        raise ShapeError(
            "can't be broadcast",
            expected=f"a shape that stretches to {shape}",
            got=x.shape,
            fix="reshape it first, or give it axes of size 1 (x[:, None])",
        )
    return Spec(tuple(shape), x.dtype)


def _broadcast_batch(args: Args, batched: Sequence[bool], size: int, attrs: Any) -> Expr:
    (x,) = args
    shape = attrs["shape"]
    x = record.reshape(x, (size, *([1] * (len(shape) - x.ndim + 1)), *x.shape[1:]))
    return record.broadcast_to(x, (size, *shape))


broadcast_to: Linear = Linear(
    "broadcast_to",
    lambda x, shape: np.broadcast_to(x, shape),
    transpose=lambda ct, position, args, shape: unbroadcast(ct, args[0].shape),
    shape_rule=_broadcast_rule,
    batching=_broadcast_batch,
    latex=r"#0",
    sentence="repeats along the axes of size 1",
)

# -------------------------------------------------------------------------------------------------------- concatenate


def _concatenate_rule(*specs: Spec, axis: int) -> Spec:
    first = specs[0].shape
    for s in specs[1:]:
        if len(s.shape) != len(first) or any(
            a != b for i, (a, b) in enumerate(zip(first, s.shape, strict=True)) if i != axis
        ):
            raise ShapeError(
                "arrays to concatenate differ in another axis than the one they are joined along",
                expected=f"shapes that agree with {first} except in axis {axis}",
                got=s.shape,
                fix="make the other axes equal (np.reshape, np.broadcast_to), or use np.stack for a new axis",
            )
    size = sum(s.shape[axis] for s in specs)
    return Spec((*first[:axis], size, *first[axis + 1 :]), specs[0].dtype)


def _concatenate_transpose(ct: Expr, position: int, args: Args, axis: int) -> Expr:
    start = sum(a.shape[axis] for a in args[:position])
    key = tuple(
        (start, start + args[position].shape[axis], 1) if i == axis else (0, n, 1) for i, n in enumerate(ct.shape)
    )
    result: Expr = record.op("index")(ct, key=key)
    return result


concatenate: Linear = Linear(
    "concatenate",
    lambda *arrays, axis: np.concatenate(arrays, axis=axis),
    transpose=_concatenate_transpose,
    shape_rule=_concatenate_rule,
    batching=lambda args, batched, size, attrs: concatenate(*batch_all(args, batched, size), axis=attrs["axis"] + 1),
    latex=r"[#0; \dots]",
    sentence="joins arrays along an axis",
)

# ----------------------------------------------------------------------------------------------------------- matrices


def identity_like(x: Expr) -> Expr:
    """The identity matrix of the size of the last axis of ``x``, as a line."""
    result: Expr = x.builder.constant(np.eye(x.shape[-1], dtype=x.dtype))
    return result


def swap(x: Expr) -> Expr:
    """``x`` with its last two axes exchanged."""
    return move_axis(x, x.ndim - 1, x.ndim - 2)


__all__ = ["broadcast_to", "concatenate", "full", "identity_like", "reshape", "swap", "transpose"]
