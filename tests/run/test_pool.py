"""The thread pool: every chunk once, by whoever is there; parking, forking, ending."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from chainrule.base.errors import OptionError
from chainrule.compile import engine
from chainrule.compile.target import host
from chainrule.run import pool as module
from chainrule.run.pool import Pool, parallel_text, shared, threads_wanted

TEXT = (
    parallel_text(host())
    + """
; ctx: i64 counts[chunk]
define void @count(ptr %ctx, i64 %chunk) {
  %p = getelementptr i64, ptr %ctx, i64 %chunk
  %o = atomicrmw add ptr %p, i64 1 monotonic
  ret void
}
; ctx: how many have come, how many met another
define void @meet(ptr %ctx, i64 %chunk) {
entry:
  %o = atomicrmw add ptr %ctx, i64 1 seq_cst
  br label %wait
wait:
  %i = phi i64 [ 0, %entry ], [ %i.next, %wait ]
  %here = load atomic i64, ptr %ctx seq_cst, align 8
  %both = icmp eq i64 %here, 2
  %i.next = add i64 %i, 1
  %late = icmp eq i64 %i, 3000000
  %over = or i1 %both, %late
  br i1 %over, label %out, label %wait
out:
  %p = getelementptr i64, ptr %ctx, i64 1
  %met = zext i1 %both to i64
  %old = atomicrmw add ptr %p, i64 %met seq_cst
  ret void
}
; ctx: pool, then counts of 4 × 8 chunks
define void @inner(ptr %ctx, i64 %chunk) {
  %o = atomicrmw add ptr %ctx, i64 1 monotonic
  ret void
}
define void @outer(ptr %ctx, i64 %chunk) {
  %pool = load ptr, ptr %ctx
  %next = add i64 %chunk, 1
  %mine = getelementptr i64, ptr %ctx, i64 %next
  call void @cr.parallel(ptr %pool, ptr @inner, ptr %mine, i64 8)
  ret void
}
; ctx: i64 which thread ran the chunk, which takes it a little while
define void @who(ptr %ctx, i64 %chunk) {
entry:
  %p = getelementptr i64, ptr %ctx, i64 %chunk
  %thread = call ptr @llvm.thread.pointer()
  %number = ptrtoint ptr %thread to i64
  store i64 %number, ptr %p
  br label %wait
wait:
  %i = phi i64 [ 0, %entry ], [ %i.next, %wait ]
  %now = load atomic i64, ptr %p seq_cst, align 8
  %i.next = add i64 %i, 1
  %over = icmp eq i64 %i.next, 2000
  br i1 %over, label %out, label %wait
out:
  ret void
}
; ctx: float[chunk] becomes its product with 1e-30
define void @small(ptr %ctx, i64 %chunk) {
  %p = getelementptr float, ptr %ctx, i64 %chunk
  %x = load float, ptr %p
  %y = fmul float %x, 0x39B4484C00000000
  store float %y, ptr %p
  ret void
}
"""
)


_kept: list[engine.Library] = []  # code must outlive its last call


@pytest.fixture(scope="module")
def functions() -> dict[str, int]:
    _kept.append(engine.load(engine.compile_object(TEXT)))
    return _kept[-1].addresses(["count", "meet", "outer", "small", "who"])


@pytest.fixture
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    made = Pool(getattr(request, "param", 2))
    yield made
    made.stop()


@pytest.mark.parametrize("pool", [1, 2, 3, 7], indirect=True)
def test_every_chunk_runs_once(pool: Pool, functions: dict[str, int]) -> None:
    for chunks in (0, 1, 2, 3, 1000):
        for _ in range(20):
            counts = np.zeros(chunks + 1, np.int64)
            pool.run(functions["count"], counts.ctypes.data, chunks)
            assert counts.tolist() == [1] * chunks + [0]


def test_more_chunks_than_are_handed_out_run_serially(pool: Pool, functions: dict[str, int]) -> None:
    for chunks in (module._MOST_CHUNKS - 3, module._MOST_CHUNKS + 3):
        counts = np.zeros(chunks + 1, np.int64)
        pool.run(functions["count"], counts.ctypes.data, chunks)
        assert (counts[:-1] == 1).all()
        assert counts[-1] == 0


def test_the_caller_takes_chunks_from_the_front_and_a_worker_from_the_back(
    pool: Pool, functions: dict[str, int]
) -> None:
    shared, callers = 0, set()
    for _ in range(50):
        pool.wait_awake()
        threads = np.zeros(60, np.int64)
        pool.run(functions["who"], threads.ctypes.data, 60)
        changes = np.flatnonzero(np.diff(threads))
        assert len(changes) <= 1  # one stretch each
        shared += len(changes)
        if len(changes):
            callers.add(int(threads[0]))
    assert shared, "no worker ever ran a chunk beside the caller"
    assert len(callers) == 1  # whoever has the front is the caller


def test_workers_take_part(pool: Pool, functions: dict[str, int]) -> None:
    """Two chunks that wait for each other meet only if two threads run them at once."""
    for _ in range(50):  # other programs may hold the core
        pool.wait_awake()
        came = np.zeros(2, np.int64)
        pool.run(functions["meet"], came.ctypes.data, 2)
        if came.tolist() == [2, 2]:
            return
    pytest.fail("no worker ever ran a chunk beside the caller")


def test_regions_inside_regions_run_serially(pool: Pool, functions: dict[str, int]) -> None:
    for _ in range(20):
        context = np.zeros(9, np.int64)
        context[0] = pool.enter()
        pool.run(functions["outer"], context.ctypes.data, 8)
        assert context[1:].tolist() == [8] * 8


def test_two_python_threads_dispatch_at_once(pool: Pool, functions: dict[str, int]) -> None:
    wrong: list[object] = []

    def work() -> None:
        for _ in range(200):
            counts = np.zeros(50, np.int64)
            pool.run(functions["count"], counts.ctypes.data, 50)
            if not (counts == 1).all():
                wrong.append(counts)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_workers_park_and_come_back(pool: Pool, functions: dict[str, int]) -> None:
    assert pool.awake == 0, "workers start on first use"
    assert pool.wait_awake(5.0)
    until = time.monotonic() + 5
    while pool.awake and time.monotonic() < until:
        time.sleep(0.005)
    assert pool.awake == 0
    counts = np.zeros(9, np.int64)
    pool.run(functions["count"], counts.ctypes.data, 9)  # nobody need be awake
    assert (counts == 1).all()
    assert pool.wait_awake(5.0)


def test_denormals_are_flushed_on_every_thread_and_only_there(pool: Pool, functions: dict[str, int]) -> None:
    for _ in range(20):
        values = np.full(64, 1e-10, np.float32)
        pool.run(functions["small"], values.ctypes.data, 64)
        assert (values == 0).all()
    assert np.float32(1e-30) * np.float32(1e-10) > 0, "the caller's mode is back"


def test_stopped_pool_runs_serially(functions: dict[str, int]) -> None:
    pool = Pool(3)
    pool.wait_awake(5.0)
    workers = list(pool._workers)
    pool.stop()
    assert not any(worker.is_alive() for worker in workers)
    counts = np.zeros(5, np.int64)
    pool.run(functions["count"], counts.ctypes.data, 5)
    assert (counts == 1).all()
    assert pool.awake == 0


def test_workers_of_a_forgotten_pool_end() -> None:
    pool = Pool(2)
    pool.wait_awake(5.0)
    (worker,) = pool._workers
    del pool
    worker.join(10)
    assert not worker.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_starts_anew(pool: Pool, functions: dict[str, int]) -> None:
    pool.wait_awake(5.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, in newer Pythons
        child = os.fork()
    if child == 0:
        ok = False
        try:
            counts = np.zeros(100, np.int64)
            asleep = pool.awake == 0
            pool.run(functions["count"], counts.ctypes.data, 100)
            ok = asleep and bool((counts == 1).all()) and pool.wait_awake(10.0)
            engine.load(engine.compile_object("define void @f() {\n  ret void\n}\n"))
            pool.stop()
        finally:
            os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    counts = np.zeros(10, np.int64)
    pool.run(functions["count"], counts.ctypes.data, 10)
    assert (counts == 1).all()


@pytest.mark.parametrize("ending", ["pass", "time.sleep(0.02)", "raise SystemExit(0)", "p = None"])
def test_interpreter_ends_quietly(ending: str) -> None:
    """With workers that spin, that have parked, and that belong to a pool that is gone."""
    script = f"import time\nfrom chainrule.run.pool import Pool\np = Pool(3)\np.wait_awake()\n{ending}\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_null_pool_runs_serially(functions: dict[str, int]) -> None:
    text = parallel_text(host()) + (
        "define void @go(ptr %fn, ptr %ctx) {\n"
        "  call void @cr.parallel(ptr null, ptr %fn, ptr %ctx, i64 5)\n"
        "  ret void\n}\n"
    )
    library = engine.load(engine.compile_object(text))
    counts = np.zeros(5, np.int64)
    go = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(library.address("go"))
    go(functions["count"], counts.ctypes.data)
    assert (counts == 1).all()


def test_a_region_is_cheap() -> None:
    """Microseconds at most even on a busy machine; the median of many, for other programs run too."""
    pool = Pool(2)
    assert sorted(pool.region_seconds(2, 200) for _ in range(50))[25] < 1e-5
    pool.stop()


def test_threads_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_THREADS", "3")
    assert threads_wanted() == Pool().threads == 3
    monkeypatch.delenv("CHAINRULE_THREADS")
    assert threads_wanted() == host().cores
    assert shared() is shared()


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "2000", "²"])
def test_wrong_thread_counts_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CHAINRULE_THREADS", text)
    with pytest.raises(OptionError) as caught:
        threads_wanted()
    assert str(caught.value) == (
        "CHAINRULE_THREADS is not a number of threads\n"
        "  expected: a whole number from 1 to 1024\n"
        f"  got: {text!r}\n"
        "  where: the environment\n"
        "  what to do: unset CHAINRULE_THREADS to use every core, or set it to 1 for no threads"
    )


def test_a_pool_needs_a_thread() -> None:
    with pytest.raises(OptionError, match="threads is out of range"):
        Pool(0)
