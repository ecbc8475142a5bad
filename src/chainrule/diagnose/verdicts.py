"""Rules: from numbers to sentences.  Each finds one fault and says cause, evidence and remedy.

Every rule compares: layers with layers, updates with weights, units with units, the step with the curvature along it.
Gradients themselves are never held against a fixed size, which is a matter of the loss's unit: a deep sigmoid network
with a first-layer gradient of 3e-3 is ill if its last layer has 0.3 (Nielsen, "Neural networks and deep
learning", 2015, chapter 5).  A fault that follows from another one is left out.

Does not do: faults of generalisation (over-fitting, leaking test rows), which one batch can't show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from chainrule.diagnose.findings import Findings, LayerRow, Verdict

# Per layer: a gradient that falls, or grows, by this factor on its way back.  Variance-preserving initialisation keeps
# it near 1; tanh and narrow layers stay within 0.8 … 1.25 on average.
_FALLS, _GROWS, _SLOWLY = 0.5, 2.0, 0.8
_FAR, _VERY_FAR = 10.0, 100.0  # over all layers
_FAR_SHALLOW = 20.0  # over two: narrow layers fall this far by chance
_ALL_DEAD = 0.9
_SHARE = 0.5  # of values saturated
_DEAD = 0.6  # of units off for every row: deep healthy networks have up to half in a narrow layer
_LARGE_UPDATE = 0.1  # of a weight
_FAR_TOO_LONG = 0.1  # of the step lies the lowest loss: whatever its size, it raises the loss
_TOO_SHORT = 100.0  # times the step would still lower the loss
_SMALL_UPDATE = 1e-4  # of a weight; 1e-3 a step is usual
_NOISE = 10.0  # times the batch
_DECAY = 0.7  # cosine of update and -weight


def judge(findings: Findings) -> tuple[Verdict, ...]:
    """All verdicts, the most important first; what follows from an earlier fault is left out."""
    if not findings.measurement.finite:
        return tuple(v for v in (_nonfinite(findings), *_data_faults(findings)) if v is not None)
    found = [v for rule in _RULES for v in rule(findings)]
    causes = {v.kind: v for v in found}
    return tuple(v for v in found if not _follows(v, causes, findings))


def _follows(verdict: Verdict, causes: dict[str, Verdict], findings: Findings) -> bool:
    """Whether a verdict is only a consequence of another that was found."""
    why = _CONSEQUENCES.get(verdict.kind, ())
    for kind in why:
        cause = causes.get(kind)
        if cause is None:
            continue
        if kind == "unscaled_inputs" and verdict.kind in ("saturated", "dead_relu"):
            return set(verdict.layers) <= {row.name for row in findings.rows if row.level == 0}
        if kind in ("saturated", "dead_relu") and verdict.kind in ("vanishing", "exploding"):
            return not verdict.over_time
        return True
    return False


_CONSEQUENCES: dict[str, tuple[str, ...]] = {
    "saturated": ("unscaled_inputs",),
    "dead_relu": ("unscaled_inputs", "symmetric"),
    "vanishing": ("symmetric", "saturated", "dead_relu"),
    "exploding": ("saturated",),
    "rate_high": ("unscaled_inputs", "exploding", "label_shape", "label_range", "saturated", "weight_decay"),
    "rate_low": ("symmetric", "vanishing", "saturated", "dead_relu", "loss_pair", "weight_decay", "unscaled_inputs"),
    "weight_decay": ("vanishing", "dead_relu", "saturated", "symmetric"),
    "batch_small": ("label_shape", "label_range", "symmetric", "dead_relu", "saturated", "vanishing", "loss_pair",
                    "unscaled_inputs", "exploding", "weight_decay"),
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ the batch


def _nonfinite(findings: Findings) -> Verdict | None:
    return Verdict(
        "nonfinite", (), "the loss or a gradient is not finite",
        findings.nonfinite or f"loss {findings.measurement.loss:g}, gradient norm {findings.measurement.gradient:g}",
        "cure the line where the first value that is not finite is made (cr.find_nonfinite shows it)",
    )  # fmt: skip


def _data_faults(findings: Findings) -> Iterable[Verdict]:
    if findings.label_shape:
        yield Verdict(
            "label_shape", tuple(row.name for row in findings.rows if row.output),
            "predictions and targets have different shapes, so every prediction is compared with every target",
            findings.label_shape, "give both the same shape, e.g. prediction[:, 0] or y[:, None]",
        )  # fmt: skip
    if findings.label_range:
        evidence, remedy = findings.label_range
        yield Verdict("label_range", tuple(row.name for row in findings.rows if row.output),
                      "labels the network can't answer with", evidence, remedy)  # fmt: skip
    facts = findings.inputs
    if facts is not None and facts.problem:
        first = tuple(row.name for row in findings.rows if row.level == 0)
        yield Verdict(
            "unscaled_inputs", first, "the inputs are not scaled", f"{facts.problem}; initial weights expect about 1",
            "subtract each column's mean and divide by its standard deviation, both of the training rows",
        )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- the weights


def _symmetric(findings: Findings) -> Iterable[Verdict]:
    rows = [row for row in findings.rows if row.symmetric and not row.output]
    if not rows:
        return
    names = tuple(row.name for row in rows)
    zero = all(row.weight == 0 for row in rows)
    start = "start at zero" if zero else "start equal"
    yield Verdict(
        "symmetric", names, f"all units of {_list(names)} {start}, get the same gradient, and stay one unit",
        f"columns of the weights differ by {max(row.difference for row in rows):.1g} of their size, "
        f"those of the gradient by {max(row.gradient_difference for row in rows):.1g}",
        "draw the weights at random (nn.init.he_normal for relu, glorot_uniform for tanh); zeros are for biases",
    )  # fmt: skip


def _dead(findings: Findings) -> Iterable[Verdict]:
    rows: list[LayerRow] = []
    for row in findings.rows:
        # A layer behind one that is off gets the same input for every row: it is off, or on, for all of them.
        behind = any(one.level < row.level and one.dead >= _ALL_DEAD for one in rows)
        if row.rectifies and row.dead >= _DEAD and not behind:
            rows.append(row)
    if not rows:
        return
    names = tuple(row.name for row in rows)
    worst = max(rows, key=lambda row: row.dead)
    yield Verdict(
        "dead_relu", names, f"most units of {_list(names)} are off for every row: their weights get no gradient",
        f"{worst.dead:.0%} of the units of {worst.name} are off for all {findings.measurement.rows} rows",
        "start biases at 0 and weights by nn.init.he_normal, lower the learning rate, or use leaky_relu",
    )  # fmt: skip


def _saturated(findings: Findings) -> Iterable[Verdict]:
    rows = [row for row in findings.rows if row.saturates and not row.output and row.saturated >= _SHARE]
    if not rows:
        return
    names = tuple(row.name for row in rows)
    worst = max(rows, key=lambda row: row.saturated)
    yield Verdict(
        "saturated", names, f"{worst.activation} is saturated in {_list(names)}: its slope is almost 0 there",
        f"{worst.saturated:.0%} of the values of {worst.name} have less than a twentieth of the largest slope; "
        f"pre-activations have a root mean square of {worst.rms:.3g}",
        "start with smaller weights (nn.init.glorot_uniform), scale the inputs, or normalise the pre-activations",
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------- trend over depth


def _trend(findings: Findings) -> Iterable[Verdict]:
    levels = findings.levels
    if len(levels) < 3 or not all(level.delta > 0 for level in levels[1:]):
        return
    first, last = levels[0], levels[-1]
    ratio = first.delta / last.delta if last.delta else 1.0
    factor = ratio ** (1 / (len(levels) - 1)) if ratio > 0 else 0.0
    evidence = (
        f"‖∂L/∂z‖ goes from {last.delta:.2g} in {last.name} to {first.delta:.2g} in {first.name}: "
        f"× {factor:.2g} per layer, × {ratio:.1g} over {len(levels) - 1}" + _gains(findings)
    )
    names = (first.name, last.name)
    far = _FAR if len(levels) > 3 else _FAR_SHALLOW
    if len(levels) <= 3 and _even_updates(findings, first.name, last.name):
        return
    if (factor < _FALLS and ratio < 1 / far) or (factor < _SLOWLY and ratio < 1 / _VERY_FAR):
        cause, remedy = _why_it_falls(findings)
        yield Verdict(
            "vanishing", names, f"the gradient vanishes from {last.name} back to {first.name}: {cause}",
            evidence + _update_spread(findings), remedy, factor=factor,
        )  # fmt: skip
    elif factor > _GROWS and ratio > _FAR:
        yield Verdict(
            "exploding", names, f"the gradient explodes from {last.name} back to {first.name}: "
            "the weights of each layer enlarge it",
            evidence, "start with smaller weights (nn.init.he_normal for relu, glorot_uniform for tanh), "
            "normalise, or clip the gradient (optim.clip_by_global_norm)", factor=factor,
        )  # fmt: skip


def _even_updates(findings: Findings, first: str, last: str) -> bool:
    """Whether a step is known to move two layers by similar shares of their weights."""
    moved = {row.name: row.update for row in findings.rows}
    return bool(0 < moved[first] < np.inf and 0 < moved[last] < _FAR * moved[first])


def _gains(findings: Findings) -> str:
    known = [row for row in findings.rows if row.gain is not None]
    if not known:
        return ""
    row = min(known, key=lambda row: row.gain.actual if row.gain else np.inf)
    assert row.gain is not None
    return (
        f"; the pass back through {row.name} multiplies it by {row.gain.actual:.2g} "
        f"(singular values {row.gain.smallest:.1g} … {row.gain.largest:.2g})"
    )


def _why_it_falls(findings: Findings) -> tuple[str, str]:
    """Cause and remedy: the slopes of the activations, or the weights."""
    hidden = [row for row in findings.rows if not row.output and row.slope > 0]
    slopes = float(np.exp(np.mean([np.log(row.slope) for row in hidden]))) if hidden else 1.0
    total = findings.levels[0].delta / findings.levels[-1].delta
    factor = total ** (1 / (len(findings.levels) - 1)) if total > 0 else 0.0
    weights = factor / slopes if slopes else 0.0
    if slopes < weights and hidden:
        row = min(hidden, key=lambda row: row.slope)
        limit = f", and is never more than {row.steepest:g}" if row.steepest < 1 else ""
        return (
            f"the slope of {row.activation} multiplies it by {slopes:.2g} in each layer{limit}",
            "use relu with nn.init.he_normal, add skip connections, or normalise between the layers",
        )
    return (
        f"the weights of each layer multiply it by {weights:.2g}",
        "start with larger weights (nn.init.he_normal for relu, glorot_uniform for tanh)",
    )


def _update_spread(findings: Findings) -> str:
    ratios = [(row.update, row.name) for row in findings.rows if 0 < row.update < np.inf]
    if len(ratios) < 2:
        return ""
    (low, slow), (high, fast) = min(ratios), max(ratios)
    return f"; a step moves {slow} by {low:.1g} of its size, {fast} by {high:.1g}"


def _time(findings: Findings) -> Iterable[Verdict]:
    for row in findings.rows:
        steps = row.reach
        if len(steps) < 3 or not steps[-1] > 0:
            continue
        ratio = steps[0] / steps[-1]
        factor = ratio ** (1 / (len(steps) - 1)) if ratio > 0 else 0.0
        evidence = (
            f"of a gradient at time step {len(steps)}, × {ratio:.1g} reaches step 1 ({len(steps) - 1} steps back, "
            f"× {factor:.2g} each)"
        )
        if factor < _SLOWLY and ratio < 1 / _VERY_FAR:
            remedy = "use gates (LSTM, GRU), start the recurrent weights orthogonal, or shorten the sequences"
            yield Verdict("vanishing", (row.name,), f"the gradient of {row.name} vanishes over time", evidence, remedy,
                          factor=factor, over_time=True)  # fmt: skip
        elif factor > 1 / _SLOWLY and ratio > _VERY_FAR:
            remedy = "clip the gradient (optim.clip_by_global_norm), or start the recurrent weights orthogonal"
            yield Verdict("exploding", (row.name,), f"the gradient of {row.name} explodes over time", evidence, remedy,
                          factor=factor, over_time=True)  # fmt: skip


# -------------------------------------------------------------------------------------------------------- loss and step


def _loss_pair(findings: Findings) -> Iterable[Verdict]:
    pair = findings.pair
    if pair is None:
        return
    outputs = tuple(row.name for row in findings.rows if row.output)
    if pair.kind == "squared":
        yield Verdict(
            "loss_pair", outputs, "a squared error on probabilities: where the network is most wrong it learns least",
            findings.pair_evidence, "use nn.binary_cross_entropy_with_logits (or nn.cross_entropy) on the raw outputs",
        )  # fmt: skip
    elif pair.kind == "twice":
        yield Verdict(
            "loss_pair", outputs, "the outputs are squashed twice: probabilities go into a loss that wants raw outputs",
            findings.pair_evidence, "leave out the softmax or sigmoid of the network: the loss has its own",
        )  # fmt: skip
    else:
        yield Verdict(
            "loss_pair", outputs, "a softmax without a shift: exp overflows as soon as an output is large",
            findings.pair_evidence, "use nn.softmax or nn.cross_entropy, which subtract the maximum first",
        )  # fmt: skip


def _decay(findings: Findings) -> Iterable[Verdict]:
    rows = [row for row in findings.rows if row.decay >= _DECAY]
    if not rows or len(rows) < max(1, (len(findings.rows) + 1) // 2):
        return
    names = tuple(row.name for row in rows)
    worst = max(rows, key=lambda row: row.decay)
    yield Verdict(
        "weight_decay", names, "weight decay outweighs the gradient: the weights die",
        f"the update of {worst.name} points to zero (cosine {worst.decay:.2f}) and is {worst.update:.1g} of the weight",
        "lower the weight decay by ten and more; 0.01 with adamw is usual",
    )  # fmt: skip


def _rate(findings: Findings) -> Iterable[Verdict]:
    step = findings.step_size
    if step is None or not findings.measurement.predicted < 0:
        return
    moved = tuple(row.name for row in findings.rows if row.update > 0)
    large = step.best < _FALLS and step.update > _LARGE_UPDATE
    if step.rises and (large or step.best < _FAR_TOO_LONG):
        yield Verdict(
            "rate_high", moved, "the learning rate is too high: a step raises the loss it should lower",
            f"the loss goes from {findings.measurement.loss:.4g} to {findings.measurement.after:.4g} in one step; "
            f"along it the lowest point is at {step.best:.2g} of it; it is up to {step.update:.2g} of a weight",
            f"divide the learning rate by {max(2.0, 1 / step.best if step.best > 0 else 10.0):.1g}", factor=step.best,
        )  # fmt: skip
    elif step.tried >= _TOO_SHORT and step.update < _SMALL_UPDATE:
        yield Verdict(
            "rate_low", moved, "the learning rate is too low: a far longer step would still lower the loss",
            f"a step {step.tried:,.0f} times as long still lowers the loss; it moves no layer by more than "
            f"{step.update:.1g} of its size",
            f"multiply the learning rate by {step.tried / 3:,.0f}", factor=step.tried,
        )  # fmt: skip


def _batch(findings: Findings) -> Iterable[Verdict]:
    noise, size, rows = findings.noise, findings.batch_size, findings.sampled
    # From few rows more than the batch itself the scale can't be told.
    if size is None or np.isnan(noise) or noise <= _NOISE * size or rows < 4 * size:
        return
    known = f"about {noise:,.0f}" if np.isfinite(noise) else f"above {rows:,}"
    times = noise / size if np.isfinite(noise) else rows / size
    yield Verdict(
        "batch_small", (), "the batches are too small: their gradients are mostly noise",
        f"the gradient noise scale is {known} rows, the batch has {size}: the variance of its gradient is "
        f"{times:,.0f} times the squared mean",
        "use a larger batch, or a lower learning rate that averages over more of them", factor=times,
    )  # fmt: skip


_RULES: tuple[Callable[[Findings], Iterable[Verdict]], ...] = (
    _data_faults, _symmetric, _dead, _saturated, _trend, _time, _loss_pair, _decay, _rate, _batch,
)  # fmt: skip


def _list(names: tuple[str, ...]) -> str:
    if len(names) <= 3:
        return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
    return f"{names[0]} … {names[-1]} ({len(names)} layers)"


KINDS: dict[str, str] = {
    "nonfinite": "values that are not finite",
    "label_shape": "labels of another shape", "label_range": "labels out of range",
    "unscaled_inputs": "unscaled inputs", "symmetric": "symmetric or zero initialisation",
    "dead_relu": "dying ReLU", "saturated": "saturation", "vanishing": "vanishing gradient",
    "exploding": "exploding gradient", "loss_pair": "wrong loss for the output",
    "weight_decay": "weight decay that kills", "rate_high": "learning rate too high",
    "rate_low": "learning rate too low", "batch_small": "batch too small",
}  # fmt: skip
"""Every kind of verdict, in words."""
