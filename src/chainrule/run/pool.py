"""A thread pool for native code, without a C compiler.

Python threads enter a native worker loop through ctypes, which releases the GIL, and spin there.  Native code hands
out a parallel region with ``cr.parallel(pool, fn, ctx, chunks)``: it calls ``fn(ctx, chunk)`` for every chunk, on the
caller and on whichever workers are awake.  What a chunk computes depends on its number alone, so results do not depend
on who runs it, nor on how many threads there are.

Protocol.  One 64-bit word holds ``epoch`` (8 bits; odd: a region is open), ``inside`` (12 bits: workers that look at
the region), ``back`` and ``front`` (22 bits each: how many chunks were asked for at either end); the region's fn, ctx
and number of chunks lie beside it on the same cache line, so that a spinning worker gets all it needs in one transfer.
The caller takes chunks from the front and workers take them from the back, until they meet; so the first chunks are the
caller's in every run, and the last a worker's, and what they work on stays in the cache of one core.  A worker that
sees an odd epoch adds 1 to ``inside`` and to ``back`` in one step, and what it finds tells whether the region is still
open and which chunk is its own.  The caller closes the epoch and then waits for ``inside`` to become 0, before which it
writes no other region.  So nobody waits for a worker that sleeps: those that do not come are not needed, and those that
come late take part in what is left.  A region in a region, or a second one from another thread, runs serially.

After about half a millisecond in which no program runs a worker returns to Python and parks on an event.  Native code
can't wake it; ``Pool.enter`` does, and is what the entry of a parallel program calls.  Workers flush denormals, as
compiled code does.
A thread that is woken through Python's locks tends to land on the core of the one that woke it, and on a busy machine
to stay there, where it can't help; so a worker that comes back from parking keeps off the caller's core (Linux).
Does not do: priorities, pinning to one core each, a fixed assignment of chunks to threads.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import os
import threading
import time
import weakref
from collections.abc import Callable

from chainrule.base.errors import OptionError
from chainrule.compile.cache import library
from chainrule.compile.target import Target, host

_LINE = 64
_OFFSETS = {
    "word": 0, "fn": 8, "ctx": 16, "chunks": 24, "lock": 64, "yield": 72, "awake": 128, "stop": 136, "active": 144,
}  # fmt: skip
_SIZE = 3 * _LINE
_EPOCH, _INSIDE, _BACK = 1 << 56, 1 << 44, 1 << 22
_MOST_CHUNKS = 1 << 21  # leaves room for those who ask past the end

_SPIN_SECONDS = 5e-4
_MOST_THREADS = 1024
_PATIENCE = 4096  # pauses before a caller that waits for a worker gives its core away


def _place(name: str) -> str:
    return f"%{name} = getelementptr i8, ptr %pool, i64 {_OFFSETS[name]}"


def _taken(word: str, prefix: str = "") -> str:
    """LLVM text that finds ``%front`` and ``%back`` in a word, and how many chunks were asked for, ``%taken``."""
    return f"""%{prefix}front = and i64 {word}, {_BACK - 1}
  %{prefix}back.low = lshr i64 {word}, {_BACK.bit_length() - 1}
  %{prefix}back = and i64 %{prefix}back.low, {_BACK - 1}
  %{prefix}taken = add i64 %{prefix}front, %{prefix}back"""


def parallel_text(target: Target) -> str:
    """LLVM text of ``void @cr.parallel(ptr pool, ptr fn, ptr ctx, i64 chunks)``, to be put in any module that calls it,
    and of ``cr.attend(pool, change)``, which counts the programs that run: workers do not park while there is one.

    ``fn`` is ``void (ptr ctx, i64 chunk)``; it is called once for every chunk in 0 … chunks − 1, in any order, on any
    thread; all calls are over when ``cr.parallel`` returns.  ``pool`` is what ``Pool.enter()`` returned, or null, which
    runs serially.
    """
    pause = "\n  ".join(target.pause)
    return f"""define internal void @cr.parallel(ptr %pool, ptr %fn, ptr %ctx, i64 %n) noinline nounwind {{
entry:
  %none = icmp eq ptr %pool, null
  %few.0 = sub i64 %n, 2
  %few = icmp ugt i64 %few.0, {_MOST_CHUNKS}
  %alone = or i1 %none, %few
  br i1 %alone, label %serial.check, label %acquire
acquire:
  {_place("lock")}
  %got = cmpxchg ptr %lock, i64 0, i64 1 acquire monotonic
  %mine = extractvalue {{ i64, i1 }} %got, 1
  br i1 %mine, label %write, label %serial.check
write:
  {_place("word")}
  {_place("fn").replace("%fn =", "%fn.place =")}
  {_place("ctx").replace("%ctx =", "%ctx.place =")}
  {_place("chunks")}
  store ptr %fn, ptr %fn.place
  store ptr %ctx, ptr %ctx.place
  store atomic i64 %n, ptr %chunks monotonic, align 8
  %before = load atomic i64, ptr %word monotonic, align 8
  br label %open
open:
  ; epoch + 1, nothing taken; a worker on its way out may still be inside
  %seen = phi i64 [ %before, %write ], [ %seen.now, %open ]
  %kept = and i64 %seen, {-_INSIDE}
  %opened = add i64 %kept, {_EPOCH}
  %swap = cmpxchg ptr %word, i64 %seen, i64 %opened acq_rel monotonic
  %seen.now = extractvalue {{ i64, i1 }} %swap, 0
  %ok = extractvalue {{ i64, i1 }} %swap, 1
  br i1 %ok, label %take, label %open
take:
  %claimed = atomicrmw add ptr %word, i64 1 monotonic
  {_taken("%claimed")}
  %more = icmp ult i64 %taken, %n
  br i1 %more, label %work, label %close
work:
  call void %fn(ptr %ctx, i64 %front)
  br label %take
close:
  %closed = atomicrmw add ptr %word, i64 {_EPOCH} acq_rel
  br label %wait
wait:
  %tries = phi i64 [ 0, %close ], [ %tries.next, %again ], [ 0, %yielded ], [ 0, %no.yield ]
  %now = load atomic i64, ptr %word acquire, align 8
  %inside = and i64 %now, {_EPOCH - _INSIDE}
  %done = icmp eq i64 %inside, 0
  br i1 %done, label %release, label %hold
hold:
  {pause}
  %tries.next = add i64 %tries, 1
  %long = icmp ugt i64 %tries.next, {_PATIENCE}
  br i1 %long, label %give, label %again
again:
  br label %wait
give:
  {_place("yield")}
  %yield.fn = load ptr, ptr %yield
  %can = icmp ne ptr %yield.fn, null
  br i1 %can, label %yielded, label %no.yield
yielded:
  %ignored = call i32 %yield.fn()
  br label %wait
no.yield:
  br label %wait
release:
  store atomic i64 0, ptr %lock release, align 8
  ret void
serial.check:
  %any = icmp ne i64 %n, 0
  br i1 %any, label %serial, label %out
serial:
  %i = phi i64 [ 0, %serial.check ], [ %i.next, %serial ]
  call void %fn(ptr %ctx, i64 %i)
  %i.next = add i64 %i, 1
  %last = icmp eq i64 %i.next, %n
  br i1 %last, label %out, label %serial
out:
  ret void
}}

define internal void @cr.attend(ptr %pool, i64 %change) nounwind {{
entry:
  %none = icmp eq ptr %pool, null
  br i1 %none, label %out, label %count
count:
  {_place("active")}
  %before = atomicrmw add ptr %active, i64 %change monotonic
  br label %out
out:
  ret void
}}
"""


def _module_text(target: Target) -> str:
    """The pool's own functions: the worker loop, a region called from Python, and a loop of regions to measure."""
    pause, enter, leave = ("\n  ".join(lines) for lines in (target.pause, target.mode.enter, target.mode.leave))
    return f"""{parallel_text(target)}
define i64 @worker(ptr %pool, i64 %patience) nounwind {{
entry:
  {enter}
  {_place("word")}
  {_place("awake")}
  {_place("stop")}
  {_place("active")}
  {_place("fn")}
  {_place("ctx")}
  {_place("chunks")}
  %up = atomicrmw add ptr %awake, i64 1 seq_cst
  br label %watch
watch:
  %left = phi i64 [ %patience, %entry ], [ %left.next, %calm ], [ %patience, %leave ]
  %seen = load atomic i64, ptr %word acquire, align 8
  %total.0 = load atomic i64, ptr %chunks monotonic, align 8
  %epoch = and i64 %seen, {_EPOCH}
  %open = icmp ne i64 %epoch, 0
  ; do not disturb a region whose chunks are all taken
  {_taken("%seen", "seen.")}
  %some = icmp ult i64 %seen.taken, %total.0
  %join = and i1 %open, %some
  br i1 %join, label %in, label %calm
calm:
  {pause}
  %programs = load atomic i64, ptr %active monotonic, align 8
  %idle.1 = icmp eq i64 %programs, 0
  %idle = zext i1 %idle.1 to i64
  %left.next = sub i64 %left, %idle
  %ended = load atomic i64, ptr %stop monotonic, align 8
  %stopped = icmp ne i64 %ended, 0
  %tired = icmp eq i64 %left.next, 0
  %over = or i1 %stopped, %tired
  br i1 %over, label %park, label %watch
in:
  %was = atomicrmw add ptr %word, i64 {_INSIDE + _BACK} acq_rel
  %epoch.now = and i64 %was, {_EPOCH}
  %still = icmp ne i64 %epoch.now, 0
  br i1 %still, label %read, label %leave
read:
  %f = load ptr, ptr %fn
  %c = load ptr, ptr %ctx
  %n = load atomic i64, ptr %chunks monotonic, align 8
  br label %check
check:
  %claimed = phi i64 [ %was, %read ], [ %claimed.next, %work ]
  {_taken("%claimed")}
  %more = icmp ult i64 %taken, %n
  br i1 %more, label %work, label %leave
work:
  %behind = add i64 %back, 1
  %chunk = sub i64 %n, %behind
  call void %f(ptr %c, i64 %chunk)
  %claimed.next = atomicrmw add ptr %word, i64 {_BACK} monotonic
  br label %check
leave:
  %out = atomicrmw sub ptr %word, i64 {_INSIDE} acq_rel
  br label %watch
park:
  %down = atomicrmw sub ptr %awake, i64 1 seq_cst
  {leave}
  ret i64 %ended
}}

define void @run(ptr %pool, ptr %fn, ptr %ctx, i64 %n) nounwind {{
  {enter}
  call void @cr.parallel(ptr %pool, ptr %fn, ptr %ctx, i64 %n)
  {leave}
  ret void
}}

define void @repeat(ptr %pool, ptr %fn, ptr %ctx, i64 %n, i64 %times) nounwind {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.next, %loop ]
  call void @cr.parallel(ptr %pool, ptr %fn, ptr %ctx, i64 %n)
  %i.next = add i64 %i, 1
  %last = icmp uge i64 %i.next, %times
  br i1 %last, label %out, label %loop
out:
  ret void
}}

define void @nothing(ptr %ctx, i64 %chunk) nounwind {{
  ret void
}}
"""


class _Native:
    """The pool's functions, compiled for this machine."""

    def __init__(self) -> None:
        target = host()
        self.code = library(_module_text(target), target, level=1)
        pointer, count = ctypes.c_void_p, ctypes.c_int64
        self.worker = ctypes.CFUNCTYPE(count, pointer, count)(self.code.address("worker"))
        self.run = ctypes.CFUNCTYPE(None, pointer, pointer, pointer, count)(self.code.address("run"))
        self.repeat = ctypes.CFUNCTYPE(None, pointer, pointer, pointer, count, count)(self.code.address("repeat"))
        self.nothing = self.code.address("nothing")


_native = functools.cache(_Native)


class _Block:
    """The memory that the threads share, and the core of the last caller that woke them (−1: not known)."""

    caller = -1

    def __init__(self) -> None:
        self._memory = ctypes.create_string_buffer(_SIZE + _LINE)
        start = ctypes.addressof(self._memory)
        self.address = start + (-start) % _LINE
        with contextlib.suppress(OSError, AttributeError, TypeError):  # TypeError: CDLL(None) on Windows
            self._give_way = ctypes.CDLL(None).sched_yield
            self.field("yield").value = ctypes.cast(self._give_way, ctypes.c_void_p).value or 0

    def field(self, name: str) -> ctypes.c_int64:
        return ctypes.c_int64.from_address(self.address + _OFFSETS[name])


def threads_wanted() -> int:
    """How many threads compiled programs use, the caller among them: ``CHAINRULE_THREADS``, or one for each core.

    Raises :class:`OptionError` where the variable is not a whole number from 1 to 1024.
    """
    text = os.environ.get("CHAINRULE_THREADS", "").strip()
    if not text:
        return min(host().cores, _MOST_THREADS)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_THREADS:
        raise OptionError(
            "CHAINRULE_THREADS is not a number of threads",
            expected=f"a whole number from 1 to {_MOST_THREADS}",
            got=repr(text),
            where="the environment",
            fix="unset CHAINRULE_THREADS to use every core, or set it to 1 for no threads",
        )
    return int(text)


class Pool:
    """``threads`` threads, the caller among them.  Workers start on the first :meth:`enter`."""

    def __init__(self, threads: int | None = None) -> None:
        threads = threads_wanted() if threads is None else threads
        if not 1 <= threads <= _MOST_THREADS:
            raise OptionError(
                "threads is out of range",
                expected=f"1 to {_MOST_THREADS}",
                got=threads,
                where="Pool",
                fix="pass a number of threads in that range",
            )
        self.threads = threads
        self._lock = threading.Lock()
        self._fresh()
        _pools.add(self)

    def _fresh(self) -> None:
        """No workers and memory of its own: at the start, and in a child after a fork, where threads did not follow."""
        self._lock = threading.Lock()
        self._block = _Block()
        self._awake = self._block.field("awake")
        self._events: list[threading.Event] = []
        self._workers: list[threading.Thread] = []
        self._stopped = False
        self._end = weakref.finalize(self, _end, self._block, self._events)
        self._end.atexit = False  # _at_exit also waits for the threads

    @property
    def awake(self) -> int:
        """How many workers are spinning or at work now."""
        return self._awake.value

    def enter(self) -> int:
        """Start or wake the workers; the address to pass to ``cr.parallel`` until this thread calls something else."""
        if self.threads > 1 and self._awake.value < self.threads - 1 and not self._stopped:
            self._wake()
        return self._block.address

    def _wake(self) -> None:
        if not self._workers:
            with self._lock:
                if not self._workers and not self._stopped:
                    self._start()
        self._block.caller = _core()
        for event in self._events:
            event.set()

    def _start(self) -> None:
        patience, spread = _patience(), self.threads <= host().cores
        self._block.caller = _core()
        for number in range(1, self.threads):
            event = threading.Event()
            thread = threading.Thread(
                target=_work, args=(self._block, event, patience, spread), name=f"chainrule-{number}", daemon=True
            )
            thread.start()
            self._events.append(event)
            self._workers.append(thread)

    def run(self, fn: int, ctx: int, chunks: int) -> None:
        """Call the native ``void fn(ptr ctx, i64 chunk)`` at address ``fn`` for every chunk; all are done on return."""
        _native().run(self.enter(), fn, ctx, chunks)

    def wait_awake(self, seconds: float = 1.0) -> bool:
        """Wake the workers and wait until all spin; whether they do.  For measurements: programs need not wait."""
        until = time.monotonic() + seconds
        while self.awake < self.threads - 1 and time.monotonic() < until:
            self.enter()
            time.sleep(1e-5)
        return self.awake == self.threads - 1

    def region_seconds(self, chunks: int = 2, times: int = 10_000) -> float:
        """Seconds that one parallel region of empty chunks takes while the workers spin."""
        native = _native()
        self.wait_awake()
        begin = time.perf_counter()
        native.repeat(self.enter(), native.nothing, 0, chunks, times)
        return (time.perf_counter() - begin) / times

    def stop(self) -> None:
        """End the workers and wait for them.  Regions run serially from then on."""
        with self._lock:
            self._stopped = True
            _end(self._block, self._events)
            for thread in self._workers:
                if thread is not threading.current_thread():
                    thread.join(timeout=10)
            self._workers.clear()


def _end(block: _Block, events: list[threading.Event]) -> None:
    """Tell workers to leave; also what happens to those of a pool that nobody holds any more."""
    block.field("stop").value = 1
    for event in events:
        event.set()


def _cores() -> set[int]:
    """The cores this thread may run on; empty where the system does not say."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()


@functools.cache
def _core_function() -> Callable[[], int]:
    try:
        found: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError, TypeError):
        return lambda: -1
    return found


def _core() -> int:
    """The core this thread runs on now, or −1."""
    return _core_function()()


def _work(block: _Block, event: threading.Event, patience: int, spread: bool) -> None:
    """A worker's life: spin in native code, park here.  ``spread``: there is a core for every thread."""
    native = _native()
    stop = block.field("stop")
    allowed = _cores()
    avoided = -1
    while not stop.value:
        event.clear()
        if block.caller != avoided and spread and len(allowed) > 1:
            avoided = block.caller
            with contextlib.suppress(OSError):  # the cores may have been taken away meanwhile
                os.sched_setaffinity(0, allowed - {avoided})
        if native.worker(block.address, patience):
            return
        event.wait()


@functools.cache
def _patience() -> int:
    """How many pauses make half a millisecond; instruction sets differ by an order of magnitude."""
    block, probe = _Block(), 2000
    native = _native()
    fastest = 1.0
    for _ in range(3):
        begin = time.perf_counter()
        native.worker(block.address, probe)
        fastest = min(fastest, time.perf_counter() - begin)
    return max(probe, int(probe * _SPIN_SECONDS / max(fastest, 1e-7)))


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_shared_lock = threading.Lock()
_shared: list[Pool] = []


def shared() -> Pool:
    """The pool that all compiled programs of this process use."""
    with _shared_lock:
        if not _shared:
            _shared.append(Pool())
        return _shared[0]


def _after_fork() -> None:
    global _shared_lock
    _shared_lock = threading.Lock()
    for pool in list(_pools):
        pool._end.detach()
        pool._fresh()


def _at_exit() -> None:
    for pool in list(_pools):
        pool.stop()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
