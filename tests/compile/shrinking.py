"""A failing program made small: fewer outputs, earlier ones, then fewer lines, as long as it still fails.

A line is cut off by making it an input that is given the value it had (so what fails keeps its numbers), all lines up
to a place first, then line by line.  Delta debugging (Zeller & Hildebrandt, 2002), without looking for the least one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Graph

Fails = Callable[[Graph, list[Any]], str]


def _values(graph: Graph, args: Sequence[Any]) -> list[Any]:
    values: list[Any] = list(args)
    with np.errstate(all="ignore"):
        for line in graph.lines[graph.inputs :]:
            values.append(line.op.bind(dict(line.attrs))(*[values[a] for a in line.args]))
    return values


def cut(
    graph: Graph, values: Sequence[Any], outputs: Sequence[int], given: Collection[int]
) -> tuple[Graph, list[Any]]:
    """The lines that ``outputs`` need, with those in ``given`` as inputs, and the arguments."""
    start = {i for i in given if isinstance(graph.lines[i].spec, Spec) and graph.lines[i].op.name != "constant"}
    start |= set(range(graph.inputs))
    needed, pending = set(), list(outputs)
    while pending:
        index = pending.pop()
        if index not in needed:
            needed.add(index)
            pending += [] if index in start else graph.lines[index].args
    builder, new, args = Builder(), {}, []
    for index in sorted(needed & start):
        spec = graph.lines[index].spec
        new[index] = builder.input(spec, f"v{index}").index
        args.append(np.asarray(values[index], spec.dtype))
    for index in sorted(needed - start):
        line = graph.lines[index]
        new[index] = builder.append(line.op, tuple(new[a] for a in line.args), line.attrs, line.spec)
    return builder.finish([builder.handle(builder, new[o]) for o in outputs])[0], args


def shrunk(graph: Graph, args: list[Any], fails: Fails, seconds: float = 60.0) -> tuple[Graph, list[Any], str]:
    """A smaller failing program, its arguments, and what is wrong with it."""
    until = time.monotonic() + seconds
    values = _values(graph, args)
    message = fails(graph, args)
    best, outputs, given = (graph, args), list(graph.outputs), frozenset[int]()

    def still(outputs: Sequence[int], given: Collection[int]) -> bool:
        nonlocal best, message
        if time.monotonic() > until:
            return False
        tried = cut(graph, values, outputs, given)
        wrong = fails(*tried)
        if wrong:
            best, message = tried, wrong
        return bool(wrong)

    size = len(outputs) // 2
    while size and len(outputs) > 1:  # leave out runs of outputs, shorter and shorter ones
        at = 0
        while at < len(outputs):
            fewer = outputs[:at] + outputs[at + size :]
            if fewer and still(fewer, given):
                outputs = fewer
            else:
                at += size
        size = min(size // 2, len(outputs) - 1)
    at = 0
    while at < len(outputs):  # an output that fails because of what it is made of: look at that instead
        line = graph.lines[outputs[at]]
        inner = [a for a in line.args if isinstance(graph.lines[a].spec, Spec) and graph.lines[a].op.name != "constant"]
        moved = ([*outputs[:at], a, *outputs[at + 1 :]] for a in inner if outputs[at] >= graph.inputs)
        found = next((tried for tried in moved if still(tried, given)), None)
        outputs, at = (outputs, at + 1) if found is None else (found, at)
    low, high = 0, len(graph.lines)
    while high - low > 1:  # as many first lines as possible are given
        middle = (low + high) // 2
        if still(outputs, frozenset(range(middle))):
            low, given = middle, frozenset(range(middle))
        else:
            high = middle
    for index in range(len(graph.lines) - 1, low - 1, -1):
        if index not in outputs and still(outputs, given | {index}):
            given |= {index}
    return *best, message
