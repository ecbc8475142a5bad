"""Ops that hold a graph and run it many times: ``scan`` and ``while_loop``.

``scan`` threads a carry through a body over the leading axis of its inputs.  Its reverse mode is a scan in the other
direction (backpropagation through time): the forward loop also stacks what each step's backward pass needs, and
nothing that does not change from step to step (the weights) is stacked.  ``while_loop`` has forward mode only, because
its number of steps is not known before it runs.

Arguments of ``scan`` in order: ``consts`` values that every step sees, ``carries`` initial carries, then the inputs
that are walked over.  The body takes (consts, carries, one slice of each input) to (carries, one slice of each output).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from chainrule.base.arrays import Spec
from chainrule.base.errors import NotDifferentiableError
from chainrule.graph.builder import Builder
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.graph.memo import remembered
from chainrule.ops.expr import Expr
from chainrule.ops.pointwise import where
from chainrule.ops.record import Attrs, Custom, broadcast_to, full, move_axis, op, reshape, zeros_like
from chainrule.transforms.batching import batched_outputs, vmap_graph
from chainrule.transforms.calls import float_positions
from chainrule.transforms.forward import jvp_graph
from chainrule.transforms.reverse import Split, depends_on, select_outputs, split_vjp

# --------------------------------------------------------------------------------------------------------------- scan


def _scan(*arrays: Any, body: Graph, consts: int, carries: int, length: int, reverse: bool) -> tuple[Any, ...]:
    fixed = list(arrays[:consts])
    carry = list(arrays[consts : consts + carries])
    walked = [np.asarray(a) for a in arrays[consts + carries :]]
    specs = body.output_specs[carries:]
    stacked = [np.empty((length, *s.shape), s.dtype) for s in specs]
    for step in range(length - 1, -1, -1) if reverse else range(length):
        out = run_plan(body, [*fixed, *carry, *(w[step] for w in walked)])
        carry = out[:carries]
        for target, value in zip(stacked, out[carries:], strict=True):
            target[step] = value
    return (*carry, *stacked)


def _scan_rule(*specs: Spec, body: Graph, consts: int, carries: int, length: int, reverse: bool) -> Any:
    out = body.output_specs
    return (*out[:carries], *(Spec((length, *s.shape), s.dtype) for s in out[carries:]))


def _settled(
    step: Callable[[tuple[bool, ...]], Sequence[bool]], consts: int, carries: int, start: Sequence[bool]
) -> tuple[bool, ...]:
    """Marks of body inputs; a carry that any step marks is marked from the start.

    ``step`` takes the marks of the inputs to those of the outputs, of which the carries come first.
    """
    marks = tuple(start)
    while True:
        out = step(marks)
        grown = tuple([m or (consts <= i < consts + carries and out[i - consts]) for i, m in enumerate(marks)])
        if grown == marks:
            return marks
        marks = grown


def _moving(body: Graph, consts: int, carries: int, start: Sequence[bool]) -> tuple[bool, ...]:
    """Which body inputs carry a derivative, the carries that any step gives one included."""

    def step(marks: tuple[bool, ...]) -> list[bool]:
        reached = depends_on(body, tuple(i for i, m in enumerate(marks) if m))
        return [reached[i] for i in body.outputs]

    return _settled(step, consts, carries, start)


class _Backward(NamedTuple):
    """How one step of a scan is differentiated: which body inputs and outputs take part, and the step cut in two."""

    wrt: tuple[int, ...]
    seeds: tuple[int, ...]
    parts: Split
    # Of the residuals: those that are body inputs (by position) and those that must be stacked.
    from_inputs: dict[int, int]
    stacked: tuple[int, ...]


@remembered
def _plan_backward(body: Graph, consts: int, carries: int, wanted: tuple[bool, ...]) -> _Backward:
    floats = set(float_positions(body.input_specs))
    active = _moving(body, consts, carries, [want and i in floats for i, want in enumerate(wanted)])
    wrt = tuple(i for i, a in enumerate(active) if a)
    reached = depends_on(body, wrt)
    seeds = tuple(i for i, out in enumerate(body.outputs) if reached[out])
    parts = split_vjp(body, wrt, seeds, tuple(range(consts)))
    residuals = parts.forward.outputs[parts.outputs :]
    kept_carries = set(range(consts, consts + carries))
    from_inputs = {p: r for p, r in enumerate(residuals) if r < body.inputs and r not in kept_carries}
    stacked = tuple(p for p in range(len(residuals)) if p not in from_inputs)
    return _Backward(wrt, seeds, parts, from_inputs, stacked)


@dataclass(frozen=True, eq=False, repr=False)
class Scan(Custom):
    """``scan``, with what its two derivative transforms need to run the forward loop only once."""

    def keep(self, args: Sequence[Expr], attrs: Attrs, wanted: Sequence[bool]) -> tuple[Expr, ...]:
        """The scan that also stacks what each step's backward pass needs; those stacks stand behind the outputs."""
        body = attrs["body"]
        plan = _plan_backward(body, attrs["consts"], attrs["carries"], tuple(wanted))
        outputs = [*range(len(body.outputs)), *(len(body.outputs) + p for p in plan.stacked)]
        out: tuple[Expr, ...] = self(*args, **{**attrs, "body": select_outputs(plan.parts.forward, outputs)})
        return out

    def joint(self, tangents: Sequence[Any], args: Sequence[Expr], attrs: Attrs) -> tuple[Any, Any]:
        """Outputs and tangents from one scan over (value, tangent)."""
        return _scan_jvp(tangents, args, **attrs)


def _scan_vjp(
    ct: Any, out: Any, args: Sequence[Expr], wanted: Sequence[bool], body: Graph, consts: int, carries: int,
    length: int, reverse: bool,
) -> list[Any]:  # fmt: skip
    plan = _plan_backward(body, consts, carries, tuple(wanted))
    builder = args[0].builder
    stacks = out[len(body.outputs) :]
    grad_consts = [i for i in plan.wrt if i < consts]
    grad_carries = [i for i in plan.wrt if consts <= i < consts + carries]
    grad_walked = [i for i in plan.wrt if i >= consts + carries]
    seed_outputs = [s for s in plan.seeds if s >= carries]

    # The backward step: (residuals that do not change; cotangents of carries, sums for consts; the rest, per step).
    step = Builder()
    specs = body.input_specs
    fixed = {p: i for p, i in plan.from_inputs.items() if i < consts}
    walked = {p: i for p, i in plan.from_inputs.items() if i >= consts}
    residuals: dict[int, Expr] = {p: step.input(specs[i]) for p, i in fixed.items()}
    carried = {i: step.input(specs[i]) for i in grad_carries}
    sums = {i: step.input(specs[i]) for i in grad_consts}
    residual_specs = plan.parts.forward.output_specs[plan.parts.outputs :]
    residuals |= {p: step.input(specs[i]) for p, i in walked.items()}
    residuals |= {p: step.input(residual_specs[p]) for p in plan.stacked}
    arriving = {s: step.input(body.output_specs[s]) for s in seed_outputs}
    given = [carried[consts + s] if s < carries else arriving[s] for s in plan.seeds]
    found = dict(
        zip(
            plan.wrt,
            step.inline(plan.parts.backward, [*(residuals[p] for p in range(plan.parts.residuals)), *given]),
            strict=True,
        )
    )
    outputs = [found[i] for i in grad_carries] + [sums[i] + found[i] for i in grad_consts]
    outputs += [found[i] for i in grad_walked]
    backward, _ = step.finish(outputs)

    starts = []
    for i in grad_carries:
        arrived = ct[i - consts]
        starts.append(full(builder, specs[i].shape, 0, specs[i].dtype) if arrived is None else arrived)
    starts += [full(builder, specs[i].shape, 0, specs[i].dtype) for i in grad_consts]
    along = [args[i] for i in walked.values()] + list(stacks)
    along += [zeros_like(out[s]) if ct[s] is None else ct[s] for s in seed_outputs]
    # Emitted, not called: where the body stops all gradients there may be no Expr among the arguments.
    given_all = [*(args[i] for i in fixed.values()), *starts, *along]
    attrs = {"body": backward, "consts": len(fixed), "carries": len(starts), "length": length, "reverse": not reverse}
    results = builder.active().emit(scan, given_all, attrs)
    full_list: list[Any] = [None] * len(args)
    for i, value in zip((*grad_carries, *grad_consts, *grad_walked), results, strict=True):
        full_list[i] = value
    return full_list


def _scan_jvp(
    tangents: Sequence[Any], args: Sequence[Expr], body: Graph, consts: int, carries: int, length: int, reverse: bool
) -> tuple[Any, Any]:
    moving = _moving(body, consts, carries, [t is not None for t in tangents])
    wrt = tuple(i for i, m in enumerate(moving) if m)
    pushed = jvp_graph(body, wrt)
    floats = float_positions(body.output_specs)
    tangent_of = {o: len(body.outputs) + k for k, o in enumerate(floats)}
    early = [i for i in wrt if i < consts]
    middle = [i for i in wrt if consts <= i < consts + carries]
    late = [i for i in wrt if i >= consts + carries]

    # The body takes and gives tangents beside the values, in the order that scan wants.
    step = Builder()
    specs = body.input_specs
    slots: dict[Any, Expr] = {}
    for group in ((range(consts), early), (range(consts, consts + carries), middle),
                  (range(consts + carries, body.inputs), late)):  # fmt: skip
        for i in group[0]:
            slots[i] = step.input(specs[i])
        for i in group[1]:
            slots["tangent", i] = step.input(specs[i])
    out = step.inline(pushed, [*(slots[i] for i in range(body.inputs)), *(slots["tangent", i] for i in wrt)])
    stacked_tangents = [o for o in floats if o >= carries]
    outputs = [*out[:carries], *(out[tangent_of[i - consts]] for i in middle), *out[carries : len(body.outputs)],
               *(out[tangent_of[o]] for o in stacked_tangents)]  # fmt: skip
    joint, _ = step.finish(outputs)

    def tangent(i: int) -> Any:
        return zeros_like(args[i]) if tangents[i] is None else tangents[i]

    results = scan(
        *args[:consts], *map(tangent, early), *args[consts : consts + carries], *map(tangent, middle),
        *args[consts + carries :], *map(tangent, late),
        body=joint, consts=consts + len(early), carries=carries + len(middle), length=length, reverse=reverse,
    )  # fmt: skip
    values = (*results[:carries], *results[carries + len(middle) : len(body.outputs) + len(middle)])
    out_tangents: list[Any] = [None] * len(body.outputs)
    for i, value in zip(middle, results[carries:], strict=False):
        out_tangents[i - consts] = value
    for o, value in zip(stacked_tangents, results[len(body.outputs) + len(middle) :], strict=True):
        out_tangents[o] = value
    return values, out_tangents


def _batched_carries(body: Graph, consts: int, carries: int, start: Sequence[bool]) -> tuple[bool, ...]:
    """Which body inputs have the batch axis, the carries that any step gives it included."""
    return _settled(lambda flags: batched_outputs(body, flags), consts, carries, start)


def _scan_batch(args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Attrs) -> Any:
    body, consts, carries = attrs["body"], attrs["consts"], attrs["carries"]
    flags = _batched_carries(body, consts, carries, batched)
    outputs = (*flags[consts : consts + carries], *([True] * (len(body.outputs) - carries)))
    inner = vmap_graph(body, flags, size, outputs)
    given = []
    for i, (arg, has, needs) in enumerate(zip(args, batched, flags, strict=True)):
        if i >= consts + carries:
            given.append(move_axis(arg, 0, 1) if has else arg)
        else:
            given.append(broadcast_to(arg, (size, *arg.shape)) if needs and not has else arg)
    results = scan(*given, **{**attrs, "body": inner})
    final = [r if f else broadcast_to(r, (size, *r.shape)) for r, f in zip(results, outputs, strict=False)]
    return (*final[:carries], *(move_axis(r, 1, 0) for r in results[carries:]))


def _unused_jvp(tangents: Sequence[Any], out: Any, args: Sequence[Expr], **attrs: Any) -> Any:
    raise AssertionError("scan gives values and tangents together")


scan = Scan(
    "scan",
    _scan,
    shape_rule=_scan_rule,
    vjp=_scan_vjp,
    jvp=_unused_jvp,
    batching=_scan_batch,
    latex=r"\operatorname{scan}(#0)",
    sentence="runs a step over and over, handing a carry on",
)

# --------------------------------------------------------------------------------------------------------- while_loop


def _while(*arrays: Any, test: Graph, body: Graph, test_consts: int, body_consts: int) -> tuple[Any, ...]:
    for_test, for_body = list(arrays[:test_consts]), list(arrays[test_consts : test_consts + body_consts])
    carry = list(arrays[test_consts + body_consts :])
    while run_plan(test, for_test + carry)[0]:
        carry = run_plan(body, for_body + carry)
    return tuple(carry)


def _while_vjp(ct: Any, out: Any, args: Sequence[Expr], wanted: Sequence[bool], **attrs: Any) -> Any:
    raise NotDifferentiableError(
        "reverse mode through a while_loop",
        expected="a loop whose number of steps is known before it runs",
        got="cr.while_loop, or cr.fori_loop with bounds that are Symbols",
        where=args[0].builder.source,
        fix="use cr.scan or cr.fori_loop with integer bounds, or forward mode (cr.jvp), or cr.custom_vjp",
    )


@dataclass(frozen=True, eq=False, repr=False)
class While(Custom):
    """``while_loop``, whose forward mode runs values and tangents in one loop."""

    def joint(self, tangents: Sequence[Any], args: Sequence[Expr], attrs: Attrs) -> tuple[Any, Any]:
        """Outputs and tangents from one loop over (value, tangent)."""
        return _while_jvp(tangents, args, **attrs)


def _while_jvp(
    tangents: Sequence[Any], args: Sequence[Expr], test: Graph, body: Graph, test_consts: int, body_consts: int
) -> tuple[Any, Any]:
    carries = len(body.outputs)
    of_body = list(tangents[test_consts:])
    moving = _moving(body, body_consts, carries, [t is not None for t in of_body])
    wrt = tuple(i for i, m in enumerate(moving) if m)
    early = [i for i in wrt if i < body_consts]
    middle = [i for i in wrt if i >= body_consts]
    pushed = jvp_graph(body, wrt)
    floats = float_positions(body.output_specs)
    tangent_of = {o: carries + k for k, o in enumerate(floats)}

    step = Builder()
    specs = body.input_specs
    slots: dict[Any, Expr] = {}
    for values, dots in ((range(body_consts), early), (range(body_consts, body.inputs), middle)):
        for i in values:
            slots[i] = step.input(specs[i])
        for i in dots:
            slots["tangent", i] = step.input(specs[i])
    out = step.inline(pushed, [*(slots[i] for i in range(body.inputs)), *(slots["tangent", i] for i in wrt)])
    joint, _ = step.finish([*out[:carries], *(out[tangent_of[i - body_consts]] for i in middle)])

    ask = Builder()
    asked = [ask.input(s) for s in test.input_specs]
    for i in middle:
        ask.input(specs[i])
    longer, _ = ask.finish(ask.inline(test, asked))

    def tangent(i: int) -> Any:
        return zeros_like(args[test_consts + i]) if of_body[i] is None else of_body[i]

    results = while_loop(
        *args[:test_consts], *args[test_consts : test_consts + body_consts], *map(tangent, early),
        *args[test_consts + body_consts :], *map(tangent, middle),
        test=longer, body=joint, test_consts=test_consts, body_consts=body_consts + len(early),
    )  # fmt: skip
    out_tangents: list[Any] = [None] * carries
    for i, value in zip(middle, results[carries:], strict=True):
        out_tangents[i - body_consts] = value
    return tuple(results[:carries]), out_tangents


def _while_batch(args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Attrs) -> Any:
    test, body = attrs["test"], attrs["body"]
    n_test, n_body = attrs["test_consts"], attrs["body_consts"]
    carries = len(body.outputs)
    flags = _batched_carries(body, n_body, carries, batched[n_test:])
    asks = batched_outputs(test, (*batched[:n_test], *flags[n_body:]))[0]
    if asks:  # members finish at different steps: all carries get the axis, and finished members stand still
        flags = (*flags[:n_body], *([True] * carries))
    test_flags = (*batched[:n_test], *flags[n_body:])
    test_b = vmap_graph(test, test_flags, size, None if asks else (False,))
    body_b = vmap_graph(body, flags, size, flags[n_body:])
    given = list(args[: n_test + n_body])
    for arg, has, needs in zip(args[n_test + n_body :], batched[n_test + n_body :], flags[n_body:], strict=True):
        given.append(broadcast_to(arg, (size, *arg.shape)) if needs and not has else arg)
    if asks:
        test_b, body_b, n_body = _until_all_done(test_b, body_b, n_test, n_body)
        given = [*given[:n_test], *given[: n_test + attrs["body_consts"]], *given[n_test + attrs["body_consts"] :]]
    results = while_loop(*given, test=test_b, body=body_b, test_consts=n_test, body_consts=n_body)
    return tuple(
        r if f else broadcast_to(r, (size, *r.shape))
        for r, f in zip(results, flags[attrs["body_consts"] :], strict=True)
    )


def _until_all_done(test: Graph, body: Graph, test_consts: int, body_consts: int) -> tuple[Graph, Graph, int]:
    """The batched loop's test (does any member go on?) and body (only those members move)."""
    ask = Builder()
    flags = ask.inline(test, [ask.input(s) for s in test.input_specs])[0]
    any_left, _ = ask.finish([op("any")(flags, axes=(0,), keepdims=False)])

    step = Builder()
    for_test = [step.input(s) for s in test.input_specs[:test_consts]]
    for_body = [step.input(s) for s in body.input_specs[:body_consts]]
    carry = [step.input(s) for s in body.input_specs[body_consts:]]
    goes_on = step.inline(test, [*for_test, *carry])[0]
    moved = step.inline(body, [*for_body, *carry])
    kept = [
        where(reshape(goes_on, (*goes_on.shape, *([1] * (c.ndim - 1)))), m, c)
        for m, c in zip(moved, carry, strict=True)
    ]
    selective, _ = step.finish(kept)
    return any_left, selective, test_consts + body_consts


while_loop = While(
    "while_loop",
    _while,
    shape_rule=lambda *specs, test, body, test_consts, body_consts: body.output_specs,
    vjp=_while_vjp,
    jvp=_unused_jvp,
    batching=_while_batch,
    latex=r"\operatorname{while}(#0)",
    sentence="repeats a step as long as a condition holds",
)

