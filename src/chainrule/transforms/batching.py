"""Vectorisation: the graph of a function of one example becomes the graph of the function of many.

A line none of whose arguments has the batch axis is copied; for the others the op's batching rule works with the batch
axis in front.  Nothing is looped over.
"""

from __future__ import annotations

from chainrule.base.arrays import Spec
from chainrule.base.collector import without_collector
from chainrule.graph.builder import Builder, stamp
from chainrule.graph.graph import Graph
from chainrule.graph.memo import remembered
from chainrule.ops.expr import Expr
from chainrule.ops.record import broadcast_to


@remembered
@without_collector
def vmap_graph(graph: Graph, batched: tuple[bool, ...], size: int, outputs_batched: tuple[bool, ...] | None) -> Graph:
    """``graph`` over a leading axis of ``size`` on the inputs marked in ``batched``.

    Every output gets the leading axis (broadcast where it does not depend on a batched input), or, where
    ``outputs_batched`` is given, those marked there.
    """
    builder = Builder()
    for position, (spec, has) in enumerate(zip(graph.input_specs, batched, strict=True)):
        shape = (size, *spec.shape) if has else spec.shape
        builder.input(Spec(shape, spec.dtype), graph.input_name(position))
    new: list[list[int]] = [[i] for i in range(graph.inputs)]
    homes = list(range(graph.inputs))  # the batched op itself, among the lines its batching rule writes
    has_axis = list(batched)
    for line in graph.lines[graph.inputs :]:
        attrs = dict(line.attrs)
        if line.op.name == "item":
            new.append([new[line.args[0]][attrs["position"]]])
            homes.append(new[-1][0])
            has_axis.append(has_axis[line.args[0]])
            continue
        flags = [has_axis[a] for a in line.args]
        has_axis.append(any(flags))
        of = None if line.of is None else stamp(Expr(builder, homes[line.of[0]]), line.of[1])
        builder.follow(line.source, of)
        start = len(builder.lines)
        if not any(flags):
            args = tuple([new[a][0] for a in line.args])
            index = builder.append(line.op, args, line.attrs, line.spec, line.source, of)
            out = builder.wrap(index)
        else:
            out = line.op.batch([Expr(builder, new[a][0]) for a in line.args], flags, size, attrs)
        new.append([o.index for o in out] if isinstance(out, tuple) else [out.index])
        homes.append(next((i for i in range(len(builder.lines) - 1, start - 1, -1) if builder.lines[i].op is line.op),
                          new[-1][0]))  # fmt: skip
    builder.follow(None)
    outputs = []
    for position, i in enumerate(graph.outputs):
        out = Expr(builder, new[i][0])
        if not has_axis[i] and (outputs_batched is None or outputs_batched[position]):
            out = broadcast_to(out, (size, *out.shape))
        outputs.append(out)
    return builder.finish(outputs)[0]


def batched_outputs(graph: Graph, batched: tuple[bool, ...]) -> tuple[bool, ...]:
    """Which outputs depend on an input that is marked in ``batched``."""
    has_axis = list(batched)
    for line in graph.lines[graph.inputs :]:
        has_axis.append(any(has_axis[a] for a in line.args))
    return tuple(has_axis[i] for i in graph.outputs)
