"""Fusion: the lines of a graph are grouped into clusters, each of which becomes one kernel.

Lines are taken in order.  A pointwise line joins the first cluster behind its producers that walks over the same
domain; a reduction joins the cluster that computes what it reduces.  So a chain of pointwise lines is one loop, and
softmax, cross-entropy or layer norm are one loop over rows with a few short loops inside.  Values used only inside
their cluster never reach memory.

Pointwise lines that use a matrix product over its own shape ride on its tiles (see ``finish``): bias and activation,
the derivative of an activation, the update of weights.  The rule is bytes moved.  Without riding, the product is stored
and read again by a loop that stores results; on the tile only the results are stored, so whatever rides saves at least
the reading.  The exception is a value that nothing but reductions use: on the tile it would have to be stored for them,
while their own loop computes it as it goes.  So it stays with them.

A line that only inputs lead to waits until something uses it, and is computed there: the first product of a shape must
not pick up the moments of another's weights.  What is one number (a step's bias corrections) comes first of all, so
that every kernel can read it.

A cluster is one of: ``pointwise`` (every line has the shape of the domain), ``row`` (the trailing ``inner`` axes are
reduced; reduced values may be used by later lines over the whole row), ``column`` (the leading ``inner`` axes are
reduced), ``product`` (a matrix product and the lines that ride on it), ``move`` (reading or writing at places that are
computed, or joining arrays), ``region`` (a loop or branch with graphs of its own, and the lines that take its results),
``call`` (a call back into NumPy, for what has no kernel).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chainrule.base.arrays import Shape, Spec
from chainrule.compile.emit import has_emitter
from chainrule.compile.views import REGIONS, VIEW_OPS, View, c_strides, elements, is_contiguous
from chainrule.graph.graph import Graph

MOVES = ("gather", "scatter_add", "scatter", "unindex", "update", "concatenate", "cumsum", "random_bits")
REDUCTIONS = ("sum", "max", "min", "any", "all")
_MOST_READS = 24  # more streams than this in one loop outrun the prefetchers
_MOST_LINES = 100
_RECENT = 64  # clusters that a line is offered to


@dataclass
class Cluster:
    """Lines that are computed together; ``full`` have the domain's shape, ``rows`` one value per row.

    ``strands``: into how many equal pieces the domain's first axis is cut, where that is settled (see ``schedule``).
    """

    kind: str
    domain: Shape
    inner: int = 0
    lines: list[int] = field(default_factory=list)
    full: set[int] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)
    reads: set[int] = field(default_factory=set)
    strands: int = 1

    @property
    def outer_shape(self) -> Shape:
        """The axes of the domain that are not reduced (of a row cluster)."""
        return self.domain[: len(self.domain) - self.inner]


class Group(NamedTuple):
    """Clusters ``first`` to ``end`` (without it) that run together; ``kind``: alone, strands or beside."""

    kind: str
    first: int
    end: int
    strands: int = 1


@dataclass
class Fused:
    """A graph in clusters: ``views`` per line, in ``where`` each computed line's cluster, and which are stored.

    ``groups`` are the clusters in the order in which they run; without any, each runs alone.  ``alone``: one thread
    computes all of them, but for what is inside loops and branches.
    """

    graph: Graph
    views: list[View | None]
    clusters: list[Cluster]
    where: dict[int, int]
    stored: set[int]
    groups: list[Group] = field(default_factory=list)
    alone: bool = False

    def turns(self) -> list[int]:
        """For each cluster, the number of its group: what has the same number runs at once."""
        if not self.groups:
            return list(range(len(self.clusters)))
        return [turn for turn, group in enumerate(self.groups) for _ in range(group.first, group.end)]

    def __str__(self) -> str:
        rows = []
        for number, cluster in enumerate(self.clusters):
            names = ", ".join(
                f"%{i} {self.graph.lines[i].op.name}{' (stored)' if i in self.stored else ''}" for i in cluster.lines
            )
            size = "×".join(map(str, cluster.domain)) or "1"
            rows.append(f"kernel {number}: {cluster.kind} over {size}: {names}")
        return "\n".join(rows)


def strides_over(view: View, shape: Shape, domain: Shape) -> tuple[int, ...]:
    """The strides of a view of ``shape`` as it broadcasts over ``domain``."""
    lead = len(domain) - len(shape)
    return (0,) * lead + tuple(
        0 if n == 1 and domain[lead + i] != 1 else view.strides[i] for i, n in enumerate(shape)
    )


class _Fuser:
    def __init__(self, graph: Graph, views: list[View | None]) -> None:
        self.graph = graph
        self.views = views
        self.clusters: list[Cluster] = []
        self.where: dict[int, int] = {}
        self.early: set[int] = set()  # numbers that only inputs lead to
        self.waiting: set[int] = set()  # lines that only inputs lead to, until something uses them
        self.results = {out if (view := views[out]) is None else view.root for out in graph.outputs}
        self.reduced = self._only_reduced()

    def run(self) -> Fused:
        computed = [i for i in range(self.graph.inputs, len(self.graph.lines)) if self._is_computed(i)]
        for index in computed:
            if self._is_pointwise(index) and self._size(index) == 1 and self._is_led_to(index):
                self.early.add(index)
                self._place(index)
        for index in computed:
            if index in self.early:
                continue
            if self._is_pointwise(index) and self._is_led_to(index):
                self.waiting.add(index)
            else:
                self._place_with_waiting(index)
        for index in (*sorted(self.results & self.waiting), *computed):
            if index in self.waiting:
                self._place_with_waiting(index)
        return Fused(self.graph, self.views, self.clusters, self.where, self._stored())

    # What lines are

    def _is_computed(self, index: int) -> bool:
        view = self.views[index]
        return self.graph.lines[index].op.name != "constant" and (view is None or view.root == index)

    def _is_pointwise(self, index: int) -> bool:
        name = self.graph.lines[index].op.name
        other = name in REGIONS or name in MOVES or name in REDUCTIONS or name in VIEW_OPS or name in ("item", "matmul")
        return not other and has_emitter(self.graph, index)

    def _size(self, index: int) -> int:
        return elements(self.graph.lines[index].spec.shape)

    def _is_led_to(self, index: int) -> bool:
        """Whether a line needs nothing but inputs, constants, and lines of that kind that are early or wait."""
        return all(
            r < self.graph.inputs or r in self.early or r in self.waiting or self.graph.lines[r].op.name == "constant"
            for r in self._roots(index)
        )

    def _only_reduced(self) -> set[int]:
        """The pointwise lines that nothing but reductions use, be it through other such lines."""
        graph = self.graph
        used: set[int] = set()
        kept = set(self.results)  # what something else than reductions uses
        for index in range(len(graph.lines) - 1, graph.inputs - 1, -1):
            if not self._is_computed(index):
                continue
            roots = self._roots(index)
            used.update(roots)
            passes = graph.lines[index].op.name in REDUCTIONS or (self._is_pointwise(index) and index not in kept)
            if not passes:
                kept.update(roots)
        return {i for i in used if i not in kept}

    # Placing

    def _place_with_waiting(self, index: int) -> None:
        """Place a line, and before it the waiting lines that lead to it, in its cluster where they can be."""
        self.waiting.discard(index)
        found, pending = set(), self._roots(index)
        while pending:
            root = pending.pop()
            if root in self.waiting:
                self.waiting.remove(root)
                found.add(root)
                pending += self._roots(root)
        least = self._low(index)
        if 0 <= least < len(self.clusters) and self.clusters[least].kind == "product" and not self._rides(index, least):
            least += 1
        for waited in sorted(found):
            self._place(waited, least)
        self._place(index)

    def _low(self, index: int) -> int:
        """The first cluster in which a line's arguments are known: of those that are placed, the last."""
        return max((self.where.get(r, -1) for r in self._roots(index)), default=-1)

    def _place(self, index: int, least: int = -1) -> None:
        line = self.graph.lines[index]
        name = line.op.name
        low = max(least, self._low(index))
        if name in REGIONS:
            self._alone(index, "region")
        elif name == "item" and self.graph.lines[line.args[0]].op.name in REGIONS:
            number = self.where[line.args[0]]
            self._add(index, number, self.clusters[number], "full")
        elif not has_emitter(self.graph, index):
            self._alone(index, "call")
        elif name == "matmul":
            self._alone(index, "product")
        elif name in MOVES:
            self._alone(index, "move")
        elif name in REDUCTIONS:
            self._place_reduction(index, low)
        elif name in VIEW_OPS:  # a copy: walks over its argument
            self._join(index, low, self.graph.lines[line.args[0]].spec.shape, copy=True)
        else:
            self._join(index, low, line.spec.shape)

    def _roots(self, index: int) -> list[int]:
        found = []
        for a in self.graph.lines[index].args:
            view = self.views[a]
            found.append(a if view is None else view.root)
        return found

    def _alone(self, index: int, kind: str) -> None:
        spec = self.graph.lines[index].spec
        cluster = Cluster(kind, spec.shape if isinstance(spec, Spec) else ())
        self._add(index, len(self.clusters), cluster, "full")

    def _add(self, index: int, number: int, cluster: Cluster, role: str) -> None:
        if number == len(self.clusters):
            self.clusters.append(cluster)
        cluster.lines.append(index)
        (cluster.full if role == "full" else cluster.rows).add(index)
        cluster.reads.update(self._outside(index, cluster))
        self.where[index] = number

    def _join(self, index: int, low: int, domain: Shape, copy: bool = False) -> None:
        for number in self._candidates(low):
            cluster = self.clusters[number]
            if cluster.kind == "product":
                if number == low and not copy and self._rides(index, number):
                    self._add(index, number, cluster, "full")
                    return
                continue
            if cluster.kind not in ("pointwise", "row", "column"):
                continue
            role = self._role(index, cluster, domain, copy)
            if role is not None and self._related(index, cluster, number == low):
                self._add(index, number, cluster, role)
                return
        self._add(index, len(self.clusters), Cluster("pointwise", domain), "full")

    def _candidates(self, low: int) -> list[int]:
        """The clusters that a line whose arguments are known in ``low`` may join: that one, and the latest."""
        recent = range(max(low, len(self.clusters) - _RECENT, 0), len(self.clusters))
        return [low, *recent] if 0 <= low < recent.start else [*recent]

    def _rides(self, index: int, number: int) -> bool:
        """Whether a line may ride on the tiles of a product, and saves bytes there."""
        cluster = self.clusters[number]
        return (
            self._is_pointwise(index)
            and index not in self.reduced
            and self._role(index, cluster, self.graph.lines[index].spec.shape, False) == "full"
            and self._reads(index, cluster) <= _MOST_READS
        )

    def _related(self, index: int, cluster: Cluster, producer: bool) -> bool:
        """Whether joining pays: a producer's cluster always, another one as long as it does not read too much.

        No cluster grows without bound: LLVM's time grows faster than its size.
        """
        return len(cluster.lines) < _MOST_LINES and (producer or self._reads(index, cluster) <= _MOST_READS)

    def _reads(self, index: int, cluster: Cluster) -> int:
        """How many buffers a cluster would read with one more line."""
        return len(cluster.reads | self._outside(index, cluster))

    def _outside(self, index: int, cluster: Cluster) -> set[int]:
        """What a line reads that the cluster does not compute."""
        return {r for r in self._roots(index) if r not in cluster.full and r not in cluster.rows}

    def _role(self, index: int, cluster: Cluster, domain: Shape, copy: bool) -> str | None:
        """Whether a pointwise line may join, and as what."""
        if domain == cluster.domain and all(
            self._readable(a, cluster, "full") for a in self.graph.lines[index].args
        ):
            return "full"
        if cluster.kind != "row" or copy:
            return None
        row_shapes = (cluster.outer_shape, (*cluster.outer_shape, *(1,) * cluster.inner))
        if domain in row_shapes and all(self._readable(a, cluster, "row") for a in self.graph.lines[index].args):
            return "row"
        return None

    def _readable(self, arg: int, cluster: Cluster, role: str) -> bool:
        """Whether a line of the cluster can read ``arg``: from memory, or as a value of the same place."""
        view = self.views[arg]
        if view is None:
            return False
        shape = self.graph.lines[arg].spec.shape
        if view.root in cluster.full:
            return role == "full" and shape == cluster.domain and is_contiguous(view, shape)
        if view.root in cluster.rows:
            if cluster.kind != "row":
                return False
            outer = cluster.outer_shape
            if role == "row":
                return elements(shape) == elements(outer) and is_contiguous(view, shape)
            strides = strides_over(view, shape, cluster.domain)
            wanted = (*c_strides(outer), *(0,) * cluster.inner)
            return view.offset == 0 and all(
                n == 1 or s == w for n, s, w in zip(cluster.domain, strides, wanted, strict=True)
            )
        return True

    def _place_reduction(self, index: int, low: int) -> None:
        line = self.graph.lines[index]
        (arg,) = line.args
        domain = self.graph.lines[arg].spec.shape
        axes = dict(line.attrs)["axes"]
        rank, count = len(domain), len(axes)
        trailing = tuple(axes) == tuple(range(rank - count, rank))
        leading = tuple(axes) == tuple(range(count))
        kind = "row" if trailing else "column" if leading else None
        if kind is None:
            self._alone(index, "call")
            return
        for number in self._candidates(low):
            cluster = self.clusters[number]
            fits = cluster.kind == "pointwise" or (cluster.kind == kind and cluster.inner == count)
            if cluster.kind in ("pointwise", "row", "column") and fits and cluster.domain == domain and (
                self._readable(arg, cluster, "full") and self._related(index, cluster, number == low)
            ):
                cluster.kind, cluster.inner = kind, count
                self._add(index, number, cluster, "row")
                return
        self._add(index, len(self.clusters), Cluster(kind, domain, count), "row")

    # What must reach memory

    def _stored(self) -> set[int]:
        stored: set[int] = set()
        for index in self.where:
            for root in self._roots(index):
                if root in self.where and self.where[root] != self.where[index]:
                    stored.add(root)
        stored |= self.results
        for cluster in self.clusters:
            idle = cluster.kind == "product" and not stored.intersection(cluster.lines)
            if idle or cluster.kind in ("move", "call", "region"):
                stored.update(cluster.lines)
        return {i for i in stored if i in self.where}


def fuse(graph: Graph, views: list[View | None]) -> Fused:
    """Group the lines of ``graph`` into clusters; see the head of this file."""
    return _Fuser(graph, views).run()


def literal(graph: Graph, index: int) -> Any:
    """The value of a line that is a scalar constant, else None."""
    line = graph.lines[index]
    return line.attrs[0][1].array[()] if line.op.name == "constant" and not line.spec.shape else None
