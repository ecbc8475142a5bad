"""How exact long sums are in compiled code: their error, against ``math.fsum``, must not grow with what is added up.

Errors are counted in eps of the sum of the terms' magnitudes.  All terms are positive, as then errors add up instead of
cancelling: adding 20,000 float32 in order is some 30 eps off, adding them in pairs at most 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import chainrule as cr
from chainrule import nn
from chainrule.base.errors import OptionError
from chainrule.compile.compiler import make_plan
from chainrule.compile.reductions import even
from chainrule.compile.target import host
from chainrule.graph.evaluate import run_plan
from chainrule.run.pool import Pool
from chainrule.run.program import compile_graph

FLOATS = ("float32", "float64")
LENGTHS = (100, 1000, 20_000, 1_000_000)
ROOM = 2.0
"""Eps that we may be off beside twice what NumPy's pairwise sums are off: that of a block, on machines of any width."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object code of the tests is kept in a folder of its own."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.getbasetemp() / "objects"))


def native(f: Callable[..., Any], *args: Any) -> list[Any]:
    """The results of ``f`` in compiled code, without calls back into NumPy."""
    graph = cr.trace(f)(*args)
    assert not make_plan(graph).callbacks
    return list(compile_graph(graph)(list(args)))


def evaluated(f: Callable[..., Any], *args: Any) -> list[Any]:
    """The results of ``f`` in the evaluator."""
    return list(run_plan(cr.trace(f)(*args), list(args)))


def positive(dtype: str, *shape: int) -> Any:
    return np.random.default_rng(shape).random(shape).astype(dtype)


def wide(x: Any) -> Any:
    """The same numbers in a wider type."""
    if x.dtype == np.float32:
        return x.astype(np.float64)
    if np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps:
        pytest.skip("no type wider than float64 on this machine")
    return x.astype(np.longdouble)


def off(found: Any, exact: Any) -> float:
    """The largest relative error, in eps."""
    exact = np.asarray(exact)
    assert np.shape(found) == exact.shape
    return float(np.max(np.abs(found.astype(exact.dtype) - exact) / exact) / np.finfo(found.dtype).eps)


def pairwise(terms: Any) -> float:
    """How far NumPy's pairwise sums of each row of ``terms`` are off."""
    return off(np.sum(terms, axis=1), [math.fsum(row) for row in terms.tolist()])


# -------------------------------------------------------------------------------------------------------- sums alone

# name → (shape for n terms, the function, the terms of each of its sums as rows)
SHAPES: dict[str, tuple[Callable[[int], tuple[int, ...]], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "rows": (lambda n: (3, n), lambda x: np.sum(x, axis=1), lambda x: x),
    "columns": (lambda n: (n, 3), lambda x: np.sum(x, axis=0), lambda x: x.T),
    "wide columns": (lambda n: (min(n, 5000), 270), lambda x: np.sum(x, axis=0), lambda x: x.T),
    "the middle": (lambda n: (2, n, 2), lambda x: np.sum(x, axis=1), lambda x: np.moveaxis(x, 1, 2).reshape(4, -1)),
    "outer axes": (lambda n: (n // 10, 3, 10), lambda x: np.sum(x, axis=(0, 2)),
                   lambda x: np.moveaxis(x, 1, 0).reshape(3, -1)),
    "all": (lambda n: (n,), lambda x: np.sum(x), lambda x: x.reshape(1, -1)),
    "all of short rows": (lambda n: (n // 4, 5), lambda x: np.sum(x[:, :4]), lambda x: x[:, :4].reshape(1, -1)),
    "every other": (lambda n: (2 * n,), lambda x: np.sum(x[::2]), lambda x: x[::2].reshape(1, -1)),
    "backwards": (lambda n: (2, n), lambda x: np.sum(x[:, ::-1], axis=1), lambda x: x[:, ::-1]),
}  # fmt: skip


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SHAPES)
def test_errors_do_not_grow(name: str, dtype: str, length: int) -> None:
    shape, f, terms = SHAPES[name]
    x = positive(dtype, *shape(length))
    rows = terms(x)
    exact = np.array([math.fsum(row) for row in rows.tolist()])
    (found,) = native(f, x)
    assert off(found.reshape(-1), exact) <= 2 * pairwise(rows) + ROOM


@pytest.mark.parametrize("target", ["avx2", "generic"])
@pytest.mark.parametrize("name", SHAPES)
def test_nor_on_narrower_vectors(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_TARGET", target)
    try:
        host()
    except OptionError as error:
        pytest.skip(str(error).splitlines()[0])
    test_errors_do_not_grow(name, "float32", 20_000)


def test_adding_in_order_would_be_noticed() -> None:
    rows = positive("float32", 3, 20_000)
    in_order = np.cumsum(rows, axis=1)[:, -1]
    assert off(in_order, [math.fsum(row) for row in rows.tolist()]) > 2 * pairwise(rows) + 4 * ROOM


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_terms_that_cancel(dtype: str) -> None:
    # Beside a total of 3/eps a 1 is rounded off.  That comes back when the total is small again, but for the terms in
    # the blocks of the large numbers themselves.
    x = np.ones((2, 5 * 1024), dtype)
    x[:, 0] = 3 / float(np.finfo(dtype).eps)
    x[:, -1] = -x[:, 0]
    ones = x.shape[1] - 2
    assert np.all(np.cumsum(x, axis=1)[:, -1] == 0)  # in order all is lost
    (rows,) = native(lambda x: np.sum(x, axis=1), x)
    (columns,) = native(lambda x: np.sum(x, axis=0), np.ascontiguousarray(x.T))
    assert np.all(np.abs(rows - ones) <= 2 * 1024)
    assert np.all(np.abs(columns - ones) <= 2 * 128)


# ------------------------------------------------------------------------------------------------------ sums in others

# name → (the function of an (m, n) array, how many eps its last operations may add)
FUSED: dict[str, tuple[Callable[[Any], Any], float]] = {
    "mean of rows": (lambda x: np.mean(x, axis=1), 1),
    "mean of columns": (lambda x: np.mean(x, axis=0), 1),
    "mean of all": (lambda x: np.mean(x), 1),
    "variance of rows": (lambda x: np.var(x, axis=1), 3),
    "variance of columns": (lambda x: np.var(x, axis=0), 3),
    "deviation of all": (lambda x: np.std(x), 3),
    "softmax": (lambda x: nn.softmax(x), 4),
    "logsumexp": (lambda x: nn.logsumexp(x, axis=1), 4),
    "norm": (lambda x: np.sqrt(np.sum(x * x)), 1),
    "norms of columns": (lambda x: np.linalg.norm(x, axis=0), 1),
    "distance": (lambda x: np.sum(np.abs(x - np.flip(x, axis=0))), 1),
    "sum of products": (lambda x: np.einsum("ij,ij->j", x, x), 1),
    "sums and extremes": (lambda x: np.sum(x, axis=1) * np.max(x, axis=1) + np.min(x, axis=1), 2),
}


@pytest.mark.parametrize("length", [1000, 20_000, 300_000])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FUSED)
def test_errors_of_what_sums_are_part_of(name: str, dtype: str, length: int) -> None:
    f, more = FUSED[name]
    x = positive(dtype, *((length, 3) if "column" in name or "products" in name else (3, length)))
    (found,), (theirs,) = native(f, x), evaluated(f, x)
    exact = f(wide(x))
    in_columns = "column" in name or "products" in name  # which NumPy adds in order
    allowed = ROOM + more + (0 if in_columns else 2 * off(np.asarray(theirs), exact))
    assert off(np.asarray(found), exact) <= allowed


@pytest.mark.parametrize("dtype", FLOATS)
def test_errors_of_layer_norm(dtype: str) -> None:
    def f(x: Any) -> Any:
        centred = x - np.mean(x, axis=-1, keepdims=True)
        return centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + 1e-5)

    x = positive(dtype, 3, 20_000)
    (found,) = native(f, x)
    exact = f(wide(x))
    # an error of the mean is one of x, whose values of up to 1 become some of up to 1.7
    assert np.max(np.abs(found - exact)) <= 8 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", FLOATS)
def test_errors_inside_a_scan(dtype: str) -> None:
    x = positive(dtype, 3, 20_000, 2)

    def step(before: Any, part: Any) -> Any:
        return before, (np.sum(part, axis=0), np.mean(part), np.sum(part * part))

    def f(x: Any) -> Any:
        return cr.scan(step, np.zeros((), x.dtype), x)[1]

    for found, exact in zip(native(f, x), (
        np.sum(wide(x), axis=1), np.mean(wide(x), axis=(1, 2)), np.sum(wide(x) ** 2, axis=(1, 2))
    ), strict=True):  # fmt: skip
        assert off(found, exact) <= ROOM + 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_errors_of_gradients(dtype: str) -> None:
    x, b = positive(dtype, 20_000, 3), positive(dtype, 3)
    (found,) = native(cr.grad(lambda b, x: np.sum(np.exp(x * b)), argnums=0), b, x)
    exact = np.sum(wide(x) * np.exp(wide(x) * wide(b)), axis=0)
    assert off(found, exact) <= ROOM + 4


# --------------------------------------------------------------------------------------------------- products over k

PRODUCTS = {
    "tiles": (9, 40, False), "few columns": (40, 3, False), "a row": (1, 300, False), "a column": (300, 1, False),
    "dot products": (4, 5, True), "one number": (1, 1, False),
}  # fmt: skip


@pytest.mark.parametrize("length", [600, 20_000])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", PRODUCTS)
def test_errors_of_products_do_not_grow(name: str, dtype: str, length: int) -> None:
    m, n, turned = PRODUCTS[name]
    a, b = positive(dtype, m, length), positive(dtype, n, length)
    b = b if turned else np.ascontiguousarray(b.T)
    (found,) = native(lambda a, b: a @ b.T if turned else a @ b, a, b)
    exact = wide(a) @ (wide(b).T if turned else wide(b))
    assert off(found, exact) <= 8  # a chain of up to 576 additions; in order over 20,000 it is 20 to 50


# ------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("axis", [0, 1])
def test_infinities_and_nan_stay_what_they_are(dtype: str, axis: int) -> None:
    big = np.finfo(dtype).max
    rows = np.ones((9, 5000), dtype)
    rows[0, 4000] = np.inf
    rows[1, 3] = -np.inf
    rows[2, 1700] = np.nan
    rows[3, [0, 4999]] = np.inf, -np.inf
    rows[4, [10, 20]] = big  # overflows within a block
    rows[5, [10, 4000]] = big  # overflows between blocks
    rows[6, [10, 4000, 4500]] = -big, -big, 5
    rows[7, [10, 4000]] = big, -big
    rows[8, [10, 20, 4000]] = np.inf, np.inf, np.inf
    x = rows if axis else np.ascontiguousarray(rows.T)
    (found,) = native(lambda x: np.sum(x, axis=axis), x)
    wanted = [np.inf, -np.inf, np.nan, np.nan, np.inf, np.inf, -np.inf, found[7], np.inf]
    np.testing.assert_array_equal(found, np.array(wanted, dtype))
    assert 0 <= found[7] <= 5000


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 2000), (2000, 0)])
def test_nothing_to_add(shape: tuple[int, int]) -> None:
    x = np.zeros(shape, np.float32)
    for found, wanted in zip(native(lambda x: (np.sum(x), np.sum(x, axis=0), np.sum(x, axis=1)), x),
                             (np.sum(x), np.sum(x, axis=0), np.sum(x, axis=1)), strict=True):  # fmt: skip
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("length", [127, 128, 129, 255, 257, 1023, 1024, 1025, 1088, 2047, 2048, 2049, 3001])
def test_every_term_is_added_once(length: int) -> None:
    x = np.arange(1.0, 2 * length * 7 + 1).reshape(2, length, 7)

    def f(x: Any) -> Any:
        every = [np.sum(x, axis=axis) for axis in (0, 1, 2, (0, 1), (1, 2), None)]
        every += [np.sum(x[..., :3], axis=(0, 1, 2)), np.sum(x[..., ::2] > 3, axis=1), np.sum(x[:, :, 2])]
        return [*every, np.max(x, axis=1) + np.sum(x, axis=1), x / np.sum(x, axis=1, keepdims=True)]

    for found, wanted in zip(native(f, x), evaluated(f, x), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-15)  # (whole numbers: but for the quotients, exact)


def test_the_same_bits_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    x = positive("float32", 700, 3000)
    graph = cr.trace(
        lambda x: (np.sum(x), np.sum(x, axis=0), np.sum(x, axis=1), nn.softmax(x), np.var(x.T, axis=1), x @ x.T)
    )(x)
    assert make_plan(graph).parallel
    seen = set()
    for threads in (1, 2, 3, 7):
        pool = Pool(threads)
        monkeypatch.setattr("chainrule.run.program.shared", lambda pool=pool: pool)
        try:
            seen.add(b"".join(np.asarray(v).tobytes() for v in compile_graph(graph)([x])))
        finally:
            pool.stop()
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("extent", "block"), [(2048, 1024), (2000, 1024), (1280, 640), (100_352, 1024), (1536, 768), (1025, 1024)]
)
def test_blocks_are_even_where_they_can_be(extent: int, block: int) -> None:
    assert even(extent, 1024, 64) == block
