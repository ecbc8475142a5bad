"""Batches: consecutive slices of a seeded order of the rows.

Does not do: prefetching, augmentation, balancing of classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.base.errors import DataError, OptionError
from chainrule.data.dataset import Dataset

Batch = tuple[NDArray[np.float32], NDArray[Any]]


def batches(
    dataset: Dataset,
    batch_size: int,
    rng: np.random.Generator | None = None,
    *,
    shuffle: bool = True,
    drop_last: bool = False,
    order: NDArray[np.intp] | None = None,
    start: int = 0,
) -> Iterator[Batch]:
    """One epoch of ``(x, y)``: x float32 (batch, features...), y (batch, ...); the last batch may be smaller.

    The order is drawn from ``rng`` once, before the first batch; or it is ``order`` (row indices, as made by
    :func:`permutation`); or, with ``shuffle=False``, that of the rows.  ``start`` skips that many batches, to go on
    in the middle of an epoch.  ``drop_last`` leaves out a last batch that is not full.

    Raises :class:`OptionError` for a batch size below 1, a negative start, or shuffling without ``rng`` or ``order``;
    :class:`DataError` for an empty dataset or an order that names rows that are not there.
    """
    where = "batches"
    for name, value, least in (("batch_size", batch_size, 1), ("start", start, 0)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise OptionError(
                f"{name} is not valid", expected=f"a whole number from {least} up", got=repr(value), where=where,
                fix=f"pass {name}={max(least, 32)}" if least else "pass start=0",
            )
    rows = len(dataset)
    if rows == 0:
        raise DataError("there are no rows to batch", expected="a dataset of at least one row", got=repr(dataset),
                        where=where, fix="check len(dataset) first; a validation part may be empty")
    if order is not None:
        order = np.asarray(order, dtype=np.intp)
        if order.ndim != 1 or (order.size and (order.min() < 0 or order.max() >= rows)):
            raise DataError("order does not name rows of the dataset",
                            expected=f"indices from 0 to {rows - 1}, shape (m,)", got=f"shape {order.shape}",
                            where=where, fix="make it with permutation(len(dataset), seed, epoch)")
    elif shuffle:
        if not isinstance(rng, np.random.Generator):
            raise OptionError("shuffling needs a random generator", expected="rng: numpy.random.Generator",
                              got=type(rng).__name__, where=where,
                              fix="pass numpy.random.default_rng(seed), an order, or shuffle=False")
        order = rng.permutation(rows)
    return _slices(dataset, int(batch_size), order, drop_last, int(start))


def _slices(
    dataset: Dataset, size: int, order: NDArray[np.intp] | None, drop_last: bool, start: int
) -> Iterator[Batch]:
    rows = len(dataset) if order is None else len(order)
    for low in range(start * size, rows, size):
        if drop_last and low + size > rows:
            return
        at: slice | NDArray[np.intp] = slice(low, low + size) if order is None else order[low : low + size]
        yield dataset.x[at], dataset.y[at]


def batch_count(rows: int, batch_size: int, *, drop_last: bool = False) -> int:
    """The number of batches in one epoch of ``rows`` rows."""
    return rows // batch_size if drop_last else -(-rows // batch_size)
