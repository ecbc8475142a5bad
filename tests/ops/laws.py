"""The laws every op keeps, as checks of one graph: values, both modes of differentiation, second order, batching.

A check raises AssertionError with both numbers.  Pairings of complex numbers are Re(Σ c·t), without conjugation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec, is_differentiable
from chainrule.graph.builder import Builder
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.ops.record import Op
from chainrule.transforms.batching import vmap_graph
from chainrule.transforms.forward import jvp_graph
from chainrule.transforms.reverse import vjp_graph

STEP = 1e-3
SLOPE = 1e-6
"""Relative room between a derivative and its difference quotient, of fourth order; 0.1 % is a thousand times that."""


def graph_of(op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Graph:
    """The graph of the one op."""
    builder = Builder()
    inputs = [builder.input(Spec(np.shape(a), np.asarray(a).dtype)) for a in args]
    out = builder.emit(op, inputs, attrs)
    return builder.finish(out if isinstance(out, tuple) else [out])[0]


def differentiable(op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> tuple[int, ...]:
    """The positions of the arguments that have a derivative."""
    return tuple(
        i for i, a in enumerate(args)
        if is_differentiable(np.asarray(a).dtype) and op.undifferentiable(i, attrs) is None
    )  # fmt: skip


def seeds_of(graph: Graph) -> tuple[int, ...]:
    """The positions of the outputs that can carry a cotangent."""
    return tuple(i for i, spec in enumerate(graph.output_specs) if is_differentiable(spec.dtype))


def draw(spec: Spec, rng: np.random.Generator) -> Any:
    """A random direction like a value of ``spec``."""
    x = rng.normal(size=spec.shape)
    return np.asarray(x + 1j * rng.normal(size=spec.shape) if spec.dtype.kind == "c" else x, spec.dtype)


def pairing(cotangents: Sequence[Any], tangents: Sequence[Any]) -> float:
    """Re(Σ c·t) over all pairs."""
    return float(sum(np.sum(np.multiply(c, t)).real for c, t in zip(cotangents, tangents, strict=True)))


def close(found: Any, wanted: Any, room: float, what: str) -> None:
    """Assert that two arrays agree within ``room`` relative to the largest of them (or 1)."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape, f"{what}: shape {found.shape}, expected {wanted.shape}"
    if not wanted.size:
        return
    scale = max(1.0, float(np.max(np.abs(wanted))))
    error = float(np.max(np.abs(found - wanted)))
    assert error <= room * scale, f"{what}: {found} differs from {wanted} by {error:.3g}, room {room * scale:.3g}"


def slope(graph: Graph, args: Sequence[Any], wrt: Sequence[int], direction: Sequence[Any]) -> list[Any]:
    """The difference quotient along ``direction``, extrapolated to fourth order (Richardson, 1911)."""

    def shifted(step: float) -> list[Any]:
        moved = list(args)
        for i, d in zip(wrt, direction, strict=True):
            moved[i] = args[i] + step * d
        return run_plan(graph, moved)

    def central(step: float) -> list[Any]:
        return [(np.asarray(a) - b) / (2 * step) for a, b in zip(shifted(step), shifted(-step), strict=True)]

    return [(4 * near - far) / 3 for near, far in zip(central(STEP), central(2 * STEP), strict=True)]


Modes = tuple[str, ...]
BOTH: Modes = ("rev", "fwd")
Tangent = Callable[[int, Any], Any] | None


def derivative(graph: Graph, wrt: tuple[int, ...], mode: str) -> tuple[Graph, list[Spec]]:
    """The graph of one mode, and what it takes behind the inputs: cotangents or tangents."""
    if mode == "rev":
        seeds = seeds_of(graph)
        return vjp_graph(graph, wrt, seeds), [graph.output_specs[s] for s in seeds]
    return jvp_graph(graph, wrt), [graph.input_specs[i] for i in wrt]


def check_derivatives(
    graph: Graph, args: Sequence[Any], wrt: tuple[int, ...], seed: int, loose: float = 1.0, modes: Modes = BOTH,
    tangent: Tangent = None,
) -> None:
    """Forward mode gives the difference quotient; reverse mode is its transpose."""
    rng = np.random.default_rng(seed)
    direction = [draw(graph.input_specs[i], rng) for i in wrt]
    if tangent is not None:
        direction = [tangent(i, d) for i, d in zip(wrt, direction, strict=True)]
    seeds = seeds_of(graph)
    outputs = len(graph.outputs)
    measured = slope(graph, args, wrt, direction)
    tangents, room = [measured[s] for s in seeds], 10 * SLOPE
    if "fwd" in modes:
        found = run_plan(jvp_graph(graph, wrt), [*args, *direction])[outputs:]
        for s, tangent, quotient in zip(seeds, found, tangents, strict=True):
            close(tangent, quotient, SLOPE * loose, f"forward mode, output {s}")
        tangents, room = found, 1e-9
    if "rev" not in modes:
        return
    weights = [draw(graph.output_specs[s], rng) for s in seeds]
    cotangents = run_plan(vjp_graph(graph, wrt, seeds), [*args, *weights])[outputs:]
    for i, ct in zip(wrt, cotangents, strict=True):
        found_spec = Spec(np.shape(ct), np.asarray(ct).dtype)
        assert found_spec == graph.input_specs[i], f"reverse mode, argument {i}: {found_spec}"
    there, back = pairing(weights, tangents), pairing(cotangents, direction)
    terms = [np.sum(np.abs(np.multiply(c, d))) for c, d in zip(cotangents, direction, strict=True)]
    room *= loose * (1 + float(sum(terms)))
    assert abs(there - back) <= room, f"reverse mode: ⟨Jᵀw, t⟩ = {back}, but ⟨w, Jt⟩ = {there}"


def check_second_order(
    graph: Graph, args: Sequence[Any], wrt: tuple[int, ...], seed: int, loose: float = 1.0, modes: Modes = BOTH,
    tangent: Tangent = None,
) -> None:
    """The graphs of both modes, as functions of arguments and of cotangents or tangents, keep the same law."""
    for mode in modes:
        whole, extra = derivative(graph, wrt, mode)
        rng = np.random.default_rng(seed)
        given = [*args, *(draw(spec, rng) for spec in extra)]
        moving = wrt + tuple(range(graph.inputs, whole.inputs))
        inner = None if tangent is None else partial(_only, tangent, graph.inputs)
        check_derivatives(whole, given, moving, seed + 1, 10 * loose, modes, inner)


def _only(tangent: Callable[[int, Any], Any], inputs: int, position: int, x: Any) -> Any:
    """The rule for directions, for the arguments of the op itself."""
    return tangent(position, x) if position < inputs else x


def member(x: Any, k: int) -> Any:
    """The argument of batch member ``k``: floats a little apart, integers and bools turned round."""
    x = np.asarray(x)
    if x.dtype.kind in "fc":
        return x * (1 + 0.01 * k)
    return np.flip(x) if k % 2 else x


def check_batching(graph: Graph, args: Sequence[Any], size: int) -> None:
    """vmap equals the loop, for every choice of batched arguments."""
    choices = [c for c in itertools.product((False, True), repeat=len(args)) if any(c)]
    if len(args) > 3:
        choices = [c for c in choices if sum(c) in (1, len(args))]
    for flags in choices:
        batched = vmap_graph(graph, flags, size, None)
        given = [
            np.stack([member(a, k) for k in range(size)]) if f and size
            else np.zeros((0, *np.shape(a)), np.asarray(a).dtype) if f else a
            for a, f in zip(args, flags, strict=True)
        ]  # fmt: skip
        found = run_plan(batched, given)
        for spec, out in zip(batched.output_specs, found, strict=True):
            assert Spec(np.shape(out), np.asarray(out).dtype) == spec, f"vmap {flags}: {np.shape(out)} is not {spec}"
        for k in range(size):
            alone = run_plan(graph, [member(a, k) if f else a for a, f in zip(args, flags, strict=True)])
            for position, (out, wanted) in enumerate(zip(found, alone, strict=True)):
                what = f"vmap {flags}, member {k}, output {position}"
                if np.asarray(wanted).dtype.kind in "fc":
                    close(out[k], wanted, 1e-9, what)
                else:
                    np.testing.assert_array_equal(out[k], wanted, err_msg=what)


def scattered(x: Any) -> list[Any]:
    """The same array laid out otherwise in memory: every second element, reversed, by columns."""
    x = np.asarray(x)
    if x.ndim == 0:
        return [x]
    sparse = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)[..., ::2]
    sparse[...] = x
    turned = np.flip(np.flip(x).copy())
    return [sparse, turned, np.asfortranarray(x)]
