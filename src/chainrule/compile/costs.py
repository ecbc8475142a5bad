"""The cost model: how many arithmetic operations a cluster needs, and how many bytes it must move at least.

Operations are counted per element, each addition, multiplication, division, square root, comparison or selection as
one, a fused multiply-add as two.  A function such as ``exp`` counts what our own vector math computes it with, read off
its LLVM text, so the figure can't grow old.  A matrix product (m, k)·(k, n) is 2·m·k·n.  Copies and integer index
arithmetic are free, and so is what NumPy computes in a call back, as its algorithms are not ours to count.

Bytes are compulsory traffic: each element that is read from, or written to, memory by the cluster, once.  A broadcast
operand counts as it lies in memory; values that stay inside the cluster count nothing.  Both numbers feed the roofline
(Williams, Waterman & Patterson, 2009): no kernel is faster than max(operations / peak, bytes / bandwidth).
Does not do: caches (what a kernel reads twice), the packing of a product's operands, padding of vectors.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from chainrule.base.arrays import DType, Spec
from chainrule.compile.emit import EMITTERS, suffix_of
from chainrule.compile.fuse import REDUCTIONS, Fused
from chainrule.compile.vectormath import NAMES, definition
from chainrule.compile.views import VIEW_OPS, elements
from chainrule.graph.graph import Graph, Line

PHILOX_ROUND = 12  # two wide products, four xors, masks and key steps, per four words
_FREE = frozenset({*VIEW_OPS, "constant", "input", "item", "gather", "unindex", "scatter", "update", "concatenate"})


class Cost(NamedTuple):
    """Arithmetic operations, and bytes read from and written to memory."""

    flops: int = 0
    bytes: int = 0

    def __add__(self, other: tuple[int, ...]) -> Cost:  # type: ignore[override]
        return Cost(self.flops + other[0], self.bytes + other[1])

    def times(self, count: int) -> Cost:
        """The cost of ``count`` runs."""
        return Cost(self.flops * count, self.bytes * count)


def cluster_cost(fused: Fused, number: int) -> Cost:
    """The cost of one run of cluster ``number``."""
    cluster = fused.clusters[number]
    return Cost(sum(line_flops(fused.graph, i) for i in cluster.lines), _bytes_read(fused, number) + sum(
        _size(fused.graph.lines[i].spec) for i in cluster.lines if i in fused.stored
    ))


def line_flops(graph: Graph, index: int) -> int:
    """The arithmetic operations of one line, those of the graphs inside it included."""
    line = graph.lines[index]
    name = line.op.name
    inner = [value for _, value in line.attrs if isinstance(value, Graph)]
    if inner:
        # One branch of a condition runs, which is not known here: the dearer one counts.
        turns = dict(line.attrs).get("length", 1) if name == "scan" else 1
        counts = [graph_flops(g) for g in inner]
        return int(turns) * (max(counts) if name == "cond" else sum(counts))
    if not isinstance(line.spec, Spec) or name in _FREE:
        return 0
    if name == "matmul":
        depth: int = graph.lines[line.args[0]].spec.shape[-1]
        return 2 * depth * elements(line.spec.shape)
    if name in REDUCTIONS or name in ("argmax", "argmin", "cumsum"):
        return elements(graph.lines[line.args[0]].spec.shape)
    if name == "scatter_add":
        return elements(graph.lines[line.args[1]].spec.shape)
    if name == "random_bits":
        return 10 * PHILOX_ROUND * -(-elements(line.spec.shape) // 4)
    return operations(name, graph.lines[line.args[0]].spec.dtype) * elements(line.spec.shape) if line.args else 0


def graph_flops(graph: Graph) -> int:
    """The arithmetic operations of a whole graph."""
    return sum(line_flops(graph, i) for i in range(graph.inputs, len(graph.lines)))


@functools.cache
def operations(name: str, dtype: DType) -> int:
    """Arithmetic operations of a pointwise op on one element; 0 for an op that only NumPy computes."""
    if name in ("cast", "real", "conj"):
        return 0
    if name in NAMES and dtype.kind == "f":
        return _function_operations(name, suffix_of(dtype))
    return 1 if name in EMITTERS or name == "where" else 0


_DEFINITION = re.compile(r"^define [^@]*@([\w.]+)\(.*?\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_ONE = re.compile(r"= (?:f(?:add|sub|mul|div|neg|rem)|fcmp|select)\b|@llvm\.(?:sqrt|rint|floor|trunc|ceil)\.")
_TWO = re.compile(r"@llvm\.fma\.")
_CALL = re.compile(r"call [^@\n]*@(cr\.[\w.]+)\(")


@functools.cache
def _function_operations(name: str, suffix: str) -> int:
    bodies = dict(_DEFINITION.findall(definition(name, suffix)))

    def count(function: str) -> int:
        # The rare paths (sin 1e22) run for arguments that hardly occur: they count nothing.
        text = "" if ".rare." in function else bodies.get(function, "")
        own = len(_ONE.findall(text)) + 2 * len(_TWO.findall(text))
        return own + sum(count(called) for called in _CALL.findall(text))

    return count(f"cr.{name}.{suffix}")


# ------------------------------------------------------------------------------------------------------------- bytes


def _size(spec: Any) -> int:
    """Bytes of a line's value (of all its outputs)."""
    if isinstance(spec, Spec):
        return elements(spec.shape) * spec.dtype.itemsize
    return sum(_size(part) for part in spec)


def _bytes_read(fused: Fused, number: int) -> int:
    """What the cluster reads from memory: per buffer the largest part of it that one line reads."""
    graph = fused.graph
    inside = set(fused.clusters[number].lines)
    parts: dict[int, int] = {}
    for index in fused.clusters[number].lines:
        for position, arg in enumerate(graph.lines[index].args):
            view = fused.views[arg]
            root = arg if view is None else view.root
            if root in inside or (graph.lines[arg].op.name == "constant" and not graph.lines[arg].spec.shape):
                continue
            parts[root] = max(parts.get(root, 0), _part_read(fused, graph.lines[index], position, arg))
    return sum(parts.values())


def _part_read(fused: Fused, line: Line, position: int, arg: int) -> int:
    """Bytes of the memory behind ``arg`` that a line reads."""
    spec, view = fused.graph.lines[arg].spec, fused.views[arg]
    if view is None or not isinstance(spec, Spec):
        return _size(spec)
    if line.op.name == "gather" and position == 0:  # only the rows that are asked for
        return min(_size(spec), _size(line.spec))
    # A stride of 0 walks over one element again and again.
    distinct = elements(tuple(n for n, s in zip(spec.shape, view.strides, strict=True) if s)) if spec.shape else 1
    return min(0 if 0 in spec.shape else distinct, elements(fused.graph.lines[view.root].spec.shape)) * (
        spec.dtype.itemsize
    )
