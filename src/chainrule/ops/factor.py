"""Factorisations of stacks of matrices: Cholesky, eigenvalues, QR, singular values.

Each derivative is written once, as the tangent (see ``differential``).  Sources:

- Cholesky, eigenvalues: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
  differentiation", 2008; I. Murray, "Differentiation of the Cholesky decomposition", arXiv:1602.07527.
- QR: S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions", 2010.
- SVD: J. Townsend, "Differentiating the singular value decomposition", 2016; complex: Z.-Q. Wan and S.-X. Zhang,
  arXiv:1909.02659.

Conventions.  ``cholesky`` and ``eigh`` read one triangle, as NumPy does, and have the derivative of just that:
gradients are triangular; (g + gᵀ)/2 is the symmetric form that some libraries give.  Eigenvectors and singular vectors
are determined up to a phase (and, for equal eigenvalues, up to a rotation): derivatives are those of functions that do
not depend on that choice.
Equal eigenvalues or singular values: the derivative of the values themselves is right; that of the vectors does not
exist, and comes out infinite or NaN rather than as a number that looks right.

Does not do: the columns that complete a basis (``full``) move with the least rotation among themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import INT, Spec, complex_dtype, real_dtype
from chainrule.ops.differential import differential
from chainrule.ops.expr import Expr
from chainrule.ops.linalg import (
    Tangents,
    adjoint,
    checked,
    columns,
    diagonal,
    is_complex,
    lower,
    matrix,
    part,
    product,
    read_triangle,
    rows,
    solve,
    square,
    stacked,
)
from chainrule.ops.matmul import matmul
from chainrule.ops.pointwise import cast_like, conj, equal, imag, make_complex, real, where
from chainrule.ops.record import op, sum_over, zeros_like
from chainrule.ops.shape import swap


def _cholesky_rule(a: Spec) -> Spec:
    square("cholesky", a)
    return a


def _cholesky_tangent(tangents: Tangents, out: Expr, args: Sequence[Expr]) -> Expr:
    half = solve(out, read_triangle(tangents[0]))  # L⁻¹ dA
    return matmul(out, lower(solve(out, adjoint(half)), 0.5))  # type: ignore[no-any-return]


cholesky = differential(
    "cholesky",
    checked("cholesky", "Hermitian positive definite matrices", "add a small multiple of np.eye(n)")(
        lambda a: np.linalg.cholesky(a)
    ),
    shape_rule=_cholesky_rule,
    tangent=_cholesky_tangent,
    batching=stacked("cholesky"),
    latex=r"\operatorname{chol} #0",
    sentence="factors a positive definite matrix into a lower triangle times its transpose",
)


def _eigh_rule(a: Spec, upper: bool) -> tuple[Spec, Spec]:
    square("eigh", a)
    return Spec(a.shape[:-1], real_dtype(a.dtype)), a


def _gaps(values: Expr) -> Expr:
    """1/(vⱼ - vᵢ) off the diagonal, 0 on it; infinite where two values are equal (see the module's conventions)."""
    difference = columns(values) - rows(values)
    n = values.shape[-1]
    diagonal_ones = values.builder.constant(np.eye(n, dtype=bool))
    return where(diagonal_ones, 0.0, 1 / where(diagonal_ones, 1.0, difference))  # type: ignore[no-any-return]


def _eigh_tangent(tangents: Tangents, out: Any, args: Sequence[Expr], upper: bool) -> tuple[Any, Any]:
    w, v = out
    inner = product(adjoint(v), read_triangle(tangents[0], upper), v)
    on_diagonal = diagonal(inner)
    return real(on_diagonal) if is_complex(inner) else on_diagonal, matmul(v, inner * _gaps(w))


eigh = differential(
    "eigh",
    lambda a, upper: tuple(np.linalg.eigh(a, "U" if upper else "L")),
    shape_rule=_eigh_rule,
    tangent=_eigh_tangent,
    batching=stacked("eigh"),
    latex=r"\operatorname{eigh} #0",
    sentence="finds the eigenvalues, from small to large, and eigenvectors of a Hermitian matrix",
)


def _eig(a: Any) -> Any:
    kind = complex_dtype(a.dtype)
    w, v = np.linalg.eig(a)
    return w.astype(kind), v.astype(kind)


def _eig_rule(a: Spec) -> tuple[Spec, Spec]:
    square("eig", a)
    kind = complex_dtype(a.dtype)
    return Spec(a.shape[:-1], kind), Spec(a.shape, kind)


def _eig_tangent(tangents: Tangents, out: Any, args: Sequence[Expr]) -> tuple[Any, Any]:
    w, v = out
    inner = solve(v, matmul(cast_like(tangents[0], v), v))
    free = matmul(v, inner * _gaps(w))
    # LAPACK scales each vector to length 1 with its largest component real, and the tangent keeps both.
    length = sum_over(real(conj(v) * free), (v.ndim - 2,), keepdims=True)
    turn = imag(_largest(v, free)) / real(_largest(v, v))
    return diagonal(inner), free - v * make_complex(length, turn)


def _largest(v: Expr, x: Expr) -> Expr:
    """The entries of ``x`` at each column's largest component of ``v``: (…, n, n) → (…, 1, n)."""
    size = real(v) * real(v) + imag(v) * imag(v)
    here = equal(columns(op("argmax")(size, axis=v.ndim - 2)), _row_numbers(v))
    return sum_over(where(here, x, 0.0), (v.ndim - 2,), keepdims=True)


def _row_numbers(v: Expr) -> Expr:
    return v.builder.constant(np.arange(v.shape[-2], dtype=INT)[:, None])  # type: ignore[no-any-return]


eig = differential(
    "eig",
    _eig,
    shape_rule=_eig_rule,
    tangent=_eig_tangent,
    batching=stacked("eig"),
    latex=r"\operatorname{eig} #0",
    sentence="finds the eigenvalues and eigenvectors, as complex numbers",
)


def _qr_rule(a: Spec, full: bool) -> tuple[Spec, Spec]:
    matrix("qr", a)
    *lead, m, n = a.shape
    k = m if full else min(m, n)
    return Spec((*lead, m, k), a.dtype), Spec((*lead, k, n), a.dtype)


def _qr_tangent(tangents: Tangents, out: Any, args: Sequence[Expr], full: bool) -> tuple[Any, Any]:
    (a,), (da,) = args, tangents
    q, r = out
    m, n = a.shape[-2:]
    k = min(m, n)
    q1, r1, da1 = part(q, -1, 0, k), part(part(r, -2, 0, k), -1, 0, k), part(da, -1, 0, k)
    scaled = swap(solve(swap(r1), swap(da1)))  # dA R⁻¹
    inner = matmul(adjoint(q1), scaled)
    below = lower(inner, 0.0)
    turn = below - adjoint(below)
    if is_complex(a):  # the diagonal of R is real
        turn = turn + lower(make_complex(zeros_like(imag(inner)), imag(inner)), 1.0, 0.0)
    dq = matmul(q1, turn - inner) + scaled
    dr = matmul(inner - turn, r1)
    if n > k:
        rest = matmul(adjoint(dq), part(a, -1, k, n)) + matmul(adjoint(q1), part(da, -1, k, n))
        dr = op("concatenate")(dr, rest, axis=a.ndim - 1)
    if q.shape[-1] > k:
        dq = _complete(q, q1, dq, k)
        dr = op("concatenate")(dr, zeros_like(part(r, -2, k, m)), axis=a.ndim - 2)
    return dq, dr


def _complete(q: Expr, q1: Expr, dq1: Expr, k: int) -> Expr:
    """The tangent of an orthonormal basis from that of its first k columns: the others turn as little as they can."""
    q2 = part(q, -1, k, q.shape[-1])
    dq2 = -product(q1, adjoint(dq1), q2)
    result: Expr = op("concatenate")(dq1, dq2, axis=q.ndim - 1)
    return result


qr = differential(
    "qr",
    lambda a, full: tuple(np.linalg.qr(a, "complete" if full else "reduced")),
    shape_rule=_qr_rule,
    tangent=_qr_tangent,
    batching=stacked("qr"),
    latex=r"\operatorname{qr} #0",
    sentence="factors a matrix into orthonormal columns times an upper triangle",
)


def _svd_rule(a: Spec, full: bool) -> tuple[Spec, Spec, Spec]:
    matrix("svd", a)
    *lead, m, n = a.shape
    k = min(m, n)
    left, right = (m, n) if full else (k, k)
    return (
        Spec((*lead, m, left), a.dtype),
        Spec((*lead, k), real_dtype(a.dtype)),
        Spec((*lead, right, n), a.dtype),
    )


def _svd_tangent(tangents: Tangents, out: Any, args: Sequence[Expr], full: bool) -> tuple[Any, Any, Any]:
    (a,), (da,) = args, tangents
    u_all, s, vh_all = out
    m, n = a.shape[-2:]
    k = min(m, n)
    u, vh = part(u_all, -1, 0, k), part(vh_all, -2, 0, k)
    v = adjoint(vh)
    inner = product(adjoint(u), da, v)
    on_diagonal = diagonal(inner)
    ds = real(on_diagonal) if is_complex(inner) else on_diagonal
    # 1/(sⱼ² - sᵢ²), as the product of two factors that lose less than the difference of squares.
    total = columns(s) + rows(s)
    gaps = _gaps(s) / where(equal(total, 0), 1.0, total)
    along, across = inner * columns(s), rows(s) * inner
    turn_u = gaps * (along + adjoint(along))
    turn_v = gaps * (across + adjoint(across))
    if is_complex(a):  # the common phase of a pair of vectors, given to u
        turn_u = turn_u + lower((inner - adjoint(inner)) * 0.5 / columns(s), 1.0, 0.0)
    du, dv = matmul(u, turn_u), matmul(v, turn_v)
    if m > k:
        outside = matmul(da, v)
        du = du + (outside - matmul(u, inner)) / columns(s)
    if n > k:
        outside = matmul(adjoint(da), u)
        dv = dv + (outside - matmul(v, adjoint(inner))) / columns(s)
    if u_all.shape[-1] > k:
        du = _complete(u_all, u, du, k)
    if vh_all.shape[-2] > k:
        dv = _complete(adjoint(vh_all), v, dv, k)
    return du, ds, adjoint(dv)


svd = differential(
    "svd",
    checked("svd", "finite matrices", "look for NaN and infinity in them")(
        lambda a, full: tuple(np.linalg.svd(a, full_matrices=full))
    ),
    shape_rule=_svd_rule,
    tangent=_svd_tangent,
    batching=stacked("svd"),
    latex=r"\operatorname{svd} #0",
    sentence="factors a matrix into a rotation, a scaling by the singular values, and a rotation",
)

__all__ = ["cholesky", "eig", "eigh", "qr", "svd"]
