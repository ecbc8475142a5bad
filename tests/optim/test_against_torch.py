"""Every optimizer and schedule, step for step against torch.optim in float64 on random gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chainrule import optim
from chainrule.optim import schedules

torch = pytest.importorskip("torch")

STEPS = 20

# (ours, torch's), each made with its own options; the pairs that have it also run with weight_decay=0.1.
PAIRS = {
    "sgd": (lambda **o: optim.sgd(0.1, **o), lambda p, **o: torch.optim.SGD(p, 0.1, **o)),
    "momentum": (lambda **o: optim.momentum(0.1, 0.8, **o), lambda p, **o: torch.optim.SGD(p, 0.1, 0.8, **o)),
    "nesterov": (
        lambda **o: optim.nesterov(0.1, 0.8, **o),
        lambda p, **o: torch.optim.SGD(p, 0.1, 0.8, nesterov=True, **o),
    ),
    "adagrad": (lambda **o: optim.adagrad(0.1, **o), lambda p, **o: torch.optim.Adagrad(p, 0.1, **o)),
    "adagrad from 0.5, decaying": (
        lambda **o: optim.adagrad(schedules.inverse_time(0.1, 0.3), initial_accumulator=0.5, eps=1e-3, **o),
        lambda p, **o: torch.optim.Adagrad(p, 0.1, 0.3, initial_accumulator_value=0.5, eps=1e-3, **o),
    ),
    "rmsprop": (lambda **o: optim.rmsprop(0.01, 0.9, **o), lambda p, **o: torch.optim.RMSprop(p, 0.01, 0.9, **o)),
    "rmsprop centered": (
        lambda **o: optim.rmsprop(0.01, 0.9, centered=True, **o),
        lambda p, **o: torch.optim.RMSprop(p, 0.01, 0.9, centered=True, **o),
    ),
    "rmsprop centered, momentum": (
        lambda **o: optim.rmsprop(0.01, 0.9, eps=1e-4, centered=True, momentum=0.7, **o),
        lambda p, **o: torch.optim.RMSprop(p, 0.01, 0.9, eps=1e-4, centered=True, momentum=0.7, **o),
    ),
    "adadelta": (
        lambda **o: optim.adadelta(0.5, 0.8, eps=1e-4, **o),
        lambda p, **o: torch.optim.Adadelta(p, 0.5, 0.8, eps=1e-4, **o),
    ),
    "adam": (lambda **o: optim.adam(0.01, **o), lambda p, **o: torch.optim.Adam(p, 0.01, **o)),
    "adam, other options": (
        lambda **o: optim.adam(0.01, 0.5, 0.9, eps=1e-2, **o),
        lambda p, **o: torch.optim.Adam(p, 0.01, (0.5, 0.9), eps=1e-2, **o),
    ),
    "adamw": (lambda **o: optim.adamw(0.01, **o), lambda p, **o: torch.optim.AdamW(p, 0.01, **o)),
    "adamax": (
        lambda **o: optim.adamax(0.01, 0.8, 0.95, eps=1e-4, **o),
        lambda p, **o: torch.optim.Adamax(p, 0.01, (0.8, 0.95), eps=1e-4, **o),
    ),
    "nadam": (lambda **o: optim.nadam(0.01, **o), lambda p, **o: torch.optim.NAdam(p, 0.01, **o)),
    "nadam, other options": (
        lambda **o: optim.nadam(0.01, 0.8, 0.95, eps=1e-4, momentum_decay=0.1, **o),
        lambda p, **o: torch.optim.NAdam(p, 0.01, (0.8, 0.95), eps=1e-4, momentum_decay=0.1, **o),
    ),
    "amsgrad": (
        lambda **o: optim.amsgrad(0.01, 0.8, 0.9, **o),
        lambda p, **o: torch.optim.Adam(p, 0.01, (0.8, 0.9), amsgrad=True, **o),
    ),
}
DEFAULTS = {
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "adadelta": torch.optim.Adadelta,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
}


@pytest.fixture(autouse=True)
def _double():
    # NAdam keeps its product of momentum factors in torch's default dtype.
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def _compare(optimizer, make_torch):
    rng = np.random.default_rng(0)
    params = {"weight": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}
    theirs = {name: torch.tensor(value) for name, value in params.items()}
    reference = make_torch(list(theirs.values()))
    state = optimizer.init(params)
    for _ in range(STEPS):
        # Growing and shrinking sizes, so that AMSGrad's and Adamax's maxima matter.
        grads = {name: rng.normal(size=p.shape) * math.exp(rng.normal()) for name, p in params.items()}
        for name, tensor in theirs.items():
            tensor.grad = torch.tensor(grads[name])
        reference.step()
        updates, state = optimizer.update(grads, state, params)
        params = optim.apply_updates(params, updates)
        for name, tensor in theirs.items():
            np.testing.assert_allclose(params[name], tensor.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", PAIRS)
def test_steps(name, weight_decay):
    ours, make_torch = PAIRS[name]
    _compare(ours(weight_decay=weight_decay), lambda p: make_torch(p, weight_decay=weight_decay))


@pytest.mark.parametrize("name", DEFAULTS)
def test_default_options(name):
    _compare(optim.named(name), DEFAULTS[name])


def test_every_optimizer_is_compared():
    assert {name.split()[0].rstrip(",") for name in PAIRS} == set(optim.optimizers)


@pytest.mark.parametrize("limit", [0.1, 1.0, 100.0])
def test_clip_by_global_norm(limit):
    rng = np.random.default_rng(1)
    grads = [rng.normal(size=(3, 4)), rng.normal(size=5)]
    tensors = [torch.zeros(g.shape, requires_grad=True) for g in grads]
    for tensor, g in zip(tensors, grads, strict=True):
        tensor.grad = torch.tensor(g)
    norm = torch.nn.utils.clip_grad_norm_(tensors, limit)
    clipped, _ = optim.clip_by_global_norm(limit).update(grads, (), grads)
    np.testing.assert_allclose(optim.global_norm(grads), norm.item(), rtol=1e-14)
    for ours, tensor in zip(clipped, tensors, strict=True):
        np.testing.assert_allclose(ours, tensor.grad.numpy(), rtol=1e-13)


SCHEDULES = {
    "step": (schedules.step(0.2, 4, 0.5), lambda o: torch.optim.lr_scheduler.StepLR(o, 4, 0.5)),
    "exponential": (schedules.exponential(0.2, 0.9), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
    "cosine": (schedules.cosine(0.2, 19, 0.01), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 19, 0.01)),
    "linear": (
        schedules.linear(0.1, 0.2, 7),
        lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.5, 1.0, 7),
    ),
    "one-cycle": (
        schedules.one_cycle(0.2, 20),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.2, total_steps=20),
    ),
    "one-cycle, other options": (
        schedules.one_cycle(0.2, 20, rise=0.4, divide=10, divide_final=100),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o, 0.2, total_steps=20, pct_start=0.4, div_factor=10, final_div_factor=100
        ),
    ),
    "warm-up": (
        schedules.warm_up(schedules.cosine(0.2, 12), 5, 0.02),
        lambda o: torch.optim.lr_scheduler.SequentialLR(
            o,
            [
                torch.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 5),
                torch.optim.lr_scheduler.CosineAnnealingLR(o, 12),
            ],
            [5],
        ),
    ),
}


@pytest.mark.filterwarnings("ignore:The epoch parameter in:UserWarning")
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    ours, make_torch = SCHEDULES[name]
    reference = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.2)
    scheduler = make_torch(reference)
    for count in range(17 if name == "warm-up" else 20):
        expected = reference.param_groups[0]["lr"]
        assert float(ours(count)) == pytest.approx(expected, rel=1e-12, abs=1e-15)
        assert float(ours(np.array(count))) == float(ours(count))
        reference.step()
        if count < 19:
            scheduler.step()
