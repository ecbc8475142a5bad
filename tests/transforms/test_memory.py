"""What the backward pass keeps: checkpoint keeps less, scan stacks no weights, long chains stay linear."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph.evaluate import nbytes, peak_bytes
from chainrule.graph.graph import Graph
from chainrule.transforms.reverse import split_vjp, vjp_graph

N = 1000
LAYERS = 16


def residuals(graph: Graph) -> list[Any]:
    """The types of what the forward pass keeps for the backward pass of the first output, in all first inputs."""
    parts = split_vjp(graph, tuple(range(graph.inputs)), (0,))
    return list(parts.forward.output_specs[parts.outputs :])


def kept(f: Callable[..., Any], *args: Any) -> int:
    """Bytes kept beyond the arguments themselves."""
    return sum(map(nbytes, residuals(cr.trace(f)(*args)))) - sum(np.asarray(a).nbytes for a in args)


def peak(f: Callable[..., Any], *args: Any) -> int:
    graph = cr.trace(f)(*args)
    return peak_bytes(vjp_graph(graph, tuple(range(len(args))), (0,)))


def layer(x: Any, w: Any) -> Any:
    return np.tanh(np.sin(x * w) + np.cos(x) * np.exp(-w))


def deep(wrap: Callable[[Any], Any]) -> Callable[..., Any]:
    """Sixteen layers, in blocks of four, each block in ``wrap``."""

    def block(x: Any, w: Any) -> Any:
        for _ in range(4):
            x = layer(x, w)
        return x

    def f(x: Any, w: Any) -> Any:
        for _ in range(LAYERS // 4):
            x = wrap(block)(x, w)
        return np.sum(x)

    return f


X = np.linspace(0.1, 1.0, N)


def test_checkpoint_keeps_only_what_enters_a_block() -> None:
    plain, saved = deep(lambda f: f), deep(cr.checkpoint)
    for argnum in (0, 1):
        np.testing.assert_allclose(
            cr.grad(plain, argnum)(X, 0.3 * X), cr.grad(saved, argnum)(X, 0.3 * X), rtol=1e-12, atol=1e-13
        )
    without, with_it = kept(plain, X, X), kept(saved, X, X)
    assert without >= 3 * LAYERS * X.nbytes
    assert with_it <= (LAYERS // 4) * X.nbytes
    assert peak(saved, X, X) < peak(plain, X, X) / 2


def test_checkpoint_of_checkpoint_keeps_still_less_inside() -> None:
    def block(wrap: Any) -> Any:
        def f(x: Any, w: Any) -> Any:
            for _ in range(4):
                x = wrap(lambda a, b: layer(layer(a, b), b))(x, w)
            return x

        return f

    once = lambda x, w: np.sum(cr.checkpoint(block(lambda f: f))(x, w))  # noqa: E731
    twice = lambda x, w: np.sum(cr.checkpoint(block(cr.checkpoint))(x, w))  # noqa: E731
    np.testing.assert_allclose(cr.grad(once)(X, X), cr.grad(twice)(X, X), rtol=1e-12)
    assert peak(twice, X, X) < peak(once, X, X)


def recurrence(wrap_step: Callable[[Any], Any], wrap_scan: Callable[[Any], Any]) -> Callable[..., Any]:
    def f(w: Any, xs: Any) -> Any:
        step = wrap_step(lambda h, x: (np.tanh(np.sin(w @ h) * np.exp(x)) + np.cos(h), None))
        return np.sum(wrap_scan(lambda start, given: cr.scan(step, start, given)[0])(np.ones(30), xs))

    return f


def test_scan_stacks_no_weights_and_checkpoints() -> None:
    steps = 50
    w, xs = np.eye(30) * 0.3, np.linspace(-1, 1, steps * 30).reshape(steps, 30)
    same = lambda f: f  # noqa: E731
    plain = recurrence(same, same)
    variants = [recurrence(cr.checkpoint, same), recurrence(same, cr.checkpoint), recurrence(cr.checkpoint, cr.jit)]
    for f in variants:
        for argnum in (0, 1):
            np.testing.assert_allclose(cr.grad(f, argnum)(w, xs), cr.grad(plain, argnum)(w, xs), rtol=1e-10)
    shapes = [s.shape for s in residuals(cr.trace(plain)(w, xs))]
    assert (steps, 30, 30) not in shapes
    assert (steps, 30) in shapes
    stacked = kept(plain, w, xs)
    assert 2 * xs.nbytes <= stacked <= 8 * xs.nbytes
    assert kept(variants[0], w, xs) <= xs.nbytes + 1000  # the carry at each step, and nothing else
    assert kept(variants[1], w, xs) <= 1000  # the start alone
    assert kept(variants[2], w, xs) <= xs.nbytes + 1000


def test_vjp_keeps_what_split_says() -> None:
    assert kept(lambda x: np.sum(3 * x), X) <= 0
    assert kept(lambda x: np.sum(np.exp(x)), X) <= 0  # y itself, in place of x
    assert kept(lambda x: np.sum(x[:10] ** 2), X) <= 0


def chain(n: int) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        y = x
        for _ in range(n // 2):
            y = np.sin(y) * 1.0001
        return y

    return f


def derivative_of_chain(n: int, x: float) -> float:
    total = 1.0
    for _ in range(n // 2):
        total *= 1.0001 * np.cos(x)
        x = 1.0001 * np.sin(x)
    return total


def test_every_transform_of_a_chain_beyond_the_recursion_limit(unchecked_graphs: None) -> None:
    """Reverse and forward mode of a far longer one are in tests/test_edge_cases.py."""
    n = 4 * sys.getrecursionlimit()
    expected = derivative_of_chain(n, 0.5)
    assert cr.jvp(chain(n), (0.5,), (1.0,))[1] == pytest.approx(expected, rel=1e-9)
    assert cr.vmap(cr.grad(chain(n)))(np.array([0.5, 0.2]))[0] == pytest.approx(expected, rel=1e-9)
    assert cr.jit(chain(n))(0.5) == pytest.approx(chain(n)(0.5))


def test_time_of_a_chain_grows_linearly(unchecked_graphs: None) -> None:
    """Sixteen times the length: a linear cost is 16 times as much, a quadratic one 256 times."""

    def seconds(n: int) -> float:
        start = time.process_time()
        cr.grad(chain(n))(0.5)
        return time.process_time() - start

    seconds(1000)
    short = min(seconds(1_500) for _ in range(4))
    assert min(seconds(24_000) for _ in range(2)) / short < 64
