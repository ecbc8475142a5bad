"""The training loop: it learns, records what happened, stops when it should, and refuses what it can't use."""

from __future__ import annotations

import dataclasses
import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import bits, facts, loss, network, spirals, train

from chainrule import nn, optim
from chainrule.api import value_and_grad
from chainrule.base import trees
from chainrule.base.errors import DataError, OptionError, TrainingError
from chainrule.data import Dataset, permutation
from chainrule.train import EarlyStopping, EpochEnd, StepEnd, fit
from chainrule.train.step import takes_key


def plain(model: Any, x: Any, y: Any) -> Any:
    return nn.cross_entropy(model(x), y)


def test_it_learns() -> None:
    x, y = spirals(300)
    result = fit(
        network(0.0, sizes=(2, 32, 32, 3)), plain, (x, y), epochs=25, batch_size=30, learning_rate=0.01,
        metrics={"accuracy": nn.accuracy}, progress=False,
    )  # fmt: skip
    first, last = result.history[0], result.history[-1]
    assert first.train_loss > 0.8
    assert last.train_loss < 0.35 * first.train_loss
    assert last.train_metrics["accuracy"] > 0.85
    assert result.stopped == "epochs"
    assert len(result.history) == 25
    assert result.steps == 250
    assert result.steps_per_second > 0


def test_the_examples_of_the_package_run() -> None:
    import chainrule.train

    result = doctest.testmod(chainrule.train)
    assert result.attempted > 10
    assert result.failed == 0


def test_a_line_is_found_exactly() -> None:
    x = np.linspace(-1, 1, 20)[:, None]
    y = 3 * x[:, 0] - 2
    model = {"w": np.zeros(1), "b": np.zeros(())}
    result = fit(
        model, lambda m, x, y: np.mean((x @ m["w"] + m["b"] - y) ** 2), (x, y), optimizer=optim.sgd(0.3), epochs=200,
        batch_size=20, progress=False, forward=lambda m, x: x @ m["w"] + m["b"],
    )  # fmt: skip
    assert result.model["w"][0] == pytest.approx(3, abs=1e-6)
    assert float(result.model["b"]) == pytest.approx(-2, abs=1e-6)
    assert result.model["w"].dtype == np.float64


def test_the_steps_are_those_of_a_plain_loop() -> None:
    """Batches in the order of (seed, epoch), the last one smaller, Adam with a schedule: compared step by step."""
    x, y = spirals(50)
    rate = optim.schedules.cosine(0.02, 14)
    seen: list[float] = []
    result = fit(
        network(0.0), plain, (x, y), optimizer=optim.adam(rate), learning_rate=rate, epochs=2, batch_size=8, rng=3,
        on_step=lambda end: seen.append(end.loss), progress=False,
    )  # fmt: skip
    model, expected = network(0.0), []
    optimizer = optim.adam(rate)
    state = optimizer.init(model)
    for epoch in range(2):
        order = permutation(50, 3, epoch)
        for low in range(0, 50, 8):
            rows = order[low : low + 8]
            value, gradient = value_and_grad(plain)(model, x[rows], y[rows])
            updates, state = optimizer.update(gradient, state, model)
            model = optim.apply_updates(model, updates)
            expected.append(float(value))
    assert len(seen) == 14
    np.testing.assert_allclose(seen, expected, rtol=2e-5)
    for ours, theirs in zip(trees.leaves(result.model), trees.leaves(model), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert result.history[1].learning_rate == pytest.approx(float(rate(np.int64(13))))
    weights = [8] * 6 + [2]
    assert result.history[0].train_loss == pytest.approx(np.average(expected[:7], weights=weights), rel=1e-5)


def test_gradient_norms_are_recorded_per_layer() -> None:
    x, y = spirals(40)
    result = fit(network(0.0), plain, (x, y), epochs=1, batch_size=40, progress=False)
    gradient = value_and_grad(plain)(network(0.0), x, y)[1]
    found = result.history[0].gradient_norms
    assert list(found) == ["layers[0]", "layers[1]", "layers[2]"]
    for name, layer in zip(found, gradient.layers, strict=True):
        norm = np.sqrt(np.sum(layer.weight**2) + np.sum(layer.bias**2))
        assert found[name] == pytest.approx(norm, rel=1e-4)


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    first = train()
    assert facts(first) == facts(train())
    assert facts(first) != facts(train(rng=6))
    generators = [train(rng=np.random.default_rng(9), epochs=1) for _ in range(2)]
    assert facts(generators[0]) == facts(generators[1])


def test_the_model_given_is_not_changed() -> None:
    model = network()
    before = bits(model)
    fit(model, loss, spirals(), epochs=1, progress=False)
    assert bits(model) == before


def test_dropout_is_off_in_validation() -> None:
    x, y = spirals()
    result = fit(network(0.5), loss, (x, y), epochs=1, validation=(x, y), progress=False)
    assert result.history[0].validation_loss == pytest.approx(float(plain(result.model, x, y)), rel=1e-5)


def test_validation_rows_are_held_out() -> None:
    x, y = spirals(100)
    steps: list[StepEnd] = []
    result = fit(
        network(0.0), plain, (x, y), epochs=1, batch_size=10, validation=0.3, on_step=steps.append, progress=False
    )
    assert len(steps) == 7
    assert result.history[0].validation_loss is not None


def test_datasets_are_data() -> None:
    x, y = spirals(60)
    rows = Dataset.from_arrays(x, y)
    result = fit(network(0.0), plain, rows.take(np.arange(40)), validation=rows.take(np.arange(40, 60)), progress=False)
    assert len(result.history) == 10


def test_metrics_are_taken_on_all_rows_at_once() -> None:
    """The root of a mean is not the mean of roots: batches must not show."""
    x = np.linspace(-1, 1, 3000, dtype=np.float32)[:, None]
    y = (5 * x[:, 0] ** 2).astype(np.float32)
    model = nn.MLP.init((1, 4, 1), rng=np.random.default_rng(0))
    result = fit(
        model, lambda m, x, y: nn.mse(m(x)[:, 0], y), (x, y), epochs=1, batch_size=500, validation=(x, y),
        metrics={"rmse": nn.rmse}, forward=lambda m, x: m(x)[:, 0], progress=False,
    )  # fmt: skip
    expected = float(nn.rmse(result.model(x)[:, 0], y))
    record = result.history[0]
    assert record.validation_metrics["rmse"] == pytest.approx(expected, rel=1e-5)
    assert record.train_metrics["rmse"] == pytest.approx(expected, rel=1e-5)
    assert record.validation_loss == pytest.approx(expected**2, rel=1e-4)


def test_early_stopping_keeps_the_best() -> None:
    x, y = spirals(30)
    held_out = (x[::-1].copy(), y)
    shuffled = np.random.default_rng(0).permutation(y)  # nothing to learn: validation soon gets worse
    seen: list[tuple[float, list[bytes]]] = []

    def remember(end: EpochEnd) -> None:
        assert end.record.validation_loss is not None
        seen.append((end.record.validation_loss, bits(end.model)))

    result = fit(
        network(0.0), plain, (x, shuffled), epochs=500, batch_size=5, learning_rate=0.03, validation=held_out,
        early_stopping=4, callbacks=[remember], progress=False,
    )  # fmt: skip
    assert result.stopped == "early"
    best = min(range(len(seen)), key=lambda i: seen[i][0])
    assert result.best_epoch == best + 1
    assert len(seen) == best + 1 + 4
    assert bits(result.model) == seen[best][1]


def test_early_stopping_by_a_metric_and_min_delta() -> None:
    stop = EarlyStopping(2, min_delta=0.1, monitor="validation_accuracy", maximize=True)
    assert stop.improved(0.7, None)
    assert stop.improved(0.81, 0.7)
    assert not stop.improved(0.79, 0.7)
    assert not stop.improved(float("nan"), 0.7)
    assert not stop.improved(float("nan"), None)
    assert not EarlyStopping(2, min_delta=0.1).improved(0.65, 0.7)
    result = train(early_stopping=EarlyStopping(1, min_delta=2.0, monitor="train_accuracy", maximize=True), epochs=9)
    assert (result.stopped, result.best_epoch, len(result.history)) == ("early", 1, 2)


def test_a_callback_stops() -> None:
    ends: list[int] = []

    def second(end: EpochEnd) -> bool:
        ends.append(end.record.epoch)
        return end.record.epoch == 2

    result = train(callbacks=[second, lambda end: ends.append(-end.record.epoch)], epochs=9)
    assert result.stopped == "callback"
    assert ends == [1, -1, 2, -2]


def test_losses_of_both_signatures() -> None:
    assert takes_key(loss)
    assert not takes_key(plain)
    assert not takes_key(lambda model, x, y, weight=1.0: 0)
    assert takes_key(lambda model, x, y, key=None: 0)
    assert takes_key(lambda m, a, b, k: 0)
    with pytest.raises(OptionError, match=r"expected: loss\(model, x, y\) or loss\(model, x, y, key\)"):
        takes_key(lambda x, y: 0)
    with pytest.raises(OptionError, match="signature that fit can't call"):
        takes_key(lambda model, x, y, key, more: 0)


@dataclasses.dataclass(frozen=True)
class Fragile:
    """Two layers; between them a function whose domain the steps soon leave."""

    first: np.ndarray
    second: np.ndarray
    function: Any = trees.static(default=np.log)

    def __call__(self, x: Any) -> Any:
        return self.function(x @ self.first) * self.second


# Past 0 the logarithm's derivative is still a number, the square root's is not.
@pytest.mark.parametrize(("function", "layer"), [(np.log, "second"), (np.sqrt, "first")])
def test_a_loss_that_is_nan_stops_and_names_step_and_layer(tmp_path: Path, function: Any, layer: str) -> None:
    x = np.abs(np.random.default_rng(0).standard_normal((12, 2)))
    model = Fragile(np.array([0.5, 0.5]), np.array([1.0]), function)
    with pytest.raises(TrainingError) as caught:
        fit(
            model, lambda m, x, y: np.mean(m(x) * y), (x, np.ones(12)), optimizer=optim.sgd(0.15), epochs=50,
            batch_size=4, checkpoint=tmp_path, progress=False,
        )  # fmt: skip
    text = str(caught.value)
    assert "training stopped: the loss is" in text
    assert f"the gradient of layer {layer} is not finite" in text
    assert "where: step " in text
    assert "(epoch " in text
    assert "lower the learning rate" in text
    kept = sorted(tmp_path.glob("step-*.safetensors"))[-1]
    assert f"the last good state is {kept}" in text
    # What is kept is good.
    from chainrule.train import load_checkpoint

    for array in load_checkpoint(kept).tensors.values():
        assert np.isfinite(array).all()


def test_nan_in_the_data_is_named() -> None:
    x, y = spirals(20)
    x[7, 1] = np.nan
    with pytest.raises(TrainingError, match=r"x of this batch is not finite \(row \d+\)") as caught:
        fit(network(0.0), plain, (x, y), batch_size=20, progress=False)
    assert "no checkpoint was asked for" in str(caught.value)


def test_weights_that_overflow_are_named() -> None:
    x, y = np.full((4, 1), 10, np.float32), np.full(4, 100, np.float32)
    model = {"a": {"w": np.zeros(1, np.float32)}, "b": {"w": np.zeros(1, np.float32)}}
    with pytest.raises(TrainingError) as caught:
        fit(
            model, lambda m, x, y: np.mean((x @ m["b"]["w"] + m["a"]["w"] - y) ** 2), (x, y), optimizer=optim.sgd(1e36),
            batch_size=4, epochs=5, progress=False, forward=lambda m, x: x @ m["b"]["w"],
        )  # fmt: skip
    text = str(caught.value)
    assert text.startswith("training stopped: the weights of layer ['b'] are not finite after the update")
    assert "got: loss 10000; gradient norms ['a'] 200, ['b'] 2e+03" in text
    assert "where: step 1 (epoch 1, batch 1)" in text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": 0}, "epochs is not valid\n  expected: a whole number from 1 up\n  got: 0"),
        ({"epochs": 2.5}, "epochs is not valid"),
        ({"batch_size": -1}, "batch_size is not valid"),
        ({"rng": -3}, "rng is not valid"),
        ({"checkpoint_every": 0}, "checkpoint_every is not valid"),
        ({"validation": 1.5}, "validation is not a fraction"),
        ({"early_stopping": 0}, "patience is not valid"),
        ({"early_stopping": 3, "validation": None}, "there is nothing to monitor"),
        ({"resume": True}, "there is nothing to resume from"),
        ({"early_stopping": EarlyStopping(2, monitor="loss")}, "unknown value for monitor\n  expected: one of: epoch,"),
    ],
)
def test_options_that_can_not_be_used(options: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError) as caught:
        train(**options)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("text", "data is not data that fit knows"),
        ((np.zeros((3, 2)), np.zeros(4)), "have different numbers of rows"),
        ((np.zeros((0, 2)), np.zeros(0)), "data has no rows"),
        ((np.zeros((3, 2)), [1, 2, 3]), "data is not data that fit knows"),
    ],
)
def test_data_that_can_not_be_used(data: Any, text: str) -> None:
    with pytest.raises(DataError) as caught:
        fit(network(), loss, data)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ({"w": np.zeros(3, int)}, "got: ndarray of int64"),
        ({"w": 1.0}, "got: float"),
        ({}, "the model has no parameters"),
    ],
)
def test_models_that_can_not_be_trained(model: Any, text: str) -> None:
    with pytest.raises(OptionError) as caught:
        fit(model, plain, spirals())
    assert text in str(caught.value)
