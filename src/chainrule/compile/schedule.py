"""Which kernels run together: the clusters in an order that threads like, cut into groups between which threads meet.

A kernel that is cut into parts for threads ends when the last of them does.  Where kernels take microseconds, that
meeting costs as much as they do, and a kernel too small to be cut leaves all threads but one idle.  So small kernels
are put together:

- ``strands``: a chain of kernels each of whose rows needs but the same rows of those before it (the forward pass over a
  batch, and the way of the cotangents back).  The rows are cut into strands; each runs through the whole chain alone.
- ``beside``: kernels that need nothing of one another (the products that give the weights' gradients), as one pool of
  parts.

Several kernels that are little work all together are left to one thread, whose cache then has all that they share.

Kernels that wait for a chain to end move behind it.  A kernel that may write its result onto an argument's memory comes
behind all others that read that argument.  Neither the cut nor the order depends on the number of threads, and a
product cut into strands adds in the order of the whole: which kernels run together changes no bits.
Source: list scheduling over levels (Graham, 1969); strands are loop fusion over the batch (Kennedy & McKinley, 1993).
Does not do: cutting large kernels into strands (they keep all threads busy alone), batches that no small number of
strands divides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from chainrule.base.arrays import Spec
from chainrule.compile.emit import FUNCTIONS
from chainrule.compile.fuse import Cluster, Fused, Group, strides_over
from chainrule.compile.ownership import Pairs
from chainrule.compile.target import Target
from chainrule.compile.views import View, elements
from chainrule.graph.evaluate import nbytes

_LOOPED = ("pointwise", "row", "column", "move")
_FLOPS = 8  # operations of a product that take the time of one of a loop
_LITTLE_WORK = 700_000  # operations of several kernels, some 30 microseconds, that are one thread's;
_SEVERAL = 8  # fewer may be reading so much that two threads are quicker for their two caches
_FUNCTION = 16  # operations of an exponential
_SLOW = frozenset(FUNCTIONS) - {"sqrt"}  # ops that take as long: a root has an instruction
_WORTH = 1 << 16  # operations of a group below which one thread is done before another has come
_LARGE = 1 << 19  # operations of a kernel above which it has parts enough of its own
_REACH = 48  # clusters that are passed over before a chain ends
_WINDOW = 128  # clusters among which those that may run beside one another are looked for
_NEAR = 8  # clusters that may come earlier than they need whatever memory their results take
_LITTLE = 1 << 16  # bytes of results that may
_MOST_STRANDS = 4  # strands for each core


def schedule(fused: Fused, target: Target, pairs: Pairs = ()) -> Fused:
    """The clusters in groups; ``pairs``: inputs and the outputs that had best take their memory."""
    scheduler = _Scheduler(fused, target, pairs)
    if scheduler.is_little():
        return replace(fused, alone=True)
    return scheduler.run() if scheduler.pays() else fused


class _Scheduler:
    def __init__(self, fused: Fused, target: Target, pairs: Pairs) -> None:
        self.fused, self.graph, self.cores = fused, fused.graph, target.cores
        self.work = [self._work(cluster) for cluster in fused.clusters]
        self.needs: list[set[int]] = [set() for _ in fused.clusters]  # clusters whose results a cluster reads
        self.after: list[set[int]] = [set() for _ in fused.clusters]  # those that must have ended for other reasons
        self._link(pairs)
        self.done: set[int] = set()

    def _work(self, cluster: Cluster) -> int:
        """Operations, as many as a loop does in the same time; 0 for what is no kernel."""
        size = elements(cluster.domain)
        if cluster.kind == "product":
            depth: int = self.graph.lines[self.graph.lines[cluster.lines[0]].args[0]].spec.shape[-1]
            return 2 * depth * size // _FLOPS + size * len(cluster.lines)
        return size * len(cluster.lines) if cluster.kind in _LOOPED else 0

    def _link(self, pairs: Pairs) -> None:
        where = self.fused.where
        readers: dict[int, set[int]] = {}
        for index, number in where.items():
            for root in self._roots(index):
                if root in where:
                    self.needs[number].add(where[root])
                else:
                    readers.setdefault(root, set()).add(number)
        for number, needed in enumerate(self.needs):
            needed.discard(number)
        for given, position in pairs:
            writer = where.get(self._root(self.graph.outputs[position]))
            if writer is not None:
                self.after[writer] |= {r for r in readers.get(given, ()) if r < writer}

    def _root(self, index: int) -> int:
        view = self.fused.views[index]
        return index if view is None else view.root

    def _roots(self, index: int) -> Iterable[int]:
        return map(self._root, self.graph.lines[index].args)

    def is_little(self) -> bool:
        """Whether one thread is done before two would be that fetch from each other's caches what they need."""
        several = sum(work > 0 for work in self.work) >= _SEVERAL
        return several and sum(self.work) + sum(map(self._functions, self.fused.clusters)) < _LITTLE_WORK

    def _functions(self, cluster: Cluster) -> int:
        """What exponentials and the like of a cluster take beside an operation each."""
        count = sum(self.graph.lines[index].op.name in _SLOW for index in cluster.lines)
        return (_FUNCTION - 1) * count * elements(cluster.domain)

    def pays(self) -> bool:
        """Whether there is work for more than one thread in more than one kernel."""
        return self.cores > 1 and len(self.work) > 1 and sum(self.work) >= _WORTH

    # Groups

    def run(self) -> Fused:
        """All clusters, in groups that follow one another."""
        left = list(range(len(self.work)))
        self.rows = [self._rows_of(number) for number in left]
        results = set(map(self._root, self.graph.outputs))
        self.kept = [self._bytes_kept(cluster, results) for cluster in self.fused.clusters]
        groups: list[tuple[str, int, list[int]]] = []
        while left:
            strands, taken = self._chain(left)
            kind = "strands"
            if not taken:
                taken = self._level(left)
                kind, strands = ("beside" if len(taken) > 1 else "alone"), 1
            groups.append((kind, strands, taken))
            self.done.update(taken)
            gone = set(taken)
            left = [number for number in left if number not in gone]
        return self._ordered(groups)

    def _ordered(self, groups: Sequence[tuple[str, int, list[int]]]) -> Fused:
        order = [number for _, _, taken in groups for number in taken]
        place = {number: position for position, number in enumerate(order)}
        clusters, made, first = [], [], 0
        for kind, strands, taken in groups:
            clusters += [replace(self.fused.clusters[number], strands=strands) for number in taken]
            made.append(Group(kind, first, first + len(taken), strands))
            first += len(taken)
        where = {index: place[number] for index, number in self.fused.where.items()}
        return replace(self.fused, clusters=clusters, where=where, groups=made)

    def _is_ready(self, number: int) -> bool:
        return self.done.issuperset(self.needs[number]) and self.done.issuperset(self.after[number])

    # Kernels beside one another

    def _level(self, left: Sequence[int]) -> list[int]:
        """The first cluster, and those that can run beside it; it alone where that is little work."""
        first = left[0]
        if not self.work[first]:
            return [first]
        found = [first]
        for position, number in enumerate(left[1:_WINDOW], 1):
            near = position < _NEAR or self.kept[number] <= _LITTLE
            if self.work[number] and near and self._is_ready(number):
                found.append(number)
        if sum(self.work[number] for number in found) < _WORTH:
            return [first]
        return sorted(found, key=lambda number: -self.work[number])  # what takes long begins first

    def _bytes_kept(self, cluster: Cluster, results: set[int]) -> int:
        """Bytes of what a cluster stores that take room until they are read; ``results`` have a place of their own."""
        kept = self.fused.stored.intersection(cluster.lines) - results
        return sum(nbytes(self.graph.lines[index].spec) for index in kept)

    # Chains

    def _rows_of(self, number: int) -> int:
        """Into how many equal pieces of rows a cluster's domain may be cut; 0 where there are no such."""
        cluster = self.fused.clusters[number]
        if not 0 < self.work[number] <= _LARGE or len(cluster.domain) < 1:
            return 0
        if cluster.kind == "product":
            return cluster.domain[0] if len(cluster.domain) == 2 and cluster.domain[1] > 1 else 0  # n = 1 may turn
        fits = cluster.kind == "pointwise" or (cluster.kind == "row" and cluster.inner < len(cluster.domain))
        return cluster.domain[0] if fits else 0

    def _chain(self, left: Sequence[int]) -> tuple[int, list[int]]:
        """A chain over rows that may start now, and its number of strands; nothing where none pays."""
        tried: set[int] = set()
        for number in left[:_REACH]:
            rows = self.rows[number]
            strands = _strands(rows, self.cores)
            if not strands or rows in tried or not self._is_ready(number):
                continue
            tried.add(rows)
            found = self._linked(self._grown(left, rows))
            if len(found) > 1 and sum(self.work[n] for n in found) >= _WORTH:
                return strands, found
        return 0, []

    def _grown(self, left: Sequence[int], rows: int) -> list[int]:
        """All that can be computed row by row, from what is there."""
        found: list[int] = []
        inside: set[int] = set()
        passed = 0
        for number in left:
            ready = (
                self.rows[number] == rows
                and all(n in self.done or n in inside for n in self.needs[number])
                and self.done.issuperset(self.after[number])
            )
            if ready and self._keeps_to_rows(number, rows, inside):
                found.append(number)
                inside.add(number)
                passed = 0
            else:
                passed += 1
                if passed >= _REACH:
                    break
        return found

    def _linked(self, found: Sequence[int]) -> list[int]:
        """Those of a chain that need another of it, or that another needs."""
        inside = set(found)
        needed = {n for number in found for n in self.needs[number] if n in inside}
        return [number for number in found if number in needed or not inside.isdisjoint(self.needs[number])]

    def _keeps_to_rows(self, number: int, rows: int, inside: set[int]) -> bool:
        """Whether each row of a cluster needs only that row of what others in the chain compute."""
        cluster = self.fused.clusters[number]
        for index in cluster.lines:
            for position, arg in enumerate(self.graph.lines[index].args):
                view = self.fused.views[arg]
                root = arg if view is None else view.root
                if self.fused.where.get(root, number) == number or self.fused.where[root] not in inside:
                    continue
                if view is None or (self.graph.lines[index].op.name == "matmul" and position == 1):
                    return False
                if not self._is_row_by_row(view, arg, index, rows):
                    return False
        return True

    def _is_row_by_row(self, view: View, arg: int, index: int, rows: int) -> bool:
        """Whether row i of the line that reads a view lies in row i of the view's root."""
        spec, root = self.graph.lines[arg].spec, self.graph.lines[view.root].spec
        if not isinstance(root, Spec) or elements(root.shape) % rows:
            return False
        size = elements(root.shape) // rows
        shape = spec.shape
        line = self.graph.lines[index].spec.shape
        domain = shape if len(shape) >= len(line) else line
        if not domain or domain[0] != rows:
            return False
        first, *others = strides_over(view, shape, domain)
        ends = [step * (n - 1) for step, n in zip(others, domain[1:], strict=True)]
        low, high = (view.offset + sum(end for end in ends if (end > 0) == up) for up in (False, True))
        return bool(first == size and low >= 0 and high < size)


def _strands(rows: int, cores: int) -> int:
    """The strands of so many rows: the fewest that come out even and give each core one; 0 where there are none."""
    return next((n for n in range(cores, _MOST_STRANDS * cores + 1) if rows >= 2 * n and rows % n == 0), 0)
