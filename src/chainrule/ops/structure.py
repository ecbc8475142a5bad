"""The lines that are not computation: inputs, constants, one output of several, and stopped gradients."""

from __future__ import annotations

from typing import Any

from chainrule.base.arrays import Spec
from chainrule.ops.record import Custom, Linear, NotDifferentiable

_NO_INPUT = NotDifferentiable("it has no inputs")


def _not_run(*args: Any, **attrs: Any) -> Any:
    raise AssertionError("an input has no computation of its own")


input_ = Custom(
    "input",
    _not_run,
    shape_rule=_not_run,
    vjp=_NO_INPUT,
    jvp=_NO_INPUT,
    batching=_not_run,
    latex="#name",
    sentence="is given",
)

constant = Custom(
    "constant",
    lambda value: value.array[()],
    shape_rule=lambda value: Spec(value.array.shape, value.array.dtype),
    vjp=_NO_INPUT,
    jvp=_NO_INPUT,
    batching=_not_run,
    latex="#value",
    sentence="is a constant",
)

item = Linear(
    "item",
    lambda values, position: values[position],
    # The reverse pass adds cotangents of items to their line directly, and the forward pass takes tangents from it.
    transpose=_not_run,
    shape_rule=lambda specs, position: specs[position],
    batching=_not_run,
    latex="#0_{#position}",
    sentence="takes one of several results",
)

stop_gradient: Custom = Custom(
    "stop_gradient",
    lambda x: x,
    shape_rule=lambda x: x,
    vjp=NotDifferentiable("stop_gradient was asked for"),
    jvp=NotDifferentiable("stop_gradient was asked for"),
    batching=lambda args, batched, size, attrs: stop_gradient(*args),
    latex=r"\operatorname{stop}(#0)",
    sentence="passes the value on and stops the gradient",
)


def is_plumbing(name: str) -> bool:
    """Whether a line of this op computes nothing a reader would want to see."""
    return name in ("input", "constant", "item")


__all__ = ["constant", "input_", "is_plumbing", "item", "stop_gradient"]
