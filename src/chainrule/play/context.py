"""What a network is trained under: settings, data, and the tables that steps read.

Tables of training rows are padded to a capacity, so that adding a point changes no shape and nothing is compiled
again.  Which examples a step sees is decided by the seed and the number of the epoch alone: a position in the training
(epoch, batch) says all, and any stretch of it can be run again.

In an epoch of n examples the batches are those of ``order``, cut in rows of the batch size; the last may be shorter.
In mode ``compatible`` the order is that of the data, and a shorter row is not applied (see ``compatible``).
Does not do: steps (``trainer``).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from chainrule.base.errors import DataError
from chainrule.optim import schedules
from chainrule.play import features
from chainrule.play.datasets import Dataset, rng_for
from chainrule.play.network import Task, architecture, task_of
from chainrule.play.settings import Settings

Array = Any

_CAPACITY = 512
_BLOCK = 1 << 15  # examples whose order is drawn at once


@dataclasses.dataclass(frozen=True, eq=False)
class Tables:
    """Inputs and targets of training rows (padded), of test rows, and how points become inputs."""

    x: Array
    t: Array
    x_test: Array
    t_test: Array
    mean: Array
    std: Array


@dataclasses.dataclass(frozen=True, eq=False)
class Context:
    """Settings, data and tables; ``order_cache`` holds the last drawn block of orders."""

    settings: Settings
    data: Dataset
    tables: Tables
    task: Task
    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    orders: _Orders

    @property
    def count(self) -> int:
        """The number of examples that are trained on."""
        return self.data.train

    @property
    def width(self) -> int:
        """The number of examples in a full row."""
        return min(self.settings.batch_size, max(self.count, 1))

    @property
    def rows(self) -> int:
        """The number of batches in an epoch, the shorter last one included."""
        return -(-self.count // self.width) if self.count else 0

    @property
    def l1(self) -> float:
        """λ of Σ|w|."""
        return self.settings.regularization_rate if self.settings.regularization == "l1" else 0.0

    @property
    def l2(self) -> float:
        """λ of Σw²/2."""
        return self.settings.regularization_rate if self.settings.regularization == "l2" else 0.0

    def inputs(self, points: Array) -> Array:
        """What the network gets for points (or images); not finite where a formula is not."""
        table = raw_inputs(self.settings, self.data, points)
        return (table - self.tables.mean) / self.tables.std if self.settings.normalise else table

    def batches(self, epoch: int, batch: int, count: int) -> tuple[Array, Array]:
        """``count`` rows of examples from that position on, and whether each is a full one of the batch size.

        Rows (count, width) of positions among the training rows, -1 where a row is shorter.
        """
        per = self.rows
        epochs = -(-(batch + count) // per)
        table = self.orders.table(self, epoch, epochs)
        rows = table.reshape(epochs * per, self.width)[batch : batch + count]
        whole = self.count // self.settings.batch_size
        full = (np.arange(batch, batch + count) % per) < whole
        return rows, full

    def rates(self, step: int, count: int) -> Array:
        """The learning rates of ``count`` steps from number ``step`` on."""
        s = self.settings
        if s.schedule == "constant" or s.learning_rate == 0:
            return np.full(count, s.learning_rate)
        schedule = schedules.named(s.schedule, s.learning_rate, max(1, s.schedule_epochs * max(self.rows, 1)))
        return np.broadcast_to(schedule(np.arange(step, step + count)), (count,))

    def with_settings(self, settings: Settings) -> Context:
        """The same data and network under other live settings."""
        return dataclasses.replace(self, settings=settings, orders=_Orders())


class _Orders:
    """The order of examples, epoch by epoch, drawn for a block of epochs at a time and remembered."""

    def __init__(self) -> None:
        self._block = -1
        self._drawn: Array = None
        self._fixed: Array = None

    def table(self, context: Context, epoch: int, epochs: int) -> Array:
        """(epochs, rows · width) of positions, -1 behind the last."""
        n, long = context.count, context.rows * context.width
        if not context.settings.shuffle:
            if self._fixed is None or len(self._fixed) < epochs:
                line = np.full(long, -1, np.int64)
                line[:n] = np.arange(n)
                self._fixed = np.tile(line, (epochs, 1))
            return self._fixed[:epochs]
        block = max(1, _BLOCK // max(n, 1))
        parts = []
        while epochs > 0:
            at = epoch % block
            take = min(epochs, block - at)
            parts.append(self._of(context, epoch // block, block)[at : at + take])
            epoch, epochs = epoch + take, epochs - take
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _of(self, context: Context, number: int, block: int) -> Array:
        drawn = self._drawn
        if self._block != number or drawn is None:
            n = context.count
            rng = rng_for("order", context.settings.seed, n, number)
            drawn = np.full((block, context.rows * context.width), -1, np.int64)
            drawn[:, :n] = np.arange(n)
            rng.permuted(drawn[:, :n], axis=1, out=drawn[:, :n])
            self._block, self._drawn = number, drawn
        return drawn


@functools.lru_cache(maxsize=64)
def _no_inputs(count: int) -> tuple[Array, Array]:
    return np.zeros(count), np.ones(count)


def raw_inputs(settings: Settings, data: Dataset, points: Array) -> Array:
    """The features of points, or the pixels of images, before they are scaled."""
    return np.asarray(points, np.float64) if data.images else features.columns(settings.features, points)


def make_context(settings: Settings, data: Dataset) -> Context:
    """The context of settings and data.  Raises OptionError where a feature is not finite at a point."""
    sizes, activations = architecture(settings, data)
    task = task_of(settings, data)
    table = raw_inputs(settings, data, data.points)
    if not data.images:
        features.require_finite(settings.features, data.points, table)
    mean, std = _no_inputs(sizes[0])
    if settings.normalise and data.train:
        mean, std = table[: data.train].mean(axis=0), table[: data.train].std(axis=0)
        std = np.where(std > 1e-12, std, 1.0)
        table = (table - mean) / std
    size = float(np.abs(table).max()) if table.size else 0.0
    if size > 1e100:
        raise DataError("a feature is too large", expected="numbers below 1e100", got=f"{size:.3g}", where="features",
                        fix="divide it, or normalise the inputs")  # fmt: skip
    targets = task.targets(data.labels)
    room = max(_CAPACITY, 1 << (max(data.train, 1) - 1).bit_length())
    x, t = np.zeros((room, sizes[0])), np.zeros((room, task.outputs))
    x[: data.train], t[: data.train] = table[: data.train], targets[: data.train]
    tables = Tables(x, t, table[data.train :].copy(), targets[data.train :].copy(), mean, std)
    return Context(settings, data, tables, task, sizes, activations, _Orders())
