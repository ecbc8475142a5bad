"""Forward mode: the graph of a function becomes the graph of its tangents.

Each line is followed by the tangent that its op's pushforward makes of the tangents of its arguments (Wengert, 1964).
A tangent that is not there is a zero known without looking.
"""

from __future__ import annotations

from typing import Any

from chainrule.base.arrays import Spec, is_differentiable
from chainrule.base.collector import without_collector
from chainrule.graph.builder import Builder, restamped, stamp
from chainrule.graph.graph import Graph
from chainrule.graph.memo import remembered
from chainrule.ops.expr import Expr
from chainrule.ops.record import zeros_like
from chainrule.transforms.reverse import depends_on


@remembered
@without_collector
def jvp_graph(graph: Graph, wrt: tuple[int, ...]) -> Graph:
    """The graph that also carries tangents.

    Inputs: those of ``graph``, then a tangent for each input in ``wrt``.  Outputs: those of ``graph``, then the tangent
    of every output that is float or complex (zeros where it depends on no ``wrt``).
    """
    builder = Builder()
    for position, spec in enumerate(graph.input_specs):
        builder.input(spec, graph.input_name(position))
    tangents: dict[int, Any] = {}
    for i in wrt:
        tangents[i] = builder.input(graph.lines[i].spec, f"tangent of input {i}")
    active = depends_on(graph, wrt)
    new: list[Any] = [Expr(builder, i) for i in range(graph.inputs)]
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        attrs = dict(line.attrs)
        builder.follow(line.source)
        if line.op.name == "item":
            new.append(new[line.args[0]][attrs["position"]])
            parts = tangents.get(line.args[0])
            if parts is not None and parts[attrs["position"]] is not None:
                tangents[index] = parts[attrs["position"]]
            continue
        incoming = [tangents.get(a) if active[a] else None for a in line.args]
        moving = active[index] and any(t is not None for t in incoming)
        args = [new[a] for a in line.args]
        joint = line.op.joint
        if moving and joint is not None:
            out, tangents[index] = joint(incoming, args, attrs)
            new.append(out)
            continue
        indices = tuple([a.index for a in args])
        of = restamped(line.of, new)
        out = builder.wrap(builder.append(line.op, indices, line.attrs, line.spec, line.source, of))
        new.append(out)
        if moving:
            builder.follow(line.source, stamp(out, 0))
            outgoing = line.op.pushforward(incoming, out, args, attrs)
            if outgoing is not None:
                tangents[index] = outgoing
    builder.follow(None)
    outputs = [new[i] for i in graph.outputs]
    for i in graph.outputs:
        spec = graph.lines[i].spec
        if isinstance(spec, Spec) and is_differentiable(spec.dtype):
            tangent = tangents.get(i)
            outputs.append(zeros_like(new[i]) if tangent is None else tangent)
    return builder.finish(outputs)[0]
