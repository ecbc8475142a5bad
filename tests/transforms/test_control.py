"""Control flow against Python's own: partial batches, empty loops, integer carries, unused values, custom rules."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base import trees

RNG = np.random.default_rng(3)
W, H, XS = RNG.normal(size=(2, 2)) * 0.5, RNG.normal(size=2), RNG.normal(size=(4, 2))


def close(found: Any, expected: Any, rtol: float = 1e-9) -> None:
    flat, structure = trees.flatten(found)
    other, wanted = trees.flatten(expected)
    assert structure == wanted
    for a, b in zip(flat, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-11)


def looped(w: Any, h: Any, xs: Any) -> Any:
    """The recurrence in plain Python."""
    seen = []
    for x in xs:
        h = np.tanh(w @ h + x)
        seen.append(h[0] * x)
    return np.sum(h) + np.sum(np.stack(seen) ** 2)


def scanned(w: Any, h: Any, xs: Any) -> Any:
    """The same as a scan."""

    def step(h: Any, x: Any) -> Any:
        h = np.tanh(w @ h + x)
        return h, h[0] * x

    last, seen = cr.scan(step, h, xs)
    return np.sum(last) + np.sum(seen**2)


@pytest.mark.parametrize("batched", list(itertools.product([True, False], repeat=3))[:-1])
def test_scan_with_some_arguments_batched(batched: tuple[bool, ...]) -> None:
    args = [np.stack([a, 0.5 * a, -a]) if b else a for a, b in zip((W, H, XS), batched, strict=True)]
    axes = tuple(0 if b else None for b in batched)
    members = [tuple(a[i] if b else a for a, b in zip(args, batched, strict=True)) for i in range(3)]
    stack = lambda rows: trees.map(lambda *r: np.stack(r), *rows)  # noqa: E731
    all_of = (0, 1, 2)
    close(cr.vmap(scanned, axes)(*args), stack([looped(*m) for m in members]))
    close(cr.vmap(cr.grad(scanned, all_of), axes)(*args), stack([cr.grad(looped, all_of)(*m) for m in members]))
    total = lambda f: lambda *a: np.sum(f(*a))  # noqa: E731
    by_hand = lambda *a: sum(  # noqa: E731
        looped(*[v[i] if b else v for v, b in zip(a, batched, strict=True)]) for i in range(3)
    )
    close(cr.grad(total(cr.vmap(scanned, axes)), all_of)(*args), cr.grad(by_hand, all_of)(*args))
    close(cr.jit(cr.hessian(total(cr.vmap(scanned, axes))))(*args), cr.hessian(by_hand)(*args), rtol=1e-8)
    tangents = tuple(np.ones_like(a) for a in args)
    close(cr.jvp(total(cr.vmap(scanned, axes)), tuple(args), tangents), cr.jvp(by_hand, tuple(args), tangents))


def test_scan_reversed_equals_scan_of_the_flipped() -> None:
    back = lambda w: cr.scan(lambda c, x: (np.sin(w @ c) + x, c * x), H, XS, reverse=True)  # noqa: E731
    flip = lambda w: (lambda r: (r[0], r[1][::-1]))(cr.scan(lambda c, x: (np.sin(w @ c) + x, c * x), H, XS[::-1]))  # noqa: E731
    close(back(W), flip(W))
    close(cr.jacobian(back)(W), cr.jacobian(flip)(W))
    close(cr.jacobian(back, mode="fwd")(W), cr.jacobian(flip)(W))


def test_scan_of_no_steps() -> None:
    f = lambda c, xs: cr.scan(lambda c, x: (c * x, c), c, xs)  # noqa: E731
    last, ys = f(2.0, np.zeros(0))
    assert (last, ys.shape, ys.dtype) == (2.0, (0,), np.float64)
    close(cr.grad(lambda c, xs: f(c, xs)[0], (0, 1))(2.0, np.zeros(0)), (1.0, np.zeros(0)))
    close(cr.vmap(lambda c: f(c, np.zeros(0)))(H), (H, np.zeros((2, 0))))
    assert cr.fori_loop(3, 3, lambda i, v: v * 2, 1.5) == cr.fori_loop(5, 2, lambda i, v: v * 2, 1.5) == 1.5


def test_scan_whose_body_stops_every_gradient() -> None:
    """Its backward scan has no argument at all."""

    def stopped(x: Any) -> Any:
        return cr.scan(lambda total, part: (total + cr.stop_gradient(part), None), 0.0, x)[0]

    np.testing.assert_array_equal(cr.grad(stopped)(np.ones(3)), np.zeros(3))
    np.testing.assert_array_equal(cr.jit(cr.grad(stopped))(np.ones(3)), np.zeros(3))


def test_scan_with_integers_unused_values_and_trees() -> None:
    table = np.linspace(0, 1, 5)

    def f(t: Any, table: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            n, (v, unused) = c["n"], c["v"]
            v = v * np.array(table, like=n)[n] + x["a"]
            return {"n": n + x["i"], "v": (v, unused)}, {"n": n, "v": [v, None], "one": 1.0}

        init = {"n": 0, "v": (t["start"], t["unused"])}
        return cr.scan(step, init, {"a": t["a"], "i": np.array([1, 2, 1])})

    def plain(t: Any, table: Any) -> Any:
        n, v, out = 0, t["start"], []
        for a, i in zip(t["a"], (1, 2, 1), strict=True):
            v = v * table[n] + a
            n += i
            out.append(v)
        return v + np.sum(np.stack(out) ** 2)

    t = {"start": 0.5, "unused": np.ones(2), "a": np.array([1.0, -2.0, 3.0])}
    last, ys = f(t, table)
    assert last["n"] == 4
    assert ys["n"].tolist() == [0, 1, 3]
    assert ys["v"][1] is None
    close(ys["one"], np.ones(3))
    total = lambda t, table: (lambda r: r[0]["v"][0] + np.sum(r[1]["v"][0] ** 2))(f(t, table))  # noqa: E731
    close(cr.grad(total, (0, 1))(t, table), cr.grad(plain, (0, 1))(t, table))
    close(cr.jit(cr.hvp(lambda a: total({**t, "a": a}, table)))(t["a"], t["a"]),
          cr.hvp(lambda a: plain({**t, "a": a}, table))(t["a"], t["a"]))  # fmt: skip


def test_body_that_closes_over_values_at_three_depths() -> None:
    def f(x: Any) -> Any:
        def outer(c: Any, a: Any) -> Any:
            def inner(d: Any, b: Any) -> Any:
                yes = lambda v: cr.grad(lambda u: np.sin(u * x) * c * a)(v) + b  # noqa: E731
                return cr.cond(d > 0, yes, lambda v: v * a, d), d * x

            last, seen = cr.scan(inner, c, np.array([0.1, -0.2]))
            return last + x, np.sum(seen)

        last, sums = cr.scan(outer, x, np.array([0.3, 0.7, -0.4]))
        return last * np.sum(sums)

    def plain(x: Any) -> Any:
        c, sums = x, 0.0
        for a in (0.3, 0.7, -0.4):
            d = c
            for b in (0.1, -0.2):
                sums = sums + d * x
                d = np.cos(d * x) * x * c * a + b if d > 0 else d * a
            c = d + x
        return c * sums

    for point in (0.4, 1.3, -0.8):
        close(f(point), plain(point))
        close(cr.grad(f)(point), cr.grad(plain)(point))
        close(cr.grad(cr.grad(f))(point), cr.grad(cr.grad(plain))(point))
        close(cr.jvp(cr.grad(f), (point,), (1.0,))[1], cr.grad(cr.grad(plain))(point))
    points = np.array([0.4, 1.3, -0.8])
    close(cr.vmap(cr.grad(f))(points), np.stack([cr.grad(plain)(p) for p in points]))
    close(cr.jit(cr.vmap(cr.checkpoint(f)))(points), np.stack([plain(p) for p in points]))


def test_cond_forms() -> None:
    assert cr.cond(1, lambda: 2, lambda: 3) == 2
    assert cr.cond(np.float32(0), lambda: 2, lambda: 3) == 3
    assert cr.cond(True, lambda v: None, lambda v: None, H) is None
    constant = lambda x: cr.cond(x > 0, lambda: 1.0, lambda: x)  # noqa: E731
    assert [cr.grad(constant)(v) for v in (1.0, -1.0)] == [0.0, 1.0]
    close(cr.vmap(cr.grad(constant))(np.array([1.0, -1.0])), np.array([0.0, 1.0]))
    guarded = lambda x: cr.cond(x > 0, np.log, lambda v: v * 3, x)  # noqa: E731
    close(cr.vmap(cr.grad(guarded))(np.array([2.0, -1.0, 0.0])), np.array([0.5, 3.0, 3.0]))
    assert cr.grad(guarded)(0.0) == 3.0


def test_only_the_branch_taken_runs() -> None:
    ran = []
    noisy = cr.custom_vjp(lambda x: x)  # any function: what matters is that evaluating the other branch would fail

    def fails(x: Any) -> Any:
        return np.linalg.inv(np.zeros((2, 2)) * x)[0, 0]

    noisy.defvjp(lambda x: (x, None), lambda res, ct: (ct,))
    assert cr.cond(True, noisy, fails, 2.0) == 2.0
    assert cr.grad(lambda x: cr.cond(x > 0, noisy, fails, x))(2.0) == 1.0
    assert not ran


def test_while_loop_with_captured_values_batched() -> None:
    def f(x: Any, rate: Any, limit: Any) -> Any:
        return cr.while_loop(lambda s: s[1] < limit, lambda s: (s[0] + 1, s[1] * rate + 0.1), (0, x))

    def plain(x: Any, rate: Any, limit: Any) -> Any:
        n = 0
        while x < limit:
            n, x = n + 1, x * rate + 0.1
        return n, x

    values = [np.array([0.5, 2.0, 9.0]), np.array([1.5, 1.1, 3.0]), np.array([4.0, 1.0, 7.0])]
    for batched in list(itertools.product([True, False], repeat=3))[:-1]:
        args = [v if b else v[0] for v, b in zip(values, batched, strict=True)]
        axes = tuple(0 if b else None for b in batched)
        members = [tuple(a[i] if b else a for a, b in zip(args, batched, strict=True)) for i in range(3)]
        close(cr.vmap(f, axes)(*args), trees.map(lambda *r: np.stack(r), *[plain(*m) for m in members]))
        slope = lambda *a: cr.jvp(lambda x, r: f(x, r, a[2])[1], a[:2], (1.0, 1.0))[1]  # noqa: E731
        by_hand = lambda *a: cr.jvp(lambda x, r: plain(x, r, a[2])[1], a[:2], (1.0, 1.0))[1]  # noqa: E731
        close(cr.vmap(slope, axes)(*args), np.stack([by_hand(*m) for m in members]))


def test_fori_loop_with_a_traced_bound() -> None:
    power = cr.jit(lambda x, n: cr.fori_loop(0, n, lambda i, v: v * x + i, 1.0))
    for n in (0, 1, 4):
        expected = 1.0
        for i in range(n):
            expected = expected * 0.5 + i
        assert power(0.5, n) == expected
    slope = cr.jvp(lambda x: cr.fori_loop(0, 3, lambda i, v: v * x, 1.0), (2.0,), (1.0,))[1]
    loop = lambda n: lambda x: cr.fori_loop(0, n, lambda i, v: v * x, 1.0)  # noqa: E731
    assert cr.jit(lambda n: cr.jvp(loop(n), (2.0,), (1.0,))[1])(3) == slope
    assert slope == 12.0


def test_custom_rule_with_plain_and_integer_arguments_and_trees() -> None:
    def power(n: int, t: Any, which: Any) -> Any:
        return {"y": t["x"] ** n, "i": which}

    rule = cr.custom_vjp(power, nondiff_argnums=(0,))
    rule.defvjp(
        lambda n, t, which: (rule(n, t, which), t["x"]),
        lambda n, x, ct: ({"x": 10 * n * x ** (n - 1) * ct["y"], "z": None}, None),
    )
    assert rule(3, {"x": 2.0, "z": 1.0}, 1) == {"y": 8.0, "i": 1}
    f = lambda x, z: rule(3, {"x": x, "z": z}, 1)["y"]  # noqa: E731
    assert cr.grad(f, (0, 1))(2.0, 1.0) == (120.0, 0.0)
    close(cr.vmap(cr.grad(f, (0, 1)))(H, H), (30 * H**2, np.zeros(2)))
    assert cr.grad(lambda x: cr.grad(f)(x, 1.0))(2.0) == 120.0
    value, pullback = cr.vjp(lambda x: rule(2, {"x": x, "z": 0.0}, np.arange(2)), H)
    close(value, {"y": H**2, "i": np.arange(2)})
    close(pullback({"y": np.ones(2), "i": np.zeros(2)})[0], 20 * H)


def test_custom_rule_where_the_plain_derivative_fails() -> None:
    """log1pexp with a stable rule (the example of JAX's documentation)."""
    stable = cr.custom_vjp(lambda x: np.log(1.0 + np.exp(x)))
    stable.defvjp(lambda x: (stable(x), x), lambda x, ct: ((1 - 1 / (1 + np.exp(x))) * ct,))
    assert cr.grad(stable)(100.0) == 1.0
    close(cr.vmap(cr.grad(stable))(np.array([0.0, 100.0])), np.array([0.5, 1.0]))
    close(cr.grad(lambda x: cr.scan(lambda c, v: (stable(c * v), None), x, np.ones(3))[0])(100.0), 1.0)


def test_checkpoint_forms() -> None:
    f = cr.checkpoint(lambda t, *, k: {"y": np.sin(t["x"]) * k, "n": None})
    close(f({"x": 1.0}, k=2.0), {"y": np.sin(1.0) * 2, "n": None})
    close(cr.grad(lambda x, k: f({"x": x}, k=k)["y"], (0, 1))(1.0, 2.0), (np.cos(1.0) * 2, np.sin(1.0)))
    branchy = cr.checkpoint(lambda x: x * x if x > 0 else -x)  # values are known under grad
    assert [cr.grad(branchy)(v) for v in (3.0, -3.0)] == [6.0, -1.0]
    outer = lambda a: cr.grad(cr.checkpoint(lambda x: np.sin(x * a)))(a)  # noqa: E731
    close(cr.grad(outer)(0.7), cr.grad(lambda a: a * np.cos(a * a))(0.7))
