"""Diagnoses of what ``chainrule train`` makes: of a task before a long training, and of a run's folder afterwards.

Does not do: tasks of one's own; those are Python, with ``cr.diagnose`` and ``fit(..., diagnose=n)``.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import data, nn
from chainrule.base import trees
from chainrule.base.errors import CheckpointError, TrainingError
from chainrule.diagnose.diagnosis import diagnose
from chainrule.diagnose.record import Record
from chainrule.diagnose.report import Report
from chainrule.train.checkpoint import CheckpointFolder, load
from chainrule.train.config import RunConfig
from chainrule.train.fit import fit
from chainrule.train.history import EpochRecord, History
from chainrule.train.run import load_data, make_model, one_blas_thread, output_size, task_functions

ROWS = 256


def diagnose_task(config: RunConfig, splits: data.Splits, *, steps: int = 200, every: int = 10) -> Report:
    """Train the network of ``config`` for about ``steps`` steps, look at every ``every``-th, and report.

    A training that breaks off is diagnosed at its initial weights.  Raises what ``fit`` and ``diagnose`` raise else.
    """
    model, loss = _network(config, splits)
    x, y = splits.train.x, splits.train.y
    needed = steps * config.batch_size
    rows = min(len(x), needed)
    rate = config.make_schedule(data.batch_count(len(x), config.batch_size))
    optimizer = config.make_optimizer(rate)
    with one_blas_thread():
        try:
            result = fit(
                model, loss, (x[:rows], y[:rows]), optimizer=optimizer, learning_rate=rate,
                epochs=math.ceil(needed / rows), batch_size=min(config.batch_size, rows), rng=config.seed,
                progress=False, diagnose=every,
            )  # fmt: skip
        except TrainingError:
            batch = _sample(splits, config)
            return diagnose(model, loss, batch, optimizer=optimizer, batch_size=config.batch_size)
    report: Report = result.diagnosis
    return report


def diagnose_run(folder: Path) -> Report:
    """The network of the run in ``folder`` as its newest checkpoint has it, with its gradients epoch by epoch.

    Raises :class:`CheckpointError` when the folder holds no run or its files are damaged, :class:`DataError` when its
    data can't be read.
    """
    config = RunConfig.load(folder / "config.toml")
    splits = load_data(config)
    model, loss = _network(config, splits)
    rate = config.make_schedule(data.batch_count(len(splits.train), config.batch_size))
    optimizer = config.make_optimizer(rate)
    newest = CheckpointFolder(folder / "checkpoints").latest()
    state, history = None, History()
    if newest is not None:
        model = newest.tree("model", model)
        state = newest.tree("optimizer", trees.map(np.array, optimizer.init(model)))
        history = History.from_list(newest.info["state"]["history"])
    elif (folder / "model.safetensors").exists():
        model = load(folder / "model.safetensors").tree("model", model)
    else:
        raise CheckpointError(
            "this run has nothing to diagnose yet", expected="a checkpoint, or model.safetensors", got="neither",
            where=folder, fix=f"finish it: chainrule train --resume --out {folder}",
        )  # fmt: skip
    with one_blas_thread():
        report = diagnose(
            model, loss, _sample(splits, config), optimizer=optimizer, optimizer_state=state,
            batch_size=config.batch_size,
        )  # fmt: skip
    records = tuple(_record(record) for record in history)
    # A rate that was let go to 0 is no fault at the end of a run, and noise at a minimum is as it should be.
    ended = len(history) >= config.epochs
    kept = tuple(v for v in report.verdicts if not (ended and v.kind in ("rate_low", "batch_small", "rate_high")))
    # A remedy is tried with the rate the run began with: the schedule may have let it go to 0.
    assert report.subject is not None
    subject = dataclasses.replace(report.subject, optimizer=config.make_optimizer(lambda step: config.learning_rate))
    return dataclasses.replace(report, verdicts=kept, history=records, subject=subject)


def _network(config: RunConfig, splits: data.Splits) -> tuple[nn.MLP, Any]:
    outputs = output_size(splits)
    model = make_model(config, int(splits.train.x.shape[1]), outputs)
    loss, _, _, _ = task_functions(splits.train.task, outputs, 1.0, config.label_smoothing)
    return model, loss if config.dropout else lambda model, x, y: loss(model, x, y, None)


def _sample(splits: data.Splits, config: RunConfig) -> tuple[Any, Any]:
    order = data.permutation(len(splits.train), config.seed, 0)[:ROWS]
    return splits.train.x[order], splits.train.y[order]


def _record(epoch: EpochRecord) -> Record:
    """An epoch's mean gradient norms as a record; what was not measured is NaN."""
    names = tuple(epoch.gradient_norms)
    unknown = (float("nan"),) * len(names)
    return Record(
        step=epoch.step, loss=epoch.train_loss, kinds=(), layers=names,
        gradient=tuple(epoch.gradient_norms.values()), delta=unknown, update=unknown, mean=unknown, std=unknown,
        saturated=unknown, dead=unknown, noise=float("nan"),
    )  # fmt: skip
