"""Whole training steps: jit against the plain step, learning something, and a state that survives being stored."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim, random
from chainrule.base import trees
from chainrule.optim import schedules

ALL = list(optim.optimizers)


def _problem(dtype=np.float32):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 5)).astype(dtype)
    labels = np.argmax(x @ rng.normal(size=(5, 3)) + np.sin(3 * x[:, :3]), axis=1)
    return x, labels, nn.MLP.init((5, 16, 3), activation="tanh", dropout=0.1, rng=rng, dtype=dtype)


def _step(optimizer):
    def step(model, state, x, labels, key):
        loss, grads = cr.value_and_grad(lambda model: nn.cross_entropy(model(x, key=key), labels))(model)
        updates, state = optimizer.update(grads, state, model)
        return optim.apply_updates(model, updates), state, loss

    return step


@pytest.mark.parametrize("name", ALL)
def test_jit_of_a_step_is_the_step(name):
    x, labels, model = _problem()
    rate = schedules.warm_up(schedules.cosine(0.05, 5), 2)
    optimizer = optim.chain(optim.clip_by_global_norm(0.5), optim.named(name, rate, 0.01))
    plain = _step(optimizer)
    jitted = cr.jit(plain)
    ours = theirs = (model, optimizer.init(model))
    for count in range(4):
        key = random.fold_in(random.key(0), count)
        *ours, loss = plain(*ours, x, labels, key)
        *theirs, other = jitted(*theirs, x, labels, key)
        np.testing.assert_allclose(loss, other, rtol=1e-5)
    for a, b in zip(trees.leaves(tuple(ours)), trees.leaves(tuple(theirs)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert trees.flatten(theirs[1])[1] == trees.flatten(optimizer.init(model))[1]


def _train(optimizer, steps, model, state, x, labels, start=0):
    step = cr.jit(_step(optimizer))
    for count in range(start, steps):
        model, state, loss = step(model, state, x, labels, random.fold_in(random.key(0), count))
    return model, state, loss


def test_adam_learns():
    x, labels, model = _problem()
    optimizer = optim.adam(0.02)
    model, _, loss = _train(optimizer, 150, model, optimizer.init(model), x, labels)
    assert loss < 0.4
    assert nn.accuracy(model(x), labels) > 0.9


def test_going_on_from_a_stored_state_gives_the_same_bits():
    x, labels, model = _problem()
    optimizer = optim.adamw(schedules.cosine(0.02, 20), weight_decay=0.1)
    whole, _, _ = _train(optimizer, 20, model, optimizer.init(model), x, labels)
    part, state, _ = _train(optimizer, 7, model, optimizer.init(model), x, labels)
    leaves, structure = trees.flatten((part, state))
    stored = [(leaf.tobytes(), leaf.dtype, leaf.shape) for leaf in leaves]
    part, state = trees.unflatten(structure, [np.frombuffer(b, d).reshape(s) for b, d, s in stored])
    again, _, _ = _train(optimizer, 20, part, state, x, labels, start=7)
    for a, b in zip(trees.leaves(whole), trees.leaves(again), strict=True):
        assert a.tobytes() == b.tobytes()


def test_schedules_are_traced():
    for name in schedules.schedules:
        schedule = schedules.named(name, 0.1, 10)
        jitted = cr.jit(schedule)
        for count in (0, 1, 3, 9, 12):
            assert float(jitted(np.array(count))) == pytest.approx(float(schedule(count)), rel=1e-14, abs=1e-18)


def test_a_step_of_an_optimizer_can_be_differentiated():
    """The gradient of the loss after one step with respect to the learning rate (Maclaurin et al., 2015)."""

    def after(rate):
        x = np.array([2.0, -1.0])
        grads = cr.grad(lambda x: np.sum(x**2))(x)
        return np.sum((x - rate * grads) ** 2)

    cr.check_grads(after, (0.1,), order=2)
