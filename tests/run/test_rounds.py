"""Results used again: a loop gets the same objects back in turn, unless somebody still holds one of them."""

from __future__ import annotations

import functools
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import chainrule as cr
from chainrule.base.errors import DonatedError
from chainrule.run import rounds as module


@dataclass(frozen=True)
class Layer:
    weight: Any
    bias: Any

    @functools.cached_property
    def size(self) -> float:
        return float(np.abs(self.weight).sum())


@dataclass(frozen=True)
class Model:
    layers: tuple[Layer, ...]


def start() -> tuple[Model, Any]:
    rng = np.random.default_rng(0)
    layers = tuple(Layer(rng.normal(size=(3, 3)), rng.normal(size=3)) for _ in range(2))
    return Model(layers), (np.zeros((3, 3)), np.array(0))


def step(model: Model, state: Any, x: Any) -> Any:
    mean, count = state
    mean = 0.5 * mean + x
    first, second = model.layers
    layers = Layer(first.weight * 0.9 + mean, first.bias + 1), Layer(second.weight * 0.8 - x, second.bias - count)
    return Model(layers), (mean, count + 1), first.weight.sum()


def compiled() -> Callable[..., Any]:
    return cr.jit(step, donate_argnums=(0, 1), backend="native")



def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, tuple):
        return [leaf for part in tree for leaf in _leaves(part)]
    if isinstance(tree, Layer):
        return [tree.weight, tree.bias]
    return _leaves(tree.layers) if isinstance(tree, Model) else [tree]


def same(found: Any, wanted: Any) -> None:
    for a, b in zip(_leaves(found), _leaves(wanted), strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-12)


X = np.arange(9.0).reshape(3, 3) / 9


def run(times: int, between: Callable[[int, Any, Any], Any] = lambda i, model, state: None) -> list[tuple[int, int]]:
    """Steps beside those of plain NumPy, all results compared; the identities of model and first weight after each."""
    f = compiled()
    (model, state), wanted = start(), start()
    ids = []
    kept = []
    for i in range(times):
        model, state, total = f(model, state, X)
        *wanted, other = step(*wanted, X)
        same((model, state, total), (*wanted, other))
        ids.append((id(model), id(model.layers[0].weight)))
        kept.append(between(i, model, state))
    return ids


def reused(ids: list[tuple[int, int]]) -> list[bool]:
    """For each call from the third on, whether it returned the model of the one two before."""
    return [a == b for a, b in zip(ids, ids[2:], strict=False)]


def test_a_loop_alternates_between_two_rounds_of_objects() -> None:
    assert all(reused(run(12)))


@pytest.mark.parametrize(
    "hold",
    [
        lambda model: model, lambda model: model.layers, lambda model: model.layers[1],
        lambda model: model.layers[0].weight, lambda model: vars(model.layers[1]),
    ],
    ids=["model", "tuple", "layer", "array", "dict"],
)  # fmt: skip
def test_what_somebody_holds_is_not_used_again(hold: Callable[[Any], Any]) -> None:
    ids = run(7, lambda i, model, state: hold(model) if i == 2 else None)
    assert reused(ids) == [True, True, False, True, True]


def test_what_was_donated_stays_refused() -> None:
    f = compiled()
    model, state = start()
    kept = []
    for _ in range(6):
        kept.append((model, state))
        model, state, _ = f(model, state, X)
        for old, old_state in kept:
            if old is not model:
                assert not old.layers[0].weight.flags.writeable
                with pytest.raises(DonatedError, match="donated to an earlier call"):
                    f(old, old_state, X)
    assert model.layers[0].weight.flags.writeable


def test_the_last_one_held_alone_is_refused() -> None:
    f = compiled()
    model, state = start()
    for _ in range(5):
        old = model.layers[1].weight
        model, state, _ = f(model, state, X)
    with pytest.raises(DonatedError):
        cr.jit(lambda a: a + 1)(old)
    model, state, _ = f(model, state, X)
    with pytest.raises(DonatedError):
        cr.jit(lambda a: a + 1)(old)


def test_what_was_noted_on_an_object_does_not_come_back() -> None:
    def note(i: int, model: Any, state: Any) -> None:
        wanted = float(np.abs(model.layers[0].weight).sum())
        assert model.layers[0].size == pytest.approx(wanted)  # kept on the object by cached_property

    run(8, note)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_arrays_that_were_given_another_shape_do_not_come_back() -> None:
    def change(i: int, model: Any, state: Any) -> None:
        if i % 3 == 1:
            changed.append(model.layers[0].weight)

    f = compiled()
    changed: list[Any] = []
    (model, state), wanted = start(), start()
    for i in range(9):
        before = model
        model, state, total = f(model, state, X)
        *wanted, other = step(*wanted, X)
        same((model, state, total), (*wanted, other))
        if i % 3 == 1:
            before.layers[0].weight.shape = (9,)
        del before


@pytest.mark.parametrize("how", ["overlapping", "read-only", "apart"])
def test_batches_of_every_kind(how: str) -> None:
    f = compiled()
    (model, state), wanted = start(), start()
    for i in range(9):
        x = X
        if i >= 4:
            x = {"overlapping": model.layers[1].weight, "read-only": X.copy(), "apart": np.repeat(X, 2, 1)[:, ::2]}[how]
            if how == "read-only":
                x.flags.writeable = False
        known = x.copy()
        model, state, total = f(model, state, x)
        *wanted, other = step(*wanted, known)
        same((model, state, total), (*wanted, other))
        assert how != "overlapping" or i < 4 or not np.shares_memory(x, model.layers[1].weight)


def test_another_state_may_come_in_between() -> None:
    f = compiled()
    a, b = start(), start()
    wanted = start()
    for i in range(8):
        *a, _ = f(*a, X)
        *wanted, _ = step(*wanted, X)
        same(tuple(a), tuple(wanted))
        if i % 2:
            *b, _ = f(*b, X)
    for _ in range(4):
        *b, _ = f(*b, X)
    same(tuple(a), tuple(wanted))
    same(tuple(b), tuple(wanted))


def test_a_fresh_state_each_time() -> None:
    f = compiled()
    first = f(*start(), X)
    for _ in range(12):
        same(f(*start(), X), first)


def test_trees_that_can_be_changed_are_made_anew_around_the_same_arrays() -> None:
    f = cr.jit(lambda p, x: {"w": p["w"] * 0.5 + x, "v": [p["v"][0] + 1]}, donate_argnums=0, backend="native")
    p: Any = {"w": X.copy(), "v": [np.zeros(3)]}
    w, v = X.copy(), np.zeros(3)
    trees, arrays = [], []
    for _ in range(6):
        p = f(p, X)
        w, v = w * 0.5 + X, v + 1
        np.testing.assert_allclose(p["w"], w)
        np.testing.assert_allclose(p["v"][0], v)
        p["note"] = None
        del p["note"]
        trees.append(p)
        arrays.append(id(p["w"]))
    assert len(set(map(id, trees))) == 6
    assert len(set(arrays)) > 2  # the trees are held, and their arrays with them


def test_a_call_that_fails_in_between() -> None:
    f = cr.jit(lambda s, a: (s[0] * 2, np.linalg.solve(a, s[0])), donate_argnums=0, backend="native")
    state: Any = (np.ones(2),)
    for i in range(6):
        if i == 3:
            with pytest.raises(np.linalg.LinAlgError):
                f(state, np.zeros((2, 2)))
            assert state[0].flags.writeable
            state[0][:] = 2.0**i
        double, solved = f(state, np.eye(2))
        np.testing.assert_array_equal(solved, [2.0**i] * 2)
        np.testing.assert_array_equal(double, [2.0 ** (i + 1)] * 2)
        state = (double,)


def test_threads_with_states_of_their_own() -> None:
    f = compiled()
    wanted = start()
    for _ in range(200):
        *wanted, _ = step(*wanted, X)
    found: list[Any] = []

    def work() -> None:
        state = start()
        for _ in range(200):
            *state, _ = f(*state, X)
        found.append(state)

    f(*start(), X)
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    for state in found:
        same(tuple(state), tuple(wanted))


def test_a_function_that_is_dropped_keeps_nothing() -> None:
    f = compiled()
    state = start()
    for _ in range(4):
        *state, _ = f(*state, X)
    ref = weakref.ref(state[0].layers[0].weight)
    del f, state
    gc.collect()
    assert ref() is None


def test_where_objects_cannot_be_looked_into_all_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.run import program

    monkeypatch.setattr(module, "OFFSET", None)
    monkeypatch.setattr(program, "OFFSET", None)
    run(5)


def test_who_keeps_all_he_gets_is_not_asked_for_ever() -> None:
    kept: list[Any] = []
    run(3 * module._PATIENCE, lambda i, model, state: kept.append(model))


def test_a_profiler_that_looks_on_does_not_hide_a_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = module.references, []

    def one_more(objects: tuple[Any, ...]) -> list[int]:
        """What is seen while another thread holds the model for a moment, from the second round on."""
        calls.append(len(objects))
        return [n + (len(calls) > 1 and type(x) is Model) for n, x in zip(real(objects), objects, strict=True)]

    monkeypatch.setattr(module, "references", one_more)
    ids = run(7, lambda i, model, state: model if i == 1 else None)
    assert reused(ids) == [True, False, True, True, True]


def test_who_was_donated_is_known_while_other_threads_make_rounds() -> None:
    interval = sys.getswitchinterval()
    plan = compiled()
    plan(*start(), X)
    (rounds,) = {ready.rounds for ready in plan.ready.values()}
    results = rounds.program([*cr.base.trees.leaves(start()), X])
    stop, failed = threading.Event(), []

    def look() -> None:
        try:
            while not stop.is_set():
                module.lent()
        except RuntimeError as error:
            failed.append(error)

    thread = threading.Thread(target=look)
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        kept = [module.Round(rounds, results) for _ in range(2000)]
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert len(kept) == 2000
    assert not failed


def test_what_is_known_of_an_object_by_a_weak_reference_is_not_said_of_another() -> None:
    sums: weakref.WeakValueDictionary[float, Any] = weakref.WeakValueDictionary()

    def note(i: int, model: Any, state: Any) -> Any:
        if i == 2:
            sums[float(model.layers[0].weight.sum())] = model.layers[0]
            return weakref.ref(state[0])
        return None

    ids = run(7, note)
    assert reused(ids) == [True, True, False, True, True]
    assert not sums


def test_numbers_among_the_arguments_make_no_difference() -> None:
    f = cr.jit(lambda s, x, rate: (s[0] - rate * x,), donate_argnums=0, backend="native")
    x = np.arange(9.0)
    state: Any = (x.copy(),)
    ids = []
    for _ in range(8):
        state = f(state, x, 0.125)
        ids.append(id(state))
    np.testing.assert_array_equal(state[0], np.zeros(9))
    assert ids[2:] == ids[:-2]
