"""Results own their memory, pullbacks can be called again, and odd arrays come in without harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr

X = np.array([1.0, 2.0, 3.0])

RESULTS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda x: cr.grad(lambda v: np.sum(v))(x),
    "grad of a dot product": lambda x: cr.grad(lambda a, b: a @ b, argnums=(0, 1))(x, x),
    "value_and_grad with aux": lambda x: cr.value_and_grad(lambda v: (np.sum(v), (v, v[::-1], v)), has_aux=True)(x),
    "vjp": lambda x: cr.vjp(lambda v: (v, v.T, v * 2), x)[0],
    "pullback": lambda x: cr.vjp(lambda v: v, x)[1](x),
    "pullback to several": lambda x: cr.vjp(lambda a, b: a + b, x, x)[1](x),
    "jvp": lambda x: cr.jvp(lambda v: v, (x,), (x,)),
    "jacobian": lambda x: cr.jacobian(lambda v: (v, v))(x),
    "jacobian fwd": lambda x: cr.jacobian(lambda v: v, mode="fwd")(x),
    "hessian": lambda x: cr.hessian(lambda v: np.sum(v * v))(x),
    "vmap": lambda x: cr.vmap(lambda v: (v, v, 1.0))(x),
    "jit": lambda x: cr.jit(lambda v: [v, v, v[1:], v.reshape(3, 1), np.broadcast_to(v[0], 3), v + 1, v + 1])(x),
    "jit of a captured array": lambda x: cr.jit(lambda: x)(),
    "scan": lambda x: cr.scan(lambda c, v: (c, v), x, x),
    "scan of no steps": lambda x: cr.scan(lambda c, v: (c, v), x, length=0),
    "cond": lambda x: cr.cond(True, lambda v: (v, v), lambda v: (v, v), x),
    "while_loop": lambda x: cr.while_loop(lambda v: False, lambda v: v, x),
    "fori_loop": lambda x: cr.fori_loop(0, 0, lambda i, v: v, x),
}


def arrays(tree: Any) -> list[Any]:
    if isinstance(tree, (tuple, list)):
        return [a for t in tree for a in arrays(t)]
    if isinstance(tree, dict):
        return arrays(list(tree.values()))
    return [] if tree is None else [tree]


@pytest.mark.parametrize("name", RESULTS)
def test_results_own_their_memory(name: str) -> None:
    x = X.copy()
    found = arrays(RESULTS[name](x))
    assert found
    for i, a in enumerate(found):
        assert type(a) is np.ndarray or isinstance(a, np.generic)
        if a.ndim == 0:
            assert isinstance(a, np.generic)  # as NumPy's own functions: never a 0-d array
            continue
        assert a.flags.writeable
        assert a.base is None
        assert not np.shares_memory(a, x)
        assert not any(np.shares_memory(a, other) for other in found[:i])
        a[...] = 7.0
    np.testing.assert_array_equal(x, X)


def test_pullback_is_idempotent_and_remembers() -> None:
    x, scale = X.copy(), np.array([2.0, 3.0, 4.0])
    out, pullback = cr.vjp(lambda v: np.exp(v) * scale + v * v, x)
    ct = np.ones(3)
    (first,) = pullback(ct)
    np.testing.assert_allclose(first, np.exp(X) * scale + 2 * X)
    expected = first.copy()
    for array in (x, scale, out, first):
        array[...] = -100.0
    (again,) = pullback(ct)
    np.testing.assert_array_equal(again, expected)
    np.testing.assert_array_equal(ct, np.ones(3))
    np.testing.assert_allclose(pullback(2 * ct)[0], 2 * expected)


def test_vjp_remembers_through_read_only_views() -> None:
    x = X.copy()
    view = x[:]
    view.flags.writeable = False
    zero_d = np.array(2.0)
    _, pullback = cr.vjp(lambda v, s: v * v * s, view, zero_d)
    x[...] = 100.0
    zero_d[...] = 5.0
    np.testing.assert_array_equal(pullback(np.ones(3))[0], 4 * X)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.astype(">f8"),
        lambda x: x.astype(">f4"),
        lambda x: np.asfortranarray(np.stack([x, x])),
        lambda x: np.stack([x, x], axis=1)[:, 0],
        lambda x: np.repeat(x, 3)[::3],
        lambda x: x[::-1],
        lambda x: np.broadcast_to(x, (2, 3)),
        lambda x: np.lib.stride_tricks.sliding_window_view(x, 2),
        lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float64),
        lambda x: x[None, :, None],
        lambda x: x[:0],
        lambda x: np.array(0.5),
    ],
    ids=["swapped", "swapped float32", "Fortran", "column", "strided", "reversed", "broadcast", "windows", "unaligned",
         "3-d", "empty", "0-d"],
)  # fmt: skip
@pytest.mark.parametrize("read_only", [False, True])
def test_odd_layouts(make: Callable[[Any], Any], read_only: bool) -> None:
    x = make(X)
    if read_only:
        x.flags.writeable = False
    plain = np.array(x, x.dtype.newbyteorder("="), order="C")
    before = x.copy()
    f = lambda v: np.sum(np.sin(v) * v)  # noqa: E731
    value, gradient = cr.value_and_grad(f)(x)
    assert gradient.dtype == plain.dtype
    assert gradient.dtype.isnative
    assert np.shape(gradient) == x.shape
    rtol = 1e-5 if plain.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(gradient, np.sin(plain) + plain * np.cos(plain), rtol=rtol)
    np.testing.assert_allclose(value, f(plain), rtol=rtol)
    np.testing.assert_allclose(cr.jit(np.sin)(x), np.sin(plain), rtol=rtol)
    np.testing.assert_allclose(cr.jvp(np.sin, (x,), (x,))[1], np.cos(plain) * plain, rtol=rtol)
    np.testing.assert_array_equal(x, before)


def test_closures_over_odd_values() -> None:
    mask, counts, swapped = np.array([True, False, True]), np.array([1, 2, 3], np.int8), X.astype(">f4")
    f = lambda v: np.sum(v * mask + v**2 * counts + v**3 * swapped) + v[0] * 10**30 * 0.0  # noqa: E731
    np.testing.assert_allclose(cr.grad(f)(X), mask + 2 * X * counts + 3 * X**2 * swapped)
    assert cr.grad(lambda v: v * 10**30)(1.0) == 1e30
    assert cr.grad(lambda v: v * True)(1.0) == 1.0


def test_float16_and_float32_stay() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        x = X.astype(dtype)
        value, gradient = cr.value_and_grad(lambda v: np.mean(v * 2.0 + 1) ** 2)(x)
        assert value.dtype == gradient.dtype == dtype
        assert cr.vjp(np.tanh, x)[1](np.ones(3))[0].dtype == dtype
        assert cr.jvp(np.tanh, (x,), (np.ones(3),))[1].dtype == dtype
        assert cr.grad(lambda s: s * 2)(dtype(1.0)).dtype == dtype


def test_unused_arguments_get_zeros() -> None:
    g = cr.grad(lambda a, t: np.sum(a), argnums=(0, 1))(X, {"u": X, "n": None, "s": np.float32(1)})
    np.testing.assert_array_equal(g[1]["u"], np.zeros(3))
    assert g[1]["n"] is None
    assert g[1]["s"] == 0
    assert g[1]["s"].dtype == np.float32
    assert cr.grad(lambda a: 3.0)(2.0) == 0.0
    assert cr.vjp(lambda a: np.ones(2), X)[1](np.ones(2))[0].tolist() == [0.0, 0.0, 0.0]
