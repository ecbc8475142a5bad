"""Settings: what is refused, what follows what, and both ways of the address."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chainrule.base.errors import ChainruleError, DataError, ExpressionError, OptionError
from chainrule.nn.activations import activations
from chainrule.play import address
from chainrule.play.features import columns, formula
from chainrule.play.settings import DATASETS, INITIALISERS, LIMITS, Settings, choices

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"activation": "tanhh"}, "unknown value for activation"),
    ({"activations": ["tanh", "nope"]}, "unknown value for activation"),
    ({"activations": ["tanh"]}, "activations do not match the layers"),
    ({"learning_rate": -1}, "learning_rate is out of range"),
    ({"learning_rate": 10**400}, "another kind"),
    ({"learning_rate": True}, "another kind"),
    ({"learning_rate": float("nan")}, "another kind"),
    ({"batch_size": 0}, "batch_size is out of range"),
    ({"batch_size": 2.5}, "another kind"),
    ({"hidden": [4] * 21}, "number of hidden layers"),
    ({"hidden": [33]}, "neurons of a layer"),
    ({"hidden": 4}, "another kind"),
    ({"noise": 90}, "noise is out of range"),
    ({"features": []}, "needs inputs"),
    ({"features": ["x1", "x1"]}, "twice"),
    ({"features": ["x3"]}, "not known here"),
    ({"features": ["mean(x1)"]}, "may not mix points"),
    ({"features": ["sum(x1) + x2"]}, "may not mix points"),
    ({"features": ["__import__('os')"]}, "named functions|no function|stand in an expression"),
    ({"features": ["x1 +"]}, "can't be read"),
    ({"features": ["[1, 2, 3]"]}, "can't be computed|may not mix"),
    ({"features": ["z = x1"]}, "ends with its value"),
    ({"features": ["x1" + "+x1" * 100]}, "too long"),
    ({"seed": "s" * 41}, "seed is too long"),
    ({"seed": "\ud800"}, "half of a character"),
    ({"dataset": "circle", "problem": "regression"}, "another problem"),
    ({"dataset": "plane", "loss": "cross-entropy"}, "cross-entropy compares classes"),
    ({"nonsense": 1}, "no such setting"),
    ({"clip": 0}, "clip is out of range"),
    ({"classes": 11}, "classes is out of range"),
    ({"optimizer": "lion"}, "unknown value for optimizer"),
]


@pytest.mark.parametrize(("partial", "words"), WRONG, ids=[str(w)[:40] for w, _ in WRONG])
def test_what_is_refused(partial: dict[str, Any], words: str) -> None:
    with pytest.raises((OptionError, ExpressionError), match=words) as caught:
        Settings().changed(partial)
    assert caught.value.expected is not None
    assert caught.value.fix is not None


def test_what_follows_what() -> None:
    plane = Settings().changed({"problem": "regression"})
    assert plane.dataset == "plane"
    assert plane.changed({"dataset": "xor"}).problem == "classification"
    both = Settings(activations=("relu", None))
    assert both.hidden_activations == ("relu", "tanh")
    assert both.changed({"hidden": [3, 3, 3]}).activations == ()
    entropy = Settings(loss="cross-entropy")
    assert entropy.changed({"dataset": "plane"}).loss == "squared"
    reference = Settings(optimizer="adam", normalise=True, dataset="moons").changed({"mode": "compatible"})
    assert (reference.optimizer, reference.normalise, reference.dataset) == ("sgd", False, "circle")
    assert reference.initialiser == "uniform"
    assert Settings(optimizer="adam").changed({"batch_size": 3.0}).batch_size == 3


def test_choices_name_everything() -> None:
    found = choices()
    assert set(found["activations"]) == set(activations)
    assert found["defaults"] == Settings().to_json()
    assert found["limits"] == LIMITS
    assert {d["name"] for d in found["datasets"]} == set(DATASETS)


def any_settings() -> st.SearchStrategy[Settings]:
    names = st.sampled_from(sorted(activations))
    hidden = st.lists(st.integers(1, 32), max_size=4)
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    parts = {
        "dataset": st.sampled_from(DATASETS), "noise": st.sampled_from([0, 5, 12.5, 80]), "hidden": hidden,
        "activation": names, "learning_rate": st.floats(0, 1000), "batch_size": st.integers(1, 5000),
        "features": st.lists(st.sampled_from(["x1", "x2", "x1^2", "sin(x2)", "cos(x1)*x2", "x1 + 1"]), min_size=1,
                             unique=True), "regularization": st.sampled_from(["none", "l1", "l2"]),
        "regularization_rate": st.floats(-10, 1000), "optimizer": st.sampled_from(choices()["optimizers"]),
        "initialiser": st.sampled_from(INITIALISERS), "bias": st.none() | st.floats(-100, 100),
        "clip": st.none() | st.floats(1e-6, 1e6), "normalise": st.booleans(), "shuffle": st.booleans(),
        "seed": texts, "data_seed": st.none() | texts, "classes": st.integers(2, 10),
        "samples": st.none() | st.integers(10, 5000), "schedule": st.sampled_from(choices()["schedules"]),
        "train_percent": st.sampled_from([10, 33.5, 90]), "schedule_epochs": st.integers(1, 100_000),
    }  # fmt: skip
    return st.fixed_dictionaries({}, optional=parts).map(lambda partial: Settings().changed(partial))


@hypothesis_settings(max_examples=60, deadline=None)
@given(any_settings())
def test_both_ways(settings: Settings) -> None:
    assert Settings.from_json(settings.to_json()) == settings
    text = address.to_hash(settings)
    assert address.from_hash(address.pairs_of("#" + text)) == settings, text


def test_per_layer_activations_and_compatible_both_ways() -> None:
    for settings in (Settings(activations=("relu", None)), Settings().changed({"mode": "compatible"}),
                     Settings().changed({"mode": "compatible", "initialiser": "zeros", "regularization": "l1"}),
                     Settings(data_seed="null"[:3]), Settings().changed({"problem": "regression"})):  # fmt: skip
        assert address.from_hash(address.pairs_of(address.to_hash(settings))) == settings


def test_a_hash_of_the_reference_opens_as_the_reference_would() -> None:
    text = ("#activation=relu&regularization=L1&batchSize=17&dataset=xor&regDataset=reg-plane&learningRate=0.01"
            "&regularizationRate=0.003&noise=25&networkShape=3,2,1&seed=0.98765&showTestData=true&discretize=false"
            "&percTrainData=70&x=true&y=false&xTimesY=true&xSquared=false&ySquared=true&cosX=true&sinX=false"
            "&cosY=false&sinY=true&collectStats=false&problem=classification&initZero=false&hideText=false"
            "&noise_hide=true")  # fmt: skip
    found = address.from_hash(address.pairs_of(text))
    assert found == Settings(
        mode="compatible", activation="relu", regularization="l1", batch_size=17, dataset="xor", learning_rate=0.01,
        regularization_rate=0.003, noise=25, hidden=(3, 2, 1), seed="0.98765", train_percent=70,
        features=("x1", "x2^2", "x1*x2", "sin(x2)"), initialiser="uniform", shuffle=False,
    )  # fmt: skip
    regression = address.from_hash(address.pairs_of("problem=regression&regDataset=reg-gauss&dataset=circle"))
    assert regression.dataset == "multi-gauss"
    assert address.from_hash({"noise": "99"}).noise == 50
    assert address.from_hash({"noise": "-3"}).noise == 0
    assert address.from_hash({"initZero": "true"}).initialiser == "zeros"
    assert address.from_hash(address.pairs_of("")) == Settings()


@pytest.mark.parametrize(
    "text", ["batchSize=x", "learningRate=nan", "networkShape=a,b", "mode=other", "problem=both", "dataset=nothing",
             "a=" + "b" * 20_000, "&".join(f"k{i}=1" for i in range(300)), "features=x9", "clip=-3", "bias=1_0"],
)  # fmt: skip
def test_hostile_hashes(text: str) -> None:
    with pytest.raises(ChainruleError):
        address.from_hash(address.pairs_of(text))


def test_features_by_formula() -> None:
    points = np.array([[0.5, -2.0], [3.0, 1.0], [-1.0, 4.0]])
    x, y = points.T
    table = columns(["x1", "x1^2", "x1*x2", "sin(x2)", "relu(x1) + x2**2", "a = x1 - 1; a*a", "2", "sqrt(x1)"], points)
    expected = [x, x * x, x * y, np.sin(y), np.maximum(x, 0) + y**2, (x - 1) ** 2, np.full(3, 2.0)]
    np.testing.assert_allclose(table[:, :7].T, expected, rtol=1e-15)
    np.testing.assert_allclose(table[:2, 7], np.sqrt(x[:2]))
    assert np.isnan(table[2, 7])


def test_a_formula_is_the_same_for_one_point_as_for_many() -> None:
    f = formula("tanh(x1)*exp(-x2**2)")
    points = np.random.default_rng(0).uniform(-3, 3, (50, 2))
    together = f(points[:, 0], points[:, 1])
    alone = [f(p[:1], p[1:])[0] for p in points]
    np.testing.assert_array_equal(together, alone)


def test_numbers_of_an_address() -> None:
    values = np.array([1.5, -0.0, np.pi, 1e-300])
    np.testing.assert_array_equal(address.unpacked("w", address.packed(values)), values)
    for text in ("%%%", "AAAA", "é"):
        with pytest.raises(DataError, match="base64"):
            address.unpacked("w", text)
