"""What tests of matrix-product kernels share: operands of any layout, compiling a kernel alone, the error bound."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.compile import engine
from chainrule.compile.hooks import Hooks
from chainrule.compile.products import ProductKernel, product
from chainrule.compile.target import Target, host
from chainrule.compile.tiles import Matrix, Product

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def matrix(slot: int, x: np.ndarray) -> Matrix:
    steps = [s // x.itemsize for s in x.strides]
    return Matrix(slot, steps[-2], steps[-1], tuple(steps[:-2]))


def spec_of(a: np.ndarray, b: np.ndarray, c: np.ndarray | None, *, accumulate: bool = False) -> Product:
    m, k = a.shape[-2:]
    place = None if c is None else matrix(2, c)
    return Product(a.dtype, m, b.shape[-1], k, matrix(0, a), matrix(1, b), place, a.shape[:-2], accumulate)


def native(kernel: ProductKernel, target: Target, level: int = 1) -> Callable[[Any, int, int], None]:
    text = kernel.text.replace("define internal", "define", 1)
    text = "\n".join([text, f"attributes #0 = {{ {target.attributes} }}", *kernel.metadata])
    library = engine.load(engine.compile_object(text, target, level), target)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(library.address(kernel.name))

    def call(buffers: Any, begin: int, end: int) -> None:
        function(buffers, begin, end)

    call.code = library  # type: ignore[attr-defined]
    return call


def pointers(*arrays: np.ndarray) -> Any:
    return (ctypes.c_void_p * len(arrays))(*(x.ctypes.data for x in arrays))


def run(spec: Product, *arrays: np.ndarray, target: Target | None = None, hooks: Hooks | None = None,
        level: int = 1) -> ProductKernel:  # fmt: skip
    target = target or host()
    kernel = product(spec, target, hooks=hooks)
    native(kernel, target, level)(pointers(*arrays), 0, kernel.chunks)
    return kernel


def make(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, turned: bool, pad: int = 0) -> np.ndarray:
    """A matrix (or a batch) that lies row by row or column by column, with ``pad`` numbers between."""
    *lead, rows, columns = shape
    inner = (columns, rows + pad) if turned else (rows, columns + pad)
    x = rng.standard_normal((*lead, *inner)).astype(dtype)
    x = x[..., : inner[1] - pad]
    return x.swapaxes(-1, -2) if turned else x


def close(got: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Within the error bound of a sum of k products (Higham, 2002, section 3.1), with room for a pairwise order."""
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble)
    bound = (a.shape[-1] + 1) * np.finfo(got.dtype).eps * (np.abs(a).astype(float) @ np.abs(b).astype(float))
    assert np.all(np.abs(got - exact) <= bound + np.finfo(got.dtype).tiny)


def check(m: int, n: int, k: int, ta: bool, tb: bool, dtype: np.dtype, *, lead: tuple[int, ...] = (), pad: int = 0,
          target: Target | None = None, level: int = 1) -> ProductKernel:  # fmt: skip
    rng = np.random.default_rng([m, n, k])
    a, b = make(rng, (*lead, m, k), dtype, ta, pad), make(rng, (*lead, k, n), dtype, tb, pad)
    around = np.full((*lead, m + 2, n + 5), 7.0, dtype)
    c = around[..., 1:-1, 2:-3]
    kernel = run(spec_of(a, b, c), a, b, c, target=target, level=level)
    close(c, a, b)
    c[...] = 7.0
    assert np.all(around == 7.0)  # nothing but C was written
    return kernel
