"""What follows a matrix product, on its tiles: the pointwise lines of a product's cluster as loops over one tile.

The product hands over some finished rows of C while they lie in a near cache (``finish`` in ``hooks``).  The loops here
read them as the buffer ``tile``, compute the cluster's lines and store those that memory must hold; C itself among
them only if somebody else reads it.  So bias and activation, the derivative of an activation, and the update of weights
from Xᵀ·δ cost neither a pass over memory nor a kernel of their own.

The loops run over the tile's rows ``i`` and columns ``j``; ``row`` and ``column`` say where the tile begins in C, and
``n0``, ``n1``, … which matrix of a batch it is.  They are lowered by the same code as any cluster, so they print, and
are checked, like any kernel.
Does not do: reductions; values that ride into the packing of an operand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from chainrule.compile.fuse import Fused, strides_over
from chainrule.compile.loops import Kernel, Load, Loop, Lowering, Place
from chainrule.compile.tiles import Matrix, Product, joined
from chainrule.compile.views import c_strides

TILE = "tile"


@dataclass(frozen=True)
class Riding:
    """A product of a graph: its sizes and operands, and over which axes of the cluster's domain it runs.

    ``operands``: the roots of A and B.  ``batch`` and ``row`` are axes of the domain: those of the product's batch, and
    the one whose strides are those from row to row.  Where rows are cut into strands, those are the batch, each
    ``rows_apart`` rows behind the last.
    """

    product: Product
    operands: tuple[int, int]
    batch: tuple[int, ...]
    row: int
    rows_apart: int = 1

    @property
    def indices(self) -> tuple[str, ...]:
        """What the loops must be told: where in C the tile begins."""
        return ("row", "column", *(f"n{i}" for i in range(len(self.batch))))


def is_ridden(fused: Fused, number: int) -> bool:
    """Whether more than the product itself is computed in this product's cluster."""
    return any(i in fused.stored for i in fused.clusters[number].lines[1:])


def riding(fused: Fused, number: int) -> Riding:
    """The product of a cluster, with batch axes merged into rows where all that is read and written walks them as one.

    A product that is all there is of its cluster has its C; of others the loops store what is to be stored.
    """
    graph, index = fused.graph, fused.clusters[number].lines[0]
    line = graph.lines[index]
    *lead, m, n = line.spec.shape
    roots: list[int] = []

    def matrix(arg: int) -> Matrix:
        view = fused.views[arg]
        assert view is not None
        shape = graph.lines[arg].spec.shape
        strides = strides_over(view, shape, (*lead, *shape[-2:]))
        roots.append(view.root)
        return Matrix(len(roots) - 1, strides[-2], strides[-1], strides[:-2], view.offset)

    a, b = matrix(line.args[0]), matrix(line.args[1])
    ridden = is_ridden(fused, number)
    c = None if ridden else matrix(index)
    k = graph.lines[line.args[0]].spec.shape[-1]
    whole = Product(line.spec.dtype, m, n, k, a, b, c, tuple(lead))
    accesses = Lowering(fused, number).accesses(fused.clusters[number].lines[1:]) if ridden else []
    if (strands := fused.clusters[number].strands) > 1:
        return _cut(whole, (roots[0], roots[1]), strands)
    return _merged(whole, (roots[0], roots[1]), accesses)


def _cut(product: Product, operands: tuple[int, int], strands: int) -> Riding:
    """The product of two matrices, its rows in strands."""
    rows = product.m // strands
    a, c = product.a, product.c
    cut = replace(
        product, m=rows, batch=(strands,), strands=True, a=a._replace(batch=(a.row * rows,)),
        b=product.b._replace(batch=(0,)), c=None if c is None else c._replace(batch=(c.row * rows,)),
    )  # fmt: skip
    return Riding(cut, operands, (0,), 0, rows)


def _merged(product: Product, operands: tuple[int, int], accesses: Sequence[Sequence[int]]) -> Riding:
    axes, row = list(range(len(product.batch))), len(product.batch)
    while (less := joined(product)) is not None:
        axis, extent = axes[-1], product.batch[-1]
        if extent != 1 and product.m == 1:
            row = axis
        elif extent != 1 and any(access[axis] != access[row] * product.m for access in accesses):
            break
        product = less
        axes.pop()
    return Riding(product, operands, tuple(axes), row)


def finish_kernel(fused: Fused, number: int, ride: Riding | None = None, rows: int = 0, columns: int = 0,
                  strides: tuple[int, int] | None = None, split: bool = False) -> Kernel:  # fmt: skip
    """The loops of what rides in product cluster ``number``, over a tile of ``rows`` × ``columns``.

    ``strides``: those of the tile in memory; ``split``: the innermost loop runs over the part it is given.  Without
    sizes, the tile is all of C.
    """
    ride = ride or riding(fused, number)
    columns = columns or ride.product.n
    return _Finish(fused, number).kernel(ride, rows or ride.product.m, columns, strides or (columns, 1), split)


class _Finish(Lowering):
    """The lowering of a cluster whose first line is read from the tile."""

    def kernel(self, ride: Riding, rows: int, columns: int, strides: tuple[int, int], split: bool) -> Kernel:
        """The loops over a tile."""
        column = len(self.domain) - 1
        terms: list[tuple[Any, ...]] = [(f"n{i}", axis, ride.rows_apart) for i, axis in enumerate(ride.batch)]
        terms += [("row", ride.row), ("column", column)]
        if columns == ride.product.n > 1 and strides == (columns, 1) and self._is_one_line(ride):
            inner = outer = Loop("i", rows * columns)
            self.tile = Place(0, (("i", 1),))
            terms.append(("i", column))
        elif columns == 1:
            inner = outer = Loop("i", rows)
            self.tile = Place(0, (("i", strides[0]),))
            terms.append(("i", ride.row))
        else:
            inner = Loop("j", columns)
            outer = Loop("i", rows, [inner])
            self.tile = Place(0, (("i", strides[0]), ("j", strides[1])))
            terms += [("i", ride.row), ("j", column)]
        inner.split = split
        known: dict[Any, Any] = {}
        for index in self.cluster.lines:
            if index in self.fused.stored:
                value = self.compute(index, inner.body, known, terms, 0)
                self.store(index, value, self.place(0, c_strides(self.domain), terms), inner.body)
        sources = tuple(dict.fromkeys(self.graph.lines[i].source for i in self.cluster.lines))
        return Kernel(f"finish{self.number}", [outer], rows * columns * len(self.cluster.lines), sources=sources)

    def _is_one_line(self, ride: Riding) -> bool:
        """Whether rows lie one behind the other in all that is read and written."""
        accesses = [*self.accesses(self.cluster.lines[1:]), c_strides(self.domain)]
        return all(access[ride.row] == access[-1] * ride.product.n for access in accesses)

    def compute(self, index: int, body: list[Any], known: dict[Any, Any], terms: Any, phase: int) -> Any:
        """The scalar of a line; the product's is in the tile."""
        if index == self.cluster.lines[0] and index not in known:
            known[index] = self.fresh()
            body.append(Load(known[index], TILE, self.tile, self.graph.lines[index].spec.dtype))
        return super().compute(index, body, known, terms, phase)
