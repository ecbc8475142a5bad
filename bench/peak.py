"""The machine's peak in float32, measured: a loop of independent fused multiply-adds, on one core and on all.

One core's is taken by that thread's clock, the median of many, so that other work on the machine counts less.  That of
all cores is by the clock on the wall and the best of many: a peak is a maximum, and what is held against it is as well.
"""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from threading import Barrier
from time import perf_counter, thread_time

import numpy as np

from chainrule.compile import engine
from chainrule.compile.target import Target

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)

CHAINS = 12
"""Independent chains of multiply-adds: more than a multiply-add's latency times how many start at once."""


def _text(target: Target) -> str:
    lanes = target.vector_bits // 32
    vector = f"<{lanes} x float>"
    phis = [f"  %s{i} = phi {vector} [ %y, %entry ], [ %n{i}, %loop ]" for i in range(CHAINS)]
    body = [f"  %n{i} = call {vector} @llvm.fma.v{lanes}f32({vector} %s{i}, {vector} %x, {vector} %y)"
            for i in range(CHAINS)]  # fmt: skip
    sums = [f"  %t{i} = fadd {vector} {f'%t{i - 1}' if i > 1 else '%n0'}, %n{i}" for i in range(1, CHAINS)]
    return "\n".join([
        "define void @peak(ptr %b, i64 %begin, i64 %end) #0 {", "entry:",
        f"  %x = load {vector}, ptr %b, align 4", f"  %q = getelementptr {vector}, ptr %b, i64 1",
        f"  %y = load {vector}, ptr %q, align 4", "  br label %loop", "loop:",
        "  %i = phi i64 [ %begin, %entry ], [ %j, %loop ]", *phis, *body, "  %j = add i64 %i, 1",
        "  %c = icmp slt i64 %j, %end", "  br i1 %c, label %loop, label %done", "done:", *sums,
        f"  store {vector} %t{CHAINS - 1}, ptr %b, align 4", "  ret void", "}",
        f"attributes #0 = {{ {target.attributes} }}",
    ])  # fmt: skip


class Peak:
    """Measures; all figures in GFLOP/s."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.code = engine.load(engine.compile_object(_text(target), target), target)  # keeps the code
        self.function = SIGNATURE(self.code.address("peak"))
        self.flops = CHAINS * 2 * target.vector_bits // 32
        self.best = 0.0

    def one(self, turns: int = 100_000, repeats: int = 50) -> float:
        """Of one core."""
        taken = [self._once(turns, thread_time) for _ in range(repeats)]
        return turns * self.flops / median(taken) / 1e9

    def all(self, turns: int = 100_000, repeats: int = 20) -> float:
        """Of all cores at once; the best seen so far by this object."""
        cores = self.target.cores
        barrier = Barrier(cores)

        def rates(_: int) -> list[float]:
            found = []
            for _ in range(repeats):
                barrier.wait()
                found.append(turns * self.flops / self._once(turns, perf_counter) / 1e9)
            return found

        with ThreadPoolExecutor(cores) as pool:
            together = zip(*pool.map(rates, range(cores)), strict=True)
            self.best = max(self.best, *(sum(each) for each in together))
        return self.best

    def _once(self, turns: int, clock: object) -> float:
        buffer = np.zeros(2 * self.target.vector_bits // 32, np.float32)
        address = buffer.ctypes.data
        start = clock()  # type: ignore[operator]
        self.function(address, 0, turns)
        return float(clock() - start)  # type: ignore[operator]
