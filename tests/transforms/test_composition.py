"""Any composition of transforms: every pair, many triples and some deep stacks, against closed forms."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from wrappers import ALL, compose, order, refused

from chainrule.base.errors import NotDifferentiableError

POINT = 0.7


def wave(x: Any) -> Any:
    return np.sin(1.3 * x)


def wave_derivative(k: int, x: float) -> float:
    return 1.3**k * math.sin(1.3 * x + k * math.pi / 2)


def ratio(x: Any) -> Any:
    return x / (1 + x)


def ratio_derivative(k: int, x: float) -> float:
    return x / (1 + x) if k == 0 else (-1.0) ** (k + 1) * math.factorial(k) / (1 + x) ** (k + 1)


FUNCTIONS = {"wave": (wave, wave_derivative), "ratio": (ratio, ratio_derivative)}
PAIRS = list(itertools.product(ALL, ALL))
TRIPLES = list(itertools.product(ALL, ALL, ALL))


def check(names: tuple[str, ...], function: str) -> None:
    f, derivative = FUNCTIONS[function]
    if "while_loop" in names and "custom_vjp" in names[names.index("while_loop") :]:
        return  # the rule is written with vjp over a loop: an error wherever it is traced, which depends on the rest
    if refused(names):
        with pytest.raises(NotDifferentiableError):
            compose(f, names)(POINT)
        return
    found = compose(f, names)(POINT)
    assert np.shape(found) == (), names
    np.testing.assert_allclose(found, derivative(order(names), POINT), rtol=1e-9, atol=1e-12, err_msg=str(names))


@pytest.mark.parametrize("inner", ALL)
def test_pairs(inner: str) -> None:
    for outer in ALL:
        check((inner, outer), "wave")


def test_triples() -> None:
    rng = np.random.default_rng(0)
    for i in rng.choice(len(TRIPLES), 250, replace=False):
        check(TRIPLES[i], "ratio")


@pytest.mark.slow
@pytest.mark.parametrize("inner", ALL)
def test_all_triples(inner: str) -> None:
    for names in TRIPLES:
        if names[0] == inner:
            check(names, "wave")


def test_deep_stacks() -> None:
    rng = np.random.default_rng(1)
    names = [n for n in ALL if "hessian" not in n and "hvp" not in n]
    for _ in range(20):
        check(tuple(rng.choice(names, 5)), "ratio")
