"""The verdict on a running network: ``chainrule.diagnose`` on a batch, in a sentence, with remedies as settings.

A diagnosis runs on a thread of its own, one at a time for all players, on the state as it was when it was asked for;
training goes on meanwhile.  Beside the faults that ``diagnose`` knows, those of a playground are found from the loss
curve and the settings: a network without a bend before data that need one, a loss that has come to rest too high, and
more to learn from the training points than is true of the test points.

When a step is not finite, ``cr.find_nonfinite`` names the operation that left the finite numbers first.
Does not do: trying a remedy before it is offered (``Report.fix`` does that for a training of one's own).
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.base.errors import ChainruleError, OptionError
from chainrule.diagnose import KINDS, Report, Verdict, diagnose
from chainrule.explain.nonfinite import NonFinite, find_nonfinite
from chainrule.optim.base import Optimizer
from chainrule.optim.named import named
from chainrule.play.context import Context
from chainrule.play.course import Broken, Course, Losses
from chainrule.play.network import Network, batch_loss, penalty
from chainrule.play.settings import LIMITS, Settings
from chainrule.play.trainer import State, gradient_of

Array = Any

_ROWS = 256  # of the training data, looked at
_REST = 1.0  # seconds between diagnoses of one player
_CURVED = ("spiral", "circle", "xor", "moons", "pinwheel", "multi-gauss", "waves")


@dataclasses.dataclass(frozen=True)
class Remedy:
    """A button: settings to change, and whether the initial weights come back."""

    label: str
    settings: dict[str, Any]
    rewinds: bool = False


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong, why, how that shows, and what helps."""

    kind: str
    title: str
    cause: str
    evidence: str
    remedy: str
    layers: tuple[str, ...]
    remedies: tuple[Remedy, ...]


@functools.cache
def _worker() -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="chainrule-play-verdict")


class Doctor:
    """The diagnoses of one player.  ``tell`` gets the events; it is called on the worker's thread."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._version = 0
        self._answer: dict[str, Any] | None = None
        self._remedies: dict[str, Remedy] = {}
        self._pending = False
        self._of: State | None = None
        self._ended = 0.0

    def clear(self) -> None:
        """What was found is no longer so."""
        with self._lock:
            self._version += 1
            self._answer = self._of = None
            self._pending, self._ended = False, 0.0

    def close(self) -> None:
        """Nobody listens any more."""
        self.clear()

    def verdict(self, course: Course, not_finite: dict[str, Any] | None) -> dict[str, Any]:
        """What is known now; a diagnosis is asked for where that is old."""
        if not_finite is not None:
            return {"pending": "sentence" not in not_finite, "not_finite": True, "healthy": False, "verdicts": [],
                    "sentence": "Training has stopped: a step was not finite.", **not_finite}  # fmt: skip
        with self._lock:
            state, context = course.state, course.context
            if self._answer is not None and self._of is state:
                return {**self._answer, "pending": False}
            if not self._pending and context.count and time.monotonic() - self._ended >= _REST:
                self._pending = True
                curve = list(course.curve[-200:])
                task = functools.partial(self._examine, self._version, context, state, course.losses(), curve)
                _worker().submit(task)
            known = self._answer or {"healthy": None, "sentence": "Looking at the network …", "verdicts": [], "step": state.step}
            return {**known, "pending": self._pending}

    def remedy(self, name: str) -> tuple[dict[str, Any], bool]:
        """The settings of a remedy and whether it rewinds.  Raises OptionError for one that was not offered."""
        with self._lock:
            found = self._remedies.get(name)
        if found is None:
            raise OptionError("there is no such remedy now", expected=", ".join(self._remedies) or "none was offered",
                              got=repr(name), where="apply", fix="ask for the verdict again")  # fmt: skip
        return found.settings, found.rewinds

    def look_for_nonfinite(self, broken: Broken) -> None:
        """Find the operation, in the background; event ``not_finite`` follows."""
        with self._lock:
            version = self._version
        _worker().submit(self._search, version, broken)

    # ------------------------------------------------------------------------------------------------- on the worker

    def _examine(
        self, version: int, context: Context, state: State, losses: Losses, curve: list[tuple[int, float, float]]
    ) -> None:
        try:
            faults = examined(context, state, losses, curve)
            sentence = _sentence(faults, context, state, losses, curve)
        except ChainruleError as error:
            faults, sentence = (), f"This network can't be diagnosed: {error.problem}."
        except Exception as error:  # a diagnosis must not end the worker
            faults, sentence = (), f"This network can't be diagnosed ({type(error).__name__})."
        self._publish(version, state, {"event": "verdict"}, faults, sentence, state.step)

    def _search(self, version: int, broken: Broken) -> None:
        try:
            fault, extra = not_finite_fault(broken)
        except Exception as error:  # the search must not end the worker
            fault, extra = _unknown(broken, type(error).__name__), {}
        head = {"event": "not_finite", "not_finite": True, **extra}
        self._publish(version, broken.state, head, (fault,), f"{fault.title}: {fault.cause}.", broken.step)

    def _publish(
        self, version: int, state: State, head: dict[str, Any], faults: tuple[Fault, ...], sentence: str, step: int
    ) -> None:
        with self._lock:
            if version != self._version:
                return
            self._remedies = {}
            answer = {
                "step": step, "healthy": not faults, "sentence": sentence, "pending": False,
                "verdicts": [self._as_json(fault) for fault in faults],
            }  # fmt: skip
            if head["event"] == "verdict":
                self._answer, self._of, self._pending, self._ended = answer, state, False, time.monotonic()
        self._tell({**head, **answer})

    def _as_json(self, fault: Fault) -> dict[str, Any]:
        listed = []
        for number, remedy in enumerate(fault.remedies):
            name = f"{fault.kind}-{number}"
            self._remedies[name] = remedy
            listed.append({"id": name, "label": remedy.label, "settings": remedy.settings, "rewinds": remedy.rewinds})
        return {"kind": fault.kind, "title": fault.title, "cause": fault.cause, "evidence": fault.evidence,
                "remedy": fault.remedy, "layers": list(fault.layers), "remedies": listed}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- diagnosis


def report(context: Context, state: State) -> Report:
    """``chainrule.diagnose`` on the first training rows, with the optimizer of the next step."""
    rows = min(_ROWS, context.count)
    task, l1, l2 = context.task, np.float64(context.l1), np.float64(context.l2)
    x, t = context.tables.x[:rows], context.tables.t[:rows]
    ones = np.ones(rows)

    def loss(network: Network, x: Array, t: Array) -> Array:
        return batch_loss(network, task, x, t, ones) + penalty(network, l1, l2)

    rate = np.float64(context.rates(state.step, 1)[0])
    if context.settings.compatible:
        optimizer, kept = named("sgd", float(rate)), None
    else:
        optimizer, kept = named(context.settings.optimizer, lambda count: rate), state.optimizer
        if context.settings.clip is not None:
            optimizer = _clipped(optimizer, context.settings.clip)
    width = int(np.sum(context.batches(state.epoch, state.batch, 1)[0][0] >= 0))
    return diagnose(state.network, loss, (x, t), optimizer=optimizer, optimizer_state=kept, batch_size=width,
                    backend="numpy")  # fmt: skip


def _clipped(optimizer: Optimizer, limit: float) -> Optimizer:
    from chainrule.optim.transforms import clip_by_global_norm

    clip = clip_by_global_norm(limit)

    def update(gradient: Any, state: Any, network: Any) -> Any:
        return optimizer.update(clip.update(gradient, (), network)[0], state, network)

    return Optimizer(optimizer.init, update)


@np.errstate(all="ignore")
def examined(
    context: Context, state: State, losses: Losses, curve: list[tuple[int, float, float]]
) -> tuple[Fault, ...]:
    """All faults, the most important first."""
    found = report(context, state)
    s = context.settings
    faults = []
    if s.compatible and s.batch_size > context.count:
        faults.append(_fault(
            "never_updates", "The network never updates", f"a batch of {s.batch_size} is larger than the data",
            f"{context.count} training examples; the reference's rule waits for a whole batch", "use smaller batches",
            (), (Remedy(f"Batches of {min(10, context.count)}", {"batch_size": min(10, context.count)}),
                 Remedy("Default mode: the last batch may be smaller", {"mode": "default"})),
        ))  # fmt: skip
    still = _stands_still(curve)
    for verdict in found.verdicts:
        # Noisy gradients and long steps are no fault while the loss falls, or once all is learnt.
        if verdict.kind in ("batch_small", "rate_low", "loss_pair") and (not still or _learnt(context, losses)):
            continue
        if verdict.kind == "label_range" and context.task.classes:
            continue  # tanh reaches ±1 only at infinity: the reference's choice
        faults.append(_of_verdict(verdict, found, context))
    if not faults and still and not _learnt(context, losses):
        faults.append(_at_rest(context, losses, curve))
    if not faults and _overfits(context, losses):
        faults.append(_fault(
            "overfit", "It learns the training points, not the rule", "the network fits noise of the training points",
            f"training loss {losses.train:.3g}, test loss {losses.test:.3g}", "use more data, or regularise", (),
            tuple(r for r in (
                Remedy("L2 regularisation, 0.003", {"regularization": "l2", "regularization_rate": 0.003}),
                Remedy("Train on more of the points", {"train_percent": min(90.0, s.train_percent + 30)}),
            ) if _changes(context.settings, r)),
        ))  # fmt: skip
    return tuple(faults)


def _stands_still(curve: list[tuple[int, float, float]]) -> bool:
    """Whether the loss has not fallen by 2 % over the last half of what is known."""
    values = [train for _, train, _ in curve if np.isfinite(train)]
    if len(values) < 12:
        return False
    half = len(values) // 2
    return not float(np.mean(values[-half // 2 :])) < 0.98 * float(np.mean(values[half // 2 : half]))


def _learnt(context: Context, losses: Losses) -> bool:
    if context.task.classes:
        return (losses.accuracy or 0) >= 0.98
    spread = float(np.var(context.tables.t[: context.count])) or 1.0
    return losses.train < 0.02 * spread


def _overfits(context: Context, losses: Losses) -> bool:
    if context.data.count - context.count < 20 or not np.isfinite(losses.test):
        return False
    if context.task.classes:
        return losses.accuracy is not None and losses.accuracy_test is not None and (
            losses.accuracy - losses.accuracy_test > 0.08 and losses.test > 2 * losses.train
        )  # fmt: skip
    return losses.test > 3 * losses.train + 1e-3


def _fault(
    kind: str, title: str, cause: str, evidence: str, remedy: str, layers: tuple[str, ...], remedies: tuple[Remedy, ...]
) -> Fault:
    return Fault(kind, title, cause, evidence, remedy, layers, remedies)


def _at_rest(context: Context, losses: Losses, curve: list[tuple[int, float, float]]) -> Fault:
    """A loss that falls no more, and nothing wrong in the gradients."""
    s = context.settings
    right = "" if losses.accuracy is None else f", {losses.accuracy:.0%} of the training points right"
    evidence = f"the loss has stood at {losses.train:.3g} since step {curve[len(curve) // 2][0]:,}{right}"
    bent = any(a != "identity" for a in s.hidden_activations)
    plain = set(s.features) <= {"x1", "x2"} and not context.data.images
    if plain and not bent and s.dataset in (*_CURVED, "own"):
        return _fault(
            "straight", "A network without a bend", "without a curved activation all layers together are one straight line",
            evidence, "give it a hidden layer with tanh or relu, or a curved feature", (),
            tuple(r for r in (
                Remedy("Two layers of tanh", {"hidden": list(s.hidden) or [4, 2], "activation": "tanh", "activations": []}),
                Remedy("Features x1² and x2²", {"features": ["x1", "x2", "x1^2", "x2^2"]}),
            ) if _changes(s, r)),
        )  # fmt: skip
    units = [min(int(LIMITS["units"]), max(8, 2 * n)) for n in s.hidden] or [8]
    options = [
        Remedy(f"Layers of {', '.join(map(str, units))} neurons", {"hidden": units}),
        Remedy("Other initial weights", {"seed": f"{s.seed[:30]}'", "data_seed": s.seed if s.data_seed is None else s.data_seed}),
        Remedy(f"Learning rate {3 * s.learning_rate:.2g}", {"learning_rate": 3 * s.learning_rate}),
    ]  # fmt: skip
    return _fault("at_rest", "It has stopped learning", "the loss falls no more, though gradients reach every layer", evidence,
                  "give it more neurons or features, start from other weights, or take longer steps", (),
                  tuple(r for r in options if _changes(s, r))[:2])  # fmt: skip


def _sentence(
    faults: tuple[Fault, ...], context: Context, state: State, losses: Losses, curve: list[tuple[int, float, float]]
) -> str:
    if faults:
        first = faults[0]
        return f"{first.title}: {first.cause}."
    if not state.step:
        return "A sound start: gradients of a like size reach every layer."
    if context.task.classes and losses.accuracy is not None and _learnt(context, losses):
        test = losses.accuracy_test
        share = f"{losses.accuracy:.0%} of the training points" + (f" and {test:.0%} of the test points" if test is not None else "")
        return f"It has learnt: {share} right."
    if _learnt(context, losses):
        return f"It has learnt: the loss is {losses.train:.2g}."
    first = curve[0][1] if curve else losses.train
    return f"It learns: the loss has come from {first:.3g} to {losses.train:.3g}."


# ----------------------------------------------------------------------------------------------------------- remedies


def _of_verdict(verdict: Verdict, found: Report, context: Context) -> Fault:
    title = KINDS.get(verdict.kind, verdict.kind.replace("_", " "))
    remedies = tuple(r for r in _remedies(verdict, context) if _changes(context.settings, r))
    return Fault(verdict.kind, title[:1].upper() + title[1:], _named(verdict.cause, context), _named(verdict.evidence, context),
                 verdict.remedy, tuple(_named(name, context) for name in verdict.layers), remedies)  # fmt: skip


def _named(text: str, context: Context) -> str:
    """``layers[0]`` as the page calls it."""
    last = len(context.sizes) - 2
    for number in range(last, -1, -1):
        text = text.replace(f"layers[{number}]", "the output" if number == last else f"layer {number + 1}")
    return text


def _rate(value: float) -> float:
    """A rate that a person would choose: 1 or 3 times a power of ten."""
    if not value > 0 or not np.isfinite(value):
        return 1e-4
    power = 10.0 ** np.floor(np.log10(value))
    steps = [power, 3 * power, 10 * power]
    return float(f"{min(steps, key=lambda v: abs(np.log(v / value))):.3g}")


def _remedies(verdict: Verdict, context: Context) -> list[Remedy]:
    s, factor = context.settings, verdict.factor
    redraw = Remedy("Draw weights that suit the activation", {"mode": "default", "initialiser": "auto", "bias": None})
    scaled = Remedy("Normalise the inputs", {"mode": "default", "normalise": True})
    relu = Remedy("relu with weights that suit it",
                  {"mode": "default", "activation": "relu", "activations": [], "initialiser": "auto", "bias": None})  # fmt: skip
    slower = Remedy(f"Learning rate {_rate(s.learning_rate / 10):g}", {"learning_rate": _rate(s.learning_rate / 10)})
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
        "weight_decay": [Remedy("No regularisation", {"regularization": "none"}),
                         Remedy("A tenth of it", {"regularization_rate": s.regularization_rate / 10})],
        "rate_low": [Remedy(f"Learning rate {_rate(s.learning_rate * factor / 3):g}",
                            {"learning_rate": _rate(s.learning_rate * factor / 3)})],
        "batch_small": [Remedy(f"Batches of {min(context.count, 8 * s.batch_size)}",
                               {"batch_size": max(1, min(context.count, 8 * s.batch_size))}), slower],
        "nonfinite": [Remedy("Begin again, a tenth of the learning rate", {"learning_rate": _rate(s.learning_rate / 10)}, True)],
    }  # fmt: skip
    if verdict.kind == "rate_high":
        better = _rate(s.learning_rate * min(0.3, max(factor / 2, 1e-6)) if np.isfinite(factor) else s.learning_rate / 10)
        return [Remedy(f"Learning rate {better:g}", {"learning_rate": better}),
                Remedy(f"Begin again with {better:g}", {"learning_rate": better}, True)]  # fmt: skip
    return by_kind.get(verdict.kind, [])


def _changes(settings: Settings, remedy: Remedy) -> bool:
    """Whether a remedy may be chosen, and changes anything (where the mode changes too, more than that)."""
    try:
        after = settings.changed(remedy.settings)
    except ChainruleError:
        return False
    return remedy.rewinds or any(
        getattr(after, name) != getattr(settings, name) for name in remedy.settings if name != "mode"
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------- not finite


def not_finite_fault(broken: Broken) -> tuple[Fault, dict[str, Any]]:
    """What left the finite numbers first in the step that broke, why, and what helps."""
    context, state = broken.context, broken.state
    row = context.batches(state.epoch, state.batch, 1)[0][0]
    at = row[row >= 0]
    x, t, ones = context.tables.x[at], context.tables.t[at], np.ones(len(at))
    task, l1, l2 = context.task, np.float64(context.l1), np.float64(context.l2)

    def loss(network: Network) -> Array:
        return batch_loss(network, task, x, t, ones) + penalty(network, l1, l2)

    with np.errstate(all="ignore"):
        found = find_nonfinite(loss, state.network, wrt=0)
        size = max(float(np.abs(layer.weight).max()) for layer in state.network.layers)
        gradient = gradient_of(state.network, task, x, t, ones, l1, l2)
    rate = float(context.rates(state.step, 1)[0])
    grown = f"the largest weight is {size:.3g}, the learning rate {rate:g}"
    if found is not None:
        where = f"{found.op} in the {'backward' if found.phase == 'backward' else 'forward'} pass"
        fault = Fault(
            "nonfinite", f"Step {broken.step:,} is not finite", f"{where} left the finite numbers first: {found.cause}",
            f"{_evidence(found)}; {grown}", "begin again with a smaller learning rate", (), _calmer(context),
        )  # fmt: skip
        return fault, {"operation": found.op, "phase": found.phase}
    steepest = max(float(np.abs(layer.weight).max()) for layer in gradient.layers)
    fault = Fault(
        "nonfinite", f"Step {broken.step:,} is not finite",
        "the update left the finite numbers: the gradient is still finite, the step is too long",
        f"the steepest gradient is {steepest:.3g}; {grown}", "begin again with a smaller learning rate", (),
        _calmer(context),
    )  # fmt: skip
    return fault, {"operation": "update", "phase": "update"}


def _evidence(found: NonFinite) -> str:
    inputs = "; ".join(f"{name} = {value:.4g}" if np.ndim(value) == 0 else str(name) for name, value in found.first.inputs)
    return f"{found.first.op} gave {found.first.value}" + (f" from {inputs}" if inputs else "")


def _unknown(broken: Broken, why: str) -> Fault:
    return Fault("nonfinite", f"Step {broken.step:,} is not finite", "a step left the finite numbers", f"({why})",
                 "begin again with a smaller learning rate", (), _calmer(broken.context))  # fmt: skip


def _calmer(context: Context) -> tuple[Remedy, ...]:
    s = context.settings
    rate = _rate(s.learning_rate / 10)
    options = (
        Remedy(f"Begin again with learning rate {rate:g}", {"learning_rate": rate}, True),
        Remedy("Begin again, gradient clipped at 1", {"mode": "default", "clip": 1.0}, True),
        Remedy("Normalise the inputs and begin again", {"mode": "default", "normalise": True}, True),
    )
    return tuple(r for r in options if _changes(s, r))

