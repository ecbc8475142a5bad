"""Reverse mode: the graph of a function becomes the graph of its cotangents.

Backpropagation (Linnainmaa, 1970): copy the forward lines, then walk them backwards; each line turns the cotangent of
its output into cotangents of its arguments by its op's pullback, and what reaches a line from its several uses is
added up.  Each backward line is stamped with ``of`` = (forward line, argument).  Nothing recurses, so the length of a
graph is not limited.

Does not choose what to recompute (see ``checkpoint``) and does not simplify what the rules write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from chainrule.base.arrays import Spec, is_differentiable
from chainrule.base.collector import without_collector
from chainrule.graph.builder import Builder, restamped, stamp
from chainrule.graph.graph import Graph, Line, live_lines
from chainrule.graph.memo import remembered
from chainrule.ops.expr import Expr
from chainrule.ops.record import differentiable_output, zeros_like


def depends_on(graph: Graph, wrt: Sequence[int]) -> list[bool]:
    """Which lines carry a derivative with respect to the inputs ``wrt``: reached through differentiable arguments."""
    active = [False] * len(graph.lines)
    for i in wrt:
        active[i] = is_differentiable(graph.lines[i].spec.dtype)
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        for position, arg in enumerate(line.args):
            if active[arg] and line.op.passes(position, line.attrs):
                active[index] = differentiable_output(line.spec)
                break
    return active


@remembered
@without_collector
def vjp_graph(graph: Graph, wrt: tuple[int, ...], seeds: tuple[int, ...]) -> Graph:
    """The graph that also runs backwards.

    Inputs: those of ``graph``, then one cotangent for each output position in ``seeds``, of the output's type.
    Outputs: those of ``graph``, then the cotangent of each input in ``wrt`` (zeros where nothing reaches it).
    """
    builder = Builder()
    for position, spec in enumerate(graph.input_specs):
        builder.input(spec, graph.input_name(position))
    cotangents_in = {
        s: builder.input(graph.lines[graph.outputs[s]].spec, f"cotangent of output {s}") for s in seeds
    }
    active = depends_on(graph, wrt)
    new = copy_forward(builder, graph, active)
    found = pull_back(builder, graph, new, active, wrt, cotangents_in)
    builder.follow(None)
    outputs = [new[i] for i in graph.outputs]
    outputs += [zeros_like(new[i]) if ct is None else ct for i, ct in zip(wrt, found, strict=True)]
    return builder.finish(outputs)[0]


def _wanted(line: Line, active: list[bool]) -> list[bool]:
    op, attrs = line.op, line.attrs
    return [active[arg] and op.passes(position, attrs) for position, arg in enumerate(line.args)]


def copy_forward(builder: Builder, graph: Graph, active: list[bool]) -> list[Any]:
    """The forward lines copied: per line of ``graph`` its Expr, or a tuple of Exprs for several outputs.

    An op whose backward pass needs more than inputs and outputs (scan, custom_vjp) writes its own forward lines; what
    it keeps stands behind its outputs in the tuple.
    """
    new: list[Any] = [Expr(builder, i) for i in range(graph.inputs)]
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        op, args, attrs, spec, source, of = line
        if op.name == "item":
            new.append(new[args[0]][dict(attrs)["position"]])
            continue
        if of is not None:
            of = restamped(of, new)
        if op.keep is not None and active[index]:
            builder.follow(source, of)
            new.append(op.keep([new[a] for a in args], dict(attrs), _wanted(line, active)))
            continue
        made = builder.append(op, tuple([new[a]._index for a in args]), attrs, spec, source, of)
        new.append(Expr(builder, made) if type(spec) is Spec else builder.wrap(made))
    return new


def pull_back(
    builder: Builder,
    graph: Graph,
    new: list[Any],
    active: list[bool],
    wrt: Sequence[int],
    seeds: dict[int, Expr],
    visit: Callable[[int, int, Any, Expr], None] | None = None,
) -> list[Expr | None]:
    """Cotangents of the inputs ``wrt``; ``new`` holds the Exprs in ``builder`` of the lines of ``graph``.

    ``visit(line, argument, arriving, part)`` is told of each step: the cotangent that arrives at a line of ``graph``
    and the part of it that is passed on to one argument.
    """
    cotangents: dict[int, Any] = {}

    def add(index: int, ct: Any) -> None:
        known = cotangents.get(index)
        cotangents[index] = ct if known is None else known + ct

    for position, ct in seeds.items():
        if active[graph.outputs[position]]:
            add(graph.outputs[position], ct)

    for index in range(len(graph.lines) - 1, graph.inputs - 1, -1):
        ct = cotangents.pop(index, None)
        if ct is None:
            continue
        line = graph.lines[index]
        op, attrs = line.op, dict(line.attrs)
        if op.name == "item":
            parts = cotangents.setdefault(line.args[0], [None] * len(graph.lines[line.args[0]].spec))
            known = parts[attrs["position"]]
            parts[attrs["position"]] = ct if known is None else known + ct
            if visit is not None:
                visit(index, 0, ct, ct)
            continue
        out, args = new[index], [new[a] for a in line.args]
        if op.kind == "custom":
            wanted = _wanted(line, active)
            builder.follow(line.source, stamp(out, wanted.index(True)))
            for position, part in enumerate(op.pullback(ct, out, args, attrs, wanted)):
                if part is not None and wanted[position]:
                    builder.follow(line.source, stamp(out, position))
                    add(line.args[position], part)
                    if visit is not None:
                        visit(index, position, ct, part)
            continue
        for position, arg in enumerate(line.args):
            if active[arg] and op.passes(position, line.attrs):
                builder.follow(line.source, stamp(out, position))
                part = op.pull_one(position, ct, out, args, attrs)
                if part is not None:
                    add(arg, part)
                    if visit is not None:
                        visit(index, position, ct, part)
    return [cotangents.get(i) for i in wrt]


class Split(NamedTuple):
    """A backward graph cut in two at the values that the forward pass must keep.

    ``forward``: inputs → outputs, then residuals.  ``backward``: residuals, then seeds → cotangents.
    """

    forward: Graph
    backward: Graph
    outputs: int
    residuals: int


@remembered
def split_vjp(
    graph: Graph, wrt: tuple[int, ...], seeds: tuple[int, ...], invariant: tuple[int, ...] = ()
) -> Split:
    """:func:`vjp_graph` cut into a forward and a backward part; see :func:`split`."""
    return split(vjp_graph(graph, wrt, seeds), graph.inputs, len(graph.outputs), invariant)


def split(whole: Graph, early_inputs: int, early_outputs: int, invariant: tuple[int, ...] = ()) -> Split:
    """Cut a graph into what its first inputs alone determine and the rest.

    What follows from constants, or from the ``invariant`` inputs, is made again instead of being kept, so that a loop
    does not keep a copy of its weights for every step.
    """
    late = [early_inputs <= i < whole.inputs for i in range(len(whole.lines))]
    for index in range(whole.inputs, len(whole.lines)):
        late[index] = any(late[a] for a in whole.lines[index].args)
    again = _made_again(whole, invariant)
    late_outputs = whole.outputs[early_outputs:]
    copied = live_lines(
        [line._replace(args=() if not (late[i] or again[i]) else line.args) for i, line in enumerate(whole.lines)],
        late_outputs,
    )
    kept = [
        i for i, line in enumerate(whole.lines)
        if copied[i] and not late[i] and (not again[i] or i < whole.inputs)
    ]  # fmt: skip

    early = Builder()
    mapping = {i: early.input(whole.lines[i].spec, whole.input_name(i)).index for i in range(early_inputs)}
    for index in range(whole.inputs, len(whole.lines)):
        if not late[index]:
            mapping[index] = _copy(early, whole.lines[index], mapping)
    forward, _ = early.finish([Expr(early, mapping[i]) for i in (*whole.outputs[:early_outputs], *kept)])

    rest = Builder()
    mapping = {i: rest.input(whole.lines[i].spec).index for i in kept}
    for i in range(early_inputs, whole.inputs):
        mapping[i] = rest.input(whole.lines[i].spec, whole.input_name(i)).index
    for index in range(whole.inputs, len(whole.lines)):
        if copied[index] and index not in mapping:
            mapping[index] = _copy(rest, whole.lines[index], mapping)
    backward, _ = rest.finish([Expr(rest, mapping[i]) for i in late_outputs])
    return Split(forward, backward, early_outputs, len(kept))


def _made_again(graph: Graph, invariant: tuple[int, ...]) -> list[bool]:
    """Lines the backward part computes for itself: those of invariant inputs, and views of constants."""
    again = [i in invariant for i in range(len(graph.lines))]
    constant = [False] * len(graph.lines)
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        constant[index] = line.op.name in ("constant", "broadcast_to", "reshape") and all(
            constant[a] for a in line.args
        )
        again[index] = constant[index] or (bool(line.args) and all(again[a] for a in line.args))
    return again


def _copy(builder: Builder, line: Line, mapping: dict[int, int]) -> int:
    return builder.append(line.op, tuple([mapping[a] for a in line.args]), line.attrs, line.spec, line.source)


def select_outputs(graph: Graph, positions: Sequence[int]) -> Graph:
    """The graph of some of the outputs; all inputs stay."""
    builder = Builder()
    args = [builder.input(spec, graph.input_name(i)) for i, spec in enumerate(graph.input_specs)]
    outputs = builder.inline_lines(graph, args)
    return builder.finish([Expr(builder, outputs[p]) for p in positions])[0]
