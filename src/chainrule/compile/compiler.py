"""From a graph to a program: the passes in order, and the plan that says what runs when and where its numbers lie.

Passes: views (what only rearranges) → fuse (clusters) → lower (loops) → LLVM text → machine code.  Clusters that run
natively one after the other are one native call (a segment); a line that has no kernel is a call back into NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.base.arrays import DType, Shape, Spec
from chainrule.compile.fuse import Cluster, Fused, fuse
from chainrule.compile.llvm import Call, Module
from chainrule.compile.loops import Kernel, lower
from chainrule.compile.memory import Life, plan
from chainrule.compile.productcall import product_call
from chainrule.compile.target import Target, host
from chainrule.compile.views import elements, views
from chainrule.graph.graph import Graph

NATIVE = ("pointwise", "row", "column", "move")


@dataclass(frozen=True)
class Place:
    """Where a computed line's numbers lie: ``kind`` is input, constant, output or temporary; ``slot`` its pointer."""

    kind: str
    slot: int
    shape: Shape
    dtype: DType
    detail: int  # input or output position, offset in the arena, or constant number


@dataclass(frozen=True)
class NumpyCall:
    """A line computed by NumPy: ``run`` on views of what it reads; several results stay Python objects."""

    index: int
    run: Callable[..., Any]
    args: tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """A native function ``name(ptr buffers)``."""

    name: str


@dataclass
class Plan:
    """All of a program but its machine code."""

    graph: Graph
    fused: Fused
    kernels: dict[int, Kernel]
    places: dict[int, Place]
    arena: int
    constants: list[Any]
    steps: list[Segment | NumpyCall]
    text: str
    parallel: bool  # whether any kernel is cut into parts for threads

    @property
    def slots(self) -> int:
        """How many pointers the native code takes."""
        return len(self.places)


def make_plan(graph: Graph, target: Target | None = None) -> Plan:
    """Run all passes down to LLVM text."""
    target = target or host()
    fused = fuse(graph, views(graph))
    kernels = {n: lower(fused, n) for n, c in enumerate(fused.clusters) if c.kind in NATIVE}
    places, arena, constants = _storage(fused)
    module = Module(target)
    steps: list[Segment | NumpyCall] = []
    pending: list[Call] = []  # what waits for its segment
    parts: list[int] = []

    def flush() -> None:
        if pending:
            name = f"segment{len(steps)}"
            module.segment(name, pending, lambda root: places[root].slot)
            parts.extend(call.parts for call in pending)
            steps.append(Segment(name))
            pending.clear()

    for number, cluster in enumerate(fused.clusters):
        if number in kernels:
            pending.append(module.add(kernels[number])._replace(label=f"cluster {number}"))
        elif cluster.kind == "product":
            pending.append(product_call(fused, number, target, module)._replace(label=f"cluster {number}"))
        else:
            flush()
            steps.append(_numpy_call(graph, cluster))
    flush()
    return Plan(graph, fused, kernels, places, arena, constants, steps, module.text(), max(parts, default=1) > 1)


def _numpy_call(graph: Graph, cluster: Cluster) -> NumpyCall:
    (index,) = cluster.lines
    line = graph.lines[index]
    return NumpyCall(index, line.op.bind(dict(line.attrs)), line.args)


def _root(fused: Fused, index: int) -> int:
    view = fused.views[index]
    return index if view is None else view.root


def _storage(fused: Fused) -> tuple[dict[int, Place], int, list[Any]]:
    """A place for every buffer: inputs, outputs that are computed whole, constant arrays, temporaries in the arena.

    Slots are counted in this order.
    """
    graph = fused.graph
    places: dict[int, Place] = {}

    def add(root: int, kind: str, detail: int) -> None:
        spec = graph.lines[root].spec
        places[root] = Place(kind, len(places), spec.shape, spec.dtype, detail)

    for i in range(graph.inputs):
        add(i, "input", i)
    for position, out in enumerate(graph.outputs):
        root = _root(fused, out)
        whole = root in fused.stored and root not in places and elements(graph.lines[root].spec.shape) == elements(
            graph.lines[out].spec.shape
        )
        if whole and isinstance(graph.lines[root].spec, Spec):
            add(root, "output", position)
    constants: list[Any] = []
    for i, line in enumerate(graph.lines):
        if line.op.name == "constant":
            add(i, "constant", len(constants))
            constants.append(np.ascontiguousarray(line.attrs[0][1].array))
    lives = _lives(fused, {i for i in fused.stored if i not in places})
    offsets, arena = plan(lives)
    for root, offset in offsets.items():
        add(root, "temporary", offset)
    return places, arena, constants


def _lives(fused: Fused, roots: set[int]) -> list[Life]:
    graph = fused.graph
    last = {r: fused.where[r] for r in roots}
    for index, number in fused.where.items():
        for a in graph.lines[index].args:
            root = _root(fused, a)
            if root in last:
                last[root] = max(last[root], number)
    for out in graph.outputs:
        root = _root(fused, out)
        if root in last:
            last[root] = len(fused.clusters)
    lives = []
    for r in sorted(roots):
        spec = graph.lines[r].spec
        if isinstance(spec, Spec):
            size = elements(spec.shape) * spec.dtype.itemsize
            lives.append(Life(r, size, fused.where[r], last[r]))
    return lives


