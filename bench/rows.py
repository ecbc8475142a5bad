"""How each row of the table is measured.  Every function gives an :class:`Outcome`."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench import contest, memory, problem, products, steps
from bench.contest import PeerError, Process, leave_out, started
from bench.outcome import Outcome
from bench.peak import Peak
from bench.peers.numpy_peer import reference
from chainrule.compile.target import Target
from chainrule.run.pool import Pool

FIRST_CALL = "mlp-784-wide"
REPEATS = 3
OVERHEAD_LIMIT, COLD_LIMIT, WARM_LIMIT, MNIST_LIMIT, MNIST_ACCURACY = 10e-6, 1.0, 0.15, 15.0, 0.98
PRODUCT_GOAL = 1.5


@dataclass
class Setting:
    """What all rows share: the peers that take part (ours first), how long, and the machine's peak."""

    peers: list[str]
    seconds: float
    quick: bool
    peak: Peak
    data: Path | None = None
    rounds: int = 7
    notes: list[str] = field(default_factory=list)

    def row(self, name: str) -> steps.Row:
        """The training step of that name."""
        return (steps.QUICK if self.quick else steps.ROWS)[name]

    def measure_peak(self) -> float:
        """GFLOP/s of all cores; the best so far."""
        return self.peak.all(1000, 3) if self.quick else self.peak.all()


def step(setting: Setting, name: str) -> Outcome:
    """A training step: first calls, then the comparison of results, then rounds of timing."""
    row, notes = setting.row(name), []
    drawn = problem.draw(row)
    wanted = reference(row, drawn, 1 if row.loop == 1 else min(row.loop, steps.CHECKED))
    with contest.caches() as environment, tempfile.TemporaryDirectory() as folder:
        arrays = f"{folder}/problem.npz"
        problem.save(arrays, drawn)
        start = {"kind": "step", "row": name, "quick": setting.quick, "file": arrays}
        slow = "torch fused" if row.loop > 1 else None  # it would take minutes, and has no goal
        peers = [peer for peer in setting.peers if peer != slow]
        with started(peers, environment, notes, **start) as processes:
            first: dict[str, float] = {}
            for peer, process in list(processes.items()):
                try:
                    first[peer] = process.ask("first")["seconds"]
                    process.ask("check", file=f"{folder}/found.npz")
                except PeerError as error:
                    leave_out(peer, error, notes)
                    del processes[peer]
                    continue
                with np.load(f"{folder}/found.npz", allow_pickle=False) as found:
                    problem.require_agreement(f"{name}, {peer}", drawn, dict(found), wanted)
            times = contest.rounds(processes, setting.seconds, setting.rounds, setting.measure_peak)
    medians = {peer: each["median"] for peer, each in times.items()}
    return Outcome(
        name, str(row), medians.pop("ours"), medians, row.goals, row.flops, setting.peak.best, row.share,
        compile_s=first["ours"], notes=notes,
        details={"first_call_s": first, "times": times, "parameters": row.parameters},
    )  # fmt: skip


def overhead(setting: Setting, name: str) -> Outcome:
    """A call of a compiled function with ten array arguments."""
    notes: list[str] = []
    peers = [p for p in setting.peers if p != "torch fused"]
    with contest.caches() as environment, started(peers, environment, notes, kind="overhead") as processes:
        values: dict[str, Any] = {}
        for peer, process in list(processes.items()):
            try:
                values[peer] = process.ask("check")["value"]
            except PeerError as error:
                leave_out(peer, error, notes)
                del processes[peer]
        for peer, value in values.items():
            if not np.allclose(value, values["ours"], rtol=1e-5, atol=1e-6):
                raise problem.WrongResultError(f"{name}, {peer}: another result, so times can't be compared")
        times = contest.rounds(processes, setting.seconds / 2, setting.rounds)
    medians = {peer: each["median"] for peer, each in times.items()}
    return Outcome(
        name, "call of a compiled function, ten array arguments", medians.pop("ours"), medians, limit=OVERHEAD_LIMIT,
        notes=notes, details={"times": times},
    )  # fmt: skip


def first_call(setting: Setting, name: str) -> Outcome:
    """Seconds of the first call, with caches of compiled code empty, or as the process before left them."""
    warm = name.endswith("warm")
    row_name = "mlp-784" if setting.quick else FIRST_CALL
    row, notes = setting.row(row_name), []
    taken: dict[str, float] = {}
    peers = [p for p in setting.peers if p not in ("numpy", "torch fused")]
    with tempfile.TemporaryDirectory() as folder:
        problem.save(f"{folder}/problem.npz", problem.draw(row))
        start = {"kind": "step", "row": row_name, "quick": setting.quick, "file": f"{folder}/problem.npz"}
        for peer in peers:
            try:
                taken[peer] = statistics.median(
                    _first(peer, warm, start) for _ in range(REPEATS if peer == "ours" and not setting.quick else 1)
                )
            except PeerError as error:
                leave_out(peer, error, notes)
    ours = taken.pop("ours")
    return Outcome(
        name, f"first call, {'warm' if warm else 'empty'} cache: {row}", ours, taken,
        limit=WARM_LIMIT if warm else COLD_LIMIT, compile_s=ours, notes=notes,
    )  # fmt: skip


def _first(peer: str, warm: bool, start: dict[str, Any]) -> float:
    with contest.caches() as environment:
        if warm:
            with Process(peer, environment, **start) as process:
                process.ask("first")
        with Process(peer, environment, **start) as process:
            return float(process.ask("first")["seconds"])


def step_memory(setting: Setting, name: str) -> Outcome:
    """Peak memory of a training step besides parameters and optimizer state; no more than PyTorch's is wanted."""
    row_name = "mlp-784" if setting.quick else name.removeprefix("memory-")
    row, notes = setting.row(row_name), []
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, contest.caches() as environment:
        problem.save(f"{folder}/problem.npz", problem.draw(row))
        start = {"kind": "memory", "row": row_name, "quick": setting.quick, "file": f"{folder}/problem.npz"}
        for peer in setting.peers:
            if peer == "torch.compile":
                continue  # making it twice compiles it twice, and that memory is not the step's
            try:
                with Process(peer, {**environment, **memory.ENVIRONMENT}, **start) as process:
                    process.ask("peak")  # fills the caches of compiled code
                with Process(peer, {**environment, **memory.ENVIRONMENT}, **start) as process:
                    found[peer] = process.ask("peak")["bytes"]
            except PeerError as error:
                leave_out(peer, error, notes)
    return Outcome(
        name, f"peak memory of a step: {row}", found.pop("ours"), found, {"torch": 1.0}, unit="bytes", notes=notes,
        details={"parameters_bytes": 4 * row.parameters},
    )  # fmt: skip


def product_name(case: products.Case) -> str:
    """The row of a product: ``product-128x784x512``, ``-ta`` and ``-tb`` where an operand lies transposed."""
    return f"product-{case.m}x{case.k}x{case.n}{'-ta' * case.ta}{'-tb' * case.tb}"


def product(setting: Setting, case: products.Case) -> Outcome:
    """A matrix product on all cores."""
    target: Target = setting.peak.target
    pool = Pool(target.cores)
    try:
        row = products.measure(case, target, pool, setting.seconds / 2, setting.measure_peak() / target.cores)
    finally:
        pool.stop()
    flops = 2 * case.m * case.n * case.k * max(case.batch, 1)
    seconds = {name: flops / rate / 1e9 for name, rate in row["peers"].items()}
    return Outcome(
        product_name(case), f"product {case}", flops / row["gflops"] / 1e9, seconds,
        dict.fromkeys(seconds, PRODUCT_GOAL), flops, setting.peak.best, compile_s=row["compile_s"],
        details={"plan": row["plan"]},
    )  # fmt: skip


def mnist(setting: Setting, name: str) -> Outcome:
    """``chainrule train mnist`` with its defaults: seconds of training; fewer than 98 % right is no result."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "chainrule.cli.main", "train", "mnist", "--data", str(setting.data), "--json",
                   "--quiet", "--out", f"{folder}/run"]  # fmt: skip
        environment = {**os.environ, "CHAINRULE_JIT": "native", "OPENBLAS_NUM_THREADS": str(contest.cores())}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerError(f"chainrule train mnist: {done.stderr.strip().splitlines()[-1:]}")
    summary = json.loads(done.stdout.strip().splitlines()[-1])
    reached = summary["test_accuracy"] >= MNIST_ACCURACY
    return Outcome(
        name, f"chainrule train mnist, {summary['test_accuracy']:.2%} of test pictures",
        summary["seconds"], {}, limit=MNIST_LIMIT if reached else 0.0,
        notes=[] if reached else [f"{name}: {summary['test_accuracy']:.2%} is less than {MNIST_ACCURACY:.0%}"],
        details=summary,
    )  # fmt: skip


def table(quick: bool, data: Path | None) -> dict[str, Callable[[Setting], Outcome]]:
    """All rows by name, in the order of the table."""

    def bind(measure: Callable[[Setting, str], Outcome], *names: str) -> dict[str, Callable[[Setting], Outcome]]:
        return {name: lambda setting, name=name: measure(setting, name) for name in names}  # type: ignore[misc]

    found = bind(step, *(steps.QUICK if quick else steps.ROWS))
    found |= bind(overhead, "call-overhead") | bind(first_call, "first-call", "first-call-warm")
    found |= bind(step_memory, *(("memory-mlp-784",) if quick else ("memory-mlp-784-wide", "memory-mlp-1024")))
    cases = (products.Case(8, 8, 8),) if quick else products.CASES[:12]
    for case in cases:
        found[product_name(case)] = lambda setting, case=case: product(setting, case)  # type: ignore[misc]
    if data is not None:
        found |= bind(mnist, "mnist")
    return found
