"""From a graph to a program: the passes in order, and the plan that says what runs when and where its numbers lie.

Passes: simplify, and copies where memory must be one's own (graph to graph) → views (what only rearranges) → fuse
(clusters) → lower (loops) → storage (an arena, and what may share memory) → LLVM text.  A graph inside a loop or branch
goes the same way and becomes a part of its own; a line that has no kernel is a call back into NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import DType, Shape, Spec
from chainrule.compile.aliasing import shares
from chainrule.compile.check import checked
from chainrule.compile.fuse import Fused, fuse
from chainrule.compile.llvm import Back, Call, Inner, Module
from chainrule.compile.loops import Kernel, lower
from chainrule.compile.memory import Life, plan
from chainrule.compile.ownership import Pairs, with_own_memory
from chainrule.compile.parts import Key, NumpyCall, Part, Place, Plan
from chainrule.compile.productcall import product_call
from chainrule.compile.regions import Argument, Extra, extras, inner_graphs, region_text
from chainrule.compile.schedule import schedule
from chainrule.compile.simplify import simplify
from chainrule.compile.target import Target, host
from chainrule.compile.views import views
from chainrule.graph.evaluate import nbytes
from chainrule.graph.graph import Constant, Graph

LOOPED = ("pointwise", "row", "column", "move")


def make_plan(graph: Graph, target: Target | None = None, donated: Sequence[int] = ()) -> Plan:
    """Run all passes down to LLVM text.

    ``donated``: inputs whose memory results may take; each is offered to the first result of its shape and dtype.
    """
    graph = simplify(graph)
    planner = _Planner(target or host())
    return planner.plan(graph, _offers(graph, donated))


def _offers(graph: Graph, donated: Sequence[int]) -> Pairs:
    """Each donated input with the first result of its type that no other has."""
    left = list(donated)
    found = []
    for position, spec in enumerate(graph.output_specs):
        match = next((i for i in left if graph.lines[i].spec == spec), None)
        if match is not None:
            left.remove(match)
            found.append((match, position))
    return tuple(found)


class _Planner:
    """What the parts of one program have in common."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.module = Module(target)
        self.parts: dict[tuple[Graph, Pairs], Part] = {}
        self.constants: list[Any] = []
        self.numbers: dict[Constant, int] = {}
        self.callbacks: list[tuple[Part, NumpyCall]] = []
        self.parallel = self.loops = False

    def plan(self, graph: Graph, pairs: Pairs) -> Plan:
        main = self.part(graph, pairs)
        self.module.program(main.name, self.parallel)
        parts, text = list(self.parts.values()), self.module.text()
        return Plan(main, parts, self.constants, self.callbacks, text, self.parallel, self.loops)

    def part(self, graph: Graph, pairs: Pairs) -> Part:
        """The part of a graph; the same for the same graph."""
        key = (graph, pairs)
        if key not in self.parts:
            self.parts[key] = self._make(with_own_memory(graph, pairs), pairs)
        return self.parts[key]

    def _make(self, graph: Graph, pairs: Pairs) -> Part:
        fused = checked(schedule(fuse(graph, views(graph)), self.target, pairs))
        kernels = {n: lower(fused, n) for n, c in enumerate(fused.clusters) if c.kind in LOOPED}
        inner = {
            c.lines[0]: [self.part(*x) for x in inner_graphs(graph.lines[c.lines[0]])]
            for c in fused.clusters
            if c.kind == "region"
        }
        part = checked(_Storage(self, fused, kernels, inner).part(f"part{len(self.parts)}.{len(graph)}", pairs))
        steps: list[Call | Inner | Back] = []
        for number, cluster in enumerate(fused.clusters):
            if number in kernels:
                steps.append(self.module.add(kernels[number]))
            elif cluster.kind == "product":
                steps.append(product_call(fused, number, self.target, self.module))
            elif cluster.kind == "region":
                steps.append(self._region(part, cluster.lines[0]))
            else:
                steps.append(Back(len(self.callbacks)))
                self.callbacks.append((part, _numpy_call(graph, cluster.lines[0])))
        if fused.alone:
            steps = [step._replace(parts=1) if isinstance(step, Call) else step for step in steps]
        self.parallel |= any(group.kind != "alone" for group in fused.groups)
        self.parallel |= any(isinstance(s, Call) and s.parts > 1 for s in steps)
        self.module.part(part.name, steps, lambda buffer: part.places[buffer].slot, fused.groups)
        return part

    def _region(self, part: Part, index: int) -> Inner:
        line = part.graph.lines[index]
        self.loops |= line.op.name in ("scan", "while_loop")
        arguments = []
        for a in line.args:
            view = part.fused.views[a]
            assert view is not None
            arguments.append(Argument(view, part.graph.lines[a].spec))
        name = f"region{len(self.parts)}.{part.name}.{index}"
        made = region_text(name, index, line, part.inner[index], arguments, results(part.graph, index))
        self.module.bodies.append(made.text)
        return Inner(name, made.buffers)

    def number(self, constant: Constant) -> int:
        """The number of a constant array in the program."""
        if constant not in self.numbers:
            self.numbers[constant] = len(self.constants)
            self.constants.append(np.ascontiguousarray(constant.array))
        return self.numbers[constant]


def results(graph: Graph, index: int) -> list[Key]:
    """Whose buffers the results of a loop or branch go to: the lines that take them, or the loop where none does."""
    found: list[Key] = [(index, "result", k) for k in range(len(graph.lines[index].spec))]
    for i in range(index + 1, len(graph.lines)):
        line = graph.lines[i]
        if line.op.name == "item" and line.args == (index,):
            found[dict(line.attrs)["position"]] = i
    return found


def _numpy_call(graph: Graph, index: int) -> NumpyCall:
    line = graph.lines[index]
    return NumpyCall(index, line.op.bind(dict(line.attrs)), line.args)


class _Storage:
    """A place for every buffer of a part: inputs, outputs, constant arrays, temporaries in the arena; in this order."""

    def __init__(self, planner: _Planner, fused: Fused, kernels: dict[int, Kernel],
                 inner: dict[int, list[Part]]) -> None:  # fmt: skip
        self.planner, self.fused, self.graph = planner, fused, fused.graph
        self.kernels, self.inner = kernels, inner
        self.places: dict[Key, Place] = {}
        turns = fused.turns()
        self.turn = {index: turns[number] for index, number in fused.where.items()}

    def part(self, name: str, pairs: Pairs) -> Part:
        graph = self.graph
        for i, spec in enumerate(graph.input_specs):
            self._add(i, "input", spec.shape, spec.dtype, i)
        for position, out in enumerate(graph.outputs):
            if (root := self._root(out)) >= graph.inputs:
                self._add(root, "output", graph.lines[out].spec.shape, graph.lines[out].spec.dtype, position)
        for i, line in enumerate(graph.lines):
            if line.op.name == "constant":
                self._add(i, "constant", line.spec.shape, line.spec.dtype, self.planner.number(line.attrs[0][1]))
        for parts in self.inner.values():
            for number in (n for part in parts for n in part.constants.values()):
                if ("constant", number) not in self.places:
                    array = self.planner.constants[number]
                    self._add(("constant", number), "constant", array.shape, array.dtype, number)
        offsets, arena = plan(self._lives())
        for key, offset in offsets.items():
            if isinstance(key, int):
                self._add(key, "temporary", graph.lines[key].spec.shape, graph.lines[key].spec.dtype, offset)
            else:
                self._add(key, "temporary", (), np.dtype(np.uint8), offset)
        shared = {o: i for i, o in pairs if graph.outputs[o] == i or self._may_share(i, self._root(graph.outputs[o]))}
        return Part(name, graph, self.fused, self.kernels, self.places, arena, shared, self.inner)

    def _add(self, key: Key, kind: str, shape: Shape, dtype: DType, detail: int) -> None:
        self.places[key] = Place(kind, len(self.places), shape, dtype, detail)

    def _root(self, index: int) -> int:
        view = self.fused.views[index]
        return index if view is None else view.root

    def _lives(self) -> list[Life]:
        fused, graph = self.fused, self.graph
        roots = {i for i in fused.stored if i not in self.places and isinstance(graph.lines[i].spec, Spec)}
        last = {r: self.turn[r] for r in roots}
        for index, turn in self.turn.items():
            for root in map(self._root, graph.lines[index].args):
                if root in last:
                    last[root] = max(last[root], turn)
        lives = []
        for r in sorted(roots):
            lives.append(Life(r, nbytes(graph.lines[r].spec), self.turn[r], last[r]))
        for index in self.inner:
            number = self.turn[index]
            lives += [Life(x.key, x.size, number, number) for x in self._extras(index)]
        return lives

    def _extras(self, index: int) -> list[Extra]:
        """Memory for a loop or branch while it runs, results that nobody takes among it."""
        line = self.graph.lines[index]
        unused = [Extra(key, nbytes(spec))
                  for key, spec in zip(results(self.graph, index), line.spec, strict=True)
                  if not isinstance(key, int)]  # fmt: skip
        return unused + extras(index, line, self.inner[index])

    def _may_share(self, read: int, stored: int) -> bool:
        """Whether the output ``stored`` may be written onto the input ``read``: nobody reads that later."""
        writer = self.fused.where.get(stored)
        if writer is None:
            return False
        turn = self.turn[stored]
        for index, number in self.fused.where.items():
            if self.turn[index] >= turn and read in map(self._root, self.graph.lines[index].args):
                if number != writer:
                    return False
                if self.fused.clusters[number].kind == "region":
                    if not self._is_carry(self.fused.clusters[number].lines[0], read, stored):
                        return False
                elif not shares(self.fused, number, read, stored, self.kernels.get(number)):
                    return False
        return True

    def _is_carry(self, index: int, read: int, stored: int) -> bool:
        """Whether ``read`` is nothing to a loop but where the carry starts whose end is ``stored``."""
        line = self.graph.lines[index]
        if line.op.name not in ("scan", "while_loop") or [self._root(a) for a in line.args].count(read) != 1:
            return False
        attrs: dict[str, Any] = dict(line.attrs)
        if line.op.name == "scan":
            first, count = attrs["consts"], attrs["carries"]
        else:
            first, count = attrs["test_consts"] + attrs["body_consts"], len(attrs["body"].outputs)
        taken = results(self.graph, index)[:count]
        position = [self._root(a) for a in line.args].index(read) - first
        return bool(0 <= position < count and taken[position] == stored and line.args[first + position] == read)


