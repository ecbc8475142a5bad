"""``fit(..., diagnose=n)``: faults over time with their onset, and a training that does not notice it is watched."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from typing import Any

import numpy as np
import pytest
from configurations import blobs, classify, curve, mlp, regress, rnn, sequences, with_bias

from chainrule import nn, optim
from chainrule.base import trees
from chainrule.base.errors import OptionError, TrainingError, UnsupportedError
from chainrule.diagnose import Report, diagnose
from chainrule.train import fit, monitor
from chainrule.train.together import Together


def watched(model: Any, loss: Any, data: Any, every: int = 5, **options: Any) -> Any:
    settings: dict[str, Any] = {"epochs": 4, "batch_size": 32, "progress": False, "diagnose": every}
    return fit(model, loss, data, **(settings | options))


def test_a_healthy_training_is_left_alone() -> None:
    result = watched(mlp(0, 8, 32, 32, 3), classify, blobs(0, rows=320))
    report = result.diagnosis
    assert isinstance(report, Report)
    assert report.healthy, str(report)
    assert [record.step for record in report.history] == list(range(0, 40, 5))
    assert report.history[-1].loss < report.history[0].loss
    assert report is result.diagnosis


def test_a_vanishing_gradient_has_an_onset() -> None:
    report = watched(mlp(0, 8, *[16] * 6, 3, activation="sigmoid"), classify, blobs(0, rows=320)).diagnosis
    assert report.kinds == ("vanishing",)
    assert report.verdicts[0].since == 0
    assert "(since step 0)" in str(report)
    assert "heat map" in report.to_html()


def test_the_onset_is_the_step_from_which_a_fault_stays() -> None:
    """Biases are pushed down by a loss term that begins to matter when a feature of the data appears."""
    x, y = blobs(0, rows=640)
    model = mlp(0, 8, 32, 32, 3)

    def loss(model: Any, x: Any, y: Any) -> Any:
        return nn.cross_entropy(model(x), y) + 30 * np.sum(model.layers[0].bias)

    report = watched(model, loss, (x, y), optimizer=optim.sgd(0.02), epochs=2).diagnosis
    assert "dead_relu" in report.kinds
    verdict = report.verdicts[report.kinds.index("dead_relu")]
    assert verdict.layers[0] == "layers[0]"
    assert verdict.since is not None
    assert verdict.since > 0
    kinds = {record.step: record.kinds for record in report.history}
    assert all("dead_relu" in kinds[step] for step in kinds if step >= verdict.since)
    assert "dead_relu" not in kinds[0]


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [
        (optim.sgd(1e-6), "rate_low"), (optim.adam(1e-8), "rate_low"),
        (optim.sgd(0.1, weight_decay=5.0), "weight_decay"),
    ],
)
def test_faults_of_the_step(optimizer: optim.Optimizer, kind: str) -> None:
    report = watched(mlp(0, 8, 32, 32, 3), classify, blobs(0, rows=320), optimizer=optimizer).diagnosis
    assert report.kinds[0] == kind, str(report)
    assert set(report.kinds[1:]) <= {"dead_relu"}  # weights that have died switch units off


def test_a_rate_that_is_too_high() -> None:
    """It saturates the network in a few steps: the cause comes first."""
    report = watched(mlp(0, 4, 32, 32, 1, activation="tanh"), regress, curve(0, rows=320), learning_rate=2.0).diagnosis
    assert report.kinds[0] == "rate_high", str(report)
    assert report.verdicts[0].since == 0


def test_batches_of_two_rows_of_noise() -> None:
    x, y = curve(0, rows=512)
    y = (0.05 * y + 2 * np.random.default_rng(0).standard_normal(512)).astype(np.float32)
    report = watched(
        mlp(0, 4, 16, 1, activation="tanh"), regress, (x, y - y.mean()), every=4, epochs=1, batch_size=2,
        learning_rate=1e-3,
    ).diagnosis  # fmt: skip
    assert report.kinds == ("batch_small",), str(report)


def test_a_schedule_that_ends_at_zero_is_no_fault() -> None:
    steps = 100
    rate = optim.schedules.named("cosine", 2e-3, steps)
    result = watched(mlp(0, 8, 32, 3), classify, blobs(0, rows=320), epochs=10, optimizer=optim.adam(rate))
    assert result.diagnosis.healthy, str(result.diagnosis)


def bits(tree: Any) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in trees.leaves(tree)]


def test_watching_changes_no_bit_of_the_training() -> None:
    def loss(model: Any, x: Any, y: Any, key: Any) -> Any:
        return nn.cross_entropy(model(x, key=key), y)

    model = dataclasses.replace(mlp(0, 8, 32, 3), dropout=0.2)
    data = blobs(0, rows=100)
    plain = fit(model, loss, data, epochs=3, batch_size=32, progress=False)
    seen = watched(model, loss, data, every=2, epochs=3)
    assert bits(plain.model) == bits(seen.model)
    assert bits(plain.optimizer_state) == bits(seen.optimizer_state)
    assert plain.diagnosis is None
    # Steps whose batch is not whole are passed over.
    assert all(record.step % 4 != 3 for record in seen.diagnosis.history)


def test_a_recurrent_network_is_watched() -> None:
    model, loss = rnn(0, 0.3)
    report = watched(model, loss, sequences(0, rows=64), every=1, epochs=2).diagnosis
    assert report.kinds == ("vanishing",)
    assert report.verdicts[0].over_time


def test_the_same_verdict_as_at_once() -> None:
    model, data = with_bias(mlp(0, 8, 64, 32, 3), 0, -6.0), blobs(0, rows=128)
    report = watched(model, classify, data, every=100, epochs=1, batch_size=128).diagnosis
    assert report.kinds == diagnose(model, classify, data).kinds == ("dead_relu",)


def test_a_training_that_breaks_off_says_what_was_seen_before() -> None:
    with pytest.raises(TrainingError) as caught:
        watched(mlp(0, 8, 32, 32, 3), classify, blobs(0, rows=320), every=1, optimizer=optim.sgd(300.0))
    notes = "\n".join(caught.value.__notes__)
    assert "diagnosis: The learning rate is too high" in notes


def test_bad_counts_and_nothing_to_diagnose_with(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = mlp(0, 8, 4, 3), blobs(0)
    with pytest.raises(OptionError, match=r"(?s)diagnose is not valid.*expected: a whole number from 1 up.*got: 0"):
        watched(model, classify, data, every=0)
    monkeypatch.setattr(monitor, "MAKERS", [])
    with pytest.raises(UnsupportedError, match=r"(?s)nothing is there to diagnose with.*import chainrule"):
        watched(model, classify, data)


def test_looks_that_come_late_keep_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = sys.modules["chainrule.diagnose.monitor"]
    monkeypatch.setattr(watcher, "_ALL", 3)
    monkeypatch.setattr(watcher, "_APART", 1e6)
    for every, looks in ((10, 3), (9, 4)):  # what is wanted more often than at every tenth step comes as asked
        report = watched(mlp(0, 8, 32, 32, 3), classify, blobs(0, rows=320), every=every).diagnosis
        assert len(report.history) == looks
        assert report.healthy, str(report)


def test_the_compiled_program_measures_what_numpy_does(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = sys.modules["chainrule.diagnose.monitor"]
    found = []
    for calls in (0, 100):
        monkeypatch.setattr(watcher, "_WITH_NUMPY", calls)
        found.append(watched(mlp(0, 8, 32, 32, 3), classify, blobs(0, rows=320)).diagnosis.history)
    for compiled, plain in zip(*found, strict=True):
        for name in ("loss", "gradient", "delta", "update", "mean", "std", "saturated", "dead"):
            np.testing.assert_allclose(getattr(compiled, name), getattr(plain, name), rtol=1e-3, atol=1e-6)


def test_parts_of_an_epoch_are_as_even_as_they_can_be() -> None:
    for batches, every in itertools.product((1, 5, 21, 22, 100, 937), (1, 9, 100)):
        together = Together(None, batches, None, every, True)
        starts = [batch for batch in range(batches) if together.starts(batch)]
        gaps = np.diff([*starts, batches])
        assert starts[0] == 0
        assert gaps.min() >= min(every, batches)
        assert gaps.max() < 2 * max(every, 1) + len(starts) or len(starts) == 1
