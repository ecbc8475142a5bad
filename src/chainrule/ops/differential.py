"""A derivative written once, as the tangent of the output: the pullback is its transpose.

A tangent is linear in the tangents of the arguments.  So the pullback needs no rule of its own: the pushforward is
written out on placeholders, and the lines it makes are walked backwards, each by its own op's transpose (linear
transposition as in Radul, Paszke, Frostig, Johnson and Maclaurin, "You Only Linearize Once", POPL 2023).  The
placeholders and the forward half of those lines are needed by no output, and vanish when the graph is finished.

The pushforward must be linear in the tangents, and must not use its own op on a tangent (``solve`` states both
directions for that reason).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.ops.expr import Expr
from chainrule.ops.record import Custom, op

Pushforward = Callable[..., Any]


def differential(name: str, run: Callable[..., Any], tangent: Pushforward, **options: Any) -> Custom:
    """The record of an op whose derivative is stated by ``tangent(tangents, out, args, **attrs)`` alone.

    ``out`` is a tuple for an op with several outputs, and the result a tuple of tangents, None where one is zero.
    ``tangents[i]`` is None where argument i is not varied.
    """

    def vjp(ct: Any, out: Any, args: Sequence[Expr], wanted: Sequence[bool], **attrs: Any) -> list[Any]:
        return transpose_linear(lambda tangents: tangent(tangents, out, args, **attrs), ct, args, wanted)

    return Custom(name, run, vjp=vjp, jvp=tangent, **options)


def transpose_linear(
    linear: Callable[[list[Any]], Any], ct: Any, args: Sequence[Expr], wanted: Sequence[bool]
) -> list[Any]:
    """The cotangents of the inputs of ``linear`` (like ``args``, those ``wanted``) from those of its outputs."""
    builder = args[0].builder
    start = len(builder.lines)
    inputs = [builder.placeholder(a.spec) if want else None for a, want in zip(args, wanted, strict=True)]
    made = linear(inputs)
    stop = len(builder.lines)
    linked = {p.index for p in inputs if p is not None}
    for index in range(start, stop):
        if any(a in linked for a in builder.lines[index].args):
            linked.add(index)

    cotangents: dict[int, Any] = {}
    pairs = zip(made, ct, strict=True) if isinstance(made, tuple) else [(made, ct)]
    for tangent, arriving in pairs:
        if tangent is not None and arriving is not None and tangent.index in linked:
            _add(cotangents, tangent.index, arriving)
    for index in range(stop - 1, start - 1, -1):
        line = builder.lines[index]
        if line.op.name == "input" or index not in cotangents or index not in linked:
            continue
        arriving = cotangents.pop(index)
        if line.op.name == "item":
            parts = cotangents.setdefault(line.args[0], [None] * len(builder.lines[line.args[0]].spec))
            position = dict(line.attrs)["position"]
            parts[position] = arriving if parts[position] is None else parts[position] + arriving
            continue
        attrs = dict(line.attrs)
        active = [a in linked and line.op.undifferentiable(i, attrs) is None for i, a in enumerate(line.args)]
        handles = [Expr(builder, a) for a in line.args]
        for a, part in zip(line.args, line.op.pullback(arriving, builder.wrap(index), handles, attrs, active),
                           strict=True):  # fmt: skip
            if part is not None and a in linked:
                _add(cotangents, a, part)
    return [None if p is None else cotangents.get(p.index) for p in inputs]


def _add(cotangents: dict[int, Any], index: int, part: Any) -> None:
    known = cotangents.get(index)
    cotangents[index] = part if known is None else op("add")(known, part)
