"""The methods an ndarray has, given to Symbols: each is the NumPy function of the same name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.base.errors import DtypeError
from chainrule.graph.source import user_source
from chainrule.ops import pointwise
from chainrule.trace.symbol import Symbol


def _same_as(function: Any) -> Any:
    def method(self: Symbol, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = function.__name__
    method.__doc__ = f"The same as ``np.{function.__name__}`` of this array."
    return method


for _name, _function in {
    "sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "argmax": np.argmax, "argmin": np.argmin,
    "any": np.any, "all": np.all, "cumsum": np.cumsum, "cumprod": np.cumprod, "prod": np.prod, "var": np.var,
    "std": np.std, "ravel": np.ravel, "squeeze": np.squeeze, "swapaxes": np.swapaxes, "clip": np.clip,
    "conj": np.conjugate, "conjugate": np.conjugate, "copy": np.copy, "diagonal": np.diagonal, "dot": np.dot,
    "nonzero": np.nonzero, "repeat": np.repeat, "round": np.round, "take": np.take, "trace": np.trace,
    "searchsorted": np.searchsorted, "choose": np.choose, "argsort": np.argsort, "argpartition": np.argpartition,
    "put": np.put, "__matmul__": np.matmul, "__divmod__": np.divmod, "__pos__": np.positive, "__abs__": np.absolute,
    "__round__": np.round, "__copy__": np.copy,
}.items():  # fmt: skip
    setattr(Symbol, _name, _same_as(_function))


def _reflected(function: Any) -> Any:
    def method(self: Symbol, other: Any) -> Any:
        return function(other, self)

    return method


def _reshape(self: Any, *shape: Any, order: Any = "C", copy: Any = None) -> Any:
    return np.reshape(self, shape[0] if len(shape) == 1 else shape, order)


def _transpose(self: Any, *axes: Any) -> Any:
    given = axes[0] if len(axes) == 1 else axes
    return np.transpose(self, given or None)


def _flatten(self: Any, order: Any = "C") -> Any:
    return np.ravel(self, order).copy()


def _astype(
    self: Any, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
) -> Any:
    if not np.can_cast(self.dtype, dtype, casting):
        raise DtypeError(
            f"a cast that is not {casting}", expected=f"a dtype that {self.dtype} casts to", got=np.dtype(dtype),
            where=user_source(), fix="leave casting out",
        )  # fmt: skip
    return np.astype(self, np.dtype(dtype), copy=copy)


def _sort(self: Any, axis: int = -1, kind: Any = None, order: Any = None) -> None:
    self._write(np.sort(self, axis))


def _partition(self: Any, kth: Any, axis: int = -1, kind: Any = None, order: Any = None) -> None:
    self._write(np.partition(self, kth, axis))


def _compress(self: Any, condition: Any, axis: Any = None, out: Any = None) -> Any:
    return np.compress(condition, self, axis, out)


def _deepcopy(self: Any, memo: Any) -> Any:
    return self.copy()


def _fill(self: Symbol, value: Any) -> None:
    self[...] = value


def _matrix_product_in_place(self: Symbol, other: Any) -> Any:
    return self._write(np.matmul(self, other))


for _name, _method in {
    "reshape": _reshape, "transpose": _transpose, "flatten": _flatten, "astype": _astype, "sort": _sort,
    "fill": _fill, "partition": _partition, "compress": _compress, "__deepcopy__": _deepcopy,
    "__imatmul__": _matrix_product_in_place, "__rmatmul__": _reflected(np.matmul),
    "__rdivmod__": _reflected(np.divmod),
}.items():  # fmt: skip
    setattr(Symbol, _name, _method)


class Flat:
    """What ``x.flat`` is: the elements of ``x`` in C order, to read, to write and to iterate over."""

    def __init__(self, array: Symbol) -> None:
        self.array = array

    def __getitem__(self, key: Any) -> Any:
        return np.ravel(self.array).copy()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        flat = np.ravel(self.array).copy()
        places = np.arange(flat.size)[key]
        flat[places] = np.resize(value, np.shape(places)) if np.ndim(value) else value
        self.array._write(np.reshape(flat, self.array.shape))

    def __iter__(self) -> Iterator[Any]:
        return iter(np.ravel(self.array).copy())

    def __len__(self) -> int:
        return self.array.size


def _set_part(name: str) -> Any:
    def write(self: Symbol, value: Any) -> None:
        parts = {"real": np.real(self), "imag": np.imag(self), name: np.broadcast_to(value, self.shape)}
        self[...] = pointwise.make_complex(parts["real"], parts["imag"]) if self.dtype.kind == "c" else value

    return write


def _set_flat(self: Symbol, value: Any) -> None:
    Flat(self)[:] = value


for _name, _property in {
    "T": property(np.transpose), "mT": property(np.matrix_transpose),
    "real": property(np.real, _set_part("real")), "imag": property(np.imag, _set_part("imag")),
    "flat": property(Flat, _set_flat),
}.items():  # fmt: skip
    setattr(Symbol, _name, _property)
