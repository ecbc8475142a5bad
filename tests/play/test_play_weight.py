"""Explaining one weight: equal to the number that training uses, whatever the network, its loss and optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from asking import SMALL
from asking import WaitingPlayer as Player

from chainrule.base.errors import ChainruleError, DataError
from chainrule.explain.jsonform import schema

CASES: list[dict[str, Any]] = [
    {}, {"activation": "relu", "optimizer": "adam"}, {"activation": "sigmoid", "loss": "cross-entropy"},
    {"dataset": "blobs", "classes": 3, "loss": "cross-entropy", "activation": "elu"},
    {"dataset": "blobs", "classes": 3, "activation": "leaky_relu", "optimizer": "momentum"},
    {"problem": "regression", "loss": "huber", "activation": "softplus", "optimizer": "nesterov"},
    {"problem": "regression", "loss": "absolute", "activation": "silu", "optimizer": "rmsprop"},
    {"regularization": "l1", "regularization_rate": 0.1, "activation": "gelu"},
    {"regularization": "l2", "regularization_rate": 0.1, "activation": "selu", "optimizer": "adagrad"},
    {"activations": ["softmax", "log_softmax"], "optimizer": "nadam"},
    {"activations": ["log_sigmoid", "identity"], "optimizer": "adadelta", "clip": 0.01},
    {"hidden": [], "optimizer": "adamax"}, {"hidden": [2, 2, 2, 2], "activation": "tanh", "optimizer": "amsgrad"},
    {"mode": "compatible", "samples": None, "regularization": "l2", "regularization_rate": 0.1},
    {"optimizer": "adamw", "schedule": "cosine"},
]  # fmt: skip


def places(player: Player) -> list[dict[str, Any]]:
    """Some parameters of each layer."""
    sizes = player.course.context.sizes
    found = []
    for layer in range(len(sizes) - 1):
        to, source = sizes[layer + 1] - 1, sizes[layer] - 1
        found.append({"what": "weight", "layer": layer, "to": to, "from": source})
        found.append({"what": "bias", "layer": layer, "to": 0})
    return found


@pytest.mark.parametrize("case", CASES, ids=[str(i) for i in range(len(CASES))])
def test_it_is_the_number_that_training_uses(case: dict[str, Any]) -> None:
    player = Player({**SMALL, **case}, native="never")
    player.answer({"do": "step", "unit": "batch", "count": 5})
    context = player.course.context
    told = {}
    for at in places(player):
        found = player.answer({"do": "explain", **at, "example": 3})
        told[at["what"], at["layer"], at["to"], at.get("from")] = found
        example, batch = found["example"], found["batch"]
        # One example: the product, the sum over all paths, and the paths listed with their rest.
        assert example["gradient"] == pytest.approx(example["arriving"] * example["source"], rel=1e-12, abs=1e-300)
        assert found["paths"]["total"] == pytest.approx(example["gradient"], rel=1e-9, abs=1e-15)
        listed = sum(p["product"] for p in found["paths"]["listed"]) + found["paths"]["rest"]
        assert listed == pytest.approx(found["paths"]["total"], rel=1e-9, abs=1e-15)
        for path in found["paths"]["listed"]:
            assert np.prod(path["factors"]) == pytest.approx(path["product"], rel=1e-9, abs=1e-300)
            assert len(path["nodes"]) == len(path["factors"]) + 1
        # The batch: the mean of the products, and the penalty.
        assert batch["mean"] == pytest.approx(np.mean(batch["products"]), rel=1e-12, abs=1e-15)
        assert batch["gradient"] == pytest.approx(batch["mean"] + batch["penalty"], rel=1e-9, abs=1e-14)
        assert found["gradient"] == batch["gradient"]
        assert all("formula" in line for line in found["lines"])
    before = player.course.state.network
    player.answer({"do": "half"})
    player.answer({"do": "half"})
    half = player.answer({"do": "half"})
    player.answer({"do": "step", "unit": "batch"})
    after = player.course.state.network
    for (what, layer, to, source), found in told.items():
        old, new = before.layers[layer], after.layers[layer]
        was, now = (old.bias[to], new.bias[to]) if what == "bias" else (old.weight[source, to], new.weight[source, to])
        shown = half["gradients"]["biases" if what == "bias" else "weights"][layer][to]
        assert found["gradient"] == (shown if what == "bias" else shown[source])
        assert found["value"] == was
        assert found["update"]["new"] == pytest.approx(now, rel=1e-12, abs=1e-15)
        assert found["update"]["rate"] == pytest.approx(float(context.rates(5, 1)[0]))


@pytest.mark.parametrize("number", range(9))
def test_cr_explain_tells_the_same(number: int) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    player = Player({**SMALL, **CASES[number]}, native="never")
    for at in places(player)[::3]:
        found = player.answer({"do": "explain", **at, "example": 1, "full": True})
        told = found["explanation"]
        jsonschema.validate(told, schema())
        (gradient,) = told["gradients"].values()
        assert gradient["values"] == pytest.approx(found["example"]["gradient"], rel=1e-12, abs=1e-15)
        assert told["loss"]["value"] == pytest.approx(found["example"]["loss"], rel=1e-12)
        if not number:  # tanh and a square: every way through the neurons is one way through the scalars
            assert int(told["paths"][0]["count"]) == found["paths"]["count"]


def test_what_can_not_be_told_by_scalars_has_no_such_telling() -> None:
    for settings in ({"hidden": [16, 16]}, {"activations": ["softmax", None]}):
        player = Player({**SMALL, **settings}, native="never")
        found = player.answer({"do": "explain", "what": "bias", "layer": 0, "to": 0, "full": True})
        assert found["explanation"] is None
        assert found["paths"]["count"] > 0


def test_a_large_network_is_told_by_its_largest_paths() -> None:
    player = Player({"hidden": [16] * 6, "activation": "tanh"}, native="never")
    found = player.answer({"do": "explain", "what": "weight", "layer": 0, "to": 3, "from": 1})
    assert found["paths"]["count"] == 16**5
    assert found["paths"]["total"] == pytest.approx(found["example"]["gradient"], rel=1e-9)
    assert len(found["paths"]["listed"]) >= 3


def test_the_chain_in_words() -> None:
    player = Player({"hidden": [2]}, native="never")
    found = player.answer({"do": "explain", "what": "weight", "layer": 0, "to": 1, "from": 0})
    assert found["name"]["text"] == "w₁₂₁"
    texts = [line["formula"]["text"] for line in found["lines"]]
    assert texts[0].startswith("∂E/∂w₁₂₁ = δ₁₂·x₁ = ")
    assert [line["label"] for line in found["lines"]] == [
        "this example", "back through layer 2", "the output", "the batch"
    ]  # fmt: skip
    assert found["update"]["filled"]["text"].startswith("w₁₂₁ ← ")
    assert all("<math" in line["formula"]["mathml"] for line in found["lines"])


def test_a_row_that_is_not_full_is_not_applied_in_the_compatible_mode() -> None:
    player = Player({"mode": "compatible", "batch_size": 60, "train_percent": 10}, native="never")
    found = player.answer({"do": "explain", "what": "bias", "layer": 0, "to": 0})
    assert not found["update"]["applied"]
    assert found["update"]["new"] == found["update"]["old"]
    assert "carried over" in found["update"]["note"]


def test_inspecting_a_point() -> None:
    player = Player({**SMALL, "dataset": "blobs", "classes": 3, "loss": "cross-entropy"}, native="never")
    found = player.answer({"do": "inspect", "at": [1.0, -2.0]})
    assert found["inputs"] == [1.0, -2.0]
    assert sum(found["shown"]) == pytest.approx(1)
    assert found["decided"] == int(np.argmax(found["outputs"]))
    assert player.answer({"do": "inspect"})["point"] is not None
    with pytest.raises(ChainruleError):
        player.answer({"do": "inspect", "at": [1.0]})
    empty = Player({"dataset": "own"}, native="never")
    with pytest.raises(DataError, match="there is no example"):
        empty.answer({"do": "inspect"})
    with pytest.raises(DataError, match="no example to explain"):
        empty.answer({"do": "explain", "what": "bias", "layer": 0, "to": 0})
