"""``Report.fix``: the remedy tried.  Both trainings take the same number of steps on the same batches, from one seed.

What does not help is said not to help: a remedy is an assumption until its curve lies lower.

Does not do: long trainings; a few dozen steps show whether a network has begun to learn.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.api import jit, value_and_grad
from chainrule.base import trees
from chainrule.base.errors import ChainruleError, OptionError
from chainrule.diagnose.findings import Verdict
from chainrule.diagnose.remedies import Setup, remedied
from chainrule.diagnose.report import Report, Subject
from chainrule.diagnose.text import bar
from chainrule.optim import adam, apply_updates
from chainrule.train.step import four_arguments

_ROWS_SHOWN = 12


@dataclasses.dataclass(frozen=True)
class Trial:
    """Two loss curves: the training as it was (``before``) and with the remedy (``after``).  NaN where it broke."""

    verdict: Verdict
    change: str
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def helped(self) -> bool:
        """Whether the last tenth of the steps has a loss lower by 5 % and more than without the remedy."""
        was, now = _end(self.before), _end(self.after)
        if not math.isfinite(now):
            return False
        return not math.isfinite(was) or now < was - 0.05 * abs(was)

    def __str__(self) -> str:
        head = f"tried against {self.verdict.kind.replace('_', ' ')}: {self.change}"
        steps = len(self.after)
        picked = sorted({round(i * (steps - 1) / (_ROWS_SHOWN - 1)) for i in range(_ROWS_SHOWN)})
        known = [v for curve in (self.before, self.after) for v in curve if math.isfinite(v)]
        low, high = min(known, default=0.0), max(known, default=1.0)
        lines = [head, f"{'step':>6}  {'as it was':<32}  with the remedy"]
        for i in picked:
            cells = [f"{bar(_share(c[i], low, high))} {c[i]:<11.4g}" for c in (self.before, self.after)]
            lines.append(f"{i + 1:>6}  {'  '.join(cells)}".rstrip())
        was, now = _end(self.before), _end(self.after)
        verdict = "It helps" if self.helped else "It does not help"
        lines.append(f"{verdict}: after {steps} steps the loss is {now:.4g} instead of {was:.4g}.")
        return "\n".join(lines)


def _share(value: float, low: float, high: float) -> float:
    return 0.05 + 0.95 * (value - low) / (high - low) if math.isfinite(value) and high > low else 0.0


def _end(curve: tuple[float, ...]) -> float:
    return float(np.mean(curve[-max(1, len(curve) // 10) :])) if curve else float("nan")


def try_remedy(
    report: Report, number: int = 0, *, steps: int = 60, seed: int = 0, data: tuple[Any, Any] | None = None
) -> Trial | None:
    """Try the remedy of verdict ``number``; None where there is no verdict, or none that can be applied by itself.

    ``data``: rows ``(x, y)`` to draw batches from; the diagnosed batch again and again when None.
    Raises :class:`OptionError` for fewer than 2 steps, a verdict that is not there, and a report read from numbers.
    """
    subject = report.subject
    if steps < 2 or subject is None or not 0 <= number < max(len(report.verdicts), 1) or len(subject.batch) != 2:
        raise OptionError(
            "this remedy can't be tried", expected="2 steps or more, a verdict of the report, and a batch (x, y)",
            got=f"steps={steps}, verdict {number} of {len(report.verdicts)}"
            + ("" if subject is not None else ", a report without its model"),
            where="Report.fix", fix="call diagnose(model, loss, (x, y)) and fix with its defaults",
        )  # fmt: skip
    if not report.verdicts:
        return None
    verdict = report.verdicts[number]
    setup = _as_it_was(report, subject)
    better = remedied(verdict, report.findings, subject, setup, seed)
    if better is None:
        return None
    rows = data or subject.batch
    as_it_was = dataclasses.replace(setup, measure=better.measure, on_all_rows=better.on_all_rows)
    before = _train(as_it_was, rows, steps, seed)
    after = _train(better, rows, steps, seed)
    return Trial(verdict, better.change, before, after)


def _as_it_was(report: Report, subject: Subject) -> Setup:
    loss = four_arguments(subject.loss)
    size = report.findings.batch_size if "batch_small" in report.kinds else len(subject.batch[0])
    return Setup(
        subject.model, lambda model, x, y: loss(model, x, y, None), subject.optimizer or adam(1e-3), rows=size
    )


def _train(setup: Setup, data: tuple[Any, ...], steps: int, seed: int) -> tuple[float, ...]:
    """The loss at each step; NaN from where it can't go on."""
    gradient_of = value_and_grad(setup.loss)
    optimizer, measure = setup.optimizer, setup.measure or setup.loss
    other = setup.measure is not None or setup.on_all_rows

    def step(model: Any, state: Any, x: Any, y: Any, shown_x: Any, shown_y: Any) -> Any:
        value, gradient = gradient_of(model, x, y)
        shown = measure(model, shown_x, shown_y) if other else value
        updates, state = optimizer.update(gradient, state, model)
        return apply_updates(model, updates), state, shown

    jitted = jit(step)
    model, state = trees.map(np.array, setup.model), optimizer.init(setup.model)
    curve: list[float] = []
    with np.errstate(all="ignore"):
        whole = _prepared(setup, data)
        if _refused(setup, whole):
            return (float("nan"),) * steps
        for x, y in _batches(setup, whole, steps, seed):
            value = float("nan")
            if not curve or math.isfinite(curve[-1]):
                model, state, shown = jitted(model, state, x, y, *(whole if setup.on_all_rows else (x, y)))
                value = float(shown)
            curve.append(value)
    return tuple(curve)


def _refused(setup: Setup, data: tuple[Any, Any]) -> bool:
    """Whether the loss refuses rows whose values it sees, as ``nn.cross_entropy`` refuses labels of no class."""
    x, y = next(_batches(setup, data, 1, 0))
    try:
        setup.loss(setup.model, x, y)
    except (ChainruleError, IndexError):
        return True
    return False


def _prepared(setup: Setup, data: tuple[Any, ...]) -> tuple[Any, Any]:
    x, y = np.asarray(data[0]), np.asarray(data[1])
    return (x, y) if setup.prepare is None else setup.prepare(x, y)


def _batches(setup: Setup, data: tuple[Any, Any], steps: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """The batches of a training: of one size, drawn by the seed, or all rows each time."""
    x, y = data
    rng = np.random.default_rng(seed)
    rows = min(setup.rows or len(x), len(x))
    for _ in range(steps):
        at = slice(None) if rows == len(x) else rng.choice(len(x), rows, replace=False)
        yield x[at], y[at]
