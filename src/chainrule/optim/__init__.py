"""Optimizers as pairs of pure functions, and the transformations, schedules and clipping they are chained from.

>>> import numpy as np
>>> import chainrule as cr
>>> from chainrule import optim
>>> def loss(params):
...     return np.sum((params["x"] - 3.0) ** 2)
>>> optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.adam(optim.schedules.cosine(0.5, steps=100)))
>>> params = {"x": np.zeros(2)}
>>> state = optimizer.init(params)
>>> for _ in range(100):
...     updates, state = optimizer.update(cr.grad(loss)(params), state, params)
...     params = optim.apply_updates(params, updates)
>>> bool(loss(params) < 1e-3)
True
"""

from chainrule.optim import schedules
from chainrule.optim.adam import (
    adam,
    adamax,
    adamw,
    amsgrad,
    nadam,
    scale_by_adam,
    scale_by_adamax,
    scale_by_amsgrad,
    scale_by_nadam,
)
from chainrule.optim.adaptive import (
    adadelta,
    adagrad,
    rmsprop,
    scale_by_adadelta,
    scale_by_centered_rms,
    scale_by_rms,
    scale_by_sum_of_squares,
)
from chainrule.optim.base import LearningRate, Optimizer, Schedule, apply_updates, chain, stateless
from chainrule.optim.descent import momentum, nesterov, nesterov_trace, sgd, trace
from chainrule.optim.named import named, optimizers
from chainrule.optim.transforms import (
    add_decayed_weights,
    clip_by_global_norm,
    clip_by_value,
    global_norm,
    masked,
    scale,
    scale_by_learning_rate,
    scale_by_schedule,
)

__all__ = [
    "LearningRate",
    "Optimizer",
    "Schedule",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "add_decayed_weights",
    "amsgrad",
    "apply_updates",
    "chain",
    "clip_by_global_norm",
    "clip_by_value",
    "global_norm",
    "masked",
    "momentum",
    "nadam",
    "named",
    "nesterov",
    "nesterov_trace",
    "optimizers",
    "rmsprop",
    "scale",
    "scale_by_adadelta",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_amsgrad",
    "scale_by_centered_rms",
    "scale_by_learning_rate",
    "scale_by_nadam",
    "scale_by_rms",
    "scale_by_schedule",
    "scale_by_sum_of_squares",
    "schedules",
    "sgd",
    "stateless",
    "trace",
]
