"""The public transforms give what JAX's of the same name give: values, structures, shapes and dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule as cr

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")


@pytest.fixture(autouse=True)
def float64() -> Any:
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        yield


class Point(NamedTuple):
    x: Any
    y: Any


class Library(NamedTuple):
    """One function written once, for both: ``np`` or ``jnp``, the transforms, and the control flow."""

    np: Any
    t: Any
    cond: Any
    scan: Any
    while_loop: Any
    fori_loop: Any
    stop_gradient: Any
    hvp: Any


def _jax_hvp(f: Any) -> Any:
    return lambda x, v: jax.jvp(jax.grad(f), (x,), (v,))[1]


OURS = Library(np, cr, cr.cond, cr.scan, cr.while_loop, cr.fori_loop, cr.stop_gradient, cr.hvp)
V, W = np.array([0.3, -1.2, 0.8]), np.array([[0.5, -0.2, 0.1], [1.5, 0.4, -0.9]])
Z = np.array([0.3 + 0.4j, -1.0 + 0.2j])
TREE = {"w": W, "rest": [V, (2.0, None)], "point": Point(0.5, V)}


def _theirs() -> Library:
    class transforms:
        grad, value_and_grad, vjp, jvp = jax.grad, jax.value_and_grad, jax.vjp, jax.jvp
        hessian, vmap, jit, checkpoint = jax.hessian, jax.vmap, jax.jit, jax.checkpoint

        @staticmethod
        def jacobian(f: Any, argnums: Any = 0, mode: str = "rev") -> Any:
            return (jax.jacrev if mode == "rev" else jax.jacfwd)(f, argnums)

    lax = jax.lax
    return Library(
        jnp, transforms, lax.cond, lax.scan, lax.while_loop, lax.fori_loop, lax.stop_gradient, _jax_hvp
    )


def of_tree(lib: Library) -> Callable[[Any], Any]:
    def f(t: Any) -> Any:
        w, (v, (s, _)), p = t["w"], t["rest"], t["point"]
        return lib.np.sum(lib.np.tanh(w @ v)) * s + p.x**2 * lib.np.sum(p.y * v)

    return f


def two(lib: Library) -> Callable[[Any, Any, Any], Any]:
    return lambda a, b, k: lib.np.sum(lib.np.sin(a) * b**2) * k


def to_tree(lib: Library) -> Callable[[Any], Any]:
    return lambda v: {"a": lib.np.sin(v), "b": [v[0] * v[1], None, (lib.np.outer(v, v),)]}


def power(lib: Library) -> Callable[[Any], Any]:
    """A power spectrum of complex input: real result."""
    return lambda z: lib.np.sum(lib.np.abs(lib.np.exp(z) * z) ** 2 + lib.np.real(z * z))


def rnn(lib: Library) -> Callable[[Any], Any]:
    """Recurrence with weights that the body closes over, two carries and stacked outputs."""

    def f(t: Any) -> Any:
        w = t["w"]

        def step(carry: Any, x: Any) -> Any:
            h, total = carry
            h = lib.np.tanh(w @ h + x)
            return (h, total + lib.np.sum(h)), {"h": h, "n": None}

        (h, total), out = lib.scan(step, (t["h"], 0.0), t["xs"])
        return total + lib.np.sum(out["h"] ** 2) + h[0]

    return f


RNN = {"w": np.array([[0.2, -0.5], [0.7, 0.1]]), "h": np.array([0.1, 0.2]), "xs": np.linspace(-1, 1, 8).reshape(4, 2)}


def reverse_scan(lib: Library) -> Callable[[Any], Any]:
    return lambda v: lib.np.sum(lib.scan(lambda c, x: (c * x, c + x), v[0], v, reverse=True)[1] ** 2)


def scan_in_scan(lib: Library) -> Callable[[Any], Any]:
    def f(w: Any) -> Any:
        def row(c: Any, r: Any) -> Any:
            inner, seen = lib.scan(lambda d, x: (lib.np.sin(d * x + c), d * c), c, r)
            return inner, lib.np.sum(seen)

        last, sums = lib.scan(row, 1.0, w)
        return last + lib.np.sum(sums * w[:, 0])

    return f


def cond_in_scan(lib: Library) -> Callable[[Any], Any]:
    def f(v: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            c = lib.cond(x > 0, lambda a: a * x + v[0], lambda a: lib.np.sin(a) - x, c)
            return c, c

        return lib.np.sum(lib.scan(step, v[1], v)[1])

    return f


def fori(lib: Library) -> Callable[[Any], Any]:
    return lambda v: lib.np.sum(lib.fori_loop(0, 3, lambda i, x: lib.np.sin(x) * (i + 1) + v, v))


def grad_in_scan(lib: Library) -> Callable[[Any], Any]:
    """Gradient descent as a loop, differentiated: inner transforms in a body, over closed-over outer values."""

    def f(v: Any) -> Any:
        def step(p: Any, _: Any) -> Any:
            return p - 0.1 * lib.t.grad(lambda q: lib.np.sum((q - v) ** 4))(p), None

        return lib.np.sum(lib.scan(step, lib.np.zeros_like(v), None, length=4)[0] * v)

    return f


def jacobian_in_cond(lib: Library) -> Callable[[Any], Any]:
    def f(v: Any) -> Any:
        def yes(u: Any) -> Any:
            return lib.np.sum(lib.t.jacobian(lambda x: lib.np.sin(x) * v)(u) @ u)

        return lib.cond(v[0] > 0, yes, lambda u: lib.np.sum(u), v)

    return f


def stopped(lib: Library) -> Callable[[Any], Any]:
    return lambda v: lib.np.sum(lib.stop_gradient(v) * v + lib.stop_gradient({"a": v * v})["a"])


SCALAR: dict[str, tuple[Callable[[Library], Any], Any]] = {
    "tree": (of_tree, TREE),
    "rnn": (rnn, RNN),
    "reverse scan": (reverse_scan, V),
    "scan in scan": (scan_in_scan, W),
    "cond in scan": (cond_in_scan, V),
    "fori_loop": (fori, V),
    "grad in scan": (grad_in_scan, V),
    "jacobian in cond": (jacobian_in_cond, V),
    "stop_gradient": (stopped, V),
    "complex": (power, Z),
}


def same(ours: Any, theirs: Any, rtol: float = 1e-10) -> None:
    """The same tree, and at each leaf the same dtype, shape and numbers."""
    mine, structure = jax.tree.flatten(ours)
    other, expected = jax.tree.flatten(theirs)
    assert structure == expected
    for a, b in zip(mine, other, strict=True):
        assert isinstance(a, np.ndarray if np.ndim(b) else np.generic)
        b = np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)


def both(make: Callable[[Library], Any]) -> tuple[Any, Any]:
    """What ``make`` makes of either library."""
    return make(OURS), jax.jit(lambda: make(_theirs()))()  # compiled: eager JAX compiles op by op


@pytest.mark.parametrize("name", SCALAR)
def test_first_derivatives(name: str) -> None:
    make, x = SCALAR[name]
    ones = jax.tree.map(np.ones_like, x)

    def derivatives(lib: Library) -> Any:
        f = make(lib)
        return (
            lib.t.value_and_grad(f)(x),
            lib.t.vjp(lib.t.checkpoint(f), x)[1](lib.np.asarray(0.5))[0],
            lib.t.jvp(lib.t.jit(f), (x,), (ones,)),
        )

    same(*both(derivatives))
    same(cr.jit(cr.grad(cr.jit(make(OURS))))(x), cr.grad(make(OURS))(x))


@pytest.mark.parametrize("name", [n for n in SCALAR if n != "complex"])
def test_second_derivatives(name: str) -> None:
    make, x = SCALAR[name]
    ones = jax.tree.map(np.ones_like, x)

    def derivatives(lib: Library) -> Any:
        f = make(lib)
        return lib.t.hessian(f)(x), lib.t.grad(lambda p: lib.t.jvp(f, (p,), (ones,))[1])(x)

    same(*both(derivatives), rtol=1e-8)
    same(cr.hvp(make(OURS))(x, ones), derivatives(OURS)[1], rtol=1e-8)


@pytest.mark.parametrize("name", SCALAR)
def test_vmap(name: str) -> None:
    make, x = SCALAR[name]
    batch = jax.tree.map(lambda a: np.stack([a, a * 0.5, -a]), x)

    def mapped(lib: Library) -> Any:
        f = lib.t.vmap(make(lib))
        return f(batch), lib.t.grad(lambda b: lib.np.sum(f(b)))(batch)

    ours, theirs = both(mapped)
    same(ours, theirs)
    same(cr.vmap(cr.grad(make(OURS)))(batch), theirs[1])
    if name != "complex":
        members = [jax.tree.map(lambda a, i=i: a[i], batch) for i in range(3)]
        loop = [cr.hvp(make(OURS))(m, m) for m in members]
        same(cr.vmap(lambda p: cr.hvp(make(OURS))(p, p))(batch), jax.tree.map(lambda *a: np.stack(a), *loop))


@pytest.mark.parametrize("argnums", [0, 1, -1, (0, 1), (1, 0), (-2,), [0, 2]])
def test_argnums(argnums: Any) -> None:
    args = (V, V + 1.0, 2.0)
    names = ("value_and_grad", "hessian", "jacobian")
    same(*both(lambda lib: [getattr(lib.t, name)(two(lib), argnums)(*args) for name in names]), rtol=1e-9)


def test_aux() -> None:
    def make(lib: Library) -> Any:
        return lambda v: (lib.np.sum(v**3), {"n": lib.np.argmax(v), "v": [v], "none": None, "one": 1})

    same(*both(lambda lib: lib.t.grad(make(lib), has_aux=True)(V)))
    same(*both(lambda lib: lib.t.value_and_grad(make(lib), has_aux=True)(V)))
    out, pullback, aux = cr.vjp(make(OURS), V, has_aux=True)
    expected, pulled, more = jax.vjp(make(_theirs()), V, has_aux=True)
    same((out, pullback(2.0), aux), (expected, pulled(2.0), more))


@pytest.mark.parametrize("mode", ["rev", "fwd"])
def test_jacobian(mode: str) -> None:
    same(*both(lambda lib: lib.t.jacobian(to_tree(lib), mode=mode)(V)))
    same(*both(lambda lib: lib.t.jacobian(lambda t: lib.np.sin(t["w"]) @ t["rest"][0] * t["point"].x, mode=mode)(TREE)))
    same(*both(lambda lib: lib.t.vmap(lib.t.jacobian(to_tree(lib), mode=mode))(W)))
    same(*both(lambda lib: lib.t.jacobian(lib.t.jacobian(to_tree(lib), mode=mode))(V)))
    same(*both(lambda lib: lib.t.jacobian(lambda v: v[:0] * 2, mode=mode)(V)))


def test_vjp_and_jvp_of_trees() -> None:
    def cotangent(lib: Library) -> Any:
        return {"a": lib.np.asarray(V), "b": [lib.np.asarray(2.0), None, (lib.np.ones((3, 3)),)]}

    same(*both(lambda lib: lib.t.vjp(to_tree(lib), V)[1](cotangent(lib))))
    same(*both(lambda lib: lib.t.jvp(to_tree(lib), (V,), (V[::-1],))))
    same(*both(lambda lib: lib.t.jvp(two(lib), (V, V, 2.0), (V, -V, 1.0))))


AXES: list[tuple[Any, Any, Any]] = [
    (0, 0, (W, W)),
    ((0, None), 0, (W, V)),
    ((None, 1), 1, (np.ones(2), W)),
    ((-1, 0), -1, (W, W.T)),
    ([0, 0], 0, (W, W)),
]


@pytest.mark.parametrize(("in_axes", "out_axes", "args"), AXES)
def test_vmap_axes(in_axes: Any, out_axes: Any, args: Any) -> None:
    def make(lib: Library) -> Any:
        return lambda a, b: (a * b, {"s": lib.np.sin(a + b) @ a})

    out = (out_axes, 0)
    same(*both(lambda lib: lib.t.vmap(make(lib), in_axes, out)(*args)))


def test_vmap_prefixes() -> None:
    def make(lib: Library) -> Any:
        return lambda t, k: (t["w"] @ t["rest"][0] * t["point"].x * k, 3.0)

    batch = {"w": np.stack([W, 2 * W]), "rest": [V, (2.0, None)], "point": Point(np.ones(2), V)}
    axes = {"w": 0, "rest": [None, None], "point": Point(0, None)}
    same(*both(lambda lib: lib.t.vmap(make(lib), (axes, None), (1, None))(batch, 2.0)))
    same(*both(lambda lib: lib.t.vmap(lambda a, k: a * k)(V, k=V)))
    same(*both(lambda lib: lib.t.vmap(lib.t.vmap(lambda a, b: a * b, (0, None)), (None, 0))(V, V)))


@pytest.mark.parametrize("batched", [(True, True), (True, False), (False, True)])
def test_vmap_of_cond(batched: tuple[bool, bool]) -> None:
    def make(lib: Library) -> Any:
        def f(p: Any, v: Any) -> Any:
            return lib.cond(p > 0, lambda x: (lib.np.sin(x), 1), lambda x: (x * x * p, 2), v)

        return f

    p = V if batched[0] else 0.5
    v = W.T if batched[1] else W[:, 0]
    axes = tuple(0 if b else None for b in batched)
    same(*both(lambda lib: lib.t.vmap(make(lib), axes)(p, v)))
    total = lambda lib: lambda p, v: lib.np.sum(lib.t.vmap(lambda *a: make(lib)(*a)[0], axes)(p, v))  # noqa: E731
    same(*both(lambda lib: lib.t.grad(total(lib), (0, 1))(p, v)))


def collatz(lib: Library) -> Any:
    """How many steps to fall below one, and the value there: another number of steps for each member."""
    return lambda x, rate: lib.while_loop(lambda s: s[1] > 1.0, lambda s: (s[0] + 1, s[1] * rate), (0, x))


def test_while_loop() -> None:
    x = np.array([9.0, 3.0, 0.5])
    same(*both(lambda lib: lib.t.vmap(collatz(lib), (0, None))(x, 0.7)))
    same(*both(lambda lib: lib.t.vmap(collatz(lib), (None, 0))(5.0, np.array([0.1, 0.9]))))
    same(*both(lambda lib: lib.t.vmap(lib.t.vmap(collatz(lib), (0, None)), (None, 0))(x, np.array([0.1, 0.9]))))
    same(*both(lambda lib: lib.t.jvp(lambda x: collatz(lib)(x, 0.7)[1], (9.0,), (1.0,))))
    forward = lambda lib: lambda x, r: lib.t.jvp(lambda a, b: collatz(lib)(a, b)[1], (x, r), (1.0, 0.5))[1]  # noqa: E731
    same(*both(lambda lib: lib.t.vmap(forward(lib), (0, None))(x, 0.7)))
    same(*both(lambda lib: lib.t.jacobian(lambda v: lib.t.vmap(collatz(lib), (0, None))(v, 0.7)[1], mode="fwd")(x)))


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_custom_vjp(factor: float) -> None:
    """With a rule that calls its own function; factor 2 is a wrong rule, which must be obeyed."""

    def make(lib: Library, plain: bool = False) -> Any:
        rule = code = lambda x, y: lib.np.sin(x) * y
        if not plain:
            rule = (cr.custom_vjp if lib is OURS else jax.custom_vjp)(code)
            rule.defvjp(
                lambda x, y: (rule(x, y), (x, y)),
                lambda res, ct: (factor * ct * lib.np.cos(res[0]) * res[1], ct * lib.np.sin(res[0])),
            )

        def f(v: Any) -> Any:
            last, ys = lib.scan(lambda c, x: (rule(c, x), rule(x, c)), v[0], v)
            return last + lib.np.sum(lib.t.vmap(rule)(ys, v))

        return f

    same(*both(lambda lib: lib.t.value_and_grad(make(lib))(V)))
    same(*both(lambda lib: lib.t.vmap(lib.t.grad(make(lib)))(lib.np.asarray(W))))
    same(*both(lambda lib: lib.t.jit(lib.t.grad(lib.t.checkpoint(make(lib))))(V)))
    if factor == 1.0:
        ours, theirs = make(OURS), make(_theirs(), plain=True)
        same(cr.hessian(ours)(V), jax.jit(jax.hessian(theirs))(V))
        same(cr.vmap(cr.hessian(ours))(W), jax.jit(jax.vmap(jax.hessian(theirs)))(W))
        third = jax.jit(jax.grad(lambda v: jnp.sum(jax.hessian(theirs)(v))))(V)
        same(cr.grad(lambda v: np.sum(cr.hessian(ours)(v)))(V), third)


def test_complex() -> None:
    holomorphic = lambda lib: lambda z: lib.np.exp(z) * z**2  # noqa: E731
    same(*both(lambda lib: lib.t.vjp(holomorphic(lib), Z)[1](lib.np.asarray(Z * 1j))))
    same(*both(lambda lib: lib.t.jvp(holomorphic(lib), (Z,), (Z * 1j,))))
    parts = lambda lib: lib.t.vjp(lambda z: (lib.np.real(z), lib.np.conj(z)), Z)[1]  # noqa: E731
    same(*both(lambda lib: parts(lib)((lib.np.ones(2), lib.np.asarray(Z)))))
    same(*both(lambda lib: lib.t.grad(lambda a: lib.np.sum(lib.np.abs(a * Z) ** 2))(np.ones(2))))


def test_float32_stays() -> None:
    x = V.astype(np.float32)
    f = lambda lib: lambda v: lib.np.sum(lib.np.tanh(v * 2.0) ** 2) / 3  # noqa: E731
    for transform in (
        lambda lib: lib.t.value_and_grad(f(lib))(x),
        lambda lib: lib.t.hessian(f(lib))(x),
        lambda lib: lib.t.jvp(f(lib), (x,), (x,)),
        lambda lib: lib.t.vmap(lib.t.grad(lambda s: lib.np.sin(s) * 2.0))(x),
        lambda lib: lib.t.jacobian(lambda v: v * v * 2.0)(x),
    ):
        same(*both(transform), rtol=2e-5)


def test_perturbation_confusion() -> None:
    """Nested derivatives that share a variable (Siskind and Pearlmutter, 2005)."""
    for make in (
        lambda lib: lib.t.grad(lambda x: x * lib.t.grad(lambda y: x * y)(2.0)),
        lambda lib: lib.t.grad(lambda x: x * lib.t.grad(lambda y: x + y)(1.0)),
        lambda lib: lambda x: lib.t.jvp(lambda a: a * lib.t.jvp(lambda b: a * b, (2.0,), (1.0,))[1], (x,), (1.0,))[1],
        lambda lib: lib.t.grad(lambda x: lib.t.jvp(lambda y: x * y * y, (x,), (x,))[1]),
        lambda lib: lib.t.grad(lambda x: lib.t.grad(lambda y: lib.t.grad(lambda z: x * y * z * z)(y * x))(x * x)),
        lambda lib: lib.t.grad(lambda x: lib.np.sum(lib.t.vmap(lambda y: lib.t.grad(lambda z: z * y * x)(x))(V))),
        lambda lib: lib.t.grad(lambda x: lib.t.vjp(lambda y: x * y, x * 2)[1](x)[0]),
        lambda lib: lib.t.grad(lambda x: lib.np.sum(lib.t.jacobian(lambda v: v * v * x)(V * x))),
    ):
        same(*both(lambda lib, make=make: make(lib)(1.5)))
