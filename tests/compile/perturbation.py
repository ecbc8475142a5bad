"""How much rounding matters to a program: what its results do when every line is off by what its op is allowed.

Monte Carlo arithmetic (Parker, 1997, "Monte Carlo arithmetic: exploiting randomness in floating-point arithmetic"): the
program runs several times, each time with a random error, as large as the table of tolerances allows, put on the result
of every line.  How far the results move is the program's own condition, element by element: what the compiled program
may be off.  So a bound is nowhere guessed: cancellation, long sums and steep functions widen it exactly where they are.

The error is a function of the bits it is put on (and of the run), so equal numbers stay equal and ties stay ties, as
they do in compiled code.  Elements whose runs disagree altogether (a comparison that rounding decides, overflow) say
nothing and are counted as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from tolerances import rounding_error, spacing

from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph, last_uses
from chainrule.transforms import calls, loops

RUNS = 8
ROOM = 4.0
"""Times the widest of the runs: they are draws, not the worst case.  500 programs needed 1.2 at most."""


class Bound(NamedTuple):
    """For one output: the evaluator's ``value``; how far each element may be ``off`` (inf: it says nothing)."""

    value: Any
    off: Any


def noise(value: Any, run: int) -> Any:
    """Numbers of random sign, of magnitude 0.5 to 1, each a function of the element's bits and of ``run``."""
    wide = np.ascontiguousarray(value, np.float64).view(np.uint64)
    mixed = (wide ^ np.uint64(0x9E3779B97F4A7C15 * (run + 1) & 0xFFFFFFFFFFFFFFFF)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(32)
    size = 0.5 + (mixed >> np.uint64(12)).astype(np.float64) / 2.0**53
    return np.where(mixed & np.uint64(1), size, -size).reshape(np.shape(value))


def _shaken(value: Any, off: Any, run: int) -> Any:
    """``value`` with errors of up to ``off``; denormals are flushed in every other run."""
    if value.dtype.kind == "c":
        parts = [_shaken(part, off, run + shift) for shift, part in ((0, value.real), (RUNS, value.imag))]
        return (parts[0] + 1j * parts[1]).astype(value.dtype)
    moved = (value.astype(np.float64) + off * noise(value, run)).astype(value.dtype)
    if run % 2:
        moved = np.where(np.abs(moved) < np.finfo(value.dtype).tiny, np.zeros((), value.dtype), moved)
    return moved


def _run(graph: Graph, arrays: Sequence[Any], run: int) -> list[Any]:
    """The outputs of ``graph`` with errors on every line; ``run`` says which."""
    values: list[Any] = list(arrays)
    last = last_uses(graph)
    for line in graph.lines[graph.inputs :]:
        args = [values[a] for a in line.args]
        value = line.op.bind(dict(line.attrs))(*args)
        if not isinstance(value, (tuple, list)) and line.op.name not in ("constant", "item"):
            value = np.asarray(value)
            off = rounding_error(line, [np.asarray(a) for a in args], value, least=1.0)
            if off is not None:
                value = _shaken(value, off, run)[()]
        values.append(value)
        for a in line.args:
            if last[a] < len(values):
                values[a] = None
    return [values[i] for i in graph.outputs]


def perturbed(graph: Graph, arrays: Sequence[Any], run: int) -> list[Any]:
    """The outputs of ``graph`` with errors on every line, also of the graphs its lines hold."""

    def inner(graph: Graph, arrays: list[Any]) -> list[Any]:
        return _run(graph, arrays, run)

    with np.errstate(all="ignore"), mock.patch.object(calls, "run_plan", inner), \
            mock.patch.object(loops, "run_plan", inner):  # fmt: skip
        return _run(graph, arrays, run)


def bounds(graph: Graph, arrays: Sequence[Any]) -> list[Bound]:
    """What the compiled ``graph`` may give for ``arrays``."""
    wanted = [np.asarray(v) for v in run_plan(graph, list(arrays))]
    runs = [perturbed(graph, arrays, run) for run in range(RUNS)]
    found = []
    for position, value in enumerate(wanted):
        others = [np.asarray(r[position]) for r in runs]
        found.append(Bound(value, _spread(value, others)))
    return found


def _spread(value: Any, others: Sequence[Any]) -> Any:
    """``ROOM`` times the widest distance; infinite where the runs disagree about infinities, NaN or whole numbers."""
    with np.errstate(all="ignore"):
        if value.dtype.kind not in "fc":
            differs = np.any([o != value for o in others], axis=0)
            return np.where(differs, np.inf, 0.0)
        finite = np.isfinite(value)
        alike = np.all([_alike(o, value) | (finite & np.isfinite(o)) for o in others], axis=0)
        moved = np.max([np.abs(o.astype(_wide(o)) - value) for o in others], axis=0)
        tiny = np.finfo(value.dtype).tiny
        off = ROOM * (np.where(finite, moved, 0.0) + np.where(moved > 0, 2.0 * spacing(value), 0.0)) + tiny
        return np.where(alike, off, np.inf)


def _wide(x: Any) -> Any:
    return np.complex128 if x.dtype.kind == "c" else np.float64


def _alike(a: Any, b: Any) -> Any:
    return (a == b) | (np.isnan(a) & np.isnan(b))


def difference(found: Any, bound: Bound) -> str:
    """What is wrong with ``found``, in words; empty where it keeps the bound."""
    found = np.asarray(found)
    value, off = bound
    if found.shape != value.shape or found.dtype != value.dtype:
        return f"{found.dtype}{found.shape}, expected {value.dtype}{value.shape}"
    with np.errstate(all="ignore"):
        distance = np.abs(found.astype(_wide(found)) - value) if value.dtype.kind in "fc" else (found != value) * 1.0
        wrong = ~(_alike(found, value) | (distance <= off) | (off == np.inf))
    if not np.any(wrong):
        return ""
    at = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(wrong)))[: value.ndim]
    return f"element {at}: {found[at]!r}, expected {value[at]!r} ± {off[at]:.3g}; {int(np.sum(wrong))} of {wrong.size}"


def informative(bound: Bound) -> tuple[int, int]:
    """How many elements the bound says something about (1 % at most), and of how many."""
    value, off = bound
    scale = np.abs(np.where(np.isfinite(value), value, 0)) + np.finfo(np.float32).tiny
    return int(np.sum(off <= np.maximum(0.01 * scale, 1e-30))), int(value.size)
