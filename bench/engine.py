"""What differentiating costs without compiling, against HIPS/autograd on the same functions.

``chain``: tracing plus gradient of a chain of n ops.  The first call sees a function never met before (another
constant); a repeated call traces again and finds the backward graph made; ``jit`` skips the tracing too.
``cost``: a gradient against one evaluation of the function in plain NumPy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import chainrule as cr
from bench import workloads
from bench.measure import CLOCK, environment, medians

SIZES: dict[str, Any] = {
    "chain": (1_000, 10_000, 100_000),
    "cost": {
        "MLP 784-128-10, batch 64": lambda: workloads.mlp((784, 128, 10), 64),
        "logsumexp, 100,000": lambda: workloads.logsumexp(100_000),
        "10 matrix products, 256": lambda: workloads.matmul_chain(256, 11),
        "elementwise, 1,000,000": lambda: workloads.elementwise(1_000_000),
        "RNN, 50 steps, 64 units": lambda: workloads.rnn(50, 64, 16),
    },
}
QUICK: dict[str, Any] = {
    "chain": (20, 200),
    "cost": {
        "MLP 6-5-3, batch 4": lambda: workloads.mlp((6, 5, 3), 4),
        "logsumexp, 10": lambda: workloads.logsumexp(10),
        "2 matrix products, 4": lambda: workloads.matmul_chain(4, 3),
        "elementwise, 10": lambda: workloads.elementwise(10),
        "RNN, 3 steps, 4 units": lambda: workloads.rnn(3, 4, 2),
    },
}


def peers() -> dict[str, tuple[Any, Callable[..., Any]]]:
    """name → (its NumPy, its grad), for the peers that are installed."""
    try:
        import autograd
        import autograd.numpy as autograd_numpy
    except ImportError:
        return {}
    return {"autograd": (autograd_numpy, autograd.grad)}


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, (list, tuple)):
        for part in tree:
            yield from _leaves(part)
    else:
        yield np.asarray(tree)


def _require_agreement(name: str, ours: Any, theirs: Any) -> None:
    for a, b in zip(_leaves(ours), _leaves(theirs), strict=True):
        tolerance = 1e-3 if a.dtype == np.float32 else 1e-7
        if not np.allclose(a, b, rtol=tolerance, atol=tolerance * (np.max(np.abs(b), initial=0) + 1e-300)):
            raise AssertionError(f"{name}: the gradients differ, so their times can't be compared")


def _ratios(ours: float, theirs: dict[str, float]) -> dict[str, float]:
    return {name: seconds / ours for name, seconds in theirs.items()}


def measure_chain(sizes: tuple[int, ...], seconds: float) -> list[dict[str, Any]]:
    """Rows of the suite ``chain``: one per length and kind of call."""
    rows = []
    found = peers()
    factors = (1 - 1e-9 * i for i in itertools.count())
    for ops in sizes:
        function, x = workloads.chain(ops, next(factors))
        gradient = cr.grad(partial(function, np))
        jitted = cr.jit(gradient, backend="numpy")
        others = {name: grad(partial(function, xp)) for name, (xp, grad) in found.items()}
        for name, other in others.items():
            _require_agreement(f"chain of {ops}, {name}", gradient(x), other(x))

        firsts: list[float] = []
        while (sum(firsts) < seconds / 4 and len(firsts) < 20) or len(firsts) < 3:
            fresh = cr.grad(partial(workloads.chain(ops, next(factors))[0], np))
            start = CLOCK()
            fresh(x)
            firsts.append(CLOCK() - start)
        calls = {"repeated": partial(gradient, x), "jit": partial(jitted, x)}
        calls |= {name: partial(other, x) for name, other in others.items()}
        times = medians(calls, seconds)
        times["first"] = float(np.median(firsts))
        for kind in ("first", "repeated", "jit"):
            theirs = {name: times[name] for name in others}
            rows.append({
                "workload": f"chain of {ops:,} ops", "ops": ops, "call": kind, "ours_s": times[kind],
                "ours_ns_per_op": times[kind] / ops * 1e9, "peers": theirs, "ratios": _ratios(times[kind], theirs),
            })  # fmt: skip
    return rows


def measure_cost(makers: dict[str, Callable[[], workloads.Workload]], seconds: float) -> list[dict[str, Any]]:
    """Rows of the suite ``cost``: one per function."""
    rows = []
    found = peers()
    for workload, make in makers.items():
        function, x = make()
        gradient = cr.grad(partial(function, np))
        jitted = cr.jit(gradient, backend="numpy")
        others = {name: grad(partial(function, xp)) for name, (xp, grad) in found.items()}
        for name, other in others.items():
            _require_agreement(f"{workload}, {name}", gradient(x), other(x))
        calls = {"evaluate": partial(function, np, x), "ours": partial(gradient, x), "jit": partial(jitted, x)}
        calls |= {name: partial(other, x) for name, other in others.items()}
        times = medians(calls, seconds)
        theirs = {name: times[name] for name in others}
        rows.append({
            "workload": workload, "evaluate_s": times["evaluate"], "ours_s": times["ours"], "jit_s": times["jit"],
            "cost": times["ours"] / times["evaluate"], "jit_cost": times["jit"] / times["evaluate"],
            "peers": theirs, "peer_costs": {name: s / times["evaluate"] for name, s in theirs.items()},
            "ratios": _ratios(times["ours"], theirs),
        })  # fmt: skip
    return rows


def run(seconds: float = 2.0, quick: bool = False) -> dict[str, Any]:
    """The whole suite, about ``seconds`` per row; ``quick`` takes tiny sizes, to test the code and not the speed."""
    sizes = QUICK if quick else SIZES
    chain = measure_chain(sizes["chain"], seconds)
    first = [row["ours_ns_per_op"] for row in chain if row["call"] == "first"]
    return {
        "suite": "engine", "peers": sorted(peers()), "environment": environment(), "chain": chain,
        "growth": first[-1] / first[0], "cost": measure_cost(sizes["cost"], seconds),
    }  # fmt: skip


def text(result: dict[str, Any]) -> str:
    """The result as tables for reading."""
    names = result["peers"]
    head = ["tracing + gradient", "call", "ours", "ns per op", *names, *(f"× {n}" for n in names)]
    body = [
        [
            row["workload"], row["call"], duration(row["ours_s"]), f"{row['ours_ns_per_op']:,.0f}",
            *(duration(row["peers"][n]) for n in names), *(f"{row['ratios'][n]:.2f}" for n in names),
        ]
        for row in result["chain"]
    ]  # fmt: skip
    lines = [*table(head, body), "", f"ns per op, longest chain over shortest: {result['growth']:.2f}", ""]
    head = ["gradient", "evaluate", "ours", "jit", *names, "ours/ev.", "jit/ev."]
    head += [f"{n}/ev." for n in names]
    body = [
        [
            row["workload"], duration(row["evaluate_s"]), duration(row["ours_s"]), duration(row["jit_s"]),
            *(duration(row["peers"][n]) for n in names), f"{row['cost']:.2f}", f"{row['jit_cost']:.2f}",
            *(f"{row['peer_costs'][n]:.2f}" for n in names),
        ]
        for row in result["cost"]
    ]  # fmt: skip
    lines += table(head, body)
    if not names:
        lines += ["", "autograd is not installed, so there is nothing beside ours: pip install autograd"]
    blas = ", ".join(f"{b['library']} with {b['threads']} threads" for b in result["environment"]["blas"])
    lines += ["", f"{result['environment']['processor']}, {result['environment']['cores']} cores; BLAS: {blas}; "
              f"{result['environment']['clock']} time"]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds in a unit that reads well."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def table(head: list[str], body: list[list[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    rule = "  ".join("-" * w for w in widths)

    def line(row: list[str]) -> str:
        rest = (cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))
        return "  ".join([row[0].ljust(widths[0]), *rest])

    return [line(head), rule, *map(line, body)]
