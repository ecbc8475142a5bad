"""Steps in one native call: the same bits as one by one, ended where something looks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim, train
from chainrule.base import trees
from chainrule.base.errors import TrainingError
from chainrule.train import together
from chainrule.train.step import four_arguments, make_step
from chainrule.train.together import Together

RNG = np.random.default_rng(3)
X = RNG.standard_normal((205, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 205)


def model(dropout: float = 0.0) -> Any:
    return nn.MLP.init((6, 9, 3), dropout=dropout, rng=np.random.default_rng(1))


def plain(m: Any, x: Any, y: Any) -> Any:
    return nn.cross_entropy(m(x), y)


def with_key(m: Any, x: Any, y: Any, key: Any) -> Any:
    return nn.cross_entropy(m(x, key=key), y)


def run(loss: Any, m: Any, **options: Any) -> Any:
    return train.fit(m, loss, (X, Y), optimizer=optim.adam(1e-2), epochs=4, batch_size=10, progress=False, **options)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps each native call held."""
    seen: list[int] = []
    inner = Together.run

    def noted(self: Together, *args: Any) -> Any:
        seen.append(self.count)
        return inner(self, *args)

    monkeypatch.setattr(Together, "run", noted)
    monkeypatch.setattr(together, "_SECONDS", 60.0)  # however slow the machine is
    return seen


@pytest.mark.parametrize("kind", ["plain", "dropout"])
def test_the_same_bits_as_one_by_one(kind: str, calls: list[int]) -> None:
    loss, m = (plain, model()) if kind == "plain" else (with_key, model(0.3))
    many = run(loss, m)
    assert calls
    assert set(calls) == {20}  # all whole batches of an epoch, once it is known how long a step takes
    count = len(calls)
    single = run(loss, m, on_step=lambda end: None)  # somebody looks at each
    assert len(calls) == count
    for a, b in zip(trees.leaves((many.model, many.optimizer_state)),
                    trees.leaves((single.model, single.optimizer_state)), strict=True):  # fmt: skip
        np.testing.assert_array_equal(a, b)
    for one, other in zip(many.history, single.history, strict=True):
        assert (one.train_loss, one.gradient_norms, one.step) == (other.train_loss, other.gradient_norms, other.step)
    assert many.steps == single.steps == 84


def test_a_call_ends_at_a_checkpoint_and_at_a_look(calls: list[int], tmp_path: Any) -> None:
    run(plain, model(), checkpoint=tmp_path / "c", checkpoint_every=7)
    assert calls
    assert max(calls) <= 7
    calls.clear()
    result = run(plain, model(), diagnose=9)
    assert calls
    assert max(calls) == 10  # 21 batches are two parts of 10, and one that is left over
    assert [m.step for m in result.diagnosis.history][:4] == [0, 10, 21, 31]


def test_a_step_that_is_not_finite_is_named_in_the_middle_of_a_call(calls: list[int], tmp_path: Any) -> None:
    x = X.copy()
    x[cr.data.permutation(len(x), 0, 0)[77]] = np.inf  # in batch 8 of epoch 1
    with pytest.raises(TrainingError) as caught:
        train.fit(model(), plain, (x, Y), optimizer=optim.adam(1e-2), epochs=4, batch_size=10, progress=False,
                  checkpoint=tmp_path / "c", checkpoint_every=6)  # fmt: skip
    assert "step 8 (epoch 1, batch 8)" in str(caught.value)
    assert "x of this batch is not finite (row" in str(caught.value)
    assert calls == [5]  # batches 7 to 11


def test_steps_that_take_long_go_one_by_one() -> None:
    step = make_step(four_arguments(plain), optim.adam(1e-2))
    slow = Together(step, 100, None, None, True)
    slow.took(9.0)
    slow.took(0.04)
    assert not slow.fits(0, 0)
    quick = Together(step, 100, None, None, True)
    quick.took(9.0)
    quick.took(0.001)
    assert quick.count == 50
    assert quick.fits(2, 50)
    assert not quick.fits(2, 51)


def test_the_evaluator_goes_one_by_one(calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_JIT", "numpy")
    run(plain, model())
    assert calls == []
