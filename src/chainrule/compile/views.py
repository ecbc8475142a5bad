"""Where each line's numbers lie: lines that only rearrange become strided views of the line that computed.

A transposition permutes strides, broadcasting puts 0, basic indexing adds an offset, reshaping merges and splits axes
where the strides allow it.  What can't be a view (a reshape of a transposed array) is a copy, which is a computation;
so is ``stop_gradient``, which means nothing once all derivatives are taken and stands for a copy from here on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from chainrule.base.arrays import Shape, Spec
from chainrule.graph.graph import Graph, Line

VIEW_OPS = ("reshape", "transpose", "broadcast_to", "index", "stop_gradient")
REGIONS = ("scan", "while_loop", "cond", "call", "custom_vjp")  # lines that run graphs of their own


class View(NamedTuple):
    """A line's numbers in terms of the line ``root`` that computed them, stored in C order.

    Element (i₀, i₁, …) is number ``offset + Σ strides[d]·i_d`` of the root.  Strides count elements.
    """

    root: int
    offset: int
    strides: tuple[int, ...]


def c_strides(shape: Shape) -> tuple[int, ...]:
    """Strides, in elements, of an array in C order."""
    strides = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def reshaped(shape: Shape, strides: tuple[int, ...], goal: Shape) -> tuple[int, ...] | None:
    """Strides of the same numbers under the shape ``goal``, or None where that needs a copy (NumPy's rule)."""
    if 0 in goal:
        return c_strides(goal)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    out: list[int] = []
    position = 0
    new = list(goal)
    at = 0
    while at < len(new):
        if new[at] == 1:
            out.append(0)
            at += 1
            continue
        if position >= len(old):
            return None
        # The smallest runs of old and new axes with the same number of elements.
        first_new, size_new = at, new[at]
        first_old, size_old = position, old[position][0]
        while size_new != size_old:
            if size_new < size_old:
                at += 1
                if at >= len(new):
                    return None
                size_new *= new[at]
            else:
                position += 1
                if position >= len(old):
                    return None
                size_old *= old[position][0]
        for k in range(first_old, position):
            if old[k][1] != old[k + 1][0] * old[k + 1][1]:
                return None
        step = old[position][1]
        run = []
        for k in range(at, first_new - 1, -1):
            run.append(step if new[k] != 1 else 0)
            step *= new[k]
        out.extend(reversed(run))
        at += 1
        position += 1
    return tuple(out)


def view_of(line: Line, source: View, shape: Shape) -> View | None:
    """The view that a rearranging line makes of its argument's; None where it has to be a copy."""
    attrs: dict[str, Any] = dict(line.attrs)
    name = line.op.name
    if name == "transpose":
        return source._replace(strides=tuple(source.strides[a] for a in attrs["axes"]))
    if name == "broadcast_to":
        lead = len(attrs["shape"]) - len(shape)
        strides = tuple(0 if n == 1 and attrs["shape"][lead + i] != 1 else source.strides[i]
                        for i, n in enumerate(shape))  # fmt: skip
        return source._replace(strides=(0,) * lead + strides)
    if name == "reshape":
        strides_new = reshaped(shape, source.strides, tuple(attrs["shape"]))
        return None if strides_new is None else source._replace(strides=strides_new)
    return indexed(source, shape, attrs["key"])


def indexed(source: View, shape: Shape, key: tuple[Any, ...]) -> View:
    """The view that a basic key makes."""
    offset = source.offset
    strides: list[int] = []
    axis = 0
    for part in key:
        if part is None:
            strides.append(0)
            continue
        step = source.strides[axis]
        if isinstance(part, tuple):
            start, _, stride = part
            offset += start * step if shape[axis] else 0
            strides.append(stride * step)
        else:
            offset += int(part) * step
        axis += 1
    strides.extend(source.strides[axis:])
    return View(source.root, offset, tuple(strides))


def views(graph: Graph) -> list[View | None]:
    """The view of every line (None for lines with several outputs); copies are views of themselves."""
    found: list[View | None] = []
    for index in range(len(graph.lines)):
        found.append(view_at(graph.lines, graph.inputs, index, found))
    return found


def view_at(lines: Sequence[Line], inputs: int, index: int, found: Sequence[View | None]) -> View | None:
    """The view of line ``index``, given those of the lines before."""
    line = lines[index]
    if not isinstance(line.spec, Spec):
        return None
    made: View | None = None
    if index >= inputs and line.op.name in VIEW_OPS and line.op.name != "stop_gradient":
        source = found[line.args[0]]
        if source is not None:
            made = view_of(line, source, lines[line.args[0]].spec.shape)
    return made or View(index, 0, c_strides(line.spec.shape))


def is_dense(view: View, shape: Shape) -> bool:
    """Whether the numbers lie one behind the other in C order."""
    return is_contiguous(view._replace(offset=0), shape)


def is_contiguous(view: View, shape: Shape) -> bool:
    """Whether the view is the whole root in C order (axes of size 1 may have any stride)."""
    return view.offset == 0 and all(
        n == 1 or s == c for n, s, c in zip(shape, view.strides, c_strides(shape), strict=True)
    )


def elements(shape: Shape) -> int:
    """Number of elements."""
    return math.prod(shape)
