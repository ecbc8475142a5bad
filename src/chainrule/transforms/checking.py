"""``check_grads``: derivatives against central differences along random directions, in both modes, to any order.

For a graph f at x, with a random direction d and a random cotangent c (after HIPS/autograd's and JAX's testers):
forward mode must give the difference quotient of f along d; reverse mode must satisfy ⟨c, J d⟩ = ⟨Jᵀ c, d⟩.  Order 2
checks the derivative graphs the same way.  On a failure each line of the graph is checked alone, at the values it has
here, and the element of the input is found by halving (directions that vary one half of the elements, then the half of
that which disagrees), so that the message names the op, the input and the element, with both numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.base import trees
from chainrule.base.arrays import Array, is_differentiable
from chainrule.base.errors import GradientError, NotDifferentiableError, OptionError, choose
from chainrule.graph.builder import Builder
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.graph.source import user_source
from chainrule.ops.expr import Expr
from chainrule.trace.tracer import array_leaf, function_name, leaf_spec, trace_leaves
from chainrule.transforms.arguments import argument_name, joined_name
from chainrule.transforms.forward import jvp_graph
from chainrule.transforms.reverse import select_outputs, vjp_graph


class Disagreement(NamedTuple):
    """Two numbers that should be one, and the room they were given."""

    what: str
    derivative: float
    difference: float


class Place(NamedTuple):
    """The element of the input at ``position`` whose derivative disagrees, with both numbers."""

    position: int
    element: tuple[int, ...]
    derivative: float
    difference: float


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("rev", "fwd"),
    tol: float | None = None,
    eps: float | None = None,
    seed: int = 0,
) -> None:
    """Check the derivatives of ``f`` at ``args`` (trees of arrays; those of float or complex dtype are varied).

    ``order`` 1 checks first derivatives, 2 second ones too.  ``tol`` is the relative tolerance against differences
    (default 1e-4 in float64, so that a rule wrong by 0.1 % is caught; 2e-2 in float32), ``eps`` the step.
    Raises GradientError where they disagree, NotDifferentiableError where there is nothing to differentiate.
    """
    for mode in modes:
        if mode not in ("rev", "fwd"):
            raise choose("modes", mode, ("rev", "fwd"), where=user_source())
    if order < 1 or not modes:
        raise OptionError(
            "check_grads has nothing to check",
            expected="order of 1 or more, and a mode",
            got=f"order={order}, modes={tuple(modes)}",
            where=user_source(),
            fix="leave them out: order=2, modes=('rev', 'fwd')",
        )
    flat, structure = trees.flatten(tuple(args))
    leaves = [array_leaf(leaf, "check_grads: an argument") for leaf in flat]
    traced = trace_leaves(
        lambda symbols: f(*trees.unflatten(structure, symbols)), leaves, values=True, name=function_name(f)
    )
    inputs = [np.asarray(x) for x in leaves] + traced.captured
    wrt = tuple(i for i, x in enumerate(leaves) if is_differentiable(leaf_spec(x).dtype))
    smooth = [i for i, s in enumerate(traced.graph.output_specs) if is_differentiable(s.dtype)]
    if not wrt or not smooth:
        raise NotDifferentiableError(
            "check_grads has nothing to differentiate",
            expected="at least one float argument and one float result",
            got=f"{len(wrt)} float arguments, {len(smooth)} float results",
            fix="pass floats (2.0, not 2), and return a float",
        )
    graph = select_outputs(traced.graph, smooth)
    rng = np.random.default_rng(seed)
    problem = check_graph(graph, inputs, wrt, order, modes, rng, tol, eps)
    if problem is None:
        return
    culprit = find_line(graph, inputs, wrt, modes, rng, tol, eps, order)
    names = _names(f, args)
    place = worst_element(graph, inputs, wrt, modes, rng, tol, eps)
    of = "" if place is None else f", of {_indexed(names[place.position], place.element)}"
    said = problem if place is None else place
    raise GradientError(
        f"a derivative of {function_name(f)} disagrees: {problem.what}{of}",
        expected=f"{said.difference!r} (by finite differences)",
        got=f"{said.derivative!r}",
        where=culprit or "no single op disagrees; the points may lie at a kink",
        fix="correct the op's rule, or move the arguments away from a kink",
    )


def _names(f: Callable[..., Any], args: Sequence[Any]) -> list[str]:
    return [joined_name(argument_name(f, i), path) for i, arg in enumerate(args) for path in trees.paths(arg)]


def _indexed(name: str, element: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, element))}]" if element else name


def check_graph(
    graph: Graph,
    inputs: Sequence[Any],
    wrt: tuple[int, ...],
    order: int,
    modes: Sequence[str],
    rng: np.random.Generator,
    tol: float | None = None,
    eps: float | None = None,
) -> Disagreement | None:
    """Check a graph at concrete inputs with respect to the inputs ``wrt``; the first disagreement, or None."""
    seeds = tuple(range(len(graph.outputs)))
    cotangents = [_random_like(s.shape, s.dtype, rng) for s in graph.output_specs]
    directions = [_random_like(np.shape(inputs[i]), np.asarray(inputs[i]).dtype, rng) for i in wrt]
    quotient = _difference(graph, inputs, wrt, directions, eps)
    count = len(graph.outputs)
    if "fwd" in modes:
        pushed = jvp_graph(graph, wrt)
        tangents = run_plan(pushed, [*inputs, *directions])[count:]
        found = _compare("forward mode", tangents, quotient, tol)
        if found is not None:
            return found
    if "rev" in modes:
        pulled = vjp_graph(graph, wrt, seeds)
        gradients = run_plan(pulled, [*inputs, *cotangents])[count:]
        found = _compare_pairing(gradients, directions, cotangents, quotient, tol)
        if found is not None:
            return found
    if order > 1:
        late = tuple(range(count, count + len(wrt)))
        if "rev" in modes:
            inner = select_outputs(vjp_graph(graph, wrt, seeds), late)
            more = (*wrt, *range(graph.inputs, graph.inputs + count))
            found = check_graph(inner, [*inputs, *cotangents], more, order - 1, modes, rng, tol, eps)
            if found is not None:
                return found._replace(what=f"the gradient's {found.what}")
        if "fwd" in modes:
            inner = select_outputs(jvp_graph(graph, wrt), tuple(range(count, 2 * count)))
            more = (*wrt, *range(graph.inputs, graph.inputs + len(wrt)))
            found = check_graph(inner, [*inputs, *directions], more, order - 1, modes, rng, tol, eps)
            if found is not None:
                return found._replace(what=f"the tangent's {found.what}")
    return None


def _random_like(shape: tuple[int, ...], dtype: Any, rng: np.random.Generator) -> Any:
    draw = rng.uniform(0.5, 1.0, shape) * rng.choice([-1.0, 1.0], shape)
    if dtype.kind == "c":
        draw = draw + 1j * rng.uniform(0.5, 1.0, shape)
    return np.asarray(draw, dtype)


def _is_single(arrays: Sequence[Any]) -> bool:
    return any(np.asarray(a).dtype.name in ("float32", "complex64") for a in arrays)


class _Quotient(NamedTuple):
    """Difference quotients per output, and the rounding error each may have."""

    values: list[Array]
    noise: list[float]
    single: bool


def _difference(
    graph: Graph, inputs: Sequence[Any], wrt: Sequence[int], directions: Sequence[Any], eps: float | None
) -> _Quotient:
    single = _is_single([inputs[i] for i in wrt])
    step = eps if eps is not None else (5e-3 if single else 1e-5)

    def moved(sign: float) -> list[Any]:
        shifted = list(inputs)
        for i, d in zip(wrt, directions, strict=True):
            shifted[i] = (inputs[i] + np.asarray(sign * step, np.asarray(d).real.dtype) * d).astype(d.dtype)
        return run_plan(graph, shifted)

    ahead, behind = moved(1.0), moved(-1.0)
    unit = np.finfo(np.float32 if single else np.float64).eps
    values, noise = [], []
    for a, b in zip(ahead, behind, strict=True):
        values.append((np.asarray(a) - np.asarray(b)) / (2 * step))
        size = float(np.max(np.abs(a), initial=0.0))
        noise.append(20 * float(unit) * size / step)
    return _Quotient(values, noise, single)


def _compare(what: str, tangents: Sequence[Any], quotient: _Quotient, tol: float | None) -> Disagreement | None:
    rel = tol if tol is not None else (2e-2 if quotient.single else 1e-4)
    for position, (tangent, value, noise) in enumerate(zip(tangents, quotient.values, quotient.noise, strict=True)):
        t = np.asarray(tangent)
        if not t.size:
            continue
        room = rel * float(np.max(np.abs(t))) + noise + 1e-9
        error = np.abs(t - value)
        if not np.all(error <= room):
            at = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), t.shape)
            place = f"{what}, output {position}" + (f", element {tuple(map(int, at))}" if t.shape else "")
            return Disagreement(place, t[at].item(), value[at].item())
    return None


def _pair(a: Sequence[Any], b: Sequence[Any]) -> tuple[float, float]:
    """Re Σ a·b over all arrays, and the sum of the magnitudes of its terms."""
    terms = [np.real(np.asarray(x) * np.asarray(y)) for x, y in zip(a, b, strict=True)]
    return float(sum(t.sum() for t in terms)), float(sum(np.abs(t).sum() for t in terms))


def _compare_pairing(
    gradients: Sequence[Any], directions: Sequence[Any], cotangents: Sequence[Any], quotient: _Quotient,
    tol: float | None,
) -> Disagreement | None:  # fmt: skip
    rel = tol if tol is not None else (2e-2 if quotient.single else 1e-4)
    got, size = _pair(gradients, directions)
    expected, other = _pair(cotangents, quotient.values)
    noise = sum(
        n * float(np.sum(np.abs(c))) for n, c in zip(quotient.noise, cotangents, strict=True)
    )
    room = rel * max(abs(got), abs(expected), 0.1 * min(size, other)) + noise + 1e-9
    if abs(got - expected) <= room:
        return None
    return Disagreement("reverse mode, along a random direction", got, expected)


def worst_element(
    graph: Graph, inputs: Sequence[Any], wrt: tuple[int, ...], modes: Sequence[str], rng: np.random.Generator,
    tol: float | None, eps: float | None,
) -> Place | None:  # fmt: skip
    """The element whose first derivative disagrees, found by halving; None where none does.

    Both numbers are the derivative by this element of ⟨c, f⟩, c being the cotangent that was drawn (1 for a scalar).
    """
    cotangents = [
        np.ones((), s.dtype) if graph.output_specs == (s,) and s.shape == () else _random_like(s.shape, s.dtype, rng)
        for s in graph.output_specs
    ]
    for mode in modes:
        for i in wrt:
            direction = _random_like(np.shape(inputs[i]), np.asarray(inputs[i]).dtype, rng)
            if np.asarray(inputs[i]).dtype.kind == "c":
                continue
            found = _halved(graph, inputs, i, direction, cotangents, mode, tol, eps)
            if found is not None:
                return found
    return None


def _halved(
    graph: Graph, inputs: Sequence[Any], i: int, direction: Any, cotangents: Sequence[Any], mode: str,
    tol: float | None, eps: float | None,
) -> Place | None:  # fmt: skip
    def along(places: Array, vector: Any) -> tuple[float, float, bool]:
        """The derivative and the difference quotient of ⟨c, f⟩ along ``vector`` at ``places``; whether they differ."""
        part = np.zeros_like(vector).reshape(-1)
        part[places] = vector.reshape(-1)[places]
        step = part.reshape(np.shape(vector))
        quotient = _difference(graph, inputs, (i,), [step], eps)
        if mode == "rev":
            seeds = tuple(range(len(graph.outputs)))
            pulled = run_plan(vjp_graph(graph, (i,), seeds), [*inputs, *cotangents])[len(graph.outputs) :]
            got = _pair(pulled, [step])[0]
        else:
            got = _pair(run_plan(jvp_graph(graph, (i,)), [*inputs, step])[len(graph.outputs) :], cotangents)[0]
        expected, size = _pair(cotangents, quotient.values)
        noise = sum(n * float(np.sum(np.abs(c))) for n, c in zip(quotient.noise, cotangents, strict=True))
        rel = tol if tol is not None else (2e-2 if quotient.single else 1e-4)
        return got, expected, not abs(got - expected) <= rel * max(abs(got), abs(expected), 0.1 * size) + noise + 1e-9

    places = np.arange(np.size(direction))
    if not len(places) or not along(places, direction)[2]:
        return None
    while len(places) > 1:
        half = places[: len(places) // 2]
        places = half if along(half, direction)[2] else places[len(places) // 2 :]
    got, expected, _ = along(places, np.ones_like(direction))
    element = np.unravel_index(int(places[0]), np.shape(direction))
    return Place(i, tuple(int(n) for n in element), got, expected)


def find_line(
    graph: Graph, inputs: Sequence[Any], wrt: tuple[int, ...], modes: Sequence[str], rng: np.random.Generator,
    tol: float | None, eps: float | None, order: int = 1,
) -> str | None:  # fmt: skip
    """The first line whose own derivative disagrees at the values it has here, in words; None if none does."""
    values: list[Any] = list(inputs)
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        args = [values[a] for a in line.args]
        with np.errstate(all="ignore"):
            values.append(line.op.run(*args, **dict(line.attrs)))
        smooth = tuple(
            p for p, a in enumerate(args)
            if not isinstance(a, (tuple, list)) and is_differentiable(np.asarray(a).dtype)
            and line.op.undifferentiable(p, dict(line.attrs)) is None
        )  # fmt: skip
        if not smooth or line.op.name == "item" or not line.args:
            continue
        alone = _single(graph, index)
        for p in smooth if alone.outputs else ():
            problem = check_graph(alone, args, (p,), order, modes, rng, tol, eps)
            if problem is None:
                continue
            place = worst_element(alone, args, (p,), modes, rng, tol, eps)
            said = problem if place is None else place
            element = "" if place is None or not place.element else f", element {place.element}"
            return (
                f"op {line.op.name}, its argument {p}{element}, {problem.what}: {said.derivative!r} against "
                f"{said.difference!r}, from {line.source}"
            )
    return None


def _single(graph: Graph, index: int) -> Graph:
    """The graph of one line, its float outputs being the results."""
    line = graph.lines[index]
    builder = Builder()
    args = tuple([builder.input(graph.lines[a].spec).index for a in line.args])
    out = builder.wrap(builder.append(line.op, args, line.attrs, line.spec, line.source))
    outs: Sequence[Expr] = out if isinstance(out, tuple) else (out,)
    return builder.finish([o for o in outs if is_differentiable(o.dtype)])[0]
