"""Plain sentences: what a step does, what a derivative means, and why a gradient is zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.explain.formula import Piece, TooLong, Writer, number_text
from chainrule.explain.plain import plain
from chainrule.explain.step import Local, is_scalar
from chainrule.graph.graph import Graph
from chainrule.ops.structure import is_plumbing

if TYPE_CHECKING:
    from chainrule.explain.record import Use
    from chainrule.explain.teller import Teller

_SILENT = ("broadcast_to", "cast", "reshape", "equal", "less", "less_equal", "greater", "greater_equal")
_SATURATED = ("tanh", "sigmoid", "exp", "erf", "softmax", "logaddexp", "arctan")


def forward(graph: Graph, lines: tuple[int, ...]) -> str:
    """The sentences of the ops of one step, in order, each once."""
    said = [_said(graph, i) for i in lines
            if not is_plumbing(graph.lines[i].op.name) and graph.lines[i].op.name not in _SILENT]  # fmt: skip
    said = list(dict.fromkeys(said)) or [_said(graph, lines[-1])]
    text = ", then ".join(said)
    return f"{text[:1].upper()}{text[1:]}."


def _said(graph: Graph, index: int) -> str:
    """What a line does: its op's sentence, or shorter words for the two most frequent special cases."""
    line = graph.lines[index]
    if line.op.name == "item":
        return _said_of_item(graph, index)
    if line.op.name == "pow" and _constant(graph, line.args[1]) == 2:
        return "squares it" if graph.lines[line.args[0]].op.name != "input" else "squares the input"
    if line.op.name == "where":
        condition = graph.lines[line.args[0]]
        kept = condition.op.name == "less_equal" and condition.args[0] == line.args[2]
        if kept and _constant(graph, line.args[1]) == 0 == _constant(graph, condition.args[1]):
            return "keeps what is above 0 and makes the rest 0 (ReLU)"
    return line.op.sentence


def _said_of_item(graph: Graph, index: int) -> str:
    """Which of several results is taken, of a loop in words."""
    line = graph.lines[index]
    loop = graph.lines[line.args[0]]
    if loop.op.name != "scan":
        return line.op.sentence
    carried = dict(line.attrs)["position"] < dict(loop.attrs)["carries"]
    return "takes what the loop has carried to its end" if carried else "takes what the loop gave out turn by turn"


def _constant(graph: Graph, index: int) -> Any:
    line = graph.lines[index]
    if line.op.name in ("broadcast_to", "cast"):
        return _constant(graph, line.args[0])
    return line.attrs[0][1].array[()] if line.op.name == "constant" and not line.spec.shape else None


_PASSED = {
    "matmul": "times the other factor, transposed",
    "add": "a sum passes it on as it is",
    "sub": "a difference passes it on, with the sign",
    "sum": "each element that was added up gets all of it",
    "where": "only where it was chosen, 0 elsewhere",
    "maximum": "only where it was the larger, 0 elsewhere",
    "minimum": "only where it was the smaller, 0 elsewhere",
    "max": "only to the element that was the largest",
    "min": "only to the element that was the smallest",
    "index": "put back in the place it was taken from, 0 elsewhere",
    "gather": "added back at the places it was taken from, 0 elsewhere",
    "transpose": "with the axes put back",
    "reshape": "in the shape it came from",
    "broadcast_to": "summed over the axes it was repeated along",
    "concatenate": "each array gets its own part",
    "div": "divided in the same way",
    "mul": "times the other factor",
    "scan": "through the loop's turns from the last to the first, and what each of them sends is added",
}  # fmt: skip


def _passed(teller: Teller, head: int, uses: list[Use]) -> str:
    """How a linear step passes a cotangent on, in the words of its last ops."""
    lines = [u.line for u in (*teller.inside(head), *uses)]
    said = list(dict.fromkeys(_PASSED.get(teller.graph.lines[i].op.name, "") for i in dict.fromkeys(lines)))
    said = [text for text in said if text]
    if len(said) > 1:
        said = [text for text in said if text not in (_PASSED["add"], _PASSED["reshape"])] or said[:1]
    return ", then ".join(said[:3]) or "by the op's pullback, the transpose of its derivative"


_TITLES = {
    "add": "a sum", "sub": "a difference", "mul": "a product", "div": "a quotient", "neg": "the opposite",
    "pow": "a power", "matmul": "a matrix product", "sum": "a sum of elements", "where": "a choice",
    "maximum": "the larger of two", "minimum": "the smaller of two", "max": "the largest element",
    "min": "the smallest element", "index": "a part of an array", "gather": "picked elements",
    "item": "one of several results", "concatenate": "arrays joined",
}  # fmt: skip


def title(graph: Graph, index: int) -> str:
    """What a value is, in two or three words."""
    while graph.lines[index].op.name in ("reshape", "broadcast_to", "cast"):
        index = graph.lines[index].args[0]
    said = _said(graph, index)
    name = graph.lines[index].op.name
    if name == "item" and said.startswith("takes what"):
        return said.removeprefix("takes ")
    return "ReLU" if said.endswith("(ReLU)") else _TITLES.get(name, f"result of {name}")


def backward(
    teller: Teller, head: int, argument: int, uses: list[Use], local: Local | None, arriving: Any, value: Any
) -> str:
    """What one factor of the chain rule means."""
    of, by = plain(teller.outline.symbol[head]), plain(teller.outline.symbol[argument])
    loss = plain(teller.loss)
    if local is None or not is_scalar(local.value):
        how = "times the local derivative, element by element" if local is not None else _passed(teller, head, uses)
        return f"What arrives at {of} goes on to {by}: {how}."
    rate = number_text(float(np.real(local.value)), 4)
    if float(np.real(local.value)) == 0:
        return f"A small change of {by} does not move {of}, so nothing of {loss} gets through here."
    if head == teller.graph.outputs[0]:
        return f"If {by} rises a little, {of} changes {_times(rate)}."
    total = number_text(float(np.real(value)), 4)
    return f"If {by} rises a little, {of} changes {_times(rate)}; so {loss} changes {_times(total)}."


def _times(rate: str) -> str:
    return "as much" if rate == "1" else f"{rate.replace('-', '−')} times as much"


def fan_out(symbol: str, through: list[str]) -> str:
    """Why terms are added."""
    ways = " and ".join(plain(t) for t in through) if len(through) < 4 else f"{len(through)} steps"
    return f"{plain(symbol)} reaches the loss through {ways}: what comes back over each of them is added."


def why_zero(teller: Teller, head: int, argument: int, uses: list[Use], arriving: Any, value: Any) -> str | None:
    """The reason why a contribution is 0 in every element; None where it is not 0."""
    if isinstance(value, tuple) or not np.size(value) or np.any(np.asarray(value) != 0):
        return None
    of = plain(teller.outline.symbol[head])
    if arriving is not None and not np.any(np.asarray(arriving) != 0):
        return f"nothing arrives at {of}: ∂{plain(teller.loss)}/∂{of} is 0 already"
    for use in (*teller.inside(head), *uses):
        reason = _reason(teller, use)
        if reason is not None:
            return reason
    return f"the derivative of {of} is 0 here"


def _reason(teller: Teller, use: Use) -> str | None:
    """Why the local derivative of one line is 0, if it is."""
    local = use.local
    name = teller.graph.lines[use.line].op.name
    if local is None and name == "where" and not np.any(np.asarray(teller.values[use.part]) != 0):
        return f"{_formula(teller, use.argument)} is chosen in no element: the ReLU, or the where, is off everywhere"
    if local is None and name in ("mul", "matmul"):
        factor = teller.graph.lines[use.line].args[1 - use.position]
        return f"the other factor, {_formula(teller, factor)}, is 0" if _is_zero(teller, factor) else None
    if local is None or np.any(np.asarray(local if isinstance(local, float) else teller.values[local]) != 0):
        return None
    line = teller.graph.lines[use.line]
    of = _formula(teller, use.argument)
    if name == "pow":
        return f"{of} is 0, and there the slope of a power is 0: it is at its lowest point"
    if name in ("mul", "matmul", "chain_mul"):
        other = _formula(teller, line.args[1 - use.position])
        return f"the other factor, {other}, is 0"
    if name in ("where", "maximum", "minimum", "max", "min"):
        relu = name == "where" or (name == "maximum" and _is_zero(teller, line.args[1 - use.position]))
        return f"{of} is not chosen: " + (f"{of} ≤ 0, the ReLU is off" if relu else "the other one is")
    if name in _SATURATED:
        return f"{name} is flat at {of}: it is saturated, its slope is below what floats can hold"
    if name == "abs":
        return f"{of} is 0, and there the derivative of |·| is taken as 0"
    return f"the derivative of {name} at {of} is 0"


def _is_zero(teller: Teller, index: int) -> bool:
    value = teller.value(index)
    return not isinstance(value, tuple) and not np.any(np.asarray(value) != 0)


def _formula(teller: Teller, index: int) -> str:
    at = teller.record.at[index]
    if not isinstance(at, int):
        return "it"
    try:
        stops: dict[int, Piece] = teller.forward_stops
        return plain(Writer(teller.whole, stops).formula(at).latex)
    except TooLong:
        return "it"
