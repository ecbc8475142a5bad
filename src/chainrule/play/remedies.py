"""Remedies: what helps against a fault, as settings that a button applies.

Does not do: finding faults (``faults``).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from chainrule.base.errors import ChainruleError
from chainrule.diagnose import Verdict
from chainrule.play.context import Context
from chainrule.play.settings import Settings


@dataclasses.dataclass(frozen=True)
class Remedy:
    """A button: settings to change, and whether the initial weights come back."""

    label: str
    settings: dict[str, Any]
    rewinds: bool = False


def _rate(value: float) -> float:
    """A rate that a person would choose: 1 or 3 times a power of ten."""
    if not value > 0 or not np.isfinite(value):
        return 1e-4
    power = 10.0 ** np.floor(np.log10(value))
    steps = [power, 3 * power, 10 * power]
    return float(f"{min(steps, key=lambda v: abs(np.log(v / value))):.3g}")


def remedies_of(verdict: Verdict, context: Context) -> tuple[Remedy, ...]:
    """What helps against a verdict of ``chainrule.diagnose``, the best first."""
    return helpful(context.settings, _listed(verdict, context))


def _listed(verdict: Verdict, context: Context) -> list[Remedy]:
    s, factor = context.settings, verdict.factor
    scaled = Remedy("Normalise the inputs", {"mode": "default", "normalise": True})
    suited: dict[str, Any] = {"mode": "default", "initialiser": "auto", "bias": None}
    redraw = Remedy("Draw weights that suit the activation", suited)
    relu = Remedy("relu with weights that suit it", {**suited, "activation": "relu", "activations": []})
    slower = Remedy(f"Learning rate {_rate(s.learning_rate / 10):g}", {"learning_rate": _rate(s.learning_rate / 10)})
    undecayed = "adam" if s.optimizer == "adamw" else s.optimizer
    faster = _rate(s.learning_rate * factor / 3)
    larger = max(1, min(context.count, 8 * s.batch_size))
    by_kind: dict[str, list[Remedy]] = {
        "unscaled_inputs": [scaled],
        "symmetric": [redraw],
        "dead_relu": [
            Remedy("leaky_relu instead of relu", {"activation": "leaky_relu", "activations": []}),
            Remedy(f"Begin again with learning rate {_rate(s.learning_rate / 10):g}",
                   {"learning_rate": _rate(s.learning_rate / 10)}, True), redraw,
        ],
        "saturated": [scaled, redraw, relu],
        "vanishing": [relu, redraw, Remedy("Fewer layers", {"hidden": list(s.hidden[: max(1, len(s.hidden) // 3)])})],
        "exploding": [Remedy("Clip the gradient at 1", {"mode": "default", "clip": 1.0}), redraw, slower],
        "loss_pair": [Remedy("Cross-entropy", {"mode": "default", "loss": "cross-entropy"})],
        "label_range": [Remedy("Cross-entropy", {"mode": "default", "loss": "cross-entropy"})],
        "weight_decay": [Remedy("adam, which does not decay", {"optimizer": undecayed}),
                         Remedy("No regularisation", {"regularization": "none"}),
                         Remedy("A tenth of it", {"regularization_rate": s.regularization_rate / 10})],
        "rate_low": [Remedy(f"Learning rate {faster:g}", {"learning_rate": faster})],
        "batch_small": [Remedy(f"Batches of {larger}", {"batch_size": larger}), slower],
    }  # fmt: skip
    if verdict.kind == "rate_high":
        better = _rate(s.learning_rate * (min(0.3, max(factor / 2, 1e-6)) if np.isfinite(factor) else 0.1))
        return [Remedy(f"Learning rate {better:g}", {"learning_rate": better}),
                Remedy(f"Begin again with {better:g}", {"learning_rate": better}, True)]  # fmt: skip
    return by_kind.get(verdict.kind, [])


def helpful(settings: Settings, remedies: list[Remedy]) -> tuple[Remedy, ...]:
    """Those that may be chosen and change something (where the mode changes too, more than that)."""
    return tuple(remedy for remedy in remedies if _changes(settings, remedy))


def _changes(settings: Settings, remedy: Remedy) -> bool:
    try:
        after = settings.changed(remedy.settings)
    except ChainruleError:
        return False
    names = [name for name in remedy.settings if name != "mode"] or ["mode"]
    return remedy.rewinds or any(getattr(after, name) != getattr(settings, name) for name in names)


def calmer(context: Context) -> tuple[Remedy, ...]:
    """Against steps that leave the finite numbers."""
    rate = _rate(context.settings.learning_rate / 10)
    return helpful(context.settings, [
        Remedy(f"Begin again with learning rate {rate:g}", {"learning_rate": rate}, True),
        Remedy("Begin again, gradient clipped at 1", {"mode": "default", "clip": 1.0}, True),
        Remedy("Normalise the inputs and begin again", {"mode": "default", "normalise": True}, True),
    ])  # fmt: skip
