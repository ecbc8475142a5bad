"""Gradient transformations that optimizers are chained from: clipping, weight decay, scaling by a rate or schedule.

Clipping by the global norm: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", 2013,
in torch's form, with 1e-6 added to the norm.

Does not do: adaptive clipping, noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.base import trees
from chainrule.base.errors import OptionError
from chainrule.optim.base import (
    Array,
    LearningRate,
    Optimizer,
    Params,
    Schedule,
    array,
    count_zero,
    like,
    need_params,
    next_count,
    number,
    stateless,
)


class ScheduleState(NamedTuple):
    """``count``: steps taken so far, 0-d int64."""

    count: Array


def scale(factor: float) -> Optimizer:
    """Multiplies every update by ``factor``."""
    return stateless(lambda grads, params: trees.map(lambda g: array(like(factor * g, g)), grads))


def scale_by_schedule(schedule: Schedule) -> Optimizer:
    """Multiplies the update of step t = 0, 1, … by ``schedule(t)``."""

    def init(params: Params) -> ScheduleState:
        return ScheduleState(count_zero())

    def update(grads: Params, state: ScheduleState, params: Params | None) -> tuple[Params, ScheduleState]:
        factor = schedule(state.count)
        scaled = trees.map(lambda g: array(like(factor, g) * g), grads)
        return scaled, ScheduleState(next_count(state.count))

    return Optimizer(init, update)


def scale_by_learning_rate(learning_rate: LearningRate) -> Optimizer:
    """Multiplies by -``learning_rate`` (a number or a schedule): the last step of an optimizer.

    Raises :class:`OptionError` for a negative rate.
    """
    if callable(learning_rate):
        schedule = learning_rate
        return scale_by_schedule(lambda count: -schedule(count))
    number("learning_rate", learning_rate, "scale_by_learning_rate")
    return scale(-float(learning_rate))


def add_decayed_weights(weight_decay: float) -> Optimizer:
    """Adds ``weight_decay`` times the parameters.  Before an adaptive rule this is L2 regularisation, after it decay.

    ``update`` needs ``params``.  Raises :class:`OptionError` for a negative ``weight_decay``.
    """
    number("weight_decay", weight_decay, "add_decayed_weights")

    def add(grads: Params, params: Params | None) -> Params:
        kept = need_params(params, "add_decayed_weights")
        return trees.map(lambda g, p: array(like(g + weight_decay * p, g)), grads, kept)

    return stateless(add)


def optional_decay(weight_decay: float) -> tuple[Optimizer, ...]:
    """``add_decayed_weights`` as a step to unpack into a chain; no step at all for a decay of 0."""
    number("weight_decay", weight_decay, "add_decayed_weights")
    return (add_decayed_weights(weight_decay),) if weight_decay else ()


def clip_by_value(limit: float) -> Optimizer:
    """Clips each number to [-``limit``, ``limit``].  Raises :class:`OptionError` for a negative limit."""
    number("limit", limit, "clip_by_value")
    return stateless(lambda grads, params: trees.map(lambda g: array(np.clip(g, -limit, limit)), grads))


def global_norm(tree: Params) -> Array:
    """The Euclidean norm of all leaves together, summed in float64; a 0-d array.  0 for a tree without leaves."""
    total: Any = np.zeros(())
    for leaf in trees.leaves(tree):
        total = total + np.sum(np.square(leaf.astype(np.float64)))
    return np.sqrt(total)


def clip_by_global_norm(limit: float) -> Optimizer:
    """Scales all updates by min(1, ``limit`` / (norm + 1e-6)), norm being the :func:`global_norm`.

    A norm that is not finite makes the updates NaN, so that it is noticed.  Raises :class:`OptionError` for a
    negative limit.
    """
    number("limit", limit, "clip_by_global_norm")

    def clip(grads: Params, params: Params | None) -> Params:
        norm = global_norm(grads)
        factor = np.where(np.isfinite(norm), np.minimum(limit / (norm + 1e-6), 1), np.nan)
        return trees.map(lambda g: array(like(factor, g) * g), grads)

    return stateless(clip)


def masked(inner: Optimizer, mask: Callable[[str], bool]) -> Optimizer:
    """``inner`` on the leaves whose path ``mask`` accepts; the others pass unchanged.

    Weight decay without biases: ``masked(add_decayed_weights(0.01), lambda path: not path.endswith("bias"))``.
    Raises :class:`OptionError` when ``mask`` is not a function of a path.
    """
    if not callable(mask):
        raise OptionError(
            "mask is not a function",
            expected="a function of a leaf's path, such as layers[0].weight",
            got=repr(mask),
            where="optim.masked",
            fix='pass lambda path: path.endswith("weight")',
        )

    def select(tree: Params) -> list[Array]:
        return [leaf for path, leaf in zip(trees.paths(tree), trees.leaves(tree), strict=True) if mask(path)]

    def init(params: Params) -> Any:
        return inner.init(select(params))

    def update(grads: Params, state: Any, params: Params | None) -> tuple[Params, Any]:
        chosen, after = inner.update(select(grads), state, None if params is None else select(params))
        leaves, structure = trees.flatten(grads)
        accepted = iter(chosen)
        merged = [
            next(accepted) if mask(path) else leaf for path, leaf in zip(trees.paths(grads), leaves, strict=True)
        ]
        return trees.unflatten(structure, merged), after

    return Optimizer(init, update)
