"""Tells a recorded gradient as steps: forward line by line, then backward, each derivative once per use.

A forward step is a line (or a formula of several) with symbols and with numbers.  A backward step is one factor of the
chain rule: the derivative of one step's value by another's, printed from the derivative's own lines, times what
arrives.  A value that is used several times gets one term per use and then their sum.

Cotangents, terms and gradients are the values of the graph's own lines; only a local derivative across several lines
is multiplied together here, for showing.
"""

from __future__ import annotations

import math
from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.explain import sentences
from chainrule.explain.formula import Piece, TooLong, Writer, added, array, negated, product, shape_equation
from chainrule.explain.names import Code, numbered
from chainrule.explain.outline import Outline
from chainrule.explain.record import Record, Use
from chainrule.explain.step import Local, Step, Term, is_scalar

Factors = tuple[int | float, ...]
MOST_FILLED = 6
"""Elements of an array that a formula is filled in with."""
MOST_TERMS = 4
"""Products that one local derivative may be a sum of, within one formula."""


class Numbers(Mapping[int, Piece]):
    """The values of lines as pieces of formulas; a large array makes the formula too long to fill in."""

    def __init__(self, values: list[Any], symbols: Mapping[int, Piece]) -> None:
        self.values_ = values
        self.symbols = symbols

    def __getitem__(self, index: int) -> Piece:
        symbol = self.symbols[index]
        if symbol.number is not None:
            return symbol
        value = self.values_[index]
        found = None if isinstance(value, tuple) else array(value, MOST_FILLED)
        if found is None:
            raise TooLong
        return found

    def get(self, index: int, default: Any = None) -> Any:
        return self[index] if index in self.symbols else default

    def __contains__(self, index: object) -> bool:
        return index in self.symbols

    def __iter__(self) -> Iterator[int]:
        return iter(self.symbols)

    def __len__(self) -> int:
        return len(self.symbols)


def derivative(of: str, by: str) -> str:
    """∂of/∂by as LaTeX."""
    return rf"\frac{{\partial {of}}}{{\partial {by}}}"


def through(symbol: str, head: str) -> str:
    """The part of a gradient that comes through one step, as LaTeX."""
    return rf"\left.{symbol}\right|_{{{head}}}"


class Teller:
    """One outline of one record, told."""

    def __init__(
        self, record: Record, values: list[Any], outline: Outline, code: Code, within: Mapping[int, str]
    ) -> None:
        self.record = record
        self.graph = record.forward
        self.whole = record.whole
        self.values = values
        self.outline = outline
        self.code = code
        self.within = within
        self.loss = outline.symbol[self.graph.outputs[0]]
        self.forward_stops = {
            at: Piece(outline.symbol[i])
            for i in outline.heads
            if isinstance(at := record.at[i], int) and i in outline.symbol
        }
        self.uses = self._pairs()

    def value(self, line: int) -> Any:
        """The value of a forward line."""
        at = self.record.at[line]
        return self.values[at] if isinstance(at, int) else tuple(self.values[i] for i in at)

    def gradient(self, line: int) -> Any:
        """The cotangent of a forward line, or None."""
        at = self.record.cotangent.get(line)
        return None if at is None else self.values[at]

    def _pairs(self) -> dict[int, dict[int, list[Use]]]:
        """Per step, per value it uses: the uses that cross from one to the other."""
        found: dict[int, dict[int, list[Use]]] = {}
        head = self.outline.head
        for use in self.record.uses:
            crosses = head[use.line] != use.argument and head[use.argument] == use.argument
            if crosses and isinstance(self.record.at[use.argument], int):
                found.setdefault(head[use.line], {}).setdefault(use.argument, []).append(use)
        return found

    # Forward

    def forward(self) -> list[Step]:
        """A step for each line, or formula of lines, that computes something."""
        steps = []
        for head in self.outline.heads:
            line = self.graph.lines[head]
            if head < self.graph.inputs or not isinstance(self.record.at[head], int):
                continue
            lines = tuple(self.outline.members(head))
            steps.append(
                Step(
                    number=0,
                    phase="forward",
                    symbol=self.outline.symbol[head],
                    formula=self._forward_formula(head, self.forward_stops) or line.op.name,
                    filled=self._forward_formula(head, Numbers(self.values, self.forward_stops)),
                    value=self.value(head),
                    sentence=sentences.forward(self.graph, lines),
                    line=head,
                    lines=lines,
                    source=line.source,
                    code=self.code.text(line.source),
                    shapes=self._forward_shapes(head),
                    within=self.within.get(head, ""),
                )
            )
        return steps

    def _forward_formula(self, head: int, stops: Mapping[int, Piece]) -> str | None:
        at = self.record.at[head]
        assert isinstance(at, int)
        try:
            return Writer(self.whole, stops).formula(at, expand=True).latex
        except TooLong:
            if not isinstance(stops, Numbers):
                return rf"\operatorname{{{self.graph.lines[head].op.name.replace('_', '')}}}(\dots)"
            return None

    def _forward_shapes(self, head: int) -> str | None:
        at = self.record.at[head]
        return shape_equation(self.whole, at, self.forward_stops) if isinstance(at, int) else None

    # Backward

    @np.errstate(all="ignore")  # values that are not finite are shown, not warned of
    def backward(self) -> list[Step]:
        """The factors of the chain rule, from the loss down, and the sums of what several uses send."""
        output = self.graph.outputs[0]
        steps = [self._seed(output)]
        terms: dict[int, list[Term]] = {}
        for head in sorted(self.uses, reverse=True):
            if len(terms.get(head, ())) > 1:
                steps.append(self._sum(head, terms[head]))
            pairs = self.uses[head]
            for argument in sorted(pairs, key=lambda a: (a < self.graph.inputs, a)):
                step = self._factor(head, argument, pairs[argument])
                term = Term(self.outline.symbol[head], head, step.value, math.nan, step.within)
                terms.setdefault(argument, []).append(term)
                steps.append(step)
        steps += [self._sum(i, terms[i]) for i in range(self.graph.inputs) if len(terms.get(i, ())) > 1]
        return steps

    def _seed(self, output: int) -> Step:
        line = self.graph.lines[output]
        return Step(
            number=0, phase="backward", symbol=derivative(self.loss, self.loss), formula="1", filled=None,
            value=self.values[self.graph.inputs], sentence="The backward pass starts at the loss: its derivative by "
            "itself is 1.", line=output, lines=(output,), source=line.source, code=self.code.text(line.source),
            within=self.within.get(output, ""),
        )  # fmt: skip

    def _factor(self, head: int, argument: int, uses: list[Use]) -> Step:
        symbol = self.outline.symbol
        several = self._counts[argument] > 1
        local = self._local(head, argument, uses)
        value = self.gradient(argument)
        if several or value is None:
            value = self.values[uses[0].part]
            for use in uses[1:]:
                value = value + self.values[use.part]
        arriving = self.gradient(head)
        arriving_symbol = derivative(self.loss, symbol[head])
        formula, filled = self._passed(head, argument, uses)
        if local is not None and is_scalar(value):
            formula = rf"{arriving_symbol} \cdot {local.symbol}"
            filled = self._product_text(arriving, local.value)
            if head == self.graph.outputs[0]:
                formula, filled = local.rule, local.filled
        line = self.graph.lines[uses[0].line]
        name = derivative(self.loss, symbol[argument])
        return Step(
            number=0,
            phase="backward",
            symbol=through(name, symbol[head]) if several else name,
            formula=formula,
            filled=filled,
            value=value,
            sentence=sentences.backward(self, head, argument, uses, local, arriving, value),
            line=argument,
            through=head,
            lines=tuple(u.line for u in uses),
            of=(uses[0].line, uses[0].position),
            source=line.source,
            code=self.code.text(line.source),
            local=local,
            arriving=arriving,
            arriving_symbol=arriving_symbol,
            shapes=self._passed_shapes(head, uses),
            why_zero=sentences.why_zero(self, head, argument, uses, arriving, value),
            part=several,
            within=self.within.get(head, ""),
        )

    @cached_property
    def _counts(self) -> Counter[int]:
        """Per value, how many steps use it."""
        return Counter(argument for pairs in self.uses.values() for argument in pairs)

    def _sum(self, line: int, terms: list[Term]) -> Step:
        whole = self.gradient(line)
        shared = [
            replace(t, share=_share(t.value, whole)) for t in terms
        ]  # fmt: skip
        name = derivative(self.loss, self.outline.symbol[line])
        pieces = [array(t.value, MOST_FILLED) for t in terms]
        filled = added([p for p in pieces if p is not None]).latex if all(p is not None for p in pieces) else None
        return Step(
            number=0, phase="sum", symbol=name,
            formula=" + ".join(through(name, t.through) for t in terms), filled=filled, value=whole,
            sentence=sentences.fan_out(self.outline.symbol[line], [t.through for t in terms]), line=line,
            lines=tuple(t.head for t in terms), terms=tuple(shared), source=self.graph.lines[line].source,
            code=self.code.text(self.graph.lines[line].source), within=self.within.get(line, ""),
        )  # fmt: skip

    @staticmethod
    def _product_text(arriving: Any, local: Any) -> str | None:
        a, b = array(arriving, MOST_FILLED), array(local, MOST_FILLED)
        if a is None or b is None:
            return None
        return product(Piece(a.latex, a.level), Piece(b.latex, b.level)).latex

    # Local derivatives

    def _terms(self, head: int, uses: list[Use]) -> list[tuple[Factors, Use]] | None:
        """∂head/∂argument as a sum of products of local derivatives, along the lines inside of the step."""
        down: dict[int, list[Factors]] = {head: [()]}
        for use in self.inside(head):
            if use.local is None:
                return None
            down.setdefault(use.argument, []).extend((*t, use.local) for t in down.get(use.line, ()))
        found = [((*t, u.local), u) for u in uses if u.local is not None for t in down.get(u.line, ())]
        return found if 0 < len(found) <= MOST_TERMS and all(u.local is not None for u in uses) else None

    def inside(self, head: int) -> list[Use]:
        """The uses inside of a step, in the order of the backward pass."""
        return self._uses_by_head.get(head, [])

    @cached_property
    def _uses_by_head(self) -> dict[int, list[Use]]:
        found: dict[int, list[Use]] = {}
        head = self.outline.head
        for use in self.record.uses:
            if head[use.argument] == head[use.line]:
                found.setdefault(head[use.line], []).append(use)
        return found

    def _local(self, head: int, argument: int, uses: list[Use]) -> Local | None:
        terms = self._terms(head, uses)
        shape = np.shape(self.value(head)) if not isinstance(self.value(head), tuple) else None
        if terms is None or shape is None or shape != np.shape(self.value(argument)):
            return None
        if shape and not all(self._elementwise(u.line, shape) for u in (*uses, *self.inside(head))):
            return None
        try:
            rule = self._sum_of_products(terms, self.forward_stops)
        except TooLong:
            return None
        try:
            filled: str | None = self._sum_of_products(terms, Numbers(self.values, self.forward_stops)).latex
        except TooLong:
            filled = None
        value = sum(
            math.prod((self._number(f) for f in factors), start=np.ones((), np.result_type(self.value(head))))
            for factors, _ in terms
        )  # fmt: skip
        symbol = derivative(self.outline.symbol[head], self.outline.symbol[argument])
        return Local(symbol, rule.latex, filled, value if not shape else np.broadcast_to(value, shape))

    def _elementwise(self, line: int, shape: tuple[int, ...]) -> bool:
        found = self.graph.lines[line]
        return found.op.kind == "pointwise" and all(
            self.graph.lines[i].spec.shape in (shape, ()) for i in (line, *found.args)
        )

    def _number(self, factor: int | float) -> Any:
        return factor if isinstance(factor, float) else self.values[factor]

    def _sum_of_products(self, terms: list[tuple[Factors, Use]], stops: Mapping[int, Piece]) -> Piece:
        writer = Writer(self.whole, stops, simplify=True)
        pieces = []
        for factors, use in terms:
            total = Piece("1", number=1.0)
            sign = r"\odot" if np.ndim(self.value(use.line)) else r"\cdot"
            for factor in factors:
                piece = _plain_number(factor) if isinstance(factor, float) else writer.formula(factor)
                total = product(total, piece, sign)
            pieces.append(total)
        return added(pieces)

    # What is passed on, as a formula of arrays

    def _passed_stops(self, head: int) -> ChainMap[int, Piece]:
        stops = ChainMap({}, self.forward_stops)  # not a copy: there may be very many
        loss = head == self.graph.outputs[0]
        at = self.record.cotangent.get(head)
        if at is not None:
            stops[at] = Piece("1", number=1.0) if loss else Piece(derivative(self.loss, self.outline.symbol[head]))
            return stops
        for use in (*self.inside(head), *(u for us in self.uses.get(head, {}).values() for u in us)):
            if use.line == head:
                for position, line in enumerate(use.arriving):
                    stops[line] = Piece(derivative(self.loss, numbered(self.outline.symbol[head], position)))
        return stops

    def _passed(self, head: int, argument: int, uses: list[Use]) -> tuple[str, str | None]:
        stops = self._passed_stops(head)
        try:
            formula = added([Writer(self.whole, stops, simplify=True).formula(u.part) for u in uses]).latex
        except TooLong:
            name = self.graph.lines[uses[0].line].op.name.replace("_", "")
            arriving = derivative(self.loss, self.outline.symbol[head])
            return rf"\operatorname{{pullback}}_{{\mathrm{{{name}}}}}\left({arriving}\right)", None
        numbers = Numbers(self.values, stops)
        try:
            return formula, added([Writer(self.whole, numbers, simplify=True).formula(u.part) for u in uses]).latex
        except TooLong:
            return formula, None

    def _passed_shapes(self, head: int, uses: list[Use]) -> str | None:
        if len(uses) > 1:
            return None
        return shape_equation(self.whole, uses[0].part, self._passed_stops(head))


def _plain_number(value: float) -> Piece:
    found = array(np.float64(value))
    assert found is not None
    return Piece(found.latex, found.level, value) if value >= 0 or value != -1 else negated(Piece("1", number=1.0))


def _share(term: Any, whole: Any) -> float:
    """⟨term, whole⟩ / ⟨whole, whole⟩, or NaN where the whole is 0."""
    a, b = np.asarray(term).reshape(-1), np.asarray(whole).reshape(-1)
    with np.errstate(all="ignore"):
        norm = float(np.real(np.vdot(b, b)))
        return float(np.real(np.vdot(b, a))) / norm if norm > 0 else math.nan
