"""Why elements of a gradient are zero: the backward pass read back from the gradient to the loss.

The backward pass is linear in cotangents.  So a zero in a cotangent has one of four reasons, told apart by running the
node that made it again on other cotangents:

- **cut**: it would be 0 whatever arrives (random cotangents give 0 too): the op's local derivative is 0 there;
- **carried**: everything it is made of is 0 already: the question goes on to those elements;
- **cancelled**: it is a sum of terms that are not all 0;
- **underflow**: the product is not 0, but too small for the dtype.

Which elements a zero is made of is the transpose of the same linear map, applied to a mask.  Nothing here knows the
ops; what a cut means in words is said in :mod:`chainrule.explain.why_causes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.base.arrays import Array
from chainrule.explain.why_tape import Node, Tape, is_float
from chainrule.graph.builder import Builder
from chainrule.graph.evaluate import run_plan
from chainrule.ops.expr import Expr
from chainrule.transforms.reverse import vjp_graph


@dataclass(frozen=True, eq=False)
class Reason:
    """Why node ``number`` is 0 in the elements ``here``; ``kind``: "cut", "cancelled", "underflow" or "rule".

    ``everywhere`` marks all elements the op cuts, asked for or not.  ``decisive``: what arrived was not 0.
    """

    kind: str
    number: int
    here: Array
    everywhere: Array
    decisive: bool


def reasons(tape: Tape, seeded: set[int], number: int, mask: Array) -> list[Reason]:
    """Why the gradient held by node ``number`` is 0 in the elements of ``mask``; nearest to the input first.

    ``seeded``: the nodes that depend on the cotangent of the result.
    """
    asked: dict[int, Array] = {number: np.asarray(mask)}
    found: list[Reason] = []
    for at in range(number, -1, -1):
        if at not in asked:
            continue
        node = tape[at]
        if isinstance(node.value, tuple):
            continue
        here = asked[at] & (np.asarray(node.value) == 0)
        if not here.any() or node.op.name == "input":
            continue
        if at not in seeded:
            found.append(Reason("rule", at, here, np.asarray(node.value) == 0, True))
            continue
        found.extend(_look(tape, seeded, at, here, asked))
    return found


def _look(tape: Tape, seeded: set[int], at: int, here: Array, asked: dict[int, Array]) -> Iterator[Reason]:
    """The reasons at one node; what is carried is entered in ``asked``."""
    node = tape[at]
    cotangents = list(dict.fromkeys(a for a in node.args if a in seeded))
    if any(isinstance(tape[a].value, tuple) for a in cotangents):
        return
    passes = {a: _through(tape, node, cotangents, {a: _random(tape[a].value)}) != 0 for a in cotangents}
    open_ = np.zeros(np.shape(node.value), bool)
    for a in cotangents:
        open_ = open_ | passes[a]
    cut = here & ~open_
    if cut.any():
        arrived = _arriving(tape, node, cotangents, cut, asked)
        yield Reason("cut", at, cut, ~open_, arrived)
    for a in cotangents:
        fed = here & passes[a]
        if not fed.any():
            continue
        made_of = _transposed(tape, node, a, fed)
        zero = np.asarray(tape[a].value) == 0
        _ask(asked, a, made_of & zero)
        alive = made_of & ~zero
        if alive.any():
            terms = _through(tape, node, cotangents, {a: np.where(alive, _random(tape[a].value), 0)})
            lost = fed & (terms != 0)
            if lost.any():
                yield Reason(_lost(tape, node, cotangents, lost), at, lost, lost, True)


def _ask(asked: dict[int, Array], number: int, mask: Array) -> None:
    if mask.any():
        asked[number] = asked[number] | mask if number in asked else mask


def _random(value: Any) -> Any:
    """Numbers between 1 and 2 like ``value``: nothing cancels between them."""
    array = np.asarray(value)
    drawn = np.random.default_rng(0).uniform(1.0, 2.0, array.shape)
    return drawn.astype(array.dtype)[()]


def _through(tape: Tape, node: Node, cotangents: list[int], given: dict[int, Any]) -> Array:
    """The node run with the cotangents ``given``, all others 0."""
    values = []
    for a in node.args:
        value = tape[a].value
        if a in cotangents:
            value = given.get(a, np.zeros_like(value))
        values.append(value)
    with np.errstate(all="ignore"):
        return np.asarray(node.run(*values))


def _arriving(tape: Tape, node: Node, cotangents: list[int], cut: Array, asked: dict[int, Array]) -> bool:
    """Whether anything arrives where the node cuts.  Where nothing does, the question also goes on to why not."""
    if not node.op.broadcasts:
        return any(bool(np.any(tape[a].value != 0)) for a in cotangents)
    arrived = False
    for a in cotangents:
        value = np.asarray(tape[a].value)
        nothing = cut & np.broadcast_to(value == 0, cut.shape)
        arrived = arrived or bool((cut & ~nothing).any())
        _ask(asked, a, _folded(nothing, value.shape))
    return arrived


def _folded(mask: Array, shape: tuple[int, ...]) -> Array:
    """A mask over a broadcast result, as one over an argument of ``shape``."""
    lead = mask.ndim - len(shape)
    folded = np.logical_or.reduce(mask, axis=tuple(range(lead))) if lead else mask
    for axis, n in enumerate(shape):
        if n == 1 and folded.shape[axis] != 1:
            folded = np.logical_or.reduce(folded, axis=axis, keepdims=True)
    return np.asarray(folded)


def _transposed(tape: Tape, node: Node, arg: int, fed: Array) -> Array:
    """The elements of ``arg`` that the elements ``fed`` of the node are made of."""
    value = np.asarray(tape[arg].value)
    if node.op.broadcasts:
        return _folded(fed, value.shape)
    if node.part is not None:  # an element of a stack, made while a loop was unrolled
        mask = np.zeros(value.shape, bool)
        mask[node.part] = fed
        return mask
    if len(node.args) > 0 and node.stacked:
        return np.asarray(fed[node.args.index(arg)])
    line = node.place.graph.lines[node.place.index]
    builder = Builder()
    args = [builder.input(node.place.graph.lines[a].spec) for a in line.args]
    graph, _ = builder.finish([Expr(builder, builder.append(line.op, tuple(a.index for a in args), line.attrs,
                                                            line.spec))])  # fmt: skip
    positions = tuple(p for p, a in enumerate(node.args) if a == arg)
    seed = np.where(fed, _random(node.value), 0).astype(np.asarray(node.value).dtype)
    pulled = run_plan(vjp_graph(graph, positions, (0,)), [*(tape[a].value for a in node.args), seed])[1:]
    mask = np.zeros(value.shape, bool)
    for cotangent in pulled:
        mask = mask | (np.asarray(cotangent) != 0)
    return mask


def _lost(tape: Tape, node: Node, cotangents: list[int], lost: Array) -> str:
    """Whether terms that are not 0 gave 0 because they cancel, or because their product is too small."""
    sizes = [np.abs(tape[a].value) if is_float(tape[a].value) else tape[a].value for a in node.args]
    with np.errstate(all="ignore"):
        total = np.asarray(node.run(*sizes))
    if node.op.name == "sub":
        total = sizes[0] + sizes[1]
    return "cancelled" if np.any(np.abs(total)[lost] > 0) else "underflow"
