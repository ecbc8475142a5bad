"""Every traced function of one array, and every ufunc of two, on arrays that are empty, of size 1, or without axes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base import trees
from chainrule.trace.table import ARRAY_FUNCTIONS, UFUNCS

SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (3,), (0, 3), (3, 0), (1, 1), (2, 1, 3), (3, 3)]

# Not compared: functions that make arrays (handed over with like= only; "empty" holds anything), and the sizes
# that NumPy gives back only after it has looked at values.
APART = {
    "array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray", "arange", "tri", "frombuffer",
    "fromfunction", "fromiter", "loadtxt", "empty", "empty_like", "poly", "roots",
}  # fmt: skip

FUNCTIONS = sorted(
    {
        f.__name__: f
        for f in [*ARRAY_FUNCTIONS, *UFUNCS]
        if getattr(np, f.__name__, None) is f and f.__name__ not in APART
    }.items()
)


def leaves(tree: Any) -> list[Any]:
    return [np.asarray(leaf) for leaf in trees.leaves(_plain(tree))]


def _plain(tree: Any) -> Any:
    return [_plain(part) for part in tree] if isinstance(tree, (list, tuple)) else tree


def same_as_numpy(function: Any, count: int, shape: tuple[int, ...]) -> bool:
    """Whether NumPy takes such arrays; what it gives must come from Symbols too."""
    x = np.random.default_rng(0).uniform(0.3, 0.8, size=shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            expected = leaves(function(*[x.copy()] * count))
        except (
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            RuntimeWarning,
            DeprecationWarning,
            np.exceptions.AxisError,
        ):
            return False
    if any(e.dtype.kind not in "biufc" for e in expected):
        return False
    found = leaves(cr.vjp(lambda x: function(*[x.copy()] * count), x)[0])
    assert len(found) == len(expected)
    for f, e in zip(found, expected, strict=True):
        assert (f.shape, f.dtype) == (e.shape, e.dtype), shape
        np.testing.assert_allclose(f, e, rtol=1e-10, atol=1e-12)
    return True


@pytest.mark.parametrize(("name", "function"), FUNCTIONS, ids=[name for name, _ in FUNCTIONS])
def test_odd_shapes(name: str, function: Any) -> None:
    for shape in SHAPES:
        same_as_numpy(function, getattr(function, "nin", 1), shape)


def test_most_functions_are_compared() -> None:
    compared = sum(same_as_numpy(f, getattr(f, "nin", 1), (3,)) for _, f in FUNCTIONS)
    assert compared > 150
