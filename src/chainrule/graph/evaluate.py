"""The NumPy meaning of every graph: one call per line, in order, each value freed after its last use.

The plan of a graph (functions, argument positions, what to free) is made once and kept with the graph.
NumPy's floating-point warnings are silent here: a derivative may be infinite on purpose (sqrt at 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec
from chainrule.base.collector import without_collector
from chainrule.base.errors import GraphError, ShapeError
from chainrule.graph.graph import Graph, last_uses
from chainrule.graph.memo import remembered

Step = tuple[Any, tuple[int, ...], int, tuple[int, ...]]


@remembered
@without_collector
def plan(graph: Graph) -> tuple[Step, ...]:
    """(function, argument lines, output line, lines to free) for every line that is not an input."""
    count = len(graph.lines)
    frees: dict[int, list[int]] = {}
    for index, user in enumerate(last_uses(graph)):
        if user < count:
            frees.setdefault(user, []).append(index)
    steps = []
    for index in range(graph.inputs, count):
        line = graph.lines[index]
        run = line.op.bind(dict(line.attrs)) if line.attrs else line.op.run
        steps.append((run, line.args, index, tuple(frees.get(index, ()))))
    return tuple(steps)


def evaluate(graph: Graph, arrays: Sequence[Any]) -> list[Any]:
    """The outputs of ``graph`` for the concrete inputs ``arrays``.

    Raises ShapeError when an input has another shape or dtype than the graph was made for.  Other errors of NumPy
    (a singular matrix) pass through with the user's source line as a note.
    """
    check_inputs(graph, arrays)
    return run_plan(graph, list(arrays))


def run_plan(graph: Graph, arrays: list[Any]) -> list[Any]:
    """:func:`evaluate` without looking at the inputs."""
    values: list[Any] = arrays + [None] * (len(graph.lines) - graph.inputs)
    index = 0
    with np.errstate(all="ignore"):
        try:
            for run, args, index, frees in plan(graph):
                if len(args) == 2:
                    values[index] = run(values[args[0]], values[args[1]])
                elif len(args) == 1:
                    values[index] = run(values[args[0]])
                else:
                    values[index] = run(*[values[a] for a in args])
                for i in frees:
                    values[i] = None
        except Exception as error:
            line = graph.lines[index]
            error.add_note(f"in {line.op.name}, from {line.source or 'no line of the user'}")
            raise
    return [values[i] for i in graph.outputs]


def check_inputs(graph: Graph, arrays: Sequence[Any]) -> None:
    """Raise ShapeError unless ``arrays`` have the shapes and dtypes of the inputs of ``graph``."""
    if len(arrays) != graph.inputs:
        raise ShapeError(
            "wrong number of inputs",
            expected=graph.inputs,
            got=len(arrays),
            fix="pass one array per input of the graph",
        )
    for position, (array, spec) in enumerate(zip(arrays, graph.input_specs, strict=True)):
        found = Spec(np.shape(array), array.dtype if hasattr(array, "dtype") else np.asarray(array).dtype)
        if found != spec:
            name = graph.input_name(position) or f"input {position}"
            raise ShapeError(
                f"{name} is not what the graph was traced for",
                expected=spec,
                got=found,
                fix="trace the function again for these shapes and dtypes, or convert the array",
            )


def peak_bytes(graph: Graph) -> int:
    """The most bytes alive at once while the graph is evaluated, its inputs counted, views not told from copies."""
    last = last_uses(graph)
    ends: dict[int, list[int]] = {}
    for index, user in enumerate(last):
        ends.setdefault(user, []).append(index)
    alive = peak = sum(nbytes(line.spec) for line in graph.lines[: graph.inputs])
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        inner = [value for _, value in line.attrs if isinstance(value, Graph)]
        alive += nbytes(line.spec)
        # An inner graph (checkpoint, scan) has a peak of its own while it runs; its inputs are counted out here.
        extra = max((peak_bytes(g) - sum(nbytes(s) for s in g.input_specs) for g in inner), default=0)
        peak = max(peak, alive + extra)
        for dead in ends.get(index, ()):
            alive -= nbytes(graph.lines[dead].spec)
    return peak


def nbytes(spec: Any) -> int:
    """Bytes of an array of this Spec (of all of them, for several)."""
    if isinstance(spec, Spec):
        return int(np.prod(spec.shape, dtype=np.int64)) * spec.dtype.itemsize
    return sum(nbytes(s) for s in spec)


def check_same(graph: Graph, other: Graph) -> None:
    """Raise GraphError, naming the first line that differs, unless two graphs are equal."""
    for index, (a, b) in enumerate(zip(graph.lines, other.lines, strict=False)):
        if a != b:
            raise GraphError(f"line %{index} differs", expected=a, got=b)
    if graph != other:
        raise GraphError("graphs differ in inputs, outputs or length", expected=repr(graph), got=repr(other))
