"""A run of a graph, kept: every value, with the op and the user's line it came from.

The evaluator frees a value after its last use and runs the graphs inside of ``scan``, ``cond``, ``checkpoint`` … as one
op each.  A ``Tape`` keeps all values and unrolls those inner graphs, so that whoever asks "which op made this NaN?"
finds a flat list of elementary ops in the order in which they ran (the Wengert list of this one run).

Two questions about a node are answered without knowing its op, by running it again on changed arguments:
which elements of its arguments an element of its result depends on (put a NaN there and see whether it arrives), and
which of them are non-finite.

Does not unroll loops of more than ``MOST_NODES`` lines in all: those stay one node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.base.arrays import Array
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph, Source
from chainrule.ops.expr import CATALOGUE
from chainrule.ops.record import Op

MOST_NODES = 300_000
"""A tape does not grow beyond about this many nodes: loops that would are kept whole."""

Element = tuple[int, ...]
Path = tuple[tuple[int, str], ...]
"""Where an inner graph stands: (line, attribute) steps from the outermost graph."""


@dataclass(frozen=True)
class Place:
    """A line of a graph: the graph, the line's number in it, and how to get to that graph from the outermost one."""

    graph: Graph
    index: int
    path: Path = ()


@dataclass(frozen=True, eq=False)
class Node:
    """One op that ran.  ``args`` are node numbers; ``of`` is the node whose argument's cotangent it serves."""

    op: Op
    run: Callable[..., Any]
    args: tuple[int, ...]
    value: Any
    source: Source | None
    place: Place
    of: tuple[int, int] | None = None
    steps: tuple[str, ...] = ()
    """The loops it ran in, outermost first: ``("step 3 of scan",)``."""
    part: int | None = None
    """It takes this part of its argument, for one step of a loop."""
    stacked: bool = False
    """It stacks its arguments, the results of the steps of a loop."""


@dataclass
class Tape:
    """All nodes of a run in order; the first ones are the inputs.  ``outputs`` are node numbers."""

    nodes: list[Node] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    _parts: dict[int, list[int]] = field(default_factory=dict)

    def __getitem__(self, number: int) -> Node:
        return self.nodes[number]

    def __len__(self) -> int:
        return len(self.nodes)

    def dependents(self, starts: Sequence[int]) -> set[int]:
        """The nodes that depend on one of ``starts``, these included."""
        found = set(starts)
        for number, node in enumerate(self.nodes):
            if any(a in found for a in node.args):
                found.add(number)
        return found

    def ancestors(self, starts: Sequence[int]) -> set[int]:
        """The nodes that ``starts`` depend on, these included."""
        found = set(starts)
        for number in range(max(starts, default=-1), -1, -1):
            if number in found:
                found.update(self.nodes[number].args)
        return found


def record(graph: Graph, arrays: Sequence[Any]) -> Tape:
    """Run ``graph`` on concrete ``arrays`` and keep everything.  Errors of NumPy pass through."""
    tape = Tape()
    ids = []
    for index, array in enumerate(arrays):
        line = graph.lines[index]
        ids.append(_add(tape, Node(line.op, _given, (), np.asarray(array)[()], None, Place(graph, index))))
    with np.errstate(all="ignore"):
        tape.outputs = _record(tape, graph, ids, (), ())
    return tape


def _given(*arrays: Any) -> Any:
    raise AssertionError("an input has no computation of its own")


def _add(tape: Tape, node: Node) -> int:
    tape.nodes.append(node)
    return len(tape.nodes) - 1


def _record(tape: Tape, graph: Graph, inputs: Sequence[int], path: Path, steps: tuple[str, ...]) -> list[int]:
    """Run the lines of one graph; the node of each output.  A line with several outputs has a list of nodes."""
    ids: list[Any] = list(inputs)
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        attrs = dict(line.attrs)
        if line.op.name == "item" and isinstance(ids[line.args[0]], list):
            ids.append(ids[line.args[0]][attrs["position"]])
            continue
        args = tuple([ids[a] for a in line.args])
        place = Place(graph, index, path)
        inner = _inner(tape, line.op.name, attrs, args, place, steps)
        if inner is not None:
            ids.append(inner)
            continue
        run = line.op.bind(attrs)
        value = run(*[tape[a].value for a in args])
        ids.append(_add(tape, Node(line.op, run, args, value, line.source, place, _forward(line.of, ids), steps)))
    return [ids[i] for i in graph.outputs]


def _forward(of: tuple[int, int] | None, ids: list[Any]) -> tuple[int, int] | None:
    if of is None:
        return None
    node = ids[of[0]]
    if isinstance(node, list):
        return (node[0], of[1]) if node else None
    return node, of[1]


def _inner(
    tape: Tape, name: str, attrs: dict[str, Any], args: Sequence[int], place: Place, steps: tuple[str, ...]
) -> list[int] | None:
    """The nodes of the outputs of an op that holds graphs, unrolled; None for any other op."""

    def enter(attribute: str, given: Sequence[int], step: str = "") -> list[int]:
        path = (*place.path, (place.index, attribute))
        return _record(tape, attrs[attribute], given, path, (*steps, step) if step else steps)

    if name == "call":
        return enter("graph", args)
    if name == "custom_vjp":
        return enter("primal", args)
    if name == "cond":
        return enter("if_true" if np.asarray(tape[args[0]].value) else "if_false", args[1:])
    if name == "scan":
        return _scan(tape, attrs, args, place, enter)
    if name == "while_loop":
        return _while(tape, attrs, args, enter)
    return None


def _scan(
    tape: Tape, attrs: dict[str, Any], args: Sequence[int], place: Place, enter: Callable[..., list[int]]
) -> list[int] | None:
    length, consts, carries = attrs["length"], attrs["consts"], attrs["carries"]
    if not length or length * len(attrs["body"]) + len(tape) > MOST_NODES:
        return None
    fixed, carry, walked = args[:consts], list(args[consts : consts + carries]), args[consts + carries :]
    order = range(length - 1, -1, -1) if attrs["reverse"] else range(length)
    stacks: list[dict[int, int]] = [{} for _ in attrs["body"].outputs[carries:]]
    for step in order:
        slices = [_slice(tape, w, step) for w in walked]
        out = enter("body", [*fixed, *carry, *slices], f"step {step} of scan")
        carry = out[:carries]
        for stack, node in zip(stacks, out[carries:], strict=True):
            stack[step] = node
    return [*carry, *(_stack(tape, [s[i] for i in range(length)], place) for s in stacks)]


def _slice(tape: Tape, array: int, step: int) -> int:
    """The node of ``array[step]``: the part itself where the array was stacked here."""
    if array in tape._parts:
        return tape._parts[array][step]
    value = np.asarray(tape[array].value)[step]
    whole = tape[array]
    node = Node(CATALOGUE["index"], lambda a: np.asarray(a)[step], (array,), value, whole.source, whole.place,
                part=step)  # fmt: skip
    return _add(tape, node)


def _stack(tape: Tape, parts: list[int], place: Place) -> int:
    value = np.stack([tape[p].value for p in parts])
    node = Node(CATALOGUE["concatenate"], lambda *arrays: np.stack(arrays), tuple(parts), value,
                place.graph.lines[place.index].source, place, stacked=True)  # fmt: skip
    number = _add(tape, node)
    tape._parts[number] = parts
    return number


def _while(tape: Tape, attrs: dict[str, Any], args: Sequence[int], enter: Callable[..., list[int]]) -> list[int] | None:
    tests, bodies = attrs["test_consts"], attrs["body_consts"]
    for_test, for_body, carry = args[:tests], args[tests : tests + bodies], list(args[tests + bodies :])
    # Run once without keeping anything, to know how long it is.
    values = [tape[a].value for a in carry]
    steps = 0
    while run_plan(attrs["test"], [tape[a].value for a in for_test] + values)[0]:
        values = run_plan(attrs["body"], [tape[a].value for a in for_body] + values)
        steps += 1
    if steps * len(attrs["body"]) + len(tape) > MOST_NODES:
        return None
    for step in range(steps):
        carry = enter("body", [*for_body, *carry], f"step {step} of while_loop")
    return carry


# ----------------------------------------------------------------------------------------- which elements feed which


def is_float(value: Any) -> bool:
    """Whether ``value`` is an array or number that can be NaN."""
    return not isinstance(value, tuple) and np.asarray(value).dtype.kind in "fc"


def any_nonfinite(value: Any) -> bool:
    """Whether there is a NaN or an infinity in ``value``, an array or a tuple of arrays."""
    if isinstance(value, tuple):
        return any(any_nonfinite(v) for v in value)
    return is_float(value) and not bool(np.all(np.isfinite(value)))


def first_nonfinite(value: Any) -> Element:
    """The index of the first element that is not finite; NaN before infinities.  ``()`` in a tuple of arrays."""
    if isinstance(value, tuple):
        return ()
    array = np.asarray(value)
    bad = np.isnan(array)
    if not bad.any():
        bad = ~np.isfinite(array)
    return tuple(int(i) for i in np.argwhere(bad)[0])


def at(value: Any, element: Element) -> Any:
    """The number at ``element`` of an array; of a tuple of arrays the first that is not finite."""
    if isinstance(value, tuple):
        for part in value:
            if any_nonfinite(part):
                return at(part, first_nonfinite(part))
        return at(value[0], (0,) * np.ndim(value[0]))
    return np.asarray(value)[element]


def spread(element: Element, shape: tuple[int, ...]) -> Element:
    """Where an element of a broadcast result comes from in an argument of ``shape``."""
    tail = element[len(element) - len(shape) :] if shape else ()
    return tuple(0 if n == 1 else i for i, n in zip(tail, shape, strict=True))


def feeding(tape: Tape, number: int, element: Element) -> list[tuple[int, Element]]:
    """One non-finite element of each argument that ``element`` of node ``number`` depends on and that has one."""
    node = tape[number]
    found = []
    for position, arg in enumerate(node.args):
        value = tape[arg].value
        if not any_nonfinite(value) or arg in node.args[:position]:
            continue
        if isinstance(value, tuple) or isinstance(node.value, tuple):
            found.append((arg, first_nonfinite(value)))
        elif node.op.broadcasts:
            here = spread(element, np.shape(value))
            chosen = node.op.name != "where" or _chosen(tape, node, element) == position
            if chosen and not np.isfinite(np.asarray(value)[here]):
                found.append((arg, here))
        else:
            reached = _probe(tape, node, position, element)
            if reached is not None:
                found.append((arg, reached))
    return found


def _chosen(tape: Tape, node: Node, element: Element) -> int:
    """Which argument of ``where`` the element comes from."""
    condition = np.asarray(tape[node.args[0]].value)
    return 1 if condition[spread(element, condition.shape)] else 2


def _probe(tape: Tape, node: Node, position: int, element: Element) -> Element | None:
    """The first non-finite element of an argument that reaches ``element`` of the result, found by halving.

    All else made finite, NaN is put into part of the argument, and arrives or does not.
    """
    plain = [_finite(tape[a].value) for a in node.args]
    array = np.asarray(tape[node.args[position]].value)
    order = np.flatnonzero(np.isnan(array).ravel())
    for candidates in (order, np.flatnonzero(np.isinf(array).ravel())):
        places = candidates
        if not len(places) or not _arrives(node, plain, position, places, element):
            continue
        while len(places) > 1:
            half = places[: len(places) // 2]
            places = half if _arrives(node, plain, position, half, element) else places[len(places) // 2 :]
        return tuple(int(i) for i in np.unravel_index(int(places[0]), array.shape))
    return None


def _finite(value: Any) -> Any:
    return np.where(np.isfinite(value), value, np.ones((), np.asarray(value).dtype)) if is_float(value) else value


def _arrives(node: Node, plain: list[Any], position: int, places: Array, element: Element) -> bool:
    changed = np.array(plain[position], order="C")
    changed.reshape(-1)[places] = np.nan
    own = node.args[position]
    with np.errstate(all="ignore"):
        try:
            result = node.run(*[changed if a == own else p for a, p in zip(node.args, plain, strict=True)])
        except Exception:  # a factorisation that refuses NaN: it depends on every element
            return True
    return not bool(np.isfinite(np.asarray(result)[element]))
