"""Rows for products and np.linalg (see ``rows``).  Complex matrices are put together from two real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from rows import n, row

LA = np.linalg
LOOSE = {"rtol": 1e-9}

A, B, C = n(3, 4), n(4, 2), n(2, 3, 4)
V3, V4 = n(3), n(4)
K = n(3, 3) * 0.3 + np.diag([1.0, 2.0, 3.0])
KS = n(2, 3, 3) * 0.3 + np.diag([1.0, 2.0, 3.0])
TALL, WIDE = n(2, 4, 3) + 2 * np.eye(4, 3), n(2, 3, 4) + 2 * np.eye(3, 4)


def t(a: Any) -> Any:
    """The conjugate transpose."""
    return np.conjugate(np.swapaxes(a, -1, -2))


def definite(a: Any) -> Any:
    """A positive definite matrix made of any."""
    return a @ t(a) + np.eye(a.shape[-1], dtype=a.dtype)


def both(x: Any, y: Any) -> Any:
    """A complex array of two real ones."""
    return x + 1j * y


# ----------------------------------------------------------------------------------------------------------- products
row("dot", lambda x, y: np.dot(x, y), A, B)
row("dot vectors", lambda x, y: np.dot(x, y), V4, V4 + 1)
row("dot scalar", lambda x: np.dot(2.0, x), A)
row("dot many axes", lambda x, y: np.dot(x, y), C, n(2, 4, 3))
row("dot matrix vector", lambda x, y: x.dot(y), C, V4)
row("vdot", lambda x, y: np.vdot(x, y), A, A + 1)
row("vdot complex", lambda x, y: np.vdot(both(x, y), both(y, x)), V4, V4 + 1)
row("inner", lambda x, y: np.inner(x, y), A, n(2, 4))
row("inner scalar", lambda x: np.inner(x, 3.0), A)
row("outer", lambda x, y: np.outer(x, y), V3, A)
row("matmul stacks", lambda x, y: np.matmul(x, y), C, n(4, 5))
row("matmul vectors", lambda x, y: (x @ y, y @ x, x @ x), V4, n(4, 4))
row("tensordot", lambda x, y: np.tensordot(x, y, axes=([1, 0], [0, 1])), A, n(4, 3, 2))
row("tensordot 2", lambda x, y: np.tensordot(x, y), C, n(3, 4, 2))
row("tensordot 0", lambda x, y: np.tensordot(x, y, 0), V3, B)
row("tensordot one axis", lambda x, y: np.tensordot(x, y, (-1, 0)), C, B)
row("kron", lambda x, y: np.kron(x, y), A, n(2, 2))
row("kron ranks", lambda x, y: np.kron(x, y), V3, n(2, 1, 2))
row("LA.matmul", lambda x, y: LA.matmul(x, y), C, B)
row("LA.outer", lambda x, y: LA.outer(x, y), V3, V4)
row("LA.tensordot", lambda x, y: LA.tensordot(x, y, axes=1), A, B)
row("LA.vecdot", lambda x, y: LA.vecdot(x, y, axis=1), C, C + 1)
row("LA.vecdot complex", lambda x, y: LA.vecdot(both(x, y), both(y, x)), A, A + 1)
row("LA.cross", lambda x, y: LA.cross(x, y), n(2, 3), V3)
row("LA.multi_dot", lambda x, y, z, w: LA.multi_dot([x, y, z, w]), V3, A, B, n(2, 5))
row("LA.multi_dot two", lambda x, y: LA.multi_dot([x, y]), A, V4)
row("LA.matrix_power", lambda x: LA.matrix_power(x, 5), K, **LOOSE)
row("LA.matrix_power 0 1 -2", lambda x: tuple(LA.matrix_power(x, k) for k in (0, 1, -2)), KS, **LOOSE)
row("LA.diagonal", lambda x: LA.diagonal(x, offset=1), C)
row("LA.trace", lambda x: LA.trace(x), C)
row("LA.matrix_transpose", lambda x: LA.matrix_transpose(x), C)

# ------------------------------------------------------------------------------------------------------------- einsum
for _notation, *_arrays in (
    ("ij,jk->ik", A, B), ("ij,jk", A, B), ("ij,jk,kl->li", A, B, n(2, 3)), ("ij->ji", A), ("ij->", A), ("ij->i", A),
    ("ii", K), ("ii->i", K), ("iij->j", n(3, 3, 2)), ("iii->i", n(3, 3, 3)), ("ijij->ij", n(2, 3, 2, 3)),
    ("bij,bjk->bik", C, n(2, 4, 2)), ("...ij,...jk->...ik", C, n(4, 2)), ("...i,...i", C, V4), ("i...->...", C),
    ("...", A), ("ij,ij->ij", A, A + 1), ("ij,ij,ij->", A, A + 1, A + 2), ("i,j->ij", V3, V4),
    (" i j , j -> i ", A, V4),
    ("ij,kj->ijk", A, n(5, 4)), (",ij->ij", np.array(2.0), A), ("ij,jk,k->", A, B, n(2)), ("ba", A),
    ("...ij,j...->i...", C, n(4, 2)), ("ij,ij->ij", A, n(1, 4)), ("bhqd,bhkd->bhqk", n(2, 2, 3, 4), n(2, 2, 5, 4)),
    ("ab,bc,cd,de->ae", A, B, n(2, 3), n(3, 2)), ("iij,jkk->ik", n(2, 2, 3), n(3, 4, 4)), ("i,i,i->i", V3, V3, V3 + 1),
):  # fmt: skip
    row(f"einsum {_notation} of {len(_arrays)}: {[a.shape for a in _arrays]}",
        lambda *arrays, notation=_notation: np.einsum(notation, *arrays), *_arrays)  # fmt: skip
row("einsum lists", lambda x, y: np.einsum(x, [0, 1], y, [1, 2], [2, 0]), A, B)
row("einsum lists implicit", lambda x, y: np.einsum(x, [Ellipsis, 1], y, [1, 0]), C, B)
row("einsum optimal", lambda x, y, z: np.einsum("ij,jk,kl", x, y, z, optimize="optimal"), A, B, n(2, 3))
row("einsum given path", lambda x, y, z: np.einsum(
    "ij,jk,kl->il", x, y, z, optimize=["einsum_path", (1, 2), (0, 1)]), A, B, n(2, 3))  # fmt: skip
row("einsum complex", lambda x, y: np.abs(np.einsum("ij,kj->ik", both(x, y), both(y, -x))), A, A + 1)

# ------------------------------------------------------------------------------------------------ solving, determinants
row("LA.solve", lambda a, b: LA.solve(a, b), K, n(3, 2), **LOOSE)
row("LA.solve vector", lambda a, b: LA.solve(a, b), KS, V3, **LOOSE)
row("LA.solve stacks", lambda a, b: LA.solve(a, b), KS, n(4, 2, 3, 1), **LOOSE)
row("LA.solve complex", lambda a, b: np.abs(LA.solve(both(a, 0.3 * a), both(b, b[::-1]))), K, n(3, 2), **LOOSE)
row("LA.inv", lambda a: LA.inv(a), KS, **LOOSE)
row("LA.det", lambda a: LA.det(a), KS, **LOOSE)
row("LA.slogdet", lambda a: LA.slogdet(a), KS, **LOOSE)
row("LA.slogdet names", lambda a: LA.slogdet(-a).sign * LA.slogdet(a).logabsdet, KS, **LOOSE)
row("LA.tensorinv", lambda a: LA.tensorinv(a, ind=1), n(4, 2, 2) + np.eye(4).reshape(4, 2, 2) * 3, **LOOSE)
row("LA.tensorsolve", lambda a, b: LA.tensorsolve(a, b), n(4, 2, 2) + np.eye(4).reshape(4, 2, 2) * 3, V4, **LOOSE)
row("LA.tensorsolve axes", lambda a, b: LA.tensorsolve(a, b, axes=(0,)),
    n(4, 2, 2) + np.eye(4).reshape(4, 2, 2) * 3, n(2, 2), **LOOSE)  # fmt: skip
row("LA.pinv", lambda a: LA.pinv(a), TALL, **LOOSE)
row("LA.pinv wide", lambda a: LA.pinv(a, rtol=None), WIDE, **LOOSE)
row("LA.pinv rank 2", lambda x, y: LA.pinv(x @ y, rcond=1e-5), n(4, 2), n(2, 3), **LOOSE)
row("LA.pinv hermitian", lambda a: LA.pinv(a + t(a), hermitian=True), K, rtol=1e-8)
row("LA.lstsq", lambda a, b: LA.lstsq(a, b), TALL[0], n(4, 2), values=True, **LOOSE)
row("LA.lstsq vector", lambda a, b: LA.lstsq(a, b), WIDE[0], V3, values=True, **LOOSE)
row("LA.cond", lambda a: tuple(LA.cond(a, p) for p in (None, -2, 1, np.inf, "fro")), K, **LOOSE)
row("LA.matrix_rank", lambda a: (LA.matrix_rank(a), LA.matrix_rank(a, tol=1.5), LA.matrix_rank(a[0])), KS,
    smooth=False)  # fmt: skip
row("LA.matrix_rank hermitian", lambda a: LA.matrix_rank(a + t(a), hermitian=True, rtol=1e-3), K, smooth=False)

# ------------------------------------------------------------------------------------------------------ factorisations
row("LA.cholesky", lambda a: LA.cholesky(definite(a)), KS, **LOOSE)
row("LA.cholesky upper", lambda a: LA.cholesky(definite(a), upper=True), K, **LOOSE)
row("LA.cholesky one triangle", lambda a: LA.cholesky(np.tril(definite(a))), K, **LOOSE)
row("LA.eigvalsh", lambda a: LA.eigvalsh(a + t(a)), KS, **LOOSE)
row("LA.eigvalsh U", lambda a: LA.eigvalsh(np.triu(a), "U"), K, **LOOSE)
row("LA.eigh", lambda a: (lambda w, v: (w, v**2, (v * np.exp(w)[..., None, :]) @ t(v)))(*LA.eigh(a + t(a))), KS,
    rtol=1e-8)  # fmt: skip
row("LA.eigh names", lambda a: LA.eigh(a).eigenvalues * LA.eigh(a).eigenvectors ** 2, K, rtol=1e-8)
row("LA.qr", lambda a: LA.qr(a), TALL, **LOOSE)
row("LA.qr wide", lambda a: LA.qr(a), WIDE, **LOOSE)
row("LA.qr r", lambda a: LA.qr(a, mode="r"), TALL, **LOOSE)
row("LA.qr complete", lambda a: (lambda q, r: (q[..., 3:] @ t(q[..., 3:]), r))(*LA.qr(a, "complete")), TALL, **LOOSE)
row("LA.svdvals", lambda a: LA.svdvals(a), WIDE, **LOOSE)
row("LA.svd compute_uv", lambda a: LA.svd(a, compute_uv=False), TALL, **LOOSE)
row("LA.svd", lambda a: (lambda u, s, vh: (u**2, s, vh**2, u * s[..., None, :] @ vh))(
    *LA.svd(a, full_matrices=False)), TALL, rtol=1e-8)  # fmt: skip
row("LA.svd wide", lambda a: (lambda u, s, vh: (u**2, s, vh**2))(*LA.svd(a, full_matrices=False)), WIDE, rtol=1e-8)
row("LA.svd full", lambda a: (lambda r: (r.U[..., :3] ** 2, r.U[..., 3:] @ t(r.U[..., 3:]), r.S))(LA.svd(a)), TALL,
    rtol=1e-8)  # fmt: skip
row("LA.svd hermitian", lambda a: (lambda u, s, vh: (u**2, s, vh**2, u * s @ vh))(*LA.svd(a + t(a), hermitian=True)),
    K - 2 * np.eye(3), rtol=1e-8)  # fmt: skip

# --------------------------------------------------------------------------------------------------------------- norms
row("LA.norm", lambda x: LA.norm(x), C)
row("LA.norm axes", lambda x: (LA.norm(x, axis=1), LA.norm(x, axis=(0, 2), keepdims=True)), C)
row("LA.norm complex", lambda x, y: (LA.norm(both(x, y), axis=0), LA.norm(both(x, y), 3, axis=1)), A, A + 1)
for _ord in (0.5, 1, 2, 3, 2.5, -1, np.inf, -np.inf):
    row(f"LA.norm vectors {_ord}", lambda x, ord=_ord: LA.norm(x, ord, axis=1, keepdims=True), C)
    row(f"LA.vector_norm {_ord}", lambda x, ord=_ord: LA.vector_norm(x, ord=ord, axis=(0, 2)), C)
row("LA.norm vectors 0", lambda x: LA.norm(np.where(x > 0, x, 0.0), 0, axis=1), A)
for _ord in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
    row(f"LA.norm matrices {_ord}", lambda x, ord=_ord: LA.norm(x, ord, axis=(2, 0), keepdims=True), C, **LOOSE)
    row(f"LA.matrix_norm {_ord}", lambda x, ord=_ord or "fro": LA.matrix_norm(x, ord=ord), C, **LOOSE)
