"""Random programs: reverse mode, forward mode, finite differences and vmap agree on all of them."""

from __future__ import annotations

import numpy as np
import pytest
from programs import draw, run

import chainrule as cr


def agree(seed: int, longest: int) -> None:
    rng = np.random.default_rng(seed)
    steps = draw(rng, longest)
    args = rng.normal(size=(2, 3))
    towards = rng.normal(size=(2, 3))
    f = lambda x, y: run(steps, x, y)  # noqa: E731
    value, gradient = cr.value_and_grad(f, (0, 1))(*args)
    assert np.isfinite(value)
    np.testing.assert_allclose(value, f(*args), rtol=1e-12, atol=1e-12)
    slope = float(np.sum(np.stack(gradient) * towards))
    size = 1 + float(np.sum(np.abs(np.stack(gradient) * towards)))

    out, tangent = cr.jvp(f, tuple(args), tuple(towards))
    np.testing.assert_allclose(out, value, rtol=1e-12)
    assert abs(tangent - slope) <= 1e-11 * size

    quotients = []
    for h in (1e-4, 2e-4):  # central differences, extrapolated (Richardson, 1911)
        quotients.append((f(*(args + h * towards)) - f(*(args - h * towards))) / (2 * h))
    assert abs((4 * quotients[0] - quotients[1]) / 3 - slope) <= 1e-6 * size

    if seed % 3:
        return
    batch = np.stack([args, args + 0.1 * towards])
    members = cr.vmap(cr.grad(f, (0, 1)))(batch[:, 0], batch[:, 1])
    np.testing.assert_allclose(np.stack(members, 1)[0], gradient, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(np.stack(members, 1)[1], cr.grad(f, (0, 1))(*batch[1]), rtol=1e-10, atol=1e-12)


def second_order(seed: int, longest: int) -> None:
    rng = np.random.default_rng(seed)
    steps = draw(rng, longest)
    x, y, v = rng.normal(size=(3, 3))
    f = lambda x: run(steps, x, y + 0 * x)  # noqa: E731
    g = cr.jit(cr.grad(f))
    product = cr.hvp(f)(x, v)
    over_forward = cr.grad(lambda p: cr.jvp(f, (p,), (v,))[1])(x)
    scale = 1 + float(np.max(np.abs(product)))
    np.testing.assert_allclose(product, over_forward, rtol=1e-9, atol=1e-10 * scale)
    quotients = [(g(x + h * v) - g(x - h * v)) / (2 * h) for h in (1e-4, 2e-4)]
    np.testing.assert_allclose((4 * quotients[0] - quotients[1]) / 3, product, atol=1e-5 * scale)


@pytest.mark.parametrize("block", range(10))
def test_500_programs(block: int, unchecked_graphs: None) -> None:
    for seed in range(50 * block, 50 * (block + 1)):
        agree(seed, 12)


def test_long_programs() -> None:
    for seed in range(25):
        agree(10_000 + seed, 40)


def test_second_order() -> None:
    for seed in range(40):
        second_order(20_000 + seed, 12)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_many_more(block: int) -> None:
    for seed in range(100 * block, 100 * (block + 1)):
        agree(100_000 + seed, 40)
        second_order(200_000 + seed, 20)
