"""Loops and branches as native code: equal to the evaluator, in place where that is safe, left when asked to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile.compiler import make_plan
from chainrule.graph.evaluate import run_plan
from chainrule.run.program import compile_graph

RNG = np.random.default_rng(5)
X = RNG.standard_normal((7, 3))
W = RNG.standard_normal((3, 3)) / 2


def rnn(w: Any, xs: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = np.tanh(w @ h + x)
        return h, (h.sum(), h[::-1])

    return cr.scan(step, np.zeros(3), xs)


def swap(a: Any, b: Any) -> Any:
    return cr.scan(lambda c, _: ((c[1], c[0] + 1), c[0]), (a, b), length=5)


def passed_on(a: Any, b: Any) -> Any:
    return cr.scan(lambda c, x: ((c[0], c[1] * 0.5 + x), None), (a, b[0]), b)


def newton(x: Any) -> Any:
    return cr.while_loop(lambda c: np.abs(c * c - x).max() > 1e-5, lambda c: 0.5 * (c + x / c), np.ones_like(x))


def choose(x: Any) -> Any:
    return cr.cond(x.sum() > 0, lambda v: (v + 1, v.T), lambda v: (v, v.T * 2), x)


def nested(xs: Any) -> Any:
    def row(total: Any, x: Any) -> Any:
        inner = cr.fori_loop(0, 4, lambda i, v: v * 0.9 + i.astype(x.dtype) * x, x)
        grown = cr.cond(inner.sum() > 0, lambda v: v + inner, lambda v: v - inner, total)
        return grown, inner.max()

    return cr.scan(row, np.zeros(3), xs, reverse=True)


def with_numpy(xs: Any) -> Any:  # eigvalsh has no kernel: it calls back from inside the loop
    return cr.scan(lambda c, x: (c / 2 + np.sin(np.linalg.eigvalsh(np.outer(x, x) + c)), c), np.ones(3), xs)


CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "rnn": (rnn, (W, X)),
    "over a transposed array": (rnn, (W.T, np.asfortranarray(X))),
    "over part of an array": (lambda w, xs: rnn(w[:, ::-1], xs[1::2]), (W, X)),
    "carries that swap": (swap, (X, X + 1)),
    "a carry that stays": (passed_on, (X[0], X)),
    "no steps": (lambda w, xs: rnn(w, xs[:0]), (W, X)),
    "one step": (lambda w, xs: rnn(w, xs[:1]), (W, X)),
    "while": (newton, (np.abs(X),)),
    "while not at all": (lambda x: cr.while_loop(lambda c: c.sum() < -99, lambda c: c + 1, x), (np.abs(X),)),
    "true": (choose, (np.abs(X),)),
    "false": (choose, (-np.abs(X),)),
    "nested": (nested, (X,)),
    "numpy inside": (with_numpy, (X,)),
    "unused results": (lambda w, xs: rnn(w, xs)[1][0], (W, X)),
    "gradient": (lambda w, xs: cr.grad(lambda v: rnn(v, xs)[1][0].sum())(w), (W, X)),
    "hvp": (lambda w, xs: cr.hvp(lambda v: (rnn(v, xs)[0] ** 2).sum())(w, w), (W, X)),
    "mapped": (lambda w, xs: cr.vmap(rnn, (None, 0))(w, xs.reshape(7, 3, 1) * np.ones(3)), (W, X)),
    "checkpoint": (lambda w, xs: cr.grad(lambda v: cr.checkpoint(lambda u: rnn(u, xs)[0])(v).sum())(w), (W, X)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_same_as_the_evaluator(name: str, dtype: str) -> None:
    f, args = CASES[name]
    graph = cr.trace(f)(*(a.astype(dtype) for a in args))
    given = [np.asarray(a.astype(dtype)) for a in args]
    program = compile_graph(graph)
    for _ in range(2):  # what a call leaves behind must not matter to the next
        for found, wanted in zip(program(given), run_plan(graph, list(given)), strict=True):
            assert found.dtype == wanted.dtype
            np.testing.assert_allclose(found, wanted, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6)


def body_of(f: Callable[..., Any], *args: Any) -> Any:
    (parts,) = make_plan(cr.trace(f)(*args)).main.inner.values()
    return parts[-1]


def test_what_a_step_may_write_in_place_is_written_in_place() -> None:
    adam = body_of(
        lambda w, g: cr.fori_loop(0, 9, lambda i, c: (c[0] - c[1], 0.9 * c[1] + g), (w, w * 0)), X, X
    )
    assert set(adam.shared) == {0, 1, 2}  # both states and the counter
    assert body_of(lambda a: cr.scan(lambda c, _: (c[::-1], None), a, length=3), X).shared == {}
    assert body_of(lambda w, a: cr.scan(lambda c, _: (w @ c, None), a, length=3), W, X[0]).shared == {}


def test_a_loop_has_no_python_in_it() -> None:
    assert make_plan(cr.trace(nested)(X)).callbacks == []
    assert len(make_plan(cr.trace(with_numpy)(X)).callbacks) > 0


def test_an_error_inside_a_loop_names_the_line_and_leaves_the_program_usable() -> None:
    program = compile_graph(cr.trace(lambda a: cr.scan(lambda c, x: (np.linalg.solve(x, c), None), np.ones(2), a))(
        np.ones((3, 2, 2))
    ))  # fmt: skip
    with pytest.raises(np.linalg.LinAlgError) as caught:
        program([np.ones((3, 2, 2))])
    assert "in solve, from " in caught.value.__notes__[0]
    assert "test_regions.py" in caught.value.__notes__[0]
    good = np.stack([np.eye(2) * 2] * 3)
    np.testing.assert_array_equal(program([good])[0], np.ones(2) / 8)


def test_two_python_threads_may_loop_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    graph = cr.trace(nested)(X)
    program = compile_graph(graph)
    inputs = [X * k for k in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda a: program([a])[0], inputs * 5))
    for a, got in zip(inputs * 5, found, strict=True):
        np.testing.assert_allclose(got, run_plan(graph, [a])[0], rtol=1e-12)


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np
import chainrule as cr

@cr.jit
def long(x, n):
    return cr.while_loop(lambda c: c[1] < n, lambda c: (c[0] * 0.999 + 1, c[1] + 1), (x, 0))[0]

x = np.ones(4)
long(x, 10)
sent = []
def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(0.3, interrupt).start()
try:
    long(x, 10**13)
except KeyboardInterrupt:
    print(time.perf_counter() - sent[0])
np.testing.assert_array_equal(x, np.ones(4))
print(long(x, 3)[0] > 1)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to itself")
def test_ctrl_c_leaves_a_long_loop_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seconds, again = done.stdout.split()
    assert float(seconds) < 0.2 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # others may have the cores
    assert again == "True"


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to itself")
def test_a_handler_that_returns_does_not_stop_a_loop() -> None:
    heard = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(time.perf_counter()))
    try:
        f = cr.jit(lambda x: cr.fori_loop(0, 60_000_000, lambda i, c: c + 1, x))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert f(0) == 60_000_000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard
