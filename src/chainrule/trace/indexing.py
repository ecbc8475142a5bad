"""NumPy's indexing on Symbols: every form of key is brought to a basic key, or to gathering along leading axes.

A key that mixes slices and integer arrays is applied in two steps, as NumPy defines it: first the basic part, then the
arrays; the axes the arrays make stand where the first array stood if the arrays are adjacent, and in front otherwise.
A boolean mask is the positions where it holds, so it needs a value; writing one number by a mask does not.

Reading by slices gives a view, as in NumPy; so does reading by an integer Symbol.  A result without axes is a scalar,
which is never a view (NumPy's ``x[0, ...]``, a view without axes, is a scalar here).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.base.arrays import broadcast
from chainrule.base.errors import IndexingError, ShapeError, TraceError
from chainrule.graph.source import user_source
from chainrule.ops import index as ops
from chainrule.ops import pointwise
from chainrule.ops.expr import Expr
from chainrule.trace.symbol import Symbol, as_symbol


class Parsed(NamedTuple):
    """A basic key, then integer arrays for some axes of what the basic key leaves.

    ``arrays[i]`` indexes axis ``axes[i]``; the axes they make go to ``position``.
    """

    basic: tuple[Any, ...]
    arrays: tuple[Any, ...]
    axes: tuple[int, ...]
    position: int


def _is_array(part: Any) -> bool:
    return isinstance(part, (np.ndarray, Expr))


def _mask_positions(mask: Any) -> tuple[Any, ...]:
    value = mask.value if isinstance(mask, Symbol) else np.asarray(mask)
    return tuple(np.nonzero(value))


def parse(key: Any, shape: tuple[int, ...]) -> Parsed:
    """Bring a key for an array of ``shape`` into the form of :class:`Parsed`.  Raises IndexingError."""
    parts = list(key) if isinstance(key, tuple) else [key]
    parts = [_part(q) for q in parts]
    consumed = sum(_consumes(q) for q in parts)
    if consumed > len(shape):
        raise IndexingError(
            "too many indices",
            expected=f"at most {len(shape)} for shape {shape}",
            got=consumed,
            where=user_source(),
            fix="leave indices out, or give the array more axes",
        )
    dots = [i for i, q in enumerate(parts) if q is Ellipsis]
    if len(dots) > 1:
        raise IndexingError(
            "an index can only have one ellipsis",
            expected="one … at most",
            got=key,
            where=user_source(),
            fix="write : for the others",
        )
    at = dots[0] if dots else len(parts)
    parts[at : at + 1] = [slice(None)] * (len(shape) - consumed)

    any_array = any(_is_array(q) for q in parts)
    basic: list[Any] = []
    arrays: list[Any] = []
    axes: list[int] = []
    axis = kept = 0
    groups: list[int] = []
    for place, part in enumerate(parts):
        if part is None:
            basic.append(None)
            kept += 1
        elif isinstance(part, slice):
            basic.append(_triple(part, shape[axis]))
            axis += 1
            kept += 1
        elif _is_array(part) and part.dtype.kind == "b" and part.ndim == 0:  # an axis of size 1, taken or not
            basic.append(None)
            arrays.append(np.zeros(int(bool(part)), np.int64))
            axes.append(kept)
            kept += 1
            groups.append(place)
        elif isinstance(part, int) and not any_array:
            basic.append(_checked(part, shape[axis], axis))
            axis += 1
        else:
            found = _index_arrays(part, shape, axis)
            for one in found:
                basic.append((0, shape[axis], 1))
                arrays.append(one)
                axes.append(kept)
                axis += 1
                kept += 1
            groups.append(place)
    adjacent = not groups or groups[-1] - groups[0] == len(groups) - 1
    return Parsed(tuple(basic), tuple(arrays), tuple(axes), axes[0] if axes and adjacent else 0)


def _part(part: Any) -> Any:
    """One part of a key as int, slice, None, Ellipsis, an array or a Symbol; a bool becomes an array without axes."""
    if isinstance(part, (list, tuple)):
        symbols = any(isinstance(q, Expr) for q in part)
        return np.stack([as_symbol(q) for q in part]) if symbols else np.asarray(part)
    if isinstance(part, (bool, np.bool_)):
        return np.asarray(part)
    if isinstance(part, (int, np.integer)):
        return int(part)
    if isinstance(part, slice) or part is None or part is Ellipsis or isinstance(part, (np.ndarray, Expr)):
        if isinstance(part, np.ndarray) and part.ndim == 0 and part.dtype.kind in "iu":
            return int(part)
        return part
    raise IndexingError(
        "not an index",
        expected="ints, slices, None, …, integer arrays or boolean masks",
        got=repr(part),
        where=user_source(),
        fix="use those; a list of numbers is an integer array",
    )


def _consumes(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    if isinstance(part, (np.ndarray, Expr)) and part.dtype.kind == "b":
        return int(part.ndim)
    return 1


def _checked(i: int, size: int, axis: int) -> int:
    if not -size <= i < size:
        raise IndexingError(
            "index out of range",
            expected=f"-{size} <= index < {size} in axis {axis}",
            got=i,
            where=user_source(),
            fix="stay within the axis; negative indices count from its end",
        )
    return i % size


def _triple(part: slice, size: int) -> tuple[int, int | None, int]:
    for bound in (part.start, part.stop, part.step):
        if isinstance(bound, Symbol) and bound.dtype.kind in "iu" and not bound.has_value:
            raise TraceError(
                "a slice with a bound that has no value: the size of the result would not be known",
                expected="plain integers as the bounds of a slice", got=f"a Symbol {bound.spec}", where=user_source(),
                fix="x[i + np.arange(n)] takes n elements from a traced start i",
            )  # fmt: skip
    start, stop, step = part.indices(size)
    if not len(range(start, stop, step)):
        return 0, 0, 1
    return start, (None if stop < 0 else stop), step


def _index_arrays(part: Any, shape: tuple[int, ...], axis: int) -> tuple[Any, ...]:
    if isinstance(part, int):
        return (np.asarray(_checked(part, shape[axis], axis)),)
    if part.dtype.kind == "b":
        expected = shape[axis : axis + part.ndim]
        if part.shape != expected:
            raise IndexingError(
                "a boolean mask of another shape than what it selects from",
                expected=expected,
                got=part.shape,
                where=user_source(),
                fix="make the mask from the array it selects from (x[x > 0])",
            )
        return _mask_positions(part)
    if part.dtype.kind not in "iu" and part.size:
        raise IndexingError(
            "an array used as an index must hold integers or bools",
            expected="an integer or bool dtype",
            got=part.dtype,
            where=user_source(),
            fix="make it integer: .astype(int)",
        )
    if isinstance(part, Expr):
        size = shape[axis]
        return (pointwise.where(pointwise.less(part, 0), part + size, part),)
    whole = np.asarray(part, np.int64) if part.size else np.zeros(part.shape, np.int64)
    if whole.size and not (-shape[axis] <= whole.min() and whole.max() < shape[axis]):
        raise IndexingError(
            "index out of range",
            expected=f"-{shape[axis]} <= index < {shape[axis]} in axis {axis}",
            got=f"indices from {whole.min()} to {whole.max()}",
            where=user_source(),
            fix="stay within the axis; negative indices count from its end",
        )
    return (np.where(whole < 0, whole + shape[axis], whole),)


def _in_front(ndim: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    return (*axes, *(i for i in range(ndim) if i not in axes))


def read(x: Any, key: Any) -> Any:
    """``x[key]``: a view of ``x`` for a basic key, a new array otherwise."""
    parsed = parse(key, x.shape)
    part = ops.index(x, key=parsed.basic)
    if not parsed.arrays:
        basic = parsed.basic
        if not part.ndim or _has_array(key):
            return part
        return part._as_view(
            x, lambda base: ops.index(base, key=basic), lambda base, new: ops.update(base, new, key=basic)
        )
    if _is_whole(parsed.basic, x.shape):
        part = x
    front = np.transpose(part, _in_front(part.ndim, parsed.axes))
    arrays = _together(parsed.arrays)
    out = ops.gather(front, *arrays)
    made = arrays[0].ndim
    if parsed.position:
        order = list(range(made, made + parsed.position))
        out = np.transpose(out, [*order, *range(made), *range(made + parsed.position, out.ndim)]).copy()
    if made == 0 and out.ndim and not _has_array(key):  # integers alone, Symbols among them: a view, as of a NumPy int
        return out._as_view(
            x, lambda base: read(_plain(base), key), lambda base, new: _written(_plain(base), parsed, new)
        )
    return out


def _has_array(key: Any) -> bool:
    """Whether a plain ndarray or a list indexes, after which NumPy copies."""
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(q, (np.ndarray, list, tuple, bool, np.bool_)) for q in parts)


def _plain(x: Any) -> Any:
    return Symbol(x.builder, x.index)


def _is_whole(basic: tuple[Any, ...], shape: tuple[int, ...]) -> bool:
    return basic == tuple((0, n, 1) for n in shape)


def _together(arrays: tuple[Any, ...]) -> list[Any]:
    symbols = [as_symbol(a) for a in arrays]
    shape = np.broadcast_shapes(*[a.shape for a in symbols])
    return [np.broadcast_to(a, shape) for a in symbols]


def write(x: Any, key: Any, value: Any) -> None:
    """``x[key] = value``, which rebinds ``x``."""
    value = _fitting(x, value)
    if _is_array(key) and key.dtype.kind == "b" and key.shape == x.shape[: key.ndim] and value.ndim == 0:
        x._rebind(pointwise.where(np.reshape(as_symbol(key), key.shape + (1,) * (x.ndim - key.ndim)), value, x))
        return
    parsed = parse(key, x.shape)
    if not parsed.arrays:
        shape = ops.indexed_shape(x.shape, parsed.basic)
        while value.ndim > len(shape) and value.shape[0] == 1:  # NumPy drops leading ones when it assigns
            value = value[0]
        x._rebind(ops.update(x, value, key=parsed.basic))
        return
    x._rebind(_written(x, parsed, value))


def add_at(x: Any, key: Any, value: Any) -> None:
    """``np.add.at(x, key, value)``: repeated places add up."""
    value = _fitting(x, value)
    parsed = parse(key, x.shape)
    if not parsed.arrays:
        write(x, key, read(x, key) + value)
        return
    x._rebind(_written(x, parsed, value, ops.scatter_add))


def _fitting(x: Any, value: Any) -> Any:
    value = as_symbol(value)
    return value if value.dtype == x.dtype else pointwise.cast(value, dtype=x.dtype)


def _written(x: Any, parsed: Parsed, value: Any, op: Any = ops.scatter) -> Any:
    """``x`` with ``value`` at the places of ``parsed``."""
    value = as_symbol(value)
    part = x if _is_whole(parsed.basic, x.shape) else ops.index(x, key=parsed.basic)
    order = _in_front(part.ndim, parsed.axes)
    front = np.transpose(part, order)
    arrays = _together(parsed.arrays)
    made = arrays[0].ndim
    places = arrays[0].shape
    rest = front.shape[len(arrays) :]
    # The value has the axes of x[key]; bring the ones the arrays made to the front.
    target = (*rest[: parsed.position], *places, *rest[parsed.position :])
    while value.ndim > len(target) and value.shape[0] == 1:
        value = value[0]
    if np.broadcast_shapes(*_fits(value.shape, target)) != target:
        raise ShapeError(
            "the value does not fit the places it is written to",
            expected=target,
            got=value.shape,
            where=user_source(),
            fix="reshape the value, or correct the index",
        )
    value = np.broadcast_to(value, target)
    middle = range(parsed.position, parsed.position + made)
    value = np.transpose(value, [*middle, *(i for i in range(value.ndim) if i not in middle)])
    new = np.transpose(op(front, value, *arrays), np.argsort(order))
    return new if part is x else ops.update(x, new, key=parsed.basic)


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> Any:
    broadcast(shape, target)  # raises the error in words
    return shape, target
