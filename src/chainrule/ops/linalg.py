"""Linear algebra: factorisations, solving, determinants, norms.  All work on stacks of matrices (…, n, m).

Each derivative is written once, as the tangent (see ``differential``); ``solve`` states both directions.  Sources:

- solve, inverse, determinant, Cholesky, eigenvalues, singular values: M. Giles, "Collected matrix derivative results for
  forward and reverse mode algorithmic differentiation", 2008.  Cholesky also: I. Murray, arXiv:1602.07527.
- QR: S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions", 2010.
- SVD: J. Townsend, "Differentiating the singular value decomposition", 2016; complex: Z.-Q. Wan and S.-X. Zhang,
  arXiv:1909.02659.
- pseudo-inverse: G. Golub and V. Pereyra, SIAM J. Numer. Anal. 10 (1973), at constant rank.

Conventions.  ``cholesky`` and ``eigh`` read one triangle, as NumPy does; their tangent takes the Hermitian part of the
argument's, so gradients are Hermitian matrices.  Eigenvectors and singular vectors are determined up to a phase (and,
for equal eigenvalues, up to a rotation): derivatives are those of functions that do not depend on that choice.
Equal eigenvalues or singular values: the derivative of the values themselves is right; that of the vectors does not
exist, and comes out infinite or NaN rather than as a number that looks right.

Does not do: the columns that complete a basis (``full``) move with the least rotation among themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import INT, Array, Spec, broadcast, complex_dtype, real_dtype, reduced_shape
from chainrule.base.errors import DtypeError, LinalgError, ShapeError
from chainrule.ops.differential import differential
from chainrule.ops.expr import Expr
from chainrule.ops.index import index
from chainrule.ops.matmul import matmul
from chainrule.ops.pointwise import cast_like, conj, equal, imag, make_complex, real, where
from chainrule.ops.record import Custom, align, broadcast_to, op, reshape, sum_over, unbroadcast, zeros_like
from chainrule.ops.shape import identity_like, swap

Tangents = Sequence[Any]

# ------------------------------------------------------------------------------------------------------------ helpers


def is_complex(x: Expr) -> bool:
    """Whether ``x`` is of a complex dtype."""
    return x.dtype.kind == "c"


def adjoint(x: Expr) -> Expr:
    """The conjugate transpose."""
    return conj(swap(x)) if is_complex(x) else swap(x)  # type: ignore[no-any-return]


def product(*factors: Expr) -> Expr:
    """The matrix product from left to right."""
    return functools.reduce(matmul, factors)


def hermitian_part(x: Expr) -> Expr:
    """(x + xᴴ)/2."""
    return (x + adjoint(x)) * 0.5  # type: ignore[no-any-return]


def diagonal(x: Expr) -> Expr:
    """The diagonals of square matrices: (…, n, n) → (…, n)."""
    n = x.shape[-1]
    lead = tuple((0, size, 1) for size in x.shape[:-2])
    result: Expr = index(reshape(x, (*x.shape[:-2], n * n)), key=(*lead, (0, n * n, n + 1)))
    return result


def columns(v: Expr) -> Expr:
    """A vector against the columns of a matrix: (…, n) → (…, 1, n)."""
    return reshape(v, (*v.shape[:-1], 1, v.shape[-1]))


def rows(v: Expr) -> Expr:
    """A vector against the rows of a matrix: (…, n) → (…, n, 1)."""
    return reshape(v, (*v.shape, 1))


def _masked(x: Expr, mask: Array) -> Expr:
    """``x`` times a constant matrix."""
    return x * x.builder.constant(np.asarray(mask, real_dtype(x.dtype)))  # type: ignore[no-any-return]


def lower(x: Expr, on_diagonal: float, below: float = 1.0) -> Expr:
    """The triangle below the diagonal of square matrices, with the diagonal times ``on_diagonal``."""
    n = x.shape[-1]
    return _masked(x, below * np.tri(n, k=-1) + on_diagonal * np.eye(n))


def _part(x: Expr, axis: int, start: int, stop: int) -> Expr:
    """``x[start:stop]`` along ``axis``, counted from the end."""
    key = tuple((start, stop, 1) if i == x.ndim + axis else (0, n, 1) for i, n in enumerate(x.shape))
    result: Expr = index(x, key=key)
    return result


def _square(name: str, x: Spec) -> None:
    _matrix(name, x)
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            f"{name} needs square matrices", expected="(…, n, n)", got=x.shape,
            fix="np.linalg.lstsq and np.linalg.pinv take other shapes",
        )  # fmt: skip


def _matrix(name: str, x: Spec) -> None:
    if len(x.shape) < 2:
        raise ShapeError(f"{name} needs matrices", expected="(…, n, m), two axes or more", got=x.shape)
    if x.dtype.name not in ("float32", "float64", "complex64", "complex128"):
        raise DtypeError(f"{name} is not defined for this dtype", expected="float32, float64, complex64 or complex128",
                         got=x.dtype)  # fmt: skip


def _checked(name: str, fix: str) -> Callable[[Any], Any]:
    """What LAPACK refuses, in words: which matrix of the stack is not to be had with its shape."""

    def decorate(run: Any) -> Any:
        @functools.wraps(run)
        def checked(*args: Any, **attrs: Any) -> Any:
            try:
                return run(*args, **attrs)
            except np.linalg.LinAlgError as error:
                shape = np.shape(args[0])
                raise LinalgError(
                    f"{name}: {str(error)[:1].lower()}{str(error)[1:]}",
                    expected=f"{fix.split(';')[0]}",
                    got=f"a matrix of shape {shape[-2:]}" + (f" in a stack of {shape[:-2]}" if shape[:-2] else ""),
                    fix=fix.split("; ", 1)[1],
                ) from None

        return checked

    return decorate


def _each(args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Any, name: str) -> Any:
    return op(name)(*args, **attrs)


def _stacked(name: str) -> Any:
    """The batching rule of an op of one stack of matrices: the batch is one more leading axis."""
    return functools.partial(_each, name=name)


# -------------------------------------------------------------------------------------------------------------- solve


def _solve_rule(a: Spec, b: Spec) -> Spec:
    _square("solve", a)
    _matrix("solve", b)
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            "the matrix and the right-hand side do not fit", expected=f"a right-hand side of {a.shape[-1]} rows",
            got=b.shape, fix="solve(a, b): a is (…, n, n); b is (n,) or (…, n, k)",
        )  # fmt: skip
    return Spec((*broadcast(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), a.dtype)


def _solve_vjp(ct: Expr, out: Expr, args: Sequence[Expr], wanted: Sequence[bool]) -> list[Any]:
    a, b = args
    from_b = solve(swap(a), ct)
    from_a = unbroadcast(-matmul(from_b, swap(out)), a.shape) if wanted[0] else None
    return [from_a, unbroadcast(from_b, b.shape) if wanted[1] else None]


def _solve_jvp(tangents: Tangents, out: Expr, args: Sequence[Expr]) -> Expr:
    da, db = tangents
    right = None if db is None else broadcast_to(db, out.shape)
    if da is not None:
        moved = matmul(da, out)
        right = -moved if right is None else right - moved
    result: Expr = solve(args[0], right)
    return result


solve = Custom(
    "solve",
    _checked("solve", "invertible matrices; np.linalg.lstsq or np.linalg.pinv, or add a small multiple of np.eye(n)")(
        lambda a, b: np.linalg.solve(a, b)
    ),
    shape_rule=_solve_rule,
    vjp=_solve_vjp,
    jvp=_solve_jvp,
    batching=lambda args, batched, size, attrs: solve(*align(args, batched)),
    latex=r"#0^{-1} #1",
    sentence="solves the linear equations: which matrix, multiplied from the left by the first, gives the second",
)


def inverse(a: Expr) -> Expr:
    """a⁻¹, as the solution of a x = 1."""
    result: Expr = solve(a, broadcast_to(identity_like(a), a.shape))
    return result


# -------------------------------------------------------------------------------------------------------- determinants


def _det_rule(a: Spec) -> Spec:
    _square("det", a)
    return Spec(a.shape[:-2], a.dtype)


def _det_tangent(tangents: Tangents, out: Expr, args: Sequence[Expr]) -> Expr:
    # Jacobi's formula with the cofactors, which exist for singular matrices too, not det·inverse, which does not.
    return sum_over(cofactor(args[0]) * tangents[0], (args[0].ndim - 2, args[0].ndim - 1))


det = differential(
    "det",
    lambda a: np.linalg.det(a),
    shape_rule=_det_rule,
    tangent=_det_tangent,
    batching=_stacked("det"),
    latex=r"\det #0",
    sentence="takes the determinant",
)


def _cofactor(a: Any) -> Any:
    # With a = u·s·vᴴ: det(u)·det(vᴴ)·conj(u)·(products of the other singular values)·conj(vᴴ); nothing is divided by.
    u, s, vh = np.linalg.svd(a)
    ones = np.ones((*s.shape[:-1], 1), s.dtype)
    before = np.cumprod(np.concatenate([ones, s[..., :-1]], -1), -1)
    after = np.flip(np.cumprod(np.concatenate([ones, np.flip(s, -1)[..., :-1]], -1), -1), -1)
    others = (before * after)[..., None, :]
    sign = (np.linalg.det(u) * np.linalg.det(vh))[..., None, None]
    return (sign * ((np.conj(u) * others) @ np.conj(vh))).astype(a.dtype)


def _cofactor_rule(a: Spec) -> Spec:
    _square("cofactor", a)
    return a


def _cofactor_tangent(tangents: Tangents, out: Expr, args: Sequence[Expr]) -> Expr:
    (a,), (da,) = args, tangents
    trace = sum_over(swap(inverse(a)) * da, (a.ndim - 2, a.ndim - 1), keepdims=True)
    return out * trace - solve(swap(a), matmul(swap(da), out))  # type: ignore[no-any-return]


cofactor = differential(
    "cofactor",
    _cofactor,
    shape_rule=_cofactor_rule,
    tangent=_cofactor_tangent,
    batching=_stacked("cofactor"),
    latex=r"\operatorname{cof} #0",
    sentence="takes the cofactors: how the determinant moves with each element; its own derivative needs an "
    "invertible matrix",
)


def _slogdet_rule(a: Spec) -> tuple[Spec, Spec]:
    _square("slogdet", a)
    return Spec(a.shape[:-2], a.dtype), Spec(a.shape[:-2], real_dtype(a.dtype))


def _slogdet_tangent(tangents: Tangents, out: Any, args: Sequence[Expr]) -> tuple[Any, Any]:
    a, sign = args[0], out[0]
    trace = sum_over(swap(inverse(a)) * tangents[0], (a.ndim - 2, a.ndim - 1))
    if not is_complex(a):
        return None, trace
    angle = imag(trace)
    return sign * make_complex(zeros_like(angle), angle), real(trace)


slogdet = differential(
    "slogdet",
    lambda a: tuple(np.linalg.slogdet(a)),
    shape_rule=_slogdet_rule,
    tangent=_slogdet_tangent,
    batching=_stacked("slogdet"),
    latex=r"(\operatorname{sign}, \ln)\left|\det #0\right|",
    sentence="takes the sign of the determinant and the logarithm of its size",
)

# ------------------------------------------------------------------------------------------------------- factorisations


def _cholesky_rule(a: Spec) -> Spec:
    _square("cholesky", a)
    return a


def _cholesky_tangent(tangents: Tangents, out: Expr, args: Sequence[Expr]) -> Expr:
    half = solve(out, hermitian_part(tangents[0]))  # L⁻¹ dA
    return matmul(out, lower(solve(out, adjoint(half)), 0.5))  # type: ignore[no-any-return]


cholesky = differential(
    "cholesky",
    _checked("cholesky", "Hermitian positive definite matrices; add a small multiple of np.eye(n)")(
        lambda a: np.linalg.cholesky(a)
    ),
    shape_rule=_cholesky_rule,
    tangent=_cholesky_tangent,
    batching=_stacked("cholesky"),
    latex=r"\operatorname{chol} #0",
    sentence="factors a positive definite matrix into a lower triangle times its transpose",
)


def _eigh_rule(a: Spec, upper: bool) -> tuple[Spec, Spec]:
    _square("eigh", a)
    return Spec(a.shape[:-1], real_dtype(a.dtype)), a


def _gaps(values: Expr) -> Expr:
    """1/(vⱼ - vᵢ) off the diagonal, 0 on it; infinite where two values are equal (see the module's conventions)."""
    difference = columns(values) - rows(values)
    n = values.shape[-1]
    diagonal_ones = values.builder.constant(np.eye(n, dtype=bool))
    return where(diagonal_ones, 0.0, 1 / where(diagonal_ones, 1.0, difference))  # type: ignore[no-any-return]


def _eigh_tangent(tangents: Tangents, out: Any, args: Sequence[Expr], upper: bool) -> tuple[Any, Any]:
    w, v = out
    inner = product(adjoint(v), hermitian_part(tangents[0]), v)
    on_diagonal = diagonal(inner)
    return real(on_diagonal) if is_complex(inner) else on_diagonal, matmul(v, inner * _gaps(w))


eigh = differential(
    "eigh",
    lambda a, upper: tuple(np.linalg.eigh(a, "U" if upper else "L")),
    shape_rule=_eigh_rule,
    tangent=_eigh_tangent,
    batching=_stacked("eigh"),
    latex=r"\operatorname{eigh} #0",
    sentence="finds the eigenvalues, from small to large, and eigenvectors of a Hermitian matrix",
)


def _eig(a: Any) -> Any:
    kind = complex_dtype(a.dtype)
    w, v = np.linalg.eig(a)
    return w.astype(kind), v.astype(kind)


def _eig_rule(a: Spec) -> tuple[Spec, Spec]:
    _square("eig", a)
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
    batching=_stacked("eig"),
    latex=r"\operatorname{eig} #0",
    sentence="finds the eigenvalues and eigenvectors, as complex numbers",
)


def _qr_rule(a: Spec, full: bool) -> tuple[Spec, Spec]:
    _matrix("qr", a)
    *lead, m, n = a.shape
    k = m if full else min(m, n)
    return Spec((*lead, m, k), a.dtype), Spec((*lead, k, n), a.dtype)


def _qr_tangent(tangents: Tangents, out: Any, args: Sequence[Expr], full: bool) -> tuple[Any, Any]:
    (a,), (da,) = args, tangents
    q, r = out
    m, n = a.shape[-2:]
    k = min(m, n)
    q1, r1, da1 = _part(q, -1, 0, k), _part(_part(r, -2, 0, k), -1, 0, k), _part(da, -1, 0, k)
    scaled = swap(solve(swap(r1), swap(da1)))  # dA R⁻¹
    inner = matmul(adjoint(q1), scaled)
    below = lower(inner, 0.0)
    turn = below - adjoint(below)
    if is_complex(a):  # the diagonal of R is real
        turn = turn + lower(make_complex(zeros_like(imag(inner)), imag(inner)), 1.0, 0.0)
    dq = matmul(q1, turn - inner) + scaled
    dr = matmul(inner - turn, r1)
    if n > k:
        rest = matmul(adjoint(dq), _part(a, -1, k, n)) + matmul(adjoint(q1), _part(da, -1, k, n))
        dr = op("concatenate")(dr, rest, axis=a.ndim - 1)
    if q.shape[-1] > k:
        dq = _complete(q, q1, dq, k)
        dr = op("concatenate")(dr, zeros_like(_part(r, -2, k, m)), axis=a.ndim - 2)
    return dq, dr


def _complete(q: Expr, q1: Expr, dq1: Expr, k: int) -> Expr:
    """The tangent of an orthonormal basis from that of its first k columns: the others turn as little as they can."""
    q2 = _part(q, -1, k, q.shape[-1])
    dq2 = -product(q1, adjoint(dq1), q2)
    result: Expr = op("concatenate")(dq1, dq2, axis=q.ndim - 1)
    return result


qr = differential(
    "qr",
    lambda a, full: tuple(np.linalg.qr(a, "complete" if full else "reduced")),
    shape_rule=_qr_rule,
    tangent=_qr_tangent,
    batching=_stacked("qr"),
    latex=r"\operatorname{qr} #0",
    sentence="factors a matrix into orthonormal columns times an upper triangle",
)


def _svd_rule(a: Spec, full: bool) -> tuple[Spec, Spec, Spec]:
    _matrix("svd", a)
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
    u, vh = _part(u_all, -1, 0, k), _part(vh_all, -2, 0, k)
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
    _checked("svd", "finite matrices; look for NaN and infinity in them")(
        lambda a, full: tuple(np.linalg.svd(a, full_matrices=full))
    ),
    shape_rule=_svd_rule,
    tangent=_svd_tangent,
    batching=_stacked("svd"),
    latex=r"\operatorname{svd} #0",
    sentence="factors a matrix into a rotation, a scaling by the singular values, and a rotation",
)


def _pinv_rule(a: Spec, rcond: Spec) -> Spec:
    _matrix("pinv", a)
    return Spec((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)


def _pinv_tangent(tangents: Tangents, out: Expr, args: Sequence[Expr]) -> Expr:
    a, da, p = args[0], tangents[0], out
    from_a = product(p, da, p)
    down = adjoint(da)
    left = product(p, adjoint(p), down)
    left = left - product(left, a, p)
    right = product(down, adjoint(p), p)
    right = right - product(p, a, right)
    return left + right - from_a  # type: ignore[no-any-return]


def _pinv_batch(args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Any) -> Expr:
    a, rcond = args
    if batched[1] and rcond.ndim > 1:
        rcond = reshape(rcond, (size, *([1] * (a.ndim - batched[0] - 2 - (rcond.ndim - 1))), *rcond.shape[1:]))
    if batched[1] and not batched[0]:
        a = broadcast_to(a, (size, *a.shape))
    elif batched[1] and rcond.ndim == 1:
        rcond = reshape(rcond, (size, *([1] * (a.ndim - 3))))
    result: Expr = pinv(a, rcond)
    return result


pinv = differential(
    "pinv",
    _checked("pinv", "finite matrices; look for NaN and infinity in them")(
        lambda a, rcond: np.linalg.pinv(a, rcond).astype(a.dtype, copy=False)
    ),
    shape_rule=_pinv_rule,
    tangent=_pinv_tangent,
    batching=_pinv_batch,
    integer_args=(1,),
    latex=r"#0^{+}",
    sentence="takes the pseudo-inverse: the least-squares solution of smallest norm",
)

# --------------------------------------------------------------------------------------------------------------- norm


def _norm_rule(x: Spec, axes: tuple[int, ...], keepdims: bool) -> Spec:
    return Spec(reduced_shape(x.shape, axes, keepdims), real_dtype(x.dtype))


def _norm(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    squares = x.real * x.real + x.imag * x.imag if np.iscomplexobj(x) else np.multiply(x, x)
    return np.sqrt(np.add.reduce(squares, axis=axes, keepdims=keepdims))


def _norm_tangent(
    tangents: Tangents, out: Expr, args: Sequence[Expr], axes: tuple[int, ...], keepdims: bool
) -> Expr:
    x, dx = args[0], tangents[0]
    y = reshape(out, reduced_shape(x.shape, axes, True))
    at_zero = equal(y, 0)  # there the derivative is taken as 0, the subgradient of least norm
    unit = where(at_zero, 0.0, x / where(at_zero, 1.0, y))
    moved = real(conj(unit) * dx) if is_complex(x) else unit * dx
    return sum_over(moved, axes, keepdims)


norm = differential(
    "norm",
    _norm,
    shape_rule=_norm_rule,
    tangent=_norm_tangent,
    batching=lambda args, batched, size, attrs: norm(
        *args, axes=tuple(a + 1 for a in attrs["axes"]), keepdims=attrs["keepdims"]
    ),
    latex=r"\left\lVert #0 \right\rVert",
    sentence="takes the length: the root of the sum of squares; its derivative at 0 is taken as 0",
)

__all__ = [
    "adjoint", "cholesky", "cofactor", "det", "diagonal", "eig", "eigh", "inverse", "norm", "pinv", "qr", "slogdet",
    "solve", "svd",
]  # fmt: skip
