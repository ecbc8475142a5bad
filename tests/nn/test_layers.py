"""Layers and networks: values, trees, dropout's keys, names, and errors that name the layer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bad_input import check_parts
from chainrule import nn, random
from chainrule.base import trees
from chainrule.base.errors import OptionError, ShapeError
from chainrule.nn.layers import layer_of, layers_of

RNG = np.random.default_rng


def test_linear():
    layer = nn.Linear(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([10.0, 20.0]))
    np.testing.assert_array_equal(layer(np.array([1.0, 0.0, -1.0])), [6.0, 16.0])
    x = RNG(0).normal(size=(4, 5, 3))
    np.testing.assert_allclose(layer(x), x @ layer.weight + layer.bias)
    assert (layer.n_in, layer.n_out) == (3, 2)
    assert trees.paths(layer) == ["weight", "bias"]


def test_linear_init():
    layer = nn.Linear.init(300, 200, rng=RNG(0))
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    assert np.abs(layer.weight).max() <= np.sqrt(6 / 500)
    np.testing.assert_array_equal(layer.bias, np.zeros(200))
    bare = nn.Linear.init(3, 2, rng=RNG(0), weight_init="orthogonal", bias=False, dtype=np.float64)
    assert bare.bias is None
    np.testing.assert_allclose(bare.weight.T @ bare.weight, np.eye(2), atol=1e-14)
    assert trees.paths(bare) == ["weight"]
    assert bare(np.ones((2, 3))).shape == (2, 2)
    ones = nn.Linear.init(3, 2, rng=RNG(0), weight_init=nn.init.constant(1.0))
    np.testing.assert_array_equal(ones.weight, np.ones((3, 2)))


def test_mlp_is_what_it_says():
    model = nn.MLP.init([4, 5, 6, 3], activation="tanh", rng=RNG(0), dtype=np.float64)
    x = RNG(1).normal(size=(7, 4))
    a, b, c = model.layers
    expected = np.tanh(np.tanh(x @ a.weight + a.bias) @ b.weight + b.bias) @ c.weight + c.bias
    np.testing.assert_allclose(model(x), expected, rtol=1e-14)
    assert model.sizes == (4, 5, 6, 3)
    assert nn.parameter_count(model) == 4 * 5 + 5 + 5 * 6 + 6 + 6 * 3 + 3
    assert nn.layer_names(model) == ["layers[0]", "layers[1]", "layers[2]"]


def test_mlp_against_torch():
    torch = pytest.importorskip("torch")
    model = nn.MLP.init((4, 8, 2), rng=RNG(0))
    reference = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    with torch.no_grad():
        for ours, theirs in zip(model.layers, (reference[0], reference[2]), strict=True):
            theirs.weight.copy_(torch.tensor(ours.weight.T))
            theirs.bias.copy_(torch.tensor(ours.bias))
        x = RNG(1).normal(size=(5, 4)).astype(np.float32)
        expected = reference(torch.tensor(x)).numpy()
    result = model(x)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("activation", "variance"),
    [("relu", 2 / 400), ("gelu", 2 / 400), ("tanh", 2 / 700), ("sigmoid", 2 / 700), ("selu", 1 / 400)],
)
def test_mlp_weights_suit_the_activation(activation, variance):
    model = nn.MLP.init((400, 300, 200), activation=activation, rng=RNG(0))
    assert model.layers[0].weight.var() == pytest.approx(variance, rel=0.03)
    assert model.layers[1].weight.var() == pytest.approx(2 / 500, rel=0.03)
    chosen = nn.MLP.init((400, 300, 200), activation=activation, weight_init="lecun_uniform", rng=RNG(0))
    assert chosen.layers[1].weight.var() == pytest.approx(1 / 300, rel=0.03)


@pytest.mark.parametrize("activation", ["relu", "selu"])
def test_signals_keep_their_size_through_many_layers(activation):
    model = nn.MLP.init([256] * 31, activation=activation, rng=RNG(0), dtype=np.float64)
    out = model(RNG(1).normal(size=(50, 256)))
    assert 0.1 < out.std() < 10


def test_models_are_trees():
    model = nn.MLP.init((4, 3, 2), activation="selu", dropout=0.25, rng=RNG(0))
    leaves, structure = trees.flatten(model)
    assert len(leaves) == 4
    doubled = trees.map(lambda leaf: 2 * leaf, model)
    assert (doubled.activation, doubled.dropout) == ("selu", 0.25)
    np.testing.assert_array_equal(doubled.layers[1].weight, 2 * model.layers[1].weight)
    assert structure != trees.flatten(dataclasses.replace(model, activation="relu"))[1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.dropout = 0.5


def test_float32_goes_through():
    model = nn.MLP.init((4, 3, 2), dropout=0.5, rng=RNG(0))
    x = np.ones((2, 4), np.float32)
    for key in (None, random.key(0)):
        assert model(x, key=key).dtype == np.float32


def test_dropout():
    drop = nn.Dropout(0.3)
    x = np.ones((200, 300), np.float32)
    assert drop(x) is x
    assert nn.Dropout(0.0)(x, key=random.key(0)) is x
    out = drop(x, key=random.key(1))
    assert out.dtype == np.float32
    np.testing.assert_allclose(np.unique(out), [0, 1 / 0.7], rtol=1e-6)
    assert np.mean(out == 0) == pytest.approx(0.3, abs=0.01)
    np.testing.assert_array_equal(out, drop(x, key=random.key(1)))
    assert not np.array_equal(out, drop(x, key=random.key(2)))
    assert trees.leaves(drop) == []


def test_dropout_differs_between_layers_and_is_off_without_key():
    drops = nn.Sequential([nn.Dropout(0.5), nn.Dropout(0.5)])
    x = np.ones(10_000)
    np.testing.assert_array_equal(drops(x), x)
    assert np.mean(drops(x, key=random.key(0)) > 0) == pytest.approx(0.25, abs=0.02)  # equal masks would keep half
    model = nn.MLP.init((3, 4, 4, 2), dropout=0.5, rng=RNG(0))
    rows = np.ones((5, 3), np.float32)
    np.testing.assert_array_equal(model(rows), model(rows))
    assert not np.array_equal(model(rows), model(rows, key=random.key(0)))
    np.testing.assert_array_equal(model(rows, key=random.key(0)), model(rows, key=random.key(0)))


def test_sequential():
    first, last = nn.Linear.init(3, 4, rng=RNG(0)), nn.Linear.init(4, 2, rng=RNG(1))
    model = nn.Sequential([first, nn.relu, "tanh", nn.Dropout(0.1), last])
    assert isinstance(model.layers, tuple)
    x = RNG(2).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(x), last(np.tanh(nn.relu(first(x)))))
    assert nn.layer_names(model) == ["layers[0]", "layers[4]"]
    assert [nn.describe(layer) for layer in model.layers] == [
        "Linear(3 → 4)", "relu", "tanh", "Dropout(0.1)", "Linear(4 → 2)",
    ]  # fmt: skip
    assert nn.parameter_count(model) == 3 * 4 + 4 + 4 * 2 + 2


@dataclasses.dataclass(frozen=True)
class Residual:
    inner: nn.Linear
    scale: float = trees.static(default=1.0)

    def __call__(self, x, *, key=None):
        return x + self.scale * self.inner(x, key=key)


def test_a_layer_of_ones_own():
    model = nn.Sequential([Residual(nn.Linear.init(3, 3, rng=RNG(0)), 0.5), nn.Sequential(["relu"])])
    assert trees.paths(model) == ["layers[0].inner.weight", "layers[0].inner.bias"]
    assert nn.layer_names(model) == ["layers[0].inner"]
    assert model(np.ones((2, 3))).shape == (2, 3)


def test_models_print_in_a_few_words_and_compare_by_identity():
    model = nn.MLP.init((4, 5, 3), activation=np.tanh, dropout=0.2, rng=RNG(0))
    assert repr(model) == "MLP(4 → 5 → 3, tanh, dropout=0.2)"
    assert repr(nn.Sequential([model.layers[0], "relu"])) == "Sequential(Linear(4 → 5), relu)"
    assert repr(trees.map(lambda leaf: None, model)) == "MLP(? → ? → ?, tanh, dropout=0.2)"
    assert model == model
    assert model != trees.map(np.copy, model)


@pytest.mark.parametrize(
    ("path", "layer"),
    [
        ("layers[0].weight", "layers[0]"), ("layers[0]", "layers[0]"), ("['w1']", "['w1']"), ("weight", "weight"),
        ("['first']['w']", "['first']"), ("encoder.blocks[3].norm.scale", "encoder.blocks[3].norm"), ("", "parameters"),
    ],
)  # fmt: skip
def test_layers_of_paths(path: str, layer: str) -> None:
    assert layer_of(path) == layer


def test_leaves_of_layers():
    model = nn.Sequential([nn.Linear.init(2, 3, rng=RNG(0)), "relu", nn.Linear.init(3, 1, rng=RNG(0))])
    assert layers_of(model) == {"layers[0]": [0, 1], "layers[2]": [2, 3]}


def test_names_of_bare_arrays():
    assert nn.layer_names({"w": np.zeros(2), "b": np.zeros(1)}) == ["['b']", "['w']"]
    assert nn.layer_names({"first": {"w": np.zeros(2), "b": np.zeros(1)}}) == ["['first']"]
    assert nn.layer_names([np.zeros(2), np.zeros(1)]) == ["[0]", "[1]"]
    assert nn.layer_names(np.zeros(3)) == ["parameters"]
    assert nn.parameter_count(np.zeros((3, 4))) == 12


@pytest.mark.parametrize(
    ("call", "error", "parts"),
    [
        (
            lambda: nn.MLP.init((3, 4, 2), rng=RNG(0))(np.ones((5, 7))),
            ShapeError,
            ["x @ weight: 7 columns meet 3 rows", "x.shape[-1] == weight.shape[0] == 3",
             "x.shape == (5, 7), weight.shape == (3, 4): 7 != 3",
             "where: layers[0], Linear(3 → 4)", "rows of 3 values"],
        ),
        (
            lambda: nn.Sequential([nn.Sequential(["relu", nn.Linear.init(3, 4, rng=RNG(0))])])(np.ones(2)),
            ShapeError,
            ["2 != 3", "where: layers[0].layers[1], Linear(3 → 4)"],
        ),
        (lambda: nn.Linear.init(3, 4, rng=RNG(0))(np.float64(1)), ShapeError, ["x.shape == ()", "() columns meet 3"]),
        (
            lambda: nn.Linear(np.ones((3, 2)), np.ones(3)),
            ShapeError,
            ["do not make a linear layer", "weight.shape == (3, 2) and bias.shape == (3,)"],
        ),
        (
            lambda: nn.MLP((nn.Linear(np.ones((3, 2))), nn.Linear(np.ones((3, 2))))),
            ShapeError,
            ["layers[0] and layers[1] do not fit together", "2 != 3"],
        ),
        (lambda: nn.MLP.init((3,), rng=RNG(0)), OptionError, ["at least two sizes", "got: [3]"]),
        (lambda: nn.MLP.init((3, 0, 2), rng=RNG(0)), OptionError, ["sizes[1] is not a size", "integer >= 1", "got: 0"]),
        (lambda: nn.Linear.init(3, 2.5, rng=RNG(0)), OptionError, ["n_out is not a size", "got: 2.5"]),
        (
            lambda: nn.MLP.init((3, 2), activation="rleu", rng=RNG(0)),
            OptionError,
            ["unknown value for activation", "relu, leaky_relu", "'rleu'"],
        ),
        (lambda: nn.Function("rleu"), OptionError, ["unknown value for activation"]),
        (
            lambda: nn.Linear.init(3, 2, rng=RNG(0), weight_init="xavier"),
            OptionError,
            ["unknown value for weight_init", "glorot_uniform", "'xavier'"],
        ),
        (lambda: nn.Dropout(1.0), OptionError, ["0 <= rate < 1", "got: 1.0", "nn.Dropout"]),
        (lambda: nn.MLP.init((3, 2), dropout=-0.1, rng=RNG(0)), OptionError, ["0 <= rate < 1", "got: -0.1"]),
    ],
)  # fmt: skip
def test_bad_input(call, error, parts):
    check_parts(call, error, parts)
