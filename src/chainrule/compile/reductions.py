"""Kernels that reduce: rows (over trailing axes; later lines may use the values) and columns (over leading axes).

A sum of floats is cut into blocks.  Within a block terms are added as it is quickest: a block of a row on the lanes of
several vectors, a block of rows one row after the other.  The totals of blocks are added with compensation: what an
addition rounds off is found without error (TwoSum: Møller, 1965; Knuth, TAOCP 2) and added up beside the total (the
cascaded summation of Ogita, Rump and Oishi, 2005).  So the error does not grow with the number of terms: it is that of
one block, and one rounding.  Cuts depend on sizes alone, never on the number of threads.

Where a total is infinite or NaN, so is what it rounds off, and the total stands for itself.
Does not do: products of matrices (see ``sums``), running sums (see ``scans``), one sum on several threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import BOOL, DType
from chainrule.compile.fuse import literal
from chainrule.compile.loops import Compute, Finish, Kernel, Load, Loop, Lowering, Place, Start, Store, Update, merge
from chainrule.compile.views import c_strides

CHEAP = frozenset({"add", "sub", "mul", "neg", "where", "cast", "maximum", "minimum", "equal", "less", "greater",
                       "less_equal", "greater_equal", "not_equal", "abs", "chain_mul", "div"})  # fmt: skip
_NEUTRAL = {"sum": 0, "max": -np.inf, "min": np.inf, "any": False, "all": True}
_UPDATES = {"sum": "add", "max": "maximum", "min": "minimum", "any": "logical_or", "all": "logical_and"}
COLUMN_BLOCK = 512  # narrower, and each row of a large matrix is another page; wider, and threads have too few
ROW_BLOCK = 1024, 64  # terms of one sum in a block of a row at most; cut evenly only into multiples of some vectors
SHORT_BLOCK = 128, 4  # the same where no vectors of partial sums are to be expected: a chain of as many additions
_VECTORS = 32  # numbers side by side from which on they are
AT_ONCE = 4  # rows that are added up before they go to the sums so far: these are read and written so much less
_NARROW = 256  # columns up to which that pays: the sums of few wait for what was just written
_LIGHT = 8  # lines that several rows at once are worth writing out for

Dims = Sequence[tuple[int, int]]  # merged axes: (extent, the axis whose stride counts)
Terms = Sequence[tuple[Any, ...]]  # (loop variable, axis), or with a third: how far along the axis one turn goes


def _neutral(op: str, dtype: DType) -> Any:
    if op in ("max", "min") and dtype.kind in "iu":
        info = np.iinfo(dtype)
        return info.min if op == "max" else info.max
    return _NEUTRAL[op]


def even(extent: int, most: int, unit: int) -> int:
    """The size of blocks, at most ``most``: one that cuts ``extent`` evenly, if it is more than half of that."""
    sizes = range(most // unit * unit, most // 2, -unit)
    return next((size for size in sizes if extent % size == 0), most)


def _terms(dims: Dims) -> int:
    """How many terms a sum over ``dims`` has."""
    return math.prod(extent for extent, _ in dims)


class _Reduction(Lowering):
    """What rows and columns have in common: a long sum is one of blocks."""

    def in_blocks(self, dims: Dims, limit: tuple[int, int], body: list[Any], terms: Terms,
                  write: Callable[[list[Any], Dims, Terms], None]) -> None:  # fmt: skip
        """Loops over ``dims`` cut into blocks of trailing axes; ``write(body, dims, terms)`` one block."""
        most, unit = limit
        cut, within = len(dims) - 1, 1
        while cut and within * dims[cut][0] <= most:
            within *= dims[cut][0]
            cut -= 1
        extent, axis = dims[cut]
        size = min(extent, max(most // within, 1))
        if size < extent:
            size = even(extent, size, unit if within == 1 else 1)
        outer, inner, more = self.nest(dims[:cut], self.fresh("b"), False)
        every = [*terms, *more]
        whole, rest = divmod(extent, size)
        block = Loop(self.fresh("b"), whole)
        write(block.body, [(size, axis), *dims[cut + 1 :]], [*every, (block.var, axis, size)])
        inner.append(block)
        if rest:
            self.shifts[axis] = whole * size
            write(inner, [(rest, axis), *dims[cut + 1 :]], every)
            del self.shifts[axis]
        body.extend(outer)

    def total(self, dtype: DType, count: int) -> tuple[str, str]:
        """Memory for ``count`` totals and what they rounded off."""
        names = self.fresh("s"), self.fresh("s")
        for name in names:
            self.scratch[name] = (count, dtype)
        return names

    def clear(self, name: str, value: Any, dtype: DType, width: int, body: list[Any]) -> None:
        """Put ``value`` everywhere in a scratch buffer."""
        here, inside = self.each(width, body)
        inside.append(Store(name, here, (value,), dtype))

    def each(self, width: int, body: list[Any]) -> tuple[Place, list[Any]]:
        """A loop over scratch buffers of ``width`` elements (no loop over one): the place in them, the loop's body."""
        if width == 1:
            return Place(0, ()), body
        loop = Loop(self.fresh("k"), width)
        body.append(loop)
        return Place(0, ((loop.var, 1),)), loop.body

    def accumulate(self, total: tuple[str, str], value: str, here: Place, dtype: DType, body: list[Any]) -> None:
        """Add ``value`` to a total, and what that rounds off to what was rounded off before (TwoSum)."""

        def compute(op: str, *args: str) -> str:
            name = self.fresh()
            body.append(Compute(name, op, args, dtype, dtype))
            return name

        before, lost = self.fresh(), self.fresh()
        body.append(Load(before, total[0], here, dtype))
        after = compute("add", before, value)
        added = compute("sub", after, before)
        kept = compute("sub", after, added)
        error = compute("add", compute("sub", before, kept), compute("sub", value, added))
        body.append(Store(total[0], here, after, dtype))
        body.append(Load(lost, total[1], here, dtype))
        body.append(Store(total[1], here, compute("add", lost, error), dtype))

    def settled(self, total: tuple[str, str], here: Place, dtype: DType, body: list[Any]) -> str:
        """The total with what was rounded off; alone where it is not finite."""
        plain, lost, both, finite, found = (self.fresh() for _ in range(5))
        body += [
            Load(plain, total[0], here, dtype), Load(lost, total[1], here, dtype),
            Compute(both, "add", (plain, lost), dtype, dtype), Compute(finite, "isfinite", (lost,), dtype, BOOL),
            Compute(found, "where", (finite, both, plain), dtype, dtype),
        ]  # fmt: skip
        return found

    def is_float_sum(self, index: int) -> bool:
        line = self.graph.lines[index]
        return line.op.name == "sum" and bool(line.spec.dtype.kind == "f")


class Rows(_Reduction):
    """Writes the kernel of a row cluster."""

    def __init__(self, fused: Any, number: int) -> None:
        super().__init__(fused, number)
        self.ready: dict[int, int] = {}  # per row line, the phase before which it is known

    def body(self) -> list[Any]:
        rank, count = len(self.domain), self.cluster.inner
        accesses = self.accesses()
        outer = merge(self.domain, range(rank - count), accesses)
        inner = merge(self.domain, range(rank - count, rank), accesses)
        top, body, terms = self.nest(outer, "i", True)
        self._phases()
        ready = self.ready
        phases = max(ready.values(), default=0)
        last = max([phases, *(self.phase[i] for i in self.cluster.full if i in self.fused.stored)])
        self._store_what_is_dear(last)
        row_strides = (*c_strides(self.cluster.outer_shape), *(0,) * count)
        row_place = self.place(0, row_strides, terms)
        row_known: dict[Any, Any] = {}
        for phase in range(last + 1):
            for index in self.cluster.lines:
                if index in self.cluster.rows and not self._is_reduction(index) and ready[index] == phase:
                    line = self.graph.lines[index]
                    args = tuple(self._row_value(a, index, body, row_known, terms) for a in line.args)
                    self.rows[index] = self.emit(index, args, body)
                    if index in self.fused.stored:
                        self.store(index, self.rows[index], row_place, body)
            self._inner_loop(phase, body, inner, terms, row_place)
        return top

    def _row_value(self, index: int, line: int, body: list[Any], known: dict[Any, Any], terms: Any) -> Any:
        constant = literal(self.graph, index)
        if constant is not None:
            return (constant,)
        view = self.view(index)
        if view.root in self.rows:
            return self.rows[view.root]
        return self.load(view.root, self.place(view.offset, self.row_strides(index, line), terms), body, known)

    def _inner_loop(self, phase: int, body: list[Any], dims: Dims, terms: Terms, row_place: Place) -> None:
        """What is reduced and what is stored in ``phase``, over the whole row."""
        reductions = [i for i in self.cluster.lines if i in self.cluster.rows and self._is_reduction(i)
                      and self._phase_of(self.graph.lines[i].args[0]) == phase]  # fmt: skip
        stores = [i for i in self.cluster.lines if i in self.cluster.full and i in self.fused.stored
                  and self.phase[i] == phase]  # fmt: skip
        if not reductions and not stores:
            return
        limit = ROW_BLOCK if dims and dims[-1][0] >= _VECTORS else SHORT_BLOCK
        long = _terms(dims) > limit[0]
        here = Place(0, ())
        totals = {}
        for i in reductions:
            if long and self.is_float_sum(i):
                dtype = self.graph.lines[i].spec.dtype
                totals[i] = self.total(dtype, 1)
                for name in totals[i]:
                    self.clear(name, 0, dtype, 1, body)
        whole = {i: self._start(i, body) for i in reductions if i not in totals}

        def block(body: list[Any], dims: Dims, terms: Terms) -> None:
            parts = {i: self._start(i, body) for i in totals}
            self._sweep(phase, {**whole, **parts}, stores, body, dims, terms)
            for i, name in parts.items():
                self.accumulate(totals[i], self._finish(i, name, body), here, self.graph.lines[i].spec.dtype, body)

        if totals:
            self.in_blocks(dims, limit, body, terms, block)
        else:
            block(body, dims, terms)
        for i in reductions:
            if i in whole:
                self.rows[i] = self._finish(i, whole[i], body)
            else:
                self.rows[i] = self.settled(totals[i], here, self.graph.lines[i].spec.dtype, body)
            if i in self.fused.stored:
                self.store(i, self.rows[i], row_place, body)

    def _start(self, index: int, body: list[Any]) -> str:
        """A fresh accumulator for a reduction."""
        line = self.graph.lines[index]
        name = self.fresh("a")
        body.append(Start(name, line.spec.dtype, (_neutral(line.op.name, line.spec.dtype),)))
        return name

    def _finish(self, index: int, accumulator: str, body: list[Any]) -> str:
        name = self.fresh()
        body.append(Finish(name, accumulator, self.graph.lines[index].spec.dtype))
        return name

    def _sweep(self, phase: int, accumulators: dict[int, str], stores: list[int], body: list[Any], dims: Dims,
               terms: Terms) -> None:  # fmt: skip
        """The loops over ``dims`` that feed ``accumulators`` and store ``stores``."""
        loops, target, inner_terms = self.nest(dims, f"j{phase}_", False)
        if loops is target:
            target = body
        else:
            body.extend(loops)
        known: dict[Any, Any] = {}
        every = [*terms, *inner_terms]
        for i in self.cluster.lines:
            if i in stores:
                value = self.compute(i, target, known, every, phase)
                self.store(i, value, self.place(0, c_strides(self.domain), every), target)
            elif i in accumulators:
                line = self.graph.lines[i]
                value = self.value(line.args[0], target, known, every, phase)
                target.append(Update(accumulators[i], _UPDATES[line.op.name], value, line.spec.dtype))

    def _phase_of(self, arg: int) -> int:
        """The phase in which a reduction of ``arg`` runs."""
        root = self.view(arg).root
        return self.ready.get(root, self.phase.get(root, 0))

    def _phases(self) -> None:
        """Fill ``phase`` for the full lines, and ``ready`` for the row lines."""
        ready = self.ready
        for index in self.cluster.lines:
            roots = [self.view(a).root for a in self.graph.lines[index].args if literal(self.graph, a) is None]
            needs = max((ready[r] if r in ready else self.phase.get(r, 0) for r in roots), default=0)
            if index in self.cluster.full:
                self.phase[index] = needs
            elif self._is_reduction(index):
                ready[index] = needs + 1
            else:
                ready[index] = needs

    def _store_what_is_dear(self, last: int) -> None:
        """A value that a later phase needs is kept in memory, unless it is cheaper to compute it again."""
        for phase in range(1, last + 1):
            pending = [i for i in self.cluster.full if i in self.fused.stored and self.phase[i] == phase]
            pending += [self.view(self.graph.lines[i].args[0]).root for i in self.cluster.rows
                        if self._is_reduction(i) and self._phase_of(self.graph.lines[i].args[0]) == phase]  # fmt: skip
            seen: set[int] = set()
            while pending:
                i = pending.pop()
                if i in seen or i not in self.cluster.full:
                    continue
                seen.add(i)
                if self.phase[i] < phase:
                    if i in self.fused.stored:
                        continue
                    if self.graph.lines[i].op.name not in CHEAP:
                        self.fused.stored.add(i)
                        continue
                pending += [self.view(a).root for a in self.graph.lines[i].args if literal(self.graph, a) is None]


class Columns(_Reduction):
    """Writes the kernel of a column cluster."""

    def body(self) -> list[Any]:
        rank, count = len(self.domain), self.cluster.inner
        accesses = self.accesses()
        reduced = merge(self.domain, range(count), accesses)
        kept = merge(self.domain, range(count, rank), [*accesses, c_strides(self.domain)])
        if not kept:
            kept = [(1, rank - 1)]
        *others, (width, axis) = kept
        top, body, terms = self.nest(others, "i", False)
        whole, rest = divmod(width, COLUMN_BLOCK)
        if whole:
            block = Loop("c", whole, [], not others)
            self._block(block.body, reduced, [*terms, ("c", axis, COLUMN_BLOCK)], axis, COLUMN_BLOCK)
            body.append(block)
        if rest:
            self.shifts[axis] = whole * COLUMN_BLOCK
            self._block(body, reduced, terms, axis, rest)
            del self.shifts[axis]
        if others and isinstance(top[0], Loop):
            top[0].split = True
        return top

    def _block(self, body: list[Any], reduced: Dims, terms: Terms, axis: int, width: int) -> None:
        """The loops over all rows of ``width`` columns."""
        reductions = [i for i in self.cluster.lines if i in self.cluster.rows]
        dtypes = {i: self.graph.lines[i].spec.dtype for i in reductions}
        long = _terms(reduced) > SHORT_BLOCK[0]
        totals, names = {}, {}
        for i in reductions:
            names[i] = self.fresh("s")
            self.scratch[names[i]] = (width, dtypes[i])
            if long and self.is_float_sum(i):
                totals[i] = self.total(dtypes[i], width)
                for name in totals[i]:
                    self.clear(name, 0, dtypes[i], width, body)
            else:
                self.clear(names[i], _neutral(self.graph.lines[i].op.name, dtypes[i]), dtypes[i], width, body)

        def block(body: list[Any], dims: Dims, terms: Terms) -> None:
            for i in totals:
                self.clear(names[i], 0, dtypes[i], width, body)
            self._rows(names, body, dims, terms, axis, width)
            for i, total in totals.items():
                here, inside = self.each(width, body)
                inside.append(Load(value := self.fresh(), names[i], here, dtypes[i]))
                self.accumulate(total, value, here, dtypes[i], inside)

        if totals:
            self.in_blocks(reduced, SHORT_BLOCK, body, terms, block)
        else:
            block(body, reduced, terms)
        for i in reductions:
            var = self.fresh("k")
            found: list[Any] = []
            here = Place(0, ((var, 1),))
            if i in totals:
                got = self.settled(totals[i], here, dtypes[i], found)
            else:
                found.append(Load(got := self.fresh(), names[i], here, dtypes[i]))
            kept = (*(0,) * self.cluster.inner, *c_strides(self.domain[self.cluster.inner :]))
            self.store(i, got, self.place(0, kept, [*terms, (var, axis)]), found)
            body.append(Loop(var, width, found))

    def _rows(self, names: dict[int, str], body: list[Any], dims: Dims, terms: Terms, axis: int, width: int) -> None:
        """The loops over ``dims`` that add each row to what lies in the scratch buffers ``names``."""
        if width > _NARROW or not dims or dims[-1][0] < AT_ONCE or not self._is_light():
            loops, inner, more = self.nest(dims, self.fresh("r"), False)
            self._some_rows(names, inner, [*terms, *more], [{}], axis, width)
            body.extend(loops)
            return
        *outer, (extent, row) = dims
        loops, inner, more = self.nest(outer, self.fresh("r"), False)
        every = [*terms, *more]
        groups, rest = divmod(extent, AT_ONCE)
        group = Loop(self.fresh("r"), groups)
        inner.append(group)
        begin = self.shifts.get(row, 0)
        near = [{row: begin + n} for n in range(AT_ONCE)]
        self._some_rows(names, group.body, [*every, (group.var, row, AT_ONCE)], near, axis, width)
        if rest:
            last = [{row: begin + groups * AT_ONCE + n} for n in range(rest)]
            self._some_rows(names, inner, every, last, axis, width)
        body.extend(loops)

    def _is_light(self) -> bool:
        """Whether several rows at once pay: little is computed, and nothing is stored but sums."""
        return len(self.cluster.full) <= _LIGHT and all(
            i not in self.fused.stored and self.graph.lines[i].op.name in CHEAP for i in self.cluster.full
        )

    def _some_rows(self, names: dict[int, str], body: list[Any], terms: Terms, rows: Sequence[dict[int, int]],
                   axis: int, width: int) -> None:  # fmt: skip
        """Add the rows that begin at ``rows`` (axis → how far on): in pairs, then to what lies in ``names``."""
        column = Loop(self.fresh("k"), width)
        body.append(column)
        every = [*terms, (column.var, axis)]
        here = Place(0, ((column.var, 1),))
        values: dict[int, list[Any]] = {i: [] for i in names}
        around = dict(self.shifts)
        for shift in rows:
            self.shifts = {**around, **shift}
            known: dict[Any, Any] = {}
            for i in self.cluster.lines:
                if i in self.cluster.full and i in self.fused.stored:
                    value = self.compute(i, column.body, known, every, 0)
                    self.store(i, value, self.place(0, c_strides(self.domain), every), column.body)
                elif i in names:
                    values[i].append(self.value(self.graph.lines[i].args[0], column.body, known, every))
        self.shifts = around
        for i, found in values.items():
            line = self.graph.lines[i]
            dtype = line.spec.dtype

            def joined(a: Any, b: Any, op: str = _UPDATES[line.op.name], dtype: DType = dtype) -> str:
                column.body.append(Compute(name := self.fresh(), op, (a, b), dtype, dtype))
                return name

            while len(found) > 1:
                pairs = [joined(a, b) for a, b in zip(found[::2], found[1::2], strict=False)]
                found = pairs + found[2 * len(pairs) :]
            column.body.append(Load(before := self.fresh(), names[i], here, dtype))
            column.body.append(Store(names[i], here, joined(before, found[0]), dtype))


def lower_reduction(fused: Any, number: int) -> Kernel:
    """The loops of a row or column cluster."""
    kind = Rows if fused.clusters[number].kind == "row" else Columns
    return kind(fused, number).run()
