"""What this machine can do at most, measured now: multiply-adds per second, and bytes per second by working set.

Arithmetic: chains of fused multiply-adds that do not wait for each other, in registers.  Memory: the triad
``c = a + s·b`` (McCalpin's STREAM, 1995), over working sets from the first cache to main memory, so that a kernel is
judged against what its own amount of data can reach.  Both run on the pool's threads, as kernels do.
Does not do: non-temporal stores; sets of caches other than by their size.
"""

from __future__ import annotations

import ctypes
import functools
from time import perf_counter
from typing import NamedTuple

import numpy as np

from chainrule.compile import engine
from chainrule.compile.target import Target, host
from chainrule.run.pool import Pool

_CHAINS = 12
_TURNS = 20_000
_WORKING_SETS = (16 << 10, 128 << 10, 1 << 20, 8 << 20, 64 << 20)
_SECONDS = 2e-3  # per measurement
_TRIES = 5


class Peaks(NamedTuple):
    """``flops``: operations a second in float32, of all threads; ``bandwidth``: (bytes worked on, bytes a second)."""

    flops: float
    bandwidth: tuple[tuple[int, float], ...]
    threads: int

    def bytes_per_second(self, working_set: int) -> float:
        """The bandwidth for a working set of so many bytes: that of the next larger one that was measured."""
        return next((rate for size, rate in self.bandwidth if working_set <= size), self.bandwidth[-1][1])

    def least_seconds(self, flops: int, moved: int, itemsize: int = 4) -> tuple[float, str]:
        """The roofline: how fast so much work can be at best, and whether ``compute`` or ``memory`` limits it."""
        compute = flops * (itemsize / 4) / self.flops  # a vector holds half as many float64
        memory = moved / self.bytes_per_second(moved)
        return (compute, "compute") if compute >= memory else (memory, "memory")


class _Work(ctypes.Structure):
    """What the measuring functions are given: three arrays, their length per chunk in vectors, and how often."""

    _fields_ = (("a", ctypes.c_void_p), ("b", ctypes.c_void_p), ("c", ctypes.c_void_p), ("n", ctypes.c_int64),
                ("times", ctypes.c_int64))  # fmt: skip


def _text(target: Target) -> str:
    lanes = target.vector_bits // 32
    t = f"<{lanes} x float>"
    fma = f"llvm.{'fma' if target.fma else 'fmuladd'}.v{lanes}f32"
    fields = "\n".join(
        f"  %{name}.at = getelementptr i64, ptr %ctx, i64 {i}\n  %{name} = load {kind}, ptr %{name}.at"
        for i, (name, kind) in enumerate([("a", "ptr"), ("b", "ptr"), ("c", "ptr"), ("n", "i64"), ("times", "i64")])
    )
    phis = "\n".join(f"  %s{i} = phi {t} [ %x, %entry ], [ %r{i}, %loop ]" for i in range(_CHAINS))
    steps = "\n".join(f"  %r{i} = call {t} @{fma}({t} %s{i}, {t} %x, {t} %y)" for i in range(_CHAINS))
    sums = "\n".join(f"  %t{i} = fadd {t} {f'%t{i - 1}' if i > 1 else '%r0'}, %r{i}" for i in range(1, _CHAINS))
    return f"""define void @arithmetic(ptr %ctx, i64 %chunk) #0 {{
entry:
{fields}
  %x = load {t}, ptr %a, align 4
  %y = load {t}, ptr %b, align 4
  %to = getelementptr {t}, ptr %c, i64 %chunk
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %j, %loop ]
{phis}
{steps}
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %times
  br i1 %more, label %loop, label %done
done:
{sums}
  store {t} %t{_CHAINS - 1}, ptr %to, align 4
  ret void
}}

define void @triad(ptr %ctx, i64 %chunk) #0 {{
entry:
{fields}
  %first = mul i64 %chunk, %n
  %last = add i64 %first, %n
  br label %turn
turn:
  %k = phi i64 [ 0, %entry ], [ %k.next, %turned ]
  br label %loop
loop:
  %i = phi i64 [ %first, %turn ], [ %j, %loop ]
  %a.i = getelementptr {t}, ptr %a, i64 %i
  %b.i = getelementptr {t}, ptr %b, i64 %i
  %c.i = getelementptr {t}, ptr %c, i64 %i
  %x = load {t}, ptr %a.i, align 4
  %y = load {t}, ptr %b.i, align 4
  %z = fadd {t} %x, %y
  store {t} %z, ptr %c.i, align 4
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %last
  br i1 %more, label %loop, label %turned
turned:
  %k.next = add i64 %k, 1
  %again = icmp slt i64 %k.next, %times
  br i1 %again, label %turn, label %out
out:
  ret void
}}

attributes #0 = {{ {target.attributes} }}
"""


class _Native:
    def __init__(self) -> None:
        target = host()
        self.lanes = target.vector_bits // 32
        self.code = engine.load(engine.compile_object(_text(target), target), target)
        self.arithmetic = self.code.address("arithmetic")
        self.triad = self.code.address("triad")


_native = functools.cache(_Native)


def measure(pool: Pool) -> Peaks:
    """The machine's limits on the threads of ``pool``; takes about 0.1 s."""
    native = _native()
    pool.wait_awake(0.05)
    flops = _best_rate(pool, native.arithmetic, 1 << 16, 1, _TURNS) * _CHAINS * 2 * native.lanes * pool.threads
    bandwidth = []
    for size in _WORKING_SETS:
        vectors = max(1, size // 3 // pool.threads // (4 * native.lanes))
        moved = 3 * vectors * pool.threads * 4 * native.lanes
        bandwidth.append((size, _best_rate(pool, native.triad, size, vectors, max(1, (1 << 20) // size)) * moved))
    return Peaks(flops, tuple(bandwidth), pool.threads)


def _best_rate(pool: Pool, function: int, size: int, vectors: int, times: int) -> float:
    """Turns of ``function`` per second: the best of a few runs on all threads, as other work only takes away."""
    arrays = [np.zeros(max(size // 12, 1 << 12) + 1024, np.float32) for _ in range(3)]
    best = 0.0
    while True:
        work = _Work(*(x.ctypes.data for x in arrays), vectors, times)
        pool.run(function, ctypes.addressof(work), pool.threads)
        slow = 0.0
        for _ in range(_TRIES):
            begin = perf_counter()
            pool.run(function, ctypes.addressof(work), pool.threads)
            passed = perf_counter() - begin
            slow = max(slow, passed)
            best = max(best, times / passed)
        if slow >= _SECONDS:
            return best
        times *= 4
