"""Reverse mode: the graph of a function becomes the graph of its cotangents.

Backpropagation (Linnainmaa, 1970): copy the forward lines, then walk them backwards; each line turns the cotangent of
its output into cotangents of its arguments by its op's pullback, and what reaches a line from its several uses is
added up.  Each backward line is stamped with ``of`` = (forward line, argument).  Nothing recurses, so the length of a
graph is not limited.

Does not choose what to recompute (see ``checkpoint``) and does not simplify what the rules write.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from chainrule.base.arrays import Spec, is_differentiable
from chainrule.base.errors import NotDifferentiableError
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Graph, Line
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
            if active[arg] and _passes(line, position):
                active[index] = differentiable_output(line.spec)
                break
    return active


def _passes(line: Line, position: int) -> bool:
    return line.op.name == "item" or line.op.undifferentiable(position, dict(line.attrs)) is None


def handles(builder: Builder, index: int) -> Any:
    """The Expr of a line, or a tuple of its items' Exprs for a line with several outputs."""
    return builder.wrap(index)


@lru_cache(maxsize=256)
def vjp_graph(graph: Graph, wrt: tuple[int, ...], seeds: tuple[int, ...]) -> Graph:
    """The graph that also runs backwards.

    Inputs: those of ``graph``, then one cotangent for each output position in ``seeds``, of the output's type.
    Outputs: those of ``graph``, then the cotangent of each input in ``wrt`` (zeros where nothing reaches it).
    """
    builder = Builder()
    for position, spec in enumerate(graph.input_specs):
        builder.input(spec, graph.names[position] if graph.names else "")
    cotangents_in = [
        builder.input(graph.lines[graph.outputs[s]].spec, f"cotangent of output {s}") for s in seeds
    ]
    new = copy_forward(builder, graph)
    found = pull_back(builder, graph, new, wrt, {s: c for s, c in zip(seeds, cotangents_in, strict=True)})
    builder.follow(None)
    outputs = [Expr(builder, new[i]) for i in graph.outputs]
    outputs += [
        zeros_like(Expr(builder, new[i])) if ct is None else ct for i, ct in zip(wrt, found, strict=True)
    ]
    return builder.finish(outputs)[0]


def copy_forward(builder: Builder, graph: Graph) -> list[int]:
    """The forward lines copied; an op that must keep more for its backward pass (scan) is replaced by one that does."""
    new = list(range(graph.inputs))
    for line in graph.lines[graph.inputs :]:
        args = tuple([new[a] for a in line.args])
        augment = getattr(line.op, "augment", None)
        op, attrs, spec = (line.op, line.attrs, line.spec) if augment is None else augment(line)
        new.append(builder.append(op, args, attrs, spec, line.source, line.of))
    return new


def pull_back(
    builder: Builder, graph: Graph, new: list[int], wrt: Sequence[int], seeds: dict[int, Expr]
) -> list[Expr | None]:
    """Cotangents of the inputs ``wrt``; ``new`` maps lines of ``graph`` to lines of ``builder``."""
    active = depends_on(graph, wrt)
    cotangents: dict[int, Any] = {}

    def add(index: int, ct: Any) -> None:
        known = cotangents.get(index)
        cotangents[index] = ct if known is None else known + ct

    for position, ct in seeds.items():
        if active[graph.outputs[position]]:
            add(graph.outputs[position], ct)

    for index in range(len(graph.lines) - 1, graph.inputs - 1, -1):
        if not active[index]:
            continue
        ct = cotangents.pop(index, None)
        if ct is None:
            continue
        line = graph.lines[index]
        attrs = dict(line.attrs)
        if line.op.name == "item":
            parts = cotangents.setdefault(line.args[0], [None] * len(graph.lines[line.args[0]].spec))
            known = parts[attrs["position"]]
            parts[attrs["position"]] = ct if known is None else known + ct
            continue
        wanted = [active[arg] and _passes(line, position) for position, arg in enumerate(line.args)]
        args = [Expr(builder, new[a]) for a in line.args]
        out = handles(builder, new[index])
        builder.follow(line.source, (new[index], wanted.index(True)))
        for position, part in enumerate(line.op.pullback(ct, out, args, attrs, wanted)):
            if part is not None and wanted[position]:
                builder.follow(line.source, (new[index], position))
                add(line.args[position], part)
    return [cotangents.get(i) for i in wrt]


class Split(NamedTuple):
    """A backward graph cut in two at the values that the forward pass must keep.

    ``forward``: inputs → outputs, then residuals.  ``backward``: residuals, then seeds → cotangents.
    """

    forward: Graph
    backward: Graph
    outputs: int
    residuals: int


@lru_cache(maxsize=256)
def split_vjp(graph: Graph, wrt: tuple[int, ...], seeds: tuple[int, ...]) -> Split:
    """:func:`vjp_graph` cut into a forward and a backward part."""
    return split(vjp_graph(graph, wrt, seeds), graph.inputs, len(graph.outputs))


def split(whole: Graph, early_inputs: int, early_outputs: int) -> Split:
    """Cut a graph into what the first inputs alone determine and the rest; scalars constants are never kept."""
    late = [False] * len(whole.lines)
    for i in range(early_inputs, whole.inputs):
        late[i] = True
    for index in range(whole.inputs, len(whole.lines)):
        late[index] = any(late[a] for a in whole.lines[index].args)
    late_outputs = whole.outputs[early_outputs:]
    kept: dict[int, None] = {}
    for index, line in enumerate(whole.lines):
        if late[index]:
            kept.update((a, None) for a in line.args if not late[a])
    kept.update((i, None) for i in late_outputs if not late[i])
    cheap = _cheap(whole)
    frontier = _frontier(whole, kept, cheap)

    early = Builder()
    for i in range(early_inputs):
        early.input(whole.lines[i].spec, whole.names[i] if whole.names else "")
    mapping: dict[int, int] = {i: i for i in range(early_inputs)}
    for index in range(whole.inputs, len(whole.lines)):
        if not late[index]:
            mapping[index] = _copy(early, whole.lines[index], mapping)
    forward, _ = early.finish(
        [Expr(early, mapping[i]) for i in (*whole.outputs[:early_outputs], *frontier)]
    )

    rest = Builder()
    mapping = {i: rest.input(whole.lines[i].spec).index for i in frontier}
    for i in range(early_inputs, whole.inputs):
        mapping[i] = rest.input(whole.lines[i].spec, whole.names[i] if whole.names else "").index
    for index, line in enumerate(whole.lines):
        if index >= whole.inputs and index not in mapping and (late[index] or cheap[index]):
            mapping[index] = _copy(rest, line, mapping)
    backward, _ = rest.finish([Expr(rest, mapping[i]) for i in late_outputs])
    return Split(forward, backward, early_outputs, len(frontier))


def _cheap(graph: Graph) -> list[bool]:
    """Lines made of constants and views of constants: made again in the backward pass rather than kept."""
    cheap = [False] * len(graph.lines)
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        cheap[index] = line.op.name in ("constant", "broadcast_to", "reshape") and all(cheap[a] for a in line.args)
    return cheap


def _frontier(graph: Graph, kept: Any, cheap: list[bool]) -> list[int]:
    return sorted(i for i in kept if not cheap[i])


def _copy(builder: Builder, line: Line, mapping: dict[int, int]) -> int:
    return builder.append(
        line.op, tuple([mapping[a] for a in line.args]), line.attrs, line.spec, line.source, None
    )


def require_differentiable(graph: Graph, wrt: Sequence[int], outputs: Sequence[int]) -> None:
    """Raise NotDifferentiableError unless the named outputs are of float or complex dtype."""
    for position in outputs:
        spec = graph.lines[graph.outputs[position]].spec
        if not (isinstance(spec, Spec) and is_differentiable(spec.dtype)):
            raise NotDifferentiableError(
                "the output has no derivative", expected="a float or complex output", got=spec
            )
