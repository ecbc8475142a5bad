"""The chain rule for one weight or bias in formulas with their numbers filled in, and the update that follows.

    ∂E/∂w = δ·a           δ of an output from the loss, of a hidden neuron from the δs behind it: f′(z) Σ δ w
    ∂L/∂w = mean over the batch (+ penalty)          w ← w − α ∂L/∂w, or what the optimizer makes of it

Does not do: the moments of optimizers that keep some; their rule is shown, and the step that came out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule import nn
from chainrule.api import vjp
from chainrule.explain.formula import number as as_formula
from chainrule.explain.jsonform import formula
from chainrule.play.context import Context
from chainrule.play.inspect import number
from chainrule.play.network import Network, bias_of
from chainrule.play.trainer import Measured, State

Array = Any

_MOST_TERMS = 6  # of a sum written out
_DELTA = r"\delta"
_JOINT = ("softmax", "log_softmax")


def indexed(letter: str, *numbers: int | str) -> str:
    """A letter with numbers below as LaTeX, with commas where they would run together."""
    texts = [str(n) for n in numbers]
    return f"{letter}_{{{(',' if any(len(t) > 1 for t in texts) else '').join(texts)}}}"


class Place(NamedTuple):
    """A parameter: the bias of neuron ``to`` of ``layer``, or its weight from ``source``."""

    layer: int
    to: int
    source: int | None

    @property
    def latex(self) -> str:
        """Its symbol, counted from 1."""
        if self.source is None:
            return indexed("b", self.layer + 1, self.to + 1)
        return indexed("w", self.layer + 1, self.to + 1, self.source + 1)


def value_at(network: Network, at: Place) -> float:
    """The parameter's value (or that of a tree of the same form)."""
    layer = network.layers[at.layer]
    return float(bias_of(layer)[at.to] if at.source is None else layer.weight[at.source, at.to])


def factors(found: Measured, at: Place) -> tuple[Array, Array]:
    """Per example of the batch: ∂E/∂z of the neuron that the parameter belongs to, and what it is multiplied with."""
    slope = found.cotangents[at.layer][0][:, at.to]
    if at.source is None:
        return slope, np.ones(len(slope))
    return slope, (found.after[at.layer - 1] if at.layer else found.inputs)[:, at.source]


def _n(value: float) -> str:
    """A number in a product, in brackets where it is negative."""
    piece = as_formula(float(value), 5)
    return rf"\left({piece.latex}\right)" if piece.negative else piece.latex


def _result(value: float) -> str:
    return as_formula(float(value), 5).latex


def _line(label: str, latex: str) -> dict[str, Any]:
    return {"label": label, "formula": formula(latex)}


def _by(symbol: str, loss: str = "E") -> str:
    return rf"\frac{{\partial {loss}}}{{\partial {symbol}}}"


def lines(
    context: Context, state: State, found: Measured, index: int, count: int, at: Place
) -> list[dict[str, Any]]:
    """The chain rule for this parameter as formulas with their numbers, from the weight to the loss, then the mean."""
    slopes, values = factors(found, at)
    delta = indexed(_DELTA, at.layer + 1, at.to + 1)
    first = f"{_by(at.latex)} = {delta} = {_result(slopes[index])}"
    if at.source is not None:
        source = indexed("a", at.layer, at.source + 1) if at.layer else indexed("x", at.source + 1)
        product = rf"{_n(slopes[index])} \cdot {_n(values[index])}"
        first = rf"{_by(at.latex)} = {delta} \cdot {source} = {product} = {_result(slopes[index] * values[index])}"
    return [
        _line("this example", first), *_deltas(state.network, found, index, at.layer, at.to),
        _line("the batch", _of_batch(context, state, found, count, at)),
    ]  # fmt: skip


def _of_batch(context: Context, state: State, found: Measured, count: int, at: Place) -> str:
    slopes, values = factors(found, at)
    mean, gradient = float(np.sum(slopes[:count] * values[:count]) / count), value_at(found.gradient, at)
    total = rf"\frac{{1}}{{{count}}} \sum_{{i=1}}^{{{count}}} {_by(at.latex, 'E_i')}"
    if state.held is not None and state.held.count:
        return rf"{_by(at.latex, 'L')} = {_result(gradient)}"
    if state.held is None and at.source is not None and (context.l1 or context.l2):
        w, rate = value_at(state.network, at), context.settings.regularization_rate
        part = rf"\lambda \operatorname{{sign}} {at.latex}" if context.l1 else rf"\lambda {at.latex}"
        filled = rf"{_n(rate)} \cdot {_n(float(np.sign(w)) if context.l1 else w)}"
        return rf"{_by(at.latex, 'L')} = {total} + {part} = {_result(mean)} + {filled} = {_result(gradient)}"
    return rf"{_by(at.latex, 'L')} = {total} = {_result(gradient)}"


def _deltas(network: Network, found: Measured, index: int, layer: int, j: int) -> list[dict[str, Any]]:
    """δ of a neuron: of an output from the loss, of a hidden one from the δs behind it, on along the largest."""
    made = []
    last = len(network.layers) - 1
    while True:
        name, symbol = network.activations[layer], indexed(_DELTA, layer + 1, j + 1)
        d, da = (c[index] for c in found.cotangents[layer])
        z = indexed("z", layer + 1, j + 1)
        slope, of_slope = 0.0, f"f'({z})"
        if name in _JOINT:
            arriving = rf"\sum_k {_by('a_k')} \frac{{\partial a_k}}{{\partial {z}}}"
            made.append(_line("through softmax", f"{symbol} = {arriving} = {_result(d[j])}"))
        else:
            slope = float(vjp(nn.activation(name), found.before[layer][index])[1](np.ones(len(d)))[0][j])
        if layer == last:
            if name not in _JOINT:
                text = rf"{_by('y')} \cdot {of_slope} = {_n(da[j])} \cdot {_n(slope)} = {_result(d[j])}"
                made.append(_line("the output", f"{symbol} = {text}"))
            return made
        w, behind = network.layers[layer + 1].weight[j], found.cotangents[layer + 1][0][index]
        if name not in _JOINT:
            shown = " + ".join(rf"{_n(behind[k])} \cdot {_n(w[k])}" for k in range(min(len(w), _MOST_TERMS)))
            dots = r" + \cdots" if len(w) > _MOST_TERMS else ""
            term = rf"{indexed(_DELTA, layer + 2, 'k')} \, {indexed('w', layer + 2, 'k', j + 1)}"
            numbers = rf"{_n(slope)} \cdot \left({shown}{dots}\right)"
            text = rf"{symbol} = {of_slope} \sum_k {term} = {numbers} = {_result(d[j])}"
            made.append(_line(f"back through layer {layer + 2}", text))
        layer, j = layer + 1, int(np.argmax(np.abs(behind * w)))


_RULES = {
    "sgd": r"{s} \gets {s} - \alpha {g}",
    "momentum": r"m \gets \beta m + {g},\quad {s} \gets {s} - \alpha m",
    "nesterov": r"m \gets \beta m + {g},\quad {s} \gets {s} - \alpha ({g} + \beta m)",
    "adagrad": r"v \gets v + {g}^2,\quad {s} \gets {s} - \alpha {g} / (\sqrt{{v}} + \epsilon)",
    "rmsprop": r"v \gets \rho v + (1 - \rho) {g}^2,\quad {s} \gets {s} - \alpha {g} / (\sqrt{{v}} + \epsilon)",
    "adadelta": r"{s} \gets {s} - \alpha {g} \sqrt{{u + \epsilon}} / \sqrt{{v + \epsilon}}",
    "adam": r"{s} \gets {s} - \alpha \frac{{m / (1 - \beta_1^t)}}{{\sqrt{{v / (1 - \beta_2^t)}} + \epsilon}}",
    "adamw": r"{s} \gets {s} - \alpha \left( \frac{{m / (1 - \beta_1^t)}}{{\sqrt{{v / (1 - \beta_2^t)}} + \epsilon}}"
    r" + \lambda {s} \right)",
    "adamax": r"{s} \gets {s} - \alpha \frac{{m / (1 - \beta_1^t)}}{{v}}",
    "nadam": r"{s} \gets {s} - \alpha \frac{{c_1 {g} + c_2 m}}{{\sqrt{{v / (1 - \beta_2^t)}} + \epsilon}}",
    "amsgrad": r"{s} \gets {s} - \alpha \frac{{m / (1 - \beta_1^t)}}{{\sqrt{{v_1 / (1 - \beta_2^t)}} + \epsilon}}",
}


def update(context: Context, state: State, found: Measured, at: Place) -> dict[str, Any]:
    """What the next step makes of the parameter."""
    s, symbol = context.settings, at.latex
    old, change, gradient = value_at(state.network, at), value_at(found.update, at), value_at(found.gradient, at)
    rate = float(context.rates(state.step, 1)[0])
    decays = s.compatible and at.source is not None and bool(context.l1 or context.l2)
    applied = not s.compatible or bool(context.batches(state.epoch, state.batch, 1)[1][0])
    rule = _RULES[s.optimizer].format(s=symbol, g=_by(symbol, "L"))
    if decays:
        rule += r" - \alpha \lambda " + (r"\operatorname{sign} " if context.l1 else "") + symbol
    if not applied:
        filled = rf"{symbol} \gets {_result(old)}"
    elif s.optimizer == "sgd" and s.clip is None and not decays:
        filled = rf"{symbol} \gets {_result(old)} - {_n(rate)} \cdot {_n(gradient)} = {_result(old + change)}"
    else:
        filled = rf"{symbol} \gets {_result(old)} + {_n(change)} = {_result(old + change)}"
    return {
        "optimizer": s.optimizer, "rate": rate, "gradient": number(gradient), "change": number(change),
        "old": number(old), "new": number(old + change), "applied": applied, "clipped": s.clip is not None,
        "note": None if applied else "This batch is not full: its sum is carried over to the next epoch.",
        "formula": formula(rule), "filled": formula(filled),
    }  # fmt: skip
