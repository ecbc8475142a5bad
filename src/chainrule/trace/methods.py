"""The methods an ndarray has, given to Symbols: each is the NumPy function of the same name."""

from __future__ import annotations

from typing import Any

import numpy as np

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
    "searchsorted": np.searchsorted, "compress": lambda x, condition, axis=None: np.compress(condition, x, axis),
    "choose": np.choose, "partition": None, "argsort": np.argsort, "argpartition": np.argpartition,
    "__matmul__": np.matmul, "__divmod__": np.divmod, "__pos__": np.positive, "__abs__": np.absolute,
    "__round__": np.round,
}.items():  # fmt: skip
    if _function is not None:
        setattr(Symbol, _name, _same_as(_function))


def _reflected(function: Any) -> Any:
    def method(self: Symbol, other: Any) -> Any:
        return function(other, self)

    return method


Symbol.__rmatmul__ = _reflected(np.matmul)  # type: ignore[attr-defined]
Symbol.__rdivmod__ = _reflected(np.divmod)  # type: ignore[attr-defined]


def _reshape(self: Symbol, *shape: Any, order: str = "C", copy: Any = None) -> Any:
    return np.reshape(self, shape[0] if len(shape) == 1 else shape, order)


def _transpose(self: Symbol, *axes: Any) -> Any:
    given = axes[0] if len(axes) == 1 else axes
    return np.transpose(self, given or None)


def _flatten(self: Symbol, order: str = "C") -> Any:
    return np.ravel(self, order).copy()


def _astype(self: Symbol, dtype: Any, *args: Any, **kwargs: Any) -> Any:
    return np.astype(self, np.dtype(dtype))


def _sort(self: Symbol, axis: int = -1, kind: Any = None, order: Any = None) -> None:
    self._write(np.sort(self, axis))


def _fill(self: Symbol, value: Any) -> None:
    self[...] = value


def _matrix_product_in_place(self: Symbol, other: Any) -> Any:
    return self._write(np.matmul(self, other))


for _name, _method in {
    "reshape": _reshape, "transpose": _transpose, "flatten": _flatten, "astype": _astype, "sort": _sort,
    "fill": _fill, "__imatmul__": _matrix_product_in_place,
}.items():  # fmt: skip
    setattr(Symbol, _name, _method)

for _name, _function in {
    "T": np.transpose, "mT": np.matrix_transpose, "real": np.real, "imag": np.imag,
    "flat": lambda x: iter(np.ravel(x)),
}.items():  # fmt: skip
    setattr(Symbol, _name, property(_function))
