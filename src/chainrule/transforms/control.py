"""Control flow that is part of the graph: ``cond``, ``scan``, ``fori_loop``, ``while_loop``; and ``checkpoint``,
``custom_vjp``.

Names and meanings are JAX's.  The functions given are traced once; arrays and Symbols they close over become inputs of
their graphs, so gradients reach what they close over.  With concrete arguments outside of any trace they run at once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.base.arrays import INT, Spec, is_differentiable
from chainrule.base.errors import DtypeError, OptionError, ShapeError, TraceError, TreeError
from chainrule.graph.builder import ACTIVE, Builder
from chainrule.graph.graph import Graph
from chainrule.graph.source import user_source
from chainrule.ops import pointwise
from chainrule.ops.expr import Expr
from chainrule.trace.symbol import Symbol
from chainrule.trace.tracer import Traced, array_leaf, embed, function_name, handed_over, leaf_spec, trace_leaves
from chainrule.transforms import calls, loops
from chainrule.transforms.arguments import wrap
from chainrule.transforms.calls import float_positions

Function = Callable[..., Any]


def _leaves(tree: Any, what: str) -> tuple[list[Any], Any]:
    flat, structure = trees.flatten(tree)
    return [array_leaf(leaf, what) for leaf in flat], structure


def _traced(f: Function, arguments: Sequence[Any], structure: Any, values: bool = False) -> Traced:
    return trace_leaves(
        lambda symbols: f(*trees.unflatten(structure, symbols)), arguments, values=values, name=function_name(f)
    )


def _union(graphs: Sequence[Traced], explicit: int) -> tuple[list[Graph], list[Any]]:
    """Graphs of the same explicit inputs given the captured values of all of them, in one order."""
    captured = [value for t in graphs for value in t.captured]
    widened = []
    at = 0
    for t in graphs:
        builder = Builder()
        args = [builder.input(s) for s in t.graph.input_specs[:explicit]]
        extra = [builder.input(leaf_spec(v)) for v in captured]
        outputs = builder.inline(t.graph, [*args, *extra[at : at + len(t.captured)]])
        widened.append(builder.finish(outputs)[0])
        at += len(t.captured)
    return widened, captured


def _same_type(first: Sequence[Spec], second: Sequence[Spec], what: str, names: tuple[str, str]) -> None:
    for position, (a, b) in enumerate(zip(first, second, strict=True)):
        if a != b:
            raise ShapeError(
                f"{what}: {names[0]} and {names[1]} differ in result {position}", expected=f"{names[0]}: {a}",
                got=f"{names[1]}: {b}", where=user_source(),
                fix="make shapes and dtypes agree (np.astype, np.broadcast_to)",
            )  # fmt: skip


def _same_structure(expected: Any, got: Any, what: str, fix: str = "return a tree of the same structure") -> None:
    if expected != got:
        raise TreeError(what, expected=expected, got=got, where=user_source(), fix=fix)


def _results(structure: Any, values: Sequence[Any], given: Sequence[Any]) -> Any:
    return trees.unflatten(structure, handed_over(values, given))


def cond(pred: Any, true_fun: Function, false_fun: Function, *operands: Any) -> Any:
    """``true_fun(*operands)`` where ``pred`` (a scalar) holds, else ``false_fun(*operands)``.

    Both are traced and must return the same structure, shapes and dtypes; only one runs.  Under vmap with a batched
    ``pred`` both run and the results are chosen by element.  Raises TreeError or ShapeError where the branches differ.
    """
    asked = array_leaf(pred, "cond: the condition")
    if leaf_spec(asked).shape != ():
        raise ShapeError("cond: the condition is not a scalar", expected="shape ()", got=leaf_spec(asked).shape,
                         where=user_source(), fix="use np.where to choose by element")  # fmt: skip
    if leaf_spec(asked).dtype.kind != "b":
        asked = np.not_equal(asked, 0)
    flat, structure = _leaves(operands, "cond: an operand")
    true, false = _traced(true_fun, flat, structure), _traced(false_fun, flat, structure)
    _same_structure(true.structure, false.structure, "cond: the branches return different structures")
    _same_type(true.graph.output_specs, false.graph.output_specs, "cond", ("the true branch", "the false branch"))
    (if_true, if_false), captured = _union([true, false], len(flat))
    return _results(
        true.structure, calls.cond(asked, *flat, *captured, if_true=if_true, if_false=if_false), flat
    )


def scan(
    f: Function, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False
) -> tuple[Any, Any]:
    """``carry, y = f(carry, x)`` over the leading axis of ``xs``: returns (last carry, stacked ys).

    ``xs`` is a tree of arrays of one leading size, or None with ``length``.  The carry keeps its structure, shapes and
    dtypes.  Reverse mode walks back (backpropagation through time).  Raises ShapeError, TreeError.
    """
    carry, carry_structure = _leaves(init, "scan: the initial carry")
    walked, walked_structure = _leaves(xs, "scan: xs")
    steps = _scan_length(walked, length)
    slices = [Spec(leaf_spec(w).shape[1:], leaf_spec(w).dtype) for w in walked]
    count = len(carry)

    def body(symbols: list[Any]) -> Any:
        out = f(
            trees.unflatten(carry_structure, symbols[:count]), trees.unflatten(walked_structure, symbols[count:])
        )
        if not isinstance(out, tuple) or len(out) != 2:
            raise TreeError("scan: the body must return a pair (carry, y)", expected="a pair", got=type(out).__name__,
                            where=user_source(), fix="return (carry, None) where nothing is stacked")  # fmt: skip
        _same_structure(carry_structure, trees.flatten(out[0])[1], "scan: the carry changes its structure")
        return out

    traced = trace_leaves(
        body, [*map(leaf_spec, carry), *slices], values=False, name=function_name(f)
    )
    _same_type(
        [leaf_spec(c) for c in carry], traced.graph.output_specs[:count], "scan",
        ("the initial carry", "the carry that the body returns"),
    )  # fmt: skip
    graph = _constants_first(traced.graph, len(traced.captured))
    results = loops.scan(
        *traced.captured, *carry, *walked,
        body=graph, consts=len(traced.captured), carries=count, length=steps, reverse=bool(reverse),
    )  # fmt: skip
    last, ys = _results(traced.structure, results, carry)
    return last, ys


def _scan_length(walked: Sequence[Any], length: int | None) -> int:
    whole = isinstance(length, (int, np.integer)) and not isinstance(length, bool) and length >= 0
    if length is not None and not whole:
        raise OptionError("scan: length is not a number of steps", expected="an integer, 0 or more", got=repr(length),
                          where=user_source(), fix="pass a plain integer, known before the loop runs")  # fmt: skip
    sizes = {leaf_spec(w).shape[0] if leaf_spec(w).shape else None for w in walked}
    if None in sizes or len(sizes) > 1 or (length is not None and sizes and sizes != {length}):
        raise ShapeError(
            "scan: the inputs differ in their leading size",
            expected=f"one leading size{f', {length}' if length is not None else ''}",
            got=", ".join(f"shape {leaf_spec(w).shape}" for w in walked),
            where=user_source(),
            fix="walk over arrays of one leading size; let the body close over the others",
        )
    if sizes:
        (length,) = sizes
    if length is None:
        raise ShapeError("scan: no inputs to walk over, and no length", expected="xs or length", got="neither",
                         where=user_source(), fix="pass length=…")  # fmt: skip
    return int(length)


def _constants_first(graph: Graph, captured: int) -> Graph:
    """The graph with its captured inputs, the last ones, in front."""
    builder = Builder()
    explicit = graph.inputs - captured
    consts = [builder.input(s) for s in graph.input_specs[explicit:]]
    args = [builder.input(s, n) for s, n in zip(graph.input_specs[:explicit], graph.names, strict=False)]
    return builder.finish(builder.inline(graph, [*args, *consts]))[0]


def fori_loop(lower: Any, upper: Any, body_fun: Function, init_val: Any) -> Any:
    """``x = body_fun(i, x)`` for i from ``lower`` up to (not with) ``upper``; returns the last x.

    With bounds that are plain integers it is a ``scan``, and has both modes; with Symbols a ``while_loop``, and has
    forward mode only.
    """
    for name, bound in (("lower", lower), ("upper", upper)):
        spec = leaf_spec(array_leaf(bound, f"fori_loop: {name}"))
        if spec.shape != () or spec.dtype.kind not in "iu":
            raise DtypeError(f"fori_loop: {name} is not an integer", expected="an integer of shape ()", got=spec,
                             where=user_source(), fix="use whole numbers as bounds")  # fmt: skip
    if not isinstance(lower, Symbol) and not isinstance(upper, Symbol):
        first, turns = np.int64(lower), max(0, int(upper) - int(lower))
        # The counter is a carry: walking over its values would take an array of them.
        return scan(lambda x, _: ((body_fun(x[1], x[0]), x[1] + 1), None), (init_val, first), length=turns)[0][0]
    start: Any = pointwise.cast(lower, dtype=INT) if isinstance(lower, Symbol) else np.int64(lower)
    return while_loop(
        lambda state: state[0] < upper, lambda state: (state[0] + 1, body_fun(state[0], state[1])), (start, init_val)
    )[1]


def while_loop(cond_fun: Function, body_fun: Function, init_val: Any) -> Any:
    """``x = body_fun(x)`` as long as ``cond_fun(x)``; returns the last x.

    Forward mode only: reverse mode raises NotDifferentiableError, because how many steps there are is not known before.
    The value keeps its structure, shapes and dtypes.
    """
    carry, structure = _leaves((init_val,), "while_loop: the initial value")
    specs = [leaf_spec(c) for c in carry]
    test = _traced(lambda x: _as_bool(cond_fun(x)), specs, structure)
    body = _traced(lambda x: (body_fun(x),), specs, structure)
    if len(test.graph.outputs) != 1 or test.graph.output_specs[0].shape != ():
        raise ShapeError(
            "while_loop: the condition must return one scalar", expected="a bool of shape ()",
            got=", ".join(map(str, test.graph.output_specs)) or "nothing", where=user_source(),
            fix="reduce it with np.any or np.all",
        )  # fmt: skip
    _same_structure(structure, body.structure, "while_loop: the body changes the structure of the value")
    _same_type(specs, body.graph.output_specs, "while_loop", ("the initial value", "the value that the body returns"))
    results = loops.while_loop(
        *test.captured, *body.captured, *carry,
        test=_constants_first(test.graph, len(test.captured)), body=_constants_first(body.graph, len(body.captured)),
        test_consts=len(test.captured), body_consts=len(body.captured),
    )  # fmt: skip
    return _results(structure, results, carry)[0]


def _as_bool(holds: Any) -> Any:
    """A number as whether it is not 0; anything else as it is."""
    if not isinstance(holds, Expr):
        return bool(holds) if isinstance(holds, (int, float, np.generic)) else holds
    return holds if holds.dtype.kind == "b" else pointwise.not_equal(holds, 0)


# --------------------------------------------------------------------------------------------------------- checkpoint


def checkpoint(f: Function) -> Function:
    """``f``, whose backward pass runs it again instead of keeping its inner values.

    What is kept for the backward pass is the arguments of ``f`` (and what it closes over); the price is one more
    forward pass through it.  Source: Griewank and Walther (2000); Chen et al. (2016), "Training deep nets with
    sublinear memory cost".
    """

    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        flat, structure = _leaves(args, "checkpoint: an argument")
        if not any(isinstance(x, Expr) for x in flat) and ACTIVE.get() is None:
            return f(*args, **kwargs)
        traced = _traced(lambda *a: f(*a, **kwargs), flat, structure, values=True)
        results = calls.call(*flat, *traced.captured, graph=traced.graph)
        return _results(traced.structure, results, flat)

    return wrap(checkpointed, f)


# --------------------------------------------------------------------------------------------------------- custom_vjp


_RULES_BEING_TRACED: ContextVar[tuple[int, ...]] = ContextVar("chainrule_rules_being_traced", default=())


class custom_vjp:
    """A function with a reverse-mode rule of its own.

    ``f.defvjp(forward, backward)``: ``forward(*args)`` returns (output, residuals); ``backward(residuals, cotangent)``
    returns a tuple with one cotangent per argument (None, or a tree with None in it, where there is none).
    ``nondiff_argnums`` name arguments that are plain Python values; ``backward`` gets them first.  Higher derivatives
    go through the code of both functions, and of ``f`` where these call it.
    Forward mode raises NotDifferentiableError.  Functions may close over arrays, not over Symbols: pass those in.
    """

    def __init__(self, f: Function, nondiff_argnums: Sequence[int] = ()) -> None:
        self.f = f
        self.nondiff_argnums = tuple(nondiff_argnums)
        self.forward: Function | None = None
        self.backward: Function | None = None
        wrap(self, f)

    def defvjp(self, forward: Function, backward: Function) -> None:
        """Give the rule; see the class."""
        self.forward, self.backward = forward, backward

    def __call__(self, *args: Any) -> Any:
        forward_rule, backward_rule = self.forward, self.backward
        if forward_rule is None or backward_rule is None:
            raise TraceError(
                f"custom_vjp function {function_name(self.f)} has no rule yet", expected="f.defvjp(forward, backward)",
                got="no call of defvjp", where=user_source(), fix="call defvjp before the function",
            )  # fmt: skip
        plain = [args[i] for i in self.nondiff_argnums]
        traced_positions = [i for i in range(len(args)) if i not in self.nondiff_argnums]
        flat, structure = _leaves(tuple(args[i] for i in traced_positions), "custom_vjp: an argument")

        def rejoin(given: tuple[Any, ...]) -> list[Any]:
            full = list(args)
            for i, value in zip(traced_positions, given, strict=True):
                full[i] = value
            return full

        around = _RULES_BEING_TRACED.get()
        if not any(isinstance(x, Expr) for x in flat) or id(self) in around:
            return self.f(*args)  # a rule that calls its own function means the code of it
        primal = _traced(lambda *a: self.f(*rejoin(a)), flat, structure, values=True)
        token = _RULES_BEING_TRACED.set((*around, id(self)))
        try:
            forward = _traced(lambda *a: forward_rule(*rejoin(a)), flat, structure, values=True)
            return self._record((forward_rule, backward_rule), forward, primal, flat, structure, plain)
        finally:
            _RULES_BEING_TRACED.reset(token)

    def _record(
        self, rules: tuple[Function, Function], forward: Traced, plain_f: Traced, flat: list[Any], structure: Any,
        plain: list[Any],
    ) -> Any:  # fmt: skip
        """The line that holds the rule; ``forward`` is checked against the function, and the backward rule traced."""
        forward_rule, backward_rule = rules
        name = function_name(forward_rule)
        children = forward.structure.children() if forward.structure.type is tuple else []
        if len(children) != 2:
            raise TreeError(f"{name} must return a pair (output, residuals)", expected="a pair", got=forward.structure,
                            where=user_source(), fix="return (output, None) where nothing is kept")  # fmt: skip
        what = f"{name} returns another structure than {function_name(self.f)}"
        _same_structure(plain_f.structure, children[0], what)
        primal, forward_graph = _closed(plain_f, self.f), _closed(forward, forward_rule)
        outputs = len(primal.outputs)
        _same_type(primal.output_specs, forward_graph.output_specs[:outputs], "custom_vjp",
                   ("the function", "its forward rule"))  # fmt: skip
        pull = functools.partial(backward_rule, *plain)
        name = function_name(backward_rule)
        specs = [leaf_spec(x) for x in flat]
        backward = _closed(
            _traced_backward(pull, name, forward.structure, forward_graph, primal, specs, structure), backward_rule
        )
        results = calls.custom_rule(*flat, primal=primal, forward=forward_graph, backward=backward)
        return _results(plain_f.structure, results, flat)


def _traced_backward(
    pull: Function, name: str, pair: Any, forward: Graph, primal: Graph, specs: Sequence[Spec], structure: Any
) -> Traced:
    """A backward rule ``pull(residuals, cotangent)`` as a graph from residuals and float cotangents to cotangents.

    ``pair`` is the structure of (output, residuals); ``specs`` and ``structure`` are those of the arguments.
    """
    floats = float_positions(primal.output_specs)
    residual_specs = forward.output_specs[len(primal.outputs) :]

    def body(symbols: list[Any]) -> Any:
        residuals = symbols[: len(residual_specs)]
        given = iter(symbols[len(residual_specs) :])
        cts = [next(given) if i in floats else np.zeros(spec.shape) for i, spec in enumerate(primal.output_specs)]
        ct, res = trees.unflatten(pair, [*cts, *residuals])
        return _as_cotangents(pull(res, ct), specs, structure, name)

    inputs = [*residual_specs, *(primal.output_specs[i] for i in floats)]
    return trace_leaves(body, inputs, values=False, name=name)


def _as_cotangents(found: Any, specs: Sequence[Spec], structure: Any, name: str) -> list[Any]:
    """The float leaves of what a backward rule returned, checked one by one against the arguments."""
    slots = trees.unflatten(structure, list(range(len(specs))))
    if not isinstance(found, (tuple, list)) or len(found) != len(slots):
        raise TreeError(
            f"{name} must return a tuple with one cotangent per argument", expected=f"{len(slots)} cotangents",
            got=len(found) if isinstance(found, (tuple, list)) else type(found).__name__,
            where=user_source(), fix="return None for an argument that gets no cotangent",
        )  # fmt: skip
    out: list[Any] = []
    for slot, ct in zip(slots, found, strict=True):
        positions = trees.leaves(slot)
        try:
            values = trees.broadcast_prefix(ct, slot)
        except ValueError:
            values = []
        if len(values) != len(positions) or sum(v is not None for v in values) != len(trees.leaves(ct)):
            raise TreeError(
                f"{name}: a cotangent has another structure than its argument", expected=trees.flatten(slot)[1],
                got=trees.flatten(ct)[1], where=user_source(),
                fix="return a tree like the argument, with None where there is no cotangent",
            )  # fmt: skip
        for position, value in zip(positions, values, strict=True):
            spec = specs[position]
            if not is_differentiable(spec.dtype):
                continue
            if value is None:
                out.append(np.zeros(spec.shape, spec.dtype))
                continue
            shape = leaf_spec(array_leaf(value, f"{name}: a cotangent")).shape
            if shape != spec.shape:
                raise ShapeError(
                    f"{name}: a cotangent has another shape than its argument", expected=spec.shape, got=shape,
                    where=user_source(), fix="sum over the axes that the function broadcast",
                )  # fmt: skip
            out.append(pointwise.cast(value, dtype=spec.dtype))
    return out


def _closed(traced: Traced, f: Any) -> Graph:
    """The graph with captured arrays held inside.  Raises TraceError where a Symbol was captured."""
    if any(isinstance(v, Expr) for v in traced.captured):
        raise TraceError(
            f"{function_name(f)}, part of a custom_vjp rule, closes over a Symbol",
            expected="rules that use only their arguments and plain arrays",
            got="a traced value from the enclosing function",
            where=user_source(),
            fix="pass the value as an argument of the custom_vjp function",
        )
    return embed(traced.graph, traced.captured)
