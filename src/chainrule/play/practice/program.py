"""A small program of an exercise, run and explained by the engine: values, cotangents, local derivatives by name.

The program is a typed expression (``z = w*x + b; a = relu(z); L = (a - y)**2``); all its numbers come from
:func:`chainrule.explain.explanation.explain`, and are checked by finite differences when the program is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.explain.explanation import explain
from chainrule.explain.expression import parse
from chainrule.explain.formula import array, number
from chainrule.explain.jsonform import formula
from chainrule.explain.layout import layout
from chainrule.explain.names import identifier
from chainrule.explain.plain import plain
from chainrule.explain.step import Step
from chainrule.play.practice.exercise import DrawAgain, Hint
from chainrule.play.practice.written import written

MOST_PLACES = 4
"""Digits behind the point of a number that is shown."""

MOST_SIZE = 300
"""Numbers of exercises are smaller than this, so that they can be multiplied by hand."""


def is_short(value: Any, places: int = MOST_PLACES) -> bool:
    """Whether a number (each of an array) is finite, not large, and has at most ``places`` digits behind the point."""
    found = np.asarray(value, np.float64)
    return bool(np.all(np.abs(found) < MOST_SIZE) and np.all(np.abs(found - np.round(found, places)) < 1e-9))


def require(condition: Any) -> None:
    """Draw again unless ``condition`` holds."""
    if not condition:
        raise DrawAgain


class Program:
    """A program at values of its variables; ``wrt``: the variables it is differentiated by (None: all).

    Raises DrawAgain where a derivative disagrees with finite differences; ``kinks``: where one is meant to be a kink.
    """

    def __init__(self, text: str, at: Mapping[str, Any], wrt: Sequence[str] | None = None, kinks: bool = False) -> None:
        self.text = text
        self.expression = parse(text)
        self.at = dict(at)
        self.explanation = explain(self.expression, *self.expression.bound(at), wrt=None if wrt is None else list(wrt))
        verdicts = {c.verdict for c in self.explanation.checks.values()}
        require(verdicts <= ({"agrees", "kink"} if kinks else {"agrees"}))
        require({s.name for s in self.expression.statements if s.name} <= set(self.lines))  # equal parts are one line

    # By name

    @cached_property
    def lines(self) -> dict[str, int]:
        """The forward line of each variable and of each value; values without a name go by their symbol."""
        return {name: line for line, name in self.names.items()}

    @cached_property
    def names(self) -> dict[int, str]:
        """The name of each such line."""
        given = [*self.expression.names, *(s.name for s in self.expression.statements if s.name)]
        by_symbol = {identifier(name): name for name in given}
        symbols = {i: self.explanation.symbol(i) for i in self.explanation.outline.heads}
        return {i: by_symbol.get(symbol, plain(symbol)) for i, symbol in symbols.items()}

    @property
    def output(self) -> str:
        """The name of the result."""
        return self.names[self.explanation.graph.outputs[0]]

    def value(self, name: str) -> float:
        """The number that a name stands for."""
        return float(self.explanation.value_of(self.lines[name]))

    def array(self, name: str) -> Any:
        """The array that a name stands for."""
        return np.asarray(self.explanation.value_of(self.lines[name]))

    def gradient(self, name: str) -> Any:
        """The derivative of the result by a named value: a number or an array; 0 where nothing arrives."""
        found = self.explanation.gradient(self.lines[name])
        if found is None:
            return 0.0
        return float(found) if not np.ndim(found) else np.asarray(found)

    def step(self, of: str, by: str) -> Step:
        """The backward step from one named value to one that it uses."""
        for step in self.explanation.chain:
            if step.phase == "backward" and step.line == self.lines[by] and step.through == self.lines[of]:
                return step
        raise KeyError((of, by))

    def local(self, of: str, by: str) -> float:
        """∂of/∂by, where ``of`` uses ``by`` directly."""
        found = self.step(of, by).local
        assert found is not None
        return float(found.value)

    def users(self, name: str) -> list[str]:
        """The named values that use one, and that the result depends on."""
        line = self.lines[name]
        found = [
            self.names[s.through]
            for s in self.explanation.chain
            if s.phase == "backward" and s.line == line and s.through is not None
        ]
        return list(dict.fromkeys(found))

    def paths(self, name: str) -> list[list[tuple[str, float]]]:
        """All ways from the result to an input, as factors (∂step/∂step in LaTeX, number)."""
        total = self.explanation.paths.get(name, None)
        assert total is not None
        assert total.count == len(total.paths)
        found: list[list[tuple[str, float]]] = []
        for path in total.paths:
            found.append(self.explanation.factors(path))
        return found

    def gradient_text(self, by: str) -> str:
        """The derivative by an input as one would type it."""
        record = self.explanation.record
        names = dict(enumerate(self.expression.names))
        return written(record.whole, record.cotangent[self.lines[by]], names)

    # Formulas

    def forward_latex(self, name: str, filled: bool = False) -> str:
        """``z = w·x + b``, or with the numbers and the value: ``z = w·x + b = 0.5·2 + 0 = 1``."""
        step = next(s for s in self.explanation.chain if s.phase == "forward" and s.line == self.lines[name])
        sides = [step.symbol, step.formula]
        if filled:
            sides += [step.filled or "", shown(step.value)]
        return " = ".join(_unrepeated(sides))

    def definition(self) -> str:
        """All statements in one formula."""
        return r" \quad ".join(self.forward_latex(s.name) for s in self.expression.statements if s.name is not None)

    # Hints

    def hints(self, target: str, numbers: bool = True, below: str | None = None) -> list[Hint]:
        """The engine's own lines of the backward pass that lead from the result to ``target``, in order.

        Without ``numbers``: the formulas alone.  ``below``: only what comes after this name's cotangent.
        """
        above = self.above(target)
        told_before = {self.lines[n] for n in (self.above(below) if below else {self.output})}
        found = []
        for step in self.explanation.chain:
            if step.phase == "forward" or step.line in told_before or step.line not in {self.lines[n] for n in above}:
                continue
            if step.through is not None and self.names.get(step.through) not in above:
                continue
            found += told(step, numbers)
        return found

    def above(self, target: str) -> set[str]:
        """``target`` and every named value on a way from it to the result."""
        found, stack = {target}, [target]
        while stack:
            for user in self.users(stack.pop()):
                if user not in found:
                    found.add(user)
                    stack.append(user)
        return found

    # The drawn graph

    def graph(
        self,
        values: Iterable[str] | None = None,
        gradients: Iterable[str] = (),
        locals_: Iterable[tuple[str, str]] = (),
        asked: str | None = None,
        asked_edge: tuple[str, str] | None = None,
        only: Iterable[str] | None = None,
        caption: str = "The graph",
    ) -> dict[str, Any]:
        """The graph as data for a drawing and a table.

        ``values``: the names whose values are shown (None: all); ``gradients``: those whose cotangents are;
        ``locals_``: the edges (of, by) whose local derivatives are; ``asked``, ``asked_edge``: where the question mark
        stands; ``only``: the nodes that are drawn (None: all).
        """
        given_names = {*self.expression.names, *(s.name for s in self.expression.statements)}
        require(set(self.lines) <= given_names)  # every node of a drawing has a name of ours
        drawing = layout(self.explanation.outline, collapse=False)
        seen = set(self.lines) if values is None else set(values)
        kept = set(self.lines) if only is None else set(only)
        given, edges = set(gradients), set(locals_)
        names = [self.names[box.lines[0]] for box in drawing.boxes]
        nodes = [
            {
                "name": name,
                "symbol": formula(self.explanation.symbol(box.lines[0])),
                "kind": self._node_kind(name),
                "formula": formula(self._right_side(name)),
                "value": plain(shown(self.explanation.value_of(box.lines[0]))) if name in seen else None,
                "gradient": plain(shown(self.gradient(name))) if name in given else None,
                "asked": name == asked,
                "x": box.rank,
                "y": round(box.height, 4),
            }
            for name, box in zip(names, drawing.boxes, strict=True)
            if name in kept
        ]
        links = [
            {
                "from": names[a],
                "to": names[b],
                "local": plain(shown(self.local(names[b], names[a]))) if (names[b], names[a]) in edges else None,
                "asked": (names[b], names[a]) == asked_edge,
            }
            for a, b, _, _ in drawing.edges
            if names[a] in kept and names[b] in kept
        ]
        loss = formula(self.explanation.symbol(self.lines[self.output]))
        return {"block": "graph", "caption": caption, "loss": loss, "nodes": nodes, "edges": links}

    def _right_side(self, name: str) -> str | None:
        line = self.lines[name]
        return next((s.formula for s in self.explanation.chain if s.phase == "forward" and s.line == line), None)

    def _node_kind(self, name: str) -> str:
        line = self.lines[name]
        if line == self.explanation.graph.outputs[0]:
            return "loss"
        if line >= self.explanation.graph.inputs:
            return "step"
        return "weight" if line in self.explanation.record.wrt else "data"


def told(step: Step, numbers: bool = True) -> list[Hint]:
    """A backward step as lines: the local derivative, then its product with what arrives; a sum as one line."""
    found = []
    local = step.local
    if local is not None and np.ndim(local.value) == 0 and step.symbol != local.symbol:
        sides = [local.symbol, local.rule] + ([local.filled or "", shown(local.value)] if numbers else [])
        found.append(Hint("The local derivative:", " = ".join(_unrepeated(sides))))
    sides = [step.symbol, step.formula] + ([step.filled or "", shown(step.value)] if numbers else [])
    said = step.sentence if numbers else "What arrives, times the local derivative:"
    if step.why_zero:
        said = f"0 here, because {step.why_zero}."
    found.append(Hint(said, " = ".join(_unrepeated(sides))))
    return found


def _unrepeated(sides: Sequence[str]) -> list[str]:
    kept = [side for side in sides if side]
    return [side for i, side in enumerate(kept) if not i or side != kept[i - 1]]


def shown(value: Any) -> str:
    """A number or a small array as LaTeX; short decimals exactly, others in four significant digits."""
    if np.ndim(value):
        found = array(value, 12)
        return found.latex if found is not None else r"\dots"
    item = float(value)
    return number(round(item, MOST_PLACES) + 0.0 if is_short(item) else item, 6 if is_short(item) else 4).latex
