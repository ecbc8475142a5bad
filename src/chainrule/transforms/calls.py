"""Ops that hold a graph and run it once: ``call`` (checkpoint), ``cond``, and ``custom_vjp``.

``call`` keeps a piece of the graph together, so that its backward pass runs it again instead of keeping its inner
values (checkpointing: Griewank and Walther, 2000; Chen et al., 2016).  ``cond`` runs one of two graphs.
``custom_vjp`` brings its own forward and backward graphs.  All derivatives are transforms of the inner graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.base.arrays import Spec, is_differentiable
from chainrule.base.errors import NotDifferentiableError
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.ops.expr import Expr
from chainrule.ops.pointwise import where
from chainrule.ops.record import Attrs, Custom, batch_all, reshape, zeros_like
from chainrule.transforms.batching import vmap_graph
from chainrule.transforms.forward import jvp_graph
from chainrule.transforms.reverse import select_outputs, vjp_graph


def float_positions(specs: Sequence[Any]) -> list[int]:
    """Positions of the Specs that can carry a derivative."""
    return [i for i, s in enumerate(specs) if isinstance(s, Spec) and is_differentiable(s.dtype)]


def cotangents_only(graph: Graph, wrt: tuple[int, ...], seeds: tuple[int, ...]) -> Graph:
    """The graph from inputs and cotangents to the cotangents of ``wrt``, the forward pass run again inside."""
    whole = vjp_graph(graph, wrt, seeds)
    outputs = len(graph.outputs)
    return select_outputs(whole, tuple(range(outputs, outputs + len(wrt))))


def tangents_only(graph: Graph, wrt: tuple[int, ...]) -> Graph:
    """The graph from inputs and tangents to the tangents of the float outputs."""
    whole = jvp_graph(graph, wrt)
    return select_outputs(whole, tuple(range(len(graph.outputs), len(whole.outputs))))


def _placed(values: Sequence[Any], positions: Sequence[int], count: int) -> list[Any]:
    """``count`` Nones, with ``values`` at ``positions``."""
    full: list[Any] = [None] * count
    for position, value in zip(positions, values, strict=True):
        full[position] = value
    return full


def _arrived(ct: Sequence[Any], specs: Sequence[Spec]) -> tuple[int, ...]:
    floats = float_positions(specs)
    return tuple(i for i in floats if ct[i] is not None)


# --------------------------------------------------------------------------------------------------------------- call


def _call_vjp(ct: Any, out: Any, args: Sequence[Expr], wanted: Sequence[bool], graph: Graph) -> list[Any]:
    seeds = _arrived(ct, graph.output_specs)
    wrt = tuple(i for i, want in enumerate(wanted) if want)
    backward = cotangents_only(graph, wrt, seeds)
    found = call(*args, *(ct[s] for s in seeds), graph=backward)
    return _placed(found, wrt, len(args))


def _call_jvp(tangents: Sequence[Any], out: Any, args: Sequence[Expr], graph: Graph) -> list[Any]:
    wrt = tuple(i for i, t in enumerate(tangents) if t is not None)
    found = call(*args, *(tangents[i] for i in wrt), graph=tangents_only(graph, wrt))
    return _placed(found, float_positions(graph.output_specs), len(graph.outputs))


call: Custom = Custom(
    "call",
    lambda *arrays, graph: tuple(run_plan(graph, list(arrays))),
    shape_rule=lambda *specs, graph: graph.output_specs,
    vjp=_call_vjp,
    jvp=_call_jvp,
    batching=lambda args, batched, size, attrs: call(
        *args, graph=vmap_graph(attrs["graph"], tuple(batched), size, None)
    ),
    latex=r"\operatorname{call}(#0)",
    sentence="runs a checkpointed piece: its backward pass runs it again instead of keeping its values",
)

# --------------------------------------------------------------------------------------------------------------- cond


def _cond_vjp(
    ct: Any, out: Any, args: Sequence[Expr], wanted: Sequence[bool], if_true: Graph, if_false: Graph
) -> list[Any]:
    seeds = _arrived(ct, if_true.output_specs)
    wrt = tuple(i for i, want in enumerate(wanted[1:]) if want)
    found = cond(
        *args,
        *(ct[s] for s in seeds),
        if_true=cotangents_only(if_true, wrt, seeds),
        if_false=cotangents_only(if_false, wrt, seeds),
    )
    return _placed(found, [i + 1 for i in wrt], len(args))


def _cond_jvp(tangents: Sequence[Any], out: Any, args: Sequence[Expr], if_true: Graph, if_false: Graph) -> list[Any]:
    wrt = tuple(i for i, t in enumerate(tangents[1:]) if t is not None)
    found = cond(
        *args,
        *(tangents[i + 1] for i in wrt),
        if_true=tangents_only(if_true, wrt),
        if_false=tangents_only(if_false, wrt),
    )
    return _placed(found, float_positions(if_true.output_specs), len(if_true.outputs))


def _cond_batch(args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Attrs) -> Any:
    flags = tuple(batched[1:])
    true, false = (vmap_graph(attrs[name], flags, size, None) for name in ("if_true", "if_false"))
    if not batched[0]:
        return cond(*args, if_true=true, if_false=false)
    taken, other = call(*args[1:], graph=true), call(*args[1:], graph=false)
    return tuple(
        where(reshape(args[0], (size, *([1] * (t.ndim - 1)))), t, f) for t, f in zip(taken, other, strict=True)
    )


cond = Custom(
    "cond",
    lambda pred, *arrays, if_true, if_false: tuple(run_plan(if_true if pred else if_false, list(arrays))),
    shape_rule=lambda pred, *specs, if_true, if_false: if_true.output_specs,
    vjp=_cond_vjp,
    jvp=_cond_jvp,
    batching=_cond_batch,
    integer_args=(0,),
    latex=r"\text{if } #0",
    sentence="runs one of two branches",
)

# --------------------------------------------------------------------------------------------------------- custom_vjp


@dataclass(frozen=True, eq=False, repr=False)
class CustomRule(Custom):
    """The op behind ``cr.custom_vjp``: three graphs.

    ``primal``: inputs → outputs.  ``forward``: inputs → outputs, then residuals.  ``backward``: residuals, then the
    cotangents of the float outputs → the cotangents of the float inputs.
    """

    def keep(self, args: Sequence[Expr], attrs: Attrs, wanted: Sequence[bool]) -> tuple[Expr, ...]:
        """The forward graph's lines in place of the primal's, so that higher derivatives go through them."""
        return tuple(args[0].builder.inline(attrs["forward"], args))


def _custom_vjp(
    ct: Any, out: Any, args: Sequence[Expr], wanted: Sequence[bool], primal: Graph, forward: Graph, backward: Graph
) -> list[Any]:
    residuals = out[len(primal.outputs) :]
    builder = args[0].builder
    floats = float_positions(primal.output_specs)
    given = [zeros_like(out[i]) if ct[i] is None else ct[i] for i in floats]
    found = builder.inline(backward, [*residuals, *given], sources=False)
    return _placed(found, float_positions(primal.input_specs), len(args))


def _no_forward_mode(tangents: Sequence[Any], out: Any, args: Sequence[Expr], **attrs: Graph) -> Any:
    raise NotDifferentiableError(
        "forward mode through a custom_vjp function",
        expected="reverse mode: grad, vjp, or jacobian(mode='rev')",
        got="jvp, or forward mode inside of hvp or hessian of its primal",
        where=args[0].builder.source,
        fix="differentiate in reverse first (cr.grad inside cr.jvp works), or write the function without custom_vjp",
    )


custom_rule: CustomRule = CustomRule(
    "custom_vjp",
    lambda *arrays, primal, forward, backward: tuple(run_plan(primal, list(arrays))),
    shape_rule=lambda *specs, primal, forward, backward: primal.output_specs,
    vjp=_custom_vjp,
    jvp=_no_forward_mode,
    batching=lambda args, batched, size, attrs: custom_rule(
        *batch_all(args, batched, size),
        **{name: vmap_graph(g, (True,) * g.inputs, size, None) for name, g in attrs.items()},
    ),
    latex=r"\operatorname{custom}(#0)",
    sentence="runs a function with a derivative rule of its own",
)
