"""What the walkthrough draws, as JSON: the graph's boxes and edges, and the steps a reader goes through.

One form, :class:`Told`, is read from a live :class:`~chainrule.explain.explanation.Explanation` or from a saved one
(:mod:`chainrule.play.walk_saved`); :func:`view` turns it into boxes with places, edges, and steps: the start, the
forward and the backward chain, the update, and the loss after it.  Formulas become MathML and text here; numbers stay
numbers, so that the page writes them in its own way.

Does not do: pixels (the page places boxes by rank and height), or sampled curves (:mod:`chainrule.play.walk_curves`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.explain.explanation import Explanation
from chainrule.explain.formula import array as array_piece
from chainrule.explain.formula import number_text
from chainrule.explain.jsonform import array, number
from chainrule.explain.layout import layout
from chainrule.explain.mathml import mathml
from chainrule.explain.outline import Outline
from chainrule.explain.plain import plain
from chainrule.explain.sentences import title

MOST_BOXES = 80
"""Boxes that are drawn one by one; of larger graphs repeated layers are drawn once."""
MOST_SHOWN = 16
"""Elements of an array that a formula ends with."""


@dataclass(frozen=True)
class Node:
    """A box: ``symbol`` is LaTeX; ``value`` and ``gradient`` are arrays in the JSON form of explanations."""

    symbol: str
    name: str | None
    title: str
    value: Any
    gradient: Any
    differentiated: bool


@dataclass(frozen=True)
class Tale:
    """A step of the chain; formulas are LaTeX, values are arrays in the JSON form of explanations."""

    phase: str
    line: int
    through: int | None
    symbol: str
    formula: str
    filled: str | None
    value: Any
    sentence: str
    part: bool = False
    local: tuple[str, str, str | None, Any] | None = None
    terms: tuple[tuple[int, Any], ...] = ()
    shapes: str | None = None
    why_zero: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Told:
    """An explanation, whether live or saved."""

    function: str
    expression: str | None
    rate: float
    loss: int
    key: str
    outline: Outline
    nodes: dict[int, Node]
    chain: tuple[Tale, ...]
    updates: tuple[dict[str, Any], ...]
    checks: tuple[dict[str, Any], ...]


def told(explanation: Explanation, checked: bool = True) -> Told:
    """A live explanation in the common form; ``checked``: with its gradients beside finite differences."""
    graph, outline = explanation.graph, explanation.outline
    inputs = graph.inputs
    nodes = {
        line: Node(
            explanation.symbol(line),
            (graph.input_name(line) or None) if line < inputs else None,
            f"the input {plain(explanation.symbol(line))}" if line < inputs else title(graph, line),
            array(explanation.value_of(line)),
            array(explanation.gradient(line)),
            line in explanation.record.wrt,
        )
        for line in outline.heads
    }
    chain = tuple(
        Tale(
            s.phase, s.line, s.through, s.symbol, s.formula, s.filled, array(s.value), s.sentence, s.part,
            (s.local.symbol, s.local.rule, s.local.filled, array(s.local.value)) if s.local is not None else None,
            tuple((t.head, array(t.value)) for t in s.terms), s.shapes, s.why_zero, s.code,
        )
        for s in explanation.chain
    )  # fmt: skip
    updates = tuple(
        {"name": u.name, "symbol": u.symbol, "formula": u.formula, "filled": u.filled, "value": array(u.value)}
        for u in explanation.updates.values()
    )
    checks = tuple(
        {"name": name, "derivative": number(c.derivative), "difference": number(c.difference), "verdict": c.verdict}
        for name, c in (explanation.checks.items() if checked else ())
    )
    return Told(
        explanation.function, explanation.expression, explanation.learning_rate, graph.outputs[0], explanation.key,
        outline, nodes, chain, updates, checks,
    )  # fmt: skip


def view(one: Told, after: float | None, only: int | None = None) -> dict[str, Any]:
    """Everything the page draws and says; ``after`` is the loss after the update (None: not known).

    ``only``: the one step whose formulas are written; those of the others are None, and the key formula is where the
    way back is not done.  For a value that is being dragged: numbers change in all steps, formulas are read in one.
    """
    inputs = one.outline.graph.inputs
    boxes, edges = _drawing(one)
    before = scalar(one.nodes[one.loss].value)
    return {
        "function": one.function,
        "expression": one.expression,
        "learning_rate": one.rate,
        "key": formula([one.key]) if only is None or only >= len(one.chain) else None,
        "loss": {"line": one.loss, "symbol": plain(one.nodes[one.loss].symbol), "value": one.nodes[one.loss].value},
        "inputs": [
            {
                "line": line,
                "name": node.name,
                "symbol": plain(node.symbol),
                "value": node.value,
                "differentiated": node.differentiated,
            }
            for line, node in one.nodes.items()
            if line < inputs
        ],
        "nodes": boxes,
        "edges": edges,
        "steps": _steps(one, before, after, only),
        "updates": [{"name": u["name"], "symbol": plain(u["symbol"]), "value": u["value"]} for u in one.updates],
        "checks": list(one.checks),
        "after": None if after is None else number(after),
    }


# ---------------------------------------------------------------------------------------------------------- formulas


def formula(sides: Sequence[str | None]) -> dict[str, str]:
    """LaTeX sides joined by =, none repeated, as MathML and text.

    Raises ValueError for LaTeX outside of the part that explanations are written in.
    """
    kept: list[str] = []
    for side in sides:
        if side and side not in kept[-1:]:
            kept.append(side)
    latex = " = ".join(kept)
    try:
        return {"mathml": mathml(latex), "text": plain(latex)}
    except (KeyError, RecursionError):
        raise ValueError(f"a formula that can't be read: {latex[:60]}") from None


def numbers(values: Any) -> Any:
    """The NumPy array of an array in JSON form; None where only its summary is kept."""
    if values is None or values["values"] is None:
        return None
    nested = values["values"]
    words = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}

    def read(item: Any) -> Any:
        return [read(i) for i in item] if isinstance(item, list) else words.get(item, item)

    return np.asarray(read(nested))


def scalar(values: Any) -> float | None:
    """The number of an array in JSON form; None for anything that is no single number."""
    found = numbers(values)
    return float(found) if found is not None and found.ndim == 0 and found.dtype.kind in "fiub" else None


def signed(value: float, digits: int = 4) -> str:
    """A number as sentences have it."""
    return number_text(value, digits).replace("-", "−")


def _latex(values: Any) -> str | None:
    found = numbers(values)
    piece = None if found is None else array_piece(found, MOST_SHOWN)
    return None if piece is None else piece.latex


# -------------------------------------------------------------------------------------------------------------- steps


def _steps(one: Told, before: float | None, after: float | None, only: int | None) -> list[dict[str, Any]]:
    count = len(one.chain)
    chain = [_step(t, only in (None, i)) for i, t in enumerate(one.chain, 1)]
    found = [_start(one, only in (None, 0)), *chain, _update(one, only in (None, count + 1))]
    if after is not None and before is not None:
        found.append(_after(one, before, after))
    return found


def _step(t: Tale, written: bool) -> dict[str, Any]:
    """One step of the chain: its formulas, the local derivative first where there is one of its own."""
    formulas = []
    if written and t.local is not None and t.formula != t.local[1]:
        symbol, rule, filled, value = t.local
        formulas.append(formula([symbol, rule, filled, _latex(value)]))
    if written:
        formulas.append(formula([t.symbol, t.formula, t.filled, _latex(t.value)]))
    return {
        "phase": t.phase,
        "line": t.line,
        "through": t.through,
        "name": plain(t.symbol),
        "formulas": formulas if written else None,
        "value": t.value,
        "local": t.local[3] if t.local is not None else None,
        "sentence": t.sentence,
        "why_zero": t.why_zero,
        "shapes": t.shapes,
        "part": t.part,
        "terms": [{"through": head, "value": value} for head, value in t.terms],
        "code": t.code,
    }


def _plain_step(
    phase: str, line: int, name: str, formulas: list[dict[str, str]] | None, sentence: str
) -> dict[str, Any]:
    return {
        "phase": phase, "line": line, "through": None, "name": name, "formulas": formulas, "value": None, "local": None,
        "sentence": sentence, "why_zero": None, "shapes": None, "part": False, "terms": [], "code": None,
    }  # fmt: skip


def _start(one: Told, written: bool) -> dict[str, Any]:
    given = [(node.symbol, node.value) for line, node in one.nodes.items() if line < one.outline.graph.inputs]
    shown = [formula([symbol, _latex(value) or r"\dots"]) for symbol, value in given[:24]] if written else None
    loss = plain(one.nodes[one.loss].symbol)
    wanted = _listed([plain(n.symbol) for n in one.nodes.values() if n.differentiated])
    sentence = f"These values are given. Forward, {loss} is computed from them; "
    sentence += f"backward, how {loss} changes with {wanted}."
    return _plain_step("start", one.loss, "start", shown, sentence)


def _listed(names: Sequence[str]) -> str:
    if len(names) > 6:
        return f"{', '.join(names[:5])} and {len(names) - 5} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "nothing"


def _update(one: Told, written: bool) -> dict[str, Any]:
    formulas = [
        formula([rf"{u['symbol']} \gets {u['formula']}", u["filled"], _latex(u["value"])]) for u in one.updates[:24]
    ] if written else None  # fmt: skip
    return _plain_step("update", one.loss, "update", formulas, _update_sentence(one))


def _after(one: Told, before: float, after: float) -> dict[str, Any]:
    went = formula([rf"{one.nodes[one.loss].symbol}: {_number(before)} \to {_number(after)}"])
    return _plain_step("after", one.loss, "after", [went], _after_sentence(one, before, after))


def _number(value: float) -> str:
    piece = array_piece(np.float64(value))
    assert piece is not None
    return piece.latex


def _update_sentence(one: Told) -> str:
    if not one.updates:
        return "Nothing is differentiated, so nothing is updated."
    if len(one.updates) > 1:
        times = f"α = {signed(one.rate)} times the gradient, subtracted"
        return f"Each value moves against its own gradient, all at once: {times}."
    update = one.updates[0]
    node = next(n for n in one.nodes.values() if n.differentiated)
    symbol, loss = plain(update["symbol"]), plain(one.nodes[one.loss].symbol)
    slope = scalar(node.gradient)
    if slope is None:
        return f"{symbol} moves against its gradient, element by element."
    if not np.isfinite(slope):
        return f"∂{loss}/∂{symbol} is not a finite number, so there is no step to take."
    if slope == 0:
        return f"∂{loss}/∂{symbol} is 0: {symbol} stays where it is."
    way = ("positive", "raises", "down") if slope > 0 else ("negative", "lowers", "up")
    if one.rate < 0:
        way = (way[0], way[1], "down" if way[2] == "up" else "up")
    if one.rate == 0:
        return f"∂{loss}/∂{symbol} is {way[0]}, but the learning rate is 0: {symbol} stays where it is."
    by = signed(abs(one.rate * slope))
    return f"∂{loss}/∂{symbol} is {way[0]}: a larger {symbol} {way[1]} {loss}. So {symbol} goes {way[2]}, by {by}."


def _after_sentence(one: Told, before: float, after: float) -> str:
    loss = plain(one.nodes[one.loss].symbol)
    if not np.isfinite(before) or not np.isfinite(after):
        which = "With the new values" if np.isfinite(before) else "Before the update already"
        return f"{which} {loss} is not a finite number: whether the step helped can't be said."
    squares = 0.0
    for node in one.nodes.values():
        found = numbers(node.gradient) if node.differentiated else None
        squares += float(np.sum(np.square(found))) if found is not None else 0.0
    line = f"The tangent alone would have led to {signed(before - one.rate * squares)}"
    if after == before:
        return f"{loss} stays at {signed(before)}: " + (
            "every gradient is 0." if squares == 0 else "the step changes nothing that reaches it."
        )
    if after > before:
        rises = f"The step was too long: {loss} rises from {signed(before)} to {signed(after)}."
        return f"{rises} {line}, but it only knows the slope at the start."
    return f"{loss} falls from {signed(before)} to {signed(after)}. {line}; the curve bends on the way."


# ------------------------------------------------------------------------------------------------------------ drawing


def _drawing(one: Told) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Boxes with rank and height, and the edges between them by the lines they stand for."""
    outline = one.outline
    drawing = layout(outline, collapse=len(outline.heads) > MOST_BOXES)
    locals_ = {(t.line, t.through): t for t in one.chain if t.phase == "backward" and t.through is not None}
    boxes = []
    for box in drawing.boxes:
        line = box.lines[-1] if box.repeats > 1 else box.lines[0]
        node = one.nodes[line]
        boxes.append(
            {
                "line": line,
                "lines": list(box.lines),
                "repeats": box.repeats,
                "rank": box.rank,
                "height": box.height,
                "kind": _kind(one, line),
                "symbol": f"× {box.repeats}" if box.repeats > 1 else plain(node.symbol),
                "title": f"{box.repeats} more layers like the one before" if box.repeats > 1 else node.title,
                "name": node.name,
                "value": node.value,
                "gradient": node.gradient,
            }
        )
    edges = []
    for a, b, used, user in drawing.edges:
        tale = locals_.get((used, user))
        edges.append(
            {
                "from": a,
                "to": b,
                "used": used,
                "user": user,
                "active": tale is not None,
                "local": tale.local[3] if tale is not None and tale.local is not None else None,
                "part": tale.value if tale is not None else None,
            }
        )
    return boxes, edges


def _kind(one: Told, line: int) -> str:
    if line < one.outline.graph.inputs:
        return "weight" if one.nodes[line].differentiated else "data"
    return "loss" if line == one.loss else "step"
