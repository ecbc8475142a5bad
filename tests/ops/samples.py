"""Samples for the catalogue test: what each op is tried on.

Pointwise ops get theirs from their record (``domain``, ``kinks``); every other op has rows here, or in a file
``samples_<family>.py`` beside this one, which the test imports by itself.  A row is::

    add("cumsum", Sample((normal(3, 4),), {"axis": 0, "reverse": False}, value=lambda x: np.cumsum(x, 0)))

``value`` computes the expected output (a tuple of several) from the arguments, by another way than the op does; where
the output is not unique, ``holds`` says instead whether an output is right.  An op without a row fails the test.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.base.arrays import resolve
from chainrule.base.errors import DtypeError
from chainrule.ops.record import Pointwise


@dataclass(frozen=True, eq=False)
class Sample:
    """Arguments (float64 where they are floats), attributes, and what is expected of the result.

    ``float32=False`` for rows whose attributes fix the dtype (nested graphs); ``modes`` for ops that state that they
    have one mode of differentiation only; ``tangent(position, x)`` for ops that take some directions only (symmetric
    matrices), turns ``x`` into one of these.  ``loose`` scales the tolerances of the derivatives.
    """

    args: tuple[Any, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    value: Callable[..., Any] | None = None
    holds: Callable[..., bool] | None = None
    float32: bool = True
    modes: tuple[str, ...] = ("rev", "fwd")
    tangent: Callable[[int, Any], Any] | None = None
    loose: float = 1.0


TABLE: dict[str, list[Sample]] = {}

_rng = np.random.default_rng(20)


def add(name: str, *samples: Sample) -> None:
    """Enter rows for the op ``name``."""
    TABLE.setdefault(name, []).extend(samples)


def normal(*shape: int) -> Any:
    """Normal numbers."""
    return _rng.normal(size=shape)


def cnormal(*shape: int) -> Any:
    """Complex normal numbers."""
    return _rng.normal(size=shape) + 1j * _rng.normal(size=shape)


def whole(low: int, high: int, *shape: int) -> Any:
    """Integers from ``low`` up to, not with, ``high``."""
    return _rng.integers(low, high, size=shape)


def coins(*shape: int) -> Any:
    """Random bools."""
    return _rng.random(size=shape) < 0.5


# ---------------------------------------------------------------------------------------------------------- pointwise

_SHAPES: dict[int, list[tuple[tuple[int, ...], ...]]] = {
    1: [((3,),), ((),), ((2, 3),), ((1,),), ((0,),), ((2, 0, 3),)],
    2: [((3,), (3,)), ((2, 1), (3,)), ((), (3,)), ((1,), (2, 3)), ((), ()), ((0,), (1,)), ((2, 0), ())],
}

# Ops whose ufunc only lends its dtypes, or is one result of it.
_REFERENCE: dict[str, Callable[..., Any]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "exponent": lambda x: (np.floor(np.log2(np.abs(x))) + 1).astype(np.int32),
}

# Loops that NumPy has for complex numbers but that order them (by real, then imaginary part): not holomorphic.
_ORDERED = {"maximum", "minimum"}


def rng_for(name: str) -> np.random.Generator:
    """A generator of the op's own, so that adding an op does not move the samples of the others."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def reference(op: Pointwise) -> Callable[..., Any]:
    """What the op is compared with: a formula given for it, or else the ufunc of its record."""
    return _REFERENCE.get(op.name, op.ufunc)


def inside(op: Pointwise, position: int, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Numbers in the op's domain for the argument at ``position``, at least 0.05 away from its kinks."""
    low, high = op.domain[position] if position < len(op.domain) else op.domain[0]
    x = rng.uniform(low, high, size=shape)
    for kink in op.kinks:
        x = np.where(np.abs(x - kink) < 0.05, kink + np.where(x < kink, -0.05, 0.05) + (x - kink), x)
    return x


def takes(op: Pointwise, dtype: str) -> bool:
    """Whether NumPy has a loop of this ufunc for arguments of ``dtype``."""
    return result_kind(op, dtype) != ""


def result_kind(op: Pointwise, dtype: str) -> str:
    """The kind of dtype that arguments of ``dtype`` give, or "" where they are refused."""
    try:
        return resolve(op.ufunc, (np.dtype(dtype),) * op.ufunc.nin)[-1].kind
    except DtypeError:
        return ""


def pointwise_samples(op: Pointwise) -> list[Sample]:
    """Rows for a pointwise op: its domain, in every broadcasting of shapes; complex where it has complex loops."""
    rng = rng_for(op.name)
    rows = []
    for shapes in _SHAPES[op.ufunc.nin]:
        if takes(op, "f8"):
            args = tuple(inside(op, i, shape, rng) for i, shape in enumerate(shapes))
            if len(args) == 2 and args[0].size and args[1].size and op.name in ("maximum", "minimum"):
                args = (args[0], args[1] + 0.07 * (np.abs(np.subtract(*args)).min() < 0.02))
        else:
            args = tuple(rng.integers(0, 5, size=shape) for shape in shapes)
        rows.append(Sample(args, value=reference(op), loose=op.tolerance))
    if result_kind(op, "c16") == "c" and op.name not in _ORDERED and op.undifferentiable(0, {}) is None:
        for shapes in _SHAPES[op.ufunc.nin][:3]:
            args = tuple(
                inside(op, i, shape, rng) + 1j * rng.uniform(0.1, 0.4, size=shape) for i, shape in enumerate(shapes)
            )
            rows.append(Sample(args, value=reference(op), loose=op.tolerance))
    return rows


# ------------------------------------------------------------------------------------- choices, dtypes, complex parts


def _loop_where(c: Any, x: Any, y: Any) -> Any:
    c, x, y = np.broadcast_arrays(c, x, y)
    return np.array([b if a else d for a, b, d in zip(c.flat, x.flat, y.flat, strict=True)], x.dtype).reshape(c.shape)


add(
    "where",
    Sample((coins(2, 3), normal(2, 3), normal(2, 3)), value=_loop_where),
    Sample((coins(2, 1), normal(3), normal()), value=_loop_where),
    Sample((coins(), normal(), normal(2)), value=_loop_where),
    Sample((coins(0), normal(1), normal()), value=_loop_where),
    Sample((coins(3), cnormal(3), cnormal(3)), value=_loop_where),
)
for _dtype in ("f8", "f4", "c16"):
    add("cast", Sample((normal(2, 3),), {"dtype": np.dtype(_dtype)}, value=lambda x, t=_dtype: x.astype(t), loose=1e3
                       if _dtype == "f4" else 1.0))  # fmt: skip
add(
    "cast",
    Sample((normal(3) * 9,), {"dtype": np.dtype("i8")}, value=lambda x: np.array([int(v) for v in x])),
    Sample((coins(3),), {"dtype": np.dtype("f8")}, value=lambda x: x * 1.0),
    Sample((cnormal(3),), {"dtype": np.dtype("f8")}, value=lambda x: (x + x.conj()).real / 2),
    Sample((cnormal(0),), {"dtype": np.dtype("c8")}, value=lambda x: np.zeros(0, "c8"), float32=False),
)
for _shape in ((3,), (), (2, 1), (0,)):
    add("real", Sample((cnormal(*_shape),), value=lambda x: (x + x.conj()).real / 2))
    add("imag", Sample((cnormal(*_shape),), value=lambda x: (-1j * (x - x.conj()) / 2).real))
    add("conj", Sample((cnormal(*_shape),), value=lambda x: x.real - 1j * x.imag))
    add("complex", Sample((normal(*_shape), normal(*_shape)), value=lambda x, y: x + 1j * y))
add("complex", Sample((normal(2, 1), normal(3)), value=lambda x, y: x + 1j * y))

# ----------------------------------------------------------------------------------------------------------- indexing

_KEYS: list[tuple[tuple[int, ...], tuple[Any, ...], Any]] = [
    ((3, 4), ((0, 3, 1), (1, 4, 2)), np.s_[:, 1:4:2]),
    ((3, 4), (1, (0, 4, 1)), np.s_[1]),
    ((3, 4), ((2, None, -1), (0, 4, 1)), np.s_[::-1]),
    ((3, 4), (2, 3), np.s_[2, 3]),
    ((3,), (None, (0, 3, 2)), np.s_[None, ::2]),
    ((3, 4), ((0, 3, 1), (2, 2, 1)), np.s_[:, 2:2]),
    ((1, 1), (0, (0, 1, 1)), np.s_[0]),
]


def _put(shape: tuple[int, ...], key: Any) -> Callable[..., Any]:
    def put(x: Any) -> Any:
        out = np.zeros(shape)
        out[key] = x
        return out

    return put


def _replace(key: Any) -> Callable[..., Any]:
    def replace(x: Any, part: Any) -> Any:
        mask = np.zeros(x.shape, bool)
        mask[key] = True
        new = np.zeros(x.shape)
        new[key] = part
        return x * ~mask + new

    return replace


for _shape, _key, _plain in _KEYS:
    _part = np.zeros(_shape)[_plain].shape
    add("index", Sample((normal(*_shape),), {"key": _key}, value=lambda x, k=_plain: x[k]))
    add("unindex", Sample((normal(*_part),), {"shape": _shape, "key": _key}, value=_put(_shape, _plain)))
    add("update", Sample((normal(*_shape), normal(*_part)), {"key": _key}, value=_replace(_plain)))
add("update", Sample((normal(3, 4), normal()), {"key": ((0, 2, 1), (0, 4, 1))}, value=_replace(np.s_[:2])))
add("update", Sample((normal(3, 4), normal(1, 4)), {"key": ((0, 2, 1), (0, 4, 1))}, value=_replace(np.s_[:2])))


def _loop_gather(x: Any, *indices: Any) -> Any:
    places = np.stack(np.broadcast_arrays(*indices), -1)
    rows = [x[tuple(p)] for p in places.reshape(-1, len(indices))]
    return np.array(rows, x.dtype).reshape(*places.shape[:-1], *x.shape[len(indices) :])


def _loop_scatter(adding: bool) -> Callable[..., Any]:
    def scatter(x: Any, part: Any, *indices: Any) -> Any:
        out = x.copy()
        for place in np.ndindex(indices[0].shape):
            target = tuple(i[place] for i in indices)
            out[target] = out[target] + part[place] if adding else part[place]
        return out

    return scatter


_TWICE = np.array([[0, 2], [2, 1]])  # one place is named twice
_GATHERS: list[tuple[tuple[int, ...], tuple[Any, ...]]] = [
    ((3, 4), (_TWICE,)),
    ((3, 4), (_TWICE, np.array([[0, 3], [3, 1]]))),
    ((5,), (np.array([4, 4, -1, 0]),)),
    ((3, 2), (np.zeros(0, np.int64),)),
    ((1,), (np.array([0]),)),
    ((3, 2), (np.array(2),)),
]
for _shape, _indices in _GATHERS:
    _part = (*_indices[0].shape, *_shape[len(_indices) :])
    add("gather", Sample((normal(*_shape), *_indices), value=_loop_gather))
    add("scatter_add", Sample((normal(*_shape), normal(*_part), *_indices), value=_loop_scatter(True)))
    add("scatter", Sample((normal(*_shape), normal(*_part), *_indices), value=_loop_scatter(False)))

# -------------------------------------------------------------------------------------------------------------- shape

for _old, _new in (((2, 3), (3, 2)), ((2, 3), (6,)), ((), (1, 1)), ((1,), ()), ((0, 2), (2, 0))):
    add("reshape", Sample((normal(*_old),), {"shape": _new}, value=lambda x, s=_new: np.array(list(x.flat)).reshape(s)))
for _old, _axes in (((2, 3), (1, 0)), ((2, 3, 4), (1, 2, 0)), ((2, 1, 0), (2, 0, 1)), ((3,), (0,))):
    add("transpose", Sample((normal(*_old),), {"axes": _axes}, value=lambda x, a=_axes: np.einsum(x, range(x.ndim), a)))
for _old, _new in (((2, 1), (2, 3)), ((), (2,)), ((3,), (2, 3)), ((1,), (0,)), ((1, 1), (4, 1, 3))):
    add("broadcast_to", Sample((normal(*_old),), {"shape": _new}, value=lambda x, s=_new: x + np.zeros(s)))
add(
    "concatenate",
    Sample((normal(2, 3), normal(1, 3)), {"axis": 0}, value=lambda x, y: np.array([*x, *y])),
    Sample((normal(2, 3), normal(2, 0), normal(2, 1)), {"axis": 1}, value=lambda x, y, z: np.hstack([x, y, z])),
    Sample((normal(4),), {"axis": 0}, value=lambda x: x),
)

# ---------------------------------------------------------------------------------------------------------- reductions

_REDUCED: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 3), (0,)), ((2, 3), (0, 1)), ((2, 3, 4), (0, 2)), ((1, 3), (0,)), ((0, 3), (1,)), ((3,), (0,)),
]  # fmt: skip


def _slices(x: Any, axes: tuple[int, ...]) -> Any:
    """The reduced axes together, in front."""
    rest = [i for i in range(x.ndim) if i not in axes]
    return x.transpose(*axes, *rest).reshape(math.prod(x.shape[a] for a in axes), *(x.shape[i] for i in rest))


def _reduction(combine: Callable[[Any], Any], axes: tuple[int, ...], keepdims: bool) -> Callable[..., Any]:
    def reduce(x: Any) -> Any:
        found = combine(_slices(x, axes))
        return found.reshape([1 if i in axes else n for i, n in enumerate(x.shape)]) if keepdims else found

    return reduce


for _shape, _axes in _REDUCED:
    for _keep in (False, True):
        _attrs = {"axes": _axes, "keepdims": _keep}
        for _name, _combine in (
            ("sum", lambda s: s.T.dot(np.ones(len(s))).T if s.size else s.sum(0)),
            ("max", lambda s: np.sort(s, 0)[-1]),
            ("min", lambda s: np.sort(s, 0)[0]),
        ):
            add(_name, Sample((normal(*_shape),), _attrs, value=_reduction(_combine, _axes, _keep)))
        add("any", Sample((coins(*_shape),), _attrs, value=_reduction(lambda s: s.sum(0) > 0, _axes, _keep)))
        add("all", Sample((coins(*_shape),), _attrs, value=_reduction(lambda s: (~s).sum(0) == 0, _axes, _keep)))
add("sum", Sample((cnormal(2, 3),), {"axes": (1,), "keepdims": False}, value=lambda x: x @ np.ones(3)))
add("sum", Sample((whole(0, 9, 2, 3),), {"axes": (1,), "keepdims": False}, value=lambda x: x @ np.ones(3, int)))
add("sum", Sample((coins(0, 3),), {"axes": (0,), "keepdims": False}, value=lambda x: np.zeros(3, int)))
for _shape, _axis in (((4,), 0), ((2, 3), 1), ((2, 3), 0), ((1, 2), 0)):
    for _reverse in (False, True):

        def _running(x: Any, axis: int = _axis, reverse: bool = _reverse) -> Any:
            n = x.shape[axis]
            upper = np.tril(np.ones((n, n))) if reverse else np.triu(np.ones((n, n)))
            return np.moveaxis(np.moveaxis(x, axis, -1) @ upper, -1, axis)

        add("cumsum", Sample((normal(*_shape),), {"axis": _axis, "reverse": _reverse}, value=_running))
    add("argmax", Sample((normal(*_shape),), {"axis": _axis}, value=lambda x, a=_axis: np.argsort(-x, a).take(0, a)))
    add("argmin", Sample((normal(*_shape),), {"axis": _axis}, value=lambda x, a=_axis: np.argsort(x, a).take(0, a)))
    add("argsort", Sample((normal(*_shape),), {"axis": _axis}, holds=lambda order, x, a=_axis: bool(
        np.all(np.diff(np.take_along_axis(x, order, a), axis=a) >= 0))))  # fmt: skip
add("argsort", Sample((np.array([2.0, 1.0, 2.0, 1.0]),), {"axis": 0}, value=lambda x: np.array([1, 3, 0, 2])))
add("cumsum", Sample((normal(0, 2),), {"axis": 0, "reverse": False}, value=lambda x: np.zeros((0, 2))))

# ------------------------------------------------------------------------------------------------- products, and others

_PRODUCTS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 3), (3, 4)), ((5, 2, 3), (3, 2)), ((1, 2, 3), (4, 3, 1)), ((2, 0), (0, 3)), ((1, 1), (1, 1)),
]  # fmt: skip
for _left, _right in _PRODUCTS:
    add("matmul", Sample((normal(*_left), normal(*_right)), value=lambda x, y: np.einsum("...ij,...jk->...ik", x, y)))
add("matmul", Sample((cnormal(2, 3), cnormal(3, 2)), value=lambda x, y: np.einsum("ij,jk", x, y)))
add("stop_gradient", Sample((normal(2, 3),), value=lambda x: x), Sample((normal(),), value=lambda x: x))

_words = np.array([7, 9], np.uint32)
add(
    "random_bits",
    Sample((_words,), {"shape": (3, 2), "stream": 0}, holds=lambda bits, key: len(set(bits.flat)) == 6),
    Sample((_words,), {"shape": (), "stream": 1}, holds=lambda bits, key: 0 <= int(bits) < 2**32),
)
