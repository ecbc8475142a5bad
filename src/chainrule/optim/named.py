"""Optimizers by name, for the command line and configuration files.

Does not do: their further options; call the optimizer itself for these.
"""

from __future__ import annotations

from collections.abc import Callable

from chainrule.base.errors import choose
from chainrule.optim.adam import adam, adamax, adamw, amsgrad, nadam
from chainrule.optim.adaptive import adadelta, adagrad, rmsprop
from chainrule.optim.base import LearningRate, Optimizer
from chainrule.optim.descent import momentum, nesterov, sgd

optimizers: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adadelta": adadelta,
    "adam": adam,
    "adamw": adamw,
    "adamax": adamax,
    "nadam": nadam,
    "amsgrad": amsgrad,
}
"""Every optimizer by name; each takes ``learning_rate`` and ``weight_decay=``."""


def named(name: str, learning_rate: LearningRate | None = None, weight_decay: float | None = None) -> Optimizer:
    """The optimizer called ``name``; None leaves an option at that optimizer's own default.

    Raises :class:`OptionError`, listing the names, for an unknown one, and for options out of range.
    """
    if name not in optimizers:
        raise choose("optimizer", name, optimizers, where="optim.named")
    given = {"learning_rate": learning_rate, "weight_decay": weight_decay}
    return optimizers[name](**{option: value for option, value in given.items() if value is not None})
