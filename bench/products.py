"""Matrix products: our kernels beside NumPy's and PyTorch's, in GFLOP/s, and their share of the machine's peak.

The peak is a loop of independent fused multiply-adds, measured in the same run.  On one thread, times are of that
thread's processor, so that other work on the machine counts less; on all cores they are of the wall clock, and our
chunks run in the thread pool.  The contestants take turns of several calls each, with a pause before: the threads of
the last one spin on for a while after their work, on the cores that the next one needs.  The median of many calls
counts: on virtual machines a thread's clock may lose time that others took, so that the best can be better than the
machine.
Does not do: pinning; products whose operands are not in the caches yet.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter, sleep, thread_time
from typing import Any, NamedTuple

import numpy as np

from bench.measure import environment
from bench.peak import SIGNATURE, Peak
from chainrule.compile import engine
from chainrule.compile.products import ProductKernel, product
from chainrule.compile.target import Target, host
from chainrule.compile.tiles import Matrix, Product
from chainrule.run.pool import Pool


class Case(NamedTuple):
    """(m, k)·(k, n), operands transposed in memory or not, ``batch`` times."""

    m: int
    k: int
    n: int
    ta: bool = False
    tb: bool = False
    batch: int = 0

    def __str__(self) -> str:
        lead = f"{self.batch}×" if self.batch else ""
        a, b = "ᵀ" if self.ta else "", "ᵀ" if self.tb else ""
        return f"{lead}({self.m}×{self.k}){a}·({self.k}×{self.n}){b}"


CASES = (
    Case(128, 784, 512), Case(784, 128, 512, ta=True), Case(128, 512, 784, tb=True),
    Case(64, 64, 128), Case(64, 64, 128, ta=True), Case(64, 128, 64, tb=True),
    Case(64, 784, 128), Case(784, 64, 128, ta=True), Case(64, 128, 784, tb=True),
    Case(256, 1024, 2048), Case(1024, 256, 2048, ta=True), Case(256, 2048, 1024, tb=True), Case(1024, 1024, 1024),
    Case(64, 32, 32), Case(32, 64, 32, ta=True), Case(64, 32, 32, tb=True),
    Case(128, 128, 10), Case(128, 128, 10, ta=True), Case(128, 10, 128, tb=True), Case(10, 8, 8), Case(32, 32, 32),
    Case(1, 784, 512), Case(1, 512, 784, tb=True), Case(784, 512, 1), Case(4, 784, 512), Case(8, 512, 784, tb=True),
    Case(512, 1, 784), Case(64, 32, 32, batch=50), Case(64, 32, 64, tb=True, batch=48),
)  # fmt: skip


class Native:
    """The machine code of a kernel."""

    def __init__(self, kernel: ProductKernel, target: Target) -> None:
        text = "\n".join([
            kernel.text.replace("define internal", "define", 1),
            "define void @chunk(ptr %buffers, i64 %i) #0 {", "  %next = add i64 %i, 1",
            f"  call void @{kernel.name}(ptr %buffers, i64 %i, i64 %next)", "  ret void", "}",
            f"attributes #0 = {{ {target.attributes} }}", *kernel.metadata,
        ])  # fmt: skip
        self.code = engine.load(engine.compile_object(text, target), target)  # keeps the code
        self.all = SIGNATURE(self.code.address(kernel.name))
        self.chunk = self.code.address("chunk")


def operands(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, Product]:
    """A, B (as the product sees them), C, and the product."""
    lead = (case.batch,) if case.batch else ()

    def make(rows: int, columns: int, turned: bool) -> np.ndarray:
        shape = (*lead, columns, rows) if turned else (*lead, rows, columns)
        x = rng.standard_normal(shape, np.float32)
        return x.swapaxes(-1, -2) if turned else x

    def place(slot: int, x: np.ndarray) -> Matrix:
        steps = [s // x.itemsize for s in x.strides]
        return Matrix(slot, steps[-2], steps[-1], tuple(steps[:-2]))

    a, b = make(case.m, case.k, case.ta), make(case.k, case.n, case.tb)
    c = np.zeros((*lead, case.m, case.n), np.float32)
    spec = Product(a.dtype, case.m, case.n, case.k, place(0, a), place(1, b), place(2, c), lead)
    return a, b, c, spec


_TURN = 5  # measurements in a turn
_PAUSE = 0.05  # seconds


def _turn(call: Callable[[], object], repeats: int, clock: Callable[[], float], pause: float) -> list[float]:
    """Seconds a call, several times, after the others' threads have parked and one's own are awake."""
    sleep(pause)
    until = perf_counter() + pause / 10
    while perf_counter() < until:
        call()
    found = []
    for _ in range(_TURN):
        start = clock()
        for _ in range(repeats):
            call()
        found.append((clock() - start) / repeats)
    return found


@contextmanager
def _peers_on(threads: int) -> Iterator[dict[str, Callable[[np.ndarray, np.ndarray], Callable[[], object]]]]:
    """The peers, held to ``threads`` threads."""

    def of_numpy(a: np.ndarray, b: np.ndarray) -> Callable[[], object]:
        out = np.matmul(a, b)
        return lambda: np.matmul(a, b, out=out)

    peers = {"numpy": of_numpy}
    try:
        import torch
    except ImportError:
        pass
    else:
        torch.set_num_threads(threads)

        def of_torch(a: np.ndarray, b: np.ndarray) -> Callable[[], object]:
            x, y = torch.from_numpy(a), torch.from_numpy(b)
            out = torch.matmul(x, y)
            return lambda: torch.matmul(x, y, out=out)

        peers["torch"] = of_torch
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        yield peers


def measure(case: Case, target: Target, pool: Pool, seconds: float, top: float) -> dict[str, Any]:
    """One row: GFLOP/s of ours and of each peer."""
    a, b, c, spec = operands(case, np.random.default_rng(0))
    start = thread_time()
    kernel = product(spec, target)
    code = Native(kernel, target)
    compile_s = thread_time() - start
    buffers = (ctypes.c_void_p * 3)(*(x.ctypes.data for x in (a, b, c)))
    place, chunks, alone = ctypes.addressof(buffers), kernel.chunks, pool.threads == 1
    with _peers_on(pool.threads) as peers:
        calls: dict[str, Callable[[], object]] = {name: peer(a, b) for name, peer in peers.items()}
        if alone or chunks == 1:
            calls["ours"] = lambda: code.all(place, 0, chunks)
        else:
            calls["ours"] = lambda: pool.run(code.chunk, place, chunks)
        calls["ours"]()
        np.testing.assert_allclose(c, a @ b, rtol=0, atol=1e-4 * case.k**0.5)
        repeats = max(1, int(4e6 / kernel.flops))
        taken: dict[str, list[float]] = {name: [] for name in calls}
        end = perf_counter() + seconds
        while True:
            for name, call in calls.items():
                taken[name] += _turn(call, repeats, *((thread_time, 0.0) if alone else (perf_counter, _PAUSE)))
            if perf_counter() > end:
                break
    rates = {name: kernel.flops / median(times) / 1e9 for name, times in taken.items()}
    ours = rates.pop("ours")
    return {
        "product": str(case), "threads": pool.threads, "gflops": ours, "share_of_peak": ours / (top * pool.threads),
        "peers": rates, "ratios": {name: ours / rate for name, rate in rates.items()},
        "compile_s": compile_s, "plan": str(kernel.plan),
    }  # fmt: skip


def run(seconds: float = 1.0, quick: bool = False) -> dict[str, Any]:
    """All products, on one thread and on all cores."""
    target = host()
    top = Peak(target).one()
    rows = []
    for threads in sorted({1, target.cores}):
        pool = Pool(threads)
        try:
            cases = (Case(64, 64, 128), Case(1, 8, 8)) if quick else CASES
            rows += [measure(case, target, pool, seconds, top) for case in cases]
        finally:
            pool.stop()
    return {"environment": environment(), "target": target.name, "peak_gflops": top, "rows": rows}


def text(result: dict[str, Any]) -> str:
    """The table."""
    lines = [f"Matrix products in float32; {result['target']}; peak of one core {result['peak_gflops']:.0f} GFLOP/s"]
    for row in result["rows"]:
        peers = "  ".join(f"{name} {rate:6.1f} (×{row['ratios'][name]:.2f})" for name, rate in row["peers"].items())
        lines.append(
            f"{row['product']:>24} on {row['threads']}: {row['gflops']:6.1f} GFLOP/s, "
            f"{row['share_of_peak']:4.0%} of peak;  {peers}  compiled in {row['compile_s'] * 1e3:.0f} ms"
        )
    return "\n".join(lines)
