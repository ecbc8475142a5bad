"""Kernels that move numbers: reading and writing at computed places, writing a part, joining arrays.

``random_bits`` makes its numbers from a key, and belongs here for its shape: computed places, nothing to fuse with.
So do running sums (see ``scans``).
``gather`` loads its indices and reads where they point; ``scatter`` and ``scatter_add`` copy their array and then write
or add, in order, in one thread; ``unindex``, ``update`` and ``concatenate`` copy into strided parts.  An index out of
range raises in the evaluator; here it is clamped into the array, so that no memory is ever read or written outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import BOOL, INT, DType, Shape
from chainrule.compile.fuse import Fused, literal, strides_over
from chainrule.compile.loops import Compute, Kernel, Load, Loop, Place, Store, merge
from chainrule.compile.scans import running_sum
from chainrule.compile.views import View, c_strides, elements, indexed
from chainrule.ops import philox

UINT, WIDE = np.dtype(np.uint32), np.dtype(np.uint64)


def lower_move(fused: Fused, number: int) -> Kernel:
    """The loops of a cluster that moves numbers."""
    return _Move(fused, number).run()


class _Move:
    def __init__(self, fused: Fused, number: int) -> None:
        self.fused = fused
        self.graph = fused.graph
        (self.index,) = fused.clusters[number].lines
        self.line = self.graph.lines[self.index]
        self.attrs: dict[str, Any] = dict(self.line.attrs)
        self.number = number
        self.count = 0
        self.scratch: dict[str, tuple[int, DType]] = {}

    def fresh(self, prefix: str = "t") -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def shape(self, index: int) -> Shape:
        shape: Shape = self.graph.lines[index].spec.shape
        return shape

    def view(self, index: int) -> View:
        view = self.fused.views[index]
        assert view is not None
        return view

    def run(self) -> Kernel:
        body: list[Any] = getattr(self, self.line.op.name)()
        work = elements(self.line.spec.shape)
        return Kernel(f"kernel{self.number}", body, work, self.scratch, (self.line.source,))

    # Pieces

    def nest(self, dims: Sequence[tuple[int, int]], split: bool) -> tuple[list[Any], list[Any], list[tuple[str, int]]]:
        top: list[Any] = []
        inner, terms = top, []
        for position, (extent, axis) in enumerate(dims):
            loop = Loop(self.fresh("i"), extent, [], split and position == 0)
            inner.append(loop)
            inner = loop.body
            terms.append((loop.var, axis))
        return top, inner, terms

    def place(self, offset: int, strides: Sequence[int], terms: Sequence[tuple[str, int]]) -> Place:
        return Place(offset, tuple((var, strides[axis]) for var, axis in terms if strides[axis]))

    def read(self, index: int, shape: Shape, terms: Sequence[tuple[str, int]], body: list[Any]) -> Any:
        """The value of line ``index``, as it broadcasts over ``shape``, at the current place."""
        constant = literal(self.graph, index)
        if constant is not None:
            return (constant,)
        view = self.view(index)
        name = self.fresh()
        strides = strides_over(view, self.shape(index), shape)
        body.append(Load(name, view.root, self.place(view.offset, strides, terms), self.graph.lines[index].spec.dtype))
        return name

    def copy(self, source: int | None, shape: Shape, offset: int, strides: Sequence[int]) -> list[Any]:
        """Loops that put ``source`` (zeros where it is None), broadcast over ``shape``, at these strides."""
        reads = [] if source is None or literal(self.graph, source) is not None else [
            strides_over(self.view(source), self.shape(source), shape)
        ]  # fmt: skip
        dims = merge(shape, range(len(shape)), [tuple(strides), *reads])
        top, inner, terms = self.nest(dims, False)
        dtype = self.line.spec.dtype
        value: Any = (np.zeros((), dtype)[()],) if source is None else self.read(source, shape, terms, inner)
        inner.append(Store(self.index, self.place(offset, strides, terms), value, dtype))
        return top if 0 not in shape else []

    def whole(self, source: int | None) -> list[Any]:
        shape = self.line.spec.shape
        return self.copy(source, shape, 0, c_strides(shape))

    def part(self, key: tuple[Any, ...]) -> View:
        shape = self.line.spec.shape
        return indexed(View(self.index, 0, c_strides(shape)), shape, key)

    # Ops

    def unindex(self) -> list[Any]:
        target = self.part(self.attrs["key"])
        (x,) = self.line.args
        return self.whole(None) + self.copy(x, self.shape(x), target.offset, target.strides)

    def update(self) -> list[Any]:
        from chainrule.ops.index import indexed_shape

        x, part = self.line.args
        target = self.part(self.attrs["key"])
        shape = indexed_shape(self.line.spec.shape, self.attrs["key"])
        return self.whole(x) + self.copy(part, shape, target.offset, target.strides)

    def concatenate(self) -> list[Any]:
        axis = self.attrs["axis"]
        strides = c_strides(self.line.spec.shape)
        body: list[Any] = []
        start = 0
        for a in self.line.args:
            body += self.copy(a, self.shape(a), start * strides[axis], strides)
            start += self.shape(a)[axis]
        return body

    def _targets(
        self, indices: Sequence[int], limits: Shape, shape: Shape, terms: Sequence[tuple[str, int]], body: list[Any]
    ) -> list[str]:
        """The indices at the current place, counted from the front and clamped into ``limits``."""
        names = []
        for index, limit in zip(indices, limits, strict=False):
            value = self.read(index, shape, terms, body)
            negative, shifted, wrapped, low, high = (self.fresh() for _ in range(5))
            body.append(Compute(negative, "less", (value, (0,)), INT, BOOL))
            body.append(Compute(shifted, "add", (value, (limit,)), INT, INT))
            body.append(Compute(wrapped, "where", (negative, shifted, value), INT, INT))
            body.append(Compute(low, "maximum", (wrapped, (0,)), INT, INT))
            body.append(Compute(high, "minimum", (low, (limit - 1,)), INT, INT))
            names.append(high)
        return names

    def gather(self) -> list[Any]:
        x, *indices = self.line.args
        shape = self.line.spec.shape
        places = shape[: len(shape) - (len(self.shape(x)) - len(indices))]
        view = self.view(x)
        top, middle, terms = self.nest([(n, i) for i, n in enumerate(places)], True)
        names = self._targets(indices, self.shape(x), places, terms, middle)
        rest = [(n, len(places) + i) for i, n in enumerate(shape[len(places) :])]
        loops, inner, more = self.nest(rest, False)
        steps = [(name, view.strides[i]) for i, name in enumerate(names) if view.strides[i]]
        steps += [(var, view.strides[len(indices) + axis - len(places)]) for var, axis in more]
        value = self.fresh()
        dtype = self.line.spec.dtype
        inner.append(Load(value, view.root, Place(view.offset, tuple(s for s in steps if s[1])), dtype))
        inner.append(Store(self.index, self.place(0, c_strides(shape), [*terms, *more]), value, dtype))
        if loops is not inner:
            middle.extend(loops)
        else:
            middle.extend(inner)
        return top if 0 not in shape else []

    def scatter_add(self) -> list[Any]:
        return self._scatter(True)

    def scatter(self) -> list[Any]:
        return self._scatter(False)

    def _scatter(self, adds: bool) -> list[Any]:
        x, part, *indices = self.line.args
        shape = self.shape(part)
        out_strides = c_strides(self.line.spec.shape)
        places = shape[: len(shape) - (len(self.line.spec.shape) - len(indices))]
        top, middle, terms = self.nest([(n, i) for i, n in enumerate(places)], False)
        names = self._targets(indices, self.line.spec.shape, places, terms, middle)
        rest = [(n, len(places) + i) for i, n in enumerate(shape[len(places) :])]
        loops, inner, more = self.nest(rest, False)
        steps = [(name, out_strides[i]) for i, name in enumerate(names)]
        steps += [(var, out_strides[len(indices) + axis - len(places)]) for var, axis in more]
        target = Place(0, tuple(steps))
        dtype = self.line.spec.dtype
        value = self.read(part, shape, [*terms, *more], inner)
        if adds:
            before, after = self.fresh(), self.fresh()
            inner.append(Load(before, self.index, target, dtype))
            inner.append(Compute(after, "add", (before, value), dtype, dtype))
            value = after
        inner.append(Store(self.index, target, value, dtype))
        if loops is not inner:
            middle.extend(loops)
        else:
            middle.extend(inner)
        writes = top if 0 not in shape else []
        for statement in writes:
            _carried(statement)
        return self.whole(x) + writes

    def cumsum(self) -> list[Any]:
        (x,) = self.line.args
        spec = self.line.spec
        body, self.scratch = running_sum(self.index, self.view(x), spec.shape, spec.dtype, **self.attrs)
        return body

    def random_bits(self) -> list[Any]:
        """Philox4x32-10 (Salmon et al., 2011): ten rounds per block of four words; see ``chainrule.ops.philox``."""
        size = elements(self.line.spec.shape)
        view = self.view(self.line.args[0])
        keys = [self.fresh(), self.fresh()]
        top: list[Any] = []
        wide = []
        for word, name in enumerate(keys):
            top.append(Load(name, view.root, Place(view.offset + word * view.strides[0], ()), UINT))
            wide.append(self.compute("cast", (name,), top, UINT, WIDE))
        if size >= 4:
            loop = Loop(self.fresh("i"), size // 4, [], True)
            self._block(loop.var, wide, 4, Place(0, ((loop.var, 4),)), loop.body)
            top.append(loop)
        if size % 4:
            rest = Loop(self.fresh("i"), 1, [])  # one block, for what is left of the last four words
            number = self.compute("add", (rest.var, (size // 4,)), rest.body, WIDE, WIDE)
            self._block(number, wide, size % 4, Place(size - size % 4, ()), rest.body)
            top.append(rest)
        return top

    def compute(self, op: str, args: tuple[Any, ...], body: list[Any], dtype: Any, result: Any) -> str:
        name = self.fresh()
        body.append(Compute(name, op, args, dtype, result))
        return name

    def _block(self, number: str, keys: Sequence[str], count: int, place: Place, body: list[Any]) -> None:
        def make(op: str, a: Any, b: Any) -> str:
            return self.compute(op, (a, b), body, WIDE, WIDE)

        low = make("bitwise_and", number, (philox.MASK,))
        high = make("right_shift", number, (32,))
        counter: list[Any] = [low, high, (0,), (self.attrs["stream"],)]
        k0, k1 = keys
        for _ in range(philox.ROUNDS):
            p0, p1 = make("mul", counter[0], (philox.M0,)), make("mul", counter[2], (philox.M1,))
            counter = [
                make("bitwise_xor", make("bitwise_xor", make("right_shift", p1, (32,)), counter[1]), k0),
                make("bitwise_and", p1, (philox.MASK,)),
                make("bitwise_xor", make("bitwise_xor", make("right_shift", p0, (32,)), counter[3]), k1),
                make("bitwise_and", p0, (philox.MASK,)),
            ]
            k0 = make("bitwise_and", make("add", k0, (philox.W0,)), (philox.MASK,))
            k1 = make("bitwise_and", make("add", k1, (philox.W1,)), (philox.MASK,))
        for word in range(count):
            value = self.compute("cast", (counter[word],), body, WIDE, UINT)
            body.append(Store(self.index, place._replace(offset=place.offset + word), value, UINT))


def _carried(statement: Any) -> None:
    """Mark loops that may write one place twice: their order counts, so they are not vectorised."""
    if isinstance(statement, Loop):
        statement.carried = True
        for s in statement.body:
            _carried(s)
