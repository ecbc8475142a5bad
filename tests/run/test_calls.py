"""Calls of compiled programs: layouts of arrays, threads, the caller's floating-point state, memory, interrupts."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from perturbation import bounds, difference
from random_programs import large_programs, random_program
from test_programs import training_step

import chainrule as cr
from chainrule.base.errors import DonatedError, OutOfMemoryError
from chainrule.compile import engine
from chainrule.compile.target import host
from chainrule.run import program as module
from chainrule.run.pool import Pool
from chainrule.run.program import compile_graph


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object code of the tests is kept in a folder of its own."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.getbasetemp() / "objects"))


def bits(values: Any) -> list[bytes]:
    return [np.asarray(v).tobytes() for v in values]


# ----------------------------------------------------------------------------------------------------------- arguments


def two(x: Any, y: Any) -> Any:
    return np.exp(x) @ y.T, x * 2 + y, y[::-1].sum(axis=0)


def layouts(x: Any) -> dict[str, Any]:
    """The same numbers, lying in memory in other ways."""
    readonly = x.copy()
    readonly.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)
    return {
        "C order": x, "Fortran order": np.asfortranarray(x), "every other": np.repeat(x, 2, axis=1)[:, ::2],
        "backwards": x[::-1].copy()[::-1], "read-only": readonly, "unaligned": unaligned,
        "byte-swapped": x.astype(x.dtype.newbyteorder()), "a part": np.pad(x, 3)[3:-3, 3:-3],
        "turned": x.T.copy().T, "subclass": x.view(type("Mine", (np.ndarray,), {})),
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts_of_arguments(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 5, 7)).astype(dtype)
    native = cr.jit(two, backend="native")
    wanted = bits(native(x, y))
    for name, given in layouts(x).items():
        before = given.copy()
        assert bits(native(given, y)) == wanted, name
        assert bits(native(given, np.asfortranarray(y))) == wanted, name
        np.testing.assert_array_equal(given, before)
    for found, bound in zip(native(x, y), bounds(cr.trace(two)(x, y), [x, y]), strict=True):
        assert not difference(found, bound)


def test_overlapping_arguments() -> None:
    base = np.random.default_rng(1).normal(size=(6, 7))
    native = cr.jit(two, backend="native")
    for x, y in ((base, base), (base[:5], base[1:]), (base[::-1], base), (base[:, ::-1], base)):
        assert bits(native(x, y)) == bits(native(x.copy(), y.copy()))


def test_donated_arguments_that_overlap_or_may_not_be_written() -> None:
    step = cr.jit(lambda p, g: (p - 0.1 * g, np.sum(p * g)), donate_argnums=0, backend="native")
    base = np.arange(12.0)
    readonly = base.copy()
    readonly.flags.writeable = False
    for p, g in ((base[:8], base[2:10]), (base[2:10], base[:8]), (readonly[:8], base[:8]), (base[::-1][:8], base[:8])):
        kept = base.copy()
        wanted = p - 0.1 * g
        np.testing.assert_allclose(step(p, g)[0], wanted, rtol=1e-15)
        np.testing.assert_array_equal(base, kept)
    alone = base.copy()
    step(alone, base)
    with pytest.raises(DonatedError, match="donated to an earlier call"):
        step(alone, base)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)])
def test_arrays_without_elements(shape: tuple[int, ...]) -> None:
    x = np.zeros(shape, np.float32)
    f = cr.jit(lambda x: (np.exp(x) * 2, np.sum(x), np.sum(x, axis=0), x.T + 1, np.concatenate([x, x])),
               backend="native")  # fmt: skip
    for found, wanted in zip(f(x), f.f(x), strict=True):
        assert np.shape(found) == np.shape(wanted)
        np.testing.assert_array_equal(found, wanted)
    assert cr.jit(cr.grad(lambda x: np.sum(np.tanh(x))), backend="native")(x).shape == shape


def test_other_shapes_and_dtypes_are_compiled_anew() -> None:
    native = cr.jit(lambda x: np.sum(np.sin(x), axis=0), backend="native")
    for shape in ((3, 4), (5, 4), (4,), (3, 4), (0, 2), (1, 1)):
        for dtype in (np.float32, np.float64):
            x = np.random.default_rng(0).normal(size=shape).astype(dtype)
            (bound,) = bounds(cr.trace(native.f)(x), [x])
            assert not difference(native(x), bound)
    assert len(native.programs) == 10


@pytest.mark.parametrize("static", [(), (1,)])
def test_a_call_with_a_number_is_made_ready_once(static: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held = np.arange(3.0)
    f = cr.jit(lambda x, rate: x * held * rate, static_argnums=static, backend="native")
    np.testing.assert_array_equal(f(held, 2.0), [0, 2, 8])
    monkeypatch.setattr("chainrule.jitted.embed_small", None)  # walks the whole graph: not at every call
    np.testing.assert_array_equal(f(held, 2.0), [0, 2, 8])
    if not static:
        np.testing.assert_array_equal(f(held, 3.0), [0, 3, 12])


def test_results_do_not_change_when_the_program_runs_again() -> None:
    graph, args, _ = random_program(9, 30)
    program = compile_graph(graph)
    first = program(args)
    before = bits(first)
    program([a * 2 if a.dtype.kind == "f" else a for a in args])
    assert bits(first) == before


# ------------------------------------------------------------------------------------------------------------- threads


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``pools(n)``: programs use ``n`` threads from now on."""
    made: list[Pool] = []

    def use(threads: int) -> None:
        pool = Pool(threads)
        made.append(pool)
        monkeypatch.setattr(module, "shared", lambda: pool)

    yield use
    for pool in made:
        pool.stop()


def test_the_same_bits_for_any_number_of_threads(pools: Any) -> None:
    cases = [(p.forward, p.args[: p.forward.inputs]) for p in large_programs(4)]
    cases.append(training_step((300, 260, 10), 128))
    for graph, args in cases:
        program = compile_graph(graph)
        assert program.plan.parallel
        seen = []
        for threads in (1, 2, 3, 7):
            pools(threads)
            seen += [bits(program(args)) for _ in range(3)]
        assert all(s == seen[0] for s in seen)


def test_chainrule_threads_changes_no_bits() -> None:
    program = """
import hashlib
import numpy as np, chainrule as cr
from chainrule.run.pool import shared
x, w = (np.random.default_rng(0).normal(size=(300, 400)).astype(np.float32) for _ in "xw")
def step(x, w):
    return np.tanh(x @ w.T).sum(axis=0), np.exp(x) / np.sum(np.exp(x), axis=1)[:, None]
results = cr.jit(step, backend="native")(x, w)
print(hashlib.sha256(b"".join(a.tobytes() for a in results)).hexdigest(), shared().threads)
"""
    seen = set()
    for threads in (1, 2, 3, 7):
        done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "CHAINRULE_THREADS": str(threads)},
                              capture_output=True, text=True, timeout=120)  # fmt: skip
        found, used = done.stdout.split()
        assert int(used) == threads, done.stderr
        seen.add(found)
    assert len(seen) == 1


def test_python_threads_that_call_at_once() -> None:
    programs = []
    for seed in (0, 4, 11):  # with loops and calls back into NumPy among their lines
        graph, args, _ = random_program(seed, 40)
        program = compile_graph(graph)
        programs.append((program, args, bits(program(args))))
    graph, args = training_step((300, 260, 10), 128)
    step = compile_graph(graph)
    programs.append((step, args, bits(step(args))))
    wrong: list[int] = []
    start = threading.Barrier(4)

    def work(first: int) -> None:
        start.wait()
        for turn in range(12):
            number = (first + turn) % len(programs)
            program, args, wanted = programs[number]
            if bits(program(args)) != wanted:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


# ------------------------------------------------------------------------------------------------ floating-point state


class Mode:
    """This thread's MXCSR register."""

    def __init__(self) -> None:
        if host().name not in ("sse2", "avx2", "avx512"):
            pytest.skip("MXCSR is x86's")
        text = """
define i32 @get() {
  %slot = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %slot)
  %value = load i32, ptr %slot
  ret i32 %value
}
define void @set(i32 %value) {
  %slot = alloca i32
  store i32 %value, ptr %slot
  call void @llvm.x86.sse.ldmxcsr(ptr %slot)
  ret void
}
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
"""
        self.code = engine.load(engine.compile_object(text))
        self.get = ctypes.CFUNCTYPE(ctypes.c_uint32)(self.code.address("get"))
        self.set = ctypes.CFUNCTYPE(None, ctypes.c_uint32)(self.code.address("set"))


@pytest.fixture
def mode() -> Iterator[Mode]:
    mode = Mode()
    before = mode.get()
    yield mode
    mode.set(before)


def test_the_floating_point_state_is_the_callers_again(mode: Mode) -> None:
    x = np.array([1e-40, 1e30, -1.0, 0.0, np.inf], np.float32)
    program = compile_graph(cr.trace(lambda x: (x * x, np.log(x), 1 / x, np.sort(x), x * np.float32(0.5)))(x))
    pool = compile_graph(training_step((300, 260, 10), 128)[0])
    _, args = training_step((300, 260, 10), 128)
    nearest, upward, flags, flush = 0x1F80, 0x5F80, 0x003F, 0x8040
    for state in (nearest, upward, nearest | flags, nearest | flush):
        mode.set(state)
        program([x])
        pool(args)
        assert mode.get() == state
    mode.set(nearest)
    with np.errstate(all="raise"):
        program([x])  # nothing inside raises for the caller
        assert np.geterr()["divide"] == "raise"
        with pytest.raises(FloatingPointError):
            np.float64(1.0) / np.zeros(1)


def test_the_state_is_put_back_after_errors_in_calls_back(mode: Mode) -> None:
    x = np.zeros((2, 2))
    program = compile_graph(cr.trace(lambda x: np.linalg.inv(x) + np.exp(x))(x))
    before = mode.get()
    with np.errstate(all="ignore"), pytest.raises(np.linalg.LinAlgError):
        program([x])
    assert mode.get() & ~0x3F == before & ~0x3F
    np.testing.assert_allclose(program([np.eye(2)])[0], np.eye(2) + np.exp(np.eye(2)))  # and it runs again


def test_denormals_are_flushed_inside_only() -> None:
    tiny = np.full(40, 1e-40, np.float32)
    program = compile_graph(cr.trace(lambda x: (x * np.float32(0.5), x + x, np.sum(x)))(tiny))
    for found in program([tiny]):
        assert np.all(np.asarray(found) == 0)
    assert np.all(tiny * np.float32(0.5) > 0)
    moved = compile_graph(cr.trace(lambda x: (x[::-1], np.concatenate([x, x])))(tiny))([tiny])
    assert all(np.all(m == np.float32(1e-40)) for m in moved)  # what only moves keeps its bits


# --------------------------------------------------------------------------------------------------- memory, interrupts


def test_out_of_memory_names_the_planned_bytes() -> None:
    one = np.float32(1)
    large = cr.trace(lambda s: np.cumsum(np.broadcast_to(s, (2**29, 2**29)), axis=1)[-1, -1])(one)
    with pytest.raises(OutOfMemoryError) as caught:
        compile_graph(large)([one])
    assert str(caught.value).splitlines()[:2] == [
        "not enough memory for a compiled program",
        f"  expected: {2**60:,} bytes of temporaries and 4 bytes of results",
    ]
    assert isinstance(caught.value, MemoryError)
    result = cr.trace(lambda s: np.exp(np.broadcast_to(s, (2**29, 2**29)) * s))(one)
    with pytest.raises(OutOfMemoryError, match=f"{2**60:,} bytes of results"):
        compile_graph(result)([one])


def test_an_interrupt_ends_a_long_loop_and_leaves_all_usable() -> None:
    def count(n: Any, x: Any) -> Any:
        return cr.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, np.sin(s[1]) + 1), (0, x))[1]

    native = cr.jit(count, backend="native")
    x = np.ones(3)
    kept = x.copy()
    wanted = bits([native(np.array(50), x)])
    sent: list[float] = []

    def interrupt() -> None:
        time.sleep(0.3)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        native(np.array(10**13), x)
    took = time.perf_counter() - sent[0]
    thread.join()
    assert took < 0.2 + 0.8  # 0.2 s is what is promised; a busy machine may hold the thread back
    np.testing.assert_array_equal(x, kept)
    assert bits([native(np.array(50), x)]) == wanted


def test_other_python_threads_run_during_a_native_loop() -> None:
    native = cr.jit(lambda n, x: cr.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, np.sin(s[1])), (0, x))[1],
                    backend="native")  # fmt: skip
    native(np.array(1), np.ones(3))
    turns = [0]
    ended = threading.Event()

    def count() -> None:
        while not ended.is_set():
            turns[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    before = turns[0]
    native(np.array(3_000_000), np.ones(3))
    during = turns[0] - before
    ended.set()
    thread.join()
    assert during > 5
