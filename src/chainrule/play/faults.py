"""The faults of a running network: ``chainrule.diagnose`` on a batch, and what else a playground can tell.

Beside the faults that ``diagnose`` knows, those of a playground are found from the loss curve and the settings: a
network without a bend before data that need one, a loss that has come to rest too high, and more learnt from the
training points than is true of the test points.  When a step is not finite, ``cr.find_nonfinite`` names the operation
that left the finite numbers first.

Does not do: trying a remedy before it is offered (``Report.fix`` does that for a training of one's own).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from chainrule.api import grad
from chainrule.diagnose import KINDS, Report, Verdict, diagnose
from chainrule.explain.nonfinite import NonFinite, find_nonfinite
from chainrule.optim.base import Optimizer
from chainrule.optim.named import named
from chainrule.optim.transforms import clip_by_global_norm
from chainrule.play.context import Context
from chainrule.play.course import Broken, Losses
from chainrule.play.network import Network, batch_loss, penalty
from chainrule.play.remedies import Remedy, calmer, helpful, remedies_of
from chainrule.play.settings import LIMITS
from chainrule.play.trainer import State

Array = Any
Curve = list[tuple[int, float, float]]

_ROWS = 256  # of the training data, looked at
_FAINT = 0.05  # weights no larger than this hardly answer to the inputs
_SELF_NAMED = ("unscaled_inputs", "rate_high", "rate_low", "batch_small")  # whose cause says the title again
_CURVED = ("spiral", "circle", "xor", "moons", "pinwheel", "multi-gauss", "waves")


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
    clip = clip_by_global_norm(limit)

    def update(gradient: Any, state: Any, network: Any) -> Any:
        return optimizer.update(clip.update(gradient, (), network)[0], state, network)

    return Optimizer(optimizer.init, update)


@np.errstate(all="ignore")
def examined(
    context: Context, state: State, losses: Losses, curve: Curve
) -> tuple[Fault, ...]:
    """All faults, the most important first."""
    found = report(context, state)
    s = context.settings
    faults = []
    if s.compatible and s.batch_size > context.count:
        faults.append(Fault(
            "never_updates", "The network never updates", f"a batch of {s.batch_size} is larger than the data",
            f"{context.count} training examples; the reference's rule waits for a whole batch", "use smaller batches",
            (), (Remedy(f"Batches of {min(10, context.count)}", {"batch_size": min(10, context.count)}),
                 Remedy("Default mode: the last batch may be smaller", {"mode": "default"})),
        ))  # fmt: skip
    learnt = _learnt(context, losses)
    stuck = _stands_still(curve) and not learnt
    if stuck and _straight(context):
        faults.append(_without_a_bend(context, losses, curve))
    if stuck and _held_down(context, state, losses):
        faults.append(_too_firm(context, state, losses, curve))
    for verdict in found.verdicts:
        # Noisy gradients and short steps are no fault while the loss falls, or once all is learnt.
        if verdict.kind in ("batch_small", "rate_low", "loss_pair") and (not stuck or faults):
            continue
        if verdict.kind == "unscaled_inputs" and learnt:
            continue  # it made no difference
        if verdict.kind == "label_range" and context.task.classes:
            continue  # tanh reaches ±1 only at infinity: the reference's choice
        faults.append(_of_verdict(verdict, found, context))
    if not faults and stuck:
        faults.append(_at_rest(context, losses, curve))
    if not faults and _overfits(context, losses):
        faults.append(Fault(
            "overfit", "It learns the training points, not the rule", "the network fits noise of the training points",
            f"training loss {losses.train:.3g}, test loss {losses.test:.3g}", "use more data, or regularise", (),
            helpful(s, [
                Remedy("L2 regularisation, 0.003", {"regularization": "l2", "regularization_rate": 0.003}),
                Remedy("Train on more of the points", {"train_percent": min(90.0, s.train_percent + 30)}),
            ]),
        ))  # fmt: skip
    return tuple(faults)


def _stands_still(curve: Curve) -> bool:
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


def _straight(context: Context) -> bool:
    """Whether all layers together are one straight line, before data that need a bend."""
    s = context.settings
    bent = any(a != "identity" for a in s.hidden_activations)
    plain = set(s.features) <= {"x1", "x2"} and not context.data.images
    return plain and not bent and s.dataset in (*_CURVED, "own")


def _resting(context: Context, losses: Losses, curve: Curve) -> str:
    right = "" if losses.accuracy is None else f", {losses.accuracy:.0%} of the training points right"
    return f"the loss has stood at {losses.train:.3g} since step {curve[len(curve) // 2][0]:,}{right}"


def _without_a_bend(context: Context, losses: Losses, curve: Curve) -> Fault:
    bent = {"hidden": list(context.settings.hidden) or [4, 2], "activation": "tanh", "activations": []}
    return Fault(
        "straight", "A network without a bend",
        "without a curved activation all layers together are one straight line", _resting(context, losses, curve),
        "give it a hidden layer with tanh or relu, or a curved feature", (),
        helpful(context.settings, [
            Remedy("Layers of tanh", bent), Remedy("Features x1² and x2²", {"features": ["x1", "x2", "x1^2", "x2^2"]}),
        ]),
    )  # fmt: skip


def _held_down(context: Context, state: State, losses: Losses) -> bool:
    """Whether what pulls the weights towards 0, rather than the data, decides where they are."""
    s = context.settings
    if s.regularization == "none" or not s.regularization_rate or s.initialiser == "zeros":
        return False
    return _largest(state) < _FAINT or losses.penalty > losses.train


def _largest(state: State) -> float:
    return max(float(np.abs(layer.weight).max(initial=0.0)) for layer in state.network.layers)


def _too_firm(context: Context, state: State, losses: Losses, curve: Curve) -> Fault:
    s = context.settings
    tenth = s.regularization_rate / 10
    return Fault(
        "held_down", "Held down by regularisation",
        f"{s.regularization.upper()} with a rate of {s.regularization_rate:g} pulls the weights towards 0 "
        "more strongly than the data pull them away",
        f"no weight is larger than {_largest(state):.2g}, and {_resting(context, losses, curve)}",
        "lower the rate of the regularisation by ten and more, then let it grow again from there", (),
        # From weights that are 0 the gradient is 0: the way back begins at the initial ones.
        helpful(s, [Remedy("Begin again without regularisation", {"regularization": "none"}, True),
                    Remedy(f"Begin again with a rate of {tenth:g}", {"regularization_rate": tenth}, True)]),
    )  # fmt: skip


def _at_rest(context: Context, losses: Losses, curve: Curve) -> Fault:
    """A loss that falls no more, and nothing wrong in the gradients."""
    s = context.settings
    units = [min(int(LIMITS["units"]), max(8, 2 * n)) for n in s.hidden] or [8]
    data_seed = s.seed if s.data_seed is None else s.data_seed
    options = [
        Remedy(f"Layers of {', '.join(map(str, units))} neurons", {"hidden": units}),
        Remedy("Other initial weights", {"seed": f"{s.seed[:30]}'", "data_seed": data_seed}),
        Remedy(f"Learning rate {3 * s.learning_rate:.2g}", {"learning_rate": 3 * s.learning_rate}),
    ]  # fmt: skip
    return Fault(
        "at_rest", "It has stopped learning", "the loss falls no more, though gradients reach every layer",
        _resting(context, losses, curve),
        "give it more neurons or features, start from other weights, or take longer steps", (),
        helpful(s, options)[:2],
    )  # fmt: skip


def sentence_of(
    faults: tuple[Fault, ...], context: Context, state: State, losses: Losses, curve: Curve
) -> str:
    if faults:
        title, cause = faults[0].title, faults[0].cause
        return f"{cause[:1].upper()}{cause[1:]}." if faults[0].kind in _SELF_NAMED else f"{title}: {cause}."
    if not state.step:
        return "A sound start: gradients of a like size reach every layer."
    if context.task.classes and losses.accuracy is not None and _learnt(context, losses):
        test = losses.accuracy_test
        of_test = "" if test is None or not np.isfinite(test) else f" and {_share(test)} of the test points"
        return f"It has learnt: {_share(losses.accuracy)} of the training points{of_test} right."
    if _learnt(context, losses):
        return f"It has learnt: the loss is {losses.train:.2g}."
    began = curve[0][1] if curve else losses.train
    return f"It learns: the loss has come from {began:.3g} to {losses.train:.3g}."



def _share(part: float) -> str:
    """In whole percent, rounded down: 100% is said of all alone."""
    return f"{int(100 * part + 1e-9)}%"


def _of_verdict(verdict: Verdict, found: Report, context: Context) -> Fault:
    title = KINDS.get(verdict.kind, verdict.kind.replace("_", " "))
    remedies = remedies_of(verdict, context)
    layers = tuple(_named(name, context) for name in verdict.layers)
    cause, evidence = _named(verdict.cause, context), _named(verdict.evidence, context)
    return Fault(verdict.kind, title[:1].upper() + title[1:], cause, evidence, verdict.remedy, layers, remedies)


def _named(text: str, context: Context) -> str:
    """``layers[0]`` as the page calls it."""
    last = len(context.sizes) - 2
    for number in range(last, -1, -1):
        text = text.replace(f"layers[{number}]", "the output" if number == last else f"layer {number + 1}")
    return text



def not_finite_fault(broken: Broken) -> tuple[Fault, dict[str, Any]]:
    """What left the finite numbers first in the step that broke, why, and what helps."""
    context, state = broken.context, broken.state
    row = context.batches(state.epoch, state.batch, 1)[0][0]
    at = row[row >= 0]
    x, t, ones = context.tables.x[at], context.tables.t[at], np.ones(len(at))
    task, l1, l2 = context.task, np.float64(context.l1), np.float64(context.l2)
    decays = bool(l1 or l2) and not context.settings.compatible  # whose rule decays beside the loss, not in it

    def loss(network: Network) -> Array:
        fit = batch_loss(network, task, x, t, ones)
        return fit + penalty(network, l1, l2) if decays else fit

    with np.errstate(all="ignore"):
        found = find_nonfinite(loss, state.network, wrt=0)
        size = max(float(np.abs(layer.weight).max()) for layer in state.network.layers)
        gradient = grad(loss)(state.network)
    rate = float(context.rates(state.step, 1)[0])
    why = _why_it_left(size, rate)
    title, remedy = f"Step {broken.step:,} is not finite", "begin again with a smaller learning rate"
    if found is not None:
        where = f"{found.op} in the {'backward' if found.phase == 'backward' else 'forward'} pass"
        cause = f"{where} left the finite numbers first, {found.cause}; {why}"
        fault = Fault("nonfinite", title, cause, _evidence(found), remedy, (), calmer(context))
        return fault, {"operation": found.op, "phase": found.phase}
    steepest = max(float(np.abs(layer.weight).max()) for layer in gradient.layers)
    cause = f"the update left the finite numbers first, though the gradient was finite; {why}"
    evidence = f"the steepest gradient is {steepest:.3g}, the learning rate {rate:g}"
    return Fault("nonfinite", title, cause, evidence, remedy, (), calmer(context)), {
        "operation": "update", "phase": "update"
    }  # fmt: skip


def _why_it_left(size: float, rate: float) -> str:
    """What led there: weights that overshot further with each step, or numbers that were large from the start."""
    if size > 1e3:
        return f"the weights had grown to {size:.3g}: with a learning rate of {rate:g} each step overshoots further"
    return f"the weights are no larger than {size:.3g}: the data or features are too large"


def _evidence(found: NonFinite) -> str:
    inputs = " and ".join(f"{value:.4g}" for _, value in found.first.inputs if np.ndim(value) == 0)
    return f"{found.first.op} gave {found.first.value}" + (f" from {inputs}" if inputs else "")


def unknown_fault(broken: Broken, why: str) -> Fault:
    return Fault("nonfinite", f"Step {broken.step:,} is not finite", "a step left the finite numbers", f"({why})",
                 "begin again with a smaller learning rate", (), calmer(broken.context))  # fmt: skip


