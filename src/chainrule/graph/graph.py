"""The Wengert list (Wengert, 1964): the only program representation between the user's function and machine code.

A ``Graph`` is a frozen tuple of lines, each ``(op, argument lines, attributes, type, source line, of)``.  The order of
lines is the topological order, so backpropagation is ``reversed``, liveness is an interval, printing is a loop and
equality is a hash.  The first lines are the inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.base.arrays import Array, Spec

if TYPE_CHECKING:
    from chainrule.ops.record import Op


class Source(NamedTuple):
    """A line of the user's code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


class Constant:
    """An array held inside a graph: frozen, compared and hashed by its bytes (so -0.0 is not 0.0, and NaN is NaN)."""

    __slots__ = ("_key", "array")

    def __init__(self, array: Any) -> None:
        value = np.array(array)
        value.flags.writeable = False
        self.array: Array = value
        self._key = (value.dtype.str, value.shape, value.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Constant({self.array!r})"


class Line(NamedTuple):
    """One line: ``op`` on the lines ``args``, with ``attrs`` as sorted (name, value) pairs.

    ``spec`` is the type of its value (a tuple of Specs for an op with several outputs); ``source`` the user's line it
    comes from; ``of`` is, on a line of the backward pass, (the forward line, the argument whose cotangent it serves).
    """

    op: Op
    args: tuple[int, ...]
    attrs: tuple[tuple[str, Any], ...]
    spec: Any
    source: Source | None = None
    of: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Graph:
    """Lines, of which the first ``inputs`` are the inputs, and the lines whose values are the outputs."""

    lines: tuple[Line, ...]
    inputs: int
    outputs: tuple[int, ...]
    names: tuple[str, ...] = ()

    @cached_property
    def _key(self) -> tuple[Any, ...]:
        return self.lines, self.inputs, self.outputs, self.names

    @cached_property
    def _hash(self) -> int:
        return hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Graph) and self._hash == other._hash and self._key == other._key
        )

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def input_specs(self) -> tuple[Spec, ...]:
        """The types of the inputs."""
        return tuple(line.spec for line in self.lines[: self.inputs])

    @property
    def output_specs(self) -> tuple[Spec, ...]:
        """The types of the outputs."""
        return tuple(self.lines[i].spec for i in self.outputs)

    def input_name(self, position: int) -> str:
        """The name of an input; empty where it has none."""
        return self.names[position] if self.names else ""

    def __str__(self) -> str:
        from chainrule.graph.text import to_text

        return to_text(self)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.lines)} lines, {self.inputs} inputs, {len(self.outputs)} outputs>"

    def __call__(self, *arrays: Any) -> list[Any]:
        """Evaluate with NumPy; see :func:`chainrule.graph.evaluate.evaluate`."""
        from chainrule.graph.evaluate import evaluate

        return evaluate(self, arrays)


def live_lines(lines: Any, outputs: Any) -> list[bool]:
    """Which lines the outputs need: one backward sweep."""
    live = [False] * len(lines)
    for index in outputs:
        live[index] = True
    for index in range(len(lines) - 1, -1, -1):
        if live[index]:
            for arg in lines[index].args:
                live[arg] = True
    return live


def last_uses(graph: Graph) -> list[int]:
    """For each line, the last line that reads it (its own index if none); outputs live to the end (``len(graph)``)."""
    last = list(range(len(graph.lines)))
    for index, line in enumerate(graph.lines):
        for arg in line.args:
            last[arg] = index
    for index in graph.outputs:
        last[index] = len(graph.lines)
    return last
