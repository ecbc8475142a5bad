"""One training step as one function of arrays, so that one compiled program may hold all of it.

``step(model, state, x, y, key) -> (model, state, loss, gradient norms, weight sums)``: forward, backward, update and
the numbers that tell whether training is healthy.  Model and optimizer state are donated: the caller gives its arrays
up.  A layer is a tree of parameters one level above the arrays: ``layers[0].weight`` belongs to ``layers[0]``.

Does not do: accumulating gradients over several batches; loss scaling.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import random
from chainrule.api import jit, value_and_grad
from chainrule.base import trees
from chainrule.base.errors import OptionError, TrainingError
from chainrule.nn.layers import layers_of
from chainrule.optim import Optimizer, apply_updates
from chainrule.transforms.control import scan

Array = NDArray[Any]
Loss = Callable[..., Any]
Forward = Callable[[Any, Any], Any]
Metric = Callable[[Array, Array], Any]

# Rows per call when a model is evaluated: large enough that calls cost little, small enough for the caches.
EVALUATION_ROWS = 1024


def takes_key(loss: Loss) -> bool:
    """Whether ``loss`` is ``loss(model, x, y, key)``; ``loss(model, x, y)`` is the other form.

    Raises :class:`OptionError` for any other signature.
    """
    try:
        parameters = inspect.signature(loss).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    anything = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    forced = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if forced or len(required) > 4 or (len(positional) < 3 and not anything):
        raise OptionError(
            "a loss with a signature that fit can't call",
            expected="loss(model, x, y) or loss(model, x, y, key)",
            got=f"loss({', '.join(str(p) for p in parameters)})",
            where="fit, loss",
            fix="wrap it: lambda model, x, y: my_loss(model(x), y)",
        )
    return len(required) == 4 or (len(positional) >= 4 and positional[3].name == "key")


def four_arguments(loss: Loss) -> Loss:
    """``loss`` as a function of ``(model, x, y, key)``; a loss of three arguments never sees the key."""
    return loss if takes_key(loss) else lambda model, x, y, key: loss(model, x, y)


def make_step(loss: Loss, optimizer: Optimizer) -> Callable[..., Any]:
    """The jitted training step for ``loss(model, x, y, key)``; see the head of this file for what it returns."""
    gradient_of = value_and_grad(loss)

    def step(model: Any, state: Any, x: Any, y: Any, key: Any) -> Any:
        value, gradient = gradient_of(model, x, y, key)
        updates, state = optimizer.update(gradient, state, model)
        gradients = trees.leaves(gradient)
        model = apply_updates(model, updates)
        weights = trees.leaves(model)
        layers = layers_of(model).values()
        norms = [np.sqrt(_total([np.sum(gradients[i] * gradients[i]) for i in layer])) for layer in layers]
        # A sum is finite only if each weight is (or overflows, which is as bad): one cheap pass finds what diverged.
        sums = [_total([np.sum(weights[i]) for i in layer]) for layer in layers]
        return model, state, value, np.stack(norms), np.stack(sums)

    jitted: Callable[..., Any] = jit(step, donate_argnums=(0, 1))
    return jitted


def make_steps(step: Callable[..., Any]) -> Callable[..., Any]:
    """Many training steps as one jitted function, a loop over batches in native code.

    ``steps(model, state, x, y, rows, numbers, root) -> (model, state, losses, norms, sums)``: step i, number
    ``numbers[i]`` of the run, is on the rows ``rows[i]`` (of shape (k, batch)) of all data ``x`` and ``y``; its key is
    that number folded into ``root``, or None where that is None.  The results are those of :func:`make_step`, stacked.
    """

    def steps(model: Any, state: Any, x: Any, y: Any, rows: Any, numbers: Any, root: Any) -> Any:
        def body(carry: Any, batch: Any) -> Any:
            at, number = batch
            key = None if root is None else random.fold_in(root, number)
            *carry, loss, norms, sums = step(*carry, x[at], y[at], key)
            return tuple(carry), (loss, norms, sums)

        (model, state), (losses, norms, sums) = scan(body, (model, state), (rows, numbers))
        return model, state, losses, norms, sums

    jitted: Callable[..., Any] = jit(steps, donate_argnums=(0, 1))
    return jitted


def _total(values: list[Any]) -> Any:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def make_evaluation(loss: Loss, forward: Forward) -> Callable[..., Any]:
    """The jitted ``(model, x, y) -> (loss without dropout, outputs)``."""

    def evaluate(model: Any, x: Any, y: Any) -> Any:
        return loss(model, x, y, None), forward(model, x)

    jitted: Callable[..., Any] = jit(evaluate)
    return jitted


def evaluate(
    evaluation: Callable[..., Any], model: Any, x: Array, y: Array, metrics: Mapping[str, Metric]
) -> tuple[float, dict[str, float], Array]:
    """Loss (mean over the rows), metrics, and outputs of shape (n, ...) of ``model`` on all rows."""
    losses, outputs = 0.0, []
    for low in range(0, len(x), EVALUATION_ROWS):
        part = slice(low, low + EVALUATION_ROWS)
        value, output = evaluation(model, x[part], y[part])
        losses += float(value) * len(x[part])
        outputs.append(np.array(output))
    together = np.concatenate(outputs)
    return losses / len(x), {name: float(metric(together, y)) for name, metric in metrics.items()}, together


def check_finite(
    value: float, norms: Array, sums: Array, x: Array, y: Array, *, layers: list[str], place: str, kept: str
) -> None:
    """Raise :class:`TrainingError` that names ``place`` and the first layer when a step went wrong.

    ``norms`` and ``sums`` hold one number per layer: the gradient's norm, and the sum of the updated weights.
    """
    if np.isfinite(value) and np.isfinite(norms).all() and np.isfinite(sums).all():
        return
    gradient_layer = next((name for name, norm in zip(layers, norms, strict=True) if not np.isfinite(norm)), None)
    weight_layer = next((name for name, total in zip(layers, sums, strict=True) if not np.isfinite(total)), None)
    for name, rows in (("x", x), ("y", y)):
        if rows.dtype.kind in "fc" and not np.isfinite(rows).all():
            row = int(np.argwhere(~np.isfinite(rows))[0][0])
            problem, fix = f"{name} of this batch is not finite (row {row})", f"remove or fill such values in {name}"
            break
    else:
        if gradient_layer is not None:
            problem = f"the gradient of layer {gradient_layer} is not finite"
        elif weight_layer is not None:
            problem = f"the weights of layer {weight_layer} are not finite after the update"
        else:
            problem = "every gradient is finite: the loss itself overflows or is undefined"
        fix = "lower the learning rate, clip the gradient (chainrule.optim.clip_by_global_norm), or scale the data"
    raise TrainingError(
        f"training stopped: the loss is {value:g} and {problem}" if not np.isfinite(value) else
        f"training stopped: {problem}",
        expected="finite loss, gradients and weights",
        got=f"loss {value:g}; gradient norms "
        + ", ".join(f"{name} {norm:.3g}" for name, norm in zip(layers[:8], norms, strict=False)),
        where=place,
        fix=f"{fix}; {kept}",
    )  # fmt: skip
