"""Reductions, cumulative sums, and where the largest is.

Means, variances, products, sorting, log-sum-exp and softmax are compositions made in the tracer and in ``nn``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import BOOL, INT, Spec, reduced_shape
from chainrule.base.errors import ShapeError
from chainrule.ops import record
from chainrule.ops.expr import Expr
from chainrule.ops.pointwise import cast_like, div, equal, mul
from chainrule.ops.record import INTEGER_VALUED, Custom, Linear, reshape, sum_over

Axes = tuple[int, ...]


def _shifted(attrs: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a reduction behind a new leading axis."""
    if "axis" in attrs:
        return {**attrs, "axis": attrs["axis"] + 1}
    return {**attrs, "axes": tuple(a + 1 for a in attrs["axes"])}


def _behind(name: str) -> Any:
    """The batching rule of the reduction ``name``: the same one, behind the batch axis."""
    return lambda args, batched, size, attrs: record.op(name)(*args, **_shifted(attrs))


def keep_axes(x: Expr, shape: tuple[int, ...], axes: Axes) -> Expr:
    """A reduced array with its reduced axes back, of size 1."""
    return reshape(x, reduced_shape(shape, axes, True))


# ---------------------------------------------------------------------------------------------------------------- sum


def _sum_rule(x: Spec, axes: Axes, keepdims: bool) -> Spec:
    dtype = np.add.reduce(np.empty(0, x.dtype)).dtype  # bool and small integers widen, as in NumPy
    return Spec(reduced_shape(x.shape, axes, keepdims), dtype)


def _sum_transpose(ct: Expr, position: int, args: Sequence[Expr], axes: Axes, keepdims: bool) -> Expr:
    shape = args[0].shape
    return record.broadcast_to(ct if keepdims else keep_axes(ct, shape, axes), shape)


total = Linear(
    "sum",
    lambda x, axes, keepdims: np.add.reduce(x, axis=axes, keepdims=keepdims),
    transpose=_sum_transpose,
    shape_rule=_sum_rule,
    batching=_behind("sum"),
    latex=r"\sum #0",
    sentence="adds up",
)

# -------------------------------------------------------------------------------------------------- largest, smallest


def _extreme_rule(x: Spec, axes: Axes, keepdims: bool) -> Spec:
    if any(x.shape[a] == 0 for a in axes):
        raise ShapeError(
            "the largest or smallest of no elements",
            expected="axes of size 1 or more",
            got=x.shape,
            fix="leave empty arrays out, or pass initial=…",
        )
    return Spec(reduced_shape(x.shape, axes, keepdims), x.dtype)


def _shares(out: Expr, x: Expr, axes: Axes) -> Expr:
    """Which elements are the extreme one, each with 1/(number of ties)."""
    winners = cast_like(equal(x, keep_axes(out, x.shape, axes)), x)
    return div(winners, sum_over(winners, axes, keepdims=True))  # type: ignore[no-any-return]


def _extreme_vjp(
    ct: Expr, out: Expr, args: Sequence[Expr], wanted: Sequence[bool], axes: Axes, keepdims: bool
) -> list[Expr]:
    (x,) = args
    return [record.chain(keep_axes(ct, x.shape, axes), _shares(out, x, axes))]


def _extreme_jvp(tangents: Sequence[Any], out: Expr, args: Sequence[Expr], axes: Axes, keepdims: bool) -> Expr:
    (x,) = args
    return sum_over(mul(tangents[0], _shares(out, x, axes)), axes, keepdims)


def _extreme(name: str, ufunc: Any, latex: str, sentence: str) -> Custom:
    return Custom(
        name,
        lambda x, axes, keepdims: ufunc.reduce(x, axis=axes, keepdims=keepdims),
        shape_rule=_extreme_rule,
        vjp=_extreme_vjp,
        jvp=_extreme_jvp,
        batching=_behind(name),
        latex=latex,
        sentence=sentence,
    )


largest = _extreme("max", np.maximum, r"\max #0", "takes the largest; ties share the gradient equally")
smallest = _extreme("min", np.minimum, r"\min #0", "takes the smallest; ties share the gradient equally")

# --------------------------------------------------------------------------------------------------------- cumulative


def _cumsum(x: Any, axis: int, reverse: bool) -> Any:
    if not reverse:
        return np.cumsum(x, axis=axis)
    return np.flip(np.cumsum(np.flip(x, axis), axis=axis), axis)


cumsum: Linear = Linear(
    "cumsum",
    _cumsum,
    transpose=lambda ct, position, args, axis, reverse: cumsum(ct, axis=axis, reverse=not reverse),
    shape_rule=lambda x, axis, reverse: Spec(x.shape, np.add.reduce(np.empty(0, x.dtype)).dtype),
    batching=_behind("cumsum"),
    latex=r"\operatorname{cumsum} #0",
    sentence="adds up from the start to each place",
)

# ------------------------------------------------------------------------------------------- no derivative: positions


def _position(name: str, run: Any, shape_rule: Any, latex: str, sentence: str) -> Custom:
    return Custom(
        name,
        run,
        shape_rule=shape_rule,
        vjp=INTEGER_VALUED,
        jvp=INTEGER_VALUED,
        batching=_behind(name),
        latex=latex,
        sentence=sentence,
    )


def _arg_rule(x: Spec, axis: int) -> Spec:
    if x.shape[axis] == 0:
        raise ShapeError(
            "the position of the largest or smallest of no elements",
            expected="size 1 or more",
            got=0,
            fix="leave empty arrays out",
        )
    return Spec(reduced_shape(x.shape, (axis,), False), INT)


argmax = _position("argmax", lambda x, axis: np.argmax(x, axis), _arg_rule, r"\arg\max #0", "finds the largest")
argmin = _position("argmin", lambda x, axis: np.argmin(x, axis), _arg_rule, r"\arg\min #0", "finds the smallest")
argsort = _position(
    "argsort",
    lambda x, axis: np.argsort(x, axis, kind="stable"),
    lambda x, axis: Spec(x.shape, INT),
    r"\operatorname{argsort} #0",
    "finds the order from small to large",
)
any_ = _position(
    "any",
    lambda x, axes, keepdims: np.logical_or.reduce(x, axis=axes, keepdims=keepdims),
    lambda x, axes, keepdims: Spec(reduced_shape(x.shape, axes, keepdims), BOOL),
    r"\exists #0",
    "tells whether any holds",
)
all_ = _position(
    "all",
    lambda x, axes, keepdims: np.logical_and.reduce(x, axis=axes, keepdims=keepdims),
    lambda x, axes, keepdims: Spec(reduced_shape(x.shape, axes, keepdims), BOOL),
    r"\forall #0",
    "tells whether all hold",
)
