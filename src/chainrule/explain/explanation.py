"""``explain``: one gradient, told step by step from the graph that computes it.

The function is traced once; its backward graph is built and run by the code that ``grad`` uses (see
:mod:`chainrule.explain.record`), and everything shown is read from that graph and its numbers.

Does not do: Python's control flow (one run is explained, the branches it took are its graph); higher derivatives are
explained by explaining the gradient function itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.base.arrays import is_differentiable
from chainrule.base.errors import ExpressionError, OptionError, TreeError
from chainrule.explain.asked import traced_positions, wanted_positions
from chainrule.explain.check import Check, check
from chainrule.explain.elements import element_edges
from chainrule.explain.expression import FILE, Expression
from chainrule.explain.formula import Piece, added, array, number, product
from chainrule.explain.layers import layer_flows
from chainrule.explain.names import Code
from chainrule.explain.outline import Outline, outlines
from chainrule.explain.paths import Edge, Path, PathSum, PathTable
from chainrule.explain.plain import plain
from chainrule.explain.record import Record, record, size, values
from chainrule.explain.step import LayerFlow, Step, Term
from chainrule.explain.teller import Teller, derivative
from chainrule.explain.unroll import Opened, opened
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.graph.source import user_source
from chainrule.trace.tracer import function_name
from chainrule.transforms.arguments import require_scalar, snapshot, trace_call
from chainrule.transforms.reverse import vjp_graph

DEFAULT_RATE = 0.1


@dataclass(frozen=True)
class Update:
    """One step of gradient descent: ``symbol`` ← ``formula`` = ``filled`` = ``value`` (LaTeX, and the new array)."""

    name: str
    symbol: str
    formula: str
    filled: str | None
    value: Any


@dataclass(frozen=True)
class Sent:
    """What each use of an array sends back: the terms of one gradient, per layer and per use."""

    symbol: str
    line: int
    terms: tuple[Term, ...]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A gradient, told.  Made by :func:`explain`; nothing in it changes.

    ``steps``: one Step per line of the graph, forward then backward.  ``chain``: the same with the lines of a formula
    taken together, which is what the renders show.  ``value``: the loss.  ``gradients``, ``updates``, ``checks``: by
    the name of the argument (or of its leaf: ``model.layers[0].weight``).  ``paths``: by name, for scalars.
    """

    function: str
    source: Graph
    opened: Opened
    record: Record
    inputs: tuple[Any, ...]
    code: Code = field(repr=False)
    learning_rate: float = DEFAULT_RATE
    wants_paths: bool = False
    k: int = 10
    expression: str | None = None

    # Numbers

    @cached_property
    def values(self) -> list[Any]:
        """The value of every line of the whole graph."""
        one = np.ones((), self.graph.output_specs[0].dtype)[()]
        return values(self.record.whole, [*self.inputs, one])

    @property
    def graph(self) -> Graph:
        """The graph of the function, its loops, branches and checkpoints opened."""
        return self.record.forward

    @property
    def value(self) -> Any:
        """The loss."""
        return self._teller.value(self.graph.outputs[0])

    def value_of(self, line: int) -> Any:
        """The value of a line of the graph (a tuple for one with several outputs)."""
        return self._teller.value(line)

    def name_of(self, line: int) -> str:
        """The name of an input; ``c3`` for an array that the function holds and that has no name."""
        return self.graph.input_name(line) or f"c{line}"

    @cached_property
    def gradients(self) -> dict[str, Any]:
        """The gradient by each differentiated input: equal, bit for bit, to what ``cr.grad`` returns."""
        return {self.name_of(i): self.gradient(i) for i in self.record.wrt}

    @cached_property
    def _whole_gradients(self) -> dict[int, Any]:
        """What ``cr.grad`` computes, where loops were opened: the terms of a sum are added in another order there."""
        if self.opened.graph is self.source:
            return {}
        one = np.ones((), self.source.output_specs[0].dtype)
        found = run_plan(vjp_graph(self.source, self.record.wrt, (0,)), [*self.inputs, one])[len(self.source.outputs) :]
        return {line: np.asarray(value)[()] for line, value in zip(self.record.wrt, found, strict=True)}

    def gradient(self, line: int) -> Any:
        """The cotangent of a forward line; zeros for a differentiated input that nothing reaches, else None."""
        if line in self._whole_gradients:
            return self._whole_gradients[line]
        found = self._teller.gradient(line)
        if found is None and line in self.record.wrt:
            spec = self.graph.lines[line].spec
            return np.zeros(spec.shape, spec.dtype)[()]
        return found

    # The story

    @cached_property
    def _outlines(self) -> tuple[Outline, Outline]:
        return outlines(self.graph, self.code, self.opened.within)

    @cached_property
    def _teller(self) -> Teller:
        return Teller(self.record, self.values, self._outlines[1], self.code, self.opened.within)

    @property
    def outline(self) -> Outline:
        """Which lines are steps of their own in ``chain``, and the symbols."""
        return self._outlines[1]

    def symbol(self, line: int) -> str:
        """The symbol of a line, as LaTeX."""
        return self.outline.symbol[line]

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """One step per line of the graph, forward then backward (one per use, and a sum where there are several)."""
        teller = Teller(self.record, self.values, self._outlines[0], self.code, self.opened.within)
        return _numbered([*teller.forward(), *teller.backward()])

    @cached_property
    def chain(self) -> tuple[Step, ...]:
        """The reader's steps: the lines of one formula taken together."""
        return _numbered([*self._teller.forward(), *self._teller.backward()])

    @cached_property
    def updates(self) -> dict[str, Update]:
        """``w ← w − α·∂L/∂w``, for each differentiated input."""
        return {self.name_of(i): self._update(i) for i in self.record.wrt}

    @np.errstate(all="ignore")
    def _update(self, line: int) -> Update:
        symbol, slope = self.symbol(line), derivative(self._teller.loss, self.symbol(line))
        old, gradient = self.inputs[line], self.gradient(line)
        rate = np.asarray(self.learning_rate, np.asarray(old).real.dtype)[()]
        pieces = [array(old, 6), number(self.learning_rate), array(gradient, 6)]
        filled = None
        if pieces[0] is not None and pieces[2] is not None and pieces[1] is not None:
            step = product(Piece(pieces[1].latex, pieces[1].level), Piece(pieces[2].latex, pieces[2].level))
            filled = f"{pieces[0].latex} - {step.latex}"
        return Update(
            self.name_of(line), symbol, rf"{symbol} - \alpha \cdot {slope}", filled, old - rate * np.conj(gradient)
        )

    @cached_property
    def checks(self) -> dict[str, Check]:
        """Each gradient beside central differences."""
        return {
            self.name_of(i): check(self.graph, self.inputs, i, self.gradient(i)) for i in self.record.wrt
        }  # fmt: skip

    @property
    def key_text(self) -> str:
        """The key formula as plain text: ``∂L/∂w = ∂L/∂a·∂a/∂z·∂z/∂w = 2·1·2 = 4``."""
        return plain(self.key)

    @cached_property
    def key(self) -> str:
        """The key formula, as LaTeX: the gradient of the first differentiated input as the chain of its factors."""
        line = self.record.wrt[0]
        left = derivative(self._teller.loss, self.symbol(line))
        if self.is_scalar:
            found = self._table.paths(line)
            chains = [self.factors(path) for path in found.paths[:3]]
            if any(len(c) > 6 for c in chains):
                chains = chains[:1]
            if chains and all(chains):
                symbols = added([Piece(r" \cdot ".join(_shortened([s for s, _ in c]))) for c in chains]).latex
                numbers = added([_multiplied([v for _, v in c], len(chains) > 1) for c in chains]).latex
                dots = r" + \cdots" if found.count > len(chains) else ""
                sides = [left, symbols + dots, numbers + dots, number(self.gradient(line)).latex]
                return " = ".join(side for i, side in enumerate(sides) if not i or side != sides[i - 1])
        steps = [s for s in self.chain if s.line == line and s.phase in ("backward", "sum")]
        return f"{left} = {steps[-1].formula}" if steps else f"{left} = 0"

    def factors(self, path: Path) -> list[tuple[str, float]]:
        """A path as (∂step/∂step, number), the lines inside of a formula multiplied together."""
        found: list[tuple[str, float]] = []
        last, total = path.nodes[0], 1.0
        standing = set(self.outline.heads)
        for node, factor in zip(path.nodes[1:], path.factors, strict=True):
            total *= factor
            if node in standing:
                found.append((derivative(self.symbol(_line(last)), self.symbol(_line(node))), total))
                last, total = node, 1.0
        return found

    # Paths

    @property
    def is_scalar(self) -> bool:
        """Whether every line that a derivative goes through is a number."""
        lines = self.graph.lines
        touched = {u.line for u in self.record.uses} | {u.argument for u in self.record.uses}
        return all(size(lines[i].spec) == 1 for i in touched) and all(u.local is not None for u in self.record.uses)

    @cached_property
    def _table(self) -> PathTable:
        edges = [Edge(u.line, u.argument, self._local(u.local)) for u in self.record.uses]
        return PathTable(self.graph.outputs[0], edges, self.k)

    def _local(self, local: int | float | None) -> float:
        return float(local if isinstance(local, float) else np.asarray(self.values[local or 0]).reshape(-1)[0])

    @cached_property
    def paths(self) -> dict[str, PathSum]:
        """By input: its k largest paths, how many there are, and their sum; empty where arrays are on the way."""
        if not self.is_scalar:
            return {}
        return {self.name_of(i): self._table.paths(i) for i in self.record.wrt}

    @cached_property
    def sent(self) -> tuple[Sent, ...]:
        """Per value that is used several times (shared weights, skip connections): how much came through which use."""
        return tuple(Sent(self.symbol(s.line), s.line, s.terms) for s in self.chain if s.phase == "sum")

    @cached_property
    def layers(self) -> tuple[LayerFlow, ...]:
        """Per layer of the differentiated inputs: what arrived at each use of it, and what that sent to its weights."""
        return layer_flows(self.chain, self.record.wrt, self.name_of, self.symbol, self.gradient)

    @cached_property
    def _element_table(self) -> PathTable:
        return PathTable((self.graph.outputs[0], 0), element_edges(self.record, self.values), max(self.k, 1))

    def element_paths(self, name: str, *index: int) -> PathSum:
        """The paths to one element of an input: ``element_paths("model.layers[0].weight", 2, 0)``.

        Nodes of a path are (line, flat position).  Raises TreeError for a name or index there is none of, ShapeError
        where the arrays are too large for paths between elements.
        """
        lines = {self.name_of(i): i for i in self.record.wrt}
        if name not in lines:
            raise TreeError("there is no differentiated input of this name", expected=", ".join(lines), got=name,
                            where=user_source(), fix="pass one of the names listed")  # fmt: skip
        shape = self.graph.lines[lines[name]].spec.shape
        try:
            flat = int(np.ravel_multi_index(index, shape)) if shape else 0
        except ValueError:
            raise TreeError("there is no such element", expected=f"an index into shape {shape}", got=index,
                            where=user_source(), fix="count from 0") from None  # fmt: skip
        return self._element_table.paths((lines[name], flat))

    # Again

    def again(self, **changed: Any) -> Explanation:
        """The same graph at other values of some inputs, by name; nothing is traced again.

        Raises TreeError for a name there is none of, or another shape.
        """
        names = {self.name_of(i): i for i in range(self.graph.inputs)}
        inputs = list(self.inputs)
        for name, value in changed.items():
            if name not in names:
                raise TreeError("there is no input of this name", expected=", ".join(names), got=name,
                                where=user_source(), fix="pass one of the names listed")  # fmt: skip
            spec = self.graph.lines[names[name]].spec
            new = np.asarray(value, spec.dtype)
            if new.shape != spec.shape:
                raise TreeError(f"{name} has another shape", expected=spec.shape, got=new.shape, where=user_source(),
                                fix="call explain again for arrays of other shapes")  # fmt: skip
            inputs[names[name]] = new[()]
        if self.opened.branches:  # which other values may not take
            again = opened(self.source, inputs)
            return replace(self, inputs=tuple(inputs), opened=again, record=record(again.graph, self.record.wrt))
        found = replace(self, inputs=tuple(inputs))
        found.__dict__["_outlines"] = self._outlines
        return found

    def with_rate(self, learning_rate: float) -> Explanation:
        """The same with another learning rate of the update."""
        found = replace(self, learning_rate=float(learning_rate))
        found.__dict__["_outlines"] = self._outlines
        return found

    # Renders

    def to_text(self, width: int = 100) -> str:
        """Plain text, at most ``width`` characters wide where words allow."""
        from chainrule.explain.text import text

        return text(self, width)

    def to_latex(self) -> str:
        """A LaTeX document that compiles on its own (amsmath)."""
        from chainrule.explain.document import document

        return document(self)

    def to_html(self) -> str:
        """One self-contained HTML page: MathML, a drawn graph, no script, nothing fetched."""
        from chainrule.explain.page import page

        return page(self)

    def to_svg(self) -> str:
        """The drawn graph alone, as an SVG file."""
        from chainrule.explain.drawing import standalone

        return standalone(self)

    def to_json(self) -> str:
        """JSON of the form that ``explanation.schema.json`` describes."""
        from chainrule.explain.jsonform import to_json

        return to_json(self)

    def _repr_html_(self) -> str:
        from chainrule.explain.page import fragment

        return fragment(self)

    def __str__(self) -> str:
        return self.to_text().rstrip("\n")

    def __repr__(self) -> str:
        names = ", ".join(self.gradients)
        return f"<Explanation of {self.function}: {len(self.graph)} lines, gradient by {names}>"


def _line(node: Any) -> int:
    assert isinstance(node, int)
    return node


def _numbered(steps: Sequence[Step]) -> tuple[Step, ...]:
    return tuple(replace(step, number=number) for number, step in enumerate(steps, 1))


def _shortened(factors: list[str]) -> list[str]:
    """The first and the last factors of a long product."""
    return factors if len(factors) <= 12 else [*factors[:6], r"\cdots", *factors[-3:]]


def _multiplied(factors: Sequence[float], in_a_sum: bool) -> Piece:
    pieces = [number(f) for f in factors]
    brackets = len(pieces) > 1
    texts = [p.latex if p.level > 1 or not brackets else rf"\left({p.latex}\right)" for p in pieces]
    text = r" \cdot ".join(_shortened(texts))
    return Piece(rf"\left({text}\right)" if in_a_sum and len(pieces) > 1 else text)


# ------------------------------------------------------------------------------------------------------------ explain


def explain(
    f: Callable[..., Any],
    *args: Any,
    wrt: str | int | Sequence[str | int] | None = None,
    lr: float = DEFAULT_RATE,
    paths: bool = False,
    k: int = 10,
) -> Explanation:
    """The gradient of ``f`` at ``args``, told step by step; ``f`` returns a float scalar.

    ``args`` are arrays or trees of them.  ``wrt``: the arguments to differentiate by, as names or positions (None: all
    of float dtype); the others appear with their names too.  ``lr``: the learning rate α of the update that the
    explanation ends with.  ``paths``: also show the sum over paths, with the ``k`` largest.

    The numbers are those of ``cr.grad(f, argnums)(*args)``, bit for bit.  ``print`` the result, or use ``to_html``,
    ``to_latex``, ``to_json``, or look at ``steps``.

    Raises OptionError for a wrong ``wrt``, ``lr`` or ``k``, NotDifferentiableError where nothing is of float dtype,
    ShapeError for a result that is not a scalar, and for a typed expression ExpressionError with the place.
    """
    if not callable(f):
        raise OptionError("explain needs a function", expected="a function of arrays with a scalar result", got=repr(f),
                          where=user_source(), fix="cr.explain(loss, w, x), with the arguments behind it")  # fmt: skip
    if not (isinstance(lr, (int, float, np.floating)) and np.isfinite(lr)):
        raise OptionError("the learning rate is not a number", expected="a finite number", got=repr(lr),
                          where=user_source(), fix="pass lr=0.1")  # fmt: skip
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= 1000:
        raise OptionError("k is not a number of paths", expected="an int from 1 to 1000", got=repr(k),
                          where=user_source(), fix="pass k=10")  # fmt: skip
    wanted = wanted_positions(f, args, wrt)
    traced = traced_positions(args, wanted)
    call = trace_call(f, args, {}, traced, "explain", differentiable=False)
    _require_scalar(f, call)
    leaves = [(position, i) for position, count in zip(traced, call.counts, strict=True) for i in range(count)]
    named = tuple(
        line for line, (position, _) in enumerate(leaves)
        if position in wanted and is_differentiable(call.graph.input_specs[line].dtype)
    )  # fmt: skip
    texts = {FILE: "\n".join(f.lines())} if isinstance(f, Expression) else {}
    inputs = tuple(snapshot(np.asarray(x)[()]) for x in call.inputs)
    source = _named_graph(f, call.graph)
    story = opened(source, inputs)
    return Explanation(
        function=f.text if isinstance(f, Expression) else function_name(f),
        source=source,
        opened=story,
        record=record(story.graph, named),
        inputs=inputs,
        code=Code(texts),
        learning_rate=float(lr),
        wants_paths=bool(paths),
        k=int(k),
        expression=f.text if isinstance(f, Expression) else None,
    )


def _named_graph(f: Any, graph: Graph) -> Graph:
    """The graph with an expression's variables as the names of its inputs."""
    if not isinstance(f, Expression):
        return graph
    return replace(graph, names=(*f.names, *graph.names[len(f.names) :]))


def _require_scalar(f: Any, call: Any) -> None:
    spec = call.graph.output_specs[0] if call.graph.outputs else None
    if isinstance(f, Expression) and spec is not None and spec.shape != ():
        raise ExpressionError(
            "the result is not a single number", expected="a scalar: only that has a gradient",
            got=f"an array of shape {spec.shape}", where=f.text, fix=f"write sum({f.text[:40]}) or mean(…)",
        )  # fmt: skip
    require_scalar(call, f)
