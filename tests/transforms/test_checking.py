"""``check_grads`` finds wrong rules, and says which op, which input and which element, with both numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.errors import GradientError
from chainrule.ops import pointwise
from chainrule.ops.expr import CATALOGUE
from chainrule.ops.record import Pointwise


@pytest.fixture
def wrong() -> Iterator[Pointwise]:
    """An op whose rule is wrong above 1: exp with half its derivative there."""

    def partial(y: Any, x: Any) -> Any:
        return pointwise.where(pointwise.greater(x, 1.0), 0.5 * y, y)

    op = Pointwise("wrong_exp", np.exp, partials=(partial,), ufunc=np.exp, latex="#0", sentence="is wrong")
    yield op
    del CATALOGUE["wrong_exp"]


def message(f: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(GradientError) as caught:
        cr.check_grads(f, args, **options)
    return str(caught.value)


@pytest.mark.parametrize("modes", [("rev",), ("fwd",), ("rev", "fwd")])
def test_a_wrong_rule(wrong: Pointwise, modes: tuple[str, ...]) -> None:
    w = np.linspace(-1.0, 0.5, 12).reshape(3, 4)
    w[1, 2] = 1.5

    def model(params: Any, scale: Any) -> Any:
        inner = np.tanh(scale * 0.1) + params["w"]
        raised = wrong(inner)
        return np.sum(np.sin(raised))

    text = message(model, {"w": w}, 0.3, order=1, modes=modes)
    first, expected, got, where, _ = text.splitlines()
    assert first.startswith("a derivative of model disagrees: ")
    assert first.endswith(", of params['w'][1, 2]")
    slope = float(np.exp(1.5 + np.tanh(0.03)) * np.cos(np.exp(1.5 + np.tanh(0.03))))
    assert float(re.search(r"expected: (\S+)", expected).group(1)) == pytest.approx(slope, rel=1e-6)  # type: ignore[union-attr]
    assert float(got.removeprefix("  got: ")) == pytest.approx(slope / 2)
    line = model.__code__.co_firstlineno + 2
    assert "op wrong_exp, its argument 0, element (1, 2), " in where
    assert where.endswith(f"{__file__}:{line} in model")
    numbers = re.search(r": (\S+) against (\S+), from", where)
    assert numbers is not None
    assert float(numbers[1]) == pytest.approx(float(numbers[2]) / 2, rel=1e-6)


def test_a_wrong_custom_rule() -> None:
    @cr.custom_vjp
    def cube(x: Any) -> Any:
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, ct: (ct * 2 * x**2,))

    def loss(x: Any) -> Any:
        return np.sum(cube(x))

    text = message(loss, np.array([0.0, 2.0]), modes=("rev",))
    assert "disagrees: reverse mode, along a random direction, of x[1]" in text
    assert "got: 8.0" in text
    assert "op custom_vjp, its argument 0, element (1,)" in text
    assert f"{__file__}:{loss.__code__.co_firstlineno + 1} in loss" in text


def test_a_rule_that_is_wrong_to_second_order_only() -> None:
    @cr.custom_vjp
    def square(x: Any) -> Any:
        return x * x

    square.defvjp(lambda x: (x * x, cr.stop_gradient(x)), lambda x, ct: (ct * 2 * x,))
    cr.check_grads(square, (1.5,), order=1, modes=("rev",))
    text = message(square, 1.5, order=2, modes=("rev",))
    assert "disagrees: the gradient's reverse mode" in text
    assert "op custom_vjp, its argument 0" in text


def test_right_rules_pass() -> None:
    cr.check_grads(lambda x, y: np.sum(np.sin(x) @ y), (np.ones((2, 3)), np.ones((3, 2))))
