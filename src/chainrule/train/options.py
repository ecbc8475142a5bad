"""The options of ``fit`` that are more than a number, and the checks of those that are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.base.errors import DataError, OptionError, choose
from chainrule.data import Dataset, Splits, permutation
from chainrule.train.history import EpochRecord, History

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stop when ``monitor`` has not improved by more than ``min_delta`` for ``patience`` epochs; keep the best model.

    ``monitor`` is a column of the history, such as ``"validation_loss"``; with ``maximize`` larger is better.
    Raises :class:`OptionError` for a patience below 1 or a negative ``min_delta``.
    """

    patience: int
    min_delta: float = 0.0
    monitor: str = "validation_loss"
    maximize: bool = False

    def __post_init__(self) -> None:
        whole("patience", self.patience, 1)
        if not self.min_delta >= 0:
            raise OptionError(
                "min_delta is negative", expected="a number from 0 up", got=self.min_delta, fix="pass min_delta=0.0"
            )

    def improved(self, value: float, best: float | None) -> bool:
        """Whether ``value`` beats ``best``; NaN never does."""
        if best is None:
            return not np.isnan(value)
        return value > best + self.min_delta if self.maximize else value < best - self.min_delta

    def value(self, record: EpochRecord) -> float:
        """The monitored value of an epoch; :class:`OptionError` lists the columns there are."""
        row = record.row()
        found = row.get(self.monitor)
        if found is None:
            raise choose("monitor", self.monitor, [name for name in row if row[name] is not None], where="fit")
        return float(found)


@dataclasses.dataclass(frozen=True)
class StepEnd:
    """What ``on_step`` is given; ``model`` may be reused by the next step: copy what you keep."""

    epoch: int
    step: int
    loss: float
    gradient_norms: dict[str, float]
    model: Any


@dataclasses.dataclass(frozen=True)
class EpochEnd:
    """What a callback is given after an epoch; ``model`` may be reused by the next step: copy what you keep."""

    record: EpochRecord
    history: History
    model: Any
    checkpoint: Path | None


OnStep = Callable[[StepEnd], None]
Callback = Callable[[EpochEnd], "bool | None"]


def whole(name: str, value: object, least: int) -> int:
    """``value`` as an int; :class:`OptionError` unless it is a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise OptionError(
            f"{name} is not valid",
            expected=f"a whole number from {least} up",
            got=repr(value),
            fix=f"pass {name}={max(least, 10)}",
        )
    return int(value)


def rows_of(data: object, name: str) -> tuple[Array, Array]:
    """``(x, y)`` of a Dataset or of a pair of arrays with one row each per example.

    Raises :class:`DataError` for anything else, for different lengths, and for no rows.
    """
    if isinstance(data, Dataset):
        x, y = data.x, data.y
    elif isinstance(data, (tuple, list)) and len(data) == 2 and all(isinstance(part, np.ndarray) for part in data):
        x, y = data
    else:
        raise DataError(
            f"{name} is not data that fit knows",
            expected="a chainrule.data Dataset or Splits, or a pair (x, y) of NumPy arrays",
            got=type(data).__name__,
            where="fit",
            fix="pass (x, y) with one row per example in each",
        )
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise DataError(
            f"x and y of {name} have different numbers of rows",
            expected="one target per row",
            got=f"x {x.shape}, y {y.shape}",
            where="fit",
            fix="pass arrays of equal length",
        )
    if len(x) == 0:
        raise DataError(
            f"{name} has no rows", expected="at least one row", got=f"x {x.shape}", where="fit", fix="pass some rows"
        )
    return x, y


def training_rows(
    data: object, validation: object, seed: int
) -> tuple[tuple[Array, Array], tuple[Array, Array] | None]:
    """The rows to train on and those to validate on, from ``fit``'s arguments ``data`` and ``validation``.

    ``validation`` may be rows of its own, or the fraction of the training rows to hold out (chosen by ``seed``).
    """
    if isinstance(data, Splits):
        if validation is None and len(data.validation):
            validation = data.validation
        data = data.train
    x, y = rows_of(data, "data")
    if validation is None:
        return (x, y), None
    if isinstance(validation, (int, float)):
        if not 0 < validation < 1:
            raise OptionError(
                "validation is not a fraction",
                expected="a number between 0 and 1, or rows (x, y)",
                got=repr(validation),
                where="fit",
                fix="for a tenth of the rows write validation=0.1",
            )
        count = max(1, round(len(x) * validation))
        if count >= len(x):
            raise DataError(
                "too few rows to hold some out", expected="at least 2 rows", got=len(x), where="fit", fix="add rows"
            )
        # The order of an epoch that is never reached, so it is none of those training uses.
        order = permutation(len(x), seed, 2**31 - 1)
        held, kept = np.sort(order[:count]), np.sort(order[count:])
        return (x[kept], y[kept]), (x[held], y[held])
    return (x, y), rows_of(validation, "validation")
