"""The public transforms, thin: flatten the arguments, trace, transform the graph, run it.

Names and meanings are JAX's.  Every transform maps a graph to a graph, so they nest and compose in any order: called
with Symbols of an enclosing function, a transform's graph is copied into the enclosing one instead of being run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.base.arrays import Spec, is_differentiable
from chainrule.base.collector import young_collections_only
from chainrule.base.errors import DtypeError, ShapeError, TreeError, choose
from chainrule.graph.graph import Graph
from chainrule.graph.source import user_source
from chainrule.jitted import Jitted
from chainrule.ops import structure
from chainrule.ops.expr import Expr
from chainrule.trace.tracer import array_leaf, embed, function_name, handed_over, leaf_spec, run, trace_leaves
from chainrule.transforms.arguments import (
    like_output,
    positions,
    regroup,
    require_scalar,
    snapshot,
    trace_call,
    wrap,
)
from chainrule.transforms.axes import batch_size, check_out_axis, leaf_axes
from chainrule.transforms.batching import batched_outputs, vmap_graph
from chainrule.transforms.derived import forward_blocks, reverse_blocks
from chainrule.transforms.forward import jvp_graph
from chainrule.transforms.reverse import split_vjp, vjp_graph

Tree = Any
Function = Callable[..., Any]


# ---------------------------------------------------------------------------------------------------- first derivatives


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """The function that returns ``f``'s value and its gradient with respect to the arguments at ``argnums``.

    ``f`` returns a scalar of float dtype (with ``has_aux``: a pair of it and a tree of arrays, and the value is that
    pair).  The gradient has the structure, shapes and dtypes of the argument (a tuple for several).  For complex
    arguments it follows JAX's convention: ∂f/∂a - i·∂f/∂b for x = a + ib.

    Raises NotDifferentiableError for integer arguments or an integer result, ShapeError for a result that is not a
    scalar.  Source: reverse accumulation, Linnainmaa (1970).
    """

    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        with young_collections_only():
            wanted = positions(argnums, len(args), "grad")
            call = trace_call(f, args, kwargs, wanted, "grad", has_aux=has_aux)
            require_scalar(call, f)
            count = sum(call.counts)
            whole = vjp_graph(call.graph, tuple(range(count)), (0,))
            spec = call.graph.output_specs[0]
            results = handed_over(run(whole, [*call.inputs, np.ones((), spec.dtype)]), call.inputs)
        outputs = len(call.graph.outputs)
        gradient = regroup(call, results[outputs:], argnums)
        if has_aux:
            return trees.unflatten(call.traced.structure, results[:outputs]), gradient
        return results[0], gradient

    return wrap(value_and_gradient, f)


def grad(f: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """The gradient of ``f``, a function with a scalar result; see :func:`value_and_grad`.

    With ``has_aux`` the result is (gradient, aux).
    """
    both = value_and_grad(f, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return wrap(gradient, f)


def vjp(f: Function, *args: Any, has_aux: bool = False) -> Any:
    """``(f(*args), pullback)``: the pullback takes a cotangent like the output to a tuple of cotangents like ``args``.

    The pullback may be called any number of times.  With ``has_aux``: (output, pullback, aux).
    """
    call = trace_call(f, args, {}, range(len(args)), "vjp", has_aux=has_aux)
    graph = call.graph
    seeds = tuple(i for i in range(call.traced.main) if is_differentiable(graph.output_specs[i].dtype))
    count = sum(call.counts)
    parts = split_vjp(graph, tuple(range(count)), seeds)
    results = run(parts.forward, [snapshot(x) for x in call.inputs])
    outputs, residuals = results[: parts.outputs], results[parts.outputs :]
    outputs = handed_over(outputs, residuals)
    whole = trees.unflatten(call.traced.structure, outputs)
    output = whole[0] if has_aux else whole
    _, expected = trees.flatten(output)

    def pullback(cotangent: Any) -> Any:
        given = like_output(cotangent, expected, graph.output_specs[: call.traced.main], "cotangent")
        found = run(parts.backward, [*residuals, *(given[s] for s in seeds)])
        return regroup(call, handed_over(found, [*residuals, *given]), tuple(range(len(args))))

    return (output, pullback, whole[1]) if has_aux else (output, pullback)


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """``(f(*primals), tangent of the output)`` for tangents like the primals: the derivative along a direction.

    Integer outputs have a tangent of zeros.  Source: forward accumulation, Wengert (1964).
    """
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            raise TreeError(
                f"jvp: {name} is not a tuple", expected="one entry per argument of the function",
                got=type(given).__name__, where=user_source(), fix="write (x,) for one argument",
            )  # fmt: skip
    primals, tangents = tuple(primals), tuple(tangents)
    if len(primals) != len(tangents):
        raise TreeError("jvp needs a tangent for each primal", expected=f"{len(primals)} tangents", got=len(tangents),
                        where=user_source(), fix="pass primals and tangents as tuples of one length")  # fmt: skip
    call = trace_call(f, primals, {}, range(len(primals)), "jvp")
    graph = call.graph
    flat: list[Any] = []
    at = 0
    for tangent, n, shape in zip(tangents, call.counts, call.structures, strict=True):
        flat += like_output(tangent, shape, graph.input_specs[at : at + n], "tangent")
        at += n
    given = [*call.inputs, *flat]
    results = handed_over(run(jvp_graph(graph, tuple(range(at))), given), given)
    count = len(graph.outputs)
    moving = iter(results[count:])
    out_tangents = [
        next(moving) if is_differentiable(spec.dtype) else np.zeros(spec.shape)[()] for spec in graph.output_specs
    ]
    unflatten = trees.unflatten
    return unflatten(call.traced.structure, results[:count]), unflatten(call.traced.structure, out_tangents)


# ------------------------------------------------------------------------------------------------ derived derivatives


def jacobian(f: Function, argnums: int | Sequence[int] = 0, mode: str = "rev") -> Function:
    """The function that returns ∂f/∂x: per leaf of the output and of the argument, an array of their shapes joined.

    ``mode="rev"`` runs one backward pass per output element, all at once (vmap of the pullback); ``"fwd"`` one forward
    pass per input element.  The result is the output's tree with, at each leaf, the argument's tree (a tuple of trees
    for several argnums).  Complex arguments and results are refused.
    """
    if mode not in ("rev", "fwd"):
        raise choose("mode", mode, ("rev", "fwd"), where=user_source())

    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        wanted = positions(argnums, len(args), "jacobian")
        call = trace_call(f, args, kwargs, wanted, "jacobian")
        graph, count = call.graph, sum(call.counts)
        for spec in (*graph.input_specs[:count], *graph.output_specs):
            if spec.dtype.kind != "f":
                raise DtypeError(
                    "jacobian needs float arguments and results", expected="float dtypes", got=spec,
                    where=user_source(), fix="use floats; for complex values cr.vjp and cr.jvp",
                )  # fmt: skip
        blocks = reverse_blocks(call, count) if mode == "rev" else forward_blocks(call, count)
        rows = [regroup(call, row, argnums) for row in blocks]
        return trees.unflatten(call.traced.structure, rows)

    return wrap(jacobian_of, f)


def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The second derivative of a scalar function: forward over reverse.  Shapes as :func:`jacobian` of the gradient."""
    return jacobian(grad(f, argnums), argnums, mode="fwd")


def hvp(f: Function) -> Function:
    """``hvp(f)(x, v)``: the Hessian of ``f`` at ``x`` times ``v``, without the Hessian.

    Forward over reverse (Pearlmutter, 1994), at the cost of a few evaluations.  ``v`` is a tree like ``x``.
    """

    def hessian_vector_product(x: Any, v: Any) -> Any:
        return jvp(grad(f), (x,), (v,))[1]

    return wrap(hessian_vector_product, f)


# ------------------------------------------------------------------------------------------------------ vectorisation


def vmap(f: Function, in_axes: Any = 0, out_axes: Any = 0) -> Function:
    """``f`` over a batch: called once, on Symbols of one example, whatever the size of the batch.

    ``in_axes``: the batch axis of each argument (an int, None for no batch, or a tuple of them per argument; each may
    be a tree prefix of its argument).  Keyword arguments have theirs in front.  ``out_axes``: where the batch axis of
    the results goes (a tree prefix; None for a result that does not depend on the batch).
    Raises ShapeError where batch sizes differ or no argument has one.
    """

    def vectorised(*args: Any, **kwargs: Any) -> Any:
        per_arg = tuple(in_axes) if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(per_arg) != len(args):
            raise ShapeError(
                "vmap: in_axes must name an axis for each argument", expected=f"{len(args)} axes", got=in_axes,
                where=user_source(), fix="pass an int, or one entry per argument",
            )  # fmt: skip
        axes = [a for arg, spec in zip(args, per_arg, strict=True) for a in leaf_axes(spec, arg, "in_axes")]
        flat, shape = trees.flatten((args, kwargs))
        flat = [array_leaf(leaf, "vmap: an argument") for leaf in flat]
        axes += [0] * (len(flat) - len(axes))
        size = batch_size(flat, axes)
        fronted = [x if a is None else np.moveaxis(x, a, 0) for x, a in zip(flat, axes, strict=True)]
        specs = [
            leaf_spec(x) if a is None else Spec(leaf_spec(x).shape[1:], leaf_spec(x).dtype)
            for x, a in zip(fronted, axes, strict=True)
        ]

        def body(symbols: list[Any]) -> Any:
            given, named = trees.unflatten(shape, symbols)
            return f(*given, **named)

        traced = trace_leaves(body, specs, values=False, name=function_name(f))
        flags = (*(a is not None for a in axes), *(False for _ in traced.captured))
        wanted = leaf_axes(out_axes, trees.unflatten(traced.structure, traced.graph.outputs), "out_axes")
        keeps = batched_outputs(traced.graph, flags)
        for goal, has, spec in zip(wanted, keeps, traced.graph.output_specs, strict=True):
            check_out_axis(goal, has, spec)
        graph = vmap_graph(traced.graph, flags, size, tuple(g is not None for g in wanted))
        results = run(graph, [*fronted, *traced.captured])
        moved = [r if not g else np.moveaxis(r, 0, g) for r, g in zip(results, wanted, strict=True)]
        return trees.unflatten(traced.structure, handed_over(moved, flat))

    return wrap(vectorised, f)


# ---------------------------------------------------------------------------------------------------- small and plain


def stop_gradient(tree: Tree) -> Tree:
    """The same values, through which no derivative passes."""
    return trees.map(lambda x: structure.stop_gradient(x) if isinstance(x, Expr) else x, tree)


def trace(f: Function) -> Function:
    """``trace(f)(*args)``: the Graph of ``f`` for arguments of these shapes and dtypes; printing it shows the lines.

    Arguments may be trees of arrays; their values are not used, except that Python's ``if`` and ``print`` see them.
    """

    def traced(*args: Any, **kwargs: Any) -> Graph:
        call = trace_call(f, args, kwargs, range(len(args)), "trace", differentiable=False)
        if any(isinstance(v, Expr) for v in call.traced.captured):
            return call.graph  # an inner trace: what it closes over stays an input
        return embed(call.graph, call.traced.captured)

    return wrap(traced, f)


def jit(
    f: Function,
    donate_argnums: int | Sequence[int] = (),
    static_argnums: int | Sequence[int] = (),
    backend: str | None = None,
    explain_recompiles: bool = False,
) -> Jitted:
    """``f`` run from its graph: traced at the first call with arguments of these shapes and dtypes.

    Symbols inside ``f`` have no values: Python can't branch on them (use ``np.where``, ``cr.cond``).
    ``static_argnums`` name arguments that are plain, hashable Python values.  ``donate_argnums`` name arguments whose
    memory the results may take over: their arrays are read-only afterwards, and another call refuses them.  Keyword
    arguments are traced.
    ``backend``: ``"native"`` compiles the graph to machine code, ``"numpy"`` evaluates it with NumPy; where it is None,
    ``CHAINRULE_JIT`` in the environment decides, and without that it is native.
    ``explain_recompiles`` (or ``CHAINRULE_EXPLAIN_RECOMPILES=1``): whenever ``f`` is traced again, say why on stderr.
    Raises OptionError for positions that are not arguments, TraceError for static arguments that can't be hashed.
    """
    return Jitted(f, donate_argnums, static_argnums, backend, explain_recompiles)
