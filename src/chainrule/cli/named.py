"""Training steps by name, for the commands that look at one: the tasks of ``chainrule train``, or layer sizes.

The step is the one that ``chainrule train`` runs (forward, backward, update), with weights drawn from seed 0; its rows
are noise of the right shape, as no data is needed to look at a step.
Does not do: tables, whose sizes depend on the file: give the sizes.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from chainrule.base.errors import OptionError
from chainrule.graph.source import without_sources
from chainrule.inspection import Lowered, lowered
from chainrule.nn import parameter_count
from chainrule.train.config import RunConfig
from chainrule.train.run import make_model, task_functions
from chainrule.train.step import make_step

_TASKS = {"digits": (64, 10), "mnist": (784, 10)}
_SIZES = re.compile(r"\d+(-\d+)+\Z")
_MOST_SIZE, _MOST_LAYERS, _MOST_BATCH = 65536, 256, 65536
_MOST_PARAMETERS = 1 << 28
_STEPS_PER_EPOCH = 100  # the schedule needs some number; the kernels do not depend on it


class Named(NamedTuple):
    """A training step: its title, and its graph with arguments for it."""

    title: str
    call: Lowered


def training_step(name: str, *, batch_size: int | None, optimizer: str | None, activation: str | None) -> Named:
    """The training step called ``name``: ``digits``, ``mnist``, or sizes such as ``784-128-10`` (inputs first).

    Options that are None have the defaults of ``chainrule train``.
    Raises :class:`OptionError` for another name, sizes or batch size out of bounds, an unknown optimizer or activation.
    """
    task, sizes = _sizes(name)
    given: dict[str, Any] = {"batch_size": batch_size, "optimizer": optimizer, "activation": activation}
    if sizes:
        given["hidden"] = sizes[1:-1]
    config = RunConfig.with_defaults(task, **given)
    if config.batch_size > _MOST_BATCH:
        raise OptionError("--batch-size is too large", expected=f"at most {_MOST_BATCH}", got=config.batch_size,
                          where="the command line", fix="pass a smaller --batch-size")  # fmt: skip
    inputs, outputs = (sizes[0], sizes[-1]) if sizes else _TASKS[task]
    kind = "regression" if outputs == 1 else "classification"
    rng = np.random.default_rng(0)
    model = make_model(config, inputs, outputs)
    loss, *_ = task_functions(kind, outputs, 1.0, config.label_smoothing if kind == "classification" else 0.0)
    rule = config.make_optimizer(config.make_schedule(_STEPS_PER_EPOCH))
    x = rng.standard_normal((config.batch_size, inputs), np.float32)
    y: Any = rng.integers(0, outputs, config.batch_size)
    if kind == "regression":
        y = rng.standard_normal(config.batch_size, np.float32)
    layers = " → ".join(map(str, model.sizes))
    title = (
        f"training step of {layers} ({parameter_count(model):,} parameters, {config.activation}), "
        f"batch {config.batch_size}, {config.optimizer}"
    )
    call = lowered(make_step(loss, rule), (model, rule.init(model), x, y, None))
    return Named(title, call._replace(name=f"step of {name}", graph=without_sources(call.graph)))


def _sizes(name: str) -> tuple[str, tuple[int, ...]]:
    """The task whose defaults are taken, and the sizes where ``name`` gives them."""
    if name in _TASKS:
        return name, ()
    if not _SIZES.match(name):
        raise OptionError(
            "unknown model", expected=f"{', '.join(_TASKS)}, or layer sizes such as 784-128-10", got=repr(name),
            where="the command line", fix="name the inputs, the hidden layers and the outputs: 784-128-10",
        )  # fmt: skip
    sizes = tuple(map(int, name.split("-")))
    weights = sum(a * b for a, b in pairwise(sizes))
    if not all(1 <= n <= _MOST_SIZE for n in sizes) or len(sizes) > _MOST_LAYERS or weights > _MOST_PARAMETERS:
        raise OptionError(
            "these layer sizes can't be used",
            expected=f"at most {_MOST_LAYERS} sizes from 1 to {_MOST_SIZE}, at most {_MOST_PARAMETERS:,} weights",
            got=name if len(name) < 80 else f"{name[:77]}…", where="the command line", fix="name a smaller network",
        )  # fmt: skip
    return "mnist", sizes
