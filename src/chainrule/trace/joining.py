"""NumPy's functions that join, split, repeat and pad arrays: slices where they do, gathering along an axis elsewhere.

A rearrangement whose places do not depend on values (``np.delete``, ``np.pad(mode="reflect")``, …) asks NumPy itself to
rearrange ``arange(n)`` and takes the elements named by the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from chainrule.base.arrays import normalize_axis
from chainrule.base.errors import ShapeError, choose
from chainrule.graph.source import user_source
from chainrule.ops.expr import Expr
from chainrule.trace.symbol import as_symbol
from chainrule.trace.table import implements, refuse

# ------------------------------------------------------------------------------------------------------------ joining


@implements(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: Any = None) -> Any:
    return np.concatenate([np.atleast_2d(as_symbol(a)) for a in tup], axis=0, dtype=dtype)


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: Any = None) -> Any:
    parts = [np.atleast_1d(as_symbol(a)) for a in tup]
    return np.concatenate(parts, axis=0 if parts and parts[0].ndim == 1 else 1, dtype=dtype)


@implements(np.dstack)
def dstack(tup: Any) -> Any:
    return np.concatenate([np.atleast_3d(as_symbol(a)) for a in tup], axis=2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Any:
    parts = [as_symbol(a) for a in tup]
    return np.concatenate([np.reshape(p, (-1, 1)) if p.ndim < 2 else p for p in parts], axis=1)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    x, more = as_symbol(arr), as_symbol(values)
    if axis is None:
        return np.concatenate([np.ravel(x), np.ravel(more)])
    return np.concatenate([x, more], axis=axis)


@implements(np.block)
def block(arrays: Any) -> Any:
    depth = _depth(arrays)
    rank = max((leaf.ndim for leaf in _leaves(arrays)), default=0)
    return _blocked(arrays, depth, max(depth, rank)).copy()


def _depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(a) for a in arrays}
    if len(depths) != 1:
        raise ShapeError(
            "np.block: lists are nested to different depths",
            expected="one depth everywhere",
            got=f"depths {sorted(depths)}" if depths else "an empty list",
            where=user_source(),
            fix="nest all lists to the same depth",
        )
    return 1 + depths.pop()


def _leaves(arrays: Any) -> list[Any]:
    if isinstance(arrays, list):
        return [leaf for a in arrays for leaf in _leaves(a)]
    return [as_symbol(arrays)]


def _blocked(arrays: Any, depth: int, rank: int) -> Any:
    if depth == 0:
        x = as_symbol(arrays)
        return np.reshape(x, (1,) * (rank - x.ndim) + x.shape)
    return np.concatenate([_blocked(a, depth - 1, rank) for a in arrays], axis=rank - depth)


# ---------------------------------------------------------------------------------------------------------- splitting


def cut(x: Any, axis: int, *bounds: Any) -> Any:
    """``x`` from one bound to the other along ``axis``: a view."""
    return x[(slice(None),) * axis + (slice(*bounds),)]


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    x = as_symbol(ary)
    at = normalize_axis(axis, x.ndim)
    n = x.shape[at]
    if np.ndim(indices_or_sections):
        stops = [int(i) for i in indices_or_sections]
        return [cut(x, at, a, b) for a, b in pairwise([0, *stops, None])]
    sections = int(indices_or_sections)
    if sections <= 0:
        raise ShapeError(
            "number of sections must be larger than 0",
            expected="1 or more",
            got=sections,
            where=user_source(),
            fix="pass 1 section or more",
        )
    each, extra = divmod(n, sections)
    ends = np.cumsum([0] + extra * [each + 1] + (sections - extra) * [each])
    return [cut(x, at, int(a), int(b)) for a, b in pairwise(ends)]


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    x = as_symbol(ary)
    if not np.ndim(indices_or_sections):
        n = x.shape[normalize_axis(axis, x.ndim)]
        if n % int(indices_or_sections):
            raise ShapeError(
                "np.split: the parts would differ in size", expected=f"a number of sections that divides {n}",
                got=indices_or_sections, where=user_source(), fix="use np.array_split, or give the indices to cut at",
            )  # fmt: skip
    return array_split(x, indices_or_sections, axis)


def _split_along(name: str, axis: int, fewest: int) -> Any:
    def implementation(ary: Any, indices_or_sections: Any) -> Any:
        x = as_symbol(ary)
        if x.ndim < fewest:
            raise ShapeError(
                f"{name}: too few axes",
                expected=f"{fewest} or more",
                got=x.shape,
                where=user_source(),
                fix="give it more axes with np.reshape or np.atleast_2d, or use np.split with an axis",
            )
        return split(x, indices_or_sections, 0 if x.ndim == 1 else axis)

    return implementation


implements(np.vsplit)(_split_along("np.vsplit", 0, 2))
implements(np.hsplit)(_split_along("np.hsplit", 1, 1))
implements(np.dsplit)(_split_along("np.dsplit", 2, 3))


@implements(np.unstack)
def unstack(x: Any, /, *, axis: int = 0) -> Any:
    return tuple(np.moveaxis(as_symbol(x), axis, 0))


# ------------------------------------------------------------------------------------------------- turning, repeating


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    x = as_symbol(m)
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, Sequence) else [axis]
    turned = {normalize_axis(i, x.ndim) for i in axes}
    return x[tuple(slice(None, None, -1) if i in turned else slice(None) for i in range(x.ndim))]


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    return flip(m, 1)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    return flip(m, 0)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    x = as_symbol(m)
    first, second = (normalize_axis(i, x.ndim) for i in axes)
    if first == second:
        raise ShapeError(
            "np.rot90 turns a plane",
            expected="two different axes",
            got=axes,
            where=user_source(),
            fix="pass two different axes",
        )
    turns = k % 4
    if turns == 0:
        return x[...]
    if turns == 2:
        return flip(flip(x, first), second)
    return np.swapaxes(flip(x, second), first, second) if turns == 1 else flip(np.swapaxes(x, first, second), second)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    x = as_symbol(a)
    if axis is None:
        return np.reshape(roll(np.ravel(x), shift, 0), x.shape)
    shifts, axes = np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(axis))
    made = x.copy()
    for by, i in zip(shifts, axes, strict=True):
        at = normalize_axis(int(i), x.ndim)
        n = x.shape[at]
        by = int(by) % n if n else 0
        if by:
            made = np.concatenate([cut(made, at, n - by, None), cut(made, at, None, n - by)], axis=at)
    return made


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    x = as_symbol(a)
    if axis is None:
        x, axis = np.ravel(x), 0
    at = normalize_axis(axis, x.ndim)
    times = np.atleast_1d(repeats)
    if times.size != 1:
        return np.take(x, np.repeat(np.arange(x.shape[at]), times), axis=at)
    wide = np.expand_dims(x, at + 1)
    wide = np.broadcast_to(wide, (*x.shape[: at + 1], int(times.flat[0]), *x.shape[at + 1 :]))
    return np.reshape(wide, (*x.shape[:at], x.shape[at] * int(times.flat[0]), *x.shape[at + 1 :])).copy()


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    x = as_symbol(A)
    times = [int(reps)] if np.ndim(reps) == 0 else [int(r) for r in reps]
    times = [1] * (x.ndim - len(times)) + times
    sizes = [1] * (len(times) - x.ndim) + list(x.shape)
    inner = [n for size in sizes for n in (1, size)]
    outer = [n for pair in zip(times, sizes, strict=True) for n in pair]
    wide = np.broadcast_to(np.reshape(x, inner), outer)
    return np.reshape(wide, [t * n for t, n in zip(times, sizes, strict=True)]).copy()


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    x = np.ravel(as_symbol(a))
    if x.size == 0:
        return np.zeros_like(x, shape=new_shape)
    return x[np.resize(np.arange(x.size), new_shape)]


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    x = as_symbol(arr)
    if axis is None:
        x, axis = np.ravel(x), 0
    at = normalize_axis(axis, x.ndim)
    n = x.shape[at]
    more = as_symbol(values)
    more = more if more.dtype == x.dtype else np.astype(more, x.dtype)
    places = np.arange(*obj.indices(n)) if isinstance(obj, slice) else np.asarray(obj)
    if places.size == 1 and places.dtype.kind != "b":
        more = np.reshape(more, (1,) * (x.ndim - more.ndim) + more.shape)
        if places.ndim == 0:
            more = np.moveaxis(more, 0, at)
        many = more.shape[at]
        at_index = int(places.flat[0])
        order = np.insert(np.arange(n), np.full(many, at_index), n + np.arange(many))
    else:
        many = int(places.sum()) if places.dtype.kind == "b" else places.size
        order = np.insert(np.arange(n), places, n + np.arange(many))
    more = np.broadcast_to(more, (*x.shape[:at], many, *x.shape[at + 1 :]))
    return np.take(np.concatenate([x, more], axis=at), order, axis=at)


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    x = as_symbol(arr)
    if axis is None:
        x, axis = np.ravel(x), 0
    at = normalize_axis(axis, x.ndim)
    return np.take(x, np.delete(np.arange(x.shape[at]), obj), axis=at)


@implements(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    x = as_symbol(filt)
    value = np.asarray(x.value)
    axes = range(x.ndim) if axis is None else [normalize_axis(i, x.ndim) for i in np.atleast_1d(axis)]
    full = np.argwhere(value)
    key = [slice(None)] * x.ndim
    for i in axes:
        low, high = (int(full[:, i].min()), int(full[:, i].max()) + 1) if len(full) else (0, 0)
        start = low if "f" in trim.lower() else 0
        key[i] = slice(start, high if "b" in trim.lower() else (x.shape[i] if len(full) else 0))
    return x[tuple(key)]


# ------------------------------------------------------------------------------------------------------------ padding

_PLACED = ("edge", "reflect", "symmetric", "wrap")
_STATISTICS: dict[str, Any] = {"maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median}
_MODES = ("constant", *_PLACED, "linear_ramp", *_STATISTICS, "empty")


def _pairs(value: Any, ndim: int) -> list[tuple[Any, Any]]:
    """``(before, after)`` for each axis, from the forms NumPy takes."""
    if isinstance(value, Expr):
        return [(value, value)] * ndim
    if isinstance(value, dict):
        lookup = {normalize_axis(int(k), ndim): v for k, v in value.items()}
        return [_pairs(lookup[i], 1)[0] if i in lookup else (0, 0) for i in range(ndim)]
    if isinstance(value, (list, tuple)) and any(isinstance(v, Expr) for v in value):
        return [(value[0], value[-1])] * ndim
    return [(a, b) for a, b in np.broadcast_to(np.asarray(value), (ndim, 2)).tolist()]


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    x = as_symbol(array)
    if callable(mode):
        raise refuse("np.pad", "mode", mode, f"use one of the modes by name: {', '.join(_MODES)}")
    if mode not in _MODES:
        raise choose("np.pad's mode", mode, _MODES, where=user_source())
    widths = [(int(a), int(b)) for a, b in _pairs(pad_width, x.ndim)]
    if any(w < 0 for pair in widths for w in pair):
        raise ShapeError(
            "np.pad can't take negative widths",
            expected="0 or more",
            got=pad_width,
            where=user_source(),
            fix="cut with a slice instead (x[1:-1])",
        )
    fills = _pairs(kwargs.get("constant_values" if mode == "constant" else "end_values", 0), x.ndim)
    lengths = _pairs(kwargs["stat_length"], x.ndim) if kwargs.get("stat_length") is not None else None
    made = x.copy()
    for axis, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        if mode in _PLACED:
            made = _placed(made, axis, before, after, mode, kwargs.get("reflect_type", "even"))
            continue
        sides = []
        for side, width in enumerate((before, after)):
            if mode == "linear_ramp":
                sides.append(_ramp(made, axis, width, fills[axis][side], side))
            elif mode in _STATISTICS:
                length = None if lengths is None else int(lengths[axis][side])
                sides.append(_level(made, axis, width, _STATISTICS[mode], length, side))
            else:
                sides.append(_filled(made, axis, width, fills[axis][side]))
        made = np.concatenate([sides[0], made, sides[1]], axis=axis)
    return made


def _placed(x: Any, axis: int, before: int, after: int, mode: str, reflect_type: str) -> Any:
    n = x.shape[axis]
    if n == 0:
        raise ShapeError(
            f"np.pad: there is nothing to repeat along axis {axis}", expected="size 1 or more", got=x.shape,
            where=user_source(), fix="use mode='constant'",
        )  # fmt: skip
    if mode in ("reflect", "symmetric") and reflect_type == "odd":
        return _odd(x, axis, before, after, mode)
    return np.take(x, np.pad(np.arange(n), (before, after), mode=mode), axis=axis)  # type: ignore[call-overload]


def _odd(x: Any, axis: int, before: int, after: int, mode: str) -> Any:
    n = x.shape[axis]
    most = n - 1 if mode == "reflect" else n
    if n == 1 and mode == "reflect":
        return np.take(x, np.zeros(before + 1 + after, np.int64), axis=axis)
    if before > most or after > most:
        raise refuse("np.pad", "reflect_type", "odd", f"pad at most {most} along axis {axis}, or in several steps")
    skip = 1 if mode == "reflect" else 0
    left = 2 * cut(x, axis, 0, 1) - flip(cut(x, axis, skip, skip + before), axis)
    right = 2 * cut(x, axis, n - 1, None) - flip(cut(x, axis, n - skip - after, n - skip), axis)
    return np.concatenate([left, x, right], axis=axis)


def _edge(x: Any, axis: int, side: int) -> Any:
    return cut(x, axis, 0, 1) if side == 0 else cut(x, axis, x.shape[axis] - 1, None)


def _filled(x: Any, axis: int, width: int, value: Any) -> Any:
    return np.full_like(x, value, shape=(*x.shape[:axis], width, *x.shape[axis + 1 :]))


def _ramp(x: Any, axis: int, width: int, end: Any, side: int) -> Any:
    """From ``end`` towards the edge, which is not reached."""
    steps = np.arange(width).reshape(-1, *([1] * (x.ndim - axis - 1)))
    slope = (_edge(x, axis, side) - end) / max(width, 1)
    ramp = slope * steps.astype(x.dtype if x.dtype.kind == "f" else float) + end
    ramp = flip(ramp, axis) if side else ramp
    return np.astype(ramp if x.dtype.kind in "fc" else np.floor(ramp), x.dtype)


def _level(x: Any, axis: int, width: int, statistic: Any, length: int | None, side: int) -> Any:
    n = x.shape[axis]
    taken = n if length is None else min(length, n)
    area = cut(x, axis, 0, taken) if side == 0 else cut(x, axis, n - taken, None)
    level = statistic(area, axis=axis, keepdims=True)
    level = np.astype(level if x.dtype.kind in "fc" else np.rint(level), x.dtype)
    return np.broadcast_to(level, (*x.shape[:axis], width, *x.shape[axis + 1 :]))


__all__ = ["cut", "flip", "pad"]
