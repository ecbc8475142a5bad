"""jit traces once per kind of call; transforms run in several threads at once."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import chainrule as cr

X = np.array([1.0, 2.0, 3.0])


def counted(f: Callable[..., Any]) -> tuple[Callable[..., Any], list[int]]:
    """``f``, and a list that grows at every call of it."""
    calls: list[int] = []

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return f(*args, **kwargs)

    return counting, calls


def test_traces_once_per_structure_shapes_and_dtypes() -> None:
    f, calls = counted(lambda t: t["a"] * 2)
    jitted = cr.jit(f)
    for expected, argument in [
        (1, {"a": X}), (1, {"a": X + 1}), (1, {"a": X.astype(">f8")}), (1, {"a": X[::-1]}), (2, {"a": X[:2]}),
        (3, {"a": X.astype(np.float32)}), (4, {"a": 1.0}), (4, {"a": 2.0}), (5, {"a": 1}), (6, {"a": True}),
        (7, {"a": X, "b": None}), (7, {"a": 2 * X, "b": None}), (7, {"a": X}),
    ]:  # fmt: skip
        found = jitted(argument)
        np.testing.assert_array_equal(found, argument["a"] * 2)
        assert np.asarray(found).dtype == np.asarray(argument["a"] * 2).dtype.newbyteorder("=")
        assert len(calls) == expected, argument


def test_static_arguments() -> None:
    f, calls = counted(lambda x, n, name: x * n if name == "times" else x**n)
    jitted = cr.jit(f, static_argnums=(1, -1))
    for expected, n, name in [(1, 2, "times"), (1, 2, "times"), (2, 3, "times"), (3, 2.0, "times"), (4, True, "times"),
                              (5, 2, "power"), (5, 3, "times"), (6, (2,), "times"), (7, (2.0,), "times")]:  # fmt: skip
        found, wanted = jitted(np.arange(1), n, name), np.arange(1) * n if name == "times" else np.arange(1) ** n
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype
        assert len(calls) == expected, (n, name)


def test_keywords_and_donation() -> None:
    f, calls = counted(lambda x, y=1.0, *, k: x * y + k)
    jitted = cr.jit(f, donate_argnums=0)
    assert jitted(2.0, k=1.0) == 3.0
    assert jitted(2.0, k=2.0) == 4.0
    assert len(calls) == 1
    assert jitted(2.0, y=3.0, k=2.0) == 8.0
    assert len(calls) == 2
    assert cr.grad(lambda k: jitted(2.0, k=k))(1.0) == 1.0
    assert cr.jit(lambda a, b: a * b, donate_argnums=(0, 1))(2.0, 3.0) == 6.0
    assert cr.jit(f, donate_argnums=-1)(2.0, 5.0, k=0.0) == 10.0


def test_constants_closures_and_trees() -> None:
    scale = np.array([1.0, 2.0, 3.0])
    found = cr.jit(lambda x: {"x": x * scale, "one": 1, "list": [np.ones(2), None], "n": len(x)})(X)
    np.testing.assert_array_equal(found["x"], X * scale)
    assert (found["one"], found["n"], found["list"][1]) == (1, 3, None)
    np.testing.assert_array_equal(found["list"][0], np.ones(2))
    assert cr.jit(lambda: 2.5)() == 2.5
    assert cr.jit(lambda x: None)(X) is None
    g = cr.jit(lambda x: x * scale)
    g(X)
    scale[...] = 0.0  # read when it was traced
    np.testing.assert_array_equal(g(X), X * [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(g(X[:1]), [0.0, 0.0, 0.0])


class Scaled:
    """A class whose instances are static arguments."""

    def __init__(self, by: float) -> None:
        self.by = by
        self.traced = 0

    @cr.jit
    def trees(self: Any, x: Any) -> Any:
        """Never reached: an instance is not a tree of arrays."""

    def _apply(self, x: Any, power: int = 1) -> Any:
        self.traced += 1
        return x**power * self.by

    apply = cr.jit(_apply, static_argnums=0)


def test_methods() -> None:
    one, two = Scaled(2.0), Scaled(3.0)
    assert one.apply(2.0) == 4.0
    assert one.apply(4.0) == 8.0
    assert two.apply(2.0) == 6.0
    assert (one.traced, two.traced) == (1, 1)
    assert cr.grad(one.apply)(5.0) == 2.0
    assert Scaled.apply(one, 3.0) == 6.0
    assert isinstance(Scaled.apply, cr.api.Jitted)
    with pytest.raises(cr.api.DtypeError, match="name it in static_argnums"):
        one.trees(X)


def test_names_docs_and_copies() -> None:
    @cr.jit
    def loss(w: Any) -> Any:
        """The loss."""
        return np.sum(w * w)

    assert (loss.__name__, loss.__doc__) == ("loss", "The loss.")
    assert copy.deepcopy({"f": loss})["f"] is loss
    for transform in (cr.grad, cr.value_and_grad, cr.vmap, cr.jacobian, cr.hessian, cr.hvp, cr.checkpoint, cr.trace):
        assert transform(loss).__name__ == "loss"
        assert transform(loss).__doc__ == "The loss."


def test_inside_other_transforms_nothing_of_the_outside_is_kept() -> None:
    f, calls = counted(lambda x: x * x)
    jitted = cr.jit(f)
    for point in (1.0, 2.0, 3.0):
        assert cr.grad(lambda p: jitted(p) + jitted(2 * p))(point) == 10 * point
    assert len(calls) == 1

    def outer(a: Any) -> Any:
        inner = cr.jit(lambda x: x * a)  # closes over the outer Symbol
        return inner(2.0) + inner(3.0)

    assert [cr.grad(outer)(v) for v in (1.0, 2.0)] == [5.0, 5.0]
    shared = cr.jit(lambda x, g=[None]: x if g[0] is None else x * g[0])
    assert shared(2.0) == 2.0


def test_first_call_from_many_threads() -> None:
    def slow(x: Any) -> Any:
        time.sleep(0.05)
        return np.sum(x * 2)

    f, calls = counted(slow)
    jitted = cr.jit(f)
    barrier = threading.Barrier(8)

    def call(i: int) -> Any:
        barrier.wait()
        return jitted(np.full(3, float(i)))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, range(8))) == [6.0 * i for i in range(8)]
    assert len(calls) == 1


def test_transforms_from_many_threads() -> None:
    def step(i: int) -> Any:
        x = np.linspace(0.1, 1.0, 3 + i % 4) * (i + 1)
        f = lambda v: np.sum(np.sin(v) * cr.grad(lambda u: np.sum(u**3))(v))  # noqa: E731
        for _ in range(5):
            g = cr.vmap(cr.grad(f))(np.stack([x, 2 * x]))
            h = cr.jit(cr.hvp(f))(x, x)
        return x, g, h

    with ThreadPoolExecutor(8) as pool:
        for x, g, h in pool.map(step, range(24)):
            for row, v in zip(g, (x, 2 * x), strict=True):
                np.testing.assert_allclose(row, 3 * v**2 * np.cos(v) + 6 * v * np.sin(v), rtol=1e-9)
            second = 12 * x * np.cos(x) + (6 - 3 * x**2) * np.sin(x)
            np.testing.assert_allclose(h, second * x, rtol=1e-9, atol=1e-9)


def test_an_error_leaves_no_trace_open() -> None:
    def fails(x: Any) -> Any:
        cr.vmap(lambda v: 1 / 0)(x)

    jitted = cr.jit(fails)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            cr.grad(jitted)(X)
    np.testing.assert_array_equal(cr.grad(np.sum)(X), np.ones(3))
    assert isinstance(np.sin(X), np.ndarray)
