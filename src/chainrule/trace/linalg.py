"""NumPy's ``np.linalg``: factorisations, solving, determinants, norms, on Symbols.

Everything works on stacks of matrices, and shapes and dtypes are NumPy's.  Where NumPy's own result depends on values,
a rule that does not stands in its place, and is said: ``eig`` and ``eigvals`` are always complex; ``lstsq`` without a
value takes the matrix to be of full rank.

Does not do: ``qr`` with mode "raw"; ``lstsq`` on stacks (nor does NumPy).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.base.arrays import INT, normalize_axes, normalize_axis, real_dtype
from chainrule.base.errors import ShapeError, choose
from chainrule.graph.source import user_source
from chainrule.ops import factor, pointwise, record
from chainrule.ops import linalg as ops
from chainrule.trace.shaping import floating, together
from chainrule.trace.symbol import as_symbol
from chainrule.trace.table import implements, refuse


def _conjugate_transpose(x: Any) -> Any:
    return np.conjugate(np.matrix_transpose(x))


# ------------------------------------------------------------------------------------------------- solving, inverting


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    a, b = together([floating(a), floating(b)])
    if b.ndim == 1:  # NumPy 2: only a right-hand side of one axis is a vector
        return np.squeeze(ops.solve(a, np.expand_dims(b, 1)), -1)
    return ops.solve(a, b)


def _identity(a: Any) -> Any:
    """The identity, like the matrices ``a``."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError("this needs square matrices", expected="(…, n, n)", got=a.shape, where=user_source(),
                         fix="np.linalg.pinv takes other shapes")  # fmt: skip
    return np.broadcast_to(as_symbol(np.eye(a.shape[-1], dtype=a.dtype)), a.shape)


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    a = floating(a)
    return ops.solve(a, _identity(a))


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    a = floating(a)
    if ind <= 0:
        raise ShapeError(
            "tensorinv needs a positive ind",
            expected="1 or more",
            got=ind,
            where=user_source(),
            fix="pass ind=1 or more",
        )
    size = math.prod(a.shape[ind:])
    return np.reshape(inv(np.reshape(a, (-1, size))), a.shape[ind:] + a.shape[:ind])


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    a, b = together([floating(a), floating(b)])
    if axes is not None:
        moved = normalize_axes(axes, a.ndim)
        a = np.transpose(a, [i for i in range(a.ndim) if i not in moved] + [int(i) % a.ndim for i in axes])
    shape = a.shape[b.ndim :]
    size = math.prod(shape)
    if a.size != size**2:
        raise ShapeError(
            "tensorsolve needs as many equations as unknowns",
            expected="prod(a.shape[:b.ndim]) == prod(a.shape[b.ndim:])",
            got=f"{a.shape} with b.ndim = {b.ndim}",
            where=user_source(),
            fix="reshape a so that its first axes have as many elements as the others",
        )
    return np.reshape(solve(np.reshape(a, (size, size)), np.ravel(b)), shape)


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    a = floating(a)
    if rcond is None:
        if rtol is np._NoValue:
            rcond = 1e-15
        elif rtol is None:
            rcond = max(a.shape[-2:]) * np.finfo(a.dtype).eps
        else:
            rcond = rtol
    elif rtol is not np._NoValue:
        raise choose("rtol", rtol, ("left out, where rcond is given",), where=user_source())
    if hermitian:
        a = np.tril(a) + _conjugate_transpose(np.tril(a, -1))
    return ops.pinv(a, rcond)


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    a, b = together([floating(a), floating(b)])
    if a.ndim != 2 or b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise ShapeError(
            "lstsq needs a matrix and a right-hand side with as many rows", expected="(m, n) and (m,) or (m, k)",
            got=f"{a.shape} and {b.shape}", where=user_source(), fix="np.linalg.pinv(a) @ b works on stacks",
        )  # fmt: skip
    m, n = a.shape
    cut = float(np.finfo(a.dtype).eps * max(n, m)) if rcond is None else float(rcond)
    singular = svdvals(a)
    solution = np.matmul(ops.pinv(a, cut), b)
    counted = np.sum(singular > cut * np.max(singular, initial=0.0)) if min(m, n) else as_symbol(np.asarray(0, INT))
    rank = pointwise.cast(counted, dtype=np.dtype(np.int32))  # as LAPACK counts
    full = m > n and (not rank.has_value or int(np.asarray(rank.value)) == n)
    if full:
        missed = b - np.matmul(a, solution)
        residuals = np.atleast_1d(np.sum(np.real(missed * np.conjugate(missed)), axis=0))
    else:
        residuals = as_symbol(np.zeros(0, real_dtype(a.dtype)))
    return solution, residuals, rank, singular


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: Any) -> Any:
    a = as_symbol(a)
    n = n.__index__()
    if n < 0:
        a, n = inv(a), -n
    if n == 0:
        return _identity(a)
    result: Any = None
    square = a
    while n:
        if n & 1:
            result = square if result is None else np.matmul(result, square)
        n >>= 1
        square = np.matmul(square, square) if n else square
    return result.copy() if result is a else result


# -------------------------------------------------------------------------------------------------- numbers of matrices


@implements(np.linalg.det)
def det(a: Any) -> Any:
    return ops.det(floating(a))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    sign, logarithm = ops.slogdet(floating(a))
    return _result("SlogdetResult", np.linalg.slogdet, np.eye(1))(sign, logarithm)


def _result(name: str, function: Any, example: Any) -> Any:
    """NumPy's own named tuple for a result, of which NumPy makes no public name."""
    found = _RESULTS.get(name)
    if found is None:
        found = _RESULTS[name] = type(function(example))
    return found


_RESULTS: dict[str, Any] = {}


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    x = floating(x)
    if p is None or p in (2, -2):
        values = svdvals(x)
        first, last = values[..., 0], values[..., -1]
        return last / first if p == -2 else first / last
    return norm(x, p, axis=(-2, -1)) * norm(inv(x), p, axis=(-2, -1))


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    a = floating(A)
    if a.ndim < 2:
        return pointwise.cast(np.any(a != 0), dtype=INT)
    values = svdvals(a) if not hermitian else np.abs(eigvalsh(a))
    if tol is None:
        relative = max(a.shape[-2:]) * float(np.finfo(a.dtype).eps) if rtol is None else rtol
        relative = relative if np.ndim(relative) == 0 else np.expand_dims(relative, -1)
        tol = np.max(values, axis=-1, keepdims=True) * relative
    else:
        tol = tol if np.ndim(tol) == 0 else np.expand_dims(tol, -1)
    return np.sum(values > tol, axis=-1)


# ------------------------------------------------------------------------------------------------------ factorisations


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    a = floating(a)
    return _conjugate_transpose(factor.cholesky(_conjugate_transpose(a))) if upper else factor.cholesky(a)


def _reads_upper(UPLO: str) -> bool:
    if str(UPLO).upper() not in ("L", "U"):
        raise choose("UPLO", UPLO, ("L", "U"), where=user_source())
    return UPLO.upper() == "U"


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    return _result("EighResult", np.linalg.eigh, np.eye(1))(*factor.eigh(floating(a), upper=_reads_upper(UPLO)))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    return factor.eigh(floating(a), upper=_reads_upper(UPLO))[0]


@implements(np.linalg.eig)
def eig(a: Any) -> Any:
    return _result("EigResult", np.linalg.eig, np.eye(1))(*factor.eig(floating(a)))


@implements(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    return factor.eig(floating(a))[0]


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    a = floating(a)
    if mode == "raw":
        raise refuse("np.linalg.qr", "mode", mode, "use mode='reduced', 'complete' or 'r'")
    if mode not in ("reduced", "complete", "r"):
        raise choose("mode", mode, ("reduced", "complete", "r"), where=user_source())
    # A square or wide matrix has no columns to complete.
    q, r = factor.qr(a, full=mode == "complete" and a.ndim > 1 and a.shape[-2] > a.shape[-1])
    return r if mode == "r" else _result("QRResult", np.linalg.qr, np.eye(1))(q, r)


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    a = floating(a)
    if not compute_uv:
        return svdvals(a) if not hermitian else np.flip(np.sort(np.abs(eigvalsh(a)), axis=-1), -1)
    result = _result("SVDResult", np.linalg.svd, np.eye(1))
    if hermitian:
        w, v = factor.eigh(a, upper=False)
        order = np.flip(np.argsort(np.abs(w), axis=-1), -1)
        w, v = np.take_along_axis(w, order, -1), np.take_along_axis(v, np.expand_dims(order, -2), -1)
        return result(v, np.abs(w), _conjugate_transpose(v * np.expand_dims(np.sign(w), -2)))
    square = a.ndim > 1 and a.shape[-1] == a.shape[-2]
    return result(*factor.svd(a, full=bool(full_matrices) and not square))


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    return factor.svd(floating(x), full=False)[1]


# --------------------------------------------------------------------------------------------------------------- norms


def _p_norm(x: Any, p: float, axes: tuple[int, ...], keepdims: bool) -> Any:
    """(Σ|x|ᵖ)^(1/p); elements that are 0, and a sum that is 0, have derivative 0."""
    zero = x == 0
    size = np.abs(np.where(zero, 1.0, x)) ** p
    total = np.sum(np.where(zero, 0.0 if p > 0 else np.inf, size), axis=axes, keepdims=keepdims)
    empty = total == 0
    return np.where(empty, 0.0, np.where(empty, 1.0, total) ** (1.0 / p))


def _vector_norm(x: Any, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if order is None or order == 2:
        return ops.norm(x, axes=axes, keepdims=keepdims)
    if order == np.inf:
        return np.max(np.abs(x), axis=axes, keepdims=keepdims)
    if order == -np.inf:
        return np.min(np.abs(x), axis=axes, keepdims=keepdims)
    if order == 0:
        return np.sum(np.astype(x != 0, real_dtype(x.dtype)), axis=axes, keepdims=keepdims)
    if order == 1:
        return np.sum(np.abs(x), axis=axes, keepdims=keepdims)
    if isinstance(order, str):
        raise choose("ord", order, ("None", "inf", "-inf", "any number", "for matrices 'fro' or 'nuc'"),
                     where=user_source())  # fmt: skip
    return _p_norm(x, float(order), axes, keepdims)


_MATRIX_ORDERS = (None, "fro", "nuc", 1, -1, 2, -2, "inf", "-inf")


def _matrix_norm(x: Any, order: Any, axes: tuple[int, int], keepdims: bool) -> Any:
    row, column = axes
    if row == column:
        raise ShapeError(
            "a matrix norm needs two distinct axes",
            expected="two axes",
            got=axes,
            where=user_source(),
            fix="name two different axes",
        )
    if order in (None, "fro", "f"):
        return ops.norm(x, axes=tuple(sorted(axes)), keepdims=keepdims)
    if order in (2, -2, "nuc"):
        values = svdvals(np.moveaxis(x, (row, column), (-2, -1)))
        found = np.sum(values, -1) if order == "nuc" else (np.max if order == 2 else np.min)(values, axis=-1)
    elif order in (1, -1, np.inf, -np.inf):
        summed, rest = (row, column) if order in (1, -1) else (column, row)
        totals = np.sum(np.abs(x), axis=summed, keepdims=True)
        found = np.squeeze((np.max if order > 0 else np.min)(totals, axis=rest, keepdims=True), (row, column))
    else:
        raise choose("ord", order, _MATRIX_ORDERS, where=user_source())
    return np.expand_dims(found, tuple(sorted(axes))) if keepdims else found


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = floating(x)
    if axis is None:
        if ord is None or (ord in ("fro", "f") and x.ndim == 2) or (ord == 2 and x.ndim == 1):
            return ops.norm(x, axes=tuple(range(x.ndim)), keepdims=bool(keepdims))
        axis = tuple(range(x.ndim))
    given = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    axes = tuple(normalize_axis(a, x.ndim) for a in given)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, bool(keepdims))
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, bool(keepdims))
    raise ShapeError(
        "this norm is for vectors and matrices", expected="one axis or two", got=f"axis={axis} of shape {x.shape}",
        where=user_source(), fix="name one axis or two, or use np.linalg.vector_norm",
    )  # fmt: skip


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    x = floating(x)
    return _vector_norm(x, ord, normalize_axes(axis, x.ndim), bool(keepdims))


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    x = floating(x)
    if x.ndim < 2:
        raise ShapeError(
            "a matrix norm needs matrices",
            expected="(…, n, m)",
            got=x.shape,
            where=user_source(),
            fix="pass axis=… for a vector norm",
        )
    return _matrix_norm(x, ord, (x.ndim - 2, x.ndim - 1), bool(keepdims))


# ------------------------------------------------------------------------------ the same functions, by another name


@implements(np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    return np.matrix_transpose(x)


def matrix_diagonal(x: Any) -> Any:
    """The diagonals of square matrices as a view: (…, n, n) → (…, n)."""
    n = x.shape[-1]
    shape = x.shape
    key = (*((0, size, 1) for size in shape[:-2]), (0, n * n, n + 1))

    def write(base: Any, new: Any) -> Any:
        flat = record.reshape(base, (*shape[:-2], n * n))
        return record.reshape(record.op("update")(flat, new, key=key), shape)

    made: Any = ops.diagonal(x)
    return made._as_view(x, ops.diagonal, write)
