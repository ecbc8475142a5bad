"""Learning rates as functions of the step count t = 0, 1, …: plain NumPy, so a count may be traced.

Each maker returns ``schedule(count)``, a 0-d float64 for an integer ``count`` (int, or 0-d integer array).  The names
and values follow ``torch.optim.lr_scheduler`` with one call per step.

Sources: Loshchilov and Hutter 2017 (cosine), Goyal et al. 2017 (warm-up), Smith and Topin 2018 (one cycle).
Does not do: schedules that look at the loss.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.base.errors import OptionError, choose
from chainrule.optim.base import Array, LearningRate, Schedule, number


def constant(value: float) -> Schedule:
    """``value`` at every step."""
    number("value", value, "schedules.constant")
    return lambda count: _steps(count) * 0 + value


def step(initial: float, every: int, factor: float = 0.1) -> Schedule:
    """``initial`` times ``factor`` after each ``every`` steps (torch: StepLR)."""
    number("initial", initial, "schedules.step")
    _whole("every", every, "schedules.step")
    number("factor", factor, "schedules.step")
    return lambda count: initial * factor ** np.floor(_steps(count) / every)


def exponential(initial: float, factor: float, every: int = 1) -> Schedule:
    """``initial`` · ``factor``^(t / ``every``), without stairs (torch: ExponentialLR)."""
    number("initial", initial, "schedules.exponential")
    number("factor", factor, "schedules.exponential")
    _whole("every", every, "schedules.exponential")
    return lambda count: initial * factor ** (_steps(count) / every)


def inverse_time(initial: float, decay: float) -> Schedule:
    """``initial`` / (1 + ``decay`` t) (torch: Adagrad's ``lr_decay``)."""
    number("initial", initial, "schedules.inverse_time")
    number("decay", decay, "schedules.inverse_time")
    return lambda count: initial / (1 + decay * _steps(count))


def linear(initial: float, final: float, steps: int) -> Schedule:
    """From ``initial`` straight to ``final`` at step ``steps``, then constant (torch: LinearLR)."""
    number("initial", initial, "schedules.linear")
    number("final", final, "schedules.linear")
    _whole("steps", steps, "schedules.linear")
    return lambda count: initial + (final - initial) * np.minimum(_steps(count) / steps, 1)


def cosine(initial: float, steps: int, final: float = 0.0) -> Schedule:
    """Half a cosine from ``initial`` down to ``final`` at step ``steps``, then constant (torch: CosineAnnealingLR)."""
    number("initial", initial, "schedules.cosine")
    number("final", final, "schedules.cosine")
    _whole("steps", steps, "schedules.cosine")
    return lambda count: _half_cosine(initial, final, np.minimum(_steps(count) / steps, 1))


def warm_up(after: LearningRate, steps: int, start: float = 0.0) -> Schedule:
    """A line from ``start`` to the first value of ``after`` over ``steps`` steps, then ``after`` counted from there.

    ``after``: a schedule or a number.
    """
    _whole("steps", steps, "schedules.warm_up")
    number("start", start, "schedules.warm_up")
    then = after if callable(after) else constant(after)

    def schedule(count: Array) -> Array:
        t = _steps(count)
        peak = then(np.zeros(()))
        rising = start + (peak - start) * np.minimum(t / steps, 1)
        return np.where(t < steps, rising, then(np.maximum(t - steps, 0)))

    return schedule


def one_cycle(
    peak: float, steps: int, *, rise: float = 0.3, divide: float = 25.0, divide_final: float = 1e4
) -> Schedule:
    """Up from ``peak`` / ``divide`` to ``peak`` in a share ``rise`` of ``steps``, then down (torch: OneCycleLR).

    Both ways along half a cosine; the end is ``peak`` / ``divide`` / ``divide_final``, which stays.
    """
    number("peak", peak, "schedules.one_cycle")
    _whole("steps", steps, "schedules.one_cycle")
    number("rise", rise, "schedules.one_cycle", below=1)
    number("divide", divide, "schedules.one_cycle", least=1)
    number("divide_final", divide_final, "schedules.one_cycle", least=1)
    first, last = peak / divide, peak / divide / divide_final
    # Spans of at least a step: a cycle too short to rise starts at its peak.
    top = max(rise * steps - 1, 0.0)
    up, down = max(top, 1.0), max(steps - 1 - top, 1.0)

    def schedule(count: Array) -> Array:
        t = _steps(count)
        rising = _half_cosine(first, peak, np.clip(t / up, 0, 1))
        falling = _half_cosine(peak, last, np.clip((t - top) / down, 0, 1))
        return np.where(t < top, rising, falling)

    return schedule


schedules = ("constant", "step", "exponential", "cosine", "warm-up", "one-cycle")
"""The names that :func:`named` knows."""


def named(name: str, learning_rate: float, steps: int) -> Schedule:
    """The schedule called ``name`` with usual settings for a run of ``steps`` steps with rates up to ``learning_rate``.

    step: a tenth after each third of the run; exponential: down to a hundredth; warm-up: a twentieth of the run up,
    then half a cosine down.  Raises :class:`OptionError`, listing the names, for an unknown one.
    """
    number("learning_rate", learning_rate, "schedules.named")
    _whole("steps", steps, "schedules.named")
    if name == "constant":
        return constant(learning_rate)
    if name == "step":
        return step(learning_rate, max(1, -(-steps // 3)))
    if name == "exponential":
        return exponential(learning_rate, 0.01, steps)
    if name == "cosine":
        return cosine(learning_rate, steps)
    if name == "warm-up":
        rising = max(1, steps // 20)
        return warm_up(cosine(learning_rate, max(1, steps - rising)), rising)
    if name == "one-cycle":
        return one_cycle(learning_rate, steps)
    raise choose("schedule", name, schedules, where="optim.schedules.named")


def _steps(count: Any) -> Array:
    """The count as a 0-d float64, the dtype rates are computed in."""
    return np.float64(count) if isinstance(count, (int, float)) else count.astype(np.float64)


def _half_cosine(start: float, end: float, share: Array) -> Array:
    return end + (start - end) * 0.5 * (1 + np.cos(math.pi * share))


def _whole(name: str, value: object, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise OptionError(
            f"{name} is not a number of steps",
            expected=f"an integer {name} >= 1",
            got=repr(value),
            where=f"optim.{where}",
            fix="count steps, not epochs: epochs times batches per epoch",
        )
