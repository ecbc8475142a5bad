"""Losses and metrics: by hand, against torch, at the extremes, and their errors."""

from __future__ import annotations

import numpy as np
import pytest

from bad_input import check_parts
from chainrule import nn
from chainrule.base.errors import DataError, DtypeError, OptionError, ShapeError

REDUCTIONS = ("mean", "sum", "none")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def _numbers(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape) * 3


def _same(ours, theirs):
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-13, atol=1e-14)


def test_the_worked_example():
    assert nn.mse(np.array([1.0]), np.array([0.0])) == 1.0
    assert nn.mse(np.array([1.0]), np.array([1.0])) == 0.0


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(7,), (4, 3), ()])
def test_regression_against_torch(torch, reduction, shape):
    functional = torch.nn.functional
    p, t = _numbers(*shape), _numbers(*shape) * 0.5 - 1
    tp, tt = torch.tensor(p), torch.tensor(t)
    _same(nn.mse(p, t, reduction=reduction), functional.mse_loss(tp, tt, reduction=reduction))
    _same(nn.mae(p, t, reduction=reduction), functional.l1_loss(tp, tt, reduction=reduction))
    for delta in (0.5, 2.0):
        _same(
            nn.huber(p, t, delta=delta, reduction=reduction),
            functional.huber_loss(tp, tt, delta=delta, reduction=reduction),
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_against_torch(torch, reduction, smoothing, weighted):
    logits = _numbers(8, 5) * 4
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 8)
    soft = rng.dirichlet(np.ones(5), 8)
    weights = rng.uniform(0.2, 2, 5) if weighted else None
    options = {"label_smoothing": smoothing, "reduction": reduction}
    theirs = {**options, "weight": torch.tensor(weights) if weighted else None}
    entropy = torch.nn.functional.cross_entropy
    expected = entropy(torch.tensor(logits), torch.tensor(labels), **theirs)
    _same(nn.cross_entropy(logits, labels, weights=weights, **options), expected)
    _same(nn.cross_entropy(logits, labels.astype(np.uint8), weights=weights, **options), expected)
    _same(
        nn.cross_entropy(logits, soft, weights=weights, **options),
        entropy(torch.tensor(logits), torch.tensor(soft), **theirs),
    )


def test_cross_entropy_of_several_leading_axes_and_of_one_row():
    logits = _numbers(2, 3, 4)
    labels = np.array([[0, 1, 2], [3, 2, 1]])
    result = nn.cross_entropy(logits, labels, reduction="none")
    assert result.shape == (2, 3)
    assert result[1, 2] == pytest.approx(float(nn.cross_entropy(logits[1, 2], np.array(1))))
    assert nn.cross_entropy(np.zeros(8), np.array(3)) == pytest.approx(np.log(8))


def test_cross_entropy_does_not_overflow():
    assert nn.cross_entropy(np.array([[1e4, 0.0]]), np.array([1])) == 1e4
    assert nn.cross_entropy(np.array([[1e4, 0.0]]), np.array([0])) == 0


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy_against_torch(torch, reduction):
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    x, t = _numbers(6, 2), np.random.default_rng(1).uniform(size=(6, 2))
    ours = nn.binary_cross_entropy_with_logits
    _same(ours(x, t, reduction=reduction), entropy(torch.tensor(x), torch.tensor(t), reduction=reduction))
    _same(
        ours(x, t, positive_weight=3.0, reduction=reduction),
        entropy(torch.tensor(x), torch.tensor(t), pos_weight=torch.tensor(3.0), reduction=reduction),
    )


def test_binary_cross_entropy_is_exact_in_both_tails():
    x = np.array([1e4, -1e4, 600.0, -600.0])
    t = np.array([0.0, 1.0, 1.0, 0.0])
    loss = nn.binary_cross_entropy_with_logits(x, t, reduction="none")
    np.testing.assert_allclose(loss, [1e4, 1e4, np.exp(-600.0), np.exp(-600.0)], rtol=1e-12)
    assert nn.binary_cross_entropy_with_logits(np.zeros(3), np.array([0, 1, 1])) == pytest.approx(np.log(2))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("margin", [1.0, 0.5])
def test_hinge_against_torch(torch, reduction, margin):
    scores, labels = _numbers(8, 5), np.random.default_rng(0).integers(0, 5, 8)
    expected = torch.nn.functional.multi_margin_loss(
        torch.tensor(scores), torch.tensor(labels), margin=margin, reduction=reduction
    )
    _same(nn.hinge(scores, labels, margin=margin, reduction=reduction), expected)


def test_binary_hinge():
    scores, signs = np.array([2.0, 0.5, -1.0, -3.0]), np.array([1, 1, 1, -1])
    np.testing.assert_array_equal(nn.hinge(scores, signs, reduction="none"), [0, 0.5, 2, 0])
    assert nn.hinge(scores, signs) == 0.625


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: nn.mse(x, np.ones((4, 3))),
        lambda x: nn.mae(x, np.ones((4, 3))),
        lambda x: nn.huber(x, np.ones((4, 3))),
        lambda x: nn.cross_entropy(x, np.array([0, 1, 2, 0])),
        lambda x: nn.cross_entropy(x, np.array([0, 1, 2, 0]), label_smoothing=0.1, weights=np.ones(3)),
        lambda x: nn.cross_entropy(x, np.full((4, 3), 1 / 3)),
        lambda x: nn.binary_cross_entropy_with_logits(x, np.ones((4, 3))),
        lambda x: nn.hinge(x, np.array([0, 1, 2, 0])),
        lambda x: nn.hinge(x, np.ones((4, 3))),
    ],
)
def test_float32_predictions_keep_a_float32_loss(loss):
    assert loss(np.zeros((4, 3), np.float32)).dtype == np.float32


def test_accuracy():
    logits = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert nn.accuracy(logits, np.array([1, 0, 0, 0])) == 0.75
    assert nn.accuracy(np.array([2.0, -1.0, 3.0]), np.array([1, 1, 1])) == pytest.approx(2 / 3)


def test_rmse_and_r2():
    t = np.array([1.0, 2.0, 3.0, 4.0])
    assert nn.rmse(t + 2, t) == 2
    assert nn.r2(t, t) == 1
    assert nn.r2(np.full(4, 2.5), t) == 0
    assert nn.r2(np.array([1.0, 2.0, 3.0, 5.0]), t) == pytest.approx(0.8)
    assert nn.r2(np.full(4, 2.0), np.full(4, 2.0)) == 1
    assert nn.r2(np.full(4, 1.0), np.full(4, 2.0)) == 0


@pytest.mark.parametrize(
    ("call", "error", "parts"),
    [
        (lambda: nn.mse(np.ones((3, 1)), np.ones(3)), ShapeError,
         ["mse: shapes do not fit", "prediction.shape == (3, 1) and target.shape == (3,)", "nothing is broadcast"]),
        (lambda: nn.huber(np.ones(3), np.ones(2)), ShapeError, ["huber: shapes do not fit"]),
        (lambda: nn.mae(np.ones(3), np.ones(3), reduction="avg"), OptionError,
         ["unknown value for reduction", "mean, sum, none", "'avg'"]),
        (lambda: nn.huber(np.ones(3), np.ones(3), delta=0.0), OptionError, ["delta > 0", "got: 0.0"]),
        (lambda: nn.cross_entropy(np.ones((4, 3)), np.array([0, 1, 3, -1])), DataError,
         ["a label is not a class", "labels from 0 to 2", "labels[2] == 3, and 1 more", "number the classes from 0"]),
        (lambda: nn.cross_entropy(np.ones((4, 3)), np.array([0, 1])), ShapeError,
         ["labels.shape == (2,) and scores.shape == (4, 3)"]),
        (lambda: nn.cross_entropy(np.ones((4, 3)), np.array([0.0, 1.0, 2.0, 0.0])), DtypeError,
         ["class labels are integers", "got: float64", "labels.astype(np.int64)"]),
        (lambda: nn.cross_entropy(np.ones((4, 3)), np.ones((4, 2))), ShapeError,
         ["logits.shape == (4, 3) and labels.shape == (4, 2)"]),
        (lambda: nn.cross_entropy(np.float64(1), np.array(0)), ShapeError, ["logits.shape == ()"]),
        (lambda: nn.cross_entropy(np.ones((4, 3)), np.zeros(4, int), weights=np.ones(4)), ShapeError,
         ["weights.shape == (3,)", "weights.shape == (4,)"]),
        (lambda: nn.cross_entropy(np.ones((4, 3)), np.zeros(4, int), label_smoothing=1.5), OptionError,
         ["0 <= label_smoothing <= 1"]),
        (lambda: nn.binary_cross_entropy_with_logits(np.ones(3), np.ones((3, 1))), ShapeError,
         ["logits.shape == (3,) and targets.shape == (3, 1)"]),
        (lambda: nn.hinge(np.ones(3), np.array([0, 1, 1])), DataError, ["labels of -1 and +1", "2 * labels - 1"]),
        (lambda: nn.hinge(np.ones((3, 2)), np.array([0.0, 1.0, 1.0])), DtypeError, ["integer dtype", "float64"]),
        (lambda: nn.hinge(np.ones((3, 2)), np.array([0, 1, 2])), DataError, ["labels[2] == 2"]),
        (lambda: nn.hinge(np.ones(3), np.ones(3), margin=0.0), OptionError, ["margin > 0"]),
        (lambda: nn.accuracy(np.ones((3, 2)), np.ones(2)), ShapeError, ["labels.shape == (2,)"]),
        (lambda: nn.rmse(np.ones((3, 1)), np.ones(3)), ShapeError, ["rmse: shapes", "(3, 1) != (3,)"]),
        (lambda: nn.r2(np.ones((3, 1)), np.ones(3)), ShapeError, ["r2: shapes"]),
    ],
)  # fmt: skip
def test_bad_input(call, error, parts):
    check_parts(call, error, parts)
