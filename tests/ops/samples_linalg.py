"""Samples for linear algebra.

Factorisations that read one triangle have the derivative of just that, so every direction will do.  Complex vectors
that are determined up to a phase only are left to tests of functions that do not depend on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from samples import Sample, add, cnormal, normal


def positive(*shape: int, draw: Callable[..., Any] = normal) -> Any:
    """Hermitian positive definite matrices."""
    x = draw(*shape, shape[-1])
    return x @ np.conj(np.swapaxes(x, -1, -2)) + np.eye(shape[-1])


def hermitian(x: Any) -> Any:
    """The Hermitian part."""
    return (x + np.conj(np.swapaxes(x, -1, -2))) / 2


def apart(*shape: int, draw: Callable[..., Any] = normal) -> Any:
    """Matrices whose eigenvalues and singular values are well apart."""
    n, m = shape[-2:]
    return 0.3 * draw(*shape) + np.eye(n, m) * np.arange(1.0, m + 1)


def near(x: Any, y: Any) -> bool:
    """Equal up to rounding."""
    return bool(np.allclose(x, y, rtol=1e-10, atol=1e-10))


def adjoint(x: Any) -> Any:
    """The conjugate transpose."""
    return np.conj(np.swapaxes(x, -1, -2))


def minor(a: Any, i: int, j: int) -> float:
    """The determinant without row i and column j."""
    rest = np.delete(np.delete(a, i, 0), j, 1)
    return float(np.linalg.det(rest)) if rest.size else 1.0


def leibniz(a: Any) -> Any:
    """The determinant by its definition, a sum over permutations."""
    n = a.shape[-1]
    total = np.zeros(a.shape[:-2], a.dtype)
    for order in itertools.permutations(range(n)):
        sign = np.linalg.det(np.eye(n)[list(order)])
        total = total + round(sign) * np.prod([a[..., i, j] for i, j in enumerate(order)], axis=0)
    return total


for _draw in (normal, cnormal):
    add(
        "solve",
        Sample((apart(3, 3, draw=_draw), _draw(3, 2)), holds=lambda x, a, b: near(a @ x, b)),
        Sample((apart(2, 3, 3, draw=_draw), _draw(3, 1)), holds=lambda x, a, b: near(a @ x, b)),
        Sample((apart(1, 1, draw=_draw), _draw(4, 1, 2)), holds=lambda x, a, b: near(a @ x, b)),
    )
    for _shape in ((3, 3), (2, 2, 2), (1, 1), (0, 2, 2)):
        _matrix = apart(*_shape, draw=_draw)
        add("det", Sample((_matrix,), value=leibniz))
        add("slogdet", Sample((_matrix,), holds=lambda sign, size, a: near(sign * np.exp(size), np.linalg.det(a))))
        add("cholesky", Sample((positive(*_shape[:-1], draw=_draw),), holds=lambda c, a: (
            near(c @ adjoint(c), a) and near(c, np.tril(c)) and bool(np.all(np.diagonal(c, 0, -2, -1).real > 0))
        )))  # fmt: skip
    for _shape in ((3, 2), (2, 3), (2, 2, 2), (1, 1)):
        add("pinv", Sample((apart(*_shape, draw=_draw), np.array(1e-12)), loose=10, holds=lambda p, a, cut: (
            near(a @ p @ a, a) and near(p @ a @ p, p) and near(a @ p, adjoint(a @ p)) and near(p @ a, adjoint(p @ a))
        )))  # fmt: skip
    add("pinv", Sample((apart(2, 3, 2, draw=_draw), np.full(2, 1e-12)), loose=10, holds=lambda p, a, cut: (
        near(p @ a, np.broadcast_to(np.eye(2), (2, 2, 2))))))  # fmt: skip
    for _axes, _keep in (((0,), False), ((1,), True), ((0, 1), False)):
        add("norm", Sample((_draw(2, 3),), {"axes": _axes, "keepdims": _keep}, value=lambda x, a=_axes, k=_keep: (
            np.sum(np.abs(x) ** 2, axis=a, keepdims=k) ** 0.5)))  # fmt: skip
for _shape in ((3, 3), (2, 2), (1, 1)):
    add("cofactor", Sample((apart(*_shape),), loose=10, value=lambda a: np.array(
        [[(-1) ** (i + j) * minor(a, i, j) for j in range(len(a))] for i in range(len(a))])))  # fmt: skip
for _upper in (False, True):
    for _shape in ((3,), (2, 2), (1,)):
        _matrix = hermitian(apart(*_shape, _shape[-1]))
        add("eigh", Sample((_matrix,), {"upper": _upper}, loose=10, holds=lambda w, v, a: (
            near(a @ v, v * w[..., None, :]) and near(adjoint(v) @ v, np.eye(a.shape[-1]))
            and bool(np.all(np.diff(w) >= 0)))))  # fmt: skip
for _draw in (normal, cnormal):
    for _shape in ((3, 3), (2, 2, 2)):
        add("eig", Sample((apart(*_shape, draw=_draw),), loose=10,
                          holds=lambda w, v, a: near(a @ v, v * w[..., None, :])))  # fmt: skip
for _shape, _full in (((3, 2), False), ((2, 3), False), ((2, 2, 2), False), ((3, 3), True), ((1, 1), False)):
    add("qr", Sample((apart(*_shape),), {"full": _full}, loose=10, holds=lambda q, r, a: (
        near(q @ r, a) and near(adjoint(q) @ q, np.eye(q.shape[-1])) and near(r, np.triu(r)))))  # fmt: skip
    add("svd", Sample((apart(*_shape),), {"full": _full}, loose=10, holds=lambda u, s, vh, a: (
        near(u * s[..., None, :] @ vh, a) and near(adjoint(u) @ u, np.eye(u.shape[-1]))
        and near(vh @ adjoint(vh), np.eye(vh.shape[-2])) and bool(np.all(np.diff(s) <= 0)))))  # fmt: skip
