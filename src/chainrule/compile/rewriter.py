"""The graph that a simplification writes: lines go through a table of rewrites before they are appended.

A rewrite looks at one line whose arguments are lines of the new graph already, and returns the line that has the same
value, or None where it has nothing to say.  What it writes on the way goes through the table too, so small rewrites
add up.  The builder underneath hash-conses: equal lines are one, whichever way they came about.

Does not do: looking at who uses a line; that would need the lines behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import DType, Shape, Spec
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Line, Source
from chainrule.ops.expr import CATALOGUE
from chainrule.ops.record import Op

Rewrite = Callable[["Rewriter", Line], int | None]
Table = Mapping[str, Sequence[Rewrite]]


class Rewriter:
    """Lines under construction; ``table`` holds, per op name, the rewrites that are tried, in order.

    ``source`` and ``of`` are what the next lines get.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.builder = Builder()
        self.source: Source | None = None
        self.of: tuple[int, int] | None = None
        self.known: dict[Any, int] = {}

    # Looking

    def spec(self, index: int) -> Spec:
        """The type of a line with one value."""
        spec: Spec = self.builder.lines[index].spec
        return spec

    def shape(self, index: int) -> Shape:
        """The shape of a line with one value."""
        return self.spec(index).shape

    def dtype(self, index: int) -> DType:
        """The dtype of a line with one value."""
        return self.spec(index).dtype

    def made_by(self, index: int, *names: str) -> Line | None:
        """The line, if its op is one of ``names``."""
        line = self.builder.lines[index]
        return line if line.op.name in names else None

    def value(self, index: int) -> Any:
        """The one value that all elements of a line have, if it is a constant broadcast; else None."""
        line = self.builder.lines[index]
        while line.op.name == "broadcast_to":
            line = self.builder.lines[line.args[0]]
        return line.attrs[0][1].array[()] if line.op.name == "constant" and not line.spec.shape else None

    # Writing

    def line(self, name: str, *args: int, **attrs: Any) -> int:
        """The line of op ``name``, as simple as the table makes it."""
        return self.write(CATALOGUE[name], args, tuple(sorted(attrs.items())))

    def write(self, op: Op, args: tuple[int, ...], attrs: tuple[tuple[str, Any], ...], spec: Any = None) -> int:
        """The same for an op with packed attributes; ``spec`` is the line's type, where it is known."""
        key = (op, args, attrs)
        found = self.known.get(key)
        if found is not None:
            return found
        if spec is None:
            spec = op.infer([self.builder.lines[a].spec for a in args], dict(attrs))
        line = Line(op, args, attrs, spec, self.source, self.of)
        for rewrite in self.table.get(op.name, ()):
            found = rewrite(self, line)
            if found is not None:
                break
        else:
            found = self.builder.append(*line)
        self.known[key] = found
        return found

    def constant(self, value: Any, dtype: DType) -> int:
        """A scalar constant."""
        return self.builder.constant_line(np.asarray(value, dtype))

    def full(self, value: Any, spec: Spec) -> int:
        """An array of one value."""
        return self.broadcast(self.constant(value, spec.dtype), spec.shape)

    def broadcast(self, index: int, shape: Shape) -> int:
        """A line broadcast to ``shape``; the line itself where it has that shape."""
        return index if self.shape(index) == shape else self.line("broadcast_to", index, shape=shape)

    def reshape(self, index: int, shape: Shape) -> int:
        """A line in another shape of as many elements."""
        return index if self.shape(index) == shape else self.line("reshape", index, shape=shape)

    def transpose(self, index: int, axes: Sequence[int]) -> int:
        """A line with its axes in this order."""
        return self.line("transpose", index, axes=tuple(axes))

    def cast(self, index: int, dtype: DType) -> int:
        """A line in another dtype."""
        return index if self.dtype(index) == dtype else self.line("cast", index, dtype=dtype)

