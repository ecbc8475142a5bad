"""Gradient descent: plain, with momentum, and with Nesterov's momentum, as torch.optim.SGD computes them.

Polyak 1964 (momentum); Nesterov 1983 in the form of Sutskever et al. 2013.  The trace is b = β b + g, from 0; momentum
steps along b, Nesterov along g + β b.  ``weight_decay`` is L2: it is added to the gradient first.

Does not do: dampening.
"""

from __future__ import annotations

from typing import NamedTuple

from chainrule.base import trees
from chainrule.optim.base import LearningRate, Optimizer, Params, array, chain, mapped, number, zeros
from chainrule.optim.transforms import optional_decay, scale_by_learning_rate


class TraceState(NamedTuple):
    """``trace``: the running sum of gradients, shaped like the parameters."""

    trace: Params


def trace(beta: float) -> Optimizer:
    """Replaces the gradient by b = ``beta`` b + g.  Raises :class:`OptionError` unless 0 <= beta < 1."""
    number("beta", beta, "trace", below=1)

    def update(grads: Params, state: TraceState, params: Params | None) -> tuple[Params, TraceState]:
        moved = trees.map(lambda g, b: array(beta * b + g), grads, state.trace)
        return moved, TraceState(moved)

    return Optimizer(lambda params: TraceState(zeros(params)), update)


def nesterov_trace(beta: float) -> Optimizer:
    """Replaces the gradient by g + ``beta`` b with b = ``beta`` b + g.  Raises :class:`OptionError` as trace does."""
    number("beta", beta, "nesterov_trace", below=1)

    def update(grads: Params, state: TraceState, params: Params | None) -> tuple[Params, TraceState]:
        def leaf(g: Params, b: Params) -> tuple[Params, Params]:
            b = beta * b + g
            return g + beta * b, b

        ahead, moved = mapped(leaf, 2, grads, state.trace)
        return ahead, TraceState(moved)

    return Optimizer(lambda params: TraceState(zeros(params)), update)


def sgd(learning_rate: LearningRate = 1e-3, *, weight_decay: float = 0.0) -> Optimizer:
    """Gradient descent: p ← p - lr g (Robbins and Monro, 1951).  Raises :class:`OptionError` for negative options."""
    return chain(*optional_decay(weight_decay), scale_by_learning_rate(learning_rate))


def momentum(learning_rate: LearningRate = 1e-3, beta: float = 0.9, *, weight_decay: float = 0.0) -> Optimizer:
    """Heavy-ball momentum: b ← β b + g, p ← p - lr b.  Raises :class:`OptionError` for options out of range."""
    return chain(*optional_decay(weight_decay), trace(beta), scale_by_learning_rate(learning_rate))


def nesterov(learning_rate: LearningRate = 1e-3, beta: float = 0.9, *, weight_decay: float = 0.0) -> Optimizer:
    """Nesterov momentum: b ← β b + g, p ← p - lr (g + β b).  Raises :class:`OptionError` for options out of range."""
    return chain(*optional_decay(weight_decay), nesterov_trace(beta), scale_by_learning_rate(learning_rate))
