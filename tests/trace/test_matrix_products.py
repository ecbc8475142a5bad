"""Products where the table of rows does not reach: random einsum against NumPy's, views, integers, refusals."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.errors import ShapeError


def random_einsum(rng: np.random.Generator) -> tuple[str, list[Any]]:
    """A notation and arrays for it: repeated, summed, kept, stretched axes; ellipses; explicit or implicit result."""
    letters = list("abcXY")
    sizes = dict(zip(letters, rng.integers(1, 4, size=len(letters)), strict=True))
    dots = [int(n) for n in rng.integers(1, 4, size=rng.integers(0, 3))]
    terms, arrays = [], []
    use_dots = bool(rng.random() < 0.4)
    for _ in range(rng.integers(1, 5)):
        chosen = [str(c) for c in rng.choice(letters, size=rng.integers(0, 4))]
        shape = [1 if rng.random() < 0.1 else int(sizes[c]) for c in chosen]
        for i, c in enumerate(chosen):  # NumPy stretches sizes of 1 between arrays only
            shape[i] = shape[chosen.index(c)]
        place = int(rng.integers(0, len(chosen) + 1))
        if use_dots and rng.random() < 0.7:
            own = [1 if rng.random() < 0.2 else n for n in dots[rng.integers(0, len(dots) + 1) :]]
            terms.append("".join(chosen[:place]) + "..." + "".join(chosen[place:]))
            shape = shape[:place] + own + shape[place:]
        else:
            terms.append("".join(chosen))
        arrays.append(rng.normal(size=shape))
    notation = ",".join(terms)
    if rng.random() < 0.7:
        used = sorted({c for term in terms for c in term if c.isalpha()})
        kept = [str(c) for c in rng.permutation(used)[: rng.integers(0, len(used) + 1)]]
        place = int(rng.integers(0, len(kept) + 1))
        spread = "..." if any("..." in term for term in terms) else ""
        notation += "->" + "".join(kept[:place]) + spread + "".join(kept[place:])
    return notation, arrays


@pytest.mark.parametrize("seed", range(150))
def test_random_einsum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    notation, arrays = random_einsum(rng)
    try:
        expected = np.einsum(notation, *arrays)
    except ValueError:
        with pytest.raises(ShapeError):
            cr.jit(lambda *a: np.einsum(notation, *a))(*arrays)
        return
    optimize = [False, True, "greedy", "optimal"][seed % 4]
    found = cr.jit(lambda *a: np.einsum(notation, *a, optimize=optimize))(*arrays)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12, err_msg=notation)
    if seed % 5 == 0:
        cr.check_grads(lambda *a: np.einsum(notation, *a), arrays, order=1)


def test_einsum_of_integers_and_bools() -> None:
    a, b = np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)
    for dtype in ("i1", "i4", "i8", "u2", "?"):
        for notation in ("ij,jk->ik", "ij,jk->", "ij,jk->ij"):
            x, y = (a > 2, b > 5) if dtype == "?" else (a.astype(dtype), b.astype(dtype))
            found, expected = cr.jit(lambda x, y, n=notation: np.einsum(n, x, y))(x, y), np.einsum(notation, x, y)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype


def test_einsum_dtype_and_mixed_operands() -> None:
    x = np.arange(3.0, dtype=np.float32)
    found = cr.jit(lambda v: np.einsum("i,i", v, v, dtype=np.float64))(x)
    assert found == 5
    assert found.dtype == np.float64
    assert cr.jit(lambda v: np.einsum("i,i", v, [1, 2, 3]))(x).dtype == np.einsum("i,i", x, [1, 2, 3]).dtype
    gradient = cr.grad(lambda v: np.einsum("i,i->", v, np.array([1, 2, 3])))(x)
    assert gradient.dtype == np.float32
    np.testing.assert_array_equal(gradient, [1, 2, 3])


def test_einsum_diagonal_is_a_view_that_can_be_written_to() -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        np.einsum("ii->i", y)[:] = 7.0
        return y

    x = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(cr.jit(f)(x), f(x))
    np.testing.assert_array_equal(cr.grad(lambda v: np.sum(f(v)))(x), 1 - np.eye(3))


def test_einsum_path_is_numpys() -> None:
    a, b = np.ones((2, 3)), np.ones((3, 4))
    found: list[Any] = []
    cr.trace(lambda x, y: found.append(np.einsum_path("ij,jk,kl", x, y, y.T)) or x)(a, b)
    assert found[0] == np.einsum_path("ij,jk,kl", a, b, b.T)
    cr.trace(lambda x, y: found.append(np.einsum_path(x, [0, 1], y, [1, 2])) or x)(a, b)
    assert found[1][0] == ["einsum_path", (0, 1)]


def test_long_chains_are_cut_where_it_is_cheapest() -> None:
    sizes = [2, 30, 3, 40, 4]
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=pair) for pair in itertools.pairwise(sizes)]
    graph = cr.trace(lambda *a: np.linalg.multi_dot(a))(*arrays)
    costs = [graph.lines[line.args[0]].spec.shape + graph.lines[line.args[1]].spec.shape[1:]
             for line in graph.lines if line.op.name == "matmul"]  # fmt: skip
    assert sum(a * b * c for a, b, c in costs) == 2 * 30 * 3 + 3 * 40 * 4 + 2 * 3 * 4
    np.testing.assert_allclose(cr.jit(lambda *a: np.linalg.multi_dot(a))(*arrays), np.linalg.multi_dot(arrays))


def test_integer_products_pass_through() -> None:
    a = np.arange(6).reshape(2, 3)
    for f in (np.dot, np.matmul, np.inner, np.outer, np.kron, np.vdot, np.tensordot):
        y = a if f in (np.inner, np.outer, np.kron, np.vdot, np.tensordot) else a.T
        found = cr.jit(f)(a, y)
        np.testing.assert_array_equal(found, f(a, y))
        assert found.dtype == f(a, y).dtype
    assert cr.jit(np.matmul)(a > 1, a.T > 1).dtype == np.bool_


@pytest.mark.parametrize(("f", "shapes", "text"), [
    (lambda a, b: np.einsum("ij,jk", a, b), [(2, 3), (4, 2)],
     "einsum: axes of one letter differ in size\n  expected: equal sizes, or 1\n  got: 3 and 4"),
    (lambda a, b: np.einsum("ij->i", a, b), [(2, 3), (4, 2)],
     "einsum: as many terms as arrays are needed\n  expected: 2 terms\n  got: 1 terms"),
    (lambda a: np.einsum("ijk", a), [(2, 3)],
     "einsum: a term does not fit its array\n  expected: 2 axes, as shape (2, 3) has\n  got: ijk"),
    (lambda a: np.einsum("i1", a), [(2, 3)],
     "einsum: a term has letters and at most one ellipsis\n  expected: such as 'ij' or '...k'\n  got: 'i1'"),
    (lambda a: np.einsum("ij->k", a), [(2, 3)],
     "einsum: the result names an axis twice, or one that no array has\n"
     "  expected: letters of the terms, each once\n  got: k"),
    (lambda a: np.einsum("...j->j", a), [(2, 3)],
     "einsum: the axes of the ellipsis are missing in the result\n  expected: '...' behind ->\n  got: j"),
    (lambda a, b: np.tensordot(a, b, 1), [(2, 3), (4, 2)],
     "the axes to be summed over do not match\n  expected: as many axes on both sides, of the same sizes\n"
     "  got: (2, 3) and (4, 2), axes=1"),
    (lambda a, b: np.tensordot(a, b, 3), [(2, 3), (4, 2)],
     "tensordot: too many axes to sum over\n  expected: 0 to 2\n  got: 3"),
    (lambda a, b: a @ b, [(2, 3), (4, 2)], "the inner sizes of a matrix product differ"),
    (lambda a: a @ 2.0, [(2, 3)], "@ needs at least one axis on both sides"),
    (lambda a, b: np.linalg.outer(a, b), [(2, 3), (4,)], "np.linalg.outer needs vectors"),
    (lambda a: np.linalg.multi_dot([a]), [(2, 3)], "multi_dot needs a chain of matrices"),
])  # fmt: skip
def test_refusals(f: Callable[..., Any], shapes: list[tuple[int, ...]], text: str) -> None:
    with pytest.raises(ShapeError) as refused:
        cr.jit(f)(*[np.ones(shape) for shape in shapes])
    assert text in str(refused.value)
    assert Path(__file__).name in str(refused.value)
