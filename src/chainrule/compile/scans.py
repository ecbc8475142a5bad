"""Running sums: each element is the sum of all up to it, added in NumPy's order.

Where the axis is the last (of more than one element), one number is carried from step to step.  Along another axis,
each row is the row before plus what is read, and the loop over a row runs on whole vectors.  Walks backwards where the
op says ``reverse``.
Does not do: parallel scans along one axis (Blelloch, 1990), which would add in another order; running products and
extremes, which reach the compiler as other lines.
"""

from __future__ import annotations

import math
from typing import Any

from chainrule.base.arrays import DType, Shape
from chainrule.compile.loops import Compute, Load, Loop, Place, Store, merge
from chainrule.compile.views import View, c_strides

CARRIED = "carried"  # the scratch buffer that holds the sum so far
Dims = list[Any]  # merged axes: (extent, the axis whose stride counts), or (loop variable, axis)


def running_sum(
    line: int, source: View, shape: Shape, dtype: DType, axis: int, reverse: bool
) -> tuple[list[Any], dict[str, tuple[int, DType]]]:
    """The loops, and the scratch they need, that put running sums along ``axis`` of ``source`` into buffer ``line``."""
    if 0 in shape:
        return [], {}
    return _Walk(line, source, shape, dtype, axis, reverse).run()


class _Walk:
    """One kernel: the strides of what is read and written, counted in the direction of the walk."""

    def __init__(self, line: int, source: View, shape: Shape, dtype: DType, axis: int, reverse: bool) -> None:
        self.line, self.source, self.shape, self.dtype, self.axis = line, source, shape, dtype, axis
        self.read = _directed(source.offset, source.strides, shape, axis, reverse)
        self.written = _directed(0, c_strides(shape), shape, axis, reverse)

    def run(self) -> tuple[list[Any], dict[str, tuple[int, DType]]]:
        strides = [self.read[1], self.written[1]]
        top, body, terms = _nest(merge(self.shape, range(self.axis), strides), "i", True)
        if math.prod(self.shape[self.axis + 1 :]) == 1:
            body.extend(self._along_one(terms))
            return top, {CARRIED: (1, self.dtype)}
        rest = merge(self.shape, range(self.axis + 1, len(self.shape)), strides)
        body.extend(self._along_rows(rest, terms))
        return top, {}

    def _along_one(self, terms: Dims) -> list[Any]:
        here = Place(0, ())
        nothing = (self.dtype.type(-0.0 if self.dtype.kind == "f" else 0),)  # -0 + x is x, also where x is -0
        loop = Loop("k", self.shape[self.axis], [], False, True)
        every = [*terms, ("k", self.axis)]
        loop.body = [
            Load("x", self.source.root, self._place(self.read, every), self.dtype),
            Load("before", CARRIED, here, self.dtype),
            Compute("after", "add", ("before", "x"), self.dtype, self.dtype),
            Store(CARRIED, here, "after", self.dtype),
            Store(self.line, self._place(self.written, every), "after", self.dtype),
        ]
        return [Store(CARRIED, here, nothing, self.dtype), loop]

    def _along_rows(self, rest: Dims, terms: Dims) -> list[Any]:
        first, inner, inside = _nest(rest, "f", False)
        every = [*terms, *inside]
        inner.append(Load("first", self.source.root, self._place(self.read, every), self.dtype))
        inner.append(Store(self.line, self._place(self.written, every), "first", self.dtype))
        rows, inner, inside = _nest(rest, "j", False)
        every = [*terms, ("k", self.axis), *inside]
        inner += [
            Load("x", self.source.root, self._place(self.read, every, 1), self.dtype),
            Load("before", self.line, self._place(self.written, every), self.dtype),
            Compute("after", "add", ("before", "x"), self.dtype, self.dtype),
            Store(self.line, self._place(self.written, every, 1), "after", self.dtype),
        ]
        steps = self.shape[self.axis] - 1
        return [*first, Loop("k", steps, rows, False, True)] if steps else first

    def _place(self, directed: tuple[int, tuple[int, ...]], terms: Dims, ahead: int = 0) -> Place:
        """The current element, or the one ``ahead`` steps along the axis."""
        offset, strides = directed
        found = tuple((var, strides[axis]) for var, axis in terms if strides[axis])
        return Place(offset + ahead * strides[self.axis], found)


def _directed(
    offset: int, strides: tuple[int, ...], shape: Shape, axis: int, reverse: bool
) -> tuple[int, tuple[int, ...]]:
    """Offset and strides of a walk that starts at the end of ``axis`` where it goes backwards."""
    if not reverse:
        return offset, strides
    turned = tuple(-s if a == axis else s for a, s in enumerate(strides))
    return offset + strides[axis] * (shape[axis] - 1), turned


def _nest(dims: Dims, prefix: str, split: bool) -> tuple[list[Any], list[Any], Any]:
    """Nested loops: (outermost body, innermost body, (variable, axis) of each)."""
    top: list[Any] = []
    inner, terms = top, []
    for position, (extent, axis) in enumerate(dims):
        loop = Loop(f"{prefix}{position}", extent, [], split and position == 0)
        inner.append(loop)
        inner = loop.body
        terms.append((loop.var, axis))
    return top, inner, terms
