"""Gradients through activations, losses, layers and initialised networks: check_grads in both modes to second order."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, random
from chainrule.base import trees
from chainrule.base.errors import ShapeError

# Away from 0, where relu and its kin have a kink.
X = np.array([[-2.1, -0.4, 0.3, 1.7], [0.9, -1.2, 2.2, -0.7], [0.2, 0.6, -0.5, 1.1]])
LABELS = np.array([2, 0, 3])
SOFT = np.random.default_rng(0).dirichlet(np.ones(4), 3)
TARGET = X[::-1] * 0.7 + 0.05


@pytest.mark.parametrize("name", nn.activations)
def test_activations(name):
    cr.check_grads(nn.activations[name], (X,), order=2)


def test_activation_options():
    cr.check_grads(lambda x: nn.gelu(x, "tanh"), (X,), order=2)
    cr.check_grads(lambda x: nn.elu(x, 0.5), (X,), order=2)
    for axis in (None, 0, (0, 1)):
        cr.check_grads(lambda x, axis=axis: nn.logsumexp(x, axis), (X,), order=2)
    cr.check_grads(lambda x: nn.softmax(x, 0), (X,), order=2)


# value, first and second derivative at 0
AT_ZERO = {
    "identity": (0, 1, 0),
    "relu": (0, 0, 0),
    "leaky_relu": (0, 0.01, 0),
    "gelu": (0, 0.5, np.sqrt(2 / np.pi)),
    "silu": (0, 0.5, 0.5),
    "softplus": (np.log(2), 0.5, 0.25),
    "sigmoid": (0.5, 0.25, 0),
    "log_sigmoid": (-np.log(2), 0.5, -0.25),
    "tanh": (0, 1, 0),
}


@pytest.mark.parametrize("name", AT_ZERO)
def test_derivatives_at_zero(name):
    f = nn.activations[name]
    found = (f(np.float64(0)), cr.grad(f)(0.0), cr.grad(cr.grad(f))(0.0))
    np.testing.assert_allclose(found, AT_ZERO[name], atol=1e-15)


@pytest.mark.parametrize("name", ["elu", "selu"])
def test_elus_have_the_left_derivative_at_zero(name):
    f = nn.activations[name]
    left = -1e-7
    assert cr.grad(f)(0.0) == pytest.approx(f(np.float64(left)) / left, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", nn.activations)
def test_gradients_far_out_are_finite_and_keep_the_dtype(name, dtype):
    x = np.array([-1e4, -90.0, -20.0, 20.0, 90.0, 1e4], dtype)
    gradient = cr.grad(lambda x: np.sum(nn.activations[name](x)))(x)
    assert gradient.dtype == dtype
    assert np.all(np.isfinite(gradient))


LOSSES = {
    "mse": lambda x: nn.mse(x, TARGET),
    "mae": lambda x: nn.mae(x, TARGET),
    "huber": lambda x: nn.huber(x, TARGET, delta=0.7),
    "cross_entropy": lambda x: nn.cross_entropy(x, LABELS),
    "cross_entropy, weighted and smoothed": lambda x: nn.cross_entropy(
        x, LABELS, label_smoothing=0.1, weights=np.arange(1.0, 5.0)
    ),
    "cross_entropy, soft": lambda x: nn.cross_entropy(x, SOFT, label_smoothing=0.1),
    "cross_entropy, unreduced": lambda x: nn.cross_entropy(x, LABELS, reduction="none"),
    "binary_cross_entropy_with_logits": lambda x: nn.binary_cross_entropy_with_logits(x, SOFT, positive_weight=2.0),
    "hinge": lambda x: nn.hinge(x, LABELS),
    "hinge, binary": lambda x: nn.hinge(x, np.sign(TARGET), reduction="sum"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    cr.check_grads(LOSSES[name], (X,), order=2)


def test_gradients_by_hand():
    np.testing.assert_allclose(cr.grad(LOSSES["mse"])(X), 2 * (X - TARGET) / X.size)
    np.testing.assert_allclose(cr.grad(LOSSES["mae"])(X), np.sign(X - TARGET) / X.size)
    onehot = np.eye(4)[LABELS]
    np.testing.assert_allclose(cr.grad(LOSSES["cross_entropy"])(X), (nn.softmax(X) - onehot) / 3, atol=1e-16)
    bce = cr.grad(lambda x: nn.binary_cross_entropy_with_logits(x, SOFT))
    np.testing.assert_allclose(bce(X), (nn.sigmoid(X) - SOFT) / X.size, atol=1e-16)
    # Targets may be differentiated too.
    np.testing.assert_allclose(cr.grad(lambda t: nn.mse(X, t))(TARGET), 2 * (TARGET - X) / X.size)


def test_the_worked_example():
    def loss(weight, bias, y):
        return (nn.relu(weight * 2.0 + bias) - y) ** 2

    assert cr.grad(loss, (0, 1))(0.5, 0.0, 0.0) == (4.0, 2.0)
    assert cr.value_and_grad(loss, (0, 1))(0.5, 0.0, 1.0) == (0.0, (0.0, 0.0))


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_networks(activation):
    model = nn.MLP.init((4, 5, 3), activation=activation, rng=np.random.default_rng(1), dtype=np.float64)
    cr.check_grads(lambda model, x: nn.cross_entropy(model(x), np.array([0, 1, 2])), (model, X), order=2)


def test_a_gradient_is_a_model():
    model = nn.Sequential(
        [nn.Linear.init(4, 5, rng=np.random.default_rng(1)), "relu", nn.Linear.init(5, 2, rng=np.random.default_rng(2))]
    )
    gradient = cr.grad(lambda model: nn.mse(model(X.astype(np.float32)), np.zeros((3, 2), np.float32)))(model)
    assert isinstance(gradient, nn.Sequential)
    assert trees.flatten(gradient)[1] == trees.flatten(model)[1]
    assert [leaf.dtype for leaf in trees.leaves(gradient)] == [np.float32] * 4
    assert [leaf.shape for leaf in trees.leaves(gradient)] == [leaf.shape for leaf in trees.leaves(model)]


def test_a_layer_without_bias_has_a_gradient_without_bias():
    layer = nn.Linear.init(4, 2, rng=np.random.default_rng(1), bias=False, dtype=np.float64)
    gradient = cr.grad(lambda layer: np.sum(layer(X)))(layer)
    assert gradient.bias is None
    np.testing.assert_allclose(gradient.weight, np.outer(X.sum(0), np.ones(2)))


def test_gradients_against_torch():
    torch = pytest.importorskip("torch")
    model = nn.MLP.init((4, 6, 5, 3), activation="gelu", rng=np.random.default_rng(0), dtype=np.float64)
    reference = torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.GELU(), torch.nn.Linear(6, 5), torch.nn.GELU(), torch.nn.Linear(5, 3)
    ).double()
    with torch.no_grad():
        for ours, theirs in zip(model.layers, list(reference)[::2], strict=True):
            theirs.weight.copy_(torch.tensor(ours.weight.T))
            theirs.bias.copy_(torch.tensor(ours.bias))
    labels = np.array([0, 2, 1])
    expected = torch.nn.functional.cross_entropy(reference(torch.tensor(X)), torch.tensor(labels))
    expected.backward()
    value, gradient = cr.value_and_grad(lambda model: nn.cross_entropy(model(X), labels))(model)
    assert float(value) == pytest.approx(expected.item(), rel=1e-14)
    for ours, theirs in zip(gradient.layers, list(reference)[::2], strict=True):
        np.testing.assert_allclose(ours.weight, theirs.weight.grad.numpy().T, rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(ours.bias, theirs.bias.grad.numpy(), rtol=1e-10, atol=1e-15)


def test_dropout_masks_the_gradient():
    drop = nn.Dropout(0.4)
    x = np.ones((20, 30))
    key = random.key(3)
    gradient = cr.grad(lambda x: np.sum(drop(x, key=key)))(x)
    np.testing.assert_array_equal(gradient, drop(x, key=key))


def test_per_example_gradients():
    model = nn.MLP.init((4, 3), rng=np.random.default_rng(0), dtype=np.float64)

    def loss(model, x, label):
        return nn.cross_entropy(model(x), label)

    each = cr.vmap(cr.grad(loss), in_axes=(None, 0, 0))(model, X, np.array([0, 1, 2]))
    assert each.layers[0].weight.shape == (3, 4, 3)
    total = cr.grad(lambda model: nn.cross_entropy(model(X), np.array([0, 1, 2])))(model)
    np.testing.assert_allclose(each.layers[0].weight.mean(0), total.layers[0].weight, atol=1e-15)


def test_jit_gives_the_same_numbers():
    model = nn.MLP.init((4, 5, 3), dropout=0.5, rng=np.random.default_rng(1))
    x = X.astype(np.float32)
    key = random.key(0)
    np.testing.assert_allclose(cr.jit(model)(x), model(x), rtol=1e-6)
    trained = cr.jit(lambda model, x, key: model(x, key=key))(model, x, key)
    np.testing.assert_allclose(trained, model(x, key=key), rtol=1e-6)
    labels = np.array([0, 1, 2])
    loss = cr.jit(lambda model, x, y: nn.cross_entropy(model(x), y))(model, x, labels)
    np.testing.assert_allclose(loss, nn.cross_entropy(model(x), labels), rtol=1e-6)
    weights = np.arange(1.0, 4.0)
    weighted = cr.jit(lambda y: nn.cross_entropy(x[:, :3], y, weights=weights, label_smoothing=0.1))(labels)
    np.testing.assert_allclose(weighted, nn.cross_entropy(x[:, :3], labels, weights=weights, label_smoothing=0.1), 1e-6)
    np.testing.assert_allclose(cr.jit(lambda y: nn.hinge(x, y))(labels), nn.hinge(x, labels), rtol=1e-6)


def test_errors_inside_traced_code_name_the_layer():
    model = nn.MLP.init((4, 5, 3), rng=np.random.default_rng(1), dtype=np.float64)
    with pytest.raises(ShapeError, match=r"(?s)2 != 4.*layers\[0\], Linear\(4 → 5\)"):
        cr.grad(lambda model: np.sum(model(X[:, :2])))(model)
