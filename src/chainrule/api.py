"""The public transforms, thin: flatten the arguments, trace, transform the graph, run it.

Names and meanings are JAX's.  Every transform maps a graph to a graph, so they nest and compose in any order: called
with Symbols of an enclosing function, a transform's graph is copied into the enclosing one instead of being run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any, NamedTuple

import numpy as np

from chainrule.base import trees
from chainrule.base.arrays import Spec, is_differentiable
from chainrule.base.errors import DtypeError, NotDifferentiableError, ShapeError, TraceError, TreeError, choose
from chainrule.graph.graph import Graph
from chainrule.graph.source import user_source
from chainrule.ops import structure
from chainrule.ops.expr import Expr
from chainrule.trace.tracer import Traced, array_leaf, embed, function_name, leaf_spec, owned, run, trace_leaves
from chainrule.transforms.batching import vmap_graph
from chainrule.transforms.forward import jvp_graph
from chainrule.transforms.reverse import split_vjp, vjp_graph

Tree = Any
Function = Callable[..., Any]


class _Call(NamedTuple):
    """A traced call: its graph, the concrete inputs (arguments, then captured), and what came of which argument."""

    traced: Traced
    inputs: list[Any]
    counts: tuple[int, ...]
    structures: tuple[Any, ...]

    @property
    def graph(self) -> Graph:
        return self.traced.graph


def _positions(argnums: int | Sequence[int], count: int, what: str) -> tuple[int, ...]:
    wanted = (argnums,) if isinstance(argnums, (int, np.integer)) else tuple(argnums)
    for i in wanted:
        if not -count <= i < count:
            raise TreeError(
                f"{what}: argnums names an argument that was not given",
                expected=f"positions below {count}, as many arguments were given",
                got=argnums,
                where=user_source(),
            )
    return tuple(int(i) % count for i in wanted)


def _trace_call(
    f: Function,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    wanted: Sequence[int],
    what: str,
    *,
    values: bool = True,
    has_aux: bool = False,
    differentiable: bool = True,
) -> _Call:
    """Trace ``f`` with Symbols for the leaves of the arguments at ``wanted``; the others are passed as they are."""
    leaves: list[Any] = []
    names: list[str] = []
    counts: list[int] = []
    structures: list[Any] = []
    for i in wanted:
        flat, shape = trees.flatten(args[i])
        label = _argument_name(f, i)
        for path, leaf in zip(trees.paths(args[i]), flat, strict=True):
            name = _joined(label, path)
            array = array_leaf(leaf, f"{what}: argument {name}")
            if differentiable:
                _require_float(array, what, name)
            leaves.append(array)
            names.append(name)
        counts.append(len(flat))
        structures.append(shape)

    def body(symbols: list[Any]) -> Any:
        full = list(args)
        rest = iter(symbols)
        for i, n, shape in zip(wanted, counts, structures, strict=True):
            full[i] = trees.unflatten(shape, [next(rest) for _ in range(n)])
        return f(*full, **kwargs)

    traced = trace_leaves(body, leaves, values=values, names=names, name=function_name(f), has_aux=has_aux)
    return _Call(traced, leaves + traced.captured, tuple(counts), tuple(structures))


def _argument_name(f: Any, position: int) -> str:
    code = getattr(f, "__code__", None)
    if code is not None and position < code.co_argcount:
        return str(code.co_varnames[position])
    return f"argument{position}"


def _joined(name: str, path: str) -> str:
    if not path:
        return name
    return f"{name}{path}" if path.startswith("[") else f"{name}.{path}"


def _require_float(array: Any, what: str, name: str) -> None:
    dtype = leaf_spec(array).dtype
    if not is_differentiable(dtype):
        raise NotDifferentiableError(
            f"{what} with respect to an argument that is not of float dtype",
            expected=f"{name} of a float or complex dtype",
            got=f"{name} of dtype {dtype}",
            where=user_source(),
            fix=f"pass it as a float (2.0, not 2; x.astype(float)), or choose other argnums than {name}'s",
        )


def _regroup(call: _Call, leaves: Sequence[Any], argnums: int | Sequence[int]) -> Any:
    """Leaves back into one tree per differentiated argument; the bare tree where argnums is an int."""
    rest = iter(leaves)
    found = [
        trees.unflatten(shape, [next(rest) for _ in range(n)])
        for n, shape in zip(call.counts, call.structures, strict=True)
    ]
    return found[0] if isinstance(argnums, (int, np.integer)) else tuple(found)


def _wrap(wrapper: Function, f: Function) -> Function:
    named: Function = update_wrapper(wrapper, f, updated=())
    return named


# ---------------------------------------------------------------------------------------------------- first derivatives


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """The function that returns ``f``'s value and its gradient with respect to the arguments at ``argnums``.

    ``f`` returns a scalar of float dtype (with ``has_aux``: a pair of it and anything else, and the value is that
    pair).  The gradient has the structure, shapes and dtypes of the argument (a tuple for several).  For complex
    arguments it follows JAX's convention: ∂f/∂a - i·∂f/∂b for x = a + ib.

    Raises NotDifferentiableError for integer arguments or an integer result, ShapeError for a result that is not a
    scalar.  Source: reverse accumulation, Linnainmaa (1970).
    """

    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        wanted = _positions(argnums, len(args), "grad")
        call = _trace_call(f, args, kwargs, wanted, "grad", has_aux=has_aux)
        _require_scalar(call, f)
        count = sum(call.counts)
        whole = vjp_graph(call.graph, tuple(range(count)), (0,))
        spec = call.graph.output_specs[0]
        results = [owned(r) for r in run(whole, [*call.inputs, np.ones((), spec.dtype)])]
        outputs = len(call.graph.outputs)
        gradient = _regroup(call, results[outputs:], argnums)
        if has_aux:
            return trees.unflatten(call.traced.structure, results[:outputs]), gradient
        return results[0], gradient

    return _wrap(value_and_gradient, f)


def _require_scalar(call: _Call, f: Function) -> None:
    name = function_name(f)
    if call.traced.main != 1:
        raise ShapeError(
            f"grad needs a function with one scalar result, and {name} returns {call.traced.main}",
            expected="one scalar",
            got=f"{call.traced.main} results",
            where=user_source(),
            fix="return the loss alone, or (loss, others) with has_aux=True",
        )
    spec = call.graph.output_specs[0]
    if spec.shape != ():
        raise ShapeError(
            f"grad needs a scalar result, and {name} returns an array",
            expected="a scalar, shape ()",
            got=f"shape {spec.shape}",
            where=user_source(),
            fix="reduce it (.sum() or .mean()), or use cr.jacobian or cr.vjp",
        )
    if spec.dtype.kind != "f":
        raise NotDifferentiableError(
            f"grad needs a result of float dtype, and {name} returns {spec.dtype}",
            expected="float32 or float64",
            got=spec.dtype,
            where=user_source(),
            fix="return a float; for complex results use cr.vjp, or take the real part or the absolute value",
        )


def grad(f: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """The gradient of ``f``, a function with a scalar result; see :func:`value_and_grad`.

    With ``has_aux`` the result is (gradient, aux).
    """
    both = value_and_grad(f, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return _wrap(gradient, f)


def vjp(f: Function, *args: Any, has_aux: bool = False) -> Any:
    """``(f(*args), pullback)``: the pullback takes a cotangent like the output to a tuple of cotangents like ``args``.

    The pullback may be called any number of times.  With ``has_aux``: (output, pullback, aux).
    """
    call = _trace_call(f, args, {}, range(len(args)), "vjp", has_aux=has_aux)
    graph = call.graph
    seeds = tuple(i for i in range(call.traced.main) if is_differentiable(graph.output_specs[i].dtype))
    count = sum(call.counts)
    parts = split_vjp(graph, tuple(range(count)), seeds)
    results = run(parts.forward, [_snapshot(x) for x in call.inputs])
    outputs, residuals = results[: parts.outputs], results[parts.outputs :]
    shared = {id(r) for r in residuals}
    outputs = [owned(o.copy() if isinstance(o, np.ndarray) and id(o) in shared else o) for o in outputs]
    whole = trees.unflatten(call.traced.structure, outputs)
    output = whole[0] if has_aux else whole
    _, expected = trees.flatten(output)

    def pullback(cotangent: Any) -> Any:
        given = _like_output(cotangent, expected, graph.output_specs[: call.traced.main], "cotangent")
        found = run(parts.backward, [*residuals, *(given[s] for s in seeds)])
        return _regroup(call, [owned(r) for r in found], tuple(range(len(args))))

    return (output, pullback, whole[1]) if has_aux else (output, pullback)


def _snapshot(x: Any) -> Any:
    """An input as it is now, safe from later writes by its owner."""
    return x.copy() if isinstance(x, np.ndarray) and x.ndim and x.flags.writeable else x


def _like_output(tree: Any, structure: Any, specs: Sequence[Spec], what: str) -> list[Any]:
    """The leaves of a cotangent or tangent, checked against what it belongs to and cast to its dtype."""
    flat, found = trees.flatten(tree)
    if found != structure:
        raise TreeError(f"the {what} has another structure than what it belongs to", expected=structure, got=found,
                        where=user_source())  # fmt: skip
    leaves = []
    for leaf, spec in zip(flat, specs, strict=True):
        array = array_leaf(leaf, f"the {what}")
        if leaf_spec(array).shape != spec.shape:
            raise ShapeError(
                f"the {what} has another shape than what it belongs to", expected=spec.shape,
                got=leaf_spec(array).shape, where=user_source(),
            )  # fmt: skip
        if leaf_spec(array).dtype != spec.dtype and is_differentiable(spec.dtype):
            array = np.astype(array, spec.dtype)
        leaves.append(array)
    return leaves


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """``(f(*primals), tangent of the output)`` for tangents like the primals: the derivative along a direction.

    Integer outputs have a tangent of zeros.  Source: forward accumulation, Wengert (1964).
    """
    primals, tangents = tuple(primals), tuple(tangents)
    if len(primals) != len(tangents):
        raise TreeError("jvp needs a tangent for each primal", expected=len(primals), got=len(tangents))
    call = _trace_call(f, primals, {}, range(len(primals)), "jvp")
    graph = call.graph
    flat: list[Any] = []
    at = 0
    for tangent, n, shape in zip(tangents, call.counts, call.structures, strict=True):
        flat += _like_output(tangent, shape, graph.input_specs[at : at + n], "tangent")
        at += n
    results = [owned(r) for r in run(jvp_graph(graph, tuple(range(at))), [*call.inputs, *flat])]
    count = len(graph.outputs)
    moving = iter(results[count:])
    out_tangents = [
        next(moving) if is_differentiable(spec.dtype) else np.zeros(spec.shape) for spec in graph.output_specs
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
        wanted = _positions(argnums, len(args), "jacobian")
        call = _trace_call(f, args, kwargs, wanted, "jacobian")
        graph, count = call.graph, sum(call.counts)
        for spec in (*graph.input_specs[:count], *graph.output_specs):
            if spec.dtype.kind != "f":
                raise DtypeError("jacobian needs float arguments and results", got=spec, where=user_source())
        blocks = _reverse_blocks(call, count) if mode == "rev" else _forward_blocks(call, count)
        rows = [_regroup(call, row, argnums) for row in blocks]
        return trees.unflatten(call.traced.structure, rows)

    return _wrap(jacobian_of, f)


def _reverse_blocks(call: _Call, count: int) -> list[list[Any]]:
    """For each output, ∂output/∂input for each input: the pullback of each unit cotangent, batched."""
    graph = call.graph
    rows: list[list[Any]] = []
    for position, out in enumerate(graph.output_specs):
        parts = split_vjp(graph, tuple(range(count)), (position,))
        residuals = run(parts.forward, call.inputs)[parts.outputs :]
        size = int(np.prod(out.shape, dtype=np.int64))
        basis = np.eye(size, dtype=out.dtype).reshape(size, *out.shape)
        batched = vmap_graph(parts.backward, (False,) * len(residuals) + (True,), size, None)
        found = run(batched, [*residuals, basis])
        rows.append([owned(np.reshape(b, out.shape + np.shape(b)[1:])) for b in found])
    return rows


def _forward_blocks(call: _Call, count: int) -> list[list[Any]]:
    """For each output, ∂output/∂input for each input: the pushforward of each unit tangent, batched."""
    graph = call.graph
    columns: list[list[Any]] = []
    for position, spec in enumerate(graph.input_specs[:count]):
        size = int(np.prod(spec.shape, dtype=np.int64))
        basis = np.eye(size, dtype=spec.dtype).reshape(size, *spec.shape)
        whole = jvp_graph(graph, (position,))
        batched = vmap_graph(whole, (False,) * graph.inputs + (True,), size, None)
        tangents = run(batched, [*call.inputs, basis])[len(graph.outputs) :]
        columns.append([owned(np.reshape(np.moveaxis(t, 0, -1), np.shape(t)[1:] + spec.shape)) for t in tangents])
    return [list(row) for row in zip(*columns, strict=True)]


def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The second derivative of a scalar function: forward over reverse.  Shapes as :func:`jacobian` of the gradient."""
    return jacobian(grad(f, argnums), argnums, mode="fwd")


def hvp(f: Function) -> Function:
    """``hvp(f)(x, v)``: the Hessian of ``f`` at ``x`` times ``v``, without the Hessian.

    Forward over reverse (Pearlmutter, 1994), at the cost of a few evaluations.  ``v`` is a tree like ``x``.
    """

    def hessian_vector_product(x: Any, v: Any) -> Any:
        return jvp(grad(f), (x,), (v,))[1]

    return _wrap(hessian_vector_product, f)


# ------------------------------------------------------------------------------------------------------ vectorisation


def vmap(f: Function, in_axes: Any = 0, out_axes: Any = 0) -> Function:
    """``f`` over a batch: called once, on Symbols of one example, whatever the size of the batch.

    ``in_axes``: the batch axis of each argument (an int, None for no batch, or a tuple of them per argument; each may
    be a tree prefix of its argument).  ``out_axes``: where the batch axis of the results goes.
    Raises ShapeError where batch sizes differ or no argument has one.
    """

    def vectorised(*args: Any, **kwargs: Any) -> Any:
        per_arg = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(per_arg) != len(args):
            raise ShapeError("vmap: in_axes must name an axis for each argument", expected=len(args), got=in_axes,
                             where=user_source())  # fmt: skip
        axes = [a for arg, spec in zip(args, per_arg, strict=True) for a in _leaf_axes(spec, arg, "in_axes")]
        flat, shape = trees.flatten(tuple(args))
        flat = [array_leaf(leaf, "vmap: an argument") for leaf in flat]
        size = _batch_size(flat, axes)
        fronted = [x if a is None else np.moveaxis(x, a, 0) for x, a in zip(flat, axes, strict=True)]
        specs = [
            leaf_spec(x) if a is None else Spec(leaf_spec(x).shape[1:], leaf_spec(x).dtype)
            for x, a in zip(fronted, axes, strict=True)
        ]
        traced = trace_leaves(
            lambda symbols: f(*trees.unflatten(shape, symbols), **kwargs), specs, values=False, name=function_name(f)
        )
        flags = (*(a is not None for a in axes), *(False for _ in traced.captured))
        results = run(vmap_graph(traced.graph, flags, size, None), [*fronted, *traced.captured])
        out = trees.unflatten(traced.structure, results)
        goals = _leaf_axes(out_axes, out, "out_axes")
        moved = [r if g == 0 else _to_axis(r, g) for r, g in zip(results, goals, strict=True)]
        return trees.unflatten(traced.structure, [owned(m) for m in moved])

    return _wrap(vectorised, f)


def _to_axis(result: Any, axis: int | None) -> Any:
    return result[0] if axis is None else np.moveaxis(result, 0, axis)


def _leaf_axes(spec: Any, tree: Any, what: str) -> list[Any]:
    """One axis per leaf of ``tree``, from an int, None, or a tree prefix of them."""
    if spec is None or isinstance(spec, (int, np.integer)):
        return [spec] * len(trees.leaves(tree))
    if isinstance(spec, (tuple, list)) and isinstance(tree, (tuple, list)) and len(spec) == len(tree):
        return [a for s, t in zip(spec, tree, strict=True) for a in _leaf_axes(s, t, what)]
    if isinstance(spec, dict) and isinstance(tree, dict) and spec.keys() == tree.keys():
        return [a for key in sorted(tree) for a in _leaf_axes(spec[key], tree[key], what)]
    raise ShapeError(f"vmap: {what} does not fit", expected="an int, None, or a tree prefix of them", got=spec,
                     where=user_source())  # fmt: skip


def _batch_size(leaves: Sequence[Any], axes: Sequence[Any]) -> int:
    sizes = {}
    for leaf, axis in zip(leaves, axes, strict=True):
        if axis is None:
            continue
        shape = leaf_spec(leaf).shape
        if not -len(shape) <= axis < len(shape):
            raise ShapeError("vmap: an argument has no such axis", expected=f"in_axes within shape {shape}", got=axis,
                             where=user_source())  # fmt: skip
        sizes[int(shape[axis])] = shape
    if not sizes:
        raise ShapeError("vmap: no argument has a batch axis", expected="at least one axis that is not None",
                         got="none", where=user_source())  # fmt: skip
    if len(sizes) > 1:
        raise ShapeError(
            "vmap: the batch sizes differ", expected="one size",
            got=", ".join(f"{n} (shape {s})" for n, s in sizes.items()), where=user_source(),
        )  # fmt: skip
    return int(next(iter(sizes)))


# ---------------------------------------------------------------------------------------------------- small and plain


def stop_gradient(tree: Tree) -> Tree:
    """The same values, through which no derivative passes."""
    return trees.map(lambda x: structure.stop_gradient(x) if isinstance(x, Expr) else x, tree)


def trace(f: Function) -> Function:
    """``trace(f)(*args)``: the Graph of ``f`` for arguments of these shapes and dtypes; printing it shows the lines.

    Arguments may be trees of arrays; their values are not used, except that Python's ``if`` and ``print`` see them.
    """

    def traced(*args: Any, **kwargs: Any) -> Graph:
        call = _trace_call(f, args, kwargs, range(len(args)), "trace", differentiable=False)
        if any(isinstance(v, Expr) for v in call.traced.captured):
            return call.graph  # an inner trace: what it closes over stays an input
        return embed(call.graph, call.traced.captured)

    return _wrap(traced, f)


# ---------------------------------------------------------------------------------------------------------------- jit


class Jitted:
    """``f`` traced once per structure, shapes, dtypes and static arguments, then run as a graph.

    Arrays and numbers that ``f`` closes over are read when it is traced and stay as they were then.
    """

    def __init__(
        self, f: Function, donate_argnums: int | Sequence[int] = (), static_argnums: int | Sequence[int] = ()
    ) -> None:
        self.f = f
        self.donate_argnums = _tuple(donate_argnums)
        self.static_argnums = _tuple(static_argnums)
        self.cache: dict[Any, Traced] = {}
        _wrap(self, f)

    def __call__(self, *args: Any) -> Any:
        static = tuple((i, args[i]) for i in self.static_argnums if i < len(args))
        dynamic = tuple(a for i, a in enumerate(args) if i not in self.static_argnums)
        flat, shape = trees.flatten(dynamic)
        leaves = [array_leaf(leaf, f"jit: an argument of {function_name(self.f)}") for leaf in flat]
        key = (shape, tuple(map(leaf_spec, leaves)), _hashable(static))
        traced = self.cache.get(key)
        if traced is None:
            traced = self._trace(args, leaves, shape)
            # What closes over an enclosing trace's Symbols is only good inside that trace.
            if not any(isinstance(v, Expr) for v in traced.captured):
                self.cache[key] = traced
        results = run(traced.graph, [*leaves, *traced.captured])
        return trees.unflatten(traced.structure, [owned(r) for r in results])

    def _trace(self, args: Sequence[Any], leaves: Sequence[Any], shape: Any) -> Traced:
        def body(symbols: list[Any]) -> Any:
            rest = iter(trees.unflatten(shape, symbols))
            return self.f(*(a if i in self.static_argnums else next(rest) for i, a in enumerate(args)))

        names = [
            _joined(_argument_name(self.f, i), path)
            for i, a in enumerate(args)
            if i not in self.static_argnums
            for path in trees.paths(a)
        ]
        return trace_leaves(
            body, [leaf_spec(x) for x in leaves], values=False, names=names, name=function_name(self.f)
        )


def _tuple(argnums: int | Sequence[int]) -> tuple[int, ...]:
    return (int(argnums),) if isinstance(argnums, (int, np.integer)) else tuple(int(i) for i in argnums)


def _hashable(static: tuple[Any, ...]) -> tuple[Any, ...]:
    try:
        hash(static)
    except TypeError:
        raise TraceError(
            "jit: a static argument is not hashable",
            expected="numbers, strings, tuples or functions as static arguments",
            got=", ".join(type(value).__name__ for _, value in static),
            where=user_source(),
            fix="pass arrays and trees as ordinary arguments",
        ) from None
    return static


def jit(
    f: Function, donate_argnums: int | Sequence[int] = (), static_argnums: int | Sequence[int] = ()
) -> Jitted:
    """``f`` run from its graph: traced at the first call with arguments of these shapes and dtypes.

    Symbols inside ``f`` have no values: Python can't branch on them (use ``np.where``, ``cr.cond``).
    ``static_argnums`` name arguments that are plain, hashable Python values.  ``donate_argnums`` name arguments whose
    memory the result may take over; their arrays must not be used afterwards.
    """
    return Jitted(f, donate_argnums, static_argnums)
