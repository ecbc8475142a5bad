"""What stopped a gradient, in words: the op, the user's line, how much of it, for which units, and what to do.

Two sources of causes: a path that is cut in the graph itself (an op without a derivative), and zeros of the backward
pass (:mod:`chainrule.explain.why_reasons`), which are told by the forward op whose derivative is 0 and by the numbers
that went into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.base.arrays import Array
from chainrule.explain.nonfinite_search import Found, Search
from chainrule.explain.why_reasons import Reason
from chainrule.explain.why_tape import Node, Tape
from chainrule.explain.why_text import caret, listed, number
from chainrule.graph.graph import Source


@dataclass(frozen=True)
class Cause:
    """One reason why a gradient is zero or missing.

    ``kind``: in two or three words ("ReLU off", "saturation", "integer cast" …).  ``op`` and ``source``: the op and the
    user's line.  ``elements``: how many numbers it stops there, and ``share`` which part of the op's output that is.
    ``units``: the indices on the last axis that it stops for all ``examples`` (the product of the other axes).
    ``decisive``: something did arrive there.
    """

    kind: str
    op: str
    source: Source | None
    sentence: str
    remedy: str
    evidence: str = ""
    elements: int = 0
    share: float = 0.0
    units: tuple[int, ...] = ()
    examples: int = 0
    decisive: bool = True
    steps: tuple[str, ...] = ()
    caret: tuple[int, int] | None = None


Words = tuple[str, str, str, str]
"""Kind, sentence, remedy, evidence."""


# ------------------------------------------------------------------------------------------------ paths that are cut


def cuts(tape: Tape, leaf: int) -> list[Cause]:
    """The ops without a derivative that stand between an input and every result; none where a path passes."""
    active, reached = {leaf}, {leaf}
    needed = tape.ancestors(tape.outputs)
    found: dict[tuple[str, Source | None], Cause] = {}
    for at, node in enumerate(tape.nodes):
        if not any(a in reached for a in node.args):
            continue
        reached.add(at)
        carrying = [(p, a) for p, a in enumerate(node.args) if a in active]
        attrs = dict(node.place.graph.lines[node.place.index].attrs)
        stated = [node.op.undifferentiable(p, attrs) for p, _ in carrying]
        value = node.value[0] if isinstance(node.value, tuple) else node.value
        smooth = np.asarray(value).dtype.kind in "fc"
        if smooth and any(reason is None for reason in stated):
            active.add(at)
        elif carrying and at in needed:
            reason = next((s.reason for s in stated if s is not None), "its result is an integer or a bool")
            found.setdefault((node.op.name, node.source), _cut(node, reason))
    return [] if any(o in active for o in tape.outputs) else list(found.values())


_CUT_KINDS = {
    "cast": ("integer cast", "stay in floats: compare or index with an extra, rounded copy"),
    "stop_gradient": ("stop_gradient", "leave stop_gradient out, if the gradient is wanted"),
    "argmax": ("argmax", "use a smooth stand-in: nn.softmax(x) @ values instead of values[np.argmax(x)]"),
    "argmin": ("argmin", "use a smooth stand-in: nn.softmax(-x) @ values instead of values[np.argmin(x)]"),
    "argsort": ("argsort", "np.sort keeps the gradient; an order alone has none"),
}
_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "isfinite", "isnan", "isinf")
_STEPS = ("floor", "ceil", "rint", "trunc", "sign", "floor_divide")


def _cut(node: Node, reason: str) -> Cause:
    name = node.op.name
    kind, remedy = _CUT_KINDS.get(name, (name, "use a function with a derivative in its place"))
    if name in _COMPARISONS:
        kind, remedy = "comparison", "use a smooth step, nn.sigmoid(k * (x - threshold)), or a loss of x itself"
    elif name in _STEPS:
        kind = "step function"
        remedy = "pass the gradient straight through: x + cr.stop_gradient(np.round(x) - x)"
    place = caret(node.source, name, node.place.graph, node.place.index)
    return Cause(kind, name, node.source, f"{name} lets no derivative through: {reason}", remedy, steps=node.steps,
                 elements=int(np.size(node.value)), share=1.0, caret=place)  # fmt: skip


def unused(recorded: Sequence[Any], leaf: int, name: str) -> Cause:
    """The cause where no result needs an input at all; ``recorded`` are all lines that were traced."""
    reached = {leaf}
    last: Any = None
    for index, line in enumerate(recorded):
        if any(a in reached for a in line.args):
            reached.add(index)
            last = line
    if last is None:
        return Cause("not used", "", None, f"the function does not use {name}, or only in Python's if and print",
                     f"use {name} in the result, or leave it out of the arguments")  # fmt: skip
    return Cause("result not used", last.op.name, last.source,
                 f"what is computed from {name} ends here: no result depends on it (Python's if, while and print use "
                 "values without a gradient)", "return it, or choose with np.where instead of if",
                 caret=caret(last.source, last.op.name))  # fmt: skip


# --------------------------------------------------------------------------------------- zeros of the backward pass


def told(search: Search, reason: Reason, input_name: Callable[[int], str]) -> Cause:
    """A reason in words."""
    tape = search.tape(True)
    node = tape[reason.number]
    at = search.forward_number(Found(reason.number, (), None, True, True))
    forward = None if at is None else tape[at]
    if forward is None and reason.kind == "rule":
        forward = _constant_power(search, tape)
    owner = forward or node
    kind, sentence, remedy, evidence = _words(search, reason, node, forward, input_name)
    units, examples = _units(reason.everywhere)
    if reason.kind == "cut" and owner.op.name in ("mul", "matmul"):
        units, examples = (), 0
    source = owner.source or node.source
    return Cause(
        kind, owner.op.name, source, sentence, remedy, evidence,
        elements=int(reason.here.sum()), share=float(reason.everywhere.mean()), units=units, examples=examples,
        decisive=reason.decisive, steps=owner.steps,
        caret=caret(source, owner.op.name, owner.place.graph, owner.place.index),
    )  # fmt: skip


def _constant_power(search: Search, tape: Tape) -> Node | None:
    """The x**0 of a graph: the one op whose rule gives a plain 0, which no backward line stands for."""
    for at in sorted(search.in_forward):
        node = tape[at]
        if (
            node.op.name == "pow"
            and tape[node.args[1]].op.name == "constant"
            and _number(tape[node.args[1]].value) == 0
        ):
            return node
    return None


def _units(mask: Array) -> tuple[tuple[int, ...], int]:
    """The indices on the last axis where all is cut, and how many examples the other axes hold."""
    if mask.ndim < 2:
        return (), 0
    all_cut = mask.all(axis=tuple(range(mask.ndim - 1)))
    return tuple(int(i) for i in np.flatnonzero(all_cut)), int(np.prod(mask.shape[:-1]))


def _words(search: Search, reason: Reason, node: Node, forward: Node | None, input_name: Callable[[int], str]) -> Words:
    tape = search.tape(True)
    if reason.kind == "cancelled":
        return ("cancellation", "terms that are not 0 add up to exactly 0", "nothing is wrong if the function is flat "
                "here; symmetric weights cancel so: initialise them differently", "")  # fmt: skip
    if reason.kind == "underflow":
        arriving = max((float(np.max(np.abs(tape[a].value), initial=0)) for a in node.args if a in search.seeded),
                       default=0.0)  # fmt: skip
        others = [float(np.max(np.abs(tape[a].value), initial=0)) for a in node.args if a not in search.seeded]
        factor = f", times {number(max(others))}" if others else ""
        return ("underflow", "the product of what arrives and the local derivative is too small for "
                f"{np.asarray(node.value).dtype}: the gradient has vanished",
                "shorten the product (fewer saturating layers, residual connections), scale the loss, or use float64",
                f"at most {number(arriving)} arrives{factor}")  # fmt: skip
    if forward is None:
        return "local derivative 0", "the local derivative is 0 here", "see the line", ""
    position = 0 if node.of is None else node.of[1]
    if reason.kind == "rule":
        return _flat(tape, forward, position)
    return _cut_words(search, tape, reason, forward, position, input_name)


def _cut_words(
    search: Search, tape: Tape, reason: Reason, forward: Node, position: int, input_name: Callable[[int], str]
) -> Words:
    name = forward.op.name
    if name == "where":
        return _where_words(tape, reason, forward, position)
    if name in ("maximum", "minimum"):
        return _extreme_words(tape, reason, forward, position)
    if name in ("max", "min"):
        return ("not the largest" if name == "max" else "not the smallest",
                f"{name} passes its gradient to the winning element only (ties share it)",
                "nothing is wrong; nn.logsumexp or a mean would give every element a share", "")  # fmt: skip
    if name in ("mul", "matmul"):
        return _product_words(search, tape, forward, position, input_name)
    if name in ("index", "gather"):
        return ("never selected", "the index never selects these elements",
                "nothing is wrong if they belong to other rows; else check the indices", "")  # fmt: skip
    if name in ("update", "scatter", "scatter_add"):
        return ("overwritten", "these elements are overwritten by a later assignment",
                "write to a copy, or compute the value from the old one", "")  # fmt: skip
    return _flat(tape, forward, position)


_MINIMUM: Words = (
    "square at its minimum", "the two sides of the difference are equal, and a square is flat at 0",
    "nothing is wrong: the result can't be made smaller here", "",
)  # fmt: skip
_SATURATING = ("tanh", "sigmoid", "erf", "erfc", "arctan", "logaddexp", "expit")


def _flat(tape: Tape, forward: Node, position: int) -> Words:
    """An op whose local derivative is 0 at these inputs."""
    name = forward.op.name
    span = _span(tape, forward, position)
    if name in _SATURATING:
        return ("saturation", f"{name} is flat this far out: its derivative is 0 to the last bit",
                "scale the inputs or the weights down, or normalise before the activation", span)  # fmt: skip
    if name in ("exp", "exp2"):
        return ("exp underflow", "exp of so negative a number is 0, and so is its derivative",
                "stay with logarithms, or bound the exponent from below", span)  # fmt: skip
    if name == "abs":
        return ("kink of |x|", "the derivative of |x| at 0 is taken as 0", "start away from 0", span)
    if name in ("norm", "hypot"):
        return ("kink of a norm", "the derivative of a norm at 0 is taken as 0", "start away from 0", span)
    if name == "pow":
        exponent = _number(tape[forward.args[1]].value)
        if exponent == 2 and tape[forward.args[0]].op.name == "sub":
            return _MINIMUM
        what = "x**0 is constant" if exponent == 0 else "a power above 1 is flat at 0"
        return "flat power", what, "start away from 0, or use another exponent", span
    if name == "div":
        what = "the numerator is 0" if position == 1 else "the divisor is infinite"
        return "quotient", what, "look at where these values come from", span
    if name == "custom_vjp":
        return "custom rule", "the rule given to custom_vjp returns 0", "correct the backward rule", ""
    return "local derivative 0", f"the derivative of {name} is 0 at these inputs", "look at its inputs", span


def _where_words(tape: Tape, reason: Reason, forward: Node, position: int) -> Words:
    if _is_random(tape, forward.args[0]):
        return ("dropout mask", "the random mask drops these elements in this step", "nothing is wrong: another key "
                "drops others; a rate close to 1 drops nearly all", "")  # fmt: skip
    other = tape[forward.args[3 - position if position in (1, 2) else 2]]
    condition = tape[forward.args[0]]
    compared = condition.args and forward.args[position] in condition.args
    if other.op.name == "constant" and _number(other.value) == 0 and condition.op.name in _COMPARISONS and compared:
        return _relu_words(tape, reason, forward.args[position])
    return ("where took the other side", "np.where takes the other branch here, so nothing depends on this one",
            "check the condition, if this branch was meant", "")  # fmt: skip


def _relu_words(tape: Tape, reason: Reason, x: int) -> Words:
    values = np.asarray(tape[x].value)
    units, examples = _units(reason.everywhere)
    share = reason.everywhere.mean()
    span = _between(values)
    some = units and len(units) < values.shape[-1]
    who = f"; units {listed(units)} are off for {all_of(examples)}" if some else ""
    evidence = f"off for {100 * share:.3g} % of the batch{who}; {span}" if values.ndim else span
    return ("ReLU off", "the input is not above 0, where ReLU is flat", "lower the learning rate, start the bias above "
            "0, use He initialisation, or nn.leaky_relu", evidence)  # fmt: skip


def _extreme_words(tape: Tape, reason: Reason, forward: Node, position: int) -> Words:
    other = tape[forward.args[1 - position]]
    bound = _number(other.value) if other.op.name == "constant" else None
    if bound == 0 and forward.op.name == "maximum":
        return _relu_words(tape, reason, forward.args[position])
    if bound is not None:
        side = "below" if forward.op.name == "maximum" else "above"
        return ("clipped", f"the value is {side} {number(bound)}, where it is clipped to a constant",
                "widen the range, or clip the gradient instead", _span(tape, forward, position))  # fmt: skip
    word = "larger" if forward.op.name == "maximum" else "smaller"
    return f"not the {word}", f"the other argument is {word} here", "nothing is wrong if that is meant", ""


def _product_words(search: Search, tape: Tape, forward: Node, position: int, input_name: Callable[[int], str]) -> Words:
    arg = forward.args[1 - position]
    other = tape[arg]
    given = other.op.name == "input" and arg < search.graph.inputs
    name = input_name(arg) if given else f"the result of {other.op.name}"
    if other.op.name == "constant":
        name = "a constant"
    value = np.asarray(other.value)
    zero = value == 0
    if arg == forward.args[position] and other.op.name == "sub":
        return _MINIMUM
    evidence = f"{name} is 0" if zero.all() else f"{name} is 0 in {int(zero.sum())} of {zero.size} elements"
    columns, rows = _units(zero)
    if columns:
        evidence += (
            f"; columns {listed(columns)} in all {rows} rows" if len(columns) < zero.shape[-1] else ", all of it"
        )
    return ("multiplied by 0", f"the other factor, {name}, is 0 here", "check that input (a dead feature, a mask, a "
            "layer that is off, weights that start at 0)", evidence)  # fmt: skip


def _span(tape: Tape, forward: Node, position: int) -> str:
    if not forward.args:
        return ""
    values = np.asarray(tape[forward.args[min(position, len(forward.args) - 1)]].value)
    if not values.size or values.dtype.kind not in "f":
        return ""
    return _between(values)


def _between(values: Array) -> str:
    low, high = number(values.min()), number(values.max())
    return f"its input is {low}" if low == high else f"its input is between {low} and {high}"


def all_of(examples: int) -> str:
    """``all 64 examples``, or ``the one example``."""
    return f"all {examples} examples" if examples > 1 else "the one example"


def _number(value: Any) -> Any:
    """The one value an array holds everywhere, else None."""
    array = np.asarray(value)
    return array.reshape(-1)[0] if array.size and bool(np.all(array == array.reshape(-1)[0])) else None


def _is_random(tape: Tape, at: int) -> bool:
    return any(tape[n].op.name == "random_bits" for n in tape.ancestors([at]))
