"""What ``in_axes`` and ``out_axes`` of ``vmap`` mean: an axis, or None, for each leaf of a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.base.arrays import Spec
from chainrule.base.errors import ShapeError
from chainrule.graph.source import user_source
from chainrule.trace.tracer import leaf_spec


def check_out_axis(axis: int | None, batched: bool, spec: Spec) -> None:
    """Raise ShapeError unless ``out_axes`` may say ``axis`` of a result of ``spec`` (of one example)."""
    if axis is None and batched:
        raise ShapeError(
            "vmap: out_axes is None for a result that depends on the batch", expected="an axis for it", got="None",
            where=user_source(), fix="give the axis, or reduce the result over the batch outside of vmap",
        )  # fmt: skip
    rank = len(spec.shape) + 1
    if axis is not None and not -rank <= axis < rank:
        raise ShapeError("vmap: a result has no such axis", expected=f"-{rank} <= out_axes < {rank}", got=axis,
                         where=user_source(), fix="choose an axis of the batched result")  # fmt: skip


def leaf_axes(spec: Any, tree: Any, what: str) -> list[Any]:
    """One axis per leaf of ``tree``, from an int, None, or a tree prefix of them.  Raises ShapeError."""
    try:
        axes = trees.broadcast_prefix(spec, tree)
    except ValueError:
        axes = [""]
    if any(a is not None and (isinstance(a, bool) or not isinstance(a, (int, np.integer))) for a in axes):
        raise ShapeError(
            f"vmap: {what} does not fit", expected="an int, None, or a tree prefix of them", got=repr(spec),
            where=user_source(), fix=f"give {what} the structure of what it describes",
        )  # fmt: skip
    return [a if a is None else int(a) for a in axes]


def batch_size(leaves: Sequence[Any], axes: Sequence[Any]) -> int:
    """The one size that the leaves have along their axes.  Raises ShapeError."""
    sizes = {}
    for leaf, axis in zip(leaves, axes, strict=True):
        if axis is None:
            continue
        shape = leaf_spec(leaf).shape
        if not -len(shape) <= axis < len(shape):
            raise ShapeError(
                "vmap: an argument has no such axis", expected=f"in_axes within shape {shape}", got=axis,
                where=user_source(), fix="correct in_axes, or pass None for what has no batch",
            )  # fmt: skip
        sizes[int(shape[axis])] = shape
    if not sizes:
        raise ShapeError("vmap: no argument has a batch axis", expected="at least one axis that is not None",
                         got="none", where=user_source(), fix="give an axis in in_axes")  # fmt: skip
    if len(sizes) > 1:
        raise ShapeError(
            "vmap: the batch sizes differ", expected="one size",
            got=", ".join(f"{n} (shape {s})" for n, s in sizes.items()), where=user_source(),
            fix="pass arguments of one batch size, or None in in_axes for what has no batch",
        )  # fmt: skip
    return int(next(iter(sizes)))
