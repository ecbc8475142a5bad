"""What the compiler plans: a part for each graph (the program's own, and those inside its loops and branches).

A part is one native function ``i32 (ptr buffers, ptr context)``.  ``buffers`` is its table of pointers, one slot for
each ``Place``; 0 is success.  Parts of the same graph are one part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chainrule.base.arrays import DType, Shape
from chainrule.compile.fuse import Fused
from chainrule.compile.loops import Kernel
from chainrule.graph.graph import Graph

# Whose buffer it is: a line of the graph, or something that a loop or branch needs: (line, what, number).
Key = Any


@dataclass(frozen=True)
class Place:
    """Where numbers lie: ``kind`` is input, output, constant or temporary; ``slot`` its pointer in the table.

    ``detail`` is the position of the input or output, the number of the constant, or the offset in the arena in bytes.
    """

    kind: str
    slot: int
    shape: Shape
    dtype: DType
    detail: int


@dataclass(frozen=True)
class NumpyCall:
    """A line computed by NumPy: ``run`` on views of what it reads; several results stay Python objects."""

    index: int
    run: Callable[..., Any]
    args: tuple[int, ...]


@dataclass
class Part:
    """One graph as one native function.

    ``shared``: outputs that lie in the memory of an input (output position → input position).
    ``constants``: slots of constant arrays → their number in the program.
    """

    name: str
    graph: Graph
    fused: Fused
    kernels: dict[int, Kernel]
    places: dict[Key, Place]
    arena: int
    shared: dict[int, int]
    inner: dict[int, list[Part]] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """How many pointers the native function takes."""
        return len(self.places)

    @property
    def constants(self) -> dict[int, int]:
        """Slot → number of the constant, for all constant arrays that this part's table holds."""
        return {p.slot: p.detail for p in self.places.values() if p.kind == "constant"}

    def outputs(self) -> list[Place | None]:
        """The place of every output; None for one that is an input passed on in its own memory."""
        by_position = {p.detail: p for p in self.places.values() if p.kind == "output"}
        return [by_position.get(i) for i in range(len(self.graph.outputs))]


@dataclass
class Plan:
    """All of a program but its machine code: ``text`` defines the native function ``program``."""

    main: Part
    parts: list[Part]
    constants: list[Any]
    callbacks: list[tuple[Part, NumpyCall]]
    text: str
    parallel: bool  # whether any kernel is cut into parts for threads
    loops: bool  # whether it may run long, so that it looks for interrupts

    @property
    def graph(self) -> Graph:
        """The graph that is run, after all rewrites."""
        return self.main.graph

    @property
    def fused(self) -> Fused:
        """The clusters of the program's own graph."""
        return self.main.fused

    @property
    def kernels(self) -> dict[int, Kernel]:
        """The loops of the program's own clusters."""
        return self.main.kernels

    @property
    def places(self) -> dict[Key, Place]:
        """The buffers of the program's own graph."""
        return self.main.places

    @property
    def arena(self) -> int:
        """Bytes of temporaries, those of loops and branches included."""
        return self.main.arena
