"""Linear algebra on stacks of matrices (…, n, m): solving, determinants, the pseudo-inverse, norms; and helpers.

Each derivative is written once, as the tangent (see ``differential``); ``solve`` states both directions.  Sources:

- solve, inverse, determinant: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
  differentiation", 2008.
- pseudo-inverse: G. Golub and V. Pereyra, SIAM J. Numer. Anal. 10 (1973), at constant rank.

Factorisations are in ``factor``.  Does not do: triangular and banded solving (NumPy has none).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import Array, Spec, broadcast, real_dtype, reduced_shape
from chainrule.base.errors import DtypeError, LinalgError, ShapeError
from chainrule.ops.differential import differential
from chainrule.ops.expr import Expr
from chainrule.ops.index import index
from chainrule.ops.matmul import matmul
from chainrule.ops.pointwise import conj, equal, imag, make_complex, real, where
from chainrule.ops.record import Custom, align, broadcast_to, op, reshape, sum_over, unbroadcast, zeros_like
from chainrule.ops.shape import identity_like, swap

Tangents = Sequence[Any]

# ------------------------------------------------------------------------------------------------------------ helpers


def is_complex(x: Expr) -> bool:
    """Whether ``x`` is of a complex dtype."""
    return x.dtype.kind == "c"


def adjoint(x: Expr) -> Expr:
    """The conjugate transpose."""
    return conj(swap(x)) if is_complex(x) else swap(x)


def product(*factors: Expr) -> Expr:
    """The matrix product from left to right."""
    result: Expr = functools.reduce(matmul, factors)
    return result


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


def masked(x: Expr, mask: Array) -> Expr:
    """``x`` times a constant matrix."""
    return x * x.builder.constant(np.asarray(mask, real_dtype(x.dtype)))  # type: ignore[no-any-return]


def lower(x: Expr, on_diagonal: float, below: float = 1.0) -> Expr:
    """The triangle below the diagonal of square matrices, with the diagonal times ``on_diagonal``."""
    n = x.shape[-1]
    return masked(x, below * np.tri(n, k=-1) + on_diagonal * np.eye(n))


def read_triangle(x: Expr, upper: bool = False) -> Expr:
    """The Hermitian matrix that is read from one triangle of ``x``; of the diagonal, the real part."""
    half = lower(adjoint(x) if upper else x, 0.5)
    return half + adjoint(half)  # type: ignore[no-any-return]


def part(x: Expr, axis: int, start: int, stop: int) -> Expr:
    """``x[start:stop]`` along ``axis``, counted from the end."""
    key = tuple((start, stop, 1) if i == x.ndim + axis else (0, n, 1) for i, n in enumerate(x.shape))
    result: Expr = index(x, key=key)
    return result


def square(name: str, x: Spec) -> None:
    """Raise ShapeError unless ``x`` is of square matrices."""
    matrix(name, x)
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            f"{name} needs square matrices", expected="(…, n, n)", got=x.shape,
            fix="np.linalg.lstsq and np.linalg.pinv take other shapes",
        )  # fmt: skip


def matrix(name: str, x: Spec) -> None:
    """Raise ShapeError or DtypeError unless ``x`` is of matrices that LAPACK takes."""
    if len(x.shape) < 2:
        raise ShapeError(
            f"{name} needs matrices",
            expected="(…, n, m), two axes or more",
            got=x.shape,
            fix="pass an array with at least two axes",
        )
    if x.dtype.name not in ("float32", "float64", "complex64", "complex128"):
        raise DtypeError(
            f"{name} is not defined for this dtype",
            expected="float32, float64, complex64 or complex128",
            got=x.dtype,
            fix="convert it with .astype",
        )


def checked(name: str, needs: str, fix: str) -> Callable[[Any], Any]:
    """What LAPACK refuses, in words."""

    def decorate(run: Any) -> Any:
        @functools.wraps(run)
        def run_checked(*args: Any, **attrs: Any) -> Any:
            try:
                return run(*args, **attrs)
            except np.linalg.LinAlgError as error:
                shape = np.shape(args[0])
                raise LinalgError(
                    f"{name}: {str(error)[:1].lower()}{str(error)[1:]}",
                    expected=needs,
                    got=f"a matrix of shape {shape[-2:]}" + (f" in a stack of {shape[:-2]}" if shape[:-2] else ""),
                    fix=fix,
                ) from None

        return run_checked

    return decorate


def _each(args: Sequence[Expr], batched: Sequence[bool], size: int, attrs: Any, name: str) -> Any:
    return op(name)(*args, **attrs)


def stacked(name: str) -> Any:
    """The batching rule of an op of one stack of matrices: the batch is one more leading axis."""
    return functools.partial(_each, name=name)


# -------------------------------------------------------------------------------------------------------------- solve


def _solve_rule(a: Spec, b: Spec) -> Spec:
    square("solve", a)
    matrix("solve", b)
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


solve: Custom = Custom(
    "solve",
    checked("solve", "invertible matrices", "np.linalg.lstsq or np.linalg.pinv; or add a small multiple of np.eye(n)")(
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
    square("det", a)
    return Spec(a.shape[:-2], a.dtype)


def _det_tangent(tangents: Tangents, out: Expr, args: Sequence[Expr]) -> Expr:
    # Jacobi's formula with the cofactors, which exist for singular matrices too, not det·inverse, which does not.
    return sum_over(cofactor(args[0]) * tangents[0], (args[0].ndim - 2, args[0].ndim - 1))


det = differential(
    "det",
    lambda a: np.linalg.det(a),
    shape_rule=_det_rule,
    tangent=_det_tangent,
    batching=stacked("det"),
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
    square("cofactor", a)
    return a


def _cofactor_tangent(tangents: Tangents, out: Expr, args: Sequence[Expr]) -> Expr:
    (a,), (da,) = args, tangents
    trace = sum_over(swap(inverse(a)) * da, (a.ndim - 2, a.ndim - 1), keepdims=True)
    return out * trace - solve(swap(a), matmul(swap(da), out))  # type: ignore[no-any-return]


cofactor: Custom = differential(
    "cofactor",
    _cofactor,
    shape_rule=_cofactor_rule,
    tangent=_cofactor_tangent,
    batching=stacked("cofactor"),
    latex=r"\operatorname{cof} #0",
    sentence="takes the cofactors: how the determinant moves with each element; its own derivative needs an "
    "invertible matrix",
)


def _slogdet_rule(a: Spec) -> tuple[Spec, Spec]:
    square("slogdet", a)
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
    batching=stacked("slogdet"),
    latex=r"(\operatorname{sign}, \ln)\left|\det #0\right|",
    sentence="takes the sign of the determinant and the logarithm of its size",
)

# ------------------------------------------------------------------------------------------------------ pseudo-inverse


def _pinv_rule(a: Spec, rcond: Spec) -> Spec:
    matrix("pinv", a)
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
    if batched[1]:  # ones behind the batch axis, so that the rest still lines up with the stack's axes
        stack = a.ndim - batched[0] - 2
        rcond = reshape(rcond, (size, *([1] * (stack - rcond.ndim + 1)), *rcond.shape[1:]))
        a = a if batched[0] else broadcast_to(a, (size, *a.shape))
    result: Expr = pinv(a, rcond)
    return result


pinv: Custom = differential(
    "pinv",
    checked("pinv", "finite matrices", "look for NaN and infinity in them")(
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
    return np.sqrt(np.sum(squares, axis=axes, keepdims=keepdims))


def _norm_tangent(
    tangents: Tangents, out: Expr, args: Sequence[Expr], axes: tuple[int, ...], keepdims: bool
) -> Expr:
    x, dx = args[0], tangents[0]
    y = reshape(out, reduced_shape(x.shape, axes, True))
    at_zero = equal(y, 0)  # there the derivative is taken as 0, the subgradient of least norm
    unit = where(at_zero, 0.0, x / where(at_zero, 1.0, y))
    moved = real(conj(unit) * dx) if is_complex(x) else unit * dx
    return sum_over(moved, axes, keepdims)


norm: Custom = differential(
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
    "adjoint", "checked", "cofactor", "columns", "det", "diagonal", "inverse", "is_complex", "lower",
    "matrix", "norm", "part", "pinv", "product", "read_triangle", "rows", "slogdet", "solve", "square", "stacked",
]  # fmt: skip
