"""The Adam family: first moment m, second moment v, bias corrections, as torch.optim computes them.

Kingma and Ba 2015 (Adam, Adamax), Dozat 2016 (Nadam), Reddi, Kale, Kumar 2018 (AMSGrad), Loshchilov and Hutter 2019
(AdamW).  With m ← β₁ m + (1 - β₁) g and v ← β₂ v + (1 - β₂) g², step t = 1, 2, … moves by
-lr (m / (1 - β₁ᵗ)) / (√v / √(1 - β₂ᵗ) + eps).

Corrections are computed in float64 from the count and then cast, so a float32 run is the same with any parameters.
Does not do: a state in a lower precision than the parameters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chainrule.optim.base import (
    Array,
    LearningRate,
    Optimizer,
    Params,
    array,
    chain,
    count_zero,
    like,
    mapped,
    next_count,
    number,
    zeros,
)
from chainrule.optim.transforms import add_decayed_weights, optional_decay, scale_by_learning_rate


class AdamState(NamedTuple):
    """``count``: steps taken; ``m`` and ``v``: the first and second moments (for Adamax, v is the infinity norm)."""

    count: Array
    m: Params
    v: Params


class AmsgradState(NamedTuple):
    """Adam's state and ``v_max``, the largest second moment so far."""

    count: Array
    m: Params
    v: Params
    v_max: Params


class NadamState(NamedTuple):
    """Adam's state and ``product``, the product of the momentum factors so far, 0-d float64."""

    count: Array
    product: Array
    m: Params
    v: Params


def _check(b1: float, b2: float, eps: float, where: str) -> None:
    number("b1", b1, where, below=1)
    number("b2", b2, where, below=1)
    number("eps", eps, where)


def _start(params: Params) -> AdamState:
    return AdamState(count_zero(), zeros(params), zeros(params))


def _correction(beta: float, count: Array) -> Array:
    """1 - βᵗ, a 0-d float64."""
    return 1 - beta ** count.astype(np.float64)


def _denominator(b1: float, b2: float, eps: float, count: Array) -> tuple[Array, Array]:
    """Adam's corrections moved below the line: m / (r √v + e), one pass over the arrays less than as it is written."""
    first = _correction(b1, count)
    return first / np.sqrt(_correction(b2, count)), first * eps


def scale_by_adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Adam's rule without the rate.  Raises :class:`OptionError` for ``b1``, ``b2`` outside [0, 1) or eps < 0."""
    _check(b1, b2, eps, "adam")

    def update(grads: Params, state: AdamState, params: Params | None) -> tuple[Params, AdamState]:
        count = next_count(state.count)
        root, floor = _denominator(b1, b2, eps, count)

        def leaf(g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * (g * g)
            return m / (np.sqrt(v) * like(root, g) + like(floor, g)), m, v

        scaled, m, v = mapped(leaf, 3, grads, state.m, state.v)
        return scaled, AdamState(count, m, v)

    return Optimizer(_start, update)


def scale_by_amsgrad(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Adam's rule with the largest v so far in the denominator.  Raises :class:`OptionError` as Adam's does."""
    _check(b1, b2, eps, "amsgrad")

    def init(params: Params) -> AmsgradState:
        return AmsgradState(count_zero(), zeros(params), zeros(params), zeros(params))

    def update(grads: Params, state: AmsgradState, params: Params | None) -> tuple[Params, AmsgradState]:
        count = next_count(state.count)
        root, floor = _denominator(b1, b2, eps, count)

        def leaf(g: Array, m: Array, v: Array, top: Array) -> tuple[Array, ...]:
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * (g * g)
            top = np.maximum(top, v)
            return m / (np.sqrt(top) * like(root, g) + like(floor, g)), m, v, top

        scaled, m, v, v_max = mapped(leaf, 4, grads, state.m, state.v, state.v_max)
        return scaled, AmsgradState(count, m, v, v_max)

    return Optimizer(init, update)


def scale_by_adamax(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Adamax's rule: the denominator is v ← max(β₂ v, |g| + eps), uncorrected."""
    _check(b1, b2, eps, "adamax")

    def update(grads: Params, state: AdamState, params: Params | None) -> tuple[Params, AdamState]:
        count = next_count(state.count)
        first = _correction(b1, count)

        def leaf(g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
            m = b1 * m + (1 - b1) * g
            v = np.maximum(b2 * v, np.abs(g) + eps)
            return (m / like(first, g)) / v, m, v

        scaled, m, v = mapped(leaf, 3, grads, state.m, state.v)
        return scaled, AdamState(count, m, v)

    return Optimizer(_start, update)


def scale_by_nadam(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, momentum_decay: float = 4e-3
) -> Optimizer:
    """Nadam's rule: Adam looking one step ahead, with momentum factors μₜ = β₁ (1 - 0.96^(t ψ) / 2), ψ the decay."""
    _check(b1, b2, eps, "nadam")
    number("momentum_decay", momentum_decay, "nadam")

    def init(params: Params) -> NadamState:
        return NadamState(count_zero(), np.ones(()), zeros(params), zeros(params))

    def update(grads: Params, state: NadamState, params: Params | None) -> tuple[Params, NadamState]:
        count = next_count(state.count)
        step = count.astype(np.float64)
        now = b1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))
        ahead = b1 * (1 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
        product = array(state.product * now)
        of_gradient = (1 - now) / (1 - product)
        of_moment = ahead / (1 - product * ahead)
        second = np.sqrt(_correction(b2, count))

        def leaf(g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * (g * g)
            mixed = like(of_gradient, g) * g + like(of_moment, g) * m
            return mixed / (np.sqrt(v) / like(second, g) + eps), m, v

        scaled, m, v = mapped(leaf, 3, grads, state.m, state.v)
        return scaled, NadamState(count, product, m, v)

    return Optimizer(init, update)


def adam(
    learning_rate: LearningRate = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    *,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adam (Kingma and Ba, 2015).  ``weight_decay`` is L2, added to the gradient; for decay use :func:`adamw`.

    Raises :class:`OptionError` for ``b1``, ``b2`` outside [0, 1) and negative options.
    """
    return chain(*optional_decay(weight_decay), scale_by_adam(b1, b2, eps), scale_by_learning_rate(learning_rate))


def adamw(
    learning_rate: LearningRate = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    *,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019): p ← p - lr (adam(g) + weight_decay p).

    Raises :class:`OptionError` for options out of range.
    """
    return chain(
        scale_by_adam(b1, b2, eps), add_decayed_weights(weight_decay), scale_by_learning_rate(learning_rate)
    )


def adamax(
    learning_rate: LearningRate = 2e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    *,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adamax (Kingma and Ba, 2015), by the infinity norm.  Raises :class:`OptionError` for options out of range."""
    return chain(*optional_decay(weight_decay), scale_by_adamax(b1, b2, eps), scale_by_learning_rate(learning_rate))


def nadam(
    learning_rate: LearningRate = 2e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    *,
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Nadam (Dozat, 2016), Adam with Nesterov momentum.  Raises :class:`OptionError` for options out of range."""
    return chain(
        *optional_decay(weight_decay),
        scale_by_nadam(b1, b2, eps, momentum_decay),
        scale_by_learning_rate(learning_rate),
    )


def amsgrad(
    learning_rate: LearningRate = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    *,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """AMSGrad (Reddi et al., 2018): whose rates never grow.  Raises :class:`OptionError` for options out of range."""
    return chain(*optional_decay(weight_decay), scale_by_amsgrad(b1, b2, eps), scale_by_learning_rate(learning_rate))
