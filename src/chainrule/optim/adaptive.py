"""Rates per parameter from squared gradients: Adagrad, RMSprop, Adadelta, as torch.optim computes them.

Duchi, Hazan, Singer 2011 (Adagrad); Hinton's lecture 6e, 2012, and Graves 2013 (RMSprop, centred); Zeiler 2012
(Adadelta).  ``weight_decay`` is L2: it is added to the gradient first.

Does not do: Adagrad's own rate decay: pass ``schedules.inverse_time``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chainrule.base import trees
from chainrule.optim.base import Array, LearningRate, Optimizer, Params, chain, mapped, number, zeros
from chainrule.optim.descent import trace
from chainrule.optim.transforms import optional_decay, scale_by_learning_rate


class SumState(NamedTuple):
    """``total``: the sum of squared gradients."""

    total: Params


class MeanSquareState(NamedTuple):
    """``square``: the running mean of squared gradients."""

    square: Params


class VarianceState(NamedTuple):
    """Running means of squared gradients (``square``) and of gradients (``mean``)."""

    square: Params
    mean: Params


class DeltaState(NamedTuple):
    """Running means of squared gradients (``square``) and of squared updates (``delta``)."""

    square: Params
    delta: Params


def scale_by_sum_of_squares(initial_accumulator: float = 0.0, eps: float = 1e-10) -> Optimizer:
    """Adagrad's rule: g / (√s + eps), s the sum of g².  Raises :class:`OptionError` for negative options."""
    number("initial_accumulator", initial_accumulator, "adagrad")
    number("eps", eps, "adagrad")

    def init(params: Params) -> SumState:
        return SumState(trees.map(lambda p: np.full_like(p, initial_accumulator), params))

    def update(grads: Params, state: SumState, params: Params | None) -> tuple[Params, SumState]:
        def leaf(g: Array, s: Array) -> tuple[Array, Array]:
            s = s + g * g
            return g / (np.sqrt(s) + eps), s

        scaled, total = mapped(leaf, 2, grads, state.total)
        return scaled, SumState(total)

    return Optimizer(init, update)


def scale_by_rms(decay: float = 0.99, eps: float = 1e-8) -> Optimizer:
    """RMSprop's rule: g / (√v + eps), v ← decay v + (1 - decay) g².  Raises :class:`OptionError` out of range."""
    number("decay", decay, "rmsprop", below=1)
    number("eps", eps, "rmsprop")

    def update(grads: Params, state: MeanSquareState, params: Params | None) -> tuple[Params, MeanSquareState]:
        def leaf(g: Array, v: Array) -> tuple[Array, Array]:
            v = decay * v + (1 - decay) * (g * g)
            return g / (np.sqrt(v) + eps), v

        scaled, square = mapped(leaf, 2, grads, state.square)
        return scaled, MeanSquareState(square)

    return Optimizer(lambda params: MeanSquareState(zeros(params)), update)


def scale_by_centered_rms(decay: float = 0.99, eps: float = 1e-8) -> Optimizer:
    """RMSprop by the variance: g / (√(v - m²) + eps), m the running mean of g; v - m² is kept from rounding below 0."""
    number("decay", decay, "rmsprop", below=1)
    number("eps", eps, "rmsprop")

    def update(grads: Params, state: VarianceState, params: Params | None) -> tuple[Params, VarianceState]:
        def leaf(g: Array, v: Array, m: Array) -> tuple[Array, Array, Array]:
            v = decay * v + (1 - decay) * (g * g)
            m = decay * m + (1 - decay) * g
            return g / (np.sqrt(np.maximum(v - m * m, 0)) + eps), v, m

        scaled, square, mean = mapped(leaf, 3, grads, state.square, state.mean)
        return scaled, VarianceState(square, mean)

    return Optimizer(lambda params: VarianceState(zeros(params), zeros(params)), update)


def scale_by_adadelta(decay: float = 0.9, eps: float = 1e-6) -> Optimizer:
    """Adadelta's rule: g √(d + eps) / √(v + eps), d the running mean of squared updates, v of squared gradients."""
    number("decay", decay, "adadelta", below=1)
    number("eps", eps, "adadelta")

    def update(grads: Params, state: DeltaState, params: Params | None) -> tuple[Params, DeltaState]:
        def leaf(g: Array, v: Array, d: Array) -> tuple[Array, Array, Array]:
            v = decay * v + (1 - decay) * (g * g)
            step = np.sqrt(d + eps) / np.sqrt(v + eps) * g
            return step, v, decay * d + (1 - decay) * (step * step)

        scaled, square, delta = mapped(leaf, 3, grads, state.square, state.delta)
        return scaled, DeltaState(square, delta)

    return Optimizer(lambda params: DeltaState(zeros(params), zeros(params)), update)


def adagrad(
    learning_rate: LearningRate = 1e-2,
    *,
    initial_accumulator: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adagrad (Duchi et al., 2011): p ← p - lr g / (√Σg² + eps).  Raises :class:`OptionError` for negative options."""
    return chain(
        *optional_decay(weight_decay),
        scale_by_sum_of_squares(initial_accumulator, eps),
        scale_by_learning_rate(learning_rate),
    )


def rmsprop(
    learning_rate: LearningRate = 1e-2,
    decay: float = 0.99,
    *,
    eps: float = 1e-8,
    centered: bool = False,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> Optimizer:
    """RMSprop (Hinton, 2012), ``centered`` by the variance (Graves, 2013), with ``momentum`` of the scaled gradient.

    Raises :class:`OptionError` for negative options and for ``decay`` or ``momentum`` outside [0, 1).
    """
    number("momentum", momentum, "rmsprop", below=1)
    return chain(
        *optional_decay(weight_decay),
        scale_by_centered_rms(decay, eps) if centered else scale_by_rms(decay, eps),
        *((trace(momentum),) if momentum else ()),
        scale_by_learning_rate(learning_rate),
    )


def adadelta(
    learning_rate: LearningRate = 1.0, decay: float = 0.9, *, eps: float = 1e-6, weight_decay: float = 0.0
) -> Optimizer:
    """Adadelta (Zeiler, 2012).  Raises :class:`OptionError` for options out of range."""
    return chain(*optional_decay(weight_decay), scale_by_adadelta(decay, eps), scale_by_learning_rate(learning_rate))
