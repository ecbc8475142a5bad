"""``profile``: what each kernel of a compiled program costs, beside what this machine could do at best.

The program that is measured is the one that ``jit`` runs, kernels, memory and threads included.  Around each call of a
kernel, or call back into NumPy, the processor's clock is read, and what passed is added to a counter; what a loop or
branch spends in its own kernels is theirs, not its.  So kernels are the same machine code, and the counts of those in
loops are exact.  In turn with it runs the program as it is: the difference is what measuring takes, and is taken off.
Kernels that run together (see ``compile.schedule``) are measured on every thread, and the time of their group is dealt
out to them as that tells: those of other kernels are what passed while the caller waited.
A kernel's time in one call is the mean of the middle half of the repeats: as robust as the median, and finer than the
tick of a clock that ticks every 10 ns.

Beside each kernel stands the roofline (Williams, Waterman & Patterson, 2009): the least time its arithmetic or its
memory traffic could take on this machine, both as measured in this run (``peaks``), as a share of the time it took.
Does not do: hardware counters, kernels of other backends, what happens inside NumPy.
"""

from __future__ import annotations

import ctypes
import dataclasses
import re
from collections.abc import Sequence
from statistics import fmean
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from chainrule.base.errors import OptionError, UnsupportedError
from chainrule.compile.cache import library
from chainrule.compile.compiler import make_plan
from chainrule.compile.costs import cluster_cost
from chainrule.compile.fuse import Group
from chainrule.compile.stages import Step, kind_of, operations_of, phase_of, places, size_of, steps
from chainrule.compile.target import Target, host
from chainrule.graph.graph import Graph
from chainrule.run.peaks import Peaks, measure
from chainrule.run.pool import shared, threads_wanted
from chainrule.run.program import Program, program_text

_SECONDS = 0.5
"""How long a profile may take where the number of repeats is not given."""
_LEAST, _MOST = 3, 1000
_EMPTY = 10_000  # measurements of nothing, to know what one costs


class Row(NamedTuple):
    """One kernel: ``seconds`` in one call of the program, of ``calls`` runs; ``flops`` and ``bytes`` of all of them.

    ``limit`` is what bounds it (``compute``, ``memory``; empty for what is not ours), ``share`` the part of that limit
    that it reaches.  ``phase``: forward, backward or update, where there is a backward pass;
    ``where``: the user's lines.
    """

    kernel: str
    kind: str
    size: str
    operations: tuple[str, ...]
    calls: int
    seconds: float
    flops: int
    bytes: int
    limit: str
    share: float
    phase: str
    where: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Profile:
    """The kernels of one call, the dearest first; prints as a table.

    ``seconds`` is the time of a whole call, ``peaks`` what the machine could do in this run.
    """

    name: str
    rows: tuple[Row, ...]
    seconds: float
    repeats: int
    peaks: Peaks
    target: str

    @property
    def in_kernels(self) -> float:
        """Seconds of a call that are spent in kernels; the rest is the call itself and what lies between them."""
        return sum(row.seconds for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {
            "name": self.name, "target": self.target, "threads": self.peaks.threads, "repeats": self.repeats,
            "seconds": self.seconds, "seconds_in_kernels": self.in_kernels,
            "peak_flops": self.peaks.flops,
            "bandwidth": [{"bytes": size, "bytes_per_second": rate} for size, rate in self.peaks.bandwidth],
            "kernels": [{**row._asdict(), "operations": list(row.operations), "where": list(row.where)}
                        for row in self.rows],
        }  # fmt: skip

    def __str__(self) -> str:
        from chainrule.run.profile_table import plain

        return plain(self)

    __repr__ = __str__

    def __rich__(self) -> Any:
        from chainrule.run.profile_table import rich_table

        return rich_table(self)


def profile_graph(
    graph: Graph,
    arrays: Sequence[Any],
    *,
    name: str = "program",
    donated: Sequence[int] = (),
    repeats: int | None = None,
) -> Profile:
    """Run the compiled ``graph`` on ``arrays`` and measure; ``donated`` inputs are given copies.

    ``repeats``: how often; by default as often as half a second allows, from 3 to 1000 times.
    Raises :class:`OptionError` for repeats below 1, :class:`UnsupportedError` where the machine has no clock to read.
    """
    if repeats is not None and (isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1):
        raise OptionError("profile: repeats can't be used", expected="a whole number from 1 on", got=repr(repeats),
                          where="profile", fix="leave repeats out, or pass a number such as 100")  # fmt: skip
    target = host()
    plan = make_plan(graph, target, donated)
    sites = steps(plan)
    numbers = {(step.part.name, step.number): n for n, step in enumerate(sites)}
    together = _together(sites)
    numbers |= {(part, _site_of(group)): len(sites) + n for n, (part, group) in enumerate(together)}
    text = program_text(plan)
    plain, measured = (Program(plan, library(t)) for t in (text, instrumented(text, numbers, target)))
    counters = _Counters(measured, len(numbers))
    runs = _run(plain, measured, counters, [np.array(a) for a in arrays], repeats)
    peaks = measure(shared())
    seconds, with_clock = (_middle([pair[i].seconds for pair in runs]) for i in (0, 1))
    ticks = sum(run.ticks for _, run in runs)
    tick = sum(run.seconds for _, run in runs) / ticks if ticks else 0.0
    spent = [_middle([float(run.counts[2 * n]) for _, run in runs]) for n in range(len(numbers))]
    calls = [round(_middle([float(run.counts[2 * n + 1]) for _, run in runs])) for n in range(len(numbers))]
    cost = counters.cost((with_clock - seconds) / tick / max(sum(calls), 1) if tick else 0.0)
    _deal_out(together, numbers, spent, calls, cost)
    own = _without_measuring([step.label for step in sites], spent[: len(sites)], calls[: len(sites)], cost)
    rows = [_row(step, n, ticks * tick, peaks) for step, n, ticks in zip(sites, calls[: len(sites)], own, strict=True)]
    rows.sort(key=lambda row: -row.seconds)
    return Profile(name, tuple(rows), seconds, len(runs), peaks, f"{target.name}, {threads_wanted()} threads")


def _row(step: Step, calls: int, seconds: float, peaks: Peaks) -> Row:
    cost = cluster_cost(step.part.fused, step.number).times(calls)
    limit, share = "", 0.0
    kind = step.cluster.kind
    if kind not in ("call", "region") and calls and seconds > 0:
        least, limit = peaks.least_seconds(cost.flops // calls, cost.bytes // calls, _itemsize(step))
        share = least * calls / seconds
    if kind in ("call", "region"):  # what NumPy computes is not counted; a loop's kernels have rows of their own
        cost = cost._replace(flops=0)
    return Row(step.label, kind_of(step), size_of(step), tuple(operations_of(step)), calls, seconds, cost.flops,
               cost.bytes, limit, share, phase_of(step), tuple(places(step)))  # fmt: skip


class _Cost(NamedTuple):
    """Ticks that measuring nothing takes, and how many of them are counted as the kernel's."""

    whole: float
    inside: float


def _without_measuring(labels: list[str], spent: list[float], calls: list[int], cost: _Cost) -> list[float]:
    """The ticks of each kernel without those of the clock: its own, and around the kernels of a loop the loop's."""
    own = {label: ticks - n * cost.inside for label, ticks, n in zip(labels, spent, calls, strict=True)}
    for label, n in zip(labels, calls, strict=True):
        # The loop that kernel 3.body.1 is in is 3.
        path = label.split(".")[:-1]
        around = ".".join(path if not path or path[-1].isdigit() else path[:-1])
        if around:
            own[around] -= n * (cost.whole - cost.inside)
    return [max(ticks, 0.0) for ticks in own.values()]


def _together(sites: Sequence[Step]) -> list[tuple[str, Group]]:
    """All groups of kernels that run together, each with the name of its part."""
    parts = {step.part.name: step.part for step in sites}
    return [(name, group) for name, part in parts.items() for group in part.fused.groups if group.kind != "alone"]


def _site_of(group: Group) -> int:
    """The number of a group among the sites of its part, where clusters have theirs from 0 on."""
    return -1 - group.first


def _deal_out(together: Sequence[tuple[str, Group]], numbers: dict[tuple[str, int], int], spent: list[float],
              calls: list[int], cost: _Cost) -> None:  # fmt: skip
    """Give the kernels of a group the group's time, in the ratio of their own on all threads, and its runs."""
    for part, group in together:
        whole = numbers[part, _site_of(group)]
        members = [numbers[part, n] for n in range(group.first, group.end)]
        own = [max(spent[n] - calls[n] * cost.inside, 0.0) for n in members]
        share = spent[whole] / sum(own) if sum(own) else 0.0
        for n, ticks in zip(members, own, strict=True):
            calls[n] = calls[whole]
            spent[n] = ticks * share + calls[n] * cost.inside  # which is taken off again


def _middle(values: list[float]) -> float:
    """The mean of the middle half."""
    cut = len(values) // 4
    return fmean(sorted(values)[cut : len(values) - cut])


def _itemsize(step: Step) -> int:
    """Of the widest float that the kernel computes."""
    specs = [step.part.graph.lines[i].spec for i in step.cluster.lines]
    return max((s.dtype.itemsize for s in specs if s.dtype.kind == "f"), default=4)


# ---------------------------------------------------------------------------------------------------------- measuring


class _Run(NamedTuple):
    """One call: its time by both clocks, and per site the ticks and the runs."""

    seconds: float
    ticks: int
    counts: Any


class _Counters:
    """The counters of an instrumented program: per site, ticks and runs."""

    def __init__(self, program: Program, sites: int) -> None:
        where = ctypes.CFUNCTYPE(ctypes.c_void_p)(program.code.address("cr.profile.counters"))()
        self.now = ctypes.CFUNCTYPE(ctypes.c_int64)(program.code.address("cr.profile.now"))
        self._empty = ctypes.CFUNCTYPE(None, ctypes.c_int64)(program.code.address("cr.profile.empty"))
        assert where is not None
        self.values = np.ctypeslib.as_array((ctypes.c_int64 * (2 * sites + 2)).from_address(where))

    def cost(self, seen: float) -> _Cost:
        """What measuring takes, where ``seen`` ticks a kernel run are what it was seen to take, with much noise.

        At most what measuring nothing takes: beside real work part of it costs nothing.  Of that the best of a few
        tries counts, as other work only adds to it.
        """
        tries = []
        for _ in range(5):
            self.values[-2:] = 0
            before = self.now()
            self._empty(_EMPTY)
            tries.append(_Cost((self.now() - before) / _EMPTY, float(self.values[-2]) / _EMPTY))
        most = min(tries)
        part = min(max(seen / most.whole, 0.0), 1.0)
        return _Cost(most.whole * part, most.inside * part)


def _run(
    plain: Program, measured: Program, counters: _Counters, arrays: list[Any], repeats: int | None
) -> list[tuple[_Run, _Run]]:
    """Call both programs in turn, again and again, each time on the same numbers in the same memory.

    Where a result takes an array's memory, the next call is given that result, its numbers put back before the clock.
    """
    taken = plain.plan.main.shared  # output → the input whose memory it has
    given = [a.copy() if i in taken.values() else a for i, a in enumerate(arrays)]

    def once(program: Program) -> _Run:
        for i in taken.values():
            np.copyto(given[i], arrays[i])
        counters.values[:] = 0
        before = counters.now()
        begin = perf_counter()
        results = program(given)
        seconds = perf_counter() - begin
        ticks = counters.now() - before
        for position, i in taken.items():
            given[i] = results[position]
        return _Run(seconds, ticks, counters.values.copy())

    warm = [once(program).seconds for program in (plain, measured, plain, measured)]
    count = repeats or int(min(max(_SECONDS / max(sum(warm[2:]), 1e-9), _LEAST), _MOST))
    return [(once(plain), once(measured)) for _ in range(count)]


# -------------------------------------------------------------------------------------------------------- instruments


_PART = re.compile(r"^define internal i32 @([\w.]+)\(")
_GROUP = re.compile(r"^define internal void @([\w.]+)\.group\d+\(")
_TOGETHER = re.compile(r"^\s*; \w+ of clusters (\d+) to \d+$")
_CLUSTER = re.compile(r"^\s*; cluster (\d+)$")
_CALL = re.compile(r"^\s*(?:%[\w.]+ = )?call [^@]*@(?!llvm\.)")


def instrumented(text: str, sites: dict[tuple[str, int], int], target: Target) -> str:
    """LLVM ``text`` with a counter around the call of each cluster: ``sites`` numbers them, by part and cluster."""
    if not target.clock:
        raise UnsupportedError("this machine has no clock that programs may read", expected="x86-64 or AArch64",
                               got=target.name, where="profile", fix="profile on another machine")  # fmt: skip
    out: list[str] = []
    part, waiting, threads, count = "", -1, False, 0
    for line in text.splitlines():
        if found := _PART.match(line) or _GROUP.match(line):
            part, waiting, threads = found.group(1), -1, found.re is _GROUP
        elif found := _CLUSTER.match(line):
            waiting = sites.get((part, int(found.group(1))), -1)
        elif found := _TOGETHER.match(line):
            waiting = sites.get((part, -1 - int(found.group(1))), -1)
        if waiting >= 0 and _CALL.match(line) and threads:
            count += 1
            out += [f"  %profile.begin{count} = call i64 @{target.clock}()", line,
                    f"  call void @cr.profile.add(i64 {waiting}, i64 %profile.begin{count})"]  # fmt: skip
            waiting = -1
        elif waiting >= 0 and _CALL.match(line):
            out += [f"  %profile.inside{waiting} = call i64 @cr.profile.enter()",
                    f"  %profile.begin{waiting} = call i64 @{target.clock}()", line,
                    f"  call void @cr.profile.leave(i64 {waiting}, i64 %profile.begin{waiting}, "
                    f"i64 %profile.inside{waiting})"]  # fmt: skip
            waiting = -1
        else:
            out.append(line)
    return "\n".join(out) + _runtime(len(sites), target.clock)


def _runtime(sites: int, clock: str) -> str:
    """``inside``: ticks that sites within the one now running have spent, which are not its own."""
    return f"""
@cr.profile.values = internal global [{2 * sites + 2} x i64] zeroinitializer
@cr.profile.inside = internal global i64 0

define ptr @cr.profile.counters() {{
  ret ptr @cr.profile.values
}}

define i64 @cr.profile.now() {{
  %now = call i64 @{clock}()
  ret i64 %now
}}

define void @cr.profile.empty(i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %j, %loop ]
  %inside = call i64 @cr.profile.enter()
  %begin = call i64 @{clock}()
  call void @cr.profile.leave(i64 {sites}, i64 %begin, i64 %inside)
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %n
  br i1 %more, label %loop, label %out
out:
  ret void
}}

define internal void @cr.profile.add(i64 %site, i64 %begin) alwaysinline {{
  %now = call i64 @{clock}()
  %passed = sub i64 %now, %begin
  %at = mul i64 %site, 2
  %ticks.at = getelementptr i64, ptr @cr.profile.values, i64 %at
  %ticks = atomicrmw add ptr %ticks.at, i64 %passed monotonic
  %runs.at = getelementptr i64, ptr %ticks.at, i64 1
  %runs = atomicrmw add ptr %runs.at, i64 1 monotonic
  ret void
}}

define internal i64 @cr.profile.enter() alwaysinline {{
  %inside = load i64, ptr @cr.profile.inside
  store i64 0, ptr @cr.profile.inside
  ret i64 %inside
}}

define internal void @cr.profile.leave(i64 %site, i64 %begin, i64 %outside) alwaysinline {{
  %now = call i64 @{clock}()
  %passed = sub i64 %now, %begin
  %inside = load i64, ptr @cr.profile.inside
  %own = sub i64 %passed, %inside
  %all = add i64 %outside, %passed
  store i64 %all, ptr @cr.profile.inside
  %at = mul i64 %site, 2
  %ticks.at = getelementptr i64, ptr @cr.profile.values, i64 %at
  %ticks = load i64, ptr %ticks.at
  %ticks.next = add i64 %ticks, %own
  store i64 %ticks.next, ptr %ticks.at
  %runs.at = getelementptr i64, ptr %ticks.at, i64 1
  %runs = load i64, ptr %runs.at
  %runs.next = add i64 %runs, 1
  store i64 %runs.next, ptr %runs.at
  ret void
}}
"""
