"""What every optimizer promises: dtypes, trees, states of arrays, same bits, and errors that say what is wrong."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from bad_input import check_parts
from chainrule import optim
from chainrule.base import trees
from chainrule.base.errors import DtypeError, OptionError, ShapeError, TreeError
from chainrule.optim import schedules

ALL = list(optim.optimizers)


class Layer(NamedTuple):
    weight: np.ndarray
    bias: np.ndarray | None


def _params(dtype):
    rng = np.random.default_rng(3)
    return [Layer(rng.normal(size=(3, 2)).astype(dtype), None), Layer(rng.normal(size=(2, 0)).astype(dtype), None),
            {"gain": np.array(0.5, dtype)}]  # fmt: skip


def _run(optimizer, params, steps=5):
    rng = np.random.default_rng(4)
    state = optimizer.init(params)
    for _ in range(steps):
        grads = trees.map(lambda p: rng.normal(size=p.shape).astype(p.dtype), params)
        updates, state = optimizer.update(grads, state, params)
        params = optim.apply_updates(params, updates)
    return params, state


@pytest.mark.parametrize("schedule", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ALL)
def test_dtype_shape_and_structure_are_kept(name, dtype, schedule):
    params = _params(dtype)
    rate = schedules.cosine(0.1, 10) if schedule else 0.1
    after, state = _run(optim.named(name, rate, 0.01), params)
    assert trees.flatten(after)[1] == trees.flatten(params)[1]
    for new, old in zip(trees.leaves(after), trees.leaves(params), strict=True):
        assert isinstance(new, np.ndarray)
        assert (new.dtype, new.shape) == (old.dtype, old.shape)
        assert old.size == 0 or not np.array_equal(new, old)
        assert np.all(np.isfinite(new))
    for leaf in trees.leaves(state):
        assert isinstance(leaf, np.ndarray)
        assert leaf.dtype in (np.dtype(dtype), np.dtype(np.int64)) or leaf.shape == ()
    start = optim.named(name, rate, 0.01).init(params)
    assert trees.flatten(start)[1] == trees.flatten(state)[1]
    assert [leaf.dtype for leaf in trees.leaves(start)] == [leaf.dtype for leaf in trees.leaves(state)]
    assert [leaf.shape for leaf in trees.leaves(start)] == [leaf.shape for leaf in trees.leaves(state)]


@pytest.mark.parametrize("name", ALL)
def test_the_same_bits_again_and_nothing_changed_in_place(name):
    params = _params(np.float32)
    copies = [leaf.copy() for leaf in trees.leaves(params)]
    first, _ = _run(optim.named(name), params)
    second, _ = _run(optim.named(name), params)
    for a, b in zip(trees.leaves(first), trees.leaves(second), strict=True):
        assert a.tobytes() == b.tobytes()
    for leaf, copy in zip(trees.leaves(params), copies, strict=True):
        np.testing.assert_array_equal(leaf, copy)


@pytest.mark.parametrize("name", ALL)
def test_a_quadratic_goes_down(name):
    rate = {"adadelta": 20.0, "adagrad": 0.5}.get(name, 0.05)
    optimizer = optim.named(name, rate)
    params = np.array([3.0, -2.0])
    state = optimizer.init(params)
    for _ in range(300):
        updates, state = optimizer.update(2 * params, state, params)
        params = optim.apply_updates(params, updates)
    assert np.sum(params**2) < 0.1


@pytest.mark.parametrize("name", ALL)
def test_a_zero_gradient_is_no_nan(name):
    params = np.ones(3, np.float32)
    optimizer = optim.named(name, 0.1, 0.0)
    updates, _ = optimizer.update(np.zeros(3, np.float32), optimizer.init(params), params)
    np.testing.assert_array_equal(updates, np.zeros(3))


@pytest.mark.parametrize("name", ALL)
def test_a_tree_without_leaves(name):
    optimizer = optim.named(name)
    updates, _ = optimizer.update([None, ()], optimizer.init([None, ()]), [None, ()])
    assert updates == [None, ()]


def test_first_adam_step_is_the_sign_of_the_gradient():
    optimizer = optim.adam(0.01, eps=0.0)
    grads = np.array([5.0, -1e-3, 1e4])
    updates, state = optimizer.update(grads, optimizer.init(grads))
    np.testing.assert_allclose(updates, -0.01 * np.sign(grads), rtol=1e-14)
    adam_state = state[0]
    assert adam_state.count == 1
    np.testing.assert_allclose(adam_state.m, 0.1 * grads)
    np.testing.assert_allclose(adam_state.v, 0.001 * grads**2)


def test_state_paths_are_readable():
    params = {"w": np.zeros(2)}
    assert trees.paths(optim.adam().init(params)) == ["[0].count", "[0].m['w']", "[0].v['w']"]


def test_chain_and_scale():
    optimizer = optim.chain(optim.clip_by_value(1.0), optim.scale(-0.5))
    updates, _ = optimizer.update(np.array([3.0, -0.5]), optimizer.init(None))
    np.testing.assert_array_equal(updates, [-0.5, 0.25])


def test_scale_by_schedule_counts():
    optimizer = optim.scale_by_schedule(lambda count: count * 10.0)
    state = optimizer.init(None)
    for expected in (0.0, 10.0, 20.0):
        updates, state = optimizer.update(np.ones(2, np.float32), state)
        assert updates.dtype == np.float32
        np.testing.assert_array_equal(updates, [expected] * 2)
    assert state.count.dtype == np.int64


def test_global_norm_of_large_float32_numbers_does_not_overflow():
    grads = [np.full(4, 1e30, np.float32), np.zeros(0, np.float32)]
    assert optim.global_norm(grads) == pytest.approx(2e30)
    clipped, _ = optim.clip_by_global_norm(1.0).update(grads, ())
    assert clipped[0].dtype == np.float32
    np.testing.assert_allclose(clipped[0], 0.5, rtol=1e-6)
    assert optim.global_norm([]) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipping_does_not_hide_numbers_that_are_not_finite(bad):
    clipped, _ = optim.clip_by_global_norm(1.0).update([np.array([1.0, bad]), np.ones(2)], ())
    assert np.all(np.isnan(clipped[0]))
    assert np.all(np.isnan(clipped[1]))


def test_masked_decay_spares_biases():
    params = {"weight": np.ones(2), "bias": np.ones(2)}
    optimizer = optim.masked(optim.add_decayed_weights(0.1), lambda path: "weight" in path)
    grads = trees.map(np.zeros_like, params)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    np.testing.assert_array_equal(updates["weight"], [0.1, 0.1])
    np.testing.assert_array_equal(updates["bias"], [0.0, 0.0])


def test_masked_keeps_a_state_for_the_chosen_leaves_only():
    params = {"a": np.ones(2), "b": np.ones(3)}
    optimizer = optim.masked(optim.trace(0.5), lambda path: "a" in path)
    state = optimizer.init(params)
    assert [leaf.shape for leaf in trees.leaves(state)] == [(2,)]
    for expected in (1.0, 1.5):
        updates, state = optimizer.update(params, state, params)
        np.testing.assert_array_equal(updates["a"], [expected] * 2)
        np.testing.assert_array_equal(updates["b"], np.ones(3))


def test_warm_up_then_constant():
    schedule = schedules.warm_up(0.4, 4)
    assert [float(schedule(t)) for t in range(7)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4])


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 10, 1000])
@pytest.mark.parametrize("name", schedules.schedules)
def test_named_schedules_stay_between_zero_and_the_rate(name, steps):
    schedule = schedules.named(name, 0.1, steps)
    values = np.array([float(schedule(t)) for t in range(steps + 3)])
    assert np.all(np.isfinite(values))
    assert np.all((values >= -1e-18) & (values <= 0.1 * (1 + 1e-12)))
    if steps >= 10:
        assert values.max() == pytest.approx(0.1, rel=0.02)
    if name not in ("constant", "step") and steps > 1:
        assert values[steps] <= 0.00101  # a hundredth of the rate, or less, at the end
    assert schedule(0).dtype == np.float64


def _update(grads, params):
    optimizer = optim.adam()
    return optimizer.update(grads, optimizer.init(params), params)


@pytest.mark.parametrize(
    ("call", "error", "parts"),
    [
        (lambda: optim.sgd(-0.1), OptionError, ["learning_rate is out of range", "learning_rate >= 0", "got: -0.1"]),
        (lambda: optim.sgd(float("nan")), OptionError, ["learning_rate is out of range", "got: nan"]),
        (lambda: optim.sgd("fast"), OptionError, ["got: 'fast'"]),
        (lambda: optim.sgd(0.1, weight_decay=-1.0), OptionError, ["weight_decay >= 0"]),
        (lambda: optim.momentum(0.1, 1.0), OptionError, ["0 <= beta < 1", "got: 1.0", "optim.trace"]),
        (lambda: optim.nesterov(0.1, -0.1), OptionError, ["0 <= beta < 1"]),
        (lambda: optim.adam(0.1, 1.0), OptionError, ["b1 is out of range", "0 <= b1 < 1", "optim.adam"]),
        (lambda: optim.adamw(0.1, 0.9, 1.5), OptionError, ["0 <= b2 < 1", "got: 1.5"]),
        (lambda: optim.adamax(eps=-1.0), OptionError, ["eps >= 0", "optim.adamax"]),
        (lambda: optim.nadam(momentum_decay=-1.0), OptionError, ["momentum_decay >= 0"]),
        (lambda: optim.amsgrad(b2=2.0), OptionError, ["0 <= b2 < 1", "optim.amsgrad"]),
        (lambda: optim.rmsprop(0.1, 1.0), OptionError, ["0 <= decay < 1", "optim.rmsprop"]),
        (lambda: optim.rmsprop(momentum=1.0), OptionError, ["0 <= momentum < 1"]),
        (lambda: optim.adadelta(decay=1.0), OptionError, ["0 <= decay < 1", "optim.adadelta"]),
        (lambda: optim.adagrad(initial_accumulator=-1.0), OptionError, ["initial_accumulator >= 0"]),
        (lambda: optim.clip_by_value(-1.0), OptionError, ["limit >= 0", "optim.clip_by_value"]),
        (lambda: optim.clip_by_global_norm(-1.0), OptionError, ["limit >= 0", "optim.clip_by_global_norm"]),
        (lambda: optim.named("adamm"), OptionError, ["unknown value for optimizer", "nesterov", "got: 'adamm'"]),
        (lambda: schedules.named("cosin", 0.1, 9), OptionError, ["unknown value for schedule", "one-cycle", "'cosin'"]),
        (lambda: schedules.cosine(0.1, 0), OptionError, ["integer steps >= 1", "count steps, not epochs"]),
        (lambda: schedules.step(0.1, 2.5), OptionError, ["integer every >= 1", "got: 2.5"]),
        (lambda: schedules.one_cycle(0.1, 10, rise=1.0), OptionError, ["0 <= rise < 1"]),
        (lambda: optim.masked(optim.trace(0.5), "weight"), OptionError, ["mask is not a function", "got: 'weight'"]),
        (lambda: optim.adamw().update(np.ones(2), optim.adamw().init(np.ones(2))), OptionError,
         ["add_decayed_weights needs the parameters", "third argument"]),
        (lambda: _update([np.ones(2)], [np.ones(3)]), ShapeError,
         ["grads and params have different shapes at [0]", "expected: (3,)", "got: (2,)"]),
        (lambda: _update([np.ones(2)], (np.ones(2),)), TreeError, ["grads and params have different structures"]),
        (lambda: optim.adam().update([np.ones(2)], optim.adam().init(np.ones(2))), TreeError,
         ["gradients and optimizer state have different structures", "optimizer.init(params)"]),
        (lambda: optim.adam().update(np.ones(2), optim.adamw().init(np.ones(2)), np.ones(2)), TreeError,
         ["not of this chain", "expected: 2 states", "got: 3"]),
        (lambda: optim.apply_updates({"a": np.ones(2)}, {"a": np.ones((2, 1))}), ShapeError,
         ["updates and params have different shapes at ['a']"]),
        (lambda: optim.apply_updates([np.ones(2, int)], [np.ones(2)]), DtypeError,
         ["only floating-point parameters can be updated, not [0]", "got: int64"]),
    ],
)  # fmt: skip
def test_bad_input(call, error, parts):
    check_parts(call, error, parts)
