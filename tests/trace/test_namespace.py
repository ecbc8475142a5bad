"""The array-API standard, 2024.12: every function is there and traces."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph.builder import ACTIVE
from chainrule.trace.symbol import Symbol
from chainrule.trace.table import ARRAY_FUNCTIONS, UFUNCS


def words(text: str) -> list[str]:
    return text.split()


# The specification's own lists, section by section: https://data-apis.org/array-api/2024.12/API_specification/
ELEMENTWISE = words("""
    abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_invert bitwise_or
    bitwise_right_shift bitwise_xor ceil clip conj copysign cos cosh divide equal exp expm1 floor floor_divide
    greater greater_equal hypot imag isfinite isinf isnan less less_equal log log1p log2 log10 logaddexp
    logical_and logical_not logical_or logical_xor maximum minimum multiply negative nextafter not_equal
    positive pow real reciprocal remainder round sign signbit sin sinh square sqrt subtract tan tanh trunc
""")
CREATION_LIKE = words("empty_like full_like ones_like zeros_like")
CREATION = words("arange asarray empty eye from_dlpack full ones zeros")
FUNCTIONS = words("""
    broadcast_arrays broadcast_to concat expand_dims flip moveaxis permute_dims repeat reshape roll squeeze
    stack tile unstack take take_along_axis argmax argmin count_nonzero nonzero searchsorted where unique_all
    unique_counts unique_inverse unique_values argsort sort cumulative_prod cumulative_sum max mean min prod std
    sum var all any diff matmul matrix_transpose tensordot vecdot tril triu meshgrid linspace astype can_cast
    result_type
""")
DATA_TYPES = words("""
    finfo iinfo isdtype bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64
    complex128 e inf nan newaxis pi __array_namespace_info__
""")
LINALG = words("""
    cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank matrix_transpose
    outer pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm
""")
FFT = words("""
    fft ifft fftn ifftn rfft irfft rfftn irfftn hfft ihfft fftfreq rfftfreq fftshift ifftshift
""")
CONSTANT = ("fftfreq", "rfftfreq")  # made of numbers alone: nothing to trace


def namespace() -> Any:
    """What a Symbol gives as its namespace."""
    found: list[Any] = []

    def f(x: Any) -> Any:
        found.append(x.__array_namespace__())
        return x

    cr.trace(f)(1.0)
    return found[0]


def is_traced(function: Any) -> bool:
    return function in ARRAY_FUNCTIONS or function in UFUNCS


@pytest.mark.parametrize("name", ELEMENTWISE + CREATION_LIKE + FUNCTIONS)
def test_function_is_traced(name: str) -> None:
    assert is_traced(getattr(namespace(), name))


@pytest.mark.parametrize("name", CREATION + DATA_TYPES)
def test_name_is_there(name: str) -> None:
    assert hasattr(namespace(), name)


@pytest.mark.parametrize("name", LINALG)
def test_linear_algebra_is_traced(name: str) -> None:
    assert is_traced(getattr(namespace().linalg, name))


@pytest.mark.parametrize("name", [n for n in FFT if n not in CONSTANT])
def test_fourier_transform_is_traced(name: str) -> None:
    assert is_traced(getattr(namespace().fft, name))


def test_all_lists_what_is_public() -> None:
    module = namespace()
    assert len(module.__all__) == len(set(module.__all__))
    assert all(hasattr(module, name) for name in module.__all__)
    listed = {
        *ELEMENTWISE,
        *CREATION,
        *CREATION_LIKE,
        *FUNCTIONS,
        *DATA_TYPES,
        "fft",
        "linalg",
        "__array_api_version__",
    }
    assert set(module.__all__) == listed


def test_arrays_made_while_tracing_can_be_written_to() -> None:
    def f(x: Any) -> Any:
        xp = x.__array_namespace__()
        made = [
            xp.zeros(2),
            xp.ones((2,)),
            xp.empty(2),
            xp.full(2, 3.0),
            xp.arange(2.0),
            xp.eye(2)[0],
            xp.full(2, x[0]),
        ]
        assert all(isinstance(m, Symbol) for m in made)
        for m in made:
            m[0] = x[0]
        return sum(m.sum() for m in made)

    x = np.array([2.0, 5.0])
    assert cr.value_and_grad(f)(x)[0] == 7 * 2.0 + 0 + 1 + 0 + 3 + 1 + 0 + 2
    np.testing.assert_array_equal(cr.grad(f)(x), [8.0, 0.0])


def test_asarray_joins_symbols() -> None:
    def f(x: Any) -> Any:
        xp = x.__array_namespace__()
        assert xp.asarray(x) is x
        assert xp.asarray(x, copy=True) is not x
        assert xp.asarray(x, dtype=xp.float32).dtype == np.float32
        with pytest.raises(ValueError, match="Unable to avoid copy"):
            xp.asarray([1.0, x[0]], copy=False)
        return xp.asarray([[x[1], 1.0], [x[0], x[0]]])

    np.testing.assert_array_equal(cr.jit(f)(np.array([2.0, 5.0])), [[5.0, 1.0], [2.0, 2.0]])


def test_outside_of_a_trace_arrays_are_plain() -> None:
    module = namespace()
    assert ACTIVE.get() is None
    assert type(module.zeros(3)) is np.ndarray
    assert type(module.asarray([1.0, 2.0])) is np.ndarray
    assert module.finfo(np.float32).bits == 32
    assert module.iinfo(np.int16).max == 32767


def test_creation_functions_have_the_standards_parameters() -> None:
    module = namespace()
    for name in CREATION:
        assert "device" in inspect.signature(getattr(module, name)).parameters
    assert list(inspect.signature(module.eye).parameters) == ["n_rows", "n_cols", "k", "dtype", "device"]
