"""Indexing of every form, compared with NumPy: chosen keys, random keys, and gradients through them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.errors import IndexingError, TraceError

X = np.arange(120.0).reshape(2, 3, 4, 5)
IDX, J = np.array([0, 2, -1]), np.array([[1], [0]])
MASK3 = np.array([True, False, True])
MASK34 = np.arange(12).reshape(3, 4) % 3 == 0

KEYS: list[Any] = [
    0, -1, (1, 2), (0, 1, 2, 3), slice(None), slice(None, None, -1), slice(1, None), slice(5, 1), (slice(None), -1),
    (..., 0), (0, ..., 1), ..., None, (None, 0, None, ...), (slice(1, 0, -1), slice(-2, None), slice(0, 4, 3)),
    np.int64(1), np.array(1), (np.array(1), slice(None), np.array(0)), [0, 1, 1], [[0], [1]], IDX - 1,
    (slice(None), IDX), (slice(None), IDX, IDX), (slice(None), IDX, slice(None), IDX), (slice(None), IDX, 0),
    (0, slice(None), IDX),
    (0, IDX), (1, slice(None), 2, IDX), (slice(None), J, slice(None), IDX), (J, IDX), (J, ..., IDX),
    (None, J, None, IDX),
    (slice(None), IDX[:2], slice(0, 2), J), ([0, 1], [2, 0], [1, 1], [-1, -5]), np.zeros((0,), int), [], (0, [], 1),
    X > 50, (slice(None), MASK3), (0, MASK3), (slice(None), MASK34), (1, MASK34, slice(0, 2)), (J, MASK3),
    (0, MASK3, slice(None), [0, 4]), (0, [False, True, True]),
    True, False, (True, 0), (slice(None), True, IDX), (None, True, ..., None), np.True_, (slice(None), np.array(False)),
    (slice(None), slice(None), np.array([[0, 3], [3, 3]]), np.array([1, 2])), np.zeros((2, 3, 4, 5), bool),
]  # fmt: skip


def ids(key: Any) -> str:
    return repr(key).replace("\n", "")[:60]


@pytest.mark.parametrize("key", KEYS, ids=ids)
def test_reading_equals_numpy(key: Any) -> None:
    found = cr.jit(lambda x: x[key] * 1)(X)
    np.testing.assert_array_equal(found, X[key])
    assert np.shape(found) == X[key].shape


@pytest.mark.parametrize("key", KEYS, ids=ids)
def test_gradient_of_reading(key: Any) -> None:
    weights = np.random.default_rng(0).normal(size=X[key].shape)
    expected = np.zeros_like(X)
    np.add.at(expected, key, weights)
    np.testing.assert_allclose(cr.grad(lambda x: (x[key] * weights).sum())(X), expected)


@pytest.mark.parametrize("key", KEYS, ids=ids)
def test_writing_equals_numpy(key: Any) -> None:
    shape = X[key].shape
    for value in (np.random.default_rng(1).normal(size=shape), 7.0, np.ones((1, 1, *shape)), np.ones(shape[-1:])):
        expected = X.copy()
        try:
            expected[key] = value
        except (TypeError, ValueError):
            continue  # a form that NumPy refuses for this key

        def f(x: Any, v: Any) -> Any:
            x[key] = v
            return x

        np.testing.assert_array_equal(cr.jit(f)(X, value), expected)


@pytest.mark.parametrize("key", KEYS, ids=ids)
def test_adding_in_place_equals_numpy(key: Any) -> None:
    value = np.random.default_rng(1).normal(size=X[key].shape)
    plain, at = X.copy(), X.copy()
    plain[key] += value
    np.add.at(at, key, value)

    def f(x: Any, v: Any) -> Any:
        y = x.copy()
        y[key] += v
        z = x.copy()
        np.add.at(z, key, v)
        return y, z

    for found, expected in zip(cr.jit(f)(X, value), (plain, at), strict=True):
        np.testing.assert_allclose(found, expected)


def random_key(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """A random key for ``shape``: ints, slices, new axes, an ellipsis, integer arrays and masks in any order."""
    places = (rng.integers(1, 4), rng.integers(1, 4))
    common = places[: rng.integers(0, 3)]
    parts: list[Any] = []
    axis, masked = 0, False
    while axis < len(shape) and rng.random() < 0.85:
        size = shape[axis]
        kind = rng.integers(0, 8)
        if kind == 0:
            parts.append(int(rng.integers(-size, size)))
        elif kind in (1, 2):
            bounds = [None if rng.random() < 0.3 else int(rng.integers(-size - 1, size + 2)) for _ in range(2)]
            parts.append(slice(*bounds, int(rng.choice([-2, -1, 1, 2, 3]))))
        elif kind == 3:
            parts.append(None)
            axis -= 1
        elif kind == 4 and not masked and len(common) <= 1:
            masked = True
            mask = np.zeros(size, bool)
            mask[rng.permutation(size)[: common[0] if common and common[0] <= size else 1]] = True
            if common and mask.sum() not in (1, common[0]):
                mask[:] = False
                mask[0] = True
            parts.append(mask)
        elif kind == 5 and Ellipsis not in [p for p in parts if p is Ellipsis]:
            parts.append(Ellipsis)
            axis = len(shape)
        else:
            parts.append(rng.integers(-size, size, size=[n if rng.random() < 0.8 else 1 for n in common]))
        axis += 1
    return tuple(parts)


def test_random_keys_equal_numpy() -> None:
    rng = np.random.default_rng(7)
    tried = 0
    for _ in range(400):
        shape = tuple(int(n) for n in rng.integers(1, 5, size=rng.integers(1, 5)))
        x = rng.normal(size=shape)
        key = random_key(rng, shape)
        try:
            expected = x[key]
        except IndexError:
            with pytest.raises(IndexError):
                cr.jit(lambda x, key=key: x[key])(x)
            continue
        tried += 1
        np.testing.assert_array_equal(cr.jit(lambda x, key=key: x[key] * 1)(x), expected, err_msg=repr(key))
        written = x.copy()
        value = rng.normal(size=expected.shape)
        written[key] = value

        def write(x: Any, v: Any, key: Any = key) -> Any:
            x[key] = v
            return x

        np.testing.assert_array_equal(cr.jit(write)(x, value), written, err_msg=repr(key))
    assert tried > 300


def test_integer_symbols_index() -> None:
    def f(x: Any, i: Any, j: Any) -> Any:
        return x[i], x[:, i], x[i, :, j], x[..., j], x[[0, i]], x[i - 2]

    for found, expected in zip(cr.jit(f)(X, 1, np.array([0, -1])), f(X, 1, np.array([0, -1])), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_row_read_by_an_integer_symbol_is_a_view() -> None:
    def f(x: Any, i: Any) -> Any:
        row = x[i]
        row += 10
        x[0] *= 2
        return x, row

    x = np.arange(6.0).reshape(3, 2)
    expected = f(x.copy(), np.int64(0))
    for found, e in zip(cr.jit(f)(x, 0), expected, strict=True):
        np.testing.assert_array_equal(found, e)


def test_integer_symbols_are_indices_under_vmap() -> None:
    x, i = np.arange(12.0).reshape(4, 3), np.array([2, 0, 1, -1])
    np.testing.assert_array_equal(cr.vmap(lambda row, k: row[k])(x, i), x[np.arange(4), i])
    np.testing.assert_array_equal(cr.vmap(lambda k: np.array(x, like=k)[k])(i), x[i])
    with pytest.raises(TraceError, match=r"np\.array\(table, like=i\)"):
        cr.vmap(lambda k: x[k])(i)


def test_mask_from_values_selects_under_grad() -> None:
    x = np.array([1.0, -2.0, 3.0])
    np.testing.assert_array_equal(cr.grad(lambda x: (x[x > 0] ** 2).sum())(x), [2.0, 0.0, 6.0])


def test_writing_a_number_by_a_mask_needs_no_value() -> None:
    def f(x: Any) -> Any:
        x[x > 1] = 0.0
        x[x.sum(1) < 0] = 9.0
        return x

    x = np.array([[1.0, 2.0], [-3.0, 1.0]])
    np.testing.assert_array_equal(cr.jit(f)(x), f(x.copy()))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ((0, 0, 0, 0, 0), "too many indices\n  expected: at most 4 for shape (2, 3, 4, 5)\n  got: 5"),
        ((..., ...), "an index can only have one ellipsis"),
        (2, "index out of range\n  expected: -2 <= index < 2 in axis 0\n  got: 2"),
        ([0, -3], "index out of range\n  expected: -2 <= index < 2 in axis 0\n  got: indices from -3 to 0"),
        (
            np.array([0.0]),
            "an array used as an index must hold integers or bools\n"
            "  expected: an integer or bool dtype\n"
            "  got: float64",
        ),
        (1.5, "not an index\n  expected: ints, slices, None, …, integer arrays or boolean masks\n  got: 1.5"),
        (np.ones(3, bool), "a boolean mask of another shape than what it selects from\n  expected: (2,)\n  got: (3,)"),
    ],
)
def test_bad_keys(key: Any, words: str) -> None:
    with pytest.raises(IndexingError) as error:
        cr.jit(lambda x: x[key])(X)
    assert str(error.value).startswith(words)
    assert "test_indexing.py" in str(error.value)


def test_a_value_that_does_not_fit() -> None:
    def f(x: Any) -> Any:
        x[[0, 1]] = np.ones((3, 3, 4, 5))
        return x

    with pytest.raises(ValueError, match="shapes do not broadcast together"):
        cr.jit(f)(X)


def test_slices_need_plain_bounds() -> None:
    x = np.arange(6.0)
    with pytest.raises(TraceError) as error:
        cr.jit(lambda x, i: x[i : i + 2])(x, 3)
    assert str(error.value).startswith(
        "a slice with a bound that has no value: the size of the result would not be known\n"
        "  expected: plain integers as the bounds of a slice\n  got: a Symbol i64[]\n"
    )
    np.testing.assert_array_equal(cr.jit(lambda x, i: x[i + np.arange(2)])(x, 3), x[3:5])
    np.testing.assert_array_equal(cr.grad(lambda x: x[np.argmax(x) - 1 : np.argmax(x)].sum())(x), [0, 0, 0, 0, 1, 0])
