"""The search behind ``find_nonfinite``: from a non-finite result back, element by element, to where it began.

Two runs are kept: the function's own graph, and its reverse-mode graph, which runs forward and then backward.  On the
way back only elements that are not finite themselves are followed, so the search ends at ops that made one from finite
numbers, at constants, or at inputs.  What is found in the backward part is told by the forward op whose derivative it
belongs to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.base.arrays import is_differentiable
from chainrule.base.errors import NotDifferentiableError
from chainrule.explain.patterns_site import Site
from chainrule.explain.why_tape import (
    Element,
    Node,
    Tape,
    any_nonfinite,
    at,
    feeding,
    first_nonfinite,
    is_float,
    record,
    spread,
)
from chainrule.graph.builder import Builder
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.ops.record import Pointwise
from chainrule.transforms.reverse import vjp_graph

_POLES = ("log", "log2", "log10", "log1p", "arctanh", "logit", "gammaln", "digamma")

_ROUND_TO_ZERO = ("exp", "exp2", "mul", "div", "pow", "cast", "sigmoid")


@dataclass(frozen=True)
class Found:
    """``element`` of node ``number``, in the run of the function alone or, if ``reverse``, of its reverse mode.

    ``backward``: it is no value of the function but of its derivative.  ``phase``: ``"input"`` for one that was given.
    """

    number: int
    element: Element
    value: Any
    reverse: bool = False
    backward: bool = False
    phase: str = ""
    turned: Found | None = None
    cotangent: Found | None = None


class Search:
    """The two runs of one graph at concrete inputs, and what is not finite in them."""

    def __init__(self, graph: Graph, inputs: Sequence[Any], wrt: tuple[int, ...]) -> None:
        self.graph = graph
        self.inputs = list(inputs)
        self.wrt = wrt
        self.forward = record(graph, inputs)
        self.floats = tuple(i for i, s in enumerate(graph.output_specs) if is_differentiable(s.dtype))
        self.reverse: Tape | None = None
        self.gradients: list[int] = []  # nodes of the gradients of ``wrt``, in ``reverse``
        self.in_forward: set[int] = set()
        self.seeded: set[int] = set()

    @property
    def result(self) -> Any:
        """The function's value where it is one array, else None."""
        return self.forward[self.forward.outputs[0]].value if len(self.forward.outputs) == 1 else None

    def run_backward(self) -> None:
        """Run reverse mode, with cotangents of 1; not where nothing is differentiable, or only in forward mode."""
        if self.reverse is not None or not self.wrt or not self.floats:
            return
        try:
            graph = vjp_graph(self.graph, self.wrt, self.floats)
        except NotDifferentiableError:
            return
        specs = [self.graph.output_specs[i] for i in self.floats]
        tape = record(graph, [*self.inputs, *(np.ones(s.shape, s.dtype) for s in specs)])
        count = len(self.graph.outputs)
        self.reverse = tape
        self.gradients = tape.outputs[count:]
        self.in_forward = tape.ancestors(tape.outputs[:count])
        self.seeded = tape.dependents(range(self.graph.inputs, graph.inputs))

    def find(self) -> Found | None:
        """Where it began, or None where value and gradients are finite."""
        forward = _began(self.forward, _starts(self.forward, self.forward.outputs))
        self.run_backward()
        backward = None
        cotangent = None
        if self.reverse is not None:
            starts = _starts(self.reverse, self.gradients)
            backward = _began(self.reverse, starts)
            cotangent = self._first_cotangent(starts)
        found, reverse = (forward, False) if forward is not None else (backward, True)
        if found is None:
            return None
        numbered = self._placed(found.number, found.element, reverse)
        turned = None
        if found.turned is not None and found.turned.number != found.number:
            turned = self._placed(found.turned.number, found.turned.element, reverse)
        return dataclasses.replace(numbered, phase=found.phase, turned=turned, cotangent=cotangent)

    def _placed(self, number: int, element: Element, reverse: bool) -> Found:
        tape = self.tape(reverse)
        backward = reverse and number not in self.in_forward
        return Found(number, element, at(tape[number].value, element), reverse, backward)

    def _first_cotangent(self, starts: list[tuple[int, Element]]) -> Found | None:
        assert self.reverse is not None
        visited, _ = _walk(self.reverse, starts)
        late = [n for n in visited if n in self.seeded]
        return self._placed(min(late), visited[min(late)], True) if late else None

    def tape(self, reverse: bool) -> Tape:
        """The run that ``reverse`` names."""
        if not reverse:
            return self.forward
        assert self.reverse is not None
        return self.reverse

    def node(self, found: Found) -> Node:
        """The node of what was found."""
        return self.tape(found.reverse)[found.number]

    def bad_gradients(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names of the inputs whose gradient is not finite."""
        if self.reverse is None:
            return ()
        return tuple(
            names[i] or "an array the function uses"
            for i, g in zip(self.wrt, self.gradients, strict=True)
            if any_nonfinite(self.reverse[g].value)
        )

    # From the backward pass to the forward op

    def forward_number(self, found: Found) -> int | None:
        """The node, in the tape of ``found``, of the forward op whose derivative was found."""
        tape, node = self.tape(found.reverse), self.node(found)
        if not found.backward:
            return found.number
        if node.of is not None:
            return node.of[0]
        return self._unstamped(tape, node)

    def _unstamped(self, tape: Tape, node: Node) -> int | None:
        """The forward op of a line inside of a backward loop, which does not say whom it serves.

        It stands on the same line of the user and in the same step; of several, it is the one whose local derivative
        is the factor found here, or that shares an argument.
        """
        same = [n for n in self.in_forward if tape[n].source == node.source and tape[n].steps == node.steps]
        factors = [a for a in node.args if a not in self.seeded]
        if node.op.name in ("chain_mul", "mul") and len(factors) == 1:
            for n in sorted(same):
                if _has_partial(tape, tape[n], tape[factors[0]].value):
                    return n
        near = set(node.args) | {b for a in node.args for b in tape[a].args}
        alike = [n for n in same if tape[n].op is node.op and near & set(tape[n].args)]
        return next(iter(sorted(alike) or sorted(near & set(same))), None)

    def forward_node(self, found: Found) -> Node | None:
        """The node of :meth:`forward_number`."""
        number = self.forward_number(found)
        return None if number is None else self.tape(found.reverse)[number]

    def inputs_of(self, found: Found, input_name: Callable[[int], str]) -> tuple[tuple[str, Any], ...]:
        """(description, number) of what went into the op at the element."""
        number = self.forward_number(found)
        tape = self.tape(found.reverse)
        node = self.node(found) if number is None else tape[number]
        element = _within(found.element, node.value)
        out = []
        for arg in dict.fromkeys(node.args):
            value = tape[arg].value
            if isinstance(value, tuple) or not np.size(value):
                continue
            name = input_name(arg) if tape[arg].op.name == "input" and arg < self.graph.inputs else tape[arg].op.name
            if node.op.broadcasts:
                here = spread(element, np.shape(value))
                text = ", ".join(map(str, here))
                out.append((f"{name}[{text}]" if here else name, at(value, here)))
            elif is_float(value):
                largest = np.unravel_index(int(np.argmax(np.abs(value))), np.shape(value))
                out.append((f"the largest |{name}|", np.abs(value)[largest]))
        return tuple(out)

    def site(self, found: Found) -> Site:
        """What patterns look at: the forward op in the run of the function alone."""
        number = self.forward_number(found)
        node = self.node(found) if number is None else self.tape(found.reverse)[number]
        own = self._in_own_run(node) if found.reverse else number
        kept = self.forward if own is not None else self.tape(found.reverse)
        place = own if own is not None else (found.number if number is None else number)
        element = _within(found.element, kept[place].value)
        turned = None if found.turned is None else self.node(found.turned)
        if turned is not None and found.reverse:
            match = self._in_own_run(turned)
            turned = None if match is None else self.forward[match]
        dtype = np.asarray(found.value).dtype
        hidden = found.reverse and not found.backward
        return Site(kept, place, element, found.backward, found.value, turned, dtype, hidden, self.overflows(found))

    def overflows(self, found: Found) -> bool:
        """Whether the number is an infinity that an op without a pole there made of finite ones."""
        tape, node = self.tape(found.reverse), self.node(found)
        values = [tape[a].value for a in node.args]
        if not values or not np.isinf(found.value) or any(any_nonfinite(v) for v in values):
            return False
        if node.op.name == "div":
            return bool(at(values[1], spread(found.element, np.shape(values[1]))) != 0)
        if node.op.name == "pow":
            return bool(at(values[0], spread(found.element, np.shape(values[0]))) != 0)
        return node.op.name not in _POLES

    def _in_own_run(self, node: Node) -> int | None:
        """The node of the function's own run that is this node of the reverse run: same op, line, loop step, value."""
        for number, other in enumerate(self.forward.nodes):
            same_place = other.op is node.op and other.source == node.source and other.steps == node.steps
            if same_place and (
                isinstance(other.value, tuple) or np.array_equal(other.value, node.value, equal_nan=True)
            ):
                return number
        return None

    def rounded_to_zero(self, found: Found) -> Found | None:
        """Where a 0 that went into the op was made of numbers that are not 0: too small a result, or 1/inf."""
        at_ = self.forward_number(found)
        tape = self.tape(found.reverse)
        if at_ is None:
            return None
        element, known_zero = _within(found.element, tape[at_].value), False
        while True:
            node = tape[at_]
            if isinstance(node.value, tuple) or any(isinstance(tape[a].value, tuple) for a in node.args):
                return None
            if node.op.broadcasts:
                places = [(a, spread(element, np.shape(tape[a].value))) for a in node.args]
            elif node.op.name in ("reshape", "broadcast_to", "sum") and np.size(tape[node.args[0]].value):
                places = [(node.args[0], (0,) * np.ndim(tape[node.args[0]].value))] if known_zero else []
            else:
                places = []
            values = [at(tape[a].value, e) for a, e in places]
            zeros = [p for p, v in zip(places, values, strict=True) if v == 0 and is_float(tape[p[0]].value)]
            if known_zero and values and not zeros and node.op.name in _ROUND_TO_ZERO:
                return self._placed(at_, element, found.reverse)
            if not zeros:
                return None
            (at_, element), known_zero = zeros[-1] if not known_zero and node.op.name == "div" else zeros[0], True

    def overflow_before(self, found: Found) -> Found | None:
        """The first infinity that an op made of finite numbers, among all that led to what was found."""
        tape = self.tape(found.reverse)
        for number in sorted(tape.ancestors([found.number]) - {found.number}):
            node = tape[number]
            if not node.args or isinstance(node.value, tuple) or not is_float(node.value):
                continue
            if np.any(np.isinf(node.value)):
                here = self._placed(number, _first_infinite(node.value), found.reverse)
                if self.overflows(here):
                    return here
        return None


def _has_partial(tape: Tape, node: Node, partial: Any) -> bool:
    """Whether a pointwise op's derivative by one of its arguments has these values."""
    if not isinstance(node.op, Pointwise) or np.shape(node.value) != np.shape(partial):
        return False
    builder = Builder()
    specs = [node.place.graph.lines[a].spec for a in node.place.graph.lines[node.place.index].args]
    args = [builder.input(spec) for spec in specs]
    out = node.op(*args)
    passing = [p for p in range(len(args)) if node.op.passes(p, ())]
    locals_ = [node.op.local(p, out, args) for p in passing]
    graph, _ = builder.finish([out, *locals_])
    values = [tape[a].value for a in node.args]
    return any(np.array_equal(found, partial, equal_nan=True) for found in run_plan(graph, values)[1:])


def nonfinite_inputs(value: Any) -> tuple[int, ...]:
    """The indices on the first axis where an input is not finite."""
    array = np.asarray(value)
    if not array.ndim:
        return ()
    bad = ~np.isfinite(array)
    return tuple(int(i) for i in np.flatnonzero(bad.reshape(len(array), -1).any(1)))


def _first_infinite(value: Any) -> Element:
    return tuple(int(i) for i in np.argwhere(np.isinf(value))[0])


def _within(element: Element, value: Any) -> Element:
    """``element`` cut to an array of another number of axes (a derivative that was summed over some)."""
    if isinstance(value, tuple):
        return ()
    shape = np.shape(value)
    padded = (0,) * (len(shape) - len(element)) + element[max(0, len(element) - len(shape)) :]
    return tuple(min(i, n - 1) if n else 0 for i, n in zip(padded, shape, strict=True))


def _starts(tape: Tape, outputs: Sequence[int]) -> list[tuple[int, Element]]:
    return [(o, first_nonfinite(tape[o].value)) for o in outputs if any_nonfinite(tape[o].value)]


def _walk(tape: Tape, starts: Sequence[tuple[int, Element]]) -> tuple[dict[int, Element], dict[int, list[int]]]:
    """The non-finite nodes behind ``starts``, one element of each, and for each those that fed it."""
    visited: dict[int, Element] = {}
    fed: dict[int, list[int]] = {}
    pending = list(starts)
    while pending:
        number, element = pending.pop()
        if number in visited:
            continue
        visited[number] = element
        behind = feeding(tape, number, element)
        fed[number] = [n for n, _ in behind]
        pending.extend(behind)
    return visited, fed


def _began(tape: Tape, starts: Sequence[tuple[int, Element]]) -> Found | None:
    """Where it began: at an input that was not finite, else at the first op that made it so, else at a constant.

    ``turned`` is the first node that made NaN of infinities.
    """
    if not starts:
        return None
    visited, fed = _walk(tape, starts)

    def is_nan(n: int) -> bool:
        return bool(np.isnan(at(tape[n].value, visited[n])))

    turned = sorted(n for n in visited if is_nan(n) and fed[n] and not any(is_nan(a) for a in fed[n]))
    began = sorted(n for n in visited if not fed[n])
    given = [n for n in began if tape[n].op.name == "input"]
    made = [n for n in began if tape[n].op.name not in ("input", "constant")]
    masks = [n for n in given if not is_nan(n) and np.all(np.isneginf(_only_bad(tape[n].value)))]
    named = [n for n in given if n not in masks]
    first = (named or made or masks or began)[0]
    phase = "input" if first in named or (first in masks and not turned) else ""
    changed = Found(turned[0], visited[turned[0]], None) if turned else None
    return Found(first, visited[first], None, phase=phase, turned=changed)


def _only_bad(value: Any) -> Any:
    array = np.asarray(value)
    return array[~np.isfinite(array)]
