"""A small problem that several tests train on, and how to compare what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.base import trees
from chainrule.train import FitResult, fit


def spirals(rows: int = 90, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Points of three arms of a spiral: x float32 (rows, 2), y int64 (rows,)."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 3
    radius = rng.random(rows)
    angle = 4 * radius + 2 * np.pi / 3 * y + 0.2 * rng.standard_normal(rows)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32), y.astype(np.int64)


def network(dropout: float = 0.1, seed: int = 0, sizes: Sequence[int] = (2, 12, 8, 3)) -> nn.MLP:
    return nn.MLP.init(sizes, activation="tanh", dropout=dropout, rng=np.random.default_rng(seed))


def loss(model: Any, x: Any, y: Any, key: Any) -> Any:
    return nn.cross_entropy(model(x, key=key), y)


def train(checkpoint: Path | None = None, **options: Any) -> FitResult:
    """A run of 3 epochs of 6 steps with dropout, validation and the best model kept."""
    x, y = spirals()
    settings: dict[str, Any] = {
        "epochs": 3, "batch_size": 13, "rng": 5, "validation": 0.2, "metrics": {"accuracy": nn.accuracy},
        "restore_best": True, "learning_rate": 0.01, "progress": False,
    }  # fmt: skip
    return fit(network(), loss, (x, y), checkpoint=checkpoint, **(settings | options))


def bits(tree: Any) -> list[bytes]:
    """The bytes of every array of ``tree``."""
    return [np.asarray(leaf).tobytes() for leaf in trees.leaves(tree)]


def facts(result: FitResult) -> tuple[Any, ...]:
    """All of a result that does not depend on the clock."""
    history = [{name: value for name, value in record.row().items() if name != "seconds"} for record in result.history]
    return bits(result.model), bits(result.optimizer_state), history, result.best_epoch, result.steps, result.stopped
