"""The layers of a network, read from the graph of its loss: no hooks, no base class, any tree of parameters.

A *block* is what textbooks call z = h·W + b: products of data with parameters, the sums of such products and of
biases, up to the last sum.  Its *activation* is the elementwise function that follows.  Blocks that use the same
weights are one *layer* (a recurrent one where a use depends on the use before: its uses are time steps).  The *level*
of a layer is the number of layers on the longest way from the data to it.

Does not do: weights that are used inside a branch (``cond``), or only elementwise while others are multiplied as
matrices (the scale of a normalisation): those are parameters of no layer.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec, is_differentiable
from chainrule.diagnose.shapes import Curve, curve_of, known_curve
from chainrule.graph.builder import Builder
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.nn.layers import layer_of
from chainrule.ops.expr import Expr

# Lines that move values without changing them.
MOVES = frozenset({"reshape", "transpose", "index", "broadcast_to", "cast", "item", "stop_gradient"})
_OUTPUT_CURVES = ("sigmoid", "tanh", "relu")


@dataclasses.dataclass(frozen=True)
class Activation:
    """An elementwise function from the line ``before`` to the line ``after``."""

    before: int
    after: int
    curve: Curve


@dataclasses.dataclass(frozen=True)
class Block:
    """One use of a layer: ``data`` (line of h) → ``z`` (pre-activation) → ``activations``."""

    z: int
    data: tuple[int, ...]
    weights: tuple[int, ...]  # inputs of the graph: matrices
    biases: tuple[int, ...]
    activations: tuple[Activation, ...]
    parents: tuple[int, ...]  # positions of the blocks that h depends on directly


@dataclasses.dataclass(frozen=True)
class Layer:
    """Blocks (by position) that share their weights; ``recurrent`` where each depends on the one before."""

    name: str
    blocks: tuple[int, ...]
    weights: tuple[int, ...]
    biases: tuple[int, ...]
    level: int
    recurrent: bool
    output: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A graph of a loss whose first ``parameters`` inputs are the model's leaves, and what was found in it."""

    graph: Graph
    parameters: int
    paths: tuple[str, ...]
    blocks: tuple[Block, ...]
    layers: tuple[Layer, ...]
    owner: tuple[int, ...]  # of each line, the position of the block it comes after, or -1

    @cached_property
    def users(self) -> list[list[int]]:
        """For each line, the lines that read it."""
        return users_of(self.graph)

    @property
    def depth(self) -> list[list[Layer]]:
        """The layers of each level, from the data to the loss."""
        top = max((layer.level for layer in self.layers), default=-1)
        return [[layer for layer in self.layers if layer.level == level] for level in range(top + 1)]

    @property
    def outputs(self) -> list[Layer]:
        """The layers that no other layer comes after."""
        return [layer for layer in self.layers if layer.output]

    def parameter_layer(self, parameter: int) -> str:
        """The name of the layer that parameter belongs to."""
        for layer in self.layers:
            if parameter in layer.weights or parameter in layer.biases:
                return layer.name
        return layer_of(self.paths[parameter])


def users_of(graph: Graph) -> list[list[int]]:
    """For each line of ``graph``, the lines that read it, in order."""
    users: list[list[int]] = [[] for _ in graph.lines]
    for index, line in enumerate(graph.lines):
        for arg in dict.fromkeys(line.args):
            users[arg].append(index)
    return users


def reached(graph: Graph, start: Sequence[int]) -> list[bool]:
    """Which lines depend on the lines ``start``."""
    marks = [False] * len(graph.lines)
    for i in start:
        marks[i] = True
    for index in range(graph.inputs, len(graph.lines)):
        marks[index] = marks[index] or any(marks[a] for a in graph.lines[index].args)
    return marks


def read_network(graph: Graph, paths: Sequence[str], values: Sequence[Any]) -> Network:
    """The layers of ``graph``, whose first inputs are the parameters called ``paths``; ``values`` are of all inputs."""
    return _Reader(graph, tuple(paths), list(values)).network()


class _Reader:
    """The passes that find blocks; each is one sweep over the lines."""

    def __init__(self, graph: Graph, paths: tuple[str, ...], values: list[Any]) -> None:
        self.graph, self.paths, self.values = graph, paths, values
        count = len(paths)
        self.users = users_of(graph)
        self.data = reached(graph, range(count, graph.inputs))
        self.model = reached(graph, range(count))
        # Parameters a line is made of, where it is made of parameters and constants alone.
        self.made_of: list[frozenset[int]] = [frozenset({i}) if i < count else frozenset() for i in range(graph.inputs)]
        for index in range(graph.inputs, len(graph.lines)):
            args = graph.lines[index].args
            known = not self.data[index]
            self.made_of.append(frozenset().union(*(self.made_of[a] for a in args)) if known else frozenset())

    def network(self) -> Network:
        sites = self._sites(("bilinear",)) or self._sites(("bilinear", "mul"))
        ends: dict[int, list[int]] = {}
        for site in sites:
            ends.setdefault(self._end(site, set(sites)), []).append(site)
        found = [(z, ends[z]) for z in sorted(ends)]
        owner = self._owners(found)
        blocks = tuple(self._block(z, sites, owner, len(found)) for z, sites in found)
        blocks = self._with_inner_activations(blocks, owner)
        layers = self._layers(blocks)
        return Network(self.graph, len(self.paths), self.paths, blocks, layers, tuple(owner))

    def _sites(self, kinds: tuple[str, ...]) -> list[int]:
        """Lines in which data meets a parameter: products, and rows looked up in a table."""
        sites = []
        for index in range(self.graph.inputs, len(self.graph.lines)):
            line = self.graph.lines[index]
            if not self.data[index] or len(line.args) < 2:
                continue
            parts = [self.made_of[a] for a in line.args[:2]]
            matrix = any(self._dimensions(i) >= 2 for part in parts for i in part)
            product = line.op.kind in kinds and matrix and bool(parts[0]) != bool(parts[1])
            scaled = line.op.name in kinds and bool(parts[0]) != bool(parts[1])
            looked_up = line.op.name == "gather" and matrix and bool(parts[0])
            if product or looked_up or scaled:
                sites.append(index)
        return sites

    def _dimensions(self, parameter: int) -> int:
        return len(self.graph.lines[parameter].spec.shape)

    def _end(self, site: int, sites: set[int]) -> int:
        """The last line of the sum that a product is part of."""
        current = site
        while True:
            after = self.users[current]
            if len(after) != 1:
                return current
            line = self.graph.lines[after[0]]
            if line.op.name in ("reshape", "transpose") and current in sites:
                current = after[0]  # einsum puts the axes of its product in order
                continue
            others = [a for a in line.args if a != current]
            if line.op.name not in ("add", "sub") or not others or not self._affine(others[0], sites):
                return current
            current = after[0]

    def _affine(self, index: int, sites: set[int]) -> bool:
        """Whether a line is a term of a pre-activation: parameters, or another product that goes nowhere else."""
        while index not in sites:
            if not self.data[index]:
                return True
            line = self.graph.lines[index]
            if line.op.name not in ("add", "reshape", "transpose") or len(self.users[index]) > 1:
                return False
            terms = [a for a in line.args if self.data[a]]
            if len(terms) != 1:
                return bool(terms) and all(t in sites and len(self.users[t]) == 1 for t in terms)
            index = terms[0]
        return len(self.users[index]) == 1

    def _owners(self, found: list[tuple[int, list[int]]]) -> list[int]:
        """Of each line the last block on its way; a block's own lines come after the blocks of its inputs only."""
        owner = [-1] * len(self.graph.lines)
        at = {z: position for position, (z, _) in enumerate(found)}
        for index in range(self.graph.inputs, len(self.graph.lines)):
            args = self.graph.lines[index].args
            owner[index] = at[index] if index in at else max((owner[a] for a in args), default=-1)
        return owner

    def _block(self, z: int, sites: list[int], owner: list[int], count: int) -> Block:
        leaves: set[int] = set()
        for line in self._sum_lines(z, sites):
            for arg in self.graph.lines[line].args:
                leaves |= self.made_of[arg]
        data = tuple(
            next((a for a in self.graph.lines[s].args[:2] if not self.made_of[a]), self.graph.lines[s].args[-1])
            for s in sites
        )
        ordered = sorted(leaves)
        weights = tuple(i for i in ordered if self._dimensions(i) >= 2) or tuple(ordered[-1:])
        biases = tuple(i for i in ordered if i not in weights)
        return Block(z, data, weights, biases, self._activation(z), self._parents(data, z, owner))

    def _sum_lines(self, z: int, sites: list[int]) -> list[int]:
        """The lines of a block, from its products to z."""
        lines, stack = set(sites), [z]
        while stack:
            index = stack.pop()
            if index in lines or not self.data[index]:
                continue
            lines.add(index)
            stack.extend(a for a in self.graph.lines[index].args)
        return sorted(lines)

    def _parents(self, data: Sequence[int], z: int, owner: list[int]) -> tuple[int, ...]:
        """The blocks that are met first on all ways back from ``data``."""
        found: set[int] = set()
        seen: set[int] = set()
        ends = self._ends_by_line(owner)
        stack = list(data)
        while stack:
            index = stack.pop()
            if index in seen or owner[index] < 0:
                continue
            seen.add(index)
            if index in ends:
                found.add(owner[index])
            else:
                stack.extend(self.graph.lines[index].args)
        return tuple(sorted(found))

    def _ends_by_line(self, owner: list[int]) -> set[int]:
        """The z lines: those whose owner none of their arguments has."""
        if not hasattr(self, "_ends"):
            self._ends = {
                i for i in range(self.graph.inputs, len(owner))
                if owner[i] >= 0 and all(owner[a] != owner[i] for a in self.graph.lines[i].args)
            }  # fmt: skip
        return self._ends

    def _is_float(self, index: int) -> bool:
        spec = self.graph.lines[index].spec
        return isinstance(spec, Spec) and is_differentiable(spec.dtype)

    def _region(self, z: int) -> list[int]:
        """Lines computed elementwise from z, parameters and constants alone."""
        shape = self.graph.lines[z].spec.shape
        inside = {z}
        stack = [z]
        while stack:
            for user in self.users[stack.pop()]:
                line = self.graph.lines[user]
                elementwise = line.op.kind == "pointwise" or line.op.name in ("where", "cast")
                if user in inside or not elementwise or line.spec.shape != shape:
                    continue
                if all(a in inside or not self.data[a] for a in line.args):
                    inside.add(user)
                    stack.append(user)
        return sorted(inside)

    def _activation(self, z: int) -> tuple[Activation, ...]:
        """The elementwise function after z, from the line whose values go on into the network."""
        z = self._moved(z)
        region = self._region(z)
        inside = set(region)
        floats = [i for i in region if i != z and self._is_float(i)]
        exits = [i for i in floats if any(u not in inside for u in self.users[i]) or i in self.graph.outputs]
        named = [(i, self._curve(z, i)) for i in floats]
        # A loss goes on elementwise (log p, 1 - p): there the activation is the first curve that is known.
        goes_on = bool(exits) and self._meets_layer(exits[-1])
        if not goes_on:
            for i, curve in named:
                if curve.name in _OUTPUT_CURVES:
                    return (Activation(z, i, curve),)
            return ()
        after = exits[-1]
        curve = dict(named)[after]
        return () if curve.name == "identity" else (Activation(z, after, curve),)

    def _moved(self, z: int) -> int:
        """z, or the line that only brings it into another shape: outputs (n, 1) are often read as (n,)."""
        size = np.prod(self.graph.lines[z].spec.shape)
        while len(self.users[z]) == 1:
            line = self.graph.lines[self.users[z][0]]
            if line.op.name not in ("reshape", "index", "transpose") or np.prod(line.spec.shape) != size:
                break
            z = self.users[z][0]
        return z

    def _meets_layer(self, index: int) -> bool:
        """Whether the values of a line reach another product with parameters."""
        if not hasattr(self, "_feeds"):
            feeds = [False] * len(self.graph.lines)
            for i in range(len(self.graph.lines) - 1, -1, -1):
                feeds[i] = any(
                    feeds[u] or (self.graph.lines[u].op.kind == "bilinear"
                                 and any(self.made_of[a] for a in self.graph.lines[u].args))
                    for u in self.users[i]
                )  # fmt: skip
            self._feeds = feeds
        return self._feeds[index]

    def _curve(self, before: int, after: int) -> Curve:
        """The curve of the piece of graph between two lines of one shape, tried on a grid of values."""
        piece, kept = piece_between(self.graph, (before,), after)
        spec: Spec = self.graph.lines[before].spec
        size = int(np.prod(spec.shape))
        others = [self.known(i) for i in kept]

        def function(grid: Any) -> Any:
            out = np.empty(len(grid))
            for low in range(0, len(grid), max(size, 1)):
                part = grid[low : low + size]
                given = np.resize(part, size).reshape(spec.shape).astype(spec.dtype)
                out[low : low + size] = np.ravel(run_plan(piece, [given, *others])[0])[: len(part)]
            return out

        return curve_of(function) if size > 0 else known_curve("identity")

    def known(self, index: int) -> Any:
        """The value of a line that no data goes into."""
        while len(self.values) <= index:
            self.values.append(None)
        if self.values[index] is None:
            line = self.graph.lines[index]
            with np.errstate(all="ignore"):
                args = [self.known(a) for a in line.args]
                self.values[index] = line.op.run(*args, **dict(line.attrs))
        return self.values[index]

    def _with_inner_activations(self, blocks: tuple[Block, ...], owner: list[int]) -> tuple[Block, ...]:
        """Blocks whose activation does not follow at once (gates of one product, a normalisation between)."""
        bare = {position for position, block in enumerate(blocks) if not block.activations}
        found: dict[int, list[Activation]] = {}
        for index in range(self.graph.inputs, len(self.graph.lines)):
            line = self.graph.lines[index]
            if owner[index] in bare and line.op.name in ("tanh", "sigmoid") and self._meets_layer(index):
                found.setdefault(owner[index], []).append(Activation(line.args[0], index, known_curve(line.op.name)))
            elif owner[index] in bare and line.op.name in ("where", "maximum") and self._meets_layer(index):
                source = next((a for a in line.args if self._is_float(a)
                               and self.data[a] and self.graph.lines[a].spec == line.spec), None)  # fmt: skip
                if source is not None and index in self._region(source) and self._curve(source, index).rectifies:
                    found.setdefault(owner[index], []).append(Activation(source, index, known_curve("relu")))
        return tuple(
            dataclasses.replace(block, activations=tuple(found.get(position, block.activations)))
            for position, block in enumerate(blocks)
        )

    def _layers(self, blocks: tuple[Block, ...]) -> tuple[Layer, ...]:
        groups: dict[tuple[int, ...], list[int]] = {}
        for position, block in enumerate(blocks):
            groups.setdefault(block.weights, []).append(position)
        ancestors = _ancestors(blocks)
        layer_at = {position: weights for weights, uses in groups.items() for position in uses}
        levels: dict[tuple[int, ...], int] = {}
        for weights, uses in groups.items():
            before = [levels[layer_at[p]] for p in ancestors[uses[0]] if layer_at[p] != weights]
            levels[weights] = 1 + max(before, default=-1)
        feeding = {layer_at[p] for position, block in enumerate(blocks) for p in block.parents
                   if layer_at[p] != layer_at[position]}  # fmt: skip
        layers = []
        for weights, uses in groups.items():
            recurrent = len(uses) > 1 and all(a in ancestors[b] for a, b in itertools.pairwise(uses))
            names = list(dict.fromkeys(layer_of(self.paths[i]) for i in weights))
            biases = tuple(sorted({i for p in uses for i in blocks[p].biases}))
            output = weights not in feeding
            layers.append(
                Layer(" + ".join(names), tuple(uses), weights, biases, levels[weights], recurrent, output)
            )
        return tuple(sorted(layers, key=lambda layer: (layer.level, blocks[layer.blocks[0]].z)))


def _ancestors(blocks: Sequence[Block]) -> list[set[int]]:
    found: list[set[int]] = []
    for block in blocks:
        found.append(set(block.parents).union(*(found[p] for p in block.parents)))
    return found


def piece_between(graph: Graph, starts: Sequence[int], end: int) -> tuple[Graph, list[int]]:
    """The graph from the lines ``starts`` to the line ``end``, and the other lines whose values it needs as inputs."""
    moving = reached(graph, starts)
    needed = {end}
    for index in range(end, -1, -1):
        if index in needed and moving[index] and index not in starts:
            needed.update(graph.lines[index].args)
    builder = Builder()
    new: dict[int, Expr] = {s: builder.input(graph.lines[s].spec) for s in starts}
    kept = [i for i in sorted(needed) if not moving[i] and graph.lines[i].op.name != "constant"]
    for i in kept:
        new[i] = builder.input(graph.lines[i].spec)
    for index in sorted(needed):
        if index not in new:
            line = graph.lines[index]
            args = tuple([new[a].index for a in line.args])
            new[index] = Expr(builder, builder.append(line.op, args, line.attrs, line.spec, line.source))
    return builder.finish([new[end]])[0], kept
