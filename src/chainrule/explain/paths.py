"""The sum over paths: a gradient as a sum, over all ways from the loss to an input, of products of local derivatives.

On a graph of scalars the k paths of largest magnitude are found exactly without listing all: every node keeps its k
best paths from the loss, and gets them by a lazy merge of its users' sorted lists (a heap over (user, rank), the
acyclic case of Hoffman and Pavley, "A method for the solution of the Nth best path problem", 1959; magnitudes
multiply, and a smaller prefix never beats a larger one along the same edge, so sorted lists stay sorted).  That takes
O(edges · k · log) steps; their number may be exponential, and is counted with Python's unlimited integers.

The sum over *all* paths is the backward pass itself, run on these local derivatives.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Node = Hashable


class Edge(NamedTuple):
    """A local derivative ∂(user)/∂(argument)."""

    user: Node
    argument: Node
    weight: float


@dataclass(frozen=True)
class Path:
    """One way from the loss to an input: its nodes, loss first, the local derivatives between them, their product."""

    nodes: tuple[Node, ...]
    factors: tuple[float, ...]
    product: float


@dataclass(frozen=True)
class PathSum:
    """The k largest paths, how many there are in all, and the sum over all of them."""

    paths: tuple[Path, ...]
    count: int
    total: float

    @property
    def rest(self) -> float:
        """The sum over the paths that are not listed."""
        return self.total - math.fsum(p.product for p in self.paths)


class _Found(NamedTuple):
    """A path to a node: its product, and the edge and rank it came by."""

    product: float
    edge: int
    rank: int


def _magnitude(value: float) -> float:
    return math.inf if math.isnan(value) else abs(value)


class PathTable:
    """The k best paths from ``root`` to every node of an acyclic graph.

    ``edges`` in the order of a backward pass: every edge into a node (as argument) stands before every edge out of it.
    """

    def __init__(self, root: Node, edges: Sequence[Edge], k: int) -> None:
        self.root = root
        self.edges = edges
        self.k = k
        self.count: dict[Node, int] = {root: 1}
        self.total: dict[Node, float] = {root: 1.0}
        self._incoming: dict[Node, list[int]] = {}
        self._best: dict[Node, list[_Found]] = {root: [_Found(1.0, -1, 0)]}
        for number, edge in enumerate(edges):
            if edge.user in self.count:
                self._incoming.setdefault(edge.argument, []).append(number)
                self.count[edge.argument] = self.count.get(edge.argument, 0) + self.count[edge.user]
                self.total[edge.argument] = self.total.get(edge.argument, 0.0) + self.total[edge.user] * edge.weight

    def _order_to(self, node: Node) -> list[Node]:
        """The nodes above ``node`` whose lists are missing, users first."""
        order: list[Node] = []
        stack: list[tuple[Node, bool]] = [(node, False)]
        seen: set[Node] = set()
        while stack:
            here, done = stack.pop()
            if done:
                order.append(here)
            elif here not in seen and here not in self._best:
                seen.add(here)
                stack.append((here, True))
                stack.extend((self.edges[e].user, False) for e in self._incoming.get(here, ()))
        return order

    def _merged(self, node: Node) -> list[_Found]:
        heap: list[tuple[float, int, int]] = []
        for edge in self._incoming.get(node, ()):
            self._push(heap, edge, 0)
        found: list[_Found] = []
        while heap and len(found) < self.k:
            _, edge, rank = heapq.heappop(heap)
            above = self._best[self.edges[edge].user][rank]
            found.append(_Found(above.product * self.edges[edge].weight, edge, rank))
            self._push(heap, edge, rank + 1)
        return found

    def _push(self, heap: list[tuple[float, int, int]], edge: int, rank: int) -> None:
        above = self._best[self.edges[edge].user]
        if rank < len(above):
            heapq.heappush(heap, (-_magnitude(above[rank].product * self.edges[edge].weight), edge, rank))

    def paths(self, node: Node) -> PathSum:
        """The paths to ``node``; none where no path leads there."""
        for missing in self._order_to(node):
            self._best[missing] = self._merged(missing)
        found = tuple(self._path(node, f) for f in self._best.get(node, ()))
        return PathSum(found, self.count.get(node, 0), self.total.get(node, 0.0))

    def _path(self, node: Node, found: _Found) -> Path:
        nodes, factors = [node], []
        step = found
        while step.edge >= 0:
            edge = self.edges[step.edge]
            factors.append(edge.weight)
            nodes.append(edge.user)
            step = self._best[edge.user][step.rank]
        return Path(tuple(reversed(nodes)), tuple(reversed(factors)), found.product)
