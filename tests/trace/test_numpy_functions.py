"""Every NumPy function in the table: value, dtype, float32, both modes of differentiation to second order, vmap."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rows import ROWS, Row

import chainrule as cr
from chainrule.base import trees

for _path in sorted(Path(__file__).parent.glob("rows_*.py")):
    importlib.import_module(_path.stem)

every = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


def leaves(tree: Any) -> list[Any]:
    """The leaves of what NumPy or chainrule returned, as arrays."""
    return [np.asarray(leaf) for leaf in trees.leaves(_plain(tree))]


def _plain(tree: Any) -> Any:
    return [_plain(part) for part in tree] if isinstance(tree, (list, tuple)) else tree


def by_numpy(row: Row, args: Any) -> list[Any]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return leaves(row.call(*args))


def traced(row: Row, args: Any) -> list[Any]:
    """The row on Symbols: without values where it needs none."""
    if row.values:
        return leaves(cr.vjp(row.call, *args)[0])
    return leaves(cr.jit(row.call)(*args))


def assert_same(found: list[Any], expected: list[Any], rtol: float) -> None:
    assert len(found) == len(expected)
    for f, e in zip(found, expected, strict=True):
        assert f.shape == e.shape
        assert f.dtype == e.dtype
        np.testing.assert_allclose(f, e, rtol=rtol, atol=rtol)


@every
def test_value_equals_numpy(row: Row) -> None:
    assert_same(traced(row, row.args), by_numpy(row, row.args), row.rtol)


@every
def test_value_in_float32(row: Row) -> None:
    args = [a.astype(np.float32) for a in row.args]
    found, expected = traced(row, args), by_numpy(row, args)
    assert_same(found, expected, 2e-4)
    if row.float32:
        assert all(f.dtype != np.float64 for f in found) or any(e.dtype == np.float64 for e in expected)


# Where integers or complex numbers are not compared: order among equals, mixtures of positions that are integers, and
# weights that are complex (which NumPy takes without conjugating them).
APART = {"integers": {"argsort", "quantile traced q"}, "complex": {"cov weights", "unique_*"}}


@pytest.mark.parametrize("kind", APART)
@every
def test_value_of_other_numbers(row: Row, kind: str) -> None:
    change = (lambda a: np.rint(2 * a).astype(np.int64)) if kind == "integers" else (lambda a: a + 0.5j * np.cos(a))
    args = [change(a) for a in row.args]
    try:
        expected = by_numpy(row, args)
    except (TypeError, ValueError, ZeroDivisionError, np.exceptions.AxisError, np.linalg.LinAlgError):
        return  # NumPy has none
    if row.id in APART[kind] or (row.values and kind == "integers") or (row.id.startswith("sp.") and kind == "complex"):
        return  # scipy.special is traced for real numbers only
    assert_same(traced(row, args), expected, max(row.rtol, 1e-10))


@every
def test_derivatives(row: Row) -> None:
    if not row.smooth:
        assert all(out.dtype.kind in "biu" for out in by_numpy(row, row.args))
        return

    def floats(*args: Any) -> list[Any]:
        return [leaf for leaf in trees.leaves(_plain(row.call(*args))) if np.result_type(leaf).kind in "fc"]

    with np.errstate(all="ignore"):
        cr.check_grads(floats, row.args, order=row.order)


@every
def test_vmap_equals_loop(row: Row) -> None:
    if row.values:
        pytest.skip("its shape depends on values, which a batch has many of")
    batches = [np.stack([a, a[::-1] if a.ndim and a.shape[0] > 1 else a * 1.25]) for a in row.args]
    found = leaves(cr.vmap(row.call)(*batches))
    one_by_one = [by_numpy(row, [b[i] for b in batches]) for i in range(2)]
    assert_same(found, [np.stack(pair) for pair in zip(*one_by_one, strict=True)], max(row.rtol, 1e-10))


def test_the_table_names_every_row_once() -> None:
    names = [row.id for row in ROWS]
    assert len(names) == len(set(names))
